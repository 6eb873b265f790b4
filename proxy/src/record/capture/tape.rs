//! The opening of one session as it passed, in memory until it is known how the session ends.
//!
//! A read costs one append, whatever is in it. The memory is that of the opening budget, which what is being read comes
//! before; it is freed when the tracker lets go of the session, and nothing is kept of what is no opening.

use super::reveal::Keys;
use super::until::Until;
use crate::limits::{Charge, OpeningBudget};
use parser::Timestamp;
use parser::session::{CloseKind, Closer, GiveUp, Opening, Peer, PerPeer, Timeline, UpstreamEvent};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The first piece of memory, in bytes: most Connection Requests with most ClientHellos.
const FIRST: usize = 1024;
/// Addresses of a host that are told apart: more are not tried.
const ADDRESSES: usize = 8;
/// Connections to the host of one session. A bridge makes four at the most: one that is refused, one for each library,
/// and one that goes by untouched.
const HOSTS: usize = 8;

/// What a session's task writes and what a look at the live session reads.
#[derive(Debug)]
pub struct Tape {
    reel: Mutex<Reel>,
    /// Bytes that it may hold.
    bound: usize,
    /// Until when what a bridge carries may be made readable, if it ever may.
    reveals: Option<Arc<Until>>,
}

#[derive(Debug)]
struct Reel {
    kept: Passed,
    charge: Charge,
}

/// What passed, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passed {
    /// What was read of both peers, one read after the other.
    bytes: Vec<u8>,
    marks: Vec<Mark>,
    /// Addresses of the host in the order in which they were tried.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Our own address of each connection to the host.
    pub(crate) locals: Vec<Option<SocketAddr>>,
    /// Bytes of each leg, those that were not kept included.
    carried: Carried,
    /// The secrets of both legs of a bridge, where they may be kept.
    pub(crate) keys: Option<Arc<Keys>>,
    /// Why later bytes are not here.
    pub(crate) stopped: Option<Stopped>,
}

/// Bytes that crossed each leg: from the client's side (`client`) and from the host's side (`host`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// The client's leg.
    pub(crate) client_leg: PerPeer<u64>,
    /// The host's leg: of several connections the last one.
    pub(crate) host_leg: PerPeer<u64>,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) at: Timestamp,
    pub(crate) what: Happened,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// So many bytes were read from this peer, and passed on as they were.
    Data(Peer, u32),
    /// So many bytes were read from this peer. Where a bridge takes part, what the other one is sent is told by itself.
    Read(Peer, u32),
    /// So many bytes were sent to this peer.
    Sent(Peer, u32),
    /// The host's name was being looked up.
    Resolving,
    /// The address of this number was being connected.
    Connecting(u8),
    /// It was connected.
    Connected,
    /// The connection of this number is the one to the host from here on; the first is 0.
    Host(u8),
    /// The host ended its connection, and nobody was told yet.
    HostEnded(CloseKind),
    /// We closed the connection to the host of this number.
    HungUp(u8),
    /// There is no way to the host.
    Failed,
    /// A socket ended.
    Closed(Closer, CloseKind),
}

/// Why bytes are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// `max_bytes_per_session` was reached.
    Full,
    /// The tracker could not read on: what came later is not known to be an opening.
    Unread,
    /// The opening budget had no memory to spare; nothing is kept.
    Budget,
    /// The session was up, or was watched for long enough; nothing is kept.
    Released,
}

impl Stopped {
    /// As a file says it, of those with bytes to say it of.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Stopped::Full => Some("full"),
            Stopped::Unread => Some("unread"),
            Stopped::Budget | Stopped::Released => None,
        }
    }
}

/// Both directions of one leg.
pub(crate) type Wire = PerPeer<Vec<u8>>;

