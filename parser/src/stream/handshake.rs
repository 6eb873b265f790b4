//! Joins handshake messages that are spread over records and segments. RFC 8446 5.1

use super::PendingHandshake;
use super::buffer::Buffer;
use crate::pack::{Pack, Packer, Unpacker};
use crate::wire::tls::HANDSHAKE_HEADER;
use crate::wire::{HandshakeHeader, Outcome};

/// What a joiner made of a piece of handshake.
#[derive(Debug)]
pub(crate) enum Joined<'a> {
    /// A whole message, its header included, borrowed from the piece when it was whole there; and the records it came in.
    Message(&'a [u8], u16),
    /// The message announces more than the bound.
    TooLarge(HandshakeHeader),
    /// The piece is used up.
    More,
}

/// Joins the handshake messages of one direction. Holds one message at the most, and only while it is incomplete.
#[derive(Clone, Debug)]
pub(crate) struct HandshakeJoiner {
    buffer: Buffer,
    /// The buffer holds a message that was handed out: it is freed at the next call.
    handed_out: bool,
    records: u16,
}

impl HandshakeJoiner {
    pub(crate) fn new() -> HandshakeJoiner {
        HandshakeJoiner { buffer: Buffer::default(), handed_out: false, records: 0 }
    }

    /// A handshake record began: a message that goes on in it is spread over one record more.
    pub(crate) fn record_begins(&mut self) {
        self.release();
        if !self.buffer.is_empty() {
            self.records = self.records.saturating_add(1);
        }
    }

    /// Heap bytes held.
    pub(crate) fn held(&self) -> usize {
        self.buffer.held()
    }

    /// The message of which a part has come.
    pub(crate) fn pending(&self) -> Option<PendingHandshake> {
        let header = HandshakeHeader::parse(self.buffer.bytes()).value().filter(|_| !self.handed_out)?;
        let have = u32::try_from(self.buffer.len()).unwrap_or(u32::MAX);
        Some(PendingHandshake { kind: header.kind, have, need: header.total(), records: self.records })
    }

    /// No message has begun.
    pub(crate) fn is_between(&self) -> bool {
        self.handed_out || self.buffer.is_empty()
    }

    /// Forgets what was held.
    pub(crate) fn clear(&mut self) {
        self.buffer.free();
        self.handed_out = false;
        self.records = 0;
    }

    /// The next message from `piece`, a part of a handshake record's body, if `bound` bytes can hold it; and how many
    /// bytes of the piece were taken.
    pub(crate) fn next<'s>(
        &'s mut self,
        piece: &'s [u8],
        bound: impl Fn(HandshakeHeader) -> usize,
    ) -> (Joined<'s>, usize) {
        self.release();
        if self.buffer.is_empty() {
            if piece.is_empty() {
                return (Joined::More, 0);
            }
            self.records = 1;
            if let Outcome::Value { value: header, .. } = HandshakeHeader::parse(piece) {
                let total = header.total() as usize;
                if total > bound(header) {
                    return (Joined::TooLarge(header), 0);
                }
                if let Some(message) = piece.get(..total) {
                    return (Joined::Message(message, 1), total);
                }
            }
        }
        let mut rest = piece;
        let held = self.buffer.fill(&mut rest, HANDSHAKE_HEADER);
        let header = match HandshakeHeader::parse(self.buffer.bytes()) {
            Outcome::Value { value, .. } if held => value,
            _ => return (Joined::More, piece.len()),
        };
        let total = header.total() as usize;
        if total > bound(header) {
            return (Joined::TooLarge(header), piece.len() - rest.len());
        }
        if !self.buffer.fill(&mut rest, total) {
            return (Joined::More, piece.len());
        }
        self.handed_out = true;
        (Joined::Message(self.buffer.bytes(), self.records), piece.len() - rest.len())
    }

    /// Gives back the memory of a message that was handed out.
    pub(crate) fn release(&mut self) {
        if self.handed_out {
            self.clear();
        }
    }
}

/// Only between messages: see [`HandshakeJoiner::is_between`].
impl Pack for HandshakeJoiner {
    fn pack(&self, to: &mut Packer) {
        let HandshakeJoiner { buffer: _, handed_out, records } = self;
        let records = if *handed_out { 0 } else { *records };
        records.pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> HandshakeJoiner {
        HandshakeJoiner { records: Pack::unpack(from), ..HandshakeJoiner::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::HandshakeType;

    fn next<'s>(joiner: &'s mut HandshakeJoiner, piece: &'s [u8], bound: usize) -> (Joined<'s>, usize) {
        joiner.next(piece, |_| bound)
    }

    #[test]
    fn a_message_over_two_records_is_joined_and_counted() {
        let mut joiner = HandshakeJoiner::new();
        joiner.record_begins();
        assert!(matches!(next(&mut joiner, &[2, 0, 0, 4, 7], 100), (Joined::More, 5)));
        let pending = joiner.pending().expect("half a message");
        assert_eq!((pending.kind, pending.have, pending.need), (HandshakeType::SERVER_HELLO, 5, 8));
        joiner.record_begins();
        let piece = [7, 7, 7, 14, 0, 0, 0];
        assert!(matches!(next(&mut joiner, &piece, 100), (Joined::Message(&[2, 0, 0, 4, 7, 7, 7, 7], 2), 3)));
        assert!(matches!(next(&mut joiner, &piece[3..], 100), (Joined::Message(&[14, 0, 0, 0], 1), 4)));
        assert!(matches!(next(&mut joiner, &[], 100), (Joined::More, 0)));
        assert_eq!((joiner.held(), joiner.pending()), (0, None));
    }

    #[test]
    fn a_message_above_the_bound_is_refused_before_it_is_held() {
        let mut joiner = HandshakeJoiner::new();
        for announced in [&[1, 0xff, 0xff, 0xff][..], &[1, 0xff, 0xff, 0xff, 0]] {
            let (joined, _) = next(&mut joiner, announced, 65536);
            assert!(matches!(joined, Joined::TooLarge(h) if h.length == 0xff_ffff));
        }
        assert!(joiner.held() <= 2048);
    }
}
