//! Metrics, events, logs and the live table: everything that tells, fed by timelines and counters.
//!
//! [`Observer`] is the only thing the relay knows of this room. None of its calls blocks.

use crate::record::{LiveSession, SessionIdentity, SessionRecord};
use parser::session::Phase;
use std::sync::Arc;

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

/// Everything that tells.
#[derive(Debug)]
pub struct Observer {}

impl Observer {
    /// A connection was accepted and will be served.
    pub fn started(&self, session: Arc<dyn LiveSession>) {
        let _ = session;
    }

    /// A session entered a phase.
    pub fn phase(&self, identity: &Arc<SessionIdentity>, phase: Phase) {
        let _ = (identity, phase);
    }

    /// A session is over. Called exactly once for each [`Observer::started`].
    pub fn ended(&self, record: SessionRecord) {
        let _ = record;
    }

    /// A connection was refused by a limit of ours.
    pub fn rejected(&self, identity: &SessionIdentity, why: Rejection) {
        let _ = (identity, why);
    }
}
