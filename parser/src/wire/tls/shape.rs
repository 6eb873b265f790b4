//! The part of a ClientHello that one program sends every time.

use super::{CipherSuite, ClientHello, NamedGroup, SignatureScheme, Sslv2Hello, TlsVersion};

/// ALPN values that are kept of one hello. Browsers offer two or three, RDP clients none.
const ALPN_MAX: usize = 64;

/// What a client program offers, whoever runs it and whatever host it calls: all of a ClientHello but its random, its
/// session id, the bytes of its key shares, the name of the host and its tickets. GREASE is kept; printers leave it out.
///
/// Thousands of clients send a handful of shapes, so a shape is meant to be shared between sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HelloShape {
    /// `legacy_version`.
    pub legacy_version: TlsVersion,
    /// True for the SSLv2-compatible form. RFC 5246 appendix E.2
    pub sslv2_form: bool,
    /// `supported_versions` in the order offered; empty when the extension is absent.
    pub supported_versions: Vec<TlsVersion>,
    /// Suites in the order offered.
    pub suites: Vec<CipherSuite>,
    /// Extension types in the order sent.
    pub extensions: Vec<u16>,
    /// `supported_groups` in the order offered.
    pub groups: Vec<NamedGroup>,
    /// Groups with a key share, and the share's size in bytes.
    pub key_shares: Vec<(NamedGroup, u16)>,
    /// `signature_algorithms` in the order offered.
    pub signature_schemes: Vec<SignatureScheme>,
    /// `ec_point_formats` in the order offered.
    pub point_formats: Vec<u8>,
    /// ALPN values, as sent. RFC 7301
    pub alpn: Vec<Box<[u8]>>,
}

impl HelloShape {
    /// The shape of a hello.
    #[must_use]
    pub fn of(hello: &ClientHello<'_>) -> HelloShape {
        HelloShape {
            legacy_version: hello.legacy_version,
            sslv2_form: false,
            supported_versions: hello.supported_versions().collect(),
            suites: hello.suites().collect(),
            extensions: hello.extensions().map(|(kind, _)| kind.0).collect(),
            groups: hello.groups().collect(),
            key_shares: hello.key_shares().collect(),
            signature_schemes: hello.signature_schemes().collect(),
            point_formats: hello.point_formats().to_vec(),
            alpn: hello.alpn().take(ALPN_MAX).map(Box::from).collect(),
        }
    }

    /// The shape of an SSLv2-form hello.
    #[must_use]
    pub fn of_sslv2(hello: &Sslv2Hello<'_>) -> HelloShape {
        HelloShape {
            legacy_version: hello.version,
            sslv2_form: true,
            suites: hello.suites().collect(),
            ..HelloShape::default()
        }
    }

    /// The versions the client is ready to speak, best first, GREASE left out.
    ///
    /// Without `supported_versions` a hello formally offers everything up to `legacy_version` (RFC 8446 4.2.1);
    /// then only `legacy_version` itself is listed, as it is the only one that was said.
    #[must_use]
    pub fn versions(&self) -> Vec<TlsVersion> {
        if self.supported_versions.is_empty() {
            vec![self.legacy_version]
        } else {
            self.supported_versions.iter().copied().filter(|v| !v.is_grease()).collect()
        }
    }

    /// `TLS_FALLBACK_SCSV` is among the suites. RFC 7507
    #[must_use]
    pub fn fallback_scsv(&self) -> bool {
        self.suites.contains(&CipherSuite::FALLBACK_SCSV)
    }

    /// Bytes of memory, the lists included.
    #[must_use]
    pub fn memory(&self) -> usize {
        let codes = self.supported_versions.capacity()
            + self.suites.capacity()
            + self.extensions.capacity()
            + self.groups.capacity()
            + self.signature_schemes.capacity();
        let alpn = self.alpn.capacity() * size_of::<Box<[u8]>>() + self.alpn.iter().map(|a| a.len()).sum::<usize>();
        size_of::<HelloShape>() + 2 * codes + 4 * self.key_shares.capacity() + self.point_formats.capacity() + alpn
    }
}
