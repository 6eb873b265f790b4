//! However a recorded stream is cut into segments, mixed up, sent twice and made to overlap: the report is the same.

use crate::replay::{Recorded, analyzed, segments};
use crate::{captures, data};
use parser::diagnosis::{Verdict, diagnose};
use parser::session::{PerPeer, Timeline};
use proptest::prelude::*;
use rdpscope::analyze::analysis::Finding;
use std::sync::LazyLock;

/// The captures of the lab, segment by segment.
static LAB: LazyLock<Vec<Vec<Recorded>>> =
    LazyLock::new(|| captures(&data("lab")).iter().map(|path| segments(path)).collect());

/// Numbers that decide, again and again.
struct Dice<'a>(std::iter::Cycle<std::slice::Iter<'a, u8>>);

impl Dice<'_> {
    fn below(&mut self, limit: usize) -> usize {
        let mut roll = || usize::from(*self.0.next().unwrap());
        (roll() << 8 | roll()) % limit.max(1)
    }
}

/// Each segment as several, mixed up and overlapping, all at the time of the one.
fn broken_up(whole: &[Recorded], dice: &mut Dice<'_>) -> Vec<Recorded> {
    let mut all = Vec::new();
    for recorded in whole {
        let length = recorded.segment().payload.len();
        let mut cuts: Vec<usize> = (0..dice.below(5)).map(|_| dice.below(length)).chain([0, length]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let mut pieces: Vec<Recorded> =
            cuts.windows(2).map(|ends| recorded.part(ends[0] - dice.below(ends[0].min(40) + 1), ends[1])).collect();
        if pieces.len() > 1 {
            for _ in 0..dice.below(3) {
                let again = pieces[dice.below(pieces.len())].clone();
                pieces.push(again);
            }
            for at in 0..pieces.len() {
                let other = dice.below(pieces.len());
                pieces.swap(at, other);
            }
            all.extend(pieces);
        } else {
            all.push(recorded.clone());
        }
    }
    all
}

/// Segments of one direction that follow each other, in another order; each keeps its place in time.
fn reordered(whole: &[Recorded], dice: &mut Dice<'_>) -> Vec<Recorded> {
    let mut all = whole.to_vec();
    for at in 1..all.len() {
        let (before, now) = (all[at - 1].segment(), all[at].segment());
        let plain = |s: &rdpscope::analyze::packet::Segment<'_>| !s.payload.is_empty() && !s.fin && !s.syn && !s.rst;
        if before.from == now.from && plain(&before) && plain(&now) && dice.below(3) > 0 {
            let (first, second) = (before.at, now.at);
            all.swap(at - 1, at);
            (*all[at - 1].at(), *all[at].at()) = (first, second);
        }
    }
    all
}

/// What is told, but for what packets show beside their bytes: that is what was changed.
fn report(found: &[Finding]) -> Vec<(Timeline, Verdict)> {
    let plain = |finding: &Finding| {
        let mut timeline = finding.record.timeline.clone();
        (timeline.packets, timeline.tcp) = (None, PerPeer::default());
        let verdict = diagnose(&timeline);
        (timeline, verdict)
    };
    found.iter().map(plain).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_segmentation_with_duplicates_and_overlaps_gives_the_same_report(
        which: prop::sample::Index,
        dice in proptest::collection::vec(any::<u8>(), 64..256),
    ) {
        let whole = which.get(&LAB);
        let changed = broken_up(whole, &mut Dice(dice.iter().cycle()));
        prop_assert_eq!(report(&analyzed(&changed)), report(&analyzed(whole)));
    }

    #[test]
    fn reordering_within_a_window_changes_no_verdict(
        which: prop::sample::Index,
        dice in proptest::collection::vec(any::<u8>(), 64..256),
    ) {
        let whole = which.get(&LAB);
        let changed = reordered(whole, &mut Dice(dice.iter().cycle()));
        let short = |found: &[Finding]| -> Vec<_> {
            let of = |(timeline, verdict): (Timeline, Verdict)| {
                (verdict.cause, verdict.side, verdict.phase, verdict.confidence, timeline.traffic.client.bytes, timeline.traffic.host.bytes)
            };
            report(found).into_iter().map(of).collect()
        };
        prop_assert_eq!(short(&analyzed(&changed)), short(&analyzed(whole)));
    }
}
