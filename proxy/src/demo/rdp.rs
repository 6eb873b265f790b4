//! The few bytes of RDP that the embedded ends send in clear, and the sizes of what they send inside TLS.
//!
//! Inside TLS only the sizes of the records matter to somebody in the middle, so a message is a TPKT data header and
//! zeros. The sizes are those seen between mstsc and Windows Server 2022.

use super::script::Turn;
use parser::session::Peer::{Client, Host};

/// requestedProtocols and selectedProtocol bits. [MS-RDPBCGR] 2.2.1.1.1
pub(super) const RDP: u32 = 0x00;
/// TLS.
pub(super) const SSL: u32 = 0x01;
/// TLS and CredSSP (NLA).
pub(super) const HYBRID: u32 = 0x02;
/// CredSSP with the Early User Authorization Result.
pub(super) const HYBRID_EX: u32 = 0x08;
/// TLS and Entra ID.
pub(super) const RDSAAD: u32 = 0x10;
/// What mstsc asks for.
pub(super) const MSTSC: u32 = SSL | HYBRID | HYBRID_EX;

/// An MCS Disconnect Provider Ultimatum in clear, reason 3, as xrdp sends it in place of a Connection Confirm.
pub(super) const ULTIMATUM: &[u8] = &[0x03, 0x00, 0x00, 0x09, 0x02, 0xf0, 0x80, 0x21, 0x80];

/// A Connection Request with a `mstshash` cookie and RDP_NEG_REQ. [MS-RDPBCGR] 2.2.1.1
pub(super) fn connection_request(user: &str, protocols: u32) -> Vec<u8> {
    let cookie = format!("Cookie: mstshash={user}\r\n");
    let mut packet = vec![0x03, 0x00, 0x00, 0x00, 0x00, 0xe0, 0x00, 0x00, 0x00, 0x00, 0x00];
    packet.extend_from_slice(cookie.as_bytes());
    packet.extend_from_slice(&[0x01, 0x00, 0x08, 0x00]);
    packet.extend_from_slice(&protocols.to_le_bytes());
    with_lengths(packet)
}

/// A Connection Confirm with RDP_NEG_RSP. [MS-RDPBCGR] 2.2.1.2.1
pub(super) fn connection_confirm(selected: u32) -> Vec<u8> {
    // Flags 0x1f: extended client data, graphics pipeline, restricted admin and remote guard, as Windows says.
    negotiation_answer(0x02, 0x1f, selected)
}

/// A Connection Confirm with RDP_NEG_FAILURE. [MS-RDPBCGR] 2.2.1.2.2
pub(super) fn negotiation_failure(code: u32) -> Vec<u8> {
    negotiation_answer(0x03, 0x00, code)
}

/// `size` bytes that begin like an RDP message inside TLS: TPKT and an X.224 data header. CredSSP has no TPKT, but
/// nobody on the way can see that.
pub(super) fn message(size: u16) -> Vec<u8> {
    let mut bytes = vec![0; usize::from(size)];
    let [high, low] = size.to_be_bytes();
    for (to, from) in bytes.iter_mut().zip([0x03, 0x00, high, low, 0x02, 0xf0, 0x80]) {
        *to = from;
    }
    bytes
}

fn negotiation_answer(kind: u8, flags: u8, value: u32) -> Vec<u8> {
    let mut packet = vec![0x03, 0x00, 0x00, 0x00, 0x00, 0xd0, 0x00, 0x00, 0x12, 0x34, 0x00];
    packet.extend_from_slice(&[kind, flags, 0x08, 0x00]);
    packet.extend_from_slice(&value.to_le_bytes());
    with_lengths(packet)
}

/// Fills in the TPKT length and the X.224 length indicator; a request or an answer is always below 256 bytes.
fn with_lengths(mut packet: Vec<u8>) -> Vec<u8> {
    let length = u8::try_from(packet.len()).unwrap_or(u8::MAX);
    packet[3] = length;
    packet[4] = length.saturating_sub(5);
    packet
}

/// NLA that the host accepts: three client messages, two answers, and the Early User Authorization Result.
pub(super) const CREDSSP: Turns = &[
    Turn { from: Client, sizes: &[93] },
    Turn { from: Host, sizes: &[162] },
    Turn { from: Client, sizes: &[429] },
    Turn { from: Host, sizes: &[95] },
    Turn { from: Client, sizes: &[108] },
    Turn { from: Host, sizes: &[4] },
];

