//! Before TLS: the first bytes, the Connection Request, its answer.

use crate::wire::{FailureCode, Protocols, RequestFlags, ResponseFlags};

/// What the first client bytes turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opening {
    /// No byte yet, or too few to tell.
    #[default]
    Unknown,
    /// TPKT with an X.224 Connection Request, perhaps after a preconnection blob. [MS-RDPBCGR] 1.3.1.1
    X224,
    /// TLS at once: an RD Gateway leg, or a client that skips negotiation.
    TlsFirst,
    /// Clear HTTP of an RD Gateway client behind a TLS terminator.
    GatewayHttp,
    /// None of these.
    NotRdp,
}

impl Opening {
    /// It may be a connection to an RD Gateway, which a session has one or two of.
    #[must_use]
    pub fn may_be_gateway(self) -> bool {
        matches!(self, Opening::TlsFirst | Opening::GatewayHttp)
    }
}

/// The Connection Request as the client sent it. [MS-RDPBCGR] 2.2.1.1
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// Whole TPKT length in bytes.
    pub length: u16,
    /// `mstshash` cookie value: a user name, to be hashed or dropped before it is written anywhere.
    pub cookie: Option<String>,
    /// `msts=` routing token or another token, as sent, without CRLF.
    pub routing_token: Option<String>,
    /// `None` when the request carried no RDP_NEG_REQ (standard RDP security is then meant).
    pub protocols: Option<Protocols>,
    /// Flags of RDP_NEG_REQ.
    pub flags: RequestFlags,
    /// `correlationId` in wire order. [MS-RDPBCGR] 2.2.1.1.2
    pub correlation_id: Option<[u8; 16]>,
    /// Id and text of a preconnection blob that came first. [MS-RDPEPS] 2.2.1
    pub preconnection: Option<(u32, Option<String>)>,
}

/// What the host said to the Connection Request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Connection Confirm with RDP_NEG_RSP. [MS-RDPBCGR] 2.2.1.2.1
    Selected {
        /// The protocol the host chose; exactly one bit, or none for standard RDP security.
        protocol: Protocols,
        /// Flags of RDP_NEG_RSP.
        flags: ResponseFlags,
    },
    /// Connection Confirm without negotiation data: standard RDP security.
    Plain,
    /// Connection Confirm with RDP_NEG_FAILURE. [MS-RDPBCGR] 2.2.1.2.2
    Failure(FailureCode),
    /// A clear MCS Disconnect Provider Ultimatum instead of a Connection Confirm (xrdp), with its reason.
    Ultimatum(u8),
    /// An X.224 Disconnect Request or Error TPDU, with its TPDU code byte.
    Refused(u8),
    /// Bytes that are none of these: the first up to 16 of them.
    NotRdp(Vec<u8>),
}
