//! The session was up: an end by client, user or policy is no failure.

use super::super::{Cause, Confidence, End, Side};
use super::case::Case;
use super::finding::Finding;
use super::words::{sentence, span};
use crate::session::{Closer, Opening, Peer, Phase, Timeline};
use crate::wire::Protocols;
use core::time::Duration;

/// MCS Disconnect Provider Ultimatum with its TPKT and X.224 headers. [MS-RDPBCGR] 2.2.2.3
pub(super) const ULTIMATUM: u16 = 9;
/// Set Error Info, with the one-byte and the two-byte PER length. [MS-RDPBCGR] 2.2.5.1
const SET_ERROR_INFO: [u16; 2] = [36, 37];
/// A session that dies within this time never got past logon, profile or display.
const LOGON_TIME: Duration = Duration::from_secs(60);
/// The shortest idle time-out that firewalls are shipped with.
const SHORTEST_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// A session whose UDP side is blocked is reported to drop at about this age.
const UDP_DROP: core::ops::RangeInclusive<u64> = 60..=75;

/// What a host that answers no more may have met.
const HOST_GONE: [Cause; 4] =
    [Cause::ServerResetInSession, Cause::HostClosedActive, Cause::MtuBlackhole, Cause::IdleTimeoutFirewall];

/// Client FIN or RST: its user closed the window, or the client was killed.
pub(super) fn ended_by_client(case: &Case<'_>) -> Option<Finding> {
    if !case.was_active() || !case.closed_first(Closer::Client) || case.by_timeout() {
        return None;
    }
    if case.by_reset() && host_said_goodbye_last(case) {
        // How mstsc ends every session that its host ended: RST after the host's nine bytes.
        return Some(by_host(case).because("The client then reset the connection, as mstsc does."));
    }
    let orderly = client_disconnected(case) || case.sealed_alert(Peer::Client);
    let (end, how) = match (orderly, case.by_reset()) {
        (true, _) => (End::UserClosed, "The client said goodbye (a 9-byte disconnect or a close_notify)."),
        (false, false) => (End::UserClosed, "The client closed with FIN."),
        (false, true) => {
            (End::ClientGone, "The client reset the connection without a goodbye: it was killed, or its network went.")
        }
    };
    let message = match end {
        End::ClientGone => sentence!("Session of {} ended: the client went away", case.age()),
        _ => sentence!("Session of {} ended by the client", case.age()),
    };
    let finding = ok(case, Confidence::Likely).end(end).side(Side::Client).because(how).message(message);
    // Its user may have given up on a host that was gone.
    let stuck = case.leg_is_stuck(Peer::Host);
    Some(if stuck {
        finding.weakened(Confidence::Possible).because_some(case.host_leg_sentence()).rivals(&HOST_GONE)
    } else {
        finding
    })
}

/// Host FIN or RST after a goodbye of either side.
pub(super) fn ended_in_order_by_host(case: &Case<'_>) -> Option<Finding> {
    if !case.was_active() || !case.closed_first(Closer::Host) || case.by_timeout() {
        return None;
    }
    let by_client = ok(case, Confidence::Likely)
        .end(End::UserClosed)
        .side(Side::Client)
        .message(format!("Session of {} ended by the client", case.age()));
    if case.sealed_alert(Peer::Client) && case.client_left() {
        return Some(
            by_client.because("The client said goodbye first (a close_notify); the host's close is its answer."),
        );
    }
    if case.ended_with(Peer::Host, ULTIMATUM) {
        return Some(by_host(case));
    }
    // A host that closes on a goodbye does so with FIN; nine bytes of the client may also be the last move of a mouse.
    if client_disconnected(case) && !case.by_reset() {
        return Some(by_client.weakened(Confidence::Possible).rivals(&[Cause::HostClosedActive]).because(
            "The client's last record has the size of a disconnect (9 bytes); the host's close is its answer.",
        ));
    }
    // A host that crashed or was cut off says nothing at all.
    if case.sealed_alert(Peer::Host) {
        return Some(
            in_order_by_host(case)
                .weakened(Confidence::Possible)
                .rivals(&[Cause::HostClosedActive])
                .rivals_if(case.is_gateway(), &[Cause::RdgTimeout])
                .because("The host ended TLS in order (an alert-sized record) before it closed."),
        );
    }
    // Bytes were spliced past us: whether a goodbye was among them is not known, and a good session must not be blamed.
    if !case.timeline.tail.host.known && !case.by_reset() && !case.lacks_the_end() {
        return Some(
            by_host(case)
                .weakened(Confidence::Possible)
                .rivals(&[Cause::HostClosedActive])
                .because("The last records passed unread, so the goodbye itself was not seen."),
        );
    }
    None
}

/// The client's last record is a 9-byte disconnect. Nine bytes are also one move of the mouse, and those come in a row;
/// block ciphers hide which it was, and a good session must not be blamed.
fn client_disconnected(case: &Case<'_>) -> bool {
    let mut last = case.last_records(Peer::Client);
    let Some(newest) = last.next().filter(|shape| case.can_hold(*shape, ULTIMATUM)) else { return false };
    case.exactly(newest).is_none() || !last.next().is_some_and(|shape| case.can_hold(shape, ULTIMATUM))
}

