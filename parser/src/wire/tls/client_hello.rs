//! ClientHello. RFC 8446 4.1.2, RFC 5246 7.4.1.2

use super::super::outcome::{Malformed, Outcome, Parsed, field, whole};
use super::extensions::{ByteStrings, Extensions, KeyShares, list8, list16, u16s};
use super::record::{HANDSHAKE_HEADER, handshake_body};
use super::{CipherSuite, ExtensionType, HandshakeType, NamedGroup, SignatureScheme, TlsVersion};
use nom::Parser;
use nom::bytes::streaming::take;
use nom::multi::length_data;
use nom::number::streaming::{be_u8, be_u16};

/// A ClientHello, borrowed. One pass has noted where each list is; lists are read when asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// `legacy_version`.
    pub legacy_version: TlsVersion,
    /// `random`.
    pub random: &'a [u8],
    /// `legacy_session_id`.
    pub session_id: &'a [u8],
    /// `legacy_compression_methods`.
    pub compression_methods: &'a [u8],
    /// Bytes of the message, handshake header included.
    pub length: u32,
    suites: &'a [u8],
    extensions: &'a [u8],
    server_name: Option<&'a [u8]>,
    supported_versions: Option<&'a [u8]>,
    groups: Option<&'a [u8]>,
    point_formats: Option<&'a [u8]>,
    signature_schemes: Option<&'a [u8]>,
    alpn: Option<&'a [u8]>,
    key_shares: Option<&'a [u8]>,
    session_ticket: Option<&'a [u8]>,
    pre_shared_key: Option<&'a [u8]>,
}

impl<'a> ClientHello<'a> {
    /// Reads a whole handshake message, its header included.
    ///
    /// ```
    /// use parser::wire::{ClientHello, Outcome};
    /// assert!(matches!(ClientHello::parse(&[1, 0, 0, 200, 3, 3]), Outcome::NeedMore { at_least: 198 }));
    /// ```
    #[must_use]
    pub fn parse(input: &'a [u8]) -> Outcome<ClientHello<'a>> {
        let body = match handshake_body(input, HandshakeType::CLIENT_HELLO, "ClientHello") {
            Ok(body) => body,
            Err(outcome) => return outcome.map(|()| ClientHello::default()),
        };
        let consumed = HANDSHAKE_HEADER + body.len();
        match whole(body, hello) {
            Ok((_, hello)) => {
                let length = u32::try_from(consumed).unwrap_or(u32::MAX);
                Outcome::Value { value: ClientHello { length, ..hello }, consumed }
            }
            Err(m) => Outcome::Malformed(Malformed { offset: m.offset + HANDSHAKE_HEADER, ..m }),
        }
    }

    /// Suites in the order offered.
    pub fn suites(&self) -> impl Iterator<Item = CipherSuite> + Clone + 'a {
        u16s(self.suites).map(CipherSuite)
    }

    /// Type and data of every extension, in the order sent.
    #[must_use]
    pub fn extensions(&self) -> Extensions<'a> {
        Extensions(self.extensions)
    }

    /// `supported_versions` in the order offered; none when the extension is absent.
    pub fn supported_versions(&self) -> impl Iterator<Item = TlsVersion> + Clone + 'a {
        u16s(list8(self.supported_versions.unwrap_or_default())).map(TlsVersion)
    }

    /// `supported_groups` in the order offered.
    pub fn groups(&self) -> impl Iterator<Item = NamedGroup> + Clone + 'a {
        u16s(list16(self.groups.unwrap_or_default())).map(NamedGroup)
    }

    /// `ec_point_formats`.
    #[must_use]
    pub fn point_formats(&self) -> &'a [u8] {
        list8(self.point_formats.unwrap_or_default())
    }

    /// `signature_algorithms` in the order offered.
    pub fn signature_schemes(&self) -> impl Iterator<Item = SignatureScheme> + Clone + 'a {
        u16s(list16(self.signature_schemes.unwrap_or_default())).map(SignatureScheme)
    }

    /// Group and size in bytes of each key share.
    #[must_use]
    pub fn key_shares(&self) -> KeyShares<'a> {
        KeyShares(list16(self.key_shares.unwrap_or_default()))
    }

    /// ALPN values in the order offered. RFC 7301
    #[must_use]
    pub fn alpn(&self) -> ByteStrings<'a> {
        ByteStrings(list16(self.alpn.unwrap_or_default()))
    }

    /// `host_name` of `server_name`. RFC 6066 3
    #[must_use]
    pub fn server_name(&self) -> Option<&'a [u8]> {
        match list16(self.server_name?) {
            [0, name @ ..] => Some(list16(name)),
            _ => None,
        }
    }

    /// The `server_name` extension is there, whatever it holds.
    #[must_use]
    pub fn has_server_name(&self) -> bool {
        self.server_name.is_some()
    }

    /// A ticket or a PSK is offered: resumption is being tried. RFC 5077 3.2, RFC 8446 4.2.11
    #[must_use]
    pub fn offers_resumption(&self) -> bool {
        self.pre_shared_key.is_some() || self.session_ticket.is_some_and(|ticket| !ticket.is_empty())
    }
}

