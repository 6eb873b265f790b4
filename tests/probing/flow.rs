//! When a host is asked and when not, and what is told of it; with scripted answers.

use crate::bench::{Bench, directory, probing, scripted};
use crate::host::{ALL, Host, Key, Manner, Speaks, TLS12, visit};
use config::ProbeMode;
use parser::Timestamp;
use parser::profile::{HostProfile, Reaction, VersionAbility};
use parser::wire::{CipherSuite, TlsVersion};
use rdpscope::clock;
use rdpscope::probe::Asker;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::Semaphore;

const AES: Speaks = Speaks { versions: TLS12, suites: "_AES_", ..ALL };

/// A host that accepts these suites of these versions, and was asked just now.
pub(crate) fn accepts(versions: &[(TlsVersion, &[u16])]) -> HostProfile {
    let ability = |(version, suites): &(TlsVersion, &[u16])| VersionAbility {
        version: *version,
        reaction: match suites.first() {
            Some(suite) => Reaction::Hello { version: *version, suite: CipherSuite(*suite), group: None },
            None => Reaction::Closed(parser::session::CloseKind::Rst),
        },
        suites: suites.iter().copied().map(CipherSuite).collect(),
        host_order: true,
        complete: true,
    };
    let now = clock::now();
    HostProfile {
        begun: Timestamp(now.0 - 1_000_000),
        ended: now,
        handshakes: 9,
        versions: versions.iter().map(ability).collect(),
        ..HostProfile::default()
    }
}

fn only_chacha() -> HostProfile {
    accepts(&[(TlsVersion::TLS13, &[]), (TlsVersion::TLS12, &[0xcca8])])
}

#[tokio::test]
async fn twenty_failures_at_once_ask_the_host_once_and_all_are_revised() {
    let host = Host::new(ALL, Key::Rsa, Manner::Dead).await;
    // The answer waits until all twenty have failed.
    let (gate, asked) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let ask: Asker = {
        let (gate, asked) = (Arc::clone(&gate), Arc::clone(&asked));
        Arc::new(move |_| {
            let gate = Arc::clone(&gate);
            asked.fetch_add(1, SeqCst);
            Box::pin(async move {
                let _open = gate.acquire().await.unwrap();
                only_chacha()
            })
        })
    };
    let bench = Bench::asking(host.address, probing(|_| ()), ask, directory()).await;
    let visits: Vec<_> = (0..20).map(|_| tokio::spawn(visit(bench.front, AES))).collect();
    for visit in visits {
        visit.await.unwrap();
    }
    let ends = bench.wait_for("session_end", 20).await;
    assert!(
        ends.iter().all(|end| end["rdpscope"]["final"] == false && end["rdpscope"]["probe"].is_null()),
        "{ends:#?}"
    );
    assert_eq!(bench.host().await["asking"], true);
    gate.add_permits(1);
    let verdicts = bench.wait_for("verdict", 20).await;
    assert_eq!(verdicts.len(), 20);
    for end in &ends {
        let verdict =
            verdicts.iter().find(|verdict| verdict["session"]["id"] == end["session"]["id"]).expect("one each");
        assert_eq!(verdict["rdpscope"]["final"], true);
        assert_eq!(verdict["event"]["code"], "tls_no_common_cipher", "{verdict:#}");
        assert_eq!(verdict["rdpscope"]["confidence"], "proven", "{verdict:#}");
        assert_eq!(verdict["rdpscope"]["probe"]["versions"], serde_json::json!(["1.2"]));
    }
    assert_eq!((asked.load(SeqCst), host.connections()), (1, 20), "one probe, and none by another way");
    let upstream = format!("upstream=\"{}\"", host.address);
    bench.metric("sessions_total", &[&upstream, "cause=\"tls_no_common_cipher\""], 20.0).await;
    bench.metric("sessions_total", &[&upstream, "cause=\"tls_server_refused_hello_silently\""], 0.0).await;
    bench.metric("probes_total", &[&upstream, "reason=\"failure\""], 1.0).await;
    bench.stop().await;
    bench.captures_say(&verdicts);
}

#[tokio::test]
async fn while_the_answers_are_fresh_they_decide_at_once_and_nobody_is_asked() {
    let host = Host::new(ALL, Key::Rsa, Manner::Dead).await;
    let (ask, asked) = scripted(|_, _| only_chacha());
    let bench = Bench::asking(host.address, probing(|_| ()), ask, directory()).await;
    visit(bench.front, AES).await;
    bench.wait_for("verdict", 1).await;
    visit(bench.front, AES).await;
    let second = bench.wait_for("session_end", 2).await.pop().unwrap();
    assert_eq!(second["rdpscope"]["final"], true);
    assert_eq!(
        (&second["event"]["code"], &second["rdpscope"]["confidence"]),
        (&"tls_no_common_cipher".into(), &"proven".into())
    );
    assert!(second["rdpscope"]["probe"]["age_s"].as_f64().unwrap() < 60.0);
    assert_eq!(asked.load(SeqCst), 1);
    bench.stop().await;
}

