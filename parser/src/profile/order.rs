//! The security order by which remedies are chosen.
//!
//! | strength | handshakes |
//! |---|---|
//! | strong | TLS 1.3; TLS 1.2 with a forward secret AEAD suite |
//! | fair | TLS 1.2 with any other AES suite: CBC, static RSA |
//! | poor | TLS 1.0 and 1.1; 3DES and national ciphers |
//! | never | SSL 2.0 and 3.0; RC4, RC2, DES, NULL, export, anonymous, MD5; keys that RDP hosts do not have (PSK, SRP, Kerberos, DSS) |
//!
//! Within one strength: newer version, then ECDHE before DHE before RSA, then AES-256-GCM, AES-128-GCM, ChaCha20-Poly1305,
//! CCM, CBC with SHA-2, CBC with SHA-1. Sources: RFC 9325 (BCP 195), NIST SP 800-52r2.

use crate::wire::{CipherSuite, NamedGroup, SignatureScheme, SuiteClass, SuiteInfo, TlsVersion};

/// How good a handshake is, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strength {
    /// What current clients and hosts use by default.
    Strong,
    /// Not broken, but on its way out.
    Fair,
    /// For a test only.
    Poor,
    /// Not proposed at all.
    Never,
}

impl Strength {
    /// Strength of a handshake in `version` with `suite`.
    #[must_use]
    pub fn of(version: TlsVersion, suite: CipherSuite) -> Strength {
        let Some(info) = suite.info().filter(|info| info.fits(version)) else { return Strength::Never };
        let usual = matches!(info.key_exchange, "any" | "ECDHE" | "DHE" | "RSA")
            && matches!(info.authentication, "any" | "RSA" | "ECDSA");
        if version < TlsVersion::TLS10 || !usual || matches!(info.class, SuiteClass::Broken | SuiteClass::Signal) {
            return Strength::Never;
        }
        let aes = info.cipher.starts_with("AES-") || info.cipher == "CHACHA20-POLY1305";
        match (version, info.class) {
            (v, _) if v < TlsVersion::TLS12 => Strength::Poor,
            (_, SuiteClass::Modern) if aes => Strength::Strong,
            _ if aes => Strength::Fair,
            _ => Strength::Poor,
        }
    }
}

/// Sorting key: smaller is better. Total, so that the same input always gives the same choice.
#[must_use]
pub(super) fn rank(version: TlsVersion, suite: CipherSuite) -> (Strength, u16, u8, u8, u8, u16) {
    let (exchange, cipher, mac) = suite.info().map_or((9, 99, 9), parts);
    (Strength::of(version, suite), u16::MAX - version.0, exchange, cipher, mac, suite.0)
}

/// Sorting key of groups: what every stack has comes first.
#[must_use]
pub(super) fn group_rank(group: NamedGroup) -> (u8, u16) {
    const ORDER: [NamedGroup; 4] =
        [NamedGroup::X25519, NamedGroup::SECP256R1, NamedGroup::SECP384R1, NamedGroup::SECP521R1];
    (ORDER.iter().position(|g| *g == group).unwrap_or(ORDER.len()) as u8, group.0)
}

/// Sorting key of signature schemes: SHA-2 in the common sizes first, SHA-1 and MD5 last.
#[must_use]
pub(super) fn scheme_rank(scheme: SignatureScheme) -> (u8, u16) {
    const ORDER: [u16; 8] = [0x0804, 0x0403, 0x0805, 0x0503, 0x0401, 0x0501, 0x0806, 0x0601];
    (ORDER.iter().position(|s| *s == scheme.0).unwrap_or(ORDER.len()) as u8, u16::MAX - scheme.0)
}

/// SHA-1 and MD5 are not proposed. RFC 9155
#[must_use]
pub(super) fn scheme_is_sound(scheme: SignatureScheme) -> bool {
    scheme.0 >> 8 > 0x03 && scheme.name().is_some()
}

/// Groups of less than 128 bits of strength, and those without a name, are not proposed. NIST SP 800-57
#[must_use]
pub(super) fn group_is_sound(group: NamedGroup) -> bool {
    matches!(group.0, 23..=25 | 29 | 30 | 257..=260 | 0x11eb..=0x11ed)
}

fn parts(info: &'static SuiteInfo) -> (u8, u8, u8) {
    let exchange = match info.key_exchange {
        "any" => 0,
        "ECDHE" => 1,
        "DHE" => 2,
        "RSA" => 3,
        _ => 4,
    };
    let cipher = match info.cipher {
        "AES-256-GCM" => 0,
        "AES-128-GCM" => 1,
        "CHACHA20-POLY1305" => 2,
        "AES-256-CCM" => 3,
        "AES-128-CCM" => 4,
        "AES-256-CBC" => 5,
        "AES-128-CBC" => 6,
        other if other.starts_with("AES-") => 7,
        other if other.starts_with("3DES") => 20,
        _ => 10,
    };
    let mac = match info.mac {
        "AEAD" => 0,
        "SHA384" | "SHA256" => 1,
        _ => 2,
    };
    (exchange, cipher, mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(name: &str) -> CipherSuite {
        CipherSuite::from_name(name).expect(name)
    }

    #[test]
    fn the_order_is_the_stated_one() {
        let of = |version, name| Strength::of(version, suite(name));
        assert_eq!(of(TlsVersion::TLS13, "TLS_AES_128_GCM_SHA256"), Strength::Strong);
        assert_eq!(of(TlsVersion::TLS12, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"), Strength::Strong);
        assert_eq!(of(TlsVersion::TLS12, "TLS_RSA_WITH_AES_256_GCM_SHA384"), Strength::Fair);
        assert_eq!(of(TlsVersion::TLS12, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"), Strength::Fair);
        assert_eq!(of(TlsVersion::TLS12, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"), Strength::Poor);
        assert_eq!(of(TlsVersion::TLS10, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"), Strength::Poor);
        assert_eq!(of(TlsVersion::SSL3, "TLS_RSA_WITH_AES_256_CBC_SHA"), Strength::Never);
        assert_eq!(of(TlsVersion::TLS12, "TLS_RSA_WITH_RC4_128_SHA"), Strength::Never);
        assert_eq!(of(TlsVersion::TLS12, "TLS_AES_128_GCM_SHA256"), Strength::Never, "does not fit the version");
    }

    #[test]
    fn nothing_broken_is_ever_better_than_never() {
        for info in CipherSuite::all() {
            let broken = matches!(info.class, SuiteClass::Broken | SuiteClass::Signal)
                || ["RC4", "NULL", "EXPORT", "anon", "DES_CBC_", "MD5", "_RC2_"]
                    .iter()
                    .any(|word| info.name.contains(word) && !(*word == "DES_CBC_" && info.name.contains("3DES")));
            for version in TlsVersion::ALL {
                assert!(!broken || Strength::of(version, CipherSuite(info.code)) == Strength::Never, "{}", info.name);
            }
        }
    }
}
