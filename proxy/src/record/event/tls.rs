//! `tls.*` of an event. Names are IANA's; unknown code points are `0xNNNN`; GREASE is left out.

use crate::record::redact::hex;
use crate::record::stamp::rfc3339_seconds;
use parser::profile::HostProfile;
use parser::session::{CertificateFacts, ClearAlert, ClientHelloFacts, Timeline};
use parser::wire::{AlertLevel, CipherSuite, NamedGroup, SignatureScheme, TlsVersion};
use serde::Serialize;

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Tls {
    established: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cipher: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    curve: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resumed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Client>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Server>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<Alert>,
}

#[derive(Clone, Debug, Serialize)]
struct Client {
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<String>,
    supported_versions: Vec<String>,
    supported_ciphers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    supported_groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signature_algorithms: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    ja3: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ja4: String,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Server {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<Hash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509: Option<X509>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ja3s: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Hash {
    sha256: String,
}

#[derive(Clone, Debug, Serialize)]
struct X509 {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alternative_names: Vec<String>,
    public_key_algorithm: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key_size: Option<u32>,
    signature_algorithm: String,
}

#[derive(Clone, Debug, Serialize)]
struct Alert {
    code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    level: String,
    side: &'static str,
}

impl Tls {
    /// `None` when no TLS message was seen in clear.
    pub(super) fn of(timeline: &Timeline) -> Option<Tls> {
        let hello = timeline.server_hello.as_ref();
        let nothing = timeline.client_hello.is_none()
            && hello.is_none()
            && timeline.certificate.is_none()
            && timeline.alerts.is_empty();
        if nothing {
            return None;
        }
        let mut server = timeline.certificate.as_ref().map(certificate);
        if let Some(hello) = hello.filter(|hello| !hello.ja3s.is_empty()) {
            server.get_or_insert_default().ja3s = Some(hello.ja3s.clone());
        }
        // An alert after a close is a reaction; it is told only when there is no other.
        let alert = timeline.alerts.iter().find(|alert| !alert.after_close).or(timeline.alerts.first());
        Some(Tls {
            established: timeline.tls.established.is_some(),
            version: hello.map(|hello| version(hello.version)),
            cipher: hello.map(|hello| suite(hello.suite)),
            curve: hello.and_then(|hello| hello.group).map(group),
            resumed: hello.map(|hello| hello.resumed),
            client: timeline.client_hello.as_ref().map(client),
            server,
            alert: alert.map(alert_fields),
        })
    }
}

impl Tls {
    /// What a probe saw of the host; `None` when it saw no certificate.
    pub(super) fn of_profile(profile: &HostProfile) -> Option<Tls> {
        let server = certificate(profile.certificate.as_ref()?);
        Some(Tls { server: Some(server), ..Tls::default() })
    }

    /// Adds the host's certificate where the session itself did not show it.
    pub(super) fn learn(&mut self, profile: &HostProfile) {
        let known = self.server.as_ref().is_some_and(|server| server.hash.is_some());
        if let Some(facts) = profile.certificate.as_ref().filter(|_| !known) {
            let ja3s = self.server.take().and_then(|server| server.ja3s);
            self.server = Some(Server { ja3s, ..certificate(facts) });
        }
    }
}

/// Entries of one list in an event. IANA knows some 350 suites; a 64 KiB hello has room for 32,000.
pub(super) const LIST: usize = 400;
/// Alternative names of a certificate: a farm's has some dozens.
const NAMES: usize = 100;
/// Characters of one text that a peer chose. A DNS name has at most 253; a subject is rarely longer.
const TEXT: usize = 512;

/// The text, cut where it is longer than any real one.
fn text(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

fn client(hello: &ClientHelloFacts) -> Client {
    Client {
        server_name: hello.server_name.as_deref().map(text),
        supported_versions: hello.versions().into_iter().take(LIST).map(version).collect(),
        supported_ciphers: hello.suites.iter().copied().filter(|s| !s.is_grease()).take(LIST).map(suite).collect(),
        supported_groups: hello.groups.iter().copied().filter(|g| !g.is_grease()).take(LIST).map(group).collect(),
        signature_algorithms: hello
            .signature_schemes
            .iter()
            .copied()
            .filter(|s| !s.is_grease())
            .take(LIST)
            .map(scheme)
            .collect(),
        ja3: hello.fingerprints.ja3.clone(),
        ja4: hello.fingerprints.ja4.clone(),
    }
}

fn certificate(facts: &CertificateFacts) -> Server {
    let hash = Some(Hash { sha256: hex(&facts.sha256) });
    if facts.unreadable.is_some() {
        return Server { hash, ..Server::default() };
    }
    Server {
        subject: Some(text(&facts.subject)),
        issuer: Some(text(&facts.issuer)),
        not_before: rfc3339_seconds(facts.not_before),
        not_after: rfc3339_seconds(facts.not_after),
        hash,
        x509: Some(X509 {
            alternative_names: facts.alternative_names.iter().take(NAMES).map(|name| text(name)).collect(),
            public_key_algorithm: facts.key_algorithm.clone(),
            public_key_size: (facts.key_bits > 0).then_some(facts.key_bits),
            signature_algorithm: facts.signature_algorithm.clone(),
        }),
        ja3s: None,
    }
}

fn alert_fields(alert: &ClearAlert) -> Alert {
    Alert {
        code: alert.description.0,
        name: alert.description.name(),
        level: level(alert.level),
        side: alert.from.name(),
    }
}

fn level(level: AlertLevel) -> String {
    level.name().map_or_else(|| level.0.to_string(), str::to_owned)
}

fn code(name: Option<&'static str>, number: u16) -> String {
    name.map_or_else(|| format!("0x{number:04x}"), str::to_owned)
}

pub(super) fn version(version: TlsVersion) -> String {
    code(version.name(), version.0)
}

pub(super) fn suite(suite: CipherSuite) -> String {
    code(suite.name(), suite.0)
}

fn group(group: NamedGroup) -> String {
    code(group.name(), group.0)
}

fn scheme(scheme: SignatureScheme) -> String {
    code(scheme.name(), scheme.0)
}
