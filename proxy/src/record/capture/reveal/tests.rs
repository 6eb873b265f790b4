use super::super::mask;
use super::*;
use crate::tls_provider::provider;
use parser::session::Peer;
use parser::wire::ContentType;
use rcgen::generate_simple_self_signed;
use rustls::crypto::aws_lc_rs::kx_group::SECP384R1;
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, KeyLog, RootCertStore, ServerConfig, ServerConnection, SupportedCipherSuite,
};
use std::io::{Read, Write};
use std::sync::Arc;

const PASSWORD: &str = "correct horse";

/// A leg between two rustls ends with this suite, the secrets of it, and what was said inside.
fn leg(suite: SupportedCipherSuite, said: &[(Peer, Vec<u8>)]) -> (Wire, Arc<Keys>) {
    leg_by(suite, provider().kx_groups.clone(), said)
}

/// The same with a server that has these groups.
fn leg_by(
    suite: SupportedCipherSuite,
    groups: Vec<&'static dyn SupportedKxGroup>,
    said: &[(Peer, Vec<u8>)],
) -> (Wire, Arc<Keys>) {
    let keys = Arc::new(Keys::default());
    let made = generate_simple_self_signed(["host.test".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(CryptoProvider { cipher_suites: vec![suite], ..CryptoProvider::clone(&provider()) });
    let version: &[_] = match suite {
        SupportedCipherSuite::Tls13(_) => &[&rustls::version::TLS13],
        SupportedCipherSuite::Tls12(_) => &[&rustls::version::TLS12],
    };
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let client =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(version).expect("client");
    let mut client = client.with_root_certificates(roots).with_no_client_auth();
    client.key_log = Arc::clone(&keys) as Arc<dyn KeyLog>;
    let provider = Arc::new(CryptoProvider { kx_groups: groups, ..CryptoProvider::clone(&provider) });
    let server = ServerConfig::builder_with_provider(provider).with_protocol_versions(version).expect("server");
    let server = server.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).expect("a pair");
    let name = ServerName::try_from("host.test").expect("a name");
    let mut client = ClientConnection::new(Arc::new(client), name).expect("client");
    let mut server = ServerConnection::new(Arc::new(server)).expect("server");
    // X.224 before it, as it is.
    let mut wire =
        Wire { client: request(), host: vec![3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0, 8, 0, 1, 0, 0, 0] };
    let mut exchange = |client: &mut ClientConnection, server: &mut ServerConnection| {
        for _ in 0..6 {
            let mut sent = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut sent).expect("written");
            }
            wire.client.extend(&sent);
            let mut rest = &sent[..];
            while !rest.is_empty() {
                server.read_tls(&mut rest).expect("read");
                server.process_new_packets().expect("understood");
            }
            let mut sent = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut sent).expect("written");
            }
            wire.host.extend(&sent);
            let mut rest = &sent[..];
            while !rest.is_empty() {
                client.read_tls(&mut rest).expect("read");
                client.process_new_packets().expect("understood");
            }
        }
    };
    exchange(&mut client, &mut server);
    for (from, bytes) in said {
        let mut got = vec![0; bytes.len()];
        match from {
            Peer::Client => client.writer().write_all(bytes).expect("said"),
            Peer::Host => server.writer().write_all(bytes).expect("said"),
        }
        exchange(&mut client, &mut server);
        match from {
            Peer::Client => server.reader().read_exact(&mut got).expect("heard"),
            Peer::Host => client.reader().read_exact(&mut got).expect("heard"),
        }
        assert_eq!(&got, bytes);
    }
    server.send_close_notify();
    exchange(&mut client, &mut server);
    (wire, keys)
}

fn request() -> Vec<u8> {
    vec![3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0]
}

