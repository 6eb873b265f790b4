//! However a capture mixes up its packets and its times: what answers what is told by the acknowledgments, and the verdict is
//! the same.

use crate::replay::{Recorded, analyzed, segments};
use crate::{captures, data};
use parser::Timestamp;
use parser::diagnosis::{Cause, Confidence, Side};
use parser::session::Phase;
use rdpscope::analyze::packet::Segment;
use std::path::Path;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
const SECOND: u64 = 1_000 * MILLISECOND;

type Told = Vec<(Cause, Side, Phase, Confidence)>;

fn told(segments: &[Recorded]) -> Told {
    let found = analyzed(segments);
    let verdicts = found.iter().map(|finding| &finding.record.verdict);
    verdicts.map(|verdict| (verdict.cause, verdict.side, verdict.phase, verdict.confidence)).collect()
}

/// Each capture of the lab changed by `change`, in all the ways it gives: what is told must be what was told before.
fn unchanged(change: impl Fn(&[Recorded]) -> Vec<(String, Vec<Recorded>)>) {
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for path in captures(&data("lab")) {
        let whole = segments(&path);
        let before = told(&whole);
        for (what, changed) in change(&whole) {
            tried += 1;
            let after = told(&changed);
            if after != before {
                wrong.push(format!("{}, {what}: {after:?}, not {before:?}", name(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {tried} differ\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried > 90, "{tried}");
}

fn name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_stem().unwrap_or_default().to_string_lossy()
}

/// Some places of a capture, its beginning among them.
fn places(whole: &[Recorded]) -> impl Iterator<Item = usize> {
    (1..whole.len()).step_by(whole.len() / 12 + 1)
}

/// Behind the last byte of a segment, its SYN or FIN included.
fn end(segment: &Segment<'_>) -> u32 {
    segment.sequence.wrapping_add(segment.payload.len() as u32 + u32::from(segment.syn) + u32::from(segment.fin))
}

/// Each end sent its FIN before it knew of the other one: only times tell which was first.
fn crossed(whole: &[Recorded]) -> bool {
    let mut fins = whole.iter().map(Recorded::segment).filter(|segment| segment.fin);
    let Some(first) = fins.next() else { return false };
    fins.find(|second| second.from != first.from).is_some_and(|second| second.acknowledgment != end(&first))
}

/// Two cards, of which one is read later or has a clock that is slow.
#[test]
fn one_side_may_be_recorded_late() {
    unchanged(|whole| {
        if crossed(whole) {
            return Vec::new();
        }
        let sender = whole[0].segment().from;
        let shifted = |of_client: bool, late: u64| {
            let mut all = whole.to_vec();
            for recorded in &mut all {
                if (recorded.segment().from.port() == sender.port()) == of_client {
                    recorded.at().0 += late;
                }
            }
            all.sort_by_key(|recorded| recorded.segment().at);
            (format!("{late} ns late, the client {of_client}"), all)
        };
        let delays = [50 * MICROSECOND, 200 * MICROSECOND, MILLISECOND, 20 * MILLISECOND];
        delays.into_iter().flat_map(|late| [shifted(true, late), shifted(false, late)]).collect()
    });
}

#[test]
fn two_neighbours_may_be_exchanged() {
    unchanged(|whole| {
        let exchanged = |at: usize| {
            let mut all = whole.to_vec();
            let (first, second) = (all[at - 1].segment().at, all[at].segment().at);
            all.swap(at - 1, at);
            (*all[at - 1].at(), *all[at].at()) = (first, second);
            (format!("packets {at} and {}", at + 1), all)
        };
        // Without an acknowledgment nobody can know which of two was first.
        let proven = |at: &usize| {
            let (first, second) = (whole[at - 1].segment(), whole[*at].segment());
            first.from == second.from || second.ack && second.acknowledgment == end(&first)
        };
        (1..whole.len()).filter(proven).map(exchanged).collect()
    });
}

#[test]
fn the_clock_may_be_set_back() {
    unchanged(|whole| {
        let set_back = |from: usize| {
            let mut all = whole.to_vec();
            all[from..].iter_mut().for_each(|recorded| recorded.at().0 -= 2 * SECOND);
            (format!("two seconds earlier from packet {}", from + 1), all)
        };
        places(whole).map(set_back).collect()
    });
}

/// A writer without a clock, or one that counts seconds. Only silence cannot be seen then.
#[test]
fn all_may_have_happened_at_one_time() {
    unchanged(|whole| {
        let silence = whole.windows(2).any(|pair| pair[1].segment().at.since(pair[0].segment().at).as_secs() >= 5);
        if silence {
            return Vec::new();
        }
        let mut all = whole.to_vec();
        let at = all[0].segment().at.0 / SECOND * SECOND;
        all.iter_mut().for_each(|recorded| *recorded.at() = Timestamp(at));
        vec![("at one time".to_owned(), all)]
    });
}
