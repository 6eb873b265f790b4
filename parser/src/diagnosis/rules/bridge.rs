//! What a bridge did, and what that makes of a verdict.

use super::super::{Cause, Confidence, Side};
use super::case::Case;
use super::finding::Finding;
use crate::profile::Ability;
use crate::session::{BridgeBlock, BridgeCut, BridgeFacts, BridgeLeg, BridgeOutcome, BridgeReason, Peer};
use crate::wire::{AlertDescription, CipherSuite, SuiteClass, TlsVersion};

/// RFC 8446 6.2
const CERTIFICATE_REQUIRED: AlertDescription = AlertDescription(116);

/// The bridge was needed and did not come up, or could not be used: that is the cause, with what it was needed for.
pub(super) fn not_carried(case: &Case<'_>) -> Option<Finding> {
    let facts = case.timeline.bridge.as_deref()?;
    // The client leg may be all that was missing: what the client did then has rules of its own.
    if case.established() {
        return None;
    }
    let outcome = match &facts.outcome {
        BridgeOutcome::FailedBefore(before) => match &**before {
            // A leg that would not come up, and no more is known, explains less than what it was needed for.
            BridgeOutcome::LegFailed { alert, exhausted: false, .. } if *alert != Some(CERTIFICATE_REQUIRED) => {
                return None;
            }
            before => before,
        },
        outcome => outcome,
    };
    let finding = match outcome {
        BridgeOutcome::Carried | BridgeOutcome::FailedBefore(_) => return None,
        // Always: nothing shows that the pair needed it.
        BridgeOutcome::Blocked(_) if facts.reason == BridgeReason::Always => return None,
        BridgeOutcome::Blocked(BridgeBlock::Nla) => Finding::proven(Cause::BridgeBlockedByNla)
            .message("Client and host cannot meet in TLS, and NLA keeps the bridge out: it has not the host's own key"),
        BridgeOutcome::Blocked(BridgeBlock::LegacyBuild(peer)) => Finding::proven(Cause::BridgeNeedsLegacyBuild)
            .because(format!("The leg to the {} needs TLS below 1.2, CBC or RSA key exchange.", peer.name()))
            .message(format!("The {} needs a TLS that only a build with the legacy leg can bridge", peer.name())),
        // The failure underneath is the cause.
        BridgeOutcome::Blocked(_) => return None,
        BridgeOutcome::HostUntrusted(words) => Finding::proven(Cause::BridgeHostUntrusted)
            .because(format!("The host leg was not trusted: {words}."))
            .message("The bridge does not trust the host: its certificate is not the one configured"),
        // The bridge's own hello came to what the client's had come to, and the host has shown what that is.
        BridgeOutcome::LegFailed { leg: Peer::Host, .. } if shown_by_the_host(case, facts) => return None,
        BridgeOutcome::LegFailed { leg: Peer::Host, alert: Some(CERTIFICATE_REQUIRED), .. } => {
            client_certificate(facts.reason)
        }
        BridgeOutcome::LegFailed { leg, words, exhausted, alert } => {
            let failed = format!("TLS between the bridge and the {} failed: {words}.", leg.name());
            leg_failed(*leg, words, exhausted.then_some(*alert)).because(failed)
        }
    };
    Some(finding.because(why(case, facts)))
}

/// The host answered the client's own hello with a clear disconnect and no alert: it cannot start TLS, whoever asks. (xrdp sends
/// the disconnect behind an alert too, and then the alert is the answer.)
fn shown_by_the_host(case: &Case<'_>, facts: &BridgeFacts) -> bool {
    let rescue = facts.reason == BridgeReason::Rescue && facts.refused_with.is_none();
    rescue && case.alert_from(Peer::Host).is_none() && case.seen(case.timeline.tls.clear_ultimatum)
}

