//! Verdicts with a profile, for hosts that no capture of ours shows: what the replay of the client's own hello tells apart.

use parser::Timestamp;
use parser::diagnosis::{Cause, Confidence, Side, Verdict, diagnose_with, needs_profile};
use parser::profile::{HostProfile, LadderChange, LadderStep, Reaction, VersionAbility, mismatch_between};
use parser::session::{
    Answer, Awaiting, BridgeFacts, BridgeOutcome, BridgeReason, CertificateFacts, ClearAlert, ClientHelloFacts, Close,
    CloseKind, Closer, Opening, Peer, Phase, ProxyAct, RequestFacts, ServerHelloFacts, Timeline, Upstream,
};
use parser::wire::{
    AlertDescription, AlertLevel, CipherSuite, HelloShape, NamedGroup, Protocols, ResponseFlags, SignatureScheme,
    TlsVersion,
};
use std::net::SocketAddr;
use std::sync::Arc;

const RSA_GCM: CipherSuite = CipherSuite(0xc030);
const ECDSA_GCM: CipherSuite = CipherSuite(0xc02c);
const OF_13: CipherSuite = CipherSuite(0x1302);

fn at(ms: u64) -> Timestamp {
    Timestamp((1_709_209_800_000 + ms) * 1_000_000)
}

/// What a current client says.
fn hello() -> ClientHelloFacts {
    ClientHelloFacts {
        at: at(10),
        length: 310,
        ..ClientHelloFacts::from(HelloShape {
            legacy_version: TlsVersion::TLS12,
            supported_versions: vec![TlsVersion::TLS13, TlsVersion::TLS12],
            suites: vec![OF_13, RSA_GCM],
            groups: vec![NamedGroup::X25519, NamedGroup::SECP256R1],
            signature_schemes: [0x0804, 0x0401, 0x0403].map(SignatureScheme).to_vec(),
            ..HelloShape::default()
        })
    }
}

/// The same with another offer.
fn hello_with(change: impl FnOnce(&mut HelloShape)) -> ClientHelloFacts {
    let mut hello = hello();
    change(Arc::make_mut(&mut hello.shape));
    hello
}

/// A connection that came to this hello, and no further.
fn unanswered(hello: ClientHelloFacts) -> Timeline {
    let mut timeline =
        Timeline { opened: at(0), opening: Opening::X224, client_hello: Some(hello), ..Timeline::default() };
    for (phase, ms) in [(Phase::Accept, 0), (Phase::Tcp, 0), (Phase::X224, 1), (Phase::TlsHello, 5)] {
        timeline.phases.enter(phase, at(ms));
    }
    timeline.upstream = Upstream::Connected(SocketAddr::from(([10, 0, 0, 7], 3389)));
    timeline.request = Some(RequestFacts { protocols: Some(Protocols(1)), ..RequestFacts::default() });
    timeline.answer = Some(Answer::Selected { protocol: Protocols(1), flags: ResponseFlags(0) });
    timeline.traffic.client.bytes = 353;
    timeline.traffic.host.bytes = 19;
    timeline.traffic.client.last = Some(at(10));
    timeline.traffic.client.first = Some(at(1));
    timeline.traffic.host.first = Some(at(5));
    timeline.traffic.host.last = Some(at(5));
    timeline
}

fn closed(mut timeline: Timeline, by: Closer, kind: CloseKind, ms: u64) -> Timeline {
    timeline.closes.push(Close { by, kind, at: at(ms) });
    timeline
}

fn reset(hello: ClientHelloFacts) -> Timeline {
    closed(unanswered(hello), Closer::Host, CloseKind::Rst, 20)
}

fn alerted(hello: ClientHelloFacts, description: u8) -> Timeline {
    let mut timeline = unanswered(hello);
    timeline.alerts.push(ClearAlert {
        from: Peer::Host,
        level: AlertLevel(2),
        description: AlertDescription(description),
        record_version: TlsVersion::TLS12,
        at: at(15),
        after_handshake: false,
        after_close: false,
    });
    closed(timeline, Closer::Host, CloseKind::Fin, 16)
}

