//! One client against one host: first direct, then through the proxy. The client must not see a difference, and the
//! proxy must have understood.

use crate::captured;
use crate::client::{Client, Ended, PATIENCE};
use crate::expect::{Expect, one_attempt};
use crate::host::{Host, Running};
use crate::lab::{Exit, Lab, wait_until};
use crate::proxy::{Options, Proxy, at, text};
use crate::runner::{Case, Later, Outcome, Row};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A scenario of the fault matrix.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    name: String,
    host: Host,
    client: Client,
    exit: Exit,
    behind: Vec<Exit>,
    limit: Duration,
    until_active: bool,
    settings: Option<&'static str>,
    bridge: Option<Bridged>,
    sessions: Vec<Expect>,
}

/// The bridge of the listener under test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bridged {
    pub(crate) mode: &'static str,
    pub(crate) trust: Trust,
    pub(crate) key: Key,
    /// The keys of a `[[listener.bridge.host]]`, if there is to be one.
    pub(crate) host: &'static str,
}

/// How the bridge knows the host.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trust {
    /// By the lab's RSA certificate, which the xrdp hosts have.
    Pin,
    /// By one that is not its.
    OtherPin,
    Insecure,
}

/// What the bridge shows to clients.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key {
    /// What it makes itself.
    None,
    /// A pair of the lab, by name.
    Lab(&'static str),
    /// That of FreeRDP's server, which the host is.
    Shadow,
}

impl Bridged {
    /// `[listener.bridge]`. Keys are copied so that only the owner can read them.
    pub(crate) fn table(self, lab: &Lab, room: &std::path::Path) -> Result<String> {
        use std::os::unix::fs::PermissionsExt;
        let trust = match self.trust {
            Trust::Insecure => "verify = \"insecure\"".to_owned(),
            Trust::OtherPin => format!("pin = [\"sha256:{}\"]", "7f".repeat(32)),
            Trust::Pin => {
                let mut openssl = std::process::Command::new("openssl");
                openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(lab.cert("rsa.crt"));
                let shown = crate::lab::run(&mut openssl)?;
                let digits = shown.trim().rsplit('=').next().context("no fingerprint")?;
                format!("pin = [\"sha256:{digits}\"]")
            }
        };
        let files = match self.key {
            Key::None => None,
            Key::Lab(name) => Some((lab.cert(&format!("{name}.crt")), lab.cert(&format!("{name}.key")))),
            Key::Shadow => {
                let home = lab.scratch.join("host-home/.config/freerdp/shadow");
                Some((home.join("shadow.crt"), home.join("shadow.key")))
            }
        };
        let mut pair = String::new();
        if let Some((certificate, key)) = files {
            let own = room.join("bridge.key");
            std::fs::copy(&key, &own).with_context(|| key.display().to_string())?;
            std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o600))?;
            pair = format!("certificate = \"{}\"\nprivate_key = \"{}\"\n", certificate.display(), own.display());
        }
        let entry = if self.host.is_empty() { "" } else { "[[listener.bridge.host]]\n" };
        Ok(format!("[listener.bridge]\nmode = \"{}\"\n{trust}\n{pair}{entry}{}", self.mode, self.host))
    }
}

/// How long a client that never ends is watched before it is ended.
const WATCH: Duration = Duration::from_secs(3);
/// When counters are final at the latest: 30 s after the session's end, and some for a busy machine.
const SETTLED: Duration = Duration::from_secs(45);

impl Pair {
    /// The client must end with `exit`, direct and proxied.
    pub(crate) fn new(name: impl Into<String>, host: Host, client: Client, exit: i32) -> Pair {
        Pair {
            name: name.into(),
            host,
            client,
            exit: Exit::Code(exit),
            behind: vec![Exit::Code(exit)],
            limit: PATIENCE,
            until_active: false,
            settings: None,
            bridge: None,
            sessions: vec![],
        }
    }

    /// The client must still be at work when its time is up, direct and proxied.
    pub(crate) fn running(name: impl Into<String>, host: Host, client: Client) -> Pair {
        let exit = Exit::Running;
        Pair { exit, behind: vec![exit], limit: WATCH, ..Pair::new(name, host, client, 0) }
    }

