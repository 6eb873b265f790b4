//! RDP and TLS messages, one per file, zero-copy, on nom.
//!
//! Every reader has three distinct outcomes ([`Outcome`]): a value, more bytes needed, or malformed at an offset.
//! Numbers are newtypes that survive unknown values; their `Display` prints name and number.

mod nego;
pub mod tls;

pub use nego::{FailureCode, Protocols, RequestFlags, ResponseFlags};
pub use tls::{AlertDescription, AlertLevel, CipherSuite, Fingerprints, NamedGroup, SignatureScheme, TlsVersion};
