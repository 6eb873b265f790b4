use super::super::modern;
use super::super::trust::digest;
use super::*;
use config::{BridgeMode, BridgeRules, Ciphers, Pin, Verify};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509Name};
use parser::wire::{ClientHello, Outcome, SuiteClass};
use rustls::pki_types::PrivateKeyDer;

const ALL: [TlsVersion; 4] = [TlsVersion::TLS10, TlsVersion::TLS11, TlsVersion::TLS12, TlsVersion::TLS13];
const RSA_AES_128_CBC_SHA: CipherSuite = CipherSuite(0x002f);
const RSA_3DES: CipherSuite = CipherSuite(0x000a);

struct End {
    tls: Box<dyn Tls>,
    out: Out,
    plain: Vec<u8>,
}

impl End {
    fn new(tls: Box<dyn Tls>) -> End {
        End { tls, out: Out::default(), plain: Vec::new() }
    }

    /// Takes what the other end has sent, `chunk` bytes at a time.
    fn take(&mut self, from: &mut Out, chunk: usize) -> Result<(), Failure> {
        self.hear(&std::mem::take(from), chunk)
    }

    fn hear(&mut self, sent: &[u8], chunk: usize) -> Result<(), Failure> {
        for part in sent.chunks(chunk) {
            let mut wire = self.tls.rest();
            wire.extend_from_slice(part);
            let plain = &mut self.plain;
            let received = self.tls.receive(&mut wire, &mut |p| plain.extend_from_slice(p), &mut self.out);
            // What one session left there would be taken for a failure of the next one of this thread.
            let left = ErrorStack::get();
            assert!(left.errors().is_empty(), "{left}");
            received?;
        }
        Ok(())
    }
}

fn shake(client: &mut End, server: &mut End, chunk: usize) -> Result<(), Failure> {
    client.tls.receive(&mut [], &mut |_| (), &mut client.out)?;
    for _ in 0..4 {
        server.take(&mut client.out, chunk)?;
        client.take(&mut server.out, chunk)?;
    }
    Ok(())
}

/// A self-signed pair as old hosts have them: `version` 2 is X.509 v3, 0 is v1.
fn pair(bits: u32, version: i32, digest: MessageDigest) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = PKey::from_rsa(Rsa::generate(bits).expect("a key")).expect("a key");
    let mut name = X509Name::builder().expect("a name");
    name.append_entry_by_text("CN", "host.test").expect("a name");
    let name = name.build();
    let mut certificate = X509::builder().expect("a certificate");
    certificate.set_version(version).expect("version");
    certificate.set_subject_name(&name).expect("subject");
    certificate.set_issuer_name(&name).expect("issuer");
    certificate.set_serial_number(&BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap()).expect("serial");
    certificate.set_pubkey(&key).expect("key");
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).expect("from");
    certificate.set_not_after(&Asn1Time::days_from_now(30).unwrap()).expect("until");
    certificate.sign(&key, digest).expect("signature");
    let der = certificate.build().to_der().expect("DER");
    let key = PrivateKeyDer::try_from(key.private_key_to_pkcs8().expect("PKCS#8")).expect("a key");
    (vec![CertificateDer::from(der)], key)
}

fn rules(client: &[TlsVersion], host: &[TlsVersion], pin: Pin) -> BridgeRules {
    BridgeRules {
        mode: BridgeMode::Always,
        verify: Verify::Pin,
        pin: vec![pin],
        client_versions: client.to_vec(),
        host_versions: host.to_vec(),
        ..BridgeRules::default()
    }
}

fn name() -> ServerName<'static> {
    ServerName::try_from("host.test").expect("a name")
}

/// A client leg of these versions, and a host leg of those, that faces it.
fn ends(client_leg: &[TlsVersion], host_leg: &[TlsVersion], ciphers: Ciphers) -> Result<(End, End), String> {
    let (chain, key) = pair(2048, 2, MessageDigest::sha256());
    let rules = BridgeRules { host_ciphers: ciphers, ..rules(client_leg, host_leg, digest(&chain[0])) };
    let (server, client) = (server(&rules, &chain, &key, false)?, client(&rules, false)?);
    let trust = Trust::of(&rules)?;
    let client = connect(&client, name(), &trust, true, None).map_err(|error| error.to_string())?;
    Ok((End::new(client), End::new(accept(&server, None).map_err(|error| error.to_string())?)))
}

