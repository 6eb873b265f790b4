//! What was inside of TLS, where a capture may be read: of the RDP in it the same is shown as of RDP in clear, and of
//! CredSSP that it was there.

use super::Scan;
use parser::session::Peer;
use parser::wire::{EARLY_USER_AUTH_BYTES, TPKT_VERSION};

/// A TSRequest. [MS-CSSP] 2.2.1
const SEQUENCE: u8 = 0x30;
/// Its `version` and its `errorCode`: the only fields whose content is shown.
const VERSION: u8 = 0xa0;
const ERROR_CODE: u8 = 0xa4;
/// What holds other elements. ITU-T X.690 8.1.2.5
const CONSTRUCTED: u8 = 0x20;
/// Elements of a TSRequest stand within each other five times.
const DEEPEST: u8 = 8;

/// Leaves of what `from` said inside of TLS what may be shown.
pub(crate) fn inside(from: Peer, bytes: &mut [u8]) {
    let at = credssp(from, bytes);
    let mut scan = Scan { bytes, at, clear: true, sealed: false, quoted: 0 };
    // RDP begins with MCS, which is TPKT; what begins otherwise is something else.
    if scan.rest().first() == Some(&TPKT_VERSION) {
        while scan.at < scan.bytes.len() && scan.pdu() {}
    }
    scan.hide_rest();
}

/// Blanks the TSRequests at the beginning, and gives where they end.
fn credssp(from: Peer, bytes: &mut [u8]) -> usize {
    let mut at = 0;
    while bytes.get(at) == Some(&SEQUENCE) {
        let Some((_, head, length)) = element(&bytes[at..]) else { return hide(bytes, at) };
        let (begin, end) = (at + head, at + head + length);
        if end > bytes.len() {
            return hide(bytes, begin);
        }
        fields(&mut bytes[begin..end]);
        at = end;
    }
    // Early User Authorization Result: four bytes of the host between CredSSP and MCS. [MS-RDPBCGR] 2.2.10.2
    let result = at > 0 && from == Peer::Host && bytes.get(at).is_some_and(|first| *first != TPKT_VERSION);
    if result { (at + EARLY_USER_AUTH_BYTES).min(bytes.len()) } else { at }
}

/// The fields of one TSRequest.
fn fields(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some((tag, head, length)) =
        element(&bytes[at..]).filter(|(_, head, length)| at + head + length <= bytes.len())
    {
        let end = at + head + length;
        if !matches!(tag, VERSION | ERROR_CODE) {
            blank(&mut bytes[at + head..end], DEEPEST);
        }
        at = end;
    }
    bytes[at..].fill(0);
}

/// Leaves tags and lengths, and of what they hold what kind of NTLM message it is: that is told in events too.
fn blank(bytes: &mut [u8], deeper: u8) {
    let mut at = 0;
    while let Some((tag, head, length)) =
        element(&bytes[at..]).filter(|(_, head, length)| at + head + length <= bytes.len())
    {
        let end = at + head + length;
        let content = &mut bytes[at + head..end];
        if tag & CONSTRUCTED != 0 && deeper > 0 {
            blank(content, deeper - 1)
        } else {
            hide(content, kind(content));
        }
        at = end;
    }
    bytes[at..].fill(0);
}

/// As many bytes of a token as say that it is NTLM, and which message: its signature and type, or the version that begins a
/// sealed one. [MS-NLMP] 2.2.1, 2.2.2.9
fn kind(token: &[u8]) -> usize {
    let told = match token {
        [b'N', b'T', b'L', b'M', b'S', b'S', b'P', 0, ..] => 12,
        [1, 0, 0, 0, ..] => 4,
        _ => 0,
    };
    told.min(token.len())
}

/// Tag, length of the header, length of the content. ITU-T X.690 8.1
fn element(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (tag, first) = (*bytes.first()?, *bytes.get(1)?);
    if first < 0x80 {
        return Some((tag, 2, usize::from(first)));
    }
    let count = usize::from(first & 0x7f);
    let digits = bytes.get(2..2 + count).filter(|_| (1..=4).contains(&count))?;
    let length = digits.iter().fold(0usize, |length, digit| length << 8 | usize::from(*digit));
    Some((tag, 2 + count, length))
}

fn hide(bytes: &mut [u8], from: usize) -> usize {
    bytes[from..].fill(0);
    bytes.len()
}
