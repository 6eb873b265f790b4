//! What a clear PDU says beyond its kind, read from as few of its first bytes as tell it.
//!
//! [`message`] is asked with the bytes held so far and says how many more it wants; texts of users, cookies and tickets
//! always lie behind what it asks for.

use super::client_info::{CLIENT_INFO_HEAD, ClientInfo};
use super::gcc::{CONNECT_MAX, ClientData, ServerData};
use super::licensing::{ERROR_MESSAGE, Licence, LicenceKind, PREAMBLE};
use super::mcs::{ClearPdu, Payload, PduKind, SecurityFlags, SendData};
use super::share::{Read, Share};

/// Bytes of a PDU on the I/O channel that are held at the most: hosts pack some small share PDUs into one.
const SHARE_MAX: usize = 256;
/// Flags and `flagsHi`. [MS-RDPBCGR] 2.2.8.1.1.2.1
const SECURITY_HEADER: usize = 4;
/// TPKT 4, X.224 3, choice 1, initiator 2, channel 2, priority 1; then the length in one or two bytes.
const BEFORE_LENGTH: usize = 13;

/// What a PDU says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// MCS Connect Initial.
    ConnectInitial(Box<ClientData>),
    /// MCS Connect Response.
    ConnectResponse(ServerData),
    /// Client Info.
    ClientInfo(ClientInfo),
    /// A licensing message.
    Licence(Licence),
    /// A share PDU.
    Share(Share),
}

/// What came of looking for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// This, and where in the PDU to look for the next one.
    Message(Message, usize),
    /// So many bytes of the PDU have to be held.
    More(usize),
    /// None, or no more.
    Nothing,
}

/// The message in `pdu` that begins at `at` (0 for the first), of which `held` are the first bytes. `io_channel` is the
/// channel of the session itself; what others carry is not looked at.
pub(crate) fn message(pdu: ClearPdu, held: &[u8], at: usize, io_channel: u16) -> Found {
    let length = usize::from(pdu.length);
    match pdu.kind {
        PduKind::ConnectInitial | PduKind::ConnectResponse => connect(pdu, held, at),
        PduKind::SendDataRequest(data) | PduKind::SendDataIndication(data) if data.channel == io_channel => {
            let start =
                BEFORE_LENGTH + if held.get(BEFORE_LENGTH).is_some_and(|first| first & 0x80 != 0) { 2 } else { 1 };
            let end = length.min(start + usize::from(data.length));
            let from_client = matches!(pdu.kind, PduKind::SendDataRequest(_));
            if at == 0 { user_data(data, from_client, held, start, end) } else { share(held, at, end) }
        }
        _ => Found::Nothing,
    }
}

fn connect(pdu: ClearPdu, held: &[u8], at: usize) -> Found {
    let whole = usize::from(pdu.length).min(CONNECT_MAX);
    if at > 0 {
        return Found::Nothing;
    }
    if held.len() < whole {
        return Found::More(whole);
    }
    let message = match pdu.kind {
        PduKind::ConnectResponse => Message::ConnectResponse(ServerData::parse(held)),
        _ => match ClientData::parse(held) {
            Ok(data) => Message::ConnectInitial(Box::new(data)),
            Err(_) => return Found::Nothing,
        },
    };
    Found::Message(message, whole)
}

/// The first message of user data from `start` to `end`.
fn user_data(data: SendData, from_client: bool, held: &[u8], start: usize, end: usize) -> Found {
    let flags = match data.payload {
        Payload::Share(_) => return share(held, start, end),
        Payload::Other => return Found::Nothing,
        Payload::Security(flags) => flags,
    };
    match packed(held, start, end) {
        Found::Nothing => {}
        found => return found,
    }
    let body = start + SECURITY_HEADER;
    if flags.contains(SecurityFlags::ENCRYPT) {
        return Found::Nothing;
    }
    if flags.contains(SecurityFlags::INFO) && from_client {
        return match held.get(body..).and_then(ClientInfo::parse) {
            Some(info) => Found::Message(Message::ClientInfo(info), end),
            None => more(body + CLIENT_INFO_HEAD, end),
        };
    }
    if flags.contains(SecurityFlags::LICENSE) {
        let kind = held.get(body).copied();
        return match held.get(body..).and_then(Licence::parse) {
            Some(licence) => Found::Message(Message::Licence(licence), end),
            None if kind == Some(LicenceKind::ERROR_ALERT.0) => more(body + ERROR_MESSAGE, end),
            None => more(body + PREAMBLE, end),
        };
    }
    // With a low encryption level the host's header stands before data that is clear. [MS-RDPBCGR] 5.3.1
    if flags == SecurityFlags::default() { share(held, body, end) } else { Found::Nothing }
}

/// Several share PDUs in one: the first begins like a security header, and only the header behind it decides.
fn packed(held: &[u8], start: usize, end: usize) -> Found {
    let found = share(held, start, end);
    let Found::Message(_, next) = &found else { return found };
    match Share::read(held.get(*next..).unwrap_or_default(), end.saturating_sub(*next)) {
        Read::Not => Found::Nothing,
        Read::More(needed) if held.len() < next + needed.min(6) => more(next + needed, end),
        Read::More(_) | Read::Share(..) => found,
    }
}

