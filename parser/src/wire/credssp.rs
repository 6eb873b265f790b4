//! TSRequest, the envelope of CredSSP: the first one of a client as it is written, and any one as it is read. [MS-CSSP] 2.2.1

use super::outcome::{Outcome, Parsed, arriving, unexpected};
use nom::Parser;
use nom::bytes::streaming::{tag, take};
use nom::combinator::peek;
use nom::number::streaming::be_u8;

/// Longest TSRequest that is read, in bytes. An NTLM CHALLENGE has some 300; the largest Kerberos tickets have 48 KiB.
pub const TS_REQUEST_MAX: usize = 64 * 1024;
/// The newest version. [MS-CSSP] 2.2.1
const NEWEST: u8 = 6;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
/// `[0]` to `[5]`, constructed.
const VERSION: u8 = 0xa0;
const NEGO_TOKENS: u8 = 0xa1;
const ERROR_CODE: u8 = 0xa4;
const CLIENT_NONCE: u8 = 0xa5;
const NEGO_TOKEN: u8 = 0xa0;

/// A TSRequest of version 6 with one token and nothing else.
#[must_use]
pub fn ts_request(token: &[u8]) -> Vec<u8> {
    let token = der(NEGO_TOKEN, &der(OCTET_STRING, token));
    let tokens = der(NEGO_TOKENS, &der(SEQUENCE, &der(SEQUENCE, &token)));
    der(SEQUENCE, &[der(VERSION, &[INTEGER, 1, NEWEST]), tokens].concat())
}

/// What is read of a TSRequest; what carries keys and credentials is stepped over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TsRequest<'a> {
    /// `version`: the newest that the sender speaks.
    pub version: u32,
    /// The first of `negoTokens`. Whoever has asked with a credential must not log it.
    pub token: Option<&'a [u8]>,
    /// `errorCode`: an NTSTATUS, from version 3 on (but not 5).
    pub error_code: Option<u32>,
}

impl core::fmt::Debug for TsRequest<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let length = self.token.map(<[u8]>::len);
        let TsRequest { version, error_code, .. } = self;
        write!(f, "TsRequest {{ version: {version}, token bytes: {length:?}, error_code: {error_code:x?} }}")
    }
}

impl<'a> TsRequest<'a> {
    /// Reads a whole TSRequest. Fields may come in any order, and unknown ones are stepped over.
    pub fn parse(input: &'a [u8]) -> Outcome<TsRequest<'a>> {
        arriving(input, request)
    }
}

fn request(input: &[u8]) -> Parsed<'_, TsRequest<'_>> {
    peek(tag(&[SEQUENCE][..]))
        .parse(input)
        .map_err(|error: nom::Err<_>| if error.is_incomplete() { error } else { unexpected(input, "TSRequest") })?;
    let (rest, (_, body)) = element(input)?;
    match fields(body) {
        Some(request) => Ok((rest, request)),
        None => Err(unexpected(input, "TSRequest with a version and whole fields")),
    }
}

fn fields(mut body: &[u8]) -> Option<TsRequest<'_>> {
    let (mut version, mut token, mut error_code) = (None, None, None);
    while !body.is_empty() {
        let (rest, (kind, content)) = element(body).ok()?;
        match kind {
            VERSION => version = Some(integer(content)?),
            NEGO_TOKENS => token = first_token(content),
            ERROR_CODE => error_code = Some(integer(content)?),
            _ => {}
        }
        body = rest;
    }
    Some(TsRequest { version: version?, token, error_code })
}

/// `SEQUENCE OF SEQUENCE { negoToken [0] OCTET STRING }`
fn first_token(tokens: &[u8]) -> Option<&[u8]> {
    [SEQUENCE, SEQUENCE, NEGO_TOKEN, OCTET_STRING].into_iter().try_fold(tokens, inside)
}

/// The low 32 bits of an INTEGER: an NTSTATUS is written as a negative one, or behind a zero.
fn integer(content: &[u8]) -> Option<u32> {
    let bytes = inside(content, INTEGER).filter(|bytes| (1..=5).contains(&bytes.len()))?;
    let start = if bytes[0] & 0x80 != 0 { u32::MAX } else { 0 };
    Some(bytes.iter().fold(start, |value, byte| value << 8 | u32::from(*byte)))
}

fn inside(input: &[u8], kind: u8) -> Option<&[u8]> {
    let (_, (found, content)) = element(input).ok()?;
    (found == kind).then_some(content)
}

/// Tag and content.
fn element(input: &[u8]) -> Parsed<'_, (u8, &[u8])> {
    let (i, (kind, length)) = header(input)?;
    let (rest, content) = take(length)(i)?;
    Ok((rest, (kind, content)))
}