impl Happened {
    /// Which legs its bytes crossed, and from whose side they came.
    pub(crate) fn crosses(self) -> [Option<(Peer, Peer)>; 2] {
        match self {
            Happened::Data(from, _) => [Some((from, from)), Some((from.other(), from))],
            Happened::Read(from, _) => [Some((from, from)), None],
            Happened::Sent(to, _) => [Some((to, to.other())), None],
            _ => [None; 2],
        }
    }
}

impl Carried {
    fn count(&mut self, what: Happened, bytes: u64) {
        for (leg, side) in what.crosses().into_iter().flatten() {
            let leg = if leg == Peer::Client { &mut self.client_leg } else { &mut self.host_leg };
            leg[side] += bytes;
        }
    }
}

impl Tape {
    /// An empty one that holds `bound` bytes at most.
    pub(crate) fn new(bound: usize, budget: &Arc<OpeningBudget>) -> Tape {
        let reel = Mutex::new(Reel { kept: Passed::default(), charge: Charge::new(budget) });
        Tape { reel, bound, reveals: None }
    }

    /// One whose bridged session may be made readable for as long as `until` allows it.
    pub(crate) fn revealing(self, until: &Arc<Until>) -> Tape {
        Tape { reveals: Some(Arc::clone(until)), ..self }
    }

    /// Where a bridge leaves the secrets of its legs. `None`: they are not to be kept.
    pub(crate) fn keys(&self) -> Option<Arc<Keys>> {
        let mut reel = self.lock();
        let allowed = self.reveals.as_ref().is_some_and(|until| until.allows());
        // A handshake of which no byte is kept needs none.
        (allowed && reel.kept.stopped.is_none()).then(|| Arc::clone(reel.kept.keys.get_or_insert_default()))
    }

    /// Bytes were read from `from` and are passed on as they are.
    pub(crate) fn data(&self, from: Peer, bytes: &[u8], at: Timestamp) {
        self.keep(bytes, at, |length| Happened::Data(from, length));
    }

    /// Bytes were read from `from`; what the other peer is sent is told with [`Tape::sent`].
    pub(crate) fn read(&self, from: Peer, bytes: &[u8], at: Timestamp) {
        self.keep(bytes, at, |length| Happened::Read(from, length));
    }

    /// Bytes were sent to `to`.
    pub(crate) fn sent(&self, to: Peer, bytes: &[u8], at: Timestamp) {
        self.keep(bytes, at, |length| Happened::Sent(to, length));
    }

    fn keep(&self, bytes: &[u8], at: Timestamp, what: impl Fn(u32) -> Happened) {
        let mut reel = self.lock();
        reel.kept.carried.count(what(0), bytes.len() as u64);
        if reel.kept.stopped.is_some() || bytes.is_empty() {
            return;
        }
        let room = self.bound.saturating_sub(reel.kept.size() + size_of::<Mark>());
        let fit = bytes.len().min(room);
        if fit == 0 || !reel.make_room(fit, self.bound) {
            let why = if fit == 0 { Stopped::Full } else { Stopped::Budget };
            return reel.stop(why);
        }
        reel.kept.bytes.extend_from_slice(&bytes[..fit]);
        reel.mark(at, what(fit as u32));
        if fit < bytes.len() {
            reel.stop(Stopped::Full);
        }
    }

    /// Something happened on the way to the host.
    pub(crate) fn upstream(&self, event: &UpstreamEvent, at: Timestamp) {
        let mut reel = self.lock();
        let what = match event {
            UpstreamEvent::Resolving => Happened::Resolving,
            UpstreamEvent::Connecting(address) => {
                if reel.kept.addresses.len() >= ADDRESSES {
                    return;
                }
                reel.kept.addresses.push(*address);
                Happened::Connecting((reel.kept.addresses.len() - 1) as u8)
            }
            UpstreamEvent::Connected(_) => Happened::Connected,
            UpstreamEvent::Failed(_) => Happened::Failed,
        };
        reel.mark(at, what);
    }

