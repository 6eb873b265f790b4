//! The objects of an event, apart from `tls`.

use super::Attempt;
use super::bridge::Bridge;
use super::probe::{Change, Probe};
use super::said::Said;
use crate::record::CommunityId;
use parser::Timestamp;
use parser::session::PhaseLog;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::borrow::Cow;
use std::net::IpAddr;
use uuid::Uuid;

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct EventFields {
    pub(super) action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<&'static str>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct SessionId {
    pub(super) id: Uuid,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Address {
    pub(super) ip: IpAddr,
    pub(super) port: u16,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Host<'a> {
    pub(super) address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<u16>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Bytes {
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Network {
    pub(super) transport: &'static str,
    pub(super) protocol: &'static str,
    pub(super) community_id: CommunityId,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Rdp<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) requested_protocols: Vec<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) selected_protocol: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) negotiation: Option<Negotiation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cookie: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) routing_token: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) correlation_id: Option<Uuid>,
    #[serde(flatten)]
    pub(super) said: Option<Box<Said>>,
    pub(super) tracking: &'static str,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Negotiation {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) flags: Vec<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure_name: Option<&'static str>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Rdpscope<'a> {
    pub(super) schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) listener: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) phase: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) side: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confidence: Option<&'static str>,
    #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
    pub(super) is_final: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) evidence: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) alternatives: Vec<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) remedy: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) missing: Option<Listed<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) smallest_change: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) close: Option<Close>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) predicted: Option<Predicted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempt: Option<Attempt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stages_ms: Option<Stages<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tcp: Option<Connection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bridge: Option<Bridge>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<Waiting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) capture: Option<Capture<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) probe: Option<Probe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<Change<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rejected: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) suppressed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) live: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) other_leg: Option<OtherLeg>,
}

/// The other half of a connection through a gateway, when one capture holds both.
#[derive(Clone, Debug, Serialize)]
pub struct OtherLeg {
    /// `gateway` or `host`: the end that it leads to.
    pub of: &'static str,
    /// Its number in the capture.
    pub stream: u64,
    /// Its session id.
    pub session: Uuid,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Listed<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) client: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) host: &'a [String],
}

/// How long each phase lasted that was entered, in milliseconds, in the order of a session's life.
#[derive(Clone, Debug)]
pub(super) struct Stages<'a> {
    pub(super) phases: &'a PhaseLog,
    pub(super) end: Timestamp,
}

impl Serialize for Stages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (phase, from, to) in self.phases.spans(self.end) {
            map.serialize_entry(phase.name(), &super::milliseconds(to.since(from)))?;
        }
        map.end()
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Capture<'a> {
    pub(super) path: Cow<'a, str>,
    /// Who has the file can read TLS in it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) secrets: bool,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Close {
    pub(super) first: &'static str,
    pub(super) kind: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Predicted {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) mstsc: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) mstsc_direct: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) schannel: &'static [u16],
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Connection {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<Leg>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<Leg>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Leg {
    pub(super) rtt_us: u32,
    pub(super) retransmits: u32,
    pub(super) lost: u32,
    pub(super) mss: u32,
}

/// How long a live session has been where it is, and since when each side is silent. Absent: it never said anything.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Waiting {
    pub(super) phase_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_silent_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host_silent_ms: Option<f64>,
}
