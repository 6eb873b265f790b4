//! What a stranger may use of us.

use crate::harness::{Bench, in_own_process, read_all, read_until_reset, turned_away, within};
use parser::diagnosis::{Cause, Side};
use parser::session::{ConnectFailure, Upstream};
use std::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

async fn speaks(client: &mut TcpStream, host: &mut TcpStream) {
    within("write", client.write_all(b"?")).await.expect("write");
    let mut byte = [0];
    within("read", host.read_exact(&mut byte)).await.expect("read");
    assert_eq!(&byte, b"?");
}

async fn one_at_a_time(mut bench: Bench) {
    let (mut client, mut host) = bench.session().await;
    speaks(&mut client, &mut host).await;
    bench.turned_away().await;
    speaks(&mut client, &mut host).await;
    drop((client, host));
    bench.record().await;
    within("the place to be free", bench.proxy.idle()).await;
    let (mut client, mut host) = bench.session().await;
    speaks(&mut client, &mut host).await;
}

#[tokio::test]
async fn sessions_beyond_max_sessions_are_reset_and_the_others_go_on() {
    one_at_a_time(Bench::with(|s| s.listeners[0].max_sessions = 1).await).await;
}

#[tokio::test]
async fn sessions_beyond_those_of_one_client_are_reset_and_the_others_go_on() {
    one_at_a_time(Bench::with(|s| s.listeners[0].max_sessions_per_client = 1).await).await;
}

#[tokio::test]
async fn without_descriptors_connections_are_refused_and_accepting_goes_on() {
    if !in_own_process("limits::without_descriptors_connections_are_refused_and_accepting_goes_on", 64) {
        return;
    }
    let bench = Bench::new().await;
    let starved = TcpSocket::new_v4().expect("socket");
    let mut held = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        held.push(file);
        assert!(held.len() < 64, "the limit is not in force");
    }
    // No descriptor is needed to connect a socket that exists.
    turned_away(starved.connect(bench.front)).await;
    drop(held);
    let (mut client, mut host) = bench.session().await;
    speaks(&mut client, &mut host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_connections_leave_nothing_behind() {
    if !in_own_process("limits::five_hundred_connections_leave_nothing_behind", 1024) {
        return;
    }
    let descriptors = || std::fs::read_dir("/proc/self/fd").expect("proc").count();
    let mut bench = Bench::new().await;
    let (mut client, mut host) = bench.session().await;
    speaks(&mut client, &mut host).await;
    drop((client, host));
    bench.record().await;
    within("no session left", bench.proxy.idle()).await;
    let before = descriptors();
    let tasks = bench.proxy.tasks();
    for number in 0..500 {
        let (mut client, mut host) = bench.session().await;
        speaks(&mut client, &mut host).await;
        match number % 3 {
            0 => drop((client, host)),
            1 => {
                client.set_zero_linger().expect("SO_LINGER");
                drop(client);
                assert!(read_until_reset(&mut host).await.is_empty());
            }
            _ => {
                drop(host);
                let (rest, _) = read_all(&mut client).await;
                assert!(rest.is_empty());
                drop(client);
            }
        }
        bench.record().await;
    }
    within("no session left", bench.proxy.idle()).await;
    assert_eq!(bench.proxy.opening_memory(), 0);
    let gone = async {
        while descriptors() > before || bench.proxy.tasks() > tasks {
            tokio::task::yield_now().await;
        }
    };
    within("descriptors and tasks to be gone", gone).await;
}

#[tokio::test]
async fn without_a_descriptor_for_the_host_the_verdict_blames_this_machine() {
    if !in_own_process("limits::without_a_descriptor_for_the_host_the_verdict_blames_this_machine", 64) {
        return;
    }
    let mut bench = Bench::new().await;
    let client = TcpSocket::new_v4().expect("socket");
    let mut held = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        held.push(file);
        assert!(held.len() < 64, "the limit is not in force");
    }
    // One is left, and the accept takes it.
    held.pop();
    turned_away(client.connect(bench.front)).await;
    let record = bench.record().await;
    drop(held);
    let Upstream::ConnectFailed { failure, errno, .. } = record.timeline.upstream else {
        panic!("{:?}", record.timeline.upstream)
    };
    assert_eq!((failure, errno), (ConnectFailure::Local, libc::EMFILE));
    assert_eq!((record.verdict.cause, record.verdict.side), (Cause::ProxyLimit, Side::Proxy));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_clients_that_leave_at_once_leaves_nothing_behind() {
    if !in_own_process("limits::a_storm_of_clients_that_leave_at_once_leaves_nothing_behind", 1024) {
        return;
    }
    let descriptors = || std::fs::read_dir("/proc/self/fd").expect("proc").count();
    let bench = Bench::with(|s| {
        s.listeners[0].max_sessions = 100;
        s.limits.threads = 1;
        s.listeners[0].upstream.port = 9;
    })
    .await;
    let before = descriptors();
    let tasks = bench.proxy.tasks();
    for number in 0..5_000 {
        // The reset may come before the connect is noticed here.
        let connected = within("connect", TcpStream::connect(bench.front)).await;
        if let (Ok(client), 0) = (connected, number % 2) {
            client.set_zero_linger().expect("SO_LINGER");
        }
    }
    // The queue is served in order: when the last one is done with, all of them are.
    if let Ok(mut last) = within("connect", TcpStream::connect(bench.front)).await {
        assert!(read_until_reset(&mut last).await.is_empty());
    }
    within("no session left", bench.proxy.idle()).await;
    let gone = async {
        while descriptors() > before || bench.proxy.tasks() > tasks {
            tokio::task::yield_now().await;
        }
    };
    within("descriptors and tasks to be gone", gone).await;
    assert_eq!((bench.proxy.live(), bench.proxy.opening_memory()), (0, 0));
}
