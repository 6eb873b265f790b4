//! A queue of lines in front of a file, bounded in bytes, and the one thread that writes them.
//!
//! Who pushes never waits: a line that does not fit is dropped and counted. A full disk or a closed pipe is said once,
//! its lines are counted, and writing is tried again with the next line.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two tries on a full pipe that does not block.
const FULL_PIPE: Duration = Duration::from_millis(5);

/// Lines that were not written.
pub type Dropped = Arc<dyn Fn(u64) + Send + Sync>;

/// Where lines go.
pub enum Sink {
    /// Appended to a file, which is made when absent and opened anew by [`Writer::reopen`].
    File(PathBuf),
    /// Any stream: standard output, standard error, a test's buffer.
    Stream(Box<dyn Write + Send>),
}

/// The queue's near end. Clones share it.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Woken by new lines, by reopen and by the end.
    work: Condvar,
    /// Woken when everything queued was written.
    idle: Condvar,
    /// Bytes that may wait; the batch that is being written counts too.
    bound: usize,
    dropped: Dropped,
    dropped_total: AtomicU64,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Box<[u8]>>,
    /// Bytes of `lines` and of the batch being written.
    bytes: usize,
    writing: bool,
    reopen: bool,
    over: bool,
}

impl Writer {
    /// Opens `sink` and starts its thread. `bound` is in bytes; `dropped` is told of every line that is not written.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread can be had.
    pub fn start(name: &'static str, sink: Sink, bound: usize, dropped: Dropped) -> io::Result<Writer> {
        let out = Out::open(name, sink)?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            idle: Condvar::new(),
            bound,
            dropped,
            dropped_total: AtomicU64::new(0),
        });
        let writer = Writer { shared: Arc::clone(&shared) };
        std::thread::Builder::new().name(name.to_owned()).spawn(move || shared.write_all(out))?;
        Ok(writer)
    }

    /// Queues one line, its line feed included. False when it was dropped.
    pub fn push(&self, line: Vec<u8>) -> bool {
        let mut state = self.shared.lock();
        if state.over || state.bytes + line.len() > self.shared.bound {
            drop(state);
            self.shared.lost(1);
            return false;
        }
        state.bytes += line.len();
        state.lines.push_back(line.into_boxed_slice());
        drop(state);
        self.shared.work.notify_one();
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

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread holds one, the last user the other.
        if Arc::strong_count(&self.shared) <= 2 {
            self.shared.lock().over = true;
            self.shared.work.notify_one();
        }
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("bound", &self.shared.bound).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self, lines: u64) {
        if lines > 0 {
            self.dropped_total.fetch_add(lines, Relaxed);
            (self.dropped)(lines);
        }
    }

    /// The thread: takes all that waits, writes it in one go, again.
    fn write_all(&self, mut out: Out) {
        loop {
            let mut state = self.lock();
            while state.lines.is_empty() && !state.reopen {
                if state.over {
                    return;
                }
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let reopen = std::mem::take(&mut state.reopen);
            let batch = std::mem::take(&mut state.lines);
            state.writing = true;
            drop(state);
            if reopen {
                out.reopen();
            }
            let bytes: usize = batch.iter().map(|line| line.len()).sum();
            self.lost(out.write(batch));
            let mut state = self.lock();
            state.bytes -= bytes;
            state.writing = false;
            if state.lines.is_empty() {
                self.idle.notify_all();
            }
        }
    }
}

/// The far end.
struct Out {
    name: &'static str,
    path: Option<PathBuf>,
    stream: Box<dyn Write + Send>,
    /// The last write broke off inside a line.
    torn: bool,
    /// Lines lost since the fault was said.
    failing: Option<u64>,
}

impl Out {
    fn open(name: &'static str, sink: Sink) -> io::Result<Out> {
        let (path, stream): (_, Box<dyn Write + Send>) = match sink {
            Sink::File(path) => {
                let file = append(&path)?;
                (Some(path), Box::new(file))
            }
            Sink::Stream(stream) => (None, stream),
        };
        Ok(Out { name, path, stream, torn: false, failing: None })
    }

    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match append(path) {
            Ok(file) => {
                self.stream = Box::new(file);
                self.torn = false;
            }
            Err(error) => {
                tracing::error!("{}: cannot open it anew, going on with the old file: {error}", path.display())
            }
        }
    }

    /// Writes what it can; returns how many lines were lost.
    fn write(&mut self, batch: VecDeque<Box<[u8]>>) -> u64 {
        // Lines are put together so that a burst costs one system call per 64 KiB, and a tailing reader sees whole lines.
        const CHUNK: usize = 64 * 1024;
        let mut lost = 0;
        let mut lines = batch.into_iter().peekable();
        while lines.peek().is_some() {
            let mut chunk = Vec::new();
            let mut ends = Vec::new();
            if self.torn {
                chunk.push(b'\n');
            }
            while let Some(line) = lines.next_if(|line| chunk.is_empty() || chunk.len() + line.len() <= CHUNK) {
                chunk.extend_from_slice(&line);
                ends.push(chunk.len());
            }
            match self.put(&chunk) {
                Ok(()) => self.works(),
                Err((written, error)) => {
                    let whole = ends.iter().filter(|end| **end <= written).count();
                    let torn_line = written > 0 && !ends.contains(&written) && !(self.torn && written == 1);
                    self.torn = torn_line || (self.torn && written == 0);
                    let missed = (ends.len() - whole) as u64;
                    lost += missed;
                    self.fails(missed, &error);
                }
            }
        }
        lost
    }

    /// All of `chunk`, or how much of it, and why not more.
    fn put(&mut self, chunk: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < chunk.len() {
            match self.stream.write(&chunk[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Somebody made the terminal or pipe non-blocking: it is full, not broken. The queue bounds what waits.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FULL_PIPE),
                Err(error) => return Err((written, error)),
            }
        }
        self.stream.flush().map_err(|error| (written, error))
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
        self.path.as_ref().map_or_else(|| self.name.to_owned(), |path| path.display().to_string())
    }
}

