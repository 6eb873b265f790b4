//! The way to the host: its name looked up anew for each connection, its addresses tried in order.
//!
//! Every failure comes out as one of the kinds the diagnosis knows, with the resolver's words or the errno.

use config::Upstream;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parser::session::{self, ConnectFailure, ResolveFailure};
use socket2::{Domain, Protocol, Socket, Type};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Addresses tried for one connection. A farm name may list dozens; beyond this many the share of the connect
/// time-out left for each is too short to mean anything.
const MAX_ADDRESSES: usize = 8;

/// Why a name has no address: the kind, and the resolver's words.
pub type ResolveError = (ResolveFailure, String);

/// Looks names up, one lookup per name at a time.
///
/// The system resolver blocks a thread and cannot be cancelled. Connections that ask while a lookup of the same name
/// is under way share its answer, so a dead name server holds one thread per name and not one per connection.
#[derive(Debug, Default)]
pub struct Resolver {
    /// At most one entry: a resolver belongs to one listener.
    in_flight: Mutex<Option<(Upstream, Lookup)>>,
}

type Lookup = Shared<BoxFuture<'static, Result<Vec<SocketAddr>, ResolveError>>>;

impl Resolver {
    /// The addresses of `upstream`, in the order of the system's preference (RFC 6724), without duplicates.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn resolve(&self, upstream: &Upstream) -> Result<Vec<SocketAddr>, ResolveError> {
        if let Ok(address) = upstream.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, upstream.port)]);
        }
        let lookup = self.lookup(upstream);
        lookup.await
    }

    fn lookup(&self, upstream: &Upstream) -> Lookup {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        match &*in_flight {
            Some((of, lookup)) if of == upstream && lookup.peek().is_none() => lookup.clone(),
            _ => {
                // Spawned, so that it goes on when the connection that asked first has gone.
                let asked = upstream.clone();
                let task = tokio::spawn(async move { look_up(&asked).await });
                let lookup = task
                    .map(|ended| ended.unwrap_or_else(|error| Err((ResolveFailure::ServerFailure, error.to_string()))))
                    .boxed()
                    .shared();
                *in_flight = Some((upstream.clone(), lookup.clone()));
                lookup
            }
        }
    }
}

async fn look_up(upstream: &Upstream) -> Result<Vec<SocketAddr>, ResolveError> {
    let found = tokio::net::lookup_host((upstream.host.as_str(), upstream.port)).await;
    let mut addresses = Vec::new();
    for address in found.map_err(|error| classify_lookup(&error))? {
        if !addresses.contains(&address) && addresses.len() < MAX_ADDRESSES {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err((ResolveFailure::NotFound, "the name has no address".to_owned()));
    }
    Ok(addresses)
}

/// The standard library passes on `gai_strerror(3)` but not its number, so the words decide.
fn classify_lookup(error: &io::Error) -> ResolveError {
    let detail = error.to_string();
    // EAI_NONAME, EAI_NODATA and EAI_ADDRFAMILY, as glibc and musl spell them. A name that cannot be a DNS name at all
    // (too long, empty label) is refused before it is asked for.
    let not_found = [
        "Name or service not known",
        "No address associated with hostname",
        "Address family for hostname not supported",
        "Name does not resolve",
        "Name has no usable address",
    ];
    let words = |list: &[&str]| list.iter().any(|w| detail.contains(w));
    let failure = if words(&not_found) || error.kind() == io::ErrorKind::InvalidInput {
        ResolveFailure::NotFound
    } else {
        // EAI_AGAIN (no server answered), EAI_FAIL (SERVFAIL, REFUSED), EAI_SYSTEM.
        ResolveFailure::ServerFailure
    };
    let detail = detail.strip_prefix("failed to lookup address information: ").unwrap_or(&detail).to_owned();
    (failure, detail)
}

/// One connect that did not succeed: the kind, and `errno` (0 for our own time-out).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectError {
    /// The kind.
    pub failure: ConnectFailure,
    /// `errno`, 0 when our time-out ended it.
    pub errno: i32,
}

/// A host that took the connection, and perhaps has reset it already.
#[derive(Debug)]
pub struct Reached {
    /// What the host sent can be read from it, whether it was reset or not.
    pub socket: TcpStream,
    /// It was reset before this was noticed.
    pub reset: Option<io::Error>,
}

/// Connects to `address` before `deadline`.
///
/// # Errors
/// Why it could not; a connection that is reset at once is an error too.
pub async fn connect(address: SocketAddr, deadline: Instant) -> Result<TcpStream, ConnectError> {
    let reached = reach(address, deadline).await?;
    reached.reset.map_or(Ok(reached.socket), |error| Err(classify_connect(&error)))
}

