//! Memory that the proxy holds for an idle session, counted in its allocator: task, sockets, tracker, timeline, live entry,
//! and whatever else is there for it. `cargo test --test footprint -- --nocapture` prints it.
//!
//! One test, as the allocator that counts is one for the whole process; the ends are blocking sockets, which hold none.

use parser::diagnosis::Cause;
use parser::session::{Peer, Session, Timeline};
use rdpscope::observe::Observer;
use rdpscope::run::Proxy;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

#[allow(dead_code)]
#[path = "relay/harness.rs"]
mod harness;
#[path = "../parser/tests/support/mod.rs"]
mod support;

use support::{CONTENT_DATA, Happening, Settled, opening, scripts, sealed};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Enough to make what is there once for all of them small, and few enough for any limit of descriptors.
const SESSIONS: usize = 100;

/// Bytes of an idle session, at most.
const MOST: usize = 2_112;

/// From the Connection Request to the font map.
fn whole_opening() -> Vec<(Peer, Vec<u8>)> {
    let script = scripts::all().into_iter().find(|script| script.name == "xrdp-tls").expect("a script of that name");
    let settled = Settled::TLS13;
    let opening = opening(script.selected, settled).into_iter().filter_map(|happening| match happening {
        Happening::Bytes(from, bytes) => Some((from, bytes)),
        Happening::Close(..) => None,
    });
    opening.chain(script.steps.iter().filter_map(|step| Some((step.from, step.bytes(settled)?)))).collect()
}

/// A session that has become active, message by message.
fn open(front: std::net::SocketAddr, host: &TcpListener, opening: &[(Peer, Vec<u8>)]) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(front).expect("connect");
    let (mut host, _) = host.accept().expect("accept");
    // Else each message of a side that speaks twice waits for a delayed acknowledgement.
    client.set_nodelay(true).expect("TCP_NODELAY");
    host.set_nodelay(true).expect("TCP_NODELAY");
    let mut read = [0; 4096];
    for (from, bytes) in opening {
        let (from, to) = match from {
            Peer::Client => (&mut client, &mut host),
            Peer::Host => (&mut host, &mut client),
        };
        from.write_all(bytes).expect("write");
        to.read_exact(&mut read[..bytes.len()]).expect("read");
    }
    (client, host)
}

fn active(observer: &Observer) -> usize {
    let text = String::from_utf8(observer.metrics_text()).expect("text");
    let value = text.lines().find_map(|line| line.strip_prefix(r#"rdpscope_sessions_in_phase{phase="active"} "#));
    value.expect("the series exists").parse().expect("a number")
}

fn wait_until_active(observer: &Observer, count: usize) {
    let until = Instant::now() + Duration::from_secs(30);
    while active(observer) < count {
        assert!(Instant::now() < until, "{} of {count} sessions are active", active(observer));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_idle_session_holds_little_memory() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
    let host = TcpListener::bind("127.0.0.1:0").expect("bind");
    let observer = Observer::quiet();
    let mut records = observer.records();
    let settings = harness::settings(host.local_addr().expect("address"));
    let proxy = runtime.block_on(Proxy::start(settings, std::sync::Arc::clone(&observer))).expect("it starts");
    let front = runtime.block_on(proxy.address("front")).expect("an address");

    let opening = whole_opening();
    let mut ends = Vec::with_capacity(2 * SESSIONS);
    // What is there once is there after these, and they rest before the others come.
    let region = Region::new(ALLOCATOR);
    (0..SESSIONS / 4).for_each(|_| ends.push(open(front, &host, &opening)));
    wait_until_active(&observer, ends.len());
    wait_until_it_stays(&region);

    let region = Region::new(ALLOCATOR);
    (0..SESSIONS).for_each(|_| ends.push(open(front, &host, &opening)));
    wait_until_active(&observer, ends.len());
    let until = Instant::now() + Duration::from_secs(60);
    let rest = || {
        while held(&region) > MOST * SESSIONS {
            assert!(Instant::now() < until, "{} bytes; at most {MOST} are to be held", held(&region) / SESSIONS);
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    rest();
    let idle = wait_until_it_stays(&region);
    println!("an idle session holds {} bytes; its tracker {} while it is awake", idle / SESSIONS, size_of::<Session>());
    println!("{} of them are the timeline", size_of::<Timeline>());

    // Bytes wake it: they pass, it holds more for a while, and rests again.
    let record = sealed(CONTENT_DATA, 100);
    let (mut rounds, mut most) = (0, 0);
    // On a busy machine one may rest again before it is looked at.
    while most < idle + size_of::<Session>() / 2 {
        assert!(Instant::now() < until, "none wakes: {most} bytes, {idle} before");
        rounds += 1;
        for (client, host) in &mut ends {
            host.write_all(&record).expect("write");
            client.read_exact(&mut vec![0; record.len()]).expect("read");
            most = most.max(held(&region));
        }
    }
    rest();

    // And nothing was lost by that.
    let by_client = sent_by(Peer::Client, &opening);
    let by_host = sent_by(Peer::Host, &opening) + rounds * record.len() as u64;
    for (client, mut host) in ends {
        drop(client);
        assert_eq!(host.read_to_end(&mut Vec::new()).expect("the end"), 0);
        drop(host);
        let record = runtime.block_on(records.recv()).expect("a record");
        assert_eq!(record.verdict.cause, Cause::Ok, "{:?}", record.verdict.evidence);
        let timeline = &record.timeline;
        assert!(timeline.reached_active() && timeline.request.is_some() && timeline.server_hello.is_some());
        assert_eq!((timeline.traffic.client.bytes, timeline.traffic.host.bytes), (by_client, by_host));
        assert_eq!(timeline.tail.host.shapes().last().map(|shape| shape.length), Some(100));
    }
}

/// Bytes that `peer` sends in an opening.
fn sent_by(peer: Peer, opening: &[(Peer, Vec<u8>)]) -> u64 {
    opening.iter().filter(|(from, _)| *from == peer).map(|(_, bytes)| bytes.len() as u64).sum()
}

/// What is held once that has not changed for some looks in a row: whoever is to rest does.
fn wait_until_it_stays(region: &Region<'_, System>) -> usize {
    let (mut before, mut same) = (held(region), 0);
    // Something else may allocate for ever; what is held then is as good.
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(100));
        let now = held(region);
        same = if now == before { same + 1 } else { 0 };
        before = now;
        if same == 5 {
            break;
        }
    }
    before
}

/// Bytes that all sessions hold.
fn held(region: &Region<'_, System>) -> usize {
    let change = region.change();
    change.bytes_allocated - change.bytes_deallocated
}
