//! What a host accepts, as JSON for programs. Names are IANA's; unknown code points are `0xNNNN`.

use super::redact::hex;
use super::rfc3339;
use super::stamp::rfc3339_seconds;
use parser::profile::{Completeness, HostProfile, LadderChange, NegotiationAnswer, Reaction, VersionAbility};
use parser::session::{Answer, CertificateFacts};
use parser::wire::{AlertDescription, CipherSuite, NamedGroup, Protocols, SignatureScheme, TlsVersion};
use serde_json::{Value, json};

/// The whole profile. Every list is in the order of the profile.
#[must_use]
pub fn profile_json(profile: &HostProfile) -> Value {
    let protocols = |mask: &Option<Protocols>| mask.map_or_else(|| vec!["none".into()], |mask| mask.names());
    let negotiation = profile.negotiation.iter();
    let negotiation = negotiation.map(|(mask, got)| json!({ "requested": protocols(mask), "answer": answer(got) }));
    let sizes = profile.hello_sizes.iter();
    let sizes = sizes.map(|(bytes, got)| json!({ "bytes": bytes, "answer": reaction(got) }));
    let ladder = profile.ladder.iter();
    let ladder = ladder.map(|step| json!({ "hello": change(&step.change), "answer": reaction(&step.reaction) }));
    let credssp = profile.credssp.as_ref().map(|facts| {
        json!({
            "version": facts.version,
            "target": facts.target,
            "host_time": facts.host_time.map(rfc3339),
            "clock_offset_ms": facts.clock_offset_ms(profile.ended),
        })
    });
    json!({
        "begun": rfc3339(profile.begun),
        "ended": rfc3339(profile.ended),
        "handshakes": profile.handshakes,
        "complete": profile.completeness == Completeness::Complete,
        "unreachable": matches!(profile.completeness, Completeness::Unreachable(_)),
        "mixed": matches!(profile.completeness, Completeness::Mixed(_)),
        "incomplete": profile.completeness.lacking(),
        "tls_first": profile.tls_first,
        "negotiation": negotiation.collect::<Vec<_>>(),
        "versions": profile.versions.iter().map(ability).collect::<Vec<_>>(),
        "groups": profile.groups.iter().copied().map(group).collect::<Vec<_>>(),
        "refused_groups": profile.refused_groups.iter().copied().map(group).collect::<Vec<_>>(),
        "signature_algorithms": profile.signature_schemes.iter().copied().map(scheme).collect::<Vec<_>>(),
        "certificate": profile.certificate.as_ref().map(certificate),
        "second_certificate": profile.second_certificate.as_ref().map(certificate),
        "credssp": credssp,
        "hello_sizes": sizes.collect::<Vec<_>>(),
        "ladder": ladder.collect::<Vec<_>>(),
    })
}

fn ability(ability: &VersionAbility) -> Value {
    json!({
        "version": version(ability.version),
        "accepted": ability.accepted(),
        "answer": reaction(&ability.reaction),
        "ciphers": ability.suites.iter().copied().map(suite).collect::<Vec<_>>(),
        "host_order": ability.host_order,
        "complete": ability.complete,
    })
}

fn answer(answer: &NegotiationAnswer) -> Value {
    match answer {
        NegotiationAnswer::Answered(Answer::Selected { protocol, flags }) => {
            json!({ "selected": protocol.names().join("+"), "flags": flags.names() })
        }
        NegotiationAnswer::Answered(Answer::Plain) => json!({ "selected": "rdp" }),
        NegotiationAnswer::Answered(Answer::Failure(code)) => {
            json!({ "failure_code": code.0, "failure_name": code.name() })
        }
        NegotiationAnswer::Answered(Answer::Ultimatum(reason)) => json!({ "disconnected": reason }),
        NegotiationAnswer::Answered(Answer::Refused(code)) => json!({ "refused": code }),
        NegotiationAnswer::Answered(Answer::NotRdp(bytes)) => json!({ "not_rdp": hex(bytes) }),
        NegotiationAnswer::Closed(kind) => json!({ "closed": kind.name() }),
        NegotiationAnswer::Silence => json!({ "silence": true }),
    }
}

fn reaction(reaction: &Reaction) -> Value {
    match reaction {
        Reaction::Hello { version: v, suite: s, group: g } => {
            json!({ "hello": { "version": version(*v), "cipher": suite(*s), "group": g.map(group) } })
        }
        Reaction::Retry { suite: s, group: g } => json!({ "retry": { "cipher": suite(*s), "group": g.map(group) } }),
        Reaction::Alert(description) => json!({ "alert": { "code": description.0, "name": alert(*description) } }),
        Reaction::Closed(kind) => json!({ "closed": kind.name() }),
        Reaction::ClearDisconnect => json!({ "clear_disconnect": true }),
        Reaction::NotTls => json!({ "not_tls": true }),
        Reaction::Silence => json!({ "silence": true }),
        Reaction::NotReached(how) => json!({ "not_reached": how }),
    }
}

fn change(change: &LadderChange) -> Value {
    match change {
        LadderChange::AsSent => json!("as_sent"),
        LadderChange::Versions(versions) => {
            json!({ "versions": versions.iter().copied().map(version).collect::<Vec<_>>() })
        }
        LadderChange::AllSuites => json!("all_ciphers"),
        LadderChange::AllGroups => json!("all_groups"),
        LadderChange::AllSignatureSchemes => json!("all_signature_algorithms"),
        LadderChange::OnlyAuth(kind) => json!({ "only_authentication": kind }),
        LadderChange::Size(bytes) => json!({ "size": bytes }),
        LadderChange::Without13 => json!("without_tls_1.3"),
        LadderChange::Everything => json!("everything"),
    }
}

fn certificate(facts: &CertificateFacts) -> Value {
    json!({
        "subject": facts.subject,
        "issuer": facts.issuer,
        "not_before": rfc3339_seconds(facts.not_before),
        "not_after": rfc3339_seconds(facts.not_after),
        "sha256": hex(&facts.sha256),
        "alternative_names": facts.alternative_names,
        "public_key_algorithm": facts.key_algorithm,
        "public_key_size": facts.key_bits,
        "signature_algorithm": facts.signature_algorithm,
        "extended_key_usage": facts.extended_key_usage,
        "self_issued": facts.self_issued,
        "chain_length": facts.chain_length,
        "unreadable": facts.unreadable,
    })
}

fn code(name: Option<&'static str>, number: u16) -> String {
    name.map_or_else(|| format!("0x{number:04x}"), str::to_owned)
}

fn version(version: TlsVersion) -> String {
    code(version.name(), version.0)
}

fn suite(suite: CipherSuite) -> String {
    code(suite.name(), suite.0)
}

fn group(group: NamedGroup) -> String {
    code(group.name(), group.0)
}

fn scheme(scheme: SignatureScheme) -> String {
    code(scheme.name(), scheme.0)
}

fn alert(description: AlertDescription) -> Option<&'static str> {
    description.name()
}
