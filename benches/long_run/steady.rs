//! Many sessions at once, and many one after the other.

use crate::Outcome;
use crate::compare::cost::Processes;
use crate::compare::ends::{Ask, Host, leave_early, session, visit};
use crate::compare::opening;
use crate::compare::proxies::{Running, Setting, Target};
use crate::metrics;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Clients at once.
pub(crate) const AT_ONCE: usize = 64;

/// A proxy of its own for a part, and its host.
pub(crate) fn bench(
    part: &str,
    adjust: impl FnOnce(&mut Setting<'static>),
) -> Result<(Host, Running, PathBuf), String> {
    let host = Host::start().map_err(|error| error.to_string())?;
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("long-run").join(part);
    let rdpscope = Path::new(env!("CARGO_BIN_EXE_rdpscope"));
    let mut setting = Setting::new(rdpscope, host.address, 2, directory);
    adjust(&mut setting);
    let proxy = Running::start(Target::Ours, &setting).map_err(|error| error.to_string())?;
    // That which asked whether it accepts is over.
    metrics::reaches(&proxy, "sessions_total", "", 1.0)?;
    Ok((host, proxy, setting.directory.join(Target::Ours.name())))
}

pub(crate) fn processes(proxy: &Running) -> Result<Processes, String> {
    proxy.path.proxy.clone().ok_or_else(|| "no process".to_owned())
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())
}

/// How often sessions are held. What they take moves by some per cent from one time to the next, as what was freed lies.
const HOLDS: usize = 7;

/// So many sessions, active and silent, then none; again and again. What they take must not grow.
pub(crate) fn held(sessions: usize) -> Outcome {
    let (_host, proxy, _) = bench("held", |_| ())?;
    let (process, turns) = (processes(&proxy)?, opening::whole());
    let (empty, _) = process.descriptors();
    let mut memory = Vec::new();
    for _ in 0..HOLDS {
        let runtime = runtime()?;
        let mut held = Vec::with_capacity(sessions);
        runtime.block_on(async {
            for number in 0..sessions {
                let opened = session(proxy.path.front, &turns, Ask::Silence).await;
                held.push(opened.map_err(|error| format!("session {number}: {error}"))?);
            }
            Ok::<(), String>(())
        })?;
        metrics::reaches(&proxy, "sessions_in_phase", "phase=\"active\"", sessions as f64)?;
        std::thread::sleep(Duration::from_secs(2));
        memory.push(process.private_memory() / 1024);
        let (open, pipes) = process.descriptors();
        if open < empty + 2 * sessions || pipes > 2 * 16 * 2 {
            return Err(format!("{open} descriptors, {pipes} of pipes, with {sessions} sessions"));
        }
        drop(held);
        drop(runtime);
        metrics::reaches(&proxy, "sessions_active", "", 0.0)?;
    }
    returns_to(&process, empty)?;
    // What was freed may be in pieces the second time; two of the first and the last two level out what moves. What stays
    // of each session, were it 50 bytes, would be more than this after four times.
    let pair = |first: usize| (memory[first] + memory[first + 1]) as f64;
    let grown = pair(HOLDS - 2) / pair(1) - 1.0;
    let said = format!("{memory:?} KiB of private memory, {empty} descriptors before and after");
    if grown > 0.05 { Err(format!("{said}: it grows")) } else { Ok(said) }
}

/// What a client did is remembered for half a minute, in case it comes back: until then more is held with each connection.
const REMEMBERED: Duration = Duration::from_secs(40);

/// So many sessions one after the other, every fourth opened whole; memory is looked at when as many are remembered as ever
/// will be at this rate (but before the last fifth), and at the end.
pub(crate) fn short(connections: usize) -> Outcome {
    let (_host, proxy, _) = bench("short", |_| ())?;
    let process = processes(&proxy)?;
    let (empty, _) = process.descriptors();
    let begin = Instant::now();
    let fifth = connections / 5;
    let mut first = 0;
    while first < fifth || (begin.elapsed() < REMEMBERED && first < connections - fifth) {
        let some = (connections / 50).clamp(1, connections - fifth - first);
        connect(&proxy, some, 4)?;
        first += some;
    }
    metrics::reaches(&proxy, "sessions_active", "", 0.0)?;
    let early = process.private_memory() / 1024;
    connect(&proxy, connections - first, 4)?;
    let rate = connections as f64 / begin.elapsed().as_secs_f64();
    metrics::reaches(&proxy, "sessions_active", "", 0.0)?;
    let late = process.private_memory() / 1024;
    returns_to(&process, empty)?;
    // One more: that which asked whether the proxy accepts.
    metrics::reaches(&proxy, "sessions_total", "", (connections + 1) as f64)?;
    let said = format!("{early} KiB of private memory after {first}, {late} at the end; {rate:.0} a second");
    // Some bytes for each of the others would be more.
    if late > early + 512 { Err(format!("{said}: it grows")) } else { Ok(said) }
}

/// Opens and ends so many sessions; every so many of them is a whole one, the others end after the server's flight.
pub(crate) fn connect(proxy: &Running, connections: usize, every: usize) -> Result<(), String> {
    let front = proxy.path.front;
    runtime()?.block_on(async {
        let mut clients = JoinSet::new();
        for first in 0..AT_ONCE {
            clients.spawn(async move {
                let (whole, hellos) = (opening::whole(), opening::hellos());
                for number in (first..connections).step_by(AT_ONCE) {
                    if (number / AT_ONCE).is_multiple_of(every) {
                        visit(front, &whole).await?;
                    } else {
                        leave_early(front, &hellos).await?;
                    }
                }
                Ok::<(), std::io::Error>(())
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended.map_err(|error| error.to_string())?.map_err(|error| format!("a connection failed: {error}"))?;
        }
        Ok(())
    })
}

/// No more descriptors than before there was a session, but for the pipes that are kept for the next ones.
fn returns_to(process: &Processes, empty: usize) -> Result<(), String> {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let (open, pipes) = process.descriptors();
        if open <= empty + pipes {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("{open} descriptors are open, {pipes} of pipes, and {empty} were before"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
