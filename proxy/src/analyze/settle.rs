//! Which connections of a capture belong to one attempt of a client, and when a verdict is final.
//!
//! A connection is told some time after it was over, so what happened is put in the order of its times first.

use super::analysis::Finding;
use crate::record::Attempt;
use parser::Timestamp;
use parser::diagnosis::{Attempts, Marks};
use parser::session::Phase;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Findings that wait for the client's next connection. One has some six kilobytes. Past it they are told as they are.
const WAITING: usize = 1_024;
/// Steps that wait for their turn, and findings among them. Past it they are taken at once.
const STEPS: usize = 65_536;
const FINDINGS: usize = 2_048;

/// What happened.
#[derive(Debug)]
pub(super) enum Step {
    Opened {
        id: u128,
        client: IpAddr,
        target: Arc<str>,
    },
    Reached {
        id: u128,
        phase: Phase,
        marks: Marks,
    },
    /// It has shown more of itself.
    Shown {
        id: u128,
        marks: Marks,
    },
    Ended(Box<Finding>),
}

/// Puts connections together.
#[derive(Debug, Default)]
pub(super) struct Settle {
    attempts: Attempts,
    steps: BTreeMap<(Timestamp, u64), Step>,
    /// Findings among `steps`.
    findings: usize,
    count: u64,
    /// Ended; the next connection of their client may change what is said of them.
    waiting: BTreeMap<u128, Finding>,
    /// Findings are told at once and again when they change, instead of once when they are final.
    at_once: bool,
    /// How far back something may still be told.
    behind: Duration,
}

impl Settle {
    /// What is noted comes at most `behind` after it happened.
    pub(super) fn new(at_once: bool, behind: Duration) -> Settle {
        Settle { at_once, behind, ..Settle::default() }
    }

    /// Notes that something happened at this time.
    pub(super) fn note(&mut self, at: Timestamp, step: Step) {
        self.count += 1;
        self.findings += usize::from(matches!(step, Step::Ended(_)));
        self.steps.insert((at, self.count), step);
    }

    /// More waits than there is room for.
    pub(super) fn is_full(&self) -> bool {
        self.steps.len() > STEPS || self.findings > FINDINGS
    }

    /// It is this late: what is in order by now is told.
    pub(super) fn pass_time(&mut self, now: Timestamp, tell: &mut impl FnMut(Finding)) {
        self.pass(Timestamp(now.0.saturating_sub(self.behind.as_nanos() as u64)), tell);
    }

    /// The capture is at its end: everything is told, also of a packet that claims to be of the last moment there is.
    pub(super) fn finish(&mut self, tell: &mut impl FnMut(Finding)) {
        self.pass(Timestamp(u64::MAX), tell);
        for (_, finding) in std::mem::take(&mut self.waiting) {
            self.stands(finding, tell);
        }
    }

    fn pass(&mut self, until: Timestamp, tell: &mut impl FnMut(Finding)) {
        while let Some(first) = self.steps.first_entry() {
            let at = first.key().0;
            if at > until && !self.is_full() {
                return;
            }
            let Some((_, step)) = self.steps.pop_first() else { return };
            self.findings -= usize::from(matches!(step, Step::Ended(_)));
            self.expire(at, tell);
            self.take(at, step, tell);
        }
        self.expire(until, tell);
    }

    fn take(&mut self, at: Timestamp, step: Step, tell: &mut impl FnMut(Finding)) {
        match step {
            Step::Opened { id, client, target } => self.attempts.opened(id, client, target, at),
            Step::Reached { id, phase, marks } => {
                for revision in self.attempts.reached(id, phase, marks, at) {
                    if let Some(mut finding) = self.waiting.remove(&revision.session) {
                        finding.record.verdict = revision.verdict;
                        (finding.is_final, finding.revised) = (true, self.at_once);
                        tell(finding);
                    }
                }
            }
            Step::Shown { id, marks } => self.attempts.shown(id, marks),
            Step::Ended(finding) => self.ended(*finding, at, tell),
        }
    }

