//! How bytes are moved: by copying, or by `splice` through a pipe.

use std::cell::Cell;
use std::io;

/// Bytes that must be waiting in a socket for `splice` to be worth its two further system calls.
///
/// So that a screen update of 16 KiB is spliced and a short message is not (`benches/README.md`, "Tried, and lost").
const WORTH_A_PIPE: usize = 8 * 1024;

/// What is asked for a pipe: with the 64 KiB that pipes have by default a gigabyte costs a third more.
const PIPE_SIZE: usize = 1 << 20;

/// How a relay moves bytes. The default adapts to what passes. A test may force one form, or make every system call
/// look like that of a busy machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Bytes that must be waiting for `splice`: 0 for whenever there are any, `usize::MAX` for never.
    pub splice_from: usize,
    /// Bytes asked for a pipe. What the kernel gives may be more or less.
    pub pipe_size: usize,
    /// No read and no write moves more bytes than this.
    pub at_most: usize,
    /// Every this many reads and writes one is interrupted before it has moved anything; 0 for none.
    pub stumbles: u32,
}

impl Default for Form {
    fn default() -> Self {
        Form { splice_from: WORTH_A_PIPE, pipe_size: PIPE_SIZE, at_most: usize::MAX, stumbles: 0 }
    }
}

impl Form {
    /// An interruption, when one is due.
    pub(super) fn may_stumble(&self) -> io::Result<()> {
        thread_local! {
            static CALLS: Cell<u32> = const { Cell::new(0) };
        }
        if self.stumbles == 0 {
            return Ok(());
        }
        let calls = CALLS.get().wrapping_add(1);
        CALLS.set(calls);
        if calls.is_multiple_of(self.stumbles) { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}
