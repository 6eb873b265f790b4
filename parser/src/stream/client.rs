//! What the client sends: preconnection blob, Connection Request, then TLS or clear PDUs.

use super::body::Body;
use super::buffer::Buffer;
use super::opening::read;
use super::{Event, PendingHandshake};
use crate::Timestamp;
use crate::pack::{Pack, Packer, Unpacker};
use crate::session::{Opening, Peer, RequestFacts};
use crate::wire::{ConnectionRequest, FirstBytes, Malformed, Preconnection, RecordHeader};

/// The client's direction of a connection.
///
/// ```
/// use parser::{Timestamp, session::Opening, stream::{ClientStream, Event}};
/// let mut stream = ClientStream::new(64 * 1024);
/// let mut bytes = &b"\x03\x00\x00\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x0b\0\0\0"[..];
/// assert_eq!(stream.next(&mut bytes, Timestamp(0)), Some(Event::Opening(Opening::X224)));
/// assert!(matches!(stream.next(&mut bytes, Timestamp(0)), Some(Event::Request(_))));
/// assert_eq!(stream.next(&mut bytes, Timestamp(0)), None);
/// ```
#[derive(Clone, Debug)]
pub struct ClientStream {
    state: State,
    /// Bytes of the opening message that has not come in full: a preconnection blob (2 KiB) or a Connection Request
    /// (512 bytes) at the most.
    buffer: Buffer,
    /// How much of the buffer the body has read, once it reads.
    replayed: usize,
    preconnection: Option<Box<(u32, Option<String>)>>,
    oddity: Option<Box<Malformed>>,
    body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first bytes are awaited.
    Start,
    Preconnection,
    Request,
    /// What was held of the opening has to be told or read yet.
    Replay,
    /// Nothing is left but the body.
    Body,
}

impl ClientStream {
    /// A direction of which nothing was read. A ClientHello above `client_hello_bound` bytes is not read.
    #[must_use]
    pub fn new(client_hello_bound: usize) -> ClientStream {
        ClientStream {
            state: State::Start,
            buffer: Buffer::default(),
            replayed: 0,
            preconnection: None,
            oddity: None,
            body: Body::new(Peer::Client, client_hello_bound),
        }
    }

    /// The next event, and takes its bytes from the front of `input`; `None` when all of `input` is taken.
    #[inline]
    pub fn next(&mut self, input: &mut &[u8], at: Timestamp) -> Option<Event> {
        loop {
            match self.state {
                State::Body => return self.body.next(input, at),
                State::Replay => match self.replay(at) {
                    None => continue,
                    event => return event,
                },
                State::Start => {
                    let first = read(&mut self.buffer, input, FirstBytes::of)?.unwrap_or(FirstBytes::Unknown);
                    let opening = match first {
                        FirstBytes::Preconnection if self.preconnection.is_none() => {
                            self.state = State::Preconnection;
                            continue;
                        }
                        FirstBytes::Tpkt => Opening::X224,
                        FirstBytes::Tls | FirstBytes::Sslv2Hello => Opening::TlsFirst,
                        FirstBytes::GatewayHttp => Opening::GatewayHttp,
                        FirstBytes::Preconnection | FirstBytes::Unknown => Opening::NotRdp,
                    };
                    self.state = if opening == Opening::X224 { State::Request } else { State::Replay };
                    if matches!(opening, Opening::GatewayHttp | Opening::NotRdp) {
                        self.lose(input);
                    }
                    return Some(Event::Opening(opening));
                }
                State::Preconnection => {
                    let owned = |bytes: &[u8]| Preconnection::parse(bytes).map(|blob| (blob.id, blob.text()));
                    match read(&mut self.buffer, input, owned)? {
                        Ok((id, text)) => {
                            self.preconnection = Some(Box::new((id, text.clone())));
                            self.state = State::Start;
                            return Some(Event::Preconnection { id, text });
                        }
                        Err(malformed) => return Some(self.malformed("preconnection blob", malformed, input)),
                    }
                }
                State::Request => {
                    let preconnection = &self.preconnection;
                    let owned = |bytes: &[u8]| {
                        ConnectionRequest::parse(bytes)
                            .map(|cr| (RequestFacts::from_request(&cr, preconnection.as_deref().cloned()), cr.oddity))
                    };
                    match read(&mut self.buffer, input, owned)? {
                        Ok((facts, oddity)) => {
                            self.oddity = oddity.map(Box::new);
                            self.state = State::Replay;
                            return Some(Event::Request(Box::new(facts)));
                        }
                        Err(malformed) => return Some(self.malformed("connection_request", malformed, input)),
                    }
                }
            }
        }
    }

