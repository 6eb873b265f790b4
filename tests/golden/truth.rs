//! The truth files: one JSON document per capture, made by tshark and a second, independent reading.

use serde_json::Value;
use std::path::Path;

/// A truth file.
pub(crate) fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// `192.0.2.1:3389`.
pub(crate) fn address(peer: &Value) -> String {
    let ip: std::net::IpAddr = peer["ip"].as_str().unwrap().parse().unwrap();
    let port = u16::try_from(peer["port"].as_u64().unwrap()).unwrap();
    std::net::SocketAddr::new(ip, port).to_string()
}

/// A four-digit hex number as it stands.
pub(crate) fn hex16(value: &Value) -> String {
    value.as_str().unwrap_or("none").to_owned()
}

/// A list of texts, joined by blanks.
pub(crate) fn texts(value: &Value) -> String {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|v| v.as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
}

/// ALPN: the second reading where tshark lost bytes of names that are no ASCII. It has one character per byte; we
/// decode lossily.
pub(crate) fn alpn(hello: &Value) -> String {
    let second = &hello["alpn_second"];
    let names = texts(if second.is_array() { second } else { &hello["alpn"] });
    names.chars().map(|c| if c.is_ascii() { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// `client fin`, `none`.
pub(crate) fn close(end: &Value) -> String {
    let (Some(kind), Some(by)) = (end["first"].as_str(), end["first_by"].as_str()) else { return "none".into() };
    format!("{} {}", side(by), kind.to_lowercase())
}

/// `selected 2 flags 1`, `failure 2`, `plain`.
pub(crate) fn answer(response: &Value) -> String {
    match response["kind"].as_str() {
        Some("response") => format!("selected {} flags {}", response["selected_protocol"], response["flags"]),
        Some("failure") => format!("failure {}", response["failure_code"]),
        _ => "plain".into(),
    }
}

/// The client's first hello.
pub(crate) fn first_client_hello(tls: &Value) -> Option<&Value> {
    tls["client_hellos"].as_array()?.iter().find(|hello| hello["from"] == "client")
}

/// The first ServerHello that is no HelloRetryRequest.
pub(crate) fn server_hello(tls: &Value) -> Option<&Value> {
    let from_host = |hello: &&Value| hello["from"] == "server" && hello["hello_retry_request"] == false;
    tls["server_hellos"].as_array()?.iter().find(from_host)
}

/// A HelloRetryRequest came.
pub(crate) fn hello_retry(tls: &Value) -> bool {
    tls["server_hellos"].as_array().is_some_and(|all| all.iter().any(|hello| hello["hello_retry_request"] == true))
}

/// The host's leaf certificate.
pub(crate) fn leaf(tls: &Value) -> Option<&Value> {
    let host = tls["certificates"].as_array()?.iter().find(|c| c["from"] == "server")?;
    host["chain"].as_array()?.first()
}

/// `client 46, host 40`.
pub(crate) fn alerts(alerts: &Value) -> String {
    let items = alerts.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |a: &Value| format!("{} {}", side(a["from"].as_str().unwrap()), a["code"]);
    items.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// The parts of a distinguished name, without regard to their order, spacing and the short names of their types.
pub(crate) fn name(name: &str) -> String {
    const SYNONYMS: [(&str, &str); 4] = [
        ("emailAddress=", "Email="),
        ("street=", "streetAddress="),
        ("jurisdictionST=", "msJurisdictionStateOrProvince="),
        ("jurisdictionC=", "msJurisdictionCountry="),
    ];
    let mut parts: Vec<String> = name.split(',').map(|part| part.replace([' ', '\\', '"'], "")).collect();
    for part in &mut parts {
        if let Some((long, short)) = SYNONYMS.iter().find(|(long, _)| part.starts_with(long)) {
            *part = part.replacen(long, short, 1);
        }
    }
    parts.sort();
    parts.join(",")
}

/// `Feb 12 21:37:35 2011 GMT` in Unix seconds.
pub(crate) fn date(value: &Value) -> i64 {
    let text = value.as_str().unwrap().trim_end_matches(" GMT");
    let format =
        time::macros::format_description!("[month repr:short] [day padding:none] [hour]:[minute]:[second] [year]");
    let squeezed = text.split_whitespace().collect::<Vec<_>>().join(" ");
    time::PrimitiveDateTime::parse(&squeezed, format).unwrap().assume_utc().unix_timestamp()
}

/// `DNS:a, IP Address:192.0.2.1` without the kinds.
pub(crate) fn alternative_names(san: &Value) -> String {
    let names = san.as_str().unwrap_or_default().split(", ");
    let kept = names.filter_map(|n| n.strip_prefix("DNS:").or_else(|| n.strip_prefix("IP Address:")));
    kept.collect::<Vec<_>>().join(" ")
}

/// As OpenSSL names it, in our words.
pub(crate) fn key_algorithm(value: &Value) -> String {
    match value.as_str().unwrap() {
        "rsaEncryption" => "RSA".into(),
        "id-ecPublicKey" => "ECDSA".into(),
        other => other.into(),
    }
}

fn side(by: &str) -> &str {
    if by == "server" { "host" } else { by }
}