#[inline]
fn hello(i: &[u8]) -> Parsed<'_, ClientHello<'_>> {
    let (i, legacy_version) = field("legacy_version", i, be_u16)?;
    let (i, random) = field("random of 32 bytes", i, take(32usize))?;
    let (i, session_id) = field("legacy_session_id", i, |i| length_data(be_u8).parse(i))?;
    let (i, suites) = field("cipher_suites", i, |i| length_data(be_u16).parse(i))?;
    let (i, compression_methods) = field("legacy_compression_methods", i, |i| length_data(be_u8).parse(i))?;
    let mut hello = ClientHello {
        legacy_version: TlsVersion(legacy_version),
        random,
        session_id,
        suites,
        compression_methods,
        ..ClientHello::default()
    };
    // Without extensions the message may end here. RFC 5246 7.4.1.2
    if i.is_empty() {
        return Ok((i, hello));
    }
    let (rest, extensions) = field("extensions", i, |i| length_data(be_u16).parse(i))?;
    hello.extensions = extensions;
    hello.note_extensions(extensions)?;
    Ok((rest, hello))
}

impl<'a> ClientHello<'a> {
    #[inline]
    fn note_extensions(&mut self, block: &'a [u8]) -> Result<(), nom::Err<super::super::outcome::Unexpected<'a>>> {
        let mut extensions = Extensions(block);
        for (kind, data) in extensions.by_ref() {
            let slot = match kind {
                ExtensionType::SERVER_NAME => &mut self.server_name,
                ExtensionType::SUPPORTED_GROUPS => &mut self.groups,
                ExtensionType::EC_POINT_FORMATS => &mut self.point_formats,
                ExtensionType::SIGNATURE_ALGORITHMS => &mut self.signature_schemes,
                ExtensionType::ALPN => &mut self.alpn,
                ExtensionType::SESSION_TICKET => &mut self.session_ticket,
                ExtensionType::PRE_SHARED_KEY => &mut self.pre_shared_key,
                ExtensionType::SUPPORTED_VERSIONS => &mut self.supported_versions,
                ExtensionType::KEY_SHARE | ExtensionType::KEY_SHARE_OF_DRAFTS => &mut self.key_shares,
                _ => continue,
            };
            *slot = slot.or(Some(data));
        }
        match extensions.0 {
            [] => Ok(()),
            rest => Err(super::super::outcome::unexpected(rest, "extension within the block")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 4, 0x13, 0x01, 0x5a, 0x5a, 1, 0]);
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let mut message = vec![1, 0, 0, body.len() as u8];
        message.extend(body);
        message
    }

    #[test]
    fn grease_is_kept() {
        let message = hello(&[]);
        let hello = ClientHello::parse(&message).value().expect("a hello");
        assert_eq!(hello.suites().collect::<Vec<_>>(), [CipherSuite(0x1301), CipherSuite(0x5a5a)]);
        assert_eq!(hello.length as usize, message.len());
        assert_eq!(hello.server_name(), None);
    }

    #[test]
    fn a_hello_without_an_extension_block_is_read() {
        let mut message = hello(&[]);
        message.truncate(message.len() - 2);
        message[3] -= 2;
        let hello = ClientHello::parse(&message).value().expect("a hello");
        assert_eq!(hello.extensions().count(), 0);
    }

    #[test]
    fn an_extension_that_leaves_its_block_has_a_place() {
        let message = hello(&[0, 23, 0, 0, 0, 35, 0, 9, 1]);
        let outcome = ClientHello::parse(&message);
        let Outcome::Malformed(m) = outcome else { panic!("{outcome:?}") };
        assert_eq!((m.expected, &message[m.offset..]), ("extension within the block", &[0, 35, 0, 9, 1][..]));
    }

    #[test]
    fn running_out_of_bytes_names_the_field() {
        let message = [1, 0, 0, 10, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0];
        let malformed = Malformed { offset: 6, expected: "random of 32 bytes" };
        assert_eq!(ClientHello::parse(&message), Outcome::Malformed(malformed));
    }

    #[test]
    fn every_beginning_needs_more() {
        let message = hello(&[0, 23, 0, 0]);
        for cut in 0..message.len() {
            assert!(matches!(ClientHello::parse(&message[..cut]), Outcome::NeedMore { .. }), "cut at {cut}");
        }
    }
}
