//! Follows record headers through a stream: five bytes of state, whatever the records hold.

use crate::pack::pack_fields;
use crate::wire::tls::RECORD_HEADER;
use crate::wire::{Malformed, Outcome, RecordHeader};

/// What comes next in a stream of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordStep<'a> {
    /// A record begins.
    Header(RecordHeader),
    /// A part of its body, of one byte or more.
    Body(&'a [u8]),
    /// No record begins here. The bytes that tell are in [`RecordReader::stuck_on`]; the reader stays stuck.
    NotARecord(Malformed),
}

/// Finds the records in a stream of any chunking.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordReader {
    header: [u8; RECORD_HEADER],
    have: u8,
    remaining: u16,
}

pack_fields!(RecordReader { header, have, remaining });

impl RecordReader {
    /// The next step; `None` when `input` is used up.
    #[inline]
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<RecordStep<'a>> {
        let body = self.body(input);
        if !body.is_empty() {
            self.advance(input, body.len());
            return Some(RecordStep::Body(body));
        }
        Some(match self.header(input)? {
            Ok(header) => RecordStep::Header(header),
            Err(malformed) => RecordStep::NotARecord(malformed),
        })
    }

    /// The part of `input` that is body of the record begun.
    #[inline]
    pub(crate) fn body<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        &input[..usize::from(self.remaining).min(input.len())]
    }

    /// Takes `count` bytes of [`RecordReader::body`].
    #[inline]
    pub(crate) fn advance(&mut self, input: &mut &[u8], count: usize) {
        self.remaining = self.remaining.saturating_sub(u16::try_from(count).unwrap_or(u16::MAX));
        *input = &input[count.min(input.len())..];
    }

    /// The next header; `None` when `input` is used up first. To be called between records.
    #[inline]
    pub(crate) fn header(&mut self, input: &mut &[u8]) -> Option<Result<RecordHeader, Malformed>> {
        if self.remaining > 0 {
            return None;
        }
        if self.have == 0
            && let Outcome::Value { value, consumed } = RecordHeader::parse(input)
        {
            *input = &input[consumed..];
            self.remaining = value.length;
            return Some(Ok(value));
        }
        loop {
            match RecordHeader::parse(&self.header[..usize::from(self.have)]) {
                Outcome::Value { value, .. } => {
                    self.have = 0;
                    self.remaining = value.length;
                    return Some(Ok(value));
                }
                Outcome::Malformed(malformed) => return Some(Err(malformed)),
                // Byte by byte, so that nothing after a wrong byte is taken.
                Outcome::NeedMore { .. } => {
                    let (byte, rest) = input.split_first()?;
                    self.header[usize::from(self.have)] = *byte;
                    self.have += 1;
                    *input = rest;
                }
            }
        }
    }

    /// Header bytes that were taken and do not begin a record (or not yet).
    #[must_use]
    pub fn stuck_on(&self) -> &[u8] {
        &self.header[..usize::from(self.have)]
    }

    /// Bytes still to come of the record begun; 0 between records.
    #[must_use]
    pub fn missing(&self) -> usize {
        match self.have {
            0 => usize::from(self.remaining),
            have => RECORD_HEADER - usize::from(have),
        }
    }

    /// Forgets a header that was begun, as the bytes turned out to be something else.
    pub fn reset(&mut self) {
        *self = RecordReader::default();
    }

    /// Passes over `count` bytes that were not shown. False when a record ended in them: where the next one begins is
    /// then not known.
    pub fn skip(&mut self, count: u64) -> bool {
        match u16::try_from(count) {
            Ok(count) if self.have == 0 && count <= self.remaining => {
                self.remaining -= count;
                true
            }
            _ => count == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ContentType;

    #[test]
    fn records_are_found_in_any_chunking() {
        let stream = [22, 3, 1, 0, 2, 7, 7, 20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 0, 21, 3, 3, 0, 2, 2, 40];
        for size in 1..=stream.len() {
            let mut reader = RecordReader::default();
            let (mut kinds, mut body) = (Vec::new(), 0);
            for chunk in stream.chunks(size) {
                let mut input = chunk;
                while let Some(step) = reader.next(&mut input) {
                    match step {
                        RecordStep::Header(header) => kinds.push(header.content_type.0),
                        RecordStep::Body(part) => body += part.len(),
                        RecordStep::NotARecord(m) => panic!("{m}"),
                    }
                }
            }
            assert_eq!((kinds, body, reader.missing()), (vec![22, 20, 23, 21], 5, 0), "chunks of {size}");
        }
    }

    #[test]
    fn a_wrong_byte_takes_nothing_after_it() {
        let mut reader = RecordReader::default();
        let mut input = &[3, 0, 0, 9][..];
        assert!(matches!(reader.next(&mut input), Some(RecordStep::NotARecord(_))));
        assert_eq!((reader.stuck_on(), input), (&[3][..], &[0, 0, 9][..]));
    }

    #[test]
    fn bytes_may_pass_unseen_within_a_record() {
        let mut reader = RecordReader::default();
        let mut input = &[23, 3, 3, 1, 0, 9][..];
        assert!(
            matches!(reader.next(&mut input), Some(RecordStep::Header(h)) if h.content_type == ContentType::APPLICATION_DATA)
        );
        assert!(matches!(reader.next(&mut input), Some(RecordStep::Body([9]))));
        assert!(reader.skip(255));
        assert_eq!(reader.missing(), 0);
        assert!(!reader.skip(1));
    }
}
