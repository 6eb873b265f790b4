//! What one direction of a connection said, as the tracker hears it.

use crate::session::{Answer, CertificateFacts, ClientHelloFacts, Opening, RequestFacts, ServerHelloFacts};
use crate::wire::{
    AlertDescription, AlertLevel, CipherSuite, ClearPdu, EarlyUserAuth, HandshakeType, Message, NamedGroup,
    RecordHeader, SessionId, SignatureScheme, TlsVersion, TsShape,
};

/// One message, or one thing worth knowing, in the order of the bytes. Owned: nothing points into a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What the client's first bytes turned out to be. Client only, once.
    Opening(Opening),
    /// A preconnection blob came first. [MS-RDPEPS] 2.2.1
    Preconnection {
        /// `Id`: what the listener routes by (a VM on Hyper-V, a session on a broker).
        id: u32,
        /// `wszPCB` of version 2.
        text: Option<String>,
    },
    /// The Connection Request. [MS-RDPBCGR] 2.2.1.1
    Request(Box<RequestFacts>),
    /// What the host said to the Connection Request. [MS-RDPBCGR] 2.2.1.2
    Answer(Answer),
    /// A TLS record began: its five header bytes are there, its body may not be.
    Record(RecordHeader),
    /// A whole ClientHello. RFC 8446 4.1.2. A second one follows a HelloRetryRequest.
    ClientHello {
        /// Its fields.
        facts: Box<ClientHelloFacts>,
        /// `legacy_session_id`, to be compared with the host's.
        session_id: SessionId,
        /// The handshake message as it was sent, header included, so that it can be replayed to the host; empty for the
        /// SSLv2 form and above [`ClientHelloFacts::REPLAYED_MAX`] bytes.
        message: Box<[u8]>,
    },
    /// A HelloRetryRequest. RFC 8446 4.1.4
    HelloRetryRequest {
        /// The version chosen.
        version: TlsVersion,
        /// The suite chosen.
        suite: CipherSuite,
        /// The group the client is asked for, when one is.
        group: Option<NamedGroup>,
    },
    /// A whole ServerHello. `resumed` is set for a chosen PSK only: for TLS ≤ 1.2 the session ids are to be compared.
    ServerHello {
        /// Its fields.
        facts: Box<ServerHelloFacts>,
        /// Session id, to be compared with the client's.
        session_id: SessionId,
    },
    /// The host's certificate chain (TLS ≤ 1.2).
    Certificate(Box<CertificateFacts>),
    /// ServerKeyExchange (TLS ≤ 1.2).
    KeyExchange {
        /// Curve, for ECDHE.
        group: Option<NamedGroup>,
        /// Size of the prime in bits, for DHE.
        dh_bits: Option<u16>,
        /// How the host signed it; only TLS 1.2 says.
        signature: Option<SignatureScheme>,
    },
    /// The host asks for a client certificate (TLS ≤ 1.2).
    CertificateRequest,
    /// End of the host's flight (TLS ≤ 1.2).
    ServerHelloDone,
    /// Another whole handshake message in clear.
    Handshake {
        /// Its type.
        kind: HandshakeType,
        /// Its length in bytes, header included.
        length: u32,
    },
    /// An alert in clear.
    Alert {
        /// Level byte.
        level: AlertLevel,
        /// Description byte.
        description: AlertDescription,
        /// Version in its record header.
        record_version: TlsVersion,
    },
    /// A clear TPKT or fast-path PDU after the X.224 exchange: standard RDP security, or xrdp's nine bytes where a TLS
    /// record should be.
    Pdu(ClearPdu),
    /// What the clear PDU told last says beyond its kind.
    Message(Message),
    /// A TSRequest passed, in plaintext. [MS-CSSP] 2.2.1
    TsRequest(TsShape),
    /// Early User Authorization Result, in plaintext. [MS-RDPBCGR] 2.2.10.2
    EarlyUserAuth(EarlyUserAuth),
    /// Bytes that are neither TLS nor TPKT where a record should be: the first up to 16, zeros after. Nothing more is read.
    NotTls([u8; 16]),
    /// A message could not be read.
    Malformed {
        /// Which message.
        message: &'static str,
        /// Where in it, in bytes from its start.
        offset: u32,
        /// What should have stood there.
        expected: &'static str,
        /// Nothing more is read. False: noted, and reading goes on.
        fatal: bool,
    },
    /// A message announced more than its stated bound. Nothing more is read.
    TooLarge {
        /// Which message.
        message: &'static str,
        /// Announced length in bytes.
        length: u32,
        /// The bound in bytes.
        bound: u32,
    },
    /// Record boundaries were found again after bytes had passed unseen.
    Resynced,
}

/// A handshake message of which a part has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingHandshake {
    /// Its type.
    pub kind: HandshakeType,
    /// Bytes that came, header included.
    pub have: u32,
    /// Bytes it has, header included.
    pub need: u32,
    /// Records it is spread over so far.
    pub records: u16,
}
