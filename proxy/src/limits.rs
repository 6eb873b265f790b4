//! What a stranger may use of us: sessions per listener and per client, and memory for all openings together.
//!
//! Both are taken through guards that give back when dropped, so no path out of a session can forget to.

use parser::diagnosis::Cause;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why a connection was refused before it became a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// `max_sessions` of the listener.
    MaxSessions,
    /// `max_sessions_per_client`.
    MaxSessionsPerClient,
    /// No file descriptor was left.
    Descriptors,
    /// The proxy is draining.
    Draining,
}

impl Rejection {
    /// All, for metrics that start at zero.
    pub const ALL: [Rejection; 4] =
        [Rejection::MaxSessions, Rejection::MaxSessionsPerClient, Rejection::Descriptors, Rejection::Draining];

    /// The value of the label `reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Rejection::MaxSessions => "max_sessions",
            Rejection::MaxSessionsPerClient => "max_sessions_per_client",
            Rejection::Descriptors => "descriptors",
            Rejection::Draining => "draining",
        }
    }

    /// What its event says it came to.
    #[must_use]
    pub fn cause(self) -> Cause {
        match self {
            Rejection::MaxSessions | Rejection::MaxSessionsPerClient | Rejection::Descriptors => Cause::ProxyLimit,
            Rejection::Draining => Cause::ProxyShutdown,
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Rejection::MaxSessions => "max_sessions of this listener is reached",
            Rejection::MaxSessionsPerClient => "max_sessions_per_client is reached",
            Rejection::Descriptors => "no file descriptor is left; raise LimitNOFILE (systemd) or `ulimit -n`",
            Rejection::Draining => "the proxy is draining",
        }
    }
}

/// Sessions at once, of one listener. Outlives reloads: the ceilings are arguments, the counts stay.
#[derive(Debug, Default)]
pub struct Admission {
    /// Clients with at least one session. At most one entry per session, so `max_sessions` bounds it.
    clients: Mutex<Clients>,
}

#[derive(Debug, Default)]
struct Clients {
    total: usize,
    of: HashMap<IpAddr, usize>,
}

impl Admission {
    /// Takes a place for a session of `client`, or says which ceiling is reached.
    ///
    /// # Errors
    /// The ceiling that was reached.
    pub fn enter(
        self: &Arc<Self>,
        client: IpAddr,
        max_sessions: usize,
        max_per_client: usize,
    ) -> Result<Place, Rejection> {
        let mut clients = self.lock();
        if clients.total >= max_sessions {
            return Err(Rejection::MaxSessions);
        }
        let count = clients.of.get(&client).copied().unwrap_or(0);
        if count >= max_per_client {
            return Err(Rejection::MaxSessionsPerClient);
        }
        clients.of.insert(client, count + 1);
        clients.total += 1;
        Ok(Place { admission: Arc::clone(self), client })
    }

