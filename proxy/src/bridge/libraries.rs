//! Which library speaks which leg: rustls wherever it can, OpenSSL where a suite, a version or a hello needs it.
//!
//! The contexts of one host are made once: they hold its windows, its suites and its security level, and sessions are
//! resumed within them alone.

#[cfg(feature = "legacy-tls")]
use super::legacy;
use super::modern;
use super::tls::{Failure, Tls};
use super::trust::Trust;
use crate::record::capture::Keys;
use config::{BridgeRules, Ciphers, LEGACY_TLS, is_modern};
use parser::profile::{Ability, KeyType, Offer, meet};
use parser::session::{CertificateFacts, ClientHelloFacts};
use parser::wire::{CipherSuite, NamedGroup, SuiteClass, TlsVersion};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use std::sync::{Arc, OnceLock};

/// Which library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Library {
    /// rustls.
    Modern,
    /// OpenSSL, in a build that has it.
    Legacy,
}

/// The contexts of both legs.
pub(super) struct Libraries {
    /// What a client may be answered with, by rustls and by OpenSSL.
    serves: [Ability; 2],
    modern_server: Option<Arc<ServerConfig>>,
    /// By whether a post-quantum share is sent, and whether sessions are resumed.
    modern_clients: Option<[[OnceLock<Arc<ClientConfig>>; 2]; 2]>,
    #[cfg(feature = "legacy-tls")]
    legacy_server: Option<openssl::ssl::SslContext>,
    #[cfg(feature = "legacy-tls")]
    legacy_client: Option<crate::sys::ResumingContext>,
}

impl Libraries {
    /// What `rules` need; `keys`: secrets of legs may be kept. Everything is made now: what is wrong with it stops the start, and
    /// not the first session.
    pub(super) fn new(
        rules: &BridgeRules,
        trust: &Trust,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        keys: bool,
    ) -> Result<Libraries, String> {
        #[cfg(not(feature = "legacy-tls"))]
        let _ = keys;
        #[cfg(feature = "legacy-tls")]
        let (legacy_server, legacy_client) = (
            client_needs_legacy(rules).then(|| legacy::server(rules, &chain, &key, keys)).transpose()?,
            host_needs_legacy(rules).then(|| legacy::client(rules, keys)).transpose()?,
        );
        let key_type = key_type(chain.first().map(AsRef::as_ref).unwrap_or_default());
        let serves = [is_modern, legacy_serves].map(|speaks| able(&rules.client_versions, key_type, speaks));
        let words = |error: rustls::Error| error.to_string();
        let modern_server = speaks_modern(&rules.client_versions)
            .then(|| modern::server(rules, chain, key))
            .transpose()
            .map_err(words)?;
        let modern_clients = if host_takes_modern(rules) {
            let clients: [[OnceLock<_>; 2]; 2] = Default::default();
            let _ = clients[0][1].set(modern::client(rules, trust, false, true).map_err(words)?);
            Some(clients)
        } else {
            None
        };
        Ok(Libraries {
            serves,
            modern_server,
            modern_clients,
            #[cfg(feature = "legacy-tls")]
            legacy_server,
            #[cfg(feature = "legacy-tls")]
            legacy_client,
        })
    }

    /// What answers this client, if anything in its window can; judged by its own offer, before it is answered.
    pub(super) fn for_client(&self, hello: &ClientHelloFacts) -> Option<Library> {
        // rustls wants to be told the schemes: without them it would have to sign with SHA-1. RFC 5246 7.4.1.4.1
        let schemes = !hello.signature_schemes.is_empty();
        let (offer, [modern, legacy]) = (Offer::named(hello), &self.serves);
        if self.modern_server.is_some() && schemes && meet(&offer, modern).is_ok() {
            return Some(Library::Modern);
        }
        (self.has_legacy_server() && meet(&offer, legacy).is_ok()).then_some(Library::Legacy)
    }

