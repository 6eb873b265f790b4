//! When the tracker lets go of a connection: the session is up, or too much passed after the handshake to expect it still.

use super::tracker::Limits;
use super::{Peer, PerPeer};
use crate::Timestamp;

/// What has passed since the end of the handshake (or the Connection Confirm, without TLS).
#[derive(Clone, Copy, Debug)]
pub(super) struct Release {
    until: Timestamp,
    bytes: PerPeer<u64>,
    records: PerPeer<u32>,
}

impl Release {
    /// `since` its end.
    pub(super) fn from(since: Timestamp, limits: &Limits) -> Release {
        Release { until: since.plus(limits.watch_time), bytes: PerPeer::default(), records: PerPeer::default() }
    }

    /// A record or PDU of `length` bytes.
    pub(super) fn record(&mut self, from: Peer, length: u16) {
        self.bytes[from] = self.bytes[from].saturating_add(u64::from(length));
        self.records[from] = self.records[from].saturating_add(1);
    }

    /// More than any opening has: a session is running, whatever its sizes looked like.
    pub(super) fn flows(&self, limits: &Limits) -> bool {
        let most = |of: &PerPeer<u64>| of.client.max(of.host);
        most(&self.bytes) >= limits.watch_bytes || self.records.client.max(self.records.host) >= limits.watch_records
    }

    /// The connection was watched for as long as a prompt may last.
    pub(super) fn expired(&self, now: Timestamp) -> bool {
        now >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn either_direction_reaches_the_limit_of_bytes_or_of_records() {
        let limits = Limits::default();
        let mut release = Release::from(Timestamp(0), &Limits::default());
        for _ in 0..15 {
            release.record(Peer::Host, 16 * 1024);
        }
        release.record(Peer::Host, 16 * 1024 - 1);
        assert!(!release.flows(&limits));
        release.record(Peer::Host, 1);
        assert!(release.flows(&limits));
        let mut release = Release::from(Timestamp(0), &Limits::default());
        for _ in 0..1000 {
            assert!(!release.flows(&limits));
            release.record(Peer::Client, 30);
        }
        assert!(release.flows(&limits));
    }

    #[test]
    fn ten_minutes_are_enough() {
        let release = Release::from(Timestamp(0), &Limits::default());
        let at = |seconds| Timestamp(0).plus(Duration::from_secs(seconds));
        assert!(!release.expired(at(599)));
        assert!(release.expired(at(600)));
    }
}