#[tokio::test]
async fn after_min_interval_the_host_is_asked_again_and_a_change_is_told() {
    let host = Host::new(ALL, Key::Rsa, Manner::Dead).await;
    let (ask, asked) = scripted(|_, number| match number {
        0 => accepts(&[(TlsVersion::TLS13, &[]), (TlsVersion::TLS12, &[0xcca8]), (TlsVersion::TLS11, &[0xc014])]),
        _ => accepts(&[(TlsVersion::TLS13, &[]), (TlsVersion::TLS12, &[0xcca8]), (TlsVersion::TLS11, &[])]),
    });
    let least = Duration::from_secs(1);
    let bench = Bench::asking(host.address, probing(|probe| probe.min_interval = least), ask, directory()).await;
    visit(bench.front, AES).await;
    bench.wait_for("probe", 1).await;
    let until = tokio::time::Instant::now() + least;
    let upstream = format!("upstream=\"{}\"", host.address);
    bench.metric("host_tls_supported", &[&upstream, "version=\"1.1\""], 1.0).await;
    bench.metric("host_changes_total", &[&upstream, "what=\"version\""], 0.0).await;
    tokio::time::sleep_until(until).await;
    visit(bench.front, AES).await;
    let changed = bench.wait_for("host_changed", 1).await.pop().unwrap();
    assert_eq!(changed["rdpscope"]["change"]["what"], "version", "{changed:#}");
    assert!(changed["message"].as_str().unwrap().contains("TLS 1.1"), "{changed:#}");
    assert_eq!(changed["server"]["port"], host.address.port());
    assert_eq!(asked.load(SeqCst), 2);
    bench.metric("host_tls_supported", &[&upstream, "version=\"1.1\""], 0.0).await;
    bench.metric("host_changes_total", &[&upstream, "what=\"version\""], 1.0).await;
    let known = bench.host().await;
    assert_eq!(known["changes"][0]["what"], "version");
    bench.stop().await;
}

#[tokio::test]
async fn switched_off_no_host_is_ever_asked() {
    let host = Host::new(ALL, Key::Rsa, Manner::Dead).await;
    let (ask, asked) = scripted(|_, _| only_chacha());
    let bench = Bench::asking(host.address, probing(|probe| probe.mode = ProbeMode::Off), ask, directory()).await;
    for _ in 0..3 {
        visit(bench.front, AES).await;
    }
    let ends = bench.wait_for("session_end", 3).await;
    assert!(ends.iter().all(|end| end["rdpscope"]["final"] == true), "{ends:#?}");
    bench.stop().await;
    assert_eq!((asked.load(SeqCst), host.connections()), (0, 3));
    assert!(bench.events().iter().all(|event| event["event"]["action"] == "session_end"));
}

#[tokio::test]
async fn a_prompt_is_waited_for_before_the_host_is_troubled() {
    let host = Host::new(ALL, Key::Rsa, Manner::Silent).await;
    let (ask, asked) = scripted(|_, _| only_chacha());
    // The end is told at once all the same.
    let probe = probing(|probe| probe.hold = Duration::from_secs(1));
    let bench = Bench::asking(host.address, probe, ask, directory()).await;
    visit(bench.front, ALL).await;
    let end = bench.wait_for("session_end", 1).await.pop().unwrap();
    let rivals = end["rdpscope"]["alternatives"].as_array().unwrap();
    assert!(rivals.iter().any(|rival| rival == "client_prompt_probe"), "{end:#}");
    assert_eq!(end["rdpscope"]["final"], false);
    bench.stop().await;
    assert_eq!((asked.load(SeqCst), host.connections()), (0, 1));
}

#[tokio::test]
async fn held_back_for_the_answer_the_end_is_told_once_and_proven() {
    let host = Host::new(ALL, Key::Rsa, Manner::Dead).await;
    let (ask, _) = scripted(|_, _| only_chacha());
    let hold = Duration::from_secs(1);
    let bench = Bench::asking(host.address, probing(|probe| probe.hold = hold), ask, directory()).await;
    visit(bench.front, AES).await;
    let end = bench.wait_for("session_end", 1).await.pop().unwrap();
    assert_eq!(
        (&end["rdpscope"]["final"], &end["rdpscope"]["confidence"]),
        (&true.into(), &"proven".into()),
        "{end:#}"
    );
    bench.stop().await;
    assert!(bench.events().iter().all(|event| event["event"]["action"] != "verdict"));
}

