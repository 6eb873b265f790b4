//! `rdpscope analyze` beside tshark over one large file: time and peak memory, side by side.
//!
//! ```sh
//! cargo bench --bench analyze                # makes 1 GB under target/, then measures; tshark is left out if it is not there
//! cargo bench --bench analyze -- 100 FILE    # 100 MB, kept in FILE
//! ```
//!
//! The file is made of the golden captures, round after round, each connection with new addresses in each round, so that no
//! two connections are the same one. Nothing here is a test: figures and the machine stand in `README.md`.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Seconds between two rounds, and between the beginnings of two captures of one round, in milliseconds.
const BETWEEN_CAPTURES: u64 = 20;
/// How often the memory of a child is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The fields of a session event that tshark knows, by its names.
const FIELDS: &[&str] = &[
    "frame.time_epoch",
    "tcp.stream",
    "ip.src",
    "ip.dst",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.len",
    "tcp.flags",
    "tcp.analysis.retransmission",
    "rdp.rt_cookie",
    "rdp.negReq.requestedProtocols",
    "rdp.negReq.selectedProtocol",
    "rdp.negFailure.failureCode",
    "tls.record.content_type",
    "tls.record.length",
    "tls.handshake.type",
    "tls.handshake.version",
    "tls.handshake.ciphersuite",
    "tls.handshake.extensions_server_name",
    "tls.handshake.extensions.supported_version",
    "tls.handshake.extensions_supported_group",
    "tls.handshake.sig_hash_alg",
    "tls.handshake.ja3",
    "tls.handshake.ja3s",
    "tls.alert_message.desc",
    "x509sat.uTF8String",
    "x509sat.printableString",
    "x509ce.dNSName",
    "x509af.utcTime",
];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let megabytes: u64 = arguments.next().and_then(|size| size.parse().ok()).unwrap_or(1_000);
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/analyze-bench.pcap");
    let file = arguments.next().map_or(default, PathBuf::from);
    let size = file.metadata().map_or(0, |about| about.len());
    if size < megabytes * 1_000_000 {
        let (rounds, packets) = make(&file, megabytes * 1_000_000);
        println!("{}: {rounds} rounds, {packets} packets", file.display());
    }
    // Both read from the page cache.
    std::io::copy(&mut File::open(&file).expect("the file"), &mut std::io::sink()).expect("read");
    let path = file.to_string_lossy().into_owned();
    let ours = measure(Command::new(env!("CARGO_BIN_EXE_rdpscope")).args(["analyze", "--json", &path]));
    println!("{:<28} {:>8} {:>10} {:>10}", "", "seconds", "peak MiB", "lines");
    row("rdpscope analyze --json", ours.as_ref());
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-r", &path, "-o", "tcp.desegment_tcp_streams:TRUE", "-T", "fields"]);
    FIELDS.iter().for_each(|field| _ = tshark.args(["-e", field]));
    let tshark = measure(&mut tshark);
    row("tshark, the same fields", tshark.as_ref());
    if let (Some(ours), Some(theirs)) = (ours, tshark) {
        let times = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        println!(
            "tshark takes {:.1} times as long and {:.1} times the memory",
            times(theirs.seconds, ours.seconds),
            times(theirs.mebibytes, ours.mebibytes)
        );
    }
}

struct Measured {
    seconds: f64,
    mebibytes: f64,
    lines: u64,
}

fn row(name: &str, measured: Option<&Measured>) {
    match measured {
        Some(Measured { seconds, mebibytes, lines }) => {
            println!("{name:<28} {seconds:>8.2} {mebibytes:>10.0} {lines:>10}")
        }
        None => println!("{name:<28} not there"),
    }
}

