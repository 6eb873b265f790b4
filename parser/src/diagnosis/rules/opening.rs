//! The first bytes of the client.

use super::super::{Cause, Side};
use super::case::Case;
use super::finding::Finding;
use super::words::{bytes, foreign, http_status, span};
use crate::session::{Answer, Awaiting, Closer, Opening, Peer, Phase, ProxyAct};
use core::time::Duration;

/// A host that closes sooner than this on a silent client did not do it out of impatience.
const HOST_PATIENCE: Duration = Duration::from_secs(2);

/// Not one byte from the client.
pub(super) fn client_silent(case: &Case<'_>) -> Option<Finding> {
    if case.timeline.traffic.client.bytes > 0 || case.lacks(Peer::Client) {
        return None;
    }
    let age = case.end().since(case.timeline.opened);
    // RDP hosts never speak first.
    let spoke = case.timeline.traffic.host.bytes;
    if spoke > 0 {
        return Some(
            Finding::possible(Cause::NotRdp)
                .side(Side::Host)
                .in_phase(Phase::X224)
                .because(format!("0 bytes from the client; the host sent {} unasked.", bytes(spoke)))
                .rivals(&[Cause::ClientSentNothing])
                .message(format!(
                    "Host spoke first ({}), which no RDP host does, and the client said nothing",
                    bytes(spoke)
                )),
        );
    }
    if case.closed_first(Closer::Host) && age < HOST_PATIENCE {
        return Some(
            Finding::possible(Cause::ClosedBeforeCc)
                .in_phase(Phase::X224)
                .because(format!(
                    "The host closed {} after the connection was opened; the client had not spoken.",
                    span(age)
                ))
                .rivals(&[Cause::ClientSentNothing, Cause::RstByMiddlebox])
                .message(format!("{} before the client had sent a byte", case.closed())),
        );
    }
    // Nobody closed, and it is not even seen that the client was slow.
    if let Some(watched) = case.watched().filter(|watched| case.close.is_none() && *watched < HOST_PATIENCE) {
        return Some(
            Finding::possible(Cause::CaptureIncomplete)
                .in_phase(Phase::Accept)
                .because("0 bytes from the client.")
                .because(format!("The record ends {} after the connection was opened.", span(watched)))
                .rivals(&[Cause::ClientSentNothing])
                .message("The record ends right after the connection was opened, before the client had sent a byte"),
        );
    }
    let waited = case.our_act() == Some(ProxyAct::TimedOut(Awaiting::ClientRequest));
    let message = match case.close {
        _ if waited => format!("Client connected and sent nothing for {} (a health check, a port scan)", span(age)),
        _ => format!(
            "Client connected and sent nothing; {} after {}",
            lower(&case.closed()),
            span(case.watched().filter(|_| case.close.is_none()).unwrap_or(age))
        ),
    };
    // Whether the way to the host was seen (live) or not (a capture) is no matter.
    let silent = Finding::proven(Cause::ClientSentNothing).in_phase(Phase::Accept);
    Some(silent.because("0 bytes from the client.").message(message))
}

/// Bytes that are neither X.224 nor TLS.
pub(super) fn client_not_rdp(case: &Case<'_>) -> Option<Finding> {
    if case.timeline.opening != Opening::NotRdp {
        return None;
    }
    let first = foreign(&case.timeline.first_bytes);
    if let Some(version) = proxy_header(&case.timeline.first_bytes) {
        // An RDP host takes it for no RDP and says nothing; another balancer may be there to read it.
        let read = case.timeline.traffic.host.bytes > 0;
        return Some(
            Finding::proven(Cause::NotRdp)
                .side(Side::Client)
                .in_phase(Phase::X224)
                .because(format!("The client's first bytes are {first}: a PROXY protocol header of version {version}."))
                .because_some(answered(case))
                .because(case.volume())
                .instead_do(if read { &HEADER_READ } else { &HEADER_UNREAD })
                .message(format!(
                    "Client sent a PROXY protocol header (version {version}) before any RDP, as a load balancer with send-proxy does{}",
                    if read { "; the host answered" } else { ", and the host did not answer" }
                )),
        );
    }
    // Change of cipher, alert or data: no connection begins with these, but a recording may.
    if matches!(case.timeline.first_bytes.as_slice(), [20 | 21 | 23, 3, 0..=4, ..]) {
        return Some(
            Finding::possible(Cause::NotRdp)
                .side(Side::Client)
                .in_phase(Phase::X224)
                .because(format!(
                    "The first bytes on record are {first}: a TLS record from the middle of a connection."
                ))
                .because(case.volume())
                .rivals(&[Cause::UnknownClose])
                .message("The record begins in the middle of a TLS connection, so what it was cannot be told"),
        );
    }
    Some(
        Finding::proven(Cause::NotRdp)
            .side(Side::Client)
            .in_phase(Phase::X224)
            .because(format!("The client's first bytes are {first}: neither X.224 nor TLS."))
            .because_some(answered(case))
            .because(case.volume())
            .message(format!("Client does not speak RDP: its first bytes are {first}")),
    )
}

/// What to do about a PROXY header that nobody behind us reads.
const HEADER_UNREAD: [&str; 2] = [
    "Switch the PROXY protocol off where this client, a load balancer, connects to this port: HAProxy without `send-proxy` and `send-proxy-v2`, nginx with `proxy_protocol off;`, an AWS target group with `proxy_protocol_v2.enabled=false`.",
    "This proxy reads no such header and passes it on. Behind such a balancer every client has the balancer's address.",
];

/// The same where the host answered.
const HEADER_READ: [&str; 1] = [
    "Nothing, if the host, or what stands before it, is there to read the header; what comes behind it is not followed here. Else switch it off at the load balancer.",
];

/// The version of the PROXY protocol header that begins here. The PROXY protocol, 2.1 and 2.2
fn proxy_header(first_bytes: &[u8]) -> Option<u8> {
    let begins = |signature: &[u8]| first_bytes.starts_with(signature);
    match () {
        () if begins(b"PROXY ") => Some(1),
        () if begins(b"\r\n\r\n\0\r\nQUIT\n") => Some(2),
        () => None,
    }
}

/// What a web server behind us said to it.
fn answered(case: &Case<'_>) -> Option<String> {
    let Some(Answer::NotRdp(sample)) = case.answer() else { return None };
    http_status(sample).map(|status| format!("The host answered with HTTP status {status}."))
}

/// A first message that began well and was never finished.
pub(super) fn request_incomplete(case: &Case<'_>) -> Option<Finding> {
    let timeline = case.timeline;
    let begun = match timeline.opening {
        Opening::Unknown => true,
        Opening::X224 => timeline.request.is_none(),
        Opening::TlsFirst => timeline.client_hello.is_none(),
        Opening::GatewayHttp | Opening::NotRdp => false,
    };
    if !begun || timeline.gave_up.is_some() || timeline.traffic.host.bytes > 0 {
        return None;
    }
    let sent = bytes(timeline.traffic.client.bytes);
    Some(
        Finding::possible(Cause::NotRdp)
            .side(Side::Client)
            .in_phase(Phase::X224)
            .because(format!("The client sent {sent} of a first message and never completed it."))
            .rivals(&[Cause::ClientSideNetworkLoss, Cause::MtuBlackhole])
            .message(format!("Client sent only the beginning of a first message ({sent}); a scanner does that")),
    )
}

/// The sentence inside another one.
pub(super) fn lower(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
