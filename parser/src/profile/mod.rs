//! What a host really accepts, as somebody found out who asked it: plain data, and the pure part of asking.
//!
//! A [`HostProfile`] is filled by a prober that speaks this crate's own wire messages, and read by the diagnosis: a
//! mismatch is proven when the client's recorded offer and the host's probed ability do not meet, and refuted when they
//! do. Nothing here knows a socket or a clock.

mod change;
mod credssp;
mod explain;
mod known;
mod lack;
mod ladder;
mod meet;
mod offer;
mod operator;
mod order;
mod plan;
mod replay;
mod smallest;
mod windows;

pub use change::{Change, ChangeKind, Difference, changes, compare};
pub use explain::{Explanation, explain};
pub use known::{GROUPS_OF_TLS12, GROUPS_OF_TLS13, SCHEMES_OF_TLS13, SIGNATURE_SCHEMES, strength, suites_of};
pub use ladder::Ladder;
pub use meet::{Meeting, Mismatch, meet, mismatch_between};
pub use offer::{Ability, KeyType, Offer};
pub use order::Strength;
pub use plan::{HELLO_SIZES, Options, Plan, Question, Reply, VERSIONS};
pub use replay::RecordedHello;
pub use smallest::{Changing, Part, SmallestChange, smallest_change, smallest_changes};
pub use windows::WindowsVersion;

use crate::Timestamp;
use crate::session::{Answer, CertificateFacts, CloseKind};
use crate::wire::{AlertDescription, CipherSuite, NamedGroup, Protocols, SignatureScheme, TlsVersion};

/// A profile that was finished further than this from a connection's end weakens what it says of it to `likely`:
/// services are restarted, policies applied and certificates replaced within minutes.
pub const FRESH: core::time::Duration = core::time::Duration::from_secs(600);

/// What one host accepts, with its age and what is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostProfile {
    /// When the first question was asked.
    pub begun: Timestamp,
    /// When the last answer came.
    pub ended: Timestamp,
    /// Connections that were made.
    pub handshakes: u16,
    /// Whether every question was answered.
    pub completeness: Completeness,
    /// TLS at once (an RD Gateway), without X.224.
    pub tls_first: bool,
    /// What each `requestedProtocols` got; `None` is a request without negotiation data.
    pub negotiation: Vec<(Option<Protocols>, NegotiationAnswer)>,
    /// One entry per version asked for, newest first.
    pub versions: Vec<VersionAbility>,
    /// Groups the host accepts, in the order it prefers them where it shows one.
    pub groups: Vec<NamedGroup>,
    /// Groups that were asked for and refused.
    pub refused_groups: Vec<NamedGroup>,
    /// Signature schemes with which the host signs, in the order they were found.
    pub signature_schemes: Vec<SignatureScheme>,
    /// The certificate: what a version up to TLS 1.2 shows in clear, or, of a host that has TLS 1.3 alone, what is inside.
    pub certificate: Option<CertificateFacts>,
    /// Another certificate, when two were shown: of another key type, or else of another host behind the same address.
    pub second_certificate: Option<CertificateFacts>,
    /// CredSSP and NTLM target information; only asked for when that is switched on.
    pub credssp: Option<CredsspFacts>,
    /// Hellos of growing size in bytes, and what came back.
    pub hello_sizes: Vec<(u16, Reaction)>,
    /// A client's own hello, replayed and then changed step by step.
    pub ladder: Vec<LadderStep>,
}

impl HostProfile {
    /// The two certificates that were shown, when they are for one type of key: a host has one of each.
    #[must_use]
    pub fn certificates_of_several(&self) -> Option<[&CertificateFacts; 2]> {
        let (first, second) = (self.certificate.as_ref()?, self.second_certificate.as_ref()?);
        (first.key_algorithm == second.key_algorithm).then_some([first, second])
    }
}

