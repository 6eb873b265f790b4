//! What a bridge did to a connection: plain data, told to the tracker by whoever terminates TLS.

use super::Peer;
use crate::Timestamp;
use crate::wire::{AlertDescription, CipherSuite, NamedGroup, SuiteClass, TlsVersion};

/// Why a connection was bridged, or was to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BridgeReason {
    /// Every session of this listener is (`always`).
    Always,
    /// A fresh profile of the host proves that this client's hello has no answer (`auto`).
    Profile,
    /// The host refused the client's own hello before anything went back to the client (`auto`).
    Rescue,
}

impl BridgeReason {
    /// `rdpscope.bridge.mode`.
    #[must_use]
    pub fn mode(self) -> &'static str {
        match self {
            BridgeReason::Always => "always",
            BridgeReason::Profile | BridgeReason::Rescue => "auto",
        }
    }
}

/// One leg's handshake, complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BridgeLeg {
    /// The version agreed on.
    pub version: TlsVersion,
    /// The suite agreed on.
    pub suite: CipherSuite,
    /// The group of the key exchange, where the library says it.
    pub group: Option<NamedGroup>,
    /// An abbreviated handshake.
    pub resumed: bool,
    /// Which library: `rustls` or `openssl`.
    pub library: &'static str,
}

impl BridgeLeg {
    /// Below TLS 1.2, or with a suite without forward secrecy or AEAD.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.version < TlsVersion::TLS12 || self.suite.class() != Some(SuiteClass::Modern)
    }
}

/// What the bridge found standing in its way, and so let the bytes pass untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BridgeBlock {
    /// NLA binds the host's public key, and the key given for the client leg is another one, or none is given.
    Nla,
    /// RDSTLS: the client compares the certificate with the one a broker has told it. [MS-RDPBCGR] 5.4.5.3
    Rdstls,
    /// Microsoft Entra ID binds the host's key. [MS-RDPBCGR] 5.4.5.4
    Entra,
    /// Remote Credential Guard: credentials stay with the client, bound to the host.
    RemoteCredentialGuard,
    /// An RD Gateway's certificate is bound to the authentication inside, and it was not given. RFC 5929 4
    Gateway,
    /// One leg needs what only a build with the legacy leg can speak.
    LegacyBuild(Peer),
    /// The client offers nothing that the versions configured for it allow.
    ClientWindow,
}

impl BridgeBlock {
    /// The label: closed set.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            BridgeBlock::Nla => "nla",
            BridgeBlock::Rdstls => "rdstls",
            BridgeBlock::Entra => "entra",
            BridgeBlock::RemoteCredentialGuard => "remote_credential_guard",
            BridgeBlock::Gateway => "gateway",
            BridgeBlock::LegacyBuild(_) => "legacy_build",
            BridgeBlock::ClientWindow => "client_window",
        }
    }
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BridgeOutcome {
    /// Both legs were up.
    Carried,
    /// It stood aside.
    Blocked(BridgeBlock),
    /// It stood aside: within the last ten minutes it did not come up for such a client and this host, and this is how.
    FailedBefore(Box<BridgeOutcome>),
    /// The host is not the one that the configuration names; the words say who it is instead.
    HostUntrusted(String),
    /// A leg did not come up.
    LegFailed {
        /// Which.
        leg: Peer,
        /// The alert that its peer sent, if it sent one.
        alert: Option<AlertDescription>,
        /// What the library said.
        words: String,
        /// The host was offered all that this build speaks, and the build has no legacy leg to offer more.
        exhausted: bool,
    },
}

impl BridgeOutcome {
    /// The `result` label of `bridge_sessions_total`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            BridgeOutcome::Carried => "carried",
            BridgeOutcome::Blocked(_) | BridgeOutcome::FailedBefore(_) => "blocked",
            BridgeOutcome::HostUntrusted(_) => "host_untrusted",
            BridgeOutcome::LegFailed { leg: Peer::Client, .. } => "client_leg_failed",
            BridgeOutcome::LegFailed { leg: Peer::Host, .. } => "host_leg_failed",
        }
    }

    /// Every value of it, for metrics that start at zero.
    pub const NAMES: [&'static str; 5] =
        ["carried", "blocked", "host_untrusted", "client_leg_failed", "host_leg_failed"];
}

/// What a bridge did to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeFacts {
    /// Why it was bridged, or was to be.
    pub reason: BridgeReason,
    /// How it went.
    pub outcome: BridgeOutcome,
    /// The leg to the client, once it was up.
    pub client: Option<BridgeLeg>,
    /// The leg to the host, once it was up.
    pub host: Option<BridgeLeg>,
    /// The alert with which the host refused the client's own hello, when it was one.
    pub refused_with: Option<AlertDescription>,
    /// How a leg's TLS ended a session that was carried, other than by close_notify.
    pub cut: Option<BridgeCut>,
}

/// The end of a leg that was up: nothing can be carried any more, and both sides are closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeCut {
    /// Which.
    pub leg: Peer,
    /// The fatal alert that its peer sent. `None`: the bridge ended it, for what came does not open or is not TLS as it
    /// should be, or nothing more can be sealed.
    pub alert: Option<AlertDescription>,
    /// What the library said.
    pub words: String,
    /// When.
    pub at: Timestamp,
}
