//! What named Windows versions offer and accept by default: a hint for `diff`, never a proof.
//!
//! Source: Microsoft's pages on TLS protocols and cipher suites per Windows version (MicrosoftDocs/win32,
//! desktop-src/SecAuthN), each row with the page it was read on and a [`status`](WindowsVersion::status) that says how
//! well. Elliptic-curve suffixes of Windows 7 to 8.1 are merged; suites that an application has to ask for (NULL, PSK)
//! are left out. Groups and signature schemes are the usual ones, from no page of these: they only let the model meet.

use super::offer::{Ability, KeyType, Offer};
use crate::wire::{CipherSuite, NamedGroup, SignatureScheme, TlsVersion};

/// One row: a Windows version with its Schannel defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowsVersion {
    /// Short name for the command line: `win10_22h2`, `server2016`.
    pub id: &'static str,
    /// As people call it.
    pub name: &'static str,
    /// A server edition.
    pub server: bool,
    /// Version number, a range where several share the row.
    pub build: &'static str,
    /// `verified`: read on the page named in `source`. Other words say how far that holds.
    pub status: &'static str,
    /// The page.
    pub source: &'static str,
    /// What else to know, above all where doubt is in place.
    pub note: &'static str,
    /// Versions that are on by default.
    pub versions: &'static [TlsVersion],
    /// Suites in order of preference, as code points.
    pub suites: &'static [u16],
}

impl WindowsVersion {
    /// Every row, oldest first.
    #[must_use]
    pub fn all() -> &'static [WindowsVersion] {
        ALL
    }

    /// The row with this id; spaces, dashes, underscores and case do not matter.
    #[must_use]
    pub fn from_name(name: &str) -> Option<&'static WindowsVersion> {
        let plain = |text: &str| text.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_lowercase();
        let asked = plain(name);
        let asked = asked.strip_prefix("windows").map_or(asked.clone(), |rest| match rest.strip_prefix("server") {
            Some(year) => format!("server{year}"),
            None => format!("win{rest}"),
        });
        ALL.iter().find(|row| plain(row.id) == asked)
    }

    /// As a client's offer.
    #[must_use]
    pub fn offer(&self) -> Offer {
        Offer {
            versions: self.versions.iter().rev().copied().collect(),
            suites: self.suites.iter().map(|code| CipherSuite(*code)).collect(),
            groups: Some(self.groups().to_vec()),
            signature_schemes: self.versions.contains(&TlsVersion::TLS12).then(|| SCHEMES.to_vec()),
        }
    }

    /// The newest version it can be made to speak. TLS 1.3 is where it is on by default: older ones know the registry
    /// values at most, and Microsoft calls their TLS 1.3 unsafe.
    #[must_use]
    pub fn newest(&self) -> TlsVersion {
        if self.versions.contains(&TLS13) { TLS13 } else { TLS12 }
    }

    /// As a host's ability, with the RSA certificate that Windows makes for itself.
    #[must_use]
    pub fn ability(&self) -> Ability {
        let suites = |version: TlsVersion| {
            let all = self.suites.iter().map(|code| CipherSuite(*code));
            let usable = |s: &CipherSuite| {
                s.info().is_some_and(|info| info.fits(version) && matches!(info.authentication, "RSA" | "any"))
            };
            all.filter(usable).collect::<Vec<_>>()
        };
        Ability {
            versions: self.versions.iter().rev().map(|version| (*version, suites(*version))).collect(),
            groups: Some(self.groups().to_vec()),
            signature_schemes: None,
            keys: vec![KeyType::Rsa],
            key_curve: None,
        }
    }

    /// Some Windows version has the suite in its default list.
    #[must_use]
    pub fn any_has(suite: CipherSuite) -> bool {
        ALL.iter().any(|row| row.suites.contains(&suite.0))
    }

    fn groups(&self) -> &'static [NamedGroup] {
        // curve25519 came with Windows 10.
        if self.build.starts_with("10.") { &GROUPS } else { &GROUPS[1..] }
    }
}

