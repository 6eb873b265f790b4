//! Both directions of one session, moved by one task: every byte on, every end reproduced.
//!
//! A [`Relay`] begins with the client alone and keeps what it says while the host is being found ([`Relay::meanwhile`]);
//! with the host attached it moves bytes until the session is over ([`Relay::run`]) and says how it ended. What moves
//! the bytes of one direction is behind [`Direction::step`].
//!
//! How an end is read: FIN becomes FIN on the other leg, and the other direction goes on. A reset, or a connection the
//! kernel gave up, is known by an error of a read or a write; the bytes that came before it are still read, shown to
//! the tracker and handed over before the other leg is reset too. Both are told to the tracker before anything is
//! forwarded. A leg that is not being read from (its FIN has come, or its bytes wait for a slow receiver) is watched
//! for an error by readiness alone.

mod contained;
mod copy;
mod direction;
mod form;
mod leg;
mod live;
mod opening;
mod splice;
mod timer;
mod witness;

pub use form::Form;

pub(crate) use crate::shutdown::Stop;
pub(crate) use copy::read_once;
pub(crate) use leg::{Leg, keep_alive, set_options};
pub(crate) use witness::Witness;

use crate::sys;
use config::Timeouts;
use direction::{Direction, Step};
use parser::session::{Awaiting, CloseKind, Peer};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use timer::PhaseTimer;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

/// Client bytes kept while the host is being connected: the longest message a client may open with (the tracker's bound
/// of a ClientHello).
const EARLY_BYTES: usize = 64 * 1024;

/// A session that has moved this many bytes in one turn lets the others of its core have theirs. (At 4 GB/s, 1 ms.)
const TURN: usize = 4 << 20;

/// After a reset the other leg gets what was read before it. It is given up when nothing has moved for this long,
const HAND_OVER_PAUSE: Duration = Duration::from_millis(200);

/// and after this long in any case, since a receiver that takes a byte at a time could hold a dead session for ever.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(2);

/// How a session came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// FIN from both sides, each handed on.
    Closed,
    /// This leg was reset or lost; what it had sent is handed over.
    Broken(Peer),
    /// A time-out of ours struck.
    TimedOut(Awaiting),
    /// We are to stop now.
    Stopped,
    /// The bridge could not bring up TLS with the host, and has told the client so.
    Refused,
    /// There is no way to the host; the kind says whether our own time-out ended the search.
    NoHost(CloseKind),
}

/// One session's sockets and what is under way between them.
pub(crate) struct Relay {
    client: Leg,
    host: Option<Leg>,
    up: Direction,
    down: Direction,
    timer: PhaseTimer,
    form: Arc<Form>,
}

impl Relay {
    /// A session whose host is not connected yet.
    pub(crate) fn new(client: Leg, timeouts: &Arc<Timeouts>, form: &Arc<Form>) -> Relay {
        let (up, down) = Default::default();
        Relay { client, host: None, up, down, timer: PhaseTimer::new(timeouts), form: Arc::clone(form) }
    }

