//! Cipher suites: name, parts, versions, class.

use super::suite_table::SUITES;
use super::{TlsVersion, is_grease};
use core::fmt;

/// A cipher suite code point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CipherSuite(pub u16);

/// What is known of a suite. The parts are spelled as in the IANA name, apart from dashes: `ECDHE`, `RSA`, `AES-128-GCM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuiteInfo {
    /// Code point.
    pub code: u16,
    /// IANA name.
    pub name: &'static str,
    /// Key exchange: `ECDHE`, `DHE`, `RSA`, …; `any` for TLS 1.3; empty for a signal.
    pub key_exchange: &'static str,
    /// How the host proves itself: `RSA`, `ECDSA`, `DSS`, …; `any` for TLS 1.3; `NULL` for anonymous.
    pub authentication: &'static str,
    /// Bulk cipher with its mode.
    pub cipher: &'static str,
    /// MAC of the record layer, or `AEAD`.
    pub mac: &'static str,
    /// Oldest version that may negotiate it.
    pub min: TlsVersion,
    /// Newest version that may negotiate it.
    pub max: TlsVersion,
    /// How good it is.
    pub class: SuiteClass,
}

/// How good a suite is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SuiteClass {
    /// Forward secret (ECDHE, DHE, TLS 1.3) and AEAD with AES-GCM, AES-CCM (16-byte tag) or ChaCha20.
    Modern,
    /// Neither modern nor broken: CBC, static RSA, 3DES, CCM_8, PSK without forward secrecy, national ciphers.
    Weak,
    /// Anonymous, export, NULL, RC4, RC2, DES or an MD5 MAC.
    Broken,
    /// A signalling value, not a cipher. RFC 5746 3.3, RFC 7507
    Signal,
}

impl SuiteClass {
    /// All, for metrics that start at zero.
    pub const ALL: [SuiteClass; 4] = [SuiteClass::Modern, SuiteClass::Weak, SuiteClass::Broken, SuiteClass::Signal];

    /// `modern`, `weak`, `broken`, `signal`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SuiteClass::Modern => "modern",
            SuiteClass::Weak => "weak",
            SuiteClass::Broken => "broken",
            SuiteClass::Signal => "signal",
        }
    }
}

impl CipherSuite {
    /// TLS_EMPTY_RENEGOTIATION_INFO_SCSV. RFC 5746 3.3
    pub const EMPTY_RENEGOTIATION_INFO_SCSV: CipherSuite = CipherSuite(0x00ff);
    /// TLS_FALLBACK_SCSV. RFC 7507
    pub const FALLBACK_SCSV: CipherSuite = CipherSuite(0x5600);

    /// Every suite with an IANA code point, lowest code first.
    pub fn all() -> impl Iterator<Item = &'static SuiteInfo> {
        SUITES.iter()
    }

    /// What is known of it; `None` for GREASE and for code points that IANA does not list.
    #[must_use]
    pub fn info(self) -> Option<&'static SuiteInfo> {
        SUITES.binary_search_by_key(&self.0, |suite| suite.code).ok().map(|at| &SUITES[at])
    }

    /// The suite with this IANA name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<CipherSuite> {
        SUITES.iter().find(|suite| suite.name.eq_ignore_ascii_case(name)).map(|suite| CipherSuite(suite.code))
    }

    /// IANA name.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.info().map(|suite| suite.name)
    }

    /// How good it is.
    #[must_use]
    pub fn class(self) -> Option<SuiteClass> {
        self.info().map(|suite| suite.class)
    }

    /// A signal rather than a cipher.
    #[must_use]
    pub fn is_signal(self) -> bool {
        matches!(self, CipherSuite::EMPTY_RENEGOTIATION_INFO_SCSV | CipherSuite::FALLBACK_SCSV)
    }

    /// RFC 8701
    #[must_use]
    pub fn is_grease(self) -> bool {
        is_grease(self.0)
    }
}

impl SuiteInfo {
    /// `version` may negotiate it.
    #[must_use]
    pub fn fits(&self, version: TlsVersion) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::name_and_number(f, self.name(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_it_can_be_searched() {
        assert!(SUITES.is_sorted_by(|a, b| a.code < b.code));
        assert_eq!(SUITES.len(), 352);
        assert!(SUITES.iter().all(|s| s.min <= s.max && s.name.starts_with("TLS_")));
    }

    #[test]
    fn suites_print_name_and_number() {
        assert_eq!(CipherSuite(0x002f).to_string(), "TLS_RSA_WITH_AES_128_CBC_SHA (0x002f)");
        assert_eq!(CipherSuite(0x5a5a).to_string(), "0x5a5a (GREASE)");
        assert_eq!(CipherSuite(0xfefe).to_string(), "0xfefe");
    }

    #[test]
    fn a_suite_is_found_by_code_and_by_name() {
        let suite = CipherSuite::from_name("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384");
        assert_eq!(suite, Some(CipherSuite(0xc030)));
        let info = CipherSuite(0xc030).info().expect("listed");
        assert_eq!((info.key_exchange, info.authentication, info.class), ("ECDHE", "RSA", SuiteClass::Modern));
        assert!(info.fits(TlsVersion::TLS12) && !info.fits(TlsVersion::TLS11) && !info.fits(TlsVersion::TLS13));
        assert_eq!(CipherSuite(0x0005).class(), Some(SuiteClass::Broken));
        assert!(CipherSuite::FALLBACK_SCSV.is_signal());
    }

    #[test]
    fn names_agree_with_tls_parser() {
        let ours = |code: u16| CipherSuite(code).name().map(str::to_owned);
        let differing: Vec<_> = (0..=u16::MAX)
            .filter_map(|code| Some((code, tls_parser::TlsCipherSuite::from_id(code)?.name)))
            .filter(|(code, name)| ours(*code).is_some_and(|n| n != *name))
            .collect();
        assert_eq!(differing, []);
    }
}
