//! The seam between the relay, which makes sessions, and the outputs, which tell of them.

use super::capture::Tape;
use parser::Timestamp;
use parser::diagnosis::{Marks, Verdict};
use parser::session::{PerPeer, Phase, TcpFacts, Timeline};
use std::net::SocketAddr;
use std::ops::Deref;
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
    pub capture: Option<CaptureFile>,
}

/// The file with the opening of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureFile {
    /// Where it is.
    pub path: Arc<Path>,
    /// It holds secrets with which TLS in it can be read.
    pub secrets: bool,
}

impl Deref for CaptureFile {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.path
    }
}

impl SessionRecord {
    /// Bytes of memory it holds, roughly: what a stranger can make long, and what a usual one has besides.
    #[must_use]
    pub fn memory(&self) -> usize {
        // Evidence, remedies, addresses, names.
        const TEXTS: usize = 1536;
        let hello = self
            .timeline
            .client_hello
            .as_ref()
            .map_or(0, |hello| hello.server_name.as_ref().map_or(0, |name| name.len()) + hello.shape.memory());
        let certificate = self.timeline.certificate.as_ref().map_or(0, |c| {
            let names = c.alternative_names.iter().chain(&c.extended_key_usage);
            c.subject.len() + c.issuer.len() + names.map(|name| name.len() + 24).sum::<usize>()
        });
        size_of::<SessionRecord>() + TEXTS + hello + certificate
    }
}

/// A live connection, as the admin endpoint and `session_phase` events ask about it.
///
/// Implemented by the relay: a snapshot locks the session's tracker for the time of a copy.
pub trait LiveSession: Send + Sync {
    /// Who and where.
    fn identity(&self) -> &Arc<SessionIdentity>;
    /// A copy of the timeline as it is now.
    fn timeline(&self) -> Timeline;
    /// The phase it is in. Asked of all sessions in a row: neither this nor the next takes the session's lock.
    fn phase(&self) -> Phase;
    /// When it entered that phase.
    fn entered(&self) -> Timestamp;
    /// What tells its client from others behind the same address.
    fn marks(&self) -> Marks {
        Marks::of(&self.timeline())
    }
    /// `TCP_INFO` of both legs, read now.
    fn tcp(&self) -> PerPeer<Option<TcpFacts>>;
    /// Bytes read from each side so far. Asked every few seconds for the counters of long sessions.
    fn traffic(&self) -> PerPeer<u64> {
        let timeline = self.timeline();
        PerPeer { client: timeline.traffic.client.bytes, host: timeline.traffic.host.bytes }
    }
    /// Takes less memory until its next byte, if it has been silent for a while; whether there is no more to be asked.
    fn rest(&self, now: Timestamp) -> bool {
        let _ = now;
        true
    }
    /// Its opening as it passed, while that is kept.
    fn tape(&self) -> Option<Arc<Tape>> {
        None
    }
}
