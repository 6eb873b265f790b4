//! Before there is a host: names, addresses, early bytes, time-outs.

use crate::harness::{Bench, noise, read_until_reset, reset, within};
use parser::session::{CloseKind, Closer, ConnectFailure, ResolveFailure, Upstream};
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Nobody listens there, and nobody else is given it as long as the socket that has it lives.
fn closed_port() -> (SocketAddr, Socket) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("bind");
    (socket.local_addr().expect("address").as_socket().expect("an internet address"), socket)
}

/// A listener whose queue is full: the kernel drops further SYNs, so a connect to it hangs.
struct Deaf {
    listener: TcpListener,
    address: SocketAddr,
    queued: Vec<TcpStream>,
}

impl Deaf {
    async fn new() -> Deaf {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
        socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().expect("address").into()).expect("bind");
        socket.listen(0).expect("listen");
        socket.set_nonblocking(true).expect("nonblocking");
        let listener = TcpListener::from_std(socket.into()).expect("listener");
        let address = listener.local_addr().expect("address");
        let mut queued = Vec::new();
        // A queue of length 0 still takes one or two connections.
        while let Ok(connected) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            queued.push(connected.expect("connect"));
            assert!(queued.len() < 16, "the queue never fills");
        }
        Deaf { listener, address, queued }
    }

    /// Empties the queue and returns the next connection after it.
    async fn hear(&mut self) -> TcpStream {
        for _ in 0..self.queued.len() {
            within("queued connection", self.listener.accept()).await.expect("accept");
        }
        self.queued.clear();
        within("connection", self.listener.accept()).await.expect("accept").0
    }
}

/// Memory of openings that is to fill up to a bound and no further.
///
/// A session that reads takes room for as much as may come, and then gives back what did not: full once may be full for
/// that moment. What is kept stays.
struct Room {
    bound: usize,
    full_in_a_row: u32,
}

impl Room {
    fn of(bound: usize) -> Room {
        Room { bound, full_in_a_row: 0 }
    }

    /// Looks once more.
    fn is_full(&mut self, bench: &Bench) -> bool {
        let held = bench.proxy.opening_memory();
        assert!(held <= self.bound, "{held} of {} bytes", self.bound);
        self.full_in_a_row = if held == self.bound { self.full_in_a_row + 1 } else { 0 };
        self.full_in_a_row >= 100
    }
}

