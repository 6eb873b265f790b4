//! One direction of a session: what was read and not yet taken, and how the next bytes are moved.
//!
//! Bytes are copied, and shown to the tracker, until it has let go; from then on a read that filled much of the buffer
//! makes the next one try `splice`, and little waiting in the socket makes it a copy again, as does the end of the stream
//! behind what waits. Nothing more is read while
//! something is pending, in either form, so a slow receiver holds back its sender as it would without us.

use super::copy::{SCRATCH, read_once, with_buffer, write_once};
use super::form::Form;
use super::is_transient;
use super::leg::Leg;
use super::splice::{self, Held, Taken};
use super::witness::Witness;
use std::io;
use std::task::{Context, Poll};

/// One direction of a session.
#[derive(Default)]
pub(super) struct Direction {
    /// Read but not yet taken by the other socket: at most one read's worth, or the early bytes of a client whose host
    /// is not connected yet. Its memory is released when the direction falls idle.
    pending: Vec<u8>,
    /// How much of `pending` has been taken.
    taken: usize,
    /// The same, in a pipe.
    piped: Option<Held>,
    /// What comes next is worth a look whether it can be spliced.
    heavy: bool,
    /// The kernel does not splice here.
    never: bool,
    /// Everything that could be handed over has been; the end comes next.
    pub(super) done: bool,
    /// FIN is to follow.
    pub(super) fin_due: bool,
}

/// What a direction waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Something moved: step again.
    Moved,
    /// The source to send.
    Idle,
    /// The destination to take what is pending.
    Blocked,
    /// Nothing: it is over.
    Done,
}

impl Direction {
    /// Reads from `source`, shows it to the witness, writes to `destination`: once. `moved` grows by what was read.
    pub(super) fn step(
        &mut self,
        source: &mut Leg,
        destination: &mut Leg,
        witness: &mut Witness,
        form: &Form,
        moved: &mut usize,
        cx: &mut Context<'_>,
    ) -> Step {
        if self.done {
            return Step::Done;
        }
        if destination.broken.is_some() {
            return self.abandon();
        }
        if self.is_pending() {
            return self.flush(destination, form, cx);
        }
        if source.ended {
            // The FIN follows the last byte, and comes before a break that is known by now: that one is reproduced by the
            // end of the session.
            self.fin_due = source.fin;
            return self.abandon();
        }
        match source.socket.poll_read_ready(cx) {
            Poll::Pending => {
                self.pending = Vec::new();
                Step::Idle
            }
            Poll::Ready(Err(error)) => end_of(source, destination, Some(error), witness),
            Poll::Ready(Ok(())) => {
                let read = match self.splice(source, destination, witness, form, cx) {
                    Ok(0) => self.copy(source, destination, witness, form),
                    spliced => spliced,
                };
                match read {
                    Ok(0) => end_of(source, destination, None, witness),
                    Ok(n) => {
                        *moved += n;
                        Step::Moved
                    }
                    // The readiness was stale; asking again registers the waker.
                    Err(error) if is_transient(&error) => Step::Moved,
                    Err(error) => end_of(source, destination, Some(error), witness),
                }
            }
        }
    }

    /// Reads what the client says before there is a host, up to `bound` bytes in all. What the opening budget has no room
    /// for waits in the client's socket, however often it is asked.
    pub(super) fn fill(
        &mut self,
        source: &mut Leg,
        witness: &mut Witness,
        form: &Form,
        bound: usize,
        cx: &mut Context<'_>,
    ) -> Step {
        if source.ended || self.waiting() >= bound {
            return Step::Done;
        }
        match source.socket.poll_read_ready(cx) {
            Poll::Pending => return Step::Idle,
            Poll::Ready(Err(error)) => source.break_by(&error),
            Poll::Ready(Ok(())) => {
                let room = witness.early_room((bound - self.waiting()).min(SCRATCH));
                if room == 0 {
                    return Step::Done;
                }
                let read = with_buffer(form, room, |buffer| {
                    let n = read_once(&source.socket, buffer)?;
                    self.pending.extend_from_slice(&buffer[..n]);
                    if n > 0 {
                        witness.early_data(&buffer[..n], self.pending.len());
                    }
                    Ok::<usize, io::Error>(n)
                });
                if !matches!(read, Ok(1..)) {
                    witness.early(self.waiting());
                }
                match read {
                    Ok(0) => source.end_of_stream(),
                    Ok(_) => return Step::Moved,
                    Err(error) if is_transient(&error) => return Step::Moved,
                    Err(error) => source.break_by(&error),
                }
            }
        }
        source.finish_reading(witness);
        Step::Done
    }

    /// Bytes that wait for the destination.
    pub(super) fn is_pending(&self) -> bool {
        self.piped.is_some() || self.taken < self.pending.len()
    }

    /// How many bytes wait that were copied.
    pub(super) fn waiting(&self) -> usize {
        self.pending.len() - self.taken
    }

    /// A direction that begins with `bytes` to hand over.
    pub(super) fn holding(bytes: Vec<u8>) -> Direction {
        Direction { pending: bytes, ..Direction::default() }
    }

