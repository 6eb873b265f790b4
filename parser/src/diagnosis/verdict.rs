//! What [`super::diagnose`] says of a connection.

use super::Cause;
use crate::session::Phase;

/// Whose doing it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client.
    Client,
    /// The host.
    Host,
    /// This proxy.
    Proxy,
    /// Something between us and one of them.
    Network,
    /// Client and host do not fit each other.
    Both,
}

impl Side {
    /// Every side.
    pub const ALL: [Side; 5] = [Side::Client, Side::Host, Side::Proxy, Side::Network, Side::Both];

    /// The name used in events and labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Side::Client => "client",
            Side::Host => "host",
            Side::Proxy => "proxy",
            Side::Network => "network",
            Side::Both => "both",
        }
    }
}

/// How sure the verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Rivals remain, and they are listed.
    Possible,
    /// One cause explains all evidence and its rivals are excluded.
    Likely,
    /// The bytes name the cause.
    Proven,
}

impl Confidence {
    /// The name used in events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Confidence::Possible => "possible",
            Confidence::Likely => "likely",
            Confidence::Proven => "proven",
        }
    }
}

/// Success, failure, or neither (a scanner is no user).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// `ok`, `ok_bridged`, `client_prompt_probe`.
    Success,
    /// Everything that stopped a user.
    Failure,
    /// `not_rdp`, `client_sent_nothing`, `capture_incomplete`.
    Unknown,
}

impl Outcome {
    /// The name used in `event.outcome`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Unknown => "unknown",
        }
    }
}

/// How a session that reached active ended (`rdpscope.end`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The client ended it in order (nine bytes, or a close_notify) or simply closed.
    UserClosed,
    /// The client's connection was reset without an orderly end: killed, or its network went.
    ClientGone,
    /// The host ended it in order, as for a logoff, a time limit or a replacement.
    HostEnded,
    /// A time limit of the host, named by the bytes.
    IdleOrTimeLimit,
    /// Another client took the session over, named by the bytes.
    Replaced,
}

impl End {
    /// The name used in `rdpscope.end`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            End::UserClosed => "user_closed",
            End::ClientGone => "client_gone",
            End::HostEnded => "host_ended",
            End::IdleOrTimeLimit => "idle_or_time_limit",
            End::Replaced => "replaced",
        }
    }
}

/// What each side would have to add for the handshake to succeed. Names are IANA names or `TLS 1.2`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// What the client did not offer.
    pub client: Vec<String>,
    /// What the host does not accept.
    pub host: Vec<String>,
}

/// A cause with all that an operator needs to believe it and to act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What it was.
    pub cause: Cause,
    /// Whose doing.
    pub side: Side,
    /// Where the connection was when it ended.
    pub phase: Phase,
    /// How sure.
    pub confidence: Confidence,
    /// What it rests on, each item checkable against the trace. One short sentence each, numbers with names.
    pub evidence: Vec<String>,
    /// Rivals that the evidence does not exclude, most plausible first. Empty when proven.
    pub alternatives: Vec<Cause>,
    /// What to do, safest first; what weakens security comes last and says that it is for a test only.
    pub remedy: Vec<String>,
    /// For TLS mismatches.
    pub missing: Missing,
    /// For TLS mismatches: the smallest change on either side that would have let this handshake succeed.
    pub smallest_change: Vec<String>,
    /// For `ok`: how it ended.
    pub end: Option<End>,
    /// The one line for a person: what happened, whose doing, where. No user name.
    pub message: String,
}

impl Verdict {
    /// Success, failure or neither.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.cause.outcome()
    }
}