/// Tag and length. Lengths may be longer than they need be: the host's encoder is not ours to judge. X.690 8.1
fn header(input: &[u8]) -> Parsed<'_, (u8, usize)> {
    let (at_length, kind) = be_u8(input)?;
    let (i, first) = be_u8(at_length)?;
    let (i, length) = match first {
        0..=0x7f => (i, usize::from(first)),
        0x81..=0x84 => {
            let (i, bytes) = take(first & 0x7f)(i)?;
            (i, bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
        }
        _ => return Err(unexpected(at_length, "DER length")),
    };
    if length > TS_REQUEST_MAX {
        return Err(unexpected(at_length, "DER length up to 64 KiB"));
    }
    Ok((i, (kind, length)))
}

/// The header of a TSRequest, or of a field of one, whose content is passed over as it arrives: what it is, and the length
/// of its content in bytes.
pub(crate) fn ts_element(input: &[u8]) -> Outcome<(TsElement, usize)> {
    arriving(input, header).map(|(tag, length)| match tag {
        SEQUENCE => (TsElement::Request, length),
        VERSION..=CLIENT_NONCE => (TsElement::Field(tag - VERSION), length),
        _ => (TsElement::Other, length),
    })
}

/// The value of `version` or `errorCode`, from the content of its field.
pub(crate) fn ts_integer(content: &[u8]) -> Option<u32> {
    integer(content)
}

/// What an element of a TSRequest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TsElement {
    /// The TSRequest itself.
    Request,
    /// The field with this number.
    Field(u8),
    /// None of the fields of [MS-CSSP] 2.2.1.
    Other,
}

/// One element, with its length in as few bytes as DER wants. X.690 10.1
fn der(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut element = vec![kind];
    match content.len() {
        short @ 0..=0x7f => element.push(short as u8),
        long => {
            let bytes: Vec<u8> = long.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            element.push(0x80 | bytes.len() as u8);
            element.extend(bytes);
        }
    }
    element.extend(content);
    element
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ntlm::{ntlm_negotiate, tests::challenge};
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for token in [&ntlm_negotiate()[..], &challenge(), &[7; 40_000]] {
            let bytes = ts_request(token);
            let expected = TsRequest { version: 6, token: Some(token), error_code: None };
            assert_eq!(TsRequest::parse(&bytes), Outcome::Value { value: expected, consumed: bytes.len() });
        }
    }

    #[test]
    fn the_first_message_is_as_the_specification_has_it() {
        let head = [0x30, 57, 0xa0, 3, 2, 1, 6, 0xa1, 50, 0x30, 48, 0x30, 46, 0xa0, 44, 4, 42];
        let bytes = ts_request(&[0xee; 42]);
        assert_eq!(bytes[..17], head);
        assert_eq!(bytes.len(), 59);
        let lengths = [0x7f, 0x80, 0xff, 0x100].map(|length| der(OCTET_STRING, &vec![0; length])[1]);
        assert_eq!(lengths, [0x7f, 0x81, 0x81, 0x82]);
    }

    #[test]
    fn a_refusal_carries_its_status() {
        // STATUS_LOGON_FAILURE 0xc000006d, as a Windows host of version 6 writes it.
        let bytes = [0x30, 13, 0xa0, 3, 2, 1, 6, 0xa4, 6, 2, 4, 0xc0, 0, 0, 0x6d];
        let expected = TsRequest { version: 6, token: None, error_code: Some(0xc000_006d) };
        assert_eq!(TsRequest::parse(&bytes).value(), Some(expected));
    }

    #[test]
    fn a_part_needs_more_and_other_protocols_are_refused() {
        let bytes = ts_request(&challenge());
        for cut in 0..bytes.len() {
            assert!(matches!(TsRequest::parse(&bytes[..cut]), Outcome::NeedMore { .. }), "cut at {cut}");
        }
        for other in [&b"HTTP"[..], &[3, 0, 0, 9], &[0x30, 0x80], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 0]] {
            assert!(matches!(TsRequest::parse(other), Outcome::Malformed(_)), "{other:02x?}");
        }
    }

    #[test]
    fn a_token_is_never_printed() {
        let bytes = ts_request(&[0x5a; 16]);
        let shown = format!("{:?}", TsRequest::parse(&bytes));
        assert!(!shown.contains("90") && !shown.contains("5a"), "{shown}");
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..24),
            cut in any::<prop::sample::Index>(),
            noise in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut bytes = ts_request(&challenge());
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            bytes.extend(&noise);
            for bytes in [&bytes, &noise] {
                if let Outcome::Value { value, consumed } = TsRequest::parse(bytes) {
                    prop_assert!(consumed <= bytes.len());
                    prop_assert!(value.token.is_none_or(|token| token.len() < consumed));
                }
            }
        }
    }
}
