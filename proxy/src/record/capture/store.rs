//! The directory of captures: bounded in bytes, files, age and in what it leaves free on the disk.
//!
//! Only what is named as we name a file and says that we wrote it counts, and is ever removed. A file appears whole or
//! not at all: it is written under another name and then renamed.

use super::{NotWritten, pcapng};
use crate::record::rfc3339;
use crate::sys::{self, DiskSpace};
use config::Capture;
use parser::Timestamp;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use uuid::Uuid;

const ENDING: &str = ".pcapng";
/// A file that is being written.
const UNFINISHED: &str = ".pcapng.new";
/// As much of a file is read to see whether it is ours: the section header with its comments, which come first, may be
/// two options long.
const HEAD: u64 = 192 << 10;
/// Files that must stay possible beside ours.
const MIN_INODES: u64 = 64;

/// A disk that is full and not full in turn is told of at most this often.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// What the disk has to spare; in tests, what they say.
pub(crate) type Space = Box<dyn Fn(&Path) -> io::Result<DiskSpace> + Send>;

/// Why captures cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}: {source}", path.display())]
pub struct StoreError {
    path: PathBuf,
    what: &'static str,
    source: io::Error,
}

impl StoreError {
    pub(super) fn new(path: &Path, what: &'static str, source: io::Error) -> StoreError {
        StoreError { path: path.to_owned(), what, source }
    }
}

/// See the module.
pub(crate) struct Store {
    directory: PathBuf,
    bounds: Capture,
    /// Ours, oldest first since an id begins with its time, and their sizes in bytes.
    files: BTreeMap<Uuid, u64>,
    total: u64,
    space: Space,
    /// When it was said that nothing can be written, until it can be again.
    said: Option<Instant>,
}

/// The name of the capture of a session.
pub(crate) fn file_name(session: Uuid) -> String {
    format!("{session}{ENDING}")
}

