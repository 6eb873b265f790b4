//! Side by side with sslscan, where it is installed: the same suites, and what both cost.

use crate::host::{Host, find, peers_wanted};
use crate::probe;
use parser::wire::TlsVersion;
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Instant;

#[test]
fn sslscan_finds_nothing_that_the_probe_does_not() {
    if !peers_wanted() {
        return;
    }
    let Some(sslscan) = find("sslscan") else {
        println!("left out: sslscan is not installed");
        return;
    };
    for (name, host) in [
        ("openssl, RSA", Host::openssl("rsa", &["-cipher", "DEFAULT:@SECLEVEL=1"])),
        ("openssl, all", Host::openssl("rsa", &["-cipher", "ALL:@SECLEVEL=0"])),
        ("gnutls, NORMAL", Host::gnutls("rsa", "NORMAL")),
    ] {
        let begun = Instant::now();
        let profile = probe(host.address, |_| ());
        let (ours, took) = (host.connections.swap(0, Ordering::Relaxed), begun.elapsed());
        let found: BTreeSet<(TlsVersion, u16)> = profile
            .versions
            .iter()
            .flat_map(|ability| ability.suites.iter().map(|suite| (ability.version, suite.0)))
            .collect();
        let begun = Instant::now();
        let output = Command::new(&sslscan)
            .args(["--rdp", "--xml=-", "--no-colour", "--no-heartbleed"])
            .arg(host.address.to_string())
            .output()
            .expect("sslscan runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let theirs: BTreeSet<(TlsVersion, u16)> = text.lines().filter_map(accepted).collect();
        assert!(!theirs.is_empty(), "{name}: {text}");
        println!(
            "{name}: probe {ours} connections, {} ms, {} suites; sslscan {} connections, {} ms, {} suites",
            took.as_millis(),
            found.len(),
            host.connections.load(Ordering::Relaxed),
            begun.elapsed().as_millis(),
            theirs.len()
        );
        assert_eq!(theirs.difference(&found).collect::<Vec<_>>(), Vec::<&(TlsVersion, u16)>::new(), "{name}");
    }
}

/// `<cipher status="accepted" sslversion="TLSv1.2" … id="0xC030" …/>`
fn accepted(line: &str) -> Option<(TlsVersion, u16)> {
    let value =
        |name: &str| line.split_once(&format!(" {name}=\"")).and_then(|(_, rest)| rest.split_once('"')).map(|(v, _)| v);
    if !line.contains("<cipher ") {
        return None;
    }
    let version = match value("sslversion")? {
        "TLSv1.3" => TlsVersion::TLS13,
        "TLSv1.2" => TlsVersion::TLS12,
        "TLSv1.1" => TlsVersion::TLS11,
        "TLSv1.0" => TlsVersion::TLS10,
        "SSLv3" => TlsVersion::SSL3,
        _ => return None,
    };
    Some((version, u16::from_str_radix(value("id")?.strip_prefix("0x")?, 16).ok()?))
}
