//! Why the proxy did not start, in words that name the listener, the address and what would be right.

use std::io;
use std::net::SocketAddr;

/// Why the proxy could not start, or not take over a new configuration.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A listening address is taken.
    #[error(
        "{name}: cannot listen on {address}: the port is in use by another process. Stop that process \
         (`ss -ltnp 'sport = :{}'` names it) or take another port",
        address.port()
    )]
    InUse {
        /// `listener NAME`, or `admin`.
        name: String,
        /// The address.
        address: SocketAddr,
        /// What bind(2) said.
        source: io::Error,
    },
    /// A listening address that an older one of this very proxy is in the way of.
    #[error(
        "{name}: cannot listen on {address}: {by} of this proxy listens on {own}, and a reload opens new addresses before it \
         closes old ones. Restart it, or take another port"
    )]
    Ours {
        /// `listener NAME`.
        name: String,
        /// The address.
        address: SocketAddr,
        /// `listener NAME`, or `the admin endpoint`.
        by: String,
        /// What that one listens on.
        own: SocketAddr,
    },
    /// A port that needs a privilege.
    #[error(
        "{name}: cannot listen on {address}: permission denied. Ports below 1024 need CAP_NET_BIND_SERVICE \
         (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE); or use a higher port such as 3389"
    )]
    Permission {
        /// `listener NAME`, or `admin`.
        name: String,
        /// The address.
        address: SocketAddr,
        /// What bind(2) said.
        source: io::Error,
    },
    /// An address this machine does not have.
    #[error(
        "{name}: cannot listen on {address}: this machine has no such address. Use one that `ip address` \
         shows, or {any} for all",
        any = if address.is_ipv4() { "0.0.0.0" } else { "[::]" }
    )]
    NoSuchAddress {
        /// `listener NAME`, or `admin`.
        name: String,
        /// The address.
        address: SocketAddr,
        /// What bind(2) said.
        source: io::Error,
    },
    /// Another error of socket(2), bind(2) or listen(2).
    #[error("{name}: cannot listen on {address}: {source}")]
    Listen {
        /// `listener NAME`, or `admin`.
        name: String,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// An output could not be opened.
    #[error("cannot start the outputs: {0}")]
    Outputs(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The signal handlers could not be installed.
    #[error("cannot handle signals: {0}")]
    Signals(#[source] io::Error),
    /// A listener's bridge cannot work as configured.
    #[error("listener {listener}: the bridge cannot work: {why}")]
    Bridge {
        /// Its name.
        listener: String,
        /// The file and what is wrong with it.
        why: String,
    },
    /// A thread that relays, or its epoll instance, could not be made.
    #[error("cannot start the threads that relay: {0}")]
    Threads(#[source] io::Error),
    /// The proxy is draining or has stopped.
    #[error("the proxy is stopping")]
    Stopping,
}

impl RunError {
    pub(super) fn listen(name: &str, address: SocketAddr, source: io::Error) -> RunError {
        let name = name.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => RunError::InUse { name, address, source },
            io::ErrorKind::PermissionDenied => RunError::Permission { name, address, source },
            io::ErrorKind::AddrNotAvailable => RunError::NoSuchAddress { name, address, source },
            _ => RunError::Listen { name, address, source },
        }
    }
}
