//! The lab's captures once more, with a profile of each host as its configuration makes it: every row of `lab/truth.tsv`
//! whose verdict changes with a profile must become what the row says.

use crate::lab::{Row, connections, ports, rows};
use crate::replay;
use parser::diagnosis::{Cause, Confidence, Outcome, Verdict, diagnose, diagnose_with, needs_profile};
use parser::profile::{Completeness, HostProfile, LadderChange, LadderStep, Reaction, VersionAbility};
use parser::session::{CertificateFacts, CloseKind, Timeline};
use parser::wire::{AlertDescription, CipherSuite, NamedGroup, SignatureScheme, TlsVersion};
use std::time::Duration;

const YEAR: i64 = 365 * 86_400;
/// What OpenSSL 3.0 with an RSA key accepts below TLS 1.2 at security level 0, strongest first.
const CBC_RSA: [&str; 7] = [
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_DHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_DHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA",
];
const GCM_RSA: [&str; 4] = [
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
];
const OF_13: [&str; 3] = ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"];
/// The order in which versions are asked about.
const NEWEST_FIRST: [TlsVersion; 5] =
    [TlsVersion::TLS13, TlsVersion::TLS12, TlsVersion::TLS11, TlsVersion::TLS10, TlsVersion::SSL3];

/// A host that accepts these versions with these suites, and refuses the others with `refusal`.
fn host(accepted: &[(TlsVersion, &[&str])], refusal: Reaction, timeline: &Timeline) -> HostProfile {
    let versions = NEWEST_FIRST.map(|version| {
        let names = accepted.iter().find(|(v, _)| *v == version).map_or(&[][..], |(_, names)| names);
        let suites: Vec<CipherSuite> = names.iter().map(|name| CipherSuite::from_name(name).expect(name)).collect();
        let reaction = match suites.first() {
            Some(suite) => Reaction::Hello { version, suite: *suite, group: Some(NamedGroup::X25519) },
            None => refusal.clone(),
        };
        VersionAbility { version, reaction, suites, host_order: true, complete: true }
    });
    let end = timeline.last_event();
    let taking = !accepted.is_empty();
    HostProfile {
        begun: end.plus(Duration::from_secs(1)),
        ended: end.plus(Duration::from_secs(3)),
        handshakes: 40,
        versions: versions.to_vec(),
        groups: if taking { vec![NamedGroup::X25519, NamedGroup::SECP256R1] } else { Vec::new() },
        signature_schemes: if taking {
            [0x0804, 0x0805, 0x0401, 0x0201].map(SignatureScheme).to_vec()
        } else {
            Vec::new()
        },
        certificate: taking.then(|| CertificateFacts {
            subject: "CN=lab.example".into(),
            issuer: "CN=lab.example".into(),
            not_before: end.unix_seconds() - YEAR,
            not_after: end.unix_seconds() + YEAR,
            alternative_names: vec!["lab.example".into()],
            key_algorithm: "RSA".into(),
            key_bits: 2_048,
            signature_algorithm: "sha256WithRSAEncryption".into(),
            self_issued: true,
            chain_length: 1,
            ..CertificateFacts::default()
        }),
        ..HostProfile::default()
    }
}

