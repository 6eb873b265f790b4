//! What a connection is waiting for, so that the proxy can time it. Nothing that cannot be parsed is ever timed, and
//! nothing after the ServerHello: a prompt for a smart card lasts minutes.

use super::tracker::Session;
use super::{Awaiting, Opening, Peer, Upstream};
use crate::Timestamp;

impl Session {
    /// What it is waiting for, and since when; for the proxy's time-outs.
    #[must_use]
    pub fn awaiting(&self) -> (Awaiting, Timestamp) {
        let opened = self.timeline.opened;
        let nothing = (Awaiting::Nothing, opened);
        let Some(marks) = self.marks.as_deref() else { return nothing };
        // The host's time begins when it can have read what it is to answer.
        let host_had = |said: Timestamp| marks.connected.map_or(said, |connected| said.max(connected));
        let connecting = marks.connected.is_none() && self.timeline.upstream != Upstream::Unknown;
        let tls = &self.timeline.tls;
        let over = !self.timeline.alerts.is_empty() || tls.clear_ultimatum.is_some() || tls.not_tls.is_some();
        let unread = self.timeline.gave_up.is_some() || self.timeline.tls.established.is_some();
        if unread || over || self.timeline.server_hello.is_some() || self.is_lost(Peer::Host) {
            return nothing;
        }
        match self.timeline.opening {
            Opening::Unknown if self.timeline.traffic.host.bytes > 0 => return nothing,
            Opening::Unknown => return (Awaiting::ClientRequest, opened),
            Opening::GatewayHttp | Opening::NotRdp => return nothing,
            Opening::X224 | Opening::TlsFirst => {}
        }
        if self.timeline.opening == Opening::X224 {
            let Some(request) = marks.request else { return (Awaiting::ClientRequest, opened) };
            // Until the host is connected, only the connect has a time-out.
            if marks.answer.is_none() {
                return if connecting { nothing } else { (Awaiting::ConnectionConfirm, host_had(request)) };
            }
            if !self.expects_tls() {
                return nothing;
            }
        }
        let begun = marks.hello_retry.or(marks.answer).or(marks.first_byte).unwrap_or(opened);
        match marks.client_hello {
            Some(_) if connecting => nothing,
            Some(hello) if marks.hello_retry.is_none() => (Awaiting::ServerHello, host_had(hello)),
            _ => (Awaiting::ClientHello, begun),
        }
    }
}
