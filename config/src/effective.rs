//! Settings back to TOML: what is in force, and the reference of all keys.

use crate::bridge::{BridgeRules, Ciphers};
use crate::quantity::{moment, write_duration, write_moment, write_size};
use crate::read::UNIX;
use crate::reference::{Built, Key, Table};
use crate::settings::*;
use std::net::SocketAddr;
use std::time::SystemTime;

/// Comments begin here, where lines are not longer.
const COMMENT_COLUMN: usize = 46;
/// What the terminal shows without breaking lines: the reference is there to be copied.
const COMMENT_WIDTH: usize = 80;

/// The whole configuration in force as a TOML document that means the same when read again. Comments say which values
/// are the defaults and what this build does not have.
#[must_use]
pub fn effective(settings: &Settings) -> String {
    let mut out = String::new();
    for listener in &settings.listeners {
        table(&mut out, Table::Listener, |key| of_listener(listener, key.name));
        table(&mut out, Table::Bridge, |key| of_bridge(&listener.bridge.common, key.name));
        for host in &listener.bridge.hosts {
            table(&mut out, Table::BridgeHost, |key| match key.name {
                "match" => Some(quoted(&host.matches)),
                name => of_bridge(&host.rules, name),
            });
        }
    }
    table(&mut out, Table::Timeouts, |key| of_timeouts(&settings.timeouts, key.name));
    table(&mut out, Table::Probe, |key| of_probe(&settings.probe, key.name));
    table(&mut out, Table::Capture, |key| of_capture(settings.capture.as_ref(), key.name));
    table(&mut out, Table::Events, |key| of_events(&settings.events, key.name));
    table(&mut out, Table::Admin, |_| {
        Some(settings.admin.as_ref().map_or_else(|| quoted("off"), |admin| quoted(&admin.listen.to_string())))
    });
    table(&mut out, Table::Limits, |key| of_limits(&settings.limits, key.name));
    out
}

/// Every key this build knows, each below what it does, as a TOML document to begin with. Values are the defaults; of a
/// listener's name and addresses, which have none, examples. No line is wider than a terminal.
#[must_use]
pub fn reference_toml() -> String {
    let mut out = String::new();
    for table in Table::ALL.into_iter().filter(|table| table.keys().any(|key| key.built == Built::Yes)) {
        let begin = out.len();
        header(&mut out, table);
        // What would ask for something, or belongs to one host, is there to be uncommented.
        let asks = |key: &Key| matches!(table, Table::Bridge | Table::BridgeHost) && key.default.is_none();
        if table == Table::BridgeHost {
            let at = begin + usize::from(begin > 0);
            out.insert_str(at, "# ");
        }
        for key in table.keys().filter(|key| key.built == Built::Yes && !key.example.is_empty()) {
            let mut column = 1;
            out.push('#');
            for word in key.means.split(' ') {
                let length = 1 + word.chars().count();
                if column + length > COMMENT_WIDTH {
                    out.push_str("\n#");
                    column = 1;
                }
                out.push(' ');
                out.push_str(word);
                column += length;
            }
            out.push('\n');
            if asks(key) {
                out.push_str("# ");
            }
            line(&mut out, key.name, key.example, "");
        }
    }
    out
}

fn table(out: &mut String, table: Table, value: impl Fn(&Key) -> Option<String>) {
    let lines: Vec<_> = table
        .keys()
        .filter_map(|key| match key.built {
            Built::Yes => value(key).map(|value| {
                let comment = comment(key, &value);
                (key.name, value, comment.to_owned())
            }),
            Built::No { feature, in_force, .. } => {
                in_force.map(|value| (key.name, value.to_owned(), format!("this build does not have {feature}")))
            }
        })
        .collect();
    if lines.is_empty() {
        return;
    }
    header(out, table);
    for (name, value, comment) in lines {
        line(out, name, &value, &comment);
    }
}

fn comment(key: &Key, value: &str) -> &'static str {
    let address = value.trim_matches('"').parse::<SocketAddr>();
    if key.default == Some(value) {
        "default"
    } else if key.table == Table::Admin && address.is_ok_and(|address| !address.ip().is_loopback()) {
        "other machines can reach it, and it has no login"
    } else if key.name == "secrets_until"
        && moment(value.trim_matches('"')).is_ok_and(|until| until <= SystemTime::now())
    {
        "has passed: captures hold no secrets"
    } else if key.name == "secrets" && value == "true" {
        "whoever has such a capture reads what is in it"
    } else if key.name == "verify" && value == "\"insecure\"" {
        "anybody between here and the host could read the session"
    } else if matches!(key.name, "client_versions" | "host_versions") && value.contains("\"1.0\"") {
        "TLS below 1.2 is broken: for one host, on a trusted segment, for a time"
    } else {
        ""
    }
}

