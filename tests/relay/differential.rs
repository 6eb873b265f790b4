//! The proxy is not there: the same two ends play the same script on a direct connection and through the proxy, and
//! each must see the same bytes and the same end.
//!
//! A script is a list of turns. In a turn one end acts, or both at once; the turn is over when what it sent has arrived
//! (a condition, never a time). Permitted differences, and there are no others:
//!
//! * A connection is accepted although the host may turn out not to be there. So a client sees a reset where it would
//!   have seen a refused connect, and a host never sees a client that resets before the host was reached.
//! * Two ends that act in the same turn race each other on a direct connection too. An end that sends while the other
//!   one closes sees FIN or RST, depending on what arrived first: only that it ended is compared ([`Seen::Gone`]).
//! * Urgent data arrives in its place in the stream without its mark (see the last test).

use crate::harness::{Bench, noise, within};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use socket2::SockRef;
use std::fmt;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};

/// What an end may do in its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Sends this many bytes.
    Send(usize),
    /// shutdown(SHUT_WR).
    Fin,
    /// close(2): FIN, or RST when something was not read.
    Close,
    /// Sends this many bytes and resets at once (SO_LINGER 0).
    Reset(usize),
    /// Stops reading.
    Pause,
    /// Reads again, all that has come.
    Resume,
    /// Nothing: the other one acts alone.
    Rest,
}

/// How a connection ended, as one end saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// FIN.
    Fin,
    /// ECONNRESET, or EPIPE on a write after FIN.
    Reset,
    /// One of the two, by a race that a direct connection has too.
    Gone,
}

#[derive(Clone, Debug)]
struct Script {
    /// Acts of client and host in each turn.
    turns: Vec<[Act; 2]>,
    /// SO_RCVBUF of client and host is as small as it gets.
    tiny: [bool; 2],
    /// The end that sends the first FIN when the script leaves the connection open.
    last: usize,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => prop_oneof![4 => 1usize..3, 4 => 3usize..2_000, 2 => 2_000usize..70_000, 1 => 100_000usize..3_000_000].prop_map(Act::Send),
        2 => Just(Act::Fin),
        1 => Just(Act::Close),
        1 => (0usize..900).prop_map(Act::Reset),
        2 => Just(Act::Pause),
        1 => Just(Act::Resume),
    ]
}

fn turn() -> impl Strategy<Value = [Act; 2]> {
    prop_oneof![
        3 => act().prop_map(|a| [a, Act::Rest]),
        3 => act().prop_map(|a| [Act::Rest, a]),
        2 => (act(), act()).prop_map(|(a, b)| [a, b]),
    ]
}

fn script() -> impl Strategy<Value = Script> {
    (prop::collection::vec(turn(), 0..9), prop::array::uniform2(prop::bool::weighted(0.2)), 0usize..2)
        .prop_map(|(turns, tiny, last)| Script { turns, tiny, last })
}

/// Bytes that fit into the smallest receive buffer unread.
const UNREAD: usize = 900;

/// One end: its socket, what it did, and what it saw.
struct End {
    seed: u64,
    socket: Option<TcpStream>,
    sent: usize,
    finished: bool,
    paused: bool,
    /// Its receive buffer is too small to hold anything for long, so it never pauses.
    tiny: bool,
    got: Vec<u8>,
    seen: Option<Seen>,
}

impl End {
    fn new(seed: u64, socket: TcpStream, tiny: bool) -> End {
        if tiny {
            SockRef::from(&socket).set_recv_buffer_size(1).expect("SO_RCVBUF");
        }
        socket.set_nodelay(true).expect("TCP_NODELAY");
        End { seed, socket: Some(socket), sent: 0, finished: false, paused: false, tiny, got: Vec::new(), seen: None }
    }

    /// May still send.
    fn speaks(&self) -> bool {
        self.socket.is_some() && !self.finished && self.seen.is_none_or(|seen| seen == Seen::Fin)
    }

    fn words(&self, length: usize) -> Vec<u8> {
        noise(self.seed, self.sent + length).split_off(self.sent)
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {:?}", self.got.len(), self.seen)
    }
}

/// Reads what `other` has sent, to its end if it has one to come.
async fn read(mut socket: impl AsyncReadExt + Unpin, got: &mut Vec<u8>, until: usize, to_end: bool) -> Option<Seen> {
    let mut buffer = vec![0; 64 * 1024];
    while to_end || got.len() < until {
        match within("read", socket.read(&mut buffer)).await {
            Ok(0) => return Some(Seen::Fin),
            Ok(n) => got.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Some(Seen::Reset),
            Err(error) => panic!("read: {error}"),
        }
    }
    None
}

