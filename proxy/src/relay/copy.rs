//! One direction, moved by copying through user space.
//!
//! A read goes into a buffer that the thread owns and all its sessions share; what the other socket does not take at
//! once is kept until it does, and nothing more is read before that. So an idle session holds no buffer, and a slow
//! receiver holds back its sender as it would without us.

use super::leg::Leg;
use super::witness::Witness;
use socket2::SockRef;
use std::cell::RefCell;
use std::io::{self, Read};
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes taken by one read: the largest TLS record four times over, and small enough to stay in the L2 cache.
const SCRATCH: usize = 64 * 1024;

thread_local! {
    /// Borrowed for the length of one read and the write that follows it, never across an await.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// One direction of a session.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    /// Read but not yet taken by the other socket: at most one read's worth, or the early bytes of a client whose host
    /// is not connected yet. Its memory is released when the direction falls idle.
    pending: Vec<u8>,
    /// How much of `pending` has been taken.
    taken: usize,
    /// Everything that could be handed over has been, the end included.
    pub(super) done: bool,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Something moved: step again.
    Moved,
    /// Waiting for the source to send.
    Idle,
    /// Waiting for the destination to take what is pending.
    Blocked,
    /// Over.
    Done,
}

impl Pipe {
    /// Reads from `source`, shows it to the witness, writes to `destination`: once.
    pub(super) fn step(
        &mut self,
        source: &mut Leg,
        destination: &mut Leg,
        witness: &mut Witness,
        cx: &mut Context<'_>,
    ) -> Step {
        if self.done {
            return Step::Done;
        }
        if destination.broken.is_some() {
            return self.abandon();
        }
        if self.is_pending() {
            return self.flush(destination, cx);
        }
        if source.ended {
            // The FIN follows the last byte, and comes before a break that is known by now: that one is reproduced by the
            // end of the session.
            if source.fin {
                destination.shut_down_writing();
            }
            return self.abandon();
        }
        match source.socket.poll_read_ready(cx) {
            Poll::Pending => {
                self.pending = Vec::new();
                Step::Idle
            }
            Poll::Ready(Err(error)) => end_of(source, destination, Some(error), witness),
            Poll::Ready(Ok(())) => BUFFER.with_borrow_mut(|buffer| {
                match read_once(&source.socket, buffer) {
                    Ok(0) => end_of(source, destination, None, witness),
                    Ok(n) => {
                        witness.data(source.peer, &buffer[..n]);
                        self.forward(&buffer[..n], destination)
                    }
                    // The readiness was stale; asking again registers the waker.
                    Err(error) if is_transient(&error) => Step::Moved,
                    Err(error) => end_of(source, destination, Some(error), witness),
                }
            }),
        }
    }

    /// Reads what the client says before there is a host, up to `bound` bytes in all.
    pub(super) fn fill(&mut self, source: &mut Leg, witness: &mut Witness, bound: usize, cx: &mut Context<'_>) -> Step {
        let room = bound.saturating_sub(self.pending.len()).min(SCRATCH);
        if source.ended || room == 0 {
            return Step::Done;
        }
        match source.socket.poll_read_ready(cx) {
            Poll::Pending => return Step::Idle,
            Poll::Ready(Err(error)) => source.break_by(&error),
            Poll::Ready(Ok(())) => {
                let read = BUFFER.with_borrow_mut(|buffer| {
                    let n = read_once(&source.socket, &mut buffer[..room])?;
                    witness.data(source.peer, &buffer[..n]);
                    self.pending.extend_from_slice(&buffer[..n]);
                    Ok::<usize, io::Error>(n)
                });
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
        self.taken < self.pending.len()
    }

    /// How many bytes wait.
    pub(super) fn waiting(&self) -> usize {
        self.pending.len() - self.taken
    }

    /// A direction that begins with `bytes` to hand over.
    pub(super) fn holding(bytes: Vec<u8>) -> Pipe {
        Pipe { pending: bytes, ..Pipe::default() }
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
        self.done = true;
        Step::Moved
    }

    /// Writes what was just read; what is not taken becomes pending.
    fn forward(&mut self, bytes: &[u8], destination: &mut Leg) -> Step {
        let taken = match destination.socket.try_write(bytes) {
            Ok(n) => n,
            Err(error) if is_transient(&error) => 0,
            Err(error) => {
                destination.break_by(&error);
                return Step::Moved;
            }
        };
        if taken < bytes.len() {
            self.pending.clear();
            self.pending.extend_from_slice(&bytes[taken..]);
            self.taken = 0;
        }
        Step::Moved
    }

    fn flush(&mut self, destination: &mut Leg, cx: &mut Context<'_>) -> Step {
        match destination.socket.poll_write_ready(cx) {
            Poll::Pending => return Step::Blocked,
            Poll::Ready(Err(error)) => destination.break_by(&error),
            Poll::Ready(Ok(())) => match destination.socket.try_write(&self.pending[self.taken..]) {
                Ok(n) => {
                    self.taken += n;
                    if !self.is_pending() {
                        // The memory stays until the direction is idle: a blocked direction soon blocks again.
                        self.pending.clear();
                        self.taken = 0;
                    }
                }
                Err(error) if is_transient(&error) => {}
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

/// One read. A short one has emptied the socket, and the runtime is told so by what it takes for `WouldBlock`: that
/// saves the second read that would only find nothing. The readiness for FIN survives this, and what arrives after the
/// read is a new event (epoll(7), edge-triggered).
pub(crate) fn read_once(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut short = None;
    let read = socket.try_io(Interest::READABLE, || {
        let n = (&*SockRef::from(socket)).read(buffer)?;
        if 0 < n && n < buffer.len() {
            short = Some(n);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(n)
    });
    short.map_or(read, Ok)
}

pub(crate) fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
