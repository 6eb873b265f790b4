//! The tracker: bytes, closes and times in, a timeline out. Here are the bytes; the rest is told to it in `beside_bytes`.

use super::clear_rdp::ClearRdp;
use super::plain::Plain;
use super::records::Tls;
use super::release::Release;
use super::{Answer, GiveUp, Limits, Opening, Peer, PerPeer, Phase, Tail, Timeline};
use crate::Timestamp;
use crate::stream::{ClientStream, Event, HostStream};
use crate::wire::{HelloShape, SessionId};
use std::sync::Arc;

/// How closely the tracker looks at bytes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Messages are being read: every byte is needed.
    Opening,
    /// Record headers are being followed: every byte is needed.
    Records,
    /// The tracker has let go, or there is nothing here that it can read: bytes need not be shown. Shown bytes only feed
    /// the tail and tell sealed alerts; hidden ones are to be reported with [`Session::passed_unseen`].
    Tail,
}

/// One connection, as seen by somebody in the middle.
///
/// ```
/// use parser::Timestamp;
/// use parser::session::{Awaiting, CloseKind, Closer, Limits, Peer, Phase, Session};
///
/// let mut session = Session::new(Timestamp(0), Limits::default());
/// session.data(Peer::Client, b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00", Timestamp(5));
/// assert_eq!(session.awaiting(), (Awaiting::ConnectionConfirm, Timestamp(5)));
/// session.closed(Closer::Host, CloseKind::Rst, Timestamp(9));
///
/// let timeline = session.finish();
/// assert_eq!(timeline.phase(), Phase::X224);
/// assert!(timeline.request.is_some() && timeline.answer.is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    pub(super) timeline: Timeline,
    pub(super) limits: Limits,
    pub(super) client: ClientStream,
    pub(super) host: HostStream,
    /// Until the tracker lets go.
    pub(super) marks: Option<Box<Marks>>,
    /// The ClientHello as sent, until the ServerHello: only a handshake that gets none needs to be replayed.
    pub(super) client_hello: Box<[u8]>,
    /// From the ServerHello on.
    pub(super) tls: Option<Tls>,
    /// From the Connection Confirm on, under standard RDP security; behind a bridge from the end of both handshakes on.
    pub(super) clear: Option<ClearRdp>,
    /// Behind a bridge, from the end of both handshakes on.
    pub(super) plain: Option<Plain>,
    /// From the end of the handshake on.
    pub(super) release: Option<Release>,
    /// The streams are not fed any more.
    pub(super) stopped: bool,
    /// Records only feed the tail.
    pub(super) let_go: bool,
}

/// Moments that time-outs are counted from, and what must be remembered from one message to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    pub(super) first_byte: Option<Timestamp>,
    pub(super) connected: Option<Timestamp>,
    pub(super) request: Option<Timestamp>,
    pub(super) answer: Option<Timestamp>,
    pub(super) client_hello: Option<Timestamp>,
    /// A HelloRetryRequest that no second ClientHello has answered.
    pub(super) hello_retry: Option<Timestamp>,
    pub(super) session_id: SessionId,
}

impl Session {
    /// A connection that was accepted at `opened`.
    #[must_use]
    pub fn new(opened: Timestamp, limits: Limits) -> Session {
        let start = Tail::from_the_start();
        let mut timeline = Timeline { opened, tail: PerPeer { client: start, host: start }, ..Timeline::default() };
        timeline.phases.enter(Phase::Accept, opened);
        Session {
            timeline,
            limits,
            client: ClientStream::new(limits.client_hello),
            host: HostStream::new(),
            marks: Some(Box::default()),
            client_hello: Box::default(),
            tls: None,
            clear: None,
            plain: None,
            release: None,
            stopped: false,
            let_go: false,
        }
    }

    /// Bytes that `from` sent, in order, in any chunking, at the time they were read.
    pub fn data(&mut self, from: Peer, bytes: &[u8], at: Timestamp) {
        if bytes.is_empty() {
            return;
        }
        // Apart, as what is kept of each peer then is in a known place.
        match from {
            Peer::Client => self.take(Peer::Client, bytes, at),
            Peer::Host => self.take(Peer::Host, bytes, at),
        }
    }

    #[inline(always)]
    fn take(&mut self, from: Peer, bytes: &[u8], at: Timestamp) {
        self.count(from, bytes.len() as u64, at);
        let mut rest = bytes;
        loop {
            let record = match from {
                Peer::Client => self.client.application_data(rest),
                Peer::Host => self.host.application_data(rest),
            };
            rest = if let Some((header, after)) = record {
                self.record(from, header, at);
                if after.is_empty() {
                    return;
                }
                after
            } else if let Some(after) = self.read(from, rest, at) {
                after
            } else {
                return;
            };
        }
    }

