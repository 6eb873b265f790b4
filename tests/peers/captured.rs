//! The captures that the proxy wrote of failed openings: read again they must come to the verdict that the event told,
//! show nothing that is secret, and be there exactly for failures. All of them together go through tshark at the end.

use crate::lab::{Lab, PASSWORD, USER, wait_until};
use crate::proxy::{Proxy, action, at, text};
use anyhow::{Context, Result, ensure};
use parser::diagnosis::{Confidence, Verdict};
use parser::session::BridgeOutcome;
use rdpscope::analyze::own::{Recorded, recorded};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A file is written some milliseconds after its event; a busy machine may take longer.
const WRITTEN: Duration = Duration::from_secs(15);

/// Compares every session of `proxy` that has ended with its capture. Gives how many there were.
pub(crate) fn agree(proxy: &Proxy) -> Result<usize> {
    let mut last: BTreeMap<String, Value> = BTreeMap::new();
    for event in proxy.events()?.into_iter().filter(|event| matches!(action(event), "session_end" | "verdict")) {
        last.insert(text(&event, "session.id").to_owned(), event);
    }
    let mut captures = 0;
    for (id, event) in &last {
        let code = text(event, "event.code");
        let path = text(event, "rdpscope.capture.path");
        let wanted = text(event, "event.outcome") == "failure" && code != "proxy_shutdown";
        if path.is_empty() {
            let over = text(event, "rdpscope.phase") == "active" || text(event, "rdp.tracking") == "released";
            ensure!(!wanted || over, "{code} of session {id} has no capture");
            let gone = || (!proxy.captures().join(format!("{id}.pcapng")).exists()).then_some(());
            ensure!(wait_until(WRITTEN, gone).is_some(), "{code} is no failure, and session {id} has a capture");
            continue;
        }
        ensure!(wanted, "{code} is no failure, and its event names a capture");
        captures += 1;
        let path = Path::new(path);
        let told =
            ["event.code", "rdpscope.side", "rdpscope.phase", "rdpscope.confidence"].map(|p| text(event, p).to_owned());
        // A verdict that is revised is revised in the file too, which takes a moment.
        let read = || recorded(path).ok().flatten().filter(|read| read.told.as_ref() == Some(&told));
        let read =
            wait_until(WRITTEN, read).with_context(|| format!("no capture says {told:?}: {}", path.display()))?;
        same(&read, event, &told).with_context(|| path.display().to_string())?;
        discreet(path)?;
        if read.secrets {
            readable_inside(path, &read)?;
        }
    }
    Ok(captures)
}

/// The rules come to the same verdict on what the file holds.
fn same(read: &Recorded, event: &Value, told: &[String; 4]) -> Result<()> {
    ensure!(!read.cut_short, "bytes are missing");
    let bytes = (read.timeline.traffic.client.bytes, read.timeline.traffic.host.bytes);
    let said = |path| at(event, path).as_u64().unwrap_or_default();
    let told_bytes = (said("source.bytes"), said("destination.bytes"));
    if text(event, "rdpscope.bridge.result") == "carried" {
        // What the proxy has counted inside is sealed in the file, which takes more.
        ensure!(bytes.0 >= told_bytes.0 && bytes.1 >= told_bytes.1, "{bytes:?} bytes, {told_bytes:?} inside");
        not_against(&read.by_bytes(), told)?;
    } else {
        ensure!(bytes == told_bytes, "{bytes:?} bytes");
    }
    let verdict = read.verdict();
    let offline = [verdict.cause.id(), verdict.side.name(), verdict.phase.name(), verdict.confidence.name()];
    if told[0] == "cert_changed_mid_session" {
        // It takes two connections to see two certificates; what one of them shows is the first rival.
        ensure!(at(event, "rdpscope.alternatives")[0] == verdict.cause.id(), "read again it is {offline:?}");
        return Ok(());
    }
    ensure!(offline == *told, "read again it is {offline:?}, not {told:?}: {:?}", read.timeline);
    Ok(())
}

/// Sealed bytes say less than what was read inside, but nothing against it: the same step, or one that sizes cannot tell
/// from it, and never another cause as if it were sure.
fn not_against(by_bytes: &Verdict, told: &[String; 4]) -> Result<()> {
    let same = by_bytes.cause.id() == told[0];
    ensure!(same || by_bytes.confidence < Confidence::Proven, "the bytes alone are taken to prove {by_bytes:?}");
    ensure!(by_bytes.phase.name() == told[2], "by its bytes it ended in {}, not in {}", by_bytes.phase, told[2]);
    Ok(())
}

