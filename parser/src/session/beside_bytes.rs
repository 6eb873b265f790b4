//! What the tracker is told beside bytes: the way to the host, closes, what we did ourselves, what the system and the
//! packets showed.

use super::tracker::Session;
use super::{
    BridgeCut, BridgeFacts, Close, CloseKind, Closer, PacketFacts, Peer, PerPeer, ProxyAct, TcpFacts, Upstream,
};
use crate::Timestamp;
use std::net::SocketAddr;

/// What happened on the way to the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamEvent {
    /// A name lookup began.
    Resolving,
    /// A connect began.
    Connecting(SocketAddr),
    /// Connected.
    Connected(SocketAddr),
    /// It failed; the payload is what the timeline keeps.
    Failed(Upstream),
}

impl Session {
    /// Notes what happened on the way to the host.
    pub fn upstream(&mut self, event: UpstreamEvent, at: Timestamp) {
        if self.timeline.upstream == Upstream::Unknown {
            self.host_is_not_connected_yet();
        }
        match event {
            UpstreamEvent::Resolving => self.timeline.upstream = Upstream::Resolving,
            UpstreamEvent::Connecting(address) => self.timeline.upstream = Upstream::Connecting(address),
            UpstreamEvent::Connected(address) => {
                self.timeline.upstream = Upstream::Connected(address);
                self.mark(|marks| marks.connected = Some(at));
            }
            UpstreamEvent::Failed(failure) => self.timeline.upstream = failure,
        }
        self.advance(at);
    }

    /// A socket ended. To be called when it is noticed, before anything is forwarded.
    pub fn closed(&mut self, by: Closer, kind: CloseKind, at: Timestamp) {
        if self.timeline.closes.iter().any(|close| close.by == by) {
            return;
        }
        self.timeline.closes.push(Close { by, kind, at });
        let (client, host) = match &self.plain {
            Some(plain) => (plain.client.missing(), plain.host.missing()),
            None => (self.client.missing(), self.host.missing()),
        };
        let partial = &mut self.timeline.tls.partial_record;
        partial.client |= !self.stopped && by != Closer::Host && client > 0;
        partial.host |= !self.stopped && by != Closer::Client && host > 0;
    }

    /// The reset of `by`, which was noted as a close, did nothing: both ends went on.
    pub fn went_on(&mut self, by: Closer) {
        self.timeline.closes.retain(|close| close.by != by || close.kind != CloseKind::Rst);
        self.timeline.tls.partial_record = PerPeer::default();
        if self.timeline.closes.is_empty() {
            self.timeline.alerts.iter_mut().for_each(|alert| alert.after_close = false);
        }
    }

    /// Notes what we did ourselves; the close that follows from it is noted with [`Session::closed`].
    pub fn proxy_act(&mut self, act: ProxyAct, at: Timestamp) {
        let _ = at;
        self.timeline.proxy_act.get_or_insert(act);
    }

    /// Notes what a bridge did. What it tells later stands in place of what it told before.
    pub fn bridged(&mut self, facts: BridgeFacts) {
        self.timeline.bridge = Some(Box::new(facts));
    }

    /// Notes how a leg of a bridge that was up came to its end. The first one counts.
    pub fn bridge_cut(&mut self, cut: BridgeCut) {
        if let Some(facts) = &mut self.timeline.bridge {
            facts.cut.get_or_insert(cut);
        }
    }

    /// `TCP_INFO` of the leg to `leg`, at the end.
    pub fn socket_facts(&mut self, leg: Peer, facts: TcpFacts) {
        self.timeline.tcp[leg] = Some(facts);
    }

    /// What packets showed beside their bytes, at the end.
    pub fn packet_facts(&mut self, facts: PacketFacts) {
        self.timeline.packets = Some(Box::new(facts));
    }
}
