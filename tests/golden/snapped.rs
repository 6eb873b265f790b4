//! Captures taken with a snap length (`tcpdump -s N`), and captures that lack packets: what is not there blames nobody.
//!
//! The captures of the lab, of which the truth is known, are cut to so many bytes of each packet. No connection that worked
//! may become one that failed, and none that failed may get a cause that is not the truth: less may be told, never
//! something else.

use crate::lab::{self, Row};
use crate::replay;
use parser::diagnosis::{Cause, Confidence, Outcome};
use parser::session::CloseKind;
use rdpscope::analyze::analysis::{Analysis, Finding, Telling};
use rdpscope::analyze::capture::{self, Step, Summary};
use rdpscope::analyze::packet::Packet;
use rdpscope::analyze::source::Source;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::ControlFlow;

/// Bytes kept of each packet. Headers of Ethernet, IPv4 and TCP are 54 to 94 of them; 68 and 96 were tcpdump's own default
/// once, and leave nothing of a ClientHello.
const SNAP_LENGTHS: [usize; 8] = [68, 96, 128, 200, 256, 400, 700, 1_000];

/// A record of a capture file: where it begins, and how many bytes of a packet it holds.
fn records(file: &[u8]) -> Vec<(usize, usize)> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!(word(0), 0xa1b2_c3d4, "the lab's files are little-endian, with microseconds");
    let mut records = Vec::new();
    let mut at = 24;
    while at < file.len() {
        let length = word(at + 8) as usize;
        records.push((at, length));
        at += 16 + length;
    }
    records
}

/// The same capture, taken with `tcpdump -s snap`.
fn snapped(file: &[u8], snap: usize) -> Vec<u8> {
    let mut cut = file[..24].to_vec();
    cut[16..20].copy_from_slice(&(snap as u32).to_le_bytes());
    for (at, length) in records(file) {
        let kept = length.min(snap);
        cut.extend(&file[at..at + 8]);
        cut.extend((kept as u32).to_le_bytes());
        cut.extend(&file[at + 12..at + 16 + kept]);
    }
    cut
}

/// The same capture without some of its packets.
fn without(file: &[u8], lost: impl Fn(usize) -> bool) -> Vec<u8> {
    let mut left = file[..24].to_vec();
    for (number, (at, length)) in records(file).into_iter().enumerate() {
        if !lost(number) {
            left.extend(&file[at..at + 16 + length]);
        }
    }
    left
}

/// The connections of a capture to `port`, in the order of their first segments.
fn judged(file: Vec<u8>, port: u16) -> (Vec<Finding>, Summary) {
    let mut analysis = Analysis::new(Telling::Once);
    let mut found = Vec::new();
    let summary = capture::read(Source::of_bytes("a capture", file).unwrap(), |step| {
        if let Step::Packet(packet) = step {
            analysis.packet(&packet, &mut |finding| found.push(finding));
        }
        ControlFlow::Continue(())
    });
    analysis.finish(&mut |finding| found.push(finding));
    found.retain(|finding| finding.record.identity.local.port() == port);
    found.sort_by_key(|finding| finding.stream);
    (found, summary.unwrap())
}

/// What is wrong with this verdict, if anything.
fn complaint(row: &Row, finding: &Finding) -> Option<String> {
    let verdict = &finding.record.verdict;
    let told = verdict.cause != Cause::CaptureIncomplete;
    let [cause, side, phase, _] = row.judged(&finding.record.timeline, verdict);
    let healed = verdict.outcome() == Outcome::Success && !row.worked();
    let wrong = match told {
        _ if verdict.outcome() == Outcome::Failure && !row.failed() => "is a failure",
        _ if healed => "is no failure",
        // A session of some length that cannot be followed is told by its volume.
        true if verdict.cause == Cause::Ok && row.worked() => return None,
        true if !cause => "has another cause",
        true if !side => "is blamed on another side",
        true if !phase && verdict.cause != Cause::Ok => "ended elsewhere",
        _ if verdict.confidence > row.most => "is too sure",
        _ => return None,
    };
    Some(format!(
        "{} {} {wrong}: {} ({}, {} in {})\n    {}\n    {:?}",
        row.capture,
        row.connection,
        verdict.cause,
        verdict.confidence.name(),
        verdict.side.name(),
        verdict.phase,
        verdict.message,
        verdict.evidence
    ))
}

