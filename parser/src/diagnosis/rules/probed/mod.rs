//! The second look: what a probe of the host decides or refutes.
//!
//! The table of rules has spoken on what passed by. Here the client's recorded offer is held against the host's probed
//! ability. Three principles:
//!
//! * The experiment outranks the model: if the host takes the client's own hello when it is replayed, nothing mismatches.
//! * Nothing in common proves a mismatch; something in common refutes it, and the verdict must say something else.
//! * A host that takes no hello at all has no mismatch with anybody: its key, or a box before it, is the better name.

mod finish;
mod hello;
mod words;

use super::super::{Cause, Confidence, Outcome, Verdict};
use super::case::Case;
use super::finding::Finding;
use crate::profile::{Ability, Completeness, FRESH, HostProfile, LadderChange, Reaction};
use crate::session::{Phase, Timeline};

/// Causes that a profile can decide or refute while the host had the word.
const OPEN_IN_HELLO: &[Cause] = &[
    Cause::TlsNoCommonVersion,
    Cause::TlsNoCommonCipher,
    Cause::TlsNoCommonGroupOrSigalg,
    Cause::TlsCertKeyTypeMismatch,
    Cause::TlsServerRefusedHelloSilently,
    Cause::CertPrivateKeyUnusable,
    Cause::TlsAlertInternalError,
    Cause::TlsAlertOther,
    Cause::TlsHandshakeTimeout,
    Cause::LargeClienthelloLost,
    Cause::MtuBlackhole,
    Cause::Tls13MiddleboxIntolerance,
    Cause::RstByMiddlebox,
    Cause::RdgTlsFailure,
    Cause::HostClosedAfterCc,
    Cause::BridgeLegFailed,
    Cause::BridgeNeedsLegacyBuild,
];

/// The same after the ServerHello.
const OPEN_AFTER_HELLO: &[Cause] = &[
    Cause::TlsClientRefusedChoice,
    Cause::TlsClientClosedSilently,
    Cause::TlsNoCommonGroupOrSigalg,
    Cause::CertExpired,
    Cause::CertNotYetValid,
    Cause::CertUntrustedCa,
    Cause::CertNameMismatch,
    Cause::CertWeak,
    Cause::CertWrongEku,
    Cause::ClosedAfterTlsUnknown,
];

/// A profile may change a verdict with this cause in this phase.
pub(in super::super) fn is_open(cause: Cause, phase: Phase) -> bool {
    match phase {
        Phase::TlsHello => OPEN_IN_HELLO.contains(&cause),
        Phase::TlsFinish | Phase::Credssp | Phase::Mcs => OPEN_AFTER_HELLO.contains(&cause),
        _ => false,
    }
}

/// The verdict on `timeline` with `profile` at hand.
pub(in super::super) fn judge(timeline: &Timeline, profile: &HostProfile) -> Verdict {
    let first = super::judge(timeline);
    if first.outcome() != Outcome::Failure || !is_open(first.cause, first.phase) {
        return first;
    }
    // It has taken this client's hello: a profile in which it takes none is of another time, or of another name.
    if timeline.server_hello.is_some() && Ability::of(profile).is_none() {
        return first;
    }
    // TLS 1.3 hides the certificate; the probe saw it in an older version, or inside.
    let hidden = timeline.certificate.is_none() && timeline.server_hello.is_some() && profile.certificate.is_some();
    let filled =
        hidden.then(|| Timeline { certificate: profile.certificate.clone().map(Box::new), ..timeline.clone() });
    let case = Case::new(filled.as_ref().unwrap_or(timeline));
    let probed = Probed { profile, case: &case, certificate_is_ours: hidden };
    let first = if hidden { super::judge(case.timeline) } else { first };
    let finding = match case.server_hello() {
        _ if matches!(first.cause, Cause::BridgeLegFailed | Cause::BridgeNeedsLegacyBuild) => {
            of_bridge(&probed, &first)
        }
        None => hello::second_look(&probed, &first),
        Some(choice) => finish::second_look(&probed, &first, choice),
    };
    probed.verdict(first, finding.map(|finding| super::gateway::in_its_place(&case, finding)))
}

/// A bridge whose leg to the host, as far as this build could have one, did not come up.
fn of_bridge(probed: &Probed<'_>, first: &Verdict) -> Option<Finding> {
    match Ability::of(probed.profile) {
        Some(host) => super::bridge::second_look(&host, first.cause, probed.most()),
        None if super::bridge::client_leg_failed(probed.case) => None,
        None => hello::second_look(probed, first),
    }
}

/// A connection and the profile of its host.
struct Probed<'a> {
    profile: &'a HostProfile,
    case: &'a Case<'a>,
    /// The certificate in the case is the probe's.
    certificate_is_ours: bool,
}

impl Probed<'_> {
    /// The most that the profile can support.
    fn most(&self) -> Confidence {
        let end = self.case.end();
        let apart = end.since(self.profile.ended).max(self.profile.ended.since(end));
        let whole = self.profile.completeness == Completeness::Complete;
        if whole && apart <= FRESH { Confidence::Proven } else { Confidence::Likely }
    }

    /// Every answer the host gave to a ClientHello.
    fn reactions(&self) -> impl Iterator<Item = &Reaction> {
        let versions = self.profile.versions.iter().map(|version| &version.reaction);
        let ladder = self.profile.ladder.iter().map(|step| &step.reaction);
        let sizes = self.profile.hello_sizes.iter().map(|(_, reaction)| reaction);
        versions.chain(ladder).chain(sizes).filter(|reaction| !matches!(reaction, Reaction::NotReached(_)))
    }

    /// What the client's own hello got when it was sent again.
    fn replayed(&self) -> Option<&Reaction> {
        let step = self.profile.ladder.iter().find(|step| step.change == LadderChange::AsSent)?;
        (!matches!(step.reaction, Reaction::NotReached(_))).then_some(&step.reaction)
    }

    /// `first`, or what `finding` makes of it; either way with the probe as evidence.
    fn verdict(&self, first: Verdict, finding: Option<Finding>) -> Verdict {
        let mut added = vec![words::probe(self)];
        added.extend(words::ladder(self));
        let Some(finding) = finding else {
            let most = if self.certificate_is_ours { self.most() } else { Confidence::Proven };
            return Verdict {
                confidence: first.confidence.min(most),
                evidence: joined(first.evidence, added),
                ..first
            };
        };
        let same = finding.cause == first.cause;
        let second = finding.into_verdict(self.case);
        let remedy = if same { joined(first.remedy, second.remedy) } else { second.remedy };
        Verdict {
            evidence: joined(joined(first.evidence, added), second.evidence),
            remedy,
            phase: first.phase,
            ..second
        }
    }
}

/// `more` behind `first`, each sentence once.
fn joined(mut first: Vec<String>, more: Vec<String>) -> Vec<String> {
    for item in more {
        if !item.is_empty() && !first.contains(&item) {
            first.push(item);
        }
    }
    first
}
