//! Where a capture comes from: a file, a compressed one, or standard input while it is being written.

use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bytes that tell what a file is: the header of a pcap file, or of the first block of a pcapng file with its length.
const BEGINNING: usize = 24;
/// First bytes of pcapng, the same in either byte order. draft-ietf-opsawg-pcapng 4.1
const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// The byte-order magic of a section whose numbers are little-endian.
const LITTLE_ENDIAN: [u8; 4] = [0x4d, 0x3c, 0x2b, 0x1a];
/// Longest first block of a pcapng file that is read; it holds a comment and names of the capturing machine.
const SECTION_MAX: usize = 1 << 20;
/// First bytes of gzip. RFC 1952 2.3.1
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// What captures come packed in besides gzip: first bytes, what it is, and a command that gives what is inside.
const PACKED: [(&[u8], &str, &str); 6] = [
    // The .xz file format 2.1.1.1
    (b"\xfd7zXZ\0", "compressed by xz", "xz -dc"),
    // RFC 8878 3.1.1
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "zstd -dc"),
    // The LZ4 frame format, "Magic Number": Wireshark writes it
    (b"\x04\x22\x4d\x18", "compressed by LZ4", "lz4 -dc"),
    (b"BZh", "compressed by bzip2", "bzip2 -dc"),
    // APPNOTE.TXT 4.3.7
    (b"PK\x03\x04", "a zip archive", "unzip -p"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "7z x -so"),
];
/// Bytes of one read of standard input.
const CHUNK: usize = 64 << 10;
/// Reads of standard input that wait for us: a quarter of a megabyte.
const CHUNKS: usize = 4;
/// While standard input is silent, time goes on in steps of this length.
const QUIET: Duration = Duration::from_millis(200);

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// It cannot be opened.
    #[error("{}: {source}", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Opened, but no packet could be read.
    #[error("{}: {why}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What was wrong.
        why: String,
    },
}

/// A capture that was opened.
pub struct Source {
    /// As it was named.
    name: PathBuf,
    /// What was read ahead of the rest: the header, or the first block.
    beginning: Vec<u8>,
    reader: Box<dyn Read + Send>,
    state: Arc<State>,
    size: Option<u64>,
}

/// What is known of the reading from outside of it.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Bytes of the file that were read.
    read: AtomicU64,
    /// Why the last read failed.
    failure: Mutex<Option<io::Error>>,
    /// It is being written while we read it.
    live: AtomicBool,
    /// The reader of blocks is made, and can be told of a failure: before, it would lose what was read.
    begun: AtomicBool,
    /// A read may come back without bytes to say that time has passed.
    ticks: AtomicBool,
}

/// How much of a source was read.
#[derive(Clone, Debug)]
pub struct Progress {
    state: Arc<State>,
    /// Bytes there are; unknown for standard input.
    pub size: Option<u64>,
}

impl Source {
    /// Opens a file, `-` being standard input. Gzip is read through.
    ///
    /// # Errors
    ///
    /// It cannot be opened, or is a directory, or empty, or packed by something else than gzip.
    pub fn open(path: &Path) -> Result<Source, CaptureError> {
        let failed = |source| CaptureError::Open { file: path.to_owned(), source };
        if path.as_os_str() == "-" {
            return Source::new(PathBuf::from("standard input"), Box::new(Pipe::of_standard_input()), None);
        }
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            let why = "a directory, not a capture".to_owned();
            return Err(CaptureError::Unreadable { file: path.to_owned(), why });
        }
        Source::new(path.to_owned(), Box::new(file), about.is_file().then_some(about.len()))
    }

    /// A capture out of memory.
    ///
    /// # Errors
    ///
    /// As [`Source::open`].
    pub fn of_bytes(name: &str, bytes: Vec<u8>) -> Result<Source, CaptureError> {
        let size = bytes.len() as u64;
        Source::new(PathBuf::from(name), Box::new(Cursor::new(bytes)), Some(size))
    }

    fn new(name: PathBuf, reader: Box<dyn Read + Send>, size: Option<u64>) -> Result<Source, CaptureError> {
        let state = Arc::new(State::default());
        let mut counted = Counted { reader, state: Arc::clone(&state) };
        let mut head = vec![0; BEGINNING];
        let mut had = 0;
        while had < BEGINNING {
            match counted.read(&mut head[had..]) {
                Ok(0) => break,
                Ok(read) => had += read,
                Err(source) => return Err(CaptureError::Open { file: name, source }),
            }
        }
        head.truncate(had);
        if head.is_empty() {
            return Err(CaptureError::Unreadable { file: name, why: "it is empty".to_owned() });
        }
        if let Some((_, what, unpack)) = PACKED.iter().find(|(magic, ..)| head.starts_with(magic)) {
            let why = format!("{what}, which is not read; unpack it, or pipe it: `{unpack} FILE | rdpscope analyze -`");
            return Err(CaptureError::Unreadable { file: name, why });
        }
        let compressed = head.starts_with(&GZIP);
        state.live.store(size.is_none() && !compressed, Relaxed);
        let whole = Cursor::new(head).chain(counted);
        let reader: Box<dyn Read + Send> =
            if compressed { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
        let mut reader = Told { reader, held_back: None, state: Arc::clone(&state) };
        let beginning = first_block(&mut reader);
        Ok(Source { name, beginning, reader: Box::new(reader), state, size })
    }

    /// As it was named.
    #[must_use]
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// How much was read, for as long as it is read.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress { state: Arc::clone(&self.state), size: self.size }
    }

    /// The header of a pcap file, or the first block of a pcapng one, as far as there is one.
    pub(super) fn beginning(&self) -> &[u8] {
        &self.beginning
    }

    /// It begins as pcapng and ends within its first block.
    pub(super) fn ends_within_first_block(&self) -> bool {
        self.beginning.starts_with(&SECTION) && self.beginning.len() < section_length(&self.beginning)
    }

    /// The first bytes, `most` at the most, and why there are no more if it is not their end. Whoever reads the capture
    /// afterwards is given them too.
    pub(super) fn read_ahead(&mut self, most: u64) -> (&[u8], Option<io::Error>) {
        let left = most.saturating_sub(self.beginning.len() as u64);
        // What fails is kept in the state, as for the first block.
        let _ = (&mut self.reader).take(left).read_to_end(&mut self.beginning);
        (&self.beginning, self.state.failure())
    }

    pub(super) fn into_parts(self) -> (PathBuf, Box<dyn Read + Send>, Arc<State>) {
        (self.name, Box::new(Cursor::new(self.beginning).chain(self.reader)), self.state)
    }
}

