//! The session was up: an end by client, user or policy is no failure.

use super::super::{Cause, Confidence, End, Side};
use super::case::Case;
use super::finding::Finding;
use super::words::span;
use crate::session::{Closer, GiveUp, Opening, Peer, Phase, Timeline};
use crate::wire::Protocols;
use core::time::Duration;

/// MCS Disconnect Provider Ultimatum with its TPKT and X.224 headers. [MS-RDPBCGR] 2.2.2.3
const ULTIMATUM: u16 = 9;
/// Set Error Info, with the one-byte and the two-byte PER length. [MS-RDPBCGR] 2.2.5.1
const SET_ERROR_INFO: [u16; 2] = [36, 37];
/// A session that dies within this time never got past logon, profile or display.
const LOGON_TIME: Duration = Duration::from_secs(60);
/// The shortest idle time-out that firewalls are shipped with.
const SHORTEST_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// A session whose UDP side is blocked is reported to drop at about this age.
const UDP_DROP: core::ops::RangeInclusive<u64> = 60..=75;

/// Client FIN or RST: its user closed the window, or the client was killed.
pub(super) fn ended_by_client(case: &Case<'_>) -> Option<Finding> {
    if !case.was_active() || !case.closed_first(Closer::Client) || case.by_timeout() {
        return None;
    }
    if case.ended_with(Peer::Host, ULTIMATUM) && !case.ended_with(Peer::Client, ULTIMATUM) && case.by_reset() {
        // How mstsc ends every session that its host ended: RST after the host's nine bytes.
        return Some(by_host(case).because("The client then reset the connection, as mstsc does."));
    }
    let orderly = case.ended_with(Peer::Client, ULTIMATUM) || case.sealed_alert(Peer::Client);
    let (end, how) = match (orderly, case.by_reset()) {
        (true, _) => (End::UserClosed, "The client said goodbye (a 9-byte disconnect or a close_notify)."),
        (false, false) => (End::UserClosed, "The client closed with FIN."),
        (false, true) => {
            (End::ClientGone, "The client reset the connection without a goodbye: it was killed, or its network went.")
        }
    };
    let message = match end {
        End::ClientGone => format!("Session of {} ended: the client went away", age(case)),
        _ => format!("Session of {} ended by the client", age(case)),
    };
    Some(ok(case).end(end).side(Side::Client).because(how).message(message))
}

/// Host FIN or RST after a goodbye of either side.
pub(super) fn ended_in_order_by_host(case: &Case<'_>) -> Option<Finding> {
    if !case.was_active() || !case.closed_first(Closer::Host) || case.by_timeout() {
        return None;
    }
    if case.sealed_alert(Peer::Client) || case.ended_with(Peer::Client, ULTIMATUM) {
        return Some(
            ok(case)
                .end(End::UserClosed)
                .side(Side::Client)
                .because("The client said goodbye first (a 9-byte disconnect or a close_notify); the host's close is its answer.")
                .message(format!("Session of {} ended by the client", age(case))),
        );
    }
    if case.ended_with(Peer::Host, ULTIMATUM) {
        return Some(by_host(case));
    }
    // Bytes were spliced past us: whether a goodbye was among them is not known, and a good session must not be blamed.
    if !case.timeline.tail.host.known && !case.by_reset() {
        return Some(
            by_host(case)
                .weakened(Confidence::Possible)
                .rivals(&[Cause::HostClosedActive])
                .because("The last records passed unread, so the goodbye itself was not seen."),
        );
    }
    None
}

/// The kernel gave up on one leg of a live session.
pub(super) fn lost(case: &Case<'_>) -> Option<Finding> {
    if !case.was_active() || !case.by_timeout() {
        return None;
    }
    let silence = span(case.silence());
    if case.closed_first(Closer::Client) {
        return Some(
            Finding::likely(Cause::ClientSideNetworkLoss)
                .in_phase(Phase::Active)
                .because(format!(
                    "The client leg ended by a TCP time-out or a socket error after {silence} of silence."
                ))
                .because("The host leg was healthy until then.")
                .message(format!("Session of {} lost: the client's network went away", age(case))),
        );
    }
    case.closed_first(Closer::Host).then(|| {
        Finding::possible(Cause::ServerResetInSession)
            .in_phase(Phase::Active)
            .because(format!("The host leg ended by a TCP time-out or a socket error after {silence} of silence."))
            .because_some(case.host_leg_sentence())
            .rivals(&[Cause::HostClosedActive, Cause::MtuBlackhole, Cause::IdleTimeoutFirewall])
            .message(format!("Session of {} lost: the host stopped answering", age(case)))
    })
}

/// Host FIN or RST out of the blue.
pub(super) fn cut_by_host(case: &Case<'_>) -> Option<Finding> {
    if !case.was_active() || !case.closed_first(Closer::Host) {
        return None;
    }
    let lived = lifetime(case);
    let silence = case.silence();
    let known = case.timeline.tail.host.known;
    Some(
        Finding::possible(Cause::HostClosedActive)
            .side(Side::Host)
            .in_phase(Phase::Active)
            .because(format!(
                "The session had been up for {}; the last byte was {} before the close.",
                span(lived),
                span(silence)
            ))
            .because_some(
                known.then(|| "No goodbye was seen: the host's last record is not a 9-byte disconnect.".to_owned()),
            )
            .rivals_if(lived <= LOGON_TIME, &[Cause::WinlogonOrProfileFailure])
            .rivals_if(silence >= SHORTEST_IDLE_TIMEOUT, &[Cause::IdleTimeoutFirewall])
            .rivals_if(UDP_DROP.contains(&lived.as_secs()), &[Cause::UdpTransportBlocked])
            .rivals(&[Cause::ServerResetInSession])
            .rivals_if(case.by_reset(), &[Cause::RstByMiddlebox])
            .message(format!("{} in a running session, without the usual goodbye", case.closed())),
    )
}

