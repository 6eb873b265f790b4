//! The TLS part of one direction: every record by its header, handshake messages and alerts while they are in clear.

use super::handshake::{HandshakeJoiner, Joined};
use super::records::RecordReader;
use super::{Event, PendingHandshake};
use crate::Timestamp;
use crate::pack::{pack_fields, pack_variants};
use crate::session::{CertificateFacts, ClientHelloFacts, Peer, ServerHelloFacts};
use crate::wire::{
    Alert, CertificateChain, CipherSuite, ClientHello, ContentType, HandshakeHeader, HandshakeType, Malformed, Outcome,
    RecordHeader, ServerHello, ServerKeyExchange, SessionId, TlsVersion,
};

/// Longest handshake message that is held, apart from the ClientHello whose bound is configured. TLS stacks refuse
/// messages above 64 KiB, and the longest real one, a Certificate, has a few KiB.
pub(crate) const HANDSHAKE_MAX: usize = 64 * 1024;

/// Bytes that tell a clear hello after a ChangeCipherSpec: type, length, and `legacy_version`.
const PEEK: usize = 6;

/// Reads the records of one direction.
#[derive(Clone, Debug)]
pub(crate) struct TlsReader {
    records: RecordReader,
    joiner: HandshakeJoiner,
    inside: Inside,
    record: RecordHeader,
    peeked: [u8; PEEK],
    peeked_len: u8,
    /// Version of the record in which the message being joined began.
    first_version: TlsVersion,
    meaning: Meaning,
    client_hello_bound: usize,
}

/// How the body of the current record is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// Not looked at.
    Opaque,
    /// Clear handshake.
    Handshake,
    /// A clear alert: two bytes.
    Alert,
    /// Handshake after a ChangeCipherSpec: encrypted, unless its first bytes are those of a hello.
    Peek,
}

/// What a message means depends on what came before it.
#[derive(Clone, Copy, Debug)]
struct Meaning {
    from: Peer,
    change_cipher_spec: bool,
    hello_retry: bool,
    suite: CipherSuite,
}

pack_fields!(TlsReader {
    records,
    joiner,
    inside,
    record,
    peeked,
    peeked_len,
    first_version,
    meaning,
    client_hello_bound,
});
pack_fields!(Meaning { from, change_cipher_spec, hello_retry, suite });
pack_fields!(RecordHeader { content_type, version, length });
pack_variants!(Inside { Opaque, Handshake, Alert, Peek });

/// What the reader made of its input.
#[derive(Debug)]
pub(crate) enum TlsStep {
    /// Something to tell.
    Event(Event),
    /// No record begins here: see [`TlsReader::stuck_on`].
    NotARecord,
}

impl TlsReader {
    pub(crate) fn new(from: Peer, client_hello_bound: usize) -> TlsReader {
        TlsReader {
            records: RecordReader::default(),
            joiner: HandshakeJoiner::new(),
            inside: Inside::Opaque,
            record: RecordHeader::default(),
            peeked: [0; PEEK],
            peeked_len: 0,
            first_version: TlsVersion::default(),
            meaning: Meaning { from, change_cipher_spec: false, hello_retry: false, suite: CipherSuite(0) },
            client_hello_bound,
        }
    }

    /// The next step; `None` when `input` is used up.
    #[inline]
    pub(crate) fn next(&mut self, input: &mut &[u8], at: Timestamp) -> Option<TlsStep> {
        loop {
            let body = self.records.body(input);
            if body.is_empty() {
                self.joiner.release();
                if input.is_empty() {
                    return None;
                }
                let header = match self.records.header(input)? {
                    Ok(header) => header,
                    Err(_) => return Some(TlsStep::NotARecord),
                };
                self.begin(header);
                if self.inside == Inside::Opaque {
                    // Most of a session: the body is passed over in the same step.
                    let passed = self.records.body(input).len();
                    self.records.advance(input, passed);
                }
                return Some(TlsStep::Event(Event::Record(header)));
            }
            let before = body.len();
            let mut piece = body;
            let event = match self.inside {
                Inside::Opaque => {
                    piece = &[];
                    None
                }
                Inside::Handshake => self.handshake(&mut piece, at),
                Inside::Alert => self.alert(&mut piece),
                Inside::Peek => self.peek(&mut piece, at),
            };
            let used = before - piece.len();
            self.records.advance(input, used);
            if let Some(event) = event {
                return Some(TlsStep::Event(event));
            }
        }
    }