/// How much of a profile is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Completeness {
    /// Every question was answered.
    #[default]
    Complete,
    /// Stopped early: the bound on handshakes or time, or the host stopped answering. The payload says which.
    Partial(String),
    /// The same question got one answer and then another, more than once, and how that showed: more than one host seems to
    /// have answered. What the answers say together of TLS holds of none of them and is left out.
    Mixed(String),
    /// Nothing was learned, and why.
    Unreachable(String),
}

impl Completeness {
    /// Why not every answer is there; `None` when it is.
    #[must_use]
    pub fn lacking(&self) -> Option<&str> {
        match self {
            Completeness::Complete => None,
            Completeness::Partial(why) | Completeness::Mixed(why) | Completeness::Unreachable(why) => Some(why),
        }
    }
}

/// What came back for one Connection Request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NegotiationAnswer {
    /// An answer of any kind.
    Answered(Answer),
    /// A close without one.
    Closed(CloseKind),
    /// Nothing within the time-out.
    Silence,
}

/// What a host does with one TLS version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionAbility {
    /// The version.
    pub version: TlsVersion,
    /// What a hello that offers this version alone, with every suite, got first.
    pub reaction: Reaction,
    /// Suites accepted, in the order in which the host chose them.
    pub suites: Vec<CipherSuite>,
    /// The host keeps its own order: it chose the same suite whatever the order of the offer.
    pub host_order: bool,
    /// Every suite was asked about, down to a refusal.
    pub complete: bool,
}

impl VersionAbility {
    /// The host completed a ServerHello in this version.
    #[must_use]
    pub fn accepted(&self) -> bool {
        !self.suites.is_empty()
    }
}

/// What a ClientHello got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// A ServerHello.
    Hello {
        /// The version chosen.
        version: TlsVersion,
        /// The suite chosen.
        suite: CipherSuite,
        /// The group chosen, when it shows.
        group: Option<NamedGroup>,
    },
    /// A HelloRetryRequest: the host accepts the hello with another key share.
    Retry {
        /// The suite chosen.
        suite: CipherSuite,
        /// The group asked for.
        group: Option<NamedGroup>,
    },
    /// An alert.
    Alert(AlertDescription),
    /// A close without a TLS byte.
    Closed(CloseKind),
    /// xrdp's clear disconnect in place of TLS.
    ClearDisconnect,
    /// Bytes that are no TLS.
    NotTls,
    /// Nothing within the time-out.
    Silence,
    /// The connection did not get as far as the hello (connect failed, negotiation refused); the words say how.
    NotReached(String),
}

impl Reaction {
    /// The host took the hello.
    #[must_use]
    pub fn accepted(&self) -> bool {
        matches!(self, Reaction::Hello { .. } | Reaction::Retry { .. })
    }
}

/// What CredSSP says before any credential is sent. [MS-CSSP] 2.2.1, [MS-NLMP] 2.2.2.1
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredsspFacts {
    /// TSRequest version.
    pub version: u32,
    /// NetBIOS and DNS names of the NTLM CHALLENGE, in the order sent, and `OsVersion`; by kind.
    pub target: Vec<(String, String)>,
    /// The host's clock, when it was sent.
    pub host_time: Option<Timestamp>,
}

/// One step of the ladder: a client's own hello with one thing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LadderStep {
    /// What was changed.
    pub change: LadderChange,
    /// What came back.
    pub reaction: Reaction,
}

/// What distinguishes one replayed hello from the client's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LadderChange {
    /// Nothing but the random and the key shares.
    AsSent,
    /// Versions replaced by these.
    Versions(Vec<TlsVersion>),
    /// Suites widened to all that the versions allow.
    AllSuites,
    /// Groups widened to all that are known.
    AllGroups,
    /// Signature schemes widened to all that are known.
    AllSignatureSchemes,
    /// Suites of one authentication only (`RSA`, `ECDSA`).
    OnlyAuth(&'static str),
    /// Padded, or with extensions removed, to this many bytes.
    Size(u16),
    /// TLS 1.3 left out.
    Without13,
    /// Everything that is known, of every version.
    Everything,
}
