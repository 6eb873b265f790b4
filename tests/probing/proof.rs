//! Real hosts asked for real: each kind of mismatch proven, a healthy pair cleared, and no connection too many.

use crate::bench::{Bench, probing};
use crate::host::{ALL, BOTH, Host, Key, Manner, Speaks, TLS12, TLS13, visit};
use config::ProbeMode;
use serde_json::Value;
use std::time::Duration;

/// One failed visit, and what it came to before and after the host was asked.
async fn judged(host: &Host, client: Speaks) -> (Bench, Value, Value) {
    let bench = Bench::new(host.address, probing(|_| ())).await;
    visit(bench.front, client).await;
    let end = bench.wait_for("session_end", 1).await.remove(0);
    assert_eq!(end["rdpscope"]["final"], false, "{end:#}");
    let verdict = bench.wait_for("verdict", 1).await.remove(0);
    assert_eq!(verdict["session"]["id"], end["session"]["id"]);
    assert_eq!(verdict["rdpscope"]["final"], true);
    (bench, end, verdict)
}

fn proves(verdict: &Value, cause: &str) {
    assert_eq!(verdict["event"]["code"], cause, "{verdict:#}");
    assert_eq!(verdict["rdpscope"]["confidence"], "proven", "{verdict:#}");
    assert!(verdict["rdpscope"]["alternatives"].is_null(), "{verdict:#}");
}