    fn ended(&mut self, mut finding: Finding, at: Timestamp, tell: &mut impl FnMut(Finding)) {
        let id = finding.record.identity.id.as_u128();
        let record = &mut finding.record;
        if let Some(verdict) = self.attempts.beside(id, &record.verdict, &record.timeline) {
            record.verdict = verdict;
        }
        let placement = self.attempts.ended(id, &finding.record.verdict, &finding.record.timeline, at);
        finding.attempt = Attempt {
            id: Uuid::from_u128(placement.attempt),
            number: u32::from(placement.number),
            previous_session: placement.previous.map(Uuid::from_u128),
        };
        finding.is_final = placement.may_be_revised.is_none() || self.waiting.len() >= WAITING;
        if finding.is_final {
            return tell(finding);
        }
        if self.at_once {
            tell(finding.clone());
        }
        self.waiting.insert(id, finding);
    }

    fn expire(&mut self, now: Timestamp, tell: &mut impl FnMut(Finding)) {
        for session in self.attempts.expire(now).sessions {
            if let Some(finding) = self.waiting.remove(&session) {
                self.stands(finding, tell);
            }
        }
    }

    /// Nothing has changed it.
    fn stands(&self, mut finding: Finding, tell: &mut impl FnMut(Finding)) {
        if !self.at_once {
            finding.is_final = true;
            tell(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixture;
    use parser::diagnosis::{Cause, diagnose};
    use parser::session::{Close, CloseKind, Closer, Opening, Peer, Progress, Timeline, Traffic};

    fn second(s: u64) -> Timestamp {
        Timestamp(s * 1_000_000_000)
    }

    /// A finding on the half of a gateway session that carries what `carries` says.
    fn half(id: u128, carries: Peer, closed: (Closer, u64)) -> Box<Finding> {
        let (by, at) = closed;
        let mut timeline = Timeline { opening: Opening::TlsFirst, ..Timeline::default() };
        timeline.progress = Progress { active: Some(second(2)), ..Progress::default() };
        timeline.traffic[carries] = Traffic { bytes: 9_000, records: 40, ..Traffic::default() };
        (timeline.tail.client.known, timeline.tail.host.known) = (true, true);
        timeline.closes.push(Close { by, kind: CloseKind::Fin, at: second(at) });
        let mut record = fixture::record(id, Cause::Ok);
        record.verdict = diagnose(&timeline);
        record.timeline = timeline;
        let attempt = Attempt { id: record.identity.id, number: 1, previous_session: None };
        Box::new(Finding { stream: id as u64, record, attempt, other_leg: None, is_final: true, revised: false })
    }

    /// IN is over before OUT is, and was cut by the gateway; what `of_out` is told while OUT goes on.
    fn in_comes_to(of_out: Closer) -> Cause {
        let mut settle = Settle::new(false, Duration::ZERO);
        let (out, inward) = (half(1, Peer::Host, (of_out, 8)), half(2, Peer::Client, (Closer::Host, 9)));
        let ids = [&out, &inward].map(|finding| finding.record.identity.id.as_u128());
        for id in ids {
            let opened = Step::Opened { id, client: IpAddr::from([192, 0, 2, 1]), target: Arc::from("gw:443") };
            settle.note(second(1), opened);
        }
        settle.note(second(8), Step::Shown { id: ids[0], marks: Marks::of(&out.record.timeline) });
        settle.note(second(9), Step::Ended(inward));
        settle.note(second(10), Step::Ended(out));
        let mut causes = BTreeMap::new();
        settle.finish(&mut |finding| _ = causes.insert(finding.stream, finding.record.verdict.cause));
        causes[&2]
    }

    #[test]
    fn a_packet_of_the_last_moment_there_is_is_told_too() {
        let mut settle = Settle::new(false, Duration::from_secs(31));
        let mut finding = half(1, Peer::Host, (Closer::Client, 8));
        finding.record.ended = Timestamp(u64::MAX);
        let id = finding.record.identity.id.as_u128();
        let opened = Step::Opened { id, client: IpAddr::from([192, 0, 2, 1]), target: Arc::from("gw:443") };
        settle.note(Timestamp(u64::MAX), opened);
        settle.note(Timestamp(u64::MAX), Step::Ended(finding));
        let mut told = 0;
        settle.finish(&mut |_| told += 1);
        assert_eq!(told, 1);
    }

    #[test]
    fn a_gateway_connection_is_judged_beside_the_other_one_of_its_session() {
        assert_eq!(in_comes_to(Closer::Client), Cause::Ok);
        assert_eq!(in_comes_to(Closer::Host), Cause::HostClosedActive);
    }
}
