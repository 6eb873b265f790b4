//! The session tracker as the relay feeds it and as the outputs look at it while the session lives.
//!
//! It stands behind a mutex that only this session's task and somebody asking about this session ever take: a read pays
//! some nanoseconds for it, and an idle session holds what is known of it once, packed: when the tracker has let go a silence
//! of [`QUIET`] sends it to rest, and the next bytes wake it.

use crate::clock;
use crate::limits::{Charge, OpeningBudget};
use crate::observe::{Left, Observer};
use crate::record::capture::{Keys, Tape};
use crate::record::{LiveSession, SessionIdentity, SessionRecord, shared_shape};
use crate::sys;
use parser::Timestamp;
use parser::diagnosis::{Cause, Confidence, Marks, Missing, Side, Verdict, diagnose};
use parser::session::{
    Awaiting, BridgeFacts, CloseKind, Closer, GiveUp, Limits, Opening, Peer, PerPeer, Phase, ProxyAct, Resting,
    Session, TcpFacts, Timeline, UpstreamEvent, Watch,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::net::TcpStream;

/// A session rests when nothing has come for this long. Packing and waking are some microseconds, once per silence.
const QUIET: Duration = Duration::from_millis(100);

/// A live session, for those who look.
pub(crate) struct Live {
    identity: Arc<SessionIdentity>,
    session: Mutex<Tracked>,
    phase: AtomicU8,
    /// When it entered that phase, in nanoseconds.
    entered: AtomicU64,
    client: Weak<TcpStream>,
    tape: Weak<Tape>,
    /// The host's, once there is one; another one after the bridge has connected anew.
    host: Mutex<Weak<TcpStream>>,
}

/// The tracker of a session.
enum Tracked {
    Awake(Box<Session>),
    /// It has let go, and nothing has come since.
    Resting(Resting),
    /// Its record is on the way.
    Over,
}

impl Tracked {
    /// The session, woken when it rests.
    fn wake(&mut self) -> Option<&mut Session> {
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

    fn take(&mut self) -> Option<Box<Session>> {
        match std::mem::replace(self, Tracked::Over) {
            Tracked::Awake(session) => Some(session),
            Tracked::Resting(resting) => Some(resting.wake()),
            Tracked::Over => None,
        }
    }
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, Tracked> {
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
            Tracked::Awake(session) if now.since(session.timeline().last_event()) < QUIET => false,
            Tracked::Awake(_) => {
                held.rest();
                true
            }
            Tracked::Resting(_) | Tracked::Over => true,
        }
    }

    fn tcp(&self) -> PerPeer<Option<TcpFacts>> {
        let read = |socket: &Weak<TcpStream>| socket.upgrade().and_then(|socket| sys::tcp_facts(&*socket));
        PerPeer { client: read(&self.client), host: read(&self.host.lock().unwrap_or_else(PoisonError::into_inner)) }
    }

    fn tape(&self) -> Option<Arc<Tape>> {
        self.tape.upgrade()
    }
}

/// The one who sees everything that happens to a session, and reports it when it is over.
///
/// Dropping it ends the record too, so no path out of a session, a panic included, leaves a live session behind.
pub(crate) struct Witness {
    live: Arc<Live>,
    observer: Arc<Observer>,
    phase: Phase,
    /// The tracker has let go, and what it knows of the client is shared with other sessions.
    let_go: bool,
    charge: Charge,
    /// Client bytes kept until the host is connected, in bytes: they count as memory of the opening.
    early: usize,
    /// What passes, while the tracker reads and if captures are written.
    tape: Option<Arc<Tape>>,
    /// The legs carry each its own: see [`Witness::legs_apart`].
    apart: bool,
    over: bool,
}

impl Witness {
    /// A session that was accepted, announced to the observer.
    pub(crate) fn new(
        identity: Arc<SessionIdentity>,
        client: &Arc<TcpStream>,
        observer: &Arc<Observer>,
        budget: &Arc<OpeningBudget>,
    ) -> Witness {
        let session = Box::new(Session::new(identity.accepted, Limits::default()));
        let phase = session.phase();
        let tape = observer.tape(budget);
        let live = Arc::new(Live {
            session: Mutex::new(Tracked::Awake(session)),
            phase: AtomicU8::new(phase as u8),
            entered: AtomicU64::new(identity.accepted.0),
            client: Arc::downgrade(client),
            tape: tape.as_ref().map_or_else(Weak::new, Arc::downgrade),
            identity,
            host: Mutex::default(),
        });
        observer.started(Arc::clone(&live) as Arc<dyn LiveSession>);
        Witness {
            live,
            observer: Arc::clone(observer),
            phase,
            let_go: false,
            charge: Charge::new(budget),
            early: 0,
            tape,
            apart: false,
            over: false,
        }
    }

    /// What is read from one peer is not what the other one is sent: a bridge has a hand in it. What the client is sent is
    /// then all that it hears of the host ([`Witness::said`]).
    pub(crate) fn legs_apart(&mut self) {
        self.apart = true;
    }

    /// From now on what is read is passed on as it is.
    pub(crate) fn legs_together(&mut self) {
        self.apart = false;
    }

    /// Something happened on the way to the host.
    pub(crate) fn upstream(&mut self, event: UpstreamEvent) {
        let at = clock::now();
        if let Some(tape) = &self.tape {
            tape.upstream(&event, at);
        }
        self.tell(at, |session| session.upstream(event, at));
    }

    /// The host's socket, once there is one.
    pub(crate) fn host_socket(&mut self, socket: &Arc<TcpStream>) {
        if let Some(tape) = &self.tape {
            tape.host(socket.local_addr().ok(), clock::now());
        }
        *self.live.host.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(socket);
    }

    /// Bytes were read from `from`.
    pub(crate) fn data(&mut self, from: Peer, bytes: &[u8]) {
        // One time for both: what is said of a read is found in a capture by its time.
        let at = clock::now();
        match &self.tape {
            Some(tape) if self.apart => tape.read(from, bytes, at),
            Some(tape) => tape.data(from, bytes, at),
            None => {}
        }
        self.read(from, bytes, at, Session::data);
    }

    /// A bridge sends these bytes to `to`, as they cross the wire. To a client they are what the host says.
    pub(crate) fn said(&mut self, to: Peer, bytes: &[u8]) {
        let at = clock::now();
        if let Some(tape) = &self.tape {
            tape.sent(to, bytes, at);
        }
        if to == Peer::Client {
            self.read(Peer::Host, bytes, at, Session::data);
        }
    }

    /// Bytes that a bridge has read from `from`, as they crossed the wire: for a capture alone. What it reads in clear is
    /// never part of one.
    pub(crate) fn read_sealed(&self, from: Peer, bytes: &[u8]) {
        if let Some(tape) = &self.tape {
            tape.read(from, bytes, clock::now());
        }
    }

    /// The same of what it sends to `to`.
    pub(crate) fn sent_sealed(&self, to: Peer, bytes: &[u8]) {
        if let Some(tape) = &self.tape {
            tape.sent(to, bytes, clock::now());
        }
    }

    /// Where the secrets of a bridge's legs are left, if a capture may be read with them.
    pub(crate) fn keys(&self) -> Option<Arc<Keys>> {
        self.tape.as_ref()?.keys()
    }

    /// The host ended its connection, and the client is not told yet.
    pub(crate) fn host_ended(&self, kind: CloseKind, at: Timestamp) {
        if let Some(tape) = &self.tape {
            tape.host_ended(kind, at);
        }
    }

    /// A connection to the host is not needed any more.
    pub(crate) fn hung_up(&self, socket: &TcpStream) {
        if let Some(tape) = &self.tape {
            tape.hung_up(socket.local_addr().ok(), clock::now());
        }
    }

    fn read(
        &mut self,
        from: Peer,
        bytes: &[u8],
        at: Timestamp,
        show: impl FnOnce(&mut Session, Peer, &[u8], Timestamp),
    ) {
        self.tell(at, |session| show(session, from, bytes, at));
    }

    /// Both legs of a bridge are up: from now on what they carry is shown in clear. `early` bytes of it the client has
    /// sent with the last of its handshake: they were shown as they came, and are shown again.
    pub(crate) fn plain_from(&mut self, early: usize) {
        let at = clock::now();
        self.tell(at, |session| {
            session.plain_from(at);
            session.counted_before(Peer::Client, early as u64);
        });
    }

    /// What `from` sent inside of its leg.
    pub(crate) fn plain(&mut self, from: Peer, bytes: &[u8]) {
        self.read(from, bytes, clock::now(), Session::plain);
    }

    /// `from` ended its leg in order.
    pub(crate) fn close_notify(&mut self, from: Peer) {
        let at = clock::now();
        self.tell(at, |session| session.close_notify(from, at));
    }

    /// The tracker has let go: bytes need not be shown any more.
    pub(crate) fn has_let_go(&self) -> bool {
        self.let_go
    }

    /// `bytes` of `from` passed by without being looked at. Only after [`Witness::has_let_go`].
    pub(crate) fn unseen(&mut self, from: Peer, bytes: u64) {
        let at = clock::now();
        self.tell(at, |session| session.passed_unseen(from, bytes, at));
    }

    /// Takes room for up to `more` bytes of the client from the opening budget, and says for how many. What of it is
    /// used is told with [`Witness::early`].
    pub(crate) fn early_room(&mut self, more: usize) -> usize {
        self.charge.reserve(more)
    }

    /// Bytes were read from the client before there is a host; `waiting` are kept now.
    pub(crate) fn early_data(&mut self, bytes: &[u8], waiting: usize) {
        self.early = waiting;
        self.data(Peer::Client, bytes);
    }

    /// `bytes` of the client wait for the host to be connected.
    pub(crate) fn early(&mut self, bytes: usize) {
        self.early = bytes;
        self.tell(clock::now(), |_| ());
    }

    /// What is known so far, for whoever decides on it; `None` when the tracker no longer reads.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&Timeline) -> T) -> Option<T> {
        match &*self.live.lock() {
            Tracked::Awake(session) if !self.let_go && session.timeline().gave_up.is_none() => {
                Some(at(session.timeline()))
            }
            _ => None,
        }
    }

    /// What the bridge did with this session.
    pub(crate) fn bridged(&mut self, facts: BridgeFacts) {
        self.tell(clock::now(), |session| session.bridged(facts));
    }

    /// A socket ended at `at`.
    pub(crate) fn closed(&mut self, by: Closer, kind: CloseKind, at: Timestamp) {
        if let Some(tape) = &self.tape {
            tape.closed(by, kind, at);
        }
        self.tell(at, |session| session.closed(by, kind, at));
    }

    /// We did something ourselves, and close for it.
    pub(crate) fn acted(&mut self, act: ProxyAct, kind: CloseKind) {
        let at = clock::now();
        if let Some(tape) = &self.tape {
            tape.closed(Closer::Proxy, kind, at);
        }
        self.tell(at, |session| {
            session.proxy_act(act, at);
            session.closed(Closer::Proxy, kind, at);
        });
    }

    /// `TCP_INFO` of both legs as it is now.
    pub(crate) fn socket_facts(&mut self) {
        let facts = self.live.tcp();
        self.tell(clock::now(), |session| {
            for leg in [Peer::Client, Peer::Host] {
                if let Some(facts) = facts[leg] {
                    session.socket_facts(leg, facts);
                }
            }
        });
    }

    /// What may be timed now, and since when. Nothing once the tracker has stopped reading: what is not understood is
    /// not judged by a clock either.
    pub(crate) fn awaiting(&self) -> (Awaiting, Timestamp) {
        let nothing = (Awaiting::Nothing, self.live.identity.accepted);
        if self.let_go {
            return nothing;
        }
        match &*self.live.lock() {
            Tracked::Awake(session)
                if session.timeline().gave_up.is_none() && session.timeline().opening != Opening::NotRdp =>
            {
                session.awaiting()
            }
            _ => nothing,
        }
    }

    /// The session is over on both sides.
    pub(crate) fn finish(mut self) {
        self.end();
    }

    /// Tells the tracker something, and draws the consequences: memory, letting go, phase.
    fn tell(&mut self, at: Timestamp, something: impl FnOnce(&mut Session)) {
        let mut held = self.live.lock();
        let mut restless = matches!(*held, Tracked::Resting(_));
        let Some(session) = held.wake() else { return };
        contained(&self.live.identity, session, at, something);
        if !self.charge.set(session.buffered() + self.early) && !self.let_go {
            session.give_up(GiveUp::Budget, at);
            let _ = self.charge.set(session.buffered() + self.early);
        }
        let phase = session.phase();
        if !self.let_go && session.watch() == Watch::Tail {
            self.let_go = true;
            self.tape = self.tape.take().filter(|tape| tape.let_go(session.timeline()));
            session.share_shape(shared_shape);
            restless = true;
        }
        drop(held);
        if restless {
            self.observer.restless(Arc::clone(&self.live) as Arc<dyn LiveSession>);
        }
        if phase != self.phase {
            let before = std::mem::replace(&mut self.phase, phase);
            self.live.entered.store(at.0, Relaxed);
            self.live.phase.store(phase as u8, Relaxed);
            self.observer.phase(&*self.live, before, phase, at);
        }
    }

    fn end(&mut self) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let mut held = self.live.lock();
        if let Some(session) = held.wake() {
            self.observer.ending(self.live.identity.id, session.timeline());
        }
        let Some(mut session) = held.take() else { return };
        drop(held);
        // Whoever asks what a shape tells finds one that is shared at once.
        session.share_shape(shared_shape);
        let client_hello = session.take_client_hello();
        let timeline = session.finish();
        let verdict = judged(&self.live.identity, &timeline, diagnose);
        let identity = Arc::clone(&self.live.identity);
        let record = SessionRecord { identity, timeline, verdict, ended: clock::now(), capture: None };
        self.observer.ended_with(record, Left { client_hello, tape: self.tape.take() });
    }
}

