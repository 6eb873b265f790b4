//! The decision table on pictures that no capture of ours shows.

mod bridged;
mod build;
mod openings;
mod packets;
mod silence;
mod table;

use super::super::{Cause, Confidence, End, Observer, Outcome, Room, Side, diagnose};
use crate::session::{Awaiting, CloseKind, Closer, GiveUp, Opening, Peer, ProxyAct, TcpFacts};
use build::{Build, at};

#[test]
fn every_picture_gets_its_cause_side_and_confidence() {
    for (name, build, cause, side, confidence) in table::pictures() {
        let verdict = diagnose(&build.0);
        let got = (verdict.cause, verdict.side, verdict.confidence);
        assert_eq!(got, (cause, side, confidence), "{name}: {} {:?}", verdict.message, verdict.evidence);
        assert!(cause.entry().phases.contains(&verdict.phase), "{name}: phase {}", verdict.phase);
        assert_eq!(diagnose(&build.0), verdict, "{name}: deterministic");
    }
}

#[test]
fn every_verdict_has_evidence_rivals_and_remedy_that_belong_to_it() {
    for (name, build, ..) in table::pictures() {
        let verdict = diagnose(&build.0);
        assert!(verdict.evidence.iter().all(|e| e.ends_with('.')), "{name}: {:?}", verdict.evidence);
        assert!(!verdict.evidence.is_empty() && !verdict.message.ends_with('.'), "{name}: {}", verdict.message);
        assert!(!verdict.alternatives.contains(&verdict.cause), "{name}");
        match verdict.confidence {
            Confidence::Proven => assert!(verdict.alternatives.is_empty(), "{name}"),
            Confidence::Possible => {
                let named = verdict.cause != Cause::UnknownClose;
                assert!(!named || !verdict.alternatives.is_empty(), "{name}: possible needs rivals");
            }
            Confidence::Likely => {}
        }
        assert_eq!(verdict.end.is_some(), verdict.cause == Cause::Ok, "{name}");
        let text = format!("{}{:?}{:?}", verdict.message, verdict.evidence, verdict.remedy);
        assert!(!text.contains("alice"), "{name}: user name in {text}");
        let last = verdict.remedy.last().map_or("", String::as_str);
        assert!(verdict.remedy.iter().all(|r| !r.starts_with("For a test only") || r == last), "{name}");
    }
}