/// The host wants a client certificate, and only the client could show one. RFC 8446 4.3.2
fn client_certificate(reason: BridgeReason) -> Finding {
    let first = match reason {
        BridgeReason::Always => {
            "Do not bridge this host (`mode = \"off\"` on its listener): the bridge cannot show a certificate that only the client holds."
        }
        _ => {
            "Let client and host meet in TLS without the bridge (`rdpscope probe` shows what the host accepts), or do not require client certificates there: the bridge cannot show what only the client holds."
        }
    };
    Finding::likely(Cause::NegUserCertRequired)
        .side(Side::Both)
        .rivals(&[Cause::BridgeLegFailed])
        .because("The host refused the bridge for the want of a client certificate (alert certificate_required).")
        .first_do(first)
        .message("The host requires a client certificate, which the bridge cannot show")
}

/// A leg that was up failed here, most often because what came in it does not open: the bridge ended the session, and no peer
/// is to blame for the close.
pub(super) fn cut_here(case: &Case<'_>) -> Option<Finding> {
    let BridgeCut { leg, words, .. } = cut(case).filter(|cut| cut.alert.is_none())?;
    let name = leg.name();
    Some(
        Finding::proven(Cause::BridgeLegFailed)
            .in_phase(case.phase())
            .because(format!("TLS between the bridge and the {name} failed after both legs were up: {words}."))
            .because(case.volume())
            .first_do(format!("Look for what changes bytes between this proxy and the {name}: a record that was changed on its way does not open."))
            .first_do("Where it comes again with nothing in between, bridge this host no more and report the evidence with the version of rdpscope: the fault may be the bridge's.")
            .message(format!("The bridge ended the session in phase {}: TLS with the {name} failed: {words}", case.phase())),
    )
}

/// How a leg of a bridged session ended it, if that was its first end.
fn cut<'a>(case: &Case<'a>) -> Option<&'a BridgeCut> {
    case.timeline.bridge.as_deref()?.cut.as_ref().filter(|cut| case.seen(Some(cut.at)))
}

/// `beyond`: how the host refused all that this build speaks, if there is more that only another build does.
fn leg_failed(leg: Peer, words: &str, beyond: Option<Option<AlertDescription>>) -> Finding {
    let failed = Finding::proven(Cause::BridgeLegFailed)
        .message(format!("The bridge could not complete TLS with the {}: {words}", leg.name()));
    match beyond {
        None => failed,
        // Neither TLS 1.2 nor 1.3: what is left is older.
        Some(Some(AlertDescription::PROTOCOL_VERSION)) => Finding::proven(Cause::BridgeNeedsLegacyBuild)
            .because("The host was offered TLS 1.2 and 1.3 and speaks neither.")
            .message("The host needs TLS below 1.2, which only a build with the legacy leg can bridge"),
        Some(Some(AlertDescription::HANDSHAKE_FAILURE | AlertDescription::INSUFFICIENT_SECURITY)) => {
            Finding::likely(Cause::BridgeNeedsLegacyBuild)
                .because("The host took none of the ECDHE suites with AES-GCM or ChaCha20-Poly1305, which are all that this build has.")
                .rivals(&[Cause::BridgeLegFailed])
                .message("The host needs CBC or RSA key exchange, which only a build with the legacy leg can bridge")
        }
        // Hosts close without a word for other reasons too.
        Some(_) => failed
            .because("This build has no legacy leg: TLS below 1.2, CBC and RSA key exchange were not tried with the host.")
            .rivals(&[Cause::BridgeNeedsLegacyBuild])
            .weakened(Confidence::Likely),
    }
}

/// It was the leg to the client that did not come up.
pub(super) fn client_leg_failed(case: &Case<'_>) -> bool {
    let outcome = case.timeline.bridge.as_deref().map(|facts| &facts.outcome);
    matches!(outcome, Some(BridgeOutcome::LegFailed { leg: Peer::Client, .. }))
}

