//! A bridged session: what one leg opens, the other one seals; every end goes across.
//!
//! Buffers belong to the thread. A session holds part of a record while one is under way, and what a slow receiver has
//! not taken; an idle one holds nothing.

use super::opening::Legs;
use super::tls::{Failure, Out, REST_MAX, Tls};
use crate::clock;
use crate::relay::{Ending, Leg, Relay, Stop, Witness, is_transient, read_once};
use parser::session::{CloseKind, Closer, Peer};
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::Interest;
use tokio::time::sleep;

/// Bytes taken by one read: four records.
const READ: usize = 64 * 1024;

/// When one leg was reset, the other has this long to take what came before.
const HAND_OVER: Duration = Duration::from_secs(2);

thread_local! {
    /// Borrowed for the length of one read and the writes that follow it, never across an await.
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers {
        wire: vec![0; REST_MAX + READ].into_boxed_slice(),
        plain: Vec::with_capacity(REST_MAX + READ),
        across: Out::default(),
        back: Out::default(),
    });
}

struct Buffers {
    /// As read: room for the part of a record that came before, then what is read.
    wire: Box<[u8]>,
    /// What was in it, all records together: they are sealed anew in one go, as few as there can be. (What that saves:
    /// `benches/README.md`.)
    plain: Vec<u8>,
    /// Sealed for the other leg.
    across: Out,
    /// What a leg has to say to its own peer: tickets, key updates, alerts.
    back: Out,
}

/// One leg with its TLS.
struct Side<'a> {
    leg: &'a mut Leg,
    tls: Box<dyn Tls>,
    /// What is inside is shown to the witness. If not, the client's leg is, as it crosses the wire.
    read: bool,
    /// Sealed, and not taken by the socket yet.
    pending: Vec<u8>,
    taken: usize,
    /// It is to be read no more: FIN, reset, or TLS that has failed.
    over: bool,
    /// We have said close_notify to it.
    closed: bool,
    /// We have sent FIN to it.
    finished: bool,
}

/// Carries the session to its end.
pub(super) async fn carry(relay: &mut Relay, legs: Legs, witness: &mut Witness, stop: &mut Stop) -> Ending {
    let Legs { client, host, plain, sealed, read } = legs;
    let Some((client_leg, host_leg)) = relay.legs() else { return Ending::Closed };
    let (client_socket, host_socket) = (client_leg.socket().clone(), host_leg.socket().clone());
    let mut client_errors = pin!(client_socket.ready(Interest::ERROR));
    let mut host_errors = pin!(host_socket.ready(Interest::ERROR));
    let (mut client, mut host) = (Side::new(client_leg, client, read), Side::new(host_leg, host, read));
    if read {
        witness.plain_from(plain.client.len() + sealed.client.len());
    }
    let mut begun = vec![(Peer::Client, plain.client, sealed.client), (Peer::Host, plain.host, sealed.host)];
    let mut patience = pin!(sleep(HAND_OVER));
    let mut impatient = false;
    let (mut client_watch, mut host_watch) = (true, true);
    poll_fn(|cx| {
        // First, for busy legs may use up the task's share of this turn.
        if stop.poll(cx).is_ready() {
            return Poll::Ready(Ending::Stopped);
        }
        if impatient && patience.as_mut().poll(cx).is_ready() {
            return Poll::Ready(given_up(&mut client, &mut host, witness));
        }
        for (from, plain, sealed) in begun.drain(..) {
            match from {
                Peer::Client => client.begin(&mut host, &plain, &sealed, witness),
                Peer::Host => host.begin(&mut client, &plain, &sealed, witness),
            }
        }
        loop {
            let up = client.step(&mut host, witness, cx);
            let down = host.step(&mut client, witness, cx);
            if let Some(ending) = ending(&client, &host) {
                return Poll::Ready(ending);
            }
            // A leg that is not read from, any more or now, shows a reset by readiness alone.
            let mut news = false;
            if client_watch && (client.over || host.is_pending()) && client_errors.as_mut().poll(cx).is_ready() {
                client_watch = false;
                news |= client.leg.break_by_pending_error();
            }
            if host_watch && (host.over || client.is_pending()) && host_errors.as_mut().poll(cx).is_ready() {
                host_watch = false;
                news |= host.leg.break_by_pending_error();
            }
            if !up && !down && !news {
                break;
            }
        }
        if !impatient && (broken(&client, &host).is_some() || client.over && host.over) {
            impatient = true;
            patience.as_mut().reset(tokio::time::Instant::now() + HAND_OVER);
            return patience.as_mut().poll(cx).map(|()| given_up(&mut client, &mut host, witness));
        }
        Poll::Pending
    })
    .await
}

