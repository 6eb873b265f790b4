//! JA3, JA3S and JA4. Computed when asked for, never while a hello is read.
//!
//! JA3 and JA3S: salesforce/ja3 (BSD-3-Clause). JA4, the TLS client part alone: FoxIO-LLC/ja4 (BSD-3-Clause).

use super::{ClientHello, ExtensionType, ServerHello, TlsVersion, is_grease};
use core::fmt::Write;
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
    /// Both fingerprints of a hello.
    #[must_use]
    pub fn of(hello: &ClientHello<'_>) -> Fingerprints {
        Fingerprints { ja3: hex(&Md5::digest(ja3_text(hello))), ja4: ja4(hello) }
    }
}

/// The text that JA3 hashes: `version,suites,extensions,groups,point_formats`, decimal, GREASE left out.
#[must_use]
pub fn ja3_text(hello: &ClientHello<'_>) -> String {
    let mut text = String::with_capacity(256);
    let _ = write!(text, "{}", hello.legacy_version.0);
    decimals(&mut text, hello.suites().map(|s| s.0));
    decimals(&mut text, hello.extensions().map(|(kind, _)| kind.0));
    decimals(&mut text, hello.groups().map(|g| g.0));
    decimals(&mut text, hello.point_formats().iter().map(|f| u16::from(*f)));
    text
}

/// JA3S, md5 in hex of `version,suite,extensions`.
#[must_use]
pub fn ja3s(hello: &ServerHello<'_>) -> String {
    let mut text = format!("{},{}", hello.legacy_version.0, hello.suite.0);
    decimals(&mut text, hello.extensions().map(|(kind, _)| kind.0));
    hex(&Md5::digest(text))
}

/// A comma, then the values joined by dashes.
fn decimals(text: &mut String, values: impl Iterator<Item = u16>) {
    text.push(',');
    for (place, value) in values.filter(|v| !is_grease(*v)).enumerate() {
        let _ = write!(text, "{}{value}", if place == 0 { "" } else { "-" });
    }
}

fn ja4(hello: &ClientHello<'_>) -> String {
    let version = hello.supported_versions().filter(|v| !v.is_grease()).max().unwrap_or(hello.legacy_version);
    let mut suites: Vec<u16> = hello.suites().map(|s| s.0).filter(|s| !is_grease(*s)).collect();
    let mut extensions: Vec<u16> = hello.extensions().map(|(k, _)| k.0).filter(|e| !is_grease(*e)).collect();
    let mut text = format!(
        "t{}{}{:02}{:02}{}",
        ja4_version(version),
        if hello.has_server_name() { 'd' } else { 'i' },
        suites.len().min(99),
        extensions.len().min(99),
        ja4_alpn(hello.alpn().next()),
    );

    suites.sort_unstable();
    text.push('_');
    text.push_str(&ja4_hash(&suites, &[]));

    let none = extensions.is_empty();
    extensions.retain(|e| ![ExtensionType::SERVER_NAME.0, ExtensionType::ALPN.0].contains(e));
    extensions.sort_unstable();
    let schemes: Vec<u16> = hello.signature_schemes().map(|s| s.0).filter(|s| !is_grease(*s)).collect();
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
    let mut text = String::with_capacity(5 * (values.len() + schemes.len()));
    for (list, first) in [(values, ""), (schemes, "_")] {
        for (place, value) in list.iter().enumerate() {
            let _ = write!(text, "{}{value:04x}", if place == 0 { first } else { "," });
        }
    }
    let mut digits = hex(&Sha256::digest(text));
    digits.truncate(12);
    digits
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 0x0f]).map(|d| char::from(DIGITS[usize::from(d)])).collect()
}

#[cfg(test)]
mod tests {
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
        let hello = ClientHello::parse(&message).value().expect("a hello");
        assert_eq!(ja3_text(&hello), "769,4-5,,,");
        assert!(Fingerprints::of(&hello).ja4.starts_with("t10i020000_"));
        assert!(Fingerprints::of(&hello).ja4.ends_with("_000000000000"));
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
