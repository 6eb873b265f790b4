//! The same packets in every kind of file that can be read, by every writer, whole and in part: the same findings.

use config::UserNames;
use rdpscope::analyze::analysis::{Analysis, Finding, Telling};
use rdpscope::analyze::capture::{self, Step, Summary};
use rdpscope::analyze::source::Source;
use rdpscope::record::Names;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A refusal, a port without a listener, an alert, and a whole session.
const CAPTURES: [&str; 4] = ["neg-front-fail1", "tcp-refused", "tls-s13-c12", "ok-xrdp-tls"];

/// An Ethernet frame with an IPv4 packet, and when it came, in nanoseconds.
struct Frame {
    at: u64,
    bytes: Vec<u8>,
}

impl Frame {
    fn ip(&self) -> &[u8] {
        &self.bytes[14..]
    }
}

fn path(name: &str) -> PathBuf {
    crate::data("lab").join(format!("{name}.pcap"))
}

/// The frames of a file of the lab: little-endian, microseconds, Ethernet.
fn frames(name: &str) -> Vec<Frame> {
    let file = std::fs::read(path(name)).unwrap();
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!((word(0), word(20)), (0xa1b2_c3d4, 1), "{name}");
    let mut frames = Vec::new();
    let mut at = 24;
    while at < file.len() {
        let bytes = file[at + 16..at + 16 + word(at + 8) as usize].to_vec();
        frames.push(Frame { at: u64::from(word(at)) * 1_000_000_000 + u64::from(word(at + 4)) * 1_000, bytes });
        at += 16 + word(at + 8) as usize;
    }
    frames
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn words<const N: usize>(self, words: [u32; N]) -> Vec<u8> {
        let bytes = |word: u32| if self == Order::Little { word.to_le_bytes() } else { word.to_be_bytes() };
        words.into_iter().flat_map(bytes).collect()
    }

    fn halves<const N: usize>(self, halves: [u16; N]) -> Vec<u8> {
        let bytes = |half: u16| if self == Order::Little { half.to_le_bytes() } else { half.to_be_bytes() };
        halves.into_iter().flat_map(bytes).collect()
    }

    /// draft-ietf-opsawg-pcapng 3.1
    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = body.len() as u32 + 12;
        [self.words([kind, length]), body, self.words([length])].concat()
    }
}

/// A pcap file, and where each packet ends. draft-ietf-opsawg-pcap 4
fn pcap(order: Order, nanoseconds: bool, link: u32, frames: &[(u64, Vec<u8>)]) -> (Vec<u8>, Vec<usize>) {
    let magic = if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut file = [order.words([magic]), order.halves([2, 4]), order.words([0, 0, 0x0004_0000, link])].concat();
    let mut ends = Vec::new();
    for (at, frame) in frames {
        let part = at % 1_000_000_000 / if nanoseconds { 1 } else { 1_000 };
        let length = frame.len() as u32;
        file.extend(order.words([(at / 1_000_000_000) as u32, part as u32, length, length]));
        file.extend(frame);
        ends.push(file.len());
    }
    (file, ends)
}

/// An interface of a pcapng file: its link type, its options, ticks in a second, and seconds that its times lack.
type Interface = (u16, Vec<u8>, u64, u64);

/// A pcapng file, and where each packet ends. Packets come by these interfaces in turn. draft-ietf-opsawg-pcapng 4
fn pcapng(order: Order, interfaces: &[Interface], frames: &[Frame]) -> (Vec<u8>, Vec<usize>) {
    let section = [order.words([0x1a2b_3c4d]), order.halves([1, 0]), vec![0xff; 8]].concat();
    let mut file = order.block(0x0a0d_0d0a, &section);
    for (link, options, ..) in interfaces {
        file.extend(order.block(1, &[order.halves([*link, 0]), order.words([0]), options.clone()].concat()));
    }
    let mut ends = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        let number = number % interfaces.len();
        let (link, _, ticks, lacks) = &interfaces[number];
        let at = (u128::from(frame.at - lacks * 1_000_000_000) * u128::from(*ticks)).div_ceil(1_000_000_000) as u64;
        let bytes = on(u32::from(*link), frame);
        let length = bytes.len() as u32;
        let words = order.words([number as u32, (at >> 32) as u32, at as u32, length, length]);
        file.extend(order.block(6, &[words, bytes].concat()));
        ends.push(file.len());
    }
    (file, ends)
}

/// The same packet on a link of another kind. <https://www.tcpdump.org/linktypes.html>
fn on(link: u32, frame: &Frame) -> Vec<u8> {
    let header: Vec<u8> = match link {
        0 => vec![2, 0, 0, 0],
        108 => vec![0, 0, 0, 2],
        1 => frame.bytes[..14].to_vec(),
        12 | 101 | 228 => vec![],
        113 => [&[0, 4, 3, 4, 0, 6][..], &[0; 8], &[8, 0]].concat(),
        276 => [&[8, 0, 0, 0, 0, 0, 0, 1, 3, 4, 4, 6][..], &[0; 8]].concat(),
        _ => unreachable!(),
    };
    [&header, frame.ip()].concat()
}

