use super::*;
use parser::profile::{LadderChange, LadderStep, Reaction, VersionAbility};
use parser::session::{CertificateFacts, ServerHelloFacts};
use parser::wire::{CipherSuite, TlsVersion};

const FRESH: Duration = Duration::from_secs(300);

fn at(seconds: u64) -> Timestamp {
    Timestamp(seconds * 1_000_000_000)
}

fn target(port: u16) -> Target {
    Target { address: ([192, 0, 2, 7], port).into(), tls_first: false }
}

fn profile(ended: u64) -> HostProfile {
    HostProfile {
        begun: at(ended),
        ended: at(ended),
        versions: vec![VersionAbility {
            version: TlsVersion::TLS12,
            reaction: Reaction::Silence,
            suites: vec![CipherSuite(0xc030)],
            host_order: true,
            complete: true,
        }],
        certificate: Some(CertificateFacts {
            sha256: [1; 32],
            key_algorithm: "RSA".to_owned(),
            ..CertificateFacts::default()
        }),
        ladder: vec![LadderStep { change: LadderChange::AsSent, reaction: Reaction::NotTls }],
        ..HostProfile::default()
    }
}

fn hello(length: u32) -> ClientHelloFacts {
    ClientHelloFacts { length, ..ClientHelloFacts::default() }
}

fn chose(version: TlsVersion, suite: u16) -> Timeline {
    let hello = ServerHelloFacts { version, suite: CipherSuite(suite), ..ServerHelloFacts::default() };
    Timeline { server_hello: Some(hello), ..Timeline::default() }
}

#[test]
fn a_host_is_asked_once_and_then_left_alone_until_its_answers_are_old() {
    let (mut hosts, host) = (Hosts::default(), target(3389));
    assert_eq!(hosts.standing(host, None, at(10), FRESH), Standing::Unknown);
    hosts.begin(host, at(10));
    assert_eq!(hosts.standing(host, None, at(11), FRESH), Standing::Asked);
    let other_form = Target { tls_first: true, ..host };
    assert_eq!(hosts.standing(other_form, None, at(11), FRESH), Standing::Spared, "never two probes at one address");
    hosts.ended(host, profile(12), None);
    assert!(matches!(hosts.standing(host, None, at(13), FRESH), Standing::Fresh(_)));
    assert_eq!(hosts.standing(host, None, at(312), FRESH), Standing::Unknown);
}

#[test]
fn a_host_that_was_away_is_spared_and_its_earlier_answers_are_kept_but_not_used() {
    let (mut hosts, host) = (Hosts::default(), target(3389));
    hosts.ended(host, profile(10), None);
    hosts.begin(host, at(400));
    let away = Completeness::Unreachable("refused".to_owned());
    hosts.ended(host, HostProfile { completeness: away, ..profile(401) }, None);
    assert_eq!(hosts.standing(host, None, at(402), FRESH), Standing::Spared);
    assert_eq!(hosts.profile(host).map(|profile| profile.ended), Some(at(10)), "to be compared when it is back");
    assert_eq!(hosts.profile_for(host, None), None);
}

#[test]
fn the_replay_of_one_client_is_no_evidence_for_another() {
    let (mut hosts, host) = (Hosts::default(), target(3389));
    hosts.ended(host, profile(10), Some(Hello::of(&hello(517))));
    let ladder = |facts: Option<&ClientHelloFacts>| hosts.profile_for(host, facts).map(|p| p.ladder.len());
    assert_eq!(ladder(Some(&hello(517))), Some(1));
    assert_eq!(ladder(Some(&hello(1789))), Some(0));
    let of_another_name = ClientHelloFacts { server_name: Some("rds08".into()), ..hello(517) };
    assert_eq!(ladder(Some(&of_another_name)), Some(0));
    assert_eq!(ladder(None), Some(0));
}

#[test]
fn a_session_that_does_what_the_profile_rules_out_ends_its_use() {
    let name: Arc<str> = Arc::from("rds07:3389");
    let renewed = CertificateFacts { sha256: [2; 32], key_algorithm: "RSA".to_owned(), ..CertificateFacts::default() };
    let other_key = CertificateFacts { key_algorithm: "ECDSA".to_owned(), ..renewed.clone() };
    let shows = |certificate| Timeline { certificate: Some(Box::new(certificate)), ..Timeline::default() };
    for (timeline, outdated) in [
        (chose(TlsVersion::TLS12, 0xc030), false),
        (chose(TlsVersion::TLS12, 0xc02f), true),
        (chose(TlsVersion::TLS13, 0x1301), false),
        (shows(renewed), true),
        (shows(other_key), false),
    ] {
        let (mut hosts, host) = (Hosts::default(), target(3389));
        hosts.ended(host, profile(10), None);
        hosts.met(host, &name, &timeline);
        assert_eq!(hosts.view()[0].outdated, outdated, "{timeline:?}");
        assert_eq!(hosts.profile_for(host, None).is_none(), outdated);
    }
}

#[test]
fn what_strangers_bring_is_bounded() {
    let mut hosts = Hosts::default();
    hosts.begin(target(1), at(0));
    for port in 2..u16::try_from(2 * HOSTS).unwrap() {
        hosts.met(target(port), &Arc::from("rds07:3389"), &Timeline::default());
    }
    assert_eq!(hosts.view().len(), HOSTS);
    assert!(hosts.knows(target(1)), "one that is being asked is not forgotten");

    for number in 0..4 * SHAPES {
        let mut facts = hello(300);
        Arc::make_mut(&mut facts.shape).suites = vec![CipherSuite(number as u16)];
        hosts.came_to(target(1), &facts, (Cause::ALL[number % Cause::ALL.len()], None), at(1));
        hosts.changed(target(1), [Noticed { what: "suite", text: String::new(), after: at(0), before: at(1) }]);
        hosts.met(target(1), &Arc::from(format!("name{number}:3389")), &Timeline::default());
    }
    let view = hosts.view().into_iter().find(|host| host.target == target(1)).unwrap();
    assert_eq!(view.shapes.len(), SHAPES + 1, "and `other`");
    assert!(view.shapes.iter().all(|shape| shape.outcomes.len() <= OUTCOMES + 1));
    assert_eq!((view.changes.len(), view.upstreams.len()), (CHANGES, UPSTREAMS));
    let counted: u64 = view.shapes.iter().flat_map(|shape| &shape.outcomes).map(|(_, count)| count).sum();
    assert_eq!(counted, 4 * SHAPES as u64);
}
