//! What the packets of a capture of ours do not show, as one line of JSON in a comment of its section: who gave up
//! waiting, how the way to the host was found, what the kernel knew. With it, and the bytes, whoever reads the file
//! comes to the verdict that the proxy came to.

mod bridge;

use super::pcapng;
use super::tape::{Happened, Passed, Stopped};
use crate::probe::Target;
use crate::probe::store::{self, read_written};
use crate::record::SessionRecord;
use parser::Timestamp;
use parser::diagnosis::Verdict;
use parser::profile::HostProfile;
use parser::session::{
    Awaiting, BridgeFacts, CloseKind, Closer, ConnectFailure, Opening, Peer, PerPeer, ProxyAct, ResolveFailure,
    TcpFacts, Timeline, Upstream,
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// What begins the comment.
pub(crate) const WORD: &str = "rdpscope: ";
/// Version of what follows. A reader takes what it knows.
const FORMAT: u32 = 1;
/// The same of a session whose legs carried each its own: what the host said to the client is on the client's leg.
const FORMAT_APART: u32 = 2;

/// One session. Times are in nanoseconds since 1970, UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) format: u32,
    pub(crate) session: Uuid,
    pub(crate) listener: String,
    pub(crate) upstream: String,
    /// The client's leg: its address and ours.
    pub(crate) client: [SocketAddr; 2],
    pub(crate) accepted: u64,
    pub(crate) ended: Option<u64>,
    /// What is no packet, in order.
    pub(crate) steps: Vec<Step>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) act: Option<Act>,
    pub(crate) tcp: Legs,
    /// Bytes that each side sent, those that are not in the file included.
    pub(crate) carried: [u64; 2],
    /// Bytes of each side that are in the file.
    pub(crate) kept: [u64; 2],
    /// Why not all are: `full`, or `unread`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stopped: Option<String>,
    pub(crate) verdict: Option<Told>,
    /// What a bridge did.
    #[serde(skip_serializing_if = "Option::is_none")]
    bridge: Option<bridge::Bridge>,
    /// What the host was found to accept, when the verdict rests on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<serde_json::Value>,
}

/// Something that happened after so many bytes of the client and of the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) after: [u64; 2],
    pub(crate) at: u64,
    #[serde(flatten)]
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Resolving {},
    Connecting(SocketAddr),
    Connected(SocketAddr),
    NotResolved { failure: String, detail: String },
    NotConnected { address: SocketAddr, failure: String, errno: i32, tried: u16 },
    Closed { by: String, how: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    TimedOut(String),
    Shutdown,
    Limit,
    ProxyHeader,
    Target,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Legs {
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Tcp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Tcp>,
}

/// `TCP_INFO`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tcp {
    rtt_us: u32,
    rtt_var_us: u32,
    retransmits: u32,
    lost: u32,
    unacked: u32,
    mss: u32,
    backoff: u8,
    pmtu: u32,
    last_data_received_ms: u32,
}

/// The verdict of the proxy, for who reads the file without us.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) cause: String,
    pub(crate) side: String,
    pub(crate) phase: String,
    pub(crate) confidence: String,
    /// What the verdict rests on, where the proxy has read what is sealed in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) inside: Option<Inside>,
}

/// A verdict that rests on what was inside of TLS on both legs of a bridge: codes, lengths and flags.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Inside {
    pub(crate) message: String,
    pub(crate) evidence: Vec<String>,
    pub(crate) alternatives: Vec<String>,
    pub(crate) remedy: Vec<String>,
}

impl Facts {
    /// Of a session that is over, or of one that goes on.
    pub(crate) fn of(record: &SessionRecord, passed: &Passed, over: bool, profile: Option<&Arc<HostProfile>>) -> Facts {
        let (identity, timeline, verdict) = (&*record.identity, &record.timeline, &record.verdict);
        let lengths = passed.lengths();
        let pair = |of: PerPeer<u64>| [of.client, of.host];
        let carried = passed.carried(super::unseen(timeline, passed)).client_leg;
        Facts {
            format: if passed.is_apart() { FORMAT_APART } else { FORMAT },
            session: identity.id,
            listener: identity.listener.to_string(),
            upstream: identity.upstream.to_string(),
            client: [identity.client, identity.local],
            accepted: identity.accepted.0,
            ended: over.then_some(record.ended.0),
            steps: steps(timeline, passed),
            act: timeline.proxy_act.map(act),
            tcp: Legs { client: timeline.tcp.client.map(tcp), host: timeline.tcp.host.map(tcp) },
            carried: pair(carried),
            kept: pair(lengths),
            stopped: passed.stopped.and_then(Stopped::name).map(str::to_owned),
            verdict: over.then(|| Told::of(verdict, timeline)),
            bridge: timeline.bridge.as_deref().map(bridge::Bridge::of),
            profile: profile.and_then(|profile| written(timeline, profile)),
        }
    }

