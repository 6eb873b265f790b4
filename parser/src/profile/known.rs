//! What a probe asks about: every suite, group and signature scheme that an RDP host could accept.

use crate::wire::{CipherSuite, NamedGroup, SignatureScheme, SuiteClass, SuiteInfo, TlsVersion};

/// Groups of TLS 1.3, hybrids last: no share is sent for them unless it is asked for.
pub const GROUPS_OF_TLS13: [NamedGroup; 14] = groups([
    0x001d, 0x0017, 0x0018, 0x0019, 0x001e, 0x0100, 0x0101, 0x0102, 0x0103, 0x0104, 0x11ec, 0x11eb, 0x11ed, 0x0201,
]);

/// Curves of TLS 1.0 to 1.2, those that hosts still have first. RFC 8422, RFC 4492, RFC 7027
pub const GROUPS_OF_TLS12: [NamedGroup; 30] = groups([
    0x001d, 0x0017, 0x0018, 0x0019, 0x001e, 0x001a, 0x001b, 0x001c, 0x0016, 0x0013, 0x0014, 0x0015, 0x0012, 0x000f,
    0x0010, 0x0011, 0x0001, 0x0002, 0x0003, 0x0004, 0x0005, 0x0006, 0x0007, 0x0008, 0x0009, 0x000a, 0x000b, 0x000c,
    0x000d, 0x000e,
]);

/// Signature schemes, strong ones first.
pub const SIGNATURE_SCHEMES: [SignatureScheme; 23] = schemes([
    0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x0807, 0x0808, 0x0403, 0x0503, 0x0603, 0x0401, 0x0501, 0x0601,
    0x0303, 0x0301, 0x0203, 0x0201, 0x0402, 0x0502, 0x0602, 0x0202, 0x0101,
]);

/// The schemes with which a TLS 1.3 host may sign. RFC 8446 4.2.3
pub const SCHEMES_OF_TLS13: [SignatureScheme; 11] =
    schemes([0x0804, 0x0805, 0x0806, 0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0809, 0x080a, 0x080b]);

/// The suites that a host without a shared secret could accept in `version`, weakest first.
///
/// Weakest first, because a host that keeps its own order then shows it: whatever it chooses before the weakest it
/// accepts is its own choice. Suites of later specifications are left out, those that later ones dropped are not: an old
/// stack may still accept an export suite in TLS 1.2.
#[must_use]
pub fn suites_of(version: TlsVersion) -> Vec<CipherSuite> {
    let mut suites: Vec<&SuiteInfo> = CipherSuite::all().filter(|suite| possible(suite, version)).collect();
    suites.sort_by_key(|suite| strength(suite));
    suites.into_iter().map(|suite| CipherSuite(suite.code)).collect()
}

/// How good a suite is, among suites: a larger value is better.
#[must_use]
pub fn strength(suite: &SuiteInfo) -> impl Ord + use<> {
    let class = match suite.class {
        SuiteClass::Signal => 0,
        SuiteClass::Broken => 1,
        SuiteClass::Weak => 2,
        SuiteClass::Modern => 3,
    };
    let exchange = match suite.key_exchange {
        "NULL" => 0,
        "DH" | "ECDH" => 1,
        "RSA" => 2,
        "DHE" => 3,
        _ => 4,
    };
    let aead = suite.mac == "AEAD";
    let bits = match suite.cipher {
        cipher if cipher.contains("256") || cipher.starts_with("CHACHA") => 2,
        cipher if cipher.contains("128") => 1,
        _ => 0,
    };
    (class, exchange, aead, bits, suite.mac == "SHA256" || suite.mac == "SHA384", suite.code)
}

fn possible(suite: &SuiteInfo, version: TlsVersion) -> bool {
    let secret = ["PSK", "KRB5", "SRP", "ECCPWD"];
    let shared = secret.contains(&suite.authentication) || secret.contains(&suite.key_exchange);
    let of_13 = suite.max == TlsVersion::TLS13;
    suite.class != SuiteClass::Signal
        && !shared
        && suite.code != 0
        && suite.min <= version
        && of_13 == (version == TlsVersion::TLS13)
}

const fn groups<const N: usize>(codes: [u16; N]) -> [NamedGroup; N] {
    let (mut list, mut at) = ([NamedGroup(0); N], 0);
    while at < N {
        list[at] = NamedGroup(codes[at]);
        at += 1;
    }
    list
}

const fn schemes<const N: usize>(codes: [u16; N]) -> [SignatureScheme; N] {
    let (mut list, mut at) = ([SignatureScheme(0); N], 0);
    while at < N {
        list[at] = SignatureScheme(codes[at]);
        at += 1;
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_point_asked_about_has_a_name_and_is_asked_once() {
        let mut groups: Vec<u16> = GROUPS_OF_TLS12.iter().map(|group| group.0).collect();
        assert!(GROUPS_OF_TLS12.iter().chain(&GROUPS_OF_TLS13).all(|group| group.name().is_some()));
        assert!(SIGNATURE_SCHEMES.iter().all(|scheme| scheme.name().is_some()));
        groups.sort_unstable();
        assert!(groups.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn suites_of_a_version_are_those_it_may_use_weakest_first() {
        let suites = suites_of(TlsVersion::TLS12);
        assert!(suites.len() > 200 && suites.len() < 256, "GnuTLS reads 256 suites: {}", suites.len());
        assert_eq!(suites.last().and_then(|suite| suite.class()), Some(SuiteClass::Modern));
        assert_eq!(suites.first().and_then(|suite| suite.class()), Some(SuiteClass::Broken));
        assert!(!suites_of(TlsVersion::TLS10).contains(&CipherSuite(0xc02f)));
        assert!(suites_of(TlsVersion::TLS13).contains(&CipherSuite(0x1302)));
        assert!(suites_of(TlsVersion::SSL3).contains(&CipherSuite(0x0003)));
    }
}
