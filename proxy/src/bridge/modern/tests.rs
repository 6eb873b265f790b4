use super::super::trust::digest;
use super::*;
use config::{BridgeMode, Verify};
use rcgen::generate_simple_self_signed;
use rustls::SupportedCipherSuite;

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
        let sent = std::mem::take(from);
        self.hear(&sent, chunk)
    }

    fn hear(&mut self, sent: &[u8], chunk: usize) -> Result<(), Failure> {
        for part in sent.chunks(chunk) {
            let mut wire = self.tls.rest();
            assert!(wire.len() <= REST_MAX);
            wire.extend_from_slice(part);
            let plain = &mut self.plain;
            self.tls.receive(&mut wire, &mut |p| plain.extend_from_slice(p), &mut self.out)?;
        }
        Ok(())
    }
}

fn rules(pin: config::Pin) -> BridgeRules {
    BridgeRules { mode: BridgeMode::Always, verify: Verify::Pin, pin: vec![pin], ..BridgeRules::default() }
}

/// Both ends and the certificate of the server, which is trusted or not.
fn ends(trusted: bool, window: &[TlsVersion]) -> (End, End, Vec<u8>) {
    let made = generate_simple_self_signed(["host.test".to_owned()]).expect("a certificate");
    let certificate = made.cert.der().to_vec();
    let pin = if trusted { digest(&certificate) } else { config::Pin([7; 32]) };
    let rules = BridgeRules { host_versions: window.to_vec(), ..rules(pin) };
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let server = server(&rules, vec![made.cert.der().clone()], key).expect("server");
    let trust = Trust::of(&rules).expect("trust");
    let client = client(&rules, &trust, false, true).expect("client");
    let name = ServerName::try_from("host.test").expect("a name");
    (
        End::new(connect(&client, name, None).expect("client")),
        End::new(accept(&server, None).expect("server")),
        certificate,
    )
}

fn shake(client: &mut End, server: &mut End, chunk: usize) -> Result<(), Failure> {
    client.tls.receive(&mut [], &mut |_| (), &mut client.out)?;
    for _ in 0..4 {
        server.take(&mut client.out, chunk)?;
        client.take(&mut server.out, chunk)?;
    }
    Ok(())
}

#[test]
fn two_legs_meet_carry_data_and_close_in_any_chunking() {
    for (version, chunk) in [(TlsVersion::TLS12, 1), (TlsVersion::TLS13, 3), (TlsVersion::TLS13, 65_536)] {
        let (mut client, mut server, certificate) = ends(true, &[version]);
        shake(&mut client, &mut server, chunk).expect("a handshake");
        let (here, there) = (client.tls.facts().expect("up"), server.tls.facts().expect("up"));
        assert_eq!((here.version, here.suite), (version, there.suite));
        assert_eq!(here.group, Some(NamedGroup::X25519));
        assert!(!here.is_weak() && !here.resumed);
        assert_eq!(client.tls.peer_certificate(), Some(&certificate[..]));

        let data: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        client.tls.send(&data, &mut client.out).expect("sent");
        server.take(&mut client.out, chunk.max(100)).expect("received");
        assert!(server.plain == data);
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
fn keys_of_tls_1_3_are_changed_before_they_are_worn_out() {
    // The third record is one too many.
    let mut worn = CryptoProvider::clone(&provider());
    worn.cipher_suites = worn.cipher_suites.iter().filter_map(SupportedCipherSuite::tls13).map(soon_worn).collect();
    let made = generate_simple_self_signed(["host.test".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let rules = rules(digest(made.cert.der()));
    let server = server(&rules, vec![made.cert.der().clone()], key).expect("server");
    let verifier = Arc::new(crate::tls_provider::AnyCertificate);
    let config = ClientConfig::builder_with_provider(Arc::new(worn)).with_safe_default_protocol_versions();
    let config = config.expect("versions").dangerous().with_custom_certificate_verifier(verifier);
    let config = Arc::new(config.with_no_client_auth());
    let name = ServerName::try_from("host.test").expect("a name");
    let mut client = End::new(connect(&config, name, None).expect("client"));
    let mut server = End::new(accept(&server, None).expect("server"));
    shake(&mut client, &mut server, 65_536).expect("a handshake");
    let data: Vec<u8> = (0..20_000_u32).map(|n| n as u8).collect();
    for _ in 0..50 {
        client.tls.send(&data, &mut client.out).expect("sent");
        server.take(&mut client.out, 65_536).expect("received");
    }
    assert!(server.plain == data.repeat(50));
}

fn soon_worn(suite: &rustls::Tls13CipherSuite) -> SupportedCipherSuite {
    let common = rustls::CipherSuiteCommon {
        suite: suite.common.suite,
        hash_provider: suite.common.hash_provider,
        confidentiality_limit: 3,
    };
    SupportedCipherSuite::Tls13(Box::leak(Box::new(rustls::Tls13CipherSuite { common, ..*suite })))
}

#[test]
fn a_host_that_is_not_the_one_meant_is_refused_with_its_fingerprints() {
    let (mut client, mut server, certificate) = ends(false, &[TlsVersion::TLS12, TlsVersion::TLS13]);
    let Err(Failure::Untrusted(words)) = shake(&mut client, &mut server, 65_536) else { panic!("trusted") };
    assert!(words.contains(&digest(&certificate).to_string()), "{words}");
    assert!(client.tls.facts().is_none());
    let told = server.take(&mut client.out, 65_536);
    assert!(matches!(told, Err(Failure::Alert(_))), "{told:?}");
}

#[test]
fn garbage_ends_a_leg_with_an_alert_and_never_panics() {
    let (_, mut server, _) = ends(true, &[TlsVersion::TLS13]);
    assert!(server.hear(&[0x16, 3, 1, 0, 4, 1, 0, 0, 0], 1).is_err());
    assert_eq!(server.out.first(), Some(&21), "an alert");
}
