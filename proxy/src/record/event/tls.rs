//! `tls.*` of an event. Names are IANA's; unknown code points are `0xNNNN`; GREASE is left out.

use crate::record::redact::hex;
use crate::record::shapes::{self, ShapeTold};
use crate::record::stamp::rfc3339_seconds;
use parser::profile::HostProfile;
use parser::session::{CertificateFacts, ClearAlert, ClientHelloFacts, Timeline};
use parser::wire::{AlertLevel, CipherSuite, NamedGroup, SignatureScheme, TlsVersion};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::borrow::Cow;
use std::sync::Arc;

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Tls<'a> {
    established: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cipher: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    curve: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resumed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Client<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Server<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<Alert>,
}

type Text<'a> = Cow<'a, str>;

/// What the client offered, most of it ready since a client of the same shape came first.
#[derive(Clone, Debug)]
struct Client<'a> {
    server_name: Option<Text<'a>>,
    shape: Arc<ShapeTold>,
}

impl Serialize for Client<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shape = &*self.shape;
        let mut map = serializer.serialize_map(None)?;
        if let Some(name) = &self.server_name {
            map.serialize_entry("server_name", name)?;
        }
        map.serialize_entry("supported_versions", &shape.versions)?;
        map.serialize_entry("supported_ciphers", &shape.ciphers)?;
        for (name, list) in [("supported_groups", &shape.groups), ("signature_algorithms", &shape.schemes)] {
            if let Some(list) = list {
                map.serialize_entry(name, list)?;
            }
        }
        for (name, fingerprint) in [("ja3", &shape.fingerprints.ja3), ("ja4", &shape.fingerprints.ja4)] {
            if !fingerprint.is_empty() {
                map.serialize_entry(name, fingerprint)?;
            }
        }
        map.end()
    }
}

#[derive(Clone, Debug, Default, Serialize)]
struct Server<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<Hash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509: Option<X509<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ja3s: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Hash {
    sha256: String,
}

#[derive(Clone, Debug, Serialize)]
struct X509<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alternative_names: Vec<Text<'a>>,
    public_key_algorithm: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key_size: Option<u32>,
    signature_algorithm: &'a str,
}

#[derive(Clone, Debug, Serialize)]
struct Alert {
    code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    level: Cow<'static, str>,
    side: &'static str,
}

impl<'a> Tls<'a> {
    /// `None` when no TLS message was seen in clear.
    pub(super) fn of(timeline: &'a Timeline) -> Option<Tls<'a>> {
        let hello = timeline.server_hello.as_ref();
        let nothing = timeline.client_hello.is_none()
            && hello.is_none()
            && timeline.certificate.is_none()
            && timeline.alerts.is_empty();
        if nothing {
            return None;
        }
        let mut server = timeline.certificate.as_deref().map(certificate);
        if let Some(hello) = hello {
            server.get_or_insert_default().ja3s = Some(hello.ja3s());
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

impl<'a> Tls<'a> {
    /// What a probe saw of the host; `None` when it saw no certificate.
    pub(super) fn of_profile(profile: &'a HostProfile) -> Option<Tls<'a>> {
        let server = certificate(profile.certificate.as_ref()?);
        Some(Tls { server: Some(server), ..Tls::default() })
    }

    /// Adds the host's certificate where the session itself did not show it.
    pub(super) fn learn(&mut self, profile: &'a HostProfile) {
        let known = self.server.as_ref().is_some_and(|server| server.hash.is_some());
        if let Some(facts) = profile.certificate.as_ref().filter(|_| !known) {
            let ja3s = self.server.take().and_then(|server| server.ja3s);
            self.server = Some(Server { ja3s, ..certificate(facts) });
        }
    }
}

/// Entries of one list in an event. IANA knows some 350 suites; a 64 KiB hello has room for 32,000.
pub(crate) const LIST: usize = 400;
/// Alternative names of a certificate: a farm's has some dozens.
const NAMES: usize = 100;
/// Characters of one text that a peer chose. A DNS name has at most 253; a subject is rarely longer.
const TEXT: usize = 512;

/// The text, cut where it is longer than any real one.
fn text(text: &str) -> Text<'_> {
    match text.char_indices().nth(TEXT) {
        Some((cut, _)) => Cow::Owned(format!("{}…", &text[..cut])),
        None => Cow::Borrowed(text),
    }
}

fn client(hello: &ClientHelloFacts) -> Client<'_> {
    Client { server_name: hello.server_name.as_deref().map(text), shape: shapes::told(&hello.shape) }
}

fn certificate(facts: &CertificateFacts) -> Server<'_> {
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
            public_key_algorithm: &facts.key_algorithm,
            public_key_size: (facts.key_bits > 0).then_some(facts.key_bits),
            signature_algorithm: &facts.signature_algorithm,
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

fn level(level: AlertLevel) -> Cow<'static, str> {
    level.name().map_or_else(|| Cow::Owned(level.0.to_string()), Cow::Borrowed)
}

fn code(name: Option<&'static str>, number: u16) -> Cow<'static, str> {
    name.map_or_else(|| Cow::Owned(format!("0x{number:04x}")), Cow::Borrowed)
}

pub(crate) fn version(version: TlsVersion) -> Cow<'static, str> {
    code(version.name(), version.0)
}

pub(crate) fn suite(suite: CipherSuite) -> Cow<'static, str> {
    code(suite.name(), suite.0)
}

pub(crate) fn group(group: NamedGroup) -> Cow<'static, str> {
    code(group.name(), group.0)
}

pub(crate) fn scheme(scheme: SignatureScheme) -> Cow<'static, str> {
    code(scheme.name(), scheme.0)
}
