//! One verdict for one story, however it is told: live, as a capture, in pieces, with a coarse clock.

use super::field::{Seen, Story};
use super::{Settled, opening};
use parser::diagnosis::{Cause, Confidence, End, Side, Verdict};
use parser::session::Phase;

/// NTLM and Kerberos exchanges, and MCS to the active session, as plaintext sizes.
pub const NTLM: &str = "C57 S295 C677 S95 C110";
pub const NTLM_EX: &str = "C57 S295 C677 S95 C110 S4";
pub const KERBEROS_EX: &str = "C175 S1351 C1887 S227 C191 S103 C361 S4";
pub const MCS: &str = "C462 S126 C12 C8 S11 C12 S15 C12 S15 C12 S15 C12 S15";
pub const LICENSED: &str = "C433 S34";
pub const ACTIVE: &str = "S472 C611 C36 C40 C40 S36 S40 C40 S40 S40";
pub const DRAWING: &str = "S1400 C29 S900 S1400 C31 S260 C29 S4000";

pub fn up(settled: Settled, selected: u32, authentication: &str) -> Story {
    Story::new()
        .all(opening(selected, settled))
        .records(settled, authentication)
        .records(settled, MCS)
        .records(settled, LICENSED)
        .records(settled, ACTIVE)
        .records(settled, DRAWING)
}

pub fn suites() -> impl Iterator<Item = Settled> {
    Settled::EXACT.into_iter().chain(Settled::BLOCKS)
}

/// The verdict, which must be the same in every telling but those left out.
pub fn told(name: &str, story: &Story, left_out: &[Seen]) -> Verdict {
    let first = story.verdict(Seen::Live);
    for seen in Seen::ALL.into_iter().filter(|seen| !left_out.contains(seen)) {
        let verdict = story.verdict(seen);
        let phases = verdict.cause.entry().phases;
        assert!(phases.contains(&verdict.phase), "{name}, {seen:?}: {} is not of {}", verdict.cause, verdict.phase);
        let key = |v: &Verdict| (v.cause, v.side, v.phase, v.confidence, v.end);
        assert_eq!(key(&verdict), key(&first), "{name}, {seen:?}:\n{verdict:#?}\nlive:\n{first:#?}");
    }
    assert!(first.confidence < Confidence::Proven || first.alternatives.is_empty(), "{name}: {first:?}");
    first
}

pub fn assert_ok(name: &str, story: &Story, end: End) {
    let verdict = told(name, story, &[]);
    assert_eq!((verdict.cause, verdict.end), (Cause::Ok, Some(end)), "{name}: {verdict:#?}");
    assert_eq!(verdict.phase, Phase::Active, "{name}");
}

/// `(cause, side, phase, most confidence)`.
pub type Called = (Cause, Side, Phase, Confidence);

pub fn assert_called(name: &str, story: &Story, (cause, side, phase, most): Called) {
    let verdict = told(name, story, &[]);
    assert_eq!((verdict.cause, verdict.side, verdict.phase), (cause, side, phase), "{name}: {verdict:#?}");
    assert!(verdict.confidence <= most, "{name}: {verdict:#?}");
}
