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
pub(super) mod tests;