    /// The connection to the host with this address of ours is the one that counts from now on: the first one, another
    /// one, or an earlier one again.
    pub(crate) fn host(&self, local: Option<SocketAddr>, at: Timestamp) {
        let mut reel = self.lock();
        let known = reel.kept.locals.iter().position(|known| *known == local);
        let number = known.unwrap_or(reel.kept.locals.len());
        if number >= HOSTS {
            return reel.stop(Stopped::Unread);
        }
        if !reel.keeps_marks() {
            return;
        }
        if known.is_none() {
            reel.kept.locals.push(local);
        }
        if reel.kept.locals.len() > 1 {
            reel.kept.carried.host_leg = PerPeer::default();
            reel.mark(at, Happened::Host(number as u8));
        }
    }

    /// The host ended its connection. The client is not told, or not yet.
    pub(crate) fn host_ended(&self, kind: CloseKind, at: Timestamp) {
        self.lock().mark(at, Happened::HostEnded(kind));
    }

    /// We closed the connection to the host with this address of ours.
    pub(crate) fn hung_up(&self, local: Option<SocketAddr>, at: Timestamp) {
        let mut reel = self.lock();
        if let Some(number) = reel.kept.locals.iter().position(|known| *known == local) {
            reel.mark(at, Happened::HungUp(number as u8));
        }
    }

    /// A socket ended.
    pub(crate) fn closed(&self, by: Closer, kind: CloseKind, at: Timestamp) {
        let mut reel = self.lock();
        let known = |mark: &Mark| matches!(mark.what, Happened::Closed(other, _) if other == by);
        if !reel.kept.marks.iter().any(known) {
            reel.mark(at, Happened::Closed(by, kind));
        }
    }

    /// The tracker reads no more. What it has read until it met what it could not read stays; that of a session that is
    /// up, and that of no RDP at all, goes: then it is false.
    #[must_use]
    pub(crate) fn let_go(&self, timeline: &Timeline) -> bool {
        let mut reel = self.lock();
        let stumbled = !matches!(timeline.gave_up, Some((GiveUp::Released | GiveUp::Budget, _)));
        let opening = matches!(timeline.opening, Opening::X224 | Opening::TlsFirst);
        let why = match stumbled && opening && timeline.progress.active.is_none() {
            true => Stopped::Unread,
            false => Stopped::Released,
        };
        reel.stop(why);
        why == Stopped::Unread
    }

    /// A copy of what is there now.
    pub(crate) fn look(&self) -> Passed {
        self.lock().kept.clone()
    }

    /// All that is there, with the memory it is charged for.
    pub(crate) fn take(&self) -> (Passed, Charge) {
        let mut reel = self.lock();
        let nothing = Charge::new(reel.charge.budget());
        (std::mem::take(&mut reel.kept), std::mem::replace(&mut reel.charge, nothing))
    }