/// Runs a program to its end, and counts the lines it writes.
fn measure(command: &mut Command) -> Option<Measured> {
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let status = format!("/proc/{}/status", child.id());
    let mut out = child.stdout.take()?;
    let lines = std::thread::spawn(move || {
        let (mut lines, mut buffer) = (0u64, vec![0; 1 << 20]);
        while let Ok(read @ 1..) = out.read(&mut buffer) {
            lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        lines
    });
    let mut peak = 0;
    while child.try_wait().ok()?.is_none() {
        peak = peak.max(high_water_mark(&status).unwrap_or(0));
        std::thread::sleep(LOOK);
    }
    let seconds = begun.elapsed().as_secs_f64();
    Some(Measured { seconds, mebibytes: peak as f64 / 1024.0, lines: lines.join().ok()? })
}

/// `VmHWM` of proc_pid_status(5), in KiB.
fn high_water_mark(status: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").trim().parse().ok()
}

/// A packet of one round.
struct Packet {
    /// Nanoseconds from the beginning of the round.
    at: u64,
    bytes: Vec<u8>,
}

/// Writes rounds until the file has `size` bytes. Rounds and packets.
fn make(path: &Path, size: u64) -> (u64, u64) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<PathBuf> = ["captures", "lab"]
        .iter()
        .flat_map(|directory| std::fs::read_dir(golden.join(directory)).expect("golden captures"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "pcap"))
        .collect();
    files.sort();
    let mut round: Vec<Packet> = Vec::new();
    for (number, file) in files.iter().enumerate() {
        round.extend(packets(&std::fs::read(file).expect("a capture"), number as u64 * BETWEEN_CAPTURES * 1_000_000));
    }
    round.sort_by_key(|packet| packet.at);
    let length = round.last().map_or(0, |packet| packet.at) + 1_000_000_000;
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).expect("the file"));
    // A pcap header: nanoseconds, Ethernet. draft-ietf-opsawg-pcap 4
    let header = [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 0x0004_0000, 1];
    header.iter().for_each(|word| out.write_all(&word.to_le_bytes()).expect("written"));
    let (mut written, mut rounds, mut count) = (24u64, 0u64, 0u64);
    while written < size {
        for packet in &mut round {
            let at = 1_700_000_000_000_000_000 + rounds * length + packet.at;
            readdress(&mut packet.bytes, rounds);
            let length = packet.bytes.len() as u32;
            for word in [(at / 1_000_000_000) as u32, (at % 1_000_000_000) as u32, length, length] {
                out.write_all(&word.to_le_bytes()).expect("written");
            }
            out.write_all(&packet.bytes).expect("written");
            readdress(&mut packet.bytes, rounds);
            written += 16 + u64::from(length);
        }
        count += round.len() as u64;
        rounds += 1;
    }
    out.flush().expect("written");
    (rounds, count)
}

/// The IPv4 packets of a little-endian pcap file on Ethernet, in time from its first one; other files give none.
fn packets(file: &[u8], offset: u64) -> Vec<Packet> {
    let word = |at: usize| file.get(at..at + 4).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four")));
    let fraction = match word(0) {
        Some(0xa1b2_c3d4) => 1_000,
        Some(0xa1b2_3c4d) => 1,
        _ => return Vec::new(),
    };
    let mut all = Vec::new();
    let (mut at, mut first) = (24, None);
    while let (Some(seconds), Some(part), Some(length)) = (word(at), word(at + 4), word(at + 8)) {
        let end = at + 16 + length as usize;
        let Some(bytes) = file.get(at + 16..end) else { break };
        let time = u64::from(seconds) * 1_000_000_000 + u64::from(part) * fraction;
        let begun = *first.get_or_insert(time);
        at = end;
        if word(20) == Some(1) && bytes.get(12..14) == Some(&[8, 0]) && bytes.len() > 34 {
            all.push(Packet { at: time.saturating_sub(begun) + offset, bytes: bytes.to_vec() });
        }
    }
    all
}

/// Gives both ends an address of this round; a second time takes it back.
fn readdress(frame: &mut [u8], round: u64) {
    let mask = [(round >> 8) as u8, round as u8];
    for address in [26, 30] {
        frame[address + 1] ^= mask[0];
        frame[address + 2] ^= mask[1];
    }
}
