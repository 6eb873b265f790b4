//! The phase that everything known so far amounts to. Phases never go back, with one exception that is stated here.

use super::credssp::Authentication;
use super::reading::security;
use super::tracker::Session;
use super::{Opening, Phase, PhaseLog, Progress, Upstream};
use crate::Timestamp;
use crate::wire::Protocols;

impl Session {
    /// Enters the phase that was reached, if it is a later one.
    #[inline]
    pub(super) fn advance(&mut self, at: Timestamp) {
        // Nothing reaches beyond what RDP itself has shown, and after most records that is what it was before.
        if progressed(&self.timeline.progress) != Some(self.timeline.phases.current()) {
            self.enter_reached(at);
        }
    }

    fn enter_reached(&mut self, at: Timestamp) {
        let phase = self.reached();
        if phase > self.timeline.phases.current() {
            self.timeline.phases.enter(phase, at);
        }
    }

    /// The phase that what is known amounts to.
    fn reached(&self) -> Phase {
        match self.timeline.upstream {
            Upstream::Resolving | Upstream::ResolveFailed { .. } => return Phase::Resolve,
            Upstream::Connecting(_) | Upstream::ConnectFailed { .. } => return Phase::Tcp,
            // Without news of the way to the host (a capture) it is there.
            Upstream::Unknown | Upstream::Connected(_) => {}
        }
        let timeline = &self.timeline;
        if self.clear.is_some() && self.plain.is_none() && timeline.tls.established.is_none() {
            return progressed(&timeline.progress).unwrap_or(Phase::X224);
        }
        if timeline.tls.established.is_some() {
            return progressed(&timeline.progress).unwrap_or_else(|| match (timeline.opening, self.authentication()) {
                (Opening::TlsFirst, _) => Phase::TlsFinish,
                (_, Authentication::None) => Phase::Mcs,
                (_, Authentication::Credssp | Authentication::CredsspEx) => Phase::Credssp,
                (_, Authentication::Rdstls | Authentication::Entra) => Phase::Rdstls,
            });
        }
        let confirmed = timeline.answer.as_ref().and_then(security).is_some_and(|s| s != Protocols::RDP);
        match timeline.opening {
            _ if timeline.server_hello.is_some() => Phase::TlsFinish,
            Opening::TlsFirst => Phase::TlsHello,
            Opening::X224 if confirmed => Phase::TlsHello,
            Opening::X224 => Phase::X224,
            Opening::Unknown | Opening::GatewayHttp | Opening::NotRdp => Phase::Accept,
        }
    }

    /// Client bytes may come before the first word about the host leg. Until that word they were taken for a capture's,
    /// where the host is there; as long as the host has said nothing, that is taken back.
    pub(super) fn host_is_not_connected_yet(&mut self) {
        if self.timeline.traffic.host.bytes == 0 {
            self.timeline.phases = PhaseLog::default();
            self.timeline.phases.enter(Phase::Accept, self.timeline.opened);
        }
    }
}

/// The last phase after authentication that has begun.
#[inline]
fn progressed(progress: &Progress) -> Option<Phase> {
    match progress {
        Progress { active: Some(_), .. } => Some(Phase::Active),
        Progress { demand_active: Some(_), .. } => Some(Phase::Activation),
        Progress { licensing: Some(_), .. } => Some(Phase::Licensing),
        Progress { client_info: Some(_), .. } => Some(Phase::ClientInfo),
        Progress { connect_initial: Some(_), .. } => Some(Phase::Mcs),
        _ => None,
    }
}
