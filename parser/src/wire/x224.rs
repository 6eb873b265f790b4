//! X.224 TPDUs of class 0 that begin an RDP connection. [MS-RDPBCGR] 2.2.1.1, 2.2.1.2; ITU-T X.224 13
//!
//! Hosts differ in how strictly they check a length indicator, so a wrong one is reported beside the value and refuses
//! nothing: whether the peer minds is what the observer is there to see.

use super::nego::{self, CorrelationId, NegotiationAnswer, NegotiationRequest, RequestFlags};
use super::outcome::{Malformed, Outcome, whole};
use super::tpkt::{TPKT_HEADER, Tpkt};
use super::{DisconnectReason, mcs};

/// Longest Connection Request or answer that is held, in bytes. The length indicator is one byte, so a request has 259
/// bytes with its TPKT header; twice that leaves room for peers that count wrongly.
pub const X224_MAX: u16 = 512;

/// TPDU code of a Connection Request.
pub const TPDU_CONNECTION_REQUEST: u8 = 0xe0;
/// TPDU code of a Connection Confirm.
pub const TPDU_CONNECTION_CONFIRM: u8 = 0xd0;
/// TPDU code of a Disconnect Request.
pub const TPDU_DISCONNECT_REQUEST: u8 = 0x80;
/// TPDU code of an Error.
pub const TPDU_ERROR: u8 = 0x70;
/// TPDU code of Data.
pub const TPDU_DATA: u8 = 0xf0;

/// Length indicator, code, two references and the class, which open CR and CC.
const CONNECT_HEADER: usize = 7;

/// What names the user or the target before negotiation data. At most one is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// Value of `Cookie: mstshash=`: the user name as far as the client sends it.
    Cookie(&'a [u8]),
    /// `Cookie: msts=…`, `tsv://…`, `mth://…` or anything else that stood there, as sent, without CRLF.
    Routing(&'a [u8]),
}

/// An X.224 Connection Request. [MS-RDPBCGR] 2.2.1.1
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionRequest<'a> {
    /// Whole TPKT length in bytes.
    pub length: u16,
    /// Cookie or token.
    pub token: Option<Token<'a>>,
    /// RDP_NEG_REQ; without one, standard RDP security is asked for.
    pub negotiation: Option<NegotiationRequest>,
    /// RDP_NEG_CORRELATION_INFO.
    pub correlation_id: Option<CorrelationId>,
    /// The first thing in it that is not as specified, if any.
    pub oddity: Option<Malformed>,
}

/// What a host says to a Connection Request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionAnswer {
    /// Connection Confirm. [MS-RDPBCGR] 2.2.1.2
    Confirm {
        /// Negotiation data; a host that knows none selects standard RDP security.
        negotiation: Option<NegotiationAnswer>,
        /// SRC-REF: 0x1234 from Windows and xrdp, 0 from FreeRDP's servers.
        source: u16,
        /// The first thing in it that is not as specified, if any.
        oddity: Option<Malformed>,
    },
    /// A clear MCS Disconnect Provider Ultimatum, xrdp's way of refusing a request.
    Ultimatum(DisconnectReason),
    /// Disconnect Request or Error, with its TPDU code.
    Refused(u8),
    /// Another TPDU, with its code.
    Other(u8),
}