fn header(out: &mut String, table: Table) {
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(table.header());
    out.push('\n');
}

fn line(out: &mut String, name: &str, value: &str, comment: &str) {
    let setting = format!("{name} = {value}");
    if comment.is_empty() {
        out.push_str(&setting);
    } else {
        out.push_str(&format!("{setting:COMMENT_COLUMN$}  # {comment}"));
    }
    out.push('\n');
}

fn of_listener(listener: &Listener, name: &str) -> Option<String> {
    Some(match name {
        "name" => quoted(&listener.name),
        "listen" => quoted(&listener.listen.to_string()),
        "upstream" => quoted(&listener.upstream.to_string()),
        "max_sessions" => listener.max_sessions.to_string(),
        "max_sessions_per_client" => listener.max_sessions_per_client.to_string(),
        _ => return None,
    })
}

fn of_bridge(rules: &BridgeRules, name: &str) -> Option<String> {
    let list = |items: Vec<String>| format!("[{}]", items.join(", "));
    let versions = |versions: &[parser::wire::TlsVersion]| {
        list(versions.iter().filter_map(|version| version.name()).map(quoted).collect())
    };
    let file = |path: &std::path::Path| quoted(&path.display().to_string());
    let pair = rules.pair.as_ref();
    Some(match name {
        "mode" => quoted(rules.mode.name()),
        "certificate" => file(pair?.certificate.as_deref()?),
        "private_key" => file(&pair?.private_key),
        "password_file" => file(pair?.password_file.as_deref()?),
        "client_versions" => versions(&rules.client_versions),
        "host_versions" => versions(&rules.host_versions),
        "host_ciphers" => match &rules.host_ciphers {
            Ciphers::Default => quoted("default"),
            Ciphers::Named(suites) => list(suites.iter().filter_map(|suite| suite.name()).map(quoted).collect()),
        },
        "verify" => quoted(rules.verify.name()),
        "pin" => list(rules.pin.iter().map(|pin| quoted(&pin.to_string())).collect()),
        "ca" => file(rules.ca.as_deref()?),
        _ => return None,
    })
}

fn of_timeouts(timeouts: &Timeouts, name: &str) -> Option<String> {
    let value = match name {
        "connect" => timeouts.connect,
        "negotiate" => timeouts.negotiate,
        "client_hello" => timeouts.client_hello,
        "server_hello" => timeouts.server_hello,
        _ => return None,
    };
    Some(quoted(&write_duration(value)))
}

fn of_probe(probe: &Probe, name: &str) -> Option<String> {
    Some(match name {
        "mode" => quoted(probe.mode.name()),
        "min_interval" => quoted(&write_duration(probe.min_interval)),
        "interval" => quoted(&write_duration(probe.interval)),
        "timeout" => quoted(&write_duration(probe.timeout)),
        "max_handshakes" => probe.max_handshakes.to_string(),
        "hold" => quoted(&write_duration(probe.hold)),
        "state" => probe.state.to_string(),
        _ => return None,
    })
}

/// Without a directory the bounds mean nothing, so none is shown as if it were in force.
fn of_capture(capture: Option<&Capture>, name: &str) -> Option<String> {
    let capture = capture?;
    Some(match name {
        "directory" => quoted(&capture.directory.display().to_string()),
        "max_bytes_per_session" => quoted(&write_size(capture.max_bytes_per_session as u64)),
        "max_total_bytes" => quoted(&write_size(capture.max_total_bytes)),
        "max_files" => capture.max_files.to_string(),
        "max_age" => quoted(&write_duration(capture.max_age)),
        "min_free" => quoted(&write_size(capture.min_free)),
        "secrets" => capture.secrets_until.is_some().to_string(),
        "secrets_until" => quoted(&write_moment(capture.secrets_until?)),
        _ => return None,
    })
}

fn of_events(events: &Events, name: &str) -> Option<String> {
    Some(match name {
        "path" => quoted(&match &events.path {
            EventPath::Stdout => "-".to_owned(),
            EventPath::Off => "off".to_owned(),
            EventPath::File(path) => path.display().to_string(),
            EventPath::Socket(path) => format!("{UNIX}{}", path.display()),
        }),
        "user_names" => quoted(events.user_names.name()),
        "live" => events.live.to_string(),
        _ => return None,
    })
}

