//! Segments to connections: bytes in order, each delivered when it was complete on the wire, and closes as they were seen.

use crate::capture::Segment;
use parser::Timestamp;
use parser::session::Peer;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
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

/// One TCP connection, numbered as tshark does.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) client: SocketAddr,
    pub(crate) host: SocketAddr,
    pub(crate) opened: Timestamp,
    pub(crate) events: Vec<(Timestamp, Event)>,
    directions: [Direction; 2],
    client_syn: Option<u32>,
}

#[derive(Clone, Debug, Default)]
struct Direction {
    next: Option<u32>,
    /// Out of order, by distance ahead of `next` at arrival; kept by absolute sequence number.
    waiting: BTreeMap<u32, Vec<u8>>,
    fin: Option<(u32, Timestamp)>,
    finished: bool,
}

/// All connections, in the order of their first segment.
pub(crate) fn streams(segments: &[Segment]) -> Vec<Stream> {
    let mut streams: Vec<Stream> = Vec::new();
    let mut current: HashMap<(SocketAddr, SocketAddr), usize> = HashMap::new();
    for segment in segments {
        let key = if segment.from < segment.to { (segment.from, segment.to) } else { (segment.to, segment.from) };
        let opening = segment.syn && !segment.ack;
        let known = current.get(&key).copied();
        let again = opening && known.is_some_and(|n| streams[n].client_syn != Some(segment.sequence));
        let index = match known {
            Some(index) if !again => index,
            _ => {
                streams.push(Stream::new(segment, segments));
                current.insert(key, streams.len() - 1);
                streams.len() - 1
            }
        };
        streams[index].segment(segment);
    }
    streams
}

impl Stream {
    fn new(first: &Segment, all: &[Segment]) -> Stream {
        let reply_first = first.syn && first.ack || !first.syn && begins_in_the_middle(first, all);
        let (client, host) = if reply_first { (first.to, first.from) } else { (first.from, first.to) };
        Stream {
            client,
            host,
            opened: first.at,
            events: Vec::new(),
            directions: Default::default(),
            client_syn: (first.syn && !first.ack).then_some(first.sequence),
        }
    }

    fn segment(&mut self, segment: &Segment) {
        let peer = if segment.from == self.client { Peer::Client } else { Peer::Host };
        let direction = &mut self.directions[peer as usize];
        if segment.syn {
            direction.next.get_or_insert(segment.sequence.wrapping_add(1));
            let event = if segment.ack { Event::SynAck } else { Event::Syn };
            if !self.events.iter().any(|(_, e)| *e == event) {
                self.events.push((segment.at, event));
            }
        }
        let start = segment.sequence.wrapping_add(u32::from(segment.syn));
        if !segment.payload.is_empty() {
            direction.next.get_or_insert(start);
            direction
                .waiting
                .entry(start)
                .and_modify(|held| {
                    if held.len() < segment.payload.len() {
                        held.clone_from(&segment.payload);
                    }
                })
                .or_insert_with(|| segment.payload.clone());
            if let Some(bytes) = direction.deliver() {
                self.events.push((segment.at, Event::Data(peer, bytes)));
            }
        }
        if segment.fin {
            let end = start.wrapping_add(u32::try_from(segment.payload.len()).unwrap());
            direction.fin.get_or_insert((end, segment.at));
        }
        if direction.fin.is_some_and(|(end, _)| direction.next.is_none_or(|next| next == end)) && !direction.finished {
            direction.finished = true;
            self.events.push((segment.at, Event::Fin(peer)));
        }
        if segment.rst && !self.events.iter().any(|(_, e)| *e == Event::Rst(peer)) {
            self.events.push((segment.at, Event::Rst(peer)));
        }
    }
}

impl Direction {
    fn deliver(&mut self) -> Option<Vec<u8>> {
        let mut next = self.next?;
        let mut bytes = Vec::new();
        loop {
            let ready = self.waiting.keys().copied().find(|start| next.wrapping_sub(*start) < 1 << 31);
            let Some(start) = ready else { break };
            let held = self.waiting.remove(&start).unwrap();
            let old = next.wrapping_sub(start) as usize;
            if let Some(new) = held.get(old..) {
                bytes.extend_from_slice(new);
                next = next.wrapping_add(u32::try_from(new.len()).unwrap());
            }
        }
        self.next = Some(next);
        (!bytes.is_empty()).then_some(bytes)
    }
}

/// No SYN on record: who sends the first payload is the client, unless ports or bytes say otherwise.
fn begins_in_the_middle(first: &Segment, all: &[Segment]) -> bool {
    let same = |s: &&Segment| {
        !s.payload.is_empty() && (s.from == first.from && s.to == first.to || s.from == first.to && s.to == first.from)
    };
    all.iter().find(same).is_some_and(|payload| payload.from != first.from)
}