#[test]
fn every_cause_that_passing_bytes_can_decide_is_decided_or_named_as_a_rival() {
    // The end of a healthy session is said in a field of its own, and it takes two connections to see two certificates
    // (`attempt`).
    let mut named = vec![Cause::UserClosed, Cause::CertChangedMidSession];
    for (_, build, ..) in table::pictures() {
        let verdict = diagnose(&build.0);
        named.push(verdict.cause);
        named.extend(verdict.alternatives);
    }
    let forgotten: Vec<&Cause> = Cause::ALL
        .iter()
        .filter(|c| c.entry().decided_by.contains(&Observer::Passthrough) && !named.contains(c))
        .collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

#[test]
fn sizes_alone_never_prove() {
    for (name, build, cause, ..) in table::pictures() {
        let sealed = build.0.opening != Opening::GatewayHttp;
        let by_sizes = sealed && matches!(cause.room(), Room::Credssp | Room::Session | Room::Gateway);
        assert!(!by_sizes || diagnose(&build.0).confidence < Confidence::Proven, "{name}");
    }
}

#[test]
fn no_end_of_a_session_by_its_client_is_a_failure() {
    for kind in [CloseKind::Fin, CloseKind::Rst] {
        for last in [9, 200] {
            let build = Build::active().record(Peer::Client, 23, last, 60_000).closed(Closer::Client, kind, 61_000);
            assert_eq!(diagnose(&build.0).outcome(), Outcome::Success, "{kind:?} after {last}");
        }
    }
}

#[test]
fn the_end_of_a_healthy_session_is_named() {
    let end = |build: Build| diagnose(&build.0).end;
    let goodbye = Build::active().record(Peer::Client, 23, 9, 60_000);
    assert_eq!(end(goodbye.clone().client_left(60_001)), Some(End::UserClosed));
    assert_eq!(end(goodbye.host_left(60_001)), Some(End::UserClosed));
    let killed = Build::active().closed(Closer::Client, CloseKind::Rst, 60_000);
    assert_eq!(end(killed), Some(End::ClientGone));
    // Every healthy mstsc session: the host's nine bytes, then RST by the client.
    let logoff = Build::active().record(Peer::Host, 23, 9, 60_000);
    assert_eq!(end(logoff.clone().closed(Closer::Client, CloseKind::Rst, 60_001)), Some(End::HostEnded));
    assert_eq!(end(logoff.host_left(60_001)), Some(End::HostEnded));
}

#[test]
fn what_comes_after_the_first_close_is_no_cause() {
    let before = Build::agreed(1).client_left(50);
    let after = before.clone().alert(Peer::Host, 50, 51);
    assert_eq!(diagnose(&before.0).cause, diagnose(&after.0).cause);
    let reaction = Build::agreed(1).hello(&[0x0303], 200).alert(Peer::Host, 70, 20).client_left(21).host_reset(22);
    assert_eq!(diagnose(&reaction.0).cause, Cause::TlsNoCommonVersion);
}

#[test]
fn an_unknown_tail_gives_no_cause_that_needs_it() {
    let spliced = Build::active().with(|t| t.tail = Default::default());
    let ended = diagnose(&spliced.clone().host_left(90_000).0);
    assert_eq!((ended.cause, ended.confidence), (Cause::Ok, Confidence::Possible));
    assert!(ended.alternatives.contains(&Cause::HostClosedActive));
    let reset = diagnose(&spliced.host_reset(90_000).0);
    assert_eq!((reset.cause, reset.confidence), (Cause::HostClosedActive, Confidence::Possible));
    assert!(!reset.evidence.iter().any(|e| e.contains("No goodbye")), "{:?}", reset.evidence);
}

#[test]
fn an_early_end_by_the_host_may_be_the_logon() {
    let early = diagnose(&Build::active().host_left(20_000).0);
    assert!(early.alternatives.contains(&Cause::WinlogonOrProfileFailure));
    let late = diagnose(&Build::active().host_left(600_000).0);
    assert!(!late.alternatives.contains(&Cause::WinlogonOrProfileFailure));
    assert!(late.alternatives.contains(&Cause::IdleTimeoutFirewall), "ten minutes of silence");
}

#[test]
fn a_lost_large_hello_is_told_from_a_slow_host() {
    let waiting =
        |length| Build::agreed(1).hello(&[0x0304], length).acted(ProxyAct::TimedOut(Awaiting::ServerHello), 15_010);
    let slow = diagnose(&waiting(310).0);
    assert_eq!(slow.cause, Cause::TlsHandshakeTimeout);
    assert!(!slow.alternatives.contains(&Cause::LargeClienthelloLost));
    let large = diagnose(&waiting(1_717).0);
    assert_eq!(large.cause, Cause::TlsHandshakeTimeout);
    assert_eq!(large.alternatives.first(), Some(&Cause::LargeClienthelloLost));
    let tcp = TcpFacts { retransmits: 6, unacked: 2, mss: 1_460, ..TcpFacts::default() };
    let lost = diagnose(&waiting(1_717).with(|t| t.tcp.host = Some(tcp)).0);
    assert_eq!((lost.cause, lost.side), (Cause::LargeClienthelloLost, Side::Network));
    assert!(lost.evidence.iter().any(|e| e.contains("6 segments retransmitted")), "{:?}", lost.evidence);
}

#[test]
fn a_version_the_client_refuses_names_what_each_side_lacks() {
    let build = Build::agreed(1).hello(&[], 200).chose(0x0301).alert(Peer::Client, 70, 25).client_left(26);
    let verdict = diagnose(&build.0);
    assert_eq!(
        (verdict.missing.client, verdict.missing.host),
        (vec!["TLS 1.0".to_owned()], vec!["TLS 1.2".to_owned()])
    );
    assert_eq!(verdict.smallest_change, ["Host: enable TLS 1.2.", "Client: accept TLS 1.0 (for a test only)."]);
}

#[test]
fn the_remedy_begins_with_the_facts_of_this_connection() {
    let refused = table::pictures().into_iter().find(|p| p.0 == "connect refused").unwrap().1;
    assert!(diagnose(&refused.0).remedy[0].contains("10.0.0.7:3389"));
}

#[test]
fn an_unread_session_is_judged_by_its_volume_only() {
    let unread = Build::asked(3).with(|t| t.gave_up = Some((GiveUp::Budget, at(2))));
    let short = diagnose(&unread.clone().sent(Peer::Host, 900, 50).client_left(60).0);
    assert_eq!(short.cause, Cause::UnknownClose);
    let long = diagnose(&unread.sent(Peer::Host, 900_000, 50).client_left(90_000).0);
    assert_eq!((long.cause, long.confidence), (Cause::Ok, Confidence::Possible));
}

#[test]
fn without_a_close_nobody_is_blamed_for_one() {
    for (name, mut build, cause, ..) in table::pictures() {
        build.0.closes.clear();
        build.0.proxy_act = None;
        let verdict = diagnose(&build.0);
        let kept = verdict.cause == cause && !verdict.message.contains("closed the connection");
        assert!(
            kept || matches!(verdict.cause, Cause::CaptureIncomplete | Cause::Ok | Cause::ClientSentNothing),
            "{name}: {}",
            verdict.message
        );
    }
}

#[test]
fn a_hostile_certificate_cannot_write_lines_or_books_into_a_verdict() {
    let build = Build::agreed(1).hello(&[0x0303], 200).chose(0x0303).certificate(|c| {
        c.subject = format!("CN=evil\nWARN all is well {}", "x".repeat(60_000));
        c.issuer = c.subject.clone();
        c.self_issued = true;
        c.alternative_names = vec!["y\r\n".repeat(20_000); 500];
    });
    let verdict = diagnose(&build.alert(Peer::Client, 46, 25).client_left(26).0);
    let text = format!("{} {}", verdict.message, verdict.evidence.join(" "));
    assert!(text.chars().count() < 3_000 && !text.contains(['\n', '\r']), "{text}");
}

#[test]
fn no_timeline_panics() {
    for (_, build, ..) in table::pictures() {
        for cut in 0..3 {
            let mut timeline = build.0.clone();
            match cut {
                0 => timeline.closes.clear(),
                1 => timeline.answer = None,
                _ => timeline.opened = at(900_000),
            }
            assert!(!diagnose(&timeline).message.is_empty());
        }
    }
    assert_eq!(diagnose(&Default::default()).outcome(), Outcome::Unknown);
}
