//! A probe as one JSON document: the profile as `/api/hosts` prints it, and what only the command knows beside it.

use super::Probed;
use super::text::name_of_suite;
use rdpscope::record::profile_json;
use serde_json::{Map, Value, json};

pub(super) fn document(probed: &Probed) -> String {
    let profile = &probed.profile;
    let mut document = profile_json(profile);
    let suites = profile.versions.iter().flat_map(|ability| &ability.suites);
    let classes: Map<String, Value> =
        suites.filter_map(|suite| Some((name_of_suite(*suite), json!(suite.class()?.name())))).collect();
    let beside = json!({
        "schema": "1",
        "host": probed.shown,
        "address": probed.address.map(|address| address.to_string()),
        "duration_ms": u64::try_from(probed.took.as_millis()).unwrap_or(u64::MAX),
        "cipher_classes": classes,
        "credssp_unknown": probed.no_credssp,
        "refuses_every_hello": profile.refuses_every_hello(),
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
    if let (Value::Object(document), Value::Object(beside)) = (&mut document, beside) {
        document.extend(beside);
    }
    format!("{document:#}\n")
}