    fn lock(&self) -> MutexGuard<'_, Reel> {
        self.reel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reel {
    fn mark(&mut self, at: Timestamp, what: Happened) {
        if self.keeps_marks() {
            self.kept.marks.push(Mark { at, what });
        }
    }

    fn keeps_marks(&self) -> bool {
        !matches!(self.kept.stopped, Some(Stopped::Budget | Stopped::Released))
    }

    /// Room for `more` bytes and a mark. Doubles what there is, and charges it, so that most reads charge nothing.
    fn make_room(&mut self, more: usize, bound: usize) -> bool {
        let Passed { bytes, marks, .. } = &mut self.kept;
        let needed = bytes.len() + more;
        let grown = if needed > bytes.capacity() {
            needed.max((bytes.capacity() * 2).min(bound)).max(FIRST)
        } else {
            bytes.capacity()
        };
        let marked = if marks.len() == marks.capacity() { (marks.capacity() * 2).max(8) } else { marks.capacity() };
        if grown == bytes.capacity() && marked == marks.capacity() {
            return true;
        }
        if !self.charge.set_spare(grown + marked * size_of::<Mark>()) {
            return false;
        }
        bytes.reserve_exact(grown - bytes.len());
        marks.reserve_exact(marked - marks.len());
        true
    }

    /// Nothing more is kept. A few marks of what happens to the sockets still are, where there are bytes to go with them.
    fn stop(&mut self, why: Stopped) {
        let empty = matches!(why, Stopped::Budget | Stopped::Released);
        if let Some(keys) = self.kept.keys.take_if(|_| empty) {
            keys.forget();
        }
        if empty && self.kept.stopped != Some(Stopped::Budget) {
            self.kept = Passed { stopped: Some(why), ..Passed::default() };
            // Less is always there.
            let _ = self.charge.set(0);
        }
        self.kept.stopped.get_or_insert(why);
    }
}

impl Passed {
    /// What happened, in order; data with its bytes.
    pub(crate) fn events(&self) -> impl Iterator<Item = (Mark, &[u8])> {
        let mut rest = &self.bytes[..];
        self.marks.iter().map(move |mark| match mark.what {
            Happened::Data(_, length) | Happened::Read(_, length) | Happened::Sent(_, length) => {
                let (bytes, after) = rest.split_at_checked(length as usize).unwrap_or((rest, &[]));
                rest = after;
                (*mark, bytes)
            }
            _ => (*mark, &[][..]),
        })
    }

    /// What crossed each leg, in order: first the client's, then one for each connection to the host. `client` is what came
    /// from the client's side, `host` what came from the host's.
    pub(crate) fn wires(&self) -> Vec<Wire> {
        let mut wires = vec![Wire::default(); 1 + self.locals.len().max(1)];
        let mut host = 1;
        for (mark, bytes) in self.events() {
            if let Happened::Host(number) = mark.what {
                host = (1 + usize::from(number)).min(wires.len() - 1);
            }
            for (leg, side) in mark.what.crosses().into_iter().flatten() {
                let wire = &mut wires[if leg == Peer::Client { 0 } else { host }];
                wire[side].extend_from_slice(bytes);
            }
        }
        wires
    }

    /// Bytes of the client's leg that are here.
    pub(crate) fn lengths(&self) -> PerPeer<u64> {
        let mut kept = Carried::default();
        for (mark, bytes) in self.events() {
            kept.count(mark.what, bytes.len() as u64);
        }
        kept.client_leg
    }

    /// Bytes that crossed, of which a relay in one piece carried `unseen` past us.
    pub(crate) fn carried(&self, unseen: PerPeer<u64>) -> Carried {
        let mut carried = self.carried;
        for side in [Peer::Client, Peer::Host] {
            carried.client_leg[side] += unseen[side];
            carried.host_leg[side] += unseen[side];
        }
        carried
    }

    /// Bytes that crossed and are not here.
    pub(crate) fn missing(&self, unseen: PerPeer<u64>) -> Carried {
        let (carried, mut kept) = (self.carried(unseen), Carried::default());
        for (mark, bytes) in self.events() {
            if matches!(mark.what, Happened::Host(_)) {
                kept.host_leg = PerPeer::default();
            }
            kept.count(mark.what, bytes.len() as u64);
        }
        let less = |all: PerPeer<u64>, some: PerPeer<u64>| PerPeer {
            client: all.client.saturating_sub(some.client),
            host: all.host.saturating_sub(some.host),
        };
        Carried {
            client_leg: less(carried.client_leg, kept.client_leg),
            host_leg: less(carried.host_leg, kept.host_leg),
        }
    }

    /// The legs carried each its own: a bridge had a hand in it.
    pub(crate) fn is_apart(&self) -> bool {
        self.marks.iter().any(|mark| matches!(mark.what, Happened::Read(..) | Happened::Sent(..)))
    }

    fn size(&self) -> usize {
        self.bytes.len() + self.marks.len() * size_of::<Mark>()
    }
}

#[cfg(test)]
mod tests;
