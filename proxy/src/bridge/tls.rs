//! One leg's TLS as the bridge needs it, whichever library does it: bytes in, bytes out, no socket.
//!
//! Two back ends stand behind it: `modern` (rustls) and, in a build with `legacy-tls`, the OpenSSL one. Either can be
//! the server towards a client or the client towards a host.

use parser::session::BridgeLeg;
use parser::wire::{AlertDescription, AlertLevel, TlsVersion};

/// One leg, from its first handshake byte to its close_notify.
///
/// A leg towards a host speaks first: [`Tls::receive`] with nothing received makes its ClientHello. A leg towards a
/// client is given the ClientHello that was already read, as the first bytes received.
pub(crate) trait Tls: Send {
    /// What an earlier [`Tls::receive`] could not use yet, part of a record or of a handshake message: what is received
    /// next goes behind it. At most [`REST_MAX`] bytes.
    fn rest(&mut self) -> Vec<u8>;

    /// Takes `wire` (the rest first, then what was received) and does what is to be done: the handshake goes on, data
    /// goes to `plain` record by record, what is to be sent to the peer of this leg is appended to `out`.
    ///
    /// # Errors
    /// The leg is over. `out` then ends with the alert that says so, if the library had one to send.
    fn receive(&mut self, wire: &mut [u8], plain: &mut dyn FnMut(&[u8]), out: &mut Out) -> Result<(), Failure>;

    /// Seals `plain` and appends it to `out`. Only once [`Tls::facts`] are there.
    ///
    /// # Errors
    /// As [`Tls::receive`].
    fn send(&mut self, plain: &[u8], out: &mut Out) -> Result<(), Failure>;

    /// Appends a close_notify to `out`. Once; data may still be received.
    fn close(&mut self, out: &mut Out);

    /// The peer's close_notify has come: no more data.
    fn peer_closed(&self) -> bool;

    /// What the handshake came to; `None` until it is complete.
    fn facts(&self) -> Option<BridgeLeg>;

    /// The certificate that the peer has shown and proved, DER. `None` on a leg towards a client.
    fn peer_certificate(&self) -> Option<&[u8]>;
}

/// Bytes for a peer, one behind the other. Memory that was made room for once is kept, and not zeroed again.
#[derive(Debug, Default)]
pub(crate) struct Out {
    /// As long as it ever was.
    bytes: Vec<u8>,
    length: usize,
}

impl Out {
    /// At least `least` bytes behind the last one. What of them was written is told with [`Out::written`].
    pub(crate) fn room(&mut self, least: usize) -> &mut [u8] {
        let end = self.length + least;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.length..]
    }

    /// The first `count` bytes of the room hold something now.
    pub(crate) fn written(&mut self, count: usize) {
        self.length = self.bytes.len().min(self.length + count);
    }

    #[cfg(feature = "legacy-tls")]
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }
}

impl std::ops::Deref for Out {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The most that a leg keeps unread: part of a record (16 KiB and its overhead, RFC 5246 6.2.3) behind the records of a
/// handshake message, which is read when it is whole. The longest one that rustls takes has 64 KiB; in records of 500
/// bytes 3 KiB are around it.
pub(crate) const REST_MAX: usize = 88 * 1024;

/// Why a leg is over before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The peer sent this alert.
    Alert(AlertDescription),
    /// The host is not the one that was meant; the words say who it is instead.
    Untrusted(String),
    /// The library gave up; its words.
    Protocol(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Alert(alert) => write!(f, "the peer sent the alert {alert}"),
            Failure::Untrusted(words) | Failure::Protocol(words) => f.write_str(words),
        }
    }
}

/// A fatal alert in clear, for a client whose hello was not answered. RFC 8446 5.1, 6.2
pub(crate) fn clear_alert(description: AlertDescription) -> [u8; 7] {
    let [major, minor] = TlsVersion::TLS12.0.to_be_bytes();
    [21, major, minor, 0, 2, AlertLevel::FATAL.0, description.0]
}