/// No name and no password of the lab's user is in the file, in any spelling.
fn discreet(path: &Path) -> Result<()> {
    let file = std::fs::read(path)?;
    for secret in [USER, PASSWORD] {
        let wide: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for spelling in [secret.as_bytes(), &wide] {
            let shown = file.windows(spelling.len()).any(|bytes| bytes == spelling);
            ensure!(!shown, "{} shows {secret:?}", path.display());
        }
    }
    Ok(())
}

/// tshark opens the TLS of a bridged session by what is in its file, has nothing to complain of, and finds no secret in it.
fn readable_inside(path: &Path, read: &Recorded) -> Result<()> {
    let host = read.identity.upstream.rsplit(':').next().context("a port")?;
    let decode = [&*read.identity.local.port().to_string(), host]
        .map(|port| [format!("tcp.port=={port},tls"), format!("tls.port=={port},tpkt")]);
    let tshark = |arguments: &[&str]| -> Result<String> {
        let mut tshark = Command::new("tshark");
        decode.iter().flatten().for_each(|decode| _ = tshark.arg("-d").arg(decode));
        let output = tshark.arg("-n").args(arguments).arg("-r").arg(path).stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let opened = tshark(&["-Y", "credssp || t125", "-T", "fields", "-e", "frame.interface_name"])?;
    // Where a leg did not come up there is a handshake to be read, and no more; and 3DES is not opened.
    let bridge = read.timeline.bridge.as_deref().context("secrets without a bridge")?;
    for (name, leg) in [("client leg", bridge.client), ("host leg", bridge.host)] {
        let suite = leg.and_then(|leg| leg.suite.name()).unwrap_or_default();
        let wanted = bridge.outcome == BridgeOutcome::Carried && !suite.contains("3DES");
        let is_open = opened.lines().any(|line| line == name);
        // A client that leaves when TLS is up has said nothing that could be read.
        let silent = read.told.as_ref().is_some_and(|told| told[0] == "closed_after_tls_unknown");
        let as_wanted = is_open == wanted || silent && !is_open;
        ensure!(as_wanted, "{}: {suite} on the {name}, opened: {is_open}", path.display());
    }
    let said = tshark(&["-q", "-z", "expert,note"])?;
    let wrong: Vec<&str> = said.lines().filter(|line| is_complaint(line)).collect();
    ensure!(wrong.is_empty(), "tshark complains of {}:\n    {}", path.display(), wrong.join("\n    "));
    // Every byte that it knows, in hexadecimal digits.
    let shown = tshark(&["-T", "jsonraw", "-x"])?;
    ensure!(shown.contains("_raw"), "nothing is shown");
    for secret in [USER, PASSWORD] {
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let wide: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for spelling in [hex(secret.as_bytes()), hex(&wide)] {
            ensure!(!shown.contains(&spelling), "{} shows {secret:?} inside", path.display());
        }
    }
    Ok(())
}

/// All captures of this run, read by tshark at once: nothing malformed, nothing that does not fit, but for the resets that
/// there were.
pub(crate) fn readable_by_tshark(lab: &Lab) -> Result<usize> {
    let mut files: Vec<PathBuf> = Vec::new();
    for room in std::fs::read_dir(&lab.scratch)?.flatten() {
        let captures = std::fs::read_dir(room.path().join("captures")).into_iter().flatten().flatten();
        files.extend(captures.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "pcapng")));
    }
    if files.is_empty() {
        return Ok(0);
    }
    files.sort();
    // Sections of one file, one behind the other. draft-ietf-opsawg-pcapng 3.3
    let all = lab.scratch.join("all.pcapng");
    let bytes: Vec<u8> = files.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?.concat();
    std::fs::write(&all, bytes)?;
    let mut tshark = Command::new("tshark");
    tshark.args([
        "-n",
        "-o",
        "tcp.check_checksum:TRUE",
        "-o",
        "ip.check_checksum:TRUE",
        "-q",
        "-z",
        "expert,note",
        "-r",
    ]);
    let output = tshark.arg(&all).stdin(Stdio::null()).output().context("tshark (package tshark)")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong: Vec<&str> = said.lines().filter(|line| is_complaint(line)).collect();
    ensure!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    ensure!(wrong.is_empty(), "tshark complains of {} captures:\n    {}", files.len(), wrong.join("\n    "));
    Ok(files.len())
}

/// A line of tshark's expert information that says that a file is not as it should be.
fn is_complaint(line: &str) -> bool {
    /// True of the traffic: closes and resets, the ports that a busy machine uses again, what a peer sent that TLS or RDP
    /// does not have, and our own comments.
    const TRUE: [&str; 6] = [
        "Connection reset (RST)",
        "This frame initiates the connection closing",
        "This frame undergoes the connection closing",
        "A new tcp session is started with the same ports",
        "Comment",
        "Ignored Unknown Record",
    ];
    let counts = line.split_whitespace().next().is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit()));
    counts && !TRUE.iter().any(|known| line.contains(known))
}
