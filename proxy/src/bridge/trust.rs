//! How the host leg knows its host: by pin, by CA, or, when that was written out, not at all.

use config::{BridgeRules, Pin, Verify};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Where Linux distributions keep the roots of the system, in one file.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// How a host is known.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// By the SHA-256 of its certificate or of its public key.
    Pins(Vec<Pin>),
    /// By a certificate that one of these issued for its name.
    Issuers(Arc<WebPkiServerVerifier>),
    /// Not at all.
    Anybody,
}

/// A host that is not the one meant. The words name what it showed, to be compared with what the operator knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Untrusted(pub(crate) String);

impl Trust {
    /// What `rules` say. Reads the roots.
    pub(crate) fn of(rules: &BridgeRules) -> Result<Trust, String> {
        match rules.verify {
            Verify::Pin => Ok(Trust::Pins(rules.pin.clone())),
            Verify::Insecure => Ok(Trust::Anybody),
            Verify::Ca => {
                let path = rules.ca.clone().map_or_else(system_roots, Ok)?;
                let roots = Arc::new(roots(&path)?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, crate::tls_provider::provider());
                let verifier = verifier.build().map_err(|error| format!("{}: {error}", path.display()))?;
                Ok(Trust::Issuers(verifier))
            }
        }
    }

    /// Is the holder of this certificate the host that is meant by `name`? That it holds the key is for the handshake
    /// to prove.
    pub(crate) fn judge(
        &self,
        leaf: &[u8],
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> Result<(), Untrusted> {
        let shown = || {
            let key = public_key_info(leaf).map_or_else(String::new, |key| format!(", its public key {}", digest(key)));
            format!("the certificate it showed is {}{key}", digest(leaf))
        };
        match self {
            Trust::Anybody => Ok(()),
            Trust::Pins(pins) => {
                let is = |bytes: &[u8]| pins.contains(&digest(bytes));
                let known = is(leaf) || public_key_info(leaf).is_some_and(is);
                known.then_some(()).ok_or_else(|| Untrusted(format!("no pin is its; {}", shown())))
            }
            Trust::Issuers(verifier) => {
                let leaf = CertificateDer::from(leaf);
                let verified = verifier.verify_server_cert(&leaf, chain, name, &[], UnixTime::now());
                verified.map(|_| ()).map_err(|error| {
                    // `openssl req -x509` and others make a host's own certificate one of a CA.
                    let remedy = match format!("{error:?}").contains("CaUsedAsEndEntity") {
                        true => " (a certificate that may issue others is no host's for `ca`; name it by `pin`)",
                        false => "",
                    };
                    Untrusted(format!("{error}{remedy}; {}", shown()))
                })
            }
        }
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Untrusted {}

/// The SubjectPublicKeyInfo of a certificate, DER. RFC 5280 4.1.2.7
pub(crate) fn public_key_info(certificate: &[u8]) -> Option<&[u8]> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.tbs_certificate.subject_pki.raw)
}

/// The key bits of a certificate, which are what CredSSP binds. [MS-CSSP] 3.1.5
pub(crate) fn public_key(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.tbs_certificate.subject_pki.subject_public_key.data.to_vec())
}

/// SHA-256.
pub(crate) fn digest(bytes: &[u8]) -> Pin {
    Pin(Sha256::digest(bytes).into())
}

fn system_roots() -> Result<PathBuf, String> {
    let given = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let found = given.or_else(|| SYSTEM_ROOTS.iter().map(PathBuf::from).find(|path| path.exists()));
    found.ok_or_else(|| {
        format!("no certificate authorities on this system ({}): name a file with `ca`", SYSTEM_ROOTS.join(", "))
    })
}

/// The certificates of a PEM file. One that cannot be a root is left out, as long as one is left.
fn roots(path: &Path) -> Result<RootCertStore, String> {
    let named = |what: String| format!("{}: {what}", path.display());
    let certificates = super::pem::certificates(path)?;
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(certificates);
    match (added, ignored) {
        (0, 0) => Err(named("no certificate in it; PEM blocks `BEGIN CERTIFICATE` are expected".to_owned())),
        (0, ignored) => Err(named(format!("none of its {ignored} certificates can be read as a root"))),
        _ => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `openssl req -x509` makes: a host's own certificate that may issue others.
    #[test]
    fn a_certificate_of_a_ca_is_no_hosts_and_the_words_say_how_to_name_it() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters = rcgen::CertificateParams::new(["rds07.example.net".to_owned()]).expect("a name");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let own = parameters.self_signed(&key).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(own.der().clone()).expect("a root");
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), crate::tls_provider::provider()).build();
        let trust = Trust::Issuers(verifier.expect("a verifier"));
        let name = ServerName::try_from("rds07.example.net").expect("a name");
        let why = trust.judge(own.der(), &[], &name).expect_err("refused");
        assert!(why.to_string().contains("name it by `pin`"), "{why}");
    }
}
