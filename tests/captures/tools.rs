//! Our files in other people's tools.

use crate::bench::Bench;
use std::path::Path;
use std::process::Command;

/// Whether `./test --quick` asked to leave programs out. `tests/install-peers.sh` installs them.
pub(crate) fn left_out(program: &str) -> bool {
    let quick = std::env::var_os("RDPSCOPE_TEST_QUICK").is_some();
    if quick {
        eprintln!("left out: {program} (quick)");
    }
    quick
}

pub(crate) fn said(program: &str, arguments: &[&str], file: &Path) -> String {
    let mut command = Command::new(program);
    command.args(arguments).arg(file).env("LC_ALL", "C.UTF-8").stdin(std::process::Stdio::null());
    let output = command.output().unwrap_or_else(|error| panic!("{program} (package tshark): {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn tshark_shows_the_negotiation_the_hello_and_the_alert_on_both_legs_and_complains_of_nothing() {
    if left_out("tshark") {
        return;
    }
    let mut bench = Bench::new().await;
    let record = bench.refused().await;
    bench.written().await;
    let file = record.capture.as_deref().unwrap();
    let ports = [record.identity.local.port(), bench.host.local_addr().unwrap().port()];
    let as_protocol = |name: &str| ports.map(|port| format!("tcp.port=={port},{name}"));
    let checks = ["-n", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"];

    let [front, back] = as_protocol("tpkt");
    let decoded = [
        &checks[..],
        &["-d", &front, "-d", &back, "-T", "fields", "-e", "frame.interface_name", "-e", "_ws.col.Info", "-r"],
    ];
    let lines = said("tshark", &decoded.concat(), file);
    for leg in ["client leg", "host leg"] {
        let of_leg: Vec<&str> = lines.lines().filter(|line| line.starts_with(leg)).collect();
        let has = |text: &str| of_leg.iter().any(|line| line.contains(text));
        assert!(has("Negotiate Request") && has("Negotiate Response"), "{leg}:\n{lines}");
    }
    assert!(!lines.contains("alice"), "{lines}");

    let [front, back] = as_protocol("tls");
    let fields = [
        "-T",
        "fields",
        "-e",
        "frame.interface_name",
        "-e",
        "tls.handshake.extensions_server_name",
        "-e",
        "tls.alert_message.desc",
        "-r",
    ];
    let filter = "tls.handshake.type==1 || tls.alert_message.desc==70";
    let decoded = [&checks[..], &["-d", &front, "-d", &back, "-Y", filter], &fields[..]];
    let lines = said("tshark", &decoded.concat(), file);
    let mut seen: Vec<String> =
        lines.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    seen.sort();
    let expected = ["client leg 70", "client leg rds07.example.net", "host leg 70", "host leg rds07.example.net"];
    assert_eq!(seen, expected);

    // What each decoding finds to remark: closes, and our comments.
    for name in ["tpkt", "tls"] {
        let [front, back] = as_protocol(name);
        let expert = [&checks[..], &["-d", &front, "-d", &back, "-q", "-z", "expert,note", "-r"]];
        let remarks = said("tshark", &expert.concat(), file);
        let counted = |line: &&str| line.split_whitespace().next().is_some_and(|word| word.parse::<u32>().is_ok());
        let known = |line: &str| ["connection closing", "Comment"].iter().any(|known| line.contains(known));
        let other: Vec<&str> = remarks.lines().filter(counted).filter(|line| !known(line)).collect();
        assert!(other.is_empty(), "as {name}: {other:?}");
        assert!(remarks.contains("connection closing"), "nothing was read:\n{remarks}");
    }
    bench.proxy.stop().await;
}

#[tokio::test]
async fn capinfos_shows_the_report_and_both_interfaces_in_nanoseconds() {
    if left_out("capinfos") {
        return;
    }
    let mut bench = Bench::new().await;
    let record = bench.refused().await;
    bench.written().await;
    let text = said("capinfos", &[], record.capture.as_deref().unwrap());
    for expected in [
        record.verdict.cause.id(),
        &record.verdict.message,
        "Capture application: rdpscope",
        "Number of interfaces in file: 2",
        "Name = client leg",
        "Name = host leg",
        "Time precision = nanoseconds (9)",
        "Strict time order:   True",
    ] {
        assert!(text.contains(expected), "no {expected:?} in\n{text}");
    }
    assert!(!text.contains("alice"), "{text}");
    bench.proxy.stop().await;
}

#[tokio::test]
async fn tshark_knows_the_name_of_the_host() {
    if left_out("tshark") {
        return;
    }
    let mut bench = Bench::new().await;
    let record = bench.refused().await;
    bench.written().await;
    let hosts = said("tshark", &["-q", "-z", "hosts", "-r"], record.capture.as_deref().unwrap());
    let named = |line: &str| {
        line.split_whitespace().eq(["127.0.0.1", "localhost"]) || line.split_whitespace().eq(["::1", "localhost"])
    };
    assert!(hosts.lines().any(named), "{hosts}");
    bench.proxy.stop().await;
}