#[test]
fn what_a_snap_length_cut_off_makes_no_failure_and_no_other_cause() {
    let ports = lab::ports();
    let rows = lab::rows();
    let mut by_capture: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in &rows {
        by_capture.entry(&row.capture).or_default().push(row);
    }
    let mut wrong = Vec::new();
    let mut table = String::from("| bytes kept | the same cause | less | `capture_incomplete` |\n|---|---|---|---|\n");
    for snap in SNAP_LENGTHS {
        let (mut same, mut less, mut incomplete) = (0, 0, 0);
        for (name, rows) in &by_capture {
            let port = ports[*name];
            let file = std::fs::read(crate::data("lab").join(format!("{name}.pcap"))).unwrap();
            let (whole, _) = judged(file.clone(), port);
            let (found, summary) = judged(snapped(&file, snap), port);
            let cut = records(&file).iter().filter(|(_, length)| *length > snap).count() as u64;
            let complaints = summary.complaints();
            let said = complaints.iter().filter(|said| said.contains("tcpdump -s 0")).count();
            assert_eq!((summary.cut_short, said, complaints.len()), (cut, usize::from(cut > 0), usize::from(cut > 0)));
            for row in rows {
                let Some(finding) = found.get(row.connection - 1) else {
                    // Nothing but packets whose headers were cut: as if it had not been.
                    assert!(snap < 94, "{name} {snap}: only {} connections", found.len());
                    incomplete += 1;
                    continue;
                };
                let verdict = &finding.record.verdict;
                wrong.extend(complaint(row, finding).map(|complaint| format!("{snap} bytes: {complaint}")));
                let facts = finding.record.timeline.packets.as_deref().unwrap();
                let cut = facts.sent.client.cut_packets + facts.sent.host.cut_packets;
                let said = verdict.evidence.iter().filter(|said| said.contains("tcpdump -s 0")).count();
                assert_eq!(said, usize::from(cut > 0), "{name} {snap}: {:?}", verdict.evidence);
                assert!(verdict.cause != Cause::CaptureIncomplete || cut > 0 || snap < 94, "{name} {snap}: whole");
                match verdict.cause {
                    cause if cause == whole[row.connection - 1].record.verdict.cause => same += 1,
                    Cause::CaptureIncomplete => incomplete += 1,
                    _ => less += 1,
                }
            }
        }
        let _ = writeln!(table, "| {snap} | {same} | {less} | {incomplete} |");
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    crate::kept("snapped", &table);
}

#[test]
fn packets_that_a_capture_lacks_make_no_failure_of_a_session_that_worked() {
    let ports = lab::ports();
    let mut wrong = Vec::new();
    let mut tried = 0;
    for row in lab::rows().iter().filter(|row| row.worked()) {
        let file = std::fs::read(crate::data("lab").join(format!("{}.pcap", row.capture))).unwrap();
        let all = records(&file);
        // Each of the opening alone, and each run of three.
        for first in 3..all.len().min(40) {
            for run in [1, 3] {
                let left = without(&file, |number| (first..first + run).contains(&number));
                let (found, _) = judged(left, ports[&row.capture]);
                tried += 1;
                wrong.extend(found.get(row.connection - 1).and_then(|finding| {
                    let failed = finding.record.verdict.outcome() == Outcome::Failure;
                    failed
                        .then(|| complaint(row, finding))
                        .flatten()
                        .map(|complaint| format!("{first}+{run}: {complaint}"))
                }));
            }
        }
    }
    assert!(tried > 1_000, "{tried}");
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Of each packet, whether it is one of the client's.
fn sent_by_client(file: &[u8], port: u16) -> Vec<bool> {
    let mut sent = Vec::new();
    let summary = capture::read(Source::of_bytes("a capture", file.to_vec()).unwrap(), |step| {
        if let Step::Packet(Packet::Segment(segment)) = step {
            sent.push(segment.to.port() == port);
        }
        ControlFlow::Continue(())
    });
    assert_eq!(summary.unwrap().packets, sent.len() as u64, "nothing but segments");
    sent
}

#[test]
fn a_capture_that_lacks_the_beginning_or_one_direction_makes_no_failure_of_a_session_that_worked() {
    let ports = lab::ports();
    let (mut judgements, mut wrong) = (0, Vec::new());
    for row in lab::rows().iter().filter(|row| row.worked()) {
        let file = std::fs::read(crate::data("lab").join(format!("{}.pcap", row.capture))).unwrap();
        let by_client = sent_by_client(&file, ports[&row.capture]);
        let late = (1..by_client.len().min(60)).map(|first| (format!("from {first}"), without(&file, |n| n < first)));
        let half = [true, false].map(|lost| (format!("client lost: {lost}"), without(&file, |n| by_client[n] == lost)));
        for (what, left) in late.chain(half) {
            let (found, _) = judged(left, ports[&row.capture]);
            for verdict in found.iter().map(|finding| &finding.record.verdict) {
                judgements += 1;
                // Nor is anything of it proven, where its beginning is not there.
                let sure = what.starts_with("from") && verdict.confidence == Confidence::Proven;
                if verdict.outcome() != Outcome::Failure && !sure {
                    continue;
                }
                wrong.push(format!("{} {what}: {} {:?}", row.capture, verdict.cause, verdict.evidence));
            }
        }
    }
    assert!(judgements > 500, "{judgements}");
    assert!(wrong.is_empty(), "{} of {judgements}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_reset_after_which_both_ends_go_on_makes_no_failure_of_a_session_that_worked() {
    let mut tried = 0;
    for name in ["ok-xrdp-tls", "ok-xrdp-rdp-none", "ok-shadow-nla", "gws-ws-ok"] {
        let all = replay::segments(&crate::data("lab").join(format!("{name}.pcap")));
        let wanted = replay::analyzed(&all)[0].record.verdict.cause;
        for (number, behind) in (6..all.len() - 12).flat_map(|number| [(number, 0), (number, 1 << 20)]) {
            let reset = all[number].reset(behind);
            // Its sender says more, and the other end says after it that it has that.
            let from = reset.segment().from;
            let more = all[number + 1..]
                .iter()
                .position(|one| one.segment().from == from && !one.segment().payload.is_empty());
            let Some(more) = more.map(|more| number + 1 + more) else { continue };
            if !all[more + 1..].iter().any(|one| one.segment().to == from && !one.segment().fin) {
                continue;
            }
            let mut changed = all.clone();
            changed[number + 1..].iter_mut().for_each(|later| later.at().0 += 2_000_000_000);
            changed.insert(number + 1, reset);
            tried += 1;
            let verdict = &replay::analyzed(&changed)[0].record.verdict;
            assert_eq!(verdict.cause, wanted, "{name} {number} {behind}: {:?}", verdict.evidence);
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn a_capture_that_lacks_its_beginning_its_end_one_packet_or_one_direction_gives_no_failure_another_cause() {
    let (ports, rows) = (lab::ports(), lab::rows());
    let (mut judgements, mut wrong) = (0, Vec::new());
    // One connection in the file, so that it is the same one whatever is lost.
    let alone = |row: &&Row| rows.iter().filter(|other| other.capture == row.capture).count() == 1;
    for row in rows.iter().filter(alone).filter(|row| row.failed()) {
        let port = ports[&row.capture];
        let file = std::fs::read(crate::data("lab").join(format!("{}.pcap", row.capture))).unwrap();
        let by_client = sent_by_client(&file, port);
        let count = by_client.len().min(40);
        let late = (1..count).map(|first| (format!("from {first}"), without(&file, |n| n < first)));
        let early = (1..count).map(|end| (format!("before {end}"), without(&file, |n| n >= end)));
        let end = by_client.len();
        let one = (0..count)
            .chain(end.saturating_sub(20).max(count)..end)
            .map(|lost| (format!("without {lost}"), without(&file, |n| n == lost)));
        let half = [true, false].map(|lost| (format!("client lost: {lost}"), without(&file, |n| by_client[n] == lost)));
        for (what, left) in late.chain(early).chain(one).chain(half) {
            for finding in &judged(left, port).0 {
                // Before a reset a packet can be lost without a trace: nothing after it acknowledges what was in it. And where no
                // end is left, the lost packet was the reset.
                let reset = finding.record.timeline.first_close().is_none_or(|close| close.kind == CloseKind::Rst);
                if what.starts_with("without") && reset {
                    continue;
                }
                judgements += 1;
                wrong.extend(complaint(row, finding).map(|said| format!("{what}: {said}")));
            }
        }
    }
    assert!(judgements > 500, "{judgements}");
    assert!(wrong.is_empty(), "{} of {judgements}:\n{}", wrong.len(), wrong.join("\n"));
}
