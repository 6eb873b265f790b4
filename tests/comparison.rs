//! The comparison of `benches/compare` still does what its figures are said to be of: each work runs through the proxy, and
//! sessions become active and end in order. No figure is judged here.

#[allow(dead_code)]
#[path = "../benches/compare/main.rs"]
mod compare;

use compare::ends::Host;
use compare::proxies::{Running, Setting, Target};
use compare::statistics::{Estimate, estimate};
use compare::works::Work;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What the program says of sessions that have ended, once it has said so of one at least.
fn events(directory: &Path) -> Vec<serde_json::Value> {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let text = std::fs::read_to_string(directory.join("rdpscope/events.jsonl")).expect("events");
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let events: Vec<serde_json::Value> =
            whole.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        // The first connection only asks whether the proxy accepts.
        let speaks = |event: &serde_json::Value| event["source"]["bytes"].as_u64() > Some(0);
        let ended: Vec<serde_json::Value> = events.into_iter().filter(speaks).collect();
        if !ended.is_empty() {
            return ended;
        }
        assert!(Instant::now() < until, "no session has ended");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn work_through_rdpscope(works: &[Work], directory: &str) -> Vec<serde_json::Value> {
    let host = Host::start().expect("a host");
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(directory);
    let setting = Setting::new(Path::new(env!("CARGO_BIN_EXE_rdpscope")), host.address, 1, directory);
    let proxy = Running::start(Target::Ours, &setting).expect("the proxy starts");
    for work in works {
        let figures = work.run(&proxy.path, Duration::from_millis(100)).expect("the work is done");
        match work {
            Work::Idle(_) => assert_eq!((figures.descriptors, figures.pipes), (Some(2.0), Some(0.0)), "{figures:?}"),
            Work::RoundTrips => assert!(figures.cost > 0.0 && figures.p50 <= figures.p99, "{figures:?}"),
            _ => assert!(figures.cost > 0.0 && figures.cost.is_finite(), "{work:?}: {figures:?}"),
        }
    }
    events(&setting.directory)
}

#[test]
fn sessions_of_the_comparison_become_active_and_end_in_order() {
    for event in work_through_rdpscope(&[Work::Connections], "whole") {
        assert_eq!((&event["rdpscope"]["phase"], &event["event"]["code"]), (&"active".into(), &"ok".into()), "{event}");
    }
}

#[test]
fn connections_that_end_early_do_so_after_the_server_hello() {
    for event in work_through_rdpscope(&[Work::EarlyEnds], "early") {
        assert_eq!(event["event"]["code"], "tls_client_closed_silently", "{event}");
    }
}

#[test]
fn traffic_of_the_comparison_flows() {
    work_through_rdpscope(&[Work::Bulk(2), Work::Frames(4), Work::RoundTrips, Work::Idle(20)], "traffic");
}

#[test]
fn an_interval_is_that_of_the_median() {
    let found = estimate(&[1.0, 1.0, 1.1, 0.9, 1.0, 1.0, 5.0, 1.0, 1.0]).expect("an estimate");
    assert_eq!(found.median, 1.0);
    assert!(found.low <= 1.0 && (1.0..5.0).contains(&found.high), "{found:?}");
    assert_eq!(estimate(&[2.0]), Some(Estimate { median: 2.0, low: 2.0, high: 2.0 }));
    assert_eq!(estimate(&[]), None);
}
