//! A session as those see it who ask about it while it lives: what is known of it, how far it has come, its sockets.
//!
//! The tracker stands behind a mutex that only the session's task and somebody asking about this session ever take: a
//! read pays some nanoseconds for it, and an idle session holds what is known of it once, packed: when the tracker has let
//! go a silence of [`QUIET`] sends it to rest, and the next bytes wake it. The first silence is also when the host's socket
//! gets its keep-alive, whether there is a tracker to rest or not.

use super::leg::keep_alive;
use crate::record::capture::Tape;
use crate::record::{LiveSession, SessionIdentity};
use crate::sys;
use parser::Timestamp;
use parser::diagnosis::Marks;
use parser::session::{Limits, PerPeer, Phase, Resting, Session, TcpFacts, Timeline};
use socket2::SockRef;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::net::TcpStream;

/// A session rests when nothing has come for this long. Packing and waking are some microseconds, once per silence.
const QUIET: Duration = Duration::from_millis(100);

/// A live session, for those who look.
pub(super) struct Live {
    pub(super) identity: Arc<SessionIdentity>,
    session: Mutex<Tracked>,
    phase: AtomicU8,
    /// Somebody will look whether it may rest: changed under the lock of the session.
    looked_after: AtomicBool,
    /// The host's socket has its keep-alive.
    kept_alive: AtomicBool,
    /// When it entered that phase, in nanoseconds.
    entered: AtomicU64,
    client: Weak<TcpStream>,
    tape: Weak<Tape>,
    /// The host's, once there is one.
    host: Mutex<Weak<TcpStream>>,
}

/// The tracker of a session.
pub(super) enum Tracked {
    Awake(Box<Session>),
    /// It has let go, and nothing has come since.
    Resting(Resting),
    /// Its record is on the way.
    Over,
}

impl Tracked {
    /// The session, woken when it rests.
    pub(super) fn wake(&mut self) -> Option<&mut Session> {
        if let Tracked::Resting(_) = self
            && let Tracked::Resting(resting) = std::mem::replace(self, Tracked::Over)
        {
            *self = Tracked::Awake(resting.wake());
        }
        match self {
            Tracked::Awake(session) => Some(session),
            Tracked::Resting(_) | Tracked::Over => None,
        }
    }

    /// Packs the session, if it is one that can rest.
    fn rest(&mut self) {
        *self = match std::mem::replace(self, Tracked::Over) {
            Tracked::Awake(session) => session.rest().map_or_else(Tracked::Awake, Tracked::Resting),
            other => other,
        };
    }

    pub(super) fn take(&mut self) -> Option<Box<Session>> {
        match std::mem::replace(self, Tracked::Over) {
            Tracked::Awake(session) => Some(session),
            Tracked::Resting(resting) => Some(resting.wake()),
            Tracked::Over => None,
        }
    }
}

impl Live {
    /// A session that begins.
    pub(super) fn new(identity: Arc<SessionIdentity>, client: &Arc<TcpStream>, tape: Option<&Arc<Tape>>) -> Live {
        let session = Box::new(Session::new(identity.accepted, Limits::default()));
        Live {
            phase: AtomicU8::new(session.phase() as u8),
            session: Mutex::new(Tracked::Awake(session)),
            looked_after: AtomicBool::new(false),
            kept_alive: AtomicBool::new(false),
            entered: AtomicU64::new(identity.accepted.0),
            client: Arc::downgrade(client),
            tape: tape.map_or_else(Weak::new, Arc::downgrade),
            identity,
            host: Mutex::default(),
        }
    }

    /// It is in `phase` since `at`.
    pub(super) fn enters(&self, phase: Phase, at: Timestamp) {
        self.entered.store(at.0, Relaxed);
        self.phase.store(phase as u8, Relaxed);
    }

    /// The host's socket, which is another one after the bridge has connected anew.
    pub(super) fn host_is(&self, socket: &Arc<TcpStream>) {
        *self.host.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(socket);
        self.kept_alive.store(false, Relaxed);
    }

    /// From now on somebody looks for its next silence; false when somebody did already. `_held`: the lock is.
    pub(super) fn look_after(&self, _held: &Tracked) -> bool {
        !self.looked_after.swap(true, Relaxed)
    }

