//! What a session that ended says of its host: whom to ask, and which hello to replay.

use super::Target;
use crate::record::SessionRecord;
use parser::profile::RecordedHello;
use parser::session::{Opening, Upstream};

/// The host of this session, as far as it can be asked.
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
