//! The hello of a client in a capture.

use super::{BAD_USAGE, RUN_TIME_FAILURE};
use parser::profile::Offer;
use parser::session::{Limits, Peer, Session};
use rdpscope::analyze::capture::{self, Step, Summary};
use rdpscope::analyze::source::{CaptureError, Source};
use rdpscope::analyze::streams::{Event, Stream, Streams};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

/// Bytes of a client in which its hello must be: TLS stacks refuse handshake messages above 64 KiB.
const OPENING: usize = 64 << 10;
/// Bytes of all openings that are read at once. Thousands of hellos that are all half done are no RDP traffic.
const OPENINGS: usize = 64 << 20;
/// Connections named when the one asked for is not there.
const MOST_LISTED: u64 = 20;

/// A client of a capture.
pub(super) struct Captured {
    /// The file, as it was named.
    pub(super) file: String,
    /// Number of the connection, from 0.
    pub(super) stream: u64,
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
    pub(super) fn read(file: &Path, wanted: Option<u64>) -> Result<Captured, NoClient> {
        let mut streams = Streams::<()>::new(Duration::ZERO);
        let mut openings = Openings { wanted, ..Openings::default() };
        let summary = capture::read(Source::open(file)?, |step| {
            if let Step::Packet(packet) = step {
                streams.packet(&packet, &mut |stream, _, at, event| openings.event(stream, &event, at));
            }
            if openings.decided() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if openings.found.is_none() {
            streams.finish(&mut |stream, _, at, event| openings.event(stream, &event, at));
        }
        let shown = file.display().to_string();
        match openings.found {
            Some((stream, client, offer)) => {
                Ok(Captured { file: shown, stream, client, offer, complaints: summary.complaints() })
            }
            None => Err(NoClient::Absent(openings.absent(&shown, streams.count(), &summary))),
        }
    }
}

/// The first bytes of clients, until the hello that is looked for.
#[derive(Default)]
struct Openings {
    wanted: Option<u64>,
    /// The first connections, and the one that is wanted: who, to whom.
    seen: BTreeMap<u64, (SocketAddr, SocketAddr)>,
    /// Connections whose hello may still come, with the bytes that were read of each.
    pending: BTreeMap<u64, (Session, usize)>,
    /// Bytes of all of them.
    held: usize,
    /// Connections before this one are known.
    begun: u64,
    found: Option<(u64, SocketAddr, Offer)>,
}

impl Openings {
    fn event(&mut self, stream: &Stream, event: &Event<'_>, at: parser::Timestamp) {
        let number = stream.number;
        if number < MOST_LISTED || self.wanted == Some(number) {
            self.seen.insert(number, (stream.client, stream.host));
        }
        let later = self.found.as_ref().is_some_and(|(found, ..)| number > *found);
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
                    self.found = Some((number, stream.client, Offer::from(hello)));
                }
                *read > OPENING || self.held > OPENINGS || session.timeline().client_hello.is_some()
            }
            Event::Missing(Peer::Client, _)
            | Event::Unseen(Peer::Client)
            | Event::Fin(Peer::Client)
            | Event::Rst(_)
            | Event::Ended(_) => true,
            _ => false,
        };
        if over {
            self.held -= *read;
            self.pending.remove(&number);
        }
    }

    /// No connection before the found one can still have a hello.
    fn decided(&self) -> bool {
        let Some((found, ..)) = self.found else { return false };
        self.pending.first_key_value().is_none_or(|(first, _)| *first > found)
    }

    /// Why there is no hello, with the connections there are.
    fn absent(&self, file: &str, count: u64, summary: &Summary) -> String {
        let mut text = match self.wanted {
            Some(wanted) => match self.seen.get(&wanted) {
                Some(ends) => format!("stream {wanted} of {file} ({}) has no ClientHello", to(ends)),
                None => format!("{file} has no stream {wanted}"),
            },
            None => format!("{file} has no ClientHello: {} packets, {} of TCP", summary.packets, summary.segments),
        };
        for complaint in summary.complaints() {
            let _ = write!(text, "; {complaint}");
        }
        for (number, ends) in self.seen.iter().filter(|(number, _)| **number < MOST_LISTED) {
            let _ = write!(text, "\n  stream {number}: {}", to(ends));
        }
        if count > MOST_LISTED {
            let _ = write!(text, "\n  and {} more", count - MOST_LISTED);
        }
        text
    }
}

fn to((client, host): &(SocketAddr, SocketAddr)) -> String {
    format!("{client} to {host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of pcapng. draft-ietf-opsawg-pcapng 3.1
    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().div_ceil(4) * 4;
        let length = (padded as u32 + 12).to_le_bytes();
        let mut block = [&kind.to_le_bytes()[..], &length, body].concat();
        block.resize(8 + padded, 0);
        block.extend(length);
        block
    }

    /// A capture of the golden tests as pcapng, its packets on the second interface; the first has an unknown link.
    fn as_pcapng(name: &str) -> Vec<u8> {
        let path = format!("{}/tests/golden/lab/{name}.pcap", env!("CARGO_MANIFEST_DIR"));
        let pcap = std::fs::read(path).expect("a capture");
        let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().expect("four bytes"));
        let mut out = block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
        for link in [147, word(20)] {
            out.extend(block(1, &[link.to_le_bytes(), [0; 4]].concat()));
        }
        let packet = |interface: u32, data: &[u8]| {
            let length = (data.len() as u32).to_le_bytes();
            block(6, &[&interface.to_le_bytes()[..], &[0; 8], &length, &length, data].concat())
        };
        out.extend(packet(0, b"of no known kind"));
        let mut at = 24;
        while at + 16 <= pcap.len() {
            let end = at + 16 + word(at + 8) as usize;
            out.extend(packet(1, &pcap[at + 16..end]));
            at = end;
        }
        out
    }

    fn file(name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("rdpscope-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).expect("written");
        path
    }

    #[test]
    fn the_first_hello_of_a_pcapng_file_is_found_on_any_interface() {
        let path = file("first.pcapng", &as_pcapng("ok-xrdp-tls"));
        let found = Captured::read(&path, None);
        let second = Captured::read(&path, Some(1));
        std::fs::remove_file(&path).expect("removed");
        let found = found.expect("a hello");
        assert_eq!(found.stream, 0);
        assert!(!found.offer.suites.is_empty() && !found.offer.versions.is_empty());
        assert_eq!(found.complaints, ["link type 147 is not read (packets: 1)"]);
        assert!(second.is_err_and(|error| error.code() == BAD_USAGE));
    }

    #[test]
    fn any_byte_of_a_capture_may_be_wrong_and_any_part_of_it_missing() {
        let whole = as_pcapng("ok-xrdp-tls");
        let part = &whole[..whole.len().min(4_000)];
        let path = file("broken.pcapng", part);
        for at in (0..part.len()).step_by(3) {
            let mut wrong = part.to_vec();
            wrong[at] ^= 0xff;
            for bytes in [&wrong[..], &part[..at]] {
                std::fs::write(&path, bytes).expect("written");
                if let Err(error) = Captured::read(&path, None) {
                    assert!(error.to_string().contains("broken.pcapng"), "{at}: {error}");
                }
            }
        }
        std::fs::remove_file(&path).expect("removed");
    }
}
