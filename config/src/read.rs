//! TOML to settings. All that is wrong is collected; only broken syntax ends the reading early.
//!
//! Tables of more than a few values have a file of their own in `read/`; `section` takes the values, for all of them.

pub(crate) mod bridge;
pub(crate) mod capture;
mod listener;
pub(crate) mod probe;
mod section;

use crate::address::listen;
use crate::agreement::disagreements;
use crate::problem::{Errors, Fault, Place, Problem, shown};
use crate::quantity::{duration, size, write_duration, write_size};
use crate::reference::Table;
use crate::settings::*;
use crate::suggest::nearest;
use section::{Read, Reader, Section};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// No configuration is longer; what is, is another file.
const MAX_FILE: u64 = 1 << 20;
/// A phase of an opening that is given more than this is no longer watched.
const MAX_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// Thirty days: longer than any session lives.
const MAX_DRAIN: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A few whole openings (a ClientHello may have 64 KiB, what is kept of a session 256 KiB).
const MIN_OPENING_MEMORY: u64 = 1 << 20;
/// A few events, the largest of which have some tens of KiB.
const MIN_EVENT_QUEUE: u64 = 256 << 10;
/// Past this it is not a bound.
const MAX_MEMORY: u64 = 64 << 30;
/// More cores than this in one machine would be news.
const MOST_THREADS: usize = 1_024;

/// Reads and checks a file.
///
/// # Errors
/// All that is wrong with it, or why it cannot be read.
pub fn load(path: &Path) -> Result<Settings, Errors> {
    let origin = path.display().to_string();
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let help = match error.kind() {
            ErrorKind::NotFound => {
                "write it (`rdpscope check --help` has a file to begin with), or run without one: `--listen ADDR --upstream HOST:PORT`"
            }
            ErrorKind::PermissionDenied => {
                "the file and the directories above it must be readable by the user rdpscope runs as"
            }
            ErrorKind::IsADirectory => "name the file in it",
            _ => "",
        };
        let help = if help.is_empty() { Vec::new() } else { vec![help.to_owned()] };
        return Err(Errors::unreadable(&origin, format!("cannot read the configuration: {error}"), help));
    }
    if bytes.len() as u64 > MAX_FILE {
        let title = format!("the configuration is larger than {}", write_size(MAX_FILE));
        return Err(Errors::unreadable(&origin, title, vec!["is this the right file?".to_owned()]));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse(&origin, text),
        Err(error) => {
            let at = error.valid_up_to();
            let byte = bytes.get(at).copied().unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            let problem = Problem {
                title: "the file is not UTF-8".to_owned(),
                at: at..at + 1,
                label: format!("byte 0x{byte:02x}"),
                also: None,
                help: vec!["save it as UTF-8".to_owned()],
            };
            Err(Errors::new(&origin, &text, vec![problem]))
        }
    }
}

/// Reads and checks a text; `origin` is what errors call it.
///
/// # Errors
/// All that is wrong with it.
pub fn parse(origin: &str, text: &str) -> Result<Settings, Errors> {
    let (document, broken) = DeTable::parse_recoverable(text);
    if !broken.is_empty() {
        let problems = broken.iter().map(|error| broken_syntax(text, error)).collect();
        return Err(Errors::new(origin, text, problems));
    }
    let mut reader = Reader { problems: Vec::new() };
    let settings = settings(&mut reader, document.get_ref());
    match settings {
        Some(settings) if reader.problems.is_empty() => Ok(settings),
        _ => Err(Errors::new(origin, text, reader.problems)),
    }
}

/// What stands before the path of a socket.
pub(crate) const UNIX: &str = "unix:";

/// `sun_path` has 108 bytes, the last one for a NUL. unix(7)
const LONGEST_SOCKET: usize = 107;

