//! Follows clear TPKT and fast-path PDUs: of each as many bytes are looked at as tell what matters of it, and none is kept.

use super::buffer::Buffer;
use crate::wire::{ClearPdu, FastPath, Found, Message, Outcome, PDU_PREFIX, PduKind, Tpkt, message, pdu_kind};

/// The channel of the session itself on every known host; Connect Response names it. [MS-RDPBCGR] 2.2.1.4.4
const IO_CHANNEL: u16 = 1003;

/// What comes next in a stream of clear PDUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PduStep {
    /// A PDU, told by its first bytes.
    Pdu(ClearPdu),
    /// What the PDU told last says beyond its kind.
    Message(Message),
    /// No PDU begins here; the bytes that tell are in [`PduReader::stuck_on`].
    NotAPdu,
}

/// Finds the PDUs in a stream of any chunking.
#[derive(Clone, Debug)]
pub(crate) struct PduReader {
    prefix: [u8; PDU_PREFIX],
    have: u8,
    /// Bytes still to come of the PDU that was told.
    remaining: u16,
    reading: Option<Reading>,
    io_channel: u16,
}

/// A PDU that was told, and whose messages are being looked for.
#[derive(Clone, Debug)]
struct Reading {
    pdu: ClearPdu,
    /// Where the next message begins; 0 for the first.
    at: usize,
    /// Its first bytes: 4 KiB at the most, mostly some 40.
    held: Buffer,
    /// So many of them are looked at, and no fewer: what is told must not depend on how the bytes came.
    wanted: u16,
}

impl Default for PduReader {
    fn default() -> PduReader {
        PduReader { prefix: [0; PDU_PREFIX], have: 0, remaining: 0, reading: None, io_channel: IO_CHANNEL }
    }
}

impl PduReader {
    /// Nothing was read yet, or a PDU has just ended of which nothing is kept.
    pub(crate) fn is_between(&self) -> bool {
        self.have == 0 && self.remaining == 0 && self.reading.is_none() && self.io_channel == IO_CHANNEL
    }

    /// The next step; `None` when `input` is used up.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Option<PduStep> {
        while let Some(reading) = &mut self.reading {
            let before = input.len();
            let filled = reading.held.fill(input, usize::from(reading.wanted));
            self.remaining -= (before - input.len()) as u16;
            if !filled {
                return None;
            }
            let held = reading.held.bytes();
            match message(reading.pdu, held, reading.at, self.io_channel) {
                Found::Message(message, next) => {
                    reading.at = next;
                    return Some(PduStep::Message(message));
                }
                // A PDU that is shorter than what it announces has no more to say. (Its length has 16 bits.)
                Found::More(needed) if needed - held.len() <= usize::from(self.remaining) => {
                    reading.wanted = needed as u16;
                }
                Found::More(_) | Found::Nothing => self.reading = None,
            }
        }
        self.pass(input);
        loop {
            let prefix = &self.prefix[..usize::from(self.have)];
            match told(prefix) {
                Told::Pdu(pdu) => {
                    self.remaining = pdu.length.saturating_sub(u16::from(self.have));
                    self.begin(pdu);
                    self.have = 0;
                    return Some(PduStep::Pdu(pdu));
                }
                Told::NotAPdu => return Some(PduStep::NotAPdu),
                Told::More => {
                    let (byte, rest) = input.split_first()?;
                    self.prefix[usize::from(self.have)] = *byte;
                    self.have += 1;
                    *input = rest;
                }
            }
        }
    }

    /// Bytes taken that do not begin a PDU (or not yet).
    pub(crate) fn stuck_on(&self) -> &[u8] {
        &self.prefix[..usize::from(self.have)]
    }

    /// Passes over the rest of a PDU that was told.
    pub(crate) fn pass(&mut self, input: &mut &[u8]) {
        self.reading = None;
        let passed = usize::from(self.remaining).min(input.len());
        self.remaining -= passed as u16;
        *input = &input[passed..];
    }

    /// The session itself is on this channel.
    pub(crate) fn io_channel(&mut self, channel: u16) {
        self.io_channel = channel;
    }

    /// Heap bytes held now.
    pub(crate) fn held(&self) -> usize {
        self.reading.as_ref().map_or(0, |reading| reading.held.held())
    }

    /// Bytes still to come of the PDU begun, as far as is known; 0 between PDUs.
    pub(crate) fn missing(&self) -> usize {
        match self.have {
            0 => usize::from(self.remaining),
            have => match Tpkt::parse(self.stuck_on()) {
                Outcome::Value { value, .. } => usize::from(value.length).saturating_sub(usize::from(have)),
                _ => 1,
            },
        }
    }

    /// Bytes still to come of a PDU of which nothing more is read.
    pub(crate) fn unread_ahead(&self) -> usize {
        if self.have == 0 && self.reading.is_none() { usize::from(self.remaining) } else { 0 }
    }

    /// Passes over `count` bytes that were not shown; false when a PDU ended in them.
    pub(crate) fn skip(&mut self, count: u64) -> bool {
        match u16::try_from(count) {
            Ok(count) if self.have == 0 && count <= self.remaining => {
                self.reading = self.reading.take().filter(|_| count == 0);
                self.remaining -= count;
                true
            }
            _ => count == 0,
        }
    }

    /// Holds the first bytes of a PDU that may say more than its kind.
    fn begin(&mut self, pdu: ClearPdu) {
        let mut prefix = self.stuck_on();
        self.reading = match message(pdu, prefix, 0, self.io_channel) {
            Found::Nothing => None,
            Found::Message(..) | Found::More(_) => {
                let mut held = Buffer::default();
                let length = prefix.len();
                held.fill(&mut prefix, length);
                Some(Reading { pdu, at: 0, held, wanted: length as u16 })
            }
        };
    }
}

