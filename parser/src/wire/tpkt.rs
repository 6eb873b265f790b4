//! TPKT, the frame of every clear RDP message. RFC 1006 6, ITU-T T.123 8

use super::outcome::{Outcome, Parsed, arriving, unexpected};
use nom::number::streaming::{be_u8, be_u16};

/// `vrsn`: always 3.
pub const TPKT_VERSION: u8 = 3;
/// Bytes of a TPKT header.
pub const TPKT_HEADER: usize = 4;
/// Shortest TPKT: its header and the shortest X.224 TPDU. RFC 1006 6
pub const TPKT_MIN: u16 = 7;

/// A TPKT header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tpkt {
    /// Whole length in bytes, the header included; 7 at the least.
    pub length: u16,
}

impl Tpkt {
    /// Reads the four header bytes. The reserved byte must be 0, as TLS and preconnection blobs differ there.
    pub fn parse(input: &[u8]) -> Outcome<Tpkt> {
        arriving(input, header)
    }
}

fn header(input: &[u8]) -> Parsed<'_, Tpkt> {
    let (i, version) = be_u8(input)?;
    if version != TPKT_VERSION {
        return Err(unexpected(input, "TPKT version 3"));
    }
    let (after_reserved, reserved) = be_u8(i)?;
    if reserved != 0 {
        return Err(unexpected(i, "TPKT reserved byte 0"));
    }
    let (rest, length) = be_u16(after_reserved)?;
    if length < TPKT_MIN {
        return Err(unexpected(after_reserved, "TPKT length of 7 or more"));
    }
    Ok((rest, Tpkt { length }))
}

#[cfg(test)]
mod tests {
    use super::super::Malformed;
    use super::*;

    #[test]
    fn length_counts_the_header() {
        assert_eq!(Tpkt::parse(&[3, 0, 0, 19, 14]), Outcome::Value { value: Tpkt { length: 19 }, consumed: 4 });
    }

    #[test]
    fn a_header_that_is_still_arriving_is_not_an_error() {
        assert_eq!(Tpkt::parse(&[3, 0]), Outcome::NeedMore { at_least: 2 });
        assert_eq!(Tpkt::parse(&[]), Outcome::NeedMore { at_least: 1 });
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        let at = |offset, expected| Outcome::Malformed(Malformed { offset, expected });
        assert_eq!(Tpkt::parse(&[0x16, 3]), at(0, "TPKT version 3"));
        assert_eq!(Tpkt::parse(&[3, 1]), at(1, "TPKT reserved byte 0"));
        assert_eq!(Tpkt::parse(&[3, 0, 0, 6]), at(2, "TPKT length of 7 or more"));
    }
}