const GROUPS: [NamedGroup; 3] = [NamedGroup::X25519, NamedGroup::SECP256R1, NamedGroup::SECP384R1];
const SCHEMES: [SignatureScheme; 9] = [
    SignatureScheme(0x0804),
    SignatureScheme(0x0805),
    SignatureScheme(0x0401),
    SignatureScheme(0x0501),
    SignatureScheme(0x0201),
    SignatureScheme(0x0403),
    SignatureScheme(0x0503),
    SignatureScheme(0x0203),
    SignatureScheme(0x0601),
];

const SSL3: TlsVersion = TlsVersion::SSL3;
const TLS10: TlsVersion = TlsVersion::TLS10;
const TLS11: TlsVersion = TlsVersion::TLS11;
const TLS12: TlsVersion = TlsVersion::TLS12;
const TLS13: TlsVersion = TlsVersion::TLS13;

const ALL: &[WindowsVersion] = &[
    WindowsVersion {
        id: "win7",
        name: "Windows 7 SP1",
        server: false,
        build: "6.1",
        status: "verified",
        source: "MicrosoftDocs/win32 desktop-src/SecAuthN/tls-cipher-suites-in-windows-7.md; protocols page of the same folder",
        note: "Order after update 3042058. TLS 1.1/1.2 exist but are off until enabled (registry SCHANNEL; RDP also needs KB3080079 for TLS 1.1/1.2 - KB number from memory).",
        versions: &[SSL3, TLS10],
        suites: SUITES_WIN7,
    },
    WindowsVersion {
        id: "server2008r2",
        name: "Windows Server 2008 R2 SP1",
        server: true,
        build: "6.1",
        status: "verified",
        source: "MicrosoftDocs/win32 desktop-src/SecAuthN/tls-cipher-suites-in-windows-7.md",
        note: "Same Schannel as Windows 7.",
        versions: &[SSL3, TLS10],
        suites: SUITES_WIN7,
    },
    WindowsVersion {
        id: "win8_1",
        name: "Windows 8.1",
        server: false,
        build: "6.3",
        status: "verified",
        source: "MicrosoftDocs/win32 desktop-src/SecAuthN/tls-cipher-suites-in-windows-8-1.md",
        note: "With update 2919355. NOTE: no ECDHE_RSA GCM suite: only DHE_RSA GCM, RSA GCM and ECDHE_ECDSA GCM.",
        versions: &[SSL3, TLS10, TLS11, TLS12],
        suites: SUITES_WIN7,
    },
    WindowsVersion {
        id: "server2012r2",
        name: "Windows Server 2012 R2",
        server: true,
        build: "6.3",
        status: "verified",
        source: "MicrosoftDocs/win32 desktop-src/SecAuthN/tls-cipher-suites-in-windows-8-1.md",
        note: "NOTE: no ECDHE_RSA GCM suite. A client that offers only ECDHE_RSA AES-GCM/ChaCha20 (rustls, hardened OpenSSL) has NO common suite with an RSA certificate on this host.",
        versions: &[SSL3, TLS10, TLS11, TLS12],
        suites: SUITES_WIN7,
    },
    WindowsVersion {
        id: "win10_1607",
        name: "Windows 10 1607",
        server: false,
        build: "10.0.14393",
        status: "verified",
        source: "MicrosoftDocs/win32 desktop-src/SecAuthN/tls-cipher-suites-in-windows-10-v1607.md",
        note: "Last release with RC4 and DHE_DSS enabled by default among those listed here.",
        versions: &[TLS10, TLS11, TLS12],
        suites: SUITES_WIN10_1607,
    },
    WindowsVersion {
        id: "server2016",
        name: "Windows Server 2016",
        server: true,
        build: "10.0.14393",
        status: "verified",
        source: "MicrosoftDocs/win32 desktop-src/SecAuthN/tls-cipher-suites-in-windows-10-v1607.md",
        note: "Page names Server 2016 explicitly.",
        versions: &[TLS10, TLS11, TLS12],
        suites: SUITES_WIN10_1607,
    },
    WindowsVersion {
        id: "server2019",
        name: "Windows Server 2019 (= Windows 10 1809)",
        server: true,
        build: "10.0.17763",
        status: "verified_client_page",
        source: "MicrosoftDocs/win32 desktop-src/SecAuthN/tls-cipher-suites-in-windows-10-v1809.md",
        note: "The page names Windows 10 1809; Server 2019 shares the build (same build number, from memory).",
        versions: &[TLS10, TLS11, TLS12],
        suites: SUITES_SERVER2019,
    },
    WindowsVersion {
        id: "win10_1903",
        name: "Windows 10 1903, 1909, 2004",
        server: false,
        build: "10.0.18362-19041",
        status: "verified",
        source: "MicrosoftDocs/win32 desktop-src/SecAuthN/tls-cipher-suites-in-windows-10-v1903.md",
        note: "Same list as 1809; SCH_USE_STRONG_CRYPTO filters out DHE_RSA_AES_256_GCM.",
        versions: &[TLS10, TLS11, TLS12],
        suites: SUITES_SERVER2019,
    },
    WindowsVersion {
        id: "win10_22h2",
        name: "Windows 10 20H2, 21H1, 21H2, 22H2",
        server: false,
        build: "10.0.19042-19045",
        status: "partly_verified",
        source: "learn.microsoft.com win32/secauthn/tls-cipher-suites-in-windows-10-v20h2 (page stored only up to the 11th suite; those 11 equal this list)",
        note: "22H2 has its own page which was not read; assumed equal to 20H2. TLS 1.3 registry switches exist but Microsoft calls enabling TLS 1.3 before Windows 11/Server 2022 unsafe.",
        versions: &[TLS10, TLS11, TLS12],
        suites: SUITES_SERVER2019,
    },
    WindowsVersion {
        id: "win11_21h2",
        name: "Windows 11 21H2",
        server: false,
        build: "10.0.22000",
        status: "verified",
        source: "MicrosoftDocs/win32 desktop-src/SecAuthN/tls-cipher-suites-in-windows-11.md",
        note: "CHACHA20_POLY1305_SHA256 supported but off by default; 3DES still in the default list but filtered for applications that ask for strong crypto.",
        versions: &[TLS10, TLS11, TLS12, TLS13],
        suites: SUITES_WIN11_21H2,
    },
    WindowsVersion {
        id: "server2022",
        name: "Windows Server 2022",
        server: true,
        build: "10.0.20348",
        status: "verified",
        source: "MicrosoftDocs/win32 desktop-src/SecAuthN/tls-cipher-suites-in-windows-server-2022.md",
        note: "Same list as Windows 11 21H2.",
        versions: &[TLS10, TLS11, TLS12, TLS13],
        suites: SUITES_WIN11_21H2,
    },
    WindowsVersion {
        id: "win11_22h2",
        name: "Windows 11 22H2, 23H2",
        server: false,
        build: "10.0.22621-22631",
        status: "partly_verified",
        source: "learn.microsoft.com win32/secauthn/tls-cipher-suites-in-windows-11-v22h2 (page stored only up to the 12th suite; those 12 equal this list)",
        note: "DHE_RSA GCM is gone from the default list (seen). The tail from the 13th suite on, and the absence of 3DES, are from memory.",
        versions: &[TLS10, TLS11, TLS12, TLS13],
        suites: SUITES_WIN11_22H2,
    },
    WindowsVersion {
        id: "win11_24h2",
        name: "Windows 11 24H2, 25H2",
        server: false,
        build: "10.0.26100-26200",
        status: "from_memory",
        source: "Windows 11 v22H2 page title says 'and later'",
        note: "Microsoft announced TLS 1.0/1.1 off by default in Windows 11 previews from 2023/2024 on for future releases; whether a given 24H2 install has them on must be probed, not assumed.",
        versions: &[TLS12, TLS13],
        suites: SUITES_WIN11_22H2,
    },
    WindowsVersion {
        id: "server2025",
        name: "Windows Server 2025",
        server: true,
        build: "10.0.26100",
        status: "from_memory",
        source: "Server 2022 page title says 'Windows Server 2022 and later'",
        note: "TLS 1.0/1.1: same caveat as Windows 11 24H2. Conflict: the Server 2022 'and later' page keeps DHE_RSA GCM while the Windows 11 22H2 page drops it; probe the real host.",
        versions: &[TLS12, TLS13],
        suites: SUITES_WIN11_21H2,
    },
];