    /// Once for each host.
    fn keep_host_alive(&self) {
        if self.kept_alive.swap(true, Relaxed) {
            return;
        }
        let host = self.host.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        // It cannot fail on a connected socket, and without it the session still works.
        host.map(|host| keep_alive(&SockRef::from(&*host)));
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Tracked> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look<T>(&self, at: impl FnOnce(&Timeline) -> T) -> T {
        let held = self.lock();
        match &*held {
            Tracked::Awake(session) => at(session.timeline()),
            Tracked::Resting(resting) => {
                let resting = resting.clone();
                drop(held);
                at(resting.wake().timeline())
            }
            Tracked::Over => at(&Timeline { opened: self.identity.accepted, ..Timeline::default() }),
        }
    }
}

impl LiveSession for Live {
    fn identity(&self) -> &Arc<SessionIdentity> {
        &self.identity
    }

    fn timeline(&self) -> Timeline {
        self.look(Timeline::clone)
    }

    fn phase(&self) -> Phase {
        Phase::ALL.get(usize::from(self.phase.load(Relaxed))).copied().unwrap_or_default()
    }

    fn entered(&self) -> Timestamp {
        Timestamp(self.entered.load(Relaxed))
    }

    fn marks(&self) -> Marks {
        self.look(Marks::of)
    }

    fn traffic(&self) -> PerPeer<u64> {
        match &*self.lock() {
            Tracked::Awake(session) => {
                let traffic = &session.timeline().traffic;
                PerPeer { client: traffic.client.bytes, host: traffic.host.bytes }
            }
            Tracked::Resting(resting) => resting.traffic(),
            Tracked::Over => PerPeer::default(),
        }
    }

    fn rest(&self, now: Timestamp) -> bool {
        let mut held = self.lock();
        match &*held {
            Tracked::Awake(session) if now.since(session.timeline().last_event()) < QUIET => return false,
            Tracked::Awake(_) => held.rest(),
            Tracked::Resting(_) => {}
            Tracked::Over => return true,
        }
        self.looked_after.store(false, Relaxed);
        drop(held);
        self.keep_host_alive();
        true
    }

    fn tcp(&self) -> PerPeer<Option<TcpFacts>> {
        let read = |socket: &Weak<TcpStream>| socket.upgrade().and_then(|socket| sys::tcp_facts(&*socket));
        PerPeer { client: read(&self.client), host: read(&self.host.lock().unwrap_or_else(PoisonError::into_inner)) }
    }

    fn tape(&self) -> Option<Arc<Tape>> {
        self.tape.upgrade()
    }
}

#[cfg(test)]
mod tests {
    use super::super::witness::tests::witness;
    use super::*;
    use crate::observe::Observer;
    use parser::session::{Opening, Peer};

    #[tokio::test]
    async fn a_look_at_a_session_that_is_no_longer_followed_shows_its_bytes() {
        let (mut witness, _client) = witness(&Observer::quiet()).await;
        let live = Arc::clone(witness.live());
        witness.data(Peer::Client, b"SSH-2.0-OpenSSH_9.2\r\n");
        assert!(witness.has_let_go(), "nothing in here to follow");
        witness.data(Peer::Client, &[0; 1000]);
        witness.data(Peer::Host, &[0; 500]);
        let seen = live.timeline();
        assert_eq!(seen.opening, Opening::NotRdp);
        assert_eq!((seen.traffic.client.bytes, seen.traffic.host.bytes), (1021, 500));
        assert_eq!(live.traffic(), PerPeer { client: 1021, host: 500 });
        assert!(live.tcp().client.is_some() && live.tcp().host.is_none());
    }

    #[tokio::test]
    async fn a_host_is_probed_from_the_first_silence_on_whatever_the_session_has_come_to() {
        let (mut witness, host) = witness(&Observer::quiet()).await;
        let is_kept_alive = |socket: &TcpStream| SockRef::from(socket).keepalive().expect("SO_KEEPALIVE");
        witness.host_socket(&host);
        let live = Arc::clone(witness.live());
        let opened = live.identity.accepted;
        assert!(!live.rest(opened) && !is_kept_alive(&host), "not at once");
        assert!(live.rest(Timestamp(opened.0 + 1_000_000_000)) && is_kept_alive(&host));
        // A bridge has connected anew.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let other = Arc::new(TcpStream::connect(listener.local_addr().expect("address")).await.expect("connect"));
        witness.host_socket(&other);
        assert!(live.rest(Timestamp(opened.0 + 2_000_000_000)) && is_kept_alive(&other));
    }

    #[tokio::test]
    async fn tcp_info_is_not_read_from_a_socket_that_is_closed() {
        let (witness, client) = witness(&Observer::quiet()).await;
        assert!(witness.live().tcp().client.is_some());
        drop(client);
        assert!(witness.live().tcp().client.is_none());
    }
}
