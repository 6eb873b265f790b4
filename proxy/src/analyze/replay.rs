//! A recorded connection through the tracker, as a relay in its place would have fed it.

use super::streams::{Event, Stream};
use parser::Timestamp;
use parser::session::{
    CloseKind, Closer, ConnectFailure, GiveUp, Limits, PacketFacts, PathError, Peer, Session, TcpFacts, Upstream,
    UpstreamEvent,
};

/// Error numbers of connect(2) on Linux.
const ENETUNREACH: i32 = 101;
const ECONNREFUSED: i32 = 111;
const EHOSTUNREACH: i32 = 113;

/// What a tracker and its timeline hold beside what waits to be put together: lists of a hello, a certificate, phases.
const FACTS: usize = 2 << 10;

/// One connection on its way through the tracker.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// From the first event on.
    session: Option<Box<Session>>,
    /// The client's SYN was seen: what comes back may answer it, and not something that was said before the capture began.
    asked: bool,
    /// The host has answered.
    accepted: bool,
}

impl Replay {
    /// What the tracker knows.
    pub(super) fn session(&mut self, stream: &Stream) -> &mut Session {
        self.session.get_or_insert_with(|| Box::new(Session::new(stream.opened, Limits::default())))
    }

    /// Takes what happened.
    pub(super) fn event(&mut self, stream: &Stream, at: Timestamp, event: Event<'_>) {
        self.asked |= matches!(event, Event::Syn);
        let unanswered = self.asked && !self.accepted;
        self.accepted |= matches!(event, Event::SynAck | Event::Data(..) | Event::Missing(..) | Event::Unseen(_));
        let speaks = matches!(event, Event::Data(..) | Event::Missing(..) | Event::Unseen(_));
        let session = self.session(stream);
        if unanswered && speaks {
            // Nobody sends before the connection is up: the SYN ACK is what the capture lacks.
            session.upstream(UpstreamEvent::Connected(stream.host), at);
        }
        match event {
            Event::Syn => session.upstream(UpstreamEvent::Connecting(stream.host), at),
            Event::SynAck => session.upstream(UpstreamEvent::Connected(stream.host), at),
            Event::Data(from, bytes) => session.data(from, bytes, at),
            Event::Missing(from, count) => session.missing(from, count, at),
            Event::Unseen(_) => session.give_up(GiveUp::Gap, at),
            Event::Rst(Peer::Host) if unanswered => {
                session.upstream(failed(stream, ConnectFailure::Refused, ECONNREFUSED), at);
                session.closed(Closer::Host, CloseKind::Rst, at);
            }
            Event::Fin(by) => session.closed(closer(by), CloseKind::Fin, at),
            Event::Rst(by) => session.closed(closer(by), CloseKind::Rst, at),
            Event::WentOn(by) => session.went_on(closer(by)),
            Event::Ended(facts) => {
                if unanswered && let Some((failure, errno, at)) = unreachable(&facts) {
                    session.upstream(failed(stream, failure, errno), at);
                }
                for leg in [Peer::Client, Peer::Host] {
                    session.socket_facts(leg, tcp(leg, &facts));
                }
                session.packet_facts(*facts);
            }
        }
    }

    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        self.session.as_ref().map_or(0, |session| size_of::<Session>() + FACTS + session.buffered())
    }

    /// The session, at the end.
    pub(super) fn finish(&mut self) -> Option<Session> {
        self.session.take().map(|session| *session)
    }
}

fn failed(stream: &Stream, failure: ConnectFailure, errno: i32) -> UpstreamEvent {
    UpstreamEvent::Failed(Upstream::ConnectFailed { address: stream.host, failure, errno, tried: 1 })
}

/// What connect(2) would have said to a SYN that the network refused. ip(7), icmp(7)
fn unreachable(facts: &PacketFacts) -> Option<(ConnectFailure, i32, Timestamp)> {
    let report = facts.path.iter().find(|report| report.about == Peer::Client)?;
    let (failure, errno) = match report.error {
        PathError::PortClosed => (ConnectFailure::Refused, ECONNREFUSED),
        PathError::NoNetwork => (ConnectFailure::Unreachable, ENETUNREACH),
        PathError::NoHost | PathError::Prohibited | PathError::TooFar => (ConnectFailure::Unreachable, EHOSTUNREACH),
        PathError::TooBig { .. } => return None,
    };
    Some((failure, errno, report.at))
}

/// What the kernel in the place of the capture would have known of the way to `leg`.
fn tcp(leg: Peer, facts: &PacketFacts) -> TcpFacts {
    let (sent, received) = (facts.sent[leg.other()], facts.sent[leg]);
    let asked_and_answered = match leg {
        Peer::Host => (facts.first_syn.filter(|_| facts.syns == 1), facts.syn_ack),
        Peer::Client => (facts.syn_ack, facts.client_ack),
    };
    let rtt = match asked_and_answered {
        (Some(asked), Some(answered)) => u32::try_from(answered.since(asked).as_micros()).unwrap_or(u32::MAX),
        _ => 0,
    };
    let mss = u32::from(received.mss);
    TcpFacts {
        rtt_us: rtt,
        retransmits: sent.retransmits,
        unacked: u32::try_from(sent.unacknowledged.div_ceil(u64::from(mss.max(1)))).unwrap_or(u32::MAX),
        mss,
        ..TcpFacts::default()
    }
}

fn closer(peer: Peer) -> Closer {
    match peer {
        Peer::Client => Closer::Client,
        Peer::Host => Closer::Host,
    }
}