/// Our time-out struck.
fn timed_out(hello: ClientHelloFacts) -> Timeline {
    let mut timeline = unanswered(hello);
    timeline.proxy_act = Some(ProxyAct::TimedOut(Awaiting::ServerHello));
    closed(timeline, Closer::Proxy, CloseKind::Timeout, 15_010)
}

/// A host, asked three seconds after; the newest version first.
fn host(accepted: &[(TlsVersion, &[CipherSuite])], refusal: Reaction) -> HostProfile {
    let versions = TlsVersion::ALL.into_iter().rev().map(|version| {
        let suites = accepted.iter().find(|(v, _)| *v == version).map_or(Vec::new(), |(_, suites)| suites.to_vec());
        let reaction = match suites.first() {
            Some(suite) => Reaction::Hello { version, suite: *suite, group: Some(NamedGroup::X25519) },
            None => refusal.clone(),
        };
        VersionAbility { version, reaction, suites, host_order: true, complete: true }
    });
    HostProfile {
        begun: at(16_000),
        ended: at(18_000),
        handshakes: 40,
        versions: versions.collect(),
        groups: vec![NamedGroup::X25519, NamedGroup::SECP256R1],
        refused_groups: vec![NamedGroup::X448],
        signature_schemes: [0x0804, 0x0805, 0x0401].map(SignatureScheme).to_vec(),
        certificate: Some(CertificateFacts {
            key_algorithm: "RSA".into(),
            key_bits: 2_048,
            ..CertificateFacts::default()
        }),
        ..HostProfile::default()
    }
}

fn current_host() -> HostProfile {
    host(&[(TlsVersion::TLS13, &[OF_13]), (TlsVersion::TLS12, &[RSA_GCM])], alert(70))
}

fn alert(code: u8) -> Reaction {
    Reaction::Alert(AlertDescription(code))
}

fn taken() -> Reaction {
    Reaction::Hello { version: TlsVersion::TLS12, suite: RSA_GCM, group: None }
}

fn with_ladder(mut profile: HostProfile, steps: Vec<(LadderChange, Reaction)>) -> HostProfile {
    profile.ladder = steps.into_iter().map(|(change, reaction)| LadderStep { change, reaction }).collect();
    profile
}

fn named(verdict: &Verdict) -> (Cause, Confidence, Side) {
    (verdict.cause, verdict.confidence, verdict.side)
}

#[test]
fn groups_that_do_not_meet_are_proven() {
    let hello = hello_with(|shape| shape.groups = vec![NamedGroup::X448]);
    let profile = current_host();
    let verdict = diagnose_with(&alerted(hello.clone(), 40), &profile);
    assert_eq!(named(&verdict), (Cause::TlsNoCommonGroupOrSigalg, Confidence::Proven, Side::Both), "{verdict:#?}");
    assert_eq!(verdict.missing.client, ["x25519", "secp256r1"]);
    assert!(
        verdict.smallest_change.iter().any(|c| c.contains("Enable-TlsEccCurve") || c.contains("group")),
        "{verdict:#?}"
    );
    assert_eq!(mismatch_between(&hello, &profile).map(|m| m.name()), Some("group"));
}

#[test]
fn signature_schemes_that_do_not_meet_are_proven() {
    let hello = hello_with(|shape| shape.signature_schemes = vec![SignatureScheme(0x0806)]);
    let verdict = diagnose_with(&alerted(hello.clone(), 40), &current_host());
    assert_eq!(named(&verdict).0, Cause::TlsNoCommonGroupOrSigalg, "{verdict:#?}");
    assert_eq!(verdict.confidence, Confidence::Proven);
    assert_eq!(mismatch_between(&hello, &current_host()).map(|m| m.name()), Some("sigalg"));
}