    /// The same; behind the proxy it is ended as soon as the session is active.
    pub(crate) fn until_active(name: impl Into<String>, host: Host, client: Client) -> Pair {
        Pair { until_active: true, ..Pair::running(name, host, client) }
    }

    /// Direct it ends with `exit`; bridged it is ended as soon as the session is active.
    pub(crate) fn rescued_until_active(name: impl Into<String>, host: Host, client: Client, exit: i32) -> Pair {
        Pair { until_active: true, behind: vec![Exit::Running], ..Pair::new(name, host, client, exit) }
    }

    /// The proxy has a bridge.
    pub(crate) fn bridge(self, bridge: Bridged) -> Pair {
        Pair { bridge: Some(bridge), ..self }
    }

    /// Behind the proxy the client ends with another code; say why where this is used.
    pub(crate) fn behind(self, exit: i32) -> Pair {
        Pair { behind: vec![Exit::Code(exit)], ..self }
    }

    /// The host cannot be reached, and the client learns it by a reset of a connection that was made. One that looks
    /// up late sees the reset as a failure to connect.
    pub(crate) fn or_never_connected(mut self) -> Pair {
        self.behind.push(Exit::Code(141));
        self
    }

    /// Lines for the proxy's configuration file.
    pub(crate) fn settings(self, settings: &'static str) -> Pair {
        Pair { settings: Some(settings), ..self }
    }

    /// One more connection that the proxy must have seen.
    pub(crate) fn session(mut self, expect: Expect) -> Pair {
        self.sessions.push(expect);
        self
    }

    /// As a case for the runner.
    pub(crate) fn case(self) -> Case {
        let name = self.name.clone();
        Case::new(name, move |lab, direct_only| self.run(lab, direct_only))
    }

    fn run(&self, lab: &Arc<Lab>, direct_only: bool) -> Result<Outcome> {
        if let Some(why) = self.host.unavailable() {
            return Ok(Outcome::skip(why));
        }
        let direct = self.direct(lab)?;
        if direct_only {
            return Ok(Outcome::of(Row::direct(&self.name, direct)));
        }
        let room = lab.room(&format!("{}-proxied", self.name))?;
        let host = self.host.start(lab, &room)?;
        let bridge = self.bridge.map(|bridge| bridge.table(lab, &room)).transpose()?;
        let options = Options { settings: self.settings, bridge: bridge.as_deref(), ..Options::default() };
        let proxy = Proxy::start(lab, &room, &format!("127.0.0.1:{}", host.port), &options)?;
        let ended = self.drive(lab, &room, &proxy)?;
        let judged = self.judge(&ended, &host, &proxy);
        let story = || {
            let events = std::fs::read_to_string(room.join("events.jsonl")).unwrap_or_default();
            format!(
                "client:\n{}\nhost:\n{}\nproxy:\n{}\nevents:\n{events}",
                tail(&ended.output),
                tail(&host.output()),
                tail(&proxy.output()),
            )
        };
        let sessions = judged.with_context(story)?;
        lab.host_legs.told(&self.name, host.port, &sessions);
        let rows = sessions.iter().map(|event| Row::new(&self.name, &direct, &ended.exit, event)).collect();
        Ok(Outcome { rows, later: Some(counted(proxy, sessions)), skipped: None })
    }

    fn direct(&self, lab: &Arc<Lab>) -> Result<Exit> {
        let room = lab.room(&format!("{}-direct", self.name))?;
        let host = self.host.start(lab, &room)?;
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, host.port));
        let ended = self.client.run(lab, &room, to, self.limit)?;
        let (client, server) = (tail(&ended.output), tail(&host.output()));
        ensure!(
            ended.exit == self.exit,
            "direct, the client's exit is {}, not {}\nclient:\n{client}\nhost:\n{server}",
            ended.exit,
            self.exit,
        );
        Ok(ended.exit)
    }

    fn drive(&self, lab: &Arc<Lab>, room: &std::path::Path, proxy: &Proxy) -> Result<Ended> {
        if !self.until_active {
            let limit = if self.behind.contains(&Exit::Running) { self.limit } else { PATIENCE };
            return self.client.run(lab, room, proxy.address(), limit);
        }
        let mut client = self.client.start(lab, room, proxy.address())?;
        proxy.wait_in_phase("active", 1.0, PATIENCE);
        let exit = client.try_exit().unwrap_or(Exit::Running);
        client.stop();
        Ok(Ended { exit, output: client.output(), bytes: None })
    }

    fn judge(&self, ended: &Ended, host: &Running, proxy: &Proxy) -> Result<Vec<Value>> {
        let sessions = proxy.sessions(self.sessions.len())?;
        ensure!(
            self.behind.contains(&ended.exit),
            "through the proxy, the client's exit is {}, not {:?} (direct: {})",
            ended.exit,
            self.behind,
            self.exit,
        );
        let (seen, wanted) = (sessions.len(), self.sessions.len());
        ensure!(seen == wanted, "{seen} connections seen, not {wanted}");
        for (number, (event, expect)) in sessions.iter().zip(&self.sessions).enumerate() {
            expect.check(event).with_context(|| format!("connection {}", number + 1))?;
        }
        one_attempt(&sessions)?;
        bytes_agree(ended, host, &sessions)?;
        Ok(sessions)
    }
}

