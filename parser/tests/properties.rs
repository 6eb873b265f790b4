//! What holds for every connection, however its bytes arrive and whatever they are.

mod support;

use parser::Timestamp;
use parser::session::{CloseKind, Closer, Limits, Peer, PhaseLog, Session, Timeline, UpstreamEvent};
use proptest::prelude::*;
use support::scripts;
use support::{CLEAR_ULTIMATUM, Happening, Settled, fresh, opening};

/// Room for one ClientHello, one host message and two openings; a vector may hold twice of what it has.
const MOST_BUFFERED: usize = 2 * (64 * 1024 + 64 * 1024 + 4 * 1024);

fn script(at: usize, settled: Settled) -> Vec<Happening> {
    let scripts = scripts::all();
    let script = &scripts[at % scripts.len()];
    let mut all = opening(script.selected, settled);
    for step in &script.steps {
        all.extend(step.bytes(settled).map(|bytes| Happening::Bytes(step.from, bytes)));
    }
    all.push(Happening::Close(Closer::Host, CloseKind::Fin));
    all
}

/// Everything that does not depend on when bytes came.
fn timeless(mut timeline: Timeline) -> Timeline {
    let zero = Timestamp(0);
    let mut phases = PhaseLog::default();
    for phase in parser::session::Phase::ALL {
        if timeline.phases.entered(phase).is_some() {
            phases.enter(phase, zero);
        }
    }
    timeline.phases = phases;
    for traffic in [&mut timeline.traffic.client, &mut timeline.traffic.host] {
        traffic.first = traffic.first.map(|_| zero);
        traffic.last = traffic.last.map(|_| zero);
    }
    for tail in [&mut timeline.tail.client, &mut timeline.tail.host] {
        tail.records.iter_mut().for_each(|shape| shape.at = zero);
    }
    timeline
}

fn settled() -> impl Strategy<Value = Settled> {
    let all: Vec<Settled> = Settled::EXACT.into_iter().chain(Settled::BLOCKS).collect();
    proptest::sample::select(all)
}

/// Bytes that begin like something a parser will believe.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let begin = prop_oneof![
        Just(vec![]),
        Just(vec![3, 0]),
        Just(vec![0x16, 3, 1]),
        Just(vec![0x17, 3, 3]),
        Just(vec![0x80, 0x40, 1]),
        Just(support::connection_request(2)),
        Just(support::connection_confirm(2)),
        Just(support::client_hello()),
        Just(support::server_hello(Settled::TLS13, [1; 32], &[2; 32])),
        Just(CLEAR_ULTIMATUM.to_vec()),
        Just(vec![0x16, 3, 3, 0x40, 0, 1, 0, 0xff, 0xff]),
    ];
    (begin, proptest::collection::vec(any::<u8>(), 0..600)).prop_map(|(mut bytes, rest)| {
        bytes.extend(rest);
        bytes
    })
}

#[derive(Clone, Debug)]
enum Deed {
    Bytes(Peer, Vec<u8>),
    Unseen(Peer, u32),
    Close(Closer),
    Connected,
}

