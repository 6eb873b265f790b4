//! TLS messages that cross in clear, of any version since SSL 2-compatible hellos.

/// A protocol version as it stands on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TlsVersion(pub u16);

impl TlsVersion {
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

    /// RFC 8701
    #[must_use]
    pub fn is_grease(self) -> bool {
        is_grease(self.0)
    }
}

/// RFC 8701: both bytes equal, low nibble A.
#[must_use]
pub fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

/// A cipher suite code point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CipherSuite(pub u16);

/// A `supported_groups` code point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NamedGroup(pub u16);

/// A `signature_algorithms` code point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SignatureScheme(pub u16);

/// Alert level byte. RFC 5246 7.2
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AlertLevel(pub u8);

/// Alert description byte. RFC 8446 6
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AlertDescription(pub u8);

/// JA3 (md5 in hex) and JA4 of a ClientHello; `ja4` is empty for the SSLv2 form, which has no rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprints {
    /// JA3.
    pub ja3: String,
    /// JA4.
    pub ja4: String,
}
