//! A recorded connection through the tracker, as a proxy in its place would have fed it.

use parser::Timestamp;
use parser::session::{CloseKind, Closer, ConnectFailure, Limits, Peer, Session, Timeline, Upstream, UpstreamEvent};
use rdpscope::analyze::capture;
use rdpscope::analyze::streams::{Event, Streams};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;

/// One TCP connection of a file, with all that happened on it.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) client: SocketAddr,
    pub(crate) host: SocketAddr,
    pub(crate) opened: Timestamp,
    pub(crate) events: Vec<(Timestamp, Event)>,
}

/// The connections of a file, in the order of their first segment.
pub(crate) fn streams(path: &Path) -> Vec<Stream> {
    let mut streams = Streams::default();
    let mut told: Vec<(usize, Timestamp, Event)> = Vec::new();
    let read = capture::segments(path, |segment| {
        streams.segment(segment, |number, at, event| told.push((number, at, event)));
        ControlFlow::Continue(())
    });
    let summary = read.unwrap();
    assert!(summary.unknown_links.is_empty(), "{}: {summary:?}", path.display());
    streams.finish(|number, at, event| told.push((number, at, event)));
    let mut found: Vec<Stream> = streams.list().iter().map(Stream::without_events).collect();
    for (number, at, event) in told {
        found[number].events.push((at, event));
    }
    found
}

impl Stream {
    fn without_events(stream: &rdpscope::analyze::streams::Stream) -> Stream {
        Stream { client: stream.client, host: stream.host, opened: stream.opened, events: Vec::new() }
    }
}

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