    /// Waits for `future` (a lookup, a connect) while the client may already speak, or leave.
    pub(crate) async fn meanwhile<F: Future>(
        &mut self,
        future: F,
        witness: &mut Witness,
        stop: &mut Stop,
    ) -> Result<F::Output, Ending> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if stop.poll(cx).is_ready() {
                return Poll::Ready(Err(Ending::Stopped));
            }
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            if let Some(ending) = self.listen_early(witness, cx) {
                return Poll::Ready(Err(ending));
            }
            Poll::Pending
        })
        .await
    }

    /// The host is connected.
    pub(crate) fn attach(&mut self, host: Leg, witness: &mut Witness) {
        witness.host_socket(host.socket());
        witness.early(0);
        self.timer.host_connected();
        self.host = Some(host);
    }

    /// Moves bytes until the session is over.
    ///
    /// An idle session waits in this, so it keeps no more than it needs then: an `async fn` would keep its arguments twice.
    pub(crate) fn run<'a>(
        &'a mut self,
        witness: &'a mut Witness,
        stop: &'a mut Stop,
    ) -> impl Future<Output = Ending> + Send + 'a {
        let timer = &mut self.timer;
        let mut both = self.host.as_mut().map(|host| Both {
            client: &mut self.client,
            host,
            up: &mut self.up,
            down: &mut self.down,
            form: &self.form,
            client_errors: ErrorWatch::Idle,
            host_errors: ErrorWatch::Idle,
            hand_over: None,
        });
        poll_fn(move |cx| {
            // First, for a busy relay may use up the task's share of this turn.
            if stop.poll(cx).is_ready() {
                return Poll::Ready(Ending::Stopped);
            }
            let Some(both) = &mut both else { return Poll::Ready(Ending::Closed) };
            if let Some(ending) = both.poll(witness, cx) {
                return Poll::Ready(ending);
            }
            match both.hand_over.as_ref().map(|hand_over| hand_over.deadline()) {
                Some(deadline) => match timer.poll_until(deadline, cx) {
                    Poll::Ready(()) => both.give_up_hand_over(witness, cx),
                    Poll::Pending => Poll::Pending,
                },
                None => timer.poll_phase(witness, cx).map(Ending::TimedOut),
            }
        })
    }

    /// The time-outs of this session.
    pub(crate) fn timeouts(&self) -> &Timeouts {
        self.timer.timeouts()
    }

    /// The leg to `peer`, if there is one.
    pub(crate) fn leg(&self, peer: Peer) -> Option<&Leg> {
        match peer {
            Peer::Client => Some(&self.client),
            Peer::Host => self.host.as_ref(),
        }
    }

    /// Closes the leg to `peer` with RST, after what it was sent has arrived there, or has had its time to.
    pub(crate) async fn reset(&self, peer: Peer) {
        if let Some(leg) = self.leg(peer) {
            acknowledged(&leg.socket).await;
            leg.reset_on_close();
        }
    }

    fn listen_early(&mut self, witness: &mut Witness, cx: &mut Context<'_>) -> Option<Ending> {
        while self.up.fill(&mut self.client, witness, &self.form, EARLY_BYTES, cx) == Step::Moved {}
        if self.client.broken.is_some() {
            return Some(Ending::Broken(Peer::Client));
        }
        match self.timer.poll_phase(witness, cx) {
            Poll::Ready(awaiting) => Some(Ending::TimedOut(awaiting)),
            Poll::Pending => None,
        }
    }
}

/// A relay with both legs, for the length of [`Relay::run`].
struct Both<'a> {
    client: &'a mut Leg,
    host: &'a mut Leg,
    up: &'a mut Direction,
    down: &'a mut Direction,
    form: &'a Form,
    client_errors: ErrorWatch,
    host_errors: ErrorWatch,
    /// Boxed, for few sessions end so.
    hand_over: Option<Box<HandOver>>,
}