impl<'a> ConnectionRequest<'a> {
    /// Reads a whole TPKT that holds a Connection Request.
    pub fn parse(input: &'a [u8]) -> Outcome<ConnectionRequest<'a>> {
        let packet = match packet(input) {
            Outcome::Value { value, .. } => value,
            Outcome::NeedMore { at_least } => return Outcome::NeedMore { at_least },
            Outcome::Malformed(malformed) => return Outcome::Malformed(malformed),
        };
        if packet[5] & 0xf0 != TPDU_CONNECTION_REQUEST {
            return malformed(5, "X.224 Connection Request");
        }
        let mut oddities = Oddities(wrong_indicator(packet));
        let mut at = (TPKT_HEADER + CONNECT_HEADER).min(packet.len());
        if packet.len() < TPKT_HEADER + CONNECT_HEADER {
            oddities.note(packet.len(), "X.224 references and class");
        }
        let token = token(&packet[at..], &mut oddities, at).map(|(token, length)| {
            at += length;
            token
        });
        let mut request = ConnectionRequest { length: length_of(packet), token, ..ConnectionRequest::default() };
        if at < packet.len() {
            match whole(&packet[at..], nego::request) {
                Ok((rest, negotiation)) => {
                    request.negotiation = Some(negotiation);
                    at = packet.len() - rest.len();
                }
                Err(m) => {
                    oddities.note(at + m.offset, m.expected);
                    at = packet.len();
                }
            }
        }
        let announced = request.negotiation.is_some_and(|n| n.flags.contains(RequestFlags::CORRELATION_INFO));
        if announced || at < packet.len() {
            match whole(&packet[at..], nego::correlation_info) {
                Ok((_, id)) => request.correlation_id = Some(id),
                Err(m) => oddities.note(at + m.offset, m.expected),
            }
        }
        request.oddity = oddities.0;
        Outcome::Value { value: request, consumed: packet.len() }
    }
}

impl ConnectionAnswer {
    /// Reads a whole TPKT that answers a Connection Request.
    pub fn parse(input: &[u8]) -> Outcome<ConnectionAnswer> {
        packet(input).map(|packet| match packet[5] & 0xf0 {
            TPDU_CONNECTION_CONFIRM => confirm(packet),
            code @ (TPDU_DISCONNECT_REQUEST | TPDU_ERROR) => ConnectionAnswer::Refused(code),
            TPDU_DATA => match mcs::ultimatum(packet.get(7..).unwrap_or_default()) {
                Some(reason) => ConnectionAnswer::Ultimatum(reason),
                None => ConnectionAnswer::Other(TPDU_DATA),
            },
            _ => ConnectionAnswer::Other(packet[5]),
        })
    }
}

fn confirm(packet: &[u8]) -> ConnectionAnswer {
    let mut oddities = Oddities(wrong_indicator(packet));
    let source = packet.get(8..10).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
    let data = packet.get(TPKT_HEADER + CONNECT_HEADER..).unwrap_or_default();
    let negotiation = match data {
        [] => None,
        data => match whole(data, nego::answer) {
            Ok((_, answer)) => Some(answer),
            Err(m) => {
                oddities.note(TPKT_HEADER + CONNECT_HEADER + m.offset, m.expected);
                None
            }
        },
    };
    ConnectionAnswer::Confirm { negotiation, source, oddity: oddities.0 }
}

/// A whole TPKT, [`X224_MAX`] bytes at the most. It has 7 bytes at the least, so its code can be indexed.
fn packet(input: &[u8]) -> Outcome<&[u8]> {
    let length = match Tpkt::parse(input) {
        Outcome::Value { value, .. } => value.length,
        Outcome::NeedMore { at_least } => return Outcome::NeedMore { at_least },
        Outcome::Malformed(malformed) => return Outcome::Malformed(malformed),
    };
    if length > X224_MAX {
        return malformed(2, "TPKT length of 512 or less");
    }
    match input.split_at_checked(usize::from(length)) {
        Some((packet, _)) => Outcome::Value { value: packet, consumed: packet.len() },
        None => Outcome::NeedMore { at_least: usize::from(length) - input.len() },
    }
}

fn length_of(packet: &[u8]) -> u16 {
    u16::try_from(packet.len()).unwrap_or(u16::MAX)
}

/// LI counts the TPDU without itself, and a CR or CC has no user data: LI + 5 is the TPKT length. ITU-T X.224 13.2.1
fn wrong_indicator(packet: &[u8]) -> Option<Malformed> {
    let wrong = usize::from(packet[TPKT_HEADER]) + TPKT_HEADER + 1 != packet.len();
    wrong.then_some(Malformed { offset: TPKT_HEADER, expected: "X.224 length indicator of TPKT length minus 5" })
}

/// The token that begins `data`, and its length with CRLF. RDP_NEG_REQ begins with 1, which no token does.
fn token<'a>(data: &'a [u8], oddities: &mut Oddities, at: usize) -> Option<(Token<'a>, usize)> {
    const COOKIE: &[u8] = b"Cookie: mstshash=";
    if matches!(data, [] | [nego::TYPE_REQUEST, ..]) {
        return None;
    }
    let (text, length) = match data.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) => (&data[..end], end + 2),
        None => {
            oddities.note(at, "token that ends with CRLF");
            (data, data.len())
        }
    };
    let token = match text.strip_prefix(COOKIE) {
        Some(name) => Token::Cookie(name),
        None => Token::Routing(text),
    };
    Some((token, length))
}

/// Keeps the first thing that was wrong.
struct Oddities(Option<Malformed>);

impl Oddities {
    fn note(&mut self, offset: usize, expected: &'static str) {
        self.0.get_or_insert(Malformed { offset, expected });
    }
}

fn malformed<T>(offset: usize, expected: &'static str) -> Outcome<T> {
    Outcome::Malformed(Malformed { offset, expected })
}

