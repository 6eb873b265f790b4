//! Every key there is: where it stands, what it takes, what it defaults to, what it means. One table for the reader,
//! for `check` and for the documentation.

/// A table of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// `[[listener]]`
    Listener,
    /// `[listener.bridge]`
    Bridge,
    /// `[[listener.bridge.host]]`
    BridgeHost,
    /// `[timeouts]`
    Timeouts,
    /// `[probe]`
    Probe,
    /// `[capture]`
    Capture,
    /// `[events]`
    Events,
    /// `[admin]`
    Admin,
    /// `[limits]`
    Limits,
}

impl Table {
    /// Every table, in the order of the file.
    pub const ALL: [Table; 9] = [
        Table::Listener,
        Table::Bridge,
        Table::BridgeHost,
        Table::Timeouts,
        Table::Probe,
        Table::Capture,
        Table::Events,
        Table::Admin,
        Table::Limits,
    ];

    /// Its header, as written in a file.
    #[must_use]
    pub fn header(self) -> &'static str {
        match self {
            Table::Listener => "[[listener]]",
            Table::Bridge => "[listener.bridge]",
            Table::BridgeHost => "[[listener.bridge.host]]",
            Table::Timeouts => "[timeouts]",
            Table::Probe => "[probe]",
            Table::Capture => "[capture]",
            Table::Events => "[events]",
            Table::Admin => "[admin]",
            Table::Limits => "[limits]",
        }
    }

    /// Names of tables that stand inside of it.
    #[must_use]
    pub fn tables(self) -> &'static [&'static str] {
        match self {
            Table::Listener => &["bridge"],
            Table::Bridge => &["host"],
            _ => &[],
        }
    }

    /// The key of it.
    #[must_use]
    pub fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }

    /// All its keys.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(move |key| key.table == self)
    }
}

/// Whether this build does what a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Built {
    /// It does.
    Yes,
    /// It does not have this feature. The key may stand in the file with a value that asks for nothing.
    No {
        /// What is missing, as in "this build does not have …".
        feature: &'static str,
        /// Values that ask for nothing, as TOML.
        accepts: &'static [&'static str],
        /// The value in force, as TOML, if there is one to show.
        in_force: Option<&'static str>,
    },
}

/// One key of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The table it stands in.
    pub table: Table,
    /// Its name.
    pub name: &'static str,
    /// A value to show, as TOML.
    pub example: &'static str,
    /// The value when the key is left out, as TOML. `None`: there is none, or it is worked out (see `means`).
    pub default: Option<&'static str>,
    /// What it does, in one line.
    pub means: &'static str,
    /// Whether this build does it.
    pub built: Built,
}

const fn key(table: Table, name: &'static str, example: &'static str, means: &'static str) -> Key {
    Key { table, name, example, default: None, means, built: Built::Yes }
}

const fn with_default(table: Table, name: &'static str, default: &'static str, means: &'static str) -> Key {
    Key { table, name, example: default, default: Some(default), means, built: Built::Yes }
}

const fn missing(
    table: Table,
    name: &'static str,
    feature: &'static str,
    accepts: &'static [&'static str],
    in_force: Option<&'static str>,
) -> Key {
    Key { table, name, example: "", default: None, means: "", built: Built::No { feature, accepts, in_force } }
}

/// A key of `[listener.bridge]` in the entry of one host.
const fn host_entry(name: &'static str) -> Key {
    Key { table: Table::BridgeHost, name, example: "", default: None, means: SAME, built: Built::Yes }
}

/// Stands for what the key of the same name means one table up.
const SAME: &str = "as in [listener.bridge]";
const TRANSPARENT: &str = "transparent listening";
const KEEP_ADDRESS: &str = "connections from the client's own address";
const PROXY_PROTOCOL: &str = "the PROXY protocol";

