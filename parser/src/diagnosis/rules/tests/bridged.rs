//! What a host does to the bridge, told as what it would have done to the client.

use super::build::{Build, at};
use super::{Cause, Peer, Side, diagnose};
use crate::session::{BridgeCut, BridgeFacts, BridgeOutcome, BridgeReason};
use crate::wire::AlertDescription;

const CERTIFICATE_REQUIRED: AlertDescription = AlertDescription(116);

fn bridged(build: Build, reason: BridgeReason, outcome: BridgeOutcome, cut: Option<BridgeCut>) -> Build {
    let facts = BridgeFacts { reason, outcome, client: None, host: None, refused_with: None, cut };
    build.with(|t| t.bridge = Some(Box::new(facts)))
}

fn host_failed(alert: Option<AlertDescription>, exhausted: bool) -> BridgeOutcome {
    BridgeOutcome::LegFailed { leg: Peer::Host, alert, words: "no answer".to_owned(), exhausted }
}

#[test]
fn a_host_that_wants_the_clients_certificate_is_no_failure_of_a_leg() {
    let hello = Build::agreed(1).hello(&[0x0304, 0x0303], 310);
    let failed = host_failed(Some(CERTIFICATE_REQUIRED), false);
    let refused = bridged(hello, BridgeReason::Always, failed, None).host_left(20);
    // In TLS 1.3 the host says so when the leg is up.
    let cut = BridgeCut { leg: Peer::Host, alert: Some(CERTIFICATE_REQUIRED), words: String::new(), at: at(190) };
    let up = bridged(Build::established(1), BridgeReason::Always, BridgeOutcome::Carried, Some(cut)).host_left(200);
    for build in [refused, up] {
        let verdict = diagnose(&build.0);
        assert_eq!((verdict.cause, verdict.side), (Cause::NegUserCertRequired, Side::Both), "{:?}", verdict.evidence);
        assert!(verdict.remedy[0].contains("Do not bridge"), "{:?}", verdict.remedy);
    }
}

#[test]
fn a_host_that_hangs_up_on_every_hello_is_told_as_without_a_bridge() {
    let hello = Build::agreed(1).hello(&[0x0304, 0x0303], 310);
    let hung_up = hello.with(|t| t.tls.clear_ultimatum = Some(at(15)));
    let verdict = diagnose(&bridged(hung_up, BridgeReason::Rescue, host_failed(None, true), None).host_left(20).0);
    assert_eq!((verdict.cause, verdict.side), (Cause::TlsServerRefusedHelloSilently, Side::Host), "{verdict:?}");
    for rival in [Cause::CertPrivateKeyUnusable, Cause::BridgeNeedsLegacyBuild] {
        assert!(verdict.alternatives.contains(&rival), "{:?}", verdict.alternatives);
    }
    assert!(verdict.evidence.iter().any(|line| line.contains("no answer")), "{:?}", verdict.evidence);
    // Behind an alert the disconnect says nothing more.
    let alert = Build::agreed(1).hello(&[0x0303], 310).alert(Peer::Host, 70, 14);
    let refused = alert.with(|t| t.tls.clear_ultimatum = Some(at(15)));
    let failed = host_failed(Some(AlertDescription::PROTOCOL_VERSION), true);
    let verdict = diagnose(&bridged(refused, BridgeReason::Rescue, failed, None).host_left(20).0);
    assert_eq!(verdict.cause, Cause::BridgeNeedsLegacyBuild, "{verdict:?}");
}
