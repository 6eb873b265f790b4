//! A bridged session's TLS, readable in its capture, where that is allowed in so many words.
//!
//! The secrets of the session itself never leave memory. When the file is made, what crossed a leg is opened with them,
//! everything that may not be shown is replaced inside as it is outside (passwords, TSRequests, Client Info, cookies,
//! tickets, whatever nobody understands), and the records are sealed again, each in its length and its place, under
//! secrets that were made for this file and are good for nothing else. Those stand in the file.
//!
//! So there is nothing in it to find: not by somebody who has a recording of the wire too. Leaving such records blank
//! would not do: tshark counts no record that it cannot open, and would open none after it.
//!
//! `keys` holds a session's secrets, `cipher` opens and seals records, `wire` does it with what crossed a leg. A leg whose
//! secrets are not there, or whose suite is not known here (3DES), stays as it was on the wire, and so does what comes
//! after a record that cannot be opened.

mod block;
mod cipher;
mod keys;
mod wire;

pub(crate) use keys::Keys;

use super::tape::Wire;

/// Makes `wires` readable, as far as `keys` go. Gives the secrets that they are sealed under now, in the form of a key log
/// (draft-ietf-tls-keylogfile 2): one line each.
pub(super) fn reveal(wires: &mut [Wire], keys: &Keys) -> String {
    wires.iter_mut().filter_map(|wire| wire::reveal(wire, keys)).collect()
}

/// Whether [`reveal`] will make anything readable.
pub(super) fn opens(wires: &[Wire], keys: &Keys) -> bool {
    wires.iter().any(|wire| wire::opens(wire, keys))
}

#[cfg(test)]
mod tests;