/// Connects to `address` before `deadline`, and keeps what a host says that resets at once.
///
/// # Errors
/// Why it could not.
pub async fn reach(address: SocketAddr, deadline: Instant) -> Result<Reached, ConnectError> {
    match timeout_at(deadline, establish(address)).await {
        Err(_elapsed) => Err(ConnectError { failure: ConnectFailure::Timeout, errno: 0 }),
        Ok(Err(error)) => Err(classify_connect(&error)),
        Ok(Ok(reached)) if may_meet_itself(address.port()) && reached.socket.local_addr().ok() == Some(address) => {
            Err(ConnectError { failure: ConnectFailure::Refused, errno: libc::ECONNREFUSED })
        }
        Ok(Ok(reached)) => Ok(reached),
    }
}

/// A connect to a free port of this machine can meet itself (simultaneous open, RFC 9293 3.5), if the port is one of those
/// that sockets are given when they connect. A host's port hardly ever is.
fn may_meet_itself(port: u16) -> bool {
    static GIVEN: LazyLock<Option<RangeInclusive<u16>>> = LazyLock::new(|| {
        let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
        let (first, last) = range.trim().split_once(char::is_whitespace)?;
        Some(first.parse().ok()?..=last.trim().parse().ok()?)
    });
    GIVEN.as_ref().is_none_or(|given| given.contains(&port))
}

/// `TcpStream::connect` takes a reset for a connect that failed, and drops the socket with what the host has sent.
async fn establish(address: SocketAddr) -> io::Result<Reached> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    let socket = TcpStream::from_std(socket.into())?;
    // A connect that failed is an error of the socket, so without one there is none to ask for.
    if !socket.ready(Interest::WRITABLE | Interest::ERROR).await?.is_error() {
        return Ok(Reached { socket, reset: None });
    }
    match socket.take_error()? {
        None => Ok(Reached { socket, reset: None }),
        // A reset that answers the SYN is ECONNREFUSED: these two come only after the connection was established, EPIPE
        // when the host had sent FIN before (tcp_reset() in Linux).
        Some(error) if matches!(error.raw_os_error(), Some(libc::ECONNRESET | libc::EPIPE)) => {
            Ok(Reached { socket, reset: Some(error) })
        }
        Some(error) => Err(error),
    }
}

fn classify_connect(error: &io::Error) -> ConnectError {
    let errno = error.raw_os_error().unwrap_or(0);
    let failure = match errno {
        libc::ECONNREFUSED => ConnectFailure::Refused,
        libc::ETIMEDOUT => ConnectFailure::Timeout,
        libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EHOSTDOWN | libc::ENETDOWN | libc::EACCES => {
            ConnectFailure::Unreachable
        }
        libc::ECONNRESET | libc::ECONNABORTED | libc::EPIPE => ConnectFailure::Reset,
        libc::EMFILE | libc::ENFILE | libc::EADDRNOTAVAIL | libc::ENOBUFS | libc::ENOMEM => ConnectFailure::Local,
        _ => ConnectFailure::Other,
    };
    ConnectError { failure, errno }
}

/// The attempts of one connection at a list of addresses: how long each may take, and what to say when all failed.
#[derive(Debug)]
pub struct Attempts {
    addresses: std::vec::IntoIter<SocketAddr>,
    deadline: Instant,
    tried: u16,
    worst: Option<(SocketAddr, ConnectError)>,
}

impl Attempts {
    /// `addresses` in order, all within `deadline`.
    #[must_use]
    pub fn new(addresses: Vec<SocketAddr>, deadline: Instant) -> Attempts {
        Attempts { addresses: addresses.into_iter(), deadline, tried: 0, worst: None }
    }

    /// The next address and the end of its share: what is left of the time, divided among the addresses that are left,
    /// so that one address that swallows SYNs cannot use up the time of a healthy one behind it.
    pub fn next_address(&mut self) -> Option<(SocketAddr, Instant)> {
        let left = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX).max(1);
        let address = self.addresses.next()?;
        self.tried = self.tried.saturating_add(1);
        let now = Instant::now();
        let share = self.deadline.saturating_duration_since(now) / left;
        Some((address, now + share.max(Duration::from_millis(1))))
    }

    /// `address` failed. Of several failures the most telling one is reported: a refusal says more than silence, and
    /// silence more than a missing route (the usual fate of IPv6 addresses on an IPv4 network).
    pub fn failed(&mut self, address: SocketAddr, error: ConnectError) {
        let telling = |failure: ConnectFailure| match failure {
            ConnectFailure::Refused => 5,
            ConnectFailure::Reset => 4,
            ConnectFailure::Timeout => 3,
            ConnectFailure::Unreachable => 2,
            ConnectFailure::Other => 1,
            ConnectFailure::Local => 0,
        };
        if self.worst.is_none_or(|(_, known)| telling(error.failure) >= telling(known.failure)) {
            self.worst = Some((address, error));
        }
    }

    /// What the timeline says when no address is left.
    #[must_use]
    pub fn outcome(self) -> session::Upstream {
        match self.worst {
            Some((address, error)) => session::Upstream::ConnectFailed {
                address,
                failure: error.failure,
                errno: error.errno,
                tried: self.tried,
            },
            None => session::Upstream::ResolveFailed {
                failure: ResolveFailure::NotFound,
                detail: "the name has no address".to_owned(),
            },
        }
    }
}

