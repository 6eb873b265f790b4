//! Segments to connections: bytes in order, each given when it was complete on the wire, and closes as they were seen.
//!
//! A connection is let go when it is over, so memory does not grow with the file: all that are followed at once share
//! `MEMORY`, and of `REMEMBERED` past ones it is known that their late segments are nothing new.

use super::direction::Held;
use super::flow::Flow;
use super::packet::{Packet, Segment};
use super::path::PathReport;
use parser::Timestamp;
use parser::session::{PacketFacts, Peer};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Bytes that the connections which are followed at once may take: what waits of them to be put in order, what they began
/// with, and what their trackers hold. Past it the one that would be let go next by its time is let go now. One costs from
/// four to eighty kilobytes, so that some thousands are followed whatever they hold.
const MEMORY: usize = 80 << 20;
/// Entries of the heap of times that may be of connections that are over, beside two for each that is followed.
const STALE: usize = 4_096;
/// Connections that are over and whose addresses are remembered.
const REMEMBERED: usize = 65_536;

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The client's SYN.
    Syn,
    /// The host's SYN ACK.
    SynAck,
    /// Bytes that had not been given before.
    Data(Peer, &'a [u8]),
    /// So many bytes were sent that the capture does not hold.
    Missing(Peer, u64),
    /// Bytes were sent, and the capture holds nothing of this direction.
    Unseen(Peer),
    /// FIN, once everything before it was given.
    Fin(Peer),
    /// RST.
    Rst(Peer),
    /// The RST of this peer that was told did nothing: the other one went on taking its bytes.
    WentOn(Peer),
    /// It is over, or the capture is: what packets showed beside their bytes. Nothing comes after it.
    Ended(Box<PacketFacts>),
}

/// One TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// From 0, in the order of first segments, as tshark numbers them.
    pub number: u64,
    /// Who opened it. Until the first byte, that may turn out to be the other one.
    pub client: SocketAddr,
    /// To whom.
    pub host: SocketAddr,
    /// When its first segment was captured.
    pub opened: Timestamp,
    /// When its last one was.
    pub last: Timestamp,
}

/// What the listener keeps of a connection.
pub trait State: Default {
    /// Bytes that it takes.
    fn memory(&self) -> usize;
}

impl State for () {
    fn memory(&self) -> usize {
        0
    }
}

/// All connections of a capture, each with a state of its own that the listener keeps.
#[derive(Debug)]
pub struct Streams<S> {
    flows: Vec<Option<Box<Flow<S>>>>,
    free: Vec<u32>,
    live: HashMap<Key, u32>,
    /// The connection of the segment before: often that of the next one too.
    latest: Option<(Key, u32)>,
    past: HashMap<Key, Past>,
    oldest: VecDeque<(Key, u64)>,
    /// When a connection is to be looked at, and which (slot, number). What was due may have been put off since.
    due: BinaryHeap<Reverse<(Timestamp, u32, u64)>>,
    held: Held,
    /// Bytes that all of `flows` take.
    memory: usize,
    count: u64,
    linger: Duration,
    /// How late it is by the clock of the capture.
    now: Timestamp,
}

/// Both ends, the smaller one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 36]);

#[derive(Clone, Copy, Debug)]
struct Past {
    number: u64,
    syn: Option<u32>,
}

impl<S: State> Streams<S> {
    /// None yet. A connection that is over is kept for `linger` in case of late segments: retransmissions, the reset that
    /// follows a FIN, the sender that goes on because the reset was not its own.
    #[must_use]
    pub fn new(linger: Duration) -> Streams<S> {
        Streams {
            flows: Vec::new(),
            free: Vec::new(),
            live: HashMap::new(),
            latest: None,
            past: HashMap::new(),
            oldest: VecDeque::new(),
            due: BinaryHeap::new(),
            held: Held::default(),
            memory: 0,
            count: 0,
            linger,
            now: Timestamp(0),
        }
    }

    /// Takes the next packet of the capture, and tells what comes of it.
    pub fn packet(&mut self, packet: &Packet<'_>, tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>)) {
        match packet {
            Packet::Segment(segment) => self.segment(segment, tell),
            Packet::Path(report) => self.report(report),
        }
    }

    fn segment(&mut self, segment: &Segment<'_>, tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>)) {
        self.pass_time(segment.at, tell);
        let key = Key::of(segment.from, segment.to);
        let slot = match self.latest {
            Some((latest, slot)) if latest == key => Some(slot),
            _ => self.live.get(&key).copied(),
        };
        let opening = segment.syn && !segment.ack;
        let another = |syn: Option<u32>| opening && syn != Some(segment.sequence);
        let flow = slot.and_then(|slot| self.flows.get(slot as usize)?.as_deref());
        let slot = match (slot, flow) {
            (Some(slot), Some(flow)) if !another(flow.client_syn) => slot,
            (Some(slot), _) => {
                self.end(slot, tell);
                self.open(segment, key)
            }
            (None, _) => match self.past.get(&key) {
                // A late segment of a connection that was told already.
                Some(past) if !another(past.syn) => return,
                _ => self.open(segment, key),
            },
        };
        self.latest = Some((key, slot));
        let Some(flow) = self.flows.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        flow.segment(segment, &mut self.held, tell);
        let due = flow.due(self.linger);
        if due < flow.due {
            flow.due = due;
            self.due.push(Reverse((due, slot, flow.stream.number)));
        }
        let memory = flow.memory();
        self.memory = self.memory - std::mem::replace(&mut flow.memory, memory) + memory;
        while self.memory > MEMORY && self.make_room(tell) {}
    }

