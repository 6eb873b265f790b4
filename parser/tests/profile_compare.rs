//! Two profiles side by side: what is a change, and what is only a probe that saw less.

use parser::profile::{
    ChangeKind, Completeness, HostProfile, Mismatch, NegotiationAnswer, Offer, Reaction, VersionAbility,
    WindowsVersion, changes, compare, explain,
};
use parser::session::{Answer, CertificateFacts, CloseKind};
use parser::wire::{AlertDescription, CipherSuite, NamedGroup, Protocols, ResponseFlags, TlsVersion};

const GCM: CipherSuite = CipherSuite(0xc030);
const GCM_128: CipherSuite = CipherSuite(0xc02f);
const CBC: CipherSuite = CipherSuite(0xc014);

fn accepts(version: TlsVersion, suites: &[CipherSuite]) -> VersionAbility {
    let reaction = Reaction::Hello { version, suite: suites[0], group: None };
    VersionAbility { version, reaction, suites: suites.to_vec(), host_order: true, complete: true }
}

fn refuses(version: TlsVersion, reaction: Reaction) -> VersionAbility {
    VersionAbility { version, reaction, suites: Vec::new(), host_order: false, complete: true }
}

fn certificate(mark: u8) -> CertificateFacts {
    CertificateFacts {
        subject: "CN=rds07.example.net".into(),
        issuer: "CN=rds07.example.net".into(),
        not_after: 1_790_000_000,
        sha256: [mark; 32],
        key_algorithm: "RSA".into(),
        key_bits: 2_048,
        signature_algorithm: "sha256WithRSAEncryption".into(),
        self_issued: true,
        ..CertificateFacts::default()
    }
}

/// TLS 1.2 and 1.0, an RSA certificate, NLA.
fn profile() -> HostProfile {
    let alert = Reaction::Alert(AlertDescription(70));
    let nla = Answer::Selected { protocol: Protocols(2), flags: ResponseFlags(0x1f) };
    HostProfile {
        negotiation: vec![(Some(Protocols(3)), NegotiationAnswer::Answered(nla))],
        versions: vec![
            refuses(TlsVersion::TLS13, alert),
            accepts(TlsVersion::TLS12, &[GCM, GCM_128, CBC]),
            accepts(TlsVersion::TLS10, &[CBC]),
        ],
        groups: vec![NamedGroup::X25519, NamedGroup::SECP256R1],
        refused_groups: vec![NamedGroup::SECP521R1],
        certificate: Some(certificate(1)),
        ..HostProfile::default()
    }
}

fn told(old: &HostProfile, new: &HostProfile) -> Vec<(ChangeKind, String)> {
    changes(old, new).into_iter().map(|change| (change.what, change.text)).collect()
}

#[test]
fn the_same_profile_is_no_change() {
    assert_eq!(changes(&profile(), &profile()), []);
}

#[test]
fn each_kind_of_change_is_told_in_words() {
    let mut new = profile();
    new.versions[0] = accepts(TlsVersion::TLS13, &[CipherSuite(0x1302)]);
    new.versions[1] = accepts(TlsVersion::TLS12, &[GCM_128, GCM]);
    new.versions[2] = refuses(TlsVersion::TLS10, Reaction::Closed(CloseKind::Rst));
    new.certificate = Some(certificate(2));
    new.groups = vec![NamedGroup::SECP521R1, NamedGroup::SECP256R1];
    new.refused_groups = vec![NamedGroup::X25519];
    new.negotiation[0].1 = NegotiationAnswer::Answered(Answer::Failure(parser::wire::FailureCode(5)));
    let told = told(&profile(), &new);
    let text =
        |what: ChangeKind| told.iter().filter(|(w, _)| *w == what).map(|(_, text)| text.as_str()).collect::<Vec<_>>();
    assert_eq!(text(ChangeKind::Version), ["began to accept TLS 1.3", "stopped accepting TLS 1.0"]);
    assert_eq!(text(ChangeKind::Suite), ["in TLS 1.2 stopped accepting TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"]);
    assert!(
        text(ChangeKind::Order)[0]
            .starts_with("in TLS 1.2 now follows the host's order: TLS_ECDHE_RSA_WITH_AES_128_GCM")
    );
    assert_eq!(text(ChangeKind::Group), ["stopped accepting the group x25519", "began to accept the group secp521r1"]);
    assert!(
        text(ChangeKind::Certificate)[0].contains("now CN=rds07.example.net, self-signed, RSA 2048 bits"),
        "{told:?}"
    );
    assert!(text(ChangeKind::Negotiation)[0].contains("HYBRID_REQUIRED_BY_SERVER"), "{told:?}");
    assert_eq!(told.len(), 8, "{told:?}");
}

#[test]
fn a_probe_that_saw_less_makes_no_change() {
    let mut silent = profile();
    silent.versions[1] = refuses(TlsVersion::TLS12, Reaction::Silence);
    silent.versions[2] = VersionAbility { complete: false, ..accepts(TlsVersion::TLS10, &[GCM]) };
    silent.completeness = Completeness::Partial("the bound of 20 connections".into());
    silent.groups.clear();
    silent.certificate = None;
    silent.negotiation[0].1 = NegotiationAnswer::Silence;
    assert_eq!(told(&profile(), &silent), []);
    assert_eq!(told(&silent, &profile()), []);
    let gone =
        HostProfile { completeness: Completeness::Unreachable("connection refused".into()), ..HostProfile::default() };
    assert_eq!(told(&profile(), &gone), []);
}