#[tokio::test]
async fn an_answer_that_takes_longer_than_the_hold_revises() {
    let host = Host::new(ALL, Key::Rsa, Manner::Dead).await;
    let gate = Arc::new(Semaphore::new(0));
    let ask: Asker = {
        let gate = Arc::clone(&gate);
        Arc::new(move |_| {
            let gate = Arc::clone(&gate);
            Box::pin(async move {
                let _open = gate.acquire().await.unwrap();
                only_chacha()
            })
        })
    };
    let hold = Duration::from_millis(50);
    let bench = Bench::asking(host.address, probing(|probe| probe.hold = hold), ask, directory()).await;
    visit(bench.front, AES).await;
    let end = bench.wait_for("session_end", 1).await.pop().unwrap();
    assert_eq!(end["rdpscope"]["final"], false);
    gate.add_permits(1);
    let verdict = bench.wait_for("verdict", 1).await.pop().unwrap();
    assert_eq!((&verdict["session"]["id"], &verdict["rdpscope"]["final"]), (&end["session"]["id"], &true.into()));
    bench.stop().await;
}

#[tokio::test]
async fn a_probe_that_fails_or_panics_leaves_the_verdict_as_it_is_and_the_host_can_be_asked_again() {
    let host = Host::new(ALL, Key::Rsa, Manner::Dead).await;
    let (ask, asked) = scripted(|_, number| match number {
        0 => panic!("scripted"),
        _ => only_chacha(),
    });
    let ask: Asker = Arc::new(move |question| {
        let ask = Arc::clone(&ask);
        Box::pin(async move { ask(question).await })
    });
    let least = Duration::from_secs(1);
    let bench = Bench::asking(host.address, probing(|probe| probe.min_interval = least), ask, directory()).await;
    visit(bench.front, AES).await;
    let probe = bench.wait_for("probe", 1).await.pop().unwrap();
    assert_eq!(probe["event"]["outcome"], "failure");
    let upstream = format!("upstream=\"{}\"", host.address);
    bench.metric("sessions_total", &[&upstream, "cause=\"tls_server_refused_hello_silently\""], 1.0).await;
    tokio::time::sleep(least).await;
    visit(bench.front, AES).await;
    let probe = bench.wait_for("probe", 2).await.pop().unwrap();
    assert_eq!(probe["event"]["outcome"], "success");
    assert_eq!(asked.load(SeqCst), 2);
    bench.stop().await;
}

#[tokio::test]
async fn on_a_schedule_a_host_is_asked_without_a_failure() {
    let host = Host::new(ALL, Key::Rsa, Manner::Dead).await;
    let (ask, asked) = scripted(|question, _| {
        assert!(question.recorded.is_none());
        only_chacha()
    });
    let probe = probing(|probe| {
        probe.mode = ProbeMode::Schedule;
        (probe.min_interval, probe.interval) = (Duration::from_secs(1), Duration::from_secs(1));
    });
    let bench = Bench::asking(host.address, probe, ask, directory()).await;
    let probes = bench.wait_for("probe", 2).await;
    assert!(probes.iter().all(|probe| probe["rdpscope"]["probe"]["reason"] == "schedule"), "{probes:#?}");
    bench.stop().await;
    assert_eq!(host.connections(), 0, "scripted answers connect nowhere");
    assert!(asked.load(SeqCst) >= 2);
}

#[tokio::test]
async fn the_page_shows_each_host_with_its_age_and_who_came() {
    let host = Host::new(ALL, Key::Rsa, Manner::Dead).await;
    let (ask, _) = scripted(|_, _| only_chacha());
    let bench = Bench::asking(host.address, probing(|_| ()), ask, directory()).await;
    visit(bench.front, AES).await;
    bench.wait_for("verdict", 1).await;
    visit(bench.front, ALL).await;
    bench.wait_for("session_end", 2).await;
    let known = bench.host().await;
    assert_eq!(known["address"], host.address.to_string());
    assert_eq!(known["upstreams"], serde_json::json!([host.address.to_string()]));
    assert!(known["age_s"].as_f64().unwrap() < 60.0);
    assert_eq!(known["profile"]["versions"][1]["version"], "1.2");
    let clients = known["clients"].as_array().unwrap();
    assert_eq!(clients.len(), 2, "two shapes of hello: {clients:#?}");
    let outcomes: u64 = clients
        .iter()
        .flat_map(|client| client["outcomes"].as_object().unwrap().values())
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(outcomes, 2);
    bench.stop().await;
}
