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
    /// Copies what an earlier [`Tls::receive`] could not use yet, part of a record, to the front of `buffer`: what
    /// is received next goes behind it. At most [`REST_MAX`] bytes.
    fn rest(&mut self, buffer: &mut [u8]) -> usize;

    /// Takes `wire` (the rest first, then what was received) and does what is to be done: the handshake goes on, data
    /// goes to `plain` record by record, what is to be sent to the peer of this leg is appended to `out`.
    ///
    /// # Errors
    /// The leg is over. `out` then ends with the alert that says so, if the library had one to send.
    fn receive(&mut self, wire: &mut [u8], plain: &mut dyn FnMut(&[u8]), out: &mut Vec<u8>) -> Result<(), Failure>;

    /// Seals `plain` and appends it to `out`. Only once [`Tls::facts`] are there.
    ///
    /// # Errors
    /// As [`Tls::receive`].
    fn send(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Failure>;

    /// Appends a close_notify to `out`. Once; data may still be received.
    fn close(&mut self, out: &mut Vec<u8>);

    /// The peer's close_notify has come: no more data.
    fn peer_closed(&self) -> bool;

    /// What the handshake came to; `None` until it is complete.
    fn facts(&self) -> Option<BridgeLeg>;

    /// The certificate that the peer has shown and proved, DER. `None` on a leg towards a client.
    fn peer_certificate(&self) -> Option<&[u8]>;
}

/// The longest part of a record that a leg keeps: a header and a body with all its overhead. RFC 8446 5.2, RFC 5246 6.2.3
pub(crate) const REST_MAX: usize = 5 + (1 << 14) + 2048;

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
