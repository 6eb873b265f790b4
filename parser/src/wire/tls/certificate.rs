//! Certificate message of TLS ≤ 1.2: the chain as sent. RFC 5246 7.4.2

use super::super::outcome::{Malformed, Outcome};
use super::HandshakeType;
use super::record::{HANDSHAKE_HEADER, handshake_body};

/// A certificate chain, borrowed; the leaf is first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CertificateChain<'a> {
    /// Bytes of the message, handshake header included.
    pub length: u32,
    list: &'a [u8],
}

impl<'a> CertificateChain<'a> {
    /// Reads a whole handshake message, its header included. An empty chain is a value: a client without certificate.
    #[must_use]
    pub fn parse(input: &'a [u8]) -> Outcome<CertificateChain<'a>> {
        let body = match handshake_body(input, HandshakeType::CERTIFICATE, "Certificate") {
            Ok(body) => body,
            Err(outcome) => return outcome.map(|()| CertificateChain::default()),
        };
        match vector24(body) {
            Some((list, _)) => {
                let consumed = HANDSHAKE_HEADER + body.len();
                let length = u32::try_from(consumed).unwrap_or(u32::MAX);
                Outcome::Value { value: CertificateChain { length, list }, consumed }
            }
            None => Outcome::Malformed(Malformed { offset: HANDSHAKE_HEADER, expected: "certificate_list" }),
        }
    }

    /// DER of each certificate, leaf first. Ends early when the list does.
    pub fn certificates(&self) -> impl Iterator<Item = &'a [u8]> + Clone + 'a {
        let mut list = self.list;
        std::iter::from_fn(move || {
            let (der, rest) = vector24(list)?;
            list = rest;
            Some(der)
        })
    }
}

/// A vector with a three-byte length, and what follows it.
fn vector24(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match bytes {
        [a, b, c, after @ ..] => after.split_at_checked(u32::from_be_bytes([0, *a, *b, *c]) as usize),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_is_given_leaf_first() {
        let message = [11, 0, 0, 12, 0, 0, 9, 0, 0, 1, 7, 0, 0, 2, 8, 9];
        let chain = CertificateChain::parse(&message).value().expect("a chain");
        assert_eq!(chain.certificates().collect::<Vec<_>>(), [&[7][..], &[8, 9][..]]);
        assert_eq!(chain.length, 16);
    }

    #[test]
    fn an_empty_chain_is_a_value() {
        let chain = CertificateChain::parse(&[11, 0, 0, 3, 0, 0, 0]).value().expect("a chain");
        assert_eq!(chain.certificates().count(), 0);
    }

    #[test]
    fn a_list_longer_than_its_message_is_malformed() {
        assert!(matches!(CertificateChain::parse(&[11, 0, 0, 3, 0, 0, 1]), Outcome::Malformed(m) if m.offset == 4));
    }
}
