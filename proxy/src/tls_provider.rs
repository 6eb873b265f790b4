//! The cryptography behind rustls, chosen in one place.

use parser::wire::CipherSuite;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CipherSuiteCommon, DigitallySignedStruct, SignatureScheme, SupportedCipherSuite, Tls12CipherSuite};
use std::sync::{Arc, LazyLock};

/// The provider that every rustls configuration of this program is built with.
///
/// aws-lc-rs: rustls' own default, kept up, with post-quantum groups. Where the processor has the wide AES instructions
/// and not the registers aws-lc wants for them, AES-GCM is ring's: it is the one of the two that uses them there, and
/// AES-GCM is most of what a bridged byte costs (figures in `benches/README.md`).
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        if wide_aes_without_avx512() {
            take_aes_gcm(&mut provider, &rustls::crypto::ring::default_provider());
        }
        outlast_sessions(&mut provider);
        Arc::new(provider)
    });
    Arc::clone(&PROVIDER)
}

/// Records that a TLS 1.2 leg may seal: a thousand a second for two years.
const RECORDS_OF_TLS12: u64 = 1 << 36;

/// rustls ends a TLS 1.2 connection after 2^24 records of AES-GCM, for it cannot change the keys there as it does in TLS
/// 1.3. A session with a film in it has sent that many after some hours, and nothing else that speaks TLS 1.2 would end it
/// then. Were all of them full ones, an attacker's advantage would be 2^-37 at that number (draft-irtf-cfrg-aead-limits
/// 5.1.1).
fn outlast_sessions(provider: &mut CryptoProvider) {
    for suite in &mut provider.cipher_suites {
        let SupportedCipherSuite::Tls12(known) = *suite else { continue };
        let common = CipherSuiteCommon {
            suite: known.common.suite,
            hash_provider: known.common.hash_provider,
            confidentiality_limit: known.common.confidentiality_limit.max(RECORDS_OF_TLS12),
        };
        let Tls12CipherSuite { prf_provider, kx, sign, aead_alg, .. } = *known;
        // Once for the process: suites are static.
        *suite = SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
            common,
            prf_provider,
            kx,
            sign,
            aead_alg,
        })));
    }
}

/// Puts the AES-GCM suites of `other` in the place of the same ones of `provider`: suites, order and all else stay.
fn take_aes_gcm(provider: &mut CryptoProvider, other: &CryptoProvider) {
    for suite in &mut provider.cipher_suites {
        let same = other.cipher_suites.iter().find(|twin| twin.suite() == suite.suite());
        if let Some(twin) = same.filter(|twin| is_aes_gcm(twin)) {
            *suite = *twin;
        }
    }
}

fn is_aes_gcm(suite: &SupportedCipherSuite) -> bool {
    let cipher = CipherSuite(suite.suite().into()).info().map_or("", |info| info.cipher);
    cipher.starts_with("AES-") && cipher.ends_with("-GCM")
}

/// VAES and VPCLMULQDQ on 256 bits (AMD Zen 3, Intel Alder Lake): aws-lc 1.x needs AVX-512 beside them, ring 0.17.14
/// does not.
#[cfg(target_arch = "x86_64")]
fn wide_aes_without_avx512() -> bool {
    let wide = is_x86_feature_detected!("vaes") && is_x86_feature_detected!("vpclmulqdq");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    wide && is_x86_feature_detected!("avx2") && !avx512
}

#[cfg(not(target_arch = "x86_64"))]
fn wide_aes_without_avx512() -> bool {
    false
}

