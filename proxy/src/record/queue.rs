//! A queue of lines in front of a file, bounded in bytes, and the one thread that writes them.
//!
//! Who pushes never waits: a line that does not fit is dropped and counted. A full disk or a closed pipe is said once,
//! its lines are counted, and writing is tried again with the next line.
//!
//! What is queued need not be text yet: the thread makes lines of it, batch by batch. The first line after a pause is
//! written at once; while more keep coming the thread gathers them for [`GATHER`], so that a busy proxy wakes it a
//! hundred times a second and not ten thousand times.

use super::log_file::LogFile;
use super::socket::Socket;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two tries on a full pipe that does not block.
const FULL_PIPE: Duration = Duration::from_millis(5);

/// Between two batches: a reader sees no delay in it.
const GATHER: Duration = Duration::from_millis(10);

/// Lines are put together so that a burst costs one system call per so many bytes, and a tailing reader sees whole lines.
const CHUNK: usize = 64 * 1024;

/// Lines that were not written.
pub type Dropped = Arc<dyn Fn(u64) + Send + Sync>;

/// Where lines go.
pub enum Sink {
    /// Appended to a file, which is made when absent, also when somebody removes it, and opened anew by
    /// [`Writer::reopen`].
    File(PathBuf),
    /// Any stream: standard output, standard error, a test's buffer.
    Stream(Box<dyn Write + Send>),
}

impl Sink {
    /// A Unix socket on which somebody listens, now or later.
    #[must_use]
    pub fn socket(path: PathBuf) -> Sink {
        Sink::Stream(Box::new(Socket::new(path)))
    }
}

/// The queue's near end. Clones share it. An `L` becomes one line.
pub struct Writer<L> {
    shared: Arc<Shared<L>>,
}

struct Shared<L> {
    state: Mutex<State<L>>,
    /// Woken by the first new line, by reopen, by who waits for a flush, and by the end.
    work: Condvar,
    /// Woken when everything queued was written.
    idle: Condvar,
    /// Bytes that may wait; the batch that is being written counts too.
    bound: usize,
    dropped: Dropped,
    dropped_total: AtomicU64,
}

struct State<L> {
    lines: VecDeque<L>,
    /// Bytes of `lines` and of the batch being written.
    bytes: usize,
    /// Bytes of `lines` alone.
    queued: usize,
    writing: bool,
    /// The thread waits for a line.
    waiting: bool,
    /// Nothing more is to be gathered.
    urgent: bool,
    reopen: bool,
    over: bool,
}

impl<L: Send + 'static> Writer<L> {
    /// Opens `sink` and starts its thread, which makes lines with `form`: one each, its line feed included. `bound` is in
    /// bytes; `dropped` is told of every line that is not written.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread can be had.
    pub fn start(
        name: &'static str,
        sink: Sink,
        bound: usize,
        dropped: Dropped,
        form: impl FnMut(L, &mut Vec<u8>) + Send + 'static,
    ) -> io::Result<Writer<L>> {
        let out = Out::open(name, sink)?;
        let state = State {
            lines: VecDeque::new(),
            bytes: 0,
            queued: 0,
            writing: false,
            waiting: false,
            urgent: false,
            reopen: false,
            over: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            idle: Condvar::new(),
            bound,
            dropped,
            dropped_total: AtomicU64::new(0),
        });
        let writer = Writer { shared: Arc::clone(&shared) };
        std::thread::Builder::new().name(name.to_owned()).spawn(move || shared.write_all(out, form))?;
        Ok(writer)
    }
}

impl<L> Writer<L> {
    /// Queues one line, which holds `weight` bytes of memory until it is written. False when it was dropped.
    pub fn push(&self, line: L, weight: usize) -> bool {
        let mut state = self.shared.lock();
        if state.over || state.bytes + weight > self.shared.bound {
            drop(state);
            self.shared.lost(1);
            return false;
        }
        state.bytes += weight;
        state.queued += weight;
        state.lines.push_back(line);
        // Half of the room is used up: that is enough gathered.
        let urgent = state.bytes > self.shared.bound / 2 && !std::mem::replace(&mut state.urgent, true);
        let wake = std::mem::take(&mut state.waiting) || urgent;
        drop(state);
        if wake {
            self.shared.work.notify_one();
        }
        true
    }

    /// Opens the file anew before the next line, for log rotation.
    pub fn reopen(&self) {
        self.shared.lock().reopen = true;
        self.shared.work.notify_one();
    }

    /// Waits until everything queued so far was written, at most for `patience`. False when it was not.
    pub fn flush(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.shared.lock();
        while state.writing || !state.lines.is_empty() {
            state.urgent = true;
            self.shared.work.notify_one();
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return false;
            };
            state = self.shared.idle.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Lines that were not written so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped_total.load(Relaxed)
    }
}

impl<L> Clone for Writer<L> {
    fn clone(&self) -> Writer<L> {
        Writer { shared: Arc::clone(&self.shared) }
    }
}

impl<L> Drop for Writer<L> {
    fn drop(&mut self) {
        // The thread holds one, the last user the other.
        if Arc::strong_count(&self.shared) <= 2 {
            let mut state = self.shared.lock();
            (state.over, state.urgent) = (true, true);
            drop(state);
            self.shared.work.notify_one();
        }
    }
}

impl<L> std::fmt::Debug for Writer<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("bound", &self.shared.bound).finish_non_exhaustive()
    }
}

