//! The opening of one session as it passed, in memory until it is known how the session ends.
//!
//! A read costs one append, whatever is in it. The memory is that of the opening budget, which what is being read comes
//! before; it is freed when the tracker lets go of the session, and nothing is kept of what is no opening.

use crate::limits::{Charge, OpeningBudget};
use parser::Timestamp;
use parser::session::{CloseKind, Closer, GiveUp, Opening, Peer, PerPeer, Timeline, UpstreamEvent};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The first piece of memory, in bytes: most Connection Requests with most ClientHellos.
const FIRST: usize = 1024;
/// Addresses of a host that are told apart: more are not tried.
const ADDRESSES: usize = 8;

/// What a session's task writes and what a look at the live session reads.
#[derive(Debug)]
pub struct Tape {
    reel: Mutex<Reel>,
    /// Bytes that it may hold.
    bound: usize,
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
    /// Our own address on the way to the host.
    pub(crate) host_local: Option<SocketAddr>,
    /// Why later bytes are not here.
    pub(crate) stopped: Option<Stopped>,
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
    /// So many bytes were read from this peer.
    Data(Peer, u32),
    /// The host's name was being looked up.
    Resolving,
    /// The address of this number was being connected.
    Connecting(u8),
    /// It was connected.
    Connected,
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

impl Tape {
    /// An empty one that holds `bound` bytes at most.
    pub(crate) fn new(bound: usize, budget: &Arc<OpeningBudget>) -> Tape {
        Tape { reel: Mutex::new(Reel { kept: Passed::default(), charge: Charge::new(budget) }), bound }
    }

    /// Bytes were read from `from`.
    pub(crate) fn data(&self, from: Peer, bytes: &[u8], at: Timestamp) {
        let mut reel = self.lock();
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
        reel.mark(at, Happened::Data(from, fit as u32));
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
            // A bridge asks the host anew: what one leg says is not what the other hears any more.
            UpstreamEvent::Connected(_) if reel.kept.marks.iter().any(|mark| mark.what == Happened::Connected) => {
                return reel.stop(Stopped::Released);
            }
            UpstreamEvent::Connected(_) => Happened::Connected,
            UpstreamEvent::Failed(_) => Happened::Failed,
        };
        reel.mark(at, what);
    }

