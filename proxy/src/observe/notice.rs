//! The small closed types at this room's door.

use crate::record::SessionRecord;
use parser::diagnosis::Verdict;
use std::sync::Arc;
use uuid::Uuid;

/// What `/readyz` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Readiness {
    /// Binding.
    Starting,
    /// Accepting.
    Ready,
    /// No longer accepting.
    Draining,
}

impl Readiness {
    pub(super) const ALL: [Readiness; 3] = [Readiness::Starting, Readiness::Ready, Readiness::Draining];
}

/// Steps of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drain {
    /// No new sessions from now on.
    Begun {
        /// Sessions that go on.
        live: usize,
    },
    /// The last session has ended by itself.
    Done,
    /// Sessions were ended by a second signal or by `drain_timeout`.
    CutShort {
        /// How many.
        live: usize,
    },
}

/// What [`super::Observer::notices`] gives.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A session is over.
    Ended(Arc<SessionRecord>),
    /// What we say of a session has changed.
    Revised {
        /// Its id.
        session: Uuid,
        /// The whole verdict that takes the place of the one before.
        verdict: Verdict,
    },
}
