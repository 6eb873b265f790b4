//! Captures of real RDP peers (xrdp, FreeRDP, rdesktop, OpenSSL, GnuTLS) with known faults: every connection must get the
//! verdict that `lab/truth.tsv` names for an observer who only passes bytes.

use crate::data;
use crate::replay;
use parser::diagnosis::{Confidence, Outcome, Verdict};
use parser::session::Timeline;
use rdpscope::analyze::analysis::Finding;
use std::collections::HashMap;

/// One row of `truth.tsv`.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) capture: String,
    pub(crate) connection: usize,
    outcome: String,
    causes: Vec<String>,
    sides: Vec<String>,
    phases: Vec<String>,
    close_first: String,
    close_kind: String,
    pub(crate) most: Confidence,
    /// Causes once the host has been probed, joined by `|`; `=` when that changes nothing.
    pub(crate) with_profile: String,
    pub(crate) confidence_with_profile: String,
}

/// The rows, in the order of the file.
pub(crate) fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(data("lab/truth.tsv")).unwrap();
    let split = |field: &str| field.split('|').map(str::to_owned).collect();
    text.lines()
        .skip(1)
        .map(|line| {
            let f: Vec<&str> = line.split('\t').collect();
            Row {
                capture: f[0].into(),
                connection: f[1].parse().unwrap(),
                outcome: f[2].into(),
                causes: split(f[3]),
                sides: split(f[4]),
                phases: split(f[5]),
                close_first: f[6].into(),
                close_kind: f[7].into(),
                most: match f[8] {
                    "proven" => Confidence::Proven,
                    "likely" => Confidence::Likely,
                    "possible" => Confidence::Possible,
                    other => panic!("confidence {other}"),
                },
                with_profile: f[9].into(),
                confidence_with_profile: f[10].into(),
            }
        })
        .collect()
}

/// Server port per capture.
pub(crate) fn ports() -> HashMap<String, u16> {
    let text = std::fs::read_to_string(data("lab/MANIFEST.tsv")).unwrap();
    text.lines()
        .skip(1)
        .map(|line| {
            let mut fields = line.split('\t');
            (fields.next().unwrap().to_owned(), fields.next().unwrap().parse().unwrap())
        })
        .collect()
}

/// The connections of a capture to its server port.
pub(crate) fn connections(capture: &str, port: u16) -> Vec<Finding> {
    let file = data("lab").join(format!("{capture}.pcap"));
    replay::findings(&file).into_iter().filter(|found| found.record.identity.local.port() == port).collect()
}

#[test]
fn every_lab_connection_gets_the_verdict_it_must_get() {
    let ports = ports();
    let mut wrong = Vec::new();
    let rows = rows();
    for row in &rows {
        let found = connections(&row.capture, ports[&row.capture]);
        let Some(stream) = found.get(row.connection - 1) else {
            wrong.push(format!("{} {}: only {} connections", row.capture, row.connection, found.len()));
            continue;
        };
        let verdict = &stream.record.verdict;
        let complaints = row.complaints(&stream.record.timeline, verdict);
        if !complaints.is_empty() {
            wrong.push(format!(
                "{} {}: {}\n    {}\n    evidence {:?}\n    must be {:?}",
                row.capture,
                row.connection,
                complaints.join("; "),
                verdict.message,
                verdict.evidence,
                row.causes
            ));
        }
    }
    assert!(rows.len() >= 136, "{} rows", rows.len());
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn every_lab_verdict_can_be_read_by_a_person() {
    let ports = ports();
    for row in rows() {
        let finding = connections(&row.capture, ports[&row.capture]).swap_remove(row.connection - 1);
        let (timeline, verdict) = (finding.record.timeline, finding.record.verdict);
        let name = format!("{} {}", row.capture, row.connection);
        assert!(!verdict.message.is_empty() && !verdict.message.contains('\n'), "{name}: {}", verdict.message);
        assert!(verdict.message.len() < 260, "{name}: {}", verdict.message);
        assert!(!verdict.evidence.is_empty(), "{name}: evidence");
        assert!(verdict.evidence.iter().all(|e| e.ends_with('.') && e.len() > 8), "{name}: {:?}", verdict.evidence);
        assert!(!verdict.alternatives.contains(&verdict.cause), "{name}: {:?}", verdict.alternatives);
        assert!(
            verdict.alternatives.is_empty() || verdict.confidence < Confidence::Proven,
            "{name}: proven with rivals"
        );
        if std::env::var_os("GOLDEN_PRINT").is_some() {
            println!(
                "{name:32} {:9} {} [{}] {}\n        {}",
                verdict.cause.id(),
                verdict.confidence.name(),
                verdict.phase,
                verdict.side.name(),
                verdict.message
            );
            println!("        {:?} {:?}", verdict.evidence, verdict.alternatives);
        }
        if verdict.outcome() == Outcome::Failure {
            assert!(!verdict.remedy.is_empty(), "{name}: remedy");
        }
        // The user name of the cookie belongs into no text.
        if let Some(user) = timeline.request.as_ref().and_then(|r| r.cookie.as_deref()).filter(|u| u.len() > 3) {
            let text = format!("{} {:?} {:?}", verdict.message, verdict.evidence, verdict.remedy);
            assert!(!text.contains(user), "{name}: {text}");
        }
    }
}

impl Row {
    /// Its user was stopped.
    pub(crate) fn failed(&self) -> bool {
        self.outcome == "failure"
    }

    /// Its user was served.
    pub(crate) fn worked(&self) -> bool {
        self.outcome == "success"
    }

    /// Whether cause, side, phase and first close are what they must be.
    pub(crate) fn judged(&self, timeline: &Timeline, verdict: &Verdict) -> [bool; 4] {
        let one_of = |got: &str, allowed: &[String]| allowed.iter().any(|name| name == got || name == "any");
        let close = timeline.first_close().map_or(("none", "none"), |close| (close.by.name(), close.kind.name()));
        [
            one_of(verdict.cause.id(), &self.causes),
            one_of(verdict.side.name(), &self.sides),
            one_of(verdict.phase.name(), &self.phases),
            close == (self.close_first.as_str(), self.close_kind.as_str()),
        ]
    }

    fn complaints(&self, timeline: &Timeline, verdict: &Verdict) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut check = |what: &str, got: &str, allowed: &[String]| {
            if !allowed.iter().any(|a| a == got || a == "any") {
                complaints.push(format!("{what} {got}, not {}", allowed.join("|")));
            }
        };
        check("cause", verdict.cause.id(), &self.causes);
        check("side", verdict.side.name(), &self.sides);
        check("phase", verdict.phase.name(), &self.phases);
        check("outcome", verdict.outcome().name(), core::slice::from_ref(&self.outcome));
        let close = timeline.first_close();
        check("close", close.map_or("none", |c| c.by.name()), core::slice::from_ref(&self.close_first));
        check("close kind", close.map_or("none", |c| c.kind.name()), core::slice::from_ref(&self.close_kind));
        if verdict.confidence > self.most {
            complaints.push(format!("{} is more than {}", verdict.confidence.name(), self.most.name()));
        }
        complaints
    }
}
