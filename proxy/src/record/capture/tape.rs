//! The opening of one session as it passed, in memory until it is known how the session ends.
//!
//! A read costs one append, whatever is in it. The memory is that of the opening budget, which what is being read comes
//! before; it is freed when the tracker lets go of the session, and nothing is kept of what is no opening.

mod passed;

pub(crate) use passed::{Carried, Happened, Mark, Passed, Stopped, Wire};

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

#[cfg(test)]
mod tests;
