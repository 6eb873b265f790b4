//! A timeline to a verdict.
//!
//! `proven` means that the bytes name the cause; `likely` that one cause explains all evidence and its rivals are
//! excluded; `possible` that rivals remain, and they are listed. Sizes alone never give more than `likely`. A wrong
//! verdict is worse than `unknown_close`.

mod attempt;
mod catalogue;
mod cause;
mod rules;
mod verdict;

pub use attempt::{Attempt, Attempts, MOST_CLIENTS, MOST_CONNECTIONS, Marks, Placement, Revision, Settled};
pub use catalogue::{Entry, Observer, Predicted, Room};
pub use cause::Cause;
pub use verdict::{Confidence, End, Missing, Outcome, Side, Verdict};

pub(crate) use rules::date;

use crate::profile::HostProfile;
use crate::session::Timeline;

impl Cause {
    /// For what is no verdict but one way in which a session with `ok` or `ok_bridged` ends: which.
    #[must_use]
    pub fn as_end(self) -> Option<End> {
        match self {
            Cause::UserClosed => Some(End::UserClosed),
            Cause::SessionReplaced => Some(End::Replaced),
            Cause::IdleOrTimeLimit => Some(End::IdleOrTimeLimit),
            _ => None,
        }
    }

    /// Success, failure or neither.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self {
            Cause::Ok | Cause::OkBridged | Cause::ClientPromptProbe => Outcome::Success,
            _ if self.as_end().is_some() => Outcome::Success,
            Cause::NotRdp | Cause::ClientSentNothing | Cause::CaptureIncomplete => Outcome::Unknown,
            _ => Outcome::Failure,
        }
    }
}

/// What this connection came to. Deterministic: the same timeline gives the same verdict.
///
/// The rules, in the order in which they are asked, are the table at the top of `rules/mod.rs`.
#[must_use]
pub fn diagnose(timeline: &Timeline) -> Verdict {
    rules::judge(timeline)
}

/// What this connection came to, with what a probe of the host found.
///
/// The same rules as [`diagnose`] first; then the profile decides or refutes every `tls_*` and `cert_*` cause: the
/// client's recorded offer and the host's probed ability meet, or they do not. The profile's ladder must be that of this
/// client's own hello. A profile that is partial, or further than [`FRESH`](crate::profile::FRESH) from the end of the
/// connection, gives no more than `likely`. What succeeded, and what failed elsewhere, keeps its verdict.
#[must_use]
pub fn diagnose_with(timeline: &Timeline, profile: &HostProfile) -> Verdict {
    rules::probed::judge(timeline, profile)
}

/// Whether a profile of the host could change this verdict, so that it is worth asking the host.
#[must_use]
pub fn needs_profile(verdict: &Verdict) -> bool {
    verdict.confidence < Confidence::Proven && rules::probed::is_open(verdict.cause, verdict.phase)
}
