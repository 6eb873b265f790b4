//! Records of data take a way of their own through the streams when their header lies whole in a chunk. Shown byte by byte they
//! never do: the two must tell the same, whatever came before, between and after.

mod support;

use parser::Timestamp;
use parser::session::{Peer, Session};
use proptest::prelude::*;
use support::{
    CONTENT_ALERT, CONTENT_CCS, CONTENT_DATA, CONTENT_HANDSHAKE, Happening, Settled, fresh, opening, scripts,
};

#[derive(Clone, Debug)]
enum Piece {
    /// Content type, minor version, length.
    Record(u8, u8, u16),
    /// A record that announces more than comes.
    Begun(u16),
    /// No record.
    Bytes(Vec<u8>),
}

impl Piece {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Piece::Record(kind, minor, length) => {
                let [high, low] = length.to_be_bytes();
                [&[*kind, 3, *minor, high, low][..], &vec![0; usize::from(*length)]].concat()
            }
            Piece::Begun(length) => {
                let [high, low] = length.to_be_bytes();
                vec![CONTENT_DATA, 3, 3, high, low, 0, 0]
            }
            Piece::Bytes(bytes) => bytes.clone(),
        }
    }
}

/// A whole record, of a size that rules look at, of an alert or a Finished, of none at all, or of the largest there is.
fn record() -> impl Strategy<Value = Piece> {
    let kind = prop_oneof![
        12 => Just(CONTENT_DATA),
        1 => Just(CONTENT_ALERT),
        1 => Just(CONTENT_CCS),
        1 => Just(CONTENT_HANDSHAKE),
        1 => Just(24),
    ];
    let minor = prop_oneof![8 => Just(3u8), 1 => 0u8..6];
    let length =
        prop_oneof![6 => 0u16..700, 2 => Just(19u16), 1 => Just(26u16), 1 => Just(69u16), 1 => 16_000u16..=18_432];
    (kind, minor, length).prop_map(|(kind, minor, length)| Piece::Record(kind, minor, length))
}

fn oddity() -> impl Strategy<Value = Piece> {
    prop_oneof![
        2 => (0u16..18_500).prop_map(Piece::Begun),
        1 => proptest::collection::vec(any::<u8>(), 0..12).prop_map(Piece::Bytes),
    ]
}

/// What one peer sends in one go, and the body of a last record of data that passes unseen. Not both that and oddities: where
/// records have to be looked for, the chunks decide what is in sight.
#[derive(Clone, Debug)]
struct Run {
    from: Peer,
    pieces: Vec<Piece>,
    unseen: Option<u16>,
}

fn runs() -> impl Strategy<Value = Vec<Run>> {
    let tidy = (peer(), proptest::collection::vec(record(), 0..6), proptest::option::of(0u16..18_000))
        .prop_map(|(from, pieces, unseen)| Run { from, pieces, unseen });
    let piece = prop_oneof![20 => record(), 1 => oddity()];
    let untidy =
        (peer(), proptest::collection::vec(piece, 1..6)).prop_map(|(from, pieces)| Run { from, pieces, unseen: None });
    prop_oneof![proptest::collection::vec(tidy, 1..30), proptest::collection::vec(untidy, 1..30)]
}

fn peer() -> impl Strategy<Value = Peer> {
    prop_oneof![Just(Peer::Client), Just(Peer::Host)]
}

/// An opening, as far as `upto` says, with a clock that goes on.
fn begun(at: usize, settled: Settled, upto: usize) -> Vec<(Peer, Vec<u8>)> {
    let scripts = scripts::all();
    let script = &scripts[at % scripts.len()];
    let opening = opening(script.selected, settled).into_iter().filter_map(|happening| match happening {
        Happening::Bytes(from, bytes) => Some((from, bytes)),
        Happening::Close(..) => None,
    });
    let steps = script.steps.iter().filter_map(|step| Some((step.from, step.bytes(settled)?)));
    opening.chain(steps).take(upto).collect()
}

fn assert_alike(whole: &Session, cut: &Session, single: &Session) -> Result<(), TestCaseError> {
    for other in [cut, single] {
        prop_assert_eq!(whole.timeline(), other.timeline());
        prop_assert_eq!((whole.watch(), whole.awaiting()), (other.watch(), other.awaiting()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn a_record_tells_the_same_whole_in_a_chunk_and_byte_by_byte(
        script in 0usize..100,
        upto in 0usize..60,
        settled in proptest::sample::select([Settled::EXACT.as_slice(), Settled::BLOCKS.as_slice()].concat()),
        runs in runs(),
        cuts in proptest::collection::vec(1usize..900, 1..30),
    ) {
        let (mut whole, mut cut, mut single) = (fresh(), fresh(), fresh());
        let mut sizes = cuts.iter().cycle();
        let mut now = 0;
        let mut show = |from: Peer, bytes: &[u8], unseen: u64| {
            now += 1_000_000;
            let at = Timestamp(now);
            whole.data(from, bytes, at);
            let mut rest = bytes;
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at(sizes.next().map_or(1, |size| (*size).min(rest.len())));
                cut.data(from, chunk, at);
                rest = after;
            }
            bytes.chunks(1).for_each(|byte| single.data(from, byte, at));
            for session in [&mut whole, &mut cut, &mut single] {
                session.passed_unseen(from, unseen, at);
            }
            assert_alike(&whole, &cut, &single)
        };
        for (from, bytes) in begun(script, settled, upto) {
            show(from, &bytes, 0)?;
        }
        for Run { from, pieces, unseen } in &runs {
            let mut bytes: Vec<u8> = pieces.iter().flat_map(Piece::bytes).collect();
            bytes.extend(unseen.iter().flat_map(|length| [&[CONTENT_DATA, 3, 3][..], &length.to_be_bytes()].concat()));
            show(*from, &bytes, u64::from(unseen.unwrap_or(0)))?;
        }
    }
}
