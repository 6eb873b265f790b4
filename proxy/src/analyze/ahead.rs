//! Segments that stand in the capture before bytes which they acknowledge.
//!
//! Two queues of a network card, or two cards that `mergecap` put together, are read in turn: then an answer comes before
//! what it answers. An acknowledgment tells the true order, so such a segment waits until what it has seen has come. So does a
//! reset for the bytes before it. What does not come in time was lost, and is a gap.

use super::direction::{LATE, PIECES};
use super::packet::Segment;
use parser::Timestamp;
use std::collections::VecDeque;

/// What keeping a segment costs beside its bytes.
const SEGMENT: usize = size_of::<Waiting>();

/// Segments that wait, in the order of the capture; of both ends, for what comes behind one that waits may wait too.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    /// Its payload is beside it.
    segment: Segment<'static>,
    payload: Box<[u8]>,
}

impl Ahead {
    /// Keeps a segment.
    pub(super) fn keep(&mut self, segment: &Segment<'_>) {
        self.bytes += SEGMENT + segment.payload.len();
        self.waiting
            .push_back(Waiting { segment: Segment { payload: &[], ..*segment }, payload: segment.payload.into() });
    }

    /// Nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// All of them, without their bytes.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Segment<'static>> {
        self.waiting.iter().map(|waiting| &waiting.segment)
    }

    /// What the first one waits for is not late any more, but lost.
    pub(super) fn for_too_long(&self, now: Timestamp) -> bool {
        let since = self.waiting.front().map_or(now, |first| first.segment.at);
        now.since(since) >= LATE || self.waiting.len() >= PIECES
    }

    /// Gives one back.
    pub(super) fn take(&mut self, place: usize) -> Option<(Segment<'static>, Box<[u8]>)> {
        let taken = self.waiting.remove(place)?;
        self.bytes -= SEGMENT + taken.payload.len();
        Some((taken.segment, taken.payload))
    }

    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::Packet;
    use super::super::streams::tests::{CLIENT, HOST, Heard, segment, syn};
    use super::super::streams::{Event, Streams};
    use super::*;
    use std::net::SocketAddr;
    use std::time::Duration;

    const NEVER_CAME: [&str; 4] = ["0 syn", "0 client a", "0 host lacks 4", "0 client b"];

    fn taking<'a>(acknowledgment: u32, segment: Segment<'a>) -> Segment<'a> {
        Segment { ack: true, acknowledgment, ..segment }
    }

    fn told(rest: &[Segment<'_>]) -> Vec<String> {
        let opening = [syn(CLIENT, 10), taking(11, syn(HOST, 20)), taking(21, segment(CLIENT, 11, b""))];
        Heard::of(&[&opening, rest].concat()).1[2..].to_vec()
    }

    #[test]
    fn an_answer_that_was_recorded_first_is_told_behind_what_it_answers() {
        let (asked, answer) = (taking(21, segment(CLIENT, 11, b"ask")), taking(14, segment(HOST, 21, b"answer")));
        let fin = Segment { fin: true, ..taking(27, segment(CLIENT, 14, b"")) };
        let right = ["0 client ask", "0 host answer", "0 client fin"];
        assert_eq!(told(&[asked, answer, fin]), right);
        assert_eq!(told(&[answer, asked, fin]), right);
        assert_eq!(told(&[asked, fin, answer]), right);
        let rst = Segment { fin: false, rst: true, ..fin };
        assert_eq!(told(&[asked, rst, answer]), ["0 client ask", "0 host answer", "0 client rst"]);
        // The host's FIN is a place of its own.
        let farewell = Segment { fin: true, ..taking(14, segment(HOST, 27, b"")) };
        let fin = Segment { fin: true, ..taking(28, segment(CLIENT, 14, b"")) };
        let right = ["0 client ask", "0 host answer", "0 host fin", "0 client fin"];
        assert_eq!(told(&[asked, answer, fin, farewell]), right);
    }

    #[test]
    fn the_handshake_may_be_recorded_in_any_order() {
        let right = ["0 syn", "0 syn", "0 client a"];
        let (asks, agrees) = (syn(CLIENT, 10), taking(11, syn(HOST, 20)));
        let says = taking(21, segment(CLIENT, 11, b"a"));
        for order in [[asks, agrees, says], [agrees, asks, says], [asks, says, agrees], [agrees, says, asks]] {
            assert_eq!(Heard::of(&order).1, right);
        }
        let answers = taking(12, segment(HOST, 21, b"b"));
        assert_eq!(Heard::of(&[asks, says, answers]).1, ["0 syn", "0 client a", "0 host b"], "the SYN ACK is lost");
    }

    #[test]
    fn what_never_comes_is_a_gap_in_its_place() {
        let lacking = taking(25, segment(CLIENT, 12, b"b"));
        let begin = [syn(CLIENT, 10), taking(21, segment(CLIENT, 11, b"a")), lacking];
        // Of the host there is something, so that its silence is none.
        let all = [&[syn(CLIENT, 10), taking(11, syn(HOST, 20))], &begin[1..]].concat();
        assert_eq!(Heard::of(&all).1[1..], NEVER_CAME);
        let late = Timestamp(lacking.at.0 + 2_000_000_000);
        let after = Segment { at: late, ..taking(12, segment(HOST, 25, b"c")) };
        assert_eq!(Heard::of(&[&all[..], &[after]].concat()).1[4..], ["0 client b", "0 host c"]);
    }

    #[test]
    fn both_ends_never_wait_for_each_other() {
        // What the client has seen of the host was lost, and came a second time when the host had seen the client's answer.
        let answer = taking(23, segment(CLIENT, 11, b"answer"));
        let again = taking(17, segment(HOST, 21, b"ab"));
        assert_eq!(told(&[answer, again]), ["0 host ab", "0 client answer"]);
    }

    #[test]
    fn what_is_lost_is_told_in_its_place_between_all_that_came() {
        // The client has seen "bc" when it says "d", and the host that when it says "e"; "b" is lost.
        let all = [
            taking(22, segment(CLIENT, 11, b"a")),
            taking(12, segment(HOST, 22, b"c")),
            taking(23, segment(CLIENT, 12, b"d")),
            taking(13, segment(HOST, 23, b"e")),
            Segment { fin: true, ..taking(24, segment(CLIENT, 13, b"")) },
            Segment { fin: true, ..taking(14, segment(HOST, 24, b"")) },
        ];
        let right = ["host lacks 1", "client a", "host c", "client d", "host e", "client fin", "host fin"];
        assert_eq!(told(&all), right.map(|line| format!("0 {line}")));
    }

    #[test]
    fn what_came_late_is_not_told_as_lost_with_what_did_not_come() {
        // The client has seen "bc"; "b" is lost, and "c" is late.
        let all = [taking(23, segment(CLIENT, 11, b"a")), taking(11, segment(HOST, 22, b"c"))];
        assert_eq!(told(&all), ["0 host lacks 1", "0 host c", "0 client a"]);
    }

    #[test]
    fn a_connection_whose_reset_waits_is_over_in_time() {
        let lacking = taking(25, segment(CLIENT, 11, b"a"));
        let rst = Segment { rst: true, ..taking(25, segment(CLIENT, 12, b"")) };
        let at = Timestamp(rst.at.0 + 10_000_000_000);
        let elsewhere = Segment { at, to: SocketAddr::from(([127, 0, 0, 9], HOST)), ..syn(CLIENT, 1) };
        let mut streams = Streams::<()>::new(Duration::from_secs(2));
        let mut ended = Vec::new();
        for segment in [syn(CLIENT, 10), taking(11, syn(HOST, 20)), lacking, rst, elsewhere] {
            streams.packet(&Packet::Segment(segment), &mut |stream, (), _, event| {
                if let Event::Ended(_) = event {
                    ended.push(stream.number);
                }
            });
        }
        assert_eq!(ended, [0]);
    }

    #[test]
    fn segments_that_wait_are_bounded_and_given_back() {
        static PAYLOAD: [u8; 1_000] = [7; 1_000];
        let mut streams = Streams::<()>::new(Duration::from_secs(2));
        let (mut told, mut most) = (0, 0);
        let begin = [syn(CLIENT, 10), taking(11, syn(HOST, 20))];
        let rest = (0..500).map(|n| taking(1_000 + n, segment(CLIENT, 11 + 1_000 * n, &PAYLOAD)));
        for segment in begin.into_iter().chain(rest) {
            streams.packet(&Packet::Segment(segment), &mut |_, (), _, event| {
                if let Event::Data(_, bytes) = event {
                    told += bytes.len();
                }
            });
            most = most.max(streams.memory());
        }
        assert!((50_000..100_000).contains(&most), "{most}");
        assert!(told > 400_000, "what does not come is given up: {told}");
    }

    #[test]
    fn a_reset_far_from_the_connection_is_none_of_it() {
        let rst = |sequence| Segment { rst: true, ..segment(HOST, sequence, b"") };
        assert_eq!(told(&[rst(21 + (1 << 30))]), [""; 0]);
        assert_eq!(told(&[rst(21 + 90_000)]), ["0 host rst"], "what was before it may be lost");
    }

    #[test]
    fn a_clock_that_is_set_back_changes_no_order() {
        let at = |at, segment: Segment<'static>| Segment { at: Timestamp(at), ..segment };
        let ask = at(5_000_000_000, taking(21, segment(CLIENT, 11, b"ask")));
        let answer = at(3_000_000_000, taking(14, segment(HOST, 21, b"answer")));
        // The times are looked at where they are heard.
        assert_eq!(told(&[ask, answer]), ["0 client ask", "0 host answer"]);
    }
}