fn deed() -> impl Strategy<Value = Deed> {
    let peer = prop_oneof![Just(Peer::Client), Just(Peer::Host)];
    let closer = prop_oneof![Just(Closer::Client), Just(Closer::Host), Just(Closer::Proxy)];
    prop_oneof![
        8 => (peer.clone(), plausible()).prop_map(|(peer, bytes)| Deed::Bytes(peer, bytes)),
        1 => (peer, any::<u32>()).prop_map(|(peer, count)| Deed::Unseen(peer, count)),
        1 => closer.prop_map(Deed::Close),
        1 => Just(Deed::Connected),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_gives_the_same_timeline(at in 0usize..100, settled in settled(), cuts in proptest::collection::vec(1usize..90, 1..40)) {
        let happenings = script(at, settled);
        let (mut whole, mut cut) = (fresh(), fresh());
        let mut sizes = cuts.iter().cycle();
        // The clock stands still, so that all that differs is the chunking.
        for happening in &happenings {
            match happening {
                Happening::Bytes(from, bytes) => {
                    whole.data(*from, bytes, Timestamp(1));
                    let mut rest = &bytes[..];
                    while !rest.is_empty() {
                        let size = sizes.next().map_or(1, |size| (*size).min(rest.len()));
                        cut.data(*from, &rest[..size], Timestamp(1));
                        rest = &rest[size..];
                    }
                }
                Happening::Close(by, kind) => {
                    whole.closed(*by, *kind, Timestamp(1));
                    cut.closed(*by, *kind, Timestamp(1));
                }
            }
        }
        prop_assert_eq!(whole.watch(), cut.watch());
        prop_assert_eq!(timeless(whole.finish()), timeless(cut.finish()));
    }

    #[test]
    fn records_of_one_direction_may_come_in_one_chunk(at in 0usize..100, settled in settled()) {
        let happenings = script(at, settled);
        let (mut single, mut joined) = (fresh(), fresh());
        let mut pending: Option<(Peer, Vec<u8>)> = None;
        for happening in &happenings {
            match happening {
                Happening::Bytes(from, bytes) => {
                    single.data(*from, bytes, Timestamp(1));
                    match &mut pending {
                        Some((peer, held)) if peer == from => held.extend(bytes),
                        _ => {
                            if let Some((peer, held)) = pending.replace((*from, bytes.clone())) {
                                joined.data(peer, &held, Timestamp(1));
                            }
                        }
                    }
                }
                Happening::Close(by, kind) => {
                    if let Some((peer, held)) = pending.take() {
                        joined.data(peer, &held, Timestamp(1));
                    }
                    single.closed(*by, *kind, Timestamp(1));
                    joined.closed(*by, *kind, Timestamp(1));
                }
            }
        }
        prop_assert_eq!(timeless(single.finish()), timeless(joined.finish()));
    }

    #[test]
    fn nothing_panics_and_nothing_grows(deeds in proptest::collection::vec(deed(), 0..40)) {
        let mut session = Session::new(Timestamp(0), Limits::default());
        let mut phase = session.phase();
        let mut spoken = false;
        for (n, deed) in deeds.into_iter().enumerate() {
            let at = Timestamp(n as u64 * 1_000_000_000);
            match deed {
                Deed::Bytes(from, bytes) => {
                    spoken |= from == Peer::Host && !bytes.is_empty();
                    session.data(from, &bytes, at);
                }
                Deed::Unseen(from, count) => session.passed_unseen(from, u64::from(count), at),
                Deed::Close(by) => session.closed(by, CloseKind::Rst, at),
                Deed::Connected if !spoken => {
                    // The first word about the host leg may take back what was taken for granted without it.
                    session.upstream(UpstreamEvent::Connected("192.0.2.1:3389".parse().expect("an address")), at);
                    phase = phase.min(session.phase());
                }
                Deed::Connected => {}
            }
            prop_assert!(session.buffered() <= MOST_BUFFERED, "{}", session.buffered());
            prop_assert!(session.phase() >= phase);
            phase = session.phase();
            let _ = (session.awaiting(), session.watch());
        }
        let timeline = session.finish();
        prop_assert!(timeline.closes.len() <= 3 && timeline.alerts.len() <= 4 && timeline.first_bytes.len() <= 16);
    }

    #[test]
    fn a_flood_of_handshake_bytes_is_not_kept(kind in 0u8..30, chunks in 1usize..60) {
        let mut session = fresh();
        session.data(Peer::Client, &support::connection_request(1), Timestamp(1));
        session.data(Peer::Host, &support::connection_confirm(1), Timestamp(2));
        // Announces 16 MiB in the largest records there are.
        let mut flood = vec![0x16, 3, 3, 0x40, 0, kind, 0xff, 0xff, 0xff];
        flood.resize(5 + 0x4000, 0);
        for _ in 0..chunks {
            for peer in [Peer::Client, Peer::Host] {
                session.data(peer, &flood, Timestamp(3));
                prop_assert!(session.buffered() <= MOST_BUFFERED, "{}", session.buffered());
            }
        }
    }
}
