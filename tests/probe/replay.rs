//! A client's own hello sent again to real hosts: the ladder tells the causes of one refusal apart.

use crate::host::{Host, peers_wanted};
use parser::profile::{Completeness, LadderChange, LadderStep, Reaction, RecordedHello};
use parser::wire::tls::{Fresh, Offer};
use parser::wire::{CipherSuite, NamedGroup, Protocols, SignatureScheme, TlsVersion};
use rdpscope::probe::ask::{self, Ask};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

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
        assert_eq!(profile.completeness, Completeness::Partial("the bound of 8 connections".to_owned()));
        assert_eq!(profile.ladder.first().map(|step| &step.change), Some(&LadderChange::AsSent));
        assert_eq!(profile.ladder.iter().filter(|step| step.change == LadderChange::Everything).count(), 1);
    }
}

/// A TLS 1.3 host that takes one group alone, with a library that checks the shares it is sent.
fn strict_host(group: &'static dyn rustls::crypto::SupportedKxGroup) -> SocketAddr {
    let pair = rcgen::generate_simple_self_signed(vec!["host.lab.test".to_owned()]).expect("a certificate");
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.kx_groups = vec![group];
    let key = rustls::pki_types::PrivateKeyDer::try_from(pair.signing_key.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], key)
        .expect("a pair");
    let (listener, config) = (TcpListener::bind("127.0.0.1:0").expect("a port"), Arc::new(config));
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut request = [0; 19];
            let _ = socket.read_exact(&mut request);
            let _ = socket.write_all(&[3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0, 8, 0, 1, 0, 0, 0]);
            let mut server = rustls::ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let _ = server.complete_io(&mut socket);
        }
    });
    address
}

#[test]
fn made_up_key_shares_pass_the_checks_of_a_tls_library() {
    use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    for (group, code) in [(X25519, 0x1d), (SECP256R1, 0x17), (SECP384R1, 0x18), (X25519MLKEM768, 0x11ec)] {
        let client = client(|offer| {
            offer.groups = vec![NamedGroup(code)];
            offer.key_shares = Some(vec![NamedGroup(code)]);
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let steps = runtime.block_on(ask::ladder(&Ask::new(strict_host(group)), &client));
        let [LadderStep { change: LadderChange::AsSent, reaction: Reaction::Hello { group, .. } }] = &steps[..] else {
            panic!("{code:#x}: {steps:?}");
        };
        assert_eq!(*group, Some(NamedGroup(code)));
    }
}
