//! A timeline as the rules look at it: only what came before the first close, with the words for it.

use super::super::Side;
use super::words::{Span, bytes, sentence, span};
use crate::Timestamp;
use crate::session::{
    Answer, ClearAlert, ClientHelloFacts, Close, CloseKind, Closer, Opening, Peer, Phase, ProxyAct, RecordShape,
    ServerHelloFacts, Timeline, Told, Upstream,
};
use crate::wire::{AlertDescription, AlertLevel, PlaintextLen, Protocols, Sealing};
use core::cell::OnceCell;
use core::time::Duration;
use std::net::SocketAddr;

/// No opening, its certificate chain included, sends this many bytes to the client: what does is a session.
const SESSION_BYTES: u64 = 64 * 1024;

/// Extension `encrypt_then_mac` of a ServerHello. RFC 7366 2
const ENCRYPT_THEN_MAC: u16 = 22;

/// One connection under judgement.
pub(super) struct Case<'a> {
    pub(super) timeline: &'a Timeline,
    /// The first close, or what a relay would have taken for it.
    pub(super) close: Option<Close>,
    /// What the suite makes of sizes, once it is asked for.
    sealing: OnceCell<Option<Sealing>>,
}

impl<'a> Case<'a> {
    pub(super) fn new(timeline: &'a Timeline) -> Case<'a> {
        let close = super::packets::vanished(timeline).or_else(|| timeline.first_close());
        Case { timeline, close, sealing: OnceCell::new() }
    }

    /// When it was over: the first close, else the last thing on record.
    pub(super) fn end(&self) -> Timestamp {
        self.close.map_or_else(|| self.timeline.last_event(), |close| close.at)
    }

    /// It happened, and not after the first close.
    pub(super) fn seen(&self, at: Option<Timestamp>) -> bool {
        at.is_some_and(|at| at <= self.end())
    }

    pub(super) fn closed_first(&self, by: Closer) -> bool {
        self.close.is_some_and(|close| close.by == by)
    }

    /// The first close was an RST.
    pub(super) fn by_reset(&self) -> bool {
        self.close.is_some_and(|close| close.kind == CloseKind::Rst)
    }

    /// Our time-out, or that of the kernel.
    pub(super) fn by_timeout(&self) -> bool {
        self.close.is_some_and(|close| matches!(close.kind, CloseKind::Timeout | CloseKind::Error))
    }

    /// What we did, when it was what ended the connection.
    pub(super) fn our_act(&self) -> Option<ProxyAct> {
        self.timeline.proxy_act.filter(|_| self.close.is_none_or(|close| close.by == Closer::Proxy))
    }

    pub(super) fn hello(&self) -> Option<&'a ClientHelloFacts> {
        self.timeline.client_hello.as_ref().filter(|hello| hello.at <= self.end())
    }

