//! A client's own hello sent again to real hosts: the ladder tells the causes of one refusal apart.

use crate::host::{Host, peers_wanted};
use parser::profile::{Completeness, LadderChange, LadderStep, RecordedHello};
use parser::wire::tls::{Fresh, Offer};
use parser::wire::{CipherSuite, NamedGroup, Protocols, SignatureScheme, TlsVersion};
use rdpscope::probe::ask::{self, Ask};
use std::net::SocketAddr;

/// A client of 2024 that takes RSA and ECDSA, apart from what `change` does to it.
fn client(change: impl FnOnce(&mut Offer)) -> RecordedHello {
    let mut offer = Offer {
        record_version: TlsVersion::TLS10,
        legacy_version: TlsVersion::TLS12,
        supported_versions: vec![TlsVersion::TLS13, TlsVersion::TLS12],
        suites: [0x1302, 0x1301, 0xc02c, 0xc030, 0xc02b, 0xc02f].map(CipherSuite).to_vec(),
        groups: vec![NamedGroup::X25519, NamedGroup::SECP256R1],
        key_shares: Some(vec![NamedGroup::X25519]),
        signature_schemes: [0x0403, 0x0804, 0x0401].map(SignatureScheme).to_vec(),
        server_name: Some("host.lab.test".to_owned()),
        extended_master_secret: true,
        renegotiation_info: true,
        pad_to: None,
    };
    change(&mut offer);
    RecordedHello {
        tls_first: false,
        protocols: Some(Protocols(3)),
        record_version: TlsVersion::TLS10,
        message: offer.message(&Fresh { random: [1; 32], seed: [2; 32] }).write(),
    }
}

/// The changes tried, with whether the host took the hello.
fn ladder(host: SocketAddr, client: &RecordedHello) -> Vec<(LadderChange, bool)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let steps: Vec<LadderStep> = runtime.block_on(ask::ladder(&Ask::new(host), client));
    steps.into_iter().map(|step| (step.change, step.reaction.accepted())).collect()
}

fn last(steps: &[(LadderChange, bool)]) -> Option<&LadderChange> {
    steps.last().filter(|(_, accepted)| *accepted).map(|(change, _)| change)
}

#[test]
fn what_a_healthy_pair_sent_is_taken_again() {
    if peers_wanted() {
        let host = Host::openssl("rsa", &[]);
        assert_eq!(ladder(host.address, &client(|_| ())), [(LadderChange::AsSent, true)]);
    }
}

#[test]
fn one_change_is_found_that_is_enough() {
    if !peers_wanted() {
        return;
    }
    let old = Host::openssl("rsa", &["-tls1_2", "-cipher", "AES128-SHA"]);
    assert_eq!(last(&ladder(old.address, &client(|_| ()))), Some(&LadderChange::AllSuites));

    let curve = Host::openssl("rsa", &["-groups", "P-521"]);
    let steps = ladder(curve.address, &client(|_| ()));
    assert_eq!(last(&steps), Some(&LadderChange::AllGroups), "{steps:?}");

    let version = Host::openssl("rsa", &["-tls1_2"]);
    let only_13 = client(|offer| offer.supported_versions = vec![TlsVersion::TLS13]);
    let steps = ladder(version.address, &only_13);
    assert!(matches!(last(&steps), Some(LadderChange::Versions(_))), "{steps:?}");

    let scheme = Host::openssl("rsa", &["-sigalgs", "RSA+SHA512:RSA-PSS+SHA512"]);
    let steps = ladder(scheme.address, &client(|_| ()));
    assert_eq!(last(&steps), Some(&LadderChange::AllSignatureSchemes), "{steps:?}");
}

#[test]
fn nothing_helps_where_the_key_is_dead() {
    if peers_wanted() {
        let host = Host::xrdp(("rsa", "garbage"), "ssl_protocols=TLSv1.2, TLSv1.3");
        let steps = ladder(host.address, &client(|_| ()));
        assert!(steps.len() >= 3 && steps.iter().all(|(_, accepted)| !accepted), "{steps:?}");
    }
}

#[test]
fn a_replay_costs_no_more_than_its_bound() {
    if peers_wanted() {
        let host = Host::openssl("rsa", &["-tls1_2", "-cipher", "AES128-SHA"]);
        let mut ask = Ask::new(host.address);
        ask.options.max_handshakes = 8;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let profile = runtime.block_on(ask::probe(&ask, Some(&client(|_| ())), |_| ()));
        assert_eq!(profile.handshakes, 8);
        assert!(matches!(profile.completeness, Completeness::Partial(_)), "{:?}", profile.completeness);
        assert_eq!(profile.ladder.first().map(|step| &step.change), Some(&LadderChange::AsSent));
        assert_eq!(profile.ladder.iter().filter(|step| step.change == LadderChange::Everything).count(), 1);
    }
}
