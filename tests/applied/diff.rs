//! `rdpscope diff` as a person and a script meet it.

use crate::host::{Host, peers_wanted};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Output};

fn diff(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rdpscope")).arg("diff").args(arguments).output().expect("it runs")
}

fn printed(arguments: &[&str]) -> String {
    let output = diff(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "progress is for terminals");
    String::from_utf8(output.stdout).expect("text")
}

fn refused(arguments: &[&str], code: i32) -> String {
    let output = diff(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An event log with one session whose client offers TLS 1.2 only.
fn event_log(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let hello = json!({
        "supported_versions": ["1.2"],
        "supported_ciphers": ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_RSA_WITH_AES_128_CBC_SHA"],
        "supported_groups": ["x25519", "secp256r1"],
        "signature_algorithms": ["rsa_pss_rsae_sha256", "rsa_pkcs1_sha256"],
    });
    let of = |id: &str, tls: &Value| json!({ "session": { "id": id }, "tls": tls }).to_string();
    let lines = [of("0193f2a6-7c1e", &json!({ "client": hello })), "no JSON".into(), of("0193f2a6-9999", &Value::Null)];
    std::fs::write(&path, lines.join("\n")).expect("written");
    path
}

#[test]
fn the_difference_that_keeps_a_named_windows_out_is_told_with_its_status() {
    if !peers_wanted() {
        return;
    }
    let (old, new) =
        (Host::xrdp(("rsa", "rsa"), "ssl_protocols=TLSv1.2"), Host::xrdp(("rsa", "rsa"), "ssl_protocols=TLSv1.3"));
    let (a, b) = (old.address.to_string(), new.address.to_string());
    let report = printed(&[&a, &b, "--client", "Windows 10 22H2"]);
    for part in [
        "Windows 10 20H2, 21H1, 21H2, 22H2 with its published defaults",
        "status partly_verified",
        "A hint, not a proof",
        "A  meets it: TLS 1.2 with TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "B  does not: The client offers TLS 1.2",
        "because of TLS 1.2: A accepted, B refused",
        "- Host B: allow TLS 1.2 and TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "Differences",
    ] {
        assert!(report.contains(part), "lacks {part}:\n{report}");
    }
    assert!(!report.contains('\u{1b}'), "colours in a pipe");
    let document: Value = serde_json::from_str(&printed(&[&a, &b, "--json"])).expect("one document");
    assert_eq!(document["client"], Value::Null);
    let told_apart = document["windows_clients_told_apart"].as_array().expect("an array");
    assert!(told_apart.iter().any(|client| client["windows"]["id"] == "win10_22h2"), "{document:#}");
    assert!(told_apart.iter().all(|client| client["windows"]["status"].is_string()), "{document:#}");
    let versions = document["differences"].as_array().expect("an array").iter().filter(|d| d["what"] == "version");
    let items: Vec<&str> = versions.filter_map(|difference| difference["item"].as_str()).collect();
    assert_eq!(items, ["TLS 1.3", "TLS 1.2"], "{document:#}");
}

#[test]
fn a_recorded_session_is_held_against_both() {
    if !peers_wanted() {
        return;
    }
    let plain = Host::xrdp(("rsa", "rsa"), "ssl_protocols=TLSv1.2");
    let ecdsa = Host::xrdp(("ec", "ec"), "ssl_protocols=TLSv1.2");
    let (a, b) = (plain.address.to_string(), ecdsa.address.to_string());
    let log = event_log("diff-session.jsonl").display().to_string();
    let document = printed(&[&a, &b, "--session", "0193f2a6-7c", "--event-log", &log, "--json"]);
    let document: Value = serde_json::from_str(&document).expect("one document");
    let client = &document["client"];
    assert_eq!(
        (&client["session"], &client["first"]["meets"]),
        (&json!("0193f2a6-7c1e"), &json!(true)),
        "{document:#}"
    );
    assert_eq!(client["second"]["cause"], "tls_cert_key_type_mismatch", "{document:#}");
    assert_eq!(client["because"][0]["what"], "certificate", "{document:#}");
    assert!(client["smallest_change"][0].as_str().is_some_and(|c| c.contains("an RSA certificate")), "{document:#}");
}

#[test]
fn a_host_with_itself_differs_in_nothing() {
    if !peers_wanted() {
        return;
    }
    let host = Host::xrdp(("rsa", "rsa"), "ssl_protocols=TLSv1.2, TLSv1.3");
    let address = host.address.to_string();
    let report = printed(&[&address, &address]);
    assert!(report.contains("none in what both were asked"), "{report}");
    assert!(!report.contains("Windows versions"), "{report}");
}

#[test]
fn what_cannot_be_compared_is_said_and_has_its_exit_code() {
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("bound").to_string()
    };
    let words = refused(&[&gone, &gone], 1);
    assert!(words.contains(&gone) && words.contains("refused the connection"), "{words}");
    assert!(refused(&["one-host-only"], 2).contains("two hosts are needed"));
    assert!(refused(&["a", "b", "--client", "win9"], 2).contains("`--client list`"));
    assert!(refused(&["a", "b", "--session", "x"], 2).contains("--event-log"));
    assert!(refused(&["https://a/", "b"], 2).contains("URL"));
    let log = event_log("diff-errors.jsonl").display().to_string();
    let of = |id: &str| refused(&["a", "b", "--session", id, "--event-log", &log], 2);
    assert!(of("0193f2a6").contains("write more of the id"), "{}", of("0193f2a6"));
    assert!(of("0193f2a6-9999").contains("no ClientHello"), "{}", of("0193f2a6-9999"));
    assert!(of("ffff").contains("holds no session"), "{}", of("ffff"));
    assert!(refused(&["a", "b", "--session", "x", "--event-log", "/nowhere/x"], 1).contains("/nowhere/x"));
    let list = printed(&["--client", "list"]);
    assert!(list.contains("server2016") && list.contains("from_memory") && list.contains("never a proof"), "{list}");
}

#[test]
fn the_client_of_a_capture_is_held_against_both_hosts() {
    if !peers_wanted() {
        return;
    }
    let (old, new) =
        (Host::xrdp(("rsa", "rsa"), "ssl_protocols=TLSv1.2"), Host::xrdp(("rsa", "rsa"), "ssl_protocols=TLSv1.3"));
    let (a, b) = (old.address.to_string(), new.address.to_string());
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/lab/tls-s12cbc-c12.pcap");
    let report = printed(&[&a, &b, "--capture", capture]);
    for part in ["of stream 0 of ", "A  meets it: TLS 1.2", "B  does not: The client offers TLS 1.2"] {
        assert!(report.contains(part), "lacks {part}:\n{report}");
    }
    let document: Value = serde_json::from_str(&printed(&[&a, &b, "--capture", capture, "--json"])).expect("JSON");
    assert_eq!(document["client"]["capture"]["stream"], 0);
    assert_eq!(document["client"]["second"]["meets"], false);
}
