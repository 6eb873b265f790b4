//! A gateway session in the older form of two connections, OUT for what the gateway says and IN for what the client says.
//! [MS-TSGU] 1.3.3.1
//!
//! They are one session: when the client closes one of them, the gateway takes the other one down as well, and may do so
//! before the client has come to it. Looked at alone that other one was cut by its host.

use super::revise::uuid;
use crate::Timestamp;
use crate::diagnosis::{Cause, Confidence, End, Missing, Side, Verdict};
use crate::session::{Close, CloseKind, Closer, Peer, Timeline};
use core::time::Duration;

/// Records of the peer that is silent on its half: handshake, two or three requests or their answers, tickets, an alert.
/// Measured: 6 of the client on OUT, 14 of the gateway on IN; a whole session on one connection has more of both.
const SILENT_RECORDS: u32 = 16;
/// And bytes of it: a long chain, and Kerberos tickets in three requests, stay below. Where no TLS is seen (behind a
/// terminator) there are no records to count.
const SILENT_BYTES: u64 = 64 * 1024;

/// Which half of a gateway session a connection is, and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Half {
    /// Whose data it carries.
    carries: Peer,
    /// Session data flowed.
    active: bool,
    /// The first close, by anybody.
    closed: Option<Timestamp>,
    /// The client ended it before anybody else did.
    left: Option<Left>,
}

/// How a client ended one half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    at: Timestamp,
    end: End,
}

impl Half {
    /// `None` for everything else, a gateway session on a single connection included.
    pub(super) fn of(timeline: &Timeline) -> Option<Half> {
        if !timeline.opening.may_be_gateway() {
            return None;
        }
        let traffic = &timeline.traffic;
        // Records are counted until the session is up, so the half that carries data may have few of them too.
        let size = |peer| (traffic[peer].records, traffic[peer].bytes);
        let carries = if size(Peer::Host) > size(Peer::Client) { Peer::Host } else { Peer::Client };
        let silent = traffic[carries.other()];
        if silent.records > SILENT_RECORDS || silent.bytes >= SILENT_BYTES {
            return None;
        }
        Some(Half {
            carries,
            active: timeline.reached_active() || traffic[carries].bytes >= SILENT_BYTES,
            closed: timeline.first_close().map(|close| close.at),
            left: left(timeline, carries),
        })
    }

    /// The client ended the session on this half before `other`, its counterpart, was closed by anybody.
    pub(super) fn left_before(&self, other: &Half) -> Option<Left> {
        let left = self.left.filter(|left| other.closed.is_some_and(|closed| left.at <= closed))?;
        (self.active && self.carries != other.carries).then_some(left)
    }
}

/// The client's goodbye, or its close. A gateway may act on a close_notify before the FIN behind it has come.
fn left(timeline: &Timeline, carries: Peer) -> Option<Left> {
    let close = timeline.first_close();
    let goodbye = timeline.tls.encrypted_alert.client;
    let goodbye = goodbye.filter(|at| close.is_none_or(|close| *at <= close.at));
    // Where the client speaks all the time, two bytes may be the end of an HTTP chunk until nothing came after them.
    let goodbye = goodbye.filter(|_| carries == Peer::Host || close.is_some());
    match (goodbye, close) {
        (Some(at), _) => Some(Left { at, end: End::UserClosed }),
        (None, Some(Close { by: Closer::Client, kind: CloseKind::Fin, at })) => Some(Left { at, end: End::UserClosed }),
        (None, Some(Close { by: Closer::Client, kind: CloseKind::Rst, at })) => Some(Left { at, end: End::ClientGone }),
        _ => None,
    }
}

/// The verdict on one half, whose session the client had ended on the other one (`session`) before.
///
/// Which half is which is told from sizes, so it is never more than likely.
pub(super) fn ended_by_client(before: &Verdict, half: &Half, session: u128, left: Left) -> Verdict {
    let pause = half.closed.map_or(Duration::ZERO, |closed| closed.since(left.at));
    let mut evidence = before.evidence.clone();
    evidence.push(format!(
        "This is one of the two connections of a gateway session; the client had ended the other one (session {}) {:.1} ms \
         before, and the gateway then closes both.",
        uuid(session),
        pause.as_secs_f64() * 1000.0,
    ));
    Verdict {
        cause: Cause::Ok,
        side: Side::Client,
        phase: before.phase,
        confidence: Confidence::Likely,
        evidence,
        alternatives: Vec::new(),
        remedy: Vec::new(),
        missing: Missing::default(),
        smallest_change: Vec::new(),
        end: Some(left.end),
        message: "Gateway session ended by the client, on the other of its two connections".to_owned(),
    }
}