/// Takes any certificate, and does not ask whether its key is held: for who reports what is there, whoever vouches for it,
/// and sends nothing. No leg of a bridge is made with it.
#[derive(Debug)]
pub struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::KeyPair;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{ClientConfig, ClientConnection, Connection, HandshakeKind, ServerConfig, ServerConnection};
    use std::io::{Read, Write};

    /// More than two records, and one that is not full.
    const MESSAGE: usize = 40_000;

    fn plain() -> CryptoProvider {
        rustls::crypto::aws_lc_rs::default_provider()
    }

    fn mixed() -> CryptoProvider {
        let mut provider = plain();
        take_aes_gcm(&mut provider, &rustls::crypto::ring::default_provider());
        provider
    }

    fn limited(mut provider: CryptoProvider, suite: rustls::CipherSuite) -> Arc<CryptoProvider> {
        provider.cipher_suites.retain(|own| own.suite() == suite);
        Arc::new(provider)
    }

    fn server(provider: Arc<CryptoProvider>, ecdsa: bool) -> Arc<ServerConfig> {
        let key = KeyPair::generate_for(if ecdsa { &rcgen::PKCS_ECDSA_P256_SHA256 } else { &rcgen::PKCS_RSA_SHA256 });
        let key = key.expect("a key");
        let params = rcgen::CertificateParams::new(["host.test".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth();
        Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).expect("a pair"))
    }

    fn client(provider: Arc<CryptoProvider>) -> Arc<ClientConfig> {
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate));
        Arc::new(config.with_no_client_auth())
    }

    /// Hands over what `from` has written.
    fn pass(from: &mut Connection, to: &mut Connection) {
        let mut wire = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut wire).expect("written");
        }
        let mut wire = &wire[..];
        while !wire.is_empty() {
            to.read_tls(&mut wire).expect("read");
            to.process_new_packets().expect("understood");
        }
    }

    /// Says a long message.
    fn say(from: &mut Connection, to: &mut Connection) {
        let message: Vec<u8> = (0..MESSAGE).map(|n| (n % 251) as u8).collect();
        let mut heard = vec![0; MESSAGE];
        for (part, room) in message.chunks(10_000).zip(heard.chunks_mut(10_000)) {
            from.writer().write_all(part).expect("taken");
            pass(from, to);
            to.reader().read_exact(room).expect("heard");
        }
        assert!(heard == message);
    }

    /// A session of `suite`, with a long message each way, and how it began.
    fn session(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, suite: rustls::CipherSuite) -> HandshakeKind {
        let name = ServerName::try_from("host.test").expect("a name");
        let mut client = Connection::from(ClientConnection::new(Arc::clone(client), name).expect("a client"));
        let mut server = Connection::from(ServerConnection::new(Arc::clone(server)).expect("a server"));
        while client.wants_write() || server.wants_write() {
            pass(&mut client, &mut server);
            pass(&mut server, &mut client);
        }
        for end in [&client, &server] {
            assert_eq!(end.negotiated_cipher_suite().map(|suite| suite.suite()), Some(suite));
        }
        say(&mut client, &mut server);
        say(&mut server, &mut client);
        client.handshake_kind().expect("a handshake")
    }

    #[test]
    fn aes_gcm_of_another_library_speaks_with_the_first() {
        let whole = plain();
        for suite in whole.cipher_suites.iter().map(|suite| suite.suite()) {
            let ecdsa = format!("{suite:?}").contains("ECDSA");
            for (ours, theirs) in [(mixed(), plain()), (plain(), mixed()), (mixed(), mixed())] {
                let (client, server) = (client(limited(ours, suite)), server(limited(theirs, suite), ecdsa));
                assert_eq!(session(&client, &server, suite), HandshakeKind::Full, "{suite:?}");
                assert_eq!(session(&client, &server, suite), HandshakeKind::Resumed, "{suite:?}");
            }
        }
    }

    #[test]
    fn no_session_lives_long_enough_to_wear_out_the_keys_of_tls_1_2() {
        let tls12 = |suite: &SupportedCipherSuite| match suite {
            SupportedCipherSuite::Tls12(suite) => Some(suite.common.confidentiality_limit),
            SupportedCipherSuite::Tls13(_) => None,
        };
        let limits: Vec<u64> = provider().cipher_suites.iter().filter_map(tls12).collect();
        assert!(limits.len() == 6 && limits.iter().all(|limit| *limit >= RECORDS_OF_TLS12), "{limits:?}");
        let mut lasting = mixed();
        outlast_sessions(&mut lasting);
        for suite in lasting.cipher_suites.iter().map(|suite| suite.suite()) {
            let ecdsa = format!("{suite:?}").contains("ECDSA");
            let (client, server) = (client(limited(lasting.clone(), suite)), server(limited(plain(), suite), ecdsa));
            assert_eq!(session(&client, &server, suite), HandshakeKind::Full, "{suite:?}");
        }
    }

    #[test]
    fn what_is_offered_stays_the_same() {
        let names = |provider: &CryptoProvider| {
            provider.cipher_suites.iter().map(SupportedCipherSuite::suite).collect::<Vec<_>>()
        };
        assert_eq!(names(&mixed()), names(&plain()));
        assert_eq!(names(&provider()), names(&plain()));
        let changed: Vec<_> = mixed().cipher_suites.iter().filter(|s| is_aes_gcm(s)).map(|s| s.suite()).collect();
        assert_eq!(changed.len(), 6, "{changed:?}");
    }
}