#[test]
fn an_rsa_host_and_a_client_of_ecdsa_suites_is_a_key_mismatch() {
    let hello = hello_with(|shape| {
        shape.supported_versions = vec![TlsVersion::TLS12];
        shape.suites = vec![ECDSA_GCM];
        shape.signature_schemes = vec![SignatureScheme(0x0403)];
    });
    let verdict = diagnose_with(&alerted(hello, 40), &current_host());
    assert_eq!(named(&verdict), (Cause::TlsCertKeyTypeMismatch, Confidence::Proven, Side::Both), "{verdict:#?}");
    assert!(verdict.smallest_change.iter().any(|c| c.contains("an ECDSA certificate")), "{verdict:#?}");
    assert!(verdict.evidence.iter().any(|e| e.contains("an RSA key only")), "{verdict:#?}");
}

#[test]
fn a_wordless_reset_is_proven_to_be_a_mismatch_when_nothing_is_common() {
    let only_10 = host(&[(TlsVersion::TLS10, &[CipherSuite(0xc014)])], Reaction::Closed(CloseKind::Rst));
    let verdict = diagnose_with(&reset(hello()), &only_10);
    assert_eq!(named(&verdict), (Cause::TlsNoCommonVersion, Confidence::Proven, Side::Both), "{verdict:#?}");
    assert_eq!(verdict.missing.host, ["TLS 1.3", "TLS 1.2"]);
    assert_eq!(verdict.missing.client, ["TLS 1.0"]);
}

#[test]
fn every_step_of_the_ladder_is_evidence() {
    let steps = vec![
        (LadderChange::AsSent, alert(40)),
        (LadderChange::Everything, taken()),
        (LadderChange::AllSuites, taken()),
    ];
    let profile = with_ladder(host(&[(TlsVersion::TLS12, &[CipherSuite(0x009d)])], alert(40)), steps);
    let verdict = diagnose_with(&alerted(hello(), 40), &profile);
    assert_eq!(named(&verdict), (Cause::TlsNoCommonCipher, Confidence::Proven, Side::Both), "{verdict:#?}");
    let has = |sentence: &str| verdict.evidence.iter().any(|e| e == sentence);
    assert!(has("The client's own hello again: alert handshake_failure (40)."), "{verdict:#?}");
    assert!(
        has("The same with all suites: ServerHello, TLS 1.2 with TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384."),
        "{verdict:#?}"
    );
}

#[test]
fn a_host_that_takes_the_hello_again_refutes_what_the_model_says() {
    let only_10 = host(&[(TlsVersion::TLS10, &[CipherSuite(0xc014)])], alert(70));
    let verdict = diagnose_with(&reset(hello()), &with_ladder(only_10, vec![(LadderChange::AsSent, taken())]));
    assert_eq!(named(&verdict).0, Cause::RstByMiddlebox, "{verdict:#?}");
    assert_eq!(verdict.confidence, Confidence::Possible);
}

#[test]
fn a_device_or_host_that_drops_tls_13_is_told_by_leaving_it_out() {
    let steps = vec![
        (LadderChange::AsSent, Reaction::Closed(CloseKind::Rst)),
        (LadderChange::Everything, Reaction::Closed(CloseKind::Rst)),
        (LadderChange::Without13, taken()),
    ];
    let profile =
        with_ladder(host(&[(TlsVersion::TLS12, &[RSA_GCM])], Reaction::Closed(CloseKind::Rst)), steps.clone());
    let verdict = diagnose_with(&reset(hello()), &profile);
    assert_eq!(named(&verdict), (Cause::Tls13MiddleboxIntolerance, Confidence::Likely, Side::Network), "{verdict:#?}");
    assert!(verdict.remedy[0].contains(r"Protocols\TLS 1.3\Server"), "{verdict:#?}");
    // The same without an answer at all.
    let silent =
        steps.into_iter().map(|(change, r)| (change, if r.accepted() { r } else { Reaction::Silence })).collect();
    let profile = with_ladder(host(&[(TlsVersion::TLS12, &[RSA_GCM])], Reaction::Silence), silent);
    assert_eq!(diagnose_with(&timed_out(hello()), &profile).cause, Cause::Tls13MiddleboxIntolerance);
}

