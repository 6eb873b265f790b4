//! The bridge of a listener, typed: for which hosts, within which windows, with which key, trusting whom.

use crate::settings::Upstream;
use parser::wire::{CipherSuite, SuiteClass, SuiteInfo, TlsVersion};
use std::path::PathBuf;

/// True when this build has the legacy leg: TLS 1.0 and 1.1, CBC, RSA key exchange.
pub const LEGACY_TLS: bool = cfg!(feature = "legacy-tls");

/// The feature that brings the legacy leg.
pub const LEGACY_FEATURE: &str = "legacy-tls";

/// `[listener.bridge]` and what differs for single hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bridge {
    /// For every host without an entry of its own.
    pub common: BridgeRules,
    /// `[[listener.bridge.host]]`, each with what it takes over from `common`.
    pub hosts: Vec<BridgeHost>,
}

/// What holds for one upstream host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeHost {
    /// The name or address as `upstream` has it, with or without the port.
    pub matches: String,
    /// Whole: keys that its table leaves out are those of `[listener.bridge]`.
    pub rules: BridgeRules,
}

/// When the bridge terminates TLS, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeRules {
    /// When.
    pub mode: BridgeMode,
    /// What the client sees; without it the bridge makes a certificate of its own.
    pub pair: Option<PairFiles>,
    /// Versions for the client, oldest first. Never empty, without a gap.
    pub client_versions: Vec<TlsVersion>,
    /// Versions for the host, oldest first. Never empty, without a gap.
    pub host_versions: Vec<TlsVersion>,
    /// Suites for the host.
    pub host_ciphers: Ciphers,
    /// How the host proves who it is.
    pub verify: Verify,
    /// SHA-256 of a certificate, or of its public key (SubjectPublicKeyInfo, DER): any of them will do.
    pub pin: Vec<Pin>,
    /// Roots for [`Verify::Ca`]; without it those of the system.
    pub ca: Option<PathBuf>,
}

/// When the bridge terminates TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BridgeMode {
    /// Never: bytes pass untouched.
    #[default]
    Off,
    /// Only for a client and a host whose TLS cannot meet.
    Auto,
    /// For every session that negotiates TLS.
    Always,
}

/// Where the client leg's certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// PEM, leaf first. `None` when `private_key` is a PKCS#12 file, which holds both.
    pub certificate: Option<PathBuf>,
    /// PEM, or PKCS#12.
    pub private_key: PathBuf,
    /// The file whose first line is the password of the PKCS#12 file.
    pub password_file: Option<PathBuf>,
}

/// Suites offered to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ciphers {
    /// Forward secret AEAD; in a build with the legacy leg AES-CBC and RSA key exchange after them. Never 3DES.
    #[default]
    Default,
    /// These, in this order.
    Named(Vec<CipherSuite>),
}

/// How the host proves who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Verify {
    /// By a certificate or key that is known by its hash.
    #[default]
    Pin,
    /// By a certificate for its name that a CA issued.
    Ca,
    /// Not at all: anybody between here and the host can read and change the session.
    Insecure,
}

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin(pub [u8; 32]);

impl Bridge {
    /// What holds for `upstream`.
    #[must_use]
    pub fn rules(&self, upstream: &Upstream) -> &BridgeRules {
        let own = self.hosts.iter().find(|host| upstream.is_called(&host.matches));
        own.map_or(&self.common, |host| &host.rules)
    }
}

impl Upstream {
    /// `name` is this host's name or address, alone or with the port.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.host.eq_ignore_ascii_case(name.trim_start_matches('[').trim_end_matches(']'))
            || self.to_string().eq_ignore_ascii_case(name)
    }
}

impl Default for BridgeRules {
    fn default() -> Self {
        let modern = vec![TlsVersion::TLS12, TlsVersion::TLS13];
        BridgeRules {
            mode: BridgeMode::Off,
            pair: None,
            client_versions: modern.clone(),
            host_versions: modern,
            host_ciphers: Ciphers::Default,
            verify: Verify::Pin,
            pin: Vec::new(),
            ca: None,
        }
    }
}

impl BridgeMode {
    /// Every mode.
    pub const ALL: [BridgeMode; 3] = [BridgeMode::Off, BridgeMode::Auto, BridgeMode::Always];

    /// The name used in the file and in events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            BridgeMode::Off => "off",
            BridgeMode::Auto => "auto",
            BridgeMode::Always => "always",
        }
    }
}

impl Verify {
    /// Every way.
    pub const ALL: [Verify; 3] = [Verify::Pin, Verify::Ca, Verify::Insecure];

    /// The name used in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verify::Pin => "pin",
            Verify::Ca => "ca",
            Verify::Insecure => "insecure",
        }
    }
}

impl Pin {
    /// `sha256:` and 64 hexadecimal digits, colons between them or not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Pin> {
        let digits: Vec<u8> = text.strip_prefix("sha256:")?.bytes().filter(|byte| *byte != b':').collect();
        let mut pin = [0; 32];
        if digits.len() != 2 * pin.len() {
            return None;
        }
        for (byte, pair) in pin.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Pin(pin))
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// The modern leg can negotiate it: TLS 1.3, or TLS 1.2 with ECDHE, AES-GCM or ChaCha20-Poly1305.
#[must_use]
pub fn is_modern(suite: CipherSuite) -> bool {
    matches!(suite.0, 0x1301..=0x1303 | 0xc02b | 0xc02c | 0xc02f | 0xc030 | 0xcca8 | 0xcca9)
}

/// A leg of some build could negotiate it: not broken, and with a key that an RDP host has.
pub(crate) fn is_possible(suite: &SuiteInfo) -> bool {
    matches!(suite.class, SuiteClass::Modern | SuiteClass::Weak)
        && matches!(suite.key_exchange, "any" | "ECDHE" | "DHE" | "RSA")
        && matches!(suite.authentication, "any" | "RSA" | "ECDSA")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_reads_with_and_without_colons_and_prints_without() {
        let digits = "0f".repeat(32);
        let colons = ["0F"; 32].join(":");
        let pin = Pin::parse(&format!("sha256:{digits}")).expect("a pin");
        assert_eq!(Pin::parse(&format!("sha256:{colons}")), Some(pin));
        assert_eq!(pin.to_string(), format!("sha256:{digits}"));
        for wrong in ["", "sha256:", "sha1:00", "sha256:zz", &digits, &format!("sha256:{digits}00")] {
            assert_eq!(Pin::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Pin::parse(&format!("sha256:{}é{}", "0".repeat(31), "0".repeat(31))), None);
    }

    #[test]
    fn a_host_entry_is_found_by_name_with_or_without_the_port() {
        let upstream = Upstream { host: "srv2008.example.net".to_owned(), port: 3389 };
        assert!(upstream.is_called("SRV2008.example.net") && upstream.is_called("srv2008.example.net:3389"));
        assert!(!upstream.is_called("srv2008") && !upstream.is_called("srv2008.example.net:3390"));
        let upstream = Upstream { host: "2001:db8::7".to_owned(), port: 3389 };
        assert!(upstream.is_called("2001:db8::7") && upstream.is_called("[2001:db8::7]:3389"));
    }

    #[test]
    fn every_modern_suite_is_a_possible_one() {
        let modern: Vec<_> = CipherSuite::all().filter(|suite| is_modern(CipherSuite(suite.code))).collect();
        assert_eq!(modern.len(), 9);
        assert!(modern.into_iter().all(is_possible));
    }
}
