//! What a bridge did, as a capture keeps it.

use parser::Timestamp;
use parser::session::{BridgeBlock, BridgeCut, BridgeFacts, BridgeLeg, BridgeOutcome, BridgeReason, Peer};
use parser::wire::{AlertDescription, CipherSuite, NamedGroup, TlsVersion};
use serde::{Deserialize, Serialize};

/// See [`BridgeFacts`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Bridge {
    reason: Reason,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Leg>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Leg>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_with: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<Cut>,
}

/// See [`BridgeCut`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Cut {
    leg: Side,
    alert: Option<u8>,
    words: String,
    /// In nanoseconds since the Unix epoch.
    at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    Always,
    Profile,
    Rescue,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Carried,
    /// By what, and for a build without the legacy leg which of both legs needs it.
    Blocked(String, Option<Side>),
    FailedBefore(Box<Outcome>),
    HostUntrusted(String),
    LegFailed {
        leg: Side,
        alert: Option<u8>,
        words: String,
        exhausted: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    Client,
    Host,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Leg {
    version: u16,
    suite: u16,
    group: Option<u16>,
    resumed: bool,
    library: Library,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Library {
    Rustls,
    Openssl,
}

impl Bridge {
    pub(super) fn of(facts: &BridgeFacts) -> Bridge {
        let reason = match facts.reason {
            BridgeReason::Always => Reason::Always,
            BridgeReason::Profile => Reason::Profile,
            BridgeReason::Rescue => Reason::Rescue,
        };
        Bridge {
            reason,
            outcome: Outcome::of(&facts.outcome),
            client: facts.client.map(Leg::of),
            host: facts.host.map(Leg::of),
            refused_with: facts.refused_with.map(|alert| alert.0),
            cut: facts.cut.as_ref().map(|cut| Cut {
                leg: Side::of(cut.leg),
                alert: cut.alert.map(|alert| alert.0),
                words: cut.words.clone(),
                at: cut.at.0,
            }),
        }
    }

    /// `None`: a name of a later version.
    pub(super) fn meant(&self) -> Option<BridgeFacts> {
        let reason = match self.reason {
            Reason::Always => BridgeReason::Always,
            Reason::Profile => BridgeReason::Profile,
            Reason::Rescue => BridgeReason::Rescue,
        };
        Some(BridgeFacts {
            reason,
            outcome: self.outcome.meant()?,
            client: self.client.map(Leg::meant),
            host: self.host.map(Leg::meant),
            refused_with: self.refused_with.map(AlertDescription),
            cut: self.cut.as_ref().map(|cut| BridgeCut {
                leg: cut.leg.peer(),
                alert: cut.alert.map(AlertDescription),
                words: cut.words.clone(),
                at: Timestamp(cut.at),
            }),
        })
    }
}

impl Outcome {
    fn of(outcome: &BridgeOutcome) -> Outcome {
        match outcome {
            BridgeOutcome::Carried => Outcome::Carried,
            BridgeOutcome::Blocked(by) => {
                let leg = if let BridgeBlock::LegacyBuild(peer) = by { Some(Side::of(*peer)) } else { None };
                Outcome::Blocked(by.name().to_owned(), leg)
            }
            BridgeOutcome::FailedBefore(before) => Outcome::FailedBefore(Box::new(Outcome::of(before))),
            BridgeOutcome::HostUntrusted(words) => Outcome::HostUntrusted(words.clone()),
            BridgeOutcome::LegFailed { leg, alert, words, exhausted } => Outcome::LegFailed {
                leg: Side::of(*leg),
                alert: alert.map(|alert| alert.0),
                words: words.clone(),
                exhausted: *exhausted,
            },
        }
    }

    fn meant(&self) -> Option<BridgeOutcome> {
        Some(match self {
            Outcome::Carried => BridgeOutcome::Carried,
            // Captures that do not tell how.
            Outcome::Blocked(by, _) if by == "failed_before" => {
                let words = "it is not recorded how".to_owned();
                let leg = BridgeOutcome::LegFailed { leg: Peer::Host, alert: None, words, exhausted: false };
                BridgeOutcome::FailedBefore(Box::new(leg))
            }
            Outcome::Blocked(by, leg) => BridgeOutcome::Blocked(block(by, *leg)?),
            Outcome::FailedBefore(before) => BridgeOutcome::FailedBefore(Box::new(before.meant()?)),
            Outcome::HostUntrusted(words) => BridgeOutcome::HostUntrusted(words.clone()),
            Outcome::LegFailed { leg, alert, words, exhausted } => BridgeOutcome::LegFailed {
                leg: leg.peer(),
                alert: alert.map(AlertDescription),
                words: words.clone(),
                exhausted: *exhausted,
            },
        })
    }
}

fn block(name: &str, leg: Option<Side>) -> Option<BridgeBlock> {
    let plain = [
        BridgeBlock::Nla,
        BridgeBlock::Rdstls,
        BridgeBlock::Entra,
        BridgeBlock::RemoteCredentialGuard,
        BridgeBlock::Gateway,
        BridgeBlock::ClientWindow,
    ];
    let of_build = leg.map(|leg| BridgeBlock::LegacyBuild(leg.peer()));
    plain.into_iter().chain(of_build).find(|block| block.name() == name)
}

impl Side {
    fn of(peer: Peer) -> Side {
        match peer {
            Peer::Client => Side::Client,
            Peer::Host => Side::Host,
        }
    }

    fn peer(self) -> Peer {
        match self {
            Side::Client => Peer::Client,
            Side::Host => Peer::Host,
        }
    }
}

impl Leg {
    fn of(leg: BridgeLeg) -> Leg {
        let library = if leg.library == "openssl" { Library::Openssl } else { Library::Rustls };
        let BridgeLeg { version, suite, group, resumed, .. } = leg;
        Leg { version: version.0, suite: suite.0, group: group.map(|group| group.0), resumed, library }
    }

    fn meant(self) -> BridgeLeg {
        BridgeLeg {
            version: TlsVersion(self.version),
            suite: CipherSuite(self.suite),
            group: self.group.map(NamedGroup),
            resumed: self.resumed,
            library: match self.library {
                Library::Rustls => "rustls",
                Library::Openssl => "openssl",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_bridge_did_comes_back_as_it_was() {
        let leg = BridgeLeg {
            version: TlsVersion::TLS10,
            suite: CipherSuite(0xc014),
            group: Some(NamedGroup::X25519),
            resumed: true,
            library: "openssl",
        };
        let failed = |leg, alert| {
            let words = "no answer".to_owned();
            BridgeOutcome::LegFailed { leg, alert, words, exhausted: true }
        };
        let blocks = [BridgeBlock::Nla, BridgeBlock::LegacyBuild(Peer::Client), BridgeBlock::LegacyBuild(Peer::Host)];
        let untrusted = BridgeOutcome::HostUntrusted("sha256:00".to_owned());
        let outcomes = [
            BridgeOutcome::Carried,
            BridgeOutcome::FailedBefore(Box::new(untrusted.clone())),
            untrusted,
            failed(Peer::Host, Some(AlertDescription(40))),
            failed(Peer::Client, None),
        ];
        for outcome in outcomes.into_iter().chain(blocks.map(BridgeOutcome::Blocked)) {
            for reason in [BridgeReason::Always, BridgeReason::Profile, BridgeReason::Rescue] {
                let facts = BridgeFacts {
                    reason,
                    outcome: outcome.clone(),
                    client: None,
                    host: Some(leg),
                    refused_with: Some(AlertDescription(70)),
                    cut: Some(BridgeCut {
                        leg: Peer::Client,
                        alert: Some(AlertDescription(80)),
                        words: "the peer sent the alert".to_owned(),
                        at: Timestamp(1_764_000_000_123_456_789),
                    }),
                };
                let text = serde_json::to_string(&Bridge::of(&facts)).expect("text");
                let read: Bridge = serde_json::from_str(&text).expect("read");
                assert_eq!(read.meant(), Some(facts), "{text}");
            }
        }
        let before = r#"{"reason":"rescue","outcome":{"blocked":["failed_before",null]}}"#;
        let before = serde_json::from_str::<Bridge>(before).expect("read").meant().expect("known");
        assert!(matches!(before.outcome, BridgeOutcome::FailedBefore(_)), "{before:?}");
        let later = r#"{"reason":"always","outcome":{"blocked":["something new",null]}}"#;
        assert_eq!(serde_json::from_str::<Bridge>(later).expect("read").meant(), None);
    }
}
