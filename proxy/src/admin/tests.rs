use super::*;
use crate::clock;
use crate::observe::Drain;
use crate::record::LiveSession;
use crate::record::fixture::{Fake, identity, record, timeline};
use parser::diagnosis::Cause;
use parser::session::Phase;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

async fn serve() -> (Arc<Observer>, SocketAddr) {
    let observer = Observer::quiet();
    let address = start("127.0.0.1:0".parse().unwrap(), Arc::clone(&observer)).await.unwrap();
    (observer, address)
}

/// Status, headers in lower case, body.
async fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String, String) {
    ask_as("localhost", address, method, path).await
}

/// The same by another name.
async fn ask_as(host: &str, address: SocketAddr, method: &str, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

async fn get_json(address: SocketAddr, path: &str) -> (u16, Value) {
    let (status, head, body) = ask(address, "GET", path).await;
    assert!(head.contains("content-type: application/json"), "{head}");
    (status, serde_json::from_str(&body).unwrap())
}

/// An open feed, its headers and first comment read.
async fn feed(address: SocketAddr, query: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /api/events{query} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.contains(": rdpscope events") {
        assert_ne!(reader.read_line(&mut head).await.unwrap(), 0, "{head}");
    }
    assert!(head.to_lowercase().contains("content-type: text/event-stream"), "{head}");
    reader
}

/// The next event of a feed: its name and its data.
async fn next(feed: &mut BufReader<TcpStream>) -> (String, Value) {
    let mut name = String::new();
    loop {
        let mut line = String::new();
        assert_ne!(feed.read_line(&mut line).await.unwrap(), 0, "the feed ended");
        if let Some(event) = line.strip_prefix("event: ") {
            name = event.trim().to_owned();
        } else if let Some(data) = line.strip_prefix("data: ") {
            return (name, serde_json::from_str(data).unwrap());
        }
    }
}

#[tokio::test]
async fn health_is_always_and_readiness_only_while_accepting() {
    let (observer, address) = serve().await;
    assert_eq!(ask(address, "GET", "/healthz").await.0, 200);
    assert_eq!(ask(address, "GET", "/readyz").await.0, 503);
    observer.readiness(Readiness::Ready);
    assert_eq!(ask(address, "GET", "/readyz").await.0, 200);
    observer.readiness(Readiness::Draining);
    let (status, _, body) = ask(address, "GET", "/readyz").await;
    assert_eq!((status, body.as_str()), (503, "draining\n"));
    assert_eq!(ask(address, "GET", "/healthz").await.0, 200);
}

#[tokio::test]
async fn metrics_are_in_the_text_format() {
    let (_observer, address) = serve().await;
    let (status, head, body) = ask(address, "GET", "/metrics").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("rdpscope_build_info{") && body.contains("process_open_fds "), "{body}");
}

