//! Follows TSRequests as they arrive: their headers are read, their contents pass by. [MS-CSSP] 2.2.1

use crate::wire::{MechanismFinder, NtStatus, Outcome, TsElement, TsField, TsShape, ts_element, ts_integer};

/// Tag and up to five bytes of length.
const HEADER: usize = 6;
/// A version or an error code with its own header.
const NUMBER: usize = 8;

const VERSION: u8 = TsField::Version as u8;
const TOKENS: u8 = TsField::Tokens as u8;
const ERROR_CODE: u8 = TsField::ErrorCode as u8;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TsStep {
    /// A whole TSRequest has passed.
    Request(TsShape),
    /// No TSRequest, or one whose lengths contradict each other.
    Malformed,
}

/// Reads one TSRequest after the other, in any chunking.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TsReader {
    header: [u8; HEADER],
    have: u8,
    /// Bytes still to come of the TSRequest, once its header is there.
    rest: Option<u32>,
    /// The field that is passing, and bytes still to come of it.
    field: Option<(TsElement, u32)>,
    number: [u8; NUMBER],
    number_length: u8,
    finder: MechanismFinder,
    shape: TsShape,
}

impl TsReader {
    /// The next step; `None` when `input` is used up. After a step the reader stands at the next TSRequest.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Option<TsStep> {
        loop {
            let step = match (self.rest, self.field) {
                (_, Some(field)) => self.pass(input, field)?,
                (Some(0), None) => {
                    let shape = core::mem::take(self).shape;
                    return Some(TsStep::Request(shape));
                }
                (rest, None) => self.header(input, rest)?,
            };
            if step.is_err() {
                *self = TsReader::default();
                return Some(TsStep::Malformed);
            }
        }
    }

    /// A TSRequest has begun.
    pub(crate) fn is_within(&self) -> bool {
        self.have > 0 || self.rest.is_some()
    }

    /// The header of the TSRequest (without `rest`), or of its next field.
    fn header(&mut self, input: &mut &[u8], rest: Option<u32>) -> Option<Result<(), ()>> {
        loop {
            let (element, length) = match ts_element(&self.header[..usize::from(self.have)]) {
                Outcome::Value { value, .. } => value,
                Outcome::NeedMore { .. } if usize::from(self.have) < HEADER => {
                    let (byte, after) = input.split_first()?;
                    self.header[usize::from(self.have)] = *byte;
                    self.have += 1;
                    *input = after;
                    continue;
                }
                _ => return Some(Err(())),
            };
            let (have, length) =
                (u32::from(core::mem::take(&mut self.have)), u32::try_from(length).unwrap_or(u32::MAX));
            return Some(match rest {
                None if element == TsElement::Request => {
                    self.shape.length = have.saturating_add(length);
                    self.rest = Some(length);
                    Ok(())
                }
                None => Err(()),
                Some(rest) => match rest.checked_sub(have).and_then(|rest| rest.checked_sub(length)) {
                    Some(left) => {
                        self.rest = Some(left);
                        if let TsElement::Field(number) = element {
                            self.shape.fields.add(number);
                        }
                        self.number_length = 0;
                        self.field = Some((element, length));
                        Ok(())
                    }
                    None => Err(()),
                },
            });
        }
    }

    /// A part of the content of a field.
    fn pass(&mut self, input: &mut &[u8], (element, left): (TsElement, u32)) -> Option<Result<(), ()>> {
        if left > 0 && input.is_empty() {
            return None;
        }
        let take = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let (part, after) = input.split_at(take);
        *input = after;
        match element {
            TsElement::Field(TOKENS) => self.finder.pass(part),
            TsElement::Field(VERSION | ERROR_CODE) => {
                for byte in part {
                    if let Some(slot) = self.number.get_mut(usize::from(self.number_length)) {
                        *slot = *byte;
                        self.number_length += 1;
                    }
                }
            }
            _ => {}
        }
        let left = left - u32::try_from(take).unwrap_or(left);
        self.field = (left > 0).then_some((element, left));
        if left == 0 {
            self.end_of(element);
        }
        Some(Ok(()))
    }

    fn end_of(&mut self, element: TsElement) {
        let number = ts_integer(&self.number[..usize::from(self.number_length)]);
        match element {
            TsElement::Field(VERSION) => self.shape.version = number.unwrap_or_default(),
            TsElement::Field(ERROR_CODE) => self.shape.error_code = number.map(NtStatus),
            TsElement::Field(TOKENS) => self.shape.mechanism = self.finder.mechanism(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Mechanism, ntlm_negotiate, ts_request};

    fn all(bytes: &[u8], size: usize) -> Vec<TsStep> {
        let mut reader = TsReader::default();
        let mut steps = Vec::new();
        for chunk in bytes.chunks(size) {
            let mut input = chunk;
            while let Some(step) = reader.next(&mut input) {
                steps.push(step);
            }
            assert!(input.is_empty());
        }
        steps
    }

    #[test]
    fn requests_are_told_in_any_chunking() {
        let refusal = [0x30, 13, 0xa0, 3, 2, 1, 6, 0xa4, 6, 2, 4, 0xc0, 0, 0, 0x6d];
        let bytes = [ts_request(&ntlm_negotiate()), refusal.to_vec(), ts_request(&[7; 40_000])].concat();
        let whole = all(&bytes, bytes.len());
        let [TsStep::Request(first), TsStep::Request(second), TsStep::Request(third)] = whole[..] else {
            panic!("{whole:?}")
        };
        assert_eq!((first.version, first.mechanism, first.length), (6, Some(Mechanism::Ntlm(1)), 57));
        assert!(first.fields.has(TsField::Tokens) && !first.fields.has(TsField::AuthInfo));
        assert_eq!((second.error_code, second.length), (Some(NtStatus(0xc000_006d)), 15));
        assert_eq!((third.mechanism, third.error_code), (None, None));
        for size in 1..80 {
            assert_eq!(all(&bytes, size), whole, "chunks of {size}");
        }
    }

    #[test]
    fn keys_and_credentials_pass_unread() {
        let bytes = [0x30, 13, 0xa0, 3, 2, 1, 5, 0xa2, 2, 4, 0, 0xa3, 2, 4, 0];
        let [TsStep::Request(shape)] = all(&bytes, 3)[..] else { panic!("one request") };
        assert!(shape.fields.has(TsField::AuthInfo) && shape.fields.has(TsField::PubKeyAuth));
    }

    #[test]
    fn lengths_that_contradict_each_other_are_refused() {
        for bytes in [&[0x31, 3][..], &[0x30, 5, 0xa0, 9, 2, 1, 6], &[0x30, 0x85, 1], &[0x30, 0x84, 9, 9, 9, 9]] {
            assert_eq!(all(bytes, 1).first(), Some(&TsStep::Malformed), "{bytes:02x?}");
        }
    }
}