/// Tells the tracker something. Should it panic, that is a fault of ours and no reason to cut the connection: it stops
/// reading, and the bytes go on. (Costs nothing while nothing panics.)
fn contained(identity: &SessionIdentity, session: &mut Session, at: Timestamp, something: impl FnOnce(&mut Session)) {
    if catch_unwind(AssertUnwindSafe(|| something(session))).is_ok() {
        return;
    }
    // Giving up lets go of the state that may be half changed, and may itself stumble over it.
    let given_up = catch_unwind(AssertUnwindSafe(|| session.give_up(GiveUp::Malformed, at))).is_ok();
    if !given_up {
        *session = Session::new(identity.accepted, Limits::default());
        session.give_up(GiveUp::Malformed, at);
    }
    tracing::error!(session = %identity.id, "the tracker failed: this session is relayed unparsed; please report this");
}

/// The verdict of `rules` on a session. Should they panic, the session still has its one record, and that says whose fault
/// the missing verdict is.
fn judged(identity: &SessionIdentity, timeline: &Timeline, rules: impl FnOnce(&Timeline) -> Verdict) -> Verdict {
    catch_unwind(AssertUnwindSafe(|| rules(timeline))).unwrap_or_else(|_| {
        tracing::error!(session = %identity.id, "the diagnosis failed: this session has no verdict; please report this");
        Verdict {
            cause: Cause::UnknownClose,
            side: Side::Proxy,
            phase: timeline.phase(),
            confidence: Confidence::Possible,
            evidence: vec!["The diagnosis itself failed, which is a fault of this proxy; the bytes were relayed.".to_owned()],
            alternatives: Vec::new(),
            remedy: vec!["Report this session's id and the version of rdpscope to its maintainers.".to_owned()],
            missing: Missing::default(),
            smallest_change: Vec::new(),
            end: None,
            message: "No verdict: the diagnosis itself failed, a fault of this proxy".to_owned(),
        }
    })
}

