//! From MCS to activation: after TLS only sizes and order are visible.

use super::super::{Cause, Confidence, Side};
use super::case::Case;
use super::finding::Finding;
use super::words::span;
use crate::session::{Peer, Phase};
use crate::wire::Protocols;

/// Set Error Info sized, nine bytes, end: the host gave a reason that only a bridge can read.
pub(super) fn denied(case: &Case<'_>) -> Option<Finding> {
    if !case.seen(case.timeline.progress.denied) {
        return None;
    }
    Some(
        Finding::likely(Cause::ServerDenied0x7)
            .side(Side::Host)
            .because("Before activation the host sent a record of Set Error Info size (36 or 37 bytes), then one of 9 bytes, a disconnect.")
            .because_some(reached(case))
            .rivals(&[Cause::LicenseFailure, Cause::EarlyUserAuthDenied])
            .message("Host let the client in and then denied the session, with a reason inside (the client's dialog may show 0x7)"),
    )
}

/// The licence was granted; the session never became active.
pub(super) fn activation_broke_off(case: &Case<'_>) -> Option<Finding> {
    let progress = &case.timeline.progress;
    if !case.seen(progress.licensed) && !case.seen(progress.demand_active) {
        return None;
    }
    let step = match (case.seen(progress.demand_active), case.seen(progress.confirm_active)) {
        (false, _) => "after the licence, before Demand Active",
        (true, false) => "after Demand Active, before Confirm Active",
        (true, true) => "after Confirm Active, before the font map",
    };
    Some(
        Finding::possible(Cause::ActivationFailed)
            .side(who(case))
            .because_some(reached(case))
            .rivals_if(!client_left(case), &[Cause::ServerDenied0x7, Cause::WinlogonOrProfileFailure])
            .rivals_if(case.by_timeout(), &[Cause::MtuBlackhole])
            .rivals_if(case.by_reset() && !client_left(case), &[Cause::RstByMiddlebox])
            .rivals(&[Cause::UnknownClose])
            .message(format!("{} {step}", case.closed())),
    )
}

/// Client Info was sent; no licence came.
pub(super) fn licensing_broke_off(case: &Case<'_>) -> Option<Finding> {
    let progress = &case.timeline.progress;
    if !case.seen(progress.client_info) {
        return None;
    }
    if client_left(case) {
        return Some(
            Finding::possible(Cause::UnknownClose)
                .side(Side::Client)
                .because_some(reached(case))
                .rivals(&[Cause::LicenseFailure, Cause::ClientSideNetworkLoss])
                .message(format!("{} while it waited for its licence", case.closed())),
        );
    }
    let begun = case.seen(progress.licensing);
    let base = if begun { Confidence::Likely } else { Confidence::Possible };
    Some(
        Finding::new(Cause::LicenseFailure, base)
            .side(Side::Host)
            .because(if begun {
                "Licensing had begun and no grant (34 or 35 bytes) came."
            } else {
                "Client Info was sent; not one licensing record came from the host."
            })
            .because_some(reached(case))
            .rivals(&[Cause::ServerClosedInMcs, Cause::ServerDenied0x7])
            .rivals_if(case.by_reset(), &[Cause::RstByMiddlebox])
            .rivals(&[Cause::UnknownClose])
            .message(format!("{} after Client Info, before it granted a licence", case.closed())),
    )
}

/// MCS was answered; the channels were being joined.
pub(super) fn channels_broke_off(case: &Case<'_>) -> Option<Finding> {
    let progress = &case.timeline.progress;
    if !case.seen(progress.connect_response) {
        return None;
    }
    Some(
        in_mcs(case, "while channels were being joined")
            .because(format!("{} channel joins were confirmed.", progress.joins)),
    )
}

/// MCS Connect Initial was sent and not answered.
pub(super) fn connect_initial_unanswered(case: &Case<'_>) -> Option<Finding> {
    let at = case.timeline.progress.connect_initial?;
    if !case.seen(Some(at)) {
        return None;
    }
    let wait = case.after(at);
    Some(
        in_mcs(case, "after the client's first MCS message")
            .because(format!("MCS Connect Initial (told by its size) was unanswered; the end came {wait} later."))
            .rivals_if(!client_left(case), &[Cause::McsCoreMismatch])
            .rivals_if(case.selected() == Some(Protocols::RDP), &[Cause::NegSslRequired, Cause::FipsMismatch]),
    )
}

/// TLS was complete and not one message of RDP came.
pub(super) fn ended_before_first_message(case: &Case<'_>) -> Option<Finding> {
    if !case.established() || case.is_gateway() {
        return None;
    }
    let at = case.timeline.tls.established.unwrap_or(case.end());
    let wait = span(case.end().since(at));
    let client_spoke = case.sealed_alert(Peer::Client) && case.client_left();
    let side = if case.client_left() { Side::Client } else { Side::Host };
    let finding = Finding::possible(Cause::ClosedAfterTlsUnknown)
        .side(side)
        .because(format!("TLS was complete; the end came {wait} later, before any RDP message."))
        .because_some(client_spoke.then(|| "The client said goodbye first (an alert-sized record).".to_owned()));
    Some(match side {
        Side::Client => finding
            .rivals(&[Cause::ClientPromptProbe, Cause::CertUntrustedCa, Cause::CertNameMismatch, Cause::CertExpired])
            .message(format!(
                "Client left {wait} after TLS was complete, before any RDP message: a prompt, or a refused certificate"
            )),
        _ => finding
            .rivals(&[Cause::ServerClosedInMcs, Cause::TlsAlertInternalError, Cause::ClientPromptProbe])
            .rivals_if(case.by_reset(), &[Cause::RstByMiddlebox])
            .message(format!("{} {wait} after TLS was complete, before any RDP message", case.closed())),
    })
}

fn in_mcs(case: &Case<'_>, step: &str) -> Finding {
    let finding = if client_left(case) {
        Finding::possible(Cause::UnknownClose)
            .side(Side::Client)
            .rivals(&[Cause::ClosedAfterTlsUnknown, Cause::ClientSideNetworkLoss])
    } else {
        Finding::possible(Cause::ServerClosedInMcs)
            .side(Side::Host)
            .rivals_if(case.by_timeout(), &[Cause::MtuBlackhole])
            .rivals_if(case.by_reset(), &[Cause::RstByMiddlebox])
    };
    finding.in_phase(Phase::Mcs).message(format!("{} {step}", case.closed()))
}

/// The client ended it, and the host had not said goodbye before.
fn client_left(case: &Case<'_>) -> bool {
    case.client_left() && !case.ended_with(Peer::Host, 9)
}

fn who(case: &Case<'_>) -> Side {
    if client_left(case) { Side::Client } else { Side::Host }
}

/// The last step that sizes showed, as evidence.
fn reached(case: &Case<'_>) -> Option<String> {
    let progress = &case.timeline.progress;
    let steps = [
        (progress.confirm_active, "Confirm Active"),
        (progress.demand_active, "Demand Active"),
        (progress.licensed, "the licence grant"),
        (progress.licensing, "the first licensing record"),
        (progress.client_info, "Client Info"),
        (progress.connect_response, "MCS Connect Response"),
    ];
    let (at, name) = steps.into_iter().find_map(|(at, name)| at.filter(|at| *at <= case.end()).map(|at| (at, name)))?;
    Some(format!("The last step told by record sizes is {name}, {} before the end.", span(case.end().since(at))))
}
