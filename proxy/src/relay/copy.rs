//! Bytes through user space: a read into a buffer that the thread owns and all its sessions share, and a write from it.
//! So an idle session holds no buffer, and the buffer stays in the cache.

use super::form::Form;
use super::is_transient;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::cell::RefCell;
use std::io;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes taken by one read: the largest TLS record four times over, and small enough to stay in the L2 cache.
pub(super) const SCRATCH: usize = 64 * 1024;

/// Reads begin at one. What is sent in blocks lies at the beginning of pages, and on AMD's Zen 3 the instruction with which
/// the kernel copies is slow where the destination begins up to 31 bytes further into its page than the source: there
/// malloc puts large blocks (`benches/README.md`, "Tried, and lost").
const PAGE: usize = 4096;

thread_local! {
    /// Borrowed for the length of one read and the write that follows it, never across an await.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; PAGE + SCRATCH].into_boxed_slice());
}

/// Lends the buffer of this thread, or as much of it as one read may take.
pub(super) fn with_buffer<T>(form: &Form, most: usize, work: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| {
        let begin = buffer.as_ptr().align_offset(PAGE).min(PAGE);
        work(&mut buffer[begin..][..SCRATCH.min(most).min(form.at_most)])
    })
}

/// One read. A short one has emptied the socket, and the runtime is told so by what it takes for `WouldBlock`: that
/// saves the second read that would only find nothing. The readiness for FIN survives this, and what arrives after the
/// read is a new event (epoll(7), edge-triggered).
pub(crate) fn read_once(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let whole = buffer.len();
    once(socket, Interest::READABLE, whole, || Ok(recv(socket, buffer, RecvFlags::empty())?.0))
}

/// One write; how much of `bytes` was taken, 0 when there is no room. A short one has filled the socket, whose next
/// room is a new event as well.
pub(super) fn write_once(socket: &TcpStream, form: &Form, bytes: &[u8]) -> io::Result<usize> {
    let most = bytes.len().min(form.at_most);
    let written = form.may_stumble().and_then(|()| {
        once(socket, Interest::WRITABLE, most, || Ok(send(socket, &bytes[..most], SendFlags::NOSIGNAL)?))
    });
    match written {
        Err(error) if is_transient(&error) => Ok(0),
        written => written,
    }
}

/// One system call that moves up to `whole` bytes, of which less are a reason to wait for the next event.
fn once(
    socket: &TcpStream,
    interest: Interest,
    whole: usize,
    call: impl FnOnce() -> io::Result<usize>,
) -> io::Result<usize> {
    let mut short = None;
    let moved = socket.try_io(interest, || {
        let n = call()?;
        if 0 < n && n < whole {
            short = Some(n);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(n)
    });
    short.map_or(moved, Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_begins_at_a_page_and_may_fill_the_buffer() {
        let (begin, length) =
            with_buffer(&Form::default(), usize::MAX, |buffer| (buffer.as_ptr() as usize, buffer.len()));
        assert_eq!((begin % PAGE, length), (0, SCRATCH));
    }
}
