//! TLS of the embedded ends: certificates made at the start of the tour, and the rustls configurations over them.

use super::script::{Certificate, ClientTls, HostTls, Suites, Versions};
use crate::tls_provider;
use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, RsaKeySize};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// The name that clients ask for, and that every certificate but one carries.
pub(super) const HOST_NAME: &str = "rds01.example.net";

/// Two authorities and one key of each kind; certificates are signed when a host asks for one.
pub(super) struct Credentials {
    trusted: CertifiedIssuer<'static, KeyPair>,
    unknown: CertifiedIssuer<'static, KeyPair>,
    rsa: KeyPair,
    ecdsa: KeyPair,
}

impl Credentials {
    /// Makes the keys: the RSA one takes most of a tenth of a second.
    pub(super) fn generate() -> anyhow::Result<Credentials> {
        Ok(Credentials {
            trusted: authority("rdpscope demo authority")?,
            unknown: authority("an authority that nobody imported")?,
            rsa: KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).context("an RSA key")?,
            ecdsa: KeyPair::generate().context("an ECDSA key")?,
        })
    }

    /// The configuration of a host that speaks TLS like this.
    pub(super) fn server(&self, tls: HostTls) -> anyhow::Result<Arc<ServerConfig>> {
        let key = if tls.certificate == Certificate::Ecdsa { &self.ecdsa } else { &self.rsa };
        let issuer = if tls.certificate == Certificate::UnknownAuthority { &self.unknown } else { &self.trusted };
        let leaf = leaf(tls.certificate)?.signed_by(key, issuer)?;
        let config = ServerConfig::builder_with_provider(limited_to(tls.suites))
            .with_protocol_versions(versions(tls.versions))?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private_key(key))?;
        Ok(Arc::new(config))
    }

    /// The configuration of a client that speaks TLS like this, and trusts one of the two authorities.
    pub(super) fn client(&self, tls: ClientTls) -> anyhow::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.trusted.der().to_vec()))?;
        let mut config = ClientConfig::builder_with_provider(limited_to(tls.suites))
            .with_protocol_versions(versions(tls.versions))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Each connection is to be a whole handshake: the second one of a client must not resume the first.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// The name as rustls wants it.
pub(super) fn server_name() -> anyhow::Result<ServerName<'static>> {
    Ok(ServerName::try_from(HOST_NAME)?)
}

fn authority(name: &str) -> anyhow::Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn leaf(certificate: Certificate) -> anyhow::Result<CertificateParams> {
    let name = if certificate == Certificate::OtherName { "other.example.net" } else { HOST_NAME };
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = match certificate {
        Certificate::Expired => (now - Duration::days(183), now - Duration::days(3)),
        Certificate::NotYetValid => (now + Duration::days(3), now + Duration::days(186)),
        _ => (now - Duration::days(3), now + Duration::days(180)),
    };
    Ok(params)
}

fn private_key(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()))
}

fn versions(versions: Versions) -> &'static [&'static SupportedProtocolVersion] {
    static NEWEST_FIRST: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
    match versions {
        Versions::Both => &NEWEST_FIRST,
        Versions::Tls13 => &NEWEST_FIRST[..1],
        Versions::Tls12 => &NEWEST_FIRST[1..],
    }
}

fn limited_to(suites: Suites) -> Arc<CryptoProvider> {
    let mut provider = CryptoProvider::clone(&tls_provider::provider());
    provider.cipher_suites.retain(|suite| allows(suites, suite));
    Arc::new(provider)
}

fn allows(suites: Suites, suite: &SupportedCipherSuite) -> bool {
    let name = format!("{:?}", suite.suite());
    suite.tls13().is_some()
        || match suites {
            Suites::All => true,
            Suites::RsaKeyOnly => name.contains("_ECDHE_RSA_"),
            Suites::AesOnly => name.contains("_AES_"),
            Suites::ChachaOnly => name.contains("_CHACHA20_"),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_speak_tls_can_be_configured() {
        let credentials = Credentials::generate().expect("keys");
        for certificate in [
            Certificate::Good,
            Certificate::Expired,
            Certificate::NotYetValid,
            Certificate::UnknownAuthority,
            Certificate::OtherName,
            Certificate::Ecdsa,
        ] {
            for versions in [Versions::Both, Versions::Tls12, Versions::Tls13] {
                credentials.server(HostTls { certificate, versions, suites: Suites::All }).expect("a host");
            }
        }
        for suites in [Suites::All, Suites::RsaKeyOnly, Suites::AesOnly, Suites::ChachaOnly] {
            let tls12 = limited_to(suites).cipher_suites.iter().filter(|s| s.tls13().is_none()).count();
            assert_eq!(
                tls12,
                match suites {
                    Suites::All => 6,
                    Suites::RsaKeyOnly => 3,
                    Suites::AesOnly => 4,
                    Suites::ChachaOnly => 2,
                }
            );
            credentials.client(ClientTls { versions: Versions::Tls12, suites }).expect("a client");
        }
    }
}
