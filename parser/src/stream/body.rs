//! What follows the X.224 exchange (or stands alone): TLS records, or clear PDUs under standard RDP security.

use super::buffer::Buffer;
use super::pdus::{PduReader, PduStep};
use super::tls::{TlsReader, TlsStep};
use super::{Event, PendingHandshake};
use crate::Timestamp;
use crate::pack::{Pack, Packer, Unpacker, pack_variants};
use crate::session::{ClientHelloFacts, Peer};
use crate::wire::{Outcome, RecordHeader, SessionId, Sslv2Hello, TPKT_VERSION};

/// Reads whatever a direction holds after its opening.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    from: Peer,
    client_hello_bound: usize,
    inside: Inside,
    tls: TlsReader,
    pdus: PduReader,
    sslv2: Buffer,
    first: FirstSixteen,
    /// Bytes passed unseen once: where a record should begin is then a guess, and a wrong one is taken back.
    guessing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// Nothing yet: the first byte decides.
    Undecided,
    /// An SSLv2-form hello, then TLS.
    Sslv2,
    /// TLS records.
    Tls,
    /// One clear PDU where a record should be.
    TlsWithPdu,
    /// The rest of that PDU, then TLS again.
    TlsAfterPdu,
    /// Clear PDUs.
    Pdus,
    /// Record boundaries are being looked for.
    Resync,
    /// Nothing more is read.
    Lost,
}

pack_variants!(Inside { Undecided, Sslv2, Tls, TlsWithPdu, TlsAfterPdu, Pdus, Resync, Lost });

/// The first up to 16 bytes that were not understood.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FirstSixteen {
    bytes: [u8; 16],
    length: u8,
}