#[tokio::test]
async fn a_version_that_the_host_lacks_is_proven() {
    let host = Host::new(Speaks { versions: TLS13, suites: "", ..ALL }, Key::Rsa, Manner::Silent).await;
    let (bench, end, verdict) = judged(&host, Speaks { versions: TLS12, suites: "", ..ALL }).await;
    assert_eq!(end["event"]["code"], "tls_server_refused_hello_silently");
    proves(&verdict, "tls_no_common_version");
    assert_eq!(verdict["rdpscope"]["probe"]["versions"], serde_json::json!(["1.3"]));
    assert!(!verdict["rdpscope"]["smallest_change"].as_array().unwrap().is_empty(), "{verdict:#}");
    let upstream = format!("upstream=\"{}\"", host.address);
    bench.metric("tls_mismatch_total", &[&upstream, "what=\"version\""], 1.0).await;
    bench.metric("host_tls_supported", &[&upstream, "version=\"1.3\""], 1.0).await;
    bench.metric("host_tls_supported", &[&upstream, "version=\"1.2\""], 0.0).await;
    bench.metric("probe_success", &[&upstream, "step=\"tls\""], 1.0).await;
    bench.metric("probe_duration_seconds_count", &[], 1.0).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_suite_that_nobody_shares_is_proven() {
    let host = Host::new(Speaks { versions: TLS12, suites: "_CHACHA20_", ..ALL }, Key::Rsa, Manner::Silent).await;
    let (bench, _, verdict) = judged(&host, Speaks { versions: TLS12, suites: "_AES_", ..ALL }).await;
    proves(&verdict, "tls_no_common_cipher");
    let upstream = format!("upstream=\"{}\"", host.address);
    bench.metric("tls_mismatch_total", &[&upstream, "what=\"suite\""], 1.0).await;
    // TLS 1.2 shows the certificate: the probe tells of it before it expires.
    let not_after = &bench.host().await["profile"]["certificate"]["not_after"];
    assert!(not_after.is_string(), "{not_after}");
    bench.stop().await;
}

#[tokio::test]
async fn a_key_of_the_wrong_kind_is_proven() {
    let host = Host::new(Speaks { versions: TLS12, suites: "", ..ALL }, Key::Ecdsa, Manner::Silent).await;
    let (bench, _, verdict) = judged(&host, Speaks { versions: TLS12, suites: "_ECDHE_RSA_", ..ALL }).await;
    proves(&verdict, "tls_cert_key_type_mismatch");
    let upstream = format!("upstream=\"{}\"", host.address);
    bench.metric("tls_mismatch_total", &[&upstream, "what=\"key_type\""], 1.0).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_group_that_nobody_shares_is_proven() {
    let host = Host::new(Speaks { groups: "secp384r1", ..ALL }, Key::Rsa, Manner::Silent).await;
    let (bench, _, verdict) = judged(&host, Speaks { groups: "X25519", ..ALL }).await;
    proves(&verdict, "tls_no_common_group_or_sigalg");
    let upstream = format!("upstream=\"{}\"", host.address);
    bench.metric("tls_mismatch_total", &[&upstream, "what=\"group\""], 1.0).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_host_that_takes_no_hello_at_all_has_lost_its_key() {
    let host = Host::new(ALL, Key::Rsa, Manner::Dead).await;
    let (bench, _, verdict) = judged(&host, ALL).await;
    assert_eq!(verdict["event"]["code"], "cert_private_key_unusable", "{verdict:#}");
    // Only a device on the way that resets every hello looks the same from here.
    let rivals = verdict["rdpscope"]["alternatives"].as_array().cloned().unwrap_or_default();
    assert!(rivals.iter().all(|rival| rival == "rst_by_middlebox"), "{verdict:#}");
    bench.stop().await;
}

#[tokio::test]
async fn of_a_dead_host_and_a_healthy_one_behind_one_address_nothing_is_proven() {
    let host = Host::new(ALL, Key::Rsa, Manner::HalfDead).await;
    let (bench, _, verdict) = judged(&host, ALL).await;
    let rdpscope = &verdict["rdpscope"];
    assert_eq!(rdpscope["confidence"], "possible", "{verdict:#}");
    assert_eq!(rdpscope["probe"]["versions"], serde_json::json!([]), "{verdict:#}");
    assert_eq!(rdpscope["probe"]["mixed"], true, "{verdict:#}");
    let evidence = rdpscope["evidence"].as_array().unwrap();
    let said = |words: &str| evidence.iter().any(|sentence| sentence.as_str().unwrap().contains(words));
    assert!(said("it did not answer alike") && said("The client's own hello again"), "{verdict:#}");
    let remedy = rdpscope["remedy"][0].as_str().unwrap();
    assert!(remedy.contains("behind one address there may be several hosts"), "{verdict:#}");
    bench.stop().await;
}

#[tokio::test]
async fn a_pair_that_fits_is_cleared_of_a_mismatch() {
    let host = Host::new(ALL, Key::Rsa, Manner::ResetsFirst(1)).await;
    let (bench, end, verdict) = judged(&host, ALL).await;
    let rivals = end["rdpscope"]["alternatives"].as_array().unwrap();
    assert!(rivals.iter().any(|rival| rival == "tls_no_common_cipher"), "{end:#}");
    let (cause, rivals) = (&verdict["event"]["code"], &verdict["rdpscope"]["alternatives"]);
    for mismatch in ["tls_no_common_version", "tls_no_common_cipher", "tls_cert_key_type_mismatch"] {
        assert_ne!(cause, mismatch, "{verdict:#}");
        assert!(rivals.as_array().is_none_or(|rivals| rivals.iter().all(|rival| rival != mismatch)), "{verdict:#}");
    }
    assert_ne!(cause, "cert_private_key_unusable", "{verdict:#}");
    let upstream = format!("upstream=\"{}\"", host.address);
    bench.metric("tls_mismatch_total", &[&upstream, "what=\"suite\""], 0.0).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_host_never_sees_two_connections_of_a_probe_at_once() {
    let host = Host::new(ALL, Key::Rsa, Manner::Silent).await;
    let probe = probing(|probe| {
        probe.mode = ProbeMode::Schedule;
        (probe.min_interval, probe.interval) = (Duration::from_secs(1), Duration::from_secs(1));
    });
    let bench = Bench::new(host.address, probe).await;
    let probe = bench.wait_for("probe", 1).await.remove(0);
    bench.stop().await;
    assert_eq!(probe["rdpscope"]["probe"]["complete"], true, "{probe:#}");
    assert_eq!(probe["rdpscope"]["probe"]["versions"], serde_json::json!(["1.3", "1.2"]));
    assert!(host.connections() > 10, "{probe:#}");
    assert_eq!(host.most_at_once(), 1);
}

#[tokio::test]
async fn twenty_failures_cost_the_host_one_probe() {
    let host = Host::new(ALL, Key::Rsa, Manner::Dead).await;
    let bench = Bench::new(host.address, probing(|_| ())).await;
    let visits: Vec<_> = (0..20).map(|_| tokio::spawn(visit(bench.front, ALL))).collect();
    for visit in visits {
        visit.await.unwrap();
    }
    // Who ends when the probe is over has the final verdict at once, and none later.
    let ends = bench.wait_for("session_end", 20).await;
    let (mut verdicts, waiting): (Vec<_>, Vec<_>) = ends.into_iter().partition(|end| end["rdpscope"]["final"] == true);
    verdicts.extend(bench.wait_for("verdict", waiting.len()).await);
    assert_eq!(verdicts.len(), 20);
    assert!(verdicts.iter().all(|verdict| verdict["event"]["code"] == "cert_private_key_unusable"), "{verdicts:#?}");
    let probe = bench.wait_for("probe", 1).await.remove(0);
    let asked = probe["rdpscope"]["probe"]["handshakes"].as_u64().unwrap();
    assert_eq!(u64::try_from(host.connections()).unwrap(), 20 + asked, "{probe:#}");
    assert!(host.hellos() >= 20);
    assert!(asked < 100, "{asked} connections to a dead key");
    bench.stop().await;
}

#[tokio::test]
async fn what_the_host_no_longer_does_is_told_as_a_change() {
    let host = Host::new(Speaks { versions: BOTH, suites: "", ..ALL }, Key::Rsa, Manner::ResetsFirst(1)).await;
    let least = Duration::from_secs(1);
    let bench = Bench::new(host.address, probing(|probe| probe.min_interval = least)).await;
    visit(bench.front, ALL).await;
    bench.wait_for("probe", 1).await;
    let until = tokio::time::Instant::now() + least;
    host.becomes(Speaks { versions: TLS13, suites: "", ..ALL }, Key::Rsa);
    tokio::time::sleep_until(until).await;
    visit(bench.front, Speaks { versions: TLS12, suites: "", ..ALL }).await;
    let changed = bench.wait_for("host_changed", 1).await;
    assert!(changed.iter().any(|change| change["rdpscope"]["change"]["what"] == "version"), "{changed:#?}");
    let verdict = bench.wait_for("verdict", 2).await.pop().unwrap();
    proves(&verdict, "tls_no_common_version");
    bench.stop().await;
}
