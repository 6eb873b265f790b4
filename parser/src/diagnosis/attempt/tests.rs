use super::*;
use crate::diagnosis::{Confidence, End, Missing, Side};
use crate::session::{CertificateFacts, Close, CloseKind, Closer, Opening, Peer, Progress, RequestFacts, Traffic};
use crate::wire::CipherSuite;

const TARGET: &str = "rds07.example.net:3389";

fn client(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn seconds(s: u64) -> Timestamp {
    Timestamp(s * 1_000_000_000)
}

fn verdict(cause: Cause, phase: Phase, alternatives: &[Cause]) -> Verdict {
    Verdict {
        cause,
        side: Side::Client,
        phase,
        confidence: Confidence::Possible,
        evidence: vec!["The client left.".into()],
        alternatives: alternatives.to_vec(),
        remedy: Vec::new(),
        missing: Missing::default(),
        smallest_change: Vec::new(),
        end: None,
        message: "Client left".into(),
    }
}

fn left_at_prompt(phase: Phase) -> Verdict {
    verdict(Cause::ClosedAfterTlsUnknown, phase, &[Cause::ClientPromptProbe])
}

fn of_user(name: &str) -> Timeline {
    let request = RequestFacts { cookie: Some(name.into()), ..RequestFacts::default() };
    Timeline { request: Some(request), ..Timeline::default() }
}

/// The same with what it asks for, and a hello.
fn asking(name: &str, protocols: u32, suite: u16) -> Timeline {
    let mut timeline = of_user(name);
    timeline.request.as_mut().unwrap().protocols = Some(Protocols(protocols));
    let hello = HelloShape { suites: vec![CipherSuite(suite)], ..HelloShape::default() };
    Timeline { client_hello: Some(hello.into()), ..timeline }
}

/// One connection from open to end.
fn connection(
    attempts: &mut Attempts,
    id: u128,
    from: u64,
    until: u64,
    verdict: &Verdict,
    timeline: &Timeline,
) -> Placement {
    attempts.opened(id, client(1), TARGET, seconds(from));
    attempts.reached(id, verdict.phase, Marks::of(timeline), seconds(from));
    attempts.ended(id, verdict, timeline, seconds(until))
}

#[test]
fn a_connection_dropped_at_a_prompt_is_revised_when_the_next_gets_further() {
    let mut attempts = Attempts::new();
    let first = connection(&mut attempts, 1, 0, 3, &left_at_prompt(Phase::Credssp), &of_user("alice"));
    assert_eq!(first, Placement { attempt: 1, number: 1, previous: None, may_be_revised: Some(seconds(33)) });
    attempts.opened(2, client(1), TARGET, seconds(8));
    assert!(attempts.reached(2, Phase::Credssp, Marks::of(&of_user("alice")), seconds(8)).is_empty());
    let revisions = attempts.reached(2, Phase::Mcs, Marks::default(), seconds(9));
    let [revision] = revisions.as_slice() else { panic!("{revisions:?}") };
    assert_eq!((revision.session, revision.successor), (1, 2));
    assert_eq!((revision.verdict.cause, revision.verdict.confidence), (Cause::ClientPromptProbe, Confidence::Possible));
    assert!(
        revision.verdict.evidence.iter().any(|e| e.contains("00000000-0000-0000-0000-000000000002")),
        "{revision:?}"
    );
    assert_eq!(revision.verdict.evidence.first().map(String::as_str), Some("The client left."));
    assert!(attempts.reached(2, Phase::Active, Marks::default(), seconds(10)).is_empty(), "revised once");
    let second = attempts.ended(2, &verdict(Cause::Ok, Phase::Active, &[]), &of_user("alice"), seconds(600));
    assert_eq!(second, Placement { attempt: 1, number: 2, previous: Some(1), may_be_revised: None });
    let settled = attempts.expire(seconds(631));
    assert!(settled.sessions.is_empty(), "the first is final since its revision: {settled:?}");
    assert_eq!(settled.attempts, [Attempt { id: 1, cause: Cause::Ok, connections: 2 }]);
    assert_eq!(attempts.clients(), 0);
}

/// `first` leaves after the host's answer or at a prompt, `second` comes five seconds later and gets to its session.
fn then(first: &Verdict, shown: &Timeline, second: &Timeline) -> Vec<Revision> {
    let mut attempts = Attempts::new();
    connection(&mut attempts, 1, 0, 1, first, shown);
    attempts.opened(2, client(1), TARGET, seconds(6));
    attempts.reached(2, Phase::Mcs, Marks::of(second), seconds(6))
}

#[test]
fn one_with_other_settings_does_not_turn_a_failure_into_a_prompt() {
    // An NLA-only client at a host without NLA; one of the same name that asks for TLS alone gets in.
    let left = verdict(Cause::ClientClosedAfterCc, Phase::TlsHello, &[Cause::ClientPromptProbe]);
    let nla_only = Timeline { client_hello: None, ..asking("administrator", 3, 0x1302) };
    assert!(then(&left, &nla_only, &asking("administrator", 1, 0x1302)).is_empty(), "other protocols");
    let prompt = left_at_prompt(Phase::Credssp);
    assert!(then(&prompt, &asking("alice", 3, 0x1302), &asking("alice", 3, 0xc02f)).is_empty(), "another hello");
}

#[test]
fn a_prompt_is_likely_by_name_and_program_and_possible_by_one_of_them() {
    let left = left_at_prompt(Phase::Credssp);
    let shown = asking("MYCOMPANY", 11, 0x1302);
    let told = |shown: &Timeline, second: &Timeline| match then(&left, shown, second).as_slice() {
        [revision] => {
            let verdict = &revision.verdict;
            assert_eq!(verdict.alternatives, [Cause::ClosedAfterTlsUnknown], "behind one address others look the same");
            assert!(verdict.message.contains(if verdict.confidence == Confidence::Likely {
                "left at"
            } else {
                "may have"
            }));
            verdict.confidence
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&shown, &shown), Confidence::Likely);
    let unnamed = Timeline { request: None, ..shown.clone() };
    assert_eq!(told(&unnamed, &unnamed), Confidence::Possible);
    assert_eq!(told(&shown, &unnamed), Confidence::Possible);
    let without_hello = Timeline { client_hello: None, ..shown.clone() };
    assert_eq!(told(&without_hello, &shown), Confidence::Possible);
    let nothing = Timeline { request: None, ..without_hello };
    assert!(then(&left, &nothing, &shown).is_empty() && then(&left, &nothing, &nothing).is_empty(), "anybody");
}

#[test]
fn a_retry_that_fails_alike_is_no_prompt() {
    let mut attempts = Attempts::new();
    let timeline = of_user("alice");
    connection(&mut attempts, 1, 0, 1, &left_at_prompt(Phase::Credssp), &timeline);
    attempts.opened(2, client(1), TARGET, seconds(2));
    assert!(attempts.reached(2, Phase::Credssp, Marks::of(&timeline), seconds(2)).is_empty());
    attempts.ended(2, &left_at_prompt(Phase::Credssp), &timeline, seconds(3));
    let settled = attempts.expire(seconds(40));
    assert_eq!(settled.sessions, [1, 2]);
    let attempt = Attempt { id: 1, cause: Cause::ClosedAfterTlsUnknown, connections: 2 };
    assert_eq!(settled.attempts, [attempt]);
}

#[test]
fn a_verdict_stands_when_nobody_comes_back_in_time() {
    let mut attempts = Attempts::new();
    connection(&mut attempts, 1, 0, 1, &left_at_prompt(Phase::Credssp), &of_user("alice"));
    assert_eq!(attempts.expire(seconds(30)), Settled::default());
    assert_eq!(attempts.expire(seconds(31)).sessions, [1]);
    attempts.opened(2, client(1), TARGET, seconds(32));
    assert!(attempts.reached(2, Phase::Active, Marks::default(), seconds(33)).is_empty());
    let placement = attempts.ended(2, &verdict(Cause::Ok, Phase::Active, &[]), &of_user("alice"), seconds(90));
    assert_eq!((placement.attempt, placement.number), (2, 1));
}

#[test]
fn a_retry_with_another_security_layer_belongs_to_the_first_failure() {
    let mut attempts = Attempts::new();
    let mismatch = verdict(Cause::TlsNoCommonVersion, Phase::TlsHello, &[]);
    let first = connection(&mut attempts, 1, 0, 1, &mismatch, &of_user("alice"));
    assert_eq!(first.may_be_revised, None, "an alert by the host is no prompt");
    let plain = verdict(Cause::NegSslRequired, Phase::X224, &[]);
    let second = connection(&mut attempts, 2, 1, 2, &plain, &of_user("alice"));
    assert_eq!((second.attempt, second.number, second.previous), (1, 2, Some(1)));
    let settled = attempts.expire(seconds(60));
    assert_eq!(settled.attempts, [Attempt { id: 1, cause: Cause::TlsNoCommonVersion, connections: 2 }]);
}

#[test]
fn two_users_behind_one_address_are_two_attempts() {
    let mut attempts = Attempts::new();
    connection(&mut attempts, 1, 0, 1, &left_at_prompt(Phase::Credssp), &of_user("alice"));
    attempts.opened(2, client(1), TARGET, seconds(2));
    assert!(attempts.reached(2, Phase::Active, Marks::of(&of_user("bob")), seconds(3)).is_empty());
    let bob = attempts.ended(2, &verdict(Cause::Ok, Phase::Active, &[]), &of_user("bob"), seconds(9));
    assert_eq!((bob.attempt, bob.number), (2, 1));
    let back = connection(&mut attempts, 3, 10, 11, &verdict(Cause::Ok, Phase::Active, &[]), &of_user("alice"));
    assert_eq!((back.attempt, back.number, back.previous), (1, 2, Some(1)));
}

#[test]
fn another_target_or_client_is_another_attempt() {
    let mut attempts = Attempts::new();
    let timeline = Timeline::default();
    connection(&mut attempts, 1, 0, 1, &left_at_prompt(Phase::Credssp), &timeline);
    attempts.opened(2, client(1), "rds08.example.net:3389", seconds(2));
    attempts.opened(3, client(2), TARGET, seconds(2));
    for id in [2, 3] {
        assert!(attempts.reached(id, Phase::Active, Marks::default(), seconds(3)).is_empty());
        let ok = verdict(Cause::Ok, Phase::Active, &[]);
        assert_eq!(attempts.ended(id, &ok, &timeline, seconds(4)).attempt, id);
    }
}

#[test]
fn a_new_session_beside_a_live_one_is_its_own_attempt() {
    let mut attempts = Attempts::new();
    attempts.opened(1, client(1), TARGET, seconds(0));
    attempts.reached(1, Phase::Active, Marks::default(), seconds(1));
    let second = connection(&mut attempts, 2, 5, 6, &left_at_prompt(Phase::Credssp), &Timeline::default());
    assert_eq!((second.attempt, second.number), (2, 1));
}

#[test]
fn parallel_connections_of_a_gateway_client_are_one_attempt() {
    let mut attempts = Attempts::new();
    let timeline = Timeline::default();
    attempts.opened(1, client(1), TARGET, seconds(0));
    attempts.opened(2, client(1), TARGET, seconds(0));
    attempts.reached(1, Phase::TlsFinish, Marks::default(), seconds(1));
    attempts.reached(2, Phase::TlsFinish, Marks::default(), seconds(1));
    let ok = verdict(Cause::Ok, Phase::Active, &[]);
    assert_eq!(attempts.ended(1, &ok, &timeline, seconds(9)).attempt, 1);
    let second = attempts.ended(2, &ok, &timeline, seconds(9));
    assert_eq!((second.attempt, second.number), (1, 2));
    assert_eq!(attempts.expire(seconds(60)).attempts, [Attempt { id: 1, cause: Cause::Ok, connections: 2 }]);
}

#[test]
fn memory_is_bounded_and_nothing_is_lost_from_the_counts() {
    let mut attempts = Attempts::new();
    let timeline = Timeline::default();
    let failed = left_at_prompt(Phase::Credssp);
    let total = MOST_CLIENTS as u128 + 500;
    for id in 1..=total {
        let address = IpAddr::from(u32::try_from(id).unwrap().to_be_bytes());
        attempts.opened(id, address, TARGET, seconds(1));
        attempts.ended(id, &failed, &timeline, seconds(1));
        assert!(attempts.clients() <= MOST_CLIENTS);
        assert_eq!(attempts.deadlines.len(), attempts.clients(), "one of each, however many connections end");
    }
    let settled = attempts.expire(seconds(100));
    assert_eq!(settled.sessions.len() as u128, total);
    assert_eq!(settled.attempts.len() as u128, total);
    assert_eq!((attempts.clients(), attempts.sessions.len(), attempts.recency.len()), (0, 0, 0));
    assert!(attempts.deadlines.is_empty());
}

#[test]
fn a_reconnect_loop_of_one_client_is_bounded_and_counted() {
    let mut attempts = Attempts::new();
    let timeline = Timeline::default();
    let refused = verdict(Cause::ClosedBeforeCc, Phase::X224, &[]);
    let mut settled = Vec::new();
    for id in 1..=1_000u128 {
        connection(&mut attempts, id, id as u64 / 100, id as u64 / 100, &refused, &timeline);
        assert!(attempts.sessions.len() <= MOST_CONNECTIONS && attempts.deadlines.len() <= 1);
        settled.extend(attempts.expire(seconds(0)).attempts);
    }
    settled.extend(attempts.expire(seconds(100)).attempts);
    assert_eq!(settled.iter().map(|a| u32::from(a.connections)).sum::<u32>(), 1_000);
    assert_eq!(settled.len(), 125);
    assert_eq!(attempts.clients(), 0);
}

#[test]
fn a_session_that_was_never_announced_stands_for_itself() {
    let mut attempts = Attempts::new();
    let placement = attempts.ended(7, &left_at_prompt(Phase::Credssp), &Timeline::default(), seconds(1));
    assert_eq!(placement, Placement { attempt: 7, number: 1, previous: None, may_be_revised: None });
    assert_eq!(attempts.expire(seconds(2)).attempts.len(), 1);
}

#[test]
fn a_verdict_proven_by_a_probe_is_what_its_attempt_came_to_and_no_prompt_any_more() {
    let mut attempts = Attempts::new();
    let alice = of_user("alice");
    connection(&mut attempts, 1, 0, 1, &left_at_prompt(Phase::TlsFinish), &alice);
    let still_a_prompt = left_at_prompt(Phase::TlsFinish);
    assert!(attempts.judged_again(1, &still_a_prompt), "the next connection may still explain it");
    let proven = verdict(Cause::TlsNoCommonGroupOrSigalg, Phase::TlsFinish, &[]);
    assert!(!attempts.judged_again(1, &proven));
    attempts.opened(2, client(1), TARGET, seconds(5));
    assert!(attempts.reached(2, Phase::Credssp, Marks::of(&alice), seconds(5)).is_empty());
    attempts.ended(2, &verdict(Cause::ClosedAfterTlsUnknown, Phase::Credssp, &[]), &alice, seconds(6));
    let settled = attempts.expire(seconds(60));
    assert_eq!(settled.attempts.iter().map(|a| a.cause).collect::<Vec<_>>(), [Cause::TlsNoCommonGroupOrSigalg]);
    assert!(!attempts.judged_again(1, &proven), "forgotten");
}

/// One half of a gateway session in two connections, which carries what `carries` says; times in seconds.
fn half(carries: Peer, closed: Option<(Closer, u64)>) -> Timeline {
    let mut timeline = Timeline { opening: Opening::TlsFirst, ..Timeline::default() };
    timeline.progress = Progress { active: Some(seconds(1)), ..Progress::default() };
    timeline.traffic[carries] = Traffic { bytes: 20_000, records: 60, ..Traffic::default() };
    timeline.traffic[carries.other()] = Traffic { bytes: 5_000, records: 12, ..Traffic::default() };
    timeline.closes.extend(closed.map(|(by, at)| Close { by, kind: CloseKind::Fin, at: seconds(at) }));
    timeline
}

/// OUT is session 1 and IN session 2, both up.
fn gateway_session() -> Attempts {
    let mut attempts = Attempts::new();
    for id in [1, 2] {
        attempts.opened(id, client(1), TARGET, seconds(0));
        attempts.reached(id, Phase::TlsFinish, Marks::default(), seconds(0));
    }
    for (id, carries) in [(1, Peer::Host), (2, Peer::Client)] {
        attempts.reached(id, Phase::Active, Marks::of(&half(carries, None)), seconds(1));
    }
    attempts
}

#[test]
fn a_gateway_that_takes_one_connection_down_because_the_client_closed_the_other_is_no_failure() {
    for (first, second) in [(Peer::Host, Peer::Client), (Peer::Client, Peer::Host)] {
        let id = |carries| if carries == Peer::Host { 1 } else { 2 };
        let mut attempts = gateway_session();
        // The client has closed the one; its session goes on until the gateway has too.
        attempts.shown(id(first), Marks::of(&half(first, Some((Closer::Client, 9)))));
        let timeline = half(second, Some((Closer::Host, 10)));
        let cut = verdict(Cause::HostClosedActive, Phase::Active, &[]);
        let judged = attempts.beside(id(second), &cut, &timeline).expect("another verdict");
        assert_eq!((judged.cause, judged.side, judged.end), (Cause::Ok, Side::Client, Some(End::UserClosed)));
        assert_eq!((judged.confidence, judged.phase), (Confidence::Likely, Phase::Active));
        let evidence = judged.evidence.last().expect("evidence");
        assert!(
            evidence.contains("1000.0 ms") && evidence.contains(&format!("-00000000000{}", id(first))),
            "{evidence}"
        );
        let ok = verdict(Cause::Ok, Phase::Active, &[]);
        assert_eq!(attempts.beside(id(second), &ok, &timeline), None, "a good verdict stands");
    }
}

/// OUT was cut while IN showed a record of alert size, which may be the end of an HTTP chunk.
fn out_stays_cut(inward: &Timeline, cut: &Verdict) {
    let mut attempts = gateway_session();
    attempts.shown(2, Marks::of(inward));
    assert_eq!(attempts.beside(1, cut, &half(Peer::Host, Some((Closer::Host, 10)))), None, "no goodbye yet");
}

#[test]
fn a_gateway_connection_that_was_cut_first_stays_cut() {
    let cut = verdict(Cause::HostClosedActive, Phase::Active, &[]);
    let by_host = half(Peer::Client, Some((Closer::Host, 10)));
    let asked = |first: Option<&Timeline>| {
        let mut attempts = gateway_session();
        first.into_iter().for_each(|timeline| attempts.shown(1, Marks::of(timeline)));
        attempts.beside(2, &cut, &by_host)
    };
    assert_eq!(asked(None), None, "the other one is still open");
    assert_eq!(asked(Some(&half(Peer::Host, Some((Closer::Host, 9))))), None, "cut as well");
    assert_eq!(asked(Some(&half(Peer::Host, Some((Closer::Client, 11))))), None, "closed by the client, but later");
    let mut goodbye = half(Peer::Host, None);
    goodbye.tls.encrypted_alert.client = Some(seconds(10));
    assert!(asked(Some(&goodbye)).is_some(), "a gateway may act on the close_notify alone");
    goodbye.tls.encrypted_alert.client = Some(seconds(11));
    assert_eq!(asked(Some(&goodbye)), None, "said afterwards");
    let mut lost = half(Peer::Host, Some((Closer::Client, 9)));
    lost.closes[0].kind = CloseKind::Timeout;
    assert_eq!(asked(Some(&lost)), None, "the client's network went");
    let mut refused = half(Peer::Host, Some((Closer::Client, 9)));
    refused.progress = Progress::default();
    assert_eq!(asked(Some(&refused)), None, "no session came up");
    let mut chunk = half(Peer::Client, None);
    chunk.tls.encrypted_alert.client = Some(seconds(9));
    out_stays_cut(&chunk, &cut);
    assert_eq!(asked(Some(&half(Peer::Client, Some((Closer::Client, 9))))), None, "no counterpart: the same half");
    let mut whole = half(Peer::Host, Some((Closer::Client, 9)));
    whole.traffic.client = whole.traffic.host;
    assert_eq!(asked(Some(&whole)), None, "no half: a session on one connection");
}

#[test]
fn a_client_that_leaves_at_two_different_certificates_may_have_left_because_they_differ() {
    let shown = |first_byte: u8| {
        let mut sha256 = [7; 32];
        sha256[0] = first_byte;
        let certificate = CertificateFacts { sha256, ..CertificateFacts::default() };
        Timeline { certificate: Some(Box::new(certificate)), ..of_user("alice") }
    };
    let left = left_at_prompt(Phase::TlsFinish);
    let judged = |first: &Verdict, second: &Verdict, certificate: u8| {
        let mut attempts = Attempts::new();
        connection(&mut attempts, 1, 0, 3, first, &shown(1));
        attempts.opened(2, client(1), TARGET, seconds(5));
        attempts.beside(2, second, &shown(certificate))
    };
    let changed = judged(&left, &left, 2).expect("another verdict");
    assert_eq!((changed.cause, changed.confidence), (Cause::CertChangedMidSession, Confidence::Possible));
    assert_eq!(changed.alternatives, [Cause::ClosedAfterTlsUnknown, Cause::ClientPromptProbe], "who said no twice");
    assert!(!changed.remedy.is_empty() && changed.evidence.len() == 2, "{changed:?}");
    assert_eq!(judged(&left, &left, 1), None, "the same certificate");
    assert_eq!(judged(&left, &verdict(Cause::Ok, Phase::Active, &[]), 2), None, "it worked");
    assert_eq!(judged(&verdict(Cause::NlaAuthRefused, Phase::Credssp, &[]), &left, 2), None, "the first got further");
}
