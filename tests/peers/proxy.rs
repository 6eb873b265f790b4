//! The product, started as an administrator starts it: the built binary, its flags or its file, and what it tells.

use crate::lab::{Lab, Process, STARTUP, wait_until};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use time::format_description::well_known::Rfc3339;

/// How long an event may take from the end of a connection to the file. It needs milliseconds; a busy machine more.
const EVENT: Duration = Duration::from_secs(15);

/// A running rdpscope.
pub(crate) struct Proxy {
    process: Process,
    /// Where its listeners accept, in the order they were printed.
    pub(crate) listening: Vec<SocketAddr>,
    admin: SocketAddr,
    events: PathBuf,
    captures: PathBuf,
}

/// How to start it.
#[derive(Default)]
pub(crate) struct Options<'a> {
    /// Lines for the configuration file beside listener, events and admin; none: flags only.
    pub(crate) settings: Option<&'a str>,
    /// `[listener.bridge]` and its keys.
    pub(crate) bridge: Option<&'a str>,
    /// `session_start` and `session_phase` events in the log too. Needs a file, so `settings` too.
    pub(crate) live_events: bool,
    /// Makes the command that runs a program elsewhere, as in a network namespace.
    pub(crate) wrapper: Option<&'a dyn Fn(&str) -> Command>,
}

impl Proxy {
    /// One listener in front of `upstream`.
    pub(crate) fn start(lab: &Arc<Lab>, room: &Path, upstream: &str, options: &Options<'_>) -> Result<Proxy> {
        match options.settings {
            None if options.bridge.is_none() => {
                let flags =
                    ["--listen", "127.0.0.1:0", "--upstream", upstream, "--admin", "127.0.0.1:0", "--probe", "off"];
                Self::launch(lab, room, &flags, 1, options)
            }
            settings => {
                let bridge = options.bridge.unwrap_or_default();
                let listener = format!(
                    "[[listener]]\nname = \"lab\"\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n{bridge}"
                );
                Self::with_file(lab, room, &listener, 1, &Options { settings, ..*options })
            }
        }
    }

    /// Several listeners from one file; `listeners` is their `[[listener]]` tables, `count` how many they are.
    pub(crate) fn with_file(
        lab: &Arc<Lab>,
        room: &Path,
        listeners: &str,
        count: usize,
        options: &Options<'_>,
    ) -> Result<Proxy> {
        let file = room.join("rdpscope.toml");
        let events = events_file(room);
        let settings = options.settings.unwrap_or_default();
        // What passing bytes on can tell is shown here, and hosts that count their connections are left alone.
        let probe = if settings.contains("[probe]") { "" } else { "[probe]\nmode = \"off\"" };
        // Captures of bridged sessions are readable: what is in them can be looked at.
        let until = time::OffsetDateTime::now_utc() + time::Duration::hours(12);
        let secrets = match options.bridge {
            Some(_) => format!("secrets = true\nsecrets_until = \"{}\"\n", until.format(&Rfc3339)?),
            None => String::new(),
        };
        let text = format!(
            "{listeners}\n{probe}\n[capture]\ndirectory = \"{}\"\nmin_free = \"0B\"\n{secrets}[events]\npath = \"{}\"\nlive = {}\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n{settings}\n",
            room.join("captures").display(),
            events.display(),
            options.live_events,
        );
        std::fs::write(&file, text)?;
        let path = file.to_string_lossy().into_owned();
        Self::launch(lab, room, &["--config", &path], count, options)
    }

    fn launch(lab: &Arc<Lab>, room: &Path, flags: &[&str], count: usize, options: &Options<'_>) -> Result<Proxy> {
        let binary = env!("CARGO_BIN_EXE_rdpscope");
        let events = events_file(room);
        let mut command = options.wrapper.map_or_else(|| Command::new(binary), |wrap| wrap(binary));
        command.arg("run").args(flags);
        if !flags.contains(&"--config") {
            command.arg("--event-log").arg(&events).arg("--capture").arg(room.join("captures"));
        }
        lab.host_environment(&mut command);
        // Sixty of them run side by side: one worker each is enough.
        command.env("TOKIO_WORKER_THREADS", "1").env("XDG_STATE_HOME", room);
        let mut process = Process::start(lab, command, &room.join("rdpscope.log"))?;
        let ready = wait_until(STARTUP, || {
            let (listening, admin) = addresses(&process.output());
            let ended = process.try_exit().is_some();
            (ended || (listening.len() == count && admin.is_some())).then_some((listening, admin))
        });
        match ready {
            Some((listening, Some(admin))) if listening.len() == count => {
                Ok(Proxy { process, listening, admin, events, captures: room.join("captures") })
            }
            _ => {
                process.stop();
                bail!("rdpscope run {} does not get ready:\n{}", flags.join(" "), process.output())
            }
        }
    }