    /// Our address on the way to the host.
    pub(crate) fn host_local(&self, address: Option<SocketAddr>) {
        self.lock().kept.host_local = address;
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
        if !matches!(self.kept.stopped, Some(Stopped::Budget | Stopped::Released)) {
            self.kept.marks.push(Mark { at, what });
        }
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
            Happened::Data(_, length) => {
                let (bytes, after) = rest.split_at_checked(length as usize).unwrap_or((rest, &[]));
                rest = after;
                (*mark, bytes)
            }
            _ => (*mark, &[][..]),
        })
    }

    /// All bytes of one peer, in order.
    pub(crate) fn of(&self, peer: Peer) -> Vec<u8> {
        let of_peer = |(mark, bytes): (Mark, &'_ [u8])| match mark.what {
            Happened::Data(from, _) if from == peer => bytes.to_vec(),
            _ => Vec::new(),
        };
        self.events().flat_map(of_peer).collect()
    }

    /// Bytes of each peer that are here.
    pub(crate) fn lengths(&self) -> PerPeer<u64> {
        let mut lengths = PerPeer::default();
        for mark in &self.marks {
            if let Happened::Data(from, length) = mark.what {
                lengths[from] += u64::from(length);
            }
        }
        lengths
    }

    fn size(&self) -> usize {
        self.bytes.len() + self.marks.len() * size_of::<Mark>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(7);

    fn tape(bound: usize, budget: usize) -> (Tape, Arc<OpeningBudget>) {
        let budget = Arc::new(OpeningBudget::new(budget));
        (Tape::new(bound, &budget), budget)
    }

    #[test]
    fn both_directions_come_back_in_order_with_what_happened_between() {
        let (tape, budget) = tape(1 << 18, 1 << 20);
        tape.data(Peer::Client, b"request", NOW);
        tape.upstream(&UpstreamEvent::Connecting(([127, 0, 0, 1], 3389).into()), NOW);
        tape.data(Peer::Host, b"confirm", Timestamp(9));
        tape.data(Peer::Client, b"hello", Timestamp(9));
        tape.closed(Closer::Host, CloseKind::Rst, Timestamp(11));
        tape.closed(Closer::Host, CloseKind::Fin, Timestamp(12));
        assert!(budget.used() > 0);
        let (passed, charge) = tape.take();
        assert_eq!((passed.of(Peer::Client), passed.of(Peer::Host)), (b"requesthello".to_vec(), b"confirm".to_vec()));
        let marks: Vec<Happened> = passed.events().map(|(mark, _)| mark.what).collect();
        let (client, host) = (|n| Happened::Data(Peer::Client, n), Happened::Data(Peer::Host, 7));
        let closed = Happened::Closed(Closer::Host, CloseKind::Rst);
        assert_eq!(marks, [client(7), Happened::Connecting(0), host, client(5), closed], "each socket ends once");
        drop(charge);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_host_that_is_asked_anew_ends_the_tape() {
        let (tape, budget) = tape(1 << 18, 1 << 20);
        let host = ([127, 0, 0, 1], 3389).into();
        tape.upstream(&UpstreamEvent::Connected(host), NOW);
        tape.data(Peer::Host, b"refused", NOW);
        assert_eq!(tape.look().stopped, None);
        tape.upstream(&UpstreamEvent::Connected(host), NOW);
        assert_eq!((tape.look().stopped, budget.used()), (Some(Stopped::Released), 0));
    }

    #[test]
    fn the_bound_holds_in_every_chunking_and_the_beginning_is_what_stays() {
        for chunk in [1, 7, 1_000, 40_000] {
            let (tape, budget) = tape(16 << 10, 1 << 20);
            let sent: Vec<u8> = (0..50_000u32).map(|n| n as u8).collect();
            sent.chunks(chunk).for_each(|bytes| tape.data(Peer::Client, bytes, NOW));
            assert!(budget.used() <= 2 * (16 << 10), "{} bytes", budget.used());
            let passed = tape.look();
            assert_eq!(passed.stopped, Some(Stopped::Full));
            let kept = passed.of(Peer::Client);
            assert!(passed.size() <= 16 << 10 && passed.size() > (16 << 10) - 64, "{}", passed.size());
            assert_eq!(kept, sent[..kept.len()]);
        }
    }

    #[test]
    fn without_memory_to_spare_nothing_is_kept_and_nothing_is_charged() {
        let (tape, budget) = tape(1 << 18, 4_096);
        tape.data(Peer::Client, &[1; 1_000], NOW);
        tape.data(Peer::Client, &[1; 1_500], NOW);
        assert_eq!((tape.look().stopped, tape.look().size()), (Some(Stopped::Budget), 0));
        assert_eq!(budget.used(), 0);
        tape.data(Peer::Client, &[1; 10], NOW);
        tape.closed(Closer::Host, CloseKind::Rst, NOW);
        assert_eq!(tape.look().size(), 0);
    }

    #[test]
    fn a_session_that_is_up_keeps_nothing_and_one_that_cannot_be_read_what_there_was() {
        type Change = fn(&mut Timeline);
        let cases: [(Change, bool); 7] = [
            (|timeline| timeline.progress.active = Some(NOW), false),
            (|timeline| timeline.gave_up = Some((GiveUp::Released, NOW)), false),
            (|timeline| timeline.gave_up = Some((GiveUp::Budget, NOW)), false),
            (|timeline| timeline.opening = Opening::NotRdp, false),
            (|timeline| timeline.opening = Opening::GatewayHttp, false),
            (|timeline| timeline.gave_up = Some((GiveUp::Malformed, NOW)), true),
            // A direction that is not understood.
            (|_| (), true),
        ];
        for (number, (change, kept)) in cases.into_iter().enumerate() {
            let (tape, charged) = tape(1 << 18, 1 << 20);
            tape.data(Peer::Client, b"something", NOW);
            let mut timeline = Timeline { opening: Opening::X224, ..Timeline::default() };
            change(&mut timeline);
            assert_eq!(tape.let_go(&timeline), kept, "case {number}");
            assert_eq!(tape.look().size() > 0, kept, "case {number}");
            assert_eq!(charged.used() > 0, kept, "case {number}");
            tape.data(Peer::Client, b"later", NOW);
            assert_eq!(tape.look().of(Peer::Client).len(), if kept { 9 } else { 0 }, "case {number}");
        }
    }
}
