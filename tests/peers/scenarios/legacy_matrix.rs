//! Every kind of client against every kind of host, over TLS and with NLA: what works by itself stays untouched, and what
//! fails for its TLS works bridged. The rows are those of the table in `tests/README.md`.

use super::bridge::{always, auto};
use crate::client::{Client, PATIENCE};
use crate::host::{Host, Xrdp};
use crate::lab::{Exit, Lab};
use crate::pair::{Bridged, Key, Trust};
use crate::proxy::{Options, Proxy, text};
use crate::runner::{Case, Outcome, Row};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// The table that must be found here.
const TABLE: &str = include_str!("../../README.md");

/// Both legs may speak everything; on loopback every host has this name.
const ALL: &str = "match = \"127.0.0.1\"\nclient_versions = [\"1.0\", \"1.1\", \"1.2\", \"1.3\"]\n\
    host_versions = [\"1.0\", \"1.1\", \"1.2\", \"1.3\"]\n";

/// Names of clients, with the OpenSSL configuration that makes them.
const CLIENTS: [(&str, &str); 5] = [
    ("TLS 1.0", "only10.cnf"),
    ("TLS 1.1", "only11.cnf"),
    ("TLS 1.2, AEAD", "only12aead.cnf"),
    ("TLS 1.2, CBC and RSA", "only12cbc.cnf"),
    ("TLS 1.3", "only13.cnf"),
];

/// One column: the name, the host, and whether NLA is asked of it.
fn columns() -> Vec<(&'static str, Host, bool)> {
    let xrdp = |protocols, ciphers| Host::Xrdp(Xrdp::tls().protocols(protocols).ciphers(ciphers));
    vec![
        ("TLS 1.0", Host::Xrdp(Xrdp::legacy("TLSv1")), false),
        ("TLS 1.1", Host::Xrdp(Xrdp::legacy("TLSv1.1")), false),
        ("TLS 1.2, AEAD", xrdp("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384"), false),
        ("TLS 1.2, CBC and RSA", xrdp("TLSv1.2", "AES128-SHA"), false),
        ("TLS 1.3", Host::Xrdp(Xrdp::tls().protocols("TLSv1.3")), false),
        ("NLA, TLS 1.2, AEAD", Host::ShadowWith("nla", "only12aead.cnf"), true),
        ("NLA, TLS 1.2, CBC and RSA", Host::ShadowWith("nla", "only12cbc.cnf"), true),
        ("NLA, TLS 1.3", Host::Shadow13("nla"), true),
    ]
}

pub(crate) fn cases() -> Vec<Case> {
    if !cfg!(feature = "legacy-tls") {
        return Vec::new();
    }
    let case = |(name, file): (&'static str, &'static str)| {
        let scenario = format!("legacy-matrix-{}", file.trim_start_matches("only").trim_end_matches(".cnf"));
        Case::new(scenario.clone(), move |lab, direct_only| row(lab, &scenario, name, file, direct_only))
    };
    CLIENTS.into_iter().map(case).collect()
}

fn row(lab: &Arc<Lab>, scenario: &str, name: &str, file: &'static str, direct_only: bool) -> Result<Outcome> {
    let mut line = format!("| {name} |");
    for (number, (column, host, nla)) in columns().into_iter().enumerate() {
        let room = lab.room(&format!("{scenario}-{number}"))?;
        let security = if nla { "/sec:nla" } else { "/sec:tls" };
        let client = Client::XfreerdpWith(file, vec!["+auth-only", "/tls-seclevel:0", security]);
        let cell = cell(lab, &room, &host, nla, &client, direct_only).with_context(|| format!("{name} at {column}"))?;
        line.push_str(&format!(" {cell} |"));
    }
    ensure!(direct_only || TABLE.contains(&line), "tests/README.md has no such row:\n{line}");
    Ok(Outcome::of(Row::note(scenario, "", line.trim_matches('|').trim().replace('|', "/"))))
}

fn cell(lab: &Arc<Lab>, room: &Path, host: &Host, nla: bool, client: &Client, direct_only: bool) -> Result<String> {
    let running = host.start(lab, room)?;
    let run = |to: SocketAddr| client.run(lab, room, to, PATIENCE).map(|ended| ended.exit);
    let direct = run(SocketAddr::from((Ipv4Addr::LOCALHOST, running.port)))?;
    if direct_only {
        return Ok(direct.to_string());
    }
    let (key, trust) = if nla { (Key::Shadow, Trust::Insecure) } else { (Key::None, Trust::Pin) };
    let mut listeners = String::new();
    for bridge in [auto(), always()] {
        let table = Bridged { key, trust, host: ALL, ..bridge }.table(lab, room)?;
        let upstream = format!("127.0.0.1:{}", running.port);
        let name = bridge.mode;
        listeners.push_str(&format!(
            "[[listener]]\nname = \"{name}\"\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n{table}\n"
        ));
    }
    let proxy = Proxy::with_file(lab, room, &listeners, 2, &Options::default())?;
    let [by_auto, by_always] = proxy.listening[..] else { bail!("two listeners") };
    let exit = run(by_auto)?;
    let event = |count: usize| -> Result<Value> { proxy.sessions(count)?.pop().context("no session") };
    let first = event(1)?;
    if direct == Exit::Code(0) {
        ensure!(exit == direct, "untouched it would have worked: {exit}");
        ensure!(first.pointer("/rdpscope/bridge").is_none(), "it was touched: {first}");
        return Ok("untouched".to_owned());
    }
    let (exit, event, how) = match exit {
        Exit::Code(0) => (exit, first, "rescued"),
        _ => (run(by_always)?, event(2)?, "always"),
    };
    ensure!(exit == Exit::Code(0), "bridged it ends with {exit}: {event}\n{}", proxy.output());
    ensure!(text(&event, "event.code") == "ok_bridged", "{event}");
    let library = |leg: &str| match event.pointer(&format!("/rdpscope/bridge/{leg}_library")).and_then(Value::as_str) {
        Some("rustls") => Ok('R'),
        Some("openssl") => Ok('O'),
        _ => bail!("no library of the {leg} leg: {event}"),
    };
    Ok(format!("{how} {}-{}", library("client")?, library("host")?))
}
