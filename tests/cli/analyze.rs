//! `rdpscope analyze`.

use crate::{PROGRAM, capture, err, file, out, rdpscope};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The events that `analyze --json` prints of these files.
fn events(arguments: &[&str]) -> Vec<serde_json::Value> {
    let output = rdpscope(&[&["analyze", "--json"][..], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    out(&output).lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
}

#[test]
fn analyze_reports_the_failures_of_a_capture_and_counts_all() {
    let (good, bad) = (capture("ok-xrdp-tls"), capture("cert-corrupt-key"));
    let output = rdpscope(&["analyze", &good, &bad]);
    let text = out(&output);
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
    assert_eq!(text.matches("\n    tls_server_refused_hello_silently  Host took").count(), 1, "{text}");
    assert_eq!(text.matches("stream 0").count(), 1, "{text}");
    assert!(text.contains(" ✓ ok ") && text.contains(" ✗ tls_server_refused_hello_silently "), "{text}");
    assert!(text.contains("127.0.0.1:14303") && !text.contains('\u{1b}'), "{text}");
    let wide = |line: &&str| line.starts_with("    ") && line.chars().count() > 100;
    assert!(!text.lines().any(|line| wide(&line)), "{text}");
    let all = out(&rdpscope(&["analyze", "--all", &good]));
    assert!(all.contains("\n    ok  Session of"), "{all}");
}

#[test]
fn analyze_prints_the_proxys_event_for_each_connection() {
    let file = capture("ok-xrdp-tls");
    let [event] = &events(&[&file])[..] else { panic!("one connection") };
    assert_eq!(event["event"]["action"], "session_end");
    assert_eq!((&event["event"]["code"], &event["event"]["outcome"]), (&"ok".into(), &"success".into()));
    assert_eq!((&event["rdpscope"]["stream"], &event["rdpscope"]["file"]), (&0.into(), &file.clone().into()));
    assert_eq!((&event["rdpscope"]["schema"], &event["rdpscope"]["final"]), (&"1".into(), &true.into()));
    assert!(event["rdp"]["cookie"].as_str().is_some_and(|cookie| cookie.starts_with("hmac-sha256:")), "{event}");
    assert_eq!(events(&[&file])[0]["session"]["id"], event["session"]["id"], "the same each time");
    let plain = events(&["--user-names", "plain", &file]);
    assert_eq!(plain[0]["rdp"]["cookie"], "alice");
    assert!(events(&["--user-names", "drop", &file])[0]["rdp"]["cookie"].is_null());
}

#[test]
fn analyze_takes_one_connection_by_its_number() {
    let file = capture("gw-auto-404");
    assert_eq!(events(&[&file]).len(), 3);
    let one = events(&[&file, "--stream", "1"]);
    assert_eq!((one.len(), &one[0]["rdpscope"]["stream"]), (1, &1.into()));
    let text = out(&rdpscope(&["analyze", &file, "--stream", "2"]));
    assert!(text.starts_with("stream 2 ") && !text.contains("packets:"), "{text}");
    let output = rdpscope(&["analyze", &file, "--stream", "3"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("there is no stream 3; it has 3 TCP connections, 0 to 2"), "{}", err(&output));
    assert_eq!(rdpscope(&["analyze", &file, &file, "--stream", "0"]).status.code(), Some(2));
}

#[test]
fn analyze_says_what_is_wrong_with_a_file_and_reads_the_others() {
    let whole = std::fs::read(capture("ok-xrdp-tls")).expect("a capture");
    let cut = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cut.pcap");
    std::fs::write(&cut, &whole[..whole.len() - 7]).expect("written");
    let (empty, text) = (file("empty.pcap", ""), file("text.pcap", "Not a capture, but long enough to be one."));
    let short = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("short.pcap");
    std::fs::write(&short, &whole[..20]).expect("written");
    let begun = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("begun.pcapng");
    std::fs::write(&begun, [&as_pcapng(&whole)[..4], &[200, 0, 0, 0], &as_pcapng(&whole)[8..100]].concat())
        .expect("written");
    for (path, says) in [
        (begun.to_str(), "begun.pcapng: it ends within the first block of a capture (pcapng)"),
        (empty.to_str(), "empty.pcap: it is empty"),
        (text.to_str(), "text.pcap: neither pcap nor pcapng"),
        (short.to_str(), "short.pcap: it ends within the header of a capture"),
        (Some("/tmp"), "/tmp: a directory, not a capture"),
        (Some("/nowhere/x.pcap"), "/nowhere/x.pcap: No such file or directory"),
    ] {
        let output = rdpscope(&["analyze", path.expect("UTF-8"), &capture("ok-xrdp-tls")]);
        assert_eq!(output.status.code(), Some(1), "{says}");
        assert!(err(&output).contains(says), "{says}: {}", err(&output));
        assert!(out(&output).contains(" ✓ ok "), "{says}: the other file is read");
    }
    let output = rdpscope(&["analyze", cut.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(0), "read in part");
    assert!(err(&output).contains("reading stopped at byte") && err(&output).contains("in the middle of a packet"));
    assert!(out(&output).contains("TCP connections: 1"), "{}", out(&output));
}

#[test]
fn analyze_names_a_link_type_that_it_cannot_read_and_those_that_it_can() {
    let mut bytes = std::fs::read(capture("ok-xrdp-tls")).expect("a capture");
    // LINKTYPE_USER0
    bytes[20..24].copy_from_slice(&147u32.to_le_bytes());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("user0.pcap");
    std::fs::write(&path, &bytes).expect("written");
    let output = rdpscope(&["analyze", path.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(1));
    let said = err(&output);
    assert!(
        said.contains("user0.pcap: no packet can be read: link type 147; those that are read: Ethernet (1)"),
        "{said}"
    );
}

#[test]
fn analyze_says_that_all_it_found_is_inside_of_a_tunnel() {
    let mut bytes = std::fs::read(capture("ok-xrdp-tls")).expect("a capture");
    assert_eq!(bytes[20..24], [1, 0, 0, 0], "Ethernet");
    let mut at = 24;
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().expect("four bytes")) as usize;
        // PPPoE. RFC 2516 4
        bytes[at + 28..at + 30].copy_from_slice(&[0x88, 0x64]);
        at += 16 + length;
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pppoe.pcap");
    std::fs::write(&path, &bytes).expect("written");
    let output = rdpscope(&["analyze", path.to_str().expect("UTF-8")]);
    let said = err(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("pppoe.pcap: no TCP but inside of a tunnel, which is not opened: PPPoE (packets: "),
        "{said}"
    );
}

#[test]
fn analyze_reads_gzip_and_says_where_a_cut_one_ends() {
    use std::io::Write;
    let whole = std::fs::read(capture("ok-xrdp-tls")).expect("a capture");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&whole).expect("memory");
    let bytes = gzip.finish().expect("memory");
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("whole.pcap.gz");
    std::fs::write(&path, &bytes).expect("written");
    let found = events(&[path.to_str().expect("UTF-8")]);
    assert_eq!(found[0]["event"], events(&[&capture("ok-xrdp-tls")])[0]["event"]);
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
    let output = rdpscope(&["analyze", path.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(0));
    assert!(err(&output).contains("it cannot be read further: "), "{}", err(&output));
}

#[test]
fn analyze_says_where_another_capture_begins_behind_the_first_one() {
    let pcap = std::fs::read(capture("ok-xrdp-tls")).expect("a capture");
    let pcapng = as_pcapng(&pcap);
    let wanted = events(&[&capture("ok-xrdp-tls")])[0]["event"].clone();
    let (mut packets, mut at) = (0, 24);
    while at < pcap.len() {
        at += 16 + u32::from_le_bytes(pcap[at + 8..at + 12].try_into().expect("four bytes")) as usize;
        packets += 1;
    }
    for (first, second) in [(&pcap, &pcap), (&pcap, &pcapng), (&pcapng, &pcap)] {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("two.pcap");
        std::fs::write(&path, [&first[..], second].concat()).expect("written");
        let path = path.to_str().expect("UTF-8");
        let said = err(&rdpscope(&["analyze", path]));
        let where_and_what = format!("at byte {}, after {packets} packets: another capture begins there", first.len());
        assert!(said.contains(&where_and_what) && said.contains("mergecap"), "{said}");
        assert_eq!(events(&[path])[0]["event"], wanted);
    }
    // pcapng is made to be put together so.
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("two.pcapng");
    std::fs::write(&path, [&pcapng[..], &pcapng].concat()).expect("written");
    assert_eq!(err(&rdpscope(&["analyze", path.to_str().expect("UTF-8")])), "");
}

#[test]
fn analyze_reads_the_obsolete_packet_blocks_of_pcapng() {
    let mut pcapng = as_pcapng(&std::fs::read(capture("ok-xrdp-tls")).expect("a capture"));
    let mut at = 0;
    while at < pcapng.len() {
        if pcapng[at] == 6 {
            // The type; of the interface's number half becomes a count of lost packets.
            (pcapng[at], pcapng[at + 10]) = (2, 7);
        }
        at += u32::from_le_bytes(pcapng[at + 4..at + 8].try_into().expect("four bytes")) as usize;
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("obsolete.pcapng");
    std::fs::write(&path, pcapng).expect("written");
    let found = events(&[path.to_str().expect("UTF-8")]);
    assert_eq!(found[0]["event"], events(&[&capture("ok-xrdp-tls")])[0]["event"]);
}

#[test]
fn analyze_says_how_to_unpack_what_it_does_not_unpack_itself() {
    for (magic, what, command) in [
        (&b"\xfd7zXZ\0\0\x04"[..], "compressed by xz", "`xz -dc FILE | rdpscope analyze -`"),
        (b"\x28\xb5\x2f\xfd\x04\x58", "compressed by zstd", "`zstd -dc FILE | rdpscope analyze -`"),
        (b"\x04\x22\x4d\x18\x64\x40", "compressed by LZ4", "`lz4 -dc FILE | rdpscope analyze -`"),
        (b"BZh91AY&SY", "compressed by bzip2", "`bzip2 -dc FILE | rdpscope analyze -`"),
        (b"PK\x03\x04\x14\0", "a zip archive", "`unzip -p FILE | rdpscope analyze -`"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "a 7-Zip archive", "`7z x -so FILE | rdpscope analyze -`"),
    ] {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("packed.bin");
        std::fs::write(&path, [magic, &[0; 40]].concat()).expect("written");
        let output = rdpscope(&["analyze", path.to_str().expect("UTF-8")]);
        assert_eq!(output.status.code(), Some(1), "{what}");
        let said = err(&output);
        assert!(said.contains(&format!("packed.bin: {what}, ")) && said.contains(command), "{said}");
    }
}

/// A pcap file, little-endian with microseconds, as the smallest pcapng. draft-ietf-opsawg-pcapng 4
fn as_pcapng(pcap: &[u8]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let length = (body.len().next_multiple_of(4) as u32 + 12).to_le_bytes();
        let mut block = [&kind.to_le_bytes()[..], &length, body].concat();
        block.resize(block.len().next_multiple_of(4), 0);
        [block, length.to_vec()].concat()
    };
    let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().expect("four bytes"));
    let mut pcapng = block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    pcapng.extend(block(1, &[word(20).to_le_bytes(), [0; 4]].concat()));
    let mut at = 24;
    while at + 16 <= pcap.len() {
        let data = &pcap[at + 16..at + 16 + word(at + 8) as usize];
        let time = u64::from(word(at)) * 1_000_000 + u64::from(word(at + 4));
        let words = [0, (time >> 32) as u32, time as u32, word(at + 8), word(at + 12)].map(u32::to_le_bytes);
        pcapng.extend(block(6, &[&words.concat(), data].concat()));
        at += 16 + data.len();
    }
    pcapng
}

#[test]
fn analyze_reads_pcapng_from_a_file_from_gzip_and_from_a_pipe_that_gives_little_at_a_time() {
    use std::io::Write;
    let wanted = events(&[&capture("ok-xrdp-tls")])[0]["event"].clone();
    let pcapng = as_pcapng(&std::fs::read(capture("ok-xrdp-tls")).expect("a capture"));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&pcapng).expect("memory");
    for (name, bytes) in [("whole.pcapng", &pcapng), ("whole.pcapng.gz", &gzip.finish().expect("memory"))] {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, bytes).expect("written");
        assert_eq!(events(&[path.to_str().expect("UTF-8")])[0]["event"], wanted, "{name}");
    }
    let mut command = Command::new(PROGRAM);
    command.args(["analyze", "--json", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let mut input = child.stdin.take().expect("a pipe");
    let (header, rest) = pcapng.split_at(40);
    for byte in header {
        input.write_all(&[*byte]).and_then(|()| input.flush()).expect("written");
    }
    input.write_all(rest).expect("written");
    drop(input);
    let output = child.wait_with_output().expect("ended");
    let event: serde_json::Value =
        serde_json::from_str(out(&output).lines().next().expect("a line")).expect("an event");
    assert_eq!(event["event"], wanted);
}

#[test]
fn analyze_of_a_pipe_tells_of_a_connection_while_the_pipe_is_open() {
    use std::io::Write;
    let mut command = Command::new(PROGRAM);
    command.args(["analyze", "--json", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(&std::fs::read(capture("ok-xrdp-tls")).expect("a capture")).expect("written");
    input.flush().expect("written");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    // The pipe stays open, and silent.
    let line = lines.next().expect("a line").expect("UTF-8");
    let event: serde_json::Value = serde_json::from_str(&line).expect("an event");
    assert_eq!((&event["event"]["code"], &event["rdpscope"]["file"]), (&"ok".into(), &"standard input".into()));
    drop(input);
    assert!(lines.next().is_none());
    assert!(child.wait().expect("ended").success());
}

#[test]
fn analyze_of_packets_that_are_cut_short_blames_nobody_and_says_once_how_to_take_whole_ones() {
    let whole = std::fs::read(capture("ok-xrdp-tls")).expect("a capture");
    let word = |at: usize| u32::from_le_bytes(whole[at..at + 4].try_into().expect("four bytes"));
    let (mut cut, mut at) = (whole[..24].to_vec(), 24);
    while at < whole.len() {
        let length = word(at + 8) as usize;
        let kept = length.min(128);
        cut.extend([&whole[at..at + 8], &(kept as u32).to_le_bytes(), &whole[at + 12..at + 16 + kept]].concat());
        at += 16 + length;
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("snapped.pcap");
    std::fs::write(&path, cut).expect("written");
    let path = path.to_str().expect("UTF-8");
    let output = rdpscope(&["analyze", path]);
    let (text, said) = (out(&output), err(&output));
    assert_eq!((output.status.code(), said.lines().count()), (Some(0), 1), "{said}");
    assert!(said.contains("packets of which only the beginning was captured: ") && said.contains("`tcpdump -s 0`"));
    assert!(text.contains(" · capture_incomplete ") && !text.contains('✗'), "{text}");
    let event = &events(&[path])[0];
    assert_eq!(
        (&event["event"]["code"], &event["event"]["outcome"]),
        (&"capture_incomplete".into(), &"unknown".into())
    );
    assert!(event["rdpscope"]["evidence"].to_string().contains("`tcpdump -s 0`"), "{event}");
}

/// `analyze -` that has read a capture and told of its failure, and its end of the pipe.
fn in_the_middle_of_a_pipe() -> (std::process::Child, std::process::ChildStdin, BufReader<std::process::ChildStdout>) {
    use std::io::Write;
    // A run in the background of a script ignores SIGINT, and hands that down.
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", PROGRAM, "analyze", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let mut input = child.stdin.take().expect("a pipe");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    input.write_all(&std::fs::read(capture("cert-corrupt-key")).expect("a capture")).expect("written");
    let mut line = String::new();
    output.read_line(&mut line).expect("the report of the failure");
    assert!(line.contains("stream 0"), "{line}");
    (child, input, output)
}

fn interrupt(child: &std::process::Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(status.success());
}

/// As the terminal does for `tcpdump | rdpscope analyze -`: both get the signal, and tcpdump closes the pipe.
#[test]
fn analyze_of_a_pipe_prints_its_table_when_the_terminal_interrupts_both_ends_of_it() {
    use std::io::Read;
    let (mut child, input, mut output) = in_the_middle_of_a_pipe();
    interrupt(&child);
    drop(input);
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("text");
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    assert!(rest.contains("TCP connections: 1") && rest.contains(" \u{2717} "), "{rest}");
}

#[test]
fn analyze_of_a_pipe_that_its_writer_keeps_open_ends_at_the_second_interrupt() {
    use std::os::unix::process::ExitStatusExt;
    let (mut child, input, _output) = in_the_middle_of_a_pipe();
    // SigCgt of proc(5): two signals of one kind that come together are one.
    let catches = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it lives");
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a mask").trim();
        u64::from_str_radix(mask, 16).expect("hexadecimal") & 2 != 0
    };
    assert!(catches(), "the first one is to be outlived");
    interrupt(&child);
    let begun = std::time::Instant::now();
    while catches() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "the first one was not taken");
        std::thread::yield_now();
    }
    interrupt(&child);
    assert_eq!(child.wait().expect("ended").signal(), Some(2));
    drop(input);
}
