//! `rdpscope probe` as a person and a script meet it.

use crate::host::{Host, peers_wanted};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::{Command, Output};

fn rdpscope(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rdpscope")).args(arguments).output().expect("it runs")
}

fn text(address: SocketAddr, flags: &[&str]) -> String {
    let address = address.to_string();
    let output = rdpscope(&[&["probe", &address], flags].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "progress is for terminals");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_weak_host_is_told_what_to_do() {
    if !peers_wanted() {
        return;
    }
    let host = Host::openssl("rsa1024", &["-no_tls1_3", "-cipher", "AES128-SHA:NULL-SHA:@SECLEVEL=0"]);
    let report = text(host.address, &[]);
    for part in [
        "What is wrong with it",
        "1024 bits",
        "cert_weak",
        "TLS 1.2 without one modern suite",
        "It still accepts TLS 1.0, TLS 1.1",
        "TLS_RSA_WITH_NULL_SHA",
        "tls_no_common_cipher",
        "→ ",
        "weak    TLS_RSA_WITH_AES_128_CBC_SHA",
        "broken  TLS_RSA_WITH_NULL_SHA",
        "ssl+hybrid+hybrid_ex     selects ssl",
        "(no request)             refuses: SSL_REQUIRED_BY_SERVER (1)",
        "SSL 3.0        refused: alert",
        "days left",
    ] {
        assert!(report.contains(part), "lacks {part}:\n{report}");
    }
    assert!(!report.contains('\u{1b}'), "colours in a pipe");
}

#[test]
fn one_document_says_the_same() {
    if !peers_wanted() {
        return;
    }
    let host = Host::openssl("ec", &["-tls1_3"]);
    let document: Value = serde_json::from_str(&text(host.address, &["--json"])).expect("one document");
    assert_eq!((&document["complete"], &document["unreachable"]), (&Value::Bool(true), &Value::Bool(false)));
    assert_eq!(document["versions"][0]["version"], "1.3");
    assert_eq!(document["versions"][0]["ciphers"].as_array().map(Vec::len), Some(3));
    assert_eq!(document["versions"][1]["accepted"], false);
    assert_eq!(document["cipher_classes"]["TLS_AES_256_GCM_SHA384"], "modern");
    // TLS 1.3 hides it from a hand-made hello.
    assert_eq!(document["certificate"]["public_key_algorithm"], "ECDSA");
    assert_eq!(document["findings"][0]["cause"], Value::Null);
}

#[test]
fn a_dead_key_is_named() {
    if !peers_wanted() {
        return;
    }
    let host = Host::xrdp(("rsa", "garbage"), "ssl_protocols=TLSv1.2, TLSv1.3");
    let report = text(host.address, &[]);
    assert!(report.contains("cert_private_key_unusable"), "{report}");
}

#[test]
fn a_gateway_is_asked_over_http_too() {
    if !peers_wanted() {
        return;
    }
    let (host, port) = Host::bare_openssl("rsa", &["-www"]);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let report = text(address, &["--gateway"]);
    assert!(report.contains("/remoteDesktopGateway/   200: healthy"), "{report}");
    assert!(report.contains("/rpc/rpcproxy.dll        200: healthy"), "{report}");
    assert!(!report.contains("Negotiation"), "{report}");
    drop(host);
    let without = Host::openssl("rsa", &[]);
    let address = without.address.to_string();
    let output = rdpscope(&["probe", "--gateway", &address]);
    assert_eq!(output.status.code(), Some(1), "an RDP host is no gateway");
}

#[test]
fn without_gateway_a_gateway_is_recognised() {
    if !peers_wanted() {
        return;
    }
    let (host, port) = Host::bare_openssl("rsa", &[]);
    let output = rdpscope(&["probe", &format!("127.0.0.1:{port}")]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("try `--gateway`"), "{words}");
    drop(host);
}