/// What a file comes to: an event for each connection, as text; and what was said of the reading.
fn told(file: &[u8]) -> Option<(Vec<String>, Summary)> {
    let names = Names::new(UserNames::Plain, None).unwrap();
    let mut analysis = Analysis::new(Telling::Once);
    let mut events = Vec::new();
    let mut tell = |finding: Finding| {
        events.push(String::from_utf8(finding.event("a file", &names).line()).unwrap());
    };
    let read = capture::read(Source::of_bytes("a file", file.to_vec()).ok()?, |step| {
        if let Step::Packet(packet) = step {
            analysis.packet(&packet, &mut tell);
        }
        ControlFlow::Continue(())
    });
    analysis.finish(&mut tell);
    Some((events, read.ok()?))
}

#[track_caller]
fn same(file: &[u8], expected: &[String], what: &str) {
    let (events, summary) = told(file).unwrap_or_else(|| panic!("{what}: refused"));
    assert_eq!(events, expected, "{what}");
    assert_eq!(summary.complaints(), [""; 0], "{what}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn plain(frames: &[Frame]) -> Vec<(u64, Vec<u8>)> {
    frames.iter().map(|frame| (frame.at, frame.bytes.clone())).collect()
}

#[test]
fn every_form_of_file_and_every_link_gives_the_same_findings() {
    for name in CAPTURES {
        let original = std::fs::read(path(name)).unwrap();
        let (expected, _) = told(&original).unwrap();
        assert!(!expected.is_empty());
        let frames = frames(name);
        for order in [Order::Little, Order::Big] {
            let which = if order == Order::Little { "little" } else { "big" };
            for nanoseconds in [false, true] {
                let (file, _) = pcap(order, nanoseconds, 1, &plain(&frames));
                same(&file, &expected, &format!("{name}: pcap, {which}-endian, nanoseconds: {nanoseconds}"));
            }
            for link in [0, 1, 12, 101, 108, 113, 228, 276] {
                let moved: Vec<_> = frames.iter().map(|frame| (frame.at, on(link, frame))).collect();
                same(
                    &pcap(order, true, link, &moved).0,
                    &expected,
                    &format!("{name}: link type {link}, {which}-endian"),
                );
            }
            // VLAN tags: IEEE 802.1Q, and one within another.
            for tags in [&[0x81, 0, 0, 42][..], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 42]] {
                let tagged = |frame: &Frame| [&frame.bytes[..12], tags, &frame.bytes[12..]].concat();
                let tagged: Vec<_> = frames.iter().map(|frame| (frame.at, tagged(frame))).collect();
                same(&pcap(order, true, 1, &tagged).0, &expected, &format!("{name}: VLAN, {which}-endian"));
            }
            let option = |code, value: &[u8]| {
                let mut option = [order.halves([code, value.len() as u16]), value.to_vec()].concat();
                option.resize(option.len().next_multiple_of(4), 0);
                [option, order.halves([0, 0])].concat()
            };
            let offset = if order == Order::Little { 1_000i64.to_le_bytes() } else { 1_000i64.to_be_bytes() };
            let interfaces = [
                (1, vec![], 1_000_000, 0),
                (101, option(9, &[9]), 1_000_000_000, 0),
                (276, option(14, &offset), 1_000_000, 1_000),
                (0, option(9, &[7]), 10_000_000, 0),
                (113, option(9, &[0x80 | 33]), 1 << 33, 0),
            ];
            for interfaces in [&interfaces[..1], &interfaces[2..3], &interfaces[4..], &interfaces] {
                let (file, _) = pcapng(order, interfaces, &frames);
                let what = format!("{name}: pcapng, {which}-endian, interfaces: {}", interfaces.len());
                same(&file, &expected, &what);
                same(&gzip(&file), &expected, &format!("{what}, gzip"));
            }
        }
        same(&gzip(&original), &expected, &format!("{name}: gzip"));
        let halves = [gzip(&original[..original.len() / 2]), gzip(&original[original.len() / 2..])].concat();
        same(&halves, &expected, &format!("{name}: gzip in two members"));
    }
}

/// A section ends, and another begins with its own byte order and interfaces: `cat a.pcapng b.pcapng`.
#[test]
fn sections_of_a_pcapng_file_are_read_one_after_the_other() {
    let frames = frames("neg-front-fail1");
    let (first, second) = frames.split_at(frames.len() / 2);
    let little = pcapng(Order::Little, &[(1, vec![], 1_000_000, 0)], first).0;
    let big = pcapng(Order::Big, &[(101, vec![], 1_000_000, 0)], second).0;
    let expected = told(&std::fs::read(path("neg-front-fail1")).unwrap()).unwrap().0;
    same(&[little, big].concat(), &expected, "two sections");
}