fn share(held: &[u8], start: usize, end: usize) -> Found {
    match Share::read(held.get(start..).unwrap_or_default(), end.saturating_sub(start)) {
        Read::Share(share, total) => Found::Message(Message::Share(share), start + total),
        Read::More(needed) => more(start + needed, end),
        Read::Not => Found::Nothing,
    }
}

fn more(needed: usize, end: usize) -> Found {
    if needed <= end.min(SHARE_MAX) { Found::More(needed) } else { Found::Nothing }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::gcc::tests::{connect, core};
    use super::super::mcs::{PDU_PREFIX, pdu_kind};
    use super::super::share::tests::{share, share_data};
    use super::super::{ErrorInfo, Protocols, ShareData};
    use super::*;

    const IO: u16 = 1003;

    /// User data on the I/O channel, as a whole TPKT.
    pub(crate) fn send(host: bool, data: &[u8]) -> Vec<u8> {
        let length = (u16::try_from(data.len()).unwrap() | 0x8000).to_be_bytes();
        let head = [if host { 0x68 } else { 0x64 }, 0, 6, 3, 0xeb, 0x70, length[0], length[1]];
        let total = u16::try_from(data.len() + 15).unwrap().to_be_bytes();
        [&[3, 0, total[0], total[1], 2, 0xf0, 0x80][..], &head, data].concat()
    }

    /// Every message, with how many bytes had to be held.
    pub(crate) fn messages(pdu: &[u8]) -> (Vec<Message>, usize) {
        let clear = ClearPdu { kind: pdu_kind(&pdu[..pdu.len().min(PDU_PREFIX)]), length: pdu.len() as u16 };
        let (mut found, mut held, mut at) = (Vec::new(), PDU_PREFIX.min(pdu.len()), 0);
        loop {
            match message(clear, &pdu[..held], at, IO) {
                Found::Message(message, next) => {
                    assert!(next > at);
                    found.push(message);
                    at = next;
                }
                Found::More(needed) => {
                    assert!(needed > held && needed <= pdu.len());
                    held = needed;
                }
                Found::Nothing => return (found, held),
            }
        }
    }

    #[test]
    fn the_password_of_client_info_is_never_asked_for() {
        let head = [0x40, 0, 0, 0, 0, 0, 0, 0, 0x13, 0, 0, 0, 0, 0, 10, 0, 14, 0, 0, 0, 0, 0];
        let pdu = send(false, &[&head[..], b"a\0l\0i\0c\0e\0\0\0s\0e\0c\0r\0e\0t\0!\0\0\0"].concat());
        let (found, held) = messages(&pdu);
        let [Message::ClientInfo(info)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((info.user_name, info.password, held), (10, 14, 15 + 4 + 18));
    }

    #[test]
    fn a_licence_refusal_is_read_and_an_encrypted_one_is_not() {
        let error = [0xff, 3, 16, 0, 6, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0];
        let (found, _) = messages(&send(true, &[&[0x80, 0, 0, 0][..], &error].concat()));
        assert!(matches!(found[..], [Message::Licence(licence)] if licence.refuses().is_some_and(|e| e.0 == 6)));
        let (found, held) = messages(&send(true, &[&[0x88, 2, 0, 0][..], &error].concat()));
        assert!(found.is_empty() && held == PDU_PREFIX);
    }

    #[test]
    fn share_pdus_packed_into_one_are_all_read() {
        let pdus =
            [share_data(0x1f, &[1, 0, 0, 0]), share_data(0x14, &[4, 0, 0, 0, 0, 0, 0, 0]), share_data(0x28, &[0; 8])];
        let (found, _) = messages(&send(true, &pdus.concat()));
        let data = |data| Message::Share(Share::Data(data));
        assert_eq!(found, [data(ShareData::Synchronize), data(ShareData::Control(4)), data(ShareData::FontMap)]);
    }

    #[test]
    fn set_error_info_is_read_behind_an_empty_security_header_too() {
        let told = Message::Share(Share::Data(ShareData::ErrorInfo(ErrorInfo(7))));
        let pdu = share_data(0x2f, &[7, 0, 0, 0]);
        assert_eq!(messages(&send(true, &pdu)).0, std::slice::from_ref(&told));
        assert_eq!(messages(&send(true, &[&[0, 0, 0, 0][..], &pdu].concat())).0, [told]);
    }

    #[test]
    fn other_channels_and_drawing_are_passed_over() {
        let mut channel = send(true, &[&[200, 0, 0, 0, 3, 0, 0, 0][..], &[0x40; 200]].concat());
        channel[11..13].copy_from_slice(&1004_u16.to_be_bytes());
        assert_eq!(messages(&channel), (Vec::new(), PDU_PREFIX));
        let (found, held) = messages(&send(true, &share_data(2, &[0; 3000])));
        assert_eq!((found.len(), held), (1, 15 + 18));
    }

    #[test]
    fn connect_initial_is_held_up_to_its_bound() {
        let pdu = connect(false, &core("WS-042", 22_621, 2));
        let (found, held) = messages(&pdu);
        let [Message::ConnectInitial(data)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((data.selected_protocol, held), (Some(Protocols::HYBRID), pdu.len()));
        let long = connect(false, &[core("WS-042", 22_621, 2), vec![0; 9_000]].concat());
        assert_eq!(messages(&long).1, CONNECT_MAX);
    }

    #[test]
    fn a_share_pdu_type_seven_alone_is_one_message() {
        assert_eq!(messages(&send(true, &share(6, &[]))).0, [Message::Share(Share::DeactivateAll)]);
    }
}
