//! A file that lines are appended to for months: rotated, removed and left in the middle of a line by others.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// See the module.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Made if it is not there.
    pub(super) fn open(path: PathBuf) -> io::Result<LogFile> {
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(&path)?;
        Ok(LogFile { path, file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Nobody can find what is written to it any more, and its room on the disk is not given back either. One that was
    /// renamed is not removed: that is rotation, which says when the next file begins.
    pub(super) fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|about| about.is_file() && about.nlink() == 0)
    }

    /// Takes back the last `bytes`, the beginning of a line that found no room: a file of whole lines can be read by anything.
    /// False where it cannot be done, as in a pipe.
    pub(super) fn cut_back(&self, bytes: u64) -> bool {
        let kept =
            self.file.metadata().ok().filter(|about| about.is_file()).and_then(|about| about.len().checked_sub(bytes));
        kept.is_some_and(|kept| self.file.set_len(kept).is_ok())
    }

    /// An earlier process ended within a line (a full disk, a power cut), so ours would go on in it. A file that may not be
    /// read is believed to be in order.
    pub(super) fn ends_within_a_line(&self) -> bool {
        let Ok(about) = self.file.metadata() else { return false };
        // A named pipe has no last byte, and opening it would wait for a writer.
        if !about.is_file() || about.len() == 0 {
            return false;
        }
        let mut last = [b'\n'];
        let read = File::open(&self.path).and_then(|file| file.read_exact_at(&mut last, about.len() - 1));
        read.is_ok() && last != *b"\n"
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
