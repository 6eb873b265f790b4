//! One connection of a capture: its segments to bytes in order, and to closes as they were seen.

use super::direction::{Direction, Held, LATE, Piece};
use super::observed::Observed;
use super::packet::Segment;
use super::path::PathReport;
use super::streams::{Event, Key, State, Stream};
use parser::Timestamp;
use parser::session::Peer;
use std::net::SocketAddr;
use std::time::Duration;

/// What one costs beside its own bytes: places in tables, and what an allocator adds.
const PLACES: usize = 512;
/// A SYN that was not answered, or a close that the other side did not answer, for so long will not be: systems send
/// their last SYN after 63 s, and forget a half-closed connection after 60.
const UNANSWERED: Duration = Duration::from_secs(120);
/// A connection that was silent for so long is over, whatever keeps its ends from saying so.
const SILENT: Duration = Duration::from_secs(24 * 3_600);

/// One connection, with the listener's state of it.
#[derive(Debug)]
pub(super) struct Flow<S> {
    pub(super) stream: Stream,
    pub(super) key: Key,
    directions: [Direction; 2],
    observed: Observed,
    /// Sequence number of the client's SYN.
    pub(super) client_syn: Option<u32>,
    seen_syn: [bool; 2],
    seen_fin: [bool; 2],
    seen_rst: [bool; 2],
    /// When the RST of each side was told, and where that side's bytes were then.
    resets: [Option<(Timestamp, i64)>; 2],
    /// Closes that were seen while it was not known who the client is; at most one FIN and RST of each side. `None` once
    /// it is known.
    early: Option<Vec<(Timestamp, Early)>>,
    /// When it is looked at next.
    pub(super) due: Timestamp,
    /// Bytes that it was counted with.
    pub(super) memory: usize,
    state: S,
}

#[derive(Clone, Copy, Debug)]
enum Early {
    Fin(Peer),
    Rst(Peer),
}

impl<S: State> Flow<S> {
    /// No SYN on record: who sends the first payload is the client, and until then who sent the first segment.
    pub(super) fn new(number: u64, key: Key, first: &Segment<'_>) -> Flow<S> {
        let reply = first.syn && first.ack;
        let (client, host) = if reply { (first.to, first.from) } else { (first.from, first.to) };
        Flow {
            stream: Stream { number, client, host, opened: first.at, last: first.at },
            key,
            directions: Default::default(),
            observed: Observed::default(),
            client_syn: (first.syn && !first.ack).then_some(first.sequence),
            seen_syn: [false; 2],
            seen_fin: [false; 2],
            seen_rst: [false; 2],
            resets: [None; 2],
            early: (!first.syn).then(Vec::new),
            due: Timestamp(u64::MAX),
            memory: 0,
            state: S::default(),
        }
    }

    /// Bytes that it takes now.
    pub(super) fn memory(&self) -> usize {
        let held: usize = self.directions.iter().map(Direction::held).sum();
        size_of::<Flow<S>>() + PLACES + held + self.state.memory()
    }
}

impl<S> Flow<S> {
    fn peer(&self, from: SocketAddr) -> Peer {
        if from == self.stream.client { Peer::Client } else { Peer::Host }
    }

    /// Both sides have closed, or one of them by force.
    fn is_over(&self) -> bool {
        self.seen_rst.contains(&true) || self.seen_fin == [true; 2]
    }

    /// Notes an ICMP error about one of its segments.
    pub(super) fn report(&mut self, report: &PathReport) {
        let about = self.peer(report.from);
        self.observed.report(report, about);
    }

    /// When it is to be let go, if nothing more is heard of it.
    pub(super) fn due(&self, linger: Duration) -> Timestamp {
        let unanswered = self.seen_syn == [true, false] && self.directions[1].delivered == 0;
        let patience = match () {
            () if self.is_over() => linger,
            () if unanswered || self.seen_fin.contains(&true) => UNANSWERED,
            () => SILENT,
        };
        self.stream.last.plus(patience)
    }

