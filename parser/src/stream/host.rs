//! What the host sends: the answer to a Connection Request, then TLS or clear PDUs.

use super::body::Body;
use super::buffer::Buffer;
use super::opening::read;
use super::tls::HANDSHAKE_MAX;
use super::{Event, PendingHandshake};
use crate::Timestamp;
use crate::pack::{Pack, Packer, Unpacker};
use crate::session::{Answer, Peer};
use crate::wire::{ConnectionAnswer, Malformed, Outcome, RecordHeader};

/// The host's direction of a connection.
#[derive(Clone, Debug)]
pub struct HostStream {
    state: State,
    /// Bytes of an answer that has not come in full: 512 at the most.
    buffer: Buffer,
    oddity: Option<Box<Malformed>>,
    body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// An answer is awaited, or TLS.
    Answer,
    /// What was held of it has to be told or read yet.
    Replay,
    /// Nothing is left but the body.
    Body,
}

impl Default for HostStream {
    fn default() -> Self {
        HostStream::new()
    }
}

/// What a host may begin with.
enum Beginning {
    Answer(Answer, Option<Malformed>),
    Tls,
}

impl HostStream {
    /// A direction of which nothing was read: an answer to a Connection Request is expected, or TLS.
    #[must_use]
    pub fn new() -> HostStream {
        HostStream {
            state: State::Answer,
            buffer: Buffer::default(),
            oddity: None,
            body: Body::new(Peer::Host, HANDSHAKE_MAX),
        }
    }

    /// The client began with TLS: no X.224 answer will come.
    pub fn expect_tls(&mut self) {
        self.answered();
        self.body.expect_tls();
    }

    /// The next event, and takes its bytes from the front of `input`; `None` when all of `input` is taken.
    #[inline]
    pub fn next(&mut self, input: &mut &[u8], at: Timestamp) -> Option<Event> {
        loop {
            match self.state {
                State::Body => return self.body.next(input, at),
                State::Replay => {
                    if let Some(event) = self.replay(at) {
                        return Some(event);
                    }
                    continue;
                }
                State::Answer => {}
            }
            let owned = |bytes: &[u8]| match bytes {
                [20..=24] => Outcome::NeedMore { at_least: 1 },
                [20..=24, 3, ..] => Outcome::Value { value: Beginning::Tls, consumed: 0 },
                bytes => {
                    let answer = ConnectionAnswer::parse(bytes);
                    let packet = if let Outcome::Value { consumed, .. } = answer { &bytes[..consumed] } else { bytes };
                    answer.map(|answer| Beginning::Answer(Answer::from_answer(&answer, packet), oddity(&answer)))
                }
            };
            match read(&mut self.buffer, input, owned)? {
                Ok(Beginning::Tls) => self.answered(),
                Ok(Beginning::Answer(answer, oddity)) => {
                    self.answered();
                    self.oddity = oddity.map(Box::new);
                    match answer {
                        Answer::NotRdp(first) => return Some(self.not_rdp(&first, input)),
                        Answer::Ultimatum(_) | Answer::Refused(_) => self.body.lose(&[]),
                        _ => {}
                    }
                    return Some(Event::Answer(answer));
                }
                Err(_) => {
                    let held = core::mem::take(&mut self.buffer);
                    return Some(self.not_rdp(held.bytes(), input));
                }
            }
        }
    }

    /// A record of data, when one comes next, as [`HostStream::next`] would tell it, and what is left of `input`. `None`,
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
            State::Answer => usize::from(!self.buffer.is_empty()),
            State::Replay | State::Body => self.body.missing(),
        }
    }

    /// Records are followed, and nothing is held.
    pub(crate) fn only_follows(&self) -> bool {
        self.state != State::Answer && self.buffer.is_empty() && self.oddity.is_none() && self.body.only_follows()
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
        if self.state != State::Answer && self.buffer.is_empty() { self.body.unread_ahead() } else { 0 }
    }

    /// Notes `count` bytes that passed unseen. False when it is no longer known where the next record begins.
    pub fn skip(&mut self, count: u64) -> bool {
        if self.state == State::Answer && count > 0 {
            self.answered();
            self.buffer.free();
            self.body.lose(&[]);
        }
        self.body.skip(count)
    }

    /// What comes from here on is for the body.
    fn answered(&mut self) {
        self.state = State::Replay;
    }

    /// The oddity of an answer, then bytes that were held to tell that there is none.
    fn replay(&mut self, at: Timestamp) -> Option<Event> {
        if let Some(Malformed { offset, expected }) = self.oddity.take().map(|oddity| *oddity) {
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            return Some(Event::Malformed { message: "connection_confirm", offset, expected, fatal: false });
        }
        self.state = State::Body;
        // At most the two bytes that told TLS: no event can come of them alone.
        let held = core::mem::take(&mut self.buffer);
        self.body.next(&mut held.bytes(), at)
    }

    fn not_rdp(&mut self, held: &[u8], input: &mut &[u8]) -> Event {
        self.answered();
        self.body.lose(held);
        let _ = self.body.next(input, Timestamp(0));
        Event::Answer(Answer::NotRdp(self.body.first_bytes().to_vec()))
    }
}

fn oddity(answer: &ConnectionAnswer) -> Option<Malformed> {
    match answer {
        ConnectionAnswer::Confirm { oddity, .. } => *oddity,
        _ => None,
    }
}

/// Only when it [follows records](HostStream::only_follows).
impl Pack for HostStream {
    fn pack(&self, to: &mut Packer) {
        let HostStream { state: _, buffer: _, oddity: _, body } = self;
        body.pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> HostStream {
        HostStream { state: State::Body, body: Pack::unpack(from), ..HostStream::new() }
    }
}
