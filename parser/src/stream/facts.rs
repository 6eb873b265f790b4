//! Borrowed messages to the owned facts of the timeline. What a stranger may write long is cut here.

use crate::Timestamp;
use crate::session::{Answer, CertificateFacts, ClientHelloFacts, Downgrade, RequestFacts, ServerHelloFacts};
use crate::wire::tls::DowngradeSentinel;
use crate::wire::{
    CertificateChain, ClientHello, ConnectionAnswer, ConnectionRequest, HelloShape, NegotiationAnswer,
    NegotiationRequest, ServerHello, Sslv2Hello, TlsVersion, Token,
};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};
use x509_parser::public_key::PublicKey;

/// Longest text that is kept of any name, in bytes: a DNS name has 255, and a line of a log should stay readable.
const TEXT_MAX: usize = 512;
/// Most values that are kept of a list of names: certificates of real farms have a few dozen.
const NAMES_MAX: usize = 64;

impl RequestFacts {
    /// The facts of a Connection Request, and of a preconnection blob that came before it.
    #[must_use]
    pub fn from_request(request: &ConnectionRequest<'_>, preconnection: Option<(u32, Option<String>)>) -> RequestFacts {
        let (cookie, routing_token) = match request.token {
            Some(Token::Cookie(name)) => (Some(text(name)), None),
            Some(Token::Routing(token)) => (None, Some(text(token))),
            None => (None, None),
        };
        RequestFacts {
            length: request.length,
            cookie,
            routing_token,
            protocols: request.negotiation.map(|n: NegotiationRequest| n.protocols),
            flags: request.negotiation.map(|n| n.flags).unwrap_or_default(),
            correlation_id: request.correlation_id.map(|id| id.0),
            preconnection,
        }
    }
}

impl Answer {
    /// The answer in `packet`, of which `answer` was read.
    #[must_use]
    pub fn from_answer(answer: &ConnectionAnswer, packet: &[u8]) -> Answer {
        match *answer {
            ConnectionAnswer::Confirm {
                negotiation: Some(NegotiationAnswer::Selected { protocol, flags }), ..
            } => Answer::Selected { protocol, flags },
            ConnectionAnswer::Confirm { negotiation: Some(NegotiationAnswer::Failure(code)), .. } => {
                Answer::Failure(code)
            }
            ConnectionAnswer::Confirm { negotiation: None, .. } => Answer::Plain,
            ConnectionAnswer::Ultimatum(reason) => Answer::Ultimatum(reason.0),
            ConnectionAnswer::Refused(code) => Answer::Refused(code),
            ConnectionAnswer::Other(_) => Answer::NotRdp(packet[..packet.len().min(16)].to_vec()),
        }
    }
}

impl ClientHelloFacts {
    /// The facts of a hello that came in `records` records, the first of them with `record_version`.
    #[must_use]
    pub fn from_hello(
        hello: &ClientHello<'_>,
        at: Timestamp,
        record_version: TlsVersion,
        records: u16,
    ) -> ClientHelloFacts {
        ClientHelloFacts {
            at,
            record_version,
            records,
            length: hello.length,
            server_name: hello.server_name().map(|name| text(name).into_boxed_str()),
            resumption_offered: hello.offers_resumption(),
            session_id_length: u8::try_from(hello.session_id.len()).unwrap_or(u8::MAX),
            shape: Arc::new(HelloShape::of(hello)),
        }
    }

    /// The facts of an SSLv2-form hello. It has no record: its version stands for the record's.
    #[must_use]
    pub fn from_sslv2(hello: &Sslv2Hello<'_>, at: Timestamp) -> ClientHelloFacts {
        ClientHelloFacts {
            at,
            record_version: hello.version,
            records: 1,
            length: hello.length,
            session_id_length: u8::try_from(hello.session_id.len()).unwrap_or(u8::MAX),
            shape: Arc::new(HelloShape::of_sslv2(hello)),
            ..ClientHelloFacts::default()
        }
    }
}

impl ServerHelloFacts {
    /// The facts of a ServerHello. Whether a session id was taken up (TLS ≤ 1.2) is for who knows the client's.
    #[must_use]
    pub fn from_hello(hello: &ServerHello<'_>, at: Timestamp, hello_retry: bool) -> ServerHelloFacts {
        ServerHelloFacts {
            at,
            legacy_version: hello.legacy_version,
            version: hello.version(),
            suite: hello.suite,
            group: hello.group(),
            hello_retry,
            downgrade: hello.downgrade().map(|sentinel| match sentinel {
                DowngradeSentinel::Tls12 => Downgrade::To12,
                DowngradeSentinel::Tls11OrOlder => Downgrade::To11OrOlder,
            }),
            resumed: hello.chose_psk(),
            extensions: hello.extensions().map(|(kind, _)| kind.0).collect(),
            certificate_requested: false,
        }
    }
}

