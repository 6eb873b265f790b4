//! `--credssp` against a real host with NLA, one without, one that is too old, and some that mean no good.

use crate::command::{rdpscope, server_config, text};
use crate::host::{Host, peers_wanted};
use rdpscope::probe::ask::Ask;
use rdpscope::probe::inside;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

fn document(address: SocketAddr, flags: &[&str]) -> Value {
    serde_json::from_str(&text(address, &[&["--json"], flags].concat())).expect("one document")
}

#[test]
fn a_host_with_nla_tells_version_and_names_when_it_is_asked_to() {
    if !peers_wanted() {
        return;
    }
    let host = Host::shadow("nla");
    let silent = document(host.address, &[]);
    assert_eq!((&silent["credssp"], &silent["credssp_unknown"]), (&Value::Null, &Value::Null));
    let asked = document(host.address, &["--credssp"]);
    let facts = &asked["credssp"];
    assert_eq!(facts["version"], 6, "{asked:#}");
    let named = |kind: &str| {
        let target = facts["target"].as_array().expect("pairs");
        target.iter().find(|pair| pair[0] == kind).and_then(|pair| pair[1].as_str()).unwrap_or_default().to_owned()
    };
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    assert_eq!(named("NbComputerName").to_lowercase(), machine.trim().to_lowercase(), "{facts:#}");
    assert!(!named("TargetName").is_empty(), "{facts:#}");
    let offset = facts["clock_offset_ms"].as_i64().expect("the same clock");
    assert!(offset.abs() < 10_000, "{offset} ms");
    assert_eq!(asked["handshakes"].as_u64(), silent["handshakes"].as_u64().map(|made| made + 1));

    let report = text(host.address, &["--credssp"]);
    assert!(report.contains("inside NLA               CredSSP 6, host "), "{report}");
    assert!(report.contains(", clock "), "{report}");
}

#[test]
fn a_host_without_nla_or_of_old_tls_alone_is_told_apart() {
    if !peers_wanted() {
        return;
    }
    let report = text(Host::openssl("rsa", &["-tls1_2"]).address, &["--credssp"]);
    assert!(report.contains("not known: the host does not offer Network Level Authentication"), "{report}");
    let old = Host::openssl("rsa", &["-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"]);
    let asked = document(old.address, &["--credssp"]);
    assert!(asked["credssp_unknown"].as_str().is_some_and(|why| why.contains("neither TLS 1.2")), "{asked:#}");
}

/// What is said of a host that selects NLA and answers the TSRequest with `bytes` again and again, and how long it took.
fn strange(bytes: &'static [u8]) -> (String, Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut ask = Ask::new(listener.local_addr().expect("bound"));
    ask.timeout = Duration::from_secs(2);
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("the probe");
        socket.read_exact(&mut [0; 19]).expect("a Connection Request");
        socket.write_all(&[3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0, 8, 0, 2, 0, 0, 0]).expect("written");
        let server = rustls::ServerConnection::new(server_config()).expect("a connection");
        let mut stream = rustls::StreamOwned::new(server, socket);
        let mut asked = [0; 57];
        stream.read_exact(&mut asked).expect("a TSRequest");
        assert!(asked[17..].starts_with(b"NTLMSSP"), "{asked:02x?}");
        while !bytes.is_empty() && stream.write_all(bytes).is_ok() {}
        let _ = stream.read(&mut [0]);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let begun = Instant::now();
    let why = runtime.block_on(inside::credssp(&ask)).expect_err("no facts");
    (why, begun.elapsed())
}

#[test]
fn strange_answers_end_within_the_bound_and_are_named() {
    const ENDLESS: &[u8] = &[0x30, 0x84, 0, 1, 0, 0, 0xa0, 0x84, 0, 0, 0xff, 0xff];
    for (bytes, expected) in [
        (&b"HTTP/1.1 200 OK\r\n"[..], "is not CredSSP"),
        (&[0x30, 13, 0xa0, 3, 2, 1, 6, 0xa4, 6, 2, 4, 0xc0, 0, 4, 0x18], "refuses NTLM: NTSTATUS 0xc0000418"),
        (&[0x30, 5, 0xa0, 3, 2, 1, 6], "has no token"),
        (ENDLESS, "is not CredSSP"),
        (&[], "within the time-out"),
    ] {
        let (why, took) = strange(bytes);
        assert!(why.contains(expected), "{why}, not {expected}");
        assert!(took < Duration::from_secs(4), "{why}: {took:?}");
    }
}

#[test]
fn a_gateway_is_not_asked() {
    let output = rdpscope(&["probe", "--gateway", "--credssp", "127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(2));
}
