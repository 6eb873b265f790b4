//! The SSLv2-compatible ClientHello of old stacks. RFC 5246 appendix E.2

use super::super::outcome::{Outcome, Parsed, arriving, unexpected};
use super::{CipherSuite, TlsVersion};
use nom::bytes::streaming::take;
use nom::number::streaming::{be_u8, be_u16};

/// An SSLv2-form hello, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sslv2Hello<'a> {
    /// Highest version offered; 0x0002 from a peer that knows SSL 2.0 only.
    pub version: TlsVersion,
    /// Session id, usually empty.
    pub session_id: &'a [u8],
    /// Challenge: the random, 16 to 32 bytes.
    pub challenge: &'a [u8],
    /// Bytes of the message, its two length bytes included.
    pub length: u32,
    cipher_specs: &'a [u8],
}

impl<'a> Sslv2Hello<'a> {
    /// Reads a whole hello, its two length bytes included.
    #[must_use]
    pub fn parse(input: &'a [u8]) -> Outcome<Sslv2Hello<'a>> {
        arriving(input, hello)
    }

    /// TLS suites in the order offered; SSL 2.0's own cipher kinds are left out.
    pub fn suites(&self) -> impl Iterator<Item = CipherSuite> + Clone + 'a {
        self.cipher_specs
            .chunks_exact(3)
            .filter(|spec| spec[0] == 0)
            .map(|s| CipherSuite(u16::from_be_bytes([s[1], s[2]])))
    }

    /// Cipher kinds of SSL 2.0 in the order offered, three bytes each: 0x010080 is RC4 with 128 bits and MD5.
    pub fn sslv2_ciphers(&self) -> impl Iterator<Item = u32> + Clone + 'a {
        self.cipher_specs.chunks_exact(3).filter(|spec| spec[0] != 0).map(|s| u32::from_be_bytes([0, s[0], s[1], s[2]]))
    }
}

fn hello(input: &[u8]) -> Parsed<'_, Sslv2Hello<'_>> {
    let (i, length) = be_u16(input)?;
    if length & 0x8000 == 0 {
        return Err(unexpected(input, "SSLv2 length with its top bit set"));
    }
    let body_length = length & 0x7fff;
    let (rest, body) = take(body_length)(i)?;
    let malformed = |at, expected| move |_| unexpected(at, expected);
    let (i, kind) =
        be_u8(body).map_err(|_: nom::Err<super::super::outcome::Unexpected<'_>>| unexpected(body, "CLIENT-HELLO"))?;
    if kind != 1 {
        return Err(unexpected(body, "CLIENT-HELLO (1)"));
    }
    let header = |i| -> Parsed<'_, [u16; 4]> {
        let (i, version) = be_u16(i)?;
        let (i, specs) = be_u16(i)?;
        let (i, session_id) = be_u16(i)?;
        let (i, challenge) = be_u16(i)?;
        Ok((i, [version, specs, session_id, challenge]))
    };
    let (i, [version, specs, session_id, challenge]) = header(i).map_err(malformed(i, "version and three lengths"))?;
    let lists = |i| -> Parsed<'_, [&[u8]; 3]> {
        let (i, specs) = take(specs)(i)?;
        let (i, session_id) = take(session_id)(i)?;
        let (i, challenge) = take(challenge)(i)?;
        Ok((i, [specs, session_id, challenge]))
    };
    let (_, [cipher_specs, session_id, challenge]) = lists(i).map_err(malformed(i, "lists within the message"))?;
    let version = TlsVersion(version);
    Ok((rest, Sslv2Hello { version, session_id, challenge, length: u32::from(body_length) + 2, cipher_specs }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JAVA6: [u8; 38] = [
        0x80, 36, 1, 3, 1, 0, 9, 0, 0, 0, 16, 0, 0, 0x2f, 0, 0, 0x05, 1, 0, 0x80, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
        9, 9, 9, 9, 9, 9,
    ];

    #[test]
    fn tls_suites_are_told_from_sslv2_kinds() {
        let mut bytes = JAVA6.to_vec();
        bytes.truncate(36);
        bytes[1] = 34;
        let Outcome::Value { value, consumed } = Sslv2Hello::parse(&bytes) else { panic!("not read") };
        assert_eq!(value.suites().collect::<Vec<_>>(), [CipherSuite(0x002f), CipherSuite(0x0005)]);
        assert_eq!(value.sslv2_ciphers().collect::<Vec<_>>(), [0x01_0080]);
        assert_eq!((value.version, value.challenge.len(), consumed), (TlsVersion::TLS10, 16, 36));
    }

    #[test]
    fn every_beginning_needs_more() {
        for cut in 0..JAVA6.len() {
            assert!(matches!(Sslv2Hello::parse(&JAVA6[..cut]), Outcome::NeedMore { .. }), "cut at {cut}");
        }
    }

    #[test]
    fn lists_that_leave_the_message_are_malformed() {
        let mut bytes = JAVA6;
        bytes[6] = 200;
        assert!(matches!(Sslv2Hello::parse(&bytes), Outcome::Malformed(m) if m.expected == "lists within the message"));
        bytes[2] = 4;
        assert!(matches!(Sslv2Hello::parse(&bytes), Outcome::Malformed(m) if m.offset == 2));
    }
}