/// The profile that this case's configuration gives (`LAB.md`, sections 3 and 4).
fn profile(capture: &str, timeline: &Timeline) -> Option<HostProfile> {
    let alert = |code| Reaction::Alert(AlertDescription(code));
    let refusing = |reaction| Some(host(&[], reaction, timeline));
    let xrdp = |accepted: &[(TlsVersion, &[&str])]| Some(host(accepted, alert(70), timeline));
    if let Some(code) = capture.strip_prefix("fault-alert") {
        return refusing(alert(code.parse().ok()?));
    }
    match capture {
        // xrdp that cannot start TLS: its key, or a suite that its library does not have.
        "cert-corrupt-key" | "cert-mismatched-key" => refusing(Reaction::ClearDisconnect),
        _ if capture.starts_with("tls-s3des-") => refusing(Reaction::ClearDisconnect),
        "certv-expired-deny" => {
            let mut profile = xrdp(&[(TlsVersion::TLS13, &OF_13), (TlsVersion::TLS12, &GCM_RSA)])?;
            let certificate = profile.certificate.as_mut()?;
            certificate.not_after = timeline.last_event().unix_seconds() - 86_400;
            Some(profile)
        }
        "certv-prompt-nostdin" | "cut-rst-handshake" => {
            xrdp(&[(TlsVersion::TLS13, &OF_13), (TlsVersion::TLS12, &GCM_RSA)])
        }
        "fault-hang-after-cc" | "fault-hang-after-ch" => {
            let mut profile = host(&[], Reaction::Silence, timeline);
            profile.versions.truncate(1);
            profile.completeness = Completeness::Partial("3 times in a row: no answer to a ClientHello".into());
            Some(profile)
        }
        "fault-partial-sh" => refusing(Reaction::Closed(CloseKind::Fin)),
        "fault-rst-after-ch" | "fault-rst-after-ch-noao" => refusing(Reaction::Closed(CloseKind::Rst)),
        // GnuTLS has alert 40 for what others call 70.
        "tls-gn13-c12" => Some(host(&[(TlsVersion::TLS13, &OF_13)], alert(40), timeline)),
        "tls-gn3des-cdef" => {
            Some(host(&[(TlsVersion::TLS12, &["TLS_RSA_WITH_3DES_EDE_CBC_SHA"])], alert(40), timeline))
        }
        _ if capture.starts_with("tls-s10-") => xrdp(&[(TlsVersion::TLS10, &CBC_RSA)]),
        _ if capture.starts_with("tls-s11-") => xrdp(&[(TlsVersion::TLS11, &CBC_RSA)]),
        _ if capture.starts_with("tls-s12cbc-") => xrdp(&[(TlsVersion::TLS12, &["TLS_RSA_WITH_AES_128_CBC_SHA"])]),
        _ if capture.starts_with("tls-s12-") => xrdp(&[(TlsVersion::TLS12, &GCM_RSA)]),
        _ if capture.starts_with("tls-s13-") => xrdp(&[(TlsVersion::TLS13, &OF_13)]),
        _ => None,
    }
}

/// The rows of which the truth says that a profile changes them, with timeline and profile.
fn cases() -> Vec<(Row, Timeline, HostProfile)> {
    let ports = ports();
    let changed = rows().into_iter().filter(|row| row.with_profile != "=");
    changed
        .map(|row| {
            let timeline = replay::timeline(&connections(&row.capture, ports[&row.capture])[row.connection - 1]);
            let profile = profile(&row.capture, &timeline).unwrap_or_else(|| panic!("{}: no profile", row.capture));
            (row, timeline, profile)
        })
        .collect()
}

fn text(verdict: &Verdict) -> String {
    format!(
        "{}\n  {:?}\n  rivals {:?}\n  change {:#?}",
        verdict.message, verdict.evidence, verdict.alternatives, verdict.smallest_change
    )
}

