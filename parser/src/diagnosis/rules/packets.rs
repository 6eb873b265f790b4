//! What only packets show: who made a reset, what never got through, what the network said about it. A relay has none
//! of this, so none of these rules speaks live.

use super::super::{Cause, Confidence, End, Outcome, Side};
use super::case::Case;
use super::finding::Finding;
use super::words::{bytes, span};
use crate::Timestamp;
use crate::session::{Close, CloseKind, Closer, PacketFacts, Peer, RepeatedSegment, SentFacts, Timeline};
use core::time::Duration;

/// Times a segment is sent again before it is more than an ordinary loss: two retransmissions are common on a bad line.
const STUBBORN: u16 = 3;
/// Times after which the other end is gone: kernels double the pause, so five are several seconds.
const GIVEN_UP: u16 = 5;
/// Retransmissions within a shorter time are one burst of loss.
const BURST: Duration = Duration::from_secs(1);
/// No path has a smaller MTU than 576 bytes, less 52 of headers. RFC 791 3.2
const FULL_SIZE: u32 = 524;
/// Acknowledgments in a row that ask for the same byte; three are how TCP asks for anything. RFC 5681 3.2
const STORM: u32 = 20;

/// Full-size segments of one side never arrive, while what is small gets through.
pub(super) fn black_hole(case: &Case<'_>) -> Option<Finding> {
    let facts = case.packets()?;
    let (sender, stuck) = stuck(facts)?;
    let (sent, takes) = (facts.sent[sender], u32::from(facts.sent[sender.other()].mss));
    let full = if takes > 0 { takes.min(sent.largest) } else { sent.largest };
    let is_full = stuck.length >= FULL_SIZE && stuck.length.saturating_mul(10) >= full.saturating_mul(9);
    let none_arrived = sent.largest_acknowledged < stuck.length;
    // The other side was there all the while: it acknowledged something small, or said something itself.
    let alive = stuck.heard.is_some_and(|at| at > stuck.first);
    if !is_full || !none_arrived || !alive {
        return None;
    }
    let hello = sender == Peer::Client && case.hello().is_some() && case.server_hello().is_none();
    let cause = if hello { Cause::LargeClienthelloLost } else { Cause::MtuBlackhole };
    let (who, other) = (capital(sender), sender.other().name());
    Some(
        Finding::likely(cause)
            .side(Side::Network)
            .because(repeated_sentence(sender, &stuck))
            .because(match sent.largest_acknowledged {
                0 => format!("The {other} was heard of after that: it is there."),
                size => format!(
                    "Segments of up to {} arrived, and the {other} was heard of after that: it is there.",
                    bytes(size.into())
                ),
            })
            .rivals(&[Cause::MtuBlackhole])
            .message(format!(
                "{who}'s full-size packets ({} of payload) vanish on the way, small ones pass",
                bytes(stuck.length.into())
            )),
    )
}

/// The end of a connection whose one side fell silent while the other sent the same again and again: what a relay would
/// have been told by its kernel.
pub(super) fn vanished(timeline: &Timeline) -> Option<Close> {
    let (sender, stuck) = stuck(timeline.packets.as_deref()?)?;
    let silent = stuck.heard.is_some_and(|at| at <= stuck.first);
    if !silent || stuck.times < GIVEN_UP {
        return None;
    }
    let (by, gave_up) = match sender {
        Peer::Client => (Closer::Host, Closer::Client),
        Peer::Host => (Closer::Client, Closer::Host),
    };
    match timeline.first_close() {
        None => Some(Close { by, kind: CloseKind::Timeout, at: stuck.last }),
        Some(close) if close.by == gave_up && close.at >= stuck.first => {
            Some(Close { by, kind: CloseKind::Timeout, ..close })
        }
        Some(_) => None,
    }
}

/// The same with another cause, when the reset that ended the connection was made by another machine than its sender.
pub(super) fn in_its_place(case: &Case<'_>, finding: Finding) -> Finding {
    let Some((peer, reset)) = forged_reset(case) else { return finding };
    // What the bytes name, and a session that was ended in order, stay what they are.
    let ended = finding.cause.outcome() == Outcome::Success && !finding.ends_by(End::ClientGone);
    if finding.is_proven() || ended || case.by_timeout() {
        return finding;
    }
    let (name, usual) = (peer.name(), reset.usual_hops.unwrap_or_default());
    let forged = format!(
        "The RST in the {name}'s name has TTL {}; all segments of the {name} before it had {usual}.",
        reset.hops
    );
    if finding.cause == Cause::CaptureIncomplete {
        // Whether it was over before that is not known.
        return finding.because(forged).rivals(&[Cause::RstByMiddlebox]);
    }
    let both = case.packets().and_then(|facts| facts.reset[peer.other()]).is_some_and(|other| other.is_forged());
    finding
        .replaced_by(Cause::RstByMiddlebox, Confidence::Likely)
        .because(forged)
        .because_some(reset.strange_id.then(|| format!("Its IP identification is not next to the {name}'s others.")))
        .because_some(
            (reset.went_on > 0).then(|| format!("The {name} went on sending after it, segments: {}.", reset.went_on)),
        )
        .because_some(both.then(|| "The other end got such a RST too.".to_owned()))
        .message(format!("A device on the way reset the connection in the {name}'s name, in phase {}", case.phase()))
}

