//! How it ended, what we did to it ourselves, and what the sockets knew.

use crate::Timestamp;

/// Why the tracker stopped reading before the session was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GiveUp {
    /// A message could not be parsed; from then on bytes were only forwarded.
    Malformed,
    /// An opening message exceeded its stated bound.
    TooLarge,
    /// The process-wide budget for openings was used up.
    Budget,
    /// 256 KiB, 1,000 records or ten minutes passed after the handshake.
    Released,
    /// A capture lacks bytes that were sent.
    Gap,
}

impl GiveUp {
    /// All, for metrics that start at zero.
    pub const ALL: [GiveUp; 5] = [GiveUp::Malformed, GiveUp::TooLarge, GiveUp::Budget, GiveUp::Released, GiveUp::Gap];

    /// Label value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            GiveUp::Malformed => "malformed",
            GiveUp::TooLarge => "too_large",
            GiveUp::Budget => "budget",
            GiveUp::Released => "released",
            GiveUp::Gap => "gap",
        }
    }
}

/// Who closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closer {
    /// The client's socket.
    Client,
    /// The host's socket.
    Host,
    /// We did: a time-out, a limit, a drain, a failed connect.
    Proxy,
}

impl Closer {
    /// Label value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Closer::Client => "client",
            Closer::Host => "host",
            Closer::Proxy => "proxy",
        }
    }
}

/// How a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseKind {
    /// FIN.
    Fin,
    /// RST.
    Rst,
    /// A time-out of ours, or the kernel's (keep-alive, retransmission).
    Timeout,
    /// Another socket error.
    Error,
}

impl CloseKind {
    /// Label value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            CloseKind::Fin => "fin",
            CloseKind::Rst => "rst",
            CloseKind::Timeout => "timeout",
            CloseKind::Error => "error",
        }
    }
}

/// One close as it was noticed, before anything was forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// Whose socket.
    pub by: Closer,
    /// How.
    pub kind: CloseKind,
    /// When.
    pub at: Timestamp,
}

/// What we did ourselves to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyAct {
    /// Refused by `max_sessions`, `max_sessions_per_client` or the descriptor limit.
    LimitRefused,
    /// A per-phase time-out struck while this was awaited.
    TimedOut(Awaiting),
    /// The drain time-out ended a live session, or a second SIGTERM did.
    Shutdown,
    /// PROXY header missing, malformed or untrusted.
    ProxyHeaderUntrusted,
    /// The original destination is not in `allow_targets`.
    TargetNotAllowed,
}

/// What the connection is waiting for, for the proxy's own time-outs. Nothing is timed after the ServerHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Awaiting {
    /// The client's first message, complete (`negotiate`).
    ClientRequest,
    /// The host's answer to the Connection Request (`negotiate`).
    ConnectionConfirm,
    /// The ClientHello, complete (`client_hello`).
    ClientHello,
    /// The ServerHello (`server_hello`).
    ServerHello,
    /// Nothing that may be timed.
    Nothing,
}

/// `TCP_INFO` of one leg at the end (or now, for a live session). Times in microseconds, sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFacts {
    /// Smoothed round trip.
    pub rtt_us: u32,
    /// Its variation.
    pub rtt_var_us: u32,
    /// Segments retransmitted in total.
    pub retransmits: u32,
    /// Segments held for lost now.
    pub lost: u32,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// Maximum segment size towards the peer.
    pub mss: u32,
    /// Consecutive retransmission time-outs at the end.
    pub backoff: u8,
    /// Path MTU.
    pub pmtu: u32,
    /// Milliseconds since the last data from the peer.
    pub last_data_received_ms: u32,
}
