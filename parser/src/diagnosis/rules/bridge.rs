//! What a bridge did, and what that makes of a verdict.

use super::super::{Cause, Confidence};
use super::case::Case;
use super::finding::Finding;
use crate::session::{BridgeBlock, BridgeFacts, BridgeLeg, BridgeOutcome, BridgeReason};

/// The bridge was needed and did not come up, or could not be used: that is the cause, with what it was needed for.
pub(super) fn not_carried(case: &Case<'_>) -> Option<Finding> {
    let facts = case.timeline.bridge.as_deref()?;
    // The client leg may be all that was missing: what the client did then has rules of its own.
    if case.established() {
        return None;
    }
    let finding = match &facts.outcome {
        BridgeOutcome::Carried => return None,
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
        BridgeOutcome::LegFailed { leg, words, .. } => Finding::proven(Cause::BridgeLegFailed)
            .because(format!("TLS between the bridge and the {} failed: {words}.", leg.name()))
            .message(format!("The bridge could not complete TLS with the {}: {words}", leg.name())),
    };
    Some(finding.because(why(facts)))
}

/// A healthy session under its own name, and what a bridge adds to the evidence of any other.
pub(super) fn in_its_place(case: &Case<'_>, mut finding: Finding) -> Finding {
    let Some(facts) = case.timeline.bridge.as_deref() else { return finding };
    match &facts.outcome {
        BridgeOutcome::Carried => {
            if finding.cause == Cause::Ok {
                finding.cause = Cause::OkBridged;
            }
            let leg = |name: &str, leg: Option<BridgeLeg>| {
                let said = leg.map(|leg| format!("{} with {}", leg.version, leg.suite));
                format!("{name} {}", said.unwrap_or_default())
            };
            let (client, host) = (leg("client leg", facts.client), leg("host leg", facts.host));
            finding.because(format!("Bridged: {client}, {host}."))
        }
        BridgeOutcome::Blocked(by) if facts.reason != BridgeReason::Always => {
            let finding = finding.because(blocked(*by));
            if *by == BridgeBlock::FailedBefore { finding.weakened(Confidence::Likely) } else { finding }
        }
        _ => finding,
    }
}

fn why(facts: &BridgeFacts) -> String {
    match (facts.reason, facts.refused_with) {
        (BridgeReason::Always, _) => String::new(),
        (BridgeReason::Profile, _) => "A probe of the host shows that it has no answer to this hello.".to_owned(),
        (BridgeReason::Rescue, Some(alert)) => format!("The host refused the client's own hello with {alert}."),
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
        BridgeBlock::FailedBefore => "the same rescue failed within the last ten minutes",
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
        let facts = BridgeFacts { reason, outcome, client: None, host: None, refused_with };
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
    fn a_leg_that_failed_is_named_with_the_words_of_its_library() {
        let words = "no pin is its; the certificate it showed is sha256:00".to_owned();
        let untrusted = verdict(BridgeReason::Always, BridgeOutcome::HostUntrusted(words));
        assert_eq!(untrusted.cause, Cause::BridgeHostUntrusted);
        assert!(untrusted.evidence.iter().any(|line| line.contains("sha256:00")));
        let failed = BridgeOutcome::LegFailed { leg: Peer::Host, alert: None, words: "no answer".to_owned() };
        let failed = verdict(BridgeReason::Profile, failed);
        assert_eq!(failed.cause, Cause::BridgeLegFailed);
        assert!(failed.message.contains("the host: no answer"), "{}", failed.message);
    }

    #[test]
    fn standing_aside_from_a_pair_that_may_not_need_it_is_no_cause() {
        let aside = verdict(BridgeReason::Always, BridgeOutcome::Blocked(BridgeBlock::Nla));
        assert_ne!(aside.cause, Cause::BridgeBlockedByNla);
    }
}
