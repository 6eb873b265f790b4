//! The way to the host.

use std::net::SocketAddr;

/// Why a name did not resolve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResolveFailure {
    /// The name does not exist, or has no address.
    NotFound,
    /// The resolver failed or could not be reached.
    ServerFailure,
    /// No answer within the connect time-out.
    Timeout,
}

/// Why no address could be connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectFailure {
    /// ECONNREFUSED: RST to the SYN.
    Refused,
    /// No answer to the SYN within the connect time-out.
    Timeout,
    /// EHOSTUNREACH or ENETUNREACH (or the route says prohibited: EACCES).
    Unreachable,
    /// ECONNRESET or ECONNABORTED while connecting.
    Reset,
    /// A local resource ran out: descriptors, ports, memory.
    Local,
    /// Anything else.
    Other,
}

/// The way to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Upstream {
    /// Not begun, or a capture in which it cannot be seen.
    #[default]
    Unknown,
    /// Name being looked up.
    Resolving,
    /// SYN sent.
    Connecting(SocketAddr),
    /// Connected.
    Connected(SocketAddr),
    /// The name did not resolve.
    ResolveFailed {
        /// Kind.
        failure: ResolveFailure,
        /// The resolver's words.
        detail: String,
    },
    /// No address could be connected.
    ConnectFailed {
        /// The last address tried.
        address: SocketAddr,
        /// Kind.
        failure: ConnectFailure,
        /// `errno`, 0 for our own time-out.
        errno: i32,
        /// Addresses tried.
        tried: u16,
    },
}
