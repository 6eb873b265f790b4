//! One connection of a capture: its segments to bytes in order, and to closes as they were seen.

use super::ahead::Ahead;
use super::direction::{Direction, Held, LATE, Piece};
use super::observed::Observed;
use super::packet::Segment;
use super::path::PathReport;
use super::streams::{Event, Key, State, Stream};
use parser::Timestamp;
use parser::session::Peer;
use std::net::SocketAddr;
use std::time::Duration;

/// [MS-RDPBCGR] 1.9
const RDP: u16 = 3_389;
/// From here on Linux gives ports to clients; others begin at 49152. RFC 6335 6
const EPHEMERAL: u16 = 32_768;
/// What one costs beside its own bytes: places in tables, and what an allocator adds.
const PLACES: usize = 512;
/// A SYN that was not answered, or a close that the other side did not answer, for so long will not be: systems send
/// their last SYN after 63 s, and forget a half-closed connection after 60.
const UNANSWERED: Duration = Duration::from_secs(120);
/// A connection that was silent for so long is over, whatever keeps its ends from saying so.
const SILENT: Duration = Duration::from_secs(24 * 3_600);

/// A reset that is farther than this from what its sender sent last, in bytes, is none: larger windows are not in use.
const FAR: u64 = 16 << 20;

/// One connection, with the listener's state of it.
#[derive(Debug)]
pub(super) struct Flow<S> {
    pub(super) stream: Stream,
    pub(super) key: Key,
    directions: [Direction; 2],
    /// What waits for bytes of the other side.
    ahead: Ahead,
    /// When what was told last happened, and who did it.
    told: (Timestamp, Peer),
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
    /// No SYN on record: the first payload tells who the client is, and until then it is who sent the first segment.
    pub(super) fn new(number: u64, key: Key, first: &Segment<'_>) -> Flow<S> {
        let refusal = first.rst && first.ack && likely_client(first) == first.to;
        let reply = first.syn && first.ack || refusal;
        let (client, host) = if reply { (first.to, first.from) } else { (first.from, first.to) };
        Flow {
            stream: Stream { number, client, host, opened: first.at, last: first.at },
            key,
            directions: Default::default(),
            ahead: Ahead::default(),
            told: (Timestamp(0), Peer::Client),
            observed: Observed::default(),
            // What answers a SYN says which one.
            client_syn: match reply {
                true => Some(first.acknowledgment.wrapping_sub(1)),
                false => first.syn.then_some(first.sequence),
            },
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
        size_of::<Flow<S>>() + PLACES + held + self.ahead.memory() + self.state.memory()
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
        let waits = |what: fn(&Segment<'_>) -> bool| self.ahead.iter().any(|segment| what(segment));
        let patience = match () {
            () if self.is_over() || waits(|segment| segment.rst) => linger,
            () if unanswered || self.seen_fin.contains(&true) || waits(|segment| segment.fin) => UNANSWERED,
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
        self.stream.last = self.stream.last.max(segment.at);
        if !segment.syn && !segment.rst && self.seen_syn == [true, false] && self.peer(segment.from) == Peer::Host {
            // Its SYN ACK is lost: nothing waits for that any more.
            self.seen_syn[1] = true;
        }
        self.let_go(segment.at, held, tell);
        match self.waits(segment) {
            true => self.ahead.keep(segment),
            false => self.take(segment, held, tell),
        }
        self.let_go(segment.at, held, tell);
    }

    /// It comes after something that has not come, or that waits itself.
    fn waits(&self, segment: &Segment<'_>) -> bool {
        let Some(first) = self.ahead.iter().next() else { return self.is_ahead(segment) };
        let own = &self.directions[self.peer(segment.from) as usize];
        // What fills a gap of the other end is what the first one waits for, whatever it acknowledges when it is sent again.
        let fills =
            !segment.payload.is_empty() && own.place(segment.sequence).is_none_or(|place| place <= own.delivered);
        segment.rst || self.is_ahead(segment) && !(fills && first.from != segment.from)
    }

    /// Takes what does not need to wait any more, and what has waited for long enough.
    fn let_go(
        &mut self,
        now: Timestamp,
        held: &mut Held,
        tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>),
    ) {
        while !self.ahead.is_empty() {
            if let Some(place) = self.ready() {
                self.take_waiting(place, held, tell);
                continue;
            }
            let torn = self.directions.iter().any(Direction::is_torn);
            if !torn && !self.ahead.for_too_long(now) {
                return;
            }
            self.give_up_waiting(held, tell);
        }
    }

    /// The first one that waits for nothing any more. A reset stays behind all others.
    fn ready(&self) -> Option<usize> {
        let may_go = |(place, segment): (usize, &Segment<'_>)| !self.is_ahead(segment) && (place == 0 || !segment.rst);
        self.ahead.iter().enumerate().position(may_go)
    }

    /// What it comes after has not come yet.
    fn is_ahead(&self, segment: &Segment<'_>) -> bool {
        let peer = self.peer(segment.from);
        let (own, others) = (&self.directions[peer as usize], &self.directions[peer.other() as usize]);
        let unanswered = self.seen_syn == [true, false] && peer == Peer::Client && !others.has_begun();
        let refusal = segment.rst && self.seen_syn == [false, false] && self.client_syn.is_some();
        segment.ack && (unanswered || refusal || others.lacks(segment.acknowledgment))
            || segment.rst && own.lacks(segment.sequence)
    }

    /// What the first segment acknowledges and has not come is a gap. If there is none, the segment has waited for long enough.
    fn give_up_waiting(&mut self, held: &mut Held, tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>)) {
        let Some(&first) = self.ahead.iter().next() else { return };
        let (at, others) = (first.at.max(self.told.0), self.peer(first.from).other());
        if first.ack && self.directions[others as usize].lacks(first.acknowledgment) {
            let Flow { stream, directions, state, .. } = self;
            let lacking = &mut directions[others as usize];
            let before = lacking.delivered;
            lacking.acknowledge(first.acknowledgment, at, held, &mut |piece| {
                tell(stream, state, at, event(others, piece))
            });
            lacking.close_gaps(held, &mut |piece| tell(stream, state, at, event(others, piece)));
            if lacking.delivered > before {
                return;
            }
        }
        self.take_waiting(0, held, tell);
    }

    fn take_waiting(
        &mut self,
        place: usize,
        held: &mut Held,
        tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>),
    ) {
        if let Some((segment, payload)) = self.ahead.take(place) {
            self.take(&Segment { payload: &payload, ..segment }, held, tell);
        }
    }

    fn take(
        &mut self,
        segment: &Segment<'_>,
        held: &mut Held,
        tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>),
    ) {
        if !segment.payload.is_empty() && self.early.is_some() {
            self.settle(likely_client(segment), tell);
        }
        let peer = self.peer(segment.from);
        // One after the other, as a relay would have seen it: clocks are set back, and some are coarse.
        let (last, by) = self.told;
        let at = segment.at.max(Timestamp(last.0.saturating_add(u64::from(by != peer))));
        let segment = &Segment { at, ..*segment };
        self.told = (at, peer);
        if segment.syn {
            self.directions[peer as usize].begins_after(segment.sequence);
        }
        if segment.syn && segment.ack {
            self.directions[peer.other() as usize].begins_after(segment.acknowledgment.wrapping_sub(1));
        }
        let again = self.observed.segment(segment, peer, &self.directions);
        if segment.syn && segment.ack && !std::mem::replace(&mut self.seen_syn[0], true) {
            // It comes behind its answer, or the capture lacks it.
            tell(&self.stream, &mut self.state, at, Event::Syn);
        }
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
        if segment.rst && self.can_reset(segment, peer) && !std::mem::replace(&mut self.seen_rst[peer as usize], true) {
            self.close_gaps(at, held, tell);
            self.resets[peer as usize] = Some((at, self.directions[peer as usize].delivered));
            match &mut self.early {
                Some(early) => early.push((at, Early::Rst(peer))),
                None => tell(&self.stream, &mut self.state, at, Event::Rst(peer)),
            }
        }
    }

