//! What was sent and not read: no cause is named that would need it, and nobody is blamed for what it may have been.

use super::super::{Cause, Confidence, End, Outcome, Side};
use super::active::ULTIMATUM;
use super::case::Case;
use super::finding::Finding;
use super::hello::describe;
use super::words::{bytes, span};
use crate::Timestamp;
use crate::session::{Answer, ClearAlert, CloseKind, Closer, GiveUp, Opening, PacketFacts, Peer, Phase};
use core::time::Duration;

/// Reading stopped before the session was understood: no cause that needs what was not read.
pub(super) fn unread(case: &Case<'_>) -> Option<Finding> {
    let (why, since) = case.timeline.gave_up?;
    if said_before(case, why, since) {
        return None;
    }
    // Let go after ten minutes at a prompt, and nothing but the end came then: nothing was missed.
    let tail = &case.timeline.tail;
    let later = || [Peer::Client, Peer::Host].iter().any(|peer| case.last_records(*peer).any(|shape| shape.at > since));
    if why == GiveUp::Released && tail.client.known && tail.host.known && !later() {
        return None;
    }
    let captured = why == GiveUp::Gap;
    let reason = match why {
        GiveUp::Malformed => "a message could not be parsed",
        GiveUp::TooLarge => "a message exceeded its bound",
        GiveUp::Budget => "the memory budget for openings was used up",
        GiveUp::Released => "the opening took too long or too many records",
        GiveUp::Gap if case.cut_packets() > 0 => "the capture holds only the beginning of packets",
        GiveUp::Gap => "bytes are missing from the capture",
    };
    let sentence = format!("Reading stopped in phase {}: {reason}.", case.phase());
    let by_host = case.closed_first(Closer::Host);
    // What a capture shows of an end is all that was sent, so a goodbye that is not there was not said.
    let orderly = !by_host || !case.by_reset() && (!captured || case.ended_with(Peer::Host, ULTIMATUM));
    if case.is_long() && case.close.is_some() && orderly {
        return Some(
            Finding::possible(Cause::Ok)
                .end(if by_host { End::HostEnded } else { End::UserClosed })
                .because(sentence)
                .because(case.volume())
                .rivals(&[Cause::UnknownClose])
                .message(format!(
                    "Session of {} ended; it could not be followed, but more than an opening flowed",
                    case.age()
                )),
        );
    }
    // A request that no RDP client writes, and an end at once: nobody's session.
    if why == GiveUp::Malformed && case.timeline.request.is_none() && case.hello().is_none() {
        return Some(
            Finding::possible(Cause::NotRdp)
                .side(Side::Client)
                .in_phase(Phase::X224)
                .because(sentence)
                .because(case.volume())
                .rivals(&[Cause::UnknownClose])
                .message("Client's first message looks like RDP and cannot be read"),
        );
    }
    let cause = if captured { Cause::CaptureIncomplete } else { Cause::UnknownClose };
    Some(
        Finding::possible(cause)
            .side(case.side_of_close().unwrap_or(Side::Network))
            .because(sentence)
            .because_some(case.alert().map(|alert| {
                format!(
                    "In clear the {} sent alert {}; what it answered was not read.",
                    alert.from.name(),
                    describe(alert)
                )
            }))
            .because(case.volume())
            .rivals_if(captured, &[Cause::UnknownClose])
            .message(format!("{}; it could not be followed that far ({reason})", case.closed())),
    )
}

/// The same of a connection that is open when its capture ends.
pub(super) fn lacking(case: &Case<'_>) -> Option<Finding> {
    let captured = case.timeline.gave_up.is_some_and(|(why, _)| why == GiveUp::Gap);
    if captured { unread(case) } else { None }
}

/// What was read before is enough: the rules that follow need no more.
fn said_before(case: &Case<'_>, why: GiveUp, since: Timestamp) -> bool {
    let timeline = case.timeline;
    let no_rdp = matches!(timeline.opening, Opening::NotRdp | Opening::GatewayHttp);
    // A refusal in one message names itself; a hang-up means what the request makes of it.
    let refused = match &timeline.answer {
        None | Some(Answer::Selected { .. } | Answer::Plain) => false,
        Some(Answer::Failure(_)) => true,
        // A first message that is no answer may answer what the capture lacks.
        Some(Answer::NotRdp(_)) => why != GiveUp::Gap || timeline.opening != Opening::Unknown,
        Some(Answer::Ultimatum(_) | Answer::Refused(_)) => timeline.request.is_some() || why != GiveUp::Gap,
    };
    // What an alert answers may be what the capture lacks, unless it came before. One that answers a hello which could
    // not be read is told, and explains nothing.
    let read = case.hello().is_some() || case.server_hello().is_some();
    // It is late that bytes are known to be missing: of a client's alert it is asked what of the host it can answer.
    let answers =
        |alert: ClearAlert| alert.from == Peer::Host || case.server_hello().is_some() || !case.lacks(Peer::Host);
    let alert = read && case.alert().is_some_and(|alert| why != GiveUp::Gap || alert.at < since && answers(alert));
    let not_tls = timeline.tls.not_tls.is_some() && (why != GiveUp::Gap || case.hello().is_some());
    no_rdp || refused || alert || not_tls
}

