//! ServerKeyExchange of TLS ≤ 1.2: the curve, or the size of the prime. RFC 5246 7.4.3, RFC 8422 5.4

use super::super::outcome::{Malformed, Outcome};
use super::extensions::list16;
use super::record::{HANDSHAKE_HEADER, handshake_body};
use super::{CipherSuite, HandshakeType, NamedGroup, SignatureScheme};

/// `curve_type` of a named curve. RFC 8422 5.4
const NAMED_CURVE: u8 = 3;

/// What a ServerKeyExchange says of its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerKeyExchange {
    /// Curve, for ECDHE.
    pub group: Option<NamedGroup>,
    /// Size of the prime in bits, for DHE.
    pub dh_bits: Option<u16>,
    /// How the host signed it; only TLS 1.2 says. RFC 5246 7.4.3
    pub signature: Option<SignatureScheme>,
}

impl ServerKeyExchange {
    /// Reads a whole handshake message, its header included. Its layout depends on the suite that was chosen; for a suite
    /// whose layout is not known nothing is read from it.
    #[must_use]
    pub fn parse(input: &[u8], suite: CipherSuite) -> Outcome<ServerKeyExchange> {
        let body = match handshake_body(input, HandshakeType::SERVER_KEY_EXCHANGE, "ServerKeyExchange") {
            Ok(body) => body,
            Err(outcome) => return outcome.map(|()| ServerKeyExchange::default()),
        };
        let (key_exchange, authentication) =
            suite.info().map_or(("", ""), |suite| (suite.key_exchange, suite.authentication));
        // A hint that ends too early leaves nothing behind it, and no offset beyond the message.
        let hint = if authentication == "PSK" { (2 + list16(body).len()).min(body.len()) } else { 0 };
        let parameters = &body[hint..];
        let at = |expected| Outcome::Malformed(Malformed { offset: HANDSHAKE_HEADER + hint, expected });
        let value = match (key_exchange, parameters) {
            ("ECDHE" | "ECDH", [NAMED_CURVE, high, low, ..]) => {
                let group = Some(NamedGroup(u16::from_be_bytes([*high, *low])));
                ServerKeyExchange { group, dh_bits: None, signature: signature(after_point(parameters)) }
            }
            // Explicit curves have no number.
            ("ECDHE" | "ECDH", [1 | 2, ..]) => ServerKeyExchange::default(),
            ("ECDHE" | "ECDH", _) => return at("curve_type and named curve"),
            ("DHE" | "DH", [_, _, ..]) => ServerKeyExchange {
                group: None,
                dh_bits: Some(bits(list16(parameters))),
                signature: signature(after_numbers(parameters)),
            },
            ("DHE" | "DH", _) => return at("dh_p"),
            _ => ServerKeyExchange::default(),
        };
        Outcome::Value { value, consumed: HANDSHAKE_HEADER + body.len() }
    }
}

/// What follows a named curve and its point.
fn after_point(parameters: &[u8]) -> &[u8] {
    let length = parameters.get(3).copied().map_or(0, usize::from);
    parameters.get(4 + length..).unwrap_or_default()
}

/// What follows the prime, the generator and the host's number.
fn after_numbers(parameters: &[u8]) -> &[u8] {
    (0..3).fold(parameters, |rest, _| rest.get(2 + list16(rest).len()..).unwrap_or_default())
}

/// The scheme before a signature. Older versions have the signature alone: its length tells which it is.
fn signature(bytes: &[u8]) -> Option<SignatureScheme> {
    match bytes {
        [high, low, a, b, signature @ ..] if signature.len() == usize::from(u16::from_be_bytes([*a, *b])) => {
            Some(SignatureScheme(u16::from_be_bytes([*high, *low])))
        }
        _ => None,
    }
}

/// Size of a big-endian number in bits.
fn bits(number: &[u8]) -> u16 {
    let significant = number.iter().position(|byte| *byte != 0).map_or(&[][..], |at| &number[at..]);
    let leading = significant.first().map_or(0, |byte| byte.leading_zeros() as usize);
    u16::try_from(significant.len() * 8 - leading).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_of_ecdhe_is_read() {
        let message = [12, 0, 0, 5, 3, 0, 29, 1, 9];
        let exchange = ServerKeyExchange::parse(&message, CipherSuite(0xc030)).value().expect("read");
        assert_eq!(exchange.group, Some(NamedGroup::X25519));
    }

    #[test]
    fn the_prime_of_dhe_is_measured() {
        let mut message = vec![12, 0, 0, 131, 0, 129, 0, 0xff];
        message.extend([1; 127]);
        let exchange = ServerKeyExchange::parse(&message, CipherSuite(0x009f)).value().expect("read");
        assert_eq!(exchange.dh_bits, Some(1024));
    }

    #[test]
    fn the_scheme_of_the_signature_is_read_where_there_is_one() {
        let signed = [12, 0, 0, 12, 3, 0, 29, 1, 9, 8, 4, 0, 3, 1, 1, 1];
        let exchange = ServerKeyExchange::parse(&signed, CipherSuite(0xc030)).value().expect("read");
        assert_eq!(exchange.signature, Some(SignatureScheme(0x0804)));
        let of_tls10 = [12, 0, 0, 10, 3, 0, 29, 1, 9, 0, 3, 1, 1, 1];
        let exchange = ServerKeyExchange::parse(&of_tls10, CipherSuite(0xc014)).value().expect("read");
        assert_eq!(exchange.signature, None);
    }

    #[test]
    fn a_psk_hint_is_stepped_over() {
        // TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA
        let message = [12, 0, 0, 7, 0, 2, b'h', b'i', 3, 0, 23];
        let exchange = ServerKeyExchange::parse(&message, CipherSuite(0xc035)).value().expect("read");
        assert_eq!(exchange.group, Some(NamedGroup::SECP256R1));
    }

    #[test]
    fn a_message_that_ends_too_early_is_malformed() {
        let outcome = ServerKeyExchange::parse(&[12, 0, 0, 1, 3], CipherSuite(0xc030));
        assert!(matches!(outcome, Outcome::Malformed(m) if m.offset == 4));
        let cut_in_the_hint = ServerKeyExchange::parse(&[12, 0, 0, 1, 9], CipherSuite(0xc035));
        assert!(matches!(cut_in_the_hint, Outcome::Malformed(m) if m.offset == 5));
    }
}
