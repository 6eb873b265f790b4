//! One listening address: bind, accept, admit, hand to the session.
//!
//! Accepting never stops for an error: what goes wrong with one connection is that connection's business, and when no
//! descriptor is left the connection is taken with a spare one and refused, so that the queue behind it moves.

use crate::bridge::Bridge;
use crate::clock;
use crate::limits::{Admission, OpeningBudget};
use crate::observe::{Observer, Rejection};
use crate::record::SessionIdentity;
use crate::session;
use crate::shutdown::Sessions;
use crate::upstream::{self, Resolver};
use config::{Settings, Timeouts, Upstream};
use futures_util::FutureExt;
use parser::Timestamp;
use socket2::{Domain, Protocol, Socket, Type};
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Connections the kernel completes before we accept them. Generous: after a host's reboot all its users come at once.
const BACKLOG: i32 = 1024;

/// Pause after an accept error that is not about one connection, so that it cannot spin.
const BACK_OFF: Duration = Duration::from_millis(50);

/// A warning about the same listener at most this often.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// What all listeners share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) observer: Arc<Observer>,
    pub(crate) budget: Arc<OpeningBudget>,
    pub(crate) sessions: Arc<Sessions>,
}

/// What to do with connections of one listener. A reload replaces it whole; a session keeps the one it began with.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: Arc<str>,
    pub(crate) upstream: Upstream,
    pub(crate) label: Arc<str>,
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) timeouts: Timeouts,
    /// `None`: off.
    pub(crate) bridge: Option<Arc<Bridge>>,
    max_sessions: usize,
    max_sessions_per_client: usize,
}

impl Plan {
    pub(crate) fn new(
        listener: &config::Listener,
        settings: &Settings,
        resolver: &Arc<Resolver>,
        bridge: Option<Arc<Bridge>>,
    ) -> Plan {
        Plan {
            name: Arc::from(listener.name.as_str()),
            upstream: listener.upstream.clone(),
            label: upstream::label(&listener.upstream),
            resolver: Arc::clone(resolver),
            timeouts: settings.timeouts.clone(),
            bridge,
            max_sessions: listener.max_sessions,
            max_sessions_per_client: listener.max_sessions_per_client,
        }
    }

    /// The upstream is a name, not an address.
    pub(crate) fn needs_lookup(&self) -> bool {
        self.upstream.host.parse::<IpAddr>().is_err()
    }
}

/// A bound socket that nobody accepts from yet. The kernel queues connections to it already.
#[derive(Debug)]
pub(crate) struct Bound {
    socket: TcpListener,
    pub(crate) address: SocketAddr,
}

/// Binds `address`. With `only_v6` an IPv6 wildcard leaves IPv4 to another listener.
pub(crate) fn bind(address: SocketAddr, only_v6: bool) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier run in TIME_WAIT must not keep a restart from its port.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let socket = TcpListener::from_std(socket.into())?;
    let address = socket.local_addr()?;
    Ok(Bound { socket, address })
}

/// A listener at work, until it is closed; its sessions go on.
#[derive(Debug)]
pub(crate) struct Listening {
    /// The address as configured: port 0 stays 0 here.
    pub(crate) configured: SocketAddr,
    /// The address it really has.
    pub(crate) address: SocketAddr,
    pub(crate) resolver: Arc<Resolver>,
    plan: Arc<RwLock<Arc<Plan>>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Listening {
    /// Starts accepting.
    pub(crate) fn start(bound: Bound, configured: SocketAddr, plan: Plan, shared: &Arc<Shared>) -> Listening {
        let stop = CancellationToken::new();
        let resolver = Arc::clone(&plan.resolver);
        let plan = Arc::new(RwLock::new(Arc::new(plan)));
        let address = bound.address;
        let acceptor = Acceptor {
            socket: bound.socket,
            plan: Arc::clone(&plan),
            shared: Arc::clone(shared),
            admission: Arc::default(),
            spare: File::open("/dev/null").ok(),
            warned: None,
        };
        let task = tokio::spawn(acceptor.run(stop.clone()));
        Listening { configured, address, resolver, plan, stop, task }
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
        // Fails only when the task has panicked, and then the socket is closed as well.
        let _ = self.task.await;
    }
}

struct Acceptor {
    socket: TcpListener,
    plan: Arc<RwLock<Arc<Plan>>>,
    shared: Arc<Shared>,
    admission: Arc<Admission>,
    /// Given up to accept, and refuse, a connection when no other descriptor is left.
    spare: Option<File>,
    warned: Option<Instant>,
}

impl Acceptor {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((socket, client)) => self.admit(socket, client),
                Err(error) => self.accept_failed(&error).await,
            }
        }
    }

    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn admit(&self, socket: TcpStream, client: SocketAddr) {
        let plan = self.plan();
        // An IPv4 client of a dual-stack socket is the same client as one of an IPv4 socket.
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        let place = match self.admission.enter(client.ip(), plan.max_sessions, plan.max_sessions_per_client) {
            Ok(place) => place,
            Err(why) => return self.refuse(socket, client, &plan, why),
        };
        let identity = self.identity(&socket, client, &plan);
        let (presence, stop) = self.shared.sessions.enter();
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            session::serve(socket, identity, &plan, &shared, stop).await;
            // In this order: who sees no session left may count on the places being free.
            drop(place);
            drop(presence);
        });
    }

    /// Closed with RST: the client knows at once, and nothing of it stays here.
    fn refuse(&self, socket: TcpStream, client: SocketAddr, plan: &Plan, why: Rejection) {
        let identity = self.identity(&socket, client, plan);
        let _ = socket.set_zero_linger();
        drop(socket);
        self.shared.observer.rejected(&identity, why);
    }

    fn identity(&self, socket: &TcpStream, client: SocketAddr, plan: &Plan) -> SessionIdentity {
        let accepted: Timestamp = clock::now();
        // Only a client that has reset already leaves its socket without a local address.
        let local = socket.local_addr().or_else(|_| self.socket.local_addr()).unwrap_or(client);
        SessionIdentity {
            id: Uuid::now_v7(),
            listener: Arc::clone(&plan.name),
            upstream: Arc::clone(&plan.label),
            client,
            local: SocketAddr::new(local.ip().to_canonical(), local.port()),
            accepted,
        }
    }

    async fn accept_failed(&mut self, error: &io::Error) {
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
                if !self.refuse_with_spare() {
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
    fn refuse_with_spare(&mut self) -> bool {
        let had_spare = self.spare.take().is_some();
        let accepted = self.socket.accept().now_or_never();
        let refused = match accepted {
            Some(Ok((socket, client))) => {
                let client = SocketAddr::new(client.ip().to_canonical(), client.port());
                self.refuse(socket, client, &self.plan(), Rejection::Descriptors);
                true
            }
            // Nobody is waiting any more.
            None => true,
            Some(Err(_)) => false,
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