/// The host and port of a `msts=` routing token: the address as a decimal u32 in little-endian order, the port with its
/// bytes swapped. [MS-RDPBCGR] 3.2.5.3.1
#[must_use]
pub fn routing_token_target(token: &str) -> Option<std::net::SocketAddrV4> {
    let (_, value) = token.split_once("msts=")?;
    let mut parts = value.split('.');
    let address: u32 = parts.next()?.parse().ok()?;
    let port: u16 = parts.next()?.parse().ok()?;
    Some(std::net::SocketAddrV4::new(address.to_le_bytes().into(), port.swap_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::{FailureCode, Protocols, ResponseFlags};
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
    }

    fn request(bytes: &[u8]) -> ConnectionRequest<'_> {
        match ConnectionRequest::parse(bytes) {
            Outcome::Value { value, consumed } => {
                assert_eq!(consumed, bytes.len());
                value
            }
            other => panic!("{other:?}"),
        }
    }

    /// xfreerdp 2.11.7 to xrdp 0.9.21, recorded on loopback.
    const XFREERDP: &str = "0300002b26e00000000000436f6f6b69653a206d737473686173683d616c6963650d0a0100080001000000";

    fn request_with(token: &[u8], tail: &[u8]) -> Vec<u8> {
        let length = 11 + token.len() + tail.len();
        let mut packet = vec![3, 0, 0, length as u8, (length - 5) as u8, 0xe0, 0, 0, 0, 0, 0];
        packet.extend(token);
        packet.extend(tail);
        packet
    }

    #[test]
    fn xfreerdp_sends_the_user_and_asks_for_tls() {
        let bytes = hex(XFREERDP);
        let cr = request(&bytes);
        assert_eq!(cr.token, Some(Token::Cookie(b"alice")));
        assert_eq!(cr.negotiation.map(|n| n.protocols), Some(Protocols::SSL));
        assert_eq!((cr.length, cr.oddity, cr.correlation_id), (43, None, None));
    }

    #[test]
    fn xfreerdp_with_rdp_security_sends_no_negotiation_data() {
        let bytes = request_with(b"Cookie: mstshash=alice\r\n", &[]);
        assert_eq!(bytes.len(), 35);
        assert_eq!(request(&bytes).negotiation, None);
    }

    #[test]
    fn a_broker_token_and_a_correlation_id_are_read() {
        let mut tail = vec![1, 0x0a, 8, 0, 0x0b, 0, 0, 0, 6, 0, 36, 0];
        tail.extend(1..=16u8);
        tail.extend([0; 16]);
        let bytes = request_with(b"Cookie: msts=3640205228.15629.0000\r\n", &tail);
        let cr = request(&bytes);
        assert_eq!(cr.token, Some(Token::Routing(b"Cookie: msts=3640205228.15629.0000")));
        assert_eq!(cr.correlation_id.map(|id| id.0[0]), Some(1));
        assert_eq!(cr.oddity, None);
    }

    #[test]
    fn the_target_in_a_routing_token_is_decoded() {
        let target = routing_token_target("Cookie: msts=3640205228.15629.0000");
        assert_eq!(target.map(|t| t.to_string()).as_deref(), Some("172.31.249.216:3389"));
        assert_eq!(routing_token_target("tsv://MS Terminal Services Plugin.1.Sessions"), None);
    }

    #[test]
    fn a_wrong_length_indicator_is_reported_and_refuses_nothing() {
        let mut bytes = hex(XFREERDP);
        bytes[4] = 0x20;
        let cr = request(&bytes);
        assert_eq!(cr.oddity.map(|m| m.offset), Some(4));
        assert_eq!(cr.negotiation.map(|n| n.protocols), Some(Protocols::SSL));
    }

    #[test]
    fn every_beginning_of_a_request_needs_more() {
        let bytes = hex(XFREERDP);
        for cut in 0..bytes.len() {
            assert!(matches!(ConnectionRequest::parse(&bytes[..cut]), Outcome::NeedMore { .. }), "cut at {cut}");
        }
    }

    #[test]
    fn a_shortest_tpkt_is_read_with_an_oddity() {
        assert!(request(&[3, 0, 0, 7, 2, 0xe0, 0]).oddity.is_some());
    }

    #[test]
    fn answers_are_told_apart() {
        let of = |text: &str| ConnectionAnswer::parse(&hex(text)).value();
        let confirm = |negotiation, source| Some(ConnectionAnswer::Confirm { negotiation, source, oddity: None });
        let selected = NegotiationAnswer::Selected { protocol: Protocols::SSL, flags: ResponseFlags(1) };
        assert_eq!(of("030000130ed000001234000201080001000000"), confirm(Some(selected), 0x1234));
        let failure = NegotiationAnswer::Failure(FailureCode(5));
        assert_eq!(of("030000130ed000000000000300080005000000"), confirm(Some(failure), 0));
        assert_eq!(of("0300000b06d00000123400"), confirm(None, 0x1234));
        assert_eq!(of("0300000902f0802180"), Some(ConnectionAnswer::Ultimatum(DisconnectReason(3))));
        assert_eq!(of("0300000b06800000123400"), Some(ConnectionAnswer::Refused(0x80)));
    }
}