#[test]
fn a_file_that_is_cut_anywhere_is_read_to_its_last_whole_packet_and_says_where_it_stopped() {
    let frames = frames("neg-front-fail1");
    let interfaces = [(1, vec![], 1_000_000, 0), (101, vec![], 1_000_000, 0)];
    let files = [
        ("pcap", pcap(Order::Little, false, 1, &plain(&frames)), 24),
        ("pcap", pcap(Order::Big, true, 1, &plain(&frames)), 24),
        ("pcapng", pcapng(Order::Little, &interfaces, &frames), 28),
        ("pcapng", pcapng(Order::Big, &interfaces, &frames), 28),
    ];
    for (form, (file, ends), header) in files {
        // What so many packets come to.
        let upto: Vec<Vec<String>> = (0..=ends.len())
            .map(|count| told(&pcap(Order::Little, true, 1, &plain(&frames[..count])).0).unwrap().0)
            .collect();
        for length in 0..=file.len() {
            let what = format!("{form}, {length} of {} bytes", file.len());
            let whole = ends.iter().filter(|end| **end <= length).count();
            let Some((events, summary)) = told(&file[..length]) else {
                assert!(length < header, "{what}: refused");
                continue;
            };
            assert!(length >= header, "{what}: read");
            assert_eq!((summary.packets, &events), (whole as u64, &upto[whole]), "{what}");
            let begin = if whole == 0 { header } else { ends[whole - 1] };
            // Interfaces are described between the header and the first packet.
            let at_an_end = length == begin || form == "pcapng" && whole == 0 && [48, 68].contains(&length);
            match &summary.stopped {
                None => assert!(at_an_end, "{what}: nothing is said"),
                Some(said) => {
                    assert!(!at_an_end, "{what}: {said}");
                    let place = format!("after {whole} packets: the file ends in the middle of ");
                    assert!(said.contains(&place), "{what}: {said}");
                    let byte: usize = said.split(' ').nth(4).unwrap().trim_end_matches(',').parse().unwrap();
                    assert!((begin..=length).contains(&byte) && (whole == 0 || byte == begin), "{what}: {said}");
                }
            }
        }
    }
}

#[test]
fn a_compressed_file_that_is_cut_is_read_as_far_as_it_can_be() {
    let original = std::fs::read(path("neg-front-fail1")).unwrap();
    let file = gzip(&original);
    let (expected, whole) = told(&original).unwrap();
    for length in 0..file.len() {
        match told(&file[..length]) {
            None => {}
            Some((events, summary)) if summary.stopped.is_none() => {
                // All of it had been read when it ended.
                assert_eq!((events, summary.packets), (expected.clone(), whole.packets), "{length} of {}", file.len());
            }
            Some((_, summary)) => assert!(summary.packets <= whole.packets, "{length}: {summary:?}"),
        }
    }
}

/// Runs a program that writes a capture.
fn written(program: &str, arguments: &[&str], input: Option<&[u8]>, output: &Path) -> Vec<u8> {
    let _ = std::fs::remove_file(output);
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program} (tests/install-peers.sh): {error}"));
    let mut pipe = child.stdin.take().unwrap();
    if let Some(input) = input {
        pipe.write_all(input).unwrap();
    }
    drop(pipe);
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{program} {arguments:?}: {said}");
    std::fs::read(output).unwrap_or_else(|error| panic!("{program} {arguments:?} wrote nothing: {error}: {said}"))
}

#[test]
fn files_by_every_writer_give_the_same_findings() {
    if std::env::var_os("RDPSCOPE_TEST_QUICK").is_some() {
        eprintln!("left out: tshark, editcap, mergecap, dumpcap, tcpdump (quick)");
        return;
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("readers-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let out = directory.join("out");
    let to = out.to_str().unwrap();
    for name in CAPTURES {
        let from = path(name);
        let original = std::fs::read(&from).unwrap();
        let (expected, _) = told(&original).unwrap();
        let from = from.to_str().unwrap();
        let check = |program: &str, arguments: &[&str], input: Option<&[u8]>| {
            let file = written(program, arguments, input, &out);
            same(&file, &expected, &format!("{name}: {program} {arguments:?}"));
        };
        for form in ["pcap", "nsecpcap", "pcapng"] {
            check("editcap", &["-F", form, from, to], None);
            check("tshark", &["-r", from, "-F", form, "-w", to], None);
            check("mergecap", &["-F", form, "-w", to, from], None);
        }
        check("tcpdump", &["-r", from, "-w", to], None);
        check("tcpdump", &["-r", from, "--time-stamp-precision", "nano", "-w", to], None);
        // dumpcap opens its file as somebody else where it may.
        for form in [&["-P"][..], &["-n"]] {
            check("dumpcap", &[&["-q", "-i", "-", "-w", to], form].concat(), Some(&original));
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
