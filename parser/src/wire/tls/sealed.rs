//! How long a record gets when its plaintext is sealed, and back: what tells phases apart without a key.
//!
//! [`Sealing::of`] knows the record protection of a version and suite. RFC 8446 5.2, RFC 5246 6.2.3, RFC 5288 3,
//! RFC 6655 3, RFC 7905 2, RFC 7366.

use super::{CipherSuite, TlsVersion};

/// How a suite protects records in a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// A constant is added: AEAD, stream ciphers, and NULL with its MAC.
    Added {
        /// Bytes: explicit nonce, tag, content type, or MAC.
        overhead: u16,
    },
    /// Padded to whole blocks.
    Cbc {
        /// Block size in bytes.
        block: u16,
        /// MAC size in bytes.
        mac: u16,
        /// Explicit IV in bytes: a block since TLS 1.1, none before.
        iv: u16,
        /// The MAC comes after the padded blocks. RFC 7366
        encrypt_then_mac: bool,
    },
}

/// Length of a sealed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedLen {
    /// Always this.
    Exact(u16),
    /// This with the least padding, as nearly every stack pads; more is allowed.
    Minimal(u16),
    /// The suite or version is not known.
    Unknown,
}

/// Length of the plaintext in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaintextLen {
    /// This.
    Exact(u16),
    /// At least the first, at most the second, least padding assumed.
    Range(u16, u16),
    /// The suite or version is not known, or no plaintext has this sealed length.
    Unknown,
}

impl PlaintextLen {
    /// `length` may be the one.
    #[must_use]
    pub fn may_be(self, length: u16) -> bool {
        match self {
            PlaintextLen::Exact(exact) => exact == length,
            PlaintextLen::Range(low, high) => (low..=high).contains(&length),
            PlaintextLen::Unknown => false,
        }
    }
}

/// Length of the record that seals `plaintext` bytes.
#[must_use]
pub fn sealed_len(version: TlsVersion, suite: CipherSuite, plaintext: u16) -> SealedLen {
    Sealing::of(version, suite, false).map_or(SealedLen::Unknown, |sealing| sealing.sealed_len(plaintext))
}

/// Length of the plaintext in a record of `record` bytes (its header not counted).
#[must_use]
pub fn plaintext_len(version: TlsVersion, suite: CipherSuite, record: u16) -> PlaintextLen {
    Sealing::of(version, suite, false).map_or(PlaintextLen::Unknown, |sealing| sealing.plaintext_len(record))
}

impl Sealing {
    /// The record protection of `suite` in `version`. `encrypt_then_mac`: the host answered with that extension (22).
    #[must_use]
    pub fn of(version: TlsVersion, suite: CipherSuite, encrypt_then_mac: bool) -> Option<Sealing> {
        let info = suite.info()?;
        let (cipher, tls13) = (info.cipher, version.is_tls13());
        let tag = if cipher.ends_with("CCM8") { 8 } else { 16 };
        let added = |overhead| Some(Sealing::Added { overhead });
        match cipher {
            "" => None,
            // The inner plaintext ends with its content type. RFC 8446 5.2
            _ if tls13 => added(tag + 1),
            // Explicit nonce of eight bytes, except for ChaCha20.
            "CHACHA20-POLY1305" => added(tag),
            _ if info.mac == "AEAD" => added(8 + tag),
            _ if cipher.ends_with("-CBC") => {
                let wide = ["AES", "CAMELLIA", "ARIA", "SEED"].iter().any(|family| cipher.starts_with(family));
                let block = if wide { 16 } else { 8 };
                let iv = if version >= TlsVersion::TLS11 { block } else { 0 };
                Some(Sealing::Cbc { block, mac: mac_size(info.mac), iv, encrypt_then_mac })
            }
            // RC4 and NULL.
            _ => added(mac_size(info.mac)),
        }
    }

    /// Length of the record that seals `plaintext` bytes, header not counted.
    #[must_use]
    pub fn sealed_len(self, plaintext: u16) -> SealedLen {
        match self {
            Sealing::Added { overhead } => SealedLen::Exact(plaintext.saturating_add(overhead)),
            Sealing::Cbc { block, mac, iv, encrypt_then_mac } => {
                let (inside, outside) = if encrypt_then_mac { (0, mac) } else { (mac, 0) };
                // At least one byte of padding: its length.
                let padded = (u32::from(plaintext) + u32::from(inside) + 1).next_multiple_of(u32::from(block));
                let total = padded + u32::from(iv) + u32::from(outside);
                SealedLen::Minimal(u16::try_from(total).unwrap_or(u16::MAX))
            }
        }
    }

    /// Length of the plaintext in a record of `record` bytes, header not counted.
    #[must_use]
    pub fn plaintext_len(self, record: u16) -> PlaintextLen {
        match self {
            Sealing::Added { overhead } => match record.checked_sub(overhead) {
                Some(plaintext) => PlaintextLen::Exact(plaintext),
                None => PlaintextLen::Unknown,
            },
            Sealing::Cbc { block, mac, iv, encrypt_then_mac } => {
                let (inside, outside) = if encrypt_then_mac { (0, mac) } else { (mac, 0) };
                match record.checked_sub(iv + outside) {
                    Some(padded) if padded % block == 0 && padded > inside => {
                        PlaintextLen::Range((padded - inside).saturating_sub(block), padded - inside - 1)
                    }
                    _ => PlaintextLen::Unknown,
                }
            }
        }
    }
}

