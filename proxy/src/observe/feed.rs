//! The live feed: events to whoever listens now. A subscriber that does not keep up loses events, and it is counted.

use prometheus::IntCounter;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// Events that wait for one subscriber: some seconds of a busy proxy.
const BACKLOG: usize = 512;

/// Subscribers at once. Each costs a connection and its backlog.
pub(crate) const SUBSCRIBERS: usize = 32;

/// One event with what it can be filtered by.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// `event.action`, also the name of the Server-Sent Event.
    pub(crate) action: &'static str,
    /// `event.code`; most phases have none.
    pub(crate) cause: Option<&'static str>,
    /// The client's address; what the proxy itself did has none.
    pub(crate) client: Option<IpAddr>,
    /// The upstream label.
    pub(crate) host: Option<Arc<str>>,
    /// JSON, without line feed.
    pub(crate) json: Arc<str>,
}

#[derive(Debug)]
pub(crate) struct Feed {
    subscribers: Mutex<Vec<mpsc::Sender<Item>>>,
    count: AtomicUsize,
    dropped: IntCounter,
}

impl Feed {
    pub(crate) fn new(dropped: IntCounter) -> Feed {
        Feed { subscribers: Mutex::default(), count: AtomicUsize::new(0), dropped }
    }

    /// Somebody listens: only then is it worth making an event.
    pub(crate) fn wanted(&self) -> bool {
        self.count.load(Relaxed) > 0
    }

    /// Every event from now on; `None` when [`SUBSCRIBERS`] listen already.
    pub(crate) fn subscribe(&self) -> Option<mpsc::Receiver<Item>> {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| !subscriber.is_closed());
        if subscribers.len() >= SUBSCRIBERS {
            return None;
        }
        let (sender, receiver) = mpsc::channel(BACKLOG);
        subscribers.push(sender);
        self.count.store(subscribers.len(), Relaxed);
        Some(receiver)
    }

    pub(crate) fn send(&self, item: &Item) {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| match subscriber.try_send(item.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.dropped.inc();
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
        self.count.store(subscribers.len(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> Item {
        Item { action: "drain", cause: None, client: None, host: None, json: Arc::from("{}") }
    }

    #[test]
    fn a_slow_subscriber_loses_events_and_they_are_counted() {
        let dropped = IntCounter::new("dropped", "for this test").unwrap();
        let feed = Feed::new(dropped.clone());
        assert!(!feed.wanted());
        let mut slow = feed.subscribe().unwrap();
        assert!(feed.wanted());
        for _ in 0..BACKLOG + 3 {
            feed.send(&item());
        }
        assert_eq!(dropped.get(), 3);
        let mut received = 0;
        while slow.try_recv().is_ok() {
            received += 1;
        }
        assert_eq!(received, BACKLOG);
    }

    #[test]
    fn subscribers_are_bounded_and_those_who_left_make_room() {
        let feed = Feed::new(IntCounter::new("dropped", "for this test").unwrap());
        let mut held: Vec<_> = (0..SUBSCRIBERS).map(|_| feed.subscribe().unwrap()).collect();
        assert!(feed.subscribe().is_none());
        held.pop();
        assert!(feed.subscribe().is_some());
    }
}
