//! TLS as far as it is in clear: hellos, certificate, alerts, and how far the handshake got.

use super::{Peer, PerPeer};
use crate::Timestamp;
use crate::wire::tls::ja3s;
use crate::wire::{AlertDescription, AlertLevel, CipherSuite, HelloShape, NamedGroup, TlsVersion};
use core::ops::Deref;
use std::sync::Arc;

/// A ClientHello, every field an operator may need. What it offers is in its shape, and reads as if it stood here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHelloFacts {
    /// When its last byte came.
    pub at: Timestamp,
    /// Version of the first record that carried it.
    pub record_version: TlsVersion,
    /// Records it was spread over.
    pub records: u16,
    /// Handshake message length in bytes, header included.
    pub length: u32,
    /// `server_name`, as sent (mstsc and FreeRDP may send an IP literal).
    pub server_name: Option<Box<str>>,
    /// A session ticket or PSK was offered: resumption is being tried.
    pub resumption_offered: bool,
    /// A session id that is not empty (its length).
    pub session_id_length: u8,
    /// What the client offers. Who keeps many sessions shares equal shapes between them.
    pub shape: Arc<HelloShape>,
}

impl ClientHelloFacts {
    /// Longest hello whose bytes are kept for a replay, in bytes: one TLS record. Two key shares with ML-KEM-1024, a long
    /// session ticket and every extension together stay below half of it.
    pub const REPLAYED_MAX: usize = 16 * 1024;
}

impl Deref for ClientHelloFacts {
    type Target = HelloShape;
    fn deref(&self) -> &HelloShape {
        &self.shape
    }
}

impl From<HelloShape> for ClientHelloFacts {
    fn from(shape: HelloShape) -> ClientHelloFacts {
        ClientHelloFacts { shape: Arc::new(shape), ..ClientHelloFacts::default() }
    }
}

/// A ServerHello, and what followed it in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerHelloFacts {
    /// When its last byte came.
    pub at: Timestamp,
    /// `legacy_version`.
    pub legacy_version: TlsVersion,
    /// The version that was chosen (`supported_versions` if present, else `legacy_version`).
    pub version: TlsVersion,
    /// The suite that was chosen.
    pub suite: CipherSuite,
    /// Group of the key share (TLS 1.3), or of ServerKeyExchange (TLS 1.0–1.2).
    pub group: Option<NamedGroup>,
    /// A HelloRetryRequest came first. RFC 8446 4.1.4
    pub hello_retry: bool,
    /// Downgrade sentinel in the random. RFC 8446 4.1.3
    pub downgrade: Option<Downgrade>,
    /// The handshake was an abbreviated one (session id echoed in TLS ≤ 1.2, PSK chosen in 1.3).
    pub resumed: bool,
    /// Extension types in the order sent.
    pub extensions: Vec<u16>,
    /// A CertificateRequest was seen in clear (TLS ≤ 1.2), or the client answered one beside its Finished (TLS 1.3).
    pub certificate_requested: bool,
}

impl ServerHelloFacts {
    /// JA3S, md5 in hex.
    #[must_use]
    pub fn ja3s(&self) -> String {
        ja3s(self.legacy_version, self.suite, &self.extensions)
    }
}

/// Which downgrade sentinel a ServerHello carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downgrade {
    /// The host speaks TLS 1.3 and chose 1.2.
    To12,
    /// The host speaks TLS 1.2 or newer and chose 1.1 or older.
    To11OrOlder,
}

/// A host certificate seen in clear (TLS ≤ 1.2). Dates are Unix seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Subject, RFC 4514 order as in the certificate.
    pub subject: String,
    /// Issuer.
    pub issuer: String,
    /// `notBefore`, Unix seconds.
    pub not_before: i64,
    /// `notAfter`, Unix seconds.
    pub not_after: i64,
    /// SHA-256 of the DER form.
    pub sha256: [u8; 32],
    /// DNS names and addresses of subjectAltName.
    pub alternative_names: Vec<String>,
    /// `RSA`, `ECDSA`, …, or the OID.
    pub key_algorithm: String,
    /// Key size in bits; 0 when unknown.
    pub key_bits: u32,
    /// Signature algorithm name, or the OID.
    pub signature_algorithm: String,
    /// Extended key usage OIDs, dotted; empty when the extension is absent.
    pub extended_key_usage: Vec<String>,
    /// Subject equals issuer.
    pub self_issued: bool,
    /// Certificates in the chain as sent, this one included.
    pub chain_length: u8,
    /// Total size of the Certificate message in bytes.
    pub message_length: u32,
    /// Why the leaf could not be read, when it could not; the other fields are then empty.
    pub unreadable: Option<String>,
}

/// A TLS alert that crossed the wire in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClearAlert {
    /// Who sent it.
    pub from: Peer,
    /// Level byte.
    pub level: AlertLevel,
    /// Description byte.
    pub description: AlertDescription,
    /// Version in its record header.
    pub record_version: TlsVersion,
    /// When.
    pub at: Timestamp,
    /// True when it came after the sender's ChangeCipherSpec or Finished could have been sent.
    pub after_handshake: bool,
    /// True when the other side, or the sender, had already closed: a reaction, never a cause.
    pub after_close: bool,
}

/// TLS progress beyond the hellos.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsProgress {
    /// The peer's ChangeCipherSpec (TLS ≤ 1.2) was seen.
    pub change_cipher_spec: PerPeer<bool>,
    /// The peer's Finished was seen, as far as order and size tell.
    pub finished: PerPeer<bool>,
    /// When both were: the handshake is complete.
    pub established: Option<Timestamp>,
    /// A record of alert size (close_notify or an encrypted alert) came from the peer after the handshake.
    pub encrypted_alert: PerPeer<Option<Timestamp>>,
    /// Whose came first: time stamps may be too coarse to tell.
    pub first_encrypted_alert: Option<Peer>,
    /// A clear TPKT stood where a TLS record should be (xrdp's nine bytes after a failed handshake).
    pub clear_ultimatum: Option<Timestamp>,
    /// Bytes from the host that are neither TLS nor TPKT where a TLS record should be: the first up to 16.
    pub not_tls: Option<[u8; 16]>,
    /// The peer's first record of data after the handshake: no alert, and as far as order and size tell no Finished.
    pub data: PerPeer<Option<Timestamp>>,
    /// A record header announced more than came before the close.
    pub partial_record: PerPeer<bool>,
}