/// Every key, in the order of the file.
pub const KEYS: &[Key] = &[
    key(Table::Listener, "name", "\"rds-farm\"", "label in metrics and events; the address listened on if left out"),
    key(
        Table::Listener,
        "listen",
        "\"0.0.0.0:3389\"",
        "address and port to accept clients on; port 0 takes a free one",
    ),
    key(
        Table::Listener,
        "upstream",
        "\"rds07.example.net:3389\"",
        "the host behind it, by name or address, resolved for each connection; port 3389 if left out",
    ),
    missing(Table::Listener, "transparent", TRANSPARENT, &["\"off\""], Some("\"off\"")),
    missing(Table::Listener, "keep_client_address", KEEP_ADDRESS, &["false"], Some("false")),
    missing(Table::Listener, "proxy_protocol_in", PROXY_PROTOCOL, &["\"off\""], Some("\"off\"")),
    missing(Table::Listener, "proxy_protocol_out", PROXY_PROTOCOL, &["\"off\""], Some("\"off\"")),
    missing(Table::Listener, "trusted_proxies", PROXY_PROTOCOL, &["[]"], None),
    missing(Table::Listener, "allow_targets", TRANSPARENT, &["[]"], None),
    with_default(
        Table::Listener,
        "max_sessions",
        "20000",
        "sessions at once on this listener; more are refused and counted",
    ),
    with_default(Table::Listener, "max_sessions_per_client", "200", "sessions at once of one client address"),
    with_default(
        Table::Bridge,
        "mode",
        "\"off\"",
        "`off`, `auto` (terminate TLS only for a client and a host whose TLS cannot meet) or `always`",
    ),
    key(
        Table::Bridge,
        "certificate",
        "\"/etc/rdpscope/rds07.pem\"",
        "what the client sees, PEM; one of the bridge's own making if left out. NLA is carried with the host's own key alone",
    ),
    key(
        Table::Bridge,
        "private_key",
        "\"/etc/rdpscope/rds07.key\"",
        "its key, PEM, readable by the service alone; or a PKCS#12 file with both (build with legacy-tls)",
    ),
    key(Table::Bridge, "password_file", "\"/etc/rdpscope/rds07.password\"", "its first line opens the PKCS#12 file"),
    with_default(
        Table::Bridge,
        "client_versions",
        "[\"1.2\", \"1.3\"]",
        "TLS with the client; below 1.2 only in [[listener.bridge.host]], in a build with legacy-tls",
    ),
    with_default(Table::Bridge, "host_versions", "[\"1.2\", \"1.3\"]", "TLS with the host; the same holds"),
    with_default(
        Table::Bridge,
        "host_ciphers",
        "\"default\"",
        "suites for the host, or a list of IANA names; 3DES only when named, RC4, NULL, export, anonymous never",
    ),
    with_default(Table::Bridge, "verify", "\"pin\"", "how the host is known: `pin`, `ca`, or `insecure` (not at all)"),
    with_default(
        Table::Bridge,
        "pin",
        "[]",
        "SHA-256 of the host's certificate or of its public key, as `sha256:` and hexadecimal digits; any of them will do",
    ),
    key(Table::Bridge, "ca", "\"/etc/rdpscope/corp-ca.pem\"", "roots for `ca`, PEM; those of the system if left out"),
    key(
        Table::BridgeHost,
        "match",
        "\"srv2008.example.net\"",
        "the host as `upstream` names it; below it any key of [listener.bridge] that differs for it",
    ),
    host_entry("mode"),
    host_entry("certificate"),
    host_entry("private_key"),
    host_entry("password_file"),
    host_entry("client_versions"),
    host_entry("host_versions"),
    host_entry("host_ciphers"),
    host_entry("verify"),
    host_entry("pin"),
    host_entry("ca"),
    with_default(Table::Timeouts, "connect", "\"5s\"", "name lookup and TCP connect to the host, together"),
    with_default(
        Table::Timeouts,
        "negotiate",
        "\"10s\"",
        "accept to whole Connection Request, and Connection Request to Connection Confirm, each",
    ),
    with_default(Table::Timeouts, "client_hello", "\"15s\"", "Connection Confirm to whole ClientHello"),
    with_default(Table::Timeouts, "server_hello", "\"15s\"", "ClientHello to ServerHello; after it nothing is timed"),
    with_default(
        Table::Probe,
        "mode",
        "\"on_failure\"",
        "when a host is asked what it accepts: `off`, `on_failure` (after a session that needs it to be explained), or `schedule` (the same, and every `interval`)",
    ),
    with_default(
        Table::Probe,
        "min_interval",
        "\"5m\"",
        "a host is asked at most once in so long; until then its last answers decide",
    ),
    with_default(
        Table::Probe,
        "interval",
        "\"1h\"",
        "with `schedule`, between two probes of a host, give or take a tenth",
    ),
    with_default(Table::Probe, "timeout", "\"3s\"", "one answer of the host, connect included"),
    with_default(Table::Probe, "max_handshakes", "200", "connections of one probe at most; never two at once"),
    with_default(
        Table::Probe,
        "hold",
        "\"0s\"",
        "a session_end waits so long, at most \"1s\", for the probe that decides it; \"0s\" writes it at once, and a verdict event follows",
    ),
    with_default(Table::Probe, "state", "true", "keep what hosts answered in $STATE_DIRECTORY over a restart"),
    key(
        Table::Capture,
        "directory",
        "\"/var/lib/rdpscope/captures\"",
        "where the opening of each failed session is written, as SESSION.pcapng; made if its parent is there; left out, nothing is kept or written",
    ),
    with_default(
        Table::Capture,
        "max_bytes_per_session",
        "\"256KiB\"",
        "memory for one opening until its end is known, out of `opening_memory`",
    ),
    with_default(
        Table::Capture,
        "max_total_bytes",
        "\"1GiB\"",
        "all files together; the oldest are removed to make room",
    ),
    with_default(Table::Capture, "max_files", "10000", "files at most; the oldest are removed to make room"),
    with_default(Table::Capture, "max_age", "\"30d\"", "an older file is removed"),
    with_default(
        Table::Capture,
        "min_free",
        "\"512MiB\"",
        "nothing is written that would leave less than this free on the disk",
    ),
    with_default(
        Table::Capture,
        "secrets",
        "false",
        "captures of bridged sessions hold secrets with which Wireshark reads their TLS; passwords, tickets and what users do are blank all the same. Only into a directory of mode 0700, and until `secrets_until`",
    ),
    key(
        Table::Capture,
        "secrets_until",
        "\"2026-12-01T12:00:00Z\"",
        "with `secrets`: until then, at most 31 days ahead (RFC 3339); captures made later hold none, and a moment that has passed is said as a warning",
    ),
    with_default(
        Table::Events,
        "path",
        "\"-\"",
        "file to append events to; `-` is standard output, `unix:PATH` a socket on which a collector listens, `off` nowhere",
    ),
    with_default(
        Table::Events,
        "user_names",
        "\"hash\"",
        "`plain`, `hash` (keyed; the key is kept in $STATE_DIRECTORY, or lives as long as the process) or `drop`",
    ),
    with_default(Table::Events, "live", "false", "session_start and session_phase events too"),
    with_default(
        Table::Admin,
        "listen",
        "\"127.0.0.1:9389\"",
        "metrics, health, live sessions over HTTP, without a login: keep it on loopback; `off` for none",
    ),
    with_default(Table::Limits, "drain_timeout", "\"12h\"", "how long live sessions may go on after SIGTERM"),
    with_default(
        Table::Limits,
        "opening_memory",
        "\"64MiB\"",
        "all openings together; past it they are relayed unread",
    ),
    with_default(
        Table::Limits,
        "event_queue",
        "\"8MiB\"",
        "events waiting to be written; past it they are dropped and counted",
    ),
    with_default(Table::Limits, "threads", "0", "threads that relay; 0 is one per core this process may use"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_key_stands_twice_in_a_table() {
        let mut seen = HashSet::new();
        assert!(KEYS.iter().all(|key| seen.insert((key.table, key.name))));
    }

    #[test]
    fn what_this_build_does_is_explained() {
        for key in KEYS.iter().filter(|key| key.built == Built::Yes && key.means != SAME) {
            assert!(!key.means.is_empty() && !key.example.is_empty(), "{}", key.name);
        }
    }
}
