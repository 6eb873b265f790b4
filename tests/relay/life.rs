//! Start, reload, drain, stop.

use crate::harness::{Bench, in_own_process, read_all, read_until_reset, settings, within};
use parser::session::{CloseKind, Closer, ProxyAct};
use rdpscope::observe::Observer;
use rdpscope::run::{Proxy, RunError, RunOptions, run};
use std::io;
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn speaks(client: &mut TcpStream, host: &mut TcpStream) {
    within("write", client.write_all(b"?")).await.expect("write");
    let mut byte = [0];
    within("read", host.read_exact(&mut byte)).await.expect("read");
    assert_eq!(&byte, b"?");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_listener() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = taken.local_addr().expect("address");
    let mut settings = settings(address);
    settings.listeners[0].listen = address;
    let error = Proxy::start(settings, Observer::quiet()).await.expect_err("the port is taken");
    assert!(matches!(error, RunError::InUse { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("front") && text.contains(&address.to_string()) && text.contains("in use"), "{text}");
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused_with_what_would_be_right() {
    // TEST-NET-1, RFC 5737: no machine has it.
    let mut settings = settings("127.0.0.1:9".parse().expect("address"));
    settings.listeners[0].listen = "192.0.2.1:0".parse().expect("address");
    let error = Proxy::start(settings, Observer::quiet()).await.expect_err("not our address");
    assert!(matches!(error, RunError::NoSuchAddress { .. }), "{error:?}");
    assert!(error.to_string().contains("0.0.0.0"), "{error}");
}

#[tokio::test]
async fn when_one_listener_cannot_bind_the_others_do_not_stay() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let free = TcpListener::bind("127.0.0.1:0").await.expect("bind").local_addr().expect("address");
    let mut settings = settings(free);
    settings.listeners[0].listen = free;
    let mut second = settings.listeners[0].clone();
    second.name = "second".to_owned();
    second.listen = taken.local_addr().expect("address");
    settings.listeners.push(second);
    Proxy::start(settings, Observer::quiet()).await.expect_err("the second port is taken");
    let error = TcpStream::connect(free).await.expect_err("nobody listens on the first one");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn draining_refuses_new_clients_and_lets_live_ones_end() {
    let mut bench = Bench::new().await;
    let (mut client, mut host) = bench.session().await;
    bench.proxy.drain().await;
    let error = TcpStream::connect(bench.front).await.expect_err("nobody listens");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    speaks(&mut client, &mut host).await;
    speaks(&mut host, &mut client).await;
    drop((client, host));
    within("the last session", bench.proxy.idle()).await;
    assert_eq!(bench.record().await.timeline.proxy_act, None);
}

#[tokio::test]
async fn stopping_resets_live_clients_and_says_that_we_did_it() {
    let mut bench = Bench::new().await;
    let (mut client, mut host) = bench.session().await;
    speaks(&mut client, &mut host).await;
    bench.proxy.stop().await;
    assert!(read_until_reset(&mut client).await.is_empty());
    let (rest, end) = read_all(&mut host).await;
    end.expect("the host gets a plain close");
    assert!(rest.is_empty());
    assert_eq!(bench.proxy.live(), 0);
    let timeline = &bench.record().await.timeline;
    assert_eq!(timeline.proxy_act, Some(ProxyAct::Shutdown));
    assert_eq!(timeline.first_close().map(|c| (c.by, c.kind)), Some((Closer::Proxy, CloseKind::Rst)));
}

#[tokio::test]
async fn a_reload_moves_new_sessions_and_leaves_live_ones() {
    let bench = Bench::new().await;
    let (mut client, mut host) = bench.session().await;
    let other = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    bench.proxy.reload(settings(other.local_addr().expect("address"))).await.expect("reload");
    assert_eq!(bench.proxy.address("front").await, Some(bench.front), "the listener stays where it is");
    let mut moved = bench.connect().await;
    let (mut at_other, _) = within("accept", other.accept()).await.expect("accept");
    speaks(&mut moved, &mut at_other).await;
    speaks(&mut client, &mut host).await;
}

#[tokio::test]
async fn a_reload_adds_and_removes_listeners() {
    let bench = Bench::new().await;
    let (mut client, mut host) = bench.session().await;
    let mut other = settings(bench.host.local_addr().expect("address"));
    other.listeners[0].name = "back".to_owned();
    bench.proxy.reload(other).await.expect("reload");
    let back = bench.proxy.address("back").await.expect("the new listener");
    assert_eq!(bench.proxy.address("front").await, None);
    let error = TcpStream::connect(bench.front).await.expect_err("the old one is gone");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    let mut new = within("connect", TcpStream::connect(back)).await.expect("connect");
    let mut at_host = bench.accept().await;
    speaks(&mut new, &mut at_host).await;
    speaks(&mut client, &mut host).await;
}

#[tokio::test]
async fn a_reload_that_cannot_bind_changes_nothing() {
    let bench = Bench::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let mut bad = settings(taken.local_addr().expect("address"));
    let mut second = bad.listeners[0].clone();
    second.name = "second".to_owned();
    second.listen = taken.local_addr().expect("address");
    bad.listeners.push(second);
    let error = bench.proxy.reload(bad).await.expect_err("the second address is taken");
    assert!(matches!(error, RunError::InUse { .. }), "{error:?}");
    let (mut client, mut host) = bench.session().await;
    speaks(&mut client, &mut host).await;
}

fn signal(name: &str) {
    let status = Command::new("kill").args(["-s", name, &std::process::id().to_string()]).status().expect("kill runs");
    assert!(status.success());
}

/// `run` in a process of its own: its listener, once it accepts, and its end.
async fn running(host: &TcpListener) -> (tokio::task::JoinHandle<Result<(), RunError>>, std::net::SocketAddr) {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("bind").local_addr().expect("address");
    let mut settings = settings(host.local_addr().expect("address"));
    settings.listeners[0].listen = free;
    let reload: rdpscope::run::Reload = Box::new(|| Err("line 7: `upstraem` is not a key".to_owned()));
    let running = tokio::spawn(run(settings, RunOptions { reload: Some(reload) }));
    let ready = async {
        while TcpStream::connect(free).await.is_err() {
            tokio::task::yield_now().await;
        }
        // That connection's session is over before the test begins.
        drop(host.accept().await.expect("accept"));
    };
    within("the listener", ready).await;
    (running, free)
}

#[tokio::test]
async fn sigterm_waits_for_live_sessions_and_sighup_with_a_bad_file_changes_nothing() {
    if !in_own_process("life::sigterm_waits_for_live_sessions_and_sighup_with_a_bad_file_changes_nothing", 256) {
        return;
    }
    let host = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let (running, front) = running(&host).await;
    signal("HUP");
    let mut client = within("connect", TcpStream::connect(front)).await.expect("connect");
    let (mut at_host, _) = within("accept", host.accept()).await.expect("accept");
    signal("TERM");
    let refused = async { while TcpStream::connect(front).await.is_ok() {} };
    within("the listener to close", refused).await;
    speaks(&mut client, &mut at_host).await;
    assert!(!running.is_finished(), "a live session holds the drain");
    // The listening host too: connections that were accepted just before the drain wait in its queue.
    drop((client, at_host, host));
    within("the end", running).await.expect("no panic").expect("a clean stop");
}

#[tokio::test]
async fn a_second_sigterm_ends_live_sessions() {
    if !in_own_process("life::a_second_sigterm_ends_live_sessions", 256) {
        return;
    }
    let host = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let (running, front) = running(&host).await;
    let mut client = within("connect", TcpStream::connect(front)).await.expect("connect");
    let (mut at_host, _) = within("accept", host.accept()).await.expect("accept");
    speaks(&mut client, &mut at_host).await;
    signal("TERM");
    let refused = async { while TcpStream::connect(front).await.is_ok() {} };
    within("the listener to close", refused).await;
    signal("TERM");
    assert!(read_until_reset(&mut client).await.is_empty());
    within("the end", running).await.expect("no panic").expect("a clean stop");
}
