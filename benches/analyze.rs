//! `rdpscope analyze` beside tshark over one large file: time, processor time and peak memory, side by side; and what its
//! memory is where all connections of a file stay open, and where there are very many.
//!
//! ```sh
//! cargo bench --bench analyze                # makes 1 GB under target/, then measures; tshark is left out if it is not there
//! cargo bench --bench analyze -- 100         # the same with a tenth of everything
//! cargo bench --bench analyze -- 1000 alone  # without tshark, which takes minutes
//! ```
//!
//! The file is made of the golden captures, round after round, each connection with new addresses in each round, so that no
//! two connections are the same one. Nothing here is a test: figures and the machine stand in `README.md`.

use etherparse::PacketBuilder;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Between the beginnings of two captures of one round, in milliseconds.
const BETWEEN_CAPTURES: u64 = 20;
/// How often the memory of a child is looked at.
const LOOK: Duration = Duration::from_millis(5);

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
    let without_tshark = arguments.next().is_some_and(|word| word == "alone");
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let file = target.join(format!("analyze-{megabytes}.pcap"));
    if !file.exists() {
        let (rounds, packets) = make(&file, megabytes * 1_000_000);
        println!("{}: {rounds} rounds, {packets} packets", file.display());
    }
    println!("{:<44} {:>8} {:>8} {:>9} {:>9}", "", "seconds", "CPU s", "peak MiB", "lines");
    let ours = row("rdpscope analyze --json", &mut rdpscope(&file));
    for (what, kind, count) in [
        ("the same, connections that all stay open", Made::Open, 200 * megabytes),
        ("the same, short connections", Made::Short, 1_000 * megabytes),
    ] {
        let file = target.join(format!("analyze-{}-{count}.pcap", if kind == Made::Open { "open" } else { "short" }));
        if !file.exists() {
            connections(&file, kind, count);
        }
        row(&format!("{what}: {count}"), &mut rdpscope(&file));
    }
    if without_tshark {
        return;
    }
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-o", "tcp.desegment_tcp_streams:TRUE", "-T", "fields"]).arg("-r").arg(&file);
    FIELDS.iter().for_each(|field| _ = tshark.args(["-e", field]));
    if let (Some(ours), Some(theirs)) = (ours, row("tshark, the same fields", &mut tshark)) {
        let times = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        println!(
            "tshark takes {:.1} times as long, {:.1} times the processor time and {:.1} times the memory",
            times(theirs.seconds, ours.seconds),
            times(theirs.processor, ours.processor),
            times(theirs.mebibytes, ours.mebibytes)
        );
    }
}

fn rdpscope(file: &Path) -> Command {
    // All read from the page cache.
    std::io::copy(&mut File::open(file).expect("the file"), &mut std::io::sink()).expect("read");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdpscope"));
    command.args(["analyze", "--json"]).arg(file);
    command
}

struct Measured {
    seconds: f64,
    /// Seconds of processor time, of the kernel for it too.
    processor: f64,
    mebibytes: f64,
    lines: u64,
}

fn row(name: &str, command: &mut Command) -> Option<Measured> {
    let measured = measure(command);
    match &measured {
        Some(Measured { seconds, processor, mebibytes, lines }) => {
            println!("{name:<44} {seconds:>8.2} {processor:>8.2} {mebibytes:>9.0} {lines:>9}")
        }
        None => println!("{name:<44} not there"),
    }
    measured
}

