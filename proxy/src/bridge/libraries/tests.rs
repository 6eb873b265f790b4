use super::*;
use crate::bridge::certificate::Pair;
use config::{BridgeMode, Upstream, Verify};
use parser::wire::HelloShape;

const ALL: [TlsVersion; 4] = [TlsVersion::TLS10, TlsVersion::TLS11, TlsVersion::TLS12, TlsVersion::TLS13];
const CBC: CipherSuite = CipherSuite(0x002f);
const GCM: CipherSuite = CipherSuite(0xc02f);

fn libraries(client: &[TlsVersion], host: &[TlsVersion], ciphers: Ciphers) -> (BridgeRules, Libraries) {
    let rules = BridgeRules {
        mode: BridgeMode::Always,
        verify: Verify::Insecure,
        client_versions: client.to_vec(),
        host_versions: host.to_vec(),
        host_ciphers: ciphers,
        ..BridgeRules::default()
    };
    let host = Upstream { host: "host.test".to_owned(), port: 3389 };
    let pair = Pair::own(&host, None, time::OffsetDateTime::now_utc()).expect("a pair");
    let trust = Trust::of(&rules).expect("trust");
    let libraries = Libraries::new(&rules, &trust, pair.chain, pair.key, false).expect("libraries");
    (rules, libraries)
}

fn hello(versions: &[TlsVersion], suites: &[CipherSuite], schemes: bool) -> ClientHelloFacts {
    let newest = versions.iter().max().copied().unwrap_or_default();
    ClientHelloFacts::from(HelloShape {
        legacy_version: newest.min(TlsVersion::TLS12),
        supported_versions: if newest > TlsVersion::TLS12 { versions.to_vec() } else { Vec::new() },
        suites: suites.to_vec(),
        groups: vec![NamedGroup::X25519, NamedGroup::SECP256R1],
        signature_schemes: if schemes {
            vec![
                parser::wire::SignatureScheme(0x0804),
                parser::wire::SignatureScheme(0x0401),
                parser::wire::SignatureScheme(0x0403),
            ]
        } else {
            Vec::new()
        },
        ..HelloShape::default()
    })
}

#[test]
fn a_client_is_answered_by_rustls_where_it_can_be() {
    let (_, libraries) = libraries(&ALL, &ALL, Ciphers::Default);
    let of = |hello: ClientHelloFacts| libraries.for_client(&hello);
    assert_eq!(of(hello(&[TlsVersion::TLS13], &[CipherSuite(0x1301)], true)), Some(Library::Modern));
    assert_eq!(of(hello(&[TlsVersion::TLS12], &[GCM, CBC], true)), Some(Library::Modern));
    let legacy = LEGACY_TLS.then_some(Library::Legacy);
    assert_eq!(of(hello(&[TlsVersion::TLS12], &[CBC], true)), legacy);
    assert_eq!(of(hello(&[TlsVersion::TLS10], &[CBC], false)), legacy);
    assert_eq!(of(hello(&[TlsVersion::TLS10], &[CipherSuite(0x000a), CipherSuite(0x0005)], false)), None);
}

#[test]
fn no_client_is_answered_outside_of_its_window() {
    let modern = [TlsVersion::TLS12, TlsVersion::TLS13];
    let (_, libraries) = libraries(&modern, &modern, Ciphers::Default);
    assert_eq!(libraries.for_client(&hello(&[TlsVersion::TLS10], &[CBC], false)), None);
}

#[test]
fn a_host_is_reached_by_what_its_profile_its_refusal_and_its_window_say() {
    let modern = [TlsVersion::TLS12, TlsVersion::TLS13];
    let able = |version, suite| Ability {
        versions: vec![(version, vec![suite])],
        groups: None,
        signature_schemes: None,
        keys: vec![KeyType::Rsa],
        key_curve: None,
    };
    assert!(is_beyond_modern(&able(TlsVersion::TLS10, CBC)) && is_beyond_modern(&able(TlsVersion::TLS12, CBC)));
    assert!(!is_beyond_modern(&able(TlsVersion::TLS12, GCM)));
    let whole = hello(&modern, &[CipherSuite(0x1301), GCM, CipherSuite(0xc02b)], true);
    let old = hello(&[TlsVersion::TLS12], &[CBC], true);
    let (rules, libraries) = libraries(&ALL, &modern, Ciphers::Default);
    let of = |host: Option<&Ability>, refused| libraries.for_host(&rules, host, refused);
    if !LEGACY_TLS {
        assert_eq!(of(None, Some(&whole)), [Library::Modern]);
        return;
    }
    assert_eq!(of(Some(&able(TlsVersion::TLS12, GCM)), None), [Library::Modern]);
    assert_eq!(of(Some(&able(TlsVersion::TLS12, CBC)), None), [Library::Legacy]);
    assert_eq!(of(None, Some(&whole)), [Library::Legacy]);
    assert_eq!(of(None, Some(&old)), [Library::Modern, Library::Legacy]);
    let only13 = hello(&modern[1..], &[CipherSuite(0x1301)], true);
    assert_eq!(of(None, Some(&only13)), [Library::Modern, Library::Legacy], "TLS 1.2 was not asked for");
    assert_eq!(of(None, None), [Library::Modern, Library::Legacy]);
}

#[test]
#[cfg(feature = "legacy-tls")]
fn windows_and_named_suites_decide_which_library_there_is() {
    let (rules, libraries) = libraries(&ALL[..1], &ALL[..1], Ciphers::Default);
    assert_eq!(libraries.for_host(&rules, None, None), [Library::Legacy]);
    assert!(libraries.modern_server.is_none() && libraries.modern_clients.is_none());
    let (rules, libraries) = self::libraries(&ALL[3..], &ALL[2..], Ciphers::Named(vec![GCM]));
    assert_eq!(libraries.for_host(&rules, None, None), [Library::Modern]);
    assert!(!libraries.has_legacy_server() && !libraries.has_legacy_client());
    let (rules, libraries) = self::libraries(&ALL, &ALL, Ciphers::Default);
    assert_eq!(libraries.for_host(&rules, None, None), [Library::Legacy], "one hello offers all of it");
}