impl Store {
    /// Makes the directory if only that is missing, tries whether it can be written, and counts what is there.
    pub(crate) fn open(bounds: Capture, space: Space) -> Result<Store, StoreError> {
        let directory = std::path::absolute(&bounds.directory).unwrap_or_else(|_| bounds.directory.clone());
        let failed = |what| {
            let path = directory.clone();
            move |source| StoreError::new(&path, what, source)
        };
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("cannot make the directory of captures")(error));
            }
            _ => {}
        }
        let found = fs::read_dir(&directory).map_err(failed("cannot read the directory of captures"))?;
        let mode =
            fs::metadata(&directory).map_err(failed("cannot read the directory of captures"))?.permissions().mode();
        if bounds.secrets_until.is_some_and(|until| SystemTime::now() < until) {
            private(&directory).map_err(failed("cannot keep secrets in the directory of captures"))?;
            tracing::warn!(
                "captures of bridged sessions hold secrets until {}: whoever has one reads what is in it",
                moment(bounds.secrets_until)
            );
        } else if mode & 0o077 != 0 {
            tracing::warn!(
                "{}: other users of this machine can see which captures there are (mode {:o}); 0700 keeps them out",
                directory.display(),
                mode & 0o777
            );
        }
        let trial = directory.join(format!(".{}{UNFINISHED}", Uuid::now_v7()));
        create(&trial).map_err(failed("cannot write into the directory of captures"))?;
        let _ = fs::remove_file(&trial);
        let mut store = Store { directory, bounds, files: BTreeMap::new(), total: 0, space, said: None };
        for entry in found.flatten() {
            store.find(&entry);
        }
        store.make_room(0);
        Ok(store)
    }

    /// Where the capture of a session is.
    pub(crate) fn path(&self, session: Uuid) -> PathBuf {
        self.directory.join(file_name(session))
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Bytes of all files.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Whether a file of this size may be written now, the removal of older ones included. What keeps it from that is said.
    pub(crate) fn may_write(&mut self, size: u64) -> Result<(), NotWritten> {
        let space = match (self.space)(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make_anew(),
            space => space,
        };
        let space = match space {
            Ok(space) => space,
            Err(error) => return Err(self.fails(NotWritten::Error, &error.to_string())),
        };
        // Within the bounds older files make room, on the disk too.
        let given_back = (self.total + size).saturating_sub(self.bounds.max_total_bytes).min(self.total);
        let left = (space.free + given_back).saturating_sub(size);
        if left < self.bounds.min_free {
            let (free, kept) = (space.free >> 20, self.bounds.min_free >> 20);
            let why = format!("its disk has {free} MiB free, and `min_free` of [capture] keeps {kept} MiB");
            return Err(self.fails(NotWritten::DiskFull, &why));
        }
        if let Some(inodes) = space.inodes.filter(|inodes| *inodes < MIN_INODES) {
            return Err(
                self.fails(NotWritten::DiskFull, &format!("its disk has room for {inodes} files more (inodes)"))
            );
        }
        Ok(())
    }

    /// Somebody removed the directory with all that was in it.
    fn make_anew(&mut self) -> io::Result<DiskSpace> {
        DirBuilder::new().mode(0o700).create(&self.directory)?;
        tracing::warn!("{}: the directory of captures was removed, and is made anew", self.directory.display());
        self.files.clear();
        self.total = 0;
        (self.space)(&self.directory)
    }

    fn fails(&mut self, reason: NotWritten, why: &str) -> NotWritten {
        if self.said.is_none() {
            self.said = Some(Instant::now());
            let directory = self.directory.display();
            tracing::warn!("{directory}: captures are not written until it works again: {why}");
        }
        reason
    }

    fn works(&mut self) {
        if self.said.is_some_and(|at| at.elapsed() >= SAY_EVERY) {
            self.said = None;
            tracing::info!("{}: captures are written again", self.directory.display());
        }
    }

    /// Writes the capture of a session, in the place of an earlier one if there is one.
    pub(crate) fn write(&mut self, session: Uuid, file: &[u8]) -> Result<(), NotWritten> {
        let size = file.len() as u64;
        self.may_write(size)?;
        self.make_room(size);
        let path = self.path(session);
        let unfinished = self.directory.join(format!(".{session}{UNFINISHED}"));
        let written =
            create(&unfinished).and_then(|mut new| new.write_all(file)).and_then(|()| fs::rename(&unfinished, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&unfinished);
            let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            return Err(self.fails(if full { NotWritten::DiskFull } else { NotWritten::Error }, &error.to_string()));
        }
        self.works();
        self.forget(session);
        self.files.insert(session, size);
        self.total += size;
        Ok(())
    }

    /// The capture of a session, if it is there.
    pub(crate) fn read(&self, session: Uuid) -> Option<Vec<u8>> {
        self.files.get(&session).and_then(|_| fs::read(self.path(session)).ok())
    }

    /// Removes the capture of a session.
    pub(crate) fn remove(&mut self, session: Uuid) {
        if self.files.contains_key(&session) {
            let path = self.path(session);
            match fs::remove_file(&path) {
                // Somebody else was faster.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!("a capture cannot be removed: {}: {error}", path.display());
                }
                _ => {}
            }
            self.forget(session);
        }
    }

    /// Removes what is too old.
    pub(crate) fn expire(&mut self, now: SystemTime) {
        let oldest = now.checked_sub(self.bounds.max_age).and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let Some(oldest) = oldest else { return };
        let old: Vec<Uuid> = self.files.keys().copied().take_while(|id| begun(*id) < oldest).collect();
        old.into_iter().for_each(|session| self.remove(session));
    }

    /// Removes the oldest until one of `size` bytes more is within the bounds; with none to come, until all are.
    fn make_room(&mut self, size: u64) {
        let files = self.bounds.max_files - usize::from(size > 0);
        while self.total + size > self.bounds.max_total_bytes || self.files.len() > files {
            let Some((oldest, _)) = self.files.first_key_value() else { return };
            let oldest = *oldest;
            self.remove(oldest);
        }
    }

    fn forget(&mut self, session: Uuid) {
        if let Some(size) = self.files.remove(&session) {
            self.total -= size;
        }
    }

    /// Counts a file that was there at the start, if it is ours; one that was never finished goes.
    fn find(&mut self, entry: &fs::DirEntry) {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { return };
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            return;
        }
        if let Some(name) = name.strip_prefix('.').and_then(|name| name.strip_suffix(UNFINISHED)) {
            if is_session(name).is_some() {
                let _ = fs::remove_file(entry.path());
            }
        } else if let Some(session) = name.strip_suffix(ENDING).and_then(is_session)
            && is_ours(&entry.path())
            && let Ok(metadata) = entry.metadata()
        {
            self.files.insert(session, metadata.len());
            self.total += metadata.len();
        }
    }
}

/// As logs write it.
fn moment(at: Option<SystemTime>) -> String {
    let nanoseconds =
        at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok()).map_or(0, |since| since.as_nanos());
    rfc3339(Timestamp(u64::try_from(nanoseconds).unwrap_or(u64::MAX)))
}

/// The directory is ours alone.
fn private(directory: &Path) -> io::Result<()> {
    let metadata = fs::metadata(directory)?;
    let (mode, owner, ours) = (metadata.mode() & 0o7777, metadata.uid(), rustix::process::geteuid().as_raw());
    let shown = directory.display();
    if owner != ours {
        let why = format!("it belongs to user {owner} and not to us ({ours}): chown {ours} {shown}");
        return Err(io::Error::other(why));
    }
    if mode & 0o077 != 0 {
        let why = format!("others may enter it (mode {mode:04o}, and 0700 is needed): chmod 700 {shown}");
        return Err(io::Error::other(why));
    }
    Ok(())
}

/// A UUIDv7 as we write it.
fn is_session(name: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(name).ok()?;
    (id.get_version_num() == 7 && id.to_string() == name).then_some(id)
}

fn is_ours(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    read.is_ok() && pcapng::is_ours(&head)
}

/// When a session began, since 1970: the first 48 bits of its id are milliseconds. RFC 9562 5.7
fn begun(session: Uuid) -> Duration {
    Duration::from_millis((session.as_u128() >> 80) as u64)
}

/// A new file that only we can read.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// What the disk has to spare.
pub(crate) fn space() -> Space {
    Box::new(sys::disk_space)
}

#[cfg(test)]
mod tests;