/// The host's last record is a 9-byte disconnect, and the client said nothing after it.
fn host_said_goodbye_last(case: &Case<'_>) -> bool {
    let at = |peer| case.last_records(peer).next().map(|shape| shape.at);
    let last = at(Peer::Host) > at(Peer::Client) || !client_disconnected(case);
    case.ended_with(Peer::Host, ULTIMATUM) && last
}

/// The kernel gave up on one leg of a live session.
pub(super) fn lost(case: &Case<'_>) -> Option<Finding> {
    if !case.was_active() || !case.by_timeout() {
        return None;
    }
    if case.closed_first(Closer::Client) {
        let finding = client_lost(case).in_phase(Phase::Active);
        let what = network_gone(&finding);
        return Some(finding.message(format!("Session of {} lost: {what}", case.age())));
    }
    case.closed_first(Closer::Host).then(|| {
        Finding::possible(Cause::ServerResetInSession)
            .in_phase(Phase::Active)
            .because(case.died_sentence(Peer::Host))
            .because_some(case.host_leg_sentence())
            .rivals(&HOST_GONE[1..])
            .message(format!("Session of {} lost: the host stopped answering", case.age()))
    })
}

/// What went away, with the sureness that `finding` has.
pub(super) fn network_gone(finding: &Finding) -> &'static str {
    if finding.is_a_guess() { "the way to the client died" } else { "the client's network went away" }
}

/// The client leg died by itself. Whose network that was is told by the host leg: this proxy's own takes both.
pub(super) fn client_lost(case: &Case<'_>) -> Finding {
    let went_on = case.host_went_on();
    let finding = match went_on.is_some() {
        true => Finding::likely(Cause::ClientSideNetworkLoss),
        false => Finding::possible(Cause::ClientSideNetworkLoss).rivals(&[Cause::UnknownClose]),
    };
    finding
        .because(case.died_sentence(Peer::Client))
        .because_some(case.leg_sentence(Peer::Client))
        .because_some(went_on.is_none().then(|| case.host_leg_sentence()).flatten())
        .because(went_on.unwrap_or_else(|| {
            "Nothing came from the host meanwhile either: this proxy's own network may have gone.".to_owned()
        }))
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
            .rivals_if(case.is_gateway(), &[Cause::RdgTimeout])
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
        ok(case, Confidence::Likely)
            .weakened(Confidence::Possible)
            .rivals(&[Cause::UnknownClose])
            .message(format!("The session was still up after {}", case.age()))
    })
}

fn by_host(case: &Case<'_>) -> Finding {
    // Block ciphers round up: a few bytes of drawing look like the nine.
    let rounded = case.last_records(Peer::Host).next().is_some_and(|shape| case.exactly(shape).is_none());
    let finding = in_order_by_host(case);
    if rounded { finding.weakened(Confidence::Possible).rivals(&[Cause::HostClosedActive]) } else { finding }
}

fn in_order_by_host(case: &Case<'_>) -> Finding {
    let told = case.last_records(Peer::Host).nth(1).is_some_and(|shape| holds_any(case, shape));
    ok(case, Confidence::Likely)
        .end(End::HostEnded)
        .side(Side::Host)
        .because_some(
            case.ended_with(Peer::Host, ULTIMATUM).then(|| "The host's last record is a 9-byte disconnect.".to_owned()),
        )
        .because_some(told.then(|| {
            "A record of Set Error Info size came before it: the host gave a reason, which is encrypted.".to_owned()
        }))
        .message(format!("Session of {} ended in order by the host (logoff, time limit or replacement)", case.age()))
}

fn holds_any(case: &Case<'_>, shape: crate::session::RecordShape) -> bool {
    SET_ERROR_INFO.iter().any(|size| case.can_hold(shape, *size))
}

/// Healthy, with no more than `most`. Sizes never give more than likely.
pub(super) fn ok(case: &Case<'_>, most: Confidence) -> Finding {
    let readable = !case.is_gateway()
        && case.selected() == Some(Protocols::RDP)
        && case.timeline.tail.host.shapes().iter().all(|s| s.content_type == 0)
        && case.timeline.server_hello.is_none();
    let by_size = case.seen(case.timeline.progress.active);
    let confidence = if by_size { most } else { Confidence::Possible };
    let finding = Finding::new(Cause::Ok, confidence)
        .in_phase(if case.timeline.opening == Opening::TlsFirst { case.phase() } else { Phase::Active })
        .because(sentence!("The session was up for {}.", span(lifetime(case))))
        .because(case.volume());
    finding.because_some(
        (readable && by_size)
            .then(|| "Standard RDP security: headers are in clear, what is inside may be encrypted.".to_owned()),
    )
}

fn lifetime(case: &Case<'_>) -> Duration {
    case.end().since(began(case.timeline))
}

fn began(timeline: &Timeline) -> crate::Timestamp {
    timeline.progress.active.or(timeline.tls.established).unwrap_or(timeline.opened)
}