/// The leg that ended otherwise than by FIN.
fn broken(client: &Side<'_>, host: &Side<'_>) -> Option<Peer> {
    client.leg.broken.map(|_| Peer::Client).or(host.leg.broken.map(|_| Peer::Host))
}

/// The other leg did not take what the ended one had sent in the time it has.
fn given_up(client: &mut Side<'_>, host: &mut Side<'_>, witness: &mut Witness) -> Ending {
    let Some(peer) = broken(client, host) else { return Ending::Closed };
    match peer {
        Peer::Client => client.leg.finish_reading(witness),
        Peer::Host => host.leg.finish_reading(witness),
    }
    Ending::Broken(peer)
}

/// Over when both directions are, or when a leg was reset and the other has taken what came before.
fn ending(client: &Side<'_>, host: &Side<'_>) -> Option<Ending> {
    let handed = |to: &Side<'_>| !to.is_pending() || to.leg.broken.is_some();
    if client.leg.broken.is_some() && client.over && handed(host) {
        return Some(Ending::Broken(Peer::Client));
    }
    if host.leg.broken.is_some() && host.over && handed(client) {
        return Some(Ending::Broken(Peer::Host));
    }
    (client.finished && host.finished && client.over && host.over).then_some(Ending::Closed)
}

/// TLS of the leg to `leg` is over before its time; who ended the session. A peer that sends a fatal alert has done so
/// itself; all else ends it here.
fn cut(leg: Peer, failure: &Failure, witness: &mut Witness) -> Closer {
    let alert = if let Failure::Alert(alert) = failure { Some(*alert) } else { None };
    witness.bridge_cut(leg, alert, failure.to_string());
    match (alert, leg) {
        (None, _) => Closer::Proxy,
        (Some(_), Peer::Client) => Closer::Client,
        (Some(_), Peer::Host) => Closer::Host,
    }
}

