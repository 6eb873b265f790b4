//! The tracker: bytes, closes and times in, a timeline out.

use super::{Awaiting, CloseKind, Closer, GiveUp, Peer, Phase, ProxyAct, TcpFacts, Timeline, Upstream};
use crate::Timestamp;
use std::net::SocketAddr;

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

/// How closely the tracker looks at bytes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Messages are being read: every byte is needed.
    Opening,
    /// Record headers are being followed: every byte is needed.
    Records,
    /// The tracker has let go: bytes need not be shown. Shown bytes only feed the tail; hidden ones are to be
    /// reported with [`Session::passed_unseen`].
    Tail,
}

/// What happened on the way to the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamEvent {
    /// A name lookup began.
    Resolving,
    /// A connect began.
    Connecting(SocketAddr),
    /// Connected.
    Connected(SocketAddr),
    /// It failed; the payload is what the timeline keeps.
    Failed(Upstream),
}

/// One connection, as seen by somebody in the middle.
#[derive(Clone, Debug)]
pub struct Session {
    timeline: Timeline,
    limits: Limits,
}

impl Session {
    /// A connection that was accepted at `opened`.
    #[must_use]
    pub fn new(opened: Timestamp, limits: Limits) -> Session {
        let mut timeline = Timeline { opened, ..Timeline::default() };
        timeline.phases.enter(Phase::Accept, opened);
        Session { timeline, limits }
    }

    /// Notes what happened on the way to the host.
    pub fn upstream(&mut self, event: UpstreamEvent, at: Timestamp) {
        let _ = (event, at);
    }

    /// Bytes that `from` sent, in order, in any chunking, at the time they were read.
    pub fn data(&mut self, from: Peer, bytes: &[u8], at: Timestamp) {
        let _ = (from, bytes, at);
    }

    /// `count` bytes that `from` sent and that were not looked at. Only after [`Watch::Tail`]; the tail is then unknown
    /// until record boundaries are found again.
    pub fn passed_unseen(&mut self, from: Peer, count: u64, at: Timestamp) {
        let _ = (from, count, at);
    }

    /// A socket ended. To be called when it is noticed, before anything is forwarded.
    pub fn closed(&mut self, by: Closer, kind: CloseKind, at: Timestamp) {
        let _ = (by, kind, at);
    }

    /// Notes what we did ourselves; the close that follows from it is noted with [`Session::closed`].
    pub fn proxy_act(&mut self, act: ProxyAct, at: Timestamp) {
        let _ = (act, at);
    }

    /// `TCP_INFO` of the leg to `leg`, at the end.
    pub fn socket_facts(&mut self, leg: Peer, facts: TcpFacts) {
        self.timeline.tcp[leg] = Some(facts);
    }

    /// Stops reading, for a reason outside of the bytes (the process-wide budget).
    pub fn give_up(&mut self, why: GiveUp, at: Timestamp) {
        let _ = (why, at);
    }

    /// Where the connection is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.timeline.phase()
    }

    /// What it is waiting for, and since when; for the proxy's time-outs.
    #[must_use]
    pub fn awaiting(&self) -> (Awaiting, Timestamp) {
        (Awaiting::Nothing, self.timeline.opened)
    }

    /// How closely bytes are looked at.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch::Opening
    }

    /// Bytes of memory held for reassembly now, for the process-wide opening budget.
    #[must_use]
    pub fn buffered(&self) -> usize {
        0
    }

    /// What is known so far.
    #[must_use]
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// What is known, for good.
    #[must_use]
    pub fn finish(self) -> Timeline {
        let _ = self.limits;
        self.timeline
    }
}
