//! The small closed types at this room's door.

use crate::record::SessionRecord;
use parser::diagnosis::{Cause, Verdict};
use std::sync::Arc;
use uuid::Uuid;

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

    pub(super) fn words(self) -> &'static str {
        match self {
            Rejection::MaxSessions => "max_sessions of this listener is reached",
            Rejection::MaxSessionsPerClient => "max_sessions_per_client is reached",
            Rejection::Descriptors => "no file descriptor is left; raise LimitNOFILE (systemd) or `ulimit -n`",
            Rejection::Draining => "the proxy is draining",
        }
    }
}

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