    /// What may reach the host, in the order in which it is tried: the second only where the first was refused, and never
    /// outside of the windows. `host` is what a fresh profile knows of it. `refused`: the host would not have this hello.
    pub(super) fn for_host(
        &self,
        rules: &BridgeRules,
        host: Option<&Ability>,
        refused: Option<&ClientHelloFacts>,
    ) -> &'static [Library] {
        let (modern, legacy) = (self.modern_clients.is_some(), self.has_legacy_client());
        if !legacy {
            return &[Library::Modern];
        }
        let old = rules.host_versions.iter().any(|version| *version < TlsVersion::TLS12);
        // A host that refused all that rustls would offer it needs not be asked with it again.
        let tried = refused.is_some_and(|hello| {
            let offers =
                |version: TlsVersion, key| meet(&Offer::named(hello), &able(&[version], key, is_modern)).is_ok();
            let versions = || rules.host_versions.iter().filter(|version| **version >= TlsVersion::TLS12);
            let all = versions().all(|version| offers(*version, KeyType::Rsa) && offers(*version, KeyType::Ecdsa));
            all && !hello.signature_schemes.is_empty()
        });
        match host {
            _ if !modern => &[Library::Legacy],
            Some(host) if reaches(rules, host) => &[Library::Modern],
            Some(_) => &[Library::Legacy],
            None if tried => &[Library::Legacy],
            // One hello of OpenSSL offers everything from the newest down; two dials for each session help nobody.
            None if old && refused.is_none() => &[Library::Legacy],
            None => &[Library::Modern, Library::Legacy],
        }
    }

    /// A host that refuses a leg was offered all that any leg of this build speaks, and another build speaks more.
    pub(super) fn exhausted(&self, rules: &BridgeRules) -> bool {
        let whole = [TlsVersion::TLS12, TlsVersion::TLS13].iter().all(|version| rules.host_versions.contains(version));
        !LEGACY_TLS && whole && rules.host_ciphers == Ciphers::Default
    }

    /// A leg towards a client. Its secrets go to `keys`, if they may be kept.
    pub(super) fn accept(&self, library: Library, keys: Option<Arc<Keys>>) -> Result<Box<dyn Tls>, Failure> {
        match (library, &self.modern_server) {
            (Library::Modern, Some(config)) => modern::accept(config, keys),
            _ => self.accept_legacy(keys),
        }
    }

    /// A leg towards the host called `name`. `nla`: what follows TLS binds the key that the host has now, so no older
    /// session may be taken up.
    pub(super) fn connect(
        &self,
        library: Library,
        rules: &BridgeRules,
        trust: &Trust,
        name: &ServerName<'static>,
        (post_quantum, nla): (bool, bool),
        keys: Option<Arc<Keys>>,
    ) -> Result<Box<dyn Tls>, Failure> {
        let (Library::Modern, Some(clients)) = (library, &self.modern_clients) else {
            return self.connect_legacy(name, trust, !nla, keys);
        };
        let kept = &clients[usize::from(post_quantum)][usize::from(!nla)];
        let config = match kept.get() {
            Some(config) => Arc::clone(config),
            None => {
                let made = modern::client(rules, trust, post_quantum, !nla)
                    .map_err(|error| Failure::Protocol(error.to_string()))?;
                Arc::clone(kept.get_or_init(|| made))
            }
        };
        modern::connect(&config, name.clone(), keys)
    }
}

#[cfg(feature = "legacy-tls")]
impl Libraries {
    fn has_legacy_server(&self) -> bool {
        self.legacy_server.is_some()
    }

    fn has_legacy_client(&self) -> bool {
        self.legacy_client.is_some()
    }

    fn accept_legacy(&self, keys: Option<Arc<Keys>>) -> Result<Box<dyn Tls>, Failure> {
        legacy::accept(self.legacy_server.as_ref().ok_or_else(no_library)?, keys)
    }

    fn connect_legacy(
        &self,
        name: &ServerName<'static>,
        trust: &Trust,
        resumes: bool,
        keys: Option<Arc<Keys>>,
    ) -> Result<Box<dyn Tls>, Failure> {
        legacy::connect(self.legacy_client.as_ref().ok_or_else(no_library)?, name.clone(), trust, resumes, keys)
    }
}

#[cfg(not(feature = "legacy-tls"))]
impl Libraries {
    fn has_legacy_server(&self) -> bool {
        false
    }

    fn has_legacy_client(&self) -> bool {
        false
    }

    fn accept_legacy(&self, _keys: Option<Arc<Keys>>) -> Result<Box<dyn Tls>, Failure> {
        Err(no_library())
    }

    fn connect_legacy(
        &self,
        _: &ServerName<'static>,
        _: &Trust,
        _resumes: bool,
        _keys: Option<Arc<Keys>>,
    ) -> Result<Box<dyn Tls>, Failure> {
        Err(no_library())
    }
}