/// What a probe says of a host whose leg failed: has it anything that the modern leg speaks?
pub(super) fn second_look(host: &Ability, first: Cause, most: Confidence) -> Option<Finding> {
    let modern = |suite: &CipherSuite| {
        suite
            .info()
            .is_some_and(|info| info.class == SuiteClass::Modern && matches!(info.key_exchange, "any" | "ECDHE"))
    };
    let common = |(version, suites): &(TlsVersion, Vec<CipherSuite>)| {
        let suite = suites.iter().find(|suite| modern(suite)).filter(|_| *version >= TlsVersion::TLS12);
        suite.map(|suite| format!("{version} with {suite}"))
    };
    let versions: Vec<String> = host.versions.iter().map(|(version, _)| version.to_string()).collect();
    match host.versions.iter().find_map(common) {
        None => Some(
            Finding::new(Cause::BridgeNeedsLegacyBuild, most)
                .because(format!("The host accepts {}, and in none of them an ECDHE suite with AES-GCM or ChaCha20-Poly1305 and TLS 1.2 or newer.", versions.join(", ")))
                .message("The host needs TLS below 1.2, CBC or RSA key exchange, which only a build with the legacy leg can bridge"),
        ),
        Some(common) if first == Cause::BridgeNeedsLegacyBuild => Some(
            Finding::likely(Cause::BridgeLegFailed)
                .because(format!("The host accepts {common}, which this build has: that is not what it refused."))
                .message("The bridge could not complete TLS with the host, which accepts what it was offered"),
        ),
        Some(_) => None,
    }
}

/// A healthy session under its own name, and what a bridge adds to the evidence of any other.
pub(super) fn in_its_place(case: &Case<'_>, mut finding: Finding) -> Finding {
    let facts = case.timeline.bridge.as_deref();
    let carried = case.is_read() || facts.is_some_and(|facts| facts.outcome == BridgeOutcome::Carried);
    if finding.cause == Cause::Ok && carried {
        finding.cause = Cause::OkBridged;
    }
    let Some(facts) = facts else { return finding };
    let finding = match cut(case) {
        Some(BridgeCut { leg, alert: Some(alert), .. }) => by_alert(case, finding, *leg, *alert),
        _ => finding,
    };
    match &facts.outcome {
        BridgeOutcome::Carried => {
            let leg = |name: &str, leg: Option<BridgeLeg>| {
                let said = leg.map(|leg| format!("{} with {}", leg.version, leg.suite));
                format!("{name} {}", said.unwrap_or_default())
            };
            let (client, host) = (leg("client leg", facts.client), leg("host leg", facts.host));
            finding.because(format!("Bridged: {client}, {host}."))
        }
        BridgeOutcome::LegFailed { leg: Peer::Host, words, .. } if shown_by_the_host(case, facts) => finding
            .because(format!("TLS between the bridge and the host failed as well: {words}."))
            .rivals(&[Cause::BridgeNeedsLegacyBuild]),
        BridgeOutcome::Blocked(by) if facts.reason != BridgeReason::Always => finding.because(blocked(*by)),
        BridgeOutcome::FailedBefore(before) => {
            let how = match &**before {
                BridgeOutcome::LegFailed { words, .. } => format!(" ({words})"),
                _ => String::new(),
            };
            finding
                // What was found then may have been mended since.
                .because(format!("The bridge stood aside: within the last ten minutes it did not come up for such a client and this host{how}."))
                .weakened(Confidence::Likely)
        }
        _ => finding,
    }
}

/// A peer ended its leg with a fatal alert: the cause where nothing else explains the end, and else a part of the evidence.
fn by_alert(case: &Case<'_>, finding: Finding, leg: Peer, alert: AlertDescription) -> Finding {
    let name = leg.name();
    let unexplained = matches!(finding.cause, Cause::UnknownClose | Cause::ClosedAfterTlsUnknown);
    let finding = if unexplained && (leg, alert) == (Peer::Host, CERTIFICATE_REQUIRED) {
        let reason = case.timeline.bridge.as_deref().map_or(BridgeReason::Always, |facts| facts.reason);
        client_certificate(reason).in_phase(case.phase())
    } else if unexplained {
        Finding::likely(Cause::BridgeLegFailed)
            .in_phase(case.phase())
            .because(case.volume())
            .message(format!("The {name} ended TLS with the bridge in phase {}: alert {alert}", case.phase()))
    } else {
        finding
    };
    finding.because(format!("The {name} ended its leg with the fatal alert {alert}."))
}

