//! RDP_NEG_REQ, RDP_NEG_RSP, RDP_NEG_FAILURE. [MS-RDPBCGR] 2.2.1.1.1, 2.2.1.2.1, 2.2.1.2.2

use super::outcome::{Parsed, unexpected};
use core::fmt;
use nom::number::streaming::{le_u8, le_u16, le_u32};
use std::borrow::Cow;

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

/// `correlationId` of RDP_NEG_CORRELATION_INFO, in wire order. [MS-RDPBCGR] 2.2.1.1.2
///
/// `Display` is the GUID that a client shows as "Activity ID": its first three groups are byte-swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CorrelationId(pub [u8; 16]);

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

    /// The names of the bits that are set, lowest first: `rdp ssl hybrid rdstls hybrid_ex rdsaad`. No bit is `rdp`, an
    /// unknown bit is its number.
    #[must_use]
    pub fn names(self) -> Vec<Cow<'static, str>> {
        match self.0 {
            0 => vec![Cow::Borrowed("rdp")],
            bits => bit_names(bits, &PROTOCOL_NAMES),
        }
    }
}

const PROTOCOL_NAMES: [(u32, &str); 5] = [(1, "ssl"), (2, "hybrid"), (4, "rdstls"), (8, "hybrid_ex"), (16, "rdsaad")];

impl RequestFlags {
    /// RESTRICTED_ADMIN_MODE_REQUIRED. With the next one set too, either will do.
    pub const RESTRICTED_ADMIN: RequestFlags = RequestFlags(0x01);
    /// REDIRECTED_AUTHENTICATION_MODE_REQUIRED: Remote Credential Guard.
    pub const REDIRECTED_AUTHENTICATION: RequestFlags = RequestFlags(0x02);
    /// CORRELATION_INFO_PRESENT.
    pub const CORRELATION_INFO: RequestFlags = RequestFlags(0x08);

    /// Every bit of `other` is set here.
    #[must_use]
    pub fn contains(self, other: RequestFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of the flags that are set, in lower case as the specification spells them; unknown ones as numbers.
    #[must_use]
    pub fn names(self) -> Vec<Cow<'static, str>> {
        const NAMES: [(u32, &str); 3] = [
            (0x01, "restricted_admin_mode_required"),
            (0x02, "redirected_authentication_mode_required"),
            (0x08, "correlation_info_present"),
        ];
        bit_names(u32::from(self.0), &NAMES)
    }
}

impl ResponseFlags {
    /// EXTENDED_CLIENT_DATA_SUPPORTED.
    pub const EXTENDED_CLIENT_DATA: ResponseFlags = ResponseFlags(0x01);
    /// DYNVC_GFX_PROTOCOL_SUPPORTED.
    pub const GRAPHICS: ResponseFlags = ResponseFlags(0x02);
    /// RESTRICTED_ADMIN_MODE_SUPPORTED.
    pub const RESTRICTED_ADMIN: ResponseFlags = ResponseFlags(0x08);
    /// REDIRECTED_AUTHENTICATION_MODE_SUPPORTED.
    pub const REDIRECTED_AUTHENTICATION: ResponseFlags = ResponseFlags(0x10);

    /// Every bit of `other` is set here.
    #[must_use]
    pub fn contains(self, other: ResponseFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of the flags that are set, in lower case as the specification spells them; unknown ones as numbers.
    #[must_use]
    pub fn names(self) -> Vec<Cow<'static, str>> {
        const NAMES: [(u32, &str); 5] = [
            (0x01, "extended_client_data_supported"),
            (0x02, "dynvc_gfx_protocol_supported"),
            (0x04, "reserved"),
            (0x08, "restricted_admin_mode_supported"),
            (0x10, "redirected_authentication_mode_supported"),
        ];
        bit_names(u32::from(self.0), &NAMES)
    }
}

impl FailureCode {
    /// All that are specified, for metrics that start at zero.
    pub const ALL: [FailureCode; 6] =
        [FailureCode(1), FailureCode(2), FailureCode(3), FailureCode(4), FailureCode(5), FailureCode(6)];

    /// The name of the specification.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "SSL_REQUIRED_BY_SERVER",
            2 => "SSL_NOT_ALLOWED_BY_SERVER",
            3 => "SSL_CERT_NOT_ON_SERVER",
            4 => "INCONSISTENT_FLAGS",
            5 => "HYBRID_REQUIRED_BY_SERVER",
            6 => "SSL_WITH_USER_AUTH_REQUIRED_BY_SERVER",
            _ => return None,
        })
    }
}

fn bit_names(bits: u32, names: &[(u32, &'static str)]) -> Vec<Cow<'static, str>> {
    let name = |bit| {
        let known = names.iter().find(|(b, _)| *b == bit);
        known.map_or_else(|| Cow::Owned(format!("0x{bit:02x}")), |(_, name)| Cow::Borrowed(*name))
    };
    let mut all = Vec::with_capacity(bits.count_ones() as usize);
    let mut left = bits;
    while left != 0 {
        let lowest = left & left.wrapping_neg();
        all.push(name(lowest));
        left ^= lowest;
    }
    all
}

impl fmt::Display for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (names, number) = (self.names().join("+"), format!("0x{:02x}", self.0));
        if names == number { f.write_str(&number) } else { write!(f, "{names} ({number})") }
    }
}

impl fmt::Display for RequestFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        flags(f, &self.names(), self.0)
    }
}

