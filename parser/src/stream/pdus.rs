//! Follows clear TPKT and fast-path PDUs: a few bytes of each are looked at, none is kept.

use crate::wire::{ClearPdu, FastPath, Outcome, PDU_PREFIX, PduKind, Tpkt, pdu_kind};

/// What comes next in a stream of clear PDUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PduStep {
    /// A PDU, told by its first bytes.
    Pdu(ClearPdu),
    /// No PDU begins here; the bytes that tell are in [`PduReader::stuck_on`].
    NotAPdu,
}

/// Finds the PDUs in a stream of any chunking.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PduReader {
    prefix: [u8; PDU_PREFIX],
    have: u8,
    remaining: u16,
}

impl PduReader {
    /// The next step; `None` when `input` is used up.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Option<PduStep> {
        self.pass(input);
        loop {
            let prefix = &self.prefix[..usize::from(self.have)];
            match told(prefix) {
                Told::Pdu(pdu) => {
                    self.remaining = pdu.length.saturating_sub(u16::from(self.have));
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
        let passed = usize::from(self.remaining).min(input.len());
        self.remaining -= passed as u16;
        *input = &input[passed..];
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

    /// Passes over `count` bytes that were not shown; false when a PDU ended in them.
    pub(crate) fn skip(&mut self, count: u64) -> bool {
        match u16::try_from(count) {
            Ok(count) if self.have == 0 && count <= self.remaining => {
                self.remaining -= count;
                true
            }
            _ => count == 0,
        }
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
    use crate::wire::DisconnectReason;

    #[test]
    fn pdus_are_found_in_any_chunking() {
        let mut stream = vec![3, 0, 0, 30, 2, 0xf0, 0x80, 0x7f, 0x65];
        stream.resize(30, 9);
        stream.extend([0x44, 4, 0, 0, 0xc0, 0x80, 5, 1, 1, 3, 0, 0, 9, 2, 0xf0, 0x80, 0x21, 0x80]);
        for size in 1..=stream.len() {
            let mut reader = PduReader::default();
            let mut pdus = Vec::new();
            for chunk in stream.chunks(size) {
                let mut input = chunk;
                while let Some(step) = reader.next(&mut input) {
                    let PduStep::Pdu(pdu) = step else { panic!("{step:?} with chunks of {size}") };
                    pdus.push((pdu.kind, pdu.length));
                }
            }
            let expected = vec![
                (PduKind::ConnectInitial, 30),
                (PduKind::FastPath { encrypted: false }, 4),
                (PduKind::FastPath { encrypted: true }, 5),
                (PduKind::Ultimatum(DisconnectReason(3)), 9),
            ];
            assert_eq!((pdus, reader.missing()), (expected, 0), "chunks of {size}");
        }
    }
}
