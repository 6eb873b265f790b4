//! What can end a session from outside of its sockets: the per-phase time-outs.

use super::witness::Witness;
use crate::clock;
use config::Timeouts;
use parser::Timestamp;
use parser::session::Awaiting;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// The time-outs of one session. A timer exists only while one is running, so never after the ServerHello.
pub(super) struct PhaseTimer {
    timeouts: Arc<Timeouts>,
    /// The host is connected: before that it cannot be late with an answer, and the connect has its own time-out.
    connected: bool,
    timed: (Awaiting, Timestamp),
    deadline: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl PhaseTimer {
    pub(super) fn new(timeouts: &Arc<Timeouts>) -> PhaseTimer {
        PhaseTimer {
            timeouts: Arc::clone(timeouts),
            connected: false,
            timed: (Awaiting::Nothing, Timestamp::default()),
            deadline: None,
            sleep: None,
        }
    }

    /// The host is there: from now on it may be timed.
    pub(super) fn host_connected(&mut self) {
        self.connected = true;
    }

    /// Ready with what was awaited when its time-out has struck.
    pub(super) fn poll_phase(&mut self, witness: &Witness, cx: &mut Context<'_>) -> Poll<Awaiting> {
        let timed = self.timeable(witness.awaiting());
        if timed != self.timed {
            self.timed = timed;
            self.deadline = self.limit(timed.0).map(|limit| {
                let spent = clock::now().since(timed.1);
                Instant::now() + limit.saturating_sub(spent)
            });
        }
        match self.deadline {
            Some(deadline) => self.poll_until(deadline, cx).map(|()| timed.0),
            None => {
                self.sleep = None;
                Poll::Pending
            }
        }
    }

    /// Ready at `deadline`.
    pub(super) fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        // The clock is asked too: a busy task is not told of its timers until it pauses.
        if Instant::now() >= deadline {
            return Poll::Ready(());
        }
        sleep.as_mut().poll(cx)
    }

    fn timeable(&self, (awaiting, since): (Awaiting, Timestamp)) -> (Awaiting, Timestamp) {
        match awaiting {
            Awaiting::ConnectionConfirm | Awaiting::ServerHello if !self.connected => (Awaiting::Nothing, since),
            _ => (awaiting, since),
        }
    }

    fn limit(&self, awaiting: Awaiting) -> Option<Duration> {
        match awaiting {
            Awaiting::ClientRequest | Awaiting::ConnectionConfirm => Some(self.timeouts.negotiate),
            Awaiting::ClientHello => Some(self.timeouts.client_hello),
            Awaiting::ServerHello => Some(self.timeouts.server_hello),
            Awaiting::Nothing => None,
        }
    }
}
