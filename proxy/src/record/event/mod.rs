//! The session event: one JSON object per line, ECS names where ECS has them, absent fields left out.
//!
//! The entry points are [`Event::ended`], [`Event::started`], [`Event::phase`] and [`Event::of_proxy`].

mod bridge;
mod fields;
mod probe;
mod rdp;
mod said;
mod tls;

pub use fields::OtherLeg;
pub(super) use tls::{LIST, group, scheme, suite, version};

use super::capture::is_wanted;
use super::{Names, SessionIdentity, SessionRecord, Stamp, community_id};
use fields::{
    Address, Bytes, Capture, Close, Connection, EventFields, Host, Leg, Listed, Network, Predicted, Rdp, Rdpscope,
    SessionId, Stages, Waiting,
};
use parser::Timestamp;
use parser::diagnosis::{Cause, Verdict};
use parser::profile::HostProfile;
use parser::session::{Opening, PerPeer, Phase, TcpFacts, Timeline, Upstream};
use serde::Serialize;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// `rdpscope.schema`.
pub const SCHEMA: &str = "1";

/// `event.action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A connection was accepted.
    SessionStart,
    /// It entered a phase, or is still in it.
    SessionPhase,
    /// It is over.
    SessionEnd,
    /// What we say of it has changed.
    Verdict,
    /// A host was asked what it accepts.
    Probe,
    /// A host accepts something else than before.
    HostChanged,
    /// The configuration was read again.
    Reload,
    /// The proxy stops.
    Drain,
}

impl Action {
    /// The name in `event.action`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Action::SessionStart => "session_start",
            Action::SessionPhase => "session_phase",
            Action::SessionEnd => "session_end",
            Action::Verdict => "verdict",
            Action::Probe => "probe",
            Action::HostChanged => "host_changed",
            Action::Reload => "reload",
            Action::Drain => "drain",
        }
    }
}

/// `rdpscope.attempt`: which connections of one client belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// The attempt, named after its first session.
    pub id: Uuid,
    /// Which connection of the attempt this is, from 1.
    pub number: u32,
    /// The connection before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_session: Option<Uuid>,
}

/// What is told of an end beside its record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Where it stands among the connections of its client.
    pub attempt: Option<Attempt>,
    /// No `verdict` event will follow.
    pub is_final: bool,
    /// What the host accepts, when the verdict rests on it.
    pub profile: Option<Arc<HostProfile>>,
}

/// What is told of a connection of a capture beside its record.
#[derive(Clone, Debug)]
pub struct Captured<'a> {
    /// Its number in the capture, from 0.
    pub stream: u64,
    /// The file, as it was named.
    pub file: &'a str,
    /// Where it stands among the connections of its client.
    pub attempt: Attempt,
    /// The other half, when it is one of two through a gateway.
    pub other_leg: Option<OtherLeg>,
    /// Nothing more will be told of it.
    pub is_final: bool,
    /// It was told before, with another verdict.
    pub revised: bool,
}

/// One event, borrowed from what it tells of. Serialize it with [`Event::line`].
#[derive(Clone, Debug, Default, Serialize)]
pub struct Event<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: Stamp,
    event: EventFields,
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Host<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Network>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rdp: Option<Rdp<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<tls::Tls<'a>>,
    rdpscope: Rdpscope<'a>,
}

