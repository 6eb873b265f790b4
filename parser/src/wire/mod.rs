//! RDP and TLS messages, one per file, zero-copy, on nom.
//!
//! Every reader has three distinct outcomes ([`Outcome`]): a value, more bytes needed, or malformed at an offset.
//! Numbers are newtypes that survive unknown values; their `Display` prints name and number.

mod client_info;
mod credssp;
mod early_auth;
mod error_info;
mod fastpath;
mod gcc;
mod licensing;
mod mcs;
mod message;
mod nego;
mod nt_status;
mod ntlm;
mod opening;
mod outcome;
mod preconnection;
mod request;
mod share;
pub mod tls;
mod tpkt;
mod ts_shape;
mod x224;

pub use client_info::{ClientInfo, InfoFlags};
pub use credssp::{TS_REQUEST_MAX, TsRequest, ts_request};
pub(crate) use credssp::{TsElement, ts_element, ts_integer};
pub use early_auth::{EARLY_USER_AUTH_BYTES, EarlyUserAuth};
pub use error_info::ErrorInfo;
pub use fastpath::FastPath;
pub use gcc::{CONNECT_MAX, ClientData, RdpVersion, ServerData};
pub use licensing::{Licence, LicenceError, LicenceKind};
pub use mcs::{ClearPdu, DisconnectReason, McsResult, PDU_PREFIX, Payload, PduKind, SecurityFlags, SendData, pdu_kind};
pub use message::Message;
pub(crate) use message::{Found, message};
pub use nego::{
    CorrelationId, FailureCode, NegotiationAnswer, NegotiationRequest, Protocols, RequestFlags, ResponseFlags,
};
pub use nt_status::NtStatus;
pub use ntlm::{NtlmChallenge, ntlm_negotiate};
pub use opening::FirstBytes;
pub use outcome::{Malformed, Outcome};
pub use preconnection::{PRECONNECTION_MAX, Preconnection};
pub use request::connection_request;
pub use share::{RedirectionFlags, SessionInfo, Share, ShareData};
pub use tls::{
    Alert, AlertDescription, AlertLevel, CertificateChain, CipherSuite, ClientHello, ContentType, ExtensionType,
    Fingerprints, HandshakeHeader, HandshakeType, HelloShape, NamedGroup, PlaintextLen, RecordHeader, SealedLen,
    Sealing, ServerHello, ServerKeyExchange, SessionId, SignatureScheme, Sslv2Hello, SuiteClass, SuiteInfo, TlsVersion,
    plaintext_len, sealed_len,
};
pub use tpkt::{TPKT_HEADER, TPKT_MIN, TPKT_VERSION, Tpkt};
pub(crate) use ts_shape::MechanismFinder;
pub use ts_shape::{Mechanism, TsField, TsFields, TsShape};
pub use x224::{
    ConnectionAnswer, ConnectionRequest, TPDU_CONNECTION_CONFIRM, TPDU_CONNECTION_REQUEST, TPDU_DATA,
    TPDU_DISCONNECT_REQUEST, TPDU_ERROR, Token, X224_MAX, routing_token_target,
};