impl Drop for Witness {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // The task was cancelled with the runtime, or something in it panicked. A second panic here would abort the
        // process and every session in it.
        let ended = catch_unwind(AssertUnwindSafe(|| {
            self.acted(ProxyAct::Shutdown, CloseKind::Error);
            self.end();
        }));
        if ended.is_err() {
            tracing::error!(session = %self.live.identity.id, "the record of a session that ended early is lost");
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddr};
    use tokio::net::TcpListener;
    use uuid::Uuid;

    /// A witness of a connected socket, and the socket.
    pub(crate) async fn witness(observer: &Arc<Observer>) -> (Witness, Arc<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let client = TcpStream::connect(listener.local_addr().expect("address")).await.expect("connect");
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 3389));
        let identity = SessionIdentity {
            id: Uuid::nil(),
            listener: Arc::from("front"),
            upstream: Arc::from("host:3389"),
            client: anywhere,
            local: anywhere,
            accepted: clock::now(),
        };
        let client = Arc::new(client);
        (Witness::new(Arc::new(identity), &client, observer, &Arc::new(OpeningBudget::new(1 << 20))), client)
    }

    #[tokio::test]
    async fn a_look_at_a_session_that_is_no_longer_followed_shows_its_bytes() {
        let (mut witness, _client) = witness(&Observer::quiet()).await;
        let live = Arc::clone(&witness.live);
        witness.data(Peer::Client, b"SSH-2.0-OpenSSH_9.2\r\n");
        assert!(witness.let_go, "nothing in here to follow");
        witness.data(Peer::Client, &[0; 1000]);
        witness.data(Peer::Host, &[0; 500]);
        let seen = live.timeline();
        assert_eq!(seen.opening, Opening::NotRdp);
        assert_eq!((seen.traffic.client.bytes, seen.traffic.host.bytes), (1021, 500));
        assert_eq!(live.traffic(), PerPeer { client: 1021, host: 500 });
        assert!(live.tcp().client.is_some() && live.tcp().host.is_none());
    }

    #[tokio::test]
    async fn a_tracker_that_panics_gives_up_and_the_session_is_reported() {
        let observer = Observer::quiet();
        let mut records = observer.records();
        let (mut witness, _client) = witness(&observer).await;
        witness.data(Peer::Client, &[3, 0]);
        witness.tell(clock::now(), |_| panic!("a fault in the tracker"));
        witness.data(Peer::Client, &[0, 19, 14]);
        // Once it has let go too.
        witness.tell(clock::now(), |_| panic!("another one"));
        witness.data(Peer::Host, &[1]);
        witness.closed(Closer::Host, CloseKind::Fin, clock::now());
        assert_eq!(witness.awaiting().0, Awaiting::Nothing, "and is not judged by a clock");
        witness.finish();
        let timeline = &records.try_recv().expect("a record").timeline;
        assert_eq!(timeline.gave_up.map(|(why, _)| why), Some(GiveUp::Malformed));
        assert_eq!((timeline.traffic.client.bytes, timeline.traffic.host.bytes), (5, 1));
        assert_eq!(timeline.first_close().map(|close| close.by), Some(Closer::Host));
    }

    #[tokio::test]
    async fn a_diagnosis_that_panics_is_told_as_our_fault() {
        let (witness, _client) = witness(&Observer::quiet()).await;
        let identity = Arc::clone(&witness.live.identity);
        let verdict = judged(&identity, &Timeline::default(), |_| panic!("a fault in the rules"));
        assert_eq!((verdict.cause, verdict.side), (Cause::UnknownClose, Side::Proxy));
        assert_eq!(judged(&identity, &Timeline::default(), diagnose), diagnose(&Timeline::default()));
    }

    #[tokio::test]
    async fn a_session_whose_task_is_dropped_is_reported_all_the_same() {
        let observer = Observer::quiet();
        let mut records = observer.records();
        let (witness, _client) = witness(&observer).await;
        drop(witness);
        let record = records.try_recv().expect("a record");
        assert_eq!(record.timeline.proxy_act, Some(ProxyAct::Shutdown));
        assert!(records.try_recv().is_err(), "one record, not two");
    }

    #[tokio::test]
    async fn tcp_info_is_not_read_from_a_socket_that_is_closed() {
        let (witness, client) = witness(&Observer::quiet()).await;
        assert!(witness.live.tcp().client.is_some());
        drop(client);
        assert!(witness.live.tcp().client.is_none());
    }
}
