//! When the tracker lets go of a connection: the session is up, or too much passed after the handshake to expect it still.

use super::tracker::Session;
use super::{GiveUp, Peer, PerPeer};
use crate::Timestamp;

/// Bounds of one tracker. Everything a stranger can grow has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest ClientHello that is reassembled, in bytes. TLS stacks refuse handshake messages above 64 KiB.
    pub client_hello: usize,
    /// Bytes per direction after the handshake before the tracker lets go.
    pub watch_bytes: u64,
    /// Records per direction after the handshake before the tracker lets go.
    pub watch_records: u32,
    /// Time after the handshake before the tracker lets go: a prompt may last this long.
    pub watch_time: core::time::Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            client_hello: 64 * 1024,
            watch_bytes: 256 * 1024,
            watch_records: 1_000,
            watch_time: core::time::Duration::from_secs(600),
        }
    }
}

/// What may still pass, counted from the end of the handshake (or the Connection Confirm, without TLS).
#[derive(Clone, Copy, Debug)]
pub(super) struct Release {
    until: Timestamp,
    left: PerPeer<Left>,
    flows: bool,
}

#[derive(Clone, Copy, Debug)]
struct Left {
    bytes: u64,
    records: u32,
}

impl Left {
    fn is_nothing(self) -> bool {
        self.bytes == 0 || self.records == 0
    }
}

impl Release {
    /// `since` its end.
    pub(super) fn from(since: Timestamp, limits: &Limits) -> Release {
        let left = Left { bytes: limits.watch_bytes, records: limits.watch_records };
        let until = since.plus(limits.watch_time);
        Release { until, left: PerPeer { client: left, host: left }, flows: left.is_nothing() }
    }

    /// A record or PDU of `length` bytes.
    pub(super) fn record(&mut self, from: Peer, length: u16) {
        let left = &mut self.left[from];
        left.bytes = left.bytes.saturating_sub(u64::from(length));
        left.records = left.records.saturating_sub(1);
        self.flows |= left.is_nothing();
    }

    /// More passed than any opening has: a session is running, whatever its sizes looked like.
    pub(super) fn flows(&self) -> bool {
        self.flows
    }

    /// The connection was watched for as long as a prompt may last.
    pub(super) fn expired(&self, now: Timestamp) -> bool {
        now >= self.until
    }
}

impl Session {
    /// After a message: lets go when there is nothing more to learn, or too much has passed to expect it.
    #[inline]
    pub(super) fn settle(&mut self, at: Timestamp) {
        let Some(release) = &self.release else { return };
        let (flows, expired) = (release.flows(), release.expired(at));
        if flows || expired || self.timeline.progress.active.is_some() {
            self.settled(flows, at);
        }
    }

    /// There is nothing more to learn, or no more is expected.
    #[cold]
    fn settled(&mut self, flows: bool, at: Timestamp) {
        let active = &mut self.timeline.progress.active;
        if active.is_none() {
            if flows {
                *active = Some(at);
            }
            self.timeline.gave_up.get_or_insert((GiveUp::Released, at));
        }
        self.let_go();
    }

    /// Records only feed the tail from here on, and what else was followed is given back: this may be an idle session for
    /// days.
    pub(super) fn let_go(&mut self) {
        self.let_go = true;
        self.marks = None;
        self.release = None;
        if let Some(tls) = &mut self.tls {
            tls.let_go();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn either_direction_reaches_the_limit_of_bytes_or_of_records() {
        let mut release = Release::from(Timestamp(0), &Limits::default());
        for _ in 0..15 {
            release.record(Peer::Host, 16 * 1024);
        }
        release.record(Peer::Host, 16 * 1024 - 1);
        assert!(!release.flows());
        release.record(Peer::Host, 1);
        assert!(release.flows());
        let mut release = Release::from(Timestamp(0), &Limits::default());
        for _ in 0..1000 {
            assert!(!release.flows());
            release.record(Peer::Client, 30);
        }
        assert!(release.flows());
    }

    #[test]
    fn ten_minutes_are_enough() {
        let release = Release::from(Timestamp(0), &Limits::default());
        let at = |seconds| Timestamp(0).plus(Duration::from_secs(seconds));
        assert!(!release.expired(at(599)));
        assert!(release.expired(at(600)));
    }
}
