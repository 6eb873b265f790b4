//! Fast-path headers of standard RDP security. [MS-RDPBCGR] 2.2.8.1.2, 2.2.9.1.2

use super::outcome::{Outcome, Parsed, arriving, unexpected};
use nom::number::streaming::be_u8;

/// The header that begins a fast-path PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastPath {
    /// Whole length in bytes, header included.
    pub length: u16,
    /// FASTPATH_INPUT_ENCRYPTED or FASTPATH_OUTPUT_ENCRYPTED.
    pub encrypted: bool,
}

impl FastPath {
    /// Reads the two or three bytes.
    pub fn parse(input: &[u8]) -> Outcome<FastPath> {
        arriving(input, header)
    }
}

fn header(input: &[u8]) -> Parsed<'_, FastPath> {
    let (i, first) = be_u8(input)?;
    if first & 0x03 != 0 {
        return Err(unexpected(input, "fast-path action 0"));
    }
    let (rest, length) = match be_u8(i)? {
        (rest, short @ 0..0x80) => (rest, u16::from(short)),
        (rest, high) => {
            let (rest, low) = be_u8(rest)?;
            (rest, u16::from_be_bytes([high & 0x7f, low]))
        }
    };
    if usize::from(length) < input.len() - rest.len() {
        return Err(unexpected(i, "fast-path length that covers its header"));
    }
    Ok((rest, FastPath { length, encrypted: first & 0x80 != 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_length_forms_are_read() {
        let of = |bytes: &[u8]| FastPath::parse(bytes).value();
        assert_eq!(of(&[0x44, 4]), Some(FastPath { length: 4, encrypted: false }));
        assert_eq!(of(&[0xc4, 0x81, 0x02]), Some(FastPath { length: 0x102, encrypted: true }));
    }

    #[test]
    fn a_length_below_its_header_is_malformed() {
        assert!(matches!(FastPath::parse(&[0, 1]), Outcome::Malformed(_)));
        assert!(matches!(FastPath::parse(&[0, 0x80, 2]), Outcome::Malformed(_)));
        assert!(matches!(FastPath::parse(&[0, 0x80]), Outcome::NeedMore { at_least: 1 }));
    }
}
