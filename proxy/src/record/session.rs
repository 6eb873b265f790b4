//! The seam between the relay, which makes sessions, and the outputs, which tell of them.

use super::capture::Tape;
use parser::Timestamp;
use parser::diagnosis::Verdict;
use parser::session::{PerPeer, Phase, TcpFacts, Timeline};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// What never changes about one accepted connection.
#[derive(Clone, Debug)]
pub struct SessionIdentity {
    /// `session.id`, UUIDv7.
    pub id: Uuid,
    /// Listener label.
    pub listener: Arc<str>,
    /// Upstream label, `host:port` as configured.
    pub upstream: Arc<str>,
    /// The client's address.
    pub client: SocketAddr,
    /// The local address the client connected to.
    pub local: SocketAddr,
    /// When it was accepted.
    pub accepted: Timestamp,
}

/// A connection that has ended.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// Who and where.
    pub identity: Arc<SessionIdentity>,
    /// All that was seen.
    pub timeline: Timeline,
    /// What it came to.
    pub verdict: Verdict,
    /// When it was over on both sides.
    pub ended: Timestamp,
    /// Where its opening was captured, if it was.
    pub capture: Option<Arc<Path>>,
}

/// A live connection, as the admin endpoint and `session_phase` events ask about it.
///
/// Implemented by the relay: a snapshot locks the session's tracker for the time of a copy.
pub trait LiveSession: Send + Sync {
    /// Who and where.
    fn identity(&self) -> &Arc<SessionIdentity>;
    /// A copy of the timeline as it is now.
    fn timeline(&self) -> Timeline;
    /// The phase it is in, without copying the timeline.
    fn phase(&self) -> Phase;
    /// `TCP_INFO` of both legs, read now.
    fn tcp(&self) -> PerPeer<Option<TcpFacts>>;
    /// Bytes read from each side so far. Asked every few seconds for the counters of long sessions.
    fn traffic(&self) -> PerPeer<u64> {
        let timeline = self.timeline();
        PerPeer { client: timeline.traffic.client.bytes, host: timeline.traffic.host.bytes }
    }
    /// Its opening as it passed, while that is kept.
    fn tape(&self) -> Option<Arc<Tape>> {
        None
    }
}