/// Where events go, as `events.path` and `--event-log` name it.
pub(crate) fn event_path(text: &str) -> Result<EventPath, Fault> {
    match text {
        "-" => Ok(EventPath::Stdout),
        "off" => Ok(EventPath::Off),
        text if text.trim().is_empty() => {
            Err(Fault::new("names no file", "empty").instead("-").note("`-` is standard output, `off` nowhere"))
        }
        text if text.ends_with('/') => {
            Err(Fault::new("names a directory", "ends in `/`").instead(format!("{text}events.jsonl")))
        }
        text if text == UNIX => {
            Err(Fault::new("names no socket", "nothing after `unix:`").instead("unix:/run/collector.sock"))
        }
        text if text.contains('\0') => {
            Err(Fault::new("names no file", "no file name has a NUL in it").instead(text.replace('\0', "")))
        }
        text => match text.strip_prefix(UNIX) {
            Some(socket) if socket.len() > LONGEST_SOCKET => {
                let fault = Fault::new("names a socket by too long a path", format!("{} bytes", socket.len()));
                let note = format!("the path of a Unix socket has at most {LONGEST_SOCKET} bytes (unix(7))");
                Err(fault.instead("unix:/run/collector.sock").note(note))
            }
            Some(socket) => Ok(EventPath::Socket(PathBuf::from(socket))),
            None => Ok(EventPath::File(PathBuf::from(text))),
        },
    }
}

/// Where the admin endpoint listens, as `admin.listen` and `--admin` name it.
pub(crate) fn admin_listen(text: &str) -> Result<Option<Admin>, Fault> {
    if text == "off" {
        return Ok(None);
    }
    let usual = Admin::default().listen;
    listen(text, usual.port()).map(|listen| Some(Admin { listen })).map_err(|fault| {
        let instead = fault.instead.map(|right| right.replace("0.0.0.0:", "127.0.0.1:"));
        let note =
            "other machines reach it only through an address of this one, and there is no login: prefer loopback";
        Fault { instead, note: Some(note.to_owned()), ..fault }
    })
}

fn settings(reader: &mut Reader, root: &DeTable<'_>) -> Option<Settings> {
    top_level(reader, root);
    let listeners = listener::listeners(reader, root);

    let timeouts = reader.section(root, "timeouts", Table::Timeouts);
    let defaults = Timeouts::default();
    let timeouts = Timeouts {
        connect: timeout(reader, &timeouts, "connect", defaults.connect),
        negotiate: timeout(reader, &timeouts, "negotiate", defaults.negotiate),
        client_hello: timeout(reader, &timeouts, "client_hello", defaults.client_hello),
        server_hello: timeout(reader, &timeouts, "server_hello", defaults.server_hello),
    };
    let probe = probe::probe(reader, root);
    let capture = capture::capture(reader, root);

    let events = reader.section(root, "events", Table::Events);
    let defaults = Events::default();
    let events = Events {
        path: reader.text(&events, "path", event_path).or(defaults.path),
        user_names: reader.text(&events, "user_names", user_names).or(defaults.user_names),
        live: reader.boolean(&events, "live").or(defaults.live),
    };

    let section = reader.section(root, "admin", Table::Admin);
    let (admin, admin_at) = match reader.text(&section, "listen", admin_listen) {
        Read::Good(admin, at) => (admin, Some(at)),
        Read::Absent => (Some(Admin::default()), None),
        Read::Faulty => (None, None),
    };

    let limits = reader.section(root, "limits", Table::Limits);
    let defaults = Limits::default();
    let limits = Limits {
        drain_timeout: reader
            .text(&limits, "drain_timeout", |text| at_most(duration(text)?, MAX_DRAIN))
            .or(defaults.drain_timeout),
        opening_memory: memory(reader, &limits, "opening_memory", MIN_OPENING_MEMORY, defaults.opening_memory),
        event_queue: memory(reader, &limits, "event_queue", MIN_EVENT_QUEUE, defaults.event_queue),
        threads: reader.count(&limits, "threads", 0..=MOST_THREADS, 4).or(defaults.threads),
    };

    let placed_admin = admin.as_ref().map(|admin| (admin.listen, admin_at));
    reader.problems.extend(disagreements(&listeners, placed_admin, Place::File));
    let listeners: Vec<Listener> = listeners.into_iter().map(|placed| placed.listener).collect();
    // A listener that is faulty, or no listener at all, has been reported.
    (!listeners.is_empty()).then_some(Settings {
        listeners,
        timeouts,
        probe,
        capture,
        events,
        admin,
        limits,
        state_directory: None,
    })
}

fn between(text: &str, least: Duration, most: Duration) -> Result<Duration, Fault> {
    let value = at_most(duration(text)?, most)?;
    if value < least {
        let least = write_duration(least);
        return Err(Fault::new("is too short", format!("less than {least}")).instead(least));
    }
    Ok(value)
}