fn of_limits(limits: &Limits, name: &str) -> Option<String> {
    Some(match name {
        "drain_timeout" => quoted(&write_duration(limits.drain_timeout)),
        "opening_memory" => quoted(&write_size(limits.opening_memory as u64)),
        "event_queue" => quoted(&write_size(limits.event_queue as u64)),
        "threads" => limits.threads.to_string(),
        _ => return None,
    })
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::KEYS;
    use std::collections::HashSet;

    const SMALLEST: &str = "[[listener]]\nlisten = '0.0.0.0:3389'\nupstream = 'rds07'\n";

    #[test]
    fn the_smallest_file_prints_as_the_defaults_and_reads_back() {
        let settings = crate::parse("f", SMALLEST).unwrap();
        let expected = r#"[[listener]]
name = "0.0.0.0:3389"
listen = "0.0.0.0:3389"
upstream = "rds07:3389"
transparent = "off"                             # this build does not have transparent listening
keep_client_address = false                     # this build does not have connections from the client's own address
proxy_protocol_in = "off"                       # this build does not have the PROXY protocol
proxy_protocol_out = "off"                      # this build does not have the PROXY protocol
max_sessions = 20000                            # default
max_sessions_per_client = 200                   # default

[listener.bridge]
mode = "off"                                    # default
client_versions = ["1.2", "1.3"]                # default
host_versions = ["1.2", "1.3"]                  # default
host_ciphers = "default"                        # default
verify = "pin"                                  # default
pin = []                                        # default

[timeouts]
connect = "5s"                                  # default
negotiate = "10s"                               # default
client_hello = "15s"                            # default
server_hello = "15s"                            # default

[probe]
mode = "on_failure"                             # default
min_interval = "5m"                             # default
interval = "1h"                                 # default
timeout = "3s"                                  # default
max_handshakes = 200                            # default
hold = "0s"                                     # default
state = true                                    # default

[events]
path = "-"                                      # default
user_names = "hash"                             # default
live = false                                    # default

[admin]
listen = "127.0.0.1:9389"                       # default

[limits]
drain_timeout = "12h"                           # default
opening_memory = "64MiB"                        # default
event_queue = "8MiB"                            # default
threads = 0                                     # default
"#;
        assert_eq!(effective(&settings), expected);
        assert_eq!(crate::parse("f", expected).unwrap(), settings);
    }

    #[test]
    fn an_admin_endpoint_that_others_can_reach_is_marked() {
        let open = format!("{SMALLEST}[admin]\nlisten = '0.0.0.0:9389'\n");
        let printed = effective(&crate::parse("f", &open).unwrap());
        assert!(printed.contains("# other machines can reach it, and it has no login"), "{printed}");
    }

    #[test]
    fn every_key_of_this_build_is_printed() {
        let captures = format!("{SMALLEST}[capture]\ndirectory = '/var/lib/rdpscope/captures'\n");
        let mut settings = crate::parse("f", &captures).unwrap();
        settings.capture.as_mut().unwrap().secrets_until = Some(std::time::SystemTime::UNIX_EPOCH);
        let printed = effective(&settings);
        let names: HashSet<_> =
            printed.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
        // Those without a default are printed when they are written; a test of good files writes them.
        let files = |key: &Key| key.table == Table::BridgeHost || key.table == Table::Bridge && key.default.is_none();
        for key in KEYS.iter().filter(|key| key.built == Built::Yes && !files(key)) {
            assert!(names.contains(key.name), "{}", key.name);
        }
    }

    #[test]
    fn the_reference_is_a_file_that_can_be_used_and_holds_the_defaults() {
        let settings = crate::parse("reference", &reference_toml()).unwrap();
        assert!(reference_toml().lines().all(|line| line.chars().count() <= COMMENT_WIDTH));
        assert_eq!(settings.timeouts, Timeouts::default());
        assert_eq!(settings.probe, Probe::default());
        assert_eq!(settings.capture, Some(Capture::into("/var/lib/rdpscope/captures".into())));
        assert_eq!(settings.events, Events::default());
        assert_eq!(settings.admin, Some(Admin::default()));
        assert_eq!(settings.limits, Limits::default());
        assert_eq!(settings.listeners[0].max_sessions, MAX_SESSIONS);
        assert_eq!(settings.listeners[0].max_sessions_per_client, MAX_SESSIONS_PER_CLIENT);
    }
}