/// NLA up to the message that carries the answer to the challenge: what comes next is the host's verdict on it.
pub(super) const CREDSSP_UNTIL_AUTHENTICATE: Turns =
    &[Turn { from: Client, sizes: &[93] }, Turn { from: Host, sizes: &[162] }, Turn { from: Client, sizes: &[429] }];

/// MCS Connect, Erect Domain and Attach User, and seven channel joins.
pub(super) const MCS: Turns = &[
    Turn { from: Client, sizes: &[462] },
    Turn { from: Host, sizes: &[126] },
    Turn { from: Client, sizes: &[12, 8] },
    Turn { from: Host, sizes: &[11] },
    Turn { from: Client, sizes: &[12] },
    Turn { from: Host, sizes: &[15] },
    Turn { from: Client, sizes: &[12] },
    Turn { from: Host, sizes: &[15] },
    Turn { from: Client, sizes: &[12] },
    Turn { from: Host, sizes: &[15] },
    Turn { from: Client, sizes: &[12] },
    Turn { from: Host, sizes: &[15] },
    Turn { from: Client, sizes: &[12] },
    Turn { from: Host, sizes: &[15] },
    Turn { from: Client, sizes: &[12] },
    Turn { from: Host, sizes: &[15] },
    Turn { from: Client, sizes: &[12] },
    Turn { from: Host, sizes: &[15] },
];

/// Client Info.
pub(super) const CLIENT_INFO: Turns = &[Turn { from: Client, sizes: &[433] }];

/// Licence granted, Demand and Confirm Active, finalization, and the first picture.
pub(super) const ACTIVATION: Turns = &[
    Turn { from: Host, sizes: &[34, 472] },
    Turn { from: Client, sizes: &[611, 36, 40, 40, 40] },
    Turn { from: Host, sizes: &[36, 40, 40, 40] },
    Turn { from: Host, sizes: &[101, 1261, 3400] },
    Turn { from: Client, sizes: &[27, 31, 101] },
    Turn { from: Host, sizes: &[2048, 640] },
    Turn { from: Client, sizes: &[27] },
];

/// Set Error Info and an MCS ultimatum: the host refuses and says why, inside TLS.
pub(super) const DENIED: Turns = &[Turn { from: Host, sizes: &[36, 9] }];

/// The MCS ultimatum by the client: the user closed the window.
pub(super) const CLIENT_LEAVES: Turns = &[Turn { from: Client, sizes: &[9] }];

/// The MCS ultimatum by the host, as Windows answers a log-off.
pub(super) const HOST_LEAVES: Turns = &[Turn { from: Host, sizes: &[9] }];

/// An RD Gateway that asks for authentication again and again: HTTP requests and answers of equal size.
pub(super) const GATEWAY_REFUSAL: Turns = &[
    Turn { from: Client, sizes: &[331] },
    Turn { from: Host, sizes: &[402] },
    Turn { from: Client, sizes: &[692] },
    Turn { from: Host, sizes: &[876] },
    Turn { from: Client, sizes: &[1436] },
    Turn { from: Host, sizes: &[451] },
];

/// Messages in turn.
pub(super) type Turns = &'static [Turn];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_its_own_length_twice() {
        let request = connection_request("alice", MSTSC);
        assert_eq!(request.len(), 43);
        assert_eq!(usize::from(request[3]), request.len());
        assert_eq!(usize::from(request[4]), request.len() - 5);
        assert_eq!(request[request.len() - 4..], [0x0b, 0, 0, 0]);
    }

    #[test]
    fn an_answer_is_nineteen_bytes() {
        assert_eq!(connection_confirm(HYBRID).len(), 19);
        assert_eq!(negotiation_failure(5)[11..], [0x03, 0x00, 0x08, 0x00, 0x05, 0x00, 0x00, 0x00]);
    }

    #[test]
    fn a_message_shorter_than_its_header_is_cut() {
        assert_eq!(message(4), [0x03, 0x00, 0x00, 0x04]);
        assert_eq!(message(9), [0x03, 0x00, 0x00, 0x09, 0x02, 0xf0, 0x80, 0x00, 0x00]);
    }
}
