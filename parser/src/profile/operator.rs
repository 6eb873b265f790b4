//! A change in the words of those who make it: Windows commands and registry values, xrdp.ini lines.

use super::lack::{group_name, scheme_name, suite_name, version_name};
use super::offer::{Ability, KeyType};
use super::order::Strength;
use super::smallest::{Changing, Part, SmallestChange};
use super::windows::WindowsVersion;
use crate::wire::{CipherSuite, NamedGroup, SignatureScheme, TlsVersion};

impl SmallestChange {
    /// One paragraph: what to allow, and how on Windows and on xrdp. `host` is the host as it is, so that lines that
    /// have to be written whole (`ssl_protocols=`) can be.
    #[must_use]
    pub fn text(&self, host: &Ability) -> String {
        let outcome = format!("{} with {}", version_name(self.version), suite_name(self.suite));
        let warning = if self.strength() == Strength::Poor { " This weakens security: for a test only." } else { "" };
        let mut sentences = Vec::new();
        match self.changing() {
            Changing::Host => sentences.push(format!("Host: {}; it then speaks {outcome}.", what(&self.host, "allow"))),
            Changing::Client => {
                sentences.push(format!("Client: {}; it then speaks {outcome}.", what(&self.client, "offer")))
            }
            Changing::Both => sentences.push(format!(
                "Both: host: {}; client: {}; they then speak {outcome}.",
                what(&self.host, "allow"),
                what(&self.client, "offer")
            )),
        }
        if !self.host.is_empty() {
            sentences.extend(windows(&self.host, "host", "Server"));
            sentences.extend(self.xrdp(host));
        }
        if !self.client.is_empty() {
            sentences.extend(windows(&self.client, "client", "Client"));
            sentences.extend(openssl_client(&self.client));
        }
        format!("{}{warning}", sentences.join(" "))
    }

    /// The lines of xrdp.ini, whole where the host's present ability is known.
    fn xrdp(&self, host: &Ability) -> Option<String> {
        let mut lines = Vec::new();
        let added: Vec<TlsVersion> =
            self.host.iter().filter_map(|p| if let Part::Version(v) = p { Some(*v) } else { None }).collect();
        if !added.is_empty() {
            let mut all: Vec<TlsVersion> = host.versions.iter().map(|(v, _)| *v).chain(added).collect();
            all.sort_unstable();
            all.dedup();
            let names: Vec<&str> = all.into_iter().filter_map(xrdp_protocol).collect();
            lines.push(format!("`ssl_protocols={}`", names.join(", ")));
        }
        let suites: Vec<String> =
            self.host.iter().filter_map(|p| if let Part::Suite(s) = p { openssl_name(*s) } else { None }).collect();
        // Of a version that was off it is not known which suites would come with it.
        let known = !self.host.iter().any(|part| matches!(part, Part::Version(_)));
        if !suites.is_empty() {
            let where_set = if known { "" } else { " where that is set" };
            lines.push(format!("`:{}` at the end of `tls_ciphers=`{where_set}", suites.join(":")));
        }
        let files: Vec<KeyType> =
            self.host.iter().filter_map(|p| if let Part::Key(k) = p { Some(*k) } else { None }).collect();
        if !files.is_empty() {
            lines.push("`certificate=` and `key_file=` with the new pair".to_owned());
        }
        (!lines.is_empty()).then(|| format!("In xrdp.ini: {}, then restart xrdp.", lines.join(" and ")))
    }
}

/// `allow TLS 1.2 and TLS_ECDHE_…`.
fn what(parts: &[Part], verb: &str) -> String {
    let names: Vec<String> = parts
        .iter()
        .map(|part| match part {
            Part::Version(version) => version_name(*version),
            Part::Suite(suite) => suite_name(*suite),
            Part::Group(group) => {
                format!("the group {}", group_name(*group))
            }
            Part::Scheme(scheme) => format!("signatures with {}", scheme_name(*scheme)),
            Part::Key(KeyType::Rsa) => "an RSA certificate (2048 bits or more, SHA-256)".to_owned(),
            Part::Key(_) => "an ECDSA certificate (P-256, SHA-256)".to_owned(),
        })
        .collect();
    format!("{verb} {}", join(&names))
}