    /// The same with what the session comes to now.
    pub(crate) fn judged(self, record: &SessionRecord, profile: Option<&Arc<HostProfile>>) -> Facts {
        let profile = profile.and_then(|profile| written(&record.timeline, profile));
        Facts { verdict: Some(Told::of(&record.verdict, &record.timeline)), profile, ..self }
    }

    /// What the host was found to accept.
    pub(crate) fn profile(&self) -> Option<Arc<HostProfile>> {
        self.profile.clone().and_then(read_written)
    }

    /// Each leg carried its own.
    pub(crate) fn is_apart(&self) -> bool {
        self.format == FORMAT_APART
    }

    /// What a bridge did.
    pub(crate) fn bridge(&self) -> Option<BridgeFacts> {
        self.bridge.as_ref()?.meant()
    }

    /// Why bytes are missing.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        [Stopped::Full, Stopped::Unread].into_iter().find(|why| why.name() == self.stopped.as_deref())
    }

    /// As a comment.
    pub(crate) fn comment(&self) -> String {
        // Numbers, strings and addresses: there is nothing that serde_json could refuse.
        let comment = format!("{WORD}{}", serde_json::to_string(self).unwrap_or_default());
        match &self.profile {
            // A certificate may be as long as its host likes; half a line could not be read at all.
            Some(_) if comment.len() > pcapng::LONGEST => Facts { profile: None, ..self.clone() }.comment(),
            _ => comment,
        }
    }

    /// Out of a comment; `None` when it is another one, or of a version that cannot be read.
    pub(crate) fn read(comment: &str) -> Option<Facts> {
        let facts: Facts = serde_json::from_str(comment.strip_prefix(WORD)?).ok()?;
        [FORMAT, FORMAT_APART].contains(&facts.format).then_some(facts)
    }
}

fn written(timeline: &Timeline, profile: &Arc<HostProfile>) -> Option<serde_json::Value> {
    let address = match timeline.upstream {
        Upstream::Connecting(address) | Upstream::Connected(address) | Upstream::ConnectFailed { address, .. } => {
            address
        }
        _ => return None,
    };
    store::written(Target { address, tls_first: timeline.opening == Opening::TlsFirst }, profile)
}

impl Told {
    fn of(verdict: &Verdict, timeline: &Timeline) -> Told {
        let inside = || Inside {
            message: verdict.message.clone(),
            evidence: verdict.evidence.clone(),
            alternatives: verdict.alternatives.iter().map(|cause| cause.id().to_owned()).collect(),
            remedy: verdict.remedy.clone(),
        };
        Told {
            inside: timeline.plaintext.map(|_| inside()),
            cause: verdict.cause.id().to_owned(),
            side: verdict.side.name().to_owned(),
            phase: verdict.phase.name().to_owned(),
            confidence: verdict.confidence.name().to_owned(),
        }
    }
}

fn steps(timeline: &Timeline, passed: &Passed) -> Vec<Step> {
    let mut after = [0u64; 2];
    let mut steps = Vec::new();
    for (mark, bytes) in passed.events() {
        let address = |number: u8| passed.addresses.get(usize::from(number)).copied();
        let what = match mark.what {
            Happened::Data(..) | Happened::Read(..) | Happened::Sent(..) => {
                // By what crossed the client's leg.
                let crossed = mark.what.crosses().into_iter().flatten().find(|(leg, _)| *leg == Peer::Client);
                if let Some((_, side)) = crossed {
                    after[usize::from(side == Peer::Host)] += bytes.len() as u64;
                }
                None
            }
            // Nobody outside of the bridge saw it.
            Happened::Host(_) | Happened::HostEnded(_) | Happened::HungUp(_) => None,
            Happened::Resolving => Some(What::Resolving {}),
            Happened::Connecting(number) => address(number).map(What::Connecting),
            Happened::Connected => match timeline.upstream {
                Upstream::Connected(address) => Some(What::Connected(address)),
                _ => None,
            },
            Happened::Failed => failed(&timeline.upstream),
            Happened::Closed(by, kind) => Some(What::Closed { by: by.name().to_owned(), how: kind.name().to_owned() }),
        };
        steps.extend(what.map(|what| Step { after, at: mark.at.0, what }));
    }
    steps
}

fn failed(upstream: &Upstream) -> Option<What> {
    match upstream {
        Upstream::ResolveFailed { failure, detail } => {
            let (name, _) = RESOLVE.iter().find(|(_, kind)| kind == failure)?;
            Some(What::NotResolved { failure: (*name).to_owned(), detail: detail.clone() })
        }
        Upstream::ConnectFailed { address, failure, errno, tried } => {
            let (name, _) = CONNECT.iter().find(|(_, kind)| kind == failure)?;
            let failure = (*name).to_owned();
            Some(What::NotConnected { address: *address, failure, errno: *errno, tried: *tried })
        }
        _ => None,
    }
}