#[test]
fn a_path_that_loses_large_hellos_is_proven_by_the_ladder_of_sizes() {
    let large = ClientHelloFacts { length: 1_800, ..hello() };
    let mut profile = current_host();
    let sizes =
        [(300, taken()), (600, taken()), (1_400, taken()), (1_700, Reaction::Silence), (3_000, Reaction::Silence)];
    profile.hello_sizes = sizes.to_vec();
    let verdict = diagnose_with(&timed_out(large), &profile);
    assert_eq!(named(&verdict), (Cause::LargeClienthelloLost, Confidence::Proven, Side::Network), "{verdict:#?}");
    let between = ClientHelloFacts { length: 1_500, ..hello() };
    assert_eq!(diagnose_with(&timed_out(between), &profile).confidence, Confidence::Likely);
    let small = diagnose_with(&timed_out(hello()), &profile);
    assert_eq!(small.cause, Cause::TlsHandshakeTimeout, "{small:#?}");
    // A reset after a large hello may be anybody's.
    profile.hello_sizes = vec![(300, taken()), (1_700, Reaction::Closed(CloseKind::Rst))];
    let profile = with_ladder(profile, vec![(LadderChange::AsSent, Reaction::Closed(CloseKind::Rst))]);
    let large = ClientHelloFacts { length: 1_800, ..self::hello() };
    assert_eq!(named(&diagnose_with(&reset(large), &profile)).1, Confidence::Likely);
}

#[test]
fn a_host_that_insists_on_the_newest_version_is_seen_through() {
    let chacha_only = CipherSuite(0x1303);
    let profile = host(&[(TlsVersion::TLS13, &[chacha_only]), (TlsVersion::TLS12, &[RSA_GCM])], alert(40));
    let profile = with_ladder(profile, vec![(LadderChange::AsSent, alert(40)), (LadderChange::Everything, taken())]);
    let verdict = diagnose_with(&alerted(hello(), 40), &profile);
    assert_eq!(named(&verdict), (Cause::TlsNoCommonCipher, Confidence::Likely, Side::Both), "{verdict:#?}");
    assert!(verdict.evidence.iter().any(|e| e.contains("insists on TLS 1.3")), "{verdict:#?}");
}

#[test]
fn an_alert_to_a_hello_that_fits_is_no_mismatch() {
    for code in [40, 70, 71] {
        let verdict = diagnose_with(&alerted(hello(), code), &current_host());
        assert_eq!(named(&verdict), (Cause::TlsAlertOther, Confidence::Possible, Side::Host), "{code}: {verdict:#?}");
        assert!(verdict.message.contains("refuted"), "{}", verdict.message);
    }
}

#[test]
fn a_host_that_could_not_be_asked_changes_nothing_but_says_so() {
    let unreachable = HostProfile {
        completeness: parser::profile::Completeness::Unreachable("connection refused".into()),
        ended: at(20_000),
        ..HostProfile::default()
    };
    let (before, after) =
        (parser::diagnosis::diagnose(&alerted(hello(), 40)), diagnose_with(&alerted(hello(), 40), &unreachable));
    assert_eq!(
        (before.cause, before.confidence, &before.alternatives),
        (after.cause, after.confidence, &after.alternatives)
    );
    assert!(after.evidence.iter().any(|e| e.contains("nothing learned: connection refused")), "{after:#?}");
    assert!(needs_profile(&before));
}

#[test]
fn a_suite_list_that_was_not_asked_to_the_end_proves_nothing() {
    let mut profile = host(&[(TlsVersion::TLS12, &[CipherSuite(0x009d)])], alert(70));
    assert_eq!(diagnose_with(&alerted(hello(), 40), &profile).confidence, Confidence::Proven);
    profile.versions.iter_mut().for_each(|version| version.complete = false);
    assert_eq!(diagnose_with(&alerted(hello(), 40), &profile).confidence, Confidence::Likely);
}

