//! Whose silence it was: a client that gives up on a host, a leg that dies, segments that nobody acknowledges.

use super::super::super::{Cause, Confidence, End, Outcome, Side, Verdict, diagnose};
use super::build::{Build, at};
use crate::session::{Close, CloseKind, Closer, Peer, TcpFacts};

fn told(build: Build) -> Verdict {
    diagnose(&build.0)
}

fn called(verdict: &Verdict) -> (Cause, Side, Confidence) {
    (verdict.cause, verdict.side, verdict.confidence)
}

/// Segments that were sent again and never acknowledged.
fn stuck(build: Build, leg: Peer) -> Build {
    build.with(|t| t.tcp[leg] = Some(TcpFacts { retransmits: 6, lost: 1, mss: 1_448, ..TcpFacts::default() }))
}

fn says(verdict: &Verdict, what: &str) -> bool {
    verdict.evidence.iter().any(|sentence| sentence.contains(what))
}

#[test]
fn a_dead_client_leg_is_the_clients_network_only_when_the_host_went_on() {
    let lost = |build: Build, kind| told(build.closed(Closer::Client, kind, 90_000));
    let both = lost(Build::active(), CloseKind::Timeout);
    assert_eq!((both.cause, both.confidence), (Cause::ClientSideNetworkLoss, Confidence::Possible));
    assert!(!says(&both, "healthy") && both.alternatives == [Cause::UnknownClose], "{both:#?}");
    let drawing = || Build::active().record(Peer::Client, 23, 9, 30_000).record(Peer::Host, 23, 700, 85_000);
    let went_on = lost(drawing(), CloseKind::Timeout);
    assert_eq!(went_on.confidence, Confidence::Likely, "{went_on:#?}");
    assert!(says(&went_on, "for 55.0 s after the client's last byte") && says(&went_on, "after 1 min 0 s of silence"));
    let aborted = lost(drawing(), CloseKind::Error);
    assert!(says(&aborted, "ended by a socket error") && !says(&aborted, "time-out"), "{aborted:#?}");
    assert_eq!(lost(stuck(drawing(), Peer::Host), CloseKind::Timeout).confidence, Confidence::Possible);
    let host_too = drawing().closed(Closer::Client, CloseKind::Timeout, 90_000);
    let host_too =
        host_too.with(|t| t.closes.push(Close { by: Closer::Host, kind: CloseKind::Timeout, at: at(90_001) }));
    assert_eq!(told(host_too).confidence, Confidence::Possible, "both legs died");
    let lives_on = |verdict: &Verdict| verdict.remedy.iter().any(|action| action.contains("lives on"));
    assert!(lives_on(&both));
    let opening = Build::agreed(1).hello(&[0x0304], 310).chose(0x0304);
    let opening = lost(stuck(opening, Peer::Client), CloseKind::Timeout);
    assert_eq!(called(&opening), (Cause::ClientSideNetworkLoss, Side::Network, Confidence::Possible));
    assert!(!lives_on(&opening) && opening.alternatives.contains(&Cause::MtuBlackhole), "{opening:#?}");
}

#[test]
fn a_user_who_leaves_a_host_that_is_gone_may_have_given_up() {
    let healthy = told(Build::active().client_left(60_000));
    assert_eq!((healthy.confidence, healthy.alternatives.len()), (Confidence::Likely, 0));
    let gone = told(stuck(Build::active(), Peer::Host).client_left(60_000));
    assert_eq!((gone.outcome(), gone.end), (Outcome::Success, Some(End::UserClosed)));
    assert_eq!(gone.confidence, Confidence::Possible);
    assert!(gone.alternatives.contains(&Cause::ServerResetInSession) && says(&gone, "TCP to the host"), "{gone:#?}");
}

#[test]
fn a_dead_host_was_silent_however_long_the_client_went_on() {
    let typing = Build::active().record(Peer::Client, 23, 20, 31_960).closed(Closer::Host, CloseKind::Timeout, 32_000);
    let verdict = told(typing);
    assert_eq!(verdict.cause, Cause::ServerResetInSession);
    assert!(says(&verdict, "after 27.0 s of silence"), "{verdict:#?}");
}

#[test]
fn standard_rdp_security_is_not_said_to_be_readable() {
    use crate::session::Answer;
    let up = Build::active().with(|t| {
        (t.answer, t.client_hello, t.server_hello) = (Some(Answer::Plain), None, None);
        t.tail.host.used = 0;
    });
    let verdict = told(up.client_left(60_000));
    assert_eq!(verdict.cause, Cause::Ok);
    assert!(says(&verdict, "may be encrypted") && !says(&verdict, "every message is readable"), "{verdict:#?}");
}
