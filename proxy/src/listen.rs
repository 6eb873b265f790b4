//! One listening address: bind, accept, admit, hand to the session.
//!
//! Each core has a socket of its own on the address (SO_REUSEPORT, socket(7)), and the kernel spreads connections over
//! them: nobody is woken for a connection that another core takes.
//!
//! Accepting never stops for an error: what goes wrong with one connection is that connection's business, and when no
//! descriptor is left the connection is taken with a spare one and refused, so that the queue behind it moves.

use crate::clock;
use crate::cores::Seat;
use crate::limits::{Admission, Place, Rejection};
use crate::plan::{Plan, Shared};
use crate::record::SessionIdentity;
use crate::relay::{keep_alive, set_options};
use crate::session;
use crate::shutdown::Stop;
use crate::sys;
use crate::upstream::Resolver;
use parser::Timestamp;
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::cell::Cell;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Connections the kernel completes before we accept them. Generous: after a host's reboot all its users come at once.
const BACKLOG: i32 = 1024;

/// Pause after an accept error that is not about one connection, so that it cannot spin.
const BACK_OFF: Duration = Duration::from_millis(50);

/// A warning about the same listener at most this often.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// A bound address that nobody accepts from yet. The kernel queues connections to it already.
#[derive(Debug)]
pub(crate) struct Bound {
    /// One for each core.
    sockets: Vec<Socket>,
    pub(crate) address: SocketAddr,
    only_v6: bool,
}

/// Binds `address`, with a socket for each of `cores`. With `only_v6` an IPv6 wildcard leaves IPv4 to another listener.
pub(crate) fn bind(address: SocketAddr, only_v6: bool, cores: usize) -> io::Result<Bound> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        // Connections of an earlier run in TIME_WAIT must not keep a restart from its port.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(only_v6)?;
        }
        set_options(&SockRef::from(&socket))?;
        keep_alive(&SockRef::from(&socket))?;
        Ok::<Socket, io::Error>(socket)
    };
    // The first is bound as if it were the only one, and shares the port afterwards: so a port that another process has
    // is in use, even if that one would share it.
    let first = open()?;
    first.bind(&address.into())?;
    let address = first.local_addr()?.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    if cores > 1 {
        sockets[0].set_reuse_port(true)?;
    }
    for _ in 1..cores {
        let socket = open()?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        sockets.push(socket);
    }
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    Ok(Bound { sockets, address, only_v6 })
}

/// A listener at work, until it is closed; its sessions go on.
#[derive(Debug)]
pub(crate) struct Listening {
    /// The address as configured: port 0 stays 0 here.
    pub(crate) configured: SocketAddr,
    /// The address it really has.
    pub(crate) address: SocketAddr,
    /// It leaves IPv4 alone, which a bound socket cannot take back.
    pub(crate) only_v6: bool,
    pub(crate) resolver: Arc<Resolver>,
    plan: Arc<RwLock<Arc<Plan>>>,
    stop: CancellationToken,
    acceptors: Vec<JoinHandle<()>>,
}

impl Listening {
    /// Starts accepting.
    pub(crate) fn start(bound: Bound, configured: SocketAddr, plan: Plan, shared: &Arc<Shared>) -> Listening {
        let stop = CancellationToken::new();
        let resolver = Arc::clone(&plan.resolver);
        let plan = Arc::new(RwLock::new(Arc::new(plan)));
        let (address, only_v6) = (bound.address, bound.only_v6);
        let admission = Arc::default();
        let acceptors = bound.sockets.into_iter().enumerate().map(|(core, socket)| {
            let acceptor = Acceptor {
                core,
                address,
                plan: Arc::clone(&plan),
                shared: Arc::clone(shared),
                admission: Arc::clone(&admission),
                spare: File::open("/dev/null").ok(),
                warned: None,
            };
            shared.cores.spawn(core, acceptor.run(socket, stop.clone()))
        });
        let acceptors = acceptors.collect();
        Listening { configured, address, only_v6, resolver, plan, stop, acceptors }
    }

    /// What is done with connections accepted now.
    pub(crate) fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From the next connection on.
    pub(crate) fn replace_plan(&self, plan: Plan) {
        *self.plan.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
    }

    /// Stops accepting; when this returns the port is free.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        for acceptor in self.acceptors {
            // Fails only when the task has panicked, and then the socket is closed as well.
            let _ = acceptor.await;
        }
    }
}

/// What a session holds while it is here. Given back in this order: who sees no session left may count on the places being
/// free.
struct Here {
    _place: Place,
    _seat: Seat,
    stop: Stop,
}

/// Accepts on one core.
struct Acceptor {
    core: usize,
    /// The address it really listens on.
    address: SocketAddr,
    plan: Arc<RwLock<Arc<Plan>>>,
    shared: Arc<Shared>,
    admission: Arc<Admission>,
    /// Given up to accept, and refuse, a connection when no other descriptor is left.
    spare: Option<File>,
    warned: Option<Instant>,
}

