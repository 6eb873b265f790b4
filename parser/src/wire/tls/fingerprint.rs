//! JA3, JA3S and JA4. Computed when asked for, never while a hello is read.
//!
//! JA3 and JA3S: salesforce/ja3 (BSD-3-Clause). JA4, the TLS client part alone: FoxIO-LLC/ja4 (BSD-3-Clause).

use super::{CipherSuite, ExtensionType, HelloShape, TlsVersion, is_grease};
use md5::{Digest, Md5};
use sha2::Sha256;

/// JA3 (md5 in hex) and JA4 of a ClientHello; both are empty for the SSLv2 form, which has no rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprints {
    /// JA3.
    pub ja3: String,
    /// JA4.
    pub ja4: String,
}

impl Fingerprints {
    /// Both fingerprints of a hello. They depend on nothing but its shape.
    #[must_use]
    pub fn of(shape: &HelloShape) -> Fingerprints {
        if shape.sslv2_form {
            return Fingerprints::default();
        }
        Fingerprints { ja3: hex(&Md5::digest(ja3_bytes(shape))), ja4: ja4(shape) }
    }
}

/// The text that JA3 hashes: `version,suites,extensions,groups,point_formats`, decimal, GREASE left out.
#[must_use]
pub fn ja3_text(shape: &HelloShape) -> String {
    String::from_utf8(ja3_bytes(shape)).unwrap_or_default()
}

fn ja3_bytes(shape: &HelloShape) -> Vec<u8> {
    let values = shape.suites.len() + shape.extensions.len() + shape.groups.len() + shape.point_formats.len();
    let mut text = Vec::with_capacity(6 * values + 10);
    decimal(&mut text, shape.legacy_version.0);
    decimals(&mut text, shape.suites.iter().map(|s| s.0));
    decimals(&mut text, shape.extensions.iter().copied());
    decimals(&mut text, shape.groups.iter().map(|g| g.0));
    decimals(&mut text, shape.point_formats.iter().map(|f| u16::from(*f)));
    text
}

/// JA3S, md5 in hex of `version,suite,extensions`; the version is `legacy_version`.
#[must_use]
pub fn ja3s(version: TlsVersion, suite: CipherSuite, extensions: &[u16]) -> String {
    let mut text = Vec::with_capacity(6 * extensions.len() + 12);
    decimal(&mut text, version.0);
    text.push(b',');
    decimal(&mut text, suite.0);
    decimals(&mut text, extensions.iter().copied());
    hex(&Md5::digest(text))
}

/// A comma, then the values joined by dashes.
fn decimals(text: &mut Vec<u8>, values: impl Iterator<Item = u16>) {
    text.push(b',');
    for (place, value) in values.filter(|v| !is_grease(*v)).enumerate() {
        if place > 0 {
            text.push(b'-');
        }
        decimal(text, value);
    }
}

/// The value in decimal. Some sixty of them per hello make the machinery of `write!` the larger part of the cost.
#[inline]
fn decimal(text: &mut Vec<u8>, value: u16) {
    let digits = [10_000, 1_000, 100, 10, 1].map(|power| b'0' + (value / power % 10) as u8);
    let first = match value {
        10_000.. => 0,
        1_000.. => 1,
        100.. => 2,
        10.. => 3,
        _ => 4,
    };
    text.extend_from_slice(&digits[first..]);
}

fn ja4(shape: &HelloShape) -> String {
    let newest = shape.supported_versions.iter().copied().filter(|v| !v.is_grease()).max();
    let mut suites: Vec<u16> = shape.suites.iter().map(|s| s.0).filter(|s| !is_grease(*s)).collect();
    let mut extensions: Vec<u16> = shape.extensions.iter().copied().filter(|e| !is_grease(*e)).collect();
    let mut text = String::with_capacity(36);
    text.push('t');
    text.push_str(ja4_version(newest.unwrap_or(shape.legacy_version)));
    text.push(if shape.extensions.contains(&ExtensionType::SERVER_NAME.0) { 'd' } else { 'i' });
    for count in [suites.len(), extensions.len()].map(|count| count.min(99) as u8) {
        text.extend([char::from(b'0' + count / 10), char::from(b'0' + count % 10)]);
    }
    text.push_str(&ja4_alpn(shape.alpn.first().map(|value| &**value)));

    suites.sort_unstable();
    text.push('_');
    text.push_str(&ja4_hash(&suites, &[]));

    let none = extensions.is_empty();
    extensions.retain(|e| ![ExtensionType::SERVER_NAME.0, ExtensionType::ALPN.0].contains(e));
    extensions.sort_unstable();
    let schemes: Vec<u16> = shape.signature_schemes.iter().map(|s| s.0).filter(|s| !is_grease(*s)).collect();
    text.push('_');
    text.push_str(&if none { ja4_hash(&[], &[]) } else { ja4_hash(&extensions, &schemes) });
    text
}