impl<L> Shared<L> {
    fn lock(&self) -> MutexGuard<'_, State<L>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self, lines: u64) {
        if lines > 0 {
            self.dropped_total.fetch_add(lines, Relaxed);
            (self.dropped)(lines);
        }
    }

    /// The thread: takes all that waits, writes it in one go, gathers, again.
    fn write_all(&self, mut out: Out, mut form: impl FnMut(L, &mut Vec<u8>)) {
        loop {
            let mut state = self.lock();
            while state.lines.is_empty() && !state.reopen {
                if state.over {
                    return;
                }
                state.waiting = true;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.waiting = false;
            state.urgent = state.over;
            let reopen = std::mem::take(&mut state.reopen);
            let batch = std::mem::take(&mut state.lines);
            let bytes = std::mem::take(&mut state.queued);
            state.writing = true;
            drop(state);
            if reopen {
                out.reopen();
            }
            self.lost(out.write(batch, &mut form));
            let mut state = self.lock();
            state.bytes -= bytes;
            state.writing = false;
            if state.lines.is_empty() {
                self.idle.notify_all();
            }
            let gathering = |state: &mut State<L>| !state.urgent;
            drop(self.work.wait_timeout_while(state, GATHER, gathering));
        }
    }
}

/// The far end.
struct Out {
    name: &'static str,
    stream: Stream,
    /// The last write broke off inside a line.
    torn: bool,
    /// Lines lost since the fault was said.
    failing: Option<u64>,
    /// Lines that go in one write, and where each ends.
    chunk: Vec<u8>,
    ends: Vec<usize>,
}

enum Stream {
    File(LogFile),
    Other(Box<dyn Write + Send>),
}

impl Stream {
    /// Takes back the last `bytes` that were written, if that is possible.
    fn cut_back(&self, bytes: usize) -> bool {
        matches!(self, Stream::File(file) if file.cut_back(bytes as u64))
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Stream::File(file) => file,
            Stream::Other(stream) => stream,
        }
    }
}

impl Out {
    fn open(name: &'static str, sink: Sink) -> io::Result<Out> {
        let stream = match sink {
            Sink::File(path) => Stream::File(LogFile::open(path)?),
            Sink::Stream(stream) => Stream::Other(stream),
        };
        let torn = matches!(&stream, Stream::File(file) if file.ends_within_a_line());
        Ok(Out { name, stream, torn, failing: None, chunk: Vec::new(), ends: Vec::new() })
    }

    fn reopen(&mut self) {
        if let Err(error) = self.open_anew() {
            tracing::error!("{}: cannot open it anew, going on with the old file: {error}", self.place());
        }
    }

    fn open_anew(&mut self) -> io::Result<()> {
        if let Stream::File(file) = &mut self.stream {
            *file = LogFile::open(file.path().to_owned())?;
            self.torn = file.ends_within_a_line();
        }
        Ok(())
    }

    /// A file that was removed is made anew: what goes into the old one is gone.
    fn follow(&mut self) -> io::Result<()> {
        if matches!(&self.stream, Stream::File(file) if file.is_removed()) {
            self.open_anew()?;
            tracing::warn!("{}: it was removed, and is made anew", self.place());
        }
        Ok(())
    }

    /// Writes what it can; returns how many lines were lost.
    fn write<L>(&mut self, batch: VecDeque<L>, form: &mut impl FnMut(L, &mut Vec<u8>)) -> u64 {
        if let Err(error) = self.follow() {
            let missed = batch.len() as u64;
            self.fails(missed, &error);
            return missed;
        }
        let mut lost = 0;
        let mut lines = batch.into_iter();
        while lines.len() > 0 {
            let (mut chunk, mut ends) = (std::mem::take(&mut self.chunk), std::mem::take(&mut self.ends));
            if self.torn {
                chunk.push(b'\n');
            }
            while chunk.len() < CHUNK
                && let Some(line) = lines.next()
            {
                form(line, &mut chunk);
                ends.push(chunk.len());
            }
            match self.put(&chunk) {
                Ok(()) => self.works(),
                Err((written, error)) => {
                    let whole = ends.iter().filter(|end| **end <= written).count();
                    // Where the last whole line ends, or the line feed that closes what was torn before.
                    let closed = ends[..whole].last().copied().unwrap_or(usize::from(self.torn));
                    self.torn = match written.checked_sub(closed) {
                        None => true,
                        Some(0) => false,
                        Some(begun) => !self.stream.cut_back(begun),
                    };
                    let missed = (ends.len() - whole) as u64;
                    lost += missed;
                    self.fails(missed, &error);
                }
            }
            chunk.clear();
            ends.clear();
            // One huge line must not hold its memory for ever.
            chunk.shrink_to(2 * CHUNK);
            (self.chunk, self.ends) = (chunk, ends);
        }
        lost
    }

    /// All of `chunk`, or how much of it, and why not more.
    fn put(&mut self, chunk: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < chunk.len() {
            match self.stream.writer().write(&chunk[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Somebody made the terminal or pipe non-blocking: it is full, not broken. The queue bounds what waits.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FULL_PIPE),
                Err(error) => return Err((written, error)),
            }
        }
        self.stream.writer().flush().map_err(|error| (written, error))
    }

    fn works(&mut self) {
        self.torn = false;
        if let Some(lost) = self.failing.take() {
            tracing::warn!("{}: writing works again, {lost} lines were lost", self.place());
        }
    }

    fn fails(&mut self, missed: u64, error: &io::Error) {
        match &mut self.failing {
            Some(lost) => *lost += missed,
            None => {
                self.failing = Some(missed);
                tracing::error!("{}: cannot write, lines are lost until it works again: {error}", self.place());
            }
        }
    }

    fn place(&self) -> String {
        match &self.stream {
            Stream::File(file) => file.path().display().to_string(),
            Stream::Other(_) => self.name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
