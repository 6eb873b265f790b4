//! A host that was asked what it accepts: pairs that cannot meet are bridged at once, and `/api/hosts` says what would
//! make an end of that.

use crate::ends::{BOTH, Host, Identity, TLS12, TLS13, bridged, connect, settings, within};
use config::{Admin, BridgeMode, EventPath, Events, Listener, Probe, ProbeMode, Settings, UserNames};
use rdpscope::observe::Observer;
use rdpscope::run::Proxy;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

#[tokio::test]
async fn a_pair_that_a_probe_shows_to_have_nothing_in_common_is_bridged_before_the_host_is_asked_again() {
    let identity = Identity::new();
    let host = Arc::new(Host::new(&identity, TLS13).await.asked());
    let address = host.address();
    let serving = tokio::spawn(async move {
        loop {
            let Ok(mut stream) = host.next().await else { continue };
            // It is the host that ends it: no client's next connection can change what this one came to.
            tokio::spawn(async move {
                let _ = stream.read(&mut [0]).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bridge-profile-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let log = directory.join("events.jsonl");
    let settings = asking(address, &identity, &log);
    let observer = Observer::start(&settings).expect("an observer");
    let proxy = Proxy::start(settings, observer).await.expect("a start");
    let [front, plain] = [proxy.address("front").await, proxy.address("plain").await].map(|at| at.expect("listening"));

    // Without a bridge it fails, and the host is asked why.
    connect(plain, TLS12).await.expect_err("no common version");
    let events = wait_for(&log, |events| events.iter().any(|event| event["event"]["action"] == "probe")).await;
    assert!(events.iter().any(|event| event["event"]["code"] == "tls_no_common_version"), "{events:#?}");

    // The same client at the bridge: known beforehand, so nothing is refused and nothing is dialled twice.
    let client = connect(front, TLS12).await.expect("bridged");
    ended_by_host(client).await;
    // A client that the host can meet goes by.
    let other = connect(front, BOTH).await.expect("untouched");
    let shown = other.get_ref().1.peer_certificates().and_then(|chain| chain.first()).expect("a certificate").to_vec();
    assert_eq!(shown, identity.der());
    ended_by_host(other).await;
    let of_front =
        |event: &Value| event["rdpscope"]["listener"] == "front" && event["event"]["action"] == "session_end";
    let events = wait_for(&log, |events| events.iter().filter(|event| of_front(event)).count() == 2).await;
    let bridges: Vec<&Value> =
        events.iter().filter(|event| of_front(event)).map(|event| &event["rdpscope"]["bridge"]).collect();
    let carried = bridges.iter().find(|bridge| bridge.is_object()).expect("one was bridged");
    assert_eq!(
        (&carried["mode"], &carried["rescued"], &carried["result"]),
        (&"auto".into(), &false.into(), &"carried".into())
    );
    assert_eq!((&carried["client_version"], &carried["host_version"]), (&"1.2".into(), &"1.3".into()));
    assert!(bridges.iter().any(|bridge| bridge.is_null()), "one was not: {bridges:#?}");

    let hosts: Value =
        serde_json::from_str(&get(proxy.admin().expect("an address"), "/api/hosts").await).expect("JSON");
    let host = &hosts["hosts"][0];
    assert!(host["profile"]["certificate"].is_object(), "though TLS 1.3 hides it: {host:#}");
    assert_eq!(host["needs_bridge"], true, "{host:#}");
    let clients = host["clients"].as_array().expect("a list");
    let needs: Vec<&Value> = clients.iter().filter(|client| client.get("bridge").is_some()).collect();
    assert_eq!(needs.len(), 1, "the one that cannot do TLS 1.3: {host:#}");
    let retired_by = needs[0]["bridge"]["retired_by"].to_string();
    assert!(retired_by.contains("TLS 1.2") && retired_by.contains("TLS 1.3"), "{retired_by}");
    proxy.stop().await;
    proxy.observer().finish().await;
    serving.abort();
    std::fs::remove_dir_all(directory).expect("removed");
}

/// Asked while it was broken, it had taken no hello of any kind. That says nothing of what it takes now.
#[tokio::test]
async fn a_host_that_is_whole_again_is_left_to_its_clients() {
    const HANDSHAKE_FAILURE: &[u8] = &[21, 3, 3, 0, 2, 2, 40];
    let identity = Identity::new();
    let host = Arc::new(Host::new(&identity, BOTH).await.asked());
    let (address, broken) = (host.address(), Arc::new(AtomicBool::new(true)));
    let serving = {
        let broken = Arc::clone(&broken);
        tokio::spawn(async move {
            loop {
                if !broken.load(SeqCst) {
                    let Ok(mut stream) = host.next().await else { continue };
                    tokio::spawn(async move { stream.read(&mut [0]).await });
                } else if let Ok(mut socket) = host.negotiated().await {
                    tokio::spawn(async move {
                        if socket.read(&mut [0; 16 * 1024]).await.is_ok_and(|read| read > 0) {
                            let _ = socket.write_all(HANDSHAKE_FAILURE).await;
                        }
                    });
                }
            }
        })
    };
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bridge-whole-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let log = directory.join("events.jsonl");
    let settings = asking(address, &identity, &log);
    let observer = Observer::start(&settings).expect("an observer");
    let proxy = Proxy::start(settings, observer).await.expect("a start");
    let [front, plain] = [proxy.address("front").await, proxy.address("plain").await].map(|at| at.expect("listening"));
    connect(plain, TLS12).await.expect_err("the host takes no hello");
    let events = wait_for(&log, |events| events.iter().any(|event| event["event"]["action"] == "verdict")).await;
    let told = events.iter().rfind(|event| event["event"]["action"] == "verdict").expect("a verdict");
    assert_eq!(told["event"]["code"], "cert_private_key_unusable", "{told:#}");

    broken.store(false, SeqCst);
    // One connection may have been taken as the broken host's: its turn had begun.
    let _ = connect(address, BOTH).await;
    for versions in [BOTH, TLS12, TLS13] {
        let client = connect(front, versions).await.expect("the host is whole");
        let shown = client.get_ref().1.peer_certificates().and_then(|chain| chain.first()).expect("a certificate");
        assert_eq!(&**shown, identity.der(), "its own");
    }
    proxy.stop().await;
    proxy.observer().finish().await;
    serving.abort();
    std::fs::remove_dir_all(directory).expect("removed");
}

/// A listener with a bridge and one without, before the same host, which is asked after failures.
fn asking(host: SocketAddr, identity: &Identity, log: &Path) -> Settings {
    let with_bridge = settings(host, bridged(BridgeMode::Auto, identity.pin()));
    let without =
        Listener { name: "plain".to_owned(), bridge: config::Bridge::default(), ..with_bridge.listeners[0].clone() };
    Settings {
        listeners: vec![with_bridge.listeners[0].clone(), without],
        probe: Probe { mode: ProbeMode::OnFailure, ..Probe::default() },
        events: Events { path: EventPath::File(log.to_owned()), user_names: UserNames::Drop, live: false },
        admin: Some(Admin { listen: "127.0.0.1:0".parse().expect("an address") }),
        ..with_bridge
    }
}

async fn ended_by_host(mut client: TlsStream<TcpStream>) {
    client.write_all(b"x").await.expect("written");
    within("the end", client.read_to_end(&mut Vec::new())).await.expect("an end");
}

/// The events so far, once they are `enough`.
async fn wait_for(log: &Path, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    within("events", async {
        loop {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            // The last line may still be on its way.
            let events: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            if enough(&events) {
                return events;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

async fn get(from: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(from).await.expect("the admin endpoint");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
}
