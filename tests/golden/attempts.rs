//! Connections of one client in the lab captures, put together as they came.

use crate::data;
use crate::lab::ports;
use crate::replay::{self, Recorded};
use parser::Timestamp;
use parser::diagnosis::{Attempts, Cause, Marks, Placement, Revision, Verdict, diagnose};
use parser::session::{Phase, Timeline};

/// What came out of a run.
#[derive(Default)]
struct Story {
    verdicts: Vec<Verdict>,
    placements: Vec<Placement>,
    revisions: Vec<Revision>,
    attempts: Vec<(Cause, u16)>,
}

/// Feeds every open, phase and end of the connections in the order of their times. Sessions are numbered from 1.
fn tell(segments: &[Recorded]) -> Story {
    enum Step {
        Opened,
        Reached(Phase),
        Ended,
    }
    let found = replay::analyzed(segments);
    let timelines: Vec<Timeline> = found.iter().map(replay::timeline).collect();
    let mut steps: Vec<(Timestamp, usize, Step)> = Vec::new();
    for (n, timeline) in timelines.iter().enumerate() {
        steps.push((timeline.opened, n, Step::Opened));
        let entered = Phase::ALL.iter().filter_map(|phase| Some((timeline.phases.entered(*phase)?, *phase)));
        steps.extend(entered.map(|(at, phase)| (at, n, Step::Reached(phase))));
        steps.push((timeline.last_event(), n, Step::Ended));
    }
    steps.sort_by_key(|(at, n, _)| (*at, *n));
    let mut attempts = Attempts::new();
    let mut story = Story { verdicts: timelines.iter().map(diagnose).collect(), ..Story::default() };
    for (at, n, step) in steps {
        let (id, timeline) = (n as u128 + 1, &timelines[n]);
        match step {
            Step::Opened => attempts.opened(id, found[n].record.identity.client.ip(), "host", at),
            Step::Reached(phase) => story.revisions.extend(attempts.reached(id, phase, Marks::of(timeline), at)),
            Step::Ended => story.placements.push(attempts.ended(id, &story.verdicts[n], timeline, at)),
        }
    }
    let settled = attempts.expire(Timestamp(u64::MAX));
    story.attempts = settled.attempts.iter().map(|a| (a.cause, a.connections)).collect();
    story
}

/// The segments of a capture to and from its host.
fn capture(name: &str) -> Vec<Recorded> {
    let port = ports()[name];
    let file = data("lab").join(format!("{name}.pcap"));
    let ours = |recorded: &mut Recorded| recorded.ends().iter().any(|end| end.port() == port);
    replay::segments(&file).into_iter().filter_map(|mut recorded| ours(&mut recorded).then_some(recorded)).collect()
}

/// `first`, and then `second` as if the same client had made it, `pause` nanoseconds later.
fn then(mut first: Vec<Recorded>, second: Vec<Recorded>, pause: u64) -> Vec<Recorded> {
    let end = first.last_mut().unwrap().at().0;
    let begin = second[0].segment().at.0;
    for mut recorded in second {
        *recorded.at() = Timestamp(recorded.at().0 - begin + end + pause);
        first.push(recorded);
    }
    first
}

#[test]
fn a_second_try_that_fails_alike_is_one_attempt_and_no_prompt() {
    for (name, cause) in [
        ("nla-wrong-password", Cause::NlaAuthRefused),
        ("cut-fin-mcs", Cause::ServerClosedInMcs),
        ("cut-rst-demand", Cause::LicenseFailure),
        ("fault-close-after-cr-noao", Cause::ClosedBeforeCc),
    ] {
        let story = tell(&capture(name));
        assert!(story.revisions.is_empty(), "{name}: {:?}", story.revisions);
        assert_eq!(story.attempts, [(cause, 2)], "{name}");
        let numbers: Vec<u16> = story.placements.iter().map(|p| p.number).collect();
        assert_eq!(numbers, [1, 2], "{name}");
    }
}

#[test]
fn rdesktops_retry_with_classic_security_is_a_consequence_of_the_tls_failure() {
    for name in ["tls-s12-rdesktop1.0", "tls-s13-rdesktop1.1", "tls-s12cbc-rdesktop1.1"] {
        let story = tell(&capture(name));
        assert_eq!(story.attempts, [(Cause::TlsNoCommonVersion, 2)], "{name}");
        assert_eq!(story.placements[1].previous, Some(1), "{name}");
        assert_eq!(story.verdicts[1].cause, Cause::NegSslRequired, "{name}");
    }
}

#[test]
fn the_three_connections_of_a_gateway_client_are_one_attempt() {
    let story = tell(&capture("gw-auto-404"));
    assert_eq!(story.attempts, [(Cause::RdgClosedAfterTls, 3)]);
    let story = tell(&capture("gws-legacy-ok"));
    assert_eq!(story.attempts, [(Cause::Ok, 2)]);
}

#[test]
fn a_certificate_prompt_and_then_a_session_is_a_success() {
    let story = tell(&then(capture("certv-prompt-nostdin"), capture("ok-xrdp-tls"), 4_000_000_000));
    assert_eq!(story.verdicts[0].cause, Cause::ClosedAfterTlsUnknown);
    let [revision] = story.revisions.as_slice() else { panic!("{:?}", story.revisions) };
    assert_eq!((revision.session, revision.verdict.cause), (1, Cause::ClientPromptProbe));
    assert_eq!(story.attempts, [(Cause::Ok, 2)]);
}

#[test]
fn a_session_that_comes_too_late_revises_nothing() {
    let story = tell(&then(capture("certv-prompt-nostdin"), capture("ok-xrdp-tls"), 40_000_000_000));
    assert!(story.revisions.is_empty());
    assert_eq!(story.attempts.len(), 2);
}
