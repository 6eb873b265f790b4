//! A file of the proxy as it comes back: packed, through a pipe, shortened, several behind each other. The verdict stays that
//! of the proxy, or it is said what is missing.

use crate::bench::Bench;
use crate::kinds::{Kind, bench, nobody};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What `analyze --json` prints of a file, or of bytes that it is given through a pipe.
fn analyze(file: Option<&Path>, bytes: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdpscope"));
    command.args(["analyze", "--json"]).arg(file.unwrap_or(Path::new("-")));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    if file.is_none() {
        for part in bytes.chunks(1_000) {
            input.write_all(part).unwrap();
        }
    }
    drop(input);
    child.wait_with_output().unwrap()
}

/// Cause, side, phase, confidence, message and session of each event.
fn told(output: &Output) -> Vec<String> {
    assert_eq!(output.status.code(), Some(0), "{}", said(output));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let events = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let fields =
        ["/event/code", "/rdpscope/side", "/rdpscope/phase", "/rdpscope/confidence", "/message", "/session/id"];
    events.map(|event| fields.map(|field| event.pointer(field).unwrap().to_string()).join(" ")).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// A session of this kind, and its file.
async fn happened(kind: Kind) -> (Bench, PathBuf) {
    let (_taken, nobody) = nobody();
    let mut bench = bench(kind, nobody).await;
    let record = kind.happen(&mut bench).await;
    bench.written().await;
    let file = record.capture.as_deref().unwrap().to_owned();
    (bench, file)
}

#[tokio::test]
async fn the_verdict_is_the_same_however_the_bytes_of_a_file_come() {
    for kind in [Kind::HostIsNotThere, Kind::HostNeverAnswersTheHello, Kind::HostRefusesTheNegotiation] {
        let (bench, file) = happened(kind).await;
        let bytes = std::fs::read(&file).unwrap();
        let plain = told(&analyze(Some(&file), &[]));
        assert_eq!(plain.len(), 1, "{kind:?}");
        let packed = bench.directory.join("packed.pcapng.gz");
        std::fs::write(&packed, gzip(&bytes)).unwrap();
        assert_eq!(told(&analyze(Some(&packed), &[])), plain, "{kind:?}, gzip");
        assert_eq!(told(&analyze(None, &bytes)), plain, "{kind:?}, a pipe");
        assert_eq!(told(&analyze(None, &gzip(&bytes))), plain, "{kind:?}, gzip through a pipe");
        bench.proxy.stop().await;
    }
}

#[tokio::test]
async fn a_file_that_was_shortened_keeps_its_verdict_and_says_so() {
    let (bench, file) = happened(Kind::HostRefusesTheNegotiation).await;
    let bytes = std::fs::read(&file).unwrap();
    let plain = told(&analyze(Some(&file), &[]));
    let (mut at, mut complaints) = (0, Vec::new());
    while at < bytes.len() {
        let block = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let (kind, length) = (block(at), block(at + 4) as usize);
        // No packet, and as many as there are before this one.
        if kind == 6 {
            let output = analyze(None, &bytes[..at]);
            assert_eq!(told(&output), plain, "up to byte {at}");
            complaints.push(said(&output).contains("it has been shortened or changed since the proxy wrote it"));
        }
        at += length;
    }
    // The last packets carry no bytes.
    assert!(complaints[0] && complaints.is_sorted_by(|before, after| before >= after), "{complaints:?}");
    assert_eq!(said(&analyze(Some(&file), &[])), "");
    let within = analyze(None, &bytes[..bytes.len() - 20]);
    assert!(said(&within).contains("no whole block follows"), "{}", said(&within));
    bench.proxy.stop().await;
}

#[tokio::test]
async fn of_several_files_behind_each_other_each_is_told() {
    let (bench, file) = happened(Kind::HostRefusesTheNegotiation).await;
    let (other_bench, other) = happened(Kind::HostIsNotThere).await;
    let (first, second) = (std::fs::read(&file).unwrap(), std::fs::read(&other).unwrap());
    let wanted = [told(&analyze(Some(&file), &[])), told(&analyze(Some(&other), &[]))].concat();
    let output = analyze(None, &[&first[..], &second].concat());
    assert_eq!((told(&output), said(&output)), (wanted.clone(), String::new()));
    // A capture of somebody else: a section without options.
    let foreign =
        [[10, 13, 13, 10], [28, 0, 0, 0], [77, 60, 43, 26], [1, 0, 0, 0], [255; 4], [255; 4], [28, 0, 0, 0]].concat();
    let output = analyze(None, &[&first[..], &foreign, &second].concat());
    assert_eq!(told(&output), wanted);
    assert!(said(&output).contains(&format!("at byte {} another capture begins", first.len())), "{}", said(&output));
    let output = analyze(None, &[&foreign[..], &first].concat());
    assert!(said(&output).contains("captures that the proxy wrote stand behind another one: 1"), "{}", said(&output));
    bench.proxy.stop().await;
    other_bench.proxy.stop().await;
}