fn why(case: &Case<'_>, facts: &BridgeFacts) -> String {
    match (facts.reason, facts.refused_with) {
        (BridgeReason::Always, _) => String::new(),
        (BridgeReason::Profile, _) => "A probe of the host shows that it has no answer to this hello.".to_owned(),
        (BridgeReason::Rescue, Some(alert)) => format!("The host refused the client's own hello with {alert}."),
        (BridgeReason::Rescue, None) if shown_by_the_host(case, facts) => {
            "The host answered the client's own hello with a clear disconnect.".to_owned()
        }
        (BridgeReason::Rescue, None) => "The host refused the client's own hello by closing.".to_owned(),
    }
}

fn blocked(by: BridgeBlock) -> String {
    let words = match by {
        BridgeBlock::Nla | BridgeBlock::LegacyBuild(_) => return String::new(),
        BridgeBlock::Rdstls => "RDSTLS binds the host's certificate",
        BridgeBlock::Entra => "Microsoft Entra ID sign-in binds the host's key",
        BridgeBlock::RemoteCredentialGuard => "Remote Credential Guard binds the host",
        BridgeBlock::Gateway => "a gateway's sign-in binds its certificate, and the bridge has another one",
        BridgeBlock::ClientWindow => "the client offers nothing within `client_versions`",
    };
    format!("The bridge stood aside: {words}.")
}

#[cfg(test)]
mod tests {
    use super::super::super::{Verdict, diagnose};
    use super::*;
    use crate::Timestamp;
    use crate::session::{Close, CloseKind, Closer, Peer, Timeline};
    use crate::wire::AlertDescription;

    fn verdict(reason: BridgeReason, outcome: BridgeOutcome) -> Verdict {
        let refused_with = Some(AlertDescription::PROTOCOL_VERSION);
        let facts = BridgeFacts { reason, outcome, client: None, host: None, refused_with, cut: None };
        let close = Close { by: Closer::Host, kind: CloseKind::Fin, at: Timestamp(9) };
        diagnose(&Timeline { bridge: Some(Box::new(facts)), closes: vec![close], ..Timeline::default() })
    }

    #[test]
    fn what_kept_the_bridge_from_a_pair_that_needs_it_is_the_cause() {
        let blocked = |by| verdict(BridgeReason::Rescue, BridgeOutcome::Blocked(by));
        let nla = blocked(BridgeBlock::Nla);
        assert_eq!((nla.cause, nla.confidence), (Cause::BridgeBlockedByNla, Confidence::Proven));
        assert!(nla.evidence.iter().any(|line| line.contains("protocol_version (70)")), "{:?}", nla.evidence);
        assert!(nla.remedy.iter().any(|line| line.contains("private_key")), "{:?}", nla.remedy);
        assert_eq!(blocked(BridgeBlock::LegacyBuild(Peer::Client)).cause, Cause::BridgeNeedsLegacyBuild);
        let entra = blocked(BridgeBlock::Entra);
        assert!(entra.cause != Cause::BridgeBlockedByNla);
        assert!(entra.evidence.iter().any(|line| line.contains("Entra")), "{:?}", entra.evidence);
    }

    #[test]
    fn what_kept_the_bridge_away_before_is_told_again_and_as_likely() {
        let before = |outcome| verdict(BridgeReason::Rescue, BridgeOutcome::FailedBefore(Box::new(outcome)));
        for (outcome, cause) in [
            (BridgeOutcome::HostUntrusted("no pin is its".to_owned()), Cause::BridgeHostUntrusted),
            (BridgeOutcome::Blocked(BridgeBlock::Nla), Cause::BridgeBlockedByNla),
            (host_failed(Some(AlertDescription::PROTOCOL_VERSION), true), Cause::BridgeNeedsLegacyBuild),
            (host_failed(Some(CERTIFICATE_REQUIRED), false), Cause::NegUserCertRequired),
        ] {
            let verdict = before(outcome);
            assert_eq!((verdict.cause, verdict.confidence), (cause, Confidence::Likely));
            assert!(verdict.evidence.iter().any(|line| line.contains("ten minutes")), "{:?}", verdict.evidence);
        }
        let leg = before(host_failed(None, false));
        assert_ne!(leg.cause, Cause::BridgeLegFailed);
        assert!(leg.evidence.iter().any(|line| line.contains("ten minutes") && line.contains("no answer")));
    }

