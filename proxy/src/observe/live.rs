//! The sessions that go on, and what is due to be told of those that hang.

use super::metrics::{ListenerMetrics, UpstreamMetrics};
use crate::record::LiveSession;
use parser::Timestamp;
use parser::session::{PerPeer, Phase};
use rapidhash::RapidHashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// A session that has been this long in one phase before `active` is told of again.
const HANGING: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(300)];

/// One live session.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) session: Arc<dyn LiveSession>,
    pub(crate) listener: Arc<ListenerMetrics>,
    pub(crate) upstream: Arc<UpstreamMetrics>,
    /// How many of [`HANGING`] were told of which phase.
    told: (Phase, u8),
    /// Bytes that are in the counters already.
    counted: PerPeer<u64>,
}

#[derive(Default)]
struct Sessions {
    entries: RapidHashMap<Uuid, Entry>,
    /// One of them is not active, as far as the last look shows, or has begun since.
    may_hang: bool,
}

/// All live sessions. The lock is never held while a session is asked for what is under its own.
#[derive(Default)]
pub(crate) struct Live {
    sessions: Mutex<Sessions>,
    /// Those that may rest and do not yet: the idle ones are not in here, and are not looked at.
    restless: Mutex<Vec<Arc<dyn LiveSession>>>,
}

impl Live {
    pub(crate) fn insert(
        &self,
        session: Arc<dyn LiveSession>,
        listener: Arc<ListenerMetrics>,
        upstream: Arc<UpstreamMetrics>,
    ) {
        let id = session.identity().id;
        let entry = Entry { session, listener, upstream, told: (Phase::Accept, 0), counted: PerPeer::default() };
        let mut sessions = self.lock();
        sessions.entries.insert(id, entry);
        sessions.may_hang = true;
    }

    pub(crate) fn remove(&self, id: Uuid) -> Option<Entry> {
        self.lock().entries.remove(&id)
    }

    pub(crate) fn find(&self, id: Uuid) -> Option<Entry> {
        self.lock().entries.get(&id).cloned()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().entries.len()
    }

    /// Newest first; UUIDv7 sorts by time.
    pub(crate) fn newest(&self, limit: usize) -> Vec<Entry> {
        let sessions = self.lock();
        let mut ids: Vec<Uuid> = sessions.entries.keys().copied().collect();
        ids.sort_unstable_by(|one, other| other.cmp(one));
        ids.iter().take(limit).filter_map(|id| sessions.entries.get(id).cloned()).collect()
    }

    /// Sessions that have just been too long in a phase, each told of once per step of [`HANGING`].
    pub(crate) fn hanging(&self, now: Timestamp) -> Vec<Entry> {
        let mut sessions = self.lock();
        let mut due = Vec::new();
        let mut may_hang = false;
        for entry in sessions.entries.values_mut() {
            let phase = entry.session.phase();
            if phase >= Phase::Active {
                continue;
            }
            may_hang = true;
            let waited = now.since(entry.session.entered());
            let steps = HANGING.iter().filter(|step| waited >= **step).count() as u8;
            let told = if entry.told.0 == phase { entry.told.1 } else { 0 };
            entry.told = (phase, steps.max(told));
            if steps > told {
                due.push(entry.clone());
            }
        }
        sessions.may_hang = may_hang;
        due
    }

    /// [`Live::hanging`] may find something before long.
    pub(crate) fn may_hang(&self) -> bool {
        self.lock().may_hang
    }

    /// [`Live::rest`] may find something before long.
    pub(crate) fn may_rest(&self) -> bool {
        !self.restless.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Brings the byte counters up to date with sessions that go on.
    pub(crate) fn count_bytes(&self) {
        let entries: Vec<(Uuid, Arc<dyn LiveSession>)> =
            self.lock().entries.iter().map(|(id, entry)| (*id, Arc::clone(&entry.session))).collect();
        for (id, session) in entries {
            let bytes = session.traffic();
            if let Some(entry) = self.lock().entries.get_mut(&id) {
                entry.carried(bytes);
            }
        }
    }

    /// `session` will rest when it has been silent for a while.
    pub(crate) fn restless(&self, session: Arc<dyn LiveSession>) {
        self.restless.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }

    /// Those that have been silent rest.
    pub(crate) fn rest(&self, now: Timestamp) {
        let restless = || self.restless.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sessions = std::mem::take(&mut *restless());
        sessions.retain(|session| !session.rest(now));
        restless().append(&mut sessions);
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Counts what is new in `bytes`, the totals of the session.
    pub(crate) fn carried(&mut self, bytes: PerPeer<u64>) {
        let new = PerPeer {
            client: bytes.client.saturating_sub(self.counted.client),
            host: bytes.host.saturating_sub(self.counted.host),
        };
        self.counted =
            PerPeer { client: self.counted.client.max(bytes.client), host: self.counted.host.max(bytes.host) };
        self.upstream.carried(new);
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("sessions", &self.count()).finish()
    }
}