/// TSRequests, an early result, MCS, a Client Info with a password, Set Error Info, in records that cut them.
fn said() -> Vec<(Peer, Vec<u8>)> {
    let wide: Vec<u8> = PASSWORD.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let ts_request = |field: u8, content: &[u8]| {
        let octets = [&[4, content.len() as u8], content].concat();
        let version = [0xa0, 3, 2, 1, 6];
        let field = [&[field, octets.len() as u8], &octets[..]].concat();
        [&[0x30, (version.len() + field.len()) as u8][..], &version, &field].concat()
    };
    let info = [
        &[0x40, 0, 0, 0, 0, 0, 0, 0, 0x33, 0, 0, 0, 0, 0, 10, 0, 26, 0, 0, 0, 0, 0][..],
        b"a\0l\0i\0c\0e\0\0\0",
        &wide,
    ]
    .concat();
    let pdu = |mcs: &[u8]| [&[3, 0, 0, mcs.len() as u8 + 7, 2, 0xf0, 0x80][..], mcs].concat();
    let send =
        |choice: u8, data: &[u8]| pdu(&[&[choice, 0, 6, 3, 0xeb, 0x70, 0x80, data.len() as u8][..], data].concat());
    let error = send(0x68, &[22, 0, 0x17, 0, 0xea, 3, 0, 0, 1, 0, 0, 1, 8, 0, 0x2f, 0, 0, 0, 7, 0, 0, 0]);
    let refused = [0x30, 13, 0xa0, 3, 2, 1, 6, 0xa4, 6, 2, 4, 0xc0, 0, 0, 0x6d].to_vec();
    let client_info = send(0x64, &info);
    let (first, second) = client_info.split_at(40);
    vec![
        (Peer::Client, ts_request(0xa2, PASSWORD.as_bytes())),
        (Peer::Host, refused),
        (Peer::Host, vec![0, 0, 0, 0]),
        (Peer::Client, [&pdu(&[0x7f, 0x65, 0x82, 1, 2, 3])[..], first].concat()),
        (Peer::Client, second.to_vec()),
        (Peer::Host, error),
    ]
}

/// What is inside of a leg by the lines of a key log.
fn opened(wire: &Wire, key_log: &str) -> [Vec<u8>; 2] {
    let keys = Keys::default();
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("digits")).collect()
    };
    for line in key_log.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        keys.log(words[0], &bytes(words[1]), &bytes(words[2]));
    }
    wire::inside(wire, &keys).expect("it opens")
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[test]
fn a_leg_is_readable_by_the_secrets_of_its_file_alone_and_says_nothing_that_may_not_be_shown() {
    let suites = provider().cipher_suites.clone();
    assert!(suites.len() >= 9);
    let said = said();
    for suite in suites.into_iter().filter(|suite| !format!("{suite:?}").contains("RSA")) {
        let (before, keys) = leg(suite, &said);
        let mut after = before.clone();
        let key_log = reveal(std::slice::from_mut(&mut after), &keys);
        assert_eq!(
            key_log.lines().count(),
            if matches!(suite, SupportedCipherSuite::Tls13(_)) { 4 } else { 1 },
            "{suite:?}"
        );
        assert_eq!((after.client.len(), after.host.len()), (before.client.len(), before.host.len()));
        let shown = opened(&after, &key_log);
        for (peer, shown) in [Peer::Client, Peer::Host].into_iter().zip(&shown) {
            let mut wanted: Vec<u8> =
                said.iter().filter(|(from, _)| *from == peer).flat_map(|(_, bytes)| bytes.clone()).collect();
            mask::inside(peer, &mut wanted);
            assert_eq!(shown, &wanted, "{suite:?}");
        }
        let wide: Vec<u8> = PASSWORD.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(
            !contains(&shown[0], PASSWORD.as_bytes())
                && !contains(&shown[0], &wide)
                && !contains(&shown[0], b"a\0l\0i")
        );
        assert!(contains(&shown[0], &[0x7f, 0x65, 0x82, 1, 2, 3]) && contains(&shown[0], &[0x64, 0, 6, 3, 0xeb]));
        assert!(contains(&shown[1], &[0xc0, 0, 0, 0x6d]) && contains(&shown[1], &[0x2f, 0, 0, 0, 7, 0, 0, 0]));
        // The secrets of the session open nothing of the file, nor those of the file anything of the session.
        assert!(wire::inside(&after, &keys).is_none_or(|sides| sides.iter().all(Vec::is_empty)), "{suite:?}");
    }
}

#[test]
fn a_leg_whose_client_was_asked_for_another_hello_is_readable_too() {
    let suite = provider().cipher_suites[0];
    let said = said();
    let (before, keys) = leg_by(suite, vec![SECP384R1], &said);
    let mut after = before.clone();
    let key_log = reveal(std::slice::from_mut(&mut after), &keys);
    assert!(
        after.host.windows(4).any(|window| window == [0xcf, 0x21, 0xad, 0x74]),
        "HelloRetryRequest. RFC 8446 4.1.3"
    );
    let [client, _] = opened(&after, &key_log);
    assert!(contains(&client, &[0x7f, 0x65, 0x82, 1, 2, 3]) && !contains(&client, PASSWORD.as_bytes()));
}

