//! When a verdict is final, and which connections of a client belong together.
//!
//! A session's end is told at once. When its client's next connection may still change what we know, counting waits for
//! it, at most half a minute.

use super::metrics::UpstreamMetrics;
use crate::record::{Attempt, SessionRecord, Told};
use parser::Timestamp;
use parser::diagnosis::{Attempts, Cause, Marks, Verdict};
use parser::session::Phase;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Ended sessions that may be held for a revision: a flood of them is counted at once instead.
const HELD: usize = 4096;

/// Attempts whose upstream is remembered: what [`Attempts`] itself bounds, with room for one burst.
const ATTEMPTS: usize = 16_384;

/// A session whose verdict is final now, to be counted.
pub(super) struct Final {
    pub(super) record: Arc<SessionRecord>,
    pub(super) upstream: Arc<UpstreamMetrics>,
    /// What takes the place of the record's verdict.
    pub(super) revised: Option<(Verdict, Told)>,
}

#[derive(Default)]
pub(super) struct Settling {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    attempts: Attempts,
    held: HashMap<u128, Held>,
    /// Upstream of each attempt, by its id.
    targets: HashMap<u128, Arc<UpstreamMetrics>>,
}

struct Held {
    record: Arc<SessionRecord>,
    upstream: Arc<UpstreamMetrics>,
    attempt: Option<Attempt>,
}

impl Settling {
    pub(super) fn opened(&self, identity: &crate::record::SessionIdentity) {
        let client = identity.client.ip().to_canonical();
        self.lock().attempts.opened(identity.id.as_u128(), client, &identity.upstream, identity.accepted);
    }

    /// A session got further; earlier ones of the same client may now be understood.
    pub(super) fn reached(&self, id: Uuid, phase: Phase, marks: Marks, at: Timestamp) -> Vec<Final> {
        let mut state = self.lock();
        let revisions = state.attempts.reached(id.as_u128(), phase, marks, at);
        let mut revised = Vec::new();
        for revision in revisions {
            if let Some(held) = state.held.remove(&revision.session) {
                let told = Told { attempt: held.attempt, is_final: true };
                revised.push(Final {
                    record: held.record,
                    upstream: held.upstream,
                    revised: Some((revision.verdict, told)),
                });
            }
        }
        revised
    }

    /// Where an ended session stands. When its verdict is final it is the caller's to count.
    pub(super) fn ended(&self, record: &Arc<SessionRecord>, upstream: &Arc<UpstreamMetrics>) -> Told {
        let id = record.identity.id.as_u128();
        let mut state = self.lock();
        let placement = state.attempts.ended(id, &record.verdict, &record.timeline, record.ended);
        let attempt = Some(Attempt {
            id: Uuid::from_u128(placement.attempt),
            number: u32::from(placement.number),
            previous_session: placement.previous.map(Uuid::from_u128),
        });
        if state.targets.len() < ATTEMPTS {
            state.targets.entry(placement.attempt).or_insert_with(|| Arc::clone(upstream));
        }
        let is_final = placement.may_be_revised.is_none() || state.held.len() >= HELD;
        if !is_final {
            let held = Held { record: Arc::clone(record), upstream: Arc::clone(upstream), attempt: attempt.clone() };
            state.held.insert(id, held);
        }
        Told { attempt, is_final }
    }

    /// What has become final by the passing of time: sessions, and attempts that are over.
    pub(super) fn expire(&self, now: Timestamp) -> (Vec<Final>, Vec<(Arc<UpstreamMetrics>, Cause)>) {
        let mut state = self.lock();
        let settled = state.attempts.expire(now);
        let sessions = settled.sessions.iter().filter_map(|id| {
            let held = state.held.remove(id)?;
            Some(Final { record: held.record, upstream: held.upstream, revised: None })
        });
        let sessions = sessions.collect();
        let over =
            settled.attempts.iter().filter_map(|attempt| Some((state.targets.remove(&attempt.id)?, attempt.cause)));
        (sessions, over.collect())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Settling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settling").finish_non_exhaustive()
    }
}