    /// Takes its next segment, and tells what comes of it.
    pub(super) fn segment(
        &mut self,
        segment: &Segment<'_>,
        held: &mut Held,
        tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>),
    ) {
        if !segment.payload.is_empty() && self.early.is_some() {
            self.settle(segment.from, tell);
        }
        let peer = self.peer(segment.from);
        let at = segment.at;
        self.stream.last = self.stream.last.max(at);
        if segment.syn {
            self.directions[peer as usize].begins_after(segment.sequence);
        }
        let again = self.observed.segment(segment, peer, &self.directions);
        if segment.syn && !std::mem::replace(&mut self.seen_syn[usize::from(segment.ack)], true) {
            let event = if segment.ack { Event::SynAck } else { Event::Syn };
            tell(&self.stream, &mut self.state, at, event);
        }
        if again {
            return;
        }
        let Flow { stream, directions, state, .. } = self;
        let start = segment.sequence.wrapping_add(u32::from(segment.syn));
        if !segment.payload.is_empty() || segment.cut > 0 {
            directions[peer as usize].take(start, segment.payload, segment.cut, held, &mut |piece| {
                tell(stream, state, at, event(peer, piece));
            });
        }
        if segment.ack && !segment.rst {
            let other = peer.other();
            directions[other as usize].acknowledge(segment.acknowledgment, at, held, &mut |piece| {
                tell(stream, state, at, event(other, piece));
            });
            self.goes_on(other, at, tell);
        }
        if segment.fin {
            let end = start.wrapping_add(segment.payload.len() as u32 + segment.cut);
            self.seen_fin[peer as usize] |= self.directions[peer as usize].fin(end);
        }
        for peer in [peer, peer.other()] {
            self.finished(peer, at, tell);
        }
        if segment.rst && !std::mem::replace(&mut self.seen_rst[peer as usize], true) {
            self.close_gaps(at, held, tell);
            self.resets[peer as usize] = Some((at, self.directions[peer as usize].delivered));
            match &mut self.early {
                Some(early) => early.push((at, Early::Rst(peer))),
                None => tell(&self.stream, &mut self.state, at, Event::Rst(peer)),
            }
        }
    }

    /// A reset of `peer` did nothing if the other end takes new bytes of it long after: that end never got it, or saw that it
    /// was none of this connection. RFC 5961 3
    fn goes_on(&mut self, peer: Peer, now: Timestamp, tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>)) {
        let Some((at, before)) = self.resets[peer as usize] else { return };
        let direction = &self.directions[peer as usize];
        if now.since(at) < LATE || direction.delivered.min(direction.acknowledged()) <= before {
            return;
        }
        self.resets[peer as usize] = None;
        self.seen_rst[peer as usize] = false;
        self.observed.forget_reset(peer);
        match &mut self.early {
            Some(early) => early.retain(|(_, what)| !matches!(what, Early::Rst(by) if *by == peer)),
            None => tell(&self.stream, &mut self.state, now, Event::WentOn(peer)),
        }
    }

    fn finished(&mut self, peer: Peer, at: Timestamp, tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>)) {
        if self.directions[peer as usize].finishes() {
            match &mut self.early {
                Some(early) => early.push((at, Early::Fin(peer))),
                None => tell(&self.stream, &mut self.state, at, Event::Fin(peer)),
            }
        }
    }

    fn close_gaps(
        &mut self,
        at: Timestamp,
        held: &mut Held,
        tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>),
    ) {
        for peer in [Peer::Client, Peer::Host] {
            let Flow { stream, directions, state, .. } = self;
            directions[peer as usize].close_gaps(held, &mut |piece| tell(stream, state, at, event(peer, piece)));
            self.finished(peer, at, tell);
        }
    }

    /// It is over, or not followed any more: tells what is left of it.
    pub(super) fn end(&mut self, held: &mut Held, tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>)) {
        let last = self.stream.last;
        self.close_gaps(last, held, tell);
        self.settle(self.stream.client, tell);
        let facts = self.observed.facts(&self.directions);
        tell(&self.stream, &mut self.state, last, Event::Ended(Box::new(facts)));
        self.directions.iter_mut().for_each(|direction| direction.free(held));
    }

    /// It is known who the client is: tells the closes that waited for it.
    fn settle(&mut self, client: SocketAddr, tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>)) {
        let Some(early) = self.early.take() else { return };
        let turned = client != self.stream.client;
        if turned {
            std::mem::swap(&mut self.stream.client, &mut self.stream.host);
            self.directions.swap(0, 1);
            self.seen_fin.swap(0, 1);
            self.seen_rst.swap(0, 1);
            self.resets.swap(0, 1);
            self.observed.turn();
        }
        let now = |peer: Peer| if turned { peer.other() } else { peer };
        for (at, early) in early {
            let event = match early {
                Early::Fin(by) => Event::Fin(now(by)),
                Early::Rst(by) => Event::Rst(now(by)),
            };
            tell(&self.stream, &mut self.state, at, event);
        }
    }
}

fn event(peer: Peer, piece: Piece<'_>) -> Event<'_> {
    match piece {
        Piece::Data(bytes) => Event::Data(peer, bytes),
        Piece::Missing(count) => Event::Missing(peer, count),
        Piece::Unseen => Event::Unseen(peer),
    }
}
