//! Segments to connections: bytes in order, each delivered when it was complete on the wire, and closes as they were seen.

use super::capture::Segment;
use parser::Timestamp;
use parser::session::Peer;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

/// Most connections of one file; later ones are counted and passed over. More is not one case to be looked at.
const STREAMS: usize = 10_000;
/// Bytes of one direction that wait for a lost segment: the window of a fast connection.
const WAITING: usize = 1 << 20;
/// Bytes that wait in all directions together. A capture with losses everywhere is none that can be read anyway.
const WAITING_IN_ALL: usize = 64 << 20;
/// What keeping a piece costs beside its bytes.
const PIECE: usize = 64;

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The client's SYN.
    Syn,
    /// The host's SYN ACK.
    SynAck,
    /// Bytes that had not been delivered before.
    Data(Peer, Vec<u8>),
    /// FIN, once everything before it was delivered.
    Fin(Peer),
    /// RST.
    Rst(Peer),
}

/// One TCP connection, numbered as tshark does: from 0, in the order of first segments.
#[derive(Debug)]
pub struct Stream {
    /// Who opened it.
    pub client: SocketAddr,
    /// To whom.
    pub host: SocketAddr,
    /// When its first segment was captured.
    pub opened: Timestamp,
    directions: [Direction; 2],
    client_syn: Option<u32>,
    seen_syn: [bool; 2],
    seen_rst: [bool; 2],
    /// Closes that were seen while it was not known who the client is; at most one FIN and RST of each side. `None` once
    /// it is known.
    early: Option<Vec<(Timestamp, Event)>>,
}

#[derive(Debug, Default)]
struct Direction {
    /// Sequence number of the byte that comes next.
    next: Option<u32>,
    /// Bytes delivered. Never wraps, as sequence numbers do.
    delivered: i64,
    /// Out of order, by place: that of the first byte of the direction is 0.
    waiting: BTreeMap<i64, Vec<u8>>,
    /// Cost of `waiting`.
    held: usize,
    fin: Option<u32>,
    finished: bool,
}

/// All connections of a file.
#[derive(Debug, Default)]
pub struct Streams {
    streams: Vec<Stream>,
    /// The latest connection between two addresses.
    current: HashMap<(SocketAddr, SocketAddr), usize>,
    held: usize,
    passed_over: u64,
}

impl Streams {
    /// Takes the next segment of the file, and tells what comes of it: number of the stream, when, what.
    pub fn segment(&mut self, segment: &Segment<'_>, mut tell: impl FnMut(usize, Timestamp, Event)) {
        let key = if segment.from < segment.to { (segment.from, segment.to) } else { (segment.to, segment.from) };
        let opening = segment.syn && !segment.ack;
        let known = self.current.get(&key).copied();
        let same = |number: &usize| {
            !opening || self.streams.get(*number).is_some_and(|stream| stream.client_syn == Some(segment.sequence))
        };
        let number = match known.filter(same) {
            Some(number) => number,
            None if self.streams.len() < STREAMS => {
                self.streams.push(Stream::new(segment));
                self.current.insert(key, self.streams.len() - 1);
                self.streams.len() - 1
            }
            None => {
                // Its segments must not end up in the connection that had these addresses before.
                self.current.remove(&key);
                self.passed_over += 1;
                return;
            }
        };
        if let Some(stream) = self.streams.get_mut(number) {
            stream.segment(segment, &mut self.held, |at, event| tell(number, at, event));
        }
    }

    /// The file is at its end: tells what was held back.
    pub fn finish(&mut self, mut tell: impl FnMut(usize, Timestamp, Event)) {
        for (number, stream) in self.streams.iter_mut().enumerate() {
            for (at, event) in stream.early.take().unwrap_or_default() {
                tell(number, at, event);
            }
        }
    }

    /// The connections so far. Who is the client of one may change until its first byte.
    #[must_use]
    pub fn list(&self) -> &[Stream] {
        &self.streams
    }

    /// Segments of connections beyond the bound.
    #[must_use]
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }
}

