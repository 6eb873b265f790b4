//! The same hellos read by tls-parser, and hellos that rustls made: three readers must agree.

use super::{
    CipherSuite, ClientHello, Fingerprints, HelloShape, NamedGroup, RECORD_HEADER, RecordHeader, SignatureScheme,
    TlsVersion,
};
use rustls::crypto::aws_lc_rs;
use std::sync::Arc;
use tls_parser::{TlsExtension, TlsMessage, TlsMessageHandshake};

const XFREERDP: &str = include_str!("../../../testdata/hellos/xfreerdp-2.11.7.hex");
const RDESKTOP: &str = include_str!("../../../testdata/hellos/rdesktop-1.9.0.hex");

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

/// The record of the hello that rustls sends, with a post-quantum key share or with classic groups alone.
fn rustls_hello(post_quantum: bool, alpn: &[&[u8]]) -> Vec<u8> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1];
    if post_quantum {
        provider.kx_groups.insert(0, aws_lc_rs::kx_group::X25519MLKEM768);
    }
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|value| value.to_vec()).collect();
    let name = "rds07.example.net".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut record = Vec::new();
    client.write_tls(&mut record).unwrap();
    record
}

fn all() -> Vec<Vec<u8>> {
    vec![hex(XFREERDP), hex(RDESKTOP), rustls_hello(true, &[]), rustls_hello(false, &[b"h2", b"http/1.1"])]
}

fn hello(record: &[u8]) -> ClientHello<'_> {
    let header = RecordHeader::parse(record).value().expect("a record");
    assert_eq!(usize::from(header.length) + RECORD_HEADER, record.len());
    ClientHello::parse(&record[RECORD_HEADER..]).value().expect("a hello")
}

#[test]
fn fingerprints_of_real_clients_are_those_of_reference_tools() {
    let of = |text| Fingerprints::of(&HelloShape::of(&hello(&hex(text))));
    let expect = |ja3: &str, ja4: &str| Fingerprints { ja3: ja3.to_owned(), ja4: ja4.to_owned() };
    assert_eq!(of(XFREERDP), expect("a3afc2c46ba4a7d7fbe1cfb7a3031c2f", "t13d311000_e8f1e7e78f70_1f22a2ca17c4"));
    assert_eq!(of(RDESKTOP), expect("e945f3fa877f3038e6ae8988e29a85be", "t13i291100_723694b0fccc_5671b5df5029"));
}

#[test]
fn every_field_agrees_with_tls_parser() {
    for record in all() {
        let ours = hello(&record);
        let (_, plaintext) = tls_parser::parse_tls_plaintext(&record).expect("tls-parser reads it");
        let [TlsMessage::Handshake(TlsMessageHandshake::ClientHello(theirs))] = &plaintext.msg[..] else {
            panic!("one ClientHello")
        };
        assert_eq!(ours.legacy_version.0, theirs.version.0);
        assert_eq!(ours.random, theirs.random);
        assert_eq!(ours.session_id, theirs.session_id.unwrap_or_default());
        let suites: Vec<u16> = theirs.ciphers.iter().map(|c| c.0).collect();
        assert_eq!(ours.suites().map(|s| s.0).collect::<Vec<_>>(), suites);

        let (rest, extensions) =
            tls_parser::parse_tls_client_hello_extensions(theirs.ext.expect("extensions")).unwrap();
        assert!(rest.is_empty());
        let kinds: Vec<u16> = extensions.iter().map(|e| tls_parser::TlsExtensionType::from(e).0).collect();
        assert_eq!(ours.extensions().map(|(kind, _)| kind.0).collect::<Vec<_>>(), kinds);
        for extension in &extensions {
            match extension {
                TlsExtension::SNI(names) => assert_eq!(ours.server_name(), names.first().map(|(_, name)| *name)),
                TlsExtension::EllipticCurves(groups) => {
                    assert!(ours.groups().map(|g| g.0).eq(groups.iter().map(|g| g.0)));
                }
                TlsExtension::EcPointFormats(formats) => assert_eq!(ours.point_formats(), *formats),
                TlsExtension::SignatureAlgorithms(schemes) => {
                    assert!(ours.signature_schemes().map(|s| s.0).eq(schemes.iter().copied()));
                }
                TlsExtension::SupportedVersions(versions) => {
                    assert!(ours.supported_versions().map(|v| v.0).eq(versions.iter().map(|v| v.0)));
                }
                TlsExtension::ALPN(values) => assert!(ours.alpn().eq(values.iter().copied())),
                _ => {}
            }
        }
    }
}

#[test]
fn what_rustls_offers_is_what_is_read() {
    let record = rustls_hello(true, &[b"h2"]);
    let ours = hello(&record);
    let provider = aws_lc_rs::default_provider();
    assert_eq!(ours.server_name(), Some(&b"rds07.example.net"[..]));
    assert!(ours.supported_versions().eq([TlsVersion::TLS13, TlsVersion::TLS12]));
    assert!(ours.groups().eq([NamedGroup::X25519_MLKEM768, NamedGroup::X25519, NamedGroup::SECP256R1]));
    let suites: Vec<_> = provider.cipher_suites.iter().map(|s| CipherSuite(u16::from(s.suite()))).collect();
    assert!(suites.iter().all(|suite| ours.suites().any(|s| s == *suite)));
    assert!(ours.signature_schemes().any(|s| s == SignatureScheme::RSA_PSS_RSAE_SHA256));
    assert_eq!(ours.key_shares().next(), Some((NamedGroup::X25519_MLKEM768, 1216)));
    assert_eq!(ours.alpn().collect::<Vec<_>>(), [b"h2"]);
    assert!(record.len() > 1460, "a post-quantum hello needs two segments");
}

#[test]
fn names_agree_with_tls_parser() {
    // tls-parser prints what it does not know as a number; and its names differ in case and in dashes.
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '-'], "");
    for code in 1..=30u16 {
        let theirs = format!("{:?}", tls_parser::NamedGroup(code));
        let ours = NamedGroup(code).name().expect("listed");
        assert!(theirs.starts_with("NamedGroup(") || plain(&theirs) == plain(ours) || code > 25, "{ours} and {theirs}");
    }
}
