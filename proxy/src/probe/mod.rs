//! What hosts really accept: asked after a failure that only their answers explain, or on a schedule, and remembered.
//!
//! ```text
//! session ended ─► can a profile decide it? whose? (trigger) ─► cache: fresh? ─► judged at once
//!                                                        │ no
//!                                                        ▼
//!        schedule ─────────────────────────────► prober: one probe per host at a time, at most one per
//!                                                        │ min_interval, few hosts at once
//!                                                        ▼
//!                          observer: `probe` and `host_changed` events, metrics, revised verdicts; store: the file
//! ```
//!
//! A probe is an ordinary connection that ends in order after the host's answer; a host never sees two at once.

pub mod ask;
pub mod findings;
pub mod inside;

mod cache;
mod prober;
mod schedule;
pub(crate) mod store;
mod trigger;

pub(crate) use cache::{HostView, Noticed};
pub use prober::{Asker, Prober};
pub(crate) use prober::{Probed, REVISED_WITHIN, Standing};

use ask::{Ask, Progress};
use parser::profile::{HostProfile, Options, RecordedHello};
use parser::wire::TlsVersion;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Asks hosts by connecting to them.
#[must_use]
pub fn over_the_wire() -> Asker {
    Arc::new(|question| {
        Box::pin(async move {
            let Question { target, upstream, recorded, timeout, max_handshakes, within } = question;
            let host = upstream.rsplit_once(':').map_or(&*upstream, |(host, _)| host);
            let server_name = ask::server_name(host.trim_start_matches('[').trim_end_matches(']'));
            let options = Options { tls_first: target.tls_first, server_name, max_handshakes };
            let ask = Ask { address: target.address, options, timeout, within };
            probe(&ask, recorded.as_deref(), |_| ()).await
        })
    })
}

/// Asks a host what it accepts, as [`ask::probe`] does, and looks inside where nothing in clear shows the certificate.
pub async fn probe(ask: &Ask, recorded: Option<&RecordedHello>, progress: impl FnMut(Progress)) -> HostProfile {
    let begun = Instant::now();
    let mut profile = ask::probe(ask, recorded, progress).await;
    let of_13 = profile.ability(TlsVersion::TLS13).is_some_and(|ability| ability.accepted());
    // One more connection, within the same bounds: what is known by now is not to be lost for it.
    let left = ask.within.saturating_sub(begun.elapsed());
    let within_bounds = !left.is_zero() && profile.handshakes < ask.options.max_handshakes;
    if profile.certificate.is_none() && of_13 && within_bounds {
        let ask = Ask { timeout: ask.timeout.min(left), ..ask.clone() };
        profile.certificate = inside::certificate(&ask, inside::request_for_tls(&profile)).await.ok();
        profile.handshakes += 1;
    }
    profile
}

/// A host, and how it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Where it was connected.
    pub address: SocketAddr,
    /// TLS at once, as with an RD Gateway, instead of X.224 first.
    pub tls_first: bool,
}

/// Why a host is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A session failed in a way that only the host's answers explain.
    Failure,
    /// It was time.
    Schedule,
}

impl Reason {
    /// Every reason, for metrics that start at zero.
    pub const ALL: [Reason; 2] = [Reason::Failure, Reason::Schedule];

    /// The name in events and labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reason::Failure => "failure",
            Reason::Schedule => "schedule",
        }
    }

    /// As a person says it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Reason::Failure => "after a failed session",
            Reason::Schedule => "as scheduled",
        }
    }
}

/// What is to be asked, and within which bounds.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whom.
    pub target: Target,
    /// `host:port` as configured: its name is the server name to ask for, if it is one.
    pub upstream: Arc<str>,
    /// A client's hello as recorded, to be replayed and then changed step by step.
    pub recorded: Option<Arc<RecordedHello>>,
    /// Longest wait for one answer, the connect included.
    pub timeout: Duration,
    /// Connections at most.
    pub max_handshakes: u16,
    /// The whole probe ends by then.
    pub within: Duration,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
