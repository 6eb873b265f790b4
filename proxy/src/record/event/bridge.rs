//! `rdpscope.bridge`: what the bridge did with a connection that it had to do with.

use parser::session::{BridgeBlock, BridgeFacts, BridgeLeg, BridgeOutcome, BridgeReason};
use serde::Serialize;

/// Both legs, or why there are none.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Bridge {
    mode: &'static str,
    result: &'static str,
    rescued: bool,
    /// Why it stood aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_cipher: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_library: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_cipher: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_library: Option<&'static str>,
    /// Which leg's TLS ended a session that was carried, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_leg: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_reason: Option<String>,
    /// Legs below TLS 1.2, or without forward secrecy or AEAD.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    weak: Vec<&'static str>,
}

impl Bridge {
    pub(super) fn of(facts: &BridgeFacts) -> Bridge {
        let carried = facts.outcome == BridgeOutcome::Carried;
        let version = |leg: Option<BridgeLeg>| {
            leg.map(|leg| leg.version.name().map_or_else(|| leg.version.to_string(), str::to_owned))
        };
        let cipher = |leg: Option<BridgeLeg>| {
            leg.map(|leg| leg.suite.name().map_or_else(|| leg.suite.to_string(), str::to_owned))
        };
        let weak = [("client", facts.client), ("host", facts.host)];
        Bridge {
            mode: facts.reason.mode(),
            result: facts.outcome.name(),
            rescued: carried && facts.reason == BridgeReason::Rescue,
            blocked: match &facts.outcome {
                BridgeOutcome::Blocked(by) => Some(BridgeBlock::name(*by)),
                BridgeOutcome::FailedBefore(_) => Some("failed_before"),
                _ => None,
            },
            client_version: version(facts.client),
            client_cipher: cipher(facts.client),
            client_library: facts.client.map(|leg| leg.library),
            host_version: version(facts.host),
            host_cipher: cipher(facts.host),
            host_library: facts.host.map(|leg| leg.library),
            cut_leg: facts.cut.as_ref().map(|cut| cut.leg.name()),
            cut_reason: facts.cut.as_ref().map(|cut| cut.words.clone()),
            weak: weak
                .into_iter()
                .filter(|(_, leg)| leg.is_some_and(|leg| leg.is_weak()))
                .map(|(name, _)| name)
                .collect(),
        }
    }
}
