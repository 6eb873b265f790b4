//! The three outcomes of reading a message from bytes that are still arriving.

use core::fmt;
use nom::error::{ErrorKind, ParseError};
use nom::{Err, IResult, Needed};

/// What came of reading. "Not yet" is never an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// A value, and how many bytes of the input it took.
    Value {
        /// What was read.
        value: T,
        /// Bytes it took from the start of the input.
        consumed: usize,
    },
    /// The bytes are a beginning.
    NeedMore {
        /// Bytes that are still missing at the least; never 0. More may be asked for when they are there.
        at_least: usize,
    },
    /// The bytes are not this message.
    Malformed(Malformed),
}

/// Where the bytes stop being the message, and what should have stood there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Offset in bytes from the start of the input.
    pub offset: usize,
    /// What was expected there.
    pub expected: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at offset {}", self.expected, self.offset)
    }
}

impl std::error::Error for Malformed {}

impl<T> Outcome<T> {
    /// The value, if that is what came of it.
    #[must_use]
    pub fn value(self) -> Option<T> {
        match self {
            Outcome::Value { value, .. } => Some(value),
            Outcome::NeedMore { .. } | Outcome::Malformed(_) => None,
        }
    }

    /// The same outcome with the value changed.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Outcome::Value { value, consumed } => Outcome::Value { value: change(value), consumed },
            Outcome::NeedMore { at_least } => Outcome::NeedMore { at_least },
            Outcome::Malformed(malformed) => Outcome::Malformed(malformed),
        }
    }
}

/// nom's result with our error.
pub(crate) type Parsed<'a, T> = IResult<&'a [u8], T, Unexpected<'a>>;

/// nom error: what was left when reading stopped, and what was expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unexpected<'a> {
    rest: &'a [u8],
    expected: &'static str,
}

impl<'a> ParseError<&'a [u8]> for Unexpected<'a> {
    fn from_error_kind(rest: &'a [u8], _: ErrorKind) -> Self {
        Unexpected { rest, expected: "another value" }
    }

    fn append(_: &'a [u8], _: ErrorKind, first: Self) -> Self {
        first
    }
}

/// Reads a message that may not be there in full: nom's `Incomplete` is [`Outcome::NeedMore`].
pub(crate) fn arriving<'a, T>(input: &'a [u8], parse: impl FnOnce(&'a [u8]) -> Parsed<'a, T>) -> Outcome<T> {
    match parse(input) {
        Ok((rest, value)) => Outcome::Value { value, consumed: input.len() - rest.len() },
        Err(Err::Incomplete(Needed::Size(missing))) => Outcome::NeedMore { at_least: missing.get() },
        Err(Err::Incomplete(Needed::Unknown)) => Outcome::NeedMore { at_least: 1 },
        Err(Err::Error(e) | Err::Failure(e)) => Outcome::Malformed(e.at(input)),
    }
}

/// Reads the body of a message whose length is known and which is all there: running out of bytes is malformed.
pub(crate) fn whole<'a, T>(
    input: &'a [u8],
    parse: impl FnOnce(&'a [u8]) -> Parsed<'a, T>,
) -> Result<(&'a [u8], T), Malformed> {
    parse(input).map_err(|e| match e {
        Err::Incomplete(_) => Malformed { offset: input.len(), expected: "more bytes" },
        Err::Error(e) | Err::Failure(e) => e.at(input),
    })
}

/// Names what `parse` reads: inside a message that is all there, running out of bytes is an error at this field.
#[inline]
pub(crate) fn field<'a, T>(
    expected: &'static str,
    input: &'a [u8],
    parse: impl FnOnce(&'a [u8]) -> Parsed<'a, T>,
) -> Parsed<'a, T> {
    parse(input).map_err(|e| match e {
        Err::Incomplete(_) => unexpected(input, expected),
        named => named,
    })
}

/// The nom error "expected this here".
#[cold]
pub(crate) fn unexpected<'a>(rest: &'a [u8], expected: &'static str) -> Err<Unexpected<'a>> {
    Err::Error(Unexpected { rest, expected })
}

impl Unexpected<'_> {
    /// The place is where `rest` begins, not how much is left: a part of a message ends before its input does, and what
    /// stands behind it must not move the place.
    fn at(self, input: &[u8]) -> Malformed {
        let offset = self.rest.as_ptr().addr().wrapping_sub(input.as_ptr().addr());
        Malformed { offset: offset.min(input.len()), expected: self.expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nom::number::streaming::{be_u8, be_u16};

    fn pair(i: &[u8]) -> Parsed<'_, (u8, u16)> {
        let (i, first) = be_u8(i)?;
        if first > 9 {
            return Err(unexpected(i, "a digit before this"));
        }
        let (i, second) = be_u16(i)?;
        Ok((i, (first, second)))
    }

    #[test]
    fn a_value_says_how_many_bytes_it_took() {
        assert_eq!(arriving(&[1, 0, 2, 7], pair), Outcome::Value { value: (1, 2), consumed: 3 });
    }

    #[test]
    fn a_beginning_asks_for_what_is_missing() {
        assert_eq!(arriving(&[1], pair), Outcome::NeedMore { at_least: 2 });
    }

    #[test]
    fn a_wrong_byte_is_reported_with_its_place() {
        let malformed = Malformed { offset: 1, expected: "a digit before this" };
        assert_eq!(arriving(&[10, 0, 2], pair), Outcome::Malformed(malformed));
        assert_eq!(malformed.to_string(), "expected a digit before this at offset 1");
    }

    #[test]
    fn what_stands_behind_a_part_does_not_move_the_place() {
        fn part(i: &[u8]) -> Parsed<'_, ()> {
            let (rest, body) = nom::bytes::streaming::take(2usize)(i)?;
            if body[0] > 9 { Err(unexpected(body, "a digit")) } else { Ok((rest, ())) }
        }
        let malformed = Outcome::Malformed(Malformed { offset: 0, expected: "a digit" });
        assert_eq!(arriving(&[10, 0], part), malformed);
        assert_eq!(arriving(&[10, 0, 1, 2, 3], part), malformed);
    }

    #[test]
    fn running_out_inside_a_whole_message_is_malformed() {
        assert_eq!(whole(&[1, 0], pair), Err(Malformed { offset: 2, expected: "more bytes" }));
    }
}