impl Stream {
    /// No SYN on record: who sends the first payload is the client, and until then who sent the first segment.
    fn new(first: &Segment<'_>) -> Stream {
        let reply = first.syn && first.ack;
        let (client, host) = if reply { (first.to, first.from) } else { (first.from, first.to) };
        Stream {
            client,
            host,
            opened: first.at,
            directions: Default::default(),
            client_syn: (first.syn && !first.ack).then_some(first.sequence),
            seen_syn: [false; 2],
            seen_rst: [false; 2],
            early: (!first.syn).then(Vec::new),
        }
    }

    fn segment(&mut self, segment: &Segment<'_>, held: &mut usize, mut tell: impl FnMut(Timestamp, Event)) {
        if !segment.payload.is_empty()
            && let Some(early) = self.early.take()
        {
            self.settle(segment.from, early, &mut tell);
        }
        let peer = if segment.from == self.client { Peer::Client } else { Peer::Host };
        let mut tell = |early: &mut Option<Vec<_>>, event| match early {
            Some(early) => early.push((segment.at, event)),
            None => tell(segment.at, event),
        };
        let direction = &mut self.directions[peer as usize];
        if segment.syn {
            direction.next.get_or_insert(segment.sequence.wrapping_add(1));
            if !std::mem::replace(&mut self.seen_syn[usize::from(segment.ack)], true) {
                tell(&mut self.early, if segment.ack { Event::SynAck } else { Event::Syn });
            }
        }
        let start = segment.sequence.wrapping_add(u32::from(segment.syn));
        if !segment.payload.is_empty()
            && let Some(bytes) = direction.take(start, segment.payload, held)
        {
            tell(&mut self.early, Event::Data(peer, bytes));
        }
        if segment.fin {
            direction.fin.get_or_insert(start.wrapping_add(segment.payload.len() as u32));
        }
        if !direction.finished && direction.fin.is_some_and(|end| direction.next.is_none_or(|next| next == end)) {
            direction.finished = true;
            tell(&mut self.early, Event::Fin(peer));
        }
        if segment.rst && !std::mem::replace(&mut self.seen_rst[peer as usize], true) {
            tell(&mut self.early, Event::Rst(peer));
        }
    }

    /// The first payload says who the client is.
    fn settle(&mut self, client: SocketAddr, early: Vec<(Timestamp, Event)>, tell: &mut impl FnMut(Timestamp, Event)) {
        let turned = client != self.client;
        if turned {
            std::mem::swap(&mut self.client, &mut self.host);
            self.directions.swap(0, 1);
            self.seen_rst.swap(0, 1);
        }
        let other = |peer| match (turned, peer) {
            (true, Peer::Client) => Peer::Host,
            (true, Peer::Host) => Peer::Client,
            (false, peer) => peer,
        };
        for (at, event) in early {
            tell(
                at,
                match event {
                    Event::Fin(by) => Event::Fin(other(by)),
                    Event::Rst(by) => Event::Rst(other(by)),
                    event => event,
                },
            );
        }
    }
}

impl Direction {
    /// What can be delivered now that these bytes are here.
    fn take(&mut self, start: u32, payload: &[u8], held: &mut usize) -> Option<Vec<u8>> {
        let next = *self.next.get_or_insert(start);
        // At most 2 GiB ahead or behind. RFC 9293 3.4
        let place = self.delivered + i64::from(start.wrapping_sub(next).cast_signed());
        let mut bytes = Vec::new();
        if place > self.delivered {
            self.keep(place, payload, held);
            return None;
        }
        self.deliver(place, payload, &mut bytes);
        while let Some(first) = self.waiting.first_entry().filter(|first| *first.key() <= self.delivered) {
            let (place, piece) = first.remove_entry();
            let cost = piece.len() + PIECE;
            self.held = self.held.saturating_sub(cost);
            *held = held.saturating_sub(cost);
            self.deliver(place, &piece, &mut bytes);
        }
        (!bytes.is_empty()).then_some(bytes)
    }

    /// Appends what is new of a piece that begins at or before what comes next.
    fn deliver(&mut self, place: i64, piece: &[u8], bytes: &mut Vec<u8>) {
        let old = usize::try_from(self.delivered - place).unwrap_or(usize::MAX);
        let Some(new) = piece.get(old..) else { return };
        bytes.extend_from_slice(new);
        self.delivered += new.len() as i64;
        self.next = self.next.map(|next| next.wrapping_add(new.len() as u32));
    }