    fn report(&mut self, report: &PathReport) {
        let key = Key::of(report.from, report.to);
        let slot = self.live.get(&key).copied();
        let Some(flow) = slot.and_then(|slot| self.flows.get_mut(slot as usize)?.as_mut()) else { return };
        flow.report(report);
    }

    /// It is this late by the clock of the capture: connections that have been over for long enough are let go.
    pub fn pass_time(&mut self, now: Timestamp, tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>)) {
        self.now = self.now.max(now);
        while let Some(&Reverse((due, slot, number))) = self.due.peek() {
            if due > now {
                return;
            }
            self.due.pop();
            self.look_at(slot, number, now, tell);
        }
    }

    /// Ends a connection whose time has come, or puts it off.
    fn look_at(
        &mut self,
        slot: u32,
        number: u64,
        now: Timestamp,
        tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>),
    ) {
        let flow = self.flows.get_mut(slot as usize).and_then(Option::as_mut);
        let Some(flow) = flow.filter(|flow| flow.stream.number == number) else { return };
        flow.due = flow.due(self.linger);
        match flow.due {
            due if due > now => self.due.push(Reverse((due, slot, number))),
            _ => self.end(slot, tell),
        }
    }

    /// The capture is at its end: all connections are told as they stand, in the order in which they fell silent.
    pub fn finish(&mut self, tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>)) {
        let live = self.flows.iter().zip(0..);
        let mut left: Vec<(Timestamp, u64, u32)> = live
            .filter_map(|(flow, slot)| flow.as_ref().map(|flow| (flow.stream.last, flow.stream.number, slot)))
            .collect();
        left.sort_unstable();
        for (_, _, slot) in left {
            self.end(slot, tell);
        }
    }

    /// Bytes that all connections take which are followed now.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Connections so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    fn open(&mut self, first: &Segment<'_>, key: Key) -> u32 {
        if self.due.len() > 2 * self.live.len() + STALE {
            // Of connections that have ended meanwhile; time may stand still in a capture.
            self.due.retain(|Reverse((due, slot, number))| {
                let flow = self.flows.get(*slot as usize).and_then(Option::as_deref);
                flow.is_some_and(|flow| flow.stream.number == *number && flow.due == *due)
            });
        }
        let flow = Box::new(Flow::new(self.count, key, first));
        self.count += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.flows[slot as usize] = Some(flow);
                slot
            }
            None => {
                self.flows.push(Some(flow));
                u32::try_from(self.flows.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.live.insert(key, slot);
        slot
    }

    /// Lets go of a connection: the one that would be next by its time, which is one that is over, or else the one that was
    /// silent for the longest. False when there is none.
    fn make_room(&mut self, tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>)) -> bool {
        while let Some(Reverse((due, slot, number))) = self.due.pop() {
            let flow = self.flows.get_mut(slot as usize).and_then(Option::as_mut);
            let Some(flow) = flow.filter(|flow| flow.stream.number == number) else { continue };
            flow.due = flow.due(self.linger);
            match flow.due {
                later if later > due => self.due.push(Reverse((later, slot, number))),
                _ => {
                    self.end(slot, tell);
                    return true;
                }
            }
        }
        false
    }

    fn end(&mut self, slot: u32, tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>)) {
        let Some(mut flow) = self.flows.get_mut(slot as usize).and_then(Option::take) else { return };
        self.free.push(slot);
        self.memory -= flow.memory;
        self.live.remove(&flow.key);
        self.latest = None;
        flow.end(self.now, &mut self.held, tell);
        let past = Past { number: flow.stream.number, syn: flow.client_syn };
        self.past.insert(flow.key, past);
        self.oldest.push_back((flow.key, past.number));
        if self.oldest.len() > REMEMBERED
            && let Some((key, number)) = self.oldest.pop_front()
            && self.past.get(&key).is_some_and(|past| past.number == number)
        {
            self.past.remove(&key);
        }
    }
}

impl Key {
    fn of(one: SocketAddr, other: SocketAddr) -> Key {
        let end = |address: SocketAddr| {
            let mut end = [0; 18];
            let ip = match address.ip() {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            end[..16].copy_from_slice(&ip.octets());
            end[16..].copy_from_slice(&address.port().to_be_bytes());
            end
        };
        let (one, other) = (end(one), end(other));
        let (first, second) = if one <= other { (one, other) } else { (other, one) };
        let mut key = [0; 36];
        key[..18].copy_from_slice(&first);
        key[18..].copy_from_slice(&second);
        Key(key)
    }
}

#[cfg(test)]
pub(super) mod tests {
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
        let later =
            |seconds: u64, segment: Segment<'static>| Segment { at: Timestamp(seconds * SECOND + 10), ..segment };
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
}