/// Plays one turn.
async fn play(ends: &mut [End; 2], acts: [Act; 2]) {
    let acts = allowed(ends, acts);
    let race = (0..2).any(|i| matches!(acts[i], Act::Send(_)) && leaves(acts[1 - i]));
    let mut words = [Vec::new(), Vec::new()];
    for i in 0..2 {
        match acts[i] {
            Act::Pause => ends[i].paused = true,
            Act::Resume => ends[i].paused = false,
            Act::Send(n) => words[i] = ends[i].words(n),
            Act::Reset(n) => words[i] = ends[i].words(n),
            _ => {}
        }
    }
    // Who leaves or finishes does so now; who sends does so while both read.
    for i in 0..2 {
        match acts[i] {
            Act::Fin => {
                let socket = ends[i].socket.as_ref().expect("open");
                // ENOTCONN: the other one has reset, which a paused end has not seen yet.
                let _ = SockRef::from(socket).shutdown(std::net::Shutdown::Write);
                ends[i].finished = true;
            }
            Act::Reset(n) => {
                let socket = ends[i].socket.take().expect("open");
                // It fails when the other one has left; otherwise the window is open.
                if n > 0 && socket.try_write(&words[i]).is_ok_and(|written| written < n) {
                    panic!("no room for {n} bytes");
                }
                ends[i].sent += n;
                socket.set_zero_linger().expect("SO_LINGER");
            }
            Act::Close => drop(ends[i].socket.take().expect("open")),
            _ => {}
        }
    }
    let [client, host] = ends;
    let gone = [client.socket.is_none(), host.socket.is_none()];
    let over = [gone[0] || client.finished, gone[1] || host.finished];
    for (i, end) in [&mut *client, &mut *host].into_iter().enumerate() {
        if matches!(acts[i], Act::Send(_)) {
            end.sent += words[i].len();
        }
    }
    let sent = [client.sent, host.sent];
    let [to_host, to_client] = words;
    tokio::join!(
        exchange(client, to_host, matches!(acts[0], Act::Send(_)), sent[1], over[1], gone[1]),
        exchange(host, to_client, matches!(acts[1], Act::Send(_)), sent[0], over[0], gone[0]),
    );
    if race {
        for end in ends.iter_mut().filter(|end| end.socket.is_some()) {
            end.seen = Some(Seen::Gone);
        }
    }
}

/// One end's part of a turn: sends `words`, reads up to `until`, and to the end when the other one is `over`.
async fn exchange(end: &mut End, words: Vec<u8>, sends: bool, until: usize, over: bool, gone: bool) {
    let Some(socket) = &mut end.socket else { return };
    if end.paused {
        if sends {
            let _ = within("write", socket.write_all(&words)).await;
        }
        // What was sent to an end that does not read has arrived when it is in its socket.
        if !gone && end.seen.is_none() && until > end.got.len() {
            let unread = until - end.got.len();
            let mut buffer = vec![0; UNREAD];
            let arrived = async {
                while socket.peek(&mut buffer).await.expect("peek") < unread {
                    tokio::task::yield_now().await;
                }
            };
            within("arrival", arrived).await;
        }
        return;
    }
    let (from, mut to) = socket.split();
    let writing = async {
        if !sends {
            return Ok::<(), io::Error>(());
        }
        within("write", to.write_all(&words)).await?;
        // The other one has closed: its kernel answers with RST, which shows on a write.
        if !gone {
            return Ok(());
        }
        let refused = async {
            loop {
                to.write_all(b"!").await?;
                tokio::task::yield_now().await;
            }
        };
        within("refusal", refused).await
    };
    let seen = end.seen;
    let reading = async { if seen.is_some() { seen } else { read(from, &mut end.got, until, over).await } };
    let (written, seen) = tokio::join!(writing, reading);
    end.seen = seen;
    if let Err(error) = written {
        let kind = error.kind();
        assert!(matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset), "write: {error}");
        end.seen = Some(Seen::Reset);
    }
}

fn leaves(act: Act) -> bool {
    matches!(act, Act::Close | Act::Reset(_))
}

/// What of `acts` is possible now. Depends on the script alone, so that both runs decide alike.
fn allowed(ends: &[End; 2], acts: [Act; 2]) -> [Act; 2] {
    let mut allowed = [Act::Rest; 2];
    for i in 0..2 {
        let (me, other) = (&ends[i], &ends[1 - i]);
        let unread = me.sent - other.got.len().min(me.sent);
        let waits = other.paused && acts[1 - i] != Act::Resume || acts[1 - i] == Act::Pause;
        allowed[i] = match acts[i] {
            _ if me.socket.is_none() => Act::Rest,
            Act::Pause if me.tiny => Act::Rest,
            Act::Send(_) | Act::Fin | Act::Reset(_) if !me.speaks() => Act::Rest,
            // A reset takes back what was not acknowledged; on a direct connection too, so it is not compared.
            Act::Reset(n) if waits => Act::Reset(n.min(UNREAD - unread)),
            Act::Send(n) if waits && other.socket.is_some() => match n.min(UNREAD - unread) {
                0 => Act::Rest,
                n => Act::Send(n),
            },
            // An end that does not read cannot tell how the other one went; and a sender that has been left by RST
            // sees it or not.
            Act::Send(_) if other.socket.is_none() && (me.paused || me.seen != Some(Seen::Fin)) => Act::Rest,
            // A window this small moves by the kernel's timers.
            Act::Send(n) if other.tiny => Act::Send(n.min(3_000)),
            act => act,
        };
    }
    allowed
}

