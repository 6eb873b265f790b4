//! TLS messages that cross in clear, of any version since SSL 2-compatible hellos.

mod build;
mod build_shares;
mod certificate;
mod client_hello;
#[cfg(test)]
mod differential;
mod extensions;
mod fingerprint;
mod key_exchange;
mod names;
mod record;
mod sealed;
mod server_hello;
mod shape;
mod sslv2;
mod suite;
mod suite_table;
mod version;

pub use build::{Fresh, HelloMessage, Offer, records};
pub use build_shares::key_share;
pub use certificate::CertificateChain;
pub use client_hello::ClientHello;
pub use extensions::{ByteStrings, Extensions, KeyShares};
pub use fingerprint::{Fingerprints, ja3_text, ja3s};
pub use key_exchange::ServerKeyExchange;
pub use names::{AlertDescription, AlertLevel, ContentType, ExtensionType, HandshakeType, NamedGroup, SignatureScheme};
pub use record::{Alert, HANDSHAKE_HEADER, HandshakeHeader, RECORD_HEADER, RECORD_MAX, RecordHeader};
pub use sealed::{PlaintextLen, SealedLen, Sealing, plaintext_len, sealed_len};
pub use server_hello::{DowngradeSentinel, ServerHello};
pub use shape::HelloShape;
pub(crate) use shape::hash_codes;
pub use sslv2::Sslv2Hello;
pub use suite::{CipherSuite, SuiteClass, SuiteInfo};
pub use version::{TlsVersion, is_grease};

use version::name_and_number;

/// A session id, kept to tell whether the host took up the client's session. Its `Debug` shows the length alone.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionId {
    bytes: [u8; 32],
    length: u8,
}

impl SessionId {
    /// The first 32 bytes of `id`, which is all a session id may have. RFC 5246 7.4.1.2
    #[must_use]
    pub fn new(id: &[u8]) -> SessionId {
        let mut bytes = [0; 32];
        let length = id.len().min(bytes.len());
        bytes[..length].copy_from_slice(&id[..length]);
        SessionId { bytes, length: length as u8 }
    }

    /// It has no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl core::fmt::Debug for SessionId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SessionId({} bytes)", self.length)
    }
}
