//! A leg that died by itself, before the session was up.

use super::super::{Cause, Side};
use super::active::{client_lost, network_gone};
use super::case::Case;
use super::finding::Finding;
use crate::session::{Closer, Peer};

/// The kernel gave up on the client: no FIN, no RST, nothing acknowledged.
pub(super) fn client_leg_lost(case: &Case<'_>) -> Option<Finding> {
    if !case.closed_first(Closer::Client) || !case.by_timeout() {
        return None;
    }
    let remedy = Cause::ClientSideNetworkLoss.entry().remedy;
    let finding = client_lost(case);
    let what = network_gone(&finding);
    Some(
        finding
            .because(case.volume())
            .rivals_if(case.leg_is_stuck(Peer::Client), &[Cause::MtuBlackhole])
            // The last one is about a session that lives on; there was none yet.
            .instead_do(remedy.split_last().map_or(remedy, |(_, others)| others))
            .message(format!("In phase {} {what}", case.phase())),
    )
}

/// The kernel gave up on the host after it had answered: full-size packets vanish, or the host itself did.
pub(super) fn host_leg_lost(case: &Case<'_>) -> Option<Finding> {
    let answered =
        case.selected().is_some() && case.hello().is_none() || case.server_hello().is_some() || case.established();
    if !case.closed_first(Closer::Host) || !case.by_timeout() || !answered {
        return None;
    }
    Some(
        Finding::possible(Cause::MtuBlackhole)
            .side(Side::Network)
            .because(case.died_sentence(Peer::Host))
            .because_some(case.host_leg_sentence())
            .because(case.volume())
            .rivals(&[Cause::UnknownClose])
            .message(format!("Host stopped answering in phase {} (TCP time-out)", case.phase())),
    )
}