impl FirstSixteen {
    pub(crate) fn note(&mut self, bytes: &[u8]) {
        let at = usize::from(self.length);
        let take = bytes.len().min(16 - at);
        self.bytes[at..at + take].copy_from_slice(&bytes[..take]);
        self.length += take as u8;
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl Body {
    pub(crate) fn new(from: Peer, client_hello_bound: usize) -> Body {
        Body {
            from,
            client_hello_bound,
            inside: Inside::Undecided,
            tls: TlsReader::new(from, client_hello_bound),
            pdus: PduReader::default(),
            sslv2: Buffer::default(),
            first: FirstSixteen::default(),
            guessing: false,
        }
    }

    /// TLS is to come: something else in its place is no stream of its own.
    pub(crate) fn expect_tls(&mut self) {
        if self.inside == Inside::Undecided {
            self.inside = Inside::Tls;
        }
    }

    /// The next event; `None` when `input` is used up.
    #[inline]
    pub(crate) fn next(&mut self, input: &mut &[u8], at: Timestamp) -> Option<Event> {
        loop {
            match self.inside {
                Inside::Tls => match self.tls.next(input, at)? {
                    TlsStep::Event(event @ Event::TooLarge { .. }) => {
                        self.lose(&[]);
                        return Some(event);
                    }
                    TlsStep::Event(event) => return Some(event),
                    TlsStep::NotARecord => {
                        if let Some(event) = self.no_record(input) {
                            return Some(event);
                        }
                    }
                },
                Inside::Undecided => {
                    let first = *input.first()?;
                    self.inside = match (first, self.from) {
                        (TPKT_VERSION, _) => Inside::Pdus,
                        (0x80.., Peer::Client) => Inside::Sslv2,
                        _ => Inside::Tls,
                    };
                }
                Inside::Sslv2 => return self.sslv2(input, at),
                Inside::TlsAfterPdu => {
                    self.pdus.pass(input);
                    if self.pdus.missing() > 0 {
                        return None;
                    }
                    self.inside = Inside::Tls;
                }
                Inside::TlsWithPdu | Inside::Pdus => match self.pdus.next(input)? {
                    PduStep::Pdu(pdu) => {
                        if self.inside == Inside::TlsWithPdu {
                            self.inside = Inside::TlsAfterPdu;
                        }
                        return Some(Event::Pdu(pdu));
                    }
                    PduStep::Message(message) => return Some(Event::Message(message)),
                    PduStep::NotAPdu => {
                        let stuck = core::mem::take(&mut self.pdus);
                        return self.not_tls(stuck.stuck_on(), input);
                    }
                },
                Inside::Resync => {
                    if !self.tls.seek(input) {
                        return None;
                    }
                    self.inside = Inside::Tls;
                    return Some(Event::Resynced);
                }
                Inside::Lost => {
                    self.first.note(input);
                    *input = &[];
                    return None;
                }
            }
        }
    }

    /// A record of data, when one comes next, and what is left of `input`. `None`, and nothing is taken, when [`Body::next`] is to look what comes.
    #[inline]
    pub(crate) fn application_data<'a>(&mut self, input: &'a [u8]) -> Option<(RecordHeader, &'a [u8])> {
        if self.inside == Inside::Tls { self.tls.application_data(input) } else { None }
    }

    /// Reads nothing more.
    pub(crate) fn lose(&mut self, unread: &[u8]) {
        self.first.note(unread);
        self.inside = Inside::Lost;
        self.sslv2.free();
        self.tls.unstick();
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.inside == Inside::Lost
    }

    pub(crate) fn first_bytes(&self) -> &[u8] {
        self.first.as_slice()
    }

    pub(crate) fn held(&self) -> usize {
        self.tls.held() + self.sslv2.held() + self.pdus.held()
    }

    pub(crate) fn missing(&self) -> usize {
        match self.inside {
            Inside::Tls => self.tls.missing(),
            Inside::Pdus | Inside::TlsWithPdu | Inside::TlsAfterPdu => self.pdus.missing(),
            Inside::Sslv2 => match Sslv2Hello::parse(self.sslv2.bytes()) {
                Outcome::NeedMore { at_least } => at_least,
                _ => 0,
            },
            Inside::Undecided | Inside::Resync | Inside::Lost => 0,
        }
    }

    /// It follows records, and holds nothing of a message.
    pub(crate) fn only_follows(&self) -> bool {
        matches!(self.inside, Inside::Tls | Inside::Resync)
            && self.tls.is_between_messages()
            && self.sslv2.is_empty()
            && self.pdus.is_between()
            && self.first.length == 0
    }

    pub(crate) fn pending(&self) -> Option<PendingHandshake> {
        self.tls.pending()
    }

    /// Bytes still to come of the record or PDU begun that are passed over whatever they are.
    pub(crate) fn unread_ahead(&self) -> usize {
        match self.inside {
            Inside::Tls => self.tls.unread_ahead(),
            Inside::Pdus => self.pdus.unread_ahead(),
            _ => 0,
        }
    }

    /// Passes over bytes that were not shown; false when it is no longer known where the next record begins.
    pub(crate) fn skip(&mut self, count: u64) -> bool {
        let kept = match self.inside {
            _ if count == 0 => return true,
            Inside::Tls => self.tls.skip(count),
            Inside::Pdus => self.pdus.skip(count),
            Inside::Lost => return false,
            _ => false,
        };
        if !kept {
            self.guessing = true;
            match self.inside {
                Inside::Pdus => self.lose(&[]),
                _ => {
                    self.sslv2.free();
                    self.tls.unstick();
                    self.inside = Inside::Resync;
                }
            }
        }
        kept
    }

    /// Where a record should be there is something else.
    fn no_record(&mut self, input: &mut &[u8]) -> Option<Event> {
        if self.guessing {
            // A record may begin in what was taken for a header.
            self.inside = Inside::Resync;
            return None;
        }
        let stuck = self.tls.stuck_on().to_vec();
        self.tls.unstick();
        if stuck == [TPKT_VERSION] {
            self.inside = Inside::TlsWithPdu;
            // One byte of a TPKT tells nothing yet.
            let _ = self.pdus.next(&mut &stuck[..]);
            return None;
        }
        self.not_tls(&stuck, input)
    }

    fn not_tls(&mut self, stuck: &[u8], input: &mut &[u8]) -> Option<Event> {
        self.lose(stuck);
        self.first.note(input);
        *input = &[];
        Some(Event::NotTls(self.first.bytes))
    }

    fn sslv2(&mut self, input: &mut &[u8], at: Timestamp) -> Option<Event> {
        loop {
            match Sslv2Hello::parse(self.sslv2.bytes()) {
                Outcome::Value { value, .. } => {
                    let event = Event::ClientHello {
                        facts: Box::new(ClientHelloFacts::from_sslv2(&value, at)),
                        session_id: SessionId::new(value.session_id),
                        message: Box::default(),
                    };
                    self.sslv2.free();
                    self.inside = Inside::Tls;
                    return Some(event);
                }
                Outcome::NeedMore { at_least } => {
                    let need = self.sslv2.len() + at_least;
                    if need > self.client_hello_bound {
                        self.lose(&[]);
                        return Some(Event::TooLarge {
                            message: "client_hello",
                            length: u32::try_from(need).unwrap_or(u32::MAX),
                            bound: u32::try_from(self.client_hello_bound).unwrap_or(u32::MAX),
                        });
                    }
                    if !self.sslv2.fill(input, need) {
                        return None;
                    }
                }
                Outcome::Malformed(_) => {
                    let held = core::mem::take(&mut self.sslv2);
                    return self.not_tls(held.bytes(), input);
                }
            }
        }
    }
}

/// Only when it [follows records](Body::only_follows).
impl Pack for Body {
    fn pack(&self, to: &mut Packer) {
        let Body { from, client_hello_bound, inside, tls, pdus: _, sslv2: _, first: _, guessing } = self;
        (*from, *client_hello_bound).pack(to);
        inside.pack(to);
        tls.pack(to);
        guessing.pack(to);
    }
    fn unpack(unpacker: &mut Unpacker<'_>) -> Body {
        let (from, bound) = Pack::unpack(unpacker);
        let (inside, tls, guessing) = (Pack::unpack(unpacker), Pack::unpack(unpacker), Pack::unpack(unpacker));
        Body { inside, tls, guessing, ..Body::new(from, bound) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] = &[23, 3, 3, 0, 2, 1, 2];

    #[test]
    fn what_looks_like_a_record_is_none_until_boundaries_are_found_again() {
        let mut body = Body::new(Peer::Host, 1 << 16);
        assert!(body.application_data(RECORD).is_none(), "the first byte decides what it is");
        let mut input = RECORD;
        assert!(matches!(body.next(&mut input, Timestamp(0)), Some(Event::Record(_))));
        assert!(body.application_data(RECORD).is_some());
        assert!(!body.skip(3), "it is not known what passed");
        assert!(body.application_data(RECORD).is_none());
    }
}
