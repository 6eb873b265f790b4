//! An RD Gateway connection: TLS from the first byte, and nothing readable inside; or clear HTTP behind a TLS terminator, of
//! which the status of the first answer is read.

use super::super::{Cause, Confidence, Side};
use super::case::Case;
use super::finding::Finding;
use super::words::{bytes, http_status, span};
use crate::session::{Answer, Closer, Opening, Phase};
use core::time::Duration;

/// Silence inside a gateway tunnel that long before the client left: the gateway was still trying to reach the target.
const WAITING_FOR_TARGET: Duration = Duration::from_secs(5);
/// Records of the host after which the HTTP exchange is over and the tunnel has begun: the two answers of an NTLM logon,
/// the session tickets, and the handshake answer. Measured: refused logons end with three or four.
const HTTP_RECORDS: u32 = 13;

/// TLS was complete, and it ended before session data flowed.
pub(super) fn ended_inside(case: &Case<'_>) -> Option<Finding> {
    let timeline = case.timeline;
    if !case.is_gateway() || !(case.established() || timeline.opening == Opening::GatewayHttp) {
        return None;
    }
    // A gateway's client sends its HTTP request at once. Who never does only looked whether TLS answers.
    if timeline.opening == Opening::TlsFirst && !case.seen(timeline.tls.data.client) && case.client_left() {
        return Some(
            Finding::possible(Cause::NotRdp)
                .side(Side::Client)
                .in_phase(Phase::TlsFinish)
                .because("TLS came first and was complete; the client then left without a byte of data.")
                .rivals(&[Cause::CertUntrustedCa, Cause::CertNameMismatch, Cause::CertExpired, Cause::RdgTlsFailure])
                .message("Client opened TLS, sent nothing inside it and left: a health check, a scanner, or a refused certificate"),
        );
    }
    // Behind a TLS terminator.
    let clear = timeline.opening == Opening::GatewayHttp;
    let status = if clear { clear_status(case) } else { None };
    if let Some(refused) = status.and_then(|status| refused_in_clear(case, status)) {
        return Some(refused);
    }
    let waited = case.closed_first(Closer::Client) && case.silence() >= WAITING_FOR_TARGET;
    let in_tunnel = timeline.traffic.host.records >= HTTP_RECORDS;
    let finding = Finding::possible(Cause::RdgClosedAfterTls)
        .side(who_spoke_last(case))
        .rivals_if(status.is_some_and(is_refusal), &[Cause::RdgHttp403404503]);
    let finding = match (waited, in_tunnel) {
        (true, _) => finding.rivals(&[Cause::RdgTargetUnreachable, Cause::RdgTimeout]),
        (false, true) => finding.rivals(&[Cause::RdgTargetUnreachable, Cause::RdgRapDenied, Cause::RdgCapDenied]),
        (false, false) => finding.rivals(&[Cause::RdgHttp401Loop, Cause::RdgHttp403404503, Cause::RdgWebsocketBlocked]),
    };
    let silence = span(case.silence());
    // In a capture nothing says that this port is a gateway's.
    let captured = case.packets().is_some();
    Some(
        finding
            .rivals_if(captured, &[Cause::NotRdp])
            .rivals(&[Cause::RdgCapDenied, Cause::RdgRapDenied, Cause::RdgTargetUnreachable, Cause::RdgMaxConnections])
            .rivals(&[Cause::RdgHttp401Loop, Cause::RdgCookie])
            .in_phase(Phase::TlsFinish)
            .because(format!(
                "{}; in all the client sent {}, the gateway {}.",
                if clear { "The client's request came in clear" } else { "TLS came first and was complete" },
                bytes(timeline.traffic.client.bytes),
                bytes(timeline.traffic.host.bytes)
            ))
            .because_some(status.map(|status| {
                // Who logs on is answered 401 at first. RFC 4559 4
                let usual = if status == 401 { ", as every logon begins; what came after it was not read" } else { "" };
                format!("The host's first answer has HTTP status {status}{usual}.")
            }))
            .because(format!("The last byte came {silence} before the close; no session data flowed."))
            .message(format!(
                "{} {} a gateway connection before a session began; the gateway's log says why",
                case.closed(),
                if clear { "on" } else { "inside TLS of" }
            )),
    )
}

/// The web server's answer to the client's only request, and no tunnel after it.
fn refused_in_clear(case: &Case<'_>, status: u16) -> Option<Finding> {
    let traffic = &case.timeline.traffic;
    // Who goes on asking may get another answer, which is not read. A coarse clock does not tell.
    if !is_refusal(status) || traffic.client.last >= traffic.host.first {
        return None;
    }
    Some(
        Finding::proven(Cause::RdgHttp403404503)
            .in_phase(Phase::Http)
            .because(format!("The client's request came in clear; the host answered it with HTTP status {status}."))
            .because("The client sent nothing after that answer.")
            .message(format!("Gateway's web server refused the request with HTTP status {status}")),
    )
}

/// The status of the host's first answer.
fn clear_status(case: &Case<'_>) -> Option<u16> {
    match case.answer()? {
        Answer::NotRdp(first) => http_status(first),
        _ => None,
    }
}

fn is_refusal(status: u16) -> bool {
    matches!(status, 403 | 404 | 503)
}

/// A TLS failure on a TLS-first connection is a gateway's: what is not named by the bytes goes by that name.
///
/// Causes that an alert names, or a certificate in clear shows, keep their own name.
pub(super) fn in_its_place(case: &Case<'_>, finding: Finding) -> Finding {
    if case.timeline.opening != Opening::TlsFirst || case.established() || finding.is_proven() {
        return finding;
    }
    match finding.cause {
        Cause::TlsServerRefusedHelloSilently | Cause::TlsClientClosedSilently | Cause::TlsAlertOther => {
            finding.under(Cause::RdgTlsFailure, Confidence::Possible)
        }
        cause if cause.id().starts_with("tls_") || cause.id().starts_with("cert_") => {
            finding.rivals(&[Cause::RdgTlsFailure])
        }
        _ => finding,
    }
}

fn who_spoke_last(case: &Case<'_>) -> Side {
    if case.client_left() { Side::Client } else { Side::Host }
}
