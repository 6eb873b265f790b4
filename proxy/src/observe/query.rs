//! What the admin endpoint asks of the observer.

use super::{Ended, Entry, Item, Observer, Readiness, lock};
use crate::record::Names;
use crate::record::capture::Captures;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

impl Observer {
    pub(crate) fn ready(&self) -> Readiness {
        Readiness::ALL.into_iter().find(|r| *r as u8 == self.readiness.load(Relaxed)).unwrap_or(Readiness::Starting)
    }

    /// Ends when nobody uses this observer any more.
    pub(crate) fn gone(&self) -> watch::Receiver<()> {
        self.gone.subscribe()
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    pub(crate) fn captures(&self) -> Option<&Captures> {
        self.captures.as_ref()
    }

    pub(crate) fn live_count(&self) -> usize {
        self.live.count()
    }

    pub(crate) fn live_newest(&self, limit: usize) -> Vec<Entry> {
        self.live.newest(limit)
    }

    pub(crate) fn live_session(&self, id: Uuid) -> Option<Entry> {
        self.live.find(id)
    }

    pub(crate) fn ended_session(&self, id: Uuid) -> Option<Ended> {
        lock(&self.history).find(id).cloned()
    }

    pub(crate) fn failed_newest(&self, limit: usize) -> Vec<Ended> {
        lock(&self.history).failed().take(limit).cloned().collect()
    }

    pub(crate) fn ended_newest(&self, limit: usize) -> Vec<Ended> {
        lock(&self.history).ended(limit)
    }

    pub(crate) fn subscribe(&self) -> Option<mpsc::Receiver<Item>> {
        self.feed.subscribe()
    }
}