    /// Takes what waits for the destination.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut waiting = std::mem::take(&mut self.pending);
        waiting.drain(..std::mem::take(&mut self.taken));
        waiting
    }

    /// Gives up what is pending: nobody can take it any more, or its time is over.
    pub(super) fn abandon(&mut self) -> Step {
        self.pending = Vec::new();
        self.taken = 0;
        self.piped = None;
        self.done = true;
        Step::Moved
    }

    /// A read into the buffer of this thread and a write from it; what is not taken becomes pending. How much was read.
    fn copy(&mut self, source: &Leg, destination: &mut Leg, witness: &mut Witness, form: &Form) -> io::Result<usize> {
        form.may_stumble()?;
        with_buffer(form, SCRATCH, |buffer| {
            let n = read_once(&source.socket, buffer)?;
            let bytes = &buffer[..n];
            if n > 0 {
                self.heavy = n >= form.splice_from && !self.never;
                witness.data(source.peer, bytes);
                let taken = write_once(&destination.socket, form, bytes).unwrap_or_else(|error| {
                    destination.break_by(&error);
                    n
                });
                if taken < n {
                    self.pending.clear();
                    self.pending.extend_from_slice(&bytes[taken..]);
                    self.taken = 0;
                }
            }
            Ok(n)
        })
    }

    /// The same through a pipe, if enough is waiting, and 0 if not. What the end of the stream comes right behind is
    /// copied: whether there was a goodbye is told by the last records.
    fn splice(
        &mut self,
        source: &Leg,
        destination: &mut Leg,
        witness: &mut Witness,
        form: &Form,
        cx: &mut Context<'_>,
    ) -> io::Result<usize> {
        if !self.heavy || !witness.has_let_go() || source.fin_waits(cx) {
            return Ok(0);
        }
        match splice::take(&source.socket, form)? {
            Taken::Bytes(held) => {
                let n = held.bytes();
                witness.unseen(source.peer, n as u64);
                self.piped = Some(held);
                self.give(destination, form);
                Ok(n)
            }
            Taken::Copy => Ok(0),
            Taken::Never => {
                (self.heavy, self.never) = (false, true);
                Ok(0)
            }
        }
    }

    /// Hands over what is in the pipe, as much as there is room for.
    fn give(&mut self, destination: &mut Leg, form: &Form) {
        let Some(held) = &mut self.piped else { return };
        if let Err(error) = held.give(&destination.socket, form) {
            destination.break_by(&error);
        } else if held.bytes() == 0 {
            self.piped = None;
        }
    }

    fn flush(&mut self, destination: &mut Leg, form: &Form, cx: &mut Context<'_>) -> Step {
        match destination.socket.poll_write_ready(cx) {
            Poll::Pending => return Step::Blocked,
            Poll::Ready(Err(error)) => destination.break_by(&error),
            Poll::Ready(Ok(())) if self.piped.is_some() => self.give(destination, form),
            Poll::Ready(Ok(())) => match write_once(&destination.socket, form, &self.pending[self.taken..]) {
                Ok(n) => {
                    self.taken += n;
                    if !self.is_pending() {
                        // The memory stays until the direction is idle: a blocked direction soon blocks again.
                        self.pending.clear();
                        self.taken = 0;
                    }
                }
                Err(error) => destination.break_by(&error),
            },
        }
        Step::Moved
    }
}

/// The source has nothing more: by FIN, or by `error`. Told before anything is forwarded, and after the other leg's
/// break, if that one was first and only waited for its last bytes to be read.
fn end_of(source: &mut Leg, destination: &mut Leg, error: Option<io::Error>, witness: &mut Witness) -> Step {
    destination.note_break(witness);
    match error {
        Some(error) => source.break_by(&error),
        None => source.end_of_stream(),
    }
    source.finish_reading(witness);
    Step::Moved
}

#[cfg(test)]
mod tests {
    use super::super::witness::tests::witness;
    use super::*;
    use crate::observe::Observer;
    use parser::session::Peer;
    use socket2::SockRef;
    use std::future::poll_fn;
    use tokio::io::{AsyncWriteExt, Interest};
    use tokio::net::{TcpListener, TcpStream};

    /// More than one read takes.
    const WAITING: usize = SCRATCH + 10_000;

    /// Both ends of a connection, and ours as a leg.
    async fn leg() -> (TcpStream, Leg) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        SockRef::from(&listener).set_recv_buffer_size(2 * WAITING).expect("SO_RCVBUF");
        let peer = TcpStream::connect(listener.local_addr().expect("address")).await.expect("connect");
        (peer, Leg::of_client(listener.accept().await.expect("accept").0))
    }

    /// What one step of a heavy direction takes of [`WAITING`].
    async fn taken_at_once(fin: bool) -> usize {
        let (mut witness, _client) = witness(&Observer::quiet()).await;
        witness.data(Peer::Client, b"SSH-2.0-OpenSSH_9.2\r\n");
        assert!(witness.has_let_go());
        let ((mut peer, mut source), (_other, mut destination)) = (leg().await, leg().await);
        peer.write_all(&[7; WAITING]).await.expect("write");
        if fin {
            peer.shutdown().await.expect("shutdown");
            while !source.socket.ready(Interest::READABLE).await.expect("ready").is_read_closed() {
                tokio::task::yield_now().await;
            }
        }
        while rustix::io::ioctl_fionread(&*source.socket).expect("FIONREAD") < WAITING as u64 {
            tokio::task::yield_now().await;
        }
        let mut direction = Direction { heavy: true, ..Direction::default() };
        let mut moved = 0;
        let form = Form::default();
        poll_fn(|cx| {
            let step = direction.step(&mut source, &mut destination, &mut witness, &form, &mut moved, cx);
            if step == Step::Moved { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        moved
    }

    #[tokio::test]
    async fn what_comes_before_the_end_is_read() {
        assert_eq!(taken_at_once(false).await, WAITING, "spliced");
        assert_eq!(taken_at_once(true).await, SCRATCH, "copied, and shown to the tracker");
    }
}
