//! The threads that relay: one per core, each with a runtime of its own.
//!
//! A session stays on one core for life, so what it touches stays in that core's cache, and nothing on its way is shared
//! but counters. Every core accepts for itself (see [`crate::listen`]); a core that has many more live sessions than
//! another one hands the next connection over.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A core may have this many sessions more than the emptiest one, and a quarter of that one's on top, before it hands
/// over. The kernel spreads connections by a hash, so 1,000 on two cores are further apart than 530 and 470 one time in
/// twenty, which does no harm; this is for long sessions that happen to stay on one side.
const SLACK: usize = 32;

/// Shorter than the shortest time-out of an opening by default.
const TICK: Duration = Duration::from_secs(4);

/// All of them.
#[derive(Debug)]
pub(crate) struct Cores {
    list: Box<[Core]>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Core {
    runtime: Handle,
    /// Sessions that live here now.
    live: AtomicUsize,
}

impl Cores {
    /// Starts `threads` of them; with 0, one for each core that the process may use (its affinity and the quota of its
    /// control group, as [`thread::available_parallelism`] reads them).
    ///
    /// # Errors
    /// A thread or its epoll instance could not be made.
    pub(crate) fn start(threads: usize) -> io::Result<Arc<Cores>> {
        let threads = match threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        // Declared first: should a later thread fail, dropping it ends the ones before.
        let mut cores = Cores { list: Box::default(), stop: CancellationToken::new() };
        let mut list = Vec::with_capacity(threads);
        for number in 0..threads {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            list.push(Core { runtime: runtime.handle().clone(), live: AtomicUsize::new(0) });
            let stop = cores.stop.clone();
            // What still lives there when it is stopped is dropped by that thread, with its runtime.
            thread::Builder::new().name(format!("relay-{number}")).spawn(move || runtime.block_on(until(stop)))?;
        }
        cores.list = list.into();
        Ok(Arc::new(cores))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    /// Runs `task` on `core`.
    pub(crate) fn spawn<F>(&self, core: usize, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.list[core].runtime.spawn(task)
    }

    /// The core for a session that was accepted on `here`, which counts as living there until the [`Seat`] is dropped.
    pub(crate) fn seat(self: &Arc<Self>, here: usize) -> Seat {
        let live = |core: &usize| self.list[*core].live.load(Relaxed);
        let emptiest = (0..self.list.len()).min_by_key(live).unwrap_or(here);
        let core = if live(&here) > live(&emptiest) + live(&emptiest) / 4 + SLACK { emptiest } else { here };
        self.list[core].live.fetch_add(1, Relaxed);
        Seat { cores: Arc::clone(self), core }
    }

    /// Ends the threads and drops what still runs on them.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Tasks on all of them: acceptors, sessions, lookups.
    pub(crate) fn tasks(&self) -> usize {
        self.list.iter().map(|core| core.runtime.metrics().num_alive_tasks()).sum()
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Keeps a core going until it is to stop.
///
/// The runtime wakes itself, by a write to an eventfd and a turn of its loop, whenever a timer is set that comes before
/// all others: that would be twice in every opening. With this one there always is one before them.
async fn until(stop: CancellationToken) {
    while !stop.is_cancelled() {
        let _ = timeout(TICK, stop.cancelled()).await;
    }
}

/// One session's place on a core.
#[derive(Debug)]
pub(crate) struct Seat {
    cores: Arc<Cores>,
    core: usize,
}

impl Seat {
    /// Which core.
    pub(crate) fn core(&self) -> usize {
        self.core
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.cores.list[self.core].live.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_with_many_more_live_sessions_hands_over_and_only_then() {
        let cores = Cores::start(2).expect("threads");
        let mut seats: Vec<Seat> = (0..=SLACK).map(|_| cores.seat(0)).collect();
        assert!(seats.iter().all(|seat| seat.core() == 0), "within the slack a session stays where it was accepted");
        let handed_over = cores.seat(0);
        assert_eq!(handed_over.core(), 1);
        seats.clear();
        assert_eq!(cores.seat(0).core(), 0);
    }

    #[test]
    fn a_task_runs_on_the_core_it_was_given_to() {
        let cores = Cores::start(2).expect("threads");
        let name = |core| {
            let (tell, told) = std::sync::mpsc::channel();
            cores.spawn(core, async move { tell.send(thread::current().name().map(str::to_owned)) });
            told.recv().expect("the task runs")
        };
        assert_eq!((name(0).as_deref(), name(1).as_deref()), (Some("relay-0"), Some("relay-1")));
    }
}
