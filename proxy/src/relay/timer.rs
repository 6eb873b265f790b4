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

/// No time at which a host was connected.
const AWAY: Timestamp = Timestamp(u64::MAX);

/// The time-outs of one session. A timer exists only while one is running, so never after the ServerHello.
pub(super) struct PhaseTimer {
    timeouts: Arc<Timeouts>,
    /// Since when the host has had what it is to answer: before that it cannot be late, and the connect has its own
    /// time-out. [`AWAY`] until then; an `Option` would cost each session a word.
    connected: Timestamp,
    /// What is being timed, and since when.
    awaiting: Awaiting,
    since: Timestamp,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl PhaseTimer {
    pub(super) fn new(timeouts: &Arc<Timeouts>) -> PhaseTimer {
        PhaseTimer {
            timeouts: Arc::clone(timeouts),
            connected: AWAY,
            awaiting: Awaiting::Nothing,
            since: Timestamp::default(),
            sleep: None,
        }
    }

    pub(super) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// The host is there: from now on it may be timed, if it is not yet.
    pub(super) fn host_connected(&mut self) {
        if self.connected == AWAY {
            self.connected = clock::now();
        }
    }

    /// The host is with somebody who times it himself.
    pub(super) fn host_away(&mut self) {
        self.connected = AWAY;
    }

    /// Ready with what was awaited when its time-out has struck.
    pub(super) fn poll_phase(&mut self, witness: &Witness, cx: &mut Context<'_>) -> Poll<Awaiting> {
        let timed = self.timeable(witness.awaiting());
        if timed != (self.awaiting, self.since) {
            (self.awaiting, self.since) = timed;
            match self.limit(self.awaiting) {
                Some(limit) => {
                    let spent = clock::now().since(self.since);
                    self.set(Instant::now() + limit.saturating_sub(spent));
                }
                None => self.sleep = None,
            }
        }
        self.poll(cx).map(|()| self.awaiting)
    }

    /// Ready at `deadline`, whatever is awaited.
    pub(super) fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        // Should a phase be timed again after this, its time is reckoned anew.
        (self.awaiting, self.since) = (Awaiting::Nothing, Timestamp::default());
        self.set(deadline);
        self.poll(cx)
    }

    fn set(&mut self, deadline: Instant) {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = &mut self.sleep else { return Poll::Pending };
        // The clock is asked too: a busy task is not told of its timers until it pauses.
        if Instant::now() >= sleep.deadline() {
            return Poll::Ready(());
        }
        sleep.as_mut().poll(cx)
    }

    fn timeable(&self, (awaiting, since): (Awaiting, Timestamp)) -> (Awaiting, Timestamp) {
        match awaiting {
            Awaiting::ConnectionConfirm | Awaiting::ServerHello if self.connected == AWAY => (Awaiting::Nothing, since),
            Awaiting::ConnectionConfirm | Awaiting::ServerHello => (awaiting, since.max(self.connected)),
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