    /// Sessions now.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.lock().total
    }

    fn leave(&self, client: IpAddr) {
        let mut clients = self.lock();
        clients.total = clients.total.saturating_sub(1);
        if let Entry::Occupied(mut entry) = clients.of.entry(client) {
            if *entry.get() <= 1 {
                entry.remove();
            } else {
                *entry.get_mut() -= 1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Clients> {
        // Nothing in here can panic halfway through a change.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One session's place at a listener; free again when dropped.
#[derive(Debug)]
pub struct Place {
    admission: Arc<Admission>,
    client: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.leave(self.client);
    }
}

/// Memory that all openings of the process hold together, in bytes.
#[derive(Debug)]
pub struct OpeningBudget {
    used: AtomicUsize,
    limit: AtomicUsize,
}

impl OpeningBudget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> OpeningBudget {
        OpeningBudget { used: AtomicUsize::new(0), limit: AtomicUsize::new(limit) }
    }

    /// Another limit from now on; what is held stays held.
    pub fn resize(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
    }

    /// Bytes held now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }
}

/// What one session holds of the [`OpeningBudget`]; given back when dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<OpeningBudget>,
    held: usize,
}

impl Charge {
    /// A session that holds nothing yet.
    #[must_use]
    pub fn new(budget: &Arc<OpeningBudget>) -> Charge {
        Charge { budget: Arc::clone(budget), held: 0 }
    }

    /// The budget it is part of.
    #[must_use]
    pub fn budget(&self) -> &Arc<OpeningBudget> {
        &self.budget
    }

    /// Takes up to `more` bytes on top of what is held, as much as the budget has left, and says how many.
    #[must_use]
    pub fn reserve(&mut self, more: usize) -> usize {
        let limit = self.budget.limit.load(Relaxed);
        let room = |used: usize| more.min(limit.saturating_sub(used));
        let before = self.budget.used.fetch_update(Relaxed, Relaxed, |used| Some(used + room(used)));
        let taken = before.map_or(0, room);
        self.held += taken;
        taken
    }

    /// The session now holds `bytes`. False when that exceeds the budget: the caller then lets go of its memory and
    /// charges 0. Costs nothing while `bytes` does not change.
    #[must_use]
    pub fn set(&mut self, bytes: usize) -> bool {
        if bytes == self.held {
            return true;
        }
        let used = if bytes > self.held {
            let more = bytes - self.held;
            self.budget.used.fetch_add(more, Relaxed) + more
        } else {
            self.budget.used.fetch_sub(self.held - bytes, Relaxed);
            0
        };
        self.held = bytes;
        used <= self.budget.limit.load(Relaxed)
    }

    /// The same for memory that can be done without: it may take the budget to its half and no further, so that what is
    /// being read never gives way to it. False: nothing has changed.
    #[must_use]
    pub fn set_spare(&mut self, bytes: usize) -> bool {
        if bytes <= self.held {
            return self.set(bytes);
        }
        let more = bytes - self.held;
        if self.budget.used.fetch_add(more, Relaxed) + more > self.budget.limit.load(Relaxed) / 2 {
            self.budget.used.fetch_sub(more, Relaxed);
            return false;
        }
        self.held = bytes;
        true
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.held, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_place_is_free_again_when_its_session_ends() {
        let admission = Arc::new(Admission::default());
        let first = admission.enter(address(1), 1, 9).expect("room for one");
        assert_eq!(admission.enter(address(2), 1, 9).expect_err("full"), Rejection::MaxSessions);
        drop(first);
        assert_eq!(admission.sessions(), 0);
        assert!(admission.lock().of.is_empty(), "no client may be remembered without a session");
        assert!(admission.enter(address(2), 1, 9).is_ok());
    }

    #[test]
    fn one_client_cannot_take_the_places_of_the_others() {
        let admission = Arc::new(Admission::default());
        let _held = (0..2).map(|_| admission.enter(address(1), 9, 2)).collect::<Result<Vec<_>, _>>().expect("two fit");
        assert_eq!(admission.enter(address(1), 9, 2).expect_err("third"), Rejection::MaxSessionsPerClient);
        assert!(admission.enter(address(2), 9, 2).is_ok());
    }

    #[test]
    fn the_opening_budget_is_shared_and_given_back() {
        let budget = Arc::new(OpeningBudget::new(100));
        let mut one = Charge::new(&budget);
        let mut two = Charge::new(&budget);
        assert!(one.set(60));
        assert!(!two.set(60), "120 of 100 bytes");
        assert!(two.set(0));
        assert!(two.set(40));
        drop(one);
        assert_eq!(budget.used(), 40);
        assert_eq!((two.reserve(50), two.reserve(50)), (50, 10), "60 of 100 bytes are left");
        assert_eq!(budget.used(), 100);
        drop(two);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_can_be_done_without_leaves_half_of_the_budget() {
        let budget = Arc::new(OpeningBudget::new(100));
        let mut spare = Charge::new(&budget);
        assert!(spare.set_spare(40));
        assert!(!spare.set_spare(51));
        assert_eq!(budget.used(), 40, "a refusal changes nothing");
        let mut needed = Charge::new(&budget);
        assert!(needed.set(60), "what is needed has the rest");
        assert!(spare.set_spare(10));
        assert!(!spare.set_spare(11), "and comes first");
        drop(spare);
        assert_eq!(budget.used(), 60);
    }
}