/// `host:port` for labels and log lines; an IPv6 address in brackets.
#[must_use]
pub fn label(upstream: &Upstream) -> Arc<str> {
    if upstream.host.contains(':') {
        Arc::from(format!("[{}]:{}", upstream.host, upstream.port))
    } else {
        Arc::from(format!("{}:{}", upstream.host, upstream.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn upstream(host: &str, port: u16) -> Upstream {
        Upstream { host: host.to_owned(), port }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test]
    async fn addresses_need_no_lookup_and_names_get_one() {
        let resolver = Resolver::default();
        let v6 = resolver.resolve(&upstream("::1", 3389)).await.expect("an address");
        assert_eq!(v6, ["[::1]:3389".parse().expect("address")]);
        let local = resolver.resolve(&upstream("localhost", 3389)).await.expect("localhost resolves");
        assert!(local.iter().all(|a| a.ip().is_loopback() && a.port() == 3389), "{local:?}");
    }

    #[tokio::test]
    async fn a_name_that_cannot_exist_is_not_found() {
        // Longer than a DNS label may be (RFC 1035 2.3.4), so no server is asked.
        let name = format!("{}.example", "a".repeat(300));
        let (failure, detail) = Resolver::default().resolve(&upstream(&name, 3389)).await.expect_err("no such name");
        assert_eq!(failure, ResolveFailure::NotFound, "{detail}");
    }

    #[test]
    fn the_resolvers_words_are_told_apart() {
        let error =
            |words: &str| classify_lookup(&io::Error::other(format!("failed to lookup address information: {words}")));
        assert_eq!(error("Name or service not known").0, ResolveFailure::NotFound);
        assert_eq!(error("No address associated with hostname").0, ResolveFailure::NotFound);
        let (failure, detail) = error("Temporary failure in name resolution");
        assert_eq!((failure, detail.as_str()), (ResolveFailure::ServerFailure, "Temporary failure in name resolution"));
    }

    #[tokio::test]
    async fn a_closed_port_refuses() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address");
        let error = connect(free, soon()).await.expect_err("nobody listens");
        assert_eq!(error, ConnectError { failure: ConnectFailure::Refused, errno: libc::ECONNREFUSED });
    }

    #[tokio::test]
    async fn a_port_that_a_connecting_socket_was_given_may_meet_itself_and_a_privileged_one_may_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let socket = TcpStream::connect(listener.local_addr().expect("address")).await.expect("connect");
        assert!(may_meet_itself(socket.local_addr().expect("address").port()));
        assert!(!may_meet_itself(1));
    }

    #[test]
    fn the_most_telling_failure_is_reported() {
        let v4: SocketAddr = "192.0.2.1:3389".parse().expect("address");
        let v6: SocketAddr = "[2001:db8::1]:3389".parse().expect("address");
        let mut attempts = Attempts::new(vec![v4, v6], soon());
        while let Some((address, _)) = attempts.next_address() {
            let errno = if address == v4 { libc::ECONNREFUSED } else { libc::ENETUNREACH };
            attempts.failed(address, classify_connect(&io::Error::from_raw_os_error(errno)));
        }
        let expected = session::Upstream::ConnectFailed {
            address: v4,
            failure: ConnectFailure::Refused,
            errno: libc::ECONNREFUSED,
            tried: 2,
        };
        assert_eq!(attempts.outcome(), expected);
    }

    #[test]
    fn a_silent_address_leaves_time_for_the_next_one() {
        let address: SocketAddr = "192.0.2.1:3389".parse().expect("address");
        let deadline = soon();
        let mut attempts = Attempts::new(vec![address; 2], deadline);
        let (_, first) = attempts.next_address().expect("first");
        assert!(first < deadline - Duration::from_secs(2));
        let (_, second) = attempts.next_address().expect("second");
        assert!(second > deadline - Duration::from_millis(50));
    }

    #[test]
    fn labels_bracket_ipv6() {
        assert_eq!(&*label(&upstream("::1", 3389)), "[::1]:3389");
        assert_eq!(&*label(&upstream("rds07.example.net", 3389)), "rds07.example.net:3389");
    }
}
