//! Bytes that never leave the kernel: from a socket into a pipe and from the pipe into the other socket, `splice(2)`.
//!
//! A pipe is held only while bytes are in it. An empty one goes back to the pool of its thread, which is bounded; when
//! there is none to be had, the bytes are copied.

use super::form::Form;
use super::is_transient;
use rustix::pipe::{PipeFlags, SpliceFlags};
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Pipes of one thread, those with bytes in them included. A thread works on one at a time, so the others are those
/// whose receivers are slow; with the sessions of more slow receivers it copies, and holds 64 KiB for each instead.
const MOST_PIPES: usize = 16;

/// The kernel gives small pipes to a user who has many (pipe(7), `pipe-user-pages-soft`). Through less than this,
/// copying is as cheap.
const LEAST_SIZE: usize = 64 * 1024;

/// After a refusal nothing is asked for this long.
const PAUSE: Duration = Duration::from_secs(10);

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { idle: Vec::new(), pipes: 0, refused: None }) };
}

struct Pool {
    idle: Vec<Pipe>,
    /// How many there are, idle or not.
    pipes: usize,
    /// When the kernel last had none for us.
    refused: Option<Instant>,
}

/// A pipe and what is in it. Dropped empty it is used again; with bytes in it it is closed.
pub(super) struct Held {
    /// Always there, until the drop takes it out.
    pipe: Option<Pipe>,
    bytes: u32,
}

struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    size: u32,
}

/// What came of looking for a way through the kernel.
pub(super) enum Taken {
    /// So many bytes are in the pipe now.
    Bytes(Held),
    /// Copy this time: too little is waiting, or there is no pipe.
    Copy,
    /// Copy always: the kernel does not splice from this socket.
    Never,
}

/// Moves what waits in `source` into a pipe.
///
/// # Errors
/// What splice(2) says of the socket.
pub(super) fn take(source: &TcpStream, form: &Form) -> io::Result<Taken> {
    // FIN is not counted: an end is always found by a read.
    let waiting = rustix::io::ioctl_fionread(source).map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if waiting < form.splice_from.max(1) {
        return Ok(Taken::Copy);
    }
    let Some(mut held) = Held::get(form) else { return Ok(Taken::Copy) };
    form.may_stumble()?;
    let Some(pipe) = &held.pipe else { return Ok(Taken::Copy) };
    let most = (pipe.size as usize).min(form.at_most);
    // What waits had arrived when it was counted. If it is all in the pipe, whatever else there is came later and is a
    // new event. If it is not, the pipe is full, or there is an urgent byte, which only a read passes over.
    let moved = source.try_io(Interest::READABLE, || {
        match splice(source, &pipe.write, most) {
            // No more than the pipe has room for.
            Ok(n) => held.bytes = n as u32,
            Err(error) if is_transient(&error) => {}
            Err(error) => return Err(error),
        }
        if held.bytes as usize >= waiting { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match moved {
        _ if held.bytes > 0 => Ok(Taken::Bytes(held)),
        Ok(()) => Ok(Taken::Copy),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(Taken::Never),
        Err(error) => Err(error),
    }
}

impl Held {
    fn get(form: &Form) -> Option<Held> {
        let pipe = POOL.with_borrow_mut(|pool| pool.get(form))?;
        Some(Held { pipe: Some(pipe), bytes: 0 })
    }

    /// Bytes in the pipe.
    pub(super) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Moves what `destination` takes out of the pipe; how much that was, 0 when there is no room.
    ///
    /// # Errors
    /// What splice(2) says of the socket.
    pub(super) fn give(&mut self, destination: &TcpStream, form: &Form) -> io::Result<usize> {
        let Some(pipe) = &self.pipe else { return Ok(0) };
        let most = self.bytes().min(form.at_most);
        // A short count may have other reasons than a full socket (a signal, older kernels), so it is not taken for one.
        let given = form
            .may_stumble()
            .and_then(|()| destination.try_io(Interest::WRITABLE, || splice(&pipe.read, destination, most)));
        match given {
            Err(error) if is_transient(&error) => Ok(0),
            Err(error) => Err(error),
            Ok(n) => {
                self.bytes -= n.min(self.bytes()) as u32;
                Ok(n)
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(pipe) = self.pipe.take() else { return };
        // Fails when the thread ends, and the pool with it.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if self.bytes == 0 {
                pool.idle.push(pipe);
            } else {
                pool.pipes -= 1;
            }
        });
    }
}

impl Pool {
    fn get(&mut self, form: &Form) -> Option<Pipe> {
        if let Some(pipe) = self.idle.pop() {
            return Some(pipe);
        }
        if self.pipes >= MOST_PIPES || self.refused.is_some_and(|at| at.elapsed() < PAUSE) {
            return None;
        }
        match Pipe::open(form.pipe_size) {
            Ok(pipe) if pipe.size as usize >= LEAST_SIZE.min(form.pipe_size) => {
                self.pipes += 1;
                self.refused = None;
                Some(pipe)
            }
            // A small one is closed again: others need the pages more.
            Ok(_) | Err(_) => {
                self.refused = Some(Instant::now());
                None
            }
        }
    }
}

impl Pipe {
    fn open(size: usize) -> io::Result<Pipe> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Whether it was granted is said by what the pipe has afterwards.
        let _ = rustix::pipe::fcntl_setpipe_size(&write, size);
        // Some pages: a size is an `int` in pipe(7).
        let size = rustix::pipe::fcntl_getpipe_size(&write)? as u32;
        Ok(Pipe { read, write, size })
    }
}

fn splice(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
    Ok(rustix::pipe::splice(from, None, to, None, most, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?)
}
