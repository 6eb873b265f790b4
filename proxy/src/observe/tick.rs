//! The one thread that looks at the clock: sessions that hang, verdicts that become final, bytes of long sessions, and how
//! many verdicts and refusals of a second were not logged.
//!
//! It sleeps until something can be due: sessions that all rest, however many, wake nobody.

use super::refused::Refused;
use super::sample::Sampler;
use super::{Observer, lock};
use crate::clock;
use parser::Timestamp;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Fine enough for a hang of five seconds, cheap enough for 20,000 live sessions.
const TICK: Duration = Duration::from_millis(500);

/// How soon it is looked again which sessions may rest.
const REST: Duration = Duration::from_millis(100);

/// Byte counters of live sessions are brought up to date so often, and at each scrape.
const BYTES: Duration = Duration::from_secs(5);

/// How the thread is woken from a long sleep.
#[derive(Debug, Default)]
pub(super) struct Tick {
    thread: OnceLock<Thread>,
    /// It sleeps for longer than [`TICK`], or is about to.
    asleep: AtomicBool,
}

impl Tick {
    /// To be called after something has begun that time will decide. Costs a load while the thread is about.
    pub(super) fn wake(&self) {
        if self.asleep.load(SeqCst) && self.asleep.swap(false, SeqCst) {
            self.thread.get().inspect(|thread| thread.unpark());
        }
    }

    #[cfg(test)]
    pub(super) fn is_asleep(&self) -> bool {
        self.asleep.load(SeqCst)
    }
}

impl Drop for Tick {
    /// The observer is gone, and the thread goes with it.
    fn drop(&mut self) {
        self.thread.get().inspect(|thread| thread.unpark());
    }
}

/// Runs as long as the observer lives.
pub(super) fn start(observer: &Arc<Observer>) -> io::Result<()> {
    let weak = Arc::downgrade(observer);
    let thread = std::thread::Builder::new().name("observe".to_owned()).spawn(move || run(&weak))?;
    // Once for each observer.
    let _ = observer.tick.thread.set(thread.thread().clone());
    Ok(())
}

fn run(observer: &Weak<Observer>) {
    let (mut looked, mut counted) = (Instant::now(), Instant::now());
    loop {
        let Some(strong) = observer.upgrade() else { return };
        let now = clock::now();
        strong.live.rest(now);
        if looked.elapsed() >= TICK {
            looked = Instant::now();
            strong.hanging(now);
            strong.settle(now);
            strong.left_out(now);
            strong.refusals_left_out(now);
        }
        if counted.elapsed() >= BYTES {
            counted = Instant::now();
            strong.live.count_bytes();
        }
        let pause = strong.pause_after(now);
        drop(strong);
        match pause {
            Some(pause) => std::thread::park_timeout(pause),
            None => std::thread::park(),
        }
    }
}

impl Observer {
    /// How long nothing can be due; `None` for as long as nothing new begins.
    fn pause_after(&self, now: Timestamp) -> Option<Duration> {
        self.tick.asleep.store(false, SeqCst);
        let pause = self.until_due(now);
        if pause.is_some_and(|pause| pause <= TICK) {
            return pause;
        }
        // What begins before this is found by the second look, and what begins after it wakes the thread.
        self.tick.asleep.store(true, SeqCst);
        self.until_due(now)
    }

    pub(super) fn until_due(&self, now: Timestamp) -> Option<Duration> {
        if self.live.may_rest() {
            return Some(REST);
        }
        if self.live.may_hang() {
            return Some(TICK);
        }
        let unlogged = lock(&self.logged).iter().filter_map(Sampler::due).min();
        let refused = lock(&self.refused).iter().filter_map(Refused::due).min();
        let due = self.settling.due().into_iter().chain(unlogged).chain(refused).min();
        due.map(|due| due.since(now).max(TICK))
    }
}