    /// Keeps what came too early, the longer of two pieces of one place. Without room it is a gap like any other.
    fn keep(&mut self, place: i64, payload: &[u8], held: &mut usize) {
        let before = self.waiting.get(&place).map_or(0, |piece| piece.len() + PIECE);
        let cost = payload.len() + PIECE;
        let room = self.held - before + cost <= WAITING && *held - before + cost <= WAITING_IN_ALL;
        if cost > before && room {
            self.waiting.insert(place, payload.to_vec());
            self.held += cost - before;
            *held += cost - before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: u16 = 50_000;
    const HOST: u16 = 3_389;

    fn segment(from: u16, sequence: u32, payload: &[u8]) -> Segment<'_> {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let to = if from == HOST { CLIENT } else { HOST };
        Segment {
            at: Timestamp(1),
            from: address(from),
            to: address(to),
            sequence,
            syn: false,
            ack: true,
            fin: false,
            rst: false,
            payload,
        }
    }

    fn told(segments: &[Segment<'_>]) -> (Streams, Vec<(usize, Event)>) {
        let mut streams = Streams::default();
        let mut events = Vec::new();
        for segment in segments {
            streams.segment(segment, |number, _, event| events.push((number, event)));
        }
        streams.finish(|number, _, event| events.push((number, event)));
        (streams, events)
    }

    fn data(bytes: &[u8]) -> (usize, Event) {
        (0, Event::Data(Peer::Client, bytes.to_vec()))
    }

    #[test]
    fn bytes_come_in_order_once_across_the_end_of_the_sequence_numbers() {
        let (_, events) = told(&[
            segment(CLIENT, u32::MAX - 1, b"ab"),
            segment(CLIENT, 2, b"ef"),
            segment(CLIENT, u32::MAX, b"bcd"),
            segment(CLIENT, 0, b"cdef"),
        ]);
        assert_eq!(events, [data(b"ab"), data(b"cdef")]);
    }

    #[test]
    fn without_a_syn_the_first_payload_tells_who_the_client_is() {
        let fin = Segment { fin: true, ..segment(HOST, 7, b"") };
        let (streams, events) = told(&[fin, segment(CLIENT, 9, b"x")]);
        assert_eq!(streams.list()[0].client.port(), CLIENT);
        assert_eq!(events, [(0, Event::Fin(Peer::Host)), data(b"x")]);
        let (streams, events) = told(&[fin]);
        assert_eq!((streams.list()[0].client.port(), events), (HOST, vec![(0, Event::Fin(Peer::Client))]));
    }

    #[test]
    fn what_waits_for_a_lost_segment_is_bounded_and_given_back() {
        let payload = [7; 1_000];
        let mut streams = Streams::default();
        let mut delivered = 0;
        let mut tell = |_, _, event| {
            if let Event::Data(_, bytes) = event {
                delivered += bytes.len();
            }
        };
        streams.segment(&segment(CLIENT, 0, b"a"), &mut tell);
        for n in 0..5_000 {
            streams.segment(&segment(CLIENT, 2 + n * 1_000, &payload), &mut tell);
        }
        assert!(streams.held <= WAITING && streams.held > WAITING / 2, "{}", streams.held);
        streams.segment(&segment(CLIENT, 1, b"b"), &mut tell);
        assert_eq!(streams.held, 0);
        assert!(delivered > WAITING / 2 && delivered <= WAITING, "{delivered}");
    }

    #[test]
    fn connections_beyond_the_bound_are_counted_and_kept_out_of_others() {
        let mut streams = Streams::default();
        for n in 0..=STREAMS as u32 + 4 {
            let syn = Segment { syn: true, ack: false, ..segment(CLIENT, n, b"") };
            streams.segment(&syn, |_, _, _| {});
        }
        assert_eq!((streams.list().len(), streams.passed_over()), (STREAMS, 5));
        streams.segment(&segment(CLIENT, 1, b"late"), |_, _, event| panic!("{event:?}"));
    }
}