/// The commands for Schannel; nothing where Windows has no such thing.
fn windows(parts: &[Part], who: &str, role: &str) -> Option<String> {
    let mut steps = Vec::new();
    for part in parts {
        match part {
            Part::Version(version) => steps.push(format!(
                r"`HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\{}\{role}` Enabled=1, DisabledByDefault=0{}",
                version_name(*version),
                if version.is_tls13() { " (Windows 11, Server 2022 and newer only)" } else { "" }
            )),
            // They come with the version.
            Part::Suite(suite) if suite.0 >> 8 == 0x13 && parts.contains(&Part::Version(TlsVersion::TLS13)) => {}
            Part::Suite(suite) => steps.extend(WindowsVersion::any_has(*suite).then(|| {
                format!(
                    "`Enable-TlsCipherSuite -Name {}` (or add it to the GPO \"SSL Cipher Suite Order\" where that is set)",
                    suite_name(*suite)
                )
            })),
            Part::Group(group) => steps.extend(curve_name(*group).map(|curve| {
                format!("`Enable-TlsEccCurve -Name {curve}` (or the GPO \"ECC Curve Order\")")
            })),
            Part::Scheme(scheme) => steps.extend(schannel_scheme(*scheme).map(|name| {
                format!(
                    r"`{name}` in the value Functions of `HKLM\SYSTEM\CurrentControlSet\Control\Cryptography\Configuration\Local\SSL\00010003`"
                )
            })),
            Part::Key(_) => steps.push(
                "bind it with `Get-CimInstance -Namespace root/cimv2/TerminalServices -ClassName Win32_TSGeneralSetting | Set-CimInstance -Property @{SSLCertificateSHA1Hash='THUMBPRINT'}`"
                    .to_owned(),
            ),
        }
    }
    let only_key = parts.iter().all(|part| matches!(part, Part::Key(_)));
    let then = if only_key { "" } else { ", then reboot" };
    (!steps.is_empty()).then(|| format!("On a Windows {who}: {}{then}.", steps.join("; ")))
}

/// What FreeRDP and other clients on OpenSSL take.
fn openssl_client(parts: &[Part]) -> Option<String> {
    let mut steps = Vec::new();
    for part in parts {
        match part {
            Part::Version(version) => {
                steps.extend(xrdp_protocol(*version).map(|name| {
                    format!("OpenSSL clients: a range from MinProtocol to MaxProtocol in openssl.cnf that holds {name}")
                }));
            }
            Part::Suite(suite) if suite.0 >> 8 != 0x13 => {
                steps.extend(
                    openssl_name(*suite)
                        .map(|name| format!("xfreerdp: `/tls-ciphers:{name}` (3.x `/tls:ciphers:{name}`)")),
                );
            }
            _ => {}
        }
    }
    (!steps.is_empty()).then(|| format!("{}.", steps.join("; ")))
}

/// As `ssl_protocols=` and OpenSSL spell it.
fn xrdp_protocol(version: TlsVersion) -> Option<&'static str> {
    Some(match version {
        TlsVersion::SSL3 => "SSLv3",
        TlsVersion::TLS10 => "TLSv1",
        TlsVersion::TLS11 => "TLSv1.1",
        TlsVersion::TLS12 => "TLSv1.2",
        TlsVersion::TLS13 => "TLSv1.3",
        _ => return None,
    })
}

/// As `Get-TlsEccCurve` spells it.
fn curve_name(group: NamedGroup) -> Option<&'static str> {
    Some(match group {
        NamedGroup::X25519 => "curve25519",
        NamedGroup::SECP256R1 => "NistP256",
        NamedGroup::SECP384R1 => "NistP384",
        NamedGroup::SECP521R1 => "NistP521",
        _ => return None,
    })
}

/// As Schannel's list of signature suites spells it.
fn schannel_scheme(scheme: SignatureScheme) -> Option<&'static str> {
    Some(match scheme.0 {
        0x0401 => "RSA/SHA256",
        0x0501 => "RSA/SHA384",
        0x0601 => "RSA/SHA512",
        0x0403 => "ECDSA/SHA256",
        0x0503 => "ECDSA/SHA384",
        0x0603 => "ECDSA/SHA512",
        0x0804 => "RSAE-PSS/SHA256",
        0x0805 => "RSAE-PSS/SHA384",
        0x0806 => "RSAE-PSS/SHA512",
        _ => return None,
    })
}