/// Of the certificate that the client is shown.
fn key_type(certificate: &[u8]) -> KeyType {
    KeyType::from_name(&CertificateFacts::from_der(certificate).key_algorithm).unwrap_or(KeyType::Rsa)
}

fn no_library() -> Failure {
    Failure::Protocol("no TLS library of this build speaks what the configuration allows here".to_owned())
}

/// rustls has a version of this window.
fn speaks_modern(window: &[TlsVersion]) -> bool {
    window.iter().any(|version| *version >= TlsVersion::TLS12)
}

/// rustls has a version and a suite for this host.
fn host_takes_modern(rules: &BridgeRules) -> bool {
    speaks_modern(&rules.host_versions)
        && match &rules.host_ciphers {
            Ciphers::Default => true,
            Ciphers::Named(named) => named.iter().copied().any(is_modern),
        }
}

/// The host's window, or a suite in it, needs more than rustls.
#[cfg(feature = "legacy-tls")]
fn host_needs_legacy(rules: &BridgeRules) -> bool {
    let below_13 = rules.host_versions.iter().any(|version| *version <= TlsVersion::TLS12);
    below_13
        && match &rules.host_ciphers {
            Ciphers::Default => true,
            Ciphers::Named(named) => !speaks_modern(&rules.host_versions) || !named.iter().copied().all(is_modern),
        }
}

/// The client's window has versions in which clients without modern suites are found.
#[cfg(feature = "legacy-tls")]
fn client_needs_legacy(rules: &BridgeRules) -> bool {
    rules.client_versions.iter().any(|version| *version <= TlsVersion::TLS12)
}

/// What a leg with this key and these suites can do as a server.
fn able(window: &[TlsVersion], key: KeyType, speaks: fn(CipherSuite) -> bool) -> Ability {
    let suites = |version: TlsVersion| {
        let fits = |suite: &CipherSuite| speaks(*suite) && suite.info().is_some_and(|info| info.fits(version));
        (version, CipherSuite::all().map(|info| CipherSuite(info.code)).filter(fits).collect())
    };
    Ability {
        versions: window
            .iter()
            .rev()
            .copied()
            .map(suites)
            .filter(|(_, suites): &(_, Vec<_>)| !suites.is_empty())
            .collect(),
        groups: Some(vec![NamedGroup::X25519, NamedGroup::SECP256R1, NamedGroup::SECP384R1, NamedGroup(0x11ec)]),
        signature_schemes: None,
        keys: vec![key],
        key_curve: None,
    }
}

/// The OpenSSL leg answers a client with it: AES or ChaCha20, by ECDHE or the host's RSA key.
fn legacy_serves(suite: CipherSuite) -> bool {
    suite.info().is_some_and(|info| {
        let named = |part: &str| info.name.contains(part);
        matches!(info.class, SuiteClass::Modern | SuiteClass::Weak)
            && matches!(info.key_exchange, "any" | "ECDHE" | "RSA")
            && matches!(info.authentication, "any" | "RSA" | "ECDSA")
            && (named("_AES_") && !named("CCM") || named("CHACHA20"))
    })
}

/// rustls can reach a host of this ability, within the rules.
fn reaches(rules: &BridgeRules, host: &Ability) -> bool {
    let allowed = |suite: &CipherSuite| match &rules.host_ciphers {
        Ciphers::Default => true,
        Ciphers::Named(named) => named.contains(suite),
    };
    let shares = |version: TlsVersion, suites: &[CipherSuite]| {
        rules.host_versions.contains(&version) && suites.iter().any(|suite| is_modern(*suite) && allowed(suite))
    };
    let ours = [NamedGroup::X25519, NamedGroup::SECP256R1, NamedGroup::SECP384R1];
    let group = host.groups.as_ref().is_none_or(|groups| groups.iter().any(|group| ours.contains(group)));
    group && host.versions.iter().any(|(version, suites)| *version >= TlsVersion::TLS12 && shares(*version, suites))
}

/// Whatever the rules say, rustls cannot reach a host of this ability.
pub(super) fn is_beyond_modern(host: &Ability) -> bool {
    let modern = |(version, suites): &(TlsVersion, Vec<CipherSuite>)| {
        *version >= TlsVersion::TLS12 && suites.iter().any(|suite| is_modern(*suite))
    };
    !host.versions.is_empty() && !host.versions.iter().any(modern)
}

#[cfg(test)]
mod tests;
