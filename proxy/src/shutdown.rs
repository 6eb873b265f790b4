//! Who is still here, and how they are asked to go.
//!
//! A drain waits for [`Sessions::empty`]; the end of its patience is [`Sessions::stop_all`].

use slab::Slab;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;

/// The sessions of the process. Its lock is taken twice by each, at the beginning and at the end, never in between.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    live: AtomicUsize,
    /// Once set, who comes stops at once.
    stopping: AtomicBool,
    /// The tasks to be woken when they are to stop.
    tasks: Mutex<Slab<Waker>>,
    none_left: Notify,
}

impl Sessions {
    pub(crate) fn new() -> Arc<Sessions> {
        Arc::default()
    }

    /// A session begins. It is here until the [`Stop`] is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Stop {
        self.live.fetch_add(1, SeqCst);
        Stop { sessions: Arc::clone(self), task: None }
    }

    /// Sessions now.
    pub(crate) fn live(&self) -> usize {
        self.live.load(SeqCst)
    }

    /// Ends every session, those to come included.
    pub(crate) fn stop_all(&self) {
        self.stopping.store(true, SeqCst);
        // Under the lock: who is not in here yet sees the flag when it comes.
        self.lock().iter().for_each(|(_, task)| task.wake_by_ref());
    }

    /// Returns when no session is left.
    pub(crate) async fn empty(&self) {
        loop {
            // Before the look, so that the last one to leave between the two is heard.
            let none_left = self.none_left.notified();
            if self.live() == 0 {
                return;
            }
            none_left.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Waker>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The word to stop, for one session. While this exists the session is here, and is waited for.
#[derive(Debug)]
pub(crate) struct Stop {
    sessions: Arc<Sessions>,
    task: Option<usize>,
}

impl Stop {
    /// Ready when the session is to stop. To be polled by its task alone, and costs one load after the first time.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.task.is_none() {
            self.task = Some(self.sessions.lock().insert(cx.waker().clone()));
        }
        if self.sessions.stopping.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        if let Some(task) = self.task {
            // The waker is dropped outside of the lock: it may be the last thing that holds its task.
            let waker = self.sessions.lock().try_remove(task);
            drop(waker);
        }
        if self.sessions.live.fetch_sub(1, SeqCst) == 1 {
            self.sessions.none_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn the_last_one_to_leave_ends_the_wait() {
        let sessions = Sessions::new();
        let (first, second) = (sessions.enter(), sessions.enter());
        assert_eq!(sessions.live(), 2);
        let waiting = tokio::spawn({
            let sessions = Arc::clone(&sessions);
            async move { sessions.empty().await }
        });
        drop(first);
        assert!(!waiting.is_finished());
        drop(second);
        waiting.await.expect("the wait ends");
    }

    #[tokio::test]
    async fn who_waits_is_woken_to_stop_and_who_comes_later_stops_at_once() {
        let sessions = Sessions::new();
        let mut here = sessions.enter();
        let stopped = tokio::spawn(async move { poll_fn(|cx| here.poll(cx)).await });
        while sessions.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        sessions.stop_all();
        stopped.await.expect("the session stops");
        let mut late = sessions.enter();
        poll_fn(|cx| late.poll(cx)).await;
        drop(late);
        sessions.empty().await;
        assert!(sessions.lock().is_empty(), "nothing is left behind");
    }
}
