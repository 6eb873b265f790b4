//! Who is still here, and how they are asked to go.
//!
//! A drain waits for [`Sessions::empty`]; the end of its patience is [`Sessions::stop_all`].

use crate::relay::Stop;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};

/// The sessions of the process. Taken at the beginning and the end of each, never in between.
#[derive(Debug)]
pub(crate) struct Sessions {
    inner: Mutex<Inner>,
    live: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    /// Once set, who comes is told to stop at once.
    stopping: bool,
    stop: HashMap<u64, oneshot::Sender<()>>,
}

impl Sessions {
    pub(crate) fn new() -> Arc<Sessions> {
        Arc::new(Sessions { inner: Mutex::default(), live: watch::Sender::new(0) })
    }

    /// A session begins. It is here until the [`Presence`] is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> (Presence, Stop) {
        let (sender, stop) = Stop::pair();
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        if inner.stopping {
            // Fails only if the session has gone already.
            let _ = sender.send(());
        } else {
            inner.stop.insert(number, sender);
        }
        drop(inner);
        self.live.send_modify(|live| *live += 1);
        (Presence { sessions: Arc::clone(self), number }, stop)
    }

    /// Sessions now.
    pub(crate) fn live(&self) -> usize {
        *self.live.borrow()
    }

    /// Ends every session, those to come included.
    pub(crate) fn stop_all(&self) {
        let mut inner = self.lock();
        inner.stopping = true;
        for (_, sender) in inner.stop.drain() {
            let _ = sender.send(());
        }
    }

    /// Returns when no session is left.
    pub(crate) async fn empty(&self) {
        // Fails only when the sender is gone, and it is a field of ours.
        let _ = self.live.subscribe().wait_for(|live| *live == 0).await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One session is here; dropped when it is over.
#[derive(Debug)]
pub(crate) struct Presence {
    sessions: Arc<Sessions>,
    number: u64,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.sessions.lock().stop.remove(&self.number);
        self.sessions.live.send_modify(|live| *live -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_one_to_leave_ends_the_wait() {
        let sessions = Sessions::new();
        let (first, _stop) = sessions.enter();
        let (second, _stop) = sessions.enter();
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
}
