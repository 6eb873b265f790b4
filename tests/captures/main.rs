//! Captures of failed openings as an operator meets them: the file, the event that names it, the admin endpoint, the
//! metrics, the bounds, other people's tools.

#![allow(clippy::unwrap_used)] // a test that cannot set its stage has failed

mod bench;
mod disk;
mod forms;
mod kinds;
mod same;
mod secrets;
mod tools;

use bench::{ALERT, Bench, USER, hello, pass, request, within};
use rdpscope::analyze::own::{read, recorded};
use std::time::Duration;
use tokio::io::AsyncReadExt;

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn the_event_names_a_file_that_tells_what_the_event_tells() {
    let mut bench = Bench::new().await;
    let record = bench.refused().await;
    bench.written().await;
    let id = record.identity.id;
    let event = bench.events().into_iter().find(|event| event["session"]["id"] == id.to_string()).unwrap();
    let path = event["rdpscope"]["capture"]["path"].as_str().unwrap();
    assert_eq!(path, bench.directory.join(format!("captures/{id}.pcapng")).to_str().unwrap());
    let read = recorded(path.as_ref()).unwrap().unwrap();
    assert_eq!((read.identity.id, read.identity.client), (id, record.identity.client));
    assert_eq!(read.verdict(), record.verdict);
    assert_eq!(read.told.unwrap()[0], event["event"]["code"].as_str().unwrap());
    // The user's name: what the event has of it, in its own length, and nothing else.
    let hash = event["rdp"]["cookie"].as_str().unwrap().strip_prefix("hmac-sha256:").unwrap().to_owned();
    let cookie = read.timeline.request.unwrap().cookie.unwrap();
    assert_eq!(cookie, hash[..USER.len()]);
    let file = std::fs::read(path).unwrap();
    assert!(!contains(&file, "alice") && !contains(&file, "CORP"));
    // Remarks stand at what they are about.
    assert!(
        contains(&file, "Alert protocol_version (70)")
            && contains(&file, &format!("verdict: {}", record.verdict.cause))
    );
    assert_eq!(read.timeline.alerts, record.timeline.alerts);
    assert_eq!(bench.metric("captures_written_total").await, 1.0);
    assert_eq!(bench.metric("captures_stored_bytes").await, file.len() as f64);
    let (status, body) = bench.get(&format!("/api/sessions/{id}/capture")).await;
    assert_eq!((status, body), (200, file));
    bench.proxy.stop().await;
}

#[tokio::test]
async fn a_session_that_opens_can_be_looked_at_before_it_fails() {
    let mut bench = Bench::new().await;
    let (mut client, mut host) = bench.confirmed().await;
    pass(&mut client, &mut host, &hello()).await;
    let (_, body) = bench.get("/api/sessions?state=live").await;
    let sessions: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let id = sessions["sessions"][0]["session"]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/sessions/{id}/capture");
    let (status, body) = bench.get(&path).await;
    let seen = read(&body).unwrap();
    assert_eq!((status, seen.identity.id.to_string()), (200, id));
    assert!(seen.told.is_none() && seen.timeline.client_hello.is_some());
    assert!(seen.timeline.closes.is_empty());
    assert!(!contains(&body, "alice"));
    assert!(bench.files().is_empty(), "a look writes no file");
    pass(&mut host, &mut client, &ALERT).await;
    drop((client, host));
    let record = bench.record().await;
    bench.written().await;
    let (status, body) = bench.get(&path).await;
    let seen = read(&body).unwrap();
    assert_eq!((status, seen.verdict()), (200, record.verdict.clone()));
    bench.proxy.stop().await;
}

#[tokio::test]
async fn scanners_and_silent_clients_leave_no_file() {
    let mut bench = Bench::new().await;
    for bytes in [&b""[..], b"GET / HTTP/1.1\r\nAuthorization: Basic YWxpY2U6czNjcmV0\r\n\r\n", b"SSH-2.0-x\r\n"] {
        let mut client = tokio::net::TcpStream::connect(bench.front).await.unwrap();
        let (mut host, _) = within("accept", bench.host.accept()).await.unwrap();
        if !bytes.is_empty() {
            pass(&mut client, &mut host, bytes).await;
        }
        drop(client);
        let mut rest = Vec::new();
        within("the end", host.read_to_end(&mut rest)).await.unwrap();
        drop(host);
        let record = bench.record().await;
        assert!(record.capture.is_none(), "{:?}", record.verdict.cause);
    }
    bench.written().await;
    assert!(bench.files().is_empty());
    assert_eq!(bench.proxy.opening_memory(), 0);
    bench.proxy.stop().await;
}

#[tokio::test]
async fn without_a_directory_nothing_is_kept_and_the_endpoint_says_how_to_have_it() {
    let with = Bench::new().await;
    let without = Bench::with(|settings| settings.capture = None).await;
    let (_one, _other) = (with.confirmed().await, without.confirmed().await);
    assert!(with.proxy.opening_memory() >= request().len() + 19, "{}", with.proxy.opening_memory());
    assert_eq!(without.proxy.opening_memory(), 0, "a whole request and its answer hold nothing");
    let (status, body) = without.get("/api/sessions/0193f2a6-0000-7000-8000-000000000000/capture").await;
    assert_eq!(status, 404);
    assert!(contains(&body, "--capture"), "{}", String::from_utf8_lossy(&body));
    let (status, body) = with.get("/api/sessions/0193f2a6-0000-7000-8000-000000000000/capture").await;
    assert_eq!(status, 404);
    assert!(contains(&body, "captures_not_written_total"), "{}", String::from_utf8_lossy(&body));
    assert_eq!(with.get("/api/sessions/..%2f..%2fetc/capture").await.0, 400);
    with.proxy.stop().await;
    without.proxy.stop().await;
}