/// The host closed a running session, and the capture lacks the last bytes of one side: a goodbye may be among them.
pub(super) fn goodbye_unseen(case: &Case<'_>) -> Option<Finding> {
    if !case.was_active() || !case.closed_first(Closer::Host) || !case.lacks_the_end() {
        return None;
    }
    Some(
        Finding::possible(Cause::CaptureIncomplete)
            .side(Side::Host)
            .in_phase(Phase::Active)
            .because(format!("The session had been up for {}.", case.age()))
            .because(case.volume())
            .rivals(&[Cause::Ok, Cause::HostClosedActive])
            .message(format!(
                "{} in a running session; whether one side had said goodbye is not in the capture",
                case.closed()
            )),
    )
}

/// A record that ends before the connection does, and nothing in it is a failure.
pub(super) fn still_open(case: &Case<'_>) -> Finding {
    Finding::possible(Cause::CaptureIncomplete)
        .because(case.volume())
        .because(format!("No close is on record; the last byte came {} before its end.", span(case.silence())))
        .rivals(&[Cause::UnknownClose])
        .message(format!("The record ends while the connection is open, in phase {}", case.phase()))
}

/// The same, unless it rests on the beginning of the connection, which is not on record: what looks like the first message may
/// be one from the middle, as the ClientHello of an RDP connection looks like the first of a gateway's.
pub(super) fn in_its_place(case: &Case<'_>, finding: Finding) -> Finding {
    let failed = finding.cause.outcome() == Outcome::Failure;
    if failed && !finding.is_proven() && case.lacks_the_host() {
        return incomplete(finding)
            .because("The client's first bytes are in the capture, and not one packet of the host.")
            .message(format!("{}; the capture has nothing of the host", case.closed()));
    }
    if !case.lacks_the_beginning() {
        return finding;
    }
    // What was said before is not known, and of a message from the middle even who is the client.
    let first = matches!(finding.cause, Cause::NotRdp | Cause::ClientSentNothing | Cause::TlsHelloWithoutNegotiation);
    if !(first || failed && finding.is_a_guess()) {
        return finding;
    }
    incomplete(finding)
        .because("Neither a SYN nor a Connection Request of this connection is in the capture.")
        .message(format!("{}; the capture has no beginning of this connection", case.closed()))
}

fn incomplete(finding: Finding) -> Finding {
    let former = finding.cause;
    finding.replaced_by(Cause::CaptureIncomplete, Confidence::Possible).rivals(&[former])
}

impl Case<'_> {
    /// Bytes of `peer` are not in the capture.
    pub(super) fn lacks(&self, peer: Peer) -> bool {
        self.packets().is_some_and(|facts| facts.sent[peer].missing > 0)
    }

    /// Neither SYN nor Connection Request was captured: what looks like the first message need not be.
    pub(super) fn lacks_the_beginning(&self) -> bool {
        let begun = |facts: &PacketFacts| facts.syns > 0 || facts.syn_ack.is_some();
        self.packets().is_some_and(|facts| !begun(facts)) && self.timeline.request.is_none()
    }

    /// The client went on after its SYN, and no packet of the host is in the capture: neither its silence nor its answer.
    fn lacks_the_host(&self) -> bool {
        let timeline = self.timeline;
        let spoke = |facts: &PacketFacts| facts.syn_ack.is_some() || facts.reset.host.is_some();
        let unseen = self.packets().is_some_and(|facts| facts.syns > 0 && !spoke(facts));
        let closed = timeline.closes.iter().any(|close| close.by == Closer::Host && close.kind != CloseKind::Timeout);
        unseen && !closed && timeline.traffic.client.bytes > 0 && timeline.traffic.host.bytes == 0
    }

    /// How long a capture shows of the connection; none live, where its end is waited for.
    pub(super) fn watched(&self) -> Option<Duration> {
        let facts = self.packets()?;
        let until = [facts.until, facts.last_syn].into_iter().flatten().fold(self.end(), Timestamp::max);
        Some(until.since(self.timeline.opened))
    }

    /// Packets that the capture holds only the beginning of.
    pub(super) fn cut_packets(&self) -> u32 {
        self.packets().map_or(0, |facts| facts.sent.client.cut_packets.saturating_add(facts.sent.host.cut_packets))
    }

    /// What the capture was told not to keep, as evidence.
    pub(super) fn cut_sentence(&self) -> Option<String> {
        let packets = self.cut_packets();
        let sent = self.packets()?.sent;
        (packets > 0).then(|| {
            format!(
                "The capture holds only the beginning of some packets (of this connection: {packets}): {} of the client and \
                 {} of the host are not in it; `tcpdump -s 0` takes whole ones.",
                bytes(sent.client.cut),
                bytes(sent.host.cut)
            )
        })
    }

    /// The capture lacks what one side sent last before the end: no record of it was seen since bytes were missing.
    pub(super) fn lacks_the_end(&self) -> bool {
        let seen = |peer: Peer| self.timeline.tail[peer].shapes().iter().any(|shape| self.seen(Some(shape.at)));
        let lacks = |peer| self.packets().is_some_and(|facts| facts.sent[peer].missing > 0) && !seen(peer);
        lacks(Peer::Client) || lacks(Peer::Host)
    }
}
