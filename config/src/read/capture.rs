//! `[capture]`: where failed openings are kept, how much of them, and until when with their secrets.

use super::section::{Read, Reader, Section};
use super::{between, sized};
use crate::problem::{Fault, Problem};
use crate::quantity::moment;
use crate::reference::Table;
use crate::settings::Capture;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use toml::de::DeTable;

/// A Connection Request, both hellos and a certificate chain: less would show no opening whole.
const MIN_CAPTURE: u64 = 16 << 10;
/// More than any opening has.
const MAX_CAPTURE: u64 = 16 << 20;
/// More would make looking through them a search.
const MAX_CAPTURE_FILES: usize = 1_000_000;
/// Ten years.
const MAX_CAPTURE_AGE: Duration = Duration::from_secs(3_650 * 24 * 60 * 60);
/// For as long captures may hold secrets: somebody looks for a fault, and then it is over.
const MAX_SECRETS: Duration = Duration::from_secs(31 * 24 * 60 * 60);
/// Past this it is not a bound.
const MAX_DISK: u64 = 1 << 50;

pub(super) fn capture(reader: &mut Reader, root: &DeTable<'_>) -> Option<Capture> {
    let section = reader.section(root, "capture", Table::Capture);
    let directory = reader.text(&section, "directory", directory);
    let usual = Capture::into(PathBuf::new());
    let per_session = reader.text(&section, "max_bytes_per_session", |text| sized(text, MIN_CAPTURE, MAX_CAPTURE));
    let per_session = per_session.or(usual.max_bytes_per_session as u64);
    // A capture is a little larger than what it was made from.
    let total = reader.text(&section, "max_total_bytes", |text| sized(text, 4 * per_session, MAX_DISK));
    let capture = Capture {
        directory: PathBuf::new(),
        max_bytes_per_session: usize::try_from(per_session).unwrap_or(usual.max_bytes_per_session),
        max_total_bytes: total.or(usual.max_total_bytes),
        max_files: reader.count(&section, "max_files", 1..=MAX_CAPTURE_FILES, usual.max_files).or(usual.max_files),
        max_age: reader
            .text(&section, "max_age", |text| between(text, Duration::from_secs(60), MAX_CAPTURE_AGE))
            .or(usual.max_age),
        min_free: reader.text(&section, "min_free", |text| sized(text, 0, MAX_DISK)).or(usual.min_free),
        secrets_until: secrets(reader, &section, matches!(directory, Read::Absent)),
    };
    match directory {
        Read::Good(directory, _) => Some(Capture { directory, ..capture }),
        Read::Absent | Read::Faulty => None,
    }
}

/// Secrets in captures: with their end, and with somewhere to go.
fn secrets(reader: &mut Reader, section: &Section<'_>, nowhere: bool) -> Option<SystemTime> {
    let (secrets, until) = (reader.boolean(section, "secrets"), reader.text(section, "secrets_until", moment));
    let Read::Good(true, secrets_at) = secrets else { return None };
    let mut problem = |at, title: &str, label: String, help: &str| {
        reader.problems.push(Problem { title: title.to_owned(), at, label, also: None, help: vec![help.to_owned()] });
    };
    if nowhere {
        let help = "write `directory = \"/var/lib/rdpscope/captures\"`, or remove `secrets`";
        problem(secrets_at, "`secrets` without a directory of captures", "nothing is captured".to_owned(), help);
        return None;
    }
    let now = SystemTime::now();
    match until {
        Read::Faulty => None,
        Read::Absent => {
            let help = "write `secrets_until = \"2026-12-01T12:00:00Z\"`, at most 31 days ahead";
            problem(secrets_at, "`secrets` has no end", "until when?".to_owned(), help);
            None
        }
        Read::Good(until, at) if until > now + MAX_SECRETS => {
            let help = "write a moment within the next 31 days: what is left on for ever is forgotten";
            problem(at, "`secrets_until` is too far away", "more than 31 days ahead".to_owned(), help);
            None
        }
        // One that has passed refuses nothing: time alone makes no good file a bad one. `warnings` says it.
        Read::Good(until, _) => Some(until),
    }
}

/// Where captures go, as `capture.directory` and `--capture` name it.
pub(crate) fn directory(text: &str) -> Result<PathBuf, Fault> {
    match text {
        text if text.trim().is_empty() => {
            Err(Fault::new("names no directory", "empty").instead("/var/lib/rdpscope/captures"))
        }
        text if text.contains('\0') => {
            Err(Fault::new("names no directory", "no file name has a NUL in it").instead(text.replace('\0', "")))
        }
        text => Ok(PathBuf::from(text)),
    }
}
