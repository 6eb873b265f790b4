//! What both ends say until a session is active: kinds, lengths, directions and order of a session recorded between
//! xfreerdp and xrdp over TLS 1.3. Hellos and X.224 are whole; what would be sealed is zeros, for nobody on the way can
//! read it.

use super::support::{CONTENT_DATA, Happening, Settled, opening, scripts, sealed};
use parser::session::Peer;

/// What one side says before the other has its turn: each of `writes` is handed to the kernel by itself.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) from: Peer,
    pub(crate) writes: Vec<Vec<u8>>,
}

impl Turn {
    pub(crate) fn bytes(&self) -> usize {
        self.writes.iter().map(Vec::len).sum()
    }
}

/// From the Connection Request to the font map. A flight of the handshake is one write, every later PDU is one.
pub(crate) fn whole() -> Vec<Turn> {
    let mut turns = handshake();
    let script = scripts::all().into_iter().find(|script| script.name == "xrdp-tls").expect("a script of that name");
    for step in &script.steps {
        let Some(bytes) = step.bytes(Settled::TLS13) else { continue };
        match turns.last_mut() {
            Some(turn) if turn.from == step.from => turn.writes.push(bytes),
            _ => turns.push(Turn { from: step.from, writes: vec![bytes] }),
        }
    }
    turns
}

/// Up to the server's flight, where connections end that a client does not go on with.
pub(crate) fn hellos() -> Vec<Turn> {
    let mut turns = handshake();
    turns.truncate(4);
    turns
}

fn handshake() -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for happening in opening(super::support::SSL, Settled::TLS13) {
        let Happening::Bytes(from, bytes) = happening else { continue };
        match turns.last_mut() {
            Some(turn) if turn.from == from => turn.writes[0].extend(bytes),
            _ => turns.push(Turn { from, writes: vec![bytes] }),
        }
    }
    turns
}

/// A sealed record of `length` bytes, its header included, that begins with `first`.
pub(crate) fn record(length: u16, first: u8) -> Vec<u8> {
    let mut record = sealed(CONTENT_DATA, length - 5);
    record[5] = first;
    record
}

/// How a client leaves: the disconnect ultimatum ([MS-RDPBCGR] 1.3.1.4) and close_notify.
pub(crate) fn farewell() -> [Vec<u8>; 2] {
    [9, 2].map(|size| sealed(CONTENT_DATA, Settled::TLS13.seal(size)))
}
