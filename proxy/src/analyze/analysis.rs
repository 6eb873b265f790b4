//! Packets to findings: every TCP connection of a capture, judged as a live one.

use super::own::Recorded;
use super::packet::Packet;
use super::pairs::{Leg, Pairs};
use super::replay::Replay;
use super::settle::{Settle, Step};
use super::streams::{self, State, Stream, Streams};
use crate::record::{Attempt, Captured, Event, Names, OtherLeg, SessionIdentity, SessionRecord, shared_shape};
use parser::Timestamp;
use parser::diagnosis::{Attempts, Marks, diagnose};
use parser::session::{Opening, Phase};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use uuid::{Builder, Uuid};

/// What one connection came to.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Its number in the capture, from 0, as tshark numbers it.
    pub stream: u64,
    /// All that was seen of it, and the verdict.
    pub record: SessionRecord,
    /// Where it stands among the connections of its client.
    pub attempt: Attempt,
    /// The other leg, when it is one of two through a gateway.
    pub other_leg: Option<Leg>,
    /// Nothing more will be told of it.
    pub is_final: bool,
    /// It was told before, with another verdict.
    pub revised: bool,
}

impl Finding {
    /// Of a capture that the proxy wrote itself: one session, both its legs. `stream`: which one of the file.
    #[must_use]
    pub fn of_own(recorded: Recorded, stream: u64) -> Finding {
        let verdict = recorded.verdict();
        let Recorded { identity, timeline, .. } = recorded;
        let ended = timeline.last_event();
        let attempt = Attempt { id: identity.id, number: 1, previous_session: None };
        let record = SessionRecord { identity: Arc::new(identity), timeline, verdict, ended, capture: None };
        Finding { stream, record, attempt, other_leg: None, is_final: true, revised: false }
    }

    /// Its event; `file`: the capture as it was named.
    #[must_use]
    pub fn event<'a>(&'a self, file: &'a str, names: &Names) -> Event<'a> {
        let other_leg = self.other_leg.map(|leg| OtherLeg {
            of: if leg.of_gateway { "gateway" } else { "host" },
            stream: leg.stream,
            session: leg.session,
        });
        let (is_final, revised) = (self.is_final, self.revised);
        let found = Captured { stream: self.stream, file, attempt: self.attempt, other_leg, is_final, revised };
        Event::captured(&self.record, found, names)
    }
}

/// When findings are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// Each once, when the client's next connection can no longer change it: half a minute of the capture later at most.
    Once,
    /// When its connection is over, and again if that changes: for who looks on.
    AtOnce,
}

impl Telling {
    /// How long a connection that is over is kept for late segments.
    fn linger(self) -> Duration {
        match self {
            Telling::Once => Attempts::WINDOW,
            Telling::AtOnce => Duration::from_secs(2),
        }
    }
}

/// One capture under analysis. Feed it in the order of the file.
#[derive(Debug)]
pub struct Analysis {
    streams: Streams<Track>,
    rest: Rest,
}

#[derive(Debug)]
struct Rest {
    settle: Settle,
    pairs: Pairs,
    now: Timestamp,
}

/// A connection, and what was said of it so far.
#[derive(Debug, Default)]
struct Track {
    replay: Replay,
    id: Option<Uuid>,
    phase: Phase,
    opening: Opening,
    other_leg: Option<Leg>,
    /// Its hello is one of those that are kept once for all.
    shares_shape: bool,
    /// Closes so far, and whether the client has said goodbye inside of TLS.
    ending: (usize, bool),
}

impl State for Track {
    fn memory(&self) -> usize {
        self.replay.memory()
    }
}

impl Analysis {
    /// Of a capture of which nothing was read yet.
    #[must_use]
    pub fn new(telling: Telling) -> Analysis {
        let linger = telling.linger();
        let settle = Settle::new(telling == Telling::AtOnce, linger + Duration::from_secs(1));
        Analysis { streams: Streams::new(linger), rest: Rest { settle, pairs: Pairs::default(), now: Timestamp(0) } }
    }

    /// Takes the next packet, and tells what has become known by it.
    pub fn packet(&mut self, packet: &Packet<'_>, tell: &mut impl FnMut(Finding)) {
        let Analysis { streams, rest } = self;
        streams.packet(packet, &mut |stream, track, at, event| rest.event(stream, track, at, event));
        let at = match packet {
            Packet::Segment(segment) => segment.at,
            Packet::Path(report) => report.at,
        };
        // Where the clock of a capture stands still or goes back, what waits is still bounded.
        if at > rest.now || rest.settle.is_full() {
            rest.now = rest.now.max(at);
            rest.settle.pass_time(rest.now, tell);
        }
    }

