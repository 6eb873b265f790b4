//! `rdpscope probe` as a person and a script meet it.

use crate::host::{Host, certificate, find, peers_wanted};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::sync::Arc;

pub(crate) fn rdpscope(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rdpscope")).args(arguments).output().expect("it runs")
}

pub(crate) fn text(address: SocketAddr, flags: &[&str]) -> String {
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
fn an_answer_in_an_older_version_is_no_support_for_the_newer_one() {
    if !peers_wanted() {
        return;
    }
    let host = Host::openssl("rsa", &["-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"]);
    let report = text(host.address, &[]);
    for part in [
        "Neither TLS 1.2 nor TLS 1.3",
        "TLS 1.2        refused: answers in TLS 1.0 instead",
        "TLS 1.0        1 suite\n",
        "tls_no_common_version",
    ] {
        assert!(report.contains(part), "lacks {part}:\n{report}");
    }
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
fn of_a_dead_host_and_a_healthy_one_behind_one_address_neither_is_described() {
    if !peers_wanted() {
        return;
    }
    let versions = "ssl_protocols=TLSv1.2, TLSv1.3";
    let hosts = [Host::xrdp(("rsa", "garbage"), versions), Host::xrdp(("rsa", "rsa"), versions)];
    let farm = Host::in_turn(&hosts);
    let report = text(farm, &[]);
    assert!(report.contains("It does not answer alike: the same ClientHello"), "{report}");
    assert!(report.contains("ask each host by its own address"), "{report}");
    for of_one in ["cert_private_key_unusable", "tls13_middlebox_intolerance", "tls_no_common"] {
        assert!(!report.contains(of_one), "{report}");
    }
    let document: Value = serde_json::from_str(&text(farm, &["--json"])).expect("one document");
    assert_eq!((&document["mixed"], &document["complete"]), (&Value::Bool(true), &Value::Bool(false)));
    assert_eq!(document["versions"], serde_json::json!([]));
    let address = farm.to_string();
    let diff = rdpscope(&["diff", &address, &hosts[1].address.to_string()]);
    assert_eq!((diff.status.code(), diff.stdout.len()), (Some(1), 0), "nothing is compared");
    let why = String::from_utf8_lossy(&diff.stderr);
    assert!(why.contains("does not answer alike: the same ClientHello") && why.contains("own address"), "{why}");
}

#[test]
fn members_of_a_farm_with_a_certificate_each_are_told_to_be_several() {
    if !peers_wanted() {
        return;
    }
    let farm = [Host::openssl("rsa", &[]), Host::openssl("sha1", &[])];
    let report = text(Host::in_turn(&farm), &[]);
    assert!(report.contains("It shows two certificates with RSA keys: more than one host answers here"), "{report}");
    assert!(report.contains("cert_changed_mid_session"), "{report}");
    // In all else they answer alike.
    assert!(report.contains("TLS 1.3        3 suites") && report.contains("TLS 1.2"), "{report}");
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
fn a_host_that_minds_the_name_is_asked_by_another_one() {
    if !peers_wanted() {
        return;
    }
    let pair = ["crt", "key"].map(|kind| certificate("rsa", kind).display().to_string());
    let minds = ["-servername", "gw.lab.test", "-servername_fatal", "-cert2", &pair[0], "-key2", &pair[1]];
    let (_host, port) = Host::bare_openssl("rsa", &minds);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let other = text(address, &["--gateway", "--sni", "rds08.lab.test"]);
    assert!(other.contains("no ClientHello that asks for rds08.lab.test: unrecognized_name (112)"), "{other}");
    assert!(!other.contains("private key"), "{other}");
    let its_own = text(address, &["--gateway", "--sni", "gw.lab.test"]);
    assert!(!its_own.contains("unrecognized_name") && its_own.contains("TLS 1.3"), "{its_own}");
    let no_name = rdpscope(&["probe", &address.to_string(), "--sni", "10.0.0.7"]);
    assert_eq!(no_name.status.code(), Some(2), "an address is no name");
}

/// A gateway's web server: every request gets this head.
fn gateway(head: &'static str) -> SocketAddr {
    let (listener, config) = (TcpListener::bind("127.0.0.1:0").expect("a port"), server_config());
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let server = rustls::ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut stream = rustls::StreamOwned::new(server, socket);
            if stream.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {
                let _ = stream.write_all(head.as_bytes());
            }
        }
    });
    address
}

/// TLS 1.2 and 1.3 with a certificate of its own.
pub(crate) fn server_config() -> Arc<rustls::ServerConfig> {
    let pair = rcgen::generate_simple_self_signed(vec!["gw.lab.test".to_owned()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(pair.signing_key.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(rdpscope::tls_provider::provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], key)
        .expect("a pair");
    Arc::new(config)
}

#[test]
fn a_gateway_that_asks_for_credentials_is_healthy_and_one_that_is_stopped_is_not() {
    let healthy = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n";
    let report = text(gateway(healthy), &["--gateway"]);
    assert!(report.contains("/remoteDesktopGateway/   401: healthy, offers Negotiate"), "{report}");
    assert!(!report.contains("rdg_http"), "{report}");
    let stopped = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let report = text(gateway(stopped), &["--gateway"]);
    assert!(report.contains("503: not healthy") && report.contains("rdg_http_403_404_503"), "{report}");
}

#[test]
fn progress_is_shown_on_a_terminal_and_wiped() {
    let Some(script) = find("script") else {
        println!("left out: script is not installed");
        return;
    };
    let address = gateway("HTTP/1.1 401 Unauthorized\r\n\r\n");
    let line = format!("{} probe --gateway {address}", env!("CARGO_BIN_EXE_rdpscope"));
    let output = Command::new(script).args(["-qec", &line, "/dev/null"]).output().expect("it runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("connections, 0.") && shown.contains(": TLS 1.3"), "{shown}");
    let (_, report) = shown.rsplit_once("\r\u{1b}[K").expect("wiped");
    assert!(report.contains("What is wrong with it"), "{report}");
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