enum Told {
    Pdu(ClearPdu),
    More,
    NotAPdu,
}

fn told(prefix: &[u8]) -> Told {
    match prefix {
        [] => Told::More,
        [3, ..] => match Tpkt::parse(prefix) {
            Outcome::Value { value: Tpkt { length }, .. } => {
                match prefix.len() >= usize::from(length).min(PDU_PREFIX) {
                    true => Told::Pdu(ClearPdu { kind: pdu_kind(prefix), length }),
                    false => Told::More,
                }
            }
            Outcome::NeedMore { .. } => Told::More,
            Outcome::Malformed(_) => Told::NotAPdu,
        },
        _ => match FastPath::parse(prefix) {
            Outcome::Value { value: FastPath { length, encrypted }, .. } => {
                Told::Pdu(ClearPdu { kind: PduKind::FastPath { encrypted }, length })
            }
            Outcome::NeedMore { .. } => Told::More,
            Outcome::Malformed(_) => Told::NotAPdu,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DisconnectReason, ErrorInfo, Share, ShareData};

    fn steps(stream: &[u8], size: usize) -> Vec<PduStep> {
        let mut reader = PduReader::default();
        let mut steps = Vec::new();
        for chunk in stream.chunks(size) {
            let mut input = chunk;
            while let Some(step) = reader.next(&mut input) {
                assert_ne!(step, PduStep::NotAPdu, "with chunks of {size}");
                steps.push(step);
            }
            assert!(input.is_empty() && reader.held() <= 256);
        }
        assert_eq!(reader.missing(), 0);
        steps
    }

    #[test]
    fn pdus_are_found_in_any_chunking() {
        let mut stream = vec![3, 0, 0, 30, 2, 0xf0, 0x80, 0x7f, 0x65];
        stream.resize(30, 9);
        stream.extend([0x44, 4, 0, 0, 0xc0, 0x80, 5, 1, 1, 3, 0, 0, 9, 2, 0xf0, 0x80, 0x21, 0x80]);
        let pdu = |kind, length| PduStep::Pdu(ClearPdu { kind, length });
        for size in 1..=stream.len() {
            let expected = vec![
                pdu(PduKind::ConnectInitial, 30),
                pdu(PduKind::FastPath { encrypted: false }, 4),
                pdu(PduKind::FastPath { encrypted: true }, 5),
                pdu(PduKind::Ultimatum(DisconnectReason(3)), 9),
            ];
            assert_eq!(steps(&stream, size), expected, "chunks of {size}");
        }
    }

    #[test]
    fn what_a_pdu_says_is_found_in_any_chunking() {
        // Set Error Info 7 on the I/O channel, a long PDU of another one, and an ultimatum.
        let told = [22, 0, 0x17, 0, 0xea, 3, 0xea, 3, 1, 0, 0, 1, 8, 0, 0x2f, 0, 0, 0, 7, 0, 0, 0];
        let mut stream = [&[3, 0, 0, 36, 2, 0xf0, 0x80, 0x68, 0, 6, 3, 0xeb, 0x70, 22][..], &told].concat();
        stream.extend([3, 0, 3, 0, 2, 0xf0, 0x80, 0x68, 0, 6, 3, 0xec, 0x70, 0x82, 0xf1]);
        stream.resize(36 + 768, 0x40);
        stream.extend([3, 0, 0, 9, 2, 0xf0, 0x80, 0x21, 0x80]);
        let whole = steps(&stream, stream.len());
        let message = PduStep::Message(Message::Share(Share::Data(ShareData::ErrorInfo(ErrorInfo(7)))));
        assert_eq!((whole.len(), &whole[1]), (4, &message));
        for size in 1..60 {
            assert_eq!(steps(&stream, size), whole, "chunks of {size}");
        }
    }
}