#[tokio::test]
async fn live_and_failed_sessions_are_listed_newest_first() {
    let (observer, address) = serve().await;
    observer.started(Fake::new(identity(7)));
    observer.started(Fake::new(identity(8)));
    for (number, cause) in [(1, Cause::CertExpired), (2, Cause::Ok), (3, Cause::TcpRefused)] {
        observer.ended(record(number, cause));
    }
    let (_, live) = get_json(address, "/api/sessions").await;
    assert_eq!(live["live"], 2);
    assert_eq!(live["sessions"][0]["session"]["id"], identity(8).id.to_string());
    let (_, failed) = get_json(address, "/api/sessions?state=failed").await;
    let codes: Vec<&Value> = failed["sessions"].as_array().unwrap().iter().map(|s| &s["event"]["code"]).collect();
    assert_eq!(codes, ["tcp_refused", "cert_expired"]);
    let (_, one) = get_json(address, "/api/sessions?state=failed&limit=1").await;
    assert_eq!(one["sessions"].as_array().unwrap().len(), 1);
    let (_, ended) = get_json(address, "/api/sessions?state=ended").await;
    assert_eq!(ended["sessions"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_live_session_is_shown_in_full_with_its_sockets() {
    let (observer, address) = serve().await;
    let fake = Fake::new(identity(1));
    *fake.timeline.lock().unwrap() = timeline();
    observer.started(Arc::clone(&fake) as Arc<dyn LiveSession>);
    let path = format!("/api/sessions/{}", identity(1).id);
    let (status, session) = get_json(address, &path).await;
    assert_eq!(status, 200);
    assert_eq!(session["state"], "live");
    assert_eq!(session["timeline"]["client"]["tcp"]["rtt_us"], 77, "read now, not at the end");
    assert_eq!(session["timeline"]["host"]["bytes"], 1800);
    assert_eq!(session["timeline"]["phases"][4]["phase"], "tls_hello");
    assert_eq!(session["tls"]["client"]["server_name"], "rds07.example.net");
    assert!(!session.to_string().contains("alice"));
    observer.ended(record(1, Cause::CertExpired));
    let (_, session) = get_json(address, &path).await;
    assert_eq!((&session["state"], &session["event"]["code"]), (&"ended".into(), &"cert_expired".into()));
    assert_eq!(session["timeline"]["closes"][0]["by"], "client");
}

#[tokio::test]
async fn latencies_have_percentiles() {
    let (observer, address) = serve().await;
    observer.ended(record(1, Cause::CertExpired));
    let (_, latency) = get_json(address, "/api/latency").await;
    let hello = latency["phases"].as_array().unwrap().iter().find(|row| row["phase"] == "tls_hello").unwrap();
    assert_eq!(hello["count"], 1);
    assert!((hello["p99_ms"].as_f64().unwrap() - 11.0).abs() < 0.02, "{hello}");
}

#[tokio::test]
async fn what_cannot_be_answered_says_what_can() {
    let (_observer, address) = serve().await;
    let unknown = format!("/api/sessions/{}", identity(1).id);
    for (path, status) in [
        ("/nothing", 404),
        (unknown.as_str(), 404),
        ("/api/sessions/17", 400),
        ("/api/sessions?state=dead", 400),
        ("/api/sessions?limit=0", 400),
        ("/api/sessions?limit=1001", 400),
        ("/api/sessions?limt=5", 400),
        ("/api/events?cause=okay", 400),
    ] {
        let (got, fault) = get_json(address, path).await;
        assert_eq!(got, status, "{path}");
        assert!(fault["error"].is_string() && !fault["hint"].as_str().unwrap().is_empty(), "{path}: {fault}");
    }
    let (status, ..) = ask(address, "POST", "/api/sessions").await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn a_web_page_that_has_led_its_own_name_here_reads_nothing_and_a_scraper_does() {
    let (_observer, address) = serve().await;
    for path in ["/", "/metrics", "/api/sessions", "/nothing"] {
        let (status, _, body) = ask_as(&format!("evil.example:{}", address.port()), address, "GET", path).await;
        assert_eq!(status, 421, "{path}");
        assert!(body.contains("evil.example") && body.contains("localhost"), "{body}");
    }
    for host in [address.to_string(), format!("localhost:{}", address.port())] {
        assert_eq!(ask_as(&host, address, "GET", "/metrics").await.0, 200, "{host}");
    }
    // HTTP/1.0, as health checks ask.
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(" 200 OK"), "{answer}");
}

#[tokio::test]
async fn the_page_leads_to_the_rest() {
    let (_observer, address) = serve().await;
    let (status, head, body) = ask(address, "GET", "/").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/html"));
    assert!(body.contains(r#"href="/api/sessions?state=failed""#));
}

#[tokio::test]
async fn the_feed_shows_a_session_from_start_to_end() {
    let (observer, address) = serve().await;
    let mut feed = feed(address, "").await;
    let fake = Fake::new(identity(1));
    observer.started(Arc::clone(&fake) as Arc<dyn LiveSession>);
    observer.phase(&*fake, Phase::Accept, Phase::Tcp, clock::now());
    observer.ended(record(1, Cause::TcpRefused));
    observer.drain(Drain::Done);
    for (name, phase) in [("session_start", "accept"), ("session_phase", "tcp")] {
        let (got, event) = next(&mut feed).await;
        assert_eq!((got.as_str(), &event["rdpscope"]["phase"]), (name, &phase.into()));
    }
    let (name, event) = next(&mut feed).await;
    assert_eq!((name.as_str(), &event["event"]["code"]), ("session_end", &"tcp_refused".into()));
    assert_eq!(next(&mut feed).await.0, "drain");
}

#[tokio::test]
async fn a_filtered_feed_shows_only_what_was_asked_for() {
    let (observer, address) = serve().await;
    let mut expired = feed(address, "?cause=cert_expired&client=10.1.2.3&host=rds07.example.net").await;
    let mut elsewhere = feed(address, "?client=10.1.2.4").await;
    observer.started(Fake::new(identity(1)));
    observer.ended(record(1, Cause::TcpRefused));
    observer.ended(record(2, Cause::CertExpired));
    let mut other = record(3, Cause::Ok);
    let mut from = (*identity(3)).clone();
    from.client = "10.1.2.4:40000".parse().unwrap();
    other.identity = Arc::new(from);
    observer.ended(other);
    assert_eq!(next(&mut expired).await.1["session"]["id"], identity(2).id.to_string());
    assert_eq!(next(&mut elsewhere).await.1["session"]["id"], identity(3).id.to_string());
}

#[tokio::test]
async fn an_address_in_use_is_an_error() {
    let (observer, address) = serve().await;
    let error = start(address, observer).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn the_endpoint_goes_with_its_observer() {
    let (observer, address) = serve().await;
    drop(observer);
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
