//! Until when captures may hold secrets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment that can only come earlier, in milliseconds since 1970. Zero: they may not.
#[derive(Debug)]
pub(crate) struct Until(AtomicU64);

impl Until {
    /// `None`: they may not.
    pub(crate) fn new(until: Option<SystemTime>) -> Until {
        Until(AtomicU64::new(milliseconds(until)))
    }

    /// They may now.
    pub(crate) fn allows(&self) -> bool {
        self.left().is_some()
    }

    /// For how long they still may.
    pub(crate) fn left(&self) -> Option<Duration> {
        let until = UNIX_EPOCH + Duration::from_millis(self.0.load(Ordering::Relaxed));
        until.duration_since(SystemTime::now()).ok().filter(|left| !left.is_zero())
    }

    /// Not beyond `until` any more; what is over stays over.
    pub(crate) fn lower(&self, until: Option<SystemTime>) {
        self.0.fetch_min(milliseconds(until), Ordering::Relaxed);
    }
}

fn milliseconds(until: Option<SystemTime>) -> u64 {
    let since = until.and_then(|until| until.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_comes_earlier_and_never_later() {
        let soon = |minutes: u64| Some(SystemTime::now() + Duration::from_secs(60 * minutes));
        let until = Until::new(soon(60));
        assert!(until.allows());
        until.lower(soon(5));
        until.lower(soon(90));
        assert!(until.left().is_some_and(|left| left <= Duration::from_secs(300)));
        until.lower(None);
        until.lower(soon(60));
        assert!(!until.allows() && !Until::new(None).allows());
        assert!(!Until::new(Some(SystemTime::now() - Duration::from_secs(1))).allows());
    }
}