    pub(super) fn server_hello(&self) -> Option<&'a ServerHelloFacts> {
        self.timeline.server_hello.as_ref().filter(|hello| hello.at <= self.end())
    }

    /// What was said in messages that could be read.
    pub(super) fn told(&self) -> Option<&'a Told> {
        self.timeline.told.as_deref()
    }

    /// Everything inside of TLS could be read: nothing is told by its size.
    pub(super) fn is_read(&self) -> bool {
        self.seen(self.timeline.plaintext)
    }

    /// What `peer` said `at` that time was one of its last few messages before the end.
    pub(super) fn among_last(&self, peer: Peer, at: Timestamp) -> bool {
        let tail = &self.timeline.tail[peer];
        let oldest = tail.shapes().iter().map(|shape| shape.at).min();
        self.seen(Some(at)) && tail.known && oldest.is_some_and(|oldest| oldest <= at)
    }

    /// The TLS handshake was complete.
    pub(super) fn established(&self) -> bool {
        self.seen(self.timeline.tls.established)
    }

    /// The phase that was reached before the first close: what came after it changed nothing for anybody.
    pub(super) fn phase(&self) -> Phase {
        let reached = |phase: &&Phase| self.seen(self.timeline.phases.entered(**phase));
        Phase::ALL.iter().rev().find(reached).copied().unwrap_or_default()
    }

    /// The host's answer to the Connection Request, unless its first byte came after the first close.
    pub(super) fn answer(&self) -> Option<&'a Answer> {
        self.timeline.answer.as_ref().filter(|_| self.seen(self.timeline.traffic.host.first))
    }

    /// The first clear alert that ends something, unless it only answered a close.
    pub(super) fn alert(&self) -> Option<ClearAlert> {
        let ends = |alert: &&ClearAlert| !alert.after_close && alert.at <= self.end() && !is_remark(alert);
        self.timeline.alerts.iter().find(ends).copied()
    }

    /// The first clear alert, when it was this peer's.
    pub(super) fn alert_from(&self, peer: Peer) -> Option<ClearAlert> {
        self.alert().filter(|alert| alert.from == peer)
    }

    /// A sealed alert of this peer came before the end.
    pub(super) fn sealed_alert(&self, peer: Peer) -> bool {
        self.seen(self.timeline.tls.encrypted_alert[peer])
    }

    /// The client left, and the host had not said goodbye before.
    ///
    /// A host that reads a close_notify closes at once, and its FIN may win the race against the client's own: who sent
    /// the first alert-sized record decides before who closed first.
    pub(super) fn client_left(&self) -> bool {
        let goodbye = |peer| self.timeline.tls.encrypted_alert[peer].filter(|at| *at <= self.end());
        match (goodbye(Peer::Client), goodbye(Peer::Host)) {
            (Some(client), Some(host)) if client == host => self.timeline.tls.first_encrypted_alert != Some(Peer::Host),
            (Some(client), Some(host)) => client < host,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => self.closed_first(Closer::Client),
        }
    }

    pub(super) fn is_gateway(&self) -> bool {
        self.timeline.opening.may_be_gateway()
    }

    /// The session was up. Volume says so where sizes could not: an opening never is that long.
    pub(super) fn was_active(&self) -> bool {
        // Of a gateway's two clear HTTP connections one carries what the client says.
        let clear_http = self.timeline.opening == Opening::GatewayHttp;
        let said_much = clear_http && self.timeline.traffic.client.bytes >= SESSION_BYTES;
        let opened = self.established() || clear_http;
        self.seen(self.timeline.progress.active) || opened && self.is_long() || said_much
    }

    /// More than any opening came from the host.
    pub(super) fn is_long(&self) -> bool {
        self.timeline.traffic.host.bytes >= SESSION_BYTES
    }

    /// The protocol the host chose; none for the plain answer and without one.
    pub(super) fn selected(&self) -> Option<Protocols> {
        match self.answer()? {
            Answer::Selected { protocol, .. } => Some(*protocol),
            Answer::Plain => Some(Protocols::RDP),
            _ => None,
        }
    }

    /// Network Level Authentication was chosen.
    pub(super) fn nla(&self) -> bool {
        self.selected().is_some_and(|p| p.0 & (Protocols::HYBRID.0 | Protocols::HYBRID_EX.0) != 0)
    }

    /// The address of the host, once known.
    pub(super) fn host_address(&self) -> Option<SocketAddr> {
        match &self.timeline.upstream {
            Upstream::Connecting(address) | Upstream::Connected(address) => Some(*address),
            Upstream::ConnectFailed { address, .. } => Some(*address),
            _ => None,
        }
    }

    /// The last records of `peer` before the end, newest first, with what follows an orderly end (alerts) left out.
    pub(super) fn last_records(&self, peer: Peer) -> impl Iterator<Item = RecordShape> + '_ {
        let end = self.end();
        let shapes = self.timeline.tail[peer].shapes().iter().rev().copied();
        shapes.filter(move |shape| shape.at <= end && !self.is_alert(*shape))
    }

    /// The newest of [`Case::last_records`] can hold exactly `size` bytes of plaintext.
    pub(super) fn ended_with(&self, peer: Peer, size: u16) -> bool {
        self.last_records(peer).next().is_some_and(|shape| self.can_hold(shape, size))
    }

    fn is_alert(&self, shape: RecordShape) -> bool {
        shape.content_type == 21 || shape.content_type == 23 && self.exactly(shape) == Some(2)
    }

    /// The plaintext size of a record, where the suite gives it to the byte.
    pub(super) fn exactly(&self, shape: RecordShape) -> Option<u16> {
        match self.plaintext(shape) {
            PlaintextLen::Exact(size) => Some(size),
            _ => None,
        }
    }

    pub(super) fn can_hold(&self, shape: RecordShape, size: u16) -> bool {
        match self.plaintext(shape) {
            PlaintextLen::Exact(held) => held == size,
            PlaintextLen::Range(low, high) => low <= size && size <= high,
            PlaintextLen::Unknown => false,
        }
    }

    fn plaintext(&self, shape: RecordShape) -> PlaintextLen {
        if shape.content_type == 0 {
            return PlaintextLen::Exact(shape.length);
        }
        let sealing = self.sealing.get_or_init(|| {
            let hello = self.server_hello()?;
            Sealing::of(hello.version, hello.suite, hello.extensions.contains(&ENCRYPT_THEN_MAC))
        });
        sealing.map_or(PlaintextLen::Unknown, |sealing| sealing.plaintext_len(shape.length))
    }

    /// How long the connection had been silent when it ended.
    pub(super) fn silence(&self) -> Duration {
        self.silence_of(Peer::Client).min(self.silence_of(Peer::Host))
    }

    /// How long one end had been silent when it ended.
    pub(super) fn silence_of(&self, peer: Peer) -> Duration {
        self.end().since(self.last_heard(peer).unwrap_or(self.timeline.opened))
    }

    /// When something last came from this end, before the end.
    fn last_heard(&self, peer: Peer) -> Option<Timestamp> {
        let traffic = &self.timeline.traffic[peer];
        // A peer may go on after the other has closed: then its last byte is no measure, but its last records still are.
        let records = self.timeline.tail[peer].shapes().iter().map(|shape| shape.at);
        records.chain([traffic.first, traffic.last].into_iter().flatten()).filter(|at| *at <= self.end()).max()
    }

    /// What shows that the host leg was alive long after the client had fallen silent. A leg on which nothing had to be
    /// sent shows no loss, and was not tried either.
    pub(super) fn host_went_on(&self) -> Option<String> {
        let died =
            |close: &Close| close.by == Closer::Host && matches!(close.kind, CloseKind::Timeout | CloseKind::Error);
        if self.leg_is_stuck(Peer::Host) || self.timeline.closes.iter().any(died) {
            return None;
        }
        let resent = self.packets().and_then(|facts| facts.sent.host.repeated);
        if resent.is_some_and(|repeated| repeated.times >= 2) {
            return Some("The host was still there: it sent again what the client did not acknowledge.".to_owned());
        }
        let (client, host) = (self.silence_of(Peer::Client), self.silence_of(Peer::Host));
        let went_on = host.saturating_mul(2) <= client && client - host >= Duration::from_secs(1);
        went_on.then(|| sentence!("The host went on sending for {} after the client's last byte.", span(client - host)))
    }

    /// How a leg died by itself, and after how long a silence of its peer.
    pub(super) fn died_sentence(&self, peer: Peer) -> String {
        let how = match self.close.map(|close| close.kind) {
            Some(CloseKind::Error) => "a socket error",
            _ => "a TCP time-out",
        };
        sentence!("The {} leg ended by {how} after {} of silence.", peer.name(), span(self.silence_of(peer)))
    }

    /// How long the connection was open.
    pub(super) fn age(&self) -> Span {
        span(self.end().since(self.timeline.opened))
    }

    /// How long after `at` it ended.
    pub(super) fn after(&self, at: Timestamp) -> Span {
        span(self.end().since(at))
    }

    /// The side whose socket closed first.
    pub(super) fn side_of_close(&self) -> Option<Side> {
        self.close.map(|close| match close.by {
            Closer::Client => Side::Client,
            Closer::Host => Side::Host,
            Closer::Proxy => Side::Proxy,
        })
    }

    /// `Host closed the connection (RST)`.
    pub(super) fn closed(&self) -> String {
        let Some(close) = self.close else { return "The connection was still open".to_owned() };
        let who = match close.by {
            Closer::Client => "Client",
            Closer::Host => "Host",
            Closer::Proxy => "This proxy",
        };
        match close.kind {
            CloseKind::Fin | CloseKind::Rst => format!("{who} closed the connection ({})", kind(close.kind)),
            CloseKind::Timeout if close.by == Closer::Proxy => format!("{who} closed the connection (time-out)"),
            CloseKind::Timeout => format!("{who} stopped answering (TCP time-out)"),
            CloseKind::Error => format!("{who} connection failed (socket error)"),
        }
    }

    /// The close as evidence.
    pub(super) fn close_sentence(&self) -> Option<String> {
        let close = self.close?;
        let age = span(close.at.since(self.timeline.opened));
        Some(sentence!(
            "First close: {}, {}, {age} after the connection was opened.",
            close.by.name(),
            kind(close.kind)
        ))
    }

    /// Bytes each way as evidence.
    pub(super) fn volume(&self) -> String {
        let traffic = &self.timeline.traffic;
        sentence!("The client sent {}, the host {}.", bytes(traffic.client.bytes), bytes(traffic.host.bytes))
    }

    /// The chosen protocol as evidence.
    pub(super) fn choice_sentence(&self) -> Option<String> {
        let request = self.timeline.request.as_ref()?;
        let asked = request.protocols.map_or_else(|| "no negotiation".to_owned(), |p| p.to_string());
        let chosen = match self.answer()? {
            Answer::Selected { protocol, .. } => protocol.to_string(),
            Answer::Plain => "rdp (a Connection Confirm without negotiation data)".to_owned(),
            _ => return None,
        };
        Some(sentence!("The client asked for {asked}; the host chose {chosen}."))
    }

    /// The versions the client offered, as evidence.
    pub(super) fn offer_sentence(&self) -> Option<String> {
        let hello = self.hello()?;
        let versions = super::words::list(hello.versions(), 6);
        let suites = hello.suites.iter().filter(|s| !crate::wire::tls::is_grease(s.0)).count();
        Some(sentence!(
            "The ClientHello ({}) offers {versions} and {suites} cipher suites.",
            bytes(hello.length.into())
        ))
    }

    /// What the kernel knows of the host leg, when it points to lost packets.
    pub(super) fn host_leg_sentence(&self) -> Option<String> {
        self.leg_sentence(Peer::Host)
    }

    /// What the kernel knows of a leg, when it points to lost packets.
    pub(super) fn leg_sentence(&self, peer: Peer) -> Option<String> {
        let tcp = self.timeline.tcp[peer]?;
        // The kernel forgets what it has not sent out when it gives up, and still counts what it held for lost.
        let open = tcp.unacked.max(tcp.lost);
        (tcp.retransmits > 0 || open > 0).then(|| {
            format!(
                "TCP to the {}: {} segments retransmitted, {open} not acknowledged, MSS {} bytes.",
                peer.name(),
                tcp.retransmits,
                tcp.mss
            )
        })
    }

    /// What was sent to this end again has not been acknowledged. That something was sent again once is of the whole
    /// connection, and no sign.
    pub(super) fn leg_is_stuck(&self, peer: Peer) -> bool {
        self.timeline.tcp[peer].is_some_and(|tcp| tcp.lost > 0 || tcp.backoff > 0 && tcp.unacked > 0)
    }
}

/// Warnings after which the handshake goes on: no_renegotiation and unrecognized_name. RFC 5246 7.2.2, RFC 6066 3
fn is_remark(alert: &ClearAlert) -> bool {
    alert.level == AlertLevel(1) && matches!(alert.description, AlertDescription(100 | 112))
}

/// `FIN`, `RST`, as a packet trace shows it.
fn kind(kind: CloseKind) -> &'static str {
    match kind {
        CloseKind::Fin => "FIN",
        CloseKind::Rst => "RST",
        CloseKind::Timeout => "time-out",
        CloseKind::Error => "socket error",
    }
}