/// Runs a program to its end, and counts the lines it writes.
fn measure(command: &mut Command) -> Option<Measured> {
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let about = PathBuf::from(format!("/proc/{}", child.id()));
    let mut out = child.stdout.take()?;
    let lines = std::thread::spawn(move || {
        let (mut lines, mut buffer) = (0u64, vec![0; 1 << 20]);
        while let Ok(read @ 1..) = out.read(&mut buffer) {
            lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        lines
    });
    let mut peak = 0;
    let processor = loop {
        peak = peak.max(high_water_mark(&about).unwrap_or(0));
        let (over, processor) = processor_time(&about)?;
        if over {
            break processor;
        }
        std::thread::sleep(LOOK);
    };
    let seconds = begun.elapsed().as_secs_f64();
    child.wait().ok()?;
    Some(Measured { seconds, processor, mebibytes: peak as f64 / 1024.0, lines: lines.join().ok()? })
}

/// `VmHWM` of proc_pid_status(5), in KiB.
fn high_water_mark(about: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(about.join("status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").trim().parse().ok()
}

/// Whether a child is over and not yet waited for, and the seconds that it took so far: proc_pid_stat(5), in ticks of a
/// hundredth.
fn processor_time(about: &Path) -> Option<(bool, f64)> {
    let text = std::fs::read_to_string(about.join("stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((fields.first() == Some(&"Z"), (ticks(11)? + ticks(12)?) / 100.0))
}

/// What else is written, to see how memory grows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// Each is in the middle of its ClientHello when the capture ends.
    Open,
    /// Each is refused and reset.
    Short,
}

/// Writes so many connections, each of a client of its own, a thousand in a second.
fn connections(path: &Path, kind: Made, count: u64) {
    const REQUEST: &[u8] = &[3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 1, 0, 0, 0];
    const CONFIRM: &[u8] = &[3, 0, 0, 19, 14, 0xd0, 0, 0, 0, 0, 0, 2, 0, 8, 0, 1, 0, 0, 0];
    const REFUSAL: &[u8] = &[3, 0, 0, 19, 14, 0xd0, 0, 0, 0, 0, 0, 3, 0, 8, 0, 5, 0, 0, 0];
    // The first 1,400 bytes of a hello of 1,700, in one record.
    let mut hello = vec![22, 3, 1, 6, 0xa4, 1, 0, 6, 0xa0, 3, 3];
    hello.resize(1_400, 0x5a);
    let mut out = Pcap::create(path);
    for number in 0..count {
        let [_, a, b, c] = (number as u32).to_be_bytes();
        let mut at = 1_700_000_000_000_000_000 + number * 1_000_000;
        let mut send = |to_host: bool, sequence, acknowledgment, flags: &str, payload: &[u8]| {
            let (from, to) = if to_host { ([10, a, b, c], [192, 0, 2, 7]) } else { ([192, 0, 2, 7], [10, a, b, c]) };
            let ports = if to_host { (50_000, 3_389) } else { (3_389, 50_000) };
            let mut packet =
                PacketBuilder::ethernet2([2; 6], [2; 6]).ipv4(from, to, 64).tcp(ports.0, ports.1, sequence, 64_000);
            for flag in flags.chars() {
                packet = match flag {
                    'S' => packet.syn(),
                    'R' => packet.rst(),
                    _ => packet.ack(acknowledgment),
                };
            }
            let mut frame = Vec::with_capacity(2_048);
            packet.write(&mut frame, payload).expect("a frame");
            out.packet(at, &frame);
            at += 50_000;
        };
        send(true, 0, 0, "S", &[]);
        send(false, 0, 1, "SA", &[]);
        send(true, 1, 1, "A", REQUEST);
        match kind {
            Made::Open => {
                send(false, 1, 20, "A", CONFIRM);
                send(true, 20, 20, "A", &hello);
            }
            Made::Short => {
                send(false, 1, 20, "A", REFUSAL);
                send(true, 20, 20, "RA", &[]);
            }
        }
    }
    out.file.flush().expect("written");
}

/// A pcap file: nanoseconds, Ethernet. draft-ietf-opsawg-pcap 4
struct Pcap {
    file: BufWriter<File>,
    written: u64,
}

impl Pcap {
    fn create(path: &Path) -> Pcap {
        let mut pcap =
            Pcap { file: BufWriter::with_capacity(1 << 20, File::create(path).expect("the file")), written: 0 };
        pcap.words(&[0xa1b2_3c4d, 0x0004_0002, 0, 0, 0x0004_0000, 1]);
        pcap
    }

    fn packet(&mut self, at: u64, frame: &[u8]) {
        let length = frame.len() as u32;
        self.words(&[(at / 1_000_000_000) as u32, (at % 1_000_000_000) as u32, length, length]);
        self.file.write_all(frame).expect("written");
        self.written += frame.len() as u64;
    }

    fn words(&mut self, words: &[u32]) {
        words.iter().for_each(|word| self.file.write_all(&word.to_le_bytes()).expect("written"));
        self.written += 4 * words.len() as u64;
    }
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
    let mut out = Pcap::create(path);
    let (mut rounds, mut count) = (0u64, 0u64);
    while out.written < size {
        for packet in &mut round {
            readdress(&mut packet.bytes, rounds);
            out.packet(1_700_000_000_000_000_000 + rounds * length + packet.at, &packet.bytes);
            readdress(&mut packet.bytes, rounds);
        }
        count += round.len() as u64;
        rounds += 1;
    }
    out.file.flush().expect("written");
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