#[test]
fn a_host_with_two_certificates_may_show_either_one_first() {
    let both = |first, second| HostProfile {
        certificate: Some(certificate(first)),
        second_certificate: Some(certificate(second)),
        ..profile()
    };
    assert_eq!(told(&both(1, 2), &both(2, 1)), []);
    assert_eq!(told(&profile(), &both(2, 1)), []);
}

#[test]
fn of_several_hosts_behind_one_address_which_were_met_is_no_change() {
    let met = |first, second| HostProfile {
        certificate: Some(certificate(first)),
        second_certificate: Some(certificate(second)),
        ..profile()
    };
    assert_eq!(told(&met(1, 2), &met(3, 4)), []);
    assert_eq!(told(&profile(), &met(3, 4)), []);
    let mut plain = profile();
    plain.negotiation[0].1 = NegotiationAnswer::Answered(Answer::Plain);
    assert_eq!(told(&profile(), &plain).len(), 1);
    plain.completeness = Completeness::Mixed("a Connection Request got TLS and then did not".into());
    assert_eq!((told(&profile(), &plain), told(&plain, &profile())), (vec![], vec![]));
}

#[test]
fn comparing_is_symmetric_in_what_it_finds() {
    let mut other = profile();
    other.versions.remove(2);
    other.versions[1] = accepts(TlsVersion::TLS12, &[CBC]);
    let kinds =
        |a: &HostProfile, b: &HostProfile| compare(a, b).into_iter().map(|d| (d.what, d.item)).collect::<Vec<_>>();
    assert_eq!(kinds(&profile(), &other), kinds(&other, &profile()));
    assert_eq!(compare(&profile(), &other)[0].second, "nothing the other lacks");
}

#[test]
fn the_difference_that_keeps_a_client_out_is_found() {
    let mut hardened = profile();
    hardened.versions[2] = refuses(TlsVersion::TLS10, Reaction::Alert(AlertDescription(70)));
    hardened.certificate = Some(certificate(9));
    let of = |name| WindowsVersion::from_name(name).expect("a row");
    let explained = explain(&of("win7").offer(), of("win7").newest(), &profile(), &hardened);
    assert!(matches!(explained.first, Some(Ok(_))));
    assert_eq!(explained.second, Some(Err(Mismatch::Version)));
    assert_eq!(explained.because.len(), 1, "{:?}", explained.because);
    assert_eq!((explained.because[0].item.as_str(), explained.because[0].second.as_str()), ("TLS 1.0", "refused"));
    let ability = parser::profile::Ability::of(&hardened).expect("some version");
    assert!(explained.changes[1][0].text(&ability).starts_with("Client: offer TLS 1.2"), "{:?}", explained.changes);
    assert!(explained.changes[0].is_empty(), "it meets the first: {:?}", explained.changes);
    let explained = explain(&of("win11_22h2").offer(), TlsVersion::TLS13, &profile(), &hardened);
    assert!(
        matches!(explained.first, Some(Ok(_)))
            && matches!(explained.second, Some(Ok(_)))
            && explained.because.is_empty()
    );
    let explained = explain(&Offer::default(), TlsVersion::TLS13, &profile(), &hardened);
    assert_eq!(explained.first, Some(Err(Mismatch::Version)));
}

#[test]
fn a_client_is_told_what_it_can_do_for_each_host_it_does_not_meet() {
    let alert = || Reaction::Alert(AlertDescription(70));
    let of = |versions| HostProfile { versions, ..profile() };
    let modern = of(vec![
        accepts(TlsVersion::TLS13, &[CipherSuite(0x1302)]),
        accepts(TlsVersion::TLS12, &[GCM]),
        refuses(TlsVersion::TLS10, alert()),
    ]);
    let newest = of(vec![accepts(TlsVersion::TLS13, &[CipherSuite(0x1302)]), refuses(TlsVersion::TLS12, alert())]);
    let win7 = WindowsVersion::from_name("win7").expect("a row");
    let client_versions = |newest_of_client| {
        let explained = explain(&win7.offer(), newest_of_client, &modern, &newest);
        assert!(matches!(explained.first, Some(Err(_))) && matches!(explained.second, Some(Err(_))));
        assert!(explained.changes.iter().all(|changes| changes.iter().any(|change| !change.host.is_empty())));
        explained.changes.map(|changes| {
            changes.iter().filter(|change| !change.client.is_empty()).map(|change| change.version).collect::<Vec<_>>()
        })
    };
    assert_eq!(win7.newest(), TlsVersion::TLS12);
    assert_eq!(client_versions(win7.newest()), [vec![TlsVersion::TLS12], vec![]], "it cannot have TLS 1.3");
    let any = client_versions(TlsVersion::TLS13);
    assert!(any[1] == [TlsVersion::TLS13], "another client may: {any:?}");
}

#[test]
fn of_a_host_that_takes_no_hello_nothing_is_known_to_hold_a_client_against() {
    let dead = HostProfile {
        versions: vec![refuses(TlsVersion::TLS12, Reaction::Alert(AlertDescription(80)))],
        ..HostProfile::default()
    };
    let offer = WindowsVersion::from_name("win11_22h2").expect("a row").offer();
    let explained = explain(&offer, TlsVersion::TLS13, &profile(), &dead);
    assert!(matches!(explained.first, Some(Ok(_))));
    assert_eq!((explained.second, explained.because, explained.changes), (None, vec![], [vec![], vec![]]));
}