#[rustfmt::skip]
const SUITES_WIN7: &[u16] = &[
    0xc028, 0xc027, 0xc014, 0xc013, 0x009f, 0x009e, 0x0039, 0x0033, 0x009d, 0x009c, 0x003d, 0x003c,
    0x0035, 0x002f, 0xc02c, 0xc02b, 0xc024, 0xc023, 0xc00a, 0xc009, 0x006a, 0x0040, 0x0038, 0x0032,
    0x000a, 0x0013, 0x0005, 0x0004,
];
#[rustfmt::skip]
const SUITES_WIN10_1607: &[u16] = &[
    0xc02c, 0xc02b, 0xc030, 0xc02f, 0x009f, 0x009e, 0xc024, 0xc023, 0xc028, 0xc027, 0xc00a, 0xc009,
    0xc014, 0xc013, 0x0039, 0x0033, 0x009d, 0x009c, 0x003d, 0x003c, 0x0035, 0x002f, 0x000a, 0x006a,
    0x0040, 0x0038, 0x0032, 0x0013, 0x0005, 0x0004,
];
#[rustfmt::skip]
const SUITES_SERVER2019: &[u16] = &[
    0xc02c, 0xc02b, 0xc030, 0xc02f, 0x009f, 0x009e, 0xc024, 0xc023, 0xc028, 0xc027, 0xc00a, 0xc009,
    0xc014, 0xc013, 0x009d, 0x009c, 0x003d, 0x003c, 0x0035, 0x002f, 0x000a,
];
#[rustfmt::skip]
const SUITES_WIN11_21H2: &[u16] = &[
    0x1302, 0x1301, 0xc02c, 0xc02b, 0xc030, 0xc02f, 0x009f, 0x009e, 0xc024, 0xc023, 0xc028, 0xc027,
    0xc00a, 0xc009, 0xc014, 0xc013, 0x009d, 0x009c, 0x003d, 0x003c, 0x0035, 0x002f, 0x000a,
];
#[rustfmt::skip]
const SUITES_WIN11_22H2: &[u16] = &[
    0x1302, 0x1301, 0xc02c, 0xc02b, 0xc030, 0xc02f, 0xc024, 0xc023, 0xc028, 0xc027, 0xc00a, 0xc009,
    0xc014, 0xc013, 0x009d, 0x009c, 0x003d, 0x003c, 0x0035, 0x002f,
];

