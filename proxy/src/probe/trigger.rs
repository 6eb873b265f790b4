//! Which failures a probe can decide.

use super::Target;
use crate::record::SessionRecord;
use parser::diagnosis::{Confidence, Observer, Outcome, Verdict, diagnose};
use parser::profile::{HostProfile, RecordedHello};
use parser::session::{Opening, Timeline, Upstream};

/// The host to ask about this session, when its answers could change the verdict.
pub(super) fn target(record: &SessionRecord) -> Option<Target> {
    let timeline = &record.timeline;
    let address = match timeline.upstream {
        Upstream::Connected(address) => address,
        _ => return None,
    };
    let tls_first = match timeline.opening {
        Opening::X224 => false,
        Opening::TlsFirst => true,
        Opening::Unknown | Opening::GatewayHttp | Opening::NotRdp => return None,
    };
    Some(Target { address: std::net::SocketAddr::new(address.ip().to_canonical(), address.port()), tls_first })
}

/// The client's hello with what came before it, as it can be replayed.
pub(super) fn recorded(record: &SessionRecord, client_hello: Option<Box<[u8]>>) -> Option<RecordedHello> {
    let timeline = &record.timeline;
    Some(RecordedHello {
        tls_first: timeline.opening == Opening::TlsFirst,
        protocols: timeline.request.as_ref().and_then(|request| request.protocols),
        record_version: timeline.client_hello.as_ref()?.record_version,
        message: client_hello?.into_vec(),
    })
}

/// A profile of the host could change this verdict.
pub(super) fn needs_profile(verdict: &Verdict) -> bool {
    verdict.outcome() == Outcome::Failure
        && verdict.confidence < Confidence::Proven
        && verdict.cause.entry().decided_by.contains(&Observer::Probe)
}

/// What a session comes to with what its host is known to accept.
pub(crate) fn judge(timeline: &Timeline, _profile: &HostProfile) -> Verdict {
    diagnose(timeline)
}
