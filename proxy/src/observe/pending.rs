//! What waits in front of the event file. An end is queued as its record and becomes text on the writing thread.

use crate::record::{Action, Event, Names, SessionRecord, Told};
use parser::Timestamp;
use std::sync::Arc;

/// One line of the event file.
#[derive(Debug)]
pub(super) enum Pending {
    /// Text already, line feed included.
    Line(Vec<u8>),
    /// The end of a session, or what is said of it now.
    Session { action: Action, record: Arc<SessionRecord>, at: Timestamp, told: Told },
}

impl Pending {
    /// Bytes of memory it holds.
    pub(super) fn weight(&self) -> usize {
        match self {
            Pending::Line(line) => line.len(),
            Pending::Session { record, .. } => record.memory(),
        }
    }

    /// Puts the line at the end of `lines`.
    pub(super) fn form(self, names: &Names, lines: &mut Vec<u8>) {
        match self {
            Pending::Line(line) => lines.extend_from_slice(&line),
            Pending::Session { action, record, at, told } => {
                Event::ended(action, &record, at, names, &told).write(lines);
            }
        }
    }
}
