//! When a verdict is final, and which connections of a client belong together.
//!
//! A session's end is told at once, or after `probe.hold`. When its client's next connection or a probe of its host may
//! still change what we know, counting waits for it, at most half a minute.

use super::metrics::UpstreamMetrics;
use crate::probe::Target;
use crate::record::{Attempt, SessionRecord, Told};
use parser::Timestamp;
use parser::diagnosis::{Attempts, Cause, Marks, Verdict};
use parser::profile::HostProfile;
use parser::session::Phase;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Ended sessions that may be held for a revision: a flood of them is counted at once instead.
const HELD: usize = 4096;

/// Attempts whose upstream is remembered: what [`Attempts`] itself bounds, with room for one burst.
const ATTEMPTS: usize = 16_384;

/// Something to be told of an ended session, or counted.
pub(super) struct Settled {
    /// With the verdict as it is now.
    pub(super) record: Arc<SessionRecord>,
    pub(super) upstream: Arc<UpstreamMetrics>,
    /// `is_final`: the session is to be counted.
    pub(super) told: Told,
    pub(super) tell: Tell,
}

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tell {
    /// As the end of the session, which was not told yet.
    End,
    /// As a verdict that takes the place of the one before; the payload is its cause.
    Verdict(Cause),
    /// Not at all: what was told stands.
    Nothing,
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
    told: Told,
    /// The client's next connection may change the verdict.
    prompt: bool,
    /// The probe that may change it, and until when it is waited for.
    probe: Option<(Target, Timestamp)>,
    /// Its end was told.
    written: bool,
}

impl Held {
    fn settle(mut self) -> Settled {
        self.told.is_final = true;
        let tell = if self.written { Tell::Nothing } else { Tell::End };
        Settled { record: self.record, upstream: self.upstream, told: self.told, tell }
    }

    /// Another verdict takes the place of the one before.
    fn judge(&mut self, verdict: Verdict) -> Tell {
        let tell = match self.written {
            false => Tell::End,
            true if verdict == self.record.verdict => Tell::Nothing,
            true => Tell::Verdict(self.record.verdict.cause),
        };
        self.record = Arc::new(SessionRecord { verdict, ..SessionRecord::clone(&self.record) });
        tell
    }
}

impl Settling {
    pub(super) fn opened(&self, identity: &crate::record::SessionIdentity) {
        let client = identity.client.ip().to_canonical();
        self.lock().attempts.opened(identity.id.as_u128(), client, &identity.upstream, identity.accepted);
    }

    /// A session got further; earlier ones of the same client may now be understood.
    pub(super) fn reached(&self, id: Uuid, phase: Phase, marks: Marks, at: Timestamp) -> Vec<Settled> {
        let mut state = self.lock();
        let revisions = state.attempts.reached(id.as_u128(), phase, marks, at);
        let mut revised = Vec::new();
        for revision in revisions {
            if let Some(mut held) = state.held.remove(&revision.session) {
                held.told.is_final = true;
                let tell = held.judge(revision.verdict);
                revised.push(Settled { record: held.record, upstream: held.upstream, told: held.told, tell });
            }
        }
        revised
    }

    /// Where an ended session stands. When its verdict is final it is the caller's to count.
    ///
    /// `probe` is what may still decide it and until when; with `hold` the caller does not tell of the end yet.
    pub(super) fn ended(
        &self,
        record: &Arc<SessionRecord>,
        upstream: &Arc<UpstreamMetrics>,
        profile: Option<Arc<HostProfile>>,
        probe: Option<(Target, Timestamp)>,
        hold: bool,
    ) -> Told {
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
        let prompt = placement.may_be_revised.is_some();
        let is_final = !(prompt || probe.is_some()) || state.held.len() >= HELD;
        let told = Told { attempt, is_final, profile };
        if !is_final {
            let held = Held {
                record: Arc::clone(record),
                upstream: Arc::clone(upstream),
                told: told.clone(),
                prompt,
                probe,
                written: !hold,
            };
            state.held.insert(id, held);
        }
        told
    }

    /// The session waits for a probe.
    pub(super) fn waits(&self, id: Uuid) -> bool {
        self.lock().held.get(&id.as_u128()).is_some_and(|held| held.probe.is_some())
    }

    /// The time is over for which the end of a session was held back.
    pub(super) fn held_long_enough(&self, id: Uuid) -> Option<Settled> {
        let mut state = self.lock();
        let held = state.held.get_mut(&id.as_u128()).filter(|held| !held.written)?;
        held.written = true;
        let (record, upstream) = (Arc::clone(&held.record), Arc::clone(&held.upstream));
        Some(Settled { record, upstream, told: held.told.clone(), tell: Tell::End })
    }

    /// A probe of `target` is over. `judge` says what a session comes to with it, `None` when it learns nothing from it.
    pub(super) fn probed(
        &self,
        target: Target,
        judge: impl Fn(&SessionRecord) -> Option<(Verdict, Arc<HostProfile>)>,
    ) -> Vec<Settled> {
        let mut state = self.lock();
        let waiting: Vec<u128> =
            state.held.iter().filter(|(_, h)| h.probe.is_some_and(|(of, _)| of == target)).map(|(id, _)| *id).collect();
        let mut settled = Vec::with_capacity(waiting.len());
        for id in waiting {
            let Some(mut held) = state.held.remove(&id) else { continue };
            held.probe = None;
            let mut tell = if held.written { Tell::Nothing } else { Tell::End };
            if let Some((verdict, profile)) = judge(&held.record) {
                held.prompt &= state.attempts.judged_again(id, &verdict);
                held.told.profile = Some(profile);
                tell = held.judge(verdict);
            }
            held.written = true;
            held.told.is_final = !held.prompt;
            let (record, upstream) = (Arc::clone(&held.record), Arc::clone(&held.upstream));
            settled.push(Settled { record, upstream, told: held.told.clone(), tell });
            if held.prompt {
                state.held.insert(id, held);
            }
        }
        settled
    }

    /// What has become final by the passing of time: sessions, and attempts that are over.
    pub(super) fn expire(&self, now: Timestamp) -> (Vec<Settled>, Vec<(Arc<UpstreamMetrics>, Cause)>) {
        let mut state = self.lock();
        let expired = state.attempts.expire(now);
        for id in &expired.sessions {
            if let Some(held) = state.held.get_mut(id) {
                held.prompt = false;
            }
        }
        let over = |held: &Held| !held.prompt && held.probe.is_none_or(|(_, until)| until <= now);
        let ids: Vec<u128> = state.held.iter().filter(|(_, held)| over(held)).map(|(id, _)| *id).collect();
        let sessions = ids.iter().filter_map(|id| state.held.remove(id)).map(Held::settle).collect();
        let over =
            expired.attempts.iter().filter_map(|attempt| Some((state.targets.remove(&attempt.id)?, attempt.cause)));
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