impl<'a> Event<'a> {
    /// A connection is over (`session_end`), or what we say of it has changed (`verdict`).
    #[must_use]
    pub fn ended(action: Action, record: &'a SessionRecord, at: Timestamp, names: &Names, told: &'a Told) -> Event<'a> {
        let (identity, verdict) = (&*record.identity, &record.verdict);
        let mut event = Event::seen(action, identity, &record.timeline, record.ended, names);
        event.timestamp = Stamp(at);
        event.event.outcome = Some(verdict.outcome().name());
        event.event.code = Some(verdict.cause.id());
        event.event.duration = Some(nanoseconds(record.ended.since(identity.accepted)));
        event.message = Cow::Borrowed(&verdict.message);
        event.rdpscope.say(verdict);
        // A session that turned out to be no failure keeps no file.
        let capture = record.capture.as_ref().filter(|_| is_wanted(verdict.cause));
        event.rdpscope.capture = capture.map(|file| Capture { path: file.to_string_lossy(), secrets: file.secrets });
        event.rdpscope.attempt = told.attempt;
        event.rdpscope.is_final = Some(told.is_final);
        if let Some(profile) = &told.profile {
            event.learn(profile, at);
        }
        event
    }

    /// A connection of a capture is over, or what we say of it has changed.
    #[must_use]
    pub fn captured(record: &'a SessionRecord, found: Captured<'a>, names: &Names) -> Event<'a> {
        static NOTHING: Told = Told { attempt: None, is_final: false, profile: None };
        let action = if found.revised { Action::Verdict } else { Action::SessionEnd };
        let mut event = Event::ended(action, record, record.ended, names, &NOTHING);
        event.rdpscope.attempt = Some(found.attempt);
        event.rdpscope.is_final = Some(found.is_final);
        event.rdpscope.stream = Some(found.stream);
        event.rdpscope.file = Some(found.file);
        event.rdpscope.other_leg = found.other_leg;
        event
    }

    /// A connection was accepted.
    #[must_use]
    pub fn started(identity: &'a SessionIdentity) -> Event<'a> {
        let mut event = Event::about(Action::SessionStart, identity, None, identity.accepted);
        event.rdpscope.phase = Some(Phase::Accept.name());
        event.message =
            format!("connection from {} for {}", identity.client.ip().to_canonical(), identity.upstream).into();
        event
    }

    /// A connection entered a phase at `entered`, or is still in it `at` a later time.
    #[must_use]
    pub fn phase(
        identity: &'a SessionIdentity,
        phase: Phase,
        entered: Timestamp,
        at: Timestamp,
        last: Silence,
    ) -> Event<'a> {
        let mut event = Event::about(Action::SessionPhase, identity, None, at);
        let waiting = at.since(entered);
        event.event.duration = Some(nanoseconds(at.since(identity.accepted)));
        event.rdpscope.phase = Some(phase.name());
        event.rdpscope.waiting = Some(Waiting {
            phase_ms: milliseconds(waiting),
            client_silent_ms: last.client.map(|last| milliseconds(at.since(last))),
            host_silent_ms: last.host.map(|last| milliseconds(at.since(last))),
        });
        let message = if waiting < Duration::from_secs(1) {
            format!("entered {phase}")
        } else {
            let of = |name, last: Option<Timestamp>| match last {
                Some(last) => format!("last byte of the {name} {:.1} s ago", at.since(last).as_secs_f64()),
                None => format!("no byte of the {name} yet"),
            };
            let (client, host) = (of("client", last.client), of("host", last.host));
            format!("in {phase} for {:.1} s; {client}, {host}", waiting.as_secs_f64())
        };
        event.message = message.into();
        event
    }

    /// A connection was refused by a limit of ours. `suppressed` counts the refusals since the last event that had none.
    #[must_use]
    pub fn rejected(
        identity: &'a SessionIdentity,
        cause: Cause,
        reason: &'static str,
        message: &'a str,
        suppressed: u64,
    ) -> Event<'a> {
        let mut event = Event::about(Action::SessionEnd, identity, None, identity.accepted);
        event.event.outcome = Some(cause.outcome().name());
        event.event.code = Some(cause.id());
        event.event.duration = Some(0);
        event.message = message.into();
        event.rdpscope.phase = Some(Phase::Accept.name());
        event.rdpscope.side = Some(parser::diagnosis::Side::Proxy.name());
        event.rdpscope.confidence = Some(parser::diagnosis::Confidence::Proven.name());
        event.rdpscope.close = Some(Close { first: "proxy", kind: "rst" });
        event.rdpscope.rejected = Some(reason);
        event.rdpscope.suppressed = Some(suppressed);
        event.rdpscope.is_final = Some(true);
        event
    }

    /// Something the proxy itself did (`reload`, `drain`). `live` is how many sessions went on, where that matters.
    #[must_use]
    pub fn of_proxy(action: Action, at: Timestamp, success: bool, message: String, live: Option<usize>) -> Event<'a> {
        let outcome = Some(if success { "success" } else { "failure" });
        Event {
            timestamp: Stamp(at),
            event: EventFields { action: action.name(), outcome, ..EventFields::default() },
            message: message.into(),
            rdpscope: Rdpscope { schema: SCHEMA, live, ..Rdpscope::default() },
            ..Event::default()
        }
    }

    /// All that is known of a live connection, without a verdict.
    pub(crate) fn live(
        identity: &'a SessionIdentity,
        timeline: &'a Timeline,
        at: Timestamp,
        names: &Names,
    ) -> Event<'a> {
        let mut event = Event::seen(Action::SessionPhase, identity, timeline, at, names);
        event.event.duration = Some(nanoseconds(at.since(identity.accepted)));
        event.message = format!("live, in {}", timeline.phase()).into();
        event
    }

    /// The one line for a person.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The event as one line, line feed included.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(4096);
        self.write(&mut line);
        line
    }

    /// Puts the event at the end of `lines`, as one line with its line feed.
    pub(crate) fn write(&self, lines: &mut Vec<u8>) {
        let begin = lines.len();
        // Strings, numbers and maps with string keys: there is nothing that serde_json could refuse.
        if serde_json::to_writer(&mut *lines, self).is_err() {
            lines.truncate(begin);
        }
        lines.push(b'\n');
    }

    /// What every event of a connection has; `connected` is the host's address, once there is one.
    fn about(action: Action, identity: &'a SessionIdentity, connected: Option<SocketAddr>, at: Timestamp) -> Event<'a> {
        Event {
            timestamp: Stamp(at),
            event: EventFields { action: action.name(), ..EventFields::default() },
            session: Some(SessionId { id: identity.id }),
            client: Some(address(identity.client)),
            server: Some(host(&identity.upstream, connected)),
            network: Some(Network {
                transport: "tcp",
                protocol: "unknown",
                community_id: community_id(identity.client, identity.local),
            }),
            rdpscope: Rdpscope {
                listener: (!identity.listener.is_empty()).then_some(&*identity.listener),
                schema: SCHEMA,
                ..Rdpscope::default()
            },
            ..Event::default()
        }
    }

    /// The same with what was seen of it until `at`.
    fn seen(
        action: Action,
        identity: &'a SessionIdentity,
        timeline: &'a Timeline,
        at: Timestamp,
        names: &Names,
    ) -> Event<'a> {
        let mut event = Event::about(action, identity, connected(&timeline.upstream), at);
        event.source = Some(Bytes { bytes: timeline.traffic.client.bytes });
        event.destination = Some(Bytes { bytes: timeline.traffic.host.bytes });
        if let Some(network) = &mut event.network {
            network.protocol = protocol(timeline.opening);
        }
        event.rdp = Some(rdp::rdp(timeline, names));
        event.tls = tls::Tls::of(timeline);
        event.rdpscope.phase = Some(timeline.phase().name());
        event.rdpscope.close =
            timeline.first_close().map(|close| Close { first: close.by.name(), kind: close.kind.name() });
        event.rdpscope.stages_ms = Some(Stages { phases: &timeline.phases, end: at });
        event.rdpscope.tcp = legs(timeline.tcp);
        event.rdpscope.bridge = timeline.bridge.as_deref().map(bridge::Bridge::of);
        event
    }
}