#[tokio::test]
async fn an_opening_gives_its_memory_back_when_it_is_written() {
    let mut bench = Bench::new().await;
    bench.refused().await;
    bench.written().await;
    // Its session lets go of it a moment after it has told of its end.
    let given_back = async {
        while bench.proxy.opening_memory() > 0 {
            tokio::task::yield_now().await;
        }
    };
    within("the memory", given_back).await;
    bench.proxy.stop().await;
}

#[tokio::test]
async fn openings_that_the_budget_has_no_room_for_are_counted_and_served_all_the_same() {
    // Half of it is for captures: room for nothing.
    let mut bench = Bench::with(|settings| settings.limits.opening_memory = 1_000).await;
    let record = bench.refused().await;
    assert!(record.capture.is_none() && record.timeline.client_hello.is_some(), "read, and not kept");
    bench.written().await;
    assert_eq!(bench.metric("captures_not_written_total{reason=\"budget\"}").await, 1.0);
    assert_eq!(bench.metric("captures_written_total").await, 0.0);
    bench.proxy.stop().await;
}

#[tokio::test]
async fn a_flood_of_failures_stays_within_the_bounds_and_holds_up_nobody() {
    let mut bench = Bench::with(|settings| {
        let capture = settings.capture.as_mut().unwrap();
        (capture.max_files, capture.max_total_bytes) = (20, 60_000);
    })
    .await;
    let mut last = Vec::new();
    for _ in 0..60 {
        let (mut client, mut host) = bench.confirmed().await;
        pass(&mut client, &mut host, &hello()).await;
        pass(&mut host, &mut client, &ALERT).await;
        drop((client, host));
        last.push(bench.record().await.identity.id);
    }
    bench.written().await;
    let files = bench.files();
    let size = |name: &String| std::fs::metadata(bench.directory.join("captures").join(name)).unwrap().len();
    let total: u64 = files.iter().map(size).sum();
    assert!(!files.is_empty() && files.len() <= 20 && total <= 60_000, "{} files, {total} bytes", files.len());
    let newest: Vec<String> = last[last.len() - files.len()..].iter().map(|id| format!("{id}.pcapng")).collect();
    assert_eq!(files, newest, "the oldest went");
    assert_eq!(bench.metric("captures_written_total").await, 60.0);
    bench.proxy.stop().await;
}

#[tokio::test]
async fn what_happens_in_a_running_session_is_counted_as_let_go_of() {
    let mut bench = Bench::new().await;
    // Standard RDP security without a word of RDP: after 256 KiB it is taken for a session that is up.
    let mut client = tokio::net::TcpStream::connect(bench.front).await.unwrap();
    let (mut host, _) = within("accept", bench.host.accept()).await.unwrap();
    pass(&mut client, &mut host, &request()).await;
    pass(&mut host, &mut client, &[3, 0, 0, 11, 6, 0xd0, 0, 0, 0x12, 0x34, 0]).await;
    let mut drawing = vec![3, 0, 0x40, 0, 2, 0xf0, 0x80, 0x68];
    drawing.resize(0x4000, 7);
    for _ in 0..20 {
        pass(&mut host, &mut client, &drawing).await;
    }
    assert_eq!(bench.proxy.opening_memory(), 0, "an active session holds no opening");
    let (_, body) = bench.get("/api/sessions?state=live").await;
    let sessions: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let (status, body) = bench
        .get(&format!("/api/sessions/{}/capture", sessions["sessions"][0]["session"]["id"].as_str().unwrap()))
        .await;
    assert_eq!(status, 404);
    assert!(contains(&body, "kept until its session is up"), "{}", String::from_utf8_lossy(&body));
    host.set_zero_linger().unwrap();
    drop(host);
    let mut rest = Vec::new();
    let _ = within("the end", client.read_to_end(&mut rest)).await;
    let record = bench.record().await;
    assert!(record.timeline.progress.active.is_some() && record.capture.is_none());
    assert_eq!(record.verdict.cause.id(), "host_closed_active");
    bench.written().await;
    assert_eq!(bench.metric("captures_not_written_total{reason=\"released\"}").await, 1.0);
    bench.proxy.stop().await;
}

#[tokio::test]
async fn a_proxy_time_out_and_a_host_that_is_not_there_come_back_out_of_their_files() {
    let mut bench = Bench::with(|settings| settings.timeouts.client_hello = Duration::from_millis(200)).await;
    let (mut client, host) = bench.confirmed().await;
    let mut rest = Vec::new();
    let _ = within("the end", client.read_to_end(&mut rest)).await;
    drop((client, host));
    let timed_out = bench.record().await;
    let refused = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut other = Bench::with(|settings| settings.listeners[0].upstream.port = free.port()).await;
        // The end may be there before the connect is told of.
        if let Ok(mut client) = tokio::net::TcpStream::connect(other.front).await {
            let _ = within("the end", client.read_to_end(&mut rest)).await;
        }
        let record = other.record().await;
        other.written().await;
        let read = recorded(record.capture.as_deref().unwrap()).unwrap().unwrap();
        assert_eq!(read.verdict(), record.verdict);
        other.proxy.stop().await;
        record
    };
    assert_eq!(refused.verdict.cause.id(), "tcp_refused");
    bench.written().await;
    let read = recorded(timed_out.capture.as_deref().unwrap()).unwrap().unwrap();
    assert_eq!(read.verdict(), timed_out.verdict);
    assert_eq!(timed_out.timeline.first_close().unwrap().by, parser::session::Closer::Proxy);
    bench.proxy.stop().await;
}