/// The suites of the ClientHello with which a host leg begins.
fn offered(host_leg: &[TlsVersion], ciphers: Ciphers) -> Result<Vec<CipherSuite>, String> {
    let (mut client, _) = ends(&ALL, host_leg, ciphers)?;
    client.tls.receive(&mut [], &mut |_| (), &mut client.out).map_err(|error| error.to_string())?;
    match ClientHello::parse(&client.out[5..]) {
        Outcome::Value { value, .. } => Ok(value.suites().filter(|suite| *suite != CipherSuite(0x00ff)).collect()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_version_is_spoken_carries_data_and_closes_in_any_chunking() {
    for (version, chunk) in ALL.into_iter().zip([1, 7, 65_536, 3]) {
        let (mut client, mut server) = ends(&[version], &[version], Ciphers::Default).expect("ends");
        shake(&mut client, &mut server, chunk).expect("a handshake");
        let (here, there) = (client.tls.facts().expect("up"), server.tls.facts().expect("up"));
        assert_eq!((here.version, here.suite, here.library), (version, there.suite, "openssl"));
        assert_eq!(here.is_weak(), version < TlsVersion::TLS12);
        assert!(client.tls.peer_certificate().is_some() && server.tls.peer_certificate().is_none());

        let data: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        client.tls.send(&data, &mut client.out).expect("sent");
        server.take(&mut client.out, chunk.max(100)).expect("received");
        assert!(server.plain == data, "{version}");
        server.tls.close(&mut server.out);
        client.take(&mut server.out, chunk).expect("close_notify");
        assert!(client.tls.peer_closed() && !server.tls.peer_closed());
        client.tls.send(b"half closed", &mut client.out).expect("still sent");
        server.plain.clear();
        server.take(&mut client.out, chunk).expect("received");
        assert_eq!(server.plain, b"half closed");
    }
}

#[test]
fn secrets_leave_no_context_that_was_not_made_for_it() {
    let (chain, key) = pair(2048, 2, MessageDigest::sha256());
    let rules = rules(&ALL, &ALL, digest(&chain[0]));
    let trust = Trust::of(&rules).expect("trust");
    for kept in [false, true] {
        let (server, client) =
            (server(&rules, &chain, &key, kept).expect("server"), client(&rules, kept).expect("client"));
        let (there, here) = (Arc::<Keys>::default(), Arc::<Keys>::default());
        let client = connect(&client, name(), &trust, true, Some(Arc::clone(&here))).expect("client");
        let server = accept(&server, Some(Arc::clone(&there))).expect("server");
        shake(&mut End::new(client), &mut End::new(server), 65_536).expect("a handshake");
        assert_eq!((here.are_there(), there.are_there()), (kept, kept));
    }
}

#[test]
fn both_libraries_meet_in_one_program_and_take_the_highest_version() {
    let (chain, key) = pair(2048, 2, MessageDigest::sha256());
    let rules = rules(&ALL, &ALL, digest(&chain[0]));
    let trust = Trust::of(&rules).expect("trust");
    // A client leg that allows TLS 1.0 gives a modern client TLS 1.3.
    let legacy = accept(&server(&rules, &chain, &key, false).expect("server"), None).expect("server");
    let config = modern::client(&rules, &trust, false, true).expect("client");
    let (mut client, mut server) =
        (End::new(modern::connect(&config, name(), None).expect("client")), End::new(legacy));
    shake(&mut client, &mut server, 100).expect("a handshake");
    let of = |end: &End| end.tls.facts().map(|facts| (facts.version, facts.library));
    assert_eq!((of(&client), of(&server)), (Some((TlsVersion::TLS13, "rustls")), Some((TlsVersion::TLS13, "openssl"))));
    // A host leg that allows it gets TLS 1.3 from a modern host.
    let config = modern::server(&rules, chain, key).expect("server");
    let legacy = connect(&super::client(&rules, false).expect("client"), name(), &trust, true, None).expect("client");
    let (mut client, mut server) = (End::new(legacy), End::new(modern::accept(&config, None).expect("server")));
    shake(&mut client, &mut server, 100).expect("a handshake");
    assert_eq!((of(&client), of(&server)), (Some((TlsVersion::TLS13, "openssl")), Some((TlsVersion::TLS13, "rustls"))));
}

#[test]
fn a_host_with_rsa_key_exchange_and_cbc_alone_is_reached() {
    for version in [TlsVersion::TLS10, TlsVersion::TLS12] {
        let only = Ciphers::Named(vec![RSA_AES_128_CBC_SHA]);
        let (mut client, mut server) = ends(&[version], &[version], only).expect("ends");
        shake(&mut client, &mut server, 65_536).expect("a handshake");
        let facts = client.tls.facts().expect("up");
        assert_eq!((facts.suite, facts.is_weak()), (RSA_AES_128_CBC_SHA, true));
    }
}

#[test]
fn old_certificates_are_taken_when_they_are_the_ones_meant() {
    for (bits, version, algorithm) in
        [(1024, 2, MessageDigest::sha1()), (2048, 0, MessageDigest::sha256()), (1024, 0, MessageDigest::sha1())]
    {
        let (chain, key) = pair(bits, version, algorithm);
        for (pin, trusted) in [(digest(&chain[0]), true), (Pin([9; 32]), false)] {
            let rules = rules(&ALL, &[TlsVersion::TLS10], pin);
            let trust = Trust::of(&rules).expect("trust");
            let leg = connect(&client(&rules, false).expect("client"), name(), &trust, true, None).expect("client");
            let host = accept(&server(&rules, &chain, &key, false).expect("server"), None).expect("server");
            let (mut leg, mut host) = (End::new(leg), End::new(host));
            let outcome = shake(&mut leg, &mut host, 65_536);
            assert_eq!(outcome.is_ok(), trusted, "{outcome:?}");
            assert_eq!(leg.tls.facts().is_some(), trusted);
            assert!(trusted || matches!(outcome, Err(Failure::Untrusted(_))), "{outcome:?}");
            if !trusted {
                let told = host.take(&mut leg.out, 65_536);
                assert_eq!(told, Err(Failure::Alert(AlertDescription(48))), "the host is told: unknown_ca");
            }
        }
    }
}

#[test]
fn broken_suites_are_never_offered_and_3des_only_when_it_is_written_out() {
    for versions in [&ALL[..], &ALL[..1], &ALL[2..3]] {
        let suites = offered(versions, Ciphers::Default).expect("a hello");
        assert!(suites.contains(&RSA_AES_128_CBC_SHA));
        for suite in suites {
            let info = suite.info().unwrap_or_else(|| panic!("{suite} is not known"));
            assert!(matches!(info.class, SuiteClass::Modern | SuiteClass::Weak), "{suite}");
            assert!(!info.name.contains("3DES") && !info.name.contains("RC4"), "{suite}");
        }
    }
    // Debian builds its OpenSSL without 3DES; the release build has it.
    match offered(&ALL[..1], Ciphers::Named(vec![RSA_3DES])) {
        Ok(suites) => assert_eq!(suites, [RSA_3DES]),
        Err(words) => assert!(words.contains("TLS_RSA_WITH_3DES_EDE_CBC_SHA"), "{words}"),
    }
}

#[test]
fn named_suites_are_offered_in_their_order_and_no_others() {
    let named = vec![CipherSuite(0x1302), CipherSuite(0xc014), RSA_AES_128_CBC_SHA];
    assert_eq!(offered(&ALL, Ciphers::Named(named.clone())).expect("a hello"), named);
}

#[test]
fn legs_that_share_no_version_end_with_the_peers_alert() {
    let (mut client, mut server) = ends(&[TlsVersion::TLS13], &[TlsVersion::TLS10], Ciphers::Default).expect("ends");
    client.tls.receive(&mut [], &mut |_| (), &mut client.out).expect("a hello");
    assert!(matches!(server.take(&mut client.out, 65_536), Err(Failure::Protocol(_))));
    let told = client.take(&mut server.out, 65_536);
    assert!(matches!(told, Err(Failure::Alert(AlertDescription(70)))), "{told:?}");
    assert!(client.tls.facts().is_none());
}

#[test]
fn a_host_leg_takes_up_an_older_session_where_it_may() {
    for version in ALL {
        let (chain, key) = pair(2048, 2, MessageDigest::sha256());
        let rules = rules(&ALL, &[version], digest(&chain[0]));
        let trust = Trust::of(&rules).expect("trust");
        let (host, context) =
            (server(&rules, &chain, &key, false).expect("server"), client(&rules, false).expect("client"));
        let resumed: Vec<bool> = [true, true, true, false]
            .into_iter()
            .map(|resumes| {
                let leg = connect(&context, name(), &trust, resumes, None).expect("client");
                let (mut leg, mut host) = (End::new(leg), End::new(accept(&host, None).expect("server")));
                shake(&mut leg, &mut host, 65_536).expect("a handshake");
                assert_eq!(leg.tls.peer_certificate(), Some(&chain[0][..]), "{version}: judged, and known, each time");
                leg.tls.facts().expect("up").resumed
            })
            .collect();
        assert_eq!(resumed, [false, true, true, false], "{version}");
    }
}

#[test]
fn garbage_ends_a_leg_and_never_panics() {
    for bytes in [&[0x16, 3, 1, 0, 4, 1, 0, 0, 0][..], b"GET / HTTP/1.1\r\n\r\n", &[0; 64]] {
        let (mut client, mut server) = ends(&ALL, &ALL, Ciphers::Default).expect("ends");
        let _ = server.hear(bytes, 1);
        let _ = client.hear(bytes, 1);
        assert!(server.tls.facts().is_none() && client.tls.facts().is_none());
        assert!(server.tls.send(b"x", &mut server.out).is_err());
    }
}
