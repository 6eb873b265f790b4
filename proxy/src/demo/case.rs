//! What one case of the tour consists of.

use super::script::Step;
use parser::diagnosis::{Cause, Verdict};
use parser::session::Phase;

/// A host, the clients that visit it, and what the proxy must say of each visit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// Label of its listener: in reports, metrics and on the admin endpoint.
    pub(super) name: &'static str,
    /// What is wrong, in one sentence.
    pub(super) about: &'static str,
    /// The host.
    pub(super) host: Host,
    /// Clients, one after the other.
    pub(super) visits: &'static [Visit],
}

/// What stands behind a listener.
#[derive(Clone, Copy, Debug)]
pub(super) enum Host {
    /// A name, and nobody there.
    Named(&'static str),
    /// A port on which nothing listens.
    ClosedPort,
    /// An embedded host: one script per connection, the last one again for all that follow.
    Plays(&'static [&'static [Step]]),
}

/// One client connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    /// What the client does.
    pub(super) client: &'static [Step],
    /// What the proxy must say.
    pub(super) expected: Expected,
}

/// A verdict as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// Its cause.
    pub(super) cause: Cause,
    /// The step in which the connection ended; several where the client may go before or after the host is connected.
    pub(super) phases: &'static [Phase],
}

impl Expected {
    /// True when `verdict` says this.
    pub(super) fn is_met_by(&self, verdict: &Verdict) -> bool {
        self.phases.contains(&verdict.phase) && verdict.cause == self.cause
    }
}