const RESOLVE: [(&str, ResolveFailure); 3] = [
    ("not_found", ResolveFailure::NotFound),
    ("server_failure", ResolveFailure::ServerFailure),
    ("timeout", ResolveFailure::Timeout),
];

const CONNECT: [(&str, ConnectFailure); 6] = [
    ("refused", ConnectFailure::Refused),
    ("timeout", ConnectFailure::Timeout),
    ("unreachable", ConnectFailure::Unreachable),
    ("reset", ConnectFailure::Reset),
    ("local", ConnectFailure::Local),
    ("other", ConnectFailure::Other),
];

const AWAITING: [(&str, Awaiting); 5] = [
    ("client_request", Awaiting::ClientRequest),
    ("connection_confirm", Awaiting::ConnectionConfirm),
    ("client_hello", Awaiting::ClientHello),
    ("server_hello", Awaiting::ServerHello),
    ("nothing", Awaiting::Nothing),
];

fn named<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

fn act(act: ProxyAct) -> Act {
    match act {
        ProxyAct::TimedOut(awaiting) => {
            let name = AWAITING.iter().find(|(_, known)| *known == awaiting).map_or("nothing", |(name, _)| name);
            Act::TimedOut(name.to_owned())
        }
        ProxyAct::Shutdown => Act::Shutdown,
        ProxyAct::LimitRefused => Act::Limit,
        ProxyAct::ProxyHeaderUntrusted => Act::ProxyHeader,
        ProxyAct::TargetNotAllowed => Act::Target,
    }
}

fn tcp(facts: TcpFacts) -> Tcp {
    Tcp {
        rtt_us: facts.rtt_us,
        rtt_var_us: facts.rtt_var_us,
        retransmits: facts.retransmits,
        lost: facts.lost,
        unacked: facts.unacked,
        mss: facts.mss,
        backoff: facts.backoff,
        pmtu: facts.pmtu,
        last_data_received_ms: facts.last_data_received_ms,
    }
}

impl Act {
    /// What we did.
    pub(crate) fn meant(&self) -> Option<ProxyAct> {
        Some(match self {
            Act::TimedOut(awaiting) => ProxyAct::TimedOut(named(&AWAITING, awaiting)?),
            Act::Shutdown => ProxyAct::Shutdown,
            Act::Limit => ProxyAct::LimitRefused,
            Act::ProxyHeader => ProxyAct::ProxyHeaderUntrusted,
            Act::Target => ProxyAct::TargetNotAllowed,
        })
    }
}

impl Legs {
    /// `TCP_INFO` of both legs.
    pub(crate) fn meant(&self) -> PerPeer<Option<TcpFacts>> {
        PerPeer { client: self.client.as_ref().map(Tcp::meant), host: self.host.as_ref().map(Tcp::meant) }
    }
}

impl Tcp {
    fn meant(&self) -> TcpFacts {
        TcpFacts {
            rtt_us: self.rtt_us,
            rtt_var_us: self.rtt_var_us,
            retransmits: self.retransmits,
            lost: self.lost,
            unacked: self.unacked,
            mss: self.mss,
            backoff: self.backoff,
            pmtu: self.pmtu,
            last_data_received_ms: self.last_data_received_ms,
        }
    }
}

impl What {
    /// The step as a tracker is told of it. `None`: a name of a later version.
    pub(crate) fn meant(&self) -> Option<Meant> {
        use parser::session::UpstreamEvent as Event;
        Some(match self {
            What::Resolving {} => Meant::Upstream(Event::Resolving),
            What::Connecting(address) => Meant::Upstream(Event::Connecting(*address)),
            What::Connected(address) => Meant::Upstream(Event::Connected(*address)),
            What::NotResolved { failure, detail } => Meant::Upstream(Event::Failed(Upstream::ResolveFailed {
                failure: named(&RESOLVE, failure)?,
                detail: detail.clone(),
            })),
            What::NotConnected { address, failure, errno, tried } => {
                Meant::Upstream(Event::Failed(Upstream::ConnectFailed {
                    address: *address,
                    failure: named(&CONNECT, failure)?,
                    errno: *errno,
                    tried: *tried,
                }))
            }
            What::Closed { by, how } => {
                let by = [Closer::Client, Closer::Host, Closer::Proxy].into_iter().find(|known| known.name() == by)?;
                let all = [CloseKind::Fin, CloseKind::Rst, CloseKind::Timeout, CloseKind::Error];
                Meant::Closed(by, all.into_iter().find(|known| known.name() == how)?)
            }
        })
    }
}

/// A step as a tracker is told of it.
pub(crate) enum Meant {
    Upstream(parser::session::UpstreamEvent),
    Closed(Closer, CloseKind),
}

impl Step {
    /// When it was.
    pub(crate) fn at(&self) -> Timestamp {
        Timestamp(self.at)
    }
}