    /// A reset far from all that its sender has sent is none of this connection, and its end takes no notice. RFC 9293 3.5.3
    fn can_reset(&self, segment: &Segment<'_>, peer: Peer) -> bool {
        let direction = &self.directions[peer as usize];
        let place = direction.place(segment.sequence);
        place.is_none_or(|place| place.abs_diff(direction.delivered.max(direction.acknowledged())) <= FAR)
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
    pub(super) fn end(
        &mut self,
        now: Timestamp,
        held: &mut Held,
        tell: &mut impl FnMut(&Stream, &mut S, Timestamp, Event<'_>),
    ) {
        while !self.ahead.is_empty() {
            match self.ready() {
                Some(place) => self.take_waiting(place, held, tell),
                None => self.give_up_waiting(held, tell),
            }
        }
        let last = self.stream.last.max(self.told.0);
        self.close_gaps(last, held, tell);
        self.settle(self.stream.client, tell);
        let facts = self.observed.facts(&self.directions, now.max(last));
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
            self.told.1 = self.told.1.other();
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

/// Who opened a connection of which the first payload on record is this, and no SYN: its sender, but for one that sends from
/// RDP's port, or from a lower one to one of those that systems give to clients (32768 and above).
fn likely_client(first: &Segment<'_>) -> SocketAddr {
    let (from, to) = (first.from.port(), first.to.port());
    let by_host = if from == RDP || to == RDP { from == RDP && to != RDP } else { from < EPHEMERAL && to >= EPHEMERAL };
    if by_host { first.to } else { first.from }
}

fn event(peer: Peer, piece: Piece<'_>) -> Event<'_> {
    match piece {
        Piece::Data(bytes) => Event::Data(peer, bytes),
        Piece::Missing(count) => Event::Missing(peer, count),
        Piece::Unseen => Event::Unseen(peer),
    }
}