    #[test]
    fn a_leg_that_failed_is_named_with_the_words_of_its_library() {
        let words = "no pin is its; the certificate it showed is sha256:00".to_owned();
        let untrusted = verdict(BridgeReason::Always, BridgeOutcome::HostUntrusted(words));
        assert_eq!(untrusted.cause, Cause::BridgeHostUntrusted);
        assert!(untrusted.evidence.iter().any(|line| line.contains("sha256:00")));
        let failed = verdict(BridgeReason::Profile, host_failed(None, false));
        assert_eq!((failed.cause, failed.confidence), (Cause::BridgeLegFailed, Confidence::Proven));
        assert!(failed.message.contains("the host: no answer"), "{}", failed.message);
    }

    fn host_failed(alert: Option<AlertDescription>, exhausted: bool) -> BridgeOutcome {
        BridgeOutcome::LegFailed { leg: Peer::Host, alert, words: "no answer".to_owned(), exhausted }
    }

    #[test]
    fn a_host_that_needs_what_another_build_speaks_is_named_as_far_as_its_answer_goes() {
        for (alert, exhausted, cause, confidence) in [
            (Some(AlertDescription::PROTOCOL_VERSION), true, Cause::BridgeNeedsLegacyBuild, Confidence::Proven),
            (Some(AlertDescription::HANDSHAKE_FAILURE), true, Cause::BridgeNeedsLegacyBuild, Confidence::Likely),
            (Some(AlertDescription::INTERNAL_ERROR), true, Cause::BridgeLegFailed, Confidence::Likely),
            (None, true, Cause::BridgeLegFailed, Confidence::Likely),
            (Some(AlertDescription::PROTOCOL_VERSION), false, Cause::BridgeLegFailed, Confidence::Proven),
        ] {
            for reason in [BridgeReason::Always, BridgeReason::Rescue] {
                let verdict = verdict(reason, host_failed(alert, exhausted));
                assert_eq!((verdict.cause, verdict.confidence), (cause, confidence), "{alert:?}");
            }
        }
    }

    #[test]
    fn a_probe_decides_whether_a_host_needs_another_build() {
        let able =
            |version, suite| Ability { versions: vec![(version, vec![CipherSuite(suite)])], ..Ability::default() };
        let look = |host: &Ability, first| {
            let finding = second_look(host, first, Confidence::Proven);
            finding.map(|finding| (finding.cause, finding.is_proven()))
        };
        let needs = Some((Cause::BridgeNeedsLegacyBuild, true));
        let old = able(TlsVersion::TLS10, 0xc014);
        assert_eq!(look(&old, Cause::BridgeLegFailed), needs);
        assert_eq!(look(&able(TlsVersion::TLS12, 0x009c), Cause::BridgeLegFailed), needs, "RSA key exchange");
        let modern = able(TlsVersion::TLS12, 0xc02f);
        assert_eq!(look(&modern, Cause::BridgeLegFailed), None);
        assert_eq!(look(&modern, Cause::BridgeNeedsLegacyBuild), Some((Cause::BridgeLegFailed, false)));
    }

    #[test]
    fn standing_aside_from_a_pair_that_may_not_need_it_is_no_cause() {
        let aside = verdict(BridgeReason::Always, BridgeOutcome::Blocked(BridgeBlock::Nla));
        assert_ne!(aside.cause, Cause::BridgeBlockedByNla);
    }
}