/// Plays `script` to its end: everything is read, and who is still there closes in order.
async fn run(script: &Script, client: TcpStream, host: TcpStream) -> [End; 2] {
    let mut ends = [End::new(1, client, script.tiny[0]), End::new(2, host, script.tiny[1])];
    for acts in &script.turns {
        play(&mut ends, *acts).await;
    }
    let mut first = [Act::Rest; 2];
    first[script.last] = Act::Fin;
    let second = [first[1], first[0]];
    for acts in [[Act::Resume; 2], first, second] {
        play(&mut ends, acts).await;
    }
    ends
}

async fn pair(listener: &TcpListener, address: std::net::SocketAddr) -> (TcpStream, TcpStream) {
    let client = within("connect", TcpStream::connect(address)).await.expect("connect");
    (client, within("accept", listener.accept()).await.expect("accept").0)
}

async fn compare(bench: &mut Bench, listener: &TcpListener, script: &Script) {
    let (client, host) = pair(listener, listener.local_addr().expect("address")).await;
    let direct = run(script, client, host).await;
    let (client, host) = pair(&bench.host, bench.front).await;
    let through = run(script, client, host).await;
    for ((name, direct), through) in ["client", "host"].into_iter().zip(&direct).zip(&through) {
        assert_eq!(direct.seen, through.seen, "{name}: {direct:?} direct, {through:?} through the proxy");
        assert!(direct.got == through.got, "{name}: {direct:?} direct, {through:?} through the proxy");
    }
    drop(through);
    bench.record().await;
}

#[test]
fn both_ends_see_what_they_would_see_without_the_proxy() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    let (mut bench, listener) =
        runtime.block_on(async { (Bench::new().await, TcpListener::bind("127.0.0.1:0").await.expect("bind")) });
    let cell = std::cell::RefCell::new(&mut bench);
    let config = Config {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(250),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/relay/differential.seeds"))),
        max_shrink_iters: 60,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&script(), |script| {
        runtime.block_on(compare(&mut cell.borrow_mut(), &listener, &script));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_host_says_before_it_resets_at_once_reaches_the_client() {
    let mut bench = Bench::new().await;
    for _ in 0..200 {
        let mut client = bench.connect().await;
        let host = bench.accept().await;
        assert_eq!(host.try_write(b"not today").expect("room"), 9);
        host.set_zero_linger().expect("SO_LINGER");
        drop(host);
        let mut got = Vec::new();
        let seen = read(&mut client, &mut got, 0, true).await;
        assert_eq!((got.as_slice(), seen), (b"not today".as_slice(), Some(Seen::Reset)));
        let timeline = &bench.record().await.timeline;
        assert!(matches!(timeline.upstream, parser::session::Upstream::Connected(_)), "{:?}", timeline.upstream);
        assert_eq!(timeline.traffic.host.bytes, 9);
    }
}

/// A client may leave before the host was reached; what it said is then the host's all the same, if it closed in order.
#[tokio::test]
async fn what_a_client_says_before_it_closes_at_once_reaches_the_host() {
    let mut bench = Bench::new().await;
    for _ in 0..100 {
        let client = bench.connect().await;
        within("writable", client.writable()).await.expect("writable");
        assert_eq!(client.try_write(b"just looking").expect("room"), 12);
        drop(client);
        let mut host = bench.accept().await;
        let mut got = Vec::new();
        assert_eq!(read(&mut host, &mut got, 0, true).await, Some(Seen::Fin));
        assert_eq!(got, b"just looking");
        drop(host);
        bench.record().await;
    }
}

/// RDP has no urgent data. Should a peer send some, its byte is kept in its place and the mark is dropped, as RFC 6093
/// advises and as firewalls on the way do: no byte is lost, and none overtakes another.
#[tokio::test]
async fn an_urgent_byte_keeps_its_place() {
    let bench = Bench::new().await;
    let (client, mut host) = bench.session().await;
    within("writable", client.ready(Interest::WRITABLE)).await.expect("writable");
    SockRef::from(&client).send(b"abc").expect("send");
    SockRef::from(&client).send_out_of_band(b"!").expect("send");
    SockRef::from(&client).send(b"def").expect("send");
    drop(client);
    let mut got = Vec::new();
    assert_eq!(read(&mut host, &mut got, 0, true).await, Some(Seen::Fin));
    assert_eq!(got, b"abc!def");
}
