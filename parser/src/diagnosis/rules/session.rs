//! From MCS to activation: after TLS only sizes and order are visible.

use super::super::{Cause, Confidence, Side};
use super::case::Case;
use super::certificate;
use super::credssp::HOST_PATIENCE;
use super::finding::Finding;
use super::words::span;
use crate::session::{Peer, Phase};
use crate::wire::Protocols;
use core::time::Duration;

/// A host answers every step of the opening at once; a client that leaves after this long has given up on it.
pub(super) const HOST_SILENCE: Duration = Duration::from_secs(5);

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
    if client_left(case) && case.seen(progress.demand_active) && !case.seen(progress.confirm_active) {
        return Some(
            gave_up(case, Cause::ActivationFailed).unwrap_or_else(|| redirected(case, Cause::ActivationFailed)),
        );
    }
    if !case.seen(progress.demand_active) && !case.is_read() {
        return Some(ended_on_licence(case));
    }
    if let Some(finding) = gave_up(case, Cause::ActivationFailed) {
        return Some(finding);
    }
    let step = match case.seen(progress.confirm_active) {
        false if !case.seen(progress.demand_active) => "after the licence grant, before Demand Active",
        false => "after Demand Active, before Confirm Active",
        true => "after Confirm Active, before the font map",
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

/// A grant and a refusal of the licence are the same message with another number in it. [MS-RDPBCGR] 2.2.1.12.1.3
fn ended_on_licence(case: &Case<'_>) -> Finding {
    let left = client_left(case);
    Finding::possible(Cause::LicenseFailure)
        .side(Side::Host)
        .because_some(reached(case))
        .because("A licence message of 34 or 35 bytes came, a grant or a refusal, and no Demand Active after it.")
        .rivals(&[Cause::ActivationFailed])
        .rivals_if(!left, &[Cause::ServerDenied0x7, Cause::WinlogonOrProfileFailure])
        .rivals_if(left, &[Cause::ClientSideNetworkLoss])
        .rivals_if(case.by_timeout(), &[Cause::MtuBlackhole])
        .rivals_if(case.by_reset() && !left, &[Cause::RstByMiddlebox])
        .rivals(&[Cause::UnknownClose])
        .message(format!("{} after the last licence message, before Demand Active", case.closed()))
}

/// Client Info was sent; no licence came.
pub(super) fn licensing_broke_off(case: &Case<'_>) -> Option<Finding> {
    let progress = &case.timeline.progress;
    if !case.seen(progress.client_info) {
        return None;
    }
    // Where the licence or Demand Active is due, a connection broker's host sends the client somewhere else.
    let unanswered = case.last_records(Peer::Client).next().is_some_and(|shape| Some(shape.at) <= progress.licensing);
    if client_left(case) && case.seen(progress.licensing) && unanswered {
        return Some(gave_up(case, Cause::LicenseFailure).unwrap_or_else(|| redirected(case, Cause::LicenseFailure)));
    }
    if let Some(finding) = gave_up(case, Cause::LicenseFailure) {
        return Some(finding);
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
    if !begun && case.selected() == Some(Protocols::RDP) && case.server_hello().is_none() {
        return Some(ended_on_first_encrypted(case));
    }
    let base = if begun && !unanswered && !case.by_reset() { Confidence::Likely } else { Confidence::Possible };
    Some(
        Finding::new(Cause::LicenseFailure, base)
            .side(Side::Host)
            .because(if begun {
                "Licensing had begun and no grant came."
            } else {
                "Client Info was sent; not one licensing record came from the host."
            })
            .because_some(reached(case))
            .rivals(&[Cause::ServerClosedInMcs, Cause::ServerDenied0x7])
            .rivals_if(begun && unanswered, &[Cause::RedirectBypassesProxy])
            .rivals_if(case.by_reset(), &[Cause::RstByMiddlebox])
            .rivals(&[Cause::UnknownClose])
            .message(format!("{} after Client Info, before it granted a licence", case.closed())),
    )
}

/// Standard RDP security: the host hung up on the client's first messages that may be encrypted. Whether it could read
/// the Client Info is not known, so nothing points to licensing yet.
fn ended_on_first_encrypted(case: &Case<'_>) -> Finding {
    let offered = case.timeline.request.as_ref().and_then(|request| request.protocols);
    let fell_back = offered.is_some_and(|protocols| protocols != Protocols::RDP);
    Finding::possible(Cause::UnknownClose)
        .side(Side::Host)
        .because_some(case.choice_sentence())
        .because("After the channel joins the client sent its first message that may be encrypted (Security Exchange, Client Info); the host answered none.")
        .because_some(reached(case))
        .rivals_if(fell_back, &[Cause::ServerSelectedWeaker])
        .rivals(&[Cause::ServerClosedInMcs, Cause::FipsMismatch, Cause::ServerDenied0x7, Cause::LicenseFailure])
        .rivals_if(case.by_reset(), &[Cause::RstByMiddlebox])
        .first_do(if fell_back {
            "See why the host did not choose TLS, which the client offered: in xrdp.ini check `certificate=` and `key_file=`, and that `security_layer=` is not `rdp`."
        } else {
            "Let both sides use TLS: standard RDP security fails where their encryption levels or methods differ (xrdp.ini `security_layer=tls`; a client that offers TLS)."
        })
        .message(format!("{} on the client's first encrypted messages in standard RDP security", case.closed()))
}

/// MCS was answered; the channels were being joined.
pub(super) fn channels_broke_off(case: &Case<'_>) -> Option<Finding> {
    let progress = &case.timeline.progress;
    if !case.seen(progress.connect_response) {
        return None;
    }
    let finding = match gave_up(case, Cause::ServerClosedInMcs) {
        Some(finding) => finding.in_phase(Phase::Mcs),
        None => in_mcs(case, "while channels were being joined"),
    };
    Some(finding.because(format!("{} channel joins were confirmed.", progress.joins)))
}

/// The client left a host that had been silent for long. Whose turn it was is told by who spoke last, as far as a message
/// of the host may not have come whole.
fn gave_up(case: &Case<'_>, rival: Cause) -> Option<Finding> {
    let silence = case.silence_of(Peer::Host);
    if !client_left(case) || silence < HOST_SILENCE {
        return None;
    }
    let at = |peer| case.last_records(peer).next().map(|shape| shape.at);
    let owed = at(Peer::Client).is_some() && at(Peer::Client) >= at(Peer::Host);
    Some(
        Finding::possible(Cause::UnknownClose)
            .side(if owed { Side::Host } else { Side::Both })
            .because_some(reached(case))
            .because(if owed {
                format!(
                    "The host left the client's last message unanswered for {}; then the client left.",
                    span(silence)
                )
            } else {
                format!("Nothing more came from the host for {}; then the client left.", span(silence))
            })
            .because_some(case.host_leg_sentence())
            .because_some(case.leg_sentence(Peer::Client))
            .rivals(&[rival, Cause::MtuBlackhole, Cause::ClientSideNetworkLoss])
            .message(format!(
                "Client gave up in phase {}: the host had been silent for {}",
                case.phase(),
                span(silence)
            )),
    )
}

/// MCS Connect Initial was sent and not answered.
pub(super) fn connect_initial_unanswered(case: &Case<'_>) -> Option<Finding> {
    let at = case.timeline.progress.connect_initial?;
    if !case.seen(Some(at)) {
        return None;
    }
    let wait = case.after(at);
    if client_left(case) && case.end().since(at) >= HOST_SILENCE {
        // No cause is seen, but whose silence it was is.
        return Some(
            Finding::possible(Cause::UnknownClose)
                .side(Side::Host)
                .in_phase(Phase::Mcs)
                .because(format!(
                    "MCS Connect Initial{} was unanswered for {wait}; then the client left.",
                    by_size(case)
                ))
                .because_some(case.host_leg_sentence())
                .rivals(&[Cause::ServerClosedInMcs, Cause::MtuBlackhole])
                .message(format!("Client gave up: the host left its first MCS message unanswered for {wait}")),
        );
    }
    Some(
        in_mcs(case, "after the client's first MCS message")
            .because(format!("MCS Connect Initial{} was unanswered; the end came {wait} later.", by_size(case)))
            .rivals_if(!client_left(case) && !case.is_read(), &[Cause::McsCoreMismatch])
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
    let side = if case.client_left() || case.close.is_none() { Side::Client } else { Side::Host };
    // What the client could object to, when the certificate crossed in clear (TLS 1.2 and below).
    let objections = if side == Side::Client { certificate::objections(case) } else { Vec::new() };
    let dated = objections.iter().find(|o| matches!(o.cause, Cause::CertExpired | Cause::CertNotYetValid));
    let finding = Finding::possible(dated.map_or(Cause::ClosedAfterTlsUnknown, |objection| objection.cause))
        .side(side)
        .because(format!("TLS was complete; the end came {wait} later, before any RDP message."))
        .because_some(client_spoke.then(|| "The client said goodbye first (an alert-sized record).".to_owned()));
    Some(match side {
        Side::Client => objections
            .iter()
            .fold(finding, |finding, objection| finding.because(objection.sentence.clone()))
            .rivals_if(dated.is_some(), &[Cause::ClosedAfterTlsUnknown])
            .rivals(&[Cause::ClientPromptProbe])
            .rivals(&objections.iter().map(|objection| objection.cause).collect::<Vec<_>>())
            .rivals(&[Cause::CertUntrustedCa, Cause::CertNameMismatch])
            .rivals_if(certificate::readable(case).is_none(), &[Cause::CertExpired])
            .message(match dated {
                Some(objection) => format!(
                    "Client left {wait} after TLS was complete, before any RDP message. {}",
                    objection.sentence.trim_end_matches('.')
                ),
                None => format!(
                    "Client left {wait} after TLS was complete, before any RDP message: a prompt, or a refused certificate"
                ),
            }),
        _ => finding
            .rivals(&[Cause::ServerClosedInMcs, Cause::TlsAlertInternalError])
            .rivals_if(case.silence() >= HOST_PATIENCE, &[Cause::ClientPromptProbe])
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
            .rivals(&[Cause::ServerDenied0x7, Cause::UnknownClose])
    };
    finding.in_phase(Phase::Mcs).message(format!("{} {step}", case.closed()))
}

/// The client left on one big message of the host, without an answer: a Server Redirection PDU looks like that, and
/// its client comes back on a new connection, through us or past us. [MS-RDPBCGR] 1.3.8
fn redirected(case: &Case<'_>, rival: Cause) -> Finding {
    Finding::possible(Cause::RedirectBypassesProxy)
        .because_some(reached(case))
        .because("The client left on a large message of the host without answering it.")
        .rivals(&[Cause::ClientPromptProbe, rival, Cause::ClientSideNetworkLoss, Cause::UnknownClose])
        .message(format!(
            "{} on the host's message where activation is due: a connection broker may have sent it elsewhere",
            case.closed()
        ))
}

/// The client ended it, and the host had not said goodbye before.
fn client_left(case: &Case<'_>) -> bool {
    case.client_left() && !host_said_goodbye(case)
}

/// Where sizes are known by the block alone, a Channel Join Confirm is as long as a goodbye: one of many is none.
fn host_said_goodbye(case: &Case<'_>) -> bool {
    let mut last = case.last_records(Peer::Host);
    let (Some(newest), before) = (last.next(), last.next()) else { return false };
    let alone = case.exactly(newest).is_some() || before.is_none_or(|before| before.length != newest.length);
    case.can_hold(newest, 9) && alone
}

fn who(case: &Case<'_>) -> Side {
    if client_left(case) { Side::Client } else { Side::Host }
}

fn by_size(case: &Case<'_>) -> &'static str {
    if case.is_read() { "" } else { " (told by its size)" }
}

/// The last step that sizes or messages showed, as evidence.
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
    let told = if case.is_read() { "The last step read" } else { "The last step told by record sizes" };
    Some(format!("{told} is {name}, {} before the end.", span(case.end().since(at))))
}
