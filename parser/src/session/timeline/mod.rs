//! What is known of one connection: plain data, filled by the tracker, read by the diagnosis and by every output.
//!
//! One file per layer, in the order of a connection; [`Timeline`] puts them together.

mod ends;
mod opening;
mod peer;
mod records;
mod tls;
mod upstream;

pub use ends::*;
pub use opening::*;
pub use peer::*;
pub use records::*;
pub use tls::*;
pub use upstream::*;

use super::{BridgeFacts, PacketFacts, Phase, PhaseLog, Told};
use crate::Timestamp;

/// Everything known of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// When the client was accepted (or its SYN seen).
    pub opened: Timestamp,
    /// When each phase was entered.
    pub phases: PhaseLog,
    /// The way to the host.
    pub upstream: Upstream,
    /// What the first client bytes were.
    pub opening: Opening,
    /// First up to 16 client bytes, kept when `opening` is `NotRdp`.
    pub first_bytes: Vec<u8>,
    /// The Connection Request.
    pub request: Option<RequestFacts>,
    /// What the host answered.
    pub answer: Option<Answer>,
    /// The first ClientHello.
    pub client_hello: Option<ClientHelloFacts>,
    /// When a HelloRetryRequest came. RFC 8446 4.1.4
    pub hello_retry: Option<Timestamp>,
    /// The ServerHello (the real one, when a HelloRetryRequest came first).
    pub server_hello: Option<ServerHelloFacts>,
    /// The host's leaf certificate, when it crossed in clear.
    pub certificate: Option<Box<CertificateFacts>>,
    /// Clear alerts, in order; at most four are kept.
    pub alerts: Vec<ClearAlert>,
    /// TLS beyond the hellos.
    pub tls: TlsProgress,
    /// RDP beyond TLS.
    pub progress: Progress,
    /// Since when TLS ends at us on both legs, and what is inside of it can be read.
    pub plaintext: Option<Timestamp>,
    /// What was said in messages that could be read, when any was.
    pub told: Option<Box<Told>>,
    /// Bytes and records per direction.
    pub traffic: PerPeer<Traffic>,
    /// The last records per direction.
    pub tail: PerPeer<Tail>,
    /// Set when the tracker stopped reading early, with when.
    pub gave_up: Option<(GiveUp, Timestamp)>,
    /// Closes in the order they were noticed; at most one per socket, and ours.
    pub closes: Vec<Close>,
    /// What we did ourselves.
    pub proxy_act: Option<ProxyAct>,
    /// What a bridge did, when it had to do with this connection.
    pub bridge: Option<Box<BridgeFacts>>,
    /// `TCP_INFO` per leg, when known.
    pub tcp: PerPeer<Option<TcpFacts>>,
    /// What packets showed beside their bytes; `None` live, where only bytes are seen.
    pub packets: Option<Box<PacketFacts>>,
}

impl Timeline {
    /// The phase the connection is in, or ended in.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phases.current()
    }

    /// The first close that was noticed.
    #[must_use]
    pub fn first_close(&self) -> Option<Close> {
        self.closes.first().copied()
    }

    /// When the last thing happened that is on record.
    #[must_use]
    pub fn last_event(&self) -> Timestamp {
        let closes = self.closes.last().map(|c| c.at);
        [self.traffic.client.last, self.traffic.host.last, closes].into_iter().flatten().max().unwrap_or(self.opened)
    }

    /// The session reached the active phase.
    #[must_use]
    pub fn reached_active(&self) -> bool {
        self.progress.active.is_some()
    }
}