fn mac_size(mac: &str) -> u16 {
    match mac {
        "MD5" => 16,
        "SHA1" => 20,
        "SHA256" => 32,
        "SHA384" => 48,
        "HMAC-SHA512" => 64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AES256_GCM: CipherSuite = CipherSuite(0xc030);
    const TLS13_AES256: CipherSuite = CipherSuite(0x1302);
    const CBC_SHA: CipherSuite = CipherSuite(0xc014);
    const RC4_SHA: CipherSuite = CipherSuite(0x0005);

    /// Plaintext and record lengths of one session each, xfreerdp to xrdp on loopback and mstsc to Windows.
    const MEASURED: [(u16, u16, u16); 12] = [
        (467, 491, 484),
        (109, 133, 126),
        (12, 36, 29),
        (8, 32, 25),
        (11, 35, 28),
        (15, 39, 32),
        (339, 363, 356),
        (34, 58, 51),
        (37, 61, 54),
        (41, 65, 58),
        (36, 60, 53),
        (9, 33, 26),
    ];

    #[test]
    fn aead_lengths_are_those_that_were_measured() {
        for (plain, in_12, in_13) in MEASURED {
            assert_eq!(sealed_len(TlsVersion::TLS12, AES256_GCM, plain), SealedLen::Exact(in_12));
            assert_eq!(sealed_len(TlsVersion::TLS13, TLS13_AES256, plain), SealedLen::Exact(in_13));
            assert_eq!(plaintext_len(TlsVersion::TLS12, AES256_GCM, in_12), PlaintextLen::Exact(plain));
            assert_eq!(plaintext_len(TlsVersion::TLS13, TLS13_AES256, in_13), PlaintextLen::Exact(plain));
        }
    }

    #[test]
    fn close_notify_has_its_known_lengths() {
        assert_eq!(sealed_len(TlsVersion::TLS13, TLS13_AES256, 2), SealedLen::Exact(19));
        assert_eq!(sealed_len(TlsVersion::TLS12, AES256_GCM, 2), SealedLen::Exact(26));
        assert_eq!(sealed_len(TlsVersion::TLS12, CipherSuite(0xcca8), 2), SealedLen::Exact(18));
        assert_eq!(sealed_len(TlsVersion::TLS10, RC4_SHA, 2), SealedLen::Exact(22));
        assert_eq!(sealed_len(TlsVersion::TLS10, CipherSuite(0x0004), 2), SealedLen::Exact(18));
        assert_eq!(sealed_len(TlsVersion::TLS12, CipherSuite(0xc0a0), 2), SealedLen::Exact(18), "CCM_8");
        assert_eq!(sealed_len(TlsVersion::TLS13, CipherSuite(0x1305), 2), SealedLen::Exact(11), "CCM_8 in 1.3");
    }

    #[test]
    fn cbc_has_an_explicit_iv_since_tls_1_1() {
        assert_eq!(sealed_len(TlsVersion::TLS10, CBC_SHA, 12), SealedLen::Minimal(48));
        assert_eq!(sealed_len(TlsVersion::TLS12, CBC_SHA, 12), SealedLen::Minimal(64));
        assert_eq!(plaintext_len(TlsVersion::TLS12, CBC_SHA, 64), PlaintextLen::Range(12, 27));
        assert_eq!(plaintext_len(TlsVersion::TLS12, CBC_SHA, 65), PlaintextLen::Unknown);
        let sha384 = sealed_len(TlsVersion::TLS12, CipherSuite(0xc028), 12);
        assert_eq!(sha384, SealedLen::Minimal(80));
        let triple_des = sealed_len(TlsVersion::TLS10, CipherSuite(0x000a), 12);
        assert_eq!(triple_des, SealedLen::Minimal(40));
    }

    #[test]
    fn encrypt_then_mac_moves_the_mac_out_of_the_padding() {
        let sealing = Sealing::of(TlsVersion::TLS12, CBC_SHA, true).expect("known");
        assert_eq!(sealing.sealed_len(12), SealedLen::Minimal(16 + 16 + 20));
        assert!(sealing.plaintext_len(52).may_be(12));
    }

    #[test]
    fn unknown_suites_and_signals_have_no_length() {
        assert_eq!(sealed_len(TlsVersion::TLS12, CipherSuite(0xfefe), 12), SealedLen::Unknown);
        assert_eq!(sealed_len(TlsVersion::TLS12, CipherSuite::FALLBACK_SCSV, 12), SealedLen::Unknown);
        assert_eq!(plaintext_len(TlsVersion::TLS13, TLS13_AES256, 16), PlaintextLen::Unknown);
    }

    proptest! {
        #[test]
        fn a_sealed_length_leads_back_to_its_plaintext(
            at in 0..352usize, version in 0..5usize, plain in 0..=16384u16, encrypt_then_mac: bool,
        ) {
            let suite = CipherSuite(CipherSuite::all().nth(at).map_or(0, |s| s.code));
            if let Some(sealing) = Sealing::of(TlsVersion::ALL[version], suite, encrypt_then_mac) {
                let (SealedLen::Exact(record) | SealedLen::Minimal(record)) = sealing.sealed_len(plain) else {
                    panic!("a known suite seals")
                };
                prop_assert!(sealing.plaintext_len(record).may_be(plain));
            }
        }
    }
}
