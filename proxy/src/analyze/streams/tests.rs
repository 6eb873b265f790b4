use super::*;

pub(in super::super) const CLIENT: u16 = 50_000;
pub(in super::super) const HOST: u16 = 3_389;
const SECOND: u64 = 1_000_000_000;

pub(in super::super) fn segment(from: u16, sequence: u32, payload: &[u8]) -> Segment<'_> {
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let to = if from == HOST { CLIENT } else { HOST };
    Segment {
        at: Timestamp(SECOND),
        from: address(from),
        to: address(to),
        sequence,
        acknowledgment: 0,
        window: 1_000,
        hops: 64,
        ip_id: None,
        mss: None,
        syn: false,
        ack: false,
        fin: false,
        rst: false,
        payload,
        cut: 0,
    }
}

pub(in super::super) fn syn(from: u16, sequence: u32) -> Segment<'static> {
    Segment { syn: true, ..segment(from, sequence, b"") }
}

/// What the streams tell, ends left out, as text with the number of each.
#[derive(Default)]
pub(in super::super) struct Heard {
    told: Vec<String>,
    last: HashMap<u64, Timestamp>,
}

impl Heard {
    pub(in super::super) fn of(segments: &[Segment<'_>]) -> (Streams<()>, Vec<String>) {
        let (mut streams, mut heard) = (Streams::new(Duration::from_secs(2)), Heard::default());
        for segment in segments {
            let heard = &mut heard;
            streams.packet(&Packet::Segment(*segment), &mut |stream, (), at, event| heard.note(stream, at, &event));
        }
        streams.finish(&mut |stream, (), at, event| heard.note(stream, at, &event));
        (streams, heard.told)
    }

    fn note(&mut self, stream: &Stream, at: Timestamp, event: &Event<'_>) {
        let text = match event {
            Event::Data(peer, bytes) => format!("{} {}", peer.name(), String::from_utf8_lossy(bytes)),
            Event::Fin(peer) => format!("{} fin", peer.name()),
            Event::Rst(peer) => format!("{} rst", peer.name()),
            Event::WentOn(peer) => format!("{} went on", peer.name()),
            Event::Missing(peer, count) => format!("{} lacks {count}", peer.name()),
            Event::Unseen(peer) => format!("{} unseen", peer.name()),
            Event::Ended(_) => return,
            Event::Syn | Event::SynAck => "syn".to_owned(),
        };
        let before = self.last.insert(stream.number, at);
        assert!(before <= Some(at), "{text}: told as if it were before what was told before it");
        self.told.push(format!("{} {text}", stream.number));
    }
}

#[test]
fn without_a_syn_the_first_payload_tells_who_the_client_is() {
    let fin = Segment { fin: true, ..segment(HOST, 7, b"") };
    assert_eq!(Heard::of(&[fin, segment(CLIENT, 9, b"x")]).1, ["0 host fin", "0 client x"]);
    assert_eq!(Heard::of(&[fin]).1, ["0 client fin"]);
    // From the middle, where the host's turn may have come first.
    assert_eq!(Heard::of(&[segment(HOST, 7, b"y"), segment(CLIENT, 9, b"x")]).1, ["0 host y", "0 client x"]);
}

#[test]
fn it_is_told_how_long_the_capture_went_on_after_a_connection_fell_silent() {
    let mut streams = Streams::<()>::new(Duration::from_secs(2));
    let mut until = Vec::new();
    let mut tell = |stream: &Stream, (): &mut (), _, event: Event<'_>| {
        if let Event::Ended(facts) = event {
            until.push((stream.number, facts.until));
        }
    };
    let elsewhere = SocketAddr::from(([127, 0, 0, 2], 9));
    let later = Segment { at: Timestamp(41 * SECOND), from: elsewhere, ..syn(CLIENT, 5) };
    for segment in [syn(CLIENT, 5), later] {
        streams.packet(&Packet::Segment(segment), &mut tell);
    }
    streams.finish(&mut tell);
    assert_eq!(until, [0, 1].map(|number| (number, Some(Timestamp(41 * SECOND)))));
}

#[test]
fn the_same_addresses_again_are_another_connection_and_late_segments_are_not() {
    let rst = Segment { rst: true, ..segment(HOST, 1, b"") };
    let late = |seconds: u64, segment: Segment<'static>| Segment { at: Timestamp(seconds * SECOND), ..segment };
    let (streams, heard) = Heard::of(&[
        syn(CLIENT, 5),
        syn(CLIENT, 5),
        segment(CLIENT, 6, b"a"),
        rst,
        syn(CLIENT, 900),
        segment(CLIENT, 901, b"b"),
        rst,
        late(60, segment(CLIENT, 902, b"c")),
        late(61, rst),
        late(62, syn(CLIENT, 900)),
        late(63, syn(CLIENT, 77)),
    ]);
    assert_eq!(heard, ["0 syn", "0 client a", "0 host rst", "1 syn", "1 client b", "1 host rst", "2 syn"]);
    assert_eq!(streams.count(), 3);
}

