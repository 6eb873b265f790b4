use super::*;
use parser::Timestamp;
use parser::profile::{CredsspFacts, Reaction, VersionAbility};

fn certificate() -> CertificateFacts {
    CertificateFacts {
        subject: "CN=old.example".to_owned(),
        not_after: 1_000_000,
        key_algorithm: "RSA".to_owned(),
        key_bits: 1024,
        signature_algorithm: "sha1WithRSAEncryption".to_owned(),
        alternative_names: vec!["*.example".to_owned()],
        ..CertificateFacts::default()
    }
}

#[test]
fn a_certificate_is_judged_by_date_key_signature_and_name() {
    let mut all = Vec::new();
    judge_certificate(&certificate(), "rds.example", 2_000_000, &mut all);
    let causes: Vec<_> = all.iter().filter_map(|finding| finding.cause).collect();
    assert_eq!(causes, [Cause::CertExpired, Cause::CertWeak, Cause::CertWeak]);
    all.clear();
    judge_certificate(&certificate(), "rds.other", 0, &mut all);
    assert!(all.iter().any(|finding| finding.cause == Some(Cause::CertNameMismatch)));
}

#[test]
fn a_confirm_to_no_request_is_no_way_in_without_tls() {
    let selected = NegotiationAnswer::Answered(Answer::Selected { protocol: Protocols(2), flags: Default::default() });
    let required = NegotiationAnswer::Answered(Answer::Failure(parser::wire::FailureCode(1)));
    let plain = NegotiationAnswer::Answered(Answer::Plain);
    let mut profile = HostProfile {
        negotiation: vec![(Some(Protocols(0x0b)), selected), (Some(Protocols(0)), required), (None, plain.clone())],
        ..HostProfile::default()
    };
    assert_eq!(findings(&profile, "h", &[], 0), []);
    profile.negotiation[1].1 = plain;
    assert_eq!(findings(&profile, "h", &[], 0).len(), 1);
}

#[test]
fn a_host_that_refuses_tls_is_told_by_its_reason() {
    let refusing = |code| {
        let failure = NegotiationAnswer::Answered(Answer::Failure(parser::wire::FailureCode(code)));
        let negotiation = [0x0b, 3, 1].map(|asked| (Some(Protocols(asked)), failure.clone())).to_vec();
        let all = findings(&HostProfile { negotiation, ..HostProfile::default() }, "h", &[], 0);
        (all.len(), all[0].cause, all[0].remedy.clone())
    };
    for (code, cause) in [
        (2, Cause::NegSslNotAllowed),
        (3, Cause::NegSslCertMissing),
        (5, Cause::NlaRequired),
        (6, Cause::NegUserCertRequired),
        (99, Cause::NegFailureOther),
    ] {
        let (count, told, remedy) = refusing(code);
        assert_eq!((count, told), (1, Some(cause)), "{code}");
        assert_eq!(remedy.contains("Require use of specific security layer"), code == 2, "{code}: {remedy}");
    }
}

#[test]
fn a_host_that_minds_the_name_is_not_said_to_have_a_dead_key() {
    let refusing = |alert| {
        let version = |version| VersionAbility {
            version,
            reaction: Reaction::Alert(AlertDescription(alert)),
            suites: Vec::new(),
            host_order: false,
            complete: true,
        };
        let versions = parser::profile::VERSIONS.into_iter().map(version).collect();
        let profile = HostProfile { tls_first: true, versions, ..HostProfile::default() };
        findings(&profile, "rds.example", &[], 0).remove(0)
    };
    assert_eq!(refusing(40).cause, Some(Cause::CertPrivateKeyUnusable));
    let minding = refusing(112);
    assert_eq!(minding.cause, Some(Cause::TlsAlertOther));
    assert!(minding.what.contains("rds.example") && minding.remedy.contains("--sni"), "{minding:?}");
}

#[test]
fn an_old_credssp_and_a_wrong_clock_are_found() {
    let judged = |version, host_seconds: u64| {
        let host_time = Some(Timestamp(host_seconds * 1_000_000_000));
        let facts = CredsspFacts { version, host_time, ..CredsspFacts::default() };
        let mut all = Vec::new();
        let ended = Timestamp(10_000 * 1_000_000_000);
        credssp(&HostProfile { ended, credssp: Some(facts), ..HostProfile::default() }, &mut all);
        all
    };
    assert_eq!(judged(5, 10_300), []);
    assert_eq!(judged(6, 9_700), []);
    let behind = judged(6, 9_699);
    assert!(behind[0].what.contains("5 minutes behind"), "{behind:?}");
    let both: Vec<_> = judged(4, 20_000).iter().filter_map(|finding| finding.cause).collect();
    assert_eq!(both, [Cause::CredsspOracleRemediation, Cause::CertNotYetValid]);
}

#[test]
fn worst_comes_first_and_a_sound_host_has_no_finding() {
    let ability = |version, suites: &[u16]| VersionAbility {
        version,
        reaction: Reaction::Silence,
        suites: suites.iter().map(|code| CipherSuite(*code)).collect(),
        host_order: true,
        complete: true,
    };
    let selected = |protocol| {
        NegotiationAnswer::Answered(Answer::Selected { protocol: Protocols(protocol), flags: Default::default() })
    };
    let mut profile = HostProfile {
        negotiation: vec![(Some(Protocols(0x0b)), selected(2))],
        versions: vec![ability(TlsVersion::TLS12, &[0xc030])],
        ..HostProfile::default()
    };
    assert_eq!(findings(&profile, "h", &[], 0), []);
    profile.versions = vec![ability(TlsVersion::TLS12, &[0x0005]), ability(TlsVersion::TLS10, &[0x0005])];
    let severities: Vec<_> = findings(&profile, "h", &[], 0).iter().map(|finding| finding.severity).collect();
    assert_eq!(severities, [Severity::Broken, Severity::Weak, Severity::Weak]);
}
