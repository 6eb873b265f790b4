use super::*;
use crate::clock;
use crate::limits::Rejection;
use crate::record::fixture::{Fake, OPENED, identity, record, verdict};
use crate::record::{SessionIdentity, Told};
use config::EventPath;
use parser::diagnosis::Cause;
use parser::session::{Close, CloseKind, Closer, Opening, Peer, Traffic};
use serde_json::Value;
use std::path::PathBuf;
use uuid::Uuid;

pub(crate) fn settings(path: EventPath) -> config::Settings {
    config::Settings {
        listeners: vec![config::Listener {
            name: "rds-farm".to_owned(),
            listen: "127.0.0.1:0".parse().unwrap(),
            upstream: config::Upstream { host: "rds07.example.net".to_owned(), port: 3389 },
            max_sessions: 10,
            max_sessions_per_client: 10,
            bridge: config::Bridge::default(),
        }],
        timeouts: config::Timeouts {
            connect: Duration::from_secs(5),
            negotiate: Duration::from_secs(10),
            client_hello: Duration::from_secs(15),
            server_hello: Duration::from_secs(15),
        },
        probe: config::Probe { mode: config::ProbeMode::Off, ..config::Probe::default() },
        events: config::Events { path, user_names: config::UserNames::Hash, live: false },
        admin: None,
        limits: config::Limits {
            drain_timeout: Duration::from_secs(1),
            opening_memory: 1 << 20,
            ..config::Limits::default()
        },
        capture: None,
        state_directory: None,
    }
}

fn event_file() -> PathBuf {
    std::env::temp_dir().join(format!("rdpscope-events-{}.jsonl", Uuid::now_v7()))
}

