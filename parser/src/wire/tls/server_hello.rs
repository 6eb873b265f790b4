//! ServerHello and HelloRetryRequest. RFC 8446 4.1.3, 4.1.4; RFC 5246 7.4.1.3

use super::super::outcome::{Malformed, Outcome, Parsed, field, whole};
use super::extensions::Extensions;
use super::record::{HANDSHAKE_HEADER, handshake_body};
use super::{CipherSuite, ExtensionType, HandshakeType, NamedGroup, TlsVersion};
use nom::Parser;
use nom::bytes::streaming::take;
use nom::multi::length_data;
use nom::number::streaming::{be_u8, be_u16};

/// `random` of a HelloRetryRequest: SHA-256 of "HelloRetryRequest". RFC 8446 4.1.3
const HELLO_RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];
/// End of `random` of a TLS 1.3 host that chose TLS 1.2: "DOWNGRD" and 1. RFC 8446 4.1.3
const DOWNGRADE_TO_12: &[u8] = b"DOWNGRD\x01";
/// The same for TLS 1.1 or older.
const DOWNGRADE_TO_11: &[u8] = b"DOWNGRD\x00";

/// A ServerHello, borrowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerHello<'a> {
    /// `legacy_version`.
    pub legacy_version: TlsVersion,
    /// `random`.
    pub random: &'a [u8],
    /// Session id: the client's own in TLS 1.3, or when a session is resumed.
    pub session_id: &'a [u8],
    /// The suite chosen.
    pub suite: CipherSuite,
    /// The compression method chosen.
    pub compression_method: u8,
    extensions: &'a [u8],
}

/// What the end of `random` says about a downgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DowngradeSentinel {
    /// The host speaks TLS 1.3 and chose 1.2.
    Tls12,
    /// The host speaks TLS 1.2 or newer and chose 1.1 or older.
    Tls11OrOlder,
}

impl<'a> ServerHello<'a> {
    /// Reads a whole handshake message, its header included.
    #[must_use]
    pub fn parse(input: &'a [u8]) -> Outcome<ServerHello<'a>> {
        let body = match handshake_body(input, HandshakeType::SERVER_HELLO, "ServerHello") {
            Ok(body) => body,
            Err(outcome) => return outcome.map(|()| ServerHello::default()),
        };
        match whole(body, hello) {
            Ok((_, hello)) => Outcome::Value { value: hello, consumed: HANDSHAKE_HEADER + body.len() },
            Err(m) => Outcome::Malformed(Malformed { offset: m.offset + HANDSHAKE_HEADER, ..m }),
        }
    }

    /// The version chosen: `supported_versions` if present, else `legacy_version`.
    #[must_use]
    pub fn version(&self) -> TlsVersion {
        match self.extension(ExtensionType::SUPPORTED_VERSIONS) {
            Some([high, low]) => TlsVersion(u16::from_be_bytes([*high, *low])),
            _ => self.legacy_version,
        }
    }

    /// It is a HelloRetryRequest.
    #[must_use]
    pub fn is_hello_retry(&self) -> bool {
        self.random == HELLO_RETRY_RANDOM
    }

    /// The group of `key_share`: the host's, or the one a HelloRetryRequest asks for.
    #[must_use]
    pub fn group(&self) -> Option<NamedGroup> {
        let share = self.extension(ExtensionType::KEY_SHARE);
        match share.or_else(|| self.extension(ExtensionType::KEY_SHARE_OF_DRAFTS))? {
            [high, low, ..] => Some(NamedGroup(u16::from_be_bytes([*high, *low]))),
            _ => None,
        }
    }

    /// A PSK was chosen: the session is resumed (TLS 1.3).
    #[must_use]
    pub fn chose_psk(&self) -> bool {
        self.extension(ExtensionType::PRE_SHARED_KEY).is_some()
    }

    /// Downgrade sentinel at the end of `random`.
    #[must_use]
    pub fn downgrade(&self) -> Option<DowngradeSentinel> {
        match self.random {
            random if random.ends_with(DOWNGRADE_TO_12) => Some(DowngradeSentinel::Tls12),
            random if random.ends_with(DOWNGRADE_TO_11) => Some(DowngradeSentinel::Tls11OrOlder),
            _ => None,
        }
    }

    /// Type and data of every extension, in the order sent.
    #[must_use]
    pub fn extensions(&self) -> Extensions<'a> {
        Extensions(self.extensions)
    }