    /// A record of data, when one comes next, as [`ClientStream::next`] would tell it, and what is left of `input`. `None`,
    /// and nothing is taken, when that is to look what comes.
    #[inline]
    pub(crate) fn application_data<'a>(&mut self, input: &'a [u8]) -> Option<(RecordHeader, &'a [u8])> {
        if self.state == State::Body { self.body.application_data(input) } else { None }
    }

    /// Heap bytes held now.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.held() + self.body.held()
    }

    /// Bytes still to come of the record, PDU or message that has begun, as far as is known; 0 on a boundary.
    #[must_use]
    pub fn missing(&self) -> usize {
        match self.state {
            State::Replay | State::Body => self.body.missing(),
            _ => usize::from(!self.buffer.is_empty()),
        }
    }

    /// Records are followed, and nothing is held.
    pub(crate) fn only_follows(&self) -> bool {
        self.is_over() && self.buffer.is_empty() && self.oddity.is_none() && self.body.only_follows()
    }

    /// The handshake message of which a part has come.
    #[must_use]
    pub fn pending_handshake(&self) -> Option<PendingHandshake> {
        self.body.pending()
    }

    /// The first up to 16 bytes that were not understood.
    #[must_use]
    pub fn first_bytes(&self) -> &[u8] {
        self.body.first_bytes()
    }

    /// Nothing more is read.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.body.is_lost()
    }

    /// Bytes still to come of the record or PDU begun that are passed over whatever they are.
    #[must_use]
    pub fn unread_ahead(&self) -> usize {
        if self.is_over() && self.buffer.is_empty() { self.body.unread_ahead() } else { 0 }
    }

    /// Notes `count` bytes that passed unseen. False when it is no longer known where the next record begins.
    pub fn skip(&mut self, count: u64) -> bool {
        if !self.is_over() && count > 0 {
            self.lose(&mut &[][..]);
        }
        self.body.skip(count)
    }

    /// The opening is: all that comes is for the body.
    fn is_over(&self) -> bool {
        matches!(self.state, State::Replay | State::Body)
    }

    /// The oddity of a request, then bytes that were held to tell the opening.
    fn replay(&mut self, at: Timestamp) -> Option<Event> {
        if let Some(Malformed { offset, expected }) = self.oddity.take().map(|oddity| *oddity) {
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            return Some(Event::Malformed { message: "connection_request", offset, expected, fatal: false });
        }
        let mut held = self.buffer.bytes().get(self.replayed..).unwrap_or_default();
        let event = self.body.next(&mut held, at);
        self.replayed = self.buffer.len() - held.len();
        if held.is_empty() {
            self.buffer.free();
            self.replayed = 0;
            self.state = State::Body;
        }
        event
    }

    fn malformed(&mut self, message: &'static str, malformed: Malformed, input: &mut &[u8]) -> Event {
        self.lose(input);
        let offset = u32::try_from(malformed.offset).unwrap_or(u32::MAX);
        Event::Malformed { message, offset, expected: malformed.expected, fatal: true }
    }

    fn lose(&mut self, input: &mut &[u8]) {
        self.state = State::Replay;
        self.body.lose(self.buffer.bytes());
        self.buffer.free();
        // The rest of the first sixteen bytes, before an event is told.
        let _ = self.body.next(input, Timestamp(0));
    }
}

/// Only when it [follows records](ClientStream::only_follows).
impl Pack for ClientStream {
    fn pack(&self, to: &mut Packer) {
        // A preconnection blob is a part of the request, which has been told.
        let ClientStream { state: _, buffer: _, replayed: _, preconnection: _, oddity: _, body } = self;
        body.pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> ClientStream {
        ClientStream { state: State::Body, body: Pack::unpack(from), ..ClientStream::new(0) }
    }
}