fn lines(path: &std::path::Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// [`record`], accepted `ms` after now and ended 20 ms later: the observer's own thread must not find it old.
fn fresh(number: u128, cause: Cause, ms: u64) -> SessionRecord {
    let mut record = record(number, cause);
    let mut identity = (*record.identity).clone();
    identity.accepted = clock::now().plus(Duration::from_millis(ms));
    record.ended = identity.accepted.plus(Duration::from_millis(20));
    record.identity = Arc::new(identity);
    record
}

/// A session gets further, as the relay tells it.
fn enter(observer: &Observer, fake: &Fake, phase: Phase) {
    let (before, now) = (fake.phase(), clock::now());
    fake.timeline.lock().unwrap().phases.enter(phase, now);
    observer.phase(fake, before, phase, now);
}

fn value(observer: &Observer, series: &str) -> f64 {
    let text = String::from_utf8(observer.metrics_text()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
}

fn sessions(observer: &Observer, cause: Cause) -> f64 {
    value(observer, &format!(r#"rdpscope_sessions_total{{cause="{cause}",upstream="rds07.example.net:3389"}}"#))
}

#[tokio::test]
async fn each_session_gives_one_line_one_count_and_one_record() {
    let path = event_file();
    let observer = Observer::start(&settings(EventPath::File(path.clone()))).unwrap();
    let mut records = observer.records();
    let mut notices = observer.notices();
    let fake = Fake::new(identity(1));
    observer.started(Arc::clone(&fake) as Arc<dyn LiveSession>);
    assert_eq!(value(&observer, r#"rdpscope_sessions_active{listener="rds-farm"}"#), 1.0);
    assert_eq!(value(&observer, r#"rdpscope_sessions_in_phase{phase="accept"}"#), 1.0);
    enter(&observer, &fake, Phase::TlsHello);
    assert_eq!(value(&observer, r#"rdpscope_sessions_in_phase{phase="accept"}"#), 0.0);
    assert_eq!(value(&observer, r#"rdpscope_sessions_in_phase{phase="tls_hello"}"#), 1.0);
    observer.ended(record(1, Cause::CertExpired));
    observer.finish().await;
    let lines = lines(&path);
    assert_eq!(lines.len(), 1, "starts and phases are for the live feed only: {lines:?}");
    assert_eq!(lines[0]["event"]["action"], "session_end");
    assert_eq!(lines[0]["event"]["code"], "cert_expired");
    assert_eq!(lines[0]["rdpscope"]["attempt"]["number"], 1);
    assert_eq!(sessions(&observer, Cause::CertExpired), 1.0);
    assert_eq!(value(&observer, r#"rdpscope_sessions_active{listener="rds-farm"}"#), 0.0);
    assert_eq!(value(&observer, r#"rdpscope_sessions_in_phase{phase="tls_hello"}"#), 0.0);
    assert_eq!(records.try_recv().unwrap().verdict.cause, Cause::CertExpired);
    assert!(matches!(notices.try_recv(), Ok(Notice::Ended(_))));
    assert_eq!(observer.phase_latencies().len(), 5);
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn bytes_of_a_live_session_are_counted_once() {
    let observer = Observer::quiet();
    let fake = Fake::new(identity(1));
    observer.started(Arc::clone(&fake) as Arc<dyn LiveSession>);
    fake.timeline.lock().unwrap().traffic.host.bytes = 1000;
    let series = r#"rdpscope_bytes_total{direction="host_to_client",upstream="rds07.example.net:3389"}"#;
    assert_eq!(value(&observer, series), 1000.0);
    observer.ended(record(1, Cause::Ok));
    assert_eq!(value(&observer, series), 1800.0);
}

#[tokio::test]
async fn a_prompt_is_revised_when_the_client_comes_back_and_counted_once() {
    let path = event_file();
    let observer = Observer::start(&settings(EventPath::File(path.clone()))).unwrap();
    let mut notices = observer.notices();
    observer.started(Fake::new(fresh(1, Cause::Ok, 0).identity));
    // Its user is asked about the certificate: the client leaves with an alert, and may come back.
    let said = Cause::CertExpired;
    observer.ended(fresh(1, said, 0));
    assert!(matches!(notices.try_recv(), Ok(Notice::Ended(_))));
    let count_before = sessions(&observer, said);

    let again = Arc::clone(&fresh(2, Cause::Ok, 1_000).identity);
    let fake = Fake::new(Arc::clone(&again));
    *fake.timeline.lock().unwrap() = crate::record::fixture::timeline();
    observer.started(Arc::clone(&fake) as Arc<dyn LiveSession>);
    for phase in [Phase::X224, Phase::TlsHello, Phase::TlsFinish, Phase::Credssp, Phase::Mcs, Phase::Active] {
        enter(&observer, &fake, phase);
    }
    observer.finish().await;
    let lines = lines(&path);
    let revised =
        lines.iter().find(|line| line["event"]["action"] == "verdict").unwrap_or_else(|| panic!("{said}: {lines:#?}"));
    assert_eq!(revised["session"]["id"], identity(1).id.to_string());
    assert_eq!(revised["rdpscope"]["final"], true);
    assert_eq!(revised["event"]["code"], "client_prompt_probe");
    assert_eq!(lines[0]["rdpscope"]["final"], false);
    assert_eq!(count_before, 0.0, "not counted while it may be revised");
    assert_eq!(sessions(&observer, said), 0.0);
    assert_eq!(sessions(&observer, Cause::ClientPromptProbe), 1.0);
    assert!(matches!(notices.try_recv(), Ok(Notice::Revised { session, .. }) if session == identity(1).id));
    let kept = observer.ended_session(identity(1).id).unwrap();
    assert_eq!(kept.record.verdict.cause, Cause::ClientPromptProbe);
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn an_attempt_is_counted_when_it_is_over() {
    let observer = Observer::quiet();
    observer.started(Fake::new(fresh(1, Cause::Ok, 0).identity));
    observer.ended(fresh(1, Cause::CertExpired, 0));
    let series = r#"rdpscope_attempts_total{cause="cert_expired",upstream="rds07.example.net:3389"}"#;
    assert_eq!(value(&observer, series), 0.0);
    observer.settle(clock::now().plus(Duration::from_secs(120)));
    assert_eq!(value(&observer, series), 1.0);
}

#[tokio::test]
async fn the_thread_that_looks_at_the_clock_sleeps_while_nothing_can_be_due() {
    let observer = Observer::quiet();
    let now = clock::now();
    assert_eq!(observer.until_due(now), None, "nobody has come");
    let fake = Fake::new(fresh(1, Cause::Ok, 0).identity);
    observer.started(Arc::clone(&fake) as Arc<dyn LiveSession>);
    assert!(observer.until_due(now).is_some_and(|pause| pause < Duration::from_secs(1)), "it may hang");
    enter(&observer, &fake, Phase::Active);
    observer.hanging(now);
    assert_eq!(observer.until_due(now), None, "an active session, however many");
    let record = fresh(1, Cause::CertExpired, 0);
    let ended = record.ended;
    observer.ended(record);
    let until = observer.until_due(ended).expect("its attempt will be over");
    assert_eq!(until, Duration::from_secs(30));
    observer.settle(ended.plus(until));
    assert_eq!(observer.until_due(ended.plus(until)), None);
}

/// In an hour, so that the observer's own thread, which has another log, says nothing of it.
#[tokio::test]
async fn what_was_not_logged_of_a_burst_is_said_when_its_second_is_over_and_wakes_the_thread_once() {
    let observer = Observer::quiet();
    let mut record = fresh(1, Cause::NotRdp, 3_600_000);
    record.verdict = verdict(Cause::NotRdp);
    record.ended = Timestamp(record.ended.0 / 1_000_000_000 * 1_000_000_000);
    let at = record.ended;
    for _ in 0..13 {
        observer.log(&record, at, None);
    }
    assert_eq!(observer.until_due(at), Some(Duration::from_secs(1)));
    let said =
        log::tests::said_by(|| (0..3).for_each(|second| observer.left_out(at.plus(Duration::from_secs(second)))));
    assert_eq!(said.matches("3 more verdicts of outcome unknown were not logged one by one").count(), 1, "{said}");
    assert_eq!(observer.until_due(at), None, "and nothing is left to wait for");
}

/// In an hour, as above. One probe may revise what thousands of sessions came to.
#[tokio::test]
async fn revised_verdicts_are_sampled_with_the_first_ones_and_what_is_no_news_is_not_logged() {
    let observer = Observer::quiet();
    let record = Arc::new(fresh(1, Cause::CertExpired, 3_600_000));
    let at = record.ended;
    let told = Told { attempt: None, is_final: true, profile: None };
    assert_eq!(log::tests::said_by(|| observer.tell_verdict(&record, told, None)), "");
    let revise = || observer.log(&record, at, Some(Cause::TlsNoCommonCipher));
    let said = log::tests::said_by(|| {
        (0..60).for_each(|_| {
            observer.log(&record, at, None);
            revise();
        })
    });
    assert_eq!((said.matches(" WARN ").count(), said.matches(" WARN revised: ").count()), (100, 50), "{said}");
    let said = log::tests::said_by(|| observer.left_out(at.plus(Duration::from_secs(1))));
    assert!(said.contains("20 more verdicts of outcome failure were not logged one by one"), "{said}");
}

/// Without the thread, which would look at the same sessions.
#[test]
fn a_session_that_is_to_rest_is_looked_at_until_it_does() {
    let live = Live::default();
    assert!(!live.may_rest());
    live.restless(Fake::new(identity(1)));
    assert!(live.may_rest());
    live.rest(clock::now());
    assert!(!live.may_rest(), "it rests");
}

#[tokio::test]
async fn the_thread_that_sleeps_is_woken_by_a_session_and_ends_with_the_observer() {
    let observer = Observer::quiet();
    let mut gone = observer.gone();
    let until = clock::now().plus(Duration::from_secs(30));
    while !observer.tick.is_asleep() && clock::now() < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(observer.tick.is_asleep(), "nobody has come");
    let mut feed = observer.subscribe().unwrap();
    // Accepted long ago, so it hangs, and is told of without anybody else looking.
    observer.started(Fake::new(identity(1)));
    let told = async { while feed.recv().await.is_some_and(|item| item.action != "session_phase") {} };
    tokio::time::timeout(Duration::from_secs(30), told).await.expect("the thread looks again");
    drop(observer);
    tokio::time::timeout(Duration::from_secs(30), gone.changed()).await.expect("it holds nothing").unwrap_err();
}

#[tokio::test]
async fn a_session_that_hangs_is_told_of_while_it_hangs() {
    let observer = Observer::quiet();
    let mut feed = observer.subscribe().unwrap();
    let identity = fresh(1, Cause::Ok, 0).identity;
    let after = |ms| identity.accepted.plus(Duration::from_millis(ms));
    observer.started(Fake::new(Arc::clone(&identity)));
    assert_eq!(feed.try_recv().unwrap().action, "session_start");
    observer.hanging(after(4_999));
    assert!(feed.try_recv().is_err());
    for (now, times) in [(5_000, 1), (6_000, 0), (30_000, 1), (300_000, 1), (900_000, 0)] {
        observer.hanging(after(now));
        let told: Vec<Item> = std::iter::from_fn(|| feed.try_recv().ok()).collect();
        assert_eq!(told.len(), times, "at {now} ms: {told:?}");
        assert!(
            told.iter().all(|item| item.action == "session_phase" && item.json.contains("no byte of the host yet"))
        );
    }
}

#[tokio::test]
async fn an_active_session_never_hangs() {
    let observer = Observer::quiet();
    let mut feed = observer.subscribe().unwrap();
    let fake = Fake::new(identity(1));
    observer.started(Arc::clone(&fake) as Arc<dyn LiveSession>);
    enter(&observer, &fake, Phase::Active);
    while feed.try_recv().is_ok() {}
    observer.hanging(Timestamp(u64::MAX));
    assert!(feed.try_recv().is_err());
}

/// In an hour, as above: told of while their second lasts, behind it by the next one, behind it by nobody, and at the end of a run.
#[tokio::test]
async fn refused_connections_are_all_counted_and_each_is_in_one_event_of_ten_a_second() {
    let path = event_file();
    let observer = Observer::start(&settings(EventPath::File(path.clone()))).unwrap();
    let start = fresh(1, Cause::Ok, 3_600_000).identity.accepted.0 / 1_000_000_000 * 1_000_000_000;
    let at = |second: u64| Timestamp(start + second * 1_000_000_000);
    let refuse = |second: u64, times: usize| {
        let refused = SessionIdentity { accepted: at(second), ..(*identity(1)).clone() };
        (0..times).for_each(|_| observer.rejected(&refused, Rejection::MaxSessionsPerClient));
    };
    refuse(0, 50);
    refuse(2, 1);
    refuse(3, 30);
    assert_eq!(observer.until_due(at(3)), Some(Duration::from_secs(1)), "the thread is to look again");
    let said = log::tests::said_by(|| (3..6).for_each(|second| observer.refusals_left_out(at(second))));
    let line =
        "connection from 10.1.2.3 refused: max_sessions_per_client is reached; 19 more were not logged one by one";
    assert_eq!((said.lines().count(), said.matches(line).count()), (1, 1), "{said}");
    assert_eq!(observer.until_due(at(6)), None);
    refuse(7, 12);
    observer.finish().await;
    let lines = lines(&path);
    let suppressed: Vec<u64> =
        lines.iter().map(|line| line["rdpscope"]["suppressed"].as_u64().unwrap()).filter(|some| *some > 0).collect();
    assert_eq!((lines.len(), suppressed), (10 + 1 + 10 + 1 + 10 + 1, vec![40, 19, 1]));
    assert!(lines.iter().all(|line| line["event"]["code"] == "proxy_limit"));
    let series = r#"rdpscope_connections_rejected_total{listener="rds-farm",reason="max_sessions_per_client"}"#;
    assert_eq!(value(&observer, series), 93.0);
    assert_eq!(sessions(&observer, Cause::ProxyLimit), 0.0, "a refused connection is no session");
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn reload_and_drain_are_events_and_reload_reopens_the_file() {
    let path = event_file();
    let old = path.with_extension("1");
    let observer = Observer::start(&settings(EventPath::File(path.clone()))).unwrap();
    observer.drain(Drain::Begun { live: 3 });
    observer.finish().await;
    std::fs::rename(&path, &old).unwrap();
    observer.reloaded(Err("line 3: unknown key"));
    observer.finish().await;
    assert_eq!(lines(&old)[0]["event"]["action"], "drain");
    assert_eq!(lines(&old)[0]["rdpscope"]["live"], 3);
    let reload = &lines(&path)[0];
    assert_eq!((&reload["event"]["action"], &reload["event"]["outcome"]), (&"reload".into(), &"failure".into()));
    assert!(reload["message"].as_str().unwrap().contains("line 3"));
    assert_eq!(value(&observer, r#"rdpscope_config_reloads_total{result="failure"}"#), 1.0);
    std::fs::remove_file(path).unwrap();
    std::fs::remove_file(old).unwrap();
}

#[tokio::test]
async fn a_full_disk_loses_events_and_counts_them() {
    let observer = Observer::start(&settings(EventPath::File("/dev/full".into()))).unwrap();
    observer.ended(record(1, Cause::CertExpired));
    observer.ended(record(2, Cause::CertExpired));
    observer.finish().await;
    assert_eq!(value(&observer, r#"rdpscope_events_dropped_total{sink="file"}"#), 2.0);
    assert_eq!(sessions(&observer, Cause::CertExpired), 2.0, "counters do not need the disk");
}

#[tokio::test]
async fn an_event_file_that_cannot_be_opened_is_named() {
    let error = Observer::start(&settings(EventPath::File("/nonexistent-directory/e.jsonl".into()))).unwrap_err();
    assert!(error.to_string().contains("/nonexistent-directory/e.jsonl"), "{error}");
}

#[tokio::test]
async fn failures_outlive_a_flood_of_healthy_sessions_in_the_history() {
    let observer = Observer::quiet();
    observer.ended(record(1, Cause::CertExpired));
    for number in 2..1_000 {
        observer.ended(SessionRecord { verdict: verdict(Cause::Ok), ..record(number, Cause::Ok) });
    }
    assert_eq!(observer.failed_newest(10).len(), 1);
    assert!(observer.ended_session(identity(1).id).is_some());
    assert!(observer.ended_session(identity(2).id).is_none(), "the oldest healthy ones make room");
    assert_eq!(observer.ended_newest(5).len(), 5);
}

#[tokio::test]
async fn a_gateway_connection_is_judged_beside_one_that_is_just_ending() {
    let cause_of_in = |told: bool| {
        let observer = Observer::quiet();
        let mut records = observer.records();
        let (out, inward) =
            (gateway_half(1, Peer::Host, Closer::Client, 8), gateway_half(2, Peer::Client, Closer::Host, 9));
        for half in [&out, &inward] {
            // As the table shows a session whose record is on its way: it knows nothing any more.
            observer.started(Fake::new(Arc::clone(&half.identity)));
        }
        if told {
            observer.ending(out.identity.id, &out.timeline);
        }
        observer.ended(inward);
        records.try_recv().unwrap().verdict.cause
    };
    assert_eq!(cause_of_in(true), Cause::Ok);
    assert_eq!(cause_of_in(false), Cause::HostClosedActive);
}

/// A connection that is one of the two of a gateway session, and was closed.
fn gateway_half(number: u128, carries: Peer, by: Closer, second: u64) -> SessionRecord {
    let mut record = record(number, Cause::Ok);
    let at = |second: u64| OPENED.plus(Duration::from_secs(second));
    let mut timeline = Timeline { opening: Opening::TlsFirst, ..Timeline::default() };
    timeline.progress.active = Some(at(2));
    timeline.traffic[carries] = Traffic { bytes: 9_000, records: 40, ..Traffic::default() };
    (timeline.tail.client.known, timeline.tail.host.known) = (true, true);
    timeline.closes.push(Close { by, kind: CloseKind::Fin, at: at(second) });
    record.verdict = parser::diagnosis::diagnose(&timeline);
    record.timeline = timeline;
    record
}