impl<'a> Side<'a> {
    fn new(leg: &'a mut Leg, tls: Box<dyn Tls>, read: bool) -> Side<'a> {
        let over = leg.ended;
        Side { leg, tls, read, pending: Vec::new(), taken: 0, over, closed: false, finished: false }
    }

    fn is_pending(&self) -> bool {
        self.taken < self.pending.len()
    }

    /// What was read during the handshake: opened already, and still sealed.
    fn begin(&mut self, to: &mut Side<'_>, plain: &[u8], sealed: &[u8], witness: &mut Witness) {
        BUFFERS.with_borrow_mut(|buffers| {
            buffers.across.clear();
            buffers.back.clear();
            if self.read {
                witness.plain(self.leg.peer, plain);
            }
            let Buffers { plain: opened, across, back, .. } = buffers;
            let sent = if plain.is_empty() { Ok(()) } else { to.tls.send(plain, across) };
            let mut whole = sent.map_err(|failure| cut(to.leg.peer, &failure, witness));
            if whole.is_ok() && !sealed.is_empty() {
                let mut wire = self.tls.rest();
                wire.extend_from_slice(sealed);
                whole = self.open(to, &mut wire, opened, across, back, witness);
            }
            self.hand_on(to, across, back, whole, witness);
        });
    }

    /// Reads once from here and hands it to the other side. True when something moved.
    fn step(&mut self, to: &mut Side<'_>, witness: &mut Witness, cx: &mut Context<'_>) -> bool {
        if to.is_pending() && to.leg.broken.is_none() {
            return to.flush(cx);
        }
        if self.over {
            return self.end(to);
        }
        match self.leg.socket.poll_read_ready(cx) {
            Poll::Pending => {
                to.release();
                return false;
            }
            Poll::Ready(Err(error)) => self.leg.break_by(&error),
            Poll::Ready(Ok(())) => {
                let moved = BUFFERS.with_borrow_mut(|buffers| self.read(to, buffers, witness));
                if let Some(moved) = moved {
                    return moved;
                }
            }
        }
        self.leg.finish_reading(witness);
        self.over = true;
        true
    }

    /// `None` at the end of what there is to read.
    fn read(&mut self, to: &mut Side<'_>, buffers: &mut Buffers, witness: &mut Witness) -> Option<bool> {
        let Buffers { wire, plain, across, back } = buffers;
        match read_once(&self.leg.socket, &mut wire[REST_MAX..]) {
            Ok(0) => {
                self.leg.end_of_stream();
                None
            }
            Ok(read) => {
                self.heard(&wire[REST_MAX..REST_MAX + read], witness);
                let rest = self.tls.rest();
                let begin = REST_MAX - rest.len();
                wire[begin..REST_MAX].copy_from_slice(&rest);
                across.clear();
                back.clear();
                let opened = self.open(to, &mut wire[begin..REST_MAX + read], plain, across, back, witness);
                self.hand_on(to, across, back, opened, witness);
                Some(true)
            }
            Err(error) if is_transient(&error) => Some(true),
            Err(error) => {
                self.leg.break_by(&error);
                None
            }
        }
    }

    /// Opens `wire` and seals what was in it for the other side.
    ///
    /// # Errors
    /// Either leg's TLS has failed, and the session is cut; by whom.
    fn open(
        &mut self,
        to: &mut Side<'_>,
        wire: &mut [u8],
        plain: &mut Vec<u8>,
        across: &mut Out,
        back: &mut Out,
        witness: &mut Witness,
    ) -> Result<(), Closer> {
        plain.clear();
        let (from, read) = (self.leg.peer, self.read);
        let mut hand = |record: &[u8]| {
            if read {
                witness.plain(from, record);
            }
            plain.extend_from_slice(record);
        };
        let opened = self.tls.receive(wire, &mut hand, back);
        // What came before a record that fails has come, and goes on.
        let sealed = if plain.is_empty() { Ok(()) } else { to.tls.send(plain, across) };
        let (leg, failure) = match (opened, sealed) {
            (Err(failure), _) => (from, failure),
            (_, Err(failure)) => (to.leg.peer, failure),
            (Ok(()), Ok(())) => return Ok(()),
        };
        Err(cut(leg, &failure, witness))
    }

    fn hand_on(
        &mut self,
        to: &mut Side<'_>,
        across: &mut Out,
        back: &Out,
        opened: Result<(), Closer>,
        witness: &mut Witness,
    ) {
        if self.tls.peer_closed() && !to.closed {
            to.closed = true;
            if self.read {
                witness.close_notify(self.leg.peer);
            }
            to.tls.close(across);
        }
        to.tell(across, witness);
        to.write(across);
        self.tell(back, witness);
        self.write(back);
        if let Err(by) = opened {
            // Cut on both sides, without a close_notify: neither end may take it for a whole stream.
            match by {
                Closer::Proxy => witness.closed(by, CloseKind::Fin, clock::now()),
                Closer::Client | Closer::Host => self.leg.finish_reading(witness),
            }
            (self.over, to.over) = (true, true);
        }
    }

    /// The end of what the other side reads: FIN follows the last byte. A reset is reproduced by the session's end.
    fn end(&mut self, to: &mut Side<'_>) -> bool {
        if to.finished {
            return false;
        }
        to.finished = true;
        if self.leg.fin || self.leg.broken.is_none() {
            to.leg.shut_down_writing();
        }
        true
    }

    /// What was read from here, as it crossed the wire. Where nothing inside is read, the client's leg is what is watched.
    fn heard(&self, sealed: &[u8], witness: &mut Witness) {
        match (self.leg.peer, self.read) {
            (Peer::Client, false) => witness.data(Peer::Client, sealed),
            (from, _) => witness.read_sealed(from, sealed),
        }
    }

    /// The same of what is sent here.
    fn tell(&self, sealed: &[u8], witness: &mut Witness) {
        match (self.leg.peer, self.read) {
            _ if sealed.is_empty() => {}
            (Peer::Client, false) => witness.said(Peer::Client, sealed),
            (to, _) => witness.sent_sealed(to, sealed),
        }
    }

    /// Sends `sealed`; what the socket does not take now stays for later.
    fn write(&mut self, sealed: &[u8]) {
        if sealed.is_empty() || self.leg.broken.is_some() {
            return;
        }
        let mut taken = 0;
        if !self.is_pending() {
            match self.leg.socket.try_write(sealed) {
                Ok(n) => taken = n,
                Err(error) if is_transient(&error) => {}
                Err(error) => return self.leg.break_by(&error),
            }
        }
        if taken < sealed.len() {
            if !self.is_pending() {
                self.pending.clear();
                self.taken = 0;
            }
            self.pending.extend_from_slice(&sealed[taken..]);
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> bool {
        match self.leg.socket.poll_write_ready(cx) {
            Poll::Pending => return false,
            Poll::Ready(Err(error)) => self.leg.break_by(&error),
            Poll::Ready(Ok(())) => match self.leg.socket.try_write(&self.pending[self.taken..]) {
                Ok(n) => self.taken += n,
                Err(error) if is_transient(&error) => {}
                Err(error) => self.leg.break_by(&error),
            },
        }
        true
    }

    /// Nothing is under way: no memory is held for it.
    fn release(&mut self) {
        if !self.is_pending() {
            self.pending = Vec::new();
            self.taken = 0;
        }
    }
}
