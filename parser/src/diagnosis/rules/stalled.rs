//! A leg that died by itself, before the session was up.

use super::super::{Cause, Side};
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
            .message(format!("The client's network went away in phase {}", case.phase())),
    )
}

/// The kernel gave up on the host after it had answered: full-size packets vanish, or the host itself did.
pub(super) fn host_leg_lost(case: &Case<'_>) -> Option<Finding> {
    let answered =
        case.selected().is_some() && case.hello().is_none() || case.server_hello().is_some() || case.established();
    if !case.closed_first(Closer::Host) || !case.by_timeout() || !answered {
        return None;
    }
    let silence = super::words::span(case.silence());
    Some(
        Finding::possible(Cause::MtuBlackhole)
            .side(Side::Network)
            .because(format!("The host leg ended by a TCP time-out or a socket error after {silence} of silence."))
            .because_some(case.host_leg_sentence())
            .because(case.volume())
            .rivals(&[Cause::UnknownClose])
            .message(format!("Host stopped answering in phase {} (TCP time-out)", case.phase())),
    )
}
