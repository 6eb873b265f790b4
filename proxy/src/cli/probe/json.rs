//! A profile as one JSON document. Names as in the session event: IANA names, versions `1.0` … `1.3`.

use super::Probed;
use super::text::{name_of_group, name_of_suite};
use parser::profile::{Completeness, LadderStep, NegotiationAnswer, Reaction, VersionAbility};
use parser::session::{Answer, CertificateFacts};
use parser::wire::CipherSuite;
use serde_json::{Value, json};
use std::fmt::Write;

pub(super) fn document(probed: &Probed) -> String {
    let profile = &probed.profile;
    let (completeness, reason) = match &profile.completeness {
        Completeness::Complete => ("complete", None),
        Completeness::Partial(why) => ("partial", Some(why)),
        Completeness::Unreachable(why) => ("unreachable", Some(why)),
    };
    let certificates: Vec<Value> =
        profile.certificate.iter().chain(&profile.second_certificate).map(certificate).collect();
    let document = json!({
        "schema": "1",
        "host": probed.shown,
        "address": probed.address.map(|address| address.to_string()),
        "@timestamp": rdpscope::record::rfc3339(profile.begun),
        "duration_ms": u64::try_from(probed.took.as_millis()).unwrap_or(u64::MAX),
        "connections": profile.handshakes,
        "completeness": completeness,
        "reason": reason,
        "gateway": probed.profile.tls_first,
        "negotiation": profile.negotiation.iter().map(|(asked, answer)| json!({
            "requested": asked.map(|asked| asked.names()),
            "answer": negotiation(answer),
        })).collect::<Vec<_>>(),
        "tls": {
            "versions": profile.versions.iter().map(version).collect::<Vec<_>>(),
            "groups": profile.groups.iter().map(name_of_group).collect::<Vec<_>>(),
            "refused_groups": profile.refused_groups.iter().map(name_of_group).collect::<Vec<_>>(),
            "signature_algorithms": profile.signature_schemes.iter().map(|scheme| {
                scheme.name().map_or_else(|| format!("0x{:04x}", scheme.0), str::to_owned)
            }).collect::<Vec<_>>(),
            "hello_sizes": profile.hello_sizes.iter().map(|(size, got)| json!({ "bytes": size, "reaction": reaction(got) }))
                .collect::<Vec<_>>(),
            "ladder": profile.ladder.iter().map(step).collect::<Vec<_>>(),
            "refuses_every_hello": profile.refuses_every_hello(),
        },
        "certificates": certificates,
        "http": probed.gateway.iter().map(|(path, answer)| match answer {
            Ok(answer) => json!({
                "path": path, "status": answer.status, "server": answer.server, "authenticate": answer.authenticate,
            }),
            Err(why) => json!({ "path": path, "error": why }),
        }).collect::<Vec<_>>(),
        "findings": probed.findings.iter().map(|finding| json!({
            "severity": finding.severity.name(),
            "what": finding.what,
            "remedy": finding.remedy,
            "cause": finding.cause.map(|cause| cause.id()),
        })).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

fn negotiation(answer: &NegotiationAnswer) -> Value {
    match answer {
        NegotiationAnswer::Answered(Answer::Selected { protocol, flags }) => {
            json!({ "kind": "selected", "protocol": protocol.names(), "flags": flags.names() })
        }
        NegotiationAnswer::Answered(Answer::Plain) => json!({ "kind": "no_negotiation" }),
        NegotiationAnswer::Answered(Answer::Failure(code)) => {
            json!({ "kind": "failure", "code": code.0, "name": code.name() })
        }
        NegotiationAnswer::Answered(Answer::Ultimatum(reason)) => json!({ "kind": "disconnected", "reason": reason }),
        NegotiationAnswer::Answered(Answer::Refused(code)) => json!({ "kind": "refused", "tpdu": code }),
        NegotiationAnswer::Answered(Answer::NotRdp(first)) => json!({ "kind": "not_rdp", "first_bytes": hex(first) }),
        NegotiationAnswer::Closed(kind) => json!({ "kind": "closed", "close": kind.name() }),
        NegotiationAnswer::Silence => json!({ "kind": "silence" }),
    }
}

fn version(ability: &VersionAbility) -> Value {
    json!({
        "version": ability.version.name(),
        "accepted": ability.accepted(),
        "reaction": reaction(&ability.reaction),
        "host_order": ability.host_order,
        "complete": ability.complete,
        "suites": ability.suites.iter().map(suite).collect::<Vec<_>>(),
    })
}

fn suite(suite: &CipherSuite) -> Value {
    json!({
        "name": name_of_suite(*suite),
        "code": format!("0x{:04x}", suite.0),
        "class": suite.class().map(|class| class.name()),
    })
}

fn step(step: &LadderStep) -> Value {
    json!({ "change": format!("{:?}", step.change), "reaction": reaction(&step.reaction) })
}

fn reaction(reaction: &Reaction) -> Value {
    match reaction {
        Reaction::Hello { version, suite, group } => json!({
            "kind": "server_hello",
            "version": version.name(),
            "suite": name_of_suite(*suite),
            "group": group.as_ref().map(name_of_group),
        }),
        Reaction::Retry { suite, group } => json!({
            "kind": "hello_retry_request",
            "suite": name_of_suite(*suite),
            "group": group.as_ref().map(name_of_group),
        }),
        Reaction::Alert(alert) => json!({ "kind": "alert", "code": alert.0, "name": alert.name() }),
        Reaction::Closed(kind) => json!({ "kind": "closed", "close": kind.name() }),
        Reaction::ClearDisconnect => json!({ "kind": "clear_disconnect" }),
        Reaction::NotTls => json!({ "kind": "not_tls" }),
        Reaction::Silence => json!({ "kind": "silence" }),
        Reaction::NotReached(why) => json!({ "kind": "not_reached", "why": why }),
    }
}

fn certificate(certificate: &CertificateFacts) -> Value {
    json!({
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "not_before": certificate.not_before,
        "not_after": certificate.not_after,
        "alternative_names": certificate.alternative_names,
        "public_key_algorithm": certificate.key_algorithm,
        "public_key_size": certificate.key_bits,
        "signature_algorithm": certificate.signature_algorithm,
        "extended_key_usage": certificate.extended_key_usage,
        "self_issued": certificate.self_issued,
        "chain_length": certificate.chain_length,
        "sha256": hex(&certificate.sha256),
        "unreadable": certificate.unreadable,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