impl Acceptor {
    async fn run(mut self, socket: Socket, stop: CancellationToken) {
        let socket = match sys::watch_listener(socket) {
            Ok(socket) => socket,
            Err(error) => return self.warn("this address is not served by one of the threads", &error),
        };
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = socket.async_io(Interest::READABLE, accept) => accepted,
            };
            match accepted {
                Ok((client, address)) => self.admit(client, address),
                Err(error) => self.accept_failed(&socket, &error).await,
            }
        }
    }

    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn admit(&self, socket: OwnedFd, client: SocketAddr) {
        let plan = self.plan();
        let place = match self.admission.enter(client.ip(), plan.max_sessions, plan.max_sessions_per_client) {
            Ok(place) => place,
            Err(why) => return self.refuse(socket, client, &plan, why),
        };
        let socket = TcpStream::from(socket);
        let identity = self.identity(&socket, client, &plan);
        let stop = self.shared.sessions.enter();
        let seat = self.shared.cores.seat(self.core);
        let shared = Arc::clone(&self.shared);
        let core = seat.core();
        let mut here = Here { _place: place, _seat: seat, stop };
        self.shared.cores.spawn(core, async move {
            let socket = match tokio::net::TcpStream::from_std(socket) {
                Ok(socket) => socket,
                // epoll_ctl(2): too many descriptors are watched, or there is no memory.
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be watched");
                    return shared.observer.rejected(&identity, Rejection::Descriptors);
                }
            };
            session::serve(socket, identity, &plan, &shared, &mut here.stop).await;
            drop(here);
        });
    }

    /// Closed with RST: the client knows at once, and nothing of it stays here.
    fn refuse(&self, socket: OwnedFd, client: SocketAddr, plan: &Plan, why: Rejection) {
        let socket = TcpStream::from(socket);
        let identity = self.identity(&socket, client, plan);
        let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
        drop(socket);
        self.shared.observer.rejected(&identity, why);
    }

    fn identity(&self, socket: &TcpStream, client: SocketAddr, plan: &Plan) -> Arc<SessionIdentity> {
        let accepted: Timestamp = clock::now();
        let local = match self.address.ip().is_unspecified() {
            // Only a client that has reset already leaves its socket without a local address.
            true => socket.local_addr().unwrap_or(self.address),
            false => self.address,
        };
        Arc::new(SessionIdentity {
            id: new_id(accepted),
            listener: Arc::clone(&plan.name),
            upstream: Arc::clone(&plan.label),
            client,
            local: SocketAddr::new(local.ip().to_canonical(), local.port()),
            accepted,
        })
    }

    async fn accept_failed(&mut self, socket: &AsyncFd<Socket>, error: &io::Error) {
        match error.raw_os_error() {
            // Errors of the one connection that was about to be accepted (accept(2)): it is gone, the next may be fine.
            Some(
                libc::ECONNABORTED
                | libc::EINTR
                | libc::EPROTO
                | libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH
                | libc::EPERM,
            ) => tracing::debug!(%error, "a connection was lost before it was accepted"),
            Some(libc::EMFILE | libc::ENFILE) => {
                self.warn("no file descriptor is left: connections are refused; raise LimitNOFILE", error);
                if !self.refuse_with_spare(socket) {
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
            _ => {
                self.warn("accepting failed", error);
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }

    /// Takes one connection with the spare descriptor and refuses it. False when that did not help.
    fn refuse_with_spare(&mut self, socket: &AsyncFd<Socket>) -> bool {
        let had_spare = self.spare.take().is_some();
        // Without a descriptor accept(2) does not even say that nobody waits; with this one it does, and that is noted.
        let refused = match socket.try_io(Interest::READABLE, accept) {
            Ok((client, address)) => {
                self.refuse(client, address, &self.plan(), Rejection::Descriptors);
                true
            }
            // Nobody is waiting any more.
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        self.spare = File::open("/dev/null").ok();
        had_spare && refused && self.spare.is_some()
    }

    fn warn(&mut self, what: &str, error: &io::Error) {
        if self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            self.warned = Some(Instant::now());
            tracing::warn!(listener = %self.plan().name, %error, "{what}");
        }
    }
}

/// A UUIDv7 (RFC 9562 5.7): milliseconds, their fraction, and 62 bits that nobody guesses. Without a system call, unlike
/// that of the library.
fn new_id(at: Timestamp) -> Uuid {
    thread_local! {
        static KEY: (RandomState, Cell<u64>) = (RandomState::new(), Cell::new(0));
    }
    let random = KEY.with(|(key, count)| key.hash_one(count.replace(count.get().wrapping_add(1))));
    // Twelve bits of the fraction keep the order of sessions of the same millisecond (RFC 9562 6.2, method 3).
    let fraction = (at.0 % 1_000_000 * 4096 / 1_000_000) as u16;
    let mut low = [0; 10];
    low[..2].copy_from_slice(&fraction.to_be_bytes());
    low[2..].copy_from_slice(&random.to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(at.0 / 1_000_000, &low).into_uuid()
}

/// The next connection and its client. It is not registered with the core that accepts, for it may live on another.
fn accept(socket: &Socket) -> io::Result<(OwnedFd, SocketAddr)> {
    let (client, address) = rustix::net::acceptfrom_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
    let address = address.ok_or_else(|| io::Error::other("a client without an internet address"))?;
    // An IPv4 client of a dual-stack socket is the same client as one of an IPv4 socket.
    Ok((client, SocketAddr::new(address.ip().to_canonical(), address.port())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_7_in_the_order_of_time_and_none_twice() {
        let at = |nanoseconds: u64| new_id(Timestamp(1_700_000_000_000_000_000 + nanoseconds));
        let ids: Vec<Uuid> = (0..1_000).map(|n| at(n * 1_000)).collect();
        assert!(ids.iter().all(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122));
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "a microsecond apart");
        assert_ne!(at(5), at(5));
        let (seconds, _) = ids[0].get_timestamp().expect("a time").to_unix();
        assert_eq!(seconds, 1_700_000_000);
    }
}
