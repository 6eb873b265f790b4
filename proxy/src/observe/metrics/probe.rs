//! A probe into metrics.

use super::names::{self, PROBE_STEPS};
use super::{Metrics, UpstreamMetrics};
use crate::probe::Probed;
use parser::profile::{Completeness, HostProfile, NegotiationAnswer, Reaction, VersionAbility};
use parser::session::Answer;
use parser::wire::Protocols;

impl Metrics {
    /// A probe is over.
    pub(crate) fn probed(&self, probed: &Probed, upstream: &UpstreamMetrics) {
        let (label, profile) = (&*upstream.label, &*probed.profile);
        self.families.probes.with_label_values(&[label, probed.reason.name()]).inc();
        self.families.probe_duration.observe(probed.took.as_secs_f64());
        for (step, reached) in PROBE_STEPS.into_iter().zip(steps(profile)) {
            self.families.probe_success.with_label_values(&[label, step]).set(i64::from(reached));
        }
        for noticed in &probed.changes {
            self.families.host_changes.with_label_values(&[label, noticed.what]).inc();
        }
        for ability in &profile.versions {
            if let Some((version, supported)) = names::version(ability.version).zip(supported(ability)) {
                self.families.host_tls.with_label_values(&[label, names::VERSIONS[version]]).set(i64::from(supported));
            }
        }
        if let Some(certificate) = profile.certificate.as_ref().filter(|c| c.unreadable.is_none()) {
            self.families.certificate.with_label_values(&[label]).set(certificate.not_after as f64);
        }
    }
}

/// The host speaks this version; `None` when silence or a connection that failed leaves it open.
fn supported(ability: &VersionAbility) -> Option<bool> {
    if ability.accepted() {
        return Some(true);
    }
    match ability.reaction {
        // An old host answers a newer hello in its own version.
        Reaction::Hello { version, .. } => Some(version == ability.version),
        Reaction::Retry { .. } => Some(true),
        Reaction::Alert(_) | Reaction::Closed(_) | Reaction::ClearDisconnect => Some(false),
        Reaction::NotTls | Reaction::Silence | Reaction::NotReached(_) => None,
    }
}

/// In the order of [`PROBE_STEPS`].
fn steps(profile: &HostProfile) -> [bool; 4] {
    if matches!(profile.completeness, Completeness::Unreachable(_)) {
        return [false; 4];
    }
    let leads_to_tls = |answer: &NegotiationAnswer| match answer {
        NegotiationAnswer::Answered(Answer::Selected { protocol, .. }) => *protocol != Protocols::RDP,
        _ => false,
    };
    let tls = profile.versions.iter().any(|ability| ability.accepted() || ability.reaction.accepted());
    let negotiation = tls || profile.tls_first || profile.negotiation.iter().any(|(_, answer)| leads_to_tls(answer));
    [true, negotiation, tls, profile.completeness == Completeness::Complete]
}