/// When each side's last byte came.
pub type Silence = PerPeer<Option<Timestamp>>;

impl<'a> Rdpscope<'a> {
    fn say(&mut self, verdict: &'a Verdict) {
        self.phase = Some(verdict.phase.name());
        self.side = Some(verdict.side.name());
        self.confidence = Some(verdict.confidence.name());
        self.evidence = &verdict.evidence;
        self.alternatives = verdict.alternatives.iter().map(|cause| cause.id()).collect();
        self.remedy = &verdict.remedy;
        let missing = &verdict.missing;
        if !(missing.client.is_empty() && missing.host.is_empty()) {
            self.missing = Some(Listed { client: &missing.client, host: &missing.host });
        }
        self.smallest_change = &verdict.smallest_change;
        self.end = verdict.end.map(|end| end.name());
        let predicted = verdict.cause.entry().predicted;
        let nothing = predicted.mstsc.is_empty() && predicted.mstsc_direct.is_empty() && predicted.schannel.is_empty();
        self.predicted = (!nothing).then_some(Predicted {
            mstsc: predicted.mstsc,
            mstsc_direct: predicted.mstsc_direct,
            schannel: predicted.schannel,
        });
    }
}

fn address(address: SocketAddr) -> Address {
    Address { ip: address.ip().to_canonical(), port: address.port() }
}

/// `label` is `host:port`; an IPv6 address stands in brackets there.
fn host(label: &str, connected: Option<SocketAddr>) -> Host<'_> {
    let (name, port) = label.rsplit_once(':').unwrap_or((label, ""));
    let name = name.trim_start_matches('[').trim_end_matches(']');
    Host {
        address: name,
        ip: connected.map(|c| c.ip().to_canonical()).or_else(|| name.parse().ok()),
        port: connected.map(|c| c.port()).or_else(|| port.parse().ok()),
    }
}

fn connected(upstream: &Upstream) -> Option<SocketAddr> {
    match upstream {
        Upstream::Connecting(address) | Upstream::Connected(address) | Upstream::ConnectFailed { address, .. } => {
            Some(*address)
        }
        Upstream::Unknown | Upstream::Resolving | Upstream::ResolveFailed { .. } => None,
    }
}

fn protocol(opening: Opening) -> &'static str {
    match opening {
        Opening::X224 => "rdp",
        Opening::TlsFirst | Opening::GatewayHttp => "rdg",
        Opening::Unknown | Opening::NotRdp => "unknown",
    }
}

fn legs(tcp: PerPeer<Option<TcpFacts>>) -> Option<Connection> {
    let leg = |facts: TcpFacts| Leg {
        rtt_us: facts.rtt_us,
        retransmits: facts.retransmits,
        lost: facts.lost,
        mss: facts.mss,
    };
    (tcp.client.is_some() || tcp.host.is_some())
        .then(|| Connection { client: tcp.client.map(leg), host: tcp.host.map(leg) })
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Milliseconds to the microsecond.
pub(super) fn milliseconds(span: Duration) -> f64 {
    // Times are 64 bits of nanoseconds, so nothing is cut; a float of 128 bits is made by hand, bit by bit.
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX) as f64 / 1000.0
}

#[cfg(test)]
mod tests;
