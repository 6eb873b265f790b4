//! What of an opening may be shown. Lengths stay; what may not be shown becomes zeros.
//!
//! Only what is understood is kept, so a message that nobody thought of is not shown either:
//!
//! * preconnection blob, Connection Request (its user name as the events have it) and the answer to it: whole;
//! * TLS records: whole, since after the handshake they are sealed, but for suites without encryption. In the handshake
//!   the tickets of earlier sessions and, where user names are not shown, the client's certificate are left out;
//! * clear RDP PDUs (standard RDP security): MCS whole; of data on a channel the headers that say what it is, and the
//!   numbers that say why a session ended, as far as the diagnosis reads them. A Client Info holds a password, in clear
//!   when the host encrypts nothing, and its small keys can be broken later;
//! * clear HTTP of a gateway client: the words that tell it, never its headers;
//! * anything else: its first sixteen bytes, which events quote too.

pub(crate) use inside::inside;

use super::tape::Wire;
use crate::record::Names;
use parser::session::{Answer, Peer, Timeline};
use parser::wire::tls::RECORD_HEADER;
use parser::wire::{
    CipherSuite, ClientHello, ContentType, ExtensionType, FastPath, FirstBytes, HandshakeType, Outcome, PduKind,
    Preconnection, Protocols, RecordHeader, ServerHello, TPKT_VERSION, Tpkt, pdu_kind,
};
use std::ops::Range;

/// As many bytes of what is not understood are in events too.
const QUOTED: usize = 16;
/// `Cookie: mstshash=`, whatever stands before it. [MS-RDPBCGR] 2.2.1.1
const USER_NAME: &[u8] = b"mstshash=";
/// X.224 Data inside of TPKT. [MS-RDPBCGR] 2.2.1.1
const DATA_TPDU: usize = 4 + 3;
/// The same, and the MCS header of data on a channel without its length. ITU-T T.125 7
const SEND_DATA: usize = DATA_TPDU + 6;
/// NewSessionTicket and Certificate. RFC 8446 4
const NEW_SESSION_TICKET: u8 = 4;
const CERTIFICATE: u8 = 11;

/// Leaves of both directions of a leg what may be shown. `client` is what came from the client's side.
pub(crate) fn mask(wire: &mut Wire, timeline: &Timeline, names: &Names) {
    let clear = matches!(timeline.answer, Some(Answer::Plain | Answer::Selected { protocol: Protocols::RDP, .. }));
    // A name that is known, and does not say otherwise.
    let sealed = suite(&wire.host).is_some_and(|suite| {
        suite.name().is_some_and(|name| !name.contains("NULL")) && !matches!(suite.0, 0xc0b4 | 0xc0b5)
    });
    let scan = |bytes| Scan { bytes, at: 0, clear, sealed, quoted: QUOTED };
    scan(&mut wire.client).client(names);
    scan(&mut wire.host).body(Peer::Host, names);
}

/// The suite that the host's side of a leg has chosen: each leg of a bridge has its own. `None` without a ServerHello, and
/// where one is cut into pieces too small to tell.
fn suite(host: &[u8]) -> Option<CipherSuite> {
    let mut rest = host;
    let mut hello = Vec::new();
    while let Some(first) = rest.first() {
        let length = if *first == TPKT_VERSION {
            usize::from(Tpkt::parse(rest).value()?.length)
        } else {
            let header = RecordHeader::parse(rest).value()?;
            let end = RECORD_HEADER + usize::from(header.length);
            if header.content_type == ContentType::HANDSHAKE {
                hello.extend_from_slice(rest.get(RECORD_HEADER..end.min(rest.len()))?);
                match ServerHello::parse(&hello) {
                    Outcome::Value { value, .. } => return Some(value.suite),
                    Outcome::NeedMore { .. } => {}
                    Outcome::Malformed(_) => return None,
                }
            }
            end
        };
        rest = rest.get(length.max(1)..)?;
    }
    None
}

/// What is understood of one direction, from its beginning.
struct Scan<'b> {
    bytes: &'b mut [u8],
    at: usize,
    /// Standard RDP security was chosen.
    clear: bool,
    /// Application data are encrypted.
    sealed: bool,
    /// As much of what is not understood is shown.
    quoted: usize,
}