/// The same with what packets show beside it, for everything that failed and is not settled by its bytes.
pub(super) fn noted(case: &Case<'_>, finding: Finding) -> Finding {
    let Some(facts) = case.packets() else { return finding };
    let mut finding = finding;
    let settled = finding.cause.outcome() != Outcome::Failure || finding.is_proven();
    if !settled || finding.cause == Cause::CaptureIncomplete {
        for peer in [Peer::Client, Peer::Host] {
            for sentence in sentences(case, peer, &facts.sent[peer]) {
                finding = finding.because_once(sentence);
            }
        }
        if let (2.., Some(first), Some(answered)) = (facts.syns, facts.first_syn, facts.syn_ack) {
            let wait = span(answered.since(first));
            finding =
                finding.because(format!("The SYN was sent {} times before it was answered, {wait} later.", facts.syns));
        }
        for sentence in [Peer::Client, Peer::Host].into_iter().filter_map(|peer| case.path_sentence(peer)) {
            finding = finding.because_once(sentence);
        }
    }
    for peer in [Peer::Client, Peer::Host] {
        let (sent, name) = (facts.sent[peer], peer.name());
        let lost = sent.missing.saturating_sub(sent.cut);
        if lost > 0 {
            finding = finding.because(format!("The capture lacks {} of the {name}.", bytes(lost)));
        }
        if sent.differing > 0 {
            finding = finding
                .because(format!("Segments of the {name} that were sent again with other bytes: {}.", sent.differing));
        }
    }
    finding.because_some(case.cut_sentence())
}

fn sentences(case: &Case<'_>, peer: Peer, sent: &SentFacts) -> impl Iterator<Item = String> {
    let (name, other) = (peer.name(), peer.other().name());
    let repeated = sent.repeated.filter(|stuck| stuck.times >= 2).map(|stuck| repeated_sentence(peer, &stuck));
    let losses = repeated.is_none() && sent.retransmits >= 3 && sent.retransmits.saturating_mul(20) >= sent.segments;
    let storm = sent.duplicate_acks >= STORM;
    let closed = sent.zero_window_since.filter(|since| case.end().since(*since) >= BURST);
    [
        repeated,
        losses.then(|| format!("Of {} segments of the {name}, {} were sent again.", sent.segments, sent.retransmits)),
        storm.then(|| {
            format!(
                "The {name} asked {} times in a row for the same byte: segments of the {other} were lost.",
                sent.duplicate_acks
            )
        }),
        closed.map(|since| {
            format!("The {name}'s receive window was closed for the last {}: it did not read.", case.after(since))
        }),
    ]
    .into_iter()
    .flatten()
}

/// The segment that did not get through, when it was tried for long enough to tell.
fn stuck(facts: &PacketFacts) -> Option<(Peer, RepeatedSegment)> {
    let of = |peer: Peer| facts.sent[peer].repeated.map(|repeated| (peer, repeated));
    let stubborn =
        |(_, stuck): &(Peer, RepeatedSegment)| stuck.times >= STUBBORN && stuck.last.since(stuck.first) >= BURST;
    [of(Peer::Client), of(Peer::Host)].into_iter().flatten().filter(stubborn).max_by_key(|(_, stuck)| stuck.times)
}

fn repeated_sentence(peer: Peer, stuck: &RepeatedSegment) -> String {
    let time = span(stuck.last.since(stuck.first));
    format!(
        "The {} sent a segment of {} again {} times over {time}; it was never acknowledged.",
        peer.name(),
        bytes(stuck.length.into()),
        stuck.times
    )
}

/// The reset that came first, when its sender did not make it.
fn forged_reset(case: &Case<'_>) -> Option<(Peer, crate::session::ResetFacts)> {
    let close = case.close.filter(|close| close.kind == CloseKind::Rst)?;
    let peer = match close.by {
        Closer::Client => Peer::Client,
        Closer::Host => Peer::Host,
        Closer::Proxy => return None,
    };
    let reset = case.packets()?.reset[peer]?;
    (reset.is_forged() && reset.at == close.at).then_some((peer, reset))
}

fn capital(peer: Peer) -> &'static str {
    match peer {
        Peer::Client => "Client",
        Peer::Host => "Host",
    }
}

impl Case<'_> {
    /// What packets show, when this was captured.
    pub(super) fn packets(&self) -> Option<&PacketFacts> {
        self.timeline.packets.as_deref()
    }

    /// What the network said about segments of `peer`, as evidence.
    pub(super) fn path_sentence(&self, peer: Peer) -> Option<String> {
        let report = self.packets()?.path.iter().find(|report| report.about == peer)?;
        Some(format!("{} reported by ICMP about a segment of the {}: {}.", report.by, peer.name(), report.error))
    }

    /// How often the client tried to connect, and for how long.
    pub(super) fn syns(&self) -> Option<(u16, Duration)> {
        let facts = self.packets()?;
        let last = facts.last_syn.unwrap_or(Timestamp(0));
        Some((facts.syns, last.since(facts.first_syn?)))
    }
}
