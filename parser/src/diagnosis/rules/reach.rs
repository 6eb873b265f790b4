//! Name lookup and connect.

use super::super::{Cause, Confidence, Side};
use super::case::Case;
use super::finding::Finding;
use super::words::{foreign_text, span};
use crate::session::{ConnectFailure, Peer, Phase, ResolveFailure, Upstream};
use core::time::Duration;

/// Systems send a SYN that was not answered for the second time after this. RFC 6298 2.1
const RETRANSMISSION: Duration = Duration::from_secs(1);

pub(super) fn name_not_resolved(case: &Case<'_>) -> Option<Finding> {
    let Upstream::ResolveFailed { failure, detail } = &case.timeline.upstream else { return None };
    let what = match failure {
        ResolveFailure::NotFound => "the name does not exist or has no address",
        ResolveFailure::ServerFailure => "the resolver failed",
        ResolveFailure::Timeout => "the resolver did not answer within the connect time-out",
    };
    let words = foreign_text(detail.trim().trim_end_matches('.'));
    Some(
        Finding::proven(Cause::DnsFailure)
            .in_phase(Phase::Resolve)
            .because(if words.is_empty() { format!("Lookup: {what}.") } else { format!("Lookup: {what} ({words}).") })
            .message(format!("The host's name could not be resolved: {what}")),
    )
}

pub(super) fn not_connected(case: &Case<'_>) -> Option<Finding> {
    let Upstream::ConnectFailed { address, failure, errno, tried } = &case.timeline.upstream else { return None };
    let others = match tried {
        0 | 1 => String::new(),
        n => format!(" It was the last of {n} addresses tried."),
    };
    let because = |what: &str| format!("Connect to {address}: {what}.{others}");
    // A capture shows who said so; live, only the error is known.
    let said = case.path_sentence(Peer::Client);
    let by_host = case.packets().and_then(|facts| facts.path.first()).is_some_and(|report| report.by == address.ip());
    let finding = match failure {
        ConnectFailure::Refused if said.is_some() => Finding::likely(Cause::TcpRefused)
            .side(if by_host { Side::Host } else { Side::Network })
            .because_some(said)
            .rivals(&[Cause::TcpUnreachable])
            .message(format!(
                "The connect to host {address} was refused by ICMP: nothing listens there, or a filter says so"
            )),
        ConnectFailure::Unreachable if said.is_some() => Finding::proven(Cause::TcpUnreachable)
            .because_some(said)
            .message(format!("The network says that host {address} cannot be reached")),
        ConnectFailure::Refused => Finding::proven(Cause::TcpRefused)
            .because(because("RST to the SYN (connection refused)"))
            .first_do(format!("Find out why nothing listens on {address}."))
            .message(format!("Host {address} refused the TCP connection: nothing listens there")),
        ConnectFailure::Timeout => Finding::likely(Cause::TcpTimeoutSynDrop)
            .because(because("no answer to the SYN within the connect time-out"))
            .rivals(&[Cause::BacklogSaturated])
            .first_do(format!("Connect to {address} from this machine and from one next to the host, and compare."))
            .message(format!("Host {address} did not answer the TCP connect")),
        ConnectFailure::Unreachable => Finding::proven(Cause::TcpUnreachable)
            .because(because(&format!("unreachable (errno {errno})")))
            .first_do(format!("Look at the way to it: `ip route get {}`.", address.ip()))
            .message(format!("The network says that host {address} cannot be reached")),
        ConnectFailure::Reset => Finding::likely(Cause::TcpRefused)
            .side(Side::Network)
            .because(because(&format!("reset while connecting (errno {errno})")))
            .rivals(&[Cause::RstByMiddlebox, Cause::BacklogSaturated])
            .message(format!("The connect to host {address} was reset")),
        ConnectFailure::Local => Finding::proven(Cause::ProxyLimit)
            .because(because(&format!("this machine ran out of descriptors, ports or memory (errno {errno})")))
            .message("This proxy could not open a connection to the host: a local resource ran out"),
        ConnectFailure::Other => Finding::possible(Cause::TcpUnreachable)
            .because(because(&format!("failed with errno {errno}")))
            .rivals(&[Cause::TcpTimeoutSynDrop])
            .message(format!("The connect to host {address} failed (errno {errno})")),
    };
    Some(finding.in_phase(Phase::Tcp))
}

/// A recording that ends while the SYN was unanswered; live, our connect time-out makes it [`not_connected`].
pub(super) fn connect_unanswered(case: &Case<'_>) -> Option<Finding> {
    let Upstream::Connecting(address) = &case.timeline.upstream else { return None };
    let traffic = &case.timeline.traffic;
    if case.close.is_some() || traffic.client.bytes > 0 || traffic.host.bytes > 0 {
        return None;
    }
    let because = match case.syns() {
        Some((syns @ 2.., time)) => format!("SYN to {address}: sent {syns} times over {}, no answer.", span(time)),
        _ => format!("Connect to {address}: no answer to the SYN is on record."),
    };
    // An answer may take this long, so a record that ends sooner does not tell of one that failed to come.
    let watched = case.watched().filter(|watched| *watched < RETRANSMISSION);
    if let Some(watched) = watched {
        return Some(
            Finding::possible(Cause::CaptureIncomplete)
                .in_phase(Phase::Tcp)
                .because(because)
                .because(format!("The record ends {} after the first SYN.", span(watched)))
                .rivals(&[Cause::TcpTimeoutSynDrop])
                .message(format!(
                    "The record ends right after the SYN to host {address}: whether it answered is not in it"
                )),
        );
    }
    // Systems send the third one three seconds after the first at the earliest: by then no slow network explains it.
    let patient = case.syns().is_some_and(|(syns, time)| syns >= 3 && time.as_secs() >= 2);
    Some(
        Finding::new(Cause::TcpTimeoutSynDrop, if patient { Confidence::Likely } else { Confidence::Possible })
            .in_phase(Phase::Tcp)
            .because(because)
            .rivals(&[Cause::BacklogSaturated])
            .message(format!("Host {address} did not answer the TCP connect, as far as the record goes")),
    )
}
