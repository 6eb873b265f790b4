//! The hello of a client in a capture.

use super::{BAD_USAGE, RUN_TIME_FAILURE};
use parser::profile::Offer;
use parser::session::{Limits, Peer, Session};
use rdpscope::analyze::capture::{self, CaptureError, Summary};
use rdpscope::analyze::streams::{Event, Stream, Streams};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;

/// Bytes of a client in which its hello must be: TLS stacks refuse handshake messages above 64 KiB.
const OPENING: usize = 64 << 10;
/// Bytes of all openings that are read at once. Thousands of hellos that are all half done are no RDP traffic.
const OPENINGS: usize = 64 << 20;
/// Connections named when the one asked for is not there.
const MOST_LISTED: usize = 20;

/// A client of a capture.
pub(super) struct Captured {
    /// The file, as it was named.
    pub(super) file: String,
    /// Number of the connection, from 0.
    pub(super) stream: usize,
    /// Its address.
    pub(super) client: SocketAddr,
    /// Its hello.
    pub(super) offer: Offer,
    /// What kept parts of the file from being read.
    pub(super) complaints: Vec<String>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoClient {
    #[error(transparent)]
    Unreadable(#[from] CaptureError),
    #[error("{0}")]
    Absent(String),
}

impl NoClient {
    pub(super) fn code(&self) -> u8 {
        match self {
            NoClient::Unreadable(_) => RUN_TIME_FAILURE,
            NoClient::Absent(_) => BAD_USAGE,
        }
    }
}

impl Captured {
    /// The client of the connection `wanted`, or of the first one with a ClientHello.
    pub(super) fn read(file: &Path, wanted: Option<usize>) -> Result<Captured, NoClient> {
        let mut streams = Streams::default();
        let mut openings = Openings { wanted, ..Openings::default() };
        let summary = capture::segments(file, |segment| {
            streams.segment(segment, |number, _, event| openings.event(number, &event, segment.at));
            if openings.decided() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let shown = file.display().to_string();
        match openings.found {
            Some((stream, offer)) if let Some(found) = streams.list().get(stream) => {
                Ok(Captured { file: shown, stream, client: found.client, offer, complaints: summary.complaints() })
            }
            _ => Err(NoClient::Absent(absent(&shown, wanted, &streams, &summary))),
        }
    }
}

/// The first bytes of clients, until the hello that is looked for.
#[derive(Default)]
struct Openings {
    wanted: Option<usize>,
    /// Connections whose hello may still come, with the bytes that were read of each.
    pending: BTreeMap<usize, (Session, usize)>,
    /// Bytes of all of them.
    held: usize,
    /// Connections before this one are known.
    begun: usize,
    found: Option<(usize, Offer)>,
}

impl Openings {
    fn event(&mut self, number: usize, event: &Event, at: parser::Timestamp) {
        let later = self.found.as_ref().is_some_and(|(found, _)| number > *found);
        if later || self.wanted.is_some_and(|wanted| wanted != number) {
            return;
        }
        // One whose first bytes are still to come counts too: it may have the first hello of the file.
        let first = self.wanted.unwrap_or(self.begun).max(self.begun);
        for new in first..=number {
            self.pending.insert(new, (Session::new(at, Limits::default()), 0));
        }
        self.begun = self.begun.max(number + 1);
        let Some((session, read)) = self.pending.get_mut(&number) else { return };
        let over = match event {
            Event::Data(Peer::Client, bytes) => {
                session.data(Peer::Client, bytes, at);
                *read += bytes.len();
                self.held += bytes.len();
                if let Some(hello) = &session.timeline().client_hello {
                    self.found = Some((number, Offer::from(hello)));
                }
                *read > OPENING || self.held > OPENINGS || session.timeline().client_hello.is_some()
            }
            Event::Fin(Peer::Client) | Event::Rst(_) => true,
            _ => false,
        };
        if over {
            self.held -= *read;
            self.pending.remove(&number);
        }
    }

    /// No connection before the found one can still have a hello.
    fn decided(&self) -> bool {
        let Some((found, _)) = self.found else { return false };
        self.pending.first_key_value().is_none_or(|(first, _)| *first > found)
    }
}

fn absent(file: &str, wanted: Option<usize>, streams: &Streams, summary: &Summary) -> String {
    let mut text = match wanted {
        Some(wanted) => match streams.list().get(wanted) {
            Some(stream) => format!("stream {wanted} of {file} ({}) has no ClientHello", ends(stream)),
            None => format!("{file} has no stream {wanted}"),
        },
        None => format!("{file} has no ClientHello: {} packets, {} of TCP", summary.packets, summary.segments),
    };
    for complaint in summary.complaints() {
        let _ = write!(text, "; {complaint}");
    }
    if streams.passed_over() > 0 {
        let _ = write!(text, "; {} segments of later connections were passed over", streams.passed_over());
    }
    let list = streams.list();
    for (number, stream) in list.iter().enumerate().take(MOST_LISTED) {
        let _ = write!(text, "\n  stream {number}: {}", ends(stream));
    }
    if list.len() > MOST_LISTED {
        let _ = write!(text, "\n  and {} more", list.len() - MOST_LISTED);
    }
    text
}

fn ends(stream: &Stream) -> String {
    format!("{} to {}", stream.client, stream.host)
}