    /// Reads what is no record of data. `None` when no more is to be read.
    #[inline(never)]
    fn read<'a>(&mut self, from: Peer, bytes: &'a [u8], at: Timestamp) -> Option<&'a [u8]> {
        let mut rest = bytes;
        let event = match from {
            _ if self.stopped => None,
            Peer::Client => self.client.next(&mut rest, at),
            Peer::Host => self.host.next(&mut rest, at),
        };
        let Some(event) = event else {
            if self.stopped || self.is_lost(from) {
                self.timeline.tail[from].forget();
                self.keep_first_bytes();
            }
            return None;
        };
        self.hear(from, event, at);
        Some(rest)
    }

    /// `count` bytes that `from` sent and that were not looked at. Only after [`Watch::Tail`]; the tail is then unknown
    /// until record boundaries are found again.
    pub fn passed_unseen(&mut self, from: Peer, count: u64, at: Timestamp) {
        if count == 0 {
            return;
        }
        self.count(from, count, at);
        self.timeline.tail[from].forget();
        if !self.stopped {
            match from {
                Peer::Client => _ = self.client.skip(count),
                Peer::Host => _ = self.host.skip(count),
            }
        }
    }

    /// `count` bytes that `from` sent and that a capture does not hold. Unless they lie inside of one sealed record, what is
    /// told from here on is volume and the end.
    pub fn missing(&mut self, from: Peer, count: u64, at: Timestamp) {
        if count == 0 {
            return;
        }
        let ahead = match from {
            Peer::Client => self.client.unread_ahead(),
            Peer::Host => self.host.unread_ahead(),
        };
        if !self.stopped && count <= ahead as u64 {
            // Nothing of them would have been read.
            self.count(from, count, at);
            match from {
                Peer::Client => _ = self.client.skip(count),
                Peer::Host => _ = self.host.skip(count),
            }
            return;
        }
        if self.watch() != Watch::Tail {
            self.timeline.gave_up.get_or_insert((GiveUp::Gap, at));
            self.let_go = true;
        }
        self.passed_unseen(from, count, at);
    }

    /// Stops reading, for a reason outside of the bytes (the process-wide budget).
    pub fn give_up(&mut self, why: GiveUp, at: Timestamp) {
        self.stop(why, at);
    }

    /// Where the connection is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.timeline.phase()
    }

    /// How closely bytes are looked at.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let unreadable = matches!(self.timeline.opening, Opening::NotRdp | Opening::GatewayHttp)
            || self.timeline.plaintext.is_some() && self.plain.is_none();
        if self.let_go
            || self.timeline.gave_up.is_some()
            || unreadable
            || self.is_lost(Peer::Host)
            || self.is_lost(Peer::Client)
        {
            Watch::Tail
        } else if self.release.is_some() {
            Watch::Records
        } else {
            Watch::Opening
        }
    }

    /// Bytes of memory held for reassembly now, for the process-wide opening budget.
    #[must_use]
    pub fn buffered(&self) -> usize {
        let plain = self.plain.as_ref().map_or(0, |plain| plain.client.buffered() + plain.host.buffered());
        self.client.buffered() + self.host.buffered() + plain + self.client_hello.len()
    }

    /// The ClientHello as it was sent, handshake header included, if no ServerHello answered it. It is handed out once.
    #[must_use]
    pub fn take_client_hello(&mut self) -> Option<Box<[u8]>> {
        let message = core::mem::take(&mut self.client_hello);
        (!message.is_empty()).then_some(message)
    }

    /// Equal shapes of many sessions can be one: `shared` gives the one to hold in the place of this session's.
    pub fn share_shape(&mut self, shared: impl FnOnce(&Arc<HelloShape>) -> Arc<HelloShape>) {
        if let Some(hello) = &mut self.timeline.client_hello {
            hello.shape = shared(&hello.shape);
        }
    }

    /// What is known so far.
    #[must_use]
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// What is known, for good.
    #[must_use]
    pub fn finish(self) -> Timeline {
        self.timeline
    }

    /// Nothing more is read, and no buffer is held.
    pub(super) fn stop(&mut self, why: GiveUp, at: Timestamp) {
        self.timeline.gave_up.get_or_insert((why, at));
        self.keep_first_bytes();
        self.free_streams();
        self.plain = None;
        self.stopped = true;
        self.let_go();
        self.timeline.tail.client.forget();
        self.timeline.tail.host.forget();
    }

    /// The openings are over: their buffers are given back.
    pub(super) fn free_streams(&mut self) {
        self.client = ClientStream::new(self.limits.client_hello);
        self.host = HostStream::new();
        self.client_hello = Box::default();
    }

    pub(super) fn count(&mut self, from: Peer, bytes: u64, at: Timestamp) {
        let traffic = &mut self.timeline.traffic[from];
        traffic.bytes = traffic.bytes.saturating_add(bytes);
        traffic.first.get_or_insert(at);
        traffic.last = Some(at);
        if from == Peer::Client {
            self.mark(|marks| _ = marks.first_byte.get_or_insert(at));
        }
    }

    pub(super) fn hear(&mut self, from: Peer, event: Event, at: Timestamp) {
        self.event(from, event, at);
        if !self.let_go {
            self.settle(at);
            self.advance(at);
        }
    }

    pub(super) fn mark(&mut self, mark: impl FnOnce(&mut Marks)) {
        if let Some(marks) = &mut self.marks {
            mark(marks);
        }
    }

    pub(super) fn is_lost(&self, from: Peer) -> bool {
        match from {
            Peer::Client => self.client.is_lost(),
            Peer::Host => self.host.is_lost(),
        }
    }

    /// The first bytes of what was not understood may come in several chunks.
    fn keep_first_bytes(&mut self) {
        let client = self.client.first_bytes();
        if self.timeline.opening == Opening::NotRdp && self.timeline.first_bytes.len() < client.len() {
            self.timeline.first_bytes = client.to_vec();
        }
        let host = self.host.first_bytes();
        if let Some(Answer::NotRdp(kept)) = &mut self.timeline.answer
            && kept.len() < host.len()
        {
            *kept = host.to_vec();
        }
        if let Some(kept) = &mut self.timeline.tls.not_tls {
            let known = host.len().min(kept.len());
            kept[..known].copy_from_slice(&host[..known]);
        }
    }
}
