//! A recorded connection through the tracker, as a proxy in its place would have fed it.

use crate::streams::{Event, Stream};
use parser::session::{CloseKind, Closer, ConnectFailure, Limits, Peer, Session, Timeline, Upstream, UpstreamEvent};

/// The timeline of a whole recorded connection.
pub(crate) fn timeline(stream: &Stream) -> Timeline {
    let mut session = Session::new(stream.opened, Limits::default());
    let mut accepted = false;
    for (at, event) in &stream.events {
        match event {
            Event::Syn => session.upstream(UpstreamEvent::Connecting(stream.host), *at),
            Event::SynAck => {
                accepted = true;
                session.upstream(UpstreamEvent::Connected(stream.host), *at);
            }
            Event::Data(from, bytes) => {
                accepted = true;
                session.data(*from, bytes, *at);
            }
            Event::Rst(Peer::Host) if !accepted => {
                let failed = Upstream::ConnectFailed {
                    address: stream.host,
                    failure: ConnectFailure::Refused,
                    errno: 111,
                    tried: 1,
                };
                session.upstream(UpstreamEvent::Failed(failed), *at);
                session.closed(Closer::Host, CloseKind::Rst, *at);
            }
            Event::Fin(by) => session.closed(closer(*by), CloseKind::Fin, *at),
            Event::Rst(by) => session.closed(closer(*by), CloseKind::Rst, *at),
        }
    }
    session.finish()
}

fn closer(peer: Peer) -> Closer {
    match peer {
        Peer::Client => Closer::Client,
        Peer::Host => Closer::Host,
    }
}
