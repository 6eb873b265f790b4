//! Every field of a session event that a capture can show, as `rdpscope analyze --json` prints it, against the truth.
//!
//! The table of fields and how many of them are right stands in `tests/README.md`; this test checks that it is the true one,
//! and `BLESS=1` writes it anew. Where the truth is wrong, or asks for what a session is not, the difference stands in
//! `exceptions.tsv` with its reason.

use crate::fields::{Comparison, judge};
use crate::lab::{connections, ports, rows};
use crate::truth::{self, texts};
use crate::{captures, data, kept, replay};
use config::UserNames;
use parser::wire::{CipherSuite, FailureCode, NamedGroup, Protocols, SignatureScheme, TlsVersion};
use rdpscope::record::Names;
use serde_json::Value;

#[test]
fn every_field_of_an_event_equals_the_truth() {
    let names = Names::new(UserNames::Plain, None).unwrap();
    let mut comparison = Comparison::default();
    for path in captures(&data("captures")) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let truth = truth::read(&path.with_extension("truth.json"));
        for (finding, truth) in replay::findings(&path).iter().zip(truth["streams"].as_array().unwrap()) {
            let line = finding.event(&name, &names).line();
            let event: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(event["rdpscope"]["stream"], truth["stream"], "{name}");
            compare(&mut comparison, &format!("{name}\t{}", finding.stream), &event, truth);
        }
    }
    judge(&comparison, "contract-exceptions.tsv");
    let (mut right, mut total) = ([0; 4], 0);
    for row in rows() {
        let finding = connections(&row.capture, ports()[&row.capture]).swap_remove(row.connection - 1);
        total += 1;
        for (right, is) in right.iter_mut().zip(row.judged(&finding.record.timeline, &finding.record.verdict)) {
            *right += usize::from(is);
        }
    }
    let mut table = comparison.table();
    for (field, right) in ["event.code", "rdpscope.side", "rdpscope.phase", "rdpscope.close"].iter().zip(right) {
        table.push_str(&format!("| {field}, of real RDP peers | {right} | {total} |\n"));
    }
    println!("{table}");
    kept("captures", &table);
}

/// A value as text: lists joined by blanks, nothing when it is absent.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

fn compare(comparison: &mut Comparison, key: &str, event: &Value, truth: &Value) {
    let mut field = |path: &'static str, truth: String| {
        let ours = path.split('.').fold(event, |value, name| &value[name]);
        comparison.field(key, path, shown(ours), truth);
    };
    for (ours, theirs) in [("client", "client"), ("server", "server")] {
        let ip: std::net::IpAddr = truth[theirs]["ip"].as_str().unwrap().parse().unwrap();
        let (ip_path, port) =
            if ours == "client" { ("client.ip", "client.port") } else { ("server.ip", "server.port") };
        field(ip_path, ip.to_string());
        field(port, truth[theirs]["port"].to_string());
    }
    if truth["tcp"]["gap_client"] != true && truth["tcp"]["gap_server"] != true {
        field("source.bytes", truth["tcp"]["bytes_client_to_server"].to_string());
        field("destination.bytes", truth["tcp"]["bytes_server_to_client"].to_string());
    }
    let close = truth::close(&truth["end"]);
    let (by, kind) = close.split_once(' ').unwrap_or(("", ""));
    field("rdpscope.close.first", by.to_owned());
    field("rdpscope.close.kind", kind.to_owned());
    rdp(&mut field, &truth["rdp"]);
    let seen = |value: &Value| if value.is_object() { "seen" } else { "not seen" }.to_owned();
    if truth::first_client_hello(&truth["tls"]).is_some() && event["tls"]["client"].is_null() {
        // All of its fields are absent for the one reason.
        comparison.field(key, "tls.client", seen(&event["tls"]["client"]), "seen".to_owned());
        return;
    }
    tls(&mut field, &truth["tls"]);
    if let Some(leaf) = truth::leaf(&truth["tls"]).filter(|leaf| leaf["parse_error"].is_null()) {
        for (path, name) in [("tls.server.subject", "subject"), ("tls.server.issuer", "issuer")] {
            let ours = event["tls"]["server"][name].as_str().unwrap_or_default();
            comparison.field(key, path, truth::name(ours), truth::name(leaf[name].as_str().unwrap()));
        }
    }
    let mut field = |path: &'static str, truth: String| {
        let ours = path.split('.').fold(event, |value, name| &value[name]);
        comparison.field(key, path, shown(ours), truth);
    };
    let alert = truth["alerts_clear"].as_array().and_then(|alerts| alerts.first());
    field("tls.alert.code", alert.map_or_else(String::new, |alert| alert["code"].to_string()));
    let side = alert.map_or("", |alert| alert["from"].as_str().unwrap());
    field("tls.alert.side", side.replace("server", "host"));
}