#[test]
fn a_close_is_told_after_what_came_before_it() {
    let fin = |sequence, payload| Segment { fin: true, ..segment(HOST, sequence, payload) };
    let acked = Segment { ack: true, acknowledgment: 9, ..segment(CLIENT, 2, b"") };
    let rst = Segment { rst: true, ..segment(CLIENT, 2, b"") };
    let told = |segments: &[Segment<'_>]| {
        let mut all = vec![syn(CLIENT, 1), segment(CLIENT, 2, b""), segment(HOST, 1, b"ab")];
        all.extend(segments);
        Heard::of(&all).1[2..].to_vec()
    };
    assert_eq!(told(&[fin(5, b"ef"), segment(HOST, 3, b"cd")]), ["0 host cd", "0 host ef", "0 host fin"]);
    assert_eq!(told(&[fin(5, b"ef"), acked, rst]), ["0 host lacks 2", "0 host ef", "0 host fin", "0 client rst"]);
    assert_eq!(told(&[fin(5, b"ef"), rst]), ["0 client rst"], "what was never acknowledged never arrived");
}

#[test]
fn a_reset_after_which_both_ends_go_on_was_none() {
    let later = |seconds: u64, segment: Segment<'static>| Segment { at: Timestamp(seconds * SECOND + 10), ..segment };
    let taken = |acknowledgment| Segment { ack: true, acknowledgment, ..segment(CLIENT, 2, b"") };
    let told = |after: &[Segment<'_>]| {
        let rst = Segment { rst: true, ..segment(HOST, 90_000, b"") };
        let mut all = vec![syn(CLIENT, 1), segment(CLIENT, 2, b""), segment(HOST, 1, b"ab"), rst];
        all.extend(after);
        Heard::of(&all).1[3..].to_vec()
    };
    let end = Segment { fin: true, ..segment(HOST, 5, b"") };
    let on = [later(2, segment(HOST, 3, b"cd")), later(2, taken(5)), later(2, end)];
    assert_eq!(told(&on), ["0 host cd", "0 host went on", "0 host fin"]);
    assert_eq!(told(&[later(2, segment(HOST, 3, b"cd"))]), ["0 host cd"], "nobody took it");
    assert_eq!(told(&[later(2, taken(3))]), [""; 0], "the client had that before");
    assert_eq!(told(&[segment(HOST, 3, b"cd"), taken(5)]), ["0 host rst"], "it comes behind what is before it");
}

#[test]
fn a_fin_that_bytes_lie_behind_or_far_ahead_of_the_end_is_none_of_this_connection() {
    let fin = |sequence| Segment { fin: true, ..segment(HOST, sequence, b"") };
    let told = |stray: u32| {
        let begin = [syn(CLIENT, 1_000), segment(CLIENT, 1_001, b""), segment(HOST, 5_000, b"ab")];
        let rest = [fin(stray), segment(HOST, 5_002, b"cd"), fin(5_004)];
        Heard::of(&[&begin[..], &rest].concat()).1[2..].to_vec()
    };
    for stray in [5_001, 4_000, 5_003, 900_000] {
        assert_eq!(told(stray), ["0 host cd", "0 host fin"], "{stray}");
    }
}

#[test]
fn connections_that_there_is_no_room_for_push_out_those_that_were_silent_for_the_longest() {
    let mut streams = Streams::<()>::new(Duration::ZERO);
    let mut ended = Vec::new();
    let from = |n: u64, segment: Segment<'static>| {
        let from = SocketAddr::from(([10, (n >> 16) as u8, (n >> 8) as u8, n as u8], CLIENT));
        Segment { from, at: Timestamp(SECOND + n), ..segment }
    };
    let mut take = |segment: Segment<'static>| {
        streams.packet(&Packet::Segment(segment), &mut |stream, (), _, event| {
            if let Event::Ended(_) = event {
                ended.push(stream.number);
            }
        });
        assert!(streams.memory <= MEMORY && streams.past.len() <= REMEMBERED, "{}", streams.memory);
        assert!(streams.due.len() <= 2 * streams.live.len() + STALE + 1, "{}", streams.due.len());
        streams.live.len()
    };
    take(from(0, segment(CLIENT, 1, b"a session")));
    let live = (1..120_000).map(|n| take(from(n, syn(CLIENT, 1)))).last().unwrap();
    assert!((10_000..110_000).contains(&live), "{live}");
    assert_eq!(ended.len(), 120_000 - live);
    assert_eq!((ended.first(), ended.last()), (Some(&1), Some(&(120_000 - live as u64))), "the session stays");
}

#[test]
fn what_waits_behind_lost_segments_counts_and_is_given_back() {
    static LARGE: [u8; 60_000] = [7; 60_000];
    let mut streams = Streams::<()>::new(Duration::ZERO);
    let mut tell = |_: &Stream, (): &mut (), _: Timestamp, _: Event<'_>| {};
    for n in 0..4_000u16 {
        let from = SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], CLIENT));
        for segment in [syn(CLIENT, 1), segment(CLIENT, 100, &LARGE)] {
            streams.packet(&Packet::Segment(Segment { from, ..segment }), &mut tell);
            assert!(streams.memory <= MEMORY, "{}", streams.memory);
        }
    }
    assert!(streams.memory > MEMORY / 8, "{}", streams.memory);
    streams.finish(&mut tell);
    assert_eq!((streams.memory, streams.held.0), (0, 0));
}