fn ja4_version(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::TLS13 => "13",
        TlsVersion::TLS12 => "12",
        TlsVersion::TLS11 => "11",
        TlsVersion::TLS10 => "10",
        TlsVersion::SSL3 => "s3",
        TlsVersion::SSL2 => "s2",
        _ => "00",
    }
}

/// First and last character of the first value, or of its hexadecimal text when either is not alphanumeric.
fn ja4_alpn(first: Option<&[u8]>) -> String {
    match first {
        Some([a, .., b] | [a @ b]) if a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric() => {
            [char::from(*a), char::from(*b)].iter().collect()
        }
        Some([a, .., b] | [a @ b]) => format!("{:x}{:x}", a >> 4, b & 0x0f),
        _ => "00".to_owned(),
    }
}

/// First 12 hexadecimal digits of the SHA-256 of the values joined by commas, an underscore, and the schemes.
fn ja4_hash(values: &[u16], schemes: &[u16]) -> String {
    if values.is_empty() && schemes.is_empty() {
        return "000000000000".to_owned();
    }
    let mut text = Vec::with_capacity(5 * (values.len() + schemes.len()));
    for (list, first) in [(values, b','), (schemes, b'_')] {
        for (place, value) in list.iter().enumerate() {
            let [a, b, c, d] = [value >> 12, value >> 8, value >> 4, *value].map(|v| DIGITS[usize::from(v & 0x0f)]);
            text.extend_from_slice(&[if place == 0 { first } else { b',' }, a, b, c, d]);
        }
    }
    // The first value stands alone, unless there is none.
    let begin = usize::from(!values.is_empty());
    hex(&Sha256::digest(&text[begin..])[..6])
}

const DIGITS: [u8; 16] = *b"0123456789abcdef";

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).map(|d| DIGITS[usize::from(d)]);
    let mut text = Vec::with_capacity(2 * bytes.len());
    text.extend(digits);
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::ClientHello;
    use super::*;

    /// The example of FoxIO-LLC/ja4, technical_details/JA4.md.
    #[test]
    fn ja4_hashes_are_those_of_its_specification() {
        let mut suites = [
            0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d,
            0x002f, 0x0035,
        ];
        suites.sort_unstable();
        assert_eq!(ja4_hash(&suites, &[]), "8daaf6152771");
        let extensions = [
            0x0005, 0x000a, 0x000b, 0x000d, 0x0012, 0x0015, 0x0017, 0x001b, 0x0023, 0x002b, 0x002d, 0x0033, 0x4469,
            0xff01,
        ];
        let schemes = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
        assert_eq!(ja4_hash(&extensions, &schemes), "e5627efa2ab1");
        assert_eq!(ja4_hash(&extensions, &[]), "6d807ffa2a79");
    }

    /// The examples of salesforce/ja3.
    #[test]
    fn ja3_hashes_are_those_of_its_specification() {
        let md5 = |text: &str| hex(&Md5::digest(text));
        let first = "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0";
        assert_eq!(md5(first), "ada70206e40642a3e4461f35503241d5");
        assert_eq!(md5("769,4-5-10-9-100-98-3-6-19-18-99,,,"), "de350869b8c85de67a350c8d186f11e6");
    }

    #[test]
    fn a_hello_without_extensions_keeps_its_commas() {
        let mut message = vec![1, 0, 0, 43, 3, 1];
        message.extend([0; 32]);
        message.extend([0, 0, 4, 0, 4, 0, 5, 1, 0]);
        let hello = HelloShape::of(&ClientHello::parse(&message).value().expect("a hello"));
        assert_eq!(ja3_text(&hello), "769,4-5,,,");
        assert!(Fingerprints::of(&hello).ja4.starts_with("t10i020000_"));
        assert!(Fingerprints::of(&hello).ja4.ends_with("_000000000000"));
    }

    #[test]
    fn decimals_are_those_of_the_standard_library() {
        for value in [0, 9, 10, 99, 100, 999, 1_000, 9_999, 10_000, 10_203, 65_535] {
            let mut text = Vec::new();
            decimal(&mut text, value);
            assert_eq!(text, value.to_string().as_bytes());
        }
    }

    #[test]
    fn alpn_that_is_not_text_is_taken_from_its_hex() {
        assert_eq!(ja4_alpn(Some(b"h2")), "h2");
        assert_eq!(ja4_alpn(Some(b"http/1.1")), "h1");
        assert_eq!(ja4_alpn(Some(b"x")), "xx");
        assert_eq!(ja4_alpn(Some(&[0xab, 0x2f, 0xcd])), "ad");
        assert_eq!(ja4_alpn(Some(b"")), "00");
        assert_eq!(ja4_alpn(None), "00");
    }
}
