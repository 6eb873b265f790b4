//! After the ServerHello: the client did not like what it got. The profile knows what else the host has, and the
//! certificate that TLS 1.3 hides.

use super::super::certificate::{self, Objection};
use super::super::finding::Finding;
use super::super::words::{list, version_name};
use super::Probed;
use crate::diagnosis::{Cause, Confidence, Side, Verdict};
use crate::profile::{Ability, Offer, meet, smallest_changes};
use crate::session::{ClientHelloFacts, Closer, ServerHelloFacts};
use crate::wire::TlsVersion;

pub(super) fn second_look(probed: &Probed<'_>, first: &Verdict, choice: &ServerHelloFacts) -> Option<Finding> {
    match first.cause {
        Cause::TlsClientRefusedChoice | Cause::TlsClientClosedSilently => {
            refused_choice(probed, first, probed.case.hello()?, choice)
        }
        Cause::ClosedAfterTlsUnknown => left_after_tls(probed, first),
        // By the rules alone it could have been any certificate; now it is known that this one is out of date.
        Cause::CertExpired | Cause::CertNotYetValid if first.confidence == Confidence::Possible => {
            probed.case.established().then(|| left_after_tls(probed, first)).flatten()
        }
        _ => None,
    }
}

/// What the host could have chosen instead.
fn refused_choice(
    probed: &Probed<'_>,
    first: &Verdict,
    hello: &ClientHelloFacts,
    choice: &ServerHelloFacts,
) -> Option<Finding> {
    let host = Ability::of(probed.profile)?;
    let named = Offer::named(hello);
    // What the client wants in truth: newer than what it refused, where it named something newer.
    let newer: Vec<TlsVersion> = named.versions.iter().copied().filter(|v| *v > choice.version).collect();
    let unnamed = !named.versions.contains(&choice.version);
    let old = choice.version < TlsVersion::TLS12;
    let wants_newer = old && !newer.is_empty();
    if !unnamed && !wants_newer {
        return None;
    }
    let wanted = Offer { versions: newer, ..named.clone() };
    let Err(mismatch) = meet(&wanted, &host) else { return None };
    let accepts = list(host.versions.iter().map(|(v, _)| version_name(*v)), 5);
    let names = list(named.versions.iter().map(|v| version_name(*v)), 5);
    let sentence = match unnamed {
        true => {
            format!("The client named {names}; the host accepts {accepts} and chose {}.", version_name(choice.version))
        }
        false => format!(
            "The client named {}, so no version mismatch: its own policy refuses what comes with it. The host accepts {accepts}.",
            version_name(choice.version)
        ),
    };
    let proven = first.confidence == Confidence::Proven;
    let confidence = if proven { first.confidence } else { Confidence::Likely };
    let changes = smallest_changes(&wanted, &host);
    let rivals: Vec<Cause> =
        first.alternatives.iter().copied().filter(|c| unnamed || *c != Cause::TlsNoCommonVersion).collect();
    let silent = first.cause == Cause::TlsClientClosedSilently;
    // Without an alert the choice is the better name only when the client never named it.
    let cause = if silent && !unnamed { first.cause } else { Cause::TlsClientRefusedChoice };
    let missing = match (unnamed, proven) {
        (_, true) => first.missing.clone(),
        _ => mismatch.missing(&wanted, &host),
    };
    Some(
        Finding::new(cause, if silent && !unnamed { first.confidence } else { confidence })
            .side(if unnamed { Side::Both } else { first.side })
            .because(sentence)
            .rivals_if(unnamed, &[Cause::TlsNoCommonVersion])
            .rivals_if(silent, &[Cause::TlsClientClosedSilently])
            .rivals(&rivals)
            .missing(missing)
            .smallest_change(changes.iter().map(|change| change.text(&host)).collect())
            .message(first.message.clone()),
    )
}

/// TLS was up and the client left without a word of RDP: the certificate may be why.
fn left_after_tls(probed: &Probed<'_>, first: &Verdict) -> Option<Finding> {
    let case = probed.case;
    let said = &case.timeline.progress;
    let spoke = case.seen(said.connect_initial) || case.seen(said.credssp_authenticate);
    if spoke || !case.closed_first(Closer::Client) {
        return None;
    }
    let objections = certificate::objections(case);
    let dated = objections.iter().find(|o| matches!(o.cause, Cause::CertExpired | Cause::CertNotYetValid));
    let causes: Vec<Cause> = objections.iter().map(|o| o.cause).collect();
    let finding = match dated {
        Some(Objection { cause, sentence }) => Finding::likely(*cause)
            .message(format!("Client left after TLS without a word of RDP. {}", sentence.trim_end_matches('.'))),
        None if causes.is_empty() => return None,
        None => Finding::possible(Cause::ClosedAfterTlsUnknown).side(first.side).message(first.message.clone()),
    };
    let finding = objections.iter().fold(finding, |finding, objection| finding.because(objection.sentence.clone()));
    Some(
        finding
            .because_some(certificate::readable(case).map(certificate::sentence))
            .because_some(
                probed
                    .certificate_is_ours
                    .then(|| "The certificate is the one the probe saw; TLS 1.3 hides it here.".to_owned()),
            )
            .rivals(&causes)
            .rivals(&[Cause::ClosedAfterTlsUnknown])
            .rivals(&first.alternatives),
    )
}
