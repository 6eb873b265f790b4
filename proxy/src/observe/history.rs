//! The last sessions that ended, for `/api/sessions`.

use crate::record::{Action, SessionRecord, Told};
use parser::diagnosis::Outcome;
use std::collections::VecDeque;
use std::sync::Arc;
use uuid::Uuid;

/// Sessions kept of each kind: what a person looks through.
const KEPT: usize = 256;

/// Bytes kept of each kind. A usual session holds some 3 KiB, one of a hostile client up to 130 KiB.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// A session that ended, with the verdict as it is now.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) record: Arc<SessionRecord>,
    pub(crate) told: Told,
    /// The verdict is not the one that was told first.
    pub(crate) revised: bool,
}

impl Ended {
    /// How the record is told now: as the end it was, or as the verdict that took its place.
    pub(crate) fn action(&self) -> Action {
        if self.revised { Action::Verdict } else { Action::SessionEnd }
    }
}

/// Two rings: failures are kept apart so that a flood of healthy sessions does not push them out.
#[derive(Debug, Default)]
pub(crate) struct History {
    failed: Ring,
    other: Ring,
}

#[derive(Debug, Default)]
struct Ring {
    /// Oldest first.
    sessions: VecDeque<Ended>,
    bytes: usize,
}

impl History {
    pub(crate) fn push(&mut self, ended: Ended) {
        self.ring(ended.record.verdict.outcome()).push(ended);
    }

    /// Replaces what was kept of a session by its revised form.
    pub(crate) fn revise(&mut self, ended: Ended) {
        let id = ended.record.identity.id;
        self.failed.remove(id);
        self.other.remove(id);
        self.push(ended);
    }

    pub(crate) fn find(&self, id: Uuid) -> Option<&Ended> {
        self.failed.sessions.iter().chain(&self.other.sessions).find(|ended| ended.record.identity.id == id)
    }

    /// Newest first.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &Ended> {
        self.failed.sessions.iter().rev()
    }

    /// Newest first, both rings.
    pub(crate) fn ended(&self, limit: usize) -> Vec<Ended> {
        let mut all: Vec<&Ended> = self.failed.sessions.iter().chain(&self.other.sessions).collect();
        all.sort_by_key(|ended| std::cmp::Reverse(ended.record.ended));
        all.into_iter().take(limit).cloned().collect()
    }

    fn ring(&mut self, outcome: Outcome) -> &mut Ring {
        if outcome == Outcome::Failure { &mut self.failed } else { &mut self.other }
    }
}

impl Ring {
    fn push(&mut self, ended: Ended) {
        self.bytes += ended.record.memory();
        self.sessions.push_back(ended);
        while self.sessions.len() > KEPT || (self.bytes > KEPT_BYTES && self.sessions.len() > 1) {
            if let Some(old) = self.sessions.pop_front() {
                self.bytes -= old.record.memory();
            }
        }
    }

    fn remove(&mut self, id: Uuid) {
        let at = self.sessions.iter().position(|ended| ended.record.identity.id == id);
        if let Some(old) = at.and_then(|at| self.sessions.remove(at)) {
            self.bytes -= old.record.memory();
        }
    }
}