#[cfg(test)]
mod tests {
    use super::super::meet::meet;
    use super::*;

    /// The version and suite on which a client and a host of these names agree by default.
    fn agreed(client: &str, host: &str) -> Option<(TlsVersion, &'static str)> {
        let row = |name| WindowsVersion::from_name(name).expect(name);
        let meeting = meet(&row(client).offer(), &row(host).ability()).ok()?;
        Some((meeting.version, meeting.suite.name().expect("listed")))
    }

    #[test]
    fn rows_are_complete_and_their_suites_known() {
        for row in WindowsVersion::all() {
            assert!(row.suites.iter().all(|code| CipherSuite(*code).info().is_some()), "{}", row.id);
            assert!(!row.status.is_empty() && !row.source.is_empty() && !row.versions.is_empty(), "{}", row.id);
            assert_eq!(WindowsVersion::from_name(row.id), Some(row));
        }
        assert_eq!(WindowsVersion::all().len(), 14);
    }

    #[test]
    fn names_are_taken_as_people_write_them() {
        let id = |name| WindowsVersion::from_name(name).map(|row| row.id);
        assert_eq!(id("Windows Server 2016"), Some("server2016"));
        assert_eq!(id("windows-7"), Some("win7"));
        assert_eq!(id("Win10-22H2"), Some("win10_22h2"));
        assert_eq!(id("2016"), None);
    }

    #[test]
    fn defaults_meet_as_the_published_lists_say() {
        assert_eq!(agreed("win7", "server2016").map(|m| m.0), Some(TLS10));
        assert_eq!(agreed("win11_24h2", "server2008r2"), None);
        assert_eq!(agreed("win11_21h2", "server2022").map(|m| m.0), Some(TLS13));
        // Windows Server 2012 R2 has no ECDHE_RSA suite with AES-GCM.
        let meeting = agreed("win10_22h2", "server2012r2");
        assert_eq!(meeting.map(|m| m.0), Some(TLS12));
        assert!(!meeting.is_some_and(|m| m.1.contains("ECDHE_RSA_WITH_AES_256_GCM")), "{meeting:?}");
    }
}