    /// A record of data, when one comes next: most of a session, and none of it is looked into. Says the same as
    /// [`TlsReader::next`] would, in a tenth of the time.
    #[inline]
    pub(crate) fn application_data<'a>(&mut self, input: &'a [u8]) -> Option<(RecordHeader, &'a [u8])> {
        if self.inside != Inside::Opaque {
            return None;
        }
        let (header, rest) = self.records.application_data(input)?;
        self.record = header;
        self.peeked_len = 0;
        Some((header, rest))
    }

    /// Heap bytes held.
    pub(crate) fn held(&self) -> usize {
        self.joiner.held()
    }

    /// No handshake message has begun.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.joiner.is_between()
    }

    pub(crate) fn missing(&self) -> usize {
        self.records.missing()
    }

    pub(crate) fn pending(&self) -> Option<PendingHandshake> {
        self.joiner.pending()
    }

    pub(crate) fn stuck_on(&self) -> &[u8] {
        self.records.stuck_on()
    }

    /// Forgets the header that was begun: the bytes were something else.
    pub(crate) fn unstick(&mut self) {
        self.records.reset();
        self.joiner.clear();
    }

    /// Bytes still to come of a record that is not looked into.
    pub(crate) fn unread_ahead(&self) -> usize {
        if self.inside == Inside::Opaque { self.records.body_ahead() } else { 0 }
    }

    pub(crate) fn skip(&mut self, count: u64) -> bool {
        self.inside = Inside::Opaque;
        self.joiner.clear();
        self.records.skip(count)
    }

    /// Looks for where a record begins, of the version of the last one: all later ones share it.
    pub(crate) fn seek(&mut self, input: &mut &[u8]) -> bool {
        self.joiner.clear();
        self.records.seek(self.record.version, input)
    }

    fn begin(&mut self, header: RecordHeader) {
        self.record = header;
        self.peeked_len = 0;
        self.inside = match header.content_type {
            ContentType::HANDSHAKE if self.meaning.change_cipher_spec => Inside::Peek,
            ContentType::HANDSHAKE => Inside::Handshake,
            ContentType::ALERT if header.length == 2 => Inside::Alert,
            _ => Inside::Opaque,
        };
        if self.inside == Inside::Handshake {
            self.joiner.record_begins();
        }
        if header.content_type == ContentType::CHANGE_CIPHER_SPEC {
            self.meaning.change_cipher_spec = true;
        }
    }

    fn handshake(&mut self, piece: &mut &[u8], at: Timestamp) -> Option<Event> {
        let client_hello_bound = self.client_hello_bound;
        let bound = |header: HandshakeHeader| match header.kind {
            HandshakeType::CLIENT_HELLO => client_hello_bound,
            _ => HANDSHAKE_MAX,
        };
        self.joiner.release();
        if self.joiner.is_between() {
            self.first_version = self.record.version;
        }
        let whole: &[u8] = piece;
        let (joined, used) = self.joiner.next(whole, bound);
        *piece = &whole[used..];
        match joined {
            Joined::Message(message, records) => Some(self.meaning.of(message, self.first_version, records, at)),
            Joined::TooLarge(header) => Some(Event::TooLarge {
                message: header.kind.name().unwrap_or("handshake message"),
                length: header.total(),
                bound: u32::try_from(bound(header)).unwrap_or(u32::MAX),
            }),
            Joined::More => None,
        }
    }

    fn alert(&mut self, piece: &mut &[u8]) -> Option<Event> {
        self.take(piece, 2);
        let alert = Alert::parse(&self.peeked[..usize::from(self.peeked_len)]).value()?;
        Some(Event::Alert { level: alert.level, description: alert.description, record_version: self.record.version })
    }

    /// Handshake after a ChangeCipherSpec is encrypted, with one exception: after a HelloRetryRequest a TLS 1.3 peer sends
    /// a ChangeCipherSpec and then its hello in clear (RFC 8446 D.4). Six bytes tell.
    fn peek(&mut self, piece: &mut &[u8], at: Timestamp) -> Option<Event> {
        self.take(piece, PEEK);
        if usize::from(self.peeked_len) < PEEK {
            return None;
        }
        let kind = match self.meaning.from {
            Peer::Client => HandshakeType::CLIENT_HELLO,
            Peer::Host => HandshakeType::SERVER_HELLO,
        };
        let [first, 0, _, _, 0x03, 0x03] = self.peeked else {
            self.inside = Inside::Opaque;
            return None;
        };
        if first != kind.0 {
            self.inside = Inside::Opaque;
            return None;
        }
        self.inside = Inside::Handshake;
        self.joiner.clear();
        self.first_version = self.record.version;
        // Six bytes are never a whole hello, so this holds them and tells nothing yet, unless the hello is too large.
        let peeked = self.peeked;
        self.joiner.record_begins();
        self.handshake(&mut &peeked[..], at)
    }

    fn take(&mut self, piece: &mut &[u8], up_to: usize) {
        while usize::from(self.peeked_len) < up_to
            && let Some((byte, rest)) = piece.split_first()
        {
            self.peeked[usize::from(self.peeked_len)] = *byte;
            self.peeked_len += 1;
            *piece = rest;
        }
        if up_to == 2 {
            // The record ends here by its length.
            *piece = &[];
        }
    }
}

