//! The one NTLM message a gateway stub needs: a challenge. Whatever the client answers is taken.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds between 1601-01-01 and the Unix epoch: NTLM counts in 100 ns from the former.
const EPOCH_1601: u64 = 11_644_473_600;
/// Unicode, target name, NTLM, always sign, extended session security, target info, version, 128 bit, key exchange,
/// 56 bit. [MS-NLMP] 2.2.2.5
const FLAGS: u32 = 0xE28A_8215;

/// The message type of an NTLM token: 1 negotiate, 2 challenge, 3 authenticate. 0 when it is none.
pub(super) fn message_type(token: &[u8]) -> u8 {
    if token.starts_with(b"NTLMSSP\0") { token.get(8).copied().unwrap_or(0) } else { 0 }
}

/// CHALLENGE_MESSAGE. [MS-NLMP] 2.2.1.2
pub(super) fn challenge() -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let time = ((now + EPOCH_1601) * 10_000_000).to_le_bytes().to_vec();
    let domain = utf16("LAB");
    let pairs = [
        (2, domain.clone()),
        (1, utf16("GW")),
        (4, utf16("lab.test")),
        (3, utf16("gw.lab.test")),
        (7, time),
        (0, vec![]),
    ];
    let mut info = vec![];
    for (id, value) in pairs {
        info.extend_from_slice(&u16::to_le_bytes(id));
        info.extend_from_slice(&(value.len() as u16).to_le_bytes());
        info.extend_from_slice(&value);
    }
    const HEADER: u32 = 56;
    let mut message = b"NTLMSSP\0".to_vec();
    message.extend_from_slice(&2u32.to_le_bytes());
    field(&mut message, domain.len(), HEADER);
    message.extend_from_slice(&FLAGS.to_le_bytes());
    // Server challenge: any eight bytes do, nobody checks the answer.
    message.extend_from_slice(b"rdpscope");
    message.extend_from_slice(&[0; 8]);
    field(&mut message, info.len(), HEADER + domain.len() as u32);
    // Version 10.0.17763, NTLM revision 15.
    message.extend_from_slice(&[10, 0, 0x63, 0x45, 0, 0, 0, 15]);
    message.extend_from_slice(&domain);
    message.extend_from_slice(&info);
    message
}

fn field(message: &mut Vec<u8>, len: usize, offset: u32) {
    message.extend_from_slice(&(len as u16).to_le_bytes());
    message.extend_from_slice(&(len as u16).to_le_bytes());
    message.extend_from_slice(&offset.to_le_bytes());
}

/// UTF-16LE.
pub(super) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Standard base64, both ways: the tests have no other use for it that would pay for a crate.
pub(super) fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let index = (word >> (18 - 6 * position)) as usize & 63;
            text.push(if position <= chunk.len() { char::from(ALPHABET[index]) } else { '=' });
        }
    }
    text
}

/// The bytes of a base64 text; ends at the first character that is none.
pub(super) fn from_base64(text: &str) -> Vec<u8> {
    let (mut bytes, mut word, mut bits) = (vec![], 0u32, 0);
    for symbol in text.bytes() {
        let Some(value) = ALPHABET.iter().position(|known| *known == symbol) else { break };
        word = word << 6 | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
        }
    }
    bytes
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