impl Scan<'_> {
    fn client(&mut self, names: &Names) {
        if FirstBytes::of(self.rest()).value() == Some(FirstBytes::Preconnection)
            && let Outcome::Value { consumed, .. } = Preconnection::parse(self.rest())
        {
            self.at += consumed;
        }
        match FirstBytes::of(self.rest()).value() {
            Some(FirstBytes::Tpkt) => {
                let end = match Tpkt::parse(self.rest()) {
                    Outcome::Value { value, .. } => self.at + usize::from(value.length),
                    _ => self.bytes.len(),
                };
                let end = end.min(self.bytes.len());
                rename(&mut self.bytes[self.at..end], names);
                self.at = end;
                self.body(Peer::Client, names);
            }
            Some(FirstBytes::Tls) => self.body(Peer::Client, names),
            Some(FirstBytes::Sslv2Hello) => {
                let length = self.rest().get(..2).map_or(0, |b| usize::from(u16::from_be_bytes([b[0] & 0x7f, b[1]])));
                self.at = (self.at + 2 + length).min(self.bytes.len());
                self.body(Peer::Client, names);
            }
            Some(FirstBytes::GatewayHttp) => {
                // The fewest bytes that tell it: a request word and its path, both constant.
                let told = |end: &usize| FirstBytes::of(&self.rest()[..*end]).value().is_some();
                let end = (0..=self.rest().len()).find(told).unwrap_or(0);
                self.at += end;
                self.hide_rest();
            }
            Some(FirstBytes::Preconnection | FirstBytes::Unknown) | None => self.give_up(),
        }
    }

    /// TLS records or clear PDUs, until something else comes.
    fn body(&mut self, from: Peer, names: &Names) {
        let mut handshake = Handshake::default();
        // Once it was TLS no clear PDU is taken for a record, nor the other way round.
        let mut tls = false;
        while self.at < self.bytes.len() {
            let rest = &self.bytes[self.at..];
            if rest[0] == TPKT_VERSION || self.clear && !tls && !begins_tls(rest) {
                if !self.pdu() {
                    break;
                }
            } else {
                match RecordHeader::parse(rest) {
                    Outcome::Value { value, consumed } => {
                        tls = true;
                        self.record(value, consumed, &mut handshake);
                    }
                    Outcome::NeedMore { .. } => break,
                    Outcome::Malformed(_) => {
                        handshake.hide_secrets(self.bytes, from, names);
                        return self.give_up();
                    }
                }
            }
        }
        handshake.hide_secrets(self.bytes, from, names);
    }

    fn record(&mut self, header: RecordHeader, consumed: usize, handshake: &mut Handshake) {
        let begin = self.at + consumed;
        let end = self.end_of(consumed + usize::from(header.length));
        match header.content_type {
            ContentType::HANDSHAKE => handshake.record(begin.min(end)..end),
            ContentType::CHANGE_CIPHER_SPEC => handshake.sealed = true,
            ContentType::APPLICATION_DATA if !self.sealed => self.hide(begin..end),
            _ => {}
        }
        self.at = end;
    }

    /// The TPKT or the fast-path PDU that begins here. False when there is none, or too little of one to tell.
    fn pdu(&mut self) -> bool {
        let rest = &self.bytes[self.at..];
        let found = match rest.first() {
            Some(&TPKT_VERSION) => Tpkt::parse(rest).map(|tpkt| (usize::from(tpkt.length), None)),
            _ => FastPath::parse(rest).map(|pdu| (usize::from(pdu.length), Some(pdu))),
        };
        match found {
            Outcome::Value { value: (length, None), .. } => self.tpkt(length),
            Outcome::Value { value: (length, Some(_)), consumed } => {
                let end = self.end_of(length);
                self.hide(self.at + consumed..end);
                self.at = end;
            }
            Outcome::NeedMore { .. } => return false,
            Outcome::Malformed(_) => {
                self.give_up();
                return false;
            }
        }
        true
    }

    /// A TPKT of `length` bytes.
    fn tpkt(&mut self, length: usize) {
        let end = self.end_of(length);
        let pdu = &self.bytes[self.at..end];
        let shown = match pdu_kind(pdu) {
            PduKind::ConnectInitial
            | PduKind::ConnectResponse
            | PduKind::ErectDomain
            | PduKind::AttachUserRequest
            | PduKind::AttachUserConfirm(_)
            | PduKind::ChannelJoinRequest
            | PduKind::ChannelJoinConfirm(_)
            | PduKind::Ultimatum(_) => pdu.len(),
            kind @ (PduKind::SendDataRequest(data) | PduKind::SendDataIndication(data)) => {
                let from = if matches!(kind, PduKind::SendDataRequest(_)) { Peer::Client } else { Peer::Host };
                let length = if pdu.get(SEND_DATA).is_some_and(|first| first & 0x80 != 0) { 2 } else { 1 };
                let begin = (self.at + SEND_DATA + length).min(end);
                channel::mask(&mut self.bytes[begin..end], from, data);
                self.at = end;
                return;
            }
            // The answer to a Connection Request; a second request has no place, and none has anything but its code.
            PduKind::Tpdu(0xd0) => pdu.len(),
            // Its headers, in any case.
            PduKind::Tpdu(_) | PduKind::Domain(_) | PduKind::FastPath { .. } => self.quoted.max(DATA_TPDU),
        };
        self.hide((self.at + shown).min(end)..end);
        self.at = end;
    }

    /// What follows is not understood.
    fn give_up(&mut self) {
        self.at = (self.at + self.quoted).min(self.bytes.len());
        self.hide_rest();
    }

    fn hide_rest(&mut self) {
        self.hide(self.at..self.bytes.len());
        self.at = self.bytes.len();
    }

    fn hide(&mut self, range: Range<usize>) {
        if let Some(bytes) = self.bytes.get_mut(range) {
            bytes.fill(0);
        }
    }

    fn end_of(&self, length: usize) -> usize {
        // A length of nothing would be met for ever.
        (self.at + length.max(1)).min(self.bytes.len())
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }
}

