//! System calls of a connection, counted by strace: those of the opening's own reads and writes, and all others by name.

use super::cost::Processes;
use super::proxies::{Running, Setting, Target};
use super::works::Work;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A slow machine under strace needs some time to be attached to.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often each call was made: for each connection, those that move bytes of the session first.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// Reads and writes that moved bytes.
    pub(crate) own: f64,
    /// All others, by name and, where it says why, by result.
    pub(crate) others: BTreeMap<String, f64>,
}

impl Calls {
    /// Of connections that are opened until they are active, updated and ended in order.
    pub(crate) fn count(target: Target, setting: &Setting<'_>, window: Duration) -> io::Result<Calls> {
        let proxy = Running::start(target, setting)?;
        let Some(processes) = proxy.path.proxy.as_ref().map(Processes::all) else { return Ok(Calls::default()) };
        // What the first connections leave to those after them is not of interest.
        Work::Connections.run(&proxy.path, window)?;
        let file = setting.directory.join("strace");
        let mut strace = Command::new("strace")
            .args(["-f", "-qq", "-e", "signal=none", "-o"])
            .arg(&file)
            .args(processes.iter().flat_map(|process| ["-p".to_owned(), process.to_string()]))
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("strace: {error}")))?;
        let traced = processes.iter().try_for_each(|process| wait_until_traced(*process));
        let done = traced.and_then(|()| Work::Connections.run(&proxy.path, window));
        // strace ends with what it traces.
        drop(proxy);
        strace.wait()?;
        Ok(read(&std::fs::read_to_string(file)?, done?.done.unwrap_or(0)))
    }

    pub(crate) fn print(&self, target: Target) {
        println!("\nsystem calls of a connection through {}", target.name());
        println!("  {:<34} {:>7.2}", "reads and writes that moved bytes", self.own);
        let mut others: Vec<(&String, &f64)> = self.others.iter().filter(|(_, count)| **count >= 0.01).collect();
        others.sort_by(|a, b| b.1.total_cmp(a.1));
        for (name, count) in others {
            println!("  {name:<34} {count:>7.2}");
        }
        println!("  {:<34} {:>7.2}  must 24", "beyond the opening's own", self.others.values().sum::<f64>());
    }
}

fn wait_until_traced(process: u32) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let threads = std::fs::read_dir(format!("/proc/{process}/task"))?.flatten();
        let traced = |thread: &Path| {
            let status = std::fs::read_to_string(thread.join("status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
        };
        if threads.map(|thread| thread.path()).all(|thread| traced(&thread)) {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(io::Error::other("strace does not attach"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn read(trace: &str, connections: u64) -> Calls {
    let mut calls = Calls::default();
    for line in trace.lines() {
        // "123 name(...) = result", or its second half: "123 <... name resumed>...) = result".
        let Some((_, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        let name = match call.strip_prefix("<... ") {
            Some(resumed) => resumed.split(' ').next(),
            None => call.split('(').next(),
        };
        let (Some(name), Some((_, result))) = (name, call.rsplit_once(" = ")) else { continue };
        let moved = result.split(' ').next().and_then(|moved| moved.parse::<i64>().ok());
        let name = match (name, moved) {
            ("recvfrom" | "sendto" | "recv" | "send" | "splice", Some(1..)) => {
                calls.own += 1.0;
                continue;
            }
            ("recvfrom", Some(0)) => "recvfrom: the end".to_owned(),
            (_, Some(-1)) => match result.split(' ').nth(1) {
                Some(errno) => format!("{name}: {errno}"),
                None => name.to_owned(),
            },
            _ => name.to_owned(),
        };
        *calls.others.entry(name).or_default() += 1.0;
    }
    let connections = connections.max(1) as f64;
    calls.own /= connections;
    calls.others.values_mut().for_each(|count| *count /= connections);
    calls
}
