//! More than there is room for: events, descriptors.

use crate::Outcome;
use crate::compare::ends::{Ask, SHORT, echo, session};
use crate::compare::opening;
use crate::metrics;
use crate::steady::{bench, connect, runtime};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Connections as fast as they go: each has its event, none is dropped.
pub(crate) fn full_rate(connections: usize) -> Outcome {
    let (_host, proxy, directory) = bench("full-rate", |_| ())?;
    let begin = Instant::now();
    connect(&proxy, connections, 4)?;
    let rate = connections as f64 / begin.elapsed().as_secs_f64();
    // And the one that asked whether the proxy accepts.
    let ended = connections + 1;
    metrics::reaches(&proxy, "sessions_total", "", ended as f64)?;
    let dropped = metrics::sum(&proxy, "events_dropped_total", "file")?;
    let events = directory.join("events.jsonl");
    let until = Instant::now() + Duration::from_secs(30);
    let lines = loop {
        let text = std::fs::read_to_string(&events).map_err(|error| error.to_string())?;
        let lines = text.lines().filter(|line| line.contains("\"session_end\"")).count();
        if lines >= ended || Instant::now() > until {
            break lines;
        }
        thread::sleep(Duration::from_millis(50));
    };
    match (lines == ended, dropped == 0.0) {
        (true, true) => Ok(format!("{lines} events, 0 dropped, 0 connections failed; {rate:.0} a second")),
        _ => Err(format!("{lines} events for {ended} sessions, {dropped} dropped")),
    }
}

/// The reader of events takes half of what comes: what is dropped is counted, and no connection notices.
pub(crate) fn overload(connections: usize) -> Outcome {
    // How fast they come without it, and how long an event is.
    let (host, proxy, directory) = bench("rate", |_| ())?;
    let begin = Instant::now();
    connect(&proxy, connections / 4, 1)?;
    let alone = begin.elapsed().as_secs_f64() * 4.0;
    drop((host, proxy));
    let written = std::fs::metadata(directory.join("events.jsonl")).map_or(0, |about| about.len());
    let half_of_rate = written as f64 * 4.0 / alone / 2.0;

    let pipe = directory.join("pipe");
    let _ = std::fs::remove_file(&pipe);
    let made = Command::new("mkfifo").arg(&pipe).status().map_err(|error| format!("mkfifo: {error}"))?;
    if !made.success() {
        return Err(format!("mkfifo: {made}"));
    }
    let sink = pipe.clone();
    let lines = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lines);
    let reader = thread::spawn(move || slow_reader(&pipe, half_of_rate, &counted));
    let (_host, proxy, _) = bench("overload", |setting| setting.sink = Some(sink))?;
    let begin = Instant::now();
    connect(&proxy, connections, 1)?;
    let took = begin.elapsed().as_secs_f64();
    let ended = (connections + 1) as f64;
    metrics::reaches(&proxy, "sessions_total", "", ended)?;
    // Nothing is dropped any more, but there are lines that wait.
    let dropped = metrics::sum(&proxy, "events_dropped_total", "file")?;
    let until = Instant::now() + Duration::from_secs(120);
    while lines.load(Relaxed) as f64 + dropped < ended && Instant::now() < until {
        thread::sleep(Duration::from_millis(50));
    }
    drop(proxy);
    reader.join().map_err(|_| "the reader panicked".to_owned())?.map_err(|error| error.to_string())?;
    let lines = lines.load(Relaxed);
    let said = format!(
        "{lines} events, {dropped} dropped and counted, 0 connections failed; {took:.1} s, {alone:.1} s without"
    );
    match lines as f64 + dropped == ended {
        _ if dropped == 0.0 => Err(format!("{said}: it was no overload")),
        true => Ok(said),
        false => Err(format!("{said}: {ended} sessions ended")),
    }
}

/// Counts the sessions that ended by what it reads.
fn slow_reader(pipe: &Path, bytes_per_second: f64, lines: &AtomicUsize) -> io::Result<()> {
    let pipe = File::open(pipe)?;
    let (begin, mut read) = (Instant::now(), 0);
    let mut reader = BufReader::new(pipe);
    let mut line = String::new();
    loop {
        line.clear();
        read += reader.read_line(&mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        lines.fetch_add(usize::from(line.contains("\"session_end\"")), Relaxed);
        let due = read as f64 / bytes_per_second;
        let early = due - begin.elapsed().as_secs_f64();
        if early > 0.01 {
            thread::sleep(Duration::from_secs_f64(early.min(1.0)));
        }
    }
}

/// The proxy may open 200 descriptors: those that fit are served, the others refused at once, and when some have left
/// there is room again.
pub(crate) fn descriptors() -> Outcome {
    let (_host, proxy, _) = bench("descriptors", |setting| setting.descriptors = Some(200))?;
    let (front, turns) = (proxy.path.front, opening::whole());
    let runtime = runtime()?;
    runtime.block_on(async {
        for round in 0..3 {
            let (mut held, mut refused) = (Vec::new(), 0);
            for _ in 0..150 {
                // A connection that is neither served nor refused shows here.
                match tokio::time::timeout(Duration::from_secs(10), session(front, &turns, Ask::Echo)).await {
                    Ok(Ok(socket)) => held.push(socket),
                    Ok(Err(_)) => refused += 1,
                    Err(_) => return Err("a connection hangs".to_owned()),
                }
            }
            if held.len() < 50 || refused < 10 {
                return Err(format!("{} sessions, {refused} refused", held.len()));
            }
            let count = held.len();
            for mut socket in held.drain(..) {
                echo(&mut socket, &mut opening::record(SHORT, 0))
                    .await
                    .map_err(|error| format!("a session was harmed: {error}"))?;
            }
            println!("      round {round}: {count} sessions served, {refused} refused");
            metrics::reaches(&proxy, "sessions_active", "", 0.0)?;
        }
        Ok(())
    })?;
    let rejected = metrics::sum(&proxy, "connections_rejected_total", "descriptors")?;
    Ok(format!("served again after each round; {rejected} refused for want of a descriptor"))
}