fn append(path: &std::path::Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn counting() -> (Dropped, Arc<AtomicU64>) {
        let count = Arc::new(AtomicU64::new(0));
        let also = Arc::clone(&count);
        (Arc::new(move |lines| _ = also.fetch_add(lines, Relaxed)), count)
    }

    /// Writes one chunk per permission, so that a test decides when the disk is slow.
    struct Gated {
        permissions: mpsc::Receiver<io::Result<usize>>,
        entered: mpsc::Sender<()>,
        seen: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.entered.send(());
            let count = self.permissions.recv().map_err(|_| io::ErrorKind::BrokenPipe)??.min(bytes.len());
            self.seen.lock().unwrap().extend_from_slice(&bytes[..count]);
            Ok(count)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    type Gate = (Sink, mpsc::Sender<io::Result<usize>>, mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    fn gate() -> Gate {
        let (allow, permissions) = mpsc::channel();
        let (entered, inside) = mpsc::channel();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stream = Gated { permissions, entered, seen: Arc::clone(&seen) };
        (Sink::Stream(Box::new(stream)), allow, inside, seen)
    }

    #[test]
    fn a_blocked_sink_drops_what_does_not_fit_and_counts_it() {
        let (sink, allow, inside, seen) = gate();
        let (dropped, count) = counting();
        let writer = Writer::start("test", sink, 30, dropped).unwrap();
        assert!(writer.push(b"0123456789\n".to_vec()));
        inside.recv().unwrap(); // the writer is stuck with eleven bytes, which still count
        assert!(writer.push(b"abcdefgh\n".to_vec()));
        assert!(!writer.push(b"does not fit\n".to_vec()));
        assert!(writer.push(b"fits\n".to_vec()));
        assert_eq!((count.load(Relaxed), writer.dropped()), (1, 1));
        assert!(!writer.flush(Duration::from_millis(1)), "nothing was written yet");
        allow.send(Ok(100)).unwrap();
        allow.send(Ok(100)).unwrap();
        assert!(writer.flush(Duration::from_secs(10)));
        assert_eq!(*seen.lock().unwrap(), b"0123456789\nabcdefgh\nfits\n");
        assert!(writer.push(b"room again\n".to_vec()));
    }

    #[test]
    fn a_full_disk_tears_at_most_one_line_and_the_next_begins_a_new_one() {
        let (sink, allow, _inside, seen) = gate();
        let (dropped, count) = counting();
        let writer = Writer::start("test", sink, 1000, dropped).unwrap();
        allow.send(Ok(3)).unwrap();
        allow.send(Err(io::Error::from_raw_os_error(28))).unwrap();
        writer.push(b"first\n".to_vec());
        assert!(writer.flush(Duration::from_secs(10)));
        assert_eq!(count.load(Relaxed), 1);
        allow.send(Ok(100)).unwrap();
        writer.push(b"second\n".to_vec());
        assert!(writer.flush(Duration::from_secs(10)));
        assert_eq!(*seen.lock().unwrap(), b"fir\nsecond\n");
        assert_eq!(count.load(Relaxed), 1);
    }

    #[test]
    fn reopening_follows_a_rotated_file() {
        let directory = std::env::temp_dir().join(format!("rdpscope-queue-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&directory).unwrap();
        let (path, old) = (directory.join("events.jsonl"), directory.join("events.jsonl.1"));
        let writer = Writer::start("test", Sink::File(path.clone()), 1000, counting().0).unwrap();
        writer.push(b"one\n".to_vec());
        assert!(writer.flush(Duration::from_secs(10)));
        std::fs::rename(&path, &old).unwrap();
        writer.reopen();
        writer.push(b"two\n".to_vec());
        assert!(writer.flush(Duration::from_secs(10)));
        assert_eq!(std::fs::read(&old).unwrap(), b"one\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"two\n");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
        let path = PathBuf::from("/nonexistent-directory/events.jsonl");
        let error = Writer::start("test", Sink::File(path), 10, counting().0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
