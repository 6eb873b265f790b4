//! What hosts accept outlives a restart, or is refused whole.

use crate::bench::{Bench, directory, probing, scripted};
use crate::flow::accepts;
use crate::host::{ALL, Host, Key, Manner, visit};
use parser::wire::TlsVersion;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Waits until the file is there: it is written after the events.
async fn written(path: &Path) -> Vec<u8> {
    let begun = Instant::now();
    loop {
        match std::fs::read(path) {
            Ok(bytes) => return bytes,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{}: {error}", path.display()),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn after_a_restart_a_host_is_still_known_and_a_damaged_file_is_not_used() {
    let host = Host::new(ALL, Key::Rsa, Manner::Dead).await;
    let directory = directory();
    let file = directory.join("hosts.json");
    let (ask, asked) = scripted(|_, _| accepts(&[(TlsVersion::TLS13, &[]), (TlsVersion::TLS12, &[])]));

    let bench = Bench::asking(host.address, probing(|_| ()), ask.clone(), directory.clone()).await;
    visit(bench.front, ALL).await;
    bench.wait_for("probe", 1).await;
    let whole = written(&file).await;
    bench.stop().await;

    let bench = Bench::asking(host.address, probing(|_| ()), ask.clone(), directory.clone()).await;
    visit(bench.front, ALL).await;
    bench.wait_for("session_end", 2).await;
    assert_eq!(bench.host().await["profile"]["handshakes"], 9);
    assert_eq!(asked.load(SeqCst), 1, "fresh over the restart");
    bench.stop().await;

    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    std::fs::write(&file, &damaged).unwrap();
    let bench = Bench::asking(host.address, probing(|_| ()), ask, directory.clone()).await;
    assert!(bench.host().await.is_null(), "nothing of it is known");
    visit(bench.front, ALL).await;
    bench.wait_for("probe", 2).await;
    assert_eq!(asked.load(SeqCst), 2);
    assert_eq!(std::fs::read(directory.join("hosts.json.refused")).unwrap(), damaged, "set aside");
    bench.stop().await;
}