    /// Where its first listener accepts.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listening.first().copied().unwrap_or(self.admin)
    }

    /// What it prints for a person.
    pub(crate) fn output(&self) -> String {
        self.process.output()
    }

    /// Where it writes the openings of failed sessions.
    pub(crate) fn captures(&self) -> &Path {
        &self.captures
    }

    /// All events so far.
    pub(crate) fn events(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(&self.events).unwrap_or_default();
        // The last line may still be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).with_context(|| format!("event {line}"))).collect()
    }

    /// The `session_end` events, once there are `count`, in the order the connections were accepted.
    ///
    /// Accept order is the order of `session.id`: UUIDv7 begins with the time.
    pub(crate) fn sessions(&self, count: usize) -> Result<Vec<Value>> {
        let ends = || -> Result<Vec<Value>> {
            let mut ends: Vec<Value> =
                self.events()?.into_iter().filter(|event| action(event) == "session_end").collect();
            ends.sort_by_key(|event| text(event, "session.id").to_owned());
            Ok(ends)
        };
        wait_until(EVENT, || ends().ok().filter(|ends| ends.len() >= count));
        ends()
    }

    /// What each session came to in the end: the code of its last `session_end` or `verdict` event.
    pub(crate) fn final_codes(&self) -> Result<std::collections::BTreeMap<String, String>> {
        let judged = self.events()?.into_iter().filter(|event| matches!(action(event), "session_end" | "verdict"));
        Ok(judged.map(|event| (text(&event, "session.id").to_owned(), text(&event, "event.code").to_owned())).collect())
    }

    /// The body of an admin page.
    pub(crate) fn page(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.admin)?;
        stream.set_read_timeout(Some(EVENT))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        if !head.contains(" 200 ") {
            bail!("{path}: {head}");
        }
        Ok(body.to_owned())
    }

    /// The sum of the samples of `metric` whose labels contain all of `labels`.
    pub(crate) fn metric(&self, metric: &str, labels: &[(&str, &str)]) -> Result<f64> {
        let wanted: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let page = self.page("/metrics")?;
        let samples = page.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let (name, set) = name.split_once('{').unwrap_or((name, ""));
            (name == metric && wanted.iter().all(|label| set.contains(label.as_str()))).then_some(value)
        });
        Ok(samples.filter_map(|value| value.parse::<f64>().ok()).sum())
    }

    /// Waits until so many sessions are in `phase`.
    pub(crate) fn wait_in_phase(&self, phase: &str, count: f64, limit: Duration) -> bool {
        let there = || self.metric("rdpscope_sessions_in_phase", &[("phase", phase)]).ok().filter(|now| *now >= count);
        wait_until(limit, there).is_some()
    }
}

/// `event.action` of an event.
pub(crate) fn action(event: &Value) -> &str {
    text(event, "event.action")
}

/// The value at a dotted path.
pub(crate) fn at<'a>(event: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(event, |value, key| &value[key])
}

/// The text at a dotted path, or nothing.
pub(crate) fn text<'a>(event: &'a Value, path: &str) -> &'a str {
    at(event, path).as_str().unwrap_or_default()
}

fn events_file(room: &Path) -> PathBuf {
    room.join("events.jsonl")
}

/// The addresses in the lines that say `listening`: RDP listeners, and in the line of the admin endpoint.
fn addresses(output: &str) -> (Vec<SocketAddr>, Option<SocketAddr>) {
    let (mut listeners, mut admin) = (vec![], None);
    for line in output.lines().filter(|line| line.contains("listening") || line.contains("admin")) {
        let is_address = |c: char| c.is_ascii_digit() || c == '.' || c == ':';
        let words = line.split(|c: char| !is_address(c)).map(|word| word.trim_matches(':'));
        let Some(address) = words.filter_map(|word| word.parse::<SocketAddr>().ok()).find(is_bound) else { continue };
        if line.contains("admin") || line.contains("http") {
            admin = Some(address);
        } else {
            listeners.push(address);
        }
    }
    (listeners, admin)
}

fn is_bound(address: &SocketAddr) -> bool {
    address.port() != 0 && address.ip() == Ipv4Addr::LOCALHOST
}