    fn extension(&self, kind: ExtensionType) -> Option<&'a [u8]> {
        self.extensions().find(|(k, _)| *k == kind).map(|(_, data)| data)
    }
}

fn hello(i: &[u8]) -> Parsed<'_, ServerHello<'_>> {
    let (i, legacy_version) = field("legacy_version", i, be_u16)?;
    let (i, random) = field("random of 32 bytes", i, take(32usize))?;
    // Until draft 21, TLS 1.3 had neither a session id nor a compression method here.
    let short = (0x7f00..=0x7f15).contains(&legacy_version);
    let (i, session_id) = if short { (i, &[][..]) } else { field("session id", i, |i| length_data(be_u8).parse(i))? };
    let (i, suite) = field("cipher_suite", i, be_u16)?;
    let (i, compression_method) = if short { (i, 0) } else { field("compression_method", i, be_u8)? };
    let (rest, extensions) = match i {
        [] => (i, &[][..]),
        i => field("extensions", i, |i| length_data(be_u16).parse(i))?,
    };
    let hello = ServerHello {
        legacy_version: TlsVersion(legacy_version),
        random,
        session_id,
        suite: CipherSuite(suite),
        compression_method,
        extensions,
    };
    Ok((rest, hello))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(random: &[u8; 32], extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend(random);
        body.extend([0, 0x13, 0x02, 0]);
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let mut message = vec![2, 0, 0, body.len() as u8];
        message.extend(body);
        message
    }

    #[test]
    fn the_version_extension_wins_over_the_legacy_field() {
        let message = hello(&[1; 32], &[0, 43, 0, 2, 3, 4, 0, 51, 0, 6, 0, 29, 0, 2, 9, 9]);
        let hello = ServerHello::parse(&message).value().expect("a hello");
        assert_eq!((hello.version(), hello.legacy_version), (TlsVersion::TLS13, TlsVersion::TLS12));
        assert_eq!(
            (hello.group(), hello.is_hello_retry(), hello.chose_psk()),
            (Some(NamedGroup::X25519), false, false)
        );
    }

    #[test]
    fn a_retry_request_is_told_by_its_random() {
        let message = hello(&HELLO_RETRY_RANDOM, &[0, 43, 0, 2, 3, 4, 0, 51, 0, 2, 0, 23]);
        let hello = ServerHello::parse(&message).value().expect("a hello");
        assert!(hello.is_hello_retry());
        assert_eq!(hello.group(), Some(NamedGroup::SECP256R1));
    }

    #[test]
    fn a_downgrade_sentinel_is_noticed() {
        let mut random = [1; 32];
        random[24..].copy_from_slice(DOWNGRADE_TO_12);
        let message = hello(&random, &[]);
        assert_eq!(ServerHello::parse(&message).value().and_then(|h| h.downgrade()), Some(DowngradeSentinel::Tls12));
        random[31] = 0;
        let message = hello(&random, &[]);
        let sentinel = ServerHello::parse(&message).value().and_then(|h| h.downgrade());
        assert_eq!(sentinel, Some(DowngradeSentinel::Tls11OrOlder));
    }

    #[test]
    fn a_hello_of_an_early_draft_is_read() {
        let mut message = hello(&[1; 32], &[0, 51, 0, 4, 0, 29, 0, 0]);
        message.drain(38..39);
        message.drain(40..41);
        message[3] -= 2;
        message[4..6].copy_from_slice(&[0x7f, 0x12]);
        let hello = ServerHello::parse(&message).value().expect("a hello");
        assert_eq!((hello.version().to_string(), hello.suite.0), ("TLS 1.3 draft 18 (0x7f12)".to_owned(), 0x1302));
        assert_eq!(hello.group(), Some(NamedGroup::X25519));
    }

    #[test]
    fn another_message_is_not_a_server_hello() {
        assert!(matches!(ServerHello::parse(&[1, 0, 0, 0]), Outcome::Malformed(m) if m.offset == 0));
    }
}
