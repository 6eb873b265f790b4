//! What is done through a proxy while its cost is taken.

use super::cost::Processes;
use super::ends::{self, Ask, bulk_buffer, echo, leave_early, session, swallow, visit};
use super::opening::{self, Turn};
use super::statistics::percentile;
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;
use tokio::time::sleep;

/// Sessions that open at once.
const OPENING: usize = 32;

/// After the last session a proxy still has its record to write.
const SETTLE: Duration = Duration::from_millis(40);

/// Bulk traffic flows this long before it counts.
const WARM_UP: Duration = Duration::from_millis(60);

/// No work takes longer than this beside its window: one that does has lost something.
const PATIENCE: Duration = Duration::from_secs(60);

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Sessions opened until they are active, a few updates, an orderly end.
    Connections,
    /// Connections that end after the server's TLS flight.
    EarlyEnds,
    /// As many bytes as go, in so many sessions.
    Bulk(usize),
    /// A screen update of 16 KiB thirty times a second, in so many sessions.
    Frames(usize),
    /// A message of 100 bytes and its answer, one after the other.
    RoundTrips,
    /// So many sessions that are silent.
    Idle(usize),
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// Processor time of the proxy: microseconds for a connection, a frame or a round trip, seconds for a gigabyte. Of
    /// idle sessions: KiB of private memory for each.
    pub(crate) cost: f64,
    /// Sessions that were opened and ended.
    pub(crate) done: Option<u64>,
    /// Microseconds of a round trip.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// Of an idle session.
    pub(crate) descriptors: Option<f64>,
    /// Of all idle sessions together.
    pub(crate) pipes: Option<f64>,
    /// Of the process in a second, all sessions being idle.
    pub(crate) wake_ups: Option<f64>,
}

/// Where the work goes through, and whose cost counts (nobody's without a proxy).
pub(crate) struct Path {
    pub(crate) front: SocketAddr,
    pub(crate) proxy: Option<Processes>,
}

impl Path {
    fn nanoseconds(&self) -> u64 {
        self.proxy.as_ref().map_or(0, Processes::nanoseconds)
    }
}

impl Work {
    /// Does it for about `window`.
    pub(crate) fn run(self, path: &Path, window: Duration) -> io::Result<Figures> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = async {
            match self {
                Work::Connections => connections(path, window, opening::whole(), true).await,
                Work::EarlyEnds => connections(path, window, opening::hellos(), false).await,
                Work::Bulk(sessions) => stream(path, window, sessions, Ask::Bulk).await,
                Work::Frames(sessions) => stream(path, window, sessions, Ask::Frames).await,
                Work::RoundTrips => round_trips(path, window).await,
                Work::Idle(sessions) => idle(path, window, sessions).await,
            }
        };
        let local = LocalSet::new();
        let done = local.block_on(&runtime, async { tokio::time::timeout(PATIENCE + window, work).await });
        done.unwrap_or_else(|_| Err(io::Error::other("the work did not come to its end")))
    }
}

async fn connections(path: &Path, window: Duration, turns: Vec<Turn>, whole: bool) -> io::Result<Figures> {
    let turns = Rc::new(turns);
    sleep(SETTLE).await;
    let before = path.nanoseconds();
    let until = Instant::now() + window;
    let clients = (0..OPENING).map(|_| {
        let (turns, front) = (Rc::clone(&turns), path.front);
        tokio::task::spawn_local(async move {
            let mut done = 0_u64;
            while Instant::now() < until {
                if whole {
                    visit(front, &turns).await?
                } else {
                    leave_early(front, &turns).await?
                }
                done += 1;
            }
            Ok::<u64, io::Error>(done)
        })
    });
    let mut done = 0;
    for client in clients.collect::<Vec<_>>() {
        done += client.await.map_err(io::Error::other)??;
    }
    sleep(SETTLE).await;
    let cost = (path.nanoseconds() - before) as f64 / 1_000.0 / done as f64;
    Ok(Figures { cost, done: Some(done), ..Figures::default() })
}

/// Bytes from the host: what a gigabyte of them costs, or a frame.
async fn stream(path: &Path, window: Duration, sessions: usize, ask: Ask) -> io::Result<Figures> {
    let bytes = Rc::new(Cell::new(0));
    let turns = opening::whole();
    let mut clients = Vec::with_capacity(sessions);
    for _ in 0..sessions {
        let mut socket = session(path.front, &turns, ask).await?;
        let bytes = Rc::clone(&bytes);
        clients.push(tokio::task::spawn_local(async move { swallow(&mut socket, &mut bulk_buffer(), &bytes).await }));
    }
    sleep(WARM_UP).await;
    let (before, bytes_before) = (path.nanoseconds(), bytes.get());
    sleep(window).await;
    while bytes.get() == bytes_before {
        sleep(WARM_UP).await;
    }
    let (nanoseconds, bytes) = (path.nanoseconds() - before, bytes.get() - bytes_before);
    for client in clients {
        if client.is_finished() {
            return Err(io::Error::other("a session ended while it was to go on"));
        }
        client.abort();
    }
    let cost = match ask {
        Ask::Frames => nanoseconds as f64 / 1_000.0 / (bytes as f64 / f64::from(ends::RECORD)),
        _ => nanoseconds as f64 / bytes as f64,
    };
    sleep(SETTLE).await;
    Ok(Figures { cost, ..Figures::default() })
}

async fn round_trips(path: &Path, window: Duration) -> io::Result<Figures> {
    let mut socket = session(path.front, &opening::whole(), Ask::Echo).await?;
    let mut message = opening::record(ends::SHORT, 0);
    let mut taken = Vec::new();
    sleep(SETTLE).await;
    let before = path.nanoseconds();
    let begin = Instant::now();
    while begin.elapsed() < window {
        let sent = Instant::now();
        echo(&mut socket, &mut message).await?;
        taken.push(sent.elapsed().as_nanos() as f64 / 1_000.0);
    }
    let cost = (path.nanoseconds() - before) as f64 / 1_000.0 / taken.len() as f64;
    let (p50, p99) = (percentile(&mut taken, 0.5), percentile(&mut taken, 0.99));
    Ok(Figures { cost, p50, p99, ..Figures::default() })
}

async fn idle(path: &Path, window: Duration, sessions: usize) -> io::Result<Figures> {
    let turns = opening::whole();
    // What is there once for all of them is there after these, and they stay.
    let mut held = Vec::with_capacity(sessions + OPENING);
    for _ in 0..OPENING {
        held.push(session(path.front, &turns, Ask::Silence).await?);
    }
    sleep(window).await;
    let Some(proxy) = &path.proxy else { return Ok(Figures::default()) };
    let (memory, descriptors) = (proxy.private_memory(), proxy.descriptors());
    for _ in 0..sessions {
        held.push(session(path.front, &turns, Ask::Silence).await?);
    }
    sleep(window).await;
    let each = |total: f64| total / sessions as f64;
    let cost = each(proxy.private_memory().saturating_sub(memory) as f64 / 1024.0);
    let now = proxy.descriptors();
    let wake_ups = proxy.wake_ups();
    let begin = Instant::now();
    sleep(window).await;
    let wake_ups = (proxy.wake_ups() - wake_ups) as f64 / begin.elapsed().as_secs_f64();
    Ok(Figures {
        cost,
        descriptors: Some(each(now.0.saturating_sub(descriptors.0) as f64)),
        pipes: Some(now.1.saturating_sub(descriptors.1) as f64),
        wake_ups: Some(wake_ups),
        ..Figures::default()
    })
}