/// What a host says that chooses by name, to whoever asks by another one.
fn unrecognized_name() -> Reaction {
    Reaction::Alert(AlertDescription::UNRECOGNIZED_NAME)
}

#[test]
fn a_host_that_minds_the_name_has_no_dead_key() {
    let mut asked = hello();
    asked.server_name = Some("rdp.example.net".into());
    let timeline = alerted(asked, 112);
    let before = parser::diagnosis::diagnose(&timeline);
    assert_eq!(named(&before), (Cause::TlsAlertOther, Confidence::Possible, Side::Host), "{before:#?}");
    assert!(before.evidence.iter().any(|e| e.contains("rdp.example.net")), "{before:#?}");
    let after = diagnose_with(&timeline, &host(&[], unrecognized_name()));
    assert_eq!(named(&after), named(&before), "{after:#?}");
    let other = diagnose_with(&alerted(hello(), 40), &host(&[], unrecognized_name()));
    assert_ne!(other.cause, Cause::CertPrivateKeyUnusable, "the probe asked by another name: {other:#?}");
    let dead = diagnose_with(&alerted(hello(), 40), &host(&[], alert(40)));
    assert_eq!((dead.cause, dead.confidence), (Cause::CertPrivateKeyUnusable, Confidence::Possible), "{dead:#?}");
    // A certificate of a kind that none of the host's suites can use is answered in the same way.
    assert!(dead.alternatives.contains(&Cause::TlsCertKeyTypeMismatch), "{dead:#?}");
}

#[test]
fn a_profile_in_which_nothing_is_accepted_says_nothing_of_a_hello_that_was() {
    let mut timeline = unanswered(hello());
    timeline.phases.enter(Phase::TlsFinish, at(14));
    timeline.server_hello = Some(ServerHelloFacts {
        at: at(14),
        legacy_version: TlsVersion::TLS12,
        version: TlsVersion::TLS12,
        suite: RSA_GCM,
        ..ServerHelloFacts::default()
    });
    let timeline = closed(timeline, Closer::Client, CloseKind::Fin, 20);
    let before = parser::diagnosis::diagnose(&timeline);
    assert_eq!(diagnose_with(&timeline, &host(&[], alert(40))), before);
    assert_ne!(diagnose_with(&timeline, &current_host()), before, "another one does");
}

#[test]
fn a_bridge_before_a_host_that_takes_no_hello_at_all_needs_no_other_build() {
    let of = |leg| {
        let mut timeline = closed(unanswered(hello()), Closer::Host, CloseKind::Fin, 20);
        timeline.bridge = Some(Box::new(BridgeFacts {
            reason: BridgeReason::Rescue,
            outcome: BridgeOutcome::LegFailed {
                leg,
                words: "alert handshake_failure (40)".to_owned(),
                exhausted: leg == Peer::Host,
                alert: Some(AlertDescription::HANDSHAKE_FAILURE),
            },
            client: None,
            host: None,
            refused_with: Some(AlertDescription::HANDSHAKE_FAILURE),
            cut: None,
        }));
        let before = parser::diagnosis::diagnose(&timeline);
        (before, diagnose_with(&timeline, &host(&[], alert(40))))
    };
    let (before, after) = of(Peer::Host);
    assert_eq!(before.cause, Cause::BridgeNeedsLegacyBuild, "{before:#?}");
    assert_eq!(after.cause, Cause::CertPrivateKeyUnusable, "{after:#?}");
    assert!(!after.alternatives.contains(&Cause::BridgeNeedsLegacyBuild), "{after:#?}");
    let (before, after) = of(Peer::Client);
    assert_eq!((before.cause, after.cause), (Cause::BridgeLegFailed, Cause::BridgeLegFailed), "{after:#?}");
}