impl Both<'_> {
    fn poll(&mut self, witness: &mut Witness, cx: &mut Context<'_>) -> Option<Ending> {
        let mut moved = 0;
        let (mut up, mut down) = (Step::Moved, Step::Moved);
        loop {
            // A direction that waits has left its waker with its socket: what the other one moves does not change that, but
            // a break of a leg may.
            if up == Step::Moved || !self.is_whole() {
                up = self.up.step(self.client, self.host, witness, self.form, &mut moved, cx);
            }
            if down == Step::Moved || !self.is_whole() {
                down = self.down.step(self.host, self.client, witness, self.form, &mut moved, cx);
            }
            self.send_fin();
            if let Some(ending) = self.ending() {
                return Some(ending);
            }
            let watched = self.watch_for_errors(up, down, cx);
            self.note_hand_over(up, down);
            if up != Step::Moved && down != Step::Moved && !watched {
                return None;
            }
            if moved >= TURN {
                // Wakes this task after all that is ready now, and after a look at what else has become ready.
                let _ = pin!(yield_now()).poll(cx);
                return None;
            }
        }
    }

    /// Neither leg is known to have ended otherwise than by FIN.
    fn is_whole(&self) -> bool {
        self.client.broken.is_none() && self.host.broken.is_none()
    }

    /// FIN follows the last byte of a direction. When both are over the sockets are closed now, which says the same.
    fn send_fin(&mut self) {
        let over = self.up.done && self.down.done && self.is_whole();
        if std::mem::take(&mut self.up.fin_due) && !over {
            self.host.shut_down_writing();
        }
        if std::mem::take(&mut self.down.fin_due) && !over {
            self.client.shut_down_writing();
        }
    }

    /// A broken leg ends the session as soon as its own direction is done, FIN on both sides when both are.
    fn ending(&self) -> Option<Ending> {
        if self.client.broken.is_some() && self.up.done {
            return Some(Ending::Broken(Peer::Client));
        }
        if self.host.broken.is_some() && self.down.done {
            return Some(Ending::Broken(Peer::Host));
        }
        (self.up.done && self.down.done).then_some(Ending::Closed)
    }

    /// Legs that nobody reads from now. True when something came to light.
    fn watch_for_errors(&mut self, up: Step, down: Step, cx: &mut Context<'_>) -> bool {
        let mut news = false;
        if (self.client.ended || up == Step::Blocked) && self.client_errors.fired(self.client, cx) {
            news |= Self::error_on(self.client, &mut self.hand_over);
        }
        if (self.host.ended || down == Step::Blocked) && self.host_errors.fired(self.host, cx) {
            news |= Self::error_on(self.host, &mut self.hand_over);
        }
        news
    }

    /// With nothing left to read the error itself is the news. Otherwise it is left where it is, for the read that
    /// comes to it after the last byte; but the time for handing over runs.
    fn error_on(leg: &mut Leg, hand_over: &mut Option<Box<HandOver>>) -> bool {
        if leg.ended {
            return leg.broken.is_none() && leg.break_by_pending_error();
        }
        hand_over.get_or_insert_with(|| HandOver::of(leg.peer));
        false
    }

    /// Starts the time for handing over when a leg is broken, and prolongs it while bytes move.
    fn note_hand_over(&mut self, up: Step, down: Step) {
        let broken = if self.client.broken.is_some() { Some(Peer::Client) } else { None };
        let broken = broken.or(self.host.broken.map(|_| Peer::Host));
        if let Some(peer) = broken {
            self.hand_over.get_or_insert_with(|| HandOver::of(peer));
        }
        if let Some(hand_over) = &mut self.hand_over {
            let step = if hand_over.from == Peer::Client { up } else { down };
            if step == Step::Moved {
                hand_over.moved = Instant::now();
            }
        }
    }

    /// The other leg did not take what the broken one had sent in the time it has.
    fn give_up_hand_over(&mut self, witness: &mut Witness, cx: &mut Context<'_>) -> Poll<Ending> {
        let from = self.hand_over.take().map_or(Peer::Client, |h| h.from);
        let (leg, direction) = match from {
            Peer::Client => (&mut *self.client, &mut *self.up),
            Peer::Host => (&mut *self.host, &mut *self.down),
        };
        if leg.broken.is_none() && !leg.break_by_pending_error() {
            // Readiness is a hint. No error, no end: a session that is only slow goes on.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        direction.abandon();
        leg.finish_reading(witness);
        Poll::Ready(Ending::Broken(from))
    }
}

/// The time a broken leg's last bytes have to reach the other one.
struct HandOver {
    from: Peer,
    begun: Instant,
    moved: Instant,
}

impl HandOver {
    fn of(from: Peer) -> Box<HandOver> {
        let now = Instant::now();
        Box::new(HandOver { from, begun: now, moved: now })
    }

    fn deadline(&self) -> Instant {
        (self.moved + HAND_OVER_PAUSE).min(self.begun + HAND_OVER_LIMIT)
    }
}

/// Readiness for an error of one leg, asked for when it is not being read from, and at most until it comes.
enum ErrorWatch {
    Idle,
    /// Boxed, for few sessions ever need it.
    Waiting(Pin<Box<dyn Future<Output = ()> + Send>>),
    Fired,
}

impl ErrorWatch {
    /// True once there was an error, and ever after.
    fn fired(&mut self, leg: &Leg, cx: &mut Context<'_>) -> bool {
        if let ErrorWatch::Idle = self {
            let socket = Arc::clone(&leg.socket);
            *self = ErrorWatch::Waiting(Box::pin(async move {
                // It fails only when the runtime is going, and the session with it.
                let _ = socket.ready(Interest::ERROR).await;
            }));
        }
        if let ErrorWatch::Waiting(ready) = self
            && ready.as_mut().poll(cx).is_ready()
        {
            *self = ErrorWatch::Fired;
        }
        matches!(self, ErrorWatch::Fired)
    }
}

/// A system call that has to be made again, now or when the socket is ready.
pub(crate) fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Waits until the peer has acknowledged everything, within the time for handing over.
async fn acknowledged(socket: &TcpStream) {
    let begun = Instant::now();
    let (mut moved, mut least, mut pause) = (begun, usize::MAX, Duration::from_millis(1));
    loop {
        let left = sys::unsent(socket).unwrap_or(0);
        if left == 0 {
            return;
        }
        let now = Instant::now();
        if left < least {
            (least, moved) = (left, now);
        }
        if now >= (moved + HAND_OVER_PAUSE).min(begun + HAND_OVER_LIMIT) {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(16));
    }
}