/// Names at the top that are no table of ours.
fn top_level(reader: &mut Reader, root: &DeTable<'_>) {
    const TABLES: [&str; 7] = ["listener", "timeouts", "probe", "capture", "events", "admin", "limits"];
    for (name, _) in root.iter().filter(|(name, _)| !TABLES.contains(&name.get_ref().as_ref())) {
        let at = name.span();
        let name = name.get_ref().as_ref();
        let help = if let Some(near) = nearest(name, TABLES) {
            format!(
                "did you mean `{}`?",
                if near == "listener" { "[[listener]]".to_owned() } else { format!("[{near}]") }
            )
        } else if let Some(home) = Table::ALL.into_iter().find(|table| table.key(name).is_some()) {
            format!("`{name}` is a key of `{}`: write it below that line", home.header())
        } else {
            "there are `[[listener]]`, `[timeouts]`, `[probe]`, `[capture]`, `[events]`, `[admin]`, `[limits]`"
                .to_owned()
        };
        let title = format!("`{}` is not known", shown(name));
        reader.problems.push(Problem { title, at, label: "not known here".to_owned(), also: None, help: vec![help] });
    }
}

fn timeout(reader: &mut Reader, section: &Section<'_>, name: &'static str, default: Duration) -> Duration {
    let read = |text: &str| {
        let value = duration(text)?;
        if value.is_zero() {
            let fault = Fault::new("is zero: every connection would fail", "no time at all");
            return Err(fault.instead(write_duration(default)));
        }
        at_most(value, MAX_TIMEOUT)
    };
    reader.text(section, name, read).or(default)
}

fn at_most(value: Duration, most: Duration) -> Result<Duration, Fault> {
    if value <= most {
        return Ok(value);
    }
    let most = write_duration(most);
    Err(Fault::new("is too long", format!("more than {most}")).note(format!("at most \"{most}\"")))
}

fn memory(reader: &mut Reader, section: &Section<'_>, name: &'static str, least: u64, default: usize) -> usize {
    let read = |text: &str| sized(text, least, MAX_MEMORY).map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    reader.text(section, name, read).or(default)
}

fn sized(text: &str, least: u64, most: u64) -> Result<u64, Fault> {
    match size(text)? {
        bytes if bytes < least => {
            let fault = Fault::new("is too small", format!("less than {}", write_size(least)));
            Err(fault.instead(write_size(least)))
        }
        bytes if bytes > most => {
            let most = write_size(most);
            Err(Fault::new("is too large", format!("more than {most}")).note(format!("at most \"{most}\"")))
        }
        bytes => Ok(bytes),
    }
}

fn user_names(text: &str) -> Result<UserNames, Fault> {
    let all = [UserNames::Plain, UserNames::Hash, UserNames::Drop];
    all.into_iter().find(|value| value.name() == text).ok_or_else(|| {
        let near = nearest(text, all.map(UserNames::name)).unwrap_or("hash");
        let read = format!("read `{}`", shown(text));
        Fault::new("is not known", read).instead(near).note("one of `plain`, `hash`, `drop`")
    })
}

/// What the TOML reader says, with the mistakes people make most put plainly.
fn broken_syntax(text: &str, error: &toml::de::Error) -> Problem {
    let at = error.span().unwrap_or(0..0);
    let (what, mut right) = match error.message().split_once(", expected ") {
        Some((what, "nothing")) => (what, Vec::new()),
        Some((what, right)) => (what, vec![format!("expected {right}")]),
        None => (error.message(), Vec::new()),
    };
    let start = text[..floor(text, at.start)].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    if let Some((key, value)) = line.split_once('=')
        && at.start > start + key.len()
        && !value.trim().is_empty()
        && !value.contains(['"', '\'', '#', '[', '{'])
    {
        right = vec![format!("quote it: `{} = \"{}\"`", shown(key.trim()), shown(value.trim()))];
    } else if what == "duplicate key" {
        right = vec!["a key, and a table in single brackets, stands once: remove one of the two".to_owned()];
    }
    Problem { title: format!("not TOML: {what}"), at, label: "here".to_owned(), also: None, help: right }
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The value's kind, with its article.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
