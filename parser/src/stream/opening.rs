//! Reads one small message that may come in pieces.

use super::buffer::Buffer;
use crate::wire::{Malformed, Outcome};

/// Reads a message with `parse`: from `input` when it is whole there, else through `buffer`. `None` when `input` is used
/// up first. A parser that consumes nothing leaves its bytes for the next one.
///
/// The buffer takes no byte that `parse` has not asked for, so it never reaches into the next message.
pub(super) fn read<T>(
    buffer: &mut Buffer,
    input: &mut &[u8],
    parse: impl Fn(&[u8]) -> Outcome<T>,
) -> Option<Result<T, Malformed>> {
    if buffer.is_empty() {
        match parse(input) {
            Outcome::Value { value, consumed } => {
                *input = &input[consumed..];
                return Some(Ok(value));
            }
            Outcome::Malformed(malformed) => return Some(Err(malformed)),
            Outcome::NeedMore { .. } if input.is_empty() => return None,
            Outcome::NeedMore { .. } => {}
        }
    }
    loop {
        match parse(buffer.bytes()) {
            Outcome::Value { value, consumed } => {
                if consumed > 0 {
                    buffer.free();
                }
                return Some(Ok(value));
            }
            Outcome::Malformed(malformed) => return Some(Err(malformed)),
            Outcome::NeedMore { at_least } => {
                if !buffer.fill(input, buffer.len() + at_least) {
                    return None;
                }
            }
        }
    }
}