/// A client may start TLS although the host chose standard RDP security, and be answered so: a handshake or an alert, whose
/// first byte begins no fast-path PDU. [MS-RDPBCGR] 2.2.8.1.2, 2.2.9.1.2
fn begins_tls(bytes: &[u8]) -> bool {
    let header = RecordHeader::parse(bytes).value();
    header.is_some_and(|header| matches!(header.content_type, ContentType::HANDSHAKE | ContentType::ALERT))
}

/// Puts in the place of every user name what may be written of it.
fn rename(request: &mut [u8], names: &Names) {
    let mut at = 0;
    while let Some(found) = request[at..].windows(USER_NAME.len()).position(|w| w.eq_ignore_ascii_case(USER_NAME)) {
        let begin = at + found + USER_NAME.len();
        let length = request[begin..].windows(2).position(|pair| pair == b"\r\n");
        let end = length.map_or(request.len(), |length| begin + length);
        let name = String::from_utf8_lossy(&request[begin..end]).into_owned();
        names.overwrite(&name, &mut request[begin..end]);
        at = end;
    }
}

/// The clear handshake messages of one direction, which records may cut anywhere.
#[derive(Default)]
struct Handshake {
    /// Where they are.
    pieces: Vec<Range<usize>>,
    /// Records that came after a ChangeCipherSpec: sealed, or the second hello of TLS 1.3. RFC 8446 D.4
    later: Vec<Range<usize>>,
    sealed: bool,
}

impl Handshake {
    fn record(&mut self, body: Range<usize>) {
        if self.sealed { self.later.push(body) } else { self.pieces.push(body) }
    }

    fn hide_secrets(&self, bytes: &mut [u8], from: Peer, names: &Names) {
        hide_in(&self.pieces, bytes, from, names);
        for record in &self.later {
            let hello = bytes.get(record.clone()).is_some_and(|body| ClientHello::parse(body).value().is_some());
            if hello && from == Peer::Client {
                hide_in(std::slice::from_ref(record), bytes, from, names);
            }
        }
    }
}

fn hide_in(pieces: &[Range<usize>], bytes: &mut [u8], from: Peer, names: &Names) {
    let whole: Vec<u8> = pieces.iter().flat_map(|piece| bytes[piece.clone()].to_vec()).collect();
    let mut hidden: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while let Some([kind, a, b, c, ..]) = whole.get(at..) {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let end = (at + 4 + length).min(whole.len());
        let message = &whole[at..end];
        match (from, *kind) {
            (Peer::Client, kind) if HandshakeType(kind) == HandshakeType::CLIENT_HELLO => {
                hidden.extend(tickets(message).into_iter().map(|range| at + range.start..at + range.end));
            }
            // Lifetime (4) and length (2) stay. RFC 5077 3.3
            (Peer::Host, NEW_SESSION_TICKET) => hidden.push((at + 10).min(end)..end),
            // The lengths of the list and of its first certificate stay.
            (Peer::Client, CERTIFICATE) if !names.are_plain() => hidden.push((at + 10).min(end)..end),
            _ => {}
        }
        at = end;
    }
    // From a place in the messages to one in the stream.
    let mut begin = 0;
    for piece in pieces {
        for range in &hidden {
            let (from, to) = (range.start.max(begin), range.end.min(begin + piece.len()));
            if from < to {
                bytes[piece.start + from - begin..piece.start + to - begin].fill(0);
            }
        }
        begin += piece.len();
    }
}

/// Where in a ClientHello the ticket of an earlier session stands, or the identities of TLS 1.3.
fn tickets(message: &[u8]) -> Vec<Range<usize>> {
    let Some(hello) = ClientHello::parse(message).value() else { return Vec::new() };
    let mut hidden = Vec::new();
    for (kind, data) in hello.extensions() {
        // Extensions are slices of the message.
        let at = data.as_ptr().addr() - message.as_ptr().addr();
        match kind {
            ExtensionType::SESSION_TICKET => hidden.push(at..at + data.len()),
            ExtensionType::PRE_SHARED_KEY => {
                hidden.extend(identities(data).into_iter().map(|range| at + range.start..at + range.end));
            }
            _ => {}
        }
    }
    hidden
}

/// Each identity has a length (2) before it and an age (4) after it; binders follow the list. RFC 8446 4.2.11
fn identities(data: &[u8]) -> Vec<Range<usize>> {
    let length = |at: usize| data.get(at..at + 2).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]])));
    let Some(list) = length(0) else { return Vec::new() };
    let end = (2 + list).min(data.len());
    let (mut at, mut found) = (2, Vec::new());
    while at < end {
        let Some(identity) = length(at) else { break };
        let after = (at + 2 + identity).min(data.len());
        found.push(at + 2..after.max(at + 2));
        at = after + 4;
    }
    found
}

mod channel;
mod inside;
#[cfg(test)]
mod tests;