/// OpenSSL's name of a suite below TLS 1.3: `ECDHE-RSA-AES256-GCM-SHA384`, `AES128-SHA`. `None` for what it cannot be
/// told from the parts, and for TLS 1.3, which xrdp does not list.
fn openssl_name(suite: CipherSuite) -> Option<String> {
    let info = suite.info()?;
    let exchange = match (info.key_exchange, info.authentication) {
        ("RSA", "RSA") => "",
        ("ECDHE", "RSA") => "ECDHE-RSA-",
        ("ECDHE", "ECDSA") => "ECDHE-ECDSA-",
        ("DHE", "RSA") => "DHE-RSA-",
        _ => return None,
    };
    let cipher = match info.cipher {
        "AES-256-GCM" => "AES256-GCM-SHA384",
        "AES-128-GCM" => "AES128-GCM-SHA256",
        "CHACHA20-POLY1305" => "CHACHA20-POLY1305",
        "AES-256-CCM" => "AES256-CCM",
        "AES-128-CCM" => "AES128-CCM",
        "AES-256-CBC" => "AES256-",
        "AES-128-CBC" => "AES128-",
        "3DES-EDE-CBC" => "DES-CBC3-",
        _ => return None,
    };
    let mac = match (info.mac, cipher.ends_with('-')) {
        (_, false) => "",
        ("SHA1", true) => "SHA",
        (mac, true) => mac,
    };
    Some(format!("{exchange}{cipher}{mac}"))
}

fn join(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_have_the_names_that_openssl_takes() {
        let name = |iana: &str| openssl_name(CipherSuite::from_name(iana).expect(iana));
        assert_eq!(name("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384").as_deref(), Some("ECDHE-RSA-AES256-GCM-SHA384"));
        assert_eq!(name("TLS_RSA_WITH_AES_128_CBC_SHA").as_deref(), Some("AES128-SHA"));
        assert_eq!(name("TLS_RSA_WITH_AES_256_CBC_SHA256").as_deref(), Some("AES256-SHA256"));
        assert_eq!(name("TLS_RSA_WITH_3DES_EDE_CBC_SHA").as_deref(), Some("DES-CBC3-SHA"));
        assert_eq!(
            name("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256").as_deref(),
            Some("ECDHE-ECDSA-CHACHA20-POLY1305")
        );
        assert_eq!(name("TLS_AES_128_GCM_SHA256"), None);
    }

    #[test]
    fn a_change_of_the_host_is_said_in_commands() {
        let suite = CipherSuite(0xc030);
        let change = SmallestChange {
            host: vec![Part::Version(TlsVersion::TLS12), Part::Suite(suite)],
            client: Vec::new(),
            version: TlsVersion::TLS12,
            suite,
        };
        let host = Ability { versions: vec![(TlsVersion::TLS10, Vec::new())], ..Ability::default() };
        let text = change.text(&host);
        assert!(text.starts_with("Host: allow TLS 1.2 and TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384;"), "{text}");
        assert!(text.contains(r"SCHANNEL\Protocols\TLS 1.2\Server` Enabled=1, DisabledByDefault=0"), "{text}");
        assert!(text.contains("`Enable-TlsCipherSuite -Name TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384`"), "{text}");
        assert!(
            text.contains("In xrdp.ini: `ssl_protocols=TLSv1, TLSv1.2` and `:ECDHE-RSA-AES256-GCM-SHA384` at the end"),
            "{text}"
        );
        assert!(!text.contains("test only"), "{text}");
    }

    #[test]
    fn what_weakens_says_that_it_is_for_a_test() {
        let suite = CipherSuite(0xc014);
        let parts = vec![Part::Version(TlsVersion::TLS10)];
        let change = SmallestChange { host: Vec::new(), client: parts, version: TlsVersion::TLS10, suite };
        let text = change.text(&Ability::default());
        assert!(text.starts_with("Client: offer TLS 1.0;") && text.ends_with("for a test only."), "{text}");
        assert!(text.contains(r"Protocols\TLS 1.0\Client`"), "{text}");
    }
}
