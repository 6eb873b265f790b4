//! RDP and TLS messages, one per file, zero-copy, on nom.
//!
//! Every reader has three distinct outcomes ([`Outcome`]): a value, more bytes needed, or malformed at an offset.
//! Numbers are newtypes that survive unknown values; their `Display` prints name and number.

mod credssp;
mod fastpath;
mod mcs;
mod nego;
mod ntlm;
mod opening;
mod outcome;
mod preconnection;
mod request;
pub mod tls;
mod tpkt;
mod x224;

pub use credssp::{TS_REQUEST_MAX, TsRequest, ts_request};
pub use fastpath::FastPath;
pub use mcs::{ClearPdu, DisconnectReason, PDU_PREFIX, Payload, PduKind, SecurityFlags, SendData, pdu_kind};
pub use nego::{
    CorrelationId, FailureCode, NegotiationAnswer, NegotiationRequest, Protocols, RequestFlags, ResponseFlags,
};
pub use ntlm::{NtlmChallenge, ntlm_negotiate};
pub use opening::FirstBytes;
pub use outcome::{Malformed, Outcome};
pub use preconnection::{PRECONNECTION_MAX, Preconnection};
pub use request::connection_request;
pub use tls::{
    Alert, AlertDescription, AlertLevel, CertificateChain, CipherSuite, ClientHello, ContentType, ExtensionType,
    Fingerprints, HandshakeHeader, HandshakeType, NamedGroup, PlaintextLen, RecordHeader, SealedLen, Sealing,
    ServerHello, ServerKeyExchange, SessionId, SignatureScheme, Sslv2Hello, SuiteClass, SuiteInfo, TlsVersion,
    plaintext_len, sealed_len,
};
pub use tpkt::{TPKT_HEADER, TPKT_MIN, TPKT_VERSION, Tpkt};
pub use x224::{
    ConnectionAnswer, ConnectionRequest, TPDU_CONNECTION_CONFIRM, TPDU_CONNECTION_REQUEST, TPDU_DATA,
    TPDU_DISCONNECT_REQUEST, TPDU_ERROR, Token, X224_MAX, routing_token_target,
};
