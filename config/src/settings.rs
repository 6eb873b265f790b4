//! What the proxy is to do, typed and checked. Every value here is usable as it stands.

use crate::bridge::Bridge;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// At least one.
    pub listeners: Vec<Listener>,
    /// Per-phase time-outs; each one, when it strikes, is a verdict.
    pub timeouts: Timeouts,
    /// When hosts are asked what they accept.
    pub probe: Probe,
    /// Captures of failed openings; `None` when no directory is given.
    pub capture: Option<Capture>,
    /// The session event log.
    pub events: Events,
    /// The admin endpoint; `None` when switched off.
    pub admin: Option<Admin>,
    /// Process-wide limits.
    pub limits: Limits,
    /// Where state that must outlive a restart is kept (the key for user name hashes, what hosts were found to accept).
    /// No key of the file: the program sets it from `$STATE_DIRECTORY`, which systemd gives. Without one the key is
    /// random for each process, and hosts are forgotten with it.
    pub state_directory: Option<PathBuf>,
}

/// One listening address and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Label in metrics and events; unique.
    pub name: String,
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The host behind it.
    pub upstream: Upstream,
    /// Sessions at once on this listener.
    pub max_sessions: usize,
    /// Sessions at once of one client address.
    pub max_sessions_per_client: usize,
    /// When TLS is terminated, and how.
    pub bridge: Bridge,
}

/// A host and port, resolved anew for each connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// A DNS name or an address (IPv6 without brackets).
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Time-outs up to the ServerHello. There is none after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name lookup and TCP connect together.
    pub connect: Duration,
    /// Accept to a whole request, and request to Connection Confirm, each.
    pub negotiate: Duration,
    /// Connection Confirm to a whole ClientHello.
    pub client_hello: Duration,
    /// ClientHello to ServerHello.
    pub server_hello: Duration,
}

/// When hosts are asked what they accept, and how hard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// When.
    pub mode: ProbeMode,
    /// A host is asked at most once in so long; what it said is taken for true until then.
    pub min_interval: Duration,
    /// With [`ProbeMode::Schedule`], from one probe of a host to the next, give or take a tenth.
    pub interval: Duration,
    /// Longest wait for one answer, the connect included.
    pub timeout: Duration,
    /// Connections of one probe at most, one after the other.
    pub max_handshakes: u16,
    /// How long a `session_end` waits for a probe that would decide it. Zero: it is written at once and revised.
    pub hold: Duration,
    /// What hosts said is kept in the state directory, if there is one.
    pub state: bool,
}

/// When hosts are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbeMode {
    /// Never.
    Off,
    /// After a session that failed in a way that only the host's answers can explain.
    OnFailure,
    /// The same, and at regular intervals.
    Schedule,
}

/// Captures of failed openings: where they go, and how much may be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Where they are written.
    pub directory: PathBuf,
    /// Memory that the opening of one session may take while it is not known how it ends, in bytes.
    pub max_bytes_per_session: usize,
    /// Bytes of all files together; the oldest make room.
    pub max_total_bytes: u64,
    /// Files at most.
    pub max_files: usize,
    /// A file that is older is removed.
    pub max_age: Duration,
    /// Nothing is written where that would leave less than this free on the disk, in bytes.
    pub min_free: u64,
    /// Until then captures of bridged sessions hold secrets with which their TLS can be read. `None`: they never do.
    pub secrets_until: Option<SystemTime>,
}

impl Capture {
    /// Into `directory`, with the usual bounds.
    #[must_use]
    pub fn into(directory: PathBuf) -> Capture {
        Capture {
            directory,
            max_bytes_per_session: 256 << 10,
            max_total_bytes: 1 << 30,
            max_files: 10_000,
            max_age: Duration::from_secs(30 * 24 * 60 * 60),
            min_free: 512 << 20,
            secrets_until: None,
        }
    }
}

/// The session event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// Where events go.
    pub path: EventPath,
    /// How user names (cookies) are written.
    pub user_names: UserNames,
    /// `session_start` and `session_phase` in the file too.
    pub live: bool,
}

/// Where events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventPath {
    /// Standard output (`"-"`).
    Stdout,
    /// Appended to a file.
    File(PathBuf),
    /// Into a Unix socket on which a collector listens (`"unix:/run/collector.sock"`).
    Socket(PathBuf),
    /// Nowhere.
    Off,
}

/// How user names are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserNames {
    /// As sent.
    Plain,
    /// HMAC-SHA-256 with a random key kept in the state directory.
    Hash,
    /// Not at all.
    Drop,
}

/// The admin endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// Process-wide limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long live sessions may go on after SIGTERM.
    pub drain_timeout: Duration,
    /// Memory for all openings together, in bytes; past it new openings are relayed unparsed and counted.
    pub opening_memory: usize,
    /// Bytes of events waiting to be written; past it events are dropped and counted.
    pub event_queue: usize,
    /// Threads that relay; 0 is one for each core that the process may use.
    pub threads: usize,
}

/// The RDP port, taken when an upstream names none.
pub const RDP_PORT: u16 = 3389;
/// Sessions at once on one listener, when the file does not say.
pub const MAX_SESSIONS: usize = 20_000;
/// Sessions at once of one client address on one listener, when the file does not say.
pub const MAX_SESSIONS_PER_CLIENT: usize = 200;

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(5),
            negotiate: Duration::from_secs(10),
            client_hello: Duration::from_secs(15),
            server_hello: Duration::from_secs(15),
        }
    }
}

impl Default for Probe {
    fn default() -> Self {
        Probe {
            mode: ProbeMode::OnFailure,
            min_interval: Duration::from_secs(5 * 60),
            interval: Duration::from_secs(60 * 60),
            timeout: Duration::from_secs(3),
            max_handshakes: 200,
            hold: Duration::ZERO,
            state: true,
        }
    }
}

impl ProbeMode {
    /// Every mode.
    pub const ALL: [ProbeMode; 3] = [ProbeMode::Off, ProbeMode::OnFailure, ProbeMode::Schedule];

    /// The name used in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ProbeMode::Off => "off",
            ProbeMode::OnFailure => "on_failure",
            ProbeMode::Schedule => "schedule",
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        Events { path: EventPath::Stdout, user_names: UserNames::Hash, live: false }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Admin { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9389)) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            drain_timeout: Duration::from_secs(12 * 60 * 60),
            opening_memory: 64 << 20,
            event_queue: 8 << 20,
            threads: 0,
        }
    }
}

/// `host:port` as configured, IPv6 addresses in brackets: the `upstream` label of metrics and events.
impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl UserNames {
    /// The name used in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            UserNames::Plain => "plain",
            UserNames::Hash => "hash",
            UserNames::Drop => "drop",
        }
    }
}
