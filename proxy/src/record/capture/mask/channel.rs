//! Data on a channel, under standard RDP security: what of it may be shown.

use parser::session::Peer;
use parser::wire::{Payload, SecurityFlags, SendData};
use std::ops::Range;

/// Flags and `flagsHi`. [MS-RDPBCGR] 2.2.8.1.1.2.1
const SECURITY_HEADER: usize = 4;
/// `CodePage` and `flags`: the lengths behind them tell that of the password. [MS-RDPBCGR] 2.2.1.11.1.1
const CLIENT_INFO_HEAD: usize = 8;
/// `cbPassword`, with the security header.
const PASSWORD_LENGTH: Range<usize> = 16..18;
/// Where Client Info and licensing are, by every host there is: the I/O channel. [MS-RDPBCGR] 2.2.1.4.4
const IO_CHANNEL: u16 = 1003;
/// The preamble of a licensing message, and with it the code of its error. [MS-RDPELE] 2.2.2, 2.2.2.12
const LICENCE_PREAMBLE: usize = 4;
const LICENCE_ERROR: usize = 12;
const ERROR_ALERT: u8 = 0xff;
/// `totalLength`, `pduType`, `pduSource`; with `shareId` to `compressedLength` of share data. [MS-RDPBCGR] 2.2.8.1.1.1
const CONTROL_HEADER: usize = 6;
const DATA_HEADER: usize = 18;

/// Leaves of user data of `from` what says what it is. `send` is what its headers say.
pub(super) fn mask(data: &mut [u8], from: Peer, send: SendData) {
    // That there is a password is told in events too: one of a single letter says it.
    let has_password = is_client_info(from, send) && data.get(PASSWORD_LENGTH).is_some_and(|length| length != [0, 0]);
    let shown = shown(data, from, send);
    let mut at = 0;
    for range in shown {
        let (start, end) = (range.start.min(data.len()).max(at), range.end.min(data.len()));
        data[at..start].fill(0);
        at = end.max(start);
    }
    data[at..].fill(0);
    if has_password {
        data[PASSWORD_LENGTH.start] = 2;
    }
}

fn is_client_info(from: Peer, send: SendData) -> bool {
    let Payload::Security(flags) = send.payload else { return false };
    let is_info = flags.contains(SecurityFlags::INFO) && !flags.contains(SecurityFlags::ENCRYPT);
    is_info && from == Peer::Client && send.channel == IO_CHANNEL
}

/// What may be shown, in order.
fn shown(data: &[u8], from: Peer, send: SendData) -> Vec<Range<usize>> {
    let flags = match send.payload {
        Payload::Share(_) => return shares(data, 0),
        Payload::Other => return Vec::new(),
        Payload::Security(flags) => flags,
    };
    let body = SECURITY_HEADER;
    let first = |length: usize| std::iter::once(0..length);
    if flags.contains(SecurityFlags::ENCRYPT) {
        first(body).collect()
    } else if is_client_info(from, send) {
        first(body + CLIENT_INFO_HEAD).collect()
    } else if flags.contains(SecurityFlags::LICENSE) && send.channel == IO_CHANNEL {
        let error = from == Peer::Host && data.get(body) == Some(&ERROR_ALERT);
        first(body + if error { LICENCE_ERROR } else { LICENCE_PREAMBLE }).collect()
    } else {
        // Several share PDUs in one begin like a security header; or one stands behind an empty header.
        let packed = shares(data, 0);
        if packed.len() > 1 { packed } else { first(body).chain(shares(data, body)).collect() }
    }
}

/// The share PDUs from `at` on, until something else comes.
fn shares(data: &[u8], mut at: usize) -> Vec<Range<usize>> {
    let mut shown = Vec::new();
    while let Some([low, high, kind, version, ..]) = data.get(at..) {
        let total = usize::from(u16::from_le_bytes([*low, *high]));
        if kind >> 4 != 1 || *version != 0 || total < CONTROL_HEADER || at + total > data.len() {
            break;
        }
        let told = told(&data[at..at + total], kind & 0x0f).min(total);
        shown.push(at..at + told);
        at += total;
    }
    shown
}

/// As many bytes of a share PDU as say what it is, and why a session ended.
fn told(pdu: &[u8], kind: u8) -> usize {
    match kind {
        7 => DATA_HEADER + field(pdu),
        // Padding, `Flags`, `Length`, `SessionID` and `RedirFlags`; names and password come after. [MS-RDPBCGR] 2.2.13
        10 => 20,
        _ => CONTROL_HEADER,
    }
}

/// The field of share data that the diagnosis reads.
fn field(pdu: &[u8]) -> usize {
    const COMPRESSED: u8 = 0x20;
    let number = |at: usize| pdu.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    match (pdu.get(14), pdu.get(15)) {
        (_, Some(flags)) if flags & COMPRESSED != 0 => 0,
        // Synchronize, Control.
        (Some(0x1f | 0x14), _) => 4,
        // Set Error Info.
        (Some(0x2f), _) => 4,
        // Save Session Info: its type; of the extended one also its fields, and the error when no reconnection cookie,
        // which is a credential, stands before it. [MS-RDPBCGR] 2.2.10.1.1.4
        (Some(0x26), _) => match (number(DATA_HEADER), number(DATA_HEADER + 6)) {
            (Some(3), Some(fields)) if fields & 3 == 2 => 4 + 2 + 4 + 4 + 8,
            (Some(3), _) => 4 + 2 + 4,
            _ => 4,
        },
        _ => 0,
    }
}