#[test]
fn a_leg_whose_secrets_are_not_there_stays_as_it_was() {
    let suite = provider().cipher_suites[0];
    let (before, keys) = leg(suite, &said());
    for keys in [Keys::default(), {
        keys.forget();
        Keys::default()
    }] {
        let mut after = before.clone();
        assert_eq!(reveal(std::slice::from_mut(&mut after), &keys), "");
        assert_eq!(after, before);
    }
}

#[test]
fn what_was_changed_or_cut_says_nothing_from_there_on_and_nothing_panics() {
    let suite = provider().cipher_suites[0];
    let (whole, keys) = leg(suite, &said());
    for at in (0..whole.client.len()).step_by(11) {
        let mut cut =
            Wire { client: whole.client[..at].to_vec(), host: whole.host[..at.min(whole.host.len())].to_vec() };
        reveal(std::slice::from_mut(&mut cut), &keys);
        let mut changed = whole.clone();
        changed.client[at] ^= 0x11;
        let key_log = reveal(std::slice::from_mut(&mut changed), &keys);
        if !key_log.is_empty() {
            let [client, _] = opened(&changed, &key_log);
            assert!(!contains(&client, PASSWORD.as_bytes()));
        }
    }
}

#[test]
fn what_does_not_open_stays_as_it_was_and_without_any_that_does_there_are_no_secrets() {
    let (whole, keys) = leg(provider().cipher_suites[0], &said());
    assert!(opens(std::slice::from_ref(&whole), &keys));
    let sealed = |bytes: &[u8]| bytes.windows(3).position(|head| head == [23, 3, 3]).expect("a sealed record");
    let mut changed = whole.clone();
    for side in [&mut changed.client, &mut changed.host] {
        let at = sealed(side) + 10;
        side[at] ^= 1;
    }
    let mut after = changed.clone();
    assert!(!opens(std::slice::from_ref(&changed), &keys));
    assert_eq!(reveal(std::slice::from_mut(&mut after), &keys), "");
    assert_eq!(after, changed);
    // The last record of the client alone: what comes before it opens.
    let mut changed = whole.clone();
    let last = changed.client.len() - 20;
    changed.client[last] ^= 1;
    let mut after = changed.clone();
    assert_eq!(reveal(std::slice::from_mut(&mut after), &keys).lines().count(), 4);
    assert_eq!(after.client[last - 1..], changed.client[last - 1..]);
    assert_ne!(after.client, changed.client);
}

#[test]
fn of_late_handshake_messages_no_ticket_is_left_however_records_cut_it() {
    // RFC 8446 4.6.1: lifetime, age, nonce, a ticket that reads like a key update, extensions.
    let body = [&[0, 0, 1, 0, 1, 1, 1, 1, 1, 9, 0, 8][..], &[24, 0, 0, 4, 7, 7, 7, 7], &[0, 0]].concat();
    let ticket = [&[4, 0, 0, body.len() as u8][..], &body].concat();
    for at in 0..=ticket.len() {
        let (mut first, mut second) = (ticket[..at].to_vec(), ticket[at..].to_vec());
        let records = [&mut first[..], &mut second[..]].map(|content| (ContentType::HANDSHAKE, content));
        wire::hide(records.into_iter(), true);
        assert!(![first, second].concat().iter().any(|byte| matches!(byte, 7 | 9)), "cut at {at}");
    }
    let (mut hello, mut finished) = (vec![1, 0, 0, 4, 7, 7, 7, 7], [&[20, 0, 0, 12][..], &[5; 12]].concat());
    let (mut alert, mut unknown) = ([2, 40], [24, 7, 7]);
    let records = [
        (ContentType::HANDSHAKE, &mut hello[..]),
        (ContentType::HANDSHAKE, &mut finished[..]),
        (ContentType::ALERT, &mut alert[..]),
        (ContentType(24), &mut unknown[..]),
    ];
    wire::hide(records.into_iter(), false);
    assert_eq!((hello, finished[4..].to_vec()), (vec![1, 0, 0, 4, 0, 0, 0, 0], vec![5; 12]));
    assert_eq!((alert, unknown), ([2, 40], [0; 3]));
}

/// The same of legs that OpenSSL speaks: every version and kind of suite of the legacy leg.
#[cfg(feature = "legacy-tls")]
mod legacy {
    use super::*;
    use openssl::pkey::PKey;
    use openssl::ssl::{SslAcceptor, SslConnector, SslMethod, SslOptions, SslVerifyMode, SslVersion};
    use openssl::x509::X509;
    use std::os::unix::net::UnixStream;
    use std::sync::Mutex;

    /// Notes what is sent.
    #[derive(Debug)]
    struct Noted(UnixStream, Arc<Mutex<Vec<u8>>>);

