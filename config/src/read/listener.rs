//! `[[listener]]` and what is below it.

use super::bridge::bridge;
use super::kind;
use super::section::{Read, Reader, entry};
use crate::address::{self, listener_name};
use crate::agreement::Placed;
use crate::problem::{Fault, Problem};
use crate::reference::Table;
use crate::settings::{Listener, MAX_SESSIONS, MAX_SESSIONS_PER_CLIENT, RDP_PORT};
use crate::suggest::nearest;
use std::net::SocketAddr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Two sockets each: past this the ports and descriptors of one machine are used up.
const MOST_SESSIONS: usize = 1_000_000;

/// Every listener that is right by itself.
pub(super) fn listeners(reader: &mut Reader, root: &DeTable<'_>) -> Vec<Placed> {
    let missing = |at: std::ops::Range<usize>| Problem {
        title: "there is no listener".to_owned(),
        at,
        label: "nothing to listen on, no host to lead to".to_owned(),
        also: None,
        help: vec![
            "write `[[listener]]` and below it `listen = \"0.0.0.0:3389\"` and `upstream = \"rds07.example.net:3389\"`"
                .to_owned(),
        ],
    };
    match entry(root, "listener") {
        None => {
            reader.problems.push(missing(0..0));
            Vec::new()
        }
        Some(value) => match value.get_ref() {
            DeValue::Array(tables) if tables.is_empty() => {
                reader.problems.push(missing(value.span()));
                Vec::new()
            }
            DeValue::Array(tables) => tables.iter().filter_map(|table| listener(reader, table)).collect(),
            DeValue::Table(_) => {
                reader.problems.push(Problem {
                    title: "`[listener]` is one table; there may be several listeners".to_owned(),
                    at: value.span(),
                    label: "single brackets".to_owned(),
                    also: None,
                    help: vec!["write `[[listener]]`".to_owned()],
                });
                listener(reader, value).into_iter().collect()
            }
            other => {
                reader.problems.push(Problem {
                    title: "`listener` is an array of tables".to_owned(),
                    at: value.span(),
                    label: format!("read {}", kind(other)),
                    also: None,
                    help: vec!["write `[[listener]]` on a line of its own and its keys below".to_owned()],
                });
                Vec::new()
            }
        },
    }
}

fn listener(reader: &mut Reader, value: &Spanned<DeValue<'_>>) -> Option<Placed> {
    let section = reader.open(value, Table::Listener);
    if !matches!(value.get_ref(), DeValue::Table(_)) {
        return None;
    }
    let name = reader.text(&section, "name", listener_name);
    let listen = reader.text(&section, "listen", listen);
    let upstream = reader.text(&section, "upstream", address::upstream);
    let sessions = reader.count(&section, "max_sessions", 1..=MOST_SESSIONS, MAX_SESSIONS);
    let max_sessions = match sessions {
        Read::Good(number, _) => number,
        _ => MAX_SESSIONS,
    };
    let per_client = reader.count(&section, "max_sessions_per_client", 1..=MOST_SESSIONS, MAX_SESSIONS_PER_CLIENT);
    let max_sessions_per_client = match per_client {
        Read::Good(number, at) => {
            if number > max_sessions {
                reader.problems.push(more_per_client(number, at, &sessions, max_sessions));
            }
            number
        }
        _ => MAX_SESSIONS_PER_CLIENT.min(max_sessions),
    };

    let host = match &upstream {
        Read::Good(upstream, _) => Some(upstream),
        _ => None,
    };
    let bridge = section.value("bridge").map(|value| bridge(reader, value, host)).unwrap_or_default();

    // A name misspelt has been reported as that; it is not missing as well.
    let misspelt = |name: &str| match value.get_ref() {
        DeValue::Table(entries) => entries.iter().any(|(key, _)| {
            Table::Listener.key(key.get_ref()).is_none()
                && nearest(key.get_ref(), Table::Listener.keys().map(|key| key.name)) == Some(name)
        }),
        _ => false,
    };
    let mut required = |absent: bool, name: &str, right: &str| {
        if absent && !misspelt(name) {
            reader.problems.push(Problem {
                title: format!("this listener has no `{name}`"),
                at: value.span(),
                label: format!("`{name}` is missing here"),
                also: None,
                help: vec![format!("write `{name} = \"{right}\"` below it")],
            });
        }
    };
    required(matches!(listen, Read::Absent), "listen", "0.0.0.0:3389");
    required(matches!(upstream, Read::Absent), "upstream", "rds07.example.net:3389");

    let Read::Good(listen, listen_at) = listen else { return None };
    let Read::Good(upstream, upstream_at) = upstream else { return None };
    let (name, name_at) = match name {
        Read::Good(name, at) => (name, at),
        _ => (listen.to_string(), listen_at.clone()),
    };
    Some(Placed {
        listener: Listener { name, listen, upstream, max_sessions, max_sessions_per_client, bridge },
        name: name_at,
        listen: listen_at,
        upstream: upstream_at,
    })
}

fn listen(text: &str) -> Result<SocketAddr, Fault> {
    if text.starts_with("systemd:") {
        let fault = Fault::new("asks for a socket of systemd, which this build cannot take", "no address");
        return Err(fault
            .instead("0.0.0.0:3389")
            .note("a port below 1024 needs `AmbientCapabilities=CAP_NET_BIND_SERVICE`; 3389 does not"));
    }
    address::listen(text, RDP_PORT)
}

fn more_per_client(number: usize, at: std::ops::Range<usize>, sessions: &Read<usize>, max: usize) -> Problem {
    Problem {
        title: "`max_sessions_per_client` can never be reached".to_owned(),
        at,
        label: format!("{number} for one client"),
        also: match sessions {
            Read::Good(_, at) => Some((at.clone(), format!("but {max} for all together"))),
            _ => None,
        },
        help: vec![format!("write at most {max}, or raise `max_sessions` (now {max})")],
    }
}