/// We ended it, or something of ours failed, without a reason that is on record.
pub(super) fn ended_otherwise(case: &Case<'_>) -> Option<Finding> {
    case.was_active().then(|| {
        Finding::possible(Cause::UnknownClose)
            .side(case.side_of_close().unwrap_or(Side::Proxy))
            .in_phase(Phase::Active)
            .because(case.volume())
            .message(format!("{} in a running session; no reason is on record", case.closed()))
    })
}

/// A session that goes on, or a recording that ends before it does.
pub(super) fn still_up(case: &Case<'_>) -> Option<Finding> {
    case.was_active().then(|| {
        ok(case)
            .weakened(Confidence::Possible)
            .rivals(&[Cause::UnknownClose])
            .message(format!("The session was still up after {}", age(case)))
    })
}

/// Reading stopped before the session was understood: no cause that needs what was not read.
pub(super) fn unread(case: &Case<'_>) -> Option<Finding> {
    let why = case.went_blind()?;
    let decided_before = matches!(case.timeline.opening, Opening::NotRdp | Opening::GatewayHttp);
    let answered = case
        .timeline
        .answer
        .as_ref()
        .is_some_and(|a| !matches!(a, crate::session::Answer::Selected { .. } | crate::session::Answer::Plain));
    let handshake_failed = case.alert().is_some() || case.timeline.tls.not_tls.is_some();
    if decided_before || answered || handshake_failed {
        return None;
    }
    let reason = match why {
        GiveUp::Malformed => "a message could not be parsed",
        GiveUp::TooLarge => "a message exceeded its bound",
        GiveUp::Budget => "the memory budget for openings was used up",
        GiveUp::Released => "the opening took too long or too many records",
    };
    let sentence = format!("Reading stopped in phase {}: {reason}.", case.timeline.phase());
    if case.is_long() && (case.closed_first(Closer::Client) || !case.by_reset()) {
        return Some(
            Finding::possible(Cause::Ok)
                .end(if case.closed_first(Closer::Host) { End::HostEnded } else { End::UserClosed })
                .because(sentence)
                .because(case.volume())
                .rivals(&[Cause::UnknownClose])
                .message(format!(
                    "Session of {} ended; it could not be followed, but more than an opening flowed",
                    age(case)
                )),
        );
    }
    // A request that no RDP client writes, and an end at once: nobody's session.
    if why == GiveUp::Malformed && case.timeline.request.is_none() && case.hello().is_none() {
        return Some(
            Finding::possible(Cause::NotRdp)
                .side(Side::Client)
                .because(sentence)
                .because(case.volume())
                .rivals(&[Cause::UnknownClose])
                .message("Client's first message looks like RDP and cannot be read"),
        );
    }
    Some(
        Finding::possible(Cause::UnknownClose)
            .side(case.side_of_close().unwrap_or(Side::Network))
            .because(sentence)
            .because(case.volume())
            .message(format!("{}; it could not be followed that far ({reason})", case.closed())),
    )
}

fn by_host(case: &Case<'_>) -> Finding {
    // Block ciphers round up: a few bytes of drawing look like the nine.
    let rounded = case.last_records(Peer::Host).next().is_some_and(|shape| case.exactly(shape).is_none());
    let finding = in_order_by_host(case);
    if rounded { finding.weakened(Confidence::Possible).rivals(&[Cause::HostClosedActive]) } else { finding }
}

fn in_order_by_host(case: &Case<'_>) -> Finding {
    let told = case.last_records(Peer::Host).nth(1).is_some_and(|shape| holds_any(case, shape));
    ok(case)
        .end(End::HostEnded)
        .side(Side::Host)
        .because_some(
            case.ended_with(Peer::Host, ULTIMATUM).then(|| "The host's last record is a 9-byte disconnect.".to_owned()),
        )
        .because_some(told.then(|| {
            "A record of Set Error Info size came before it: the host gave a reason, which is encrypted.".to_owned()
        }))
        .message(format!("Session of {} ended in order by the host (logoff, time limit or replacement)", age(case)))
}

fn holds_any(case: &Case<'_>, shape: crate::session::RecordShape) -> bool {
    SET_ERROR_INFO.iter().any(|size| case.can_hold(shape, *size))
}

/// Healthy. The bytes themselves say so only where they are readable; sizes never give more than likely.
fn ok(case: &Case<'_>) -> Finding {
    let readable = !case.is_gateway()
        && case.selected() == Some(Protocols::RDP)
        && case.timeline.tail.host.shapes().iter().all(|s| s.content_type == 0)
        && case.timeline.server_hello.is_none();
    let by_size = case.seen(case.timeline.progress.active);
    let confidence = if by_size { Confidence::Likely } else { Confidence::Possible };
    let finding = Finding::new(Cause::Ok, confidence)
        .in_phase(if case.is_gateway() { case.timeline.phase() } else { Phase::Active })
        .because(format!("The session was up for {}.", span(lifetime(case))))
        .because(case.volume());
    finding.because_some((readable && by_size).then(|| "Standard RDP security: every message is readable.".to_owned()))
}

fn lifetime(case: &Case<'_>) -> Duration {
    case.end().since(began(case.timeline))
}

fn began(timeline: &Timeline) -> crate::Timestamp {
    timeline.progress.active.or(timeline.tls.established).unwrap_or(timeline.opened)
}

fn age(case: &Case<'_>) -> String {
    span(case.end().since(case.timeline.opened))
}
