//! Captures of many projects, field by field: what the tracker read against what tshark and a second reader did.
//!
//! Every field of a session event that can be seen in passing is compared on every stream that has it. Where the truth
//! is wrong, or asks for something a session is not, the difference stands in `exceptions.tsv` with its reason; an
//! exception that is no longer needed fails the test too. The table of fields stands in `tests/README.md`.

use crate::truth::{self, hex16, texts};
use crate::{captures, data, kept, replay};
use parser::session::{Answer, CertificateFacts, CloseKind, Closer, Peer, Timeline};
use parser::wire::Fingerprints;
use serde_json::Value;
use std::collections::BTreeMap;

/// Right and compared, per field; and each difference as `file stream field`, with both values.
#[derive(Default)]
pub(crate) struct Comparison {
    counts: BTreeMap<&'static str, (usize, usize)>,
    differences: Vec<(String, String)>,
}

impl Comparison {
    pub(crate) fn field(&mut self, stream: &str, field: &'static str, ours: String, truth: String) {
        let count = self.counts.entry(field).or_default();
        count.1 += 1;
        if ours == truth {
            count.0 += 1;
        } else {
            self.differences.push((format!("{stream}\t{field}"), format!("ours {ours}, truth {truth}")));
        }
    }

    /// Fields, how often each was right and how often it was compared.
    pub(crate) fn table(&self) -> String {
        let rows = self.counts.iter().map(|(field, (right, total))| format!("| {field} | {right} | {total} |\n"));
        format!("| field | equal | compared |\n|---|---|---|\n{}", rows.collect::<String>())
    }
}

#[test]
fn every_field_that_can_be_seen_equals_the_truth() {
    let mut comparison = Comparison::default();
    let (mut files, mut connections) = (0, 0);
    for path in captures(&data("captures")) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let truth = truth::read(&path.with_extension("truth.json"));
        let streams = replay::findings(&path);
        let expected = truth["streams"].as_array().unwrap();
        assert_eq!(streams.len(), expected.len(), "{name}: number of streams");
        files += 1;
        for (number, (stream, truth)) in streams.iter().zip(expected).enumerate() {
            connections += 1;
            let timeline = replay::timeline(stream);
            let key = format!("{name}\t{number}");
            comparison.field(
                &key,
                "client address",
                stream.record.identity.client.to_string(),
                truth::address(&truth["client"]),
            );
            compare(&mut comparison, &key, &timeline, truth);
        }
    }
    assert!(files >= 94 && connections >= 241, "{files} files, {connections} connections");
    judge(&comparison, "exceptions.tsv");
    println!("{}", comparison.table());
    kept("messages", &comparison.table());
}

/// Differences that are not explained, and explanations without a difference, fail.
pub(crate) fn judge(comparison: &Comparison, exceptions: &str) {
    let text = std::fs::read_to_string(data(exceptions)).unwrap();
    let mut exceptions: BTreeMap<String, &str> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (key, reason) = line.rsplit_once('\t').unwrap();
        assert!(reason.len() > 10, "{line}: a reason");
        exceptions.insert(key.to_owned(), reason);
    }
    let mut wrong: Vec<String> = Vec::new();
    for (key, values) in &comparison.differences {
        if exceptions.remove(key).is_none() {
            wrong.push(format!("{key}: {values}"));
        }
    }
    wrong.extend(exceptions.keys().map(|key| format!("{key}: equal, the exception is not needed")));
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

fn compare(comparison: &mut Comparison, key: &str, timeline: &Timeline, truth: &Value) {
    let mut field = |name, ours, truth| comparison.field(key, name, ours, truth);
    let gaps = truth["tcp"]["gap_client"] == true || truth["tcp"]["gap_server"] == true;
    if !gaps {
        let bytes = |direction: &str| truth["tcp"][direction].to_string();
        field("client bytes", timeline.traffic.client.bytes.to_string(), bytes("bytes_client_to_server"));
        field("host bytes", timeline.traffic.host.bytes.to_string(), bytes("bytes_server_to_client"));
    }
    field("first close", close(timeline), truth::close(&truth["end"]));
    let rdp = &truth["rdp"];
    if rdp["request"].is_object() {
        request(&mut field, timeline, &rdp["request"]);
        if rdp["response"].is_object() {
            field("answer", answer(timeline), truth::answer(&rdp["response"]));
        }
    }
    let tls = &truth["tls"];
    if let Some(hello) = truth::first_client_hello(tls) {
        client_hello(&mut field, timeline, hello);
    }
    if let Some(hello) = truth::server_hello(tls) {
        server_hello(&mut field, timeline, hello, tls);
    }
    if let Some(leaf) = truth::leaf(tls) {
        certificate(&mut field, timeline.certificate.as_deref(), leaf);
    }
    let alerts = timeline.alerts.iter().map(|a| format!("{} {}", a.from.name(), a.description.0));
    field("clear alerts", alerts.collect::<Vec<_>>().join(", "), truth::alerts(&truth["alerts_clear"]));
}

