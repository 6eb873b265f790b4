//! What a process has cost so far, with its children and all threads: read from /proc (proc(5)).

use std::fs;
use std::path::PathBuf;

/// A process and its children, as they were when it was looked at.
#[derive(Clone, Debug)]
pub(crate) struct Processes(Vec<u32>);

impl Processes {
    pub(crate) fn of(parent: u32) -> Processes {
        let mut all = vec![parent];
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut parents: Vec<(u32, u32)> = entries
            .filter_map(|entry| {
                let process = entry.file_name().to_str()?.parse().ok()?;
                let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
                // After the name, which may hold anything: state, parent.
                let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
                Some((process, parent))
            })
            .collect();
        parents.sort_unstable();
        for (process, parent) in parents {
            if all.contains(&parent) && !all.contains(&process) {
                all.push(process);
            }
        }
        Processes(all)
    }

    /// Nanoseconds on a processor. What the kernel does in interrupts is charged to whom they interrupt, for all alike.
    ///
    /// Threads that have ended are in the sum of their process alone, which the kernel tells in steps of 10 ms: the larger
    /// of the two is what it was.
    pub(crate) fn nanoseconds(&self) -> u64 {
        let of_thread = |thread: PathBuf| {
            let stat = fs::read_to_string(thread.join("schedstat")).ok()?;
            stat.split_whitespace().next()?.parse::<u64>().ok()
        };
        let of_process = |process: &u32| {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            // After the name: state, parent, ten others, then user and system time in hundredths of a second. proc(5)
            let times = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
            Some(times.filter_map(|time| time.parse::<u64>().ok()).sum::<u64>() * 10_000_000)
        };
        let of = |process: &u32| {
            let live: u64 = threads(*process).filter_map(of_thread).sum();
            live.max(of_process(process).unwrap_or(0))
        };
        self.0.iter().map(of).sum()
    }

    /// How often a thread has gone to sleep, and so was woken.
    pub(crate) fn wake_ups(&self) -> u64 {
        self.threads().filter_map(|thread| value(thread.join("status"), "voluntary_ctxt_switches:")).sum()
    }

    /// Bytes of memory that nobody else has.
    pub(crate) fn private_memory(&self) -> u64 {
        let kibibytes = |process: &u32| {
            let rollup = || PathBuf::from(format!("/proc/{process}/smaps_rollup"));
            Some(value(rollup(), "Private_Clean:")? + value(rollup(), "Private_Dirty:")?)
        };
        self.0.iter().filter_map(kibibytes).sum::<u64>() * 1024
    }

    /// Open descriptors, and how many of them are pipes.
    pub(crate) fn descriptors(&self) -> (usize, usize) {
        let open = self.0.iter().flat_map(|process| fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten());
        let targets = open.flatten().map(|entry| fs::read_link(entry.path()).unwrap_or_default());
        targets.fold((0, 0), |(all, pipes), target| {
            (all + 1, pipes + usize::from(target.to_string_lossy().starts_with("pipe:")))
        })
    }

    /// The first one is the parent.
    pub(crate) fn all(&self) -> &[u32] {
        &self.0
    }

    fn threads(&self) -> impl Iterator<Item = PathBuf> {
        self.0.iter().flat_map(|process| threads(*process))
    }
}

fn threads(process: u32) -> impl Iterator<Item = PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten();
    tasks.flatten().map(|entry| entry.path())
}

/// The number behind `name`.
fn value(file: PathBuf, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}
