//! Protocol versions.

use core::fmt;

/// A protocol version as it stands on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TlsVersion(pub u16);

impl TlsVersion {
    /// SSL 2.0, in an SSLv2-compatible hello.
    pub const SSL2: TlsVersion = TlsVersion(0x0002);
    /// SSL 3.0
    pub const SSL3: TlsVersion = TlsVersion(0x0300);
    /// TLS 1.0
    pub const TLS10: TlsVersion = TlsVersion(0x0301);
    /// TLS 1.1
    pub const TLS11: TlsVersion = TlsVersion(0x0302);
    /// TLS 1.2
    pub const TLS12: TlsVersion = TlsVersion(0x0303);
    /// TLS 1.3
    pub const TLS13: TlsVersion = TlsVersion(0x0304);

    /// Every version of SSL 3.0 to TLS 1.3, oldest first.
    pub const ALL: [TlsVersion; 5] =
        [TlsVersion::SSL3, TlsVersion::TLS10, TlsVersion::TLS11, TlsVersion::TLS12, TlsVersion::TLS13];

    /// RFC 8701
    #[must_use]
    pub fn is_grease(self) -> bool {
        is_grease(self.0)
    }

    /// A draft of TLS 1.3: 0x7f00 and the draft's number. RFC 8446 4.2.1.1 of the drafts
    #[must_use]
    pub fn is_tls13_draft(self) -> bool {
        (0x7f0e..=0x7f1c).contains(&self.0)
    }

    /// TLS 1.3 or a draft of it: everything after the ServerHello is encrypted.
    #[must_use]
    pub fn is_tls13(self) -> bool {
        self == TlsVersion::TLS13 || self.is_tls13_draft()
    }

    /// The short form events use: `1.0` … `1.3`, and `ssl2`, `ssl3`.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            TlsVersion::SSL2 => "ssl2",
            TlsVersion::SSL3 => "ssl3",
            TlsVersion::TLS10 => "1.0",
            TlsVersion::TLS11 => "1.1",
            TlsVersion::TLS12 => "1.2",
            TlsVersion::TLS13 => "1.3",
            _ => return None,
        })
    }
}

/// RFC 8701: both bytes equal, low nibble A.
#[must_use]
pub fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

/// `TLS 1.0 (0x0301)`, `0x5a5a (GREASE)`, `TLS 1.3 draft 28 (0x7f1c)`, `0x0505`.
impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            TlsVersion::SSL2 => f.write_str("SSL 2.0 (0x0002)"),
            TlsVersion::SSL3 => f.write_str("SSL 3.0 (0x0300)"),
            TlsVersion::TLS12 => f.write_str("TLS 1.2 (0x0303)"),
            TlsVersion::TLS13 => f.write_str("TLS 1.3 (0x0304)"),
            draft if draft.is_tls13_draft() => write!(f, "TLS 1.3 draft {} (0x{:04x})", draft.0 & 0xff, draft.0),
            version => match version.name() {
                Some(name) => write!(f, "TLS {name} (0x{:04x})", version.0),
                None => name_and_number(f, None, version.0),
            },
        }
    }
}

/// Name and hexadecimal number, `0x5a5a (GREASE)`, or the number alone.
pub(super) fn name_and_number(f: &mut fmt::Formatter<'_>, name: Option<&str>, number: u16) -> fmt::Result {
    match name {
        Some(name) => {
            f.write_str(name)?;
            write!(f, " (0x{number:04x})")
        }
        None if is_grease(number) => write!(f, "0x{number:04x} (GREASE)"),
        None => write!(f, "0x{number:04x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_print_name_and_number() {
        assert_eq!(TlsVersion::TLS10.to_string(), "TLS 1.0 (0x0301)");
        assert_eq!(TlsVersion::SSL3.to_string(), "SSL 3.0 (0x0300)");
        assert_eq!(TlsVersion(0x5a5a).to_string(), "0x5a5a (GREASE)");
        assert_eq!(TlsVersion(0x7f1c).to_string(), "TLS 1.3 draft 28 (0x7f1c)");
        assert_eq!(TlsVersion(0x0505).to_string(), "0x0505");
        assert_eq!(TlsVersion::TLS12.name(), Some("1.2"));
    }

    #[test]
    fn grease_is_sixteen_values() {
        assert_eq!((0..=u16::MAX).filter(|v| is_grease(*v)).count(), 16);
    }
}
