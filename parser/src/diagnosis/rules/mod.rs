//! The decision table: rules in the order in which they are asked, one small function each.
//!
//! A rule looks at a [`Case`] and either names the cause, or passes. The first that speaks decides, so a rule may rely
//! on all above it having passed. Principles, from which every rule follows:
//!
//! * What arrives after the first close is no cause ([`Case`] shows only what came before).
//! * Who spoke last before the close decides the side, not who sent the first FIN: after a host's alert or its clear
//!   nine bytes the client's FIN is a reaction.
//! * Record sizes alone never give more than [`Confidence::Likely`]; a code in a message that could be read names its cause.
//! * A session that was up is no failure when its client, its user or a policy ended it.

mod active;
mod bridge;
mod case;
mod certificate;
mod credssp;
mod error_info;
mod finding;
mod gateway;
mod handshake;
mod hello;
mod negotiation;
mod nt_status;
mod opening;
mod ours;
mod packets;
pub(super) mod probed;
mod reach;
mod session;
mod stalled;
mod told;
mod unread;
mod words;

pub(crate) use words::date;

use super::{Cause, Confidence, Side, Verdict};
use crate::session::Timeline;
use case::Case;
use finding::Finding;

type Rule = fn(&Case<'_>) -> Option<Finding>;

/// Top to bottom; the first rule that speaks decides.
const TABLE: &[Rule] = &[
    // What we did ourselves, and the way to the host.
    ours::refused_or_stopped,
    reach::name_not_resolved,
    reach::not_connected,
    reach::connect_unanswered,
    // The bridge was needed, and was not to be had.
    bridge::not_carried,
    // What the messages themselves say, where they can be read.
    told::ended_with_reason,
    told::redirected,
    told::closed_by_user,
    // What came in a leg of the bridge could not be opened.
    bridge::cut_here,
    // Packets that never arrived, where packets were seen.
    packets::black_hole,
    // The session was up: how did it end?
    active::ended_by_client,
    active::ended_in_order_by_host,
    active::lost,
    unread::goodbye_unseen,
    active::cut_by_host,
    active::ended_otherwise,
    // Reading stopped early: only volume can still tell a session from an opening.
    unread::unread,
    // Nothing, or nothing understood, from the client.
    opening::client_silent,
    opening::client_not_rdp,
    opening::request_incomplete,
    // A leg died by itself.
    stalled::client_leg_lost,
    stalled::host_leg_lost,
    // The answer to the Connection Request.
    negotiation::refused,
    negotiation::answer_not_rdp,
    negotiation::answered_by_alert,
    negotiation::disconnected_instead_of_answer,
    negotiation::unanswered,
    negotiation::host_closed_unanswered,
    negotiation::client_left_unanswered,
    // Between the Connection Confirm and the ClientHello.
    negotiation::chose_what_was_not_asked,
    negotiation::restricted_admin_not_offered,
    negotiation::hello_never_came,
    negotiation::client_left_after_confirm,
    negotiation::host_closed_after_confirm,
    // From the ClientHello to the ServerHello.
    hello::alert_instead_of_hello,
    hello::refused_by_alert,
    hello::clear_disconnect,
    hello::answer_not_tls,
    hello::unanswered,
    hello::host_closed,
    hello::client_left,
    // From the ServerHello to both Finished.
    handshake::client_refused_certificate,
    handshake::client_refused_choice,
    handshake::client_certificate_wanted,
    handshake::client_certificate_refused,
    handshake::host_alert,
    handshake::client_left,
    handshake::host_closed,
    // A gateway connection after TLS.
    gateway::ended_inside,
    // CredSSP, from its end to its beginning; where messages can be read, a code goes before what sizes tell.
    told::licence_refused,
    told::mcs_refused,
    told::core_mismatch,
    told::logon_right_missing,
    told::logon_refused,
    told::credssp_outdated,
    session::denied,
    credssp::logon_right_missing,
    credssp::refused,
    credssp::ended_after_acceptance,
    credssp::ended_early,
    // MCS to activation, from its end to its beginning.
    session::activation_broke_off,
    session::licensing_broke_off,
    session::channels_broke_off,
    session::connect_initial_unanswered,
    session::ended_before_first_message,
];

/// The rules that need no close: what the bytes say while the connection is open, or when a recording ends early.
const WHILE_OPEN: &[Rule] = &[
    reach::name_not_resolved,
    reach::not_connected,
    reach::connect_unanswered,
    told::ended_with_reason,
    packets::black_hole,
    active::still_up,
    unread::lacking,
    opening::client_silent,
    opening::client_not_rdp,
    negotiation::refused,
    negotiation::answer_not_rdp,
    negotiation::answered_by_alert,
    negotiation::disconnected_instead_of_answer,
    hello::alert_instead_of_hello,
    hello::refused_by_alert,
    hello::clear_disconnect,
    hello::answer_not_tls,
    handshake::client_refused_certificate,
    handshake::client_refused_choice,
    handshake::client_certificate_wanted,
    handshake::host_alert,
    told::licence_refused,
    told::mcs_refused,
    told::logon_right_missing,
    told::logon_refused,
    session::denied,
];

/// The verdict on `timeline`.
pub(super) fn judge(timeline: &Timeline) -> Verdict {
    let case = Case::new(timeline);
    let over = case.close.is_some() || timeline.proxy_act.is_some();
    let table = if over { TABLE } else { WHILE_OPEN };
    let finding = table.iter().find_map(|rule| rule(&case)).unwrap_or_else(|| unexplained(&case));
    let finding = packets::in_its_place(&case, gateway::in_its_place(&case, finding));
    let finding = unread::in_its_place(&case, bridge::in_its_place(&case, finding));
    packets::noted(&case, finding).into_verdict(&case)
}

/// None of the rules: what is known, and no cause.
fn unexplained(case: &Case<'_>) -> Finding {
    if case.close.is_none() && case.timeline.proxy_act.is_none() {
        return unread::still_open(case);
    }
    Finding::new(Cause::UnknownClose, Confidence::Possible)
        .side(case.side_of_close().unwrap_or(Side::Network))
        .because(case.volume())
        .message(format!("{} in phase {}; nothing seen explains it", case.closed(), case.phase()))
}

#[cfg(test)]
mod tests;
