//! A leg that died by itself, before the session was up.

use super::super::Cause;
use super::case::Case;
use super::finding::Finding;
use crate::session::Closer;

/// The kernel gave up on the client: no FIN, no RST, nothing acknowledged.
pub(super) fn client_leg_lost(case: &Case<'_>) -> Option<Finding> {
    if !case.closed_first(Closer::Client) || !case.by_timeout() {
        return None;
    }
    let silence = super::words::span(case.silence());
    Some(
        Finding::likely(Cause::ClientSideNetworkLoss)
            .because(format!("The client leg ended by a TCP time-out or a socket error after {silence} of silence."))
            .because(case.volume())
            .message(format!("The client's network went away in phase {}", case.timeline.phase())),
    )
}
