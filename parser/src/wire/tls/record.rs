//! Record headers, handshake headers and alerts. RFC 8446 5.1, 4, 6; the same layout since SSL 3.0.

use super::super::outcome::{Malformed, Outcome};
use super::{AlertDescription, AlertLevel, ContentType, HandshakeType, TlsVersion};

/// Bytes of a record header.
pub const RECORD_HEADER: usize = 5;
/// Bytes of a handshake header.
pub const HANDSHAKE_HEADER: usize = 4;
/// Longest record body: 2^14 bytes of plaintext and 2048 of expansion. RFC 5246 6.2.3
pub const RECORD_MAX: u16 = (1 << 14) + 2048;

/// The five bytes that begin a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordHeader {
    /// What the record holds.
    pub content_type: ContentType,
    /// Version as it stands there: 0x0301 in many a ClientHello, 0x0303 in TLS 1.3.
    pub version: TlsVersion,
    /// Bytes that follow the header.
    pub length: u16,
}

impl RecordHeader {
    /// Reads a header. The version is not judged beyond its major number 3, as peers write what they like there.
    #[must_use]
    pub fn parse(input: &[u8]) -> Outcome<RecordHeader> {
        let at = |offset, expected| Outcome::Malformed(Malformed { offset, expected });
        match *input {
            [kind, ..] if !(20..=24).contains(&kind) => at(0, "TLS content type of 20 to 24"),
            [_, major, ..] if major != 3 => at(1, "TLS major version 3"),
            [kind, major, minor, high, low, ..] => match u16::from_be_bytes([high, low]) {
                length if length > RECORD_MAX => at(3, "record length of 18432 or less"),
                length => {
                    let version = TlsVersion(u16::from_be_bytes([major, minor]));
                    let value = RecordHeader { content_type: ContentType(kind), version, length };
                    Outcome::Value { value, consumed: RECORD_HEADER }
                }
            },
            _ => Outcome::NeedMore { at_least: RECORD_HEADER - input.len() },
        }
    }
}

/// The four bytes that begin a handshake message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandshakeHeader {
    /// Message type.
    pub kind: HandshakeType,
    /// Bytes that follow the header: 24 bits.
    pub length: u32,
}

impl HandshakeHeader {
    /// Reads a header.
    #[must_use]
    pub fn parse(input: &[u8]) -> Outcome<HandshakeHeader> {
        match *input {
            [kind, a, b, c, ..] => Outcome::Value {
                value: HandshakeHeader { kind: HandshakeType(kind), length: u32::from_be_bytes([0, a, b, c]) },
                consumed: HANDSHAKE_HEADER,
            },
            _ => Outcome::NeedMore { at_least: HANDSHAKE_HEADER - input.len() },
        }
    }

    /// Length of the whole message in bytes, header included.
    #[must_use]
    pub fn total(self) -> u32 {
        self.length + HANDSHAKE_HEADER as u32
    }
}

/// The body of a whole handshake message of type `kind`, or what is missing.
pub(super) fn handshake_body<'a>(
    input: &'a [u8],
    kind: HandshakeType,
    expected: &'static str,
) -> Result<&'a [u8], Outcome<()>> {
    match HandshakeHeader::parse(input) {
        Outcome::Value { value, .. } if value.kind == kind => {
            let total = value.total() as usize;
            match input.get(HANDSHAKE_HEADER..total) {
                Some(body) => Ok(body),
                None => Err(Outcome::NeedMore { at_least: total - input.len() }),
            }
        }
        Outcome::Value { .. } => Err(Outcome::Malformed(Malformed { offset: 0, expected })),
        Outcome::NeedMore { at_least } => Err(Outcome::NeedMore { at_least }),
        Outcome::Malformed(malformed) => Err(Outcome::Malformed(malformed)),
    }
}

/// An alert in clear. RFC 8446 6
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Level: to be ignored in TLS 1.3.
    pub level: AlertLevel,
    /// Description.
    pub description: AlertDescription,
}

impl Alert {
    /// Reads an alert from the body of its record.
    #[must_use]
    pub fn parse(input: &[u8]) -> Outcome<Alert> {
        match *input {
            [level, description, ..] => Outcome::Value {
                value: Alert { level: AlertLevel(level), description: AlertDescription(description) },
                consumed: 2,
            },
            _ => Outcome::NeedMore { at_least: 2 - input.len() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_header_of_any_version_is_read() {
        for minor in 0..=9 {
            let header = RecordHeader::parse(&[22, 3, minor, 1, 0x2c]).value().expect("a header");
            assert_eq!((header.content_type, header.length), (ContentType::HANDSHAKE, 300));
            assert_eq!(header.version.0, 0x0300 | u16::from(minor));
        }
    }

    #[test]
    fn what_cannot_be_a_record_is_refused_at_its_first_wrong_byte() {
        let offset = |bytes: &[u8]| match RecordHeader::parse(bytes) {
            Outcome::Malformed(m) => Some(m.offset),
            _ => None,
        };
        assert_eq!(offset(&[3, 0, 0, 9]), Some(0));
        assert_eq!(offset(b"\x16H"), Some(1));
        assert_eq!(offset(&[23, 3, 3, 0x48, 1]), Some(3));
        assert_eq!(offset(&[23, 3, 3, 0x48, 0]), None);
        assert_eq!(RecordHeader::parse(&[23, 3]), Outcome::NeedMore { at_least: 3 });
    }

    #[test]
    fn an_alert_is_two_bytes() {
        let alert = Alert::parse(&[2, 40]).value().expect("an alert");
        assert_eq!(alert.description.to_string(), "handshake_failure (40)");
        assert_eq!(Alert::parse(&[2]), Outcome::NeedMore { at_least: 1 });
    }
}