impl CertificateFacts {
    /// The facts of a chain's leaf. One that cannot be read is described, not refused: its hash still names it.
    #[must_use]
    pub fn from_chain(chain: &CertificateChain<'_>) -> CertificateFacts {
        let chain_length = u8::try_from(chain.certificates().count()).unwrap_or(u8::MAX);
        let facts = match chain.certificates().next() {
            Some(leaf) => CertificateFacts::from_der(leaf),
            None => {
                CertificateFacts { unreadable: Some("the chain is empty".to_owned()), ..CertificateFacts::default() }
            }
        };
        CertificateFacts { chain_length, message_length: chain.length, ..facts }
    }

    /// The facts of one certificate in DER. Chain and message length are left at 0.
    #[must_use]
    pub fn from_der(der: &[u8]) -> CertificateFacts {
        let sha256 = Sha256::digest(der).into();
        match X509Certificate::from_der(der) {
            Ok((_, certificate)) => CertificateFacts { sha256, ..read(&certificate) },
            Err(error) => CertificateFacts {
                sha256,
                unreadable: Some(text(format!("not X.509 in DER: {error}").as_bytes())),
                ..CertificateFacts::default()
            },
        }
    }
}

fn read(certificate: &X509Certificate<'_>) -> CertificateFacts {
    let (key_algorithm, key_bits) = key(certificate);
    CertificateFacts {
        subject: text(certificate.subject().to_string().as_bytes()),
        issuer: text(certificate.issuer().to_string().as_bytes()),
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        alternative_names: alternative_names(certificate),
        key_algorithm,
        key_bits,
        signature_algorithm: signature_name(&certificate.signature_algorithm.algorithm.to_id_string()),
        extended_key_usage: extended_key_usage(certificate),
        self_issued: certificate.subject().as_raw() == certificate.issuer().as_raw(),
        ..CertificateFacts::default()
    }
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    let shown = names.flatten().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(text(name.as_bytes())),
        GeneralName::IPAddress(bytes) => match **bytes {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(a, b, c, d).to_string()),
            ref long => <[u8; 16]>::try_from(long).ok().map(|a| std::net::Ipv6Addr::from(a).to_string()),
        },
        _ => None,
    });
    shown.take(NAMES_MAX).collect()
}

fn extended_key_usage(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(usage)) = certificate.extended_key_usage() else { return Vec::new() };
    let usage = usage.value;
    let known = [
        (usage.any, "2.5.29.37.0"),
        (usage.server_auth, "1.3.6.1.5.5.7.3.1"),
        (usage.client_auth, "1.3.6.1.5.5.7.3.2"),
        (usage.code_signing, "1.3.6.1.5.5.7.3.3"),
        (usage.email_protection, "1.3.6.1.5.5.7.3.4"),
        (usage.time_stamping, "1.3.6.1.5.5.7.3.8"),
        (usage.ocsp_signing, "1.3.6.1.5.5.7.3.9"),
    ];
    let named = known.into_iter().filter(|(set, _)| *set).map(|(_, oid)| oid.to_owned());
    named.chain(usage.other.iter().map(|oid| oid.to_id_string())).take(NAMES_MAX).collect()
}

/// Name and size in bits of the public key.
fn key(certificate: &X509Certificate<'_>) -> (String, u32) {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => ("RSA".to_owned(), bits(key.modulus)),
        Ok(PublicKey::EC(point)) => ("ECDSA".to_owned(), curve_bits(point.data())),
        Ok(PublicKey::DSA(_)) => ("DSA".to_owned(), 0),
        _ => match certificate.public_key().algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => ("Ed25519".to_owned(), 256),
            "1.3.101.113" => ("Ed448".to_owned(), 456),
            oid => (oid.to_owned(), 0),
        },
    }
}

/// Size of a big-endian number in bits.
fn bits(number: &[u8]) -> u32 {
    let significant = number.iter().position(|byte| *byte != 0).map_or(&[][..], |at| &number[at..]);
    let leading = significant.first().map_or(0, |byte| byte.leading_zeros());
    u32::try_from(significant.len()).unwrap_or(u32::MAX).saturating_mul(8).saturating_sub(leading)
}

/// Size of the field of an EC point: 04 and two coordinates, or 02 or 03 and one. RFC 5480 2.2
fn curve_bits(point: &[u8]) -> u32 {
    let coordinate = match point {
        [4, rest @ ..] => rest.len() / 2,
        [_, rest @ ..] => rest.len(),
        [] => 0,
    };
    match coordinate {
        // 521 bits do not fill their last byte.
        66 => 521,
        bytes => u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(8),
    }
}

/// The name administrators know a signature algorithm by, or its OID. RFC 3279, RFC 4055, RFC 5758, RFC 8410
fn signature_name(oid: &str) -> String {
    let name = match oid {
        "1.2.840.113549.1.1.4" => "md5WithRSAEncryption",
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "rsassaPss",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.2.840.10040.4.3" => "dsa-with-sha1",
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.3.101.112" => "Ed25519",
        other => other,
    };
    name.to_owned()
}

/// Text as sent, lossily decoded, cut at [`TEXT_MAX`] bytes.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_MAX)]).into_owned()
}