/// The header of a pcap file, or the first block of a pcapng one, as far as there is one: the reader of blocks wants it by
/// its first read, and a pipe or a decompressor gives what it has.
fn first_block(reader: &mut Told) -> Vec<u8> {
    let mut block = Vec::new();
    let mut wanted = BEGINNING;
    while block.len() < wanted {
        let had = block.len();
        block.resize(wanted, 0);
        // What fails is kept by `Told`, for the read behind these bytes.
        let read = reader.read(&mut block[had..]).unwrap_or(0);
        block.truncate(had + read);
        if read == 0 {
            break;
        }
        if block.len() == BEGINNING && block.starts_with(&SECTION) {
            wanted = section_length(&block);
        }
    }
    block
}

/// Bytes that are read of a first block which begins so.
fn section_length(block: &[u8]) -> usize {
    let Some([a, b, c, d, magic @ ..]) = block.get(4..12) else { return BEGINNING };
    let little = *magic == LITTLE_ENDIAN;
    let length = [*a, *b, *c, *d];
    let length = if little { u32::from_le_bytes(length) } else { u32::from_be_bytes(length) };
    (length as usize).clamp(BEGINNING, SECTION_MAX)
}

impl State {
    /// From now on a read may fail, and one of a live source may say that time has passed.
    pub(super) fn begin(&self) {
        self.begun.store(true, Relaxed);
        self.ticks.store(self.live.load(Relaxed), Relaxed);
    }

    /// Why the last read came back without bytes; `None` when it is the time that passed.
    pub(super) fn failure(&self) -> Option<io::Error> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.filter(|error| error.kind() != ErrorKind::WouldBlock)
    }
}

impl Progress {
    /// Bytes of the file that were read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.state.read.load(Relaxed)
    }
}

struct Counted {
    reader: Box<dyn Read + Send>,
    state: Arc<State>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reader.read(into) {
                Ok(read) => {
                    self.state.read.fetch_add(read as u64, Relaxed);
                    return Ok(read);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && !self.state.ticks.load(Relaxed) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Keeps what went wrong: the reader of blocks only says that something did.
struct Told {
    reader: Box<dyn Read + Send>,
    held_back: Option<io::Error>,
    state: Arc<State>,
}

impl Read for Told {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let failed = match self.held_back.take() {
            Some(failed) => failed,
            None => match self.reader.read(into) {
                Err(failed) => failed,
                read => return read,
            },
        };
        let kind = failed.kind();
        let begun = self.state.begun.load(Relaxed);
        if !begun {
            self.held_back = Some(io::Error::new(kind, failed.to_string()));
        }
        *self.state.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed);
        if begun { Err(kind.into()) } else { Ok(0) }
    }
}

/// Standard input, read by a thread of its own so that a silent one does not stop the clock.
struct Pipe {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: Cursor<Vec<u8>>,
}

impl Pipe {
    fn of_standard_input() -> Pipe {
        let (send, chunks) = sync_channel(CHUNKS);
        // It ends with the pipe, or with the process.
        std::thread::spawn(move || {
            let mut input = io::stdin().lock();
            loop {
                let mut chunk = vec![0; CHUNK];
                let read = input.read(&mut chunk);
                let over = matches!(read, Ok(0)) || read.as_ref().is_err_and(|e| e.kind() != ErrorKind::Interrupted);
                let sent = send.send(read.map(|read| {
                    chunk.truncate(read);
                    chunk
                }));
                if over || sent.is_err() {
                    return;
                }
            }
        });
        Pipe { chunks, chunk: Cursor::default() }
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.chunk.read(into)?;
        if read > 0 || into.is_empty() {
            return Ok(read);
        }
        match self.chunks.recv_timeout(QUIET) {
            Ok(chunk) => {
                self.chunk = Cursor::new(chunk?);
                self.chunk.read(into)
            }
            Err(RecvTimeoutError::Timeout) => Err(ErrorKind::WouldBlock.into()),
            Err(RecvTimeoutError::Disconnected) => Ok(0),
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("name", &self.name).field("size", &self.size).finish_non_exhaustive()
    }
}
