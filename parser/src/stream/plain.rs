//! What is inside of TLS, where a bridge reads it: CredSSP without a frame, then TPKT and fast-path PDUs.

use super::Event;
use super::pdus::{PduReader, PduStep};
use super::ts_requests::{TsReader, TsStep};
use crate::session::Peer;
use crate::wire::{EARLY_USER_AUTH_BYTES, EarlyUserAuth, TPKT_VERSION};

/// SEQUENCE. The same byte begins a fast-path PDU once the first TPKT has come, but none does before.
const TS_REQUEST: u8 = 0x30;

/// One direction of the plaintext.
#[derive(Clone, Debug)]
pub struct PlainStream {
    from: Peer,
    inside: Inside,
    requests: TsReader,
    pdus: PduReader,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// CredSSP, what follows it, or the first TPKT: the first byte of each message decides.
    Opening,
    /// Early User Authorization Result, of which so many bytes came.
    EarlyUserAuth { bytes: [u8; EARLY_USER_AUTH_BYTES], have: u8 },
    /// TPKT and fast-path PDUs to the end.
    Pdus,
    /// Nothing more is read.
    Lost,
}

impl PlainStream {
    /// What `from` says from the end of the TLS handshake on.
    #[must_use]
    pub fn new(from: Peer) -> PlainStream {
        PlainStream { from, inside: Inside::Opening, requests: TsReader::default(), pdus: PduReader::default() }
    }

    /// The next event, and takes its bytes from the front of `input`; `None` when all of `input` is taken.
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Event> {
        loop {
            match &mut self.inside {
                Inside::Opening if self.requests.is_within() => return self.request(input),
                Inside::Opening => match (*input.first()?, self.from) {
                    (TS_REQUEST, _) => return self.request(input),
                    (TPKT_VERSION, _) => self.inside = Inside::Pdus,
                    // Results below 256, the two that are published among them; none begins like what else may come.
                    (_, Peer::Host) => self.inside = Inside::EarlyUserAuth { bytes: [0; 4], have: 0 },
                    (_, Peer::Client) => return Some(self.lose("CredSSP or MCS", input)),
                },
                Inside::EarlyUserAuth { bytes, have } => {
                    let (byte, rest) = input.split_first()?;
                    bytes[usize::from(*have)] = *byte;
                    *have += 1;
                    *input = rest;
                    if usize::from(*have) == EARLY_USER_AUTH_BYTES {
                        let result = EarlyUserAuth(u32::from_le_bytes(*bytes));
                        if result.0 > u32::from(u8::MAX) {
                            return Some(self.lose("CredSSP, MCS or an authorization result", input));
                        }
                        self.inside = Inside::Opening;
                        return Some(Event::EarlyUserAuth(result));
                    }
                }
                Inside::Pdus => {
                    return match self.pdus.next(input)? {
                        PduStep::Pdu(pdu) => Some(Event::Pdu(pdu)),
                        PduStep::Message(message) => Some(Event::Message(message)),
                        PduStep::NotAPdu => Some(self.lose("TPKT or fast-path PDU", input)),
                    };
                }
                Inside::Lost => {
                    *input = &[];
                    return None;
                }
            }
        }
    }

    /// The session itself is on this MCS channel.
    pub fn io_channel(&mut self, channel: u16) {
        self.pdus.io_channel(channel);
    }

    /// Heap bytes held now.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.pdus.held()
    }

    /// Bytes still to come of the message that has begun, as far as is known; 0 on a boundary.
    #[must_use]
    pub fn missing(&self) -> usize {
        match self.inside {
            Inside::Opening => usize::from(self.requests.is_within()),
            Inside::EarlyUserAuth { have, .. } => EARLY_USER_AUTH_BYTES - usize::from(have),
            Inside::Pdus => self.pdus.missing(),
            Inside::Lost => 0,
        }
    }

    /// Nothing more is read.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.inside == Inside::Lost
    }

    fn request(&mut self, input: &mut &[u8]) -> Option<Event> {
        match self.requests.next(input)? {
            TsStep::Request(shape) => Some(Event::TsRequest(shape)),
            TsStep::Malformed => Some(self.lose("TSRequest", input)),
        }
    }

    /// No byte of what was not understood is kept: credentials may be among them.
    fn lose(&mut self, expected: &'static str, input: &mut &[u8]) -> Event {
        self.inside = Inside::Lost;
        self.pdus = PduReader::default();
        *input = &[];
        Event::Malformed { message: "plaintext", offset: 0, expected, fatal: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DisconnectReason, PduKind, ntlm_negotiate, ts_request};

    fn events(from: Peer, bytes: &[u8], size: usize) -> Vec<Event> {
        let mut stream = PlainStream::new(from);
        let mut events = Vec::new();
        for chunk in bytes.chunks(size) {
            let mut input = chunk;
            while let Some(event) = stream.next(&mut input) {
                events.push(event);
            }
            assert!(input.is_empty());
        }
        events
    }

    #[test]
    fn a_sequence_is_credssp_before_the_first_tpkt_and_fast_path_after_it() {
        let ultimatum = [3, 0, 0, 9, 2, 0xf0, 0x80, 0x21, 0x80];
        let bytes = [&ts_request(&ntlm_negotiate())[..], &ultimatum, &[0x30, 4, 0, 0], &ultimatum].concat();
        for size in 1..=bytes.len() {
            let kinds: Vec<Option<PduKind>> = events(Peer::Client, &bytes, size)
                .into_iter()
                .map(|event| if let Event::Pdu(pdu) = event { Some(pdu.kind) } else { None })
                .collect();
            let ultimatum = Some(PduKind::Ultimatum(DisconnectReason(3)));
            assert_eq!(kinds, [None, ultimatum, Some(PduKind::FastPath { encrypted: false }), ultimatum]);
        }
    }

    #[test]
    fn the_hosts_four_bytes_stand_between_credssp_and_mcs() {
        for (bytes, expected) in [([5, 0, 0, 0], EarlyUserAuth::ACCESS_DENIED), ([0; 4], EarlyUserAuth::SUCCESS)] {
            let stream = [&ts_request(&[1; 50])[..], &bytes, &[3, 0, 0, 9, 2, 0xf0, 0x80, 0x21, 0x80]].concat();
            for size in 1..=stream.len() {
                let events = events(Peer::Host, &stream, size);
                assert!(events.len() == 3 && events[1] == Event::EarlyUserAuth(expected), "{events:?}");
            }
        }
    }

    #[test]
    fn other_bytes_are_not_looked_at_twice() {
        for (from, bytes) in
            [(Peer::Client, &b"GET / HTTP"[..]), (Peer::Host, b"HTTP/1.1 "), (Peer::Host, &[1, 0, 1, 0])]
        {
            let events = events(from, bytes, 2);
            assert!(matches!(events[..], [Event::Malformed { fatal: true, .. }]), "{events:?}");
        }
    }
}
