//! Metrics, events, logs and the live table: everything that tells, fed by timelines and counters.
//!
//! [`Observer`] is the only thing the relay knows of this room. None of its calls blocks.

use crate::record::{LiveSession, SessionIdentity, SessionRecord};
use parser::session::Phase;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

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

/// Everything that tells.
#[derive(Debug, Default)]
pub struct Observer {
    records: Mutex<Vec<mpsc::UnboundedSender<Arc<SessionRecord>>>>,
}

impl Observer {
    /// An observer that writes nothing.
    #[must_use]
    pub fn quiet() -> Arc<Observer> {
        Arc::default()
    }

    /// The outputs that `settings` ask for.
    ///
    /// # Errors
    /// An output that cannot be opened.
    pub fn start(settings: &config::Settings) -> std::io::Result<Arc<Observer>> {
        let _ = settings;
        Ok(Observer::quiet())
    }

    /// Every record ended from now on. For tests and the demo: the channel has no bound.
    #[must_use]
    pub fn records(&self) -> mpsc::UnboundedReceiver<Arc<SessionRecord>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    /// The labels that exist from now on.
    pub fn configured(&self, settings: &config::Settings) {
        let _ = settings;
    }

    /// Whether connections are accepted.
    pub fn readiness(&self, readiness: Readiness) {
        let _ = readiness;
    }

    /// The configuration was read again, or why it was not.
    pub fn reloaded(&self, result: Result<(), &str>) {
        let _ = result;
    }

    /// A drain goes on.
    pub fn drain(&self, step: Drain) {
        let _ = step;
    }

    /// Writes what is still queued.
    pub async fn finish(&self) {}

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
        let record = Arc::new(record);
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.retain(|sender| sender.send(Arc::clone(&record)).is_ok());
    }

    /// A connection was refused by a limit of ours.
    pub fn rejected(&self, identity: &SessionIdentity, why: Rejection) {
        let _ = (identity, why);
    }
}