    /// Nothing came, and it is this late by the clock of the capture.
    pub fn quiet(&mut self, now: Timestamp, tell: &mut impl FnMut(Finding)) {
        let Analysis { streams, rest } = self;
        streams.pass_time(now, &mut |stream, track, at, event| rest.event(stream, track, at, event));
        rest.now = rest.now.max(now);
        rest.settle.pass_time(now, tell);
    }

    /// The capture is at its end: tells all that was not told.
    pub fn finish(&mut self, tell: &mut impl FnMut(Finding)) {
        let Analysis { streams, rest } = self;
        streams.finish(&mut |stream, track, at, event| {
            rest.event(stream, track, at, event);
            // What there is no room for; all else in the order of its time, when all is known.
            rest.settle.pass_time(Timestamp(0), tell);
        });
        rest.settle.finish(tell);
    }

    /// TCP connections so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.streams.count()
    }
}

impl Rest {
    fn event(&mut self, stream: &Stream, track: &mut Track, at: Timestamp, event: streams::Event<'_>) {
        let over = matches!(event, streams::Event::Ended(_));
        track.replay.event(stream, at, event);
        if !track.shares_shape && track.replay.session(stream).timeline().client_hello.is_some() {
            // Thousands of connections show a handful of hellos.
            track.replay.session(stream).share_shape(shared_shape);
            track.shares_shape = true;
        }
        let id = *track.id.get_or_insert_with(|| {
            let id = session_id(stream);
            let target = Arc::from(stream.host.to_string());
            let opened = Step::Opened { id: id.as_u128(), client: stream.client.ip().to_canonical(), target };
            self.settle.note(stream.opened, opened);
            id
        });
        let session = track.replay.session(stream);
        if session.phase() != track.phase {
            track.phase = session.phase();
            let marks = Marks::of(session.timeline());
            self.settle.note(at, Step::Reached { id: id.as_u128(), phase: track.phase, marks });
        }
        let timeline = session.timeline();
        let ending = (timeline.closes.len(), timeline.tls.encrypted_alert.client.is_some());
        if ending != track.ending {
            track.ending = ending;
            self.settle.note(at, Step::Shown { id: id.as_u128(), marks: Marks::of(timeline) });
        }
        let opening = timeline.opening;
        if opening != track.opening {
            track.opening = opening;
            self.pair(stream, track, id, at);
        }
        if over {
            self.ended(stream, track, id);
        }
    }

    fn pair(&mut self, stream: &Stream, track: &mut Track, id: Uuid, at: Timestamp) {
        let of_gateway = track.opening == Opening::TlsFirst;
        let leg = Leg { stream: stream.number, session: id, of_gateway, host: stream.host };
        match track.opening {
            Opening::TlsFirst => self.pairs.tls(stream.client.ip(), leg, at),
            Opening::X224 => track.other_leg = self.pairs.rdp(stream.client.ip(), leg, at),
            Opening::Unknown | Opening::GatewayHttp | Opening::NotRdp => {}
        }
    }

    fn ended(&mut self, stream: &Stream, track: &mut Track, id: Uuid) {
        let Some(session) = track.replay.finish() else { return };
        let timeline = session.finish();
        if track.opening == Opening::TlsFirst {
            track.other_leg = self.pairs.ended(stream.host.ip(), stream.number);
        }
        let identity = SessionIdentity {
            id,
            listener: Arc::from(""),
            upstream: Arc::from(stream.host.to_string()),
            client: stream.client,
            local: stream.host,
            accepted: stream.opened,
        };
        let verdict = diagnose(&timeline);
        let ended = timeline.last_event();
        let finding = Finding {
            stream: stream.number,
            record: SessionRecord { identity: Arc::new(identity), timeline, verdict, ended, capture: None },
            attempt: Attempt { id, number: 1, previous_session: None },
            other_leg: track.other_leg,
            is_final: true,
            revised: false,
        };
        self.settle.note(ended, Step::Ended(Box::new(finding)));
    }
}

/// A UUID of version 7 like that of a live session, the same each time the capture is read.
fn session_id(stream: &Stream) -> Uuid {
    let random = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, stream.client, stream.host, stream.opened.0, stream.number).hash(&mut hasher);
        hasher.finish().to_be_bytes()
    };
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&random(0));
    bytes[8..].copy_from_slice(&random(1)[..2]);
    Builder::from_unix_timestamp_millis(stream.opened.0 / 1_000_000, &bytes).into_uuid()
}
