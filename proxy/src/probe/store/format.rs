//! A host as it is written. Code points are numbers: names may change, and not every code point has one.

use super::super::Target;
use super::{Kept, Refused};
use parser::Timestamp;
use parser::profile::{
    Completeness, CredsspFacts, HostProfile, LadderChange, LadderStep, NegotiationAnswer, Reaction, VersionAbility,
};
use parser::session::{Answer, CertificateFacts, CloseKind};
use parser::wire::{
    AlertDescription, CipherSuite, FailureCode, NamedGroup, Protocols, ResponseFlags, SignatureScheme, TlsVersion,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One host.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Host {
    address: std::net::SocketAddr,
    tls_first: bool,
    upstreams: Vec<String>,
    begun: u64,
    ended: u64,
    handshakes: u16,
    extent: Extent,
    negotiation: Vec<(Option<u32>, Negotiated)>,
    versions: Vec<Version>,
    groups: Vec<u16>,
    refused_groups: Vec<u16>,
    signature_schemes: Vec<u16>,
    certificate: Option<Certificate>,
    second_certificate: Option<Certificate>,
    credssp: Option<Credssp>,
    hello_sizes: Vec<(u16, Reacted)>,
    /// Of a client's own hello: never in the file of hosts, which is about no client.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ladder: Vec<(Changed, Reacted)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Changed {
    AsSent,
    Versions(Vec<u16>),
    AllSuites,
    AllGroups,
    AllSignatureSchemes,
    OnlyRsa,
    OnlyEcdsa,
    Size(u16),
    Without13,
    Everything,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Extent {
    Whole,
    Partial(String),
    Mixed(String),
    Unreachable(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Negotiated {
    Selected { protocol: u32, flags: u8 },
    Plain,
    Failure(u32),
    Ultimatum(u8),
    Refused(u8),
    NotRdp(Vec<u8>),
    Closed(String),
    Silence,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Version {
    version: u16,
    reaction: Reacted,
    suites: Vec<u16>,
    host_order: bool,
    complete: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reacted {
    Hello { version: u16, suite: u16, group: Option<u16> },
    Retry { suite: u16, group: Option<u16> },
    Alert(u8),
    Closed(String),
    ClearDisconnect,
    NotTls,
    Silence,
    NotReached(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Certificate {
    subject: String,
    issuer: String,
    not_before: i64,
    not_after: i64,
    sha256: [u8; 32],
    alternative_names: Vec<String>,
    key_algorithm: String,
    key_bits: u32,
    signature_algorithm: String,
    extended_key_usage: Vec<String>,
    self_issued: bool,
    chain_length: u8,
    message_length: u32,
    unreadable: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Credssp {
    version: u32,
    target: Vec<(String, String)>,
    host_time: Option<u64>,
}

impl Host {
    pub(super) fn of(kept: &Kept) -> Host {
        let Kept { target, upstreams, profile } = kept;
        Host {
            address: target.address,
            tls_first: target.tls_first,
            upstreams: upstreams.iter().map(|label| label.to_string()).collect(),
            begun: profile.begun.0,
            ended: profile.ended.0,
            handshakes: profile.handshakes,
            extent: match &profile.completeness {
                Completeness::Complete => Extent::Whole,
                Completeness::Partial(why) => Extent::Partial(why.clone()),
                Completeness::Mixed(why) => Extent::Mixed(why.clone()),
                Completeness::Unreachable(why) => Extent::Unreachable(why.clone()),
            },
            negotiation: profile.negotiation.iter().map(|(mask, got)| (mask.map(|m| m.0), negotiated(got))).collect(),
            versions: profile.versions.iter().map(version).collect(),
            groups: profile.groups.iter().map(|group| group.0).collect(),
            refused_groups: profile.refused_groups.iter().map(|group| group.0).collect(),
            signature_schemes: profile.signature_schemes.iter().map(|scheme| scheme.0).collect(),
            certificate: profile.certificate.as_ref().map(certificate),
            second_certificate: profile.second_certificate.as_ref().map(certificate),
            credssp: profile.credssp.as_ref().map(|facts| Credssp {
                version: facts.version,
                target: facts.target.clone(),
                host_time: facts.host_time.map(|time| time.0),
            }),
            hello_sizes: profile.hello_sizes.iter().map(|(size, reaction)| (*size, reacted(reaction))).collect(),
            ladder: Vec::new(),
        }
    }

    /// The same with the replay of the hello of the client that it is told of.
    pub(super) fn with_ladder(kept: &Kept) -> Host {
        let ladder = kept.profile.ladder.iter();
        let ladder = ladder.map(|step| (changed(&step.change), reacted(&step.reaction))).collect();
        Host { ladder, ..Host::of(kept) }
    }

    pub(super) fn kept(self) -> Result<Kept, Refused> {
        let target = Target { address: self.address, tls_first: self.tls_first };
        let upstreams = self.upstreams.into_iter().map(Arc::from).collect();
        let negotiation = self.negotiation.into_iter().map(|(mask, got)| Ok((mask.map(Protocols), got.meant()?)));
        let versions = self.versions.into_iter().map(Version::meant);
        let ladder = self.ladder.into_iter();
        let ladder =
            ladder.map(|(change, reaction)| Ok(LadderStep { change: change.meant(), reaction: reaction.meant()? }));
        let hello_sizes = self.hello_sizes.into_iter().map(|(size, reaction)| Ok((size, reaction.meant()?)));
        let profile = HostProfile {
            begun: Timestamp(self.begun),
            ended: Timestamp(self.ended),
            handshakes: self.handshakes,
            completeness: match self.extent {
                Extent::Whole => Completeness::Complete,
                Extent::Partial(why) => Completeness::Partial(why),
                Extent::Mixed(why) => Completeness::Mixed(why),
                Extent::Unreachable(why) => Completeness::Unreachable(why),
            },
            tls_first: self.tls_first,
            negotiation: negotiation.collect::<Result<_, Refused>>()?,
            versions: versions.collect::<Result<_, Refused>>()?,
            groups: self.groups.into_iter().map(NamedGroup).collect(),
            refused_groups: self.refused_groups.into_iter().map(NamedGroup).collect(),
            signature_schemes: self.signature_schemes.into_iter().map(SignatureScheme).collect(),
            certificate: self.certificate.map(Certificate::meant),
            second_certificate: self.second_certificate.map(Certificate::meant),
            credssp: self.credssp.map(|facts| CredsspFacts {
                version: facts.version,
                target: facts.target,
                host_time: facts.host_time.map(Timestamp),
            }),
            hello_sizes: hello_sizes.collect::<Result<_, Refused>>()?,
            ladder: ladder.collect::<Result<_, Refused>>()?,
        };
        Ok(Kept { target, upstreams, profile: Arc::new(profile) })
    }
}

fn negotiated(answer: &NegotiationAnswer) -> Negotiated {
    match answer {
        NegotiationAnswer::Answered(Answer::Selected { protocol, flags }) => {
            Negotiated::Selected { protocol: protocol.0, flags: flags.0 }
        }
        NegotiationAnswer::Answered(Answer::Plain) => Negotiated::Plain,
        NegotiationAnswer::Answered(Answer::Failure(code)) => Negotiated::Failure(code.0),
        NegotiationAnswer::Answered(Answer::Ultimatum(reason)) => Negotiated::Ultimatum(*reason),
        NegotiationAnswer::Answered(Answer::Refused(code)) => Negotiated::Refused(*code),
        NegotiationAnswer::Answered(Answer::NotRdp(bytes)) => Negotiated::NotRdp(bytes.clone()),
        NegotiationAnswer::Closed(kind) => Negotiated::Closed(kind.name().to_owned()),
        NegotiationAnswer::Silence => Negotiated::Silence,
    }
}

impl Negotiated {
    fn meant(self) -> Result<NegotiationAnswer, Refused> {
        Ok(NegotiationAnswer::Answered(match self {
            Negotiated::Selected { protocol, flags } => {
                Answer::Selected { protocol: Protocols(protocol), flags: ResponseFlags(flags) }
            }
            Negotiated::Plain => Answer::Plain,
            Negotiated::Failure(code) => Answer::Failure(FailureCode(code)),
            Negotiated::Ultimatum(reason) => Answer::Ultimatum(reason),
            Negotiated::Refused(code) => Answer::Refused(code),
            Negotiated::NotRdp(bytes) => Answer::NotRdp(bytes),
            Negotiated::Closed(kind) => return Ok(NegotiationAnswer::Closed(close_kind(&kind)?)),
            Negotiated::Silence => return Ok(NegotiationAnswer::Silence),
        }))
    }
}

fn version(ability: &VersionAbility) -> Version {
    Version {
        version: ability.version.0,
        reaction: reacted(&ability.reaction),
        suites: ability.suites.iter().map(|suite| suite.0).collect(),
        host_order: ability.host_order,
        complete: ability.complete,
    }
}

impl Version {
    fn meant(self) -> Result<VersionAbility, Refused> {
        Ok(VersionAbility {
            version: TlsVersion(self.version),
            reaction: self.reaction.meant()?,
            suites: self.suites.into_iter().map(CipherSuite).collect(),
            host_order: self.host_order,
            complete: self.complete,
        })
    }
}

fn reacted(reaction: &Reaction) -> Reacted {
    match reaction {
        Reaction::Hello { version, suite, group } => {
            Reacted::Hello { version: version.0, suite: suite.0, group: group.map(|group| group.0) }
        }
        Reaction::Retry { suite, group } => Reacted::Retry { suite: suite.0, group: group.map(|group| group.0) },
        Reaction::Alert(description) => Reacted::Alert(description.0),
        Reaction::Closed(kind) => Reacted::Closed(kind.name().to_owned()),
        Reaction::ClearDisconnect => Reacted::ClearDisconnect,
        Reaction::NotTls => Reacted::NotTls,
        Reaction::Silence => Reacted::Silence,
        Reaction::NotReached(how) => Reacted::NotReached(how.clone()),
    }
}

impl Reacted {
    fn meant(self) -> Result<Reaction, Refused> {
        Ok(match self {
            Reacted::Hello { version, suite, group } => Reaction::Hello {
                version: TlsVersion(version),
                suite: CipherSuite(suite),
                group: group.map(NamedGroup),
            },
            Reacted::Retry { suite, group } => {
                Reaction::Retry { suite: CipherSuite(suite), group: group.map(NamedGroup) }
            }
            Reacted::Alert(description) => Reaction::Alert(AlertDescription(description)),
            Reacted::Closed(kind) => Reaction::Closed(close_kind(&kind)?),
            Reacted::ClearDisconnect => Reaction::ClearDisconnect,
            Reacted::NotTls => Reaction::NotTls,
            Reacted::Silence => Reaction::Silence,
            Reacted::NotReached(how) => Reaction::NotReached(how),
        })
    }
}

fn changed(change: &LadderChange) -> Changed {
    match change {
        LadderChange::AsSent => Changed::AsSent,
        LadderChange::Versions(versions) => Changed::Versions(versions.iter().map(|version| version.0).collect()),
        LadderChange::AllSuites => Changed::AllSuites,
        LadderChange::AllGroups => Changed::AllGroups,
        LadderChange::AllSignatureSchemes => Changed::AllSignatureSchemes,
        LadderChange::OnlyAuth("RSA") => Changed::OnlyRsa,
        LadderChange::OnlyAuth(_) => Changed::OnlyEcdsa,
        LadderChange::Size(bytes) => Changed::Size(*bytes),
        LadderChange::Without13 => Changed::Without13,
        LadderChange::Everything => Changed::Everything,
    }
}

impl Changed {
    fn meant(self) -> LadderChange {
        match self {
            Changed::AsSent => LadderChange::AsSent,
            Changed::Versions(versions) => LadderChange::Versions(versions.into_iter().map(TlsVersion).collect()),
            Changed::AllSuites => LadderChange::AllSuites,
            Changed::AllGroups => LadderChange::AllGroups,
            Changed::AllSignatureSchemes => LadderChange::AllSignatureSchemes,
            Changed::OnlyRsa => LadderChange::OnlyAuth("RSA"),
            Changed::OnlyEcdsa => LadderChange::OnlyAuth("ECDSA"),
            Changed::Size(bytes) => LadderChange::Size(bytes),
            Changed::Without13 => LadderChange::Without13,
            Changed::Everything => LadderChange::Everything,
        }
    }
}

fn close_kind(name: &str) -> Result<CloseKind, Refused> {
    let all = [CloseKind::Fin, CloseKind::Rst, CloseKind::Timeout, CloseKind::Error];
    all.into_iter().find(|kind| kind.name() == name).ok_or_else(|| Refused::Unknown(format!("the close {name:?}")))
}

fn certificate(facts: &CertificateFacts) -> Certificate {
    let facts = facts.clone();
    Certificate {
        subject: facts.subject,
        issuer: facts.issuer,
        not_before: facts.not_before,
        not_after: facts.not_after,
        sha256: facts.sha256,
        alternative_names: facts.alternative_names,
        key_algorithm: facts.key_algorithm,
        key_bits: facts.key_bits,
        signature_algorithm: facts.signature_algorithm,
        extended_key_usage: facts.extended_key_usage,
        self_issued: facts.self_issued,
        chain_length: facts.chain_length,
        message_length: facts.message_length,
        unreadable: facts.unreadable,
    }
}

impl Certificate {
    fn meant(self) -> CertificateFacts {
        CertificateFacts {
            subject: self.subject,
            issuer: self.issuer,
            not_before: self.not_before,
            not_after: self.not_after,
            sha256: self.sha256,
            alternative_names: self.alternative_names,
            key_algorithm: self.key_algorithm,
            key_bits: self.key_bits,
            signature_algorithm: self.signature_algorithm,
            extended_key_usage: self.extended_key_usage,
            self_issued: self.self_issued,
            chain_length: self.chain_length,
            message_length: self.message_length,
            unreadable: self.unreadable,
        }
    }
}