#[test]
fn every_row_that_a_profile_changes_becomes_what_it_must() {
    let cases = cases();
    assert!(cases.len() >= 40, "{} rows", cases.len());
    let mut wrong = Vec::new();
    for (row, timeline, profile) in &cases {
        let verdict = diagnose_with(timeline, profile);
        if std::env::var_os("GOLDEN_PRINT").is_some() {
            println!("{} -> {} {}: {}", row.capture, verdict.cause, verdict.confidence.name(), text(&verdict));
        }
        let cause = row.with_profile.split('|').any(|cause| cause == verdict.cause.id());
        if !cause || verdict.confidence.name() != row.confidence_with_profile {
            wrong.push(format!(
                "{}: {} {}, must be {} {}: {}",
                row.capture,
                verdict.cause,
                verdict.confidence.name(),
                row.with_profile,
                row.confidence_with_profile,
                text(&verdict)
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn every_verdict_with_a_profile_shows_the_probe_and_can_be_acted_on() {
    for (row, timeline, profile) in cases() {
        let verdict = diagnose_with(&timeline, &profile);
        let name = &row.capture;
        assert_eq!(diagnose_with(&timeline, &profile), verdict, "{name}: deterministic");
        assert!(verdict.evidence.iter().any(|e| e.starts_with("The host was probed 3.")), "{name}: {}", text(&verdict));
        assert!(verdict.evidence.iter().all(|e| e.ends_with('.')), "{name}: {}", text(&verdict));
        assert!(
            !verdict.message.is_empty() && !verdict.message.ends_with('.') && !verdict.message.contains('\n'),
            "{name}"
        );
        assert!(!verdict.alternatives.contains(&verdict.cause), "{name}");
        assert!(verdict.alternatives.is_empty() || verdict.confidence < Confidence::Proven, "{name}");
        assert!(!verdict.remedy.is_empty(), "{name}");
        assert!(verdict.cause.entry().phases.contains(&verdict.phase), "{name}: {}", verdict.phase);
        let broken = ["RC4", "NULL", "EXPORT", "anon", "SSL 3", "SSLv3"];
        assert!(
            verdict.smallest_change.iter().all(|change| broken.iter().all(|word| !change.contains(word))),
            "{name}"
        );
        if matches!(verdict.cause, Cause::TlsNoCommonVersion | Cause::TlsNoCommonCipher)
            && verdict.confidence == Confidence::Proven
        {
            assert!(
                !verdict.missing.client.is_empty() && !verdict.missing.host.is_empty(),
                "{name}: {:?}",
                verdict.missing
            );
            assert!(
                verdict.smallest_change.iter().any(|change| change.starts_with("Host: ")),
                "{name}: {}",
                text(&verdict)
            );
        }
    }
}

#[test]
fn what_a_profile_changes_is_what_it_is_asked_for() {
    for (row, timeline, profile) in cases() {
        let (first, second) = (diagnose(&timeline), diagnose_with(&timeline, &profile));
        assert!(needs_profile(&first) || first.confidence == Confidence::Proven, "{}", row.capture);
        assert!(needs_profile(&first) || first.cause == second.cause, "{}", row.capture);
    }
}

#[test]
fn healthy_connections_keep_their_verdict_whatever_the_profile() {
    let ports = ports();
    for row in rows() {
        let timeline = replay::timeline(&connections(&row.capture, ports[&row.capture])[row.connection - 1]);
        let first = diagnose(&timeline);
        if first.outcome() != Outcome::Failure {
            let dead = host(&[], Reaction::ClearDisconnect, &timeline);
            assert_eq!(diagnose_with(&timeline, &dead), first, "{}", row.capture);
        }
    }
}

#[test]
fn a_hello_that_is_accepted_when_replayed_refutes_every_mismatch() {
    for (row, timeline, mut profile) in cases() {
        if timeline.client_hello.is_none() || timeline.server_hello.is_some() {
            continue;
        }
        let accepted = Reaction::Hello { version: TlsVersion::TLS12, suite: CipherSuite(0xc030), group: None };
        profile.ladder.push(LadderStep { change: LadderChange::AsSent, reaction: accepted });
        let verdict = diagnose_with(&timeline, &profile);
        let mismatches = [
            Cause::TlsNoCommonVersion,
            Cause::TlsNoCommonCipher,
            Cause::TlsNoCommonGroupOrSigalg,
            Cause::TlsCertKeyTypeMismatch,
            Cause::CertPrivateKeyUnusable,
        ];
        assert!(!mismatches.contains(&verdict.cause), "{}: {}", row.capture, text(&verdict));
        assert!(
            verdict.alternatives.iter().all(|cause| !mismatches.contains(cause)),
            "{}: {}",
            row.capture,
            text(&verdict)
        );
        assert_eq!(verdict.confidence, Confidence::Possible, "{}", row.capture);
    }
}

#[test]
fn an_old_or_partial_profile_proves_nothing() {
    for (row, timeline, profile) in cases() {
        let old = HostProfile { ended: timeline.last_event().plus(Duration::from_secs(601)), ..profile.clone() };
        let partial =
            HostProfile { completeness: Completeness::Partial("the bound of 20 connections".into()), ..profile };
        for (what, weak) in [("old", old), ("partial", partial)] {
            let verdict = diagnose_with(&timeline, &weak);
            let first = diagnose(&timeline);
            let already = first.confidence == Confidence::Proven && first.cause == verdict.cause;
            assert!(verdict.confidence < Confidence::Proven || already, "{} {what}: {}", row.capture, text(&verdict));
        }
    }
}

#[test]
fn any_connection_with_any_profile_gets_a_verdict_that_can_be_read() {
    let ports = ports();
    let profiles: Vec<HostProfile> = cases().into_iter().map(|(_, _, profile)| profile).collect();
    for row in rows() {
        let timeline = replay::timeline(&connections(&row.capture, ports[&row.capture])[row.connection - 1]);
        let first = diagnose(&timeline);
        for profile in &profiles {
            let profile = HostProfile { ended: timeline.last_event().plus(Duration::from_secs(2)), ..profile.clone() };
            let verdict = diagnose_with(&timeline, &profile);
            let name = format!("{} {}", row.capture, row.connection);
            assert!(
                verdict.evidence.iter().all(|e| e.ends_with('.') && !e.contains('\n')),
                "{name}: {}",
                text(&verdict)
            );
            assert!(verdict.message.len() < 400 && !verdict.message.ends_with('.'), "{name}: {}", verdict.message);
            assert!(!verdict.alternatives.contains(&verdict.cause), "{name}: {}", text(&verdict));
            assert!(verdict.alternatives.is_empty() || verdict.confidence < Confidence::Proven, "{name}");
            assert_eq!(verdict.outcome(), first.outcome(), "{name}: a profile makes no failure and heals none");
            assert!(
                verdict.cause.entry().phases.contains(&verdict.phase),
                "{name}: {} in {}",
                verdict.cause,
                verdict.phase
            );
        }
    }
}