fn request(field: &mut impl FnMut(&'static str, String, String), timeline: &Timeline, truth: &Value) {
    let ours = timeline.request.as_ref();
    let prefix = "Cookie: mstshash=";
    let cookie = truth["cookie"].as_str().map(|c| c.strip_prefix(prefix).unwrap_or(c));
    field("cookie", format!("{:?}", ours.and_then(|r| r.cookie.as_deref())), format!("{cookie:?}"));
    let protocols = ours.and_then(|r| r.protocols).map(|p| u64::from(p.0));
    field("requested protocols", format!("{protocols:?}"), format!("{:?}", truth["requested_protocols"].as_u64()));
    if let Some(flags) = truth["flags"].as_u64() {
        field("request flags", format!("{:?}", ours.map(|r| u64::from(r.flags.0))), format!("{:?}", Some(flags)));
    }
    let id = ours.and_then(|r| r.correlation_id).map(|id| id.iter().map(|b| format!("{b:02x}")).collect::<String>());
    field("correlation id", format!("{id:?}"), format!("{:?}", truth["correlation_id"].as_str().map(str::to_owned)));
}

fn client_hello(field: &mut impl FnMut(&'static str, String, String), timeline: &Timeline, truth: &Value) {
    let Some(ours) = timeline.client_hello.as_ref() else {
        field("ClientHello seen", "no".into(), "yes".into());
        return;
    };
    field("ClientHello seen", "yes".into(), "yes".into());
    field("legacy version", format!("0x{:04x}", ours.legacy_version.0), hex16(&truth["legacy_version"]));
    if truth["format"].is_string() {
        field("SSLv2 form", ours.sslv2_form.to_string(), "true".into());
        return;
    }
    let list = |values: Vec<u16>| values.iter().map(|v| format!("0x{v:04x}")).collect::<Vec<_>>().join(" ");
    field("record version", format!("0x{:04x}", ours.record_version.0), hex16(&truth["record_version"]));
    field("handshake length", ours.length.to_string(), (truth["handshake_len"].as_u64().unwrap() + 4).to_string());
    field("records", ours.records.to_string(), truth["tls_records"].to_string());
    field("session id length", ours.session_id_length.to_string(), truth["session_id_len"].to_string());
    field("suites", list(ours.suites.iter().map(|s| s.0).collect()), texts(&truth["cipher_suites"]));
    field("extensions", list(ours.extensions.clone()), texts(&truth["extensions"]));
    field("groups", list(ours.groups.iter().map(|g| g.0).collect()), texts(&truth["supported_groups"]));
    let schemes = ours.signature_schemes.iter().map(|s| s.0).collect();
    field("signature algorithms", list(schemes), texts(&truth["signature_algorithms"]));
    let versions = ours.supported_versions.iter().map(|v| v.0).collect();
    field("supported versions", list(versions), texts(&truth["supported_versions"]));
    field("key shares", list(ours.key_shares.iter().map(|k| k.0.0).collect()), texts(&truth["key_share_groups"]));
    field("server name", format!("{:?}", ours.server_name.as_deref()), format!("{:?}", truth["sni"].as_str()));
    field(
        "ALPN",
        ours.alpn.iter().map(|a| String::from_utf8_lossy(a)).collect::<Vec<_>>().join(" "),
        truth::alpn(truth),
    );
    field("JA3", Fingerprints::of(ours).ja3, truth["ja3"].as_str().unwrap_or_default().into());
    field("JA4", Fingerprints::of(ours).ja4, truth["ja4"].as_str().unwrap_or_default().into());
}

fn server_hello(field: &mut impl FnMut(&'static str, String, String), timeline: &Timeline, truth: &Value, tls: &Value) {
    let Some(ours) = timeline.server_hello.as_ref() else {
        field("ServerHello seen", "no".into(), "yes".into());
        return;
    };
    field("ServerHello seen", "yes".into(), "yes".into());
    field("version", format!("0x{:04x}", ours.version.0), hex16(&truth["selected_version"]));
    field("suite", format!("0x{:04x}", ours.suite.0), hex16(&truth["cipher_suite"]));
    field("JA3S", ours.ja3s(), truth["ja3s"].as_str().unwrap_or_default().into());
    let extensions = ours.extensions.iter().map(|v| format!("0x{v:04x}")).collect::<Vec<_>>().join(" ");
    field("host extensions", extensions, texts(&truth["extensions"]));
    let retried = truth::hello_retry(tls);
    field("hello retry", ours.hello_retry.to_string(), retried.to_string());
    let sentinel = !truth["downgrade_sentinel"].is_null();
    field("downgrade sentinel", ours.downgrade.is_some().to_string(), sentinel.to_string());
    let group = [&truth["key_share_group"], &tls["server_key_exchange_group"]].into_iter().find(|v| v.is_string());
    if let Some(group) = group {
        field("curve", format!("{:?}", ours.group.map(|g| format!("0x{:04x}", g.0))), format!("{:?}", group.as_str()));
    }
}

fn certificate(field: &mut impl FnMut(&'static str, String, String), ours: Option<&CertificateFacts>, truth: &Value) {
    let Some(ours) = ours else {
        field("certificate seen", "no".into(), "yes".into());
        return;
    };
    field("certificate seen", "yes".into(), "yes".into());
    let fingerprint: String = ours.sha256.iter().map(|b| format!("{b:02x}")).collect();
    field("certificate SHA-256", fingerprint, truth["sha256"].as_str().unwrap().into());
    let readable = ours.unreadable.is_none();
    field("certificate readable", readable.to_string(), truth["parse_error"].is_null().to_string());
    if !readable || !truth["parse_error"].is_null() {
        return;
    }
    field("subject", truth::name(&ours.subject), truth::name(truth["subject"].as_str().unwrap()));
    field("issuer", truth::name(&ours.issuer), truth::name(truth["issuer"].as_str().unwrap()));
    field("not before", ours.not_before.to_string(), truth::date(&truth["not_before"]).to_string());
    field("not after", ours.not_after.to_string(), truth::date(&truth["not_after"]).to_string());
    field("alternative names", ours.alternative_names.join(" "), truth::alternative_names(&truth["san"]));
    field("key algorithm", ours.key_algorithm.clone(), truth::key_algorithm(&truth["key_alg"]));
    if let Some(bits) = truth["key_bits"].as_u64() {
        field("key size", ours.key_bits.to_string(), bits.to_string());
    }
    field("signature algorithm", ours.signature_algorithm.clone(), truth["sig_alg"].as_str().unwrap().into());
    field("self-issued", ours.self_issued.to_string(), truth["self_issued"].to_string());
}

/// `client fin`, `none`.
fn close(timeline: &Timeline) -> String {
    let Some(close) = timeline.first_close() else { return "none".into() };
    let by = match close.by {
        Closer::Client => Peer::Client.name(),
        Closer::Host => Peer::Host.name(),
        Closer::Proxy => "proxy",
    };
    let kind = if close.kind == CloseKind::Rst { "rst" } else { "fin" };
    format!("{by} {kind}")
}

/// `selected 2 flags 1`, `failure 2`, `none`.
fn answer(timeline: &Timeline) -> String {
    match timeline.answer.as_ref() {
        Some(Answer::Selected { protocol, flags }) => format!("selected {} flags {}", protocol.0, flags.0),
        Some(Answer::Plain) => "plain".into(),
        Some(Answer::Failure(code)) => format!("failure {}", code.0),
        Some(other) => format!("{other:?}"),
        None => "none".into(),
    }
}

#[test]
fn streams_without_rdp_or_tls_are_not_taken_for_one() {
    for path in captures(&data("captures")) {
        let truth = truth::read(&path.with_extension("truth.json"));
        let expected = truth["streams"].as_array().unwrap();
        for (stream, truth) in replay::findings(&path).iter().zip(expected) {
            let timeline = replay::timeline(stream);
            if truth["rdp"].is_object() || truth["tls"].is_object() || timeline.traffic.client.bytes < 5 {
                continue;
            }
            let name = format!("{} {}", path.display(), truth["stream"]);
            assert!(timeline.request.is_none() && timeline.client_hello.is_none(), "{name}");
        }
    }
}