fn rdp(field: &mut impl FnMut(&'static str, String), truth: &Value) {
    let (request, response) = (&truth["request"], &truth["response"]);
    if request.is_object() {
        let cookie = request["cookie"].as_str().unwrap_or_default();
        field("rdp.cookie", cookie.strip_prefix("Cookie: mstshash=").unwrap_or(cookie).to_owned());
        let asked = request["requested_protocols"].as_u64().map(|bits| Protocols(bits as u32).names());
        field("rdp.requested_protocols", asked.unwrap_or_else(|| vec!["rdp".into()]).join(" "));
        let id = request["correlation_id"].as_str().map(|id| u128::from_str_radix(id, 16).unwrap().to_be_bytes());
        let id = id.map(|id| uuid::Uuid::from_bytes_le(id).to_string());
        field("rdp.correlation_id", id.unwrap_or_default());
    }
    if let Some(selected) = response["selected_protocol"].as_u64() {
        field("rdp.selected_protocol", Protocols(selected as u32).names().join("+"));
    }
    if let Some(code) = response["failure_code"].as_u64() {
        field("rdp.negotiation.failure_code", code.to_string());
        field("rdp.negotiation.failure_name", FailureCode(code as u32).name().unwrap_or_default().to_owned());
    }
}

/// Numbers in hexadecimal as the event names them, GREASE left out.
fn named(value: &Value, name: impl Fn(u16) -> Option<&'static str>) -> String {
    let number = |text: &str| u16::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    let numbers = texts(value).split_whitespace().map(number).collect::<Vec<u16>>();
    let grease = |number: &u16| number & 0x0f0f == 0x0a0a && number >> 8 == number & 0xff;
    let names = numbers.into_iter().filter(|n| !grease(n));
    names.map(|n| name(n).map_or_else(|| format!("0x{n:04x}"), str::to_owned)).collect::<Vec<_>>().join(" ")
}

fn version(number: u16) -> Option<&'static str> {
    TlsVersion(number).name()
}

fn tls(field: &mut impl FnMut(&'static str, String), truth: &Value) {
    let one = |value: &Value, name: fn(u16) -> Option<&'static str>| named(&Value::from(vec![value.clone()]), name);
    if let Some(hello) = truth::first_client_hello(truth).filter(|hello| !hello["format"].is_string()) {
        field("tls.client.server_name", hello["sni"].as_str().unwrap_or_default().to_owned());
        let versions = match hello["supported_versions"].as_array() {
            Some(list) if !list.is_empty() => named(&hello["supported_versions"], version),
            _ => one(&hello["legacy_version"], version),
        };
        field("tls.client.supported_versions", versions);
        field("tls.client.supported_ciphers", named(&hello["cipher_suites"], |n| CipherSuite(n).name()));
        field("tls.client.supported_groups", named(&hello["supported_groups"], |n| NamedGroup(n).name()));
        let schemes = named(&hello["signature_algorithms"], |n| SignatureScheme(n).name());
        field("tls.client.signature_algorithms", schemes);
        field("tls.client.ja3", hello["ja3"].as_str().unwrap_or_default().to_owned());
        field("tls.client.ja4", hello["ja4"].as_str().unwrap_or_default().to_owned());
    }
    if let Some(hello) = truth::server_hello(truth) {
        field("tls.version", one(&hello["selected_version"], version));
        field("tls.cipher", one(&hello["cipher_suite"], |n| CipherSuite(n).name()));
        field("tls.server.ja3s", hello["ja3s"].as_str().unwrap_or_default().to_owned());
        let group =
            [&hello["key_share_group"], &truth["server_key_exchange_group"]].into_iter().find(|v| v.is_string());
        if let Some(group) = group {
            field("tls.curve", one(group, |n| NamedGroup(n).name()));
        }
    }
    if let Some(leaf) = truth::leaf(truth) {
        field("tls.server.hash.sha256", leaf["sha256"].as_str().unwrap().to_owned());
        if leaf["parse_error"].is_null() {
            let time = |value: &Value| time::OffsetDateTime::from_unix_timestamp(truth::date(value)).unwrap();
            let rfc3339 = |value| time(value).format(&time::format_description::well_known::Rfc3339).unwrap();
            field("tls.server.not_before", rfc3339(&leaf["not_before"]));
            field("tls.server.not_after", rfc3339(&leaf["not_after"]));
            field("tls.server.x509.alternative_names", truth::alternative_names(&leaf["san"]));
            field("tls.server.x509.public_key_algorithm", truth::key_algorithm(&leaf["key_alg"]));
            field("tls.server.x509.public_key_size", shown(&leaf["key_bits"]));
            field("tls.server.x509.signature_algorithm", leaf["sig_alg"].as_str().unwrap().to_owned());
        }
    }
}
