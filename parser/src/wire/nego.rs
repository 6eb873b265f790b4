//! RDP_NEG_REQ, RDP_NEG_RSP, RDP_NEG_FAILURE. [MS-RDPBCGR] 2.2.1.1.1, 2.2.1.2.1, 2.2.1.2.2

/// `requestedProtocols` or `selectedProtocol`: bits of PROTOCOL_*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Protocols(pub u32);

/// Flags of RDP_NEG_REQ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RequestFlags(pub u8);

/// Flags of RDP_NEG_RSP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResponseFlags(pub u8);

/// `failureCode` of RDP_NEG_FAILURE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FailureCode(pub u32);

impl Protocols {
    /// PROTOCOL_RDP: standard RDP security.
    pub const RDP: Protocols = Protocols(0);
    /// PROTOCOL_SSL.
    pub const SSL: Protocols = Protocols(1);
    /// PROTOCOL_HYBRID: TLS and CredSSP.
    pub const HYBRID: Protocols = Protocols(2);
    /// PROTOCOL_RDSTLS.
    pub const RDSTLS: Protocols = Protocols(4);
    /// PROTOCOL_HYBRID_EX: CredSSP and Early User Authorization Result.
    pub const HYBRID_EX: Protocols = Protocols(8);
    /// PROTOCOL_RDSAAD: TLS and Entra ID.
    pub const RDSAAD: Protocols = Protocols(16);

    /// Every bit of `other` is set here.
    #[must_use]
    pub fn contains(self, other: Protocols) -> bool {
        self.0 & other.0 == other.0
    }
}