    impl Read for Noted {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Noted {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.1.lock().expect("noted").extend_from_slice(bytes);
            self.0.write_all(bytes).map(|()| bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn leg(
        version: SslVersion,
        suite: &'static str,
        options: SslOptions,
        said: &[(Peer, Vec<u8>)],
    ) -> (Wire, Arc<Keys>) {
        let keys = Arc::new(Keys::default());
        let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).expect("a key");
        let made =
            rcgen::CertificateParams::new(["host.test".to_owned()]).expect("names").self_signed(&key).expect("signed");
        let mut server = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("server");
        server.set_security_level(0);
        server.set_min_proto_version(Some(version)).expect("version");
        server.set_max_proto_version(Some(version)).expect("version");
        server.clear_options(SslOptions::NO_TLSV1 | SslOptions::NO_TLSV1_1);
        server.set_options(options);
        server.set_cipher_list(suite).expect("a suite");
        server.set_certificate(&X509::from_der(made.der()).expect("a certificate")).expect("set");
        server.set_private_key(&PKey::private_key_from_der(&key.serialize_der()).expect("a key")).expect("set");
        let mut client = SslConnector::builder(SslMethod::tls_client()).expect("client");
        client.set_security_level(0);
        client.set_verify(SslVerifyMode::NONE);
        client.set_min_proto_version(Some(version)).expect("version");
        client.set_cipher_list(suite).expect("a suite");
        let lines = Arc::clone(&keys);
        client.set_keylog_callback(move |_, line| lines.line(line));
        let (near, far) = UnixStream::pair().expect("a pair");
        let (up, down) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<Mutex<Vec<u8>>>::default());
        let (acceptor, host_said) = (server.build(), Noted(far, Arc::clone(&down)));
        let script = said.to_vec();
        let host = std::thread::spawn(move || {
            let mut stream = acceptor.accept(host_said).expect("a handshake");
            for (from, bytes) in script {
                match from {
                    Peer::Host => stream.write_all(&bytes).expect("said"),
                    Peer::Client => stream.read_exact(&mut vec![0; bytes.len()]).expect("heard"),
                }
            }
        });
        let mut stream = client.build().configure().expect("client").verify_hostname(false);
        stream.set_use_server_name_indication(false);
        let mut stream = stream.connect("host.test", Noted(near, Arc::clone(&up))).expect("a handshake");
        for (from, bytes) in said {
            match from {
                Peer::Client => stream.write_all(bytes).expect("said"),
                Peer::Host => stream.read_exact(&mut vec![0; bytes.len()]).expect("heard"),
            }
        }
        host.join().expect("the host");
        let taken = |noted: Arc<Mutex<Vec<u8>>>| std::mem::take(&mut *noted.lock().expect("noted"));
        (Wire { client: taken(up), host: taken(down) }, keys)
    }

    #[test]
    fn legs_of_every_version_and_with_every_form_of_cbc_are_readable_too() {
        // SSL_OP_NO_ENCRYPT_THEN_MAC, which the crate has no name for.
        let inside = SslOptions::from_bits_retain(1 << 19);
        let (none, said) = (SslOptions::empty(), said());
        for (version, suite, options) in [
            (SslVersion::TLS1, "AES128-SHA", none),
            (SslVersion::TLS1, "ECDHE-RSA-AES256-SHA", inside),
            (SslVersion::TLS1_1, "AES256-SHA", none),
            (SslVersion::TLS1_1, "ECDHE-RSA-AES128-SHA", inside),
            (SslVersion::TLS1_2, "AES128-SHA", inside),
            (SslVersion::TLS1_2, "AES256-SHA256", none),
            (SslVersion::TLS1_2, "ECDHE-RSA-AES256-SHA384", inside),
            (SslVersion::TLS1_2, "AES128-GCM-SHA256", none),
            (SslVersion::TLS1_3, "DEFAULT", none),
        ] {
            let (before, keys) = leg(version, suite, options, &said);
            let mut after = before.clone();
            let key_log = reveal(std::slice::from_mut(&mut after), &keys);
            assert!(!key_log.is_empty(), "{suite} of {version:?}");
            assert_eq!((after.client.len(), after.host.len()), (before.client.len(), before.host.len()));
            for (peer, shown) in [Peer::Client, Peer::Host].into_iter().zip(opened(&after, &key_log)) {
                let mut wanted: Vec<u8> =
                    said.iter().filter(|(from, _)| *from == peer).flat_map(|(_, bytes)| bytes.clone()).collect();
                mask::inside(peer, &mut wanted);
                assert_eq!(shown, wanted, "{suite} of {version:?}");
            }
        }
    }
}
