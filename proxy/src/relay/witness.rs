//! The one who sees everything that happens to a session: the tracker as the relay feeds it.

use super::contained::{contained, judged};
use super::live::{Live, Tracked};
use crate::clock;
use crate::limits::{Charge, OpeningBudget};
use crate::observe::{Left, Observer};
use crate::probe::Target;
use crate::record::capture::{Keys, Tape};
use crate::record::{LiveSession, SessionIdentity, SessionRecord, shared_shape};
use parser::Timestamp;
use parser::diagnosis::diagnose;
use parser::profile::HostProfile;
use parser::session::{
    Awaiting, BridgeCut, BridgeFacts, CloseKind, Closer, GiveUp, Opening, Peer, Phase, ProxyAct, Session, Timeline,
    UpstreamEvent, Watch,
};
use parser::wire::AlertDescription;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, MutexGuard};
use tokio::net::TcpStream;

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
        let tape = observer.tape(budget);
        let live = Arc::new(Live::new(identity, client, tape.as_ref()));
        let phase = live.phase();
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
        self.live.host_is(socket);
        self.rests_later(self.live.lock());
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

    /// The host as the configuration writes it, for a log.
    pub(crate) fn upstream_label(&self) -> &str {
        &self.live.identity.upstream
    }

    /// What `target` accepts, if it was asked lately.
    pub(crate) fn fresh_profile(&self, target: Target) -> Option<Arc<HostProfile>> {
        self.observer.fresh_profile(target)
    }

    /// What the bridge did with this session.
    pub(crate) fn bridged(&mut self, facts: BridgeFacts) {
        self.tell(clock::now(), |session| session.bridged(facts));
    }

    /// A leg of the bridge that was up came to its end, other than by close_notify; `alert`: its peer said so.
    pub(crate) fn bridge_cut(&mut self, leg: Peer, alert: Option<AlertDescription>, words: String) {
        let at = clock::now();
        self.tell(at, |session| session.bridge_cut(BridgeCut { leg, alert, words, at }));
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
        match restless {
            true => self.rests_later(held),
            false => drop(held),
        }
        if phase != self.phase {
            let before = std::mem::replace(&mut self.phase, phase);
            self.live.enters(phase, at);
            self.observer.phase(&*self.live, before, phase, at);
        }
    }

    /// At its next silence, for which somebody looks then.
    fn rests_later(&self, held: MutexGuard<'_, Tracked>) {
        let is_new = self.live.look_after(&held);
        drop(held);
        if is_new {
            self.observer.restless(Arc::clone(&self.live) as Arc<dyn LiveSession>);
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
pub(super) mod tests;