#[tokio::test]
async fn a_refused_connect_resets_the_client_at_once() {
    let (port, _held) = closed_port();
    let mut bench = Bench::with(|s| s.listeners[0].upstream.port = port.port()).await;
    bench.turned_away().await;
    let timeline = &bench.record().await.timeline;
    assert_eq!(timeline.closes.len(), 1);
    assert_eq!((timeline.closes[0].by, timeline.closes[0].kind), (Closer::Proxy, CloseKind::Rst));
    let Upstream::ConnectFailed { address, failure, errno, tried } = timeline.upstream else {
        panic!("{:?}", timeline.upstream)
    };
    assert_eq!((address, failure, errno, tried), (port, ConnectFailure::Refused, libc::ECONNREFUSED, 1));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_said_to_be_so() {
    let mut bench = Bench::with(|s| s.listeners[0].upstream.host = "x".repeat(300)).await;
    bench.turned_away().await;
    let timeline = &bench.record().await.timeline;
    let Upstream::ResolveFailed { failure, detail } = &timeline.upstream else { panic!("{:?}", timeline.upstream) };
    assert_eq!(*failure, ResolveFailure::NotFound);
    assert!(!detail.is_empty());
}

#[tokio::test]
async fn a_name_with_several_addresses_is_tried_in_order() {
    // `localhost` may name ::1 first, where nobody listens.
    let mut bench = Bench::with(|s| s.listeners[0].upstream.host = "localhost".to_owned()).await;
    let (client, host) = bench.session().await;
    drop((client, host));
    let timeline = &bench.record().await.timeline;
    assert!(matches!(timeline.upstream, Upstream::Connected(address) if address.is_ipv4()), "{:?}", timeline.upstream);
}

#[tokio::test]
async fn a_host_behind_an_ipv6_address_is_reached() {
    let host = TcpListener::bind("[::1]:0").await.expect("loopback has IPv6");
    let address = host.local_addr().expect("address");
    let bench = Bench::with(|s| s.listeners[0].upstream = upstream(address)).await;
    let mut client = bench.connect().await;
    let (mut at_host, _) = within("accept", host.accept()).await.expect("accept");
    within("write", client.write_all(b"six")).await.expect("write");
    let mut got = [0; 3];
    within("read", at_host.read_exact(&mut got)).await.expect("read");
    assert_eq!(&got, b"six");
}

fn upstream(address: SocketAddr) -> config::Upstream {
    config::Upstream { host: address.ip().to_string(), port: address.port() }
}

#[tokio::test]
async fn a_connect_that_hangs_is_ended_by_the_connect_time_out() {
    let deaf = Deaf::new().await;
    let mut bench = Bench::with(|s| {
        s.listeners[0].upstream = upstream(deaf.address);
        s.timeouts.connect = Duration::from_millis(300);
    })
    .await;
    bench.turned_away().await;
    let timeline = &bench.record().await.timeline;
    let failure = match timeline.upstream {
        Upstream::ConnectFailed { failure, errno: 0, .. } => failure,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(failure, ConnectFailure::Timeout);
    assert_eq!(timeline.first_close().map(|c| (c.by, c.kind)), Some((Closer::Proxy, CloseKind::Timeout)));
}

#[tokio::test]
async fn what_a_client_says_before_the_host_is_there_is_kept_for_it() {
    let mut deaf = Deaf::new().await;
    let mut bench = Bench::with(|s| s.listeners[0].upstream = upstream(deaf.address)).await;
    let mut client = bench.connect().await;
    // More than is kept: the rest waits in the kernel.
    let early = noise(1, 200_000);
    let mut sent = 0;
    let mut room = Room::of(64 * 1024);
    let held = async {
        while !room.is_full(&bench) {
            sent += client.try_write(&early[sent..]).unwrap_or(0);
            tokio::task::yield_now().await;
        }
    };
    within("early bytes to be read", held).await;
    let mut host = deaf.hear().await;
    let writing = async {
        within("write", client.write_all(&early[sent..])).await.expect("write");
        within("FIN", client.shutdown()).await.expect("shutdown");
    };
    let ((), (got, end)) = tokio::join!(writing, crate::harness::read_all(&mut host));
    end.expect("FIN");
    assert!(got == early, "{} of {} bytes", got.len(), early.len());
    drop(host);
    bench.record().await;
    within("the end", bench.proxy.idle()).await;
    assert_eq!(bench.proxy.opening_memory(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_host_is_there_ends_the_attempt() {
    let deaf = Deaf::new().await;
    let mut bench = Bench::with(|s| s.listeners[0].upstream = upstream(deaf.address)).await;
    let mut client = bench.connect().await;
    within("write", client.write_all(b"\x03\x00")).await.expect("write");
    reset(client).await;
    let timeline = &bench.record().await.timeline;
    assert_eq!(timeline.first_close().map(|c| (c.by, c.kind)), Some((Closer::Client, CloseKind::Rst)));
    assert!(matches!(timeline.upstream, Upstream::Connecting(_)), "{:?}", timeline.upstream);
}

#[tokio::test]
async fn early_bytes_of_many_clients_stay_within_the_opening_budget() {
    const BUDGET: usize = 100_000;
    let mut deaf = Deaf::new().await;
    let bench = Bench::with(|s| {
        s.listeners[0].upstream = upstream(deaf.address);
        s.limits.opening_memory = BUDGET;
    })
    .await;
    let early = noise(1, 60_000);
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = bench.connect().await;
        within("write", client.write_all(&early)).await.expect("write");
        clients.push(client);
    }
    // In pieces, each of which wakes the session up: also one that found nothing left while another had room in hand
    // that it then did not use.
    let mut pieces = 0;
    let mut room = Room::of(BUDGET);
    let full = async {
        while !room.is_full(&bench) {
            for client in &mut clients {
                client.write_all(b"more").await.expect("write");
                tokio::task::yield_now().await;
            }
            pieces += 1;
        }
    };
    within("a full budget", full).await;
    for client in &mut clients {
        within("FIN", client.shutdown()).await.expect("shutdown");
    }
    // Nothing of what had to wait is lost.
    let mut host = deaf.hear().await;
    let (got, end) = crate::harness::read_all(&mut host).await;
    end.expect("FIN");
    assert_eq!(got.len(), early.len() + pieces * 4);
}

#[tokio::test]
async fn stopping_ends_a_session_that_is_still_connecting() {
    let deaf = Deaf::new().await;
    let mut bench = Bench::with(|s| s.listeners[0].upstream = upstream(deaf.address)).await;
    let mut client = bench.connect().await;
    within("write", client.write_all(b"?")).await.expect("write");
    let live = async {
        while bench.proxy.opening_memory() == 0 {
            tokio::task::yield_now().await;
        }
    };
    within("the session", live).await;
    bench.proxy.stop().await;
    assert!(read_until_reset(&mut client).await.is_empty());
    let timeline = &bench.record().await.timeline;
    assert_eq!(timeline.proxy_act, Some(parser::session::ProxyAct::Shutdown));
    assert!(matches!(timeline.upstream, Upstream::Connecting(_)), "{:?}", timeline.upstream);
    assert_eq!(bench.proxy.live(), 0);
}

#[tokio::test]
async fn a_dual_stack_listener_knows_an_ipv4_client_by_its_ipv4_address() {
    let mut bench = Bench::with(|s| s.listeners[0].listen = "[::]:0".parse().expect("address")).await;
    for loopback in ["127.0.0.1", "::1"] {
        let address: std::net::IpAddr = loopback.parse().expect("address");
        let client = within("connect", TcpStream::connect((address, bench.front.port()))).await.expect("connect");
        drop((client, bench.accept().await));
        let identity = &bench.record().await.identity;
        assert_eq!((identity.client.ip(), identity.local.ip()), (address, address));
    }
}
