//! The part of a ClientHello that one program sends every time.

use super::{CipherSuite, ClientHello, NamedGroup, SignatureScheme, Sslv2Hello, TlsVersion};
use core::hash::{Hash, Hasher};

/// ALPN values that are kept of one hello. Browsers offer two or three, RDP clients none.
const ALPN_MAX: usize = 64;

/// What a client program offers, whoever runs it and whatever host it calls: all of a ClientHello but its random, its
/// session id, the bytes of its key shares, the name of the host and its tickets. GREASE is kept; printers leave it out.
///
/// Thousands of clients send a handful of shapes, so a shape is meant to be shared between sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

impl Hash for HelloShape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let HelloShape {
            legacy_version,
            sslv2_form,
            supported_versions,
            suites,
            extensions,
            groups,
            key_shares,
            signature_schemes,
            point_formats,
            alpn,
        } = self;
        hash_codes([legacy_version.0, u16::from(*sslv2_form)].into_iter(), state);
        hash_codes(supported_versions.iter().map(|version| version.0), state);
        hash_codes(suites.iter().map(|suite| suite.0), state);
        hash_codes(extensions.iter().copied(), state);
        hash_codes(groups.iter().map(|group| group.0), state);
        hash_codes(key_shares.iter().flat_map(|(group, size)| [group.0, *size]), state);
        hash_codes(signature_schemes.iter().map(|scheme| scheme.0), state);
        point_formats.hash(state);
        alpn.hash(state);
    }
}

/// Hashes a list of codes four at a time, and where it ends: one by one they would cost more than reading the hello does.
pub(crate) fn hash_codes(codes: impl Iterator<Item = u16>, state: &mut impl Hasher) {
    let (mut four, mut count) = (0u64, 0u64);
    for code in codes {
        four = four << 16 | u64::from(code);
        count += 1;
        if count.is_multiple_of(4) {
            state.write_u64(four);
            four = 0;
        }
    }
    state.write_u64(four);
    state.write_u64(count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::hash_map::DefaultHasher;

    #[test]
    fn a_list_is_told_from_one_that_goes_on_or_ends_elsewhere() {
        let hash = |lists: &[&[u16]]| {
            let mut state = DefaultHasher::new();
            lists.iter().for_each(|list| hash_codes(list.iter().copied(), &mut state));
            state.finish()
        };
        let different: [&[&[u16]]; 7] =
            [&[], &[&[]], &[&[0]], &[&[1, 2, 3, 4]], &[&[1, 2, 3, 4, 0]], &[&[1, 2], &[3, 4]], &[&[1, 2, 3], &[4]]];
        let hashes: std::collections::HashSet<u64> = different.iter().map(|lists| hash(lists)).collect();
        assert_eq!(hashes.len(), different.len());
        assert_eq!(hash(&[&[7, 8, 9]]), hash(&[&[7, 8, 9]]));
    }
}
