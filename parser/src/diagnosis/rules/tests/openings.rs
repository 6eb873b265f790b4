//! Pictures up to the Connection Confirm.

use super::super::super::{Cause, Confidence, Side};
use super::build::{Build, at, host};
use super::table::{Picture, timed_out};
use crate::session::{
    Answer, Awaiting, CloseKind, Closer, ConnectFailure, Opening, Peer, ProxyAct, ResolveFailure, Upstream,
};
use crate::wire::{FailureCode, Protocols, ResponseFlags};
use Confidence::{Likely, Possible, Proven};

fn connect_failed(failure: ConnectFailure, errno: i32) -> Build {
    Build::opened()
        .with(|t| t.upstream = Upstream::ConnectFailed { address: host(3389), failure, errno, tried: 1 })
        .closed(Closer::Proxy, CloseKind::Error, 20)
}

pub(super) fn ours_and_reach() -> Vec<Picture> {
    let unresolved = Upstream::ResolveFailed { failure: ResolveFailure::NotFound, detail: "no such host".into() };
    let act = |act| Build::opened().acted(act, 1);
    vec![
        ("limit", act(ProxyAct::LimitRefused), Cause::ProxyLimit, Side::Proxy, Proven),
        ("drain over", Build::active().acted(ProxyAct::Shutdown, 9_000), Cause::ProxyShutdown, Side::Proxy, Proven),
        ("PROXY header", act(ProxyAct::ProxyHeaderUntrusted), Cause::ProxyHeaderUntrusted, Side::Proxy, Proven),
        ("target", act(ProxyAct::TargetNotAllowed), Cause::TargetNotAllowed, Side::Proxy, Proven),
        ("no such name", Build::opened().with(|t| t.upstream = unresolved), Cause::DnsFailure, Side::Network, Proven),
        ("connect refused", connect_failed(ConnectFailure::Refused, 111), Cause::TcpRefused, Side::Host, Proven),
        (
            "connect unanswered",
            connect_failed(ConnectFailure::Timeout, 0),
            Cause::TcpTimeoutSynDrop,
            Side::Network,
            Likely,
        ),
        ("unreachable", connect_failed(ConnectFailure::Unreachable, 113), Cause::TcpUnreachable, Side::Network, Proven),
        (
            "reset while connecting",
            connect_failed(ConnectFailure::Reset, 104),
            Cause::TcpRefused,
            Side::Network,
            Likely,
        ),
        ("out of ports", connect_failed(ConnectFailure::Local, 99), Cause::ProxyLimit, Side::Proxy, Proven),
    ]
}

pub(super) fn negotiation() -> Vec<Picture> {
    let failure = |code| Build::asked(0).answered(Answer::Failure(FailureCode(code))).client_left(20);
    let stranger = |t: &mut crate::session::Timeline| {
        t.opening = Opening::NotRdp;
        t.first_bytes = b"GET / HTTP/1.1\r\n".to_vec();
    };
    let no_guard = Answer::Selected { protocol: Protocols::HYBRID, flags: ResponseFlags(0x01) };
    vec![
        (
            "health check",
            Build::opened().connected(3389).client_left(2),
            Cause::ClientSentNothing,
            Side::Client,
            Proven,
        ),
        (
            "silent client",
            timed_out(Build::opened(), Awaiting::ClientRequest),
            Cause::ClientSentNothing,
            Side::Client,
            Proven,
        ),
        (
            "web browser",
            Build::opened().sent(Peer::Client, 90, 1).with(stranger).client_left(9),
            Cause::NotRdp,
            Side::Client,
            Proven,
        ),
        (
            "half a request",
            timed_out(Build::opened().sent(Peer::Client, 2, 1), Awaiting::ClientRequest),
            Cause::NotRdp,
            Side::Client,
            Possible,
        ),
        (
            "request unanswered",
            timed_out(Build::asked(3), Awaiting::ConnectionConfirm),
            Cause::HalfOpenAfterAccept,
            Side::Host,
            Likely,
        ),
        ("host hangs up on request", Build::asked(3).host_left(9), Cause::ClosedBeforeCc, Side::Host, Likely),
        ("client does not wait", Build::asked(3).client_left(900), Cause::ClientClosedBeforeCc, Side::Client, Likely),
        ("code 1", failure(1), Cause::NegSslRequired, Side::Client, Proven),
        ("code 2", failure(2), Cause::NegSslNotAllowed, Side::Host, Proven),
        ("code 3", failure(3), Cause::NegSslCertMissing, Side::Host, Proven),
        ("code 4", failure(4), Cause::NegInconsistent, Side::Both, Proven),
        ("code 5", failure(5), Cause::NlaRequired, Side::Client, Proven),
        ("code 6", failure(6), Cause::NegUserCertRequired, Side::Both, Proven),
        ("code 9", failure(9), Cause::NegFailureOther, Side::Both, Possible),
        (
            "new bits",
            Build::asked(0x1b).answered(Answer::Ultimatum(3)).host_left(9),
            Cause::NegUnknownProtocolBits,
            Side::Host,
            Likely,
        ),
        (
            "clear disconnect",
            Build::asked(3).answered(Answer::Ultimatum(3)).host_left(9),
            Cause::ClosedBeforeCc,
            Side::Host,
            Likely,
        ),
        (
            "X.224 refusal",
            Build::asked(3).answered(Answer::Refused(0x80)).client_left(9),
            Cause::ClosedBeforeCc,
            Side::Host,
            Likely,
        ),
        (
            "web server",
            Build::asked(3).answered(Answer::NotRdp(b"HTTP/1.1 400".to_vec())).host_left(9),
            Cause::NotRdp,
            Side::Host,
            Proven,
        ),
        (
            "not asked for",
            Build::asked(1)
                .answered(Answer::Selected { protocol: Protocols::HYBRID, flags: ResponseFlags(0) })
                .client_left(9),
            Cause::ServerSelectedWeaker,
            Side::Both,
            Proven,
        ),
        (
            "no Restricted Admin",
            Build::asked(3).flags(1).answered(no_guard).client_left(9),
            Cause::RestrictedAdminDenied,
            Side::Both,
            Likely,
        ),
        (
            "no hello",
            timed_out(Build::agreed(1), Awaiting::ClientHello),
            Cause::ClientHelloTimeout,
            Side::Client,
            Possible,
        ),
        ("client leaves after CC", Build::agreed(1).client_left(9), Cause::ClientClosedAfterCc, Side::Client, Likely),
        (
            "host disconnects in clear after CC",
            Build::agreed(1).with(|t| t.tls.clear_ultimatum = Some(at(8))).host_left(9),
            Cause::HostClosedAfterCc,
            Side::Host,
            Possible,
        ),
        ("host leaves after CC", Build::agreed(1).host_left(9), Cause::HostClosedAfterCc, Side::Host, Possible),
    ]
}
