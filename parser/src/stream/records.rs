//! Follows record headers through a stream: five bytes of state, whatever the records hold.

use crate::pack::pack_fields;
use crate::wire::tls::{RECORD_HEADER, RECORD_MAX};
use crate::wire::{ContentType, Malformed, Outcome, RecordHeader, TlsVersion};

const DATA: u8 = ContentType::APPLICATION_DATA.0;

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

    /// Passes over what is left of the record begun and takes the record of data after it, as far as it has come; with it
    /// goes what is left of `input`. `None`, and nothing is taken, when anything else comes next or a header is not whole.
    #[inline]
    pub(crate) fn application_data<'a>(&mut self, input: &'a [u8]) -> Option<(RecordHeader, &'a [u8])> {
        // What `RecordHeader::parse` reads, for who has nothing else to expect.
        let [DATA, 3, minor, high, low, body @ ..] = input.get(usize::from(self.remaining)..)? else { return None };
        let length = u16::from_be_bytes([*high, *low]);
        if length > RECORD_MAX || self.have > 0 {
            return None;
        }
        let here = body.len().min(usize::from(length));
        self.remaining = length - here as u16;
        let version = TlsVersion(u16::from_be_bytes([3, *minor]));
        Some((RecordHeader { content_type: ContentType::APPLICATION_DATA, version, length }, &body[here..]))
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

    /// Bytes still to come of the body of the record begun.
    pub(crate) fn body_ahead(&self) -> usize {
        if self.have == 0 { usize::from(self.remaining) } else { 0 }
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

    /// Looks for a record whose successor, if it is in sight, is one too; `input` then goes on with it. What may be the
    /// beginning of its header at the end of `input` is kept, so that a stream is found again in any chunking.
    ///
    /// Only data and alerts of the version spoken count. Chance makes such five bytes once in 2^23 places; a wrong guess
    /// meets a wrong header soon, and the search goes on.
    pub(crate) fn seek(&mut self, version: TlsVersion, input: &mut &[u8]) -> bool {
        self.remaining = 0;
        let kept = self.header;
        let seen = Seen { kept: &kept[..usize::from(self.have)], input };
        let found = (0..seen.len()).find_map(|at| match seen.header(at, version)? {
            None => Some((at, false)),
            Some(header) => {
                let next = at + RECORD_HEADER + usize::from(header.length);
                (next >= seen.len() || seen.header(next, version).is_some()).then_some((at, true))
            }
        });
        let (at, whole) = found.unwrap_or((seen.len(), false));
        let taken = if whole { seen.kept.len() } else { seen.len() };
        let passed = at.saturating_sub(seen.kept.len());
        self.have = 0;
        for byte in (at..taken).filter_map(|at| seen.byte(at)) {
            self.header[usize::from(self.have)] = byte;
            self.have += 1;
        }
        *input = if whole { &input[passed..] } else { &[] };
        whole
    }
}

/// Header bytes that were kept, and what came behind them.
struct Seen<'a> {
    kept: &'a [u8],
    input: &'a [u8],
}

impl Seen<'_> {
    fn len(&self) -> usize {
        self.kept.len() + self.input.len()
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.kept.get(at).or_else(|| self.input.get(at.wrapping_sub(self.kept.len()))).copied()
    }

    /// `None`: no record of `version` begins here. Without a header: one may, but not all of it is in sight.
    fn header(&self, at: usize, version: TlsVersion) -> Option<Option<RecordHeader>> {
        if !matches!(ContentType(self.byte(at)?), ContentType::ALERT | ContentType::APPLICATION_DATA) {
            return None;
        }
        let mut bytes = [0; RECORD_HEADER];
        let in_sight = RECORD_HEADER.min(self.len() - at);
        for (place, byte) in bytes[..in_sight].iter_mut().enumerate() {
            *byte = self.byte(at + place)?;
        }
        let spoken = version.0.to_be_bytes();
        match RecordHeader::parse(&bytes[..in_sight]) {
            Outcome::Value { value, .. } => (value.version == version && value.length > 0).then_some(Some(value)),
            Outcome::NeedMore { .. } => {
                bytes[1..in_sight].iter().zip(spoken).all(|(seen, spoken)| *seen == spoken).then_some(None)
            }
            Outcome::Malformed(_) => None,
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
    fn a_record_is_found_again_in_any_chunking() {
        // A data record, an alert, and before them what looks like headers and is none.
        let noise = [23, 23, 3, 3, 0, 0, 21, 3, 1, 0, 4, 23, 3, 3, 0, 1, 9, 9, 23, 3];
        let stream = [&noise[..], &[23, 3, 3, 0, 2, 7, 7, 21, 3, 3, 0, 2, 2, 40]].concat();
        let found = |size: usize| {
            let mut reader = RecordReader::default();
            for (number, chunk) in stream.chunks(size).enumerate() {
                let mut input = chunk;
                if reader.seek(TlsVersion(0x0303), &mut input) {
                    return Some(number * size + chunk.len() - input.len() - reader.stuck_on().len());
                }
            }
            None
        };
        for size in [1, 2, 3, 4, 5, 7, 100] {
            // The successor of a guess may be out of sight: where it was wrong, that shows with the next header.
            let (at, false_one) = (found(size).expect("found"), noise.len() - 9);
            assert!(at == noise.len() || (at == false_one && size < 12), "chunks of {size}: {at}");
        }
        assert_eq!((found(100), found(34)), (Some(noise.len()), Some(noise.len())));
    }

    #[test]
    fn a_wrong_byte_takes_nothing_after_it() {
        let mut reader = RecordReader::default();
        let mut input = &[3, 0, 0, 9][..];
        assert!(matches!(reader.next(&mut input), Some(RecordStep::NotARecord(_))));
        assert_eq!((reader.stuck_on(), input), (&[3][..], &[0, 0, 9][..]));
    }

    #[test]
    fn a_record_of_data_is_taken_at_once_or_not_at_all() {
        let data = |reader: &mut RecordReader, input: &[u8]| {
            reader.application_data(input).map(|(header, rest)| (header.length, rest.to_vec()))
        };
        let mut reader = RecordReader::default();
        assert_eq!(data(&mut reader, &[23, 3, 3, 0, 2, 7, 7, 23]), Some((2, vec![23])));
        // Its body may come later, and is then passed over on the way to the next one.
        assert_eq!(data(&mut reader, &[23, 3, 3, 0, 3, 7]), Some((3, vec![])));
        assert_eq!((reader.missing(), data(&mut reader, &[7])), (2, None));
        assert_eq!(data(&mut reader, &[7, 7, 23, 3, 1, 0, 0]), Some((0, vec![])));
        for other in [&[23, 3, 3, 0][..], &[22, 3, 3, 0, 0], &[23, 2, 3, 0, 0], &[23, 3, 3, 0x48, 1], &[]] {
            assert_eq!((data(&mut reader, other), reader.missing()), (None, 0));
        }
        // A length that reads like the beginning of a header, cut from it.
        assert!(reader.header(&mut &[23, 3, 3][..]).is_none());
        assert_eq!((data(&mut reader, &[23, 3, 3, 0, 0]), reader.missing()), (None, 2));
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