impl Meaning {
    fn of(&mut self, message: &[u8], record_version: TlsVersion, records: u16, at: Timestamp) -> Event {
        let header = HandshakeHeader::parse(message).value().unwrap_or_default();
        let read =
            match (self.from, header.kind) {
                (Peer::Client, HandshakeType::CLIENT_HELLO) => client_hello(message, record_version, records, at),
                (Peer::Host, HandshakeType::SERVER_HELLO) => self.server_hello(message, at),
                (Peer::Host, HandshakeType::CERTIFICATE) => CertificateChain::parse(message)
                    .map(|chain| Event::Certificate(Box::new(CertificateFacts::from_chain(&chain)))),
                (Peer::Host, HandshakeType::SERVER_KEY_EXCHANGE) => ServerKeyExchange::parse(message, self.suite).map(
                    |ServerKeyExchange { group, dh_bits, signature }| Event::KeyExchange { group, dh_bits, signature },
                ),
                (Peer::Host, HandshakeType::CERTIFICATE_REQUEST) => plain(Event::CertificateRequest),
                (Peer::Host, HandshakeType::SERVER_HELLO_DONE) => plain(Event::ServerHelloDone),
                (_, kind) => plain(Event::Handshake { kind, length: header.total() }),
            };
        let malformed = |offset, expected| Event::Malformed {
            message: header.kind.name().unwrap_or("handshake message"),
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
            expected,
            fatal: false,
        };
        match read {
            Outcome::Value { value, .. } => value,
            Outcome::NeedMore { .. } => malformed(message.len(), "more bytes"),
            Outcome::Malformed(Malformed { offset, expected }) => malformed(offset, expected),
        }
    }

    fn server_hello(&mut self, message: &[u8], at: Timestamp) -> Outcome<Event> {
        ServerHello::parse(message).map(|hello| {
            if hello.is_hello_retry() {
                self.hello_retry = true;
                return Event::HelloRetryRequest { version: hello.version(), suite: hello.suite, group: hello.group() };
            }
            self.suite = hello.suite;
            let facts = Box::new(ServerHelloFacts::from_hello(&hello, at, self.hello_retry));
            Event::ServerHello { facts, session_id: SessionId::new(hello.session_id) }
        })
    }
}

fn client_hello(message: &[u8], record_version: TlsVersion, records: u16, at: Timestamp) -> Outcome<Event> {
    ClientHello::parse(message).map(|hello| Event::ClientHello {
        facts: Box::new(ClientHelloFacts::from_hello(&hello, at, record_version, records)),
        session_id: SessionId::new(hello.session_id),
        message: if message.len() <= ClientHelloFacts::REPLAYED_MAX { message.into() } else { Box::default() },
    })
}

fn plain(event: Event) -> Outcome<Event> {
    Outcome::Value { value: event, consumed: 0 }
}
