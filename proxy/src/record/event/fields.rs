//! The objects of an event, apart from `tls`.

use super::Attempt;
use super::probe::{Change, Probe};
use super::said::Said;
use serde::Serialize;
use std::collections::BTreeMap;
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
pub(super) struct Host {
    pub(super) address: String,
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
    pub(super) community_id: String,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Rdp {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) requested_protocols: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) selected_protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) negotiation: Option<Negotiation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cookie: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) routing_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) correlation_id: Option<Uuid>,
    #[serde(flatten)]
    pub(super) said: Option<Box<Said>>,
    pub(super) tracking: &'static str,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Negotiation {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) flags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure_name: Option<&'static str>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Rdpscope {
    pub(super) schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) listener: Option<String>,
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) evidence: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) alternatives: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) remedy: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) missing: Option<Listed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) smallest_change: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) close: Option<Close>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) predicted: Option<Predicted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempt: Option<Attempt>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) stages_ms: BTreeMap<&'static str, f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tcp: Option<Connection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<Waiting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) capture: Option<Capture>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) probe: Option<Probe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rejected: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) suppressed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) live: Option<usize>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Listed {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) client: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) host: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Capture {
    pub(super) path: String,
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