/// A client or host that counts must have counted what the event says.
fn bytes_agree(ended: &Ended, host: &Running, sessions: &[Value]) -> Result<()> {
    let [event] = sessions else { return Ok(()) };
    if !at(event, "rdpscope.bridge.host_version").is_null() {
        // What is inside of two legs is counted, not what crosses either wire.
        return Ok(());
    }
    let said = |path| at(event, path).as_u64().unwrap_or_default();
    let (up, down) = (said("source.bytes"), said("destination.bytes"));
    let reset = text(event, "rdpscope.close.kind") != "fin";
    if let Some((sent, received)) = ended.bytes {
        // A reset may destroy what was on its way.
        ensure!(reset || up == sent, "source.bytes is {up}, the client sent {sent}");
        ensure!(
            down == received || (reset && down >= received),
            "destination.bytes is {down}, the client got {received}"
        );
    }
    if let [(received, sent)] = host.wire()[..] {
        ensure!(up >= received, "source.bytes is {up}, the host got {received}");
        ensure!(down == sent || (reset && down <= sent), "destination.bytes is {down}, the host sent {sent}");
    }
    Ok(())
}

/// Counters know the sessions once their verdicts are final, each once; until then other scenarios can run.
fn counted(proxy: Proxy, sessions: Vec<Value>) -> Later {
    Box::new(move || {
        let count = sessions.len() as f64;
        let all = || proxy.metric("rdpscope_sessions_total", &[]).ok().filter(|sum| *sum >= count);
        wait_until(SETTLED, all);
        captured::agree(&proxy)?;
        let codes = proxy.final_codes()?;
        ensure!(codes.len() == sessions.len(), "{} sessions in the log, not {count}", codes.len());
        let is = |metric: &str, labels: &[(&str, &str)], wanted: f64| {
            let got = proxy.metric(metric, labels)?;
            ensure!(got == wanted, "{metric} {labels:?} is {got}, the log has {wanted}");
            Ok(())
        };
        let total = |path: &str| sessions.iter().filter_map(|event| at(event, path).as_f64()).sum::<f64>();
        let with = |path: &str, value: &str| sessions.iter().filter(|event| text(event, path) == value).count() as f64;
        for code in codes.values() {
            let same = codes.values().filter(|other| *other == code).count() as f64;
            is("rdpscope_sessions_total", &[("cause", code)], same)?;
        }
        is("rdpscope_connections_accepted_total", &[], count)?;
        is("rdpscope_sessions_active", &[], 0.0)?;
        is("rdpscope_bytes_total", &[("direction", "client_to_host")], total("source.bytes"))?;
        is("rdpscope_bytes_total", &[("direction", "host_to_client")], total("destination.bytes"))?;
        for side in ["client", "host"] {
            is("rdpscope_tls_alerts_total", &[("side", side)], with("tls.alert.side", side))?;
        }
        for version in ["1.0", "1.1", "1.2", "1.3"] {
            is("rdpscope_tls_negotiated_total", &[("version", version)], with("tls.version", version))?;
        }
        let refused = sessions.iter().filter(|event| at(event, "rdp.negotiation.failure_code").is_u64()).count();
        is("rdpscope_x224_failures_total", &[], refused as f64)
    })
}

/// The last lines of a program's output.
pub(crate) fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