impl fmt::Display for ResponseFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        flags(f, &self.names(), self.0)
    }
}

fn flags(f: &mut fmt::Formatter<'_>, names: &[Cow<'static, str>], raw: u8) -> fmt::Result {
    match names {
        [] => write!(f, "none (0x{raw:02x})"),
        names => write!(f, "{} (0x{raw:02x})", names.join("+")),
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const GUID_ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
        for (place, byte) in GUID_ORDER.into_iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{:02x}", self.0[byte])?;
        }
        Ok(())
    }
}

/// RDP_NEG_REQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NegotiationRequest {
    /// Flags.
    pub flags: RequestFlags,
    /// `requestedProtocols`.
    pub protocols: Protocols,
}

/// RDP_NEG_RSP or RDP_NEG_FAILURE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NegotiationAnswer {
    /// RDP_NEG_RSP.
    Selected {
        /// `selectedProtocol`.
        protocol: Protocols,
        /// Flags.
        flags: ResponseFlags,
    },
    /// RDP_NEG_FAILURE.
    Failure(FailureCode),
}

/// TYPE_RDP_NEG_REQ
pub(super) const TYPE_REQUEST: u8 = 0x01;
/// TYPE_RDP_NEG_RSP
const TYPE_RESPONSE: u8 = 0x02;
/// TYPE_RDP_NEG_FAILURE
const TYPE_FAILURE: u8 = 0x03;
/// TYPE_RDP_CORRELATION_INFO
const TYPE_CORRELATION: u8 = 0x06;
/// `length` of the three negotiation structures.
const NEGOTIATION_LENGTH: u16 = 8;
/// `length` of RDP_NEG_CORRELATION_INFO.
const CORRELATION_LENGTH: u16 = 36;

/// Type, flags, length and the u32 that all three structures share.
fn negotiation(input: &[u8]) -> Parsed<'_, (u8, u8, u32)> {
    let (i, kind) = le_u8(input)?;
    let (i, flags) = le_u8(i)?;
    let (after, length) = le_u16(i)?;
    if length != NEGOTIATION_LENGTH {
        return Err(unexpected(i, "negotiation structure length 8"));
    }
    let (rest, value) = le_u32(after)?;
    Ok((rest, (kind, flags, value)))
}

pub(super) fn request(input: &[u8]) -> Parsed<'_, NegotiationRequest> {
    match negotiation(input)? {
        (rest, (TYPE_REQUEST, flags, protocols)) => {
            Ok((rest, NegotiationRequest { flags: RequestFlags(flags), protocols: Protocols(protocols) }))
        }
        _ => Err(unexpected(input, "RDP_NEG_REQ")),
    }
}

pub(super) fn answer(input: &[u8]) -> Parsed<'_, NegotiationAnswer> {
    match negotiation(input)? {
        (rest, (TYPE_RESPONSE, flags, protocol)) => {
            Ok((rest, NegotiationAnswer::Selected { protocol: Protocols(protocol), flags: ResponseFlags(flags) }))
        }
        (rest, (TYPE_FAILURE, _, code)) => Ok((rest, NegotiationAnswer::Failure(FailureCode(code)))),
        _ => Err(unexpected(input, "RDP_NEG_RSP or RDP_NEG_FAILURE")),
    }
}

pub(super) fn correlation_info(input: &[u8]) -> Parsed<'_, CorrelationId> {
    let (i, kind) = le_u8(input)?;
    let (i, _flags) = le_u8(i)?;
    let (i, length) = le_u16(i)?;
    if kind != TYPE_CORRELATION || length != CORRELATION_LENGTH {
        return Err(unexpected(input, "RDP_NEG_CORRELATION_INFO"));
    }
    let (rest, body) = nom::bytes::streaming::take(CORRELATION_LENGTH - 4)(i)?;
    match body.first_chunk() {
        Some(id) => Ok((rest, CorrelationId(*id))),
        None => Err(unexpected(i, "correlationId")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_print_their_names_and_keep_unknown_bits() {
        assert_eq!(Protocols(0x0b).to_string(), "ssl+hybrid+hybrid_ex (0x0b)");
        assert_eq!(Protocols::RDP.names(), ["rdp"]);
        assert_eq!(Protocols(0x40).to_string(), "0x40");
        assert_eq!(Protocols(0x51).names(), ["ssl", "rdsaad", "0x40"]);
    }

    #[test]
    fn flags_and_failure_codes_print_name_and_number() {
        assert_eq!(RequestFlags(0x88).to_string(), "correlation_info_present+0x80 (0x88)");
        assert_eq!(ResponseFlags(0).to_string(), "none (0x00)");
        assert_eq!(FailureCode(5).to_string(), "HYBRID_REQUIRED_BY_SERVER (5)");
        assert_eq!(FailureCode(99).to_string(), "99");
        assert!(FailureCode::ALL.iter().all(|c| c.name().is_some()));
    }

    #[test]
    fn correlation_id_prints_in_guid_order() {
        let id = CorrelationId(core::array::from_fn(|i| u8::try_from(i).unwrap_or(0)));
        assert_eq!(id.to_string(), "03020100-0504-0706-0809-0a0b0c0d0e0f");
    }
}
