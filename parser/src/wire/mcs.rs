//! Clear MCS PDUs: what standard RDP security shows, and the ultimatum xrdp sends in clear. ITU-T T.125 7, 11; [MS-RDPBCGR] 2.2.1
//!
//! Only the kind and the few fields that tell phases apart are read, from the first bytes of the PDU.

use super::tpkt::TPKT_HEADER;
use super::x224;
use core::fmt;

/// Bytes from the start of a PDU that are enough to tell everything [`ClearPdu`] holds: TPKT 4, X.224 3, send data 8,
/// and the 4 bytes of a security or share header.
pub const PDU_PREFIX: usize = 19;

/// One clear PDU after the X.224 exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClearPdu {
    /// What it is.
    pub kind: PduKind,
    /// Whole length in bytes, header included.
    pub length: u16,
}

/// Kinds of clear PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PduKind {
    /// MCS Connect Initial. [MS-RDPBCGR] 2.2.1.3
    ConnectInitial,
    /// MCS Connect Response. [MS-RDPBCGR] 2.2.1.4
    ConnectResponse,
    /// MCS Erect Domain Request. [MS-RDPBCGR] 2.2.1.5
    ErectDomain,
    /// MCS Attach User Request. [MS-RDPBCGR] 2.2.1.6
    AttachUserRequest,
    /// MCS Attach User Confirm, with its result (0: successful). [MS-RDPBCGR] 2.2.1.7
    AttachUserConfirm(u8),
    /// MCS Channel Join Request. [MS-RDPBCGR] 2.2.1.8
    ChannelJoinRequest,
    /// MCS Channel Join Confirm, with its result (0: successful). [MS-RDPBCGR] 2.2.1.9
    ChannelJoinConfirm(u8),
    /// MCS Send Data Request: the client speaks on a channel.
    SendDataRequest(SendData),
    /// MCS Send Data Indication: the host speaks on a channel.
    SendDataIndication(SendData),
    /// MCS Disconnect Provider Ultimatum. [MS-RDPBCGR] 2.2.2.3
    Ultimatum(DisconnectReason),
    /// Another MCS domain PDU, with its choice index. ITU-T T.125 7
    Domain(u8),
    /// An X.224 TPDU that is not Data, with its code.
    Tpdu(u8),
    /// A fast-path PDU. [MS-RDPBCGR] 2.2.8.1.2, 2.2.9.1.2
    FastPath {
        /// Its flags say encrypted.
        encrypted: bool,
    },
}

/// Data on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendData {
    /// MCS channel id.
    pub channel: u16,
    /// User data length in bytes.
    pub length: u16,
    /// What the first bytes of the user data are.
    pub payload: Payload,
}

/// How user data begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A basic security header. [MS-RDPBCGR] 2.2.8.1.1.2.1. Without encryption only Client Info and licensing have one: the
    /// flags of virtual channel data are then its length, which the channel tells.
    Security(SecurityFlags),
    /// A share control header, with its PDU type (1 demand active, 3 confirm active, 6 deactivate all, 7 data).
    /// [MS-RDPBCGR] 2.2.8.1.1.1.1
    Share(u8),
    /// Too short for either.
    Other,
}

/// `flags` of a basic security header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SecurityFlags(pub u16);

impl SecurityFlags {
    /// SEC_EXCHANGE_PKT
    pub const EXCHANGE: SecurityFlags = SecurityFlags(0x0001);
    /// SEC_ENCRYPT
    pub const ENCRYPT: SecurityFlags = SecurityFlags(0x0008);
    /// SEC_INFO_PKT
    pub const INFO: SecurityFlags = SecurityFlags(0x0040);
    /// SEC_LICENSE_PKT
    pub const LICENSE: SecurityFlags = SecurityFlags(0x0080);

    /// Every bit of `other` is set here.
    #[must_use]
    pub fn contains(self, other: SecurityFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// `reason` of an MCS Disconnect Provider Ultimatum. ITU-T T.125 7, part 5
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DisconnectReason(pub u8);

impl DisconnectReason {
    /// The name in T.125, without its prefix.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "domain-disconnected",
            1 => "provider-initiated",
            2 => "token-purged",
            3 => "user-requested",
            4 => "channel-purged",
            _ => return None,
        })
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// `result` of a Connect Response, an Attach User Confirm or a Channel Join Confirm. ITU-T T.125 7, part 2
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct McsResult(pub u8);

impl McsResult {
    /// `rt-successful`.
    pub const SUCCESSFUL: McsResult = McsResult(0);

    /// The name in T.125.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 16] = [
            "rt-successful",
            "rt-domain-merging",
            "rt-domain-not-hierarchical",
            "rt-no-such-channel",
            "rt-no-such-domain",
            "rt-no-such-user",
            "rt-not-admitted",
            "rt-other-user-id",
            "rt-parameters-unacceptable",
            "rt-token-not-available",
            "rt-token-not-possessed",
            "rt-too-many-channels",
            "rt-too-many-tokens",
            "rt-too-many-users",
            "rt-unspecified-failure",
            "rt-user-rejected",
        ];
        NAMES.get(usize::from(self.0)).copied()
    }
}

impl fmt::Display for McsResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Tells the PDU whose TPKT begins with `prefix`: its first [`PDU_PREFIX`] bytes, or all of it when it is shorter.
#[must_use]
pub fn pdu_kind(prefix: &[u8]) -> PduKind {
    let code = prefix.get(TPKT_HEADER + 1).map_or(0, |code| code & 0xf0);
    if code != x224::TPDU_DATA {
        return PduKind::Tpdu(code);
    }
    let mcs = prefix.get(TPKT_HEADER + 3..).unwrap_or_default();
    match mcs {
        // BER application tags 101 and 102. ITU-T T.125 7
        [0x7f, 0x65, ..] => PduKind::ConnectInitial,
        [0x7f, 0x66, ..] => PduKind::ConnectResponse,
        // PER: six bits of choice. ITU-T T.125 7, part 8
        [choice, rest @ ..] => match choice >> 2 {
            1 => PduKind::ErectDomain,
            8 => PduKind::Ultimatum(ultimatum(mcs).unwrap_or_default()),
            10 => PduKind::AttachUserRequest,
            11 => PduKind::AttachUserConfirm(result(*choice, rest)),
            14 => PduKind::ChannelJoinRequest,
            15 => PduKind::ChannelJoinConfirm(result(*choice, rest)),
            25 => PduKind::SendDataRequest(send_data(rest)),
            26 => PduKind::SendDataIndication(send_data(rest)),
            other => PduKind::Domain(other),
        },
        [] => PduKind::Domain(0),
    }
}

/// The reason of an ultimatum: three bits of PER over the two bytes, after six bits of choice (8).
pub(super) fn ultimatum(mcs: &[u8]) -> Option<DisconnectReason> {
    match mcs {
        [first @ 0x20..=0x23, second, ..] => Some(DisconnectReason((first & 0x03) << 1 | second >> 7)),
        _ => None,
    }
}

/// `result`: four bits of PER after six bits of choice and one that says whether an optional field follows.
fn result(choice: u8, rest: &[u8]) -> u8 {
    (choice & 0x01) << 3 | rest.first().map_or(0, |byte| byte >> 5)
}

/// Initiator (2), channel (2), priority and segmentation (1), length (1, or 2 with the top bit set), user data.
fn send_data(rest: &[u8]) -> SendData {
    let none = SendData { channel: 0, length: 0, payload: Payload::Other };
    let [_, _, channel_high, channel_low, _, length, after @ ..] = rest else { return none };
    let (length, data) = match (length & 0x80, after) {
        (0, data) => (u16::from(*length), data),
        (_, [low, data @ ..]) => (u16::from_be_bytes([length & 0x7f, *low]), data),
        (_, []) => return none,
    };
    SendData { channel: u16::from_be_bytes([*channel_high, *channel_low]), length, payload: payload(length, data) }
}

/// A share control header begins with its own total length, which is that of the user data, and its type has version 1.
/// Anything else is a security header: hosts leave anything in `flagsHi`. [MS-RDPBCGR] 2.2.8.1.1.2.1
fn payload(length: u16, data: &[u8]) -> Payload {
    let [a, b, c, d, ..] = *data else { return Payload::Other };
    let (first, second) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
    match (first, second) {
        (total, pdu_type) if total == length && pdu_type >> 4 == 1 => Payload::Share((pdu_type & 0x0f) as u8),
        (flags, _) => Payload::Security(SecurityFlags(flags)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(mcs: &[u8]) -> PduKind {
        let mut pdu = vec![3, 0, 0, 0, 2, 0xf0, 0x80];
        pdu.extend(mcs);
        pdu_kind(&pdu)
    }

    #[test]
    fn xrdp_refuses_with_nine_clear_bytes() {
        let pdu = [0x03, 0x00, 0x00, 0x09, 0x02, 0xf0, 0x80, 0x21, 0x80];
        assert_eq!(pdu_kind(&pdu), PduKind::Ultimatum(DisconnectReason(3)));
        assert_eq!(DisconnectReason(3).to_string(), "user-requested (3)");
        assert_eq!(DisconnectReason(7).to_string(), "7");
    }

    #[test]
    fn the_connect_sequence_is_told_by_its_first_bytes() {
        assert_eq!(kind(&[0x7f, 0x65, 0x82]), PduKind::ConnectInitial);
        assert_eq!(kind(&[0x7f, 0x66, 0x82]), PduKind::ConnectResponse);
        assert_eq!(kind(&[0x04, 1, 0, 1, 0]), PduKind::ErectDomain);
        assert_eq!(kind(&[0x28]), PduKind::AttachUserRequest);
        assert_eq!(kind(&[0x2e, 0, 0, 6]), PduKind::AttachUserConfirm(0));
        assert_eq!(kind(&[0x38, 0, 6, 3, 0xeb]), PduKind::ChannelJoinRequest);
        assert_eq!(kind(&[0x3e, 0, 0, 6, 3, 0xeb, 3, 0xeb]), PduKind::ChannelJoinConfirm(0));
    }

    #[test]
    fn a_confirm_that_refuses_says_so() {
        // rt-too-many-users (13): bits 1101 after 001011 1.
        assert_eq!(kind(&[0x2f, 0xa0, 0, 6]), PduKind::AttachUserConfirm(13));
    }

    #[test]
    fn client_info_and_licensing_are_told_by_the_security_header() {
        let info = kind(&[0x64, 0, 6, 3, 0xeb, 0x70, 0x81, 0x50, 0x48, 0, 0, 0]);
        let PduKind::SendDataRequest(data) = info else { panic!("{info:?}") };
        assert_eq!((data.channel, data.length), (1003, 0x150));
        let Payload::Security(flags) = data.payload else { panic!("{data:?}") };
        assert!(flags.contains(SecurityFlags::INFO) && flags.contains(SecurityFlags::ENCRYPT));
        let licence = kind(&[0x68, 0, 6, 3, 0xeb, 0x70, 0x14, 0x80, 0, 0, 0]);
        let PduKind::SendDataIndication(data) = licence else { panic!("{licence:?}") };
        assert_eq!(data.payload, Payload::Security(SecurityFlags::LICENSE));
    }

    #[test]
    fn what_hosts_leave_in_flags_hi_is_ignored() {
        // xrdp's licence, Windows 2003's licence.
        for (head, expected) in [([0x80, 0, 0x3e, 0x80], 0x0080), ([0x88, 0x02, 0x02, 0x03], 0x0288)] {
            let licence = kind(&[&[0x68, 0, 6, 3, 0xeb, 0x70, 0x14][..], &head].concat());
            let PduKind::SendDataIndication(data) = licence else { panic!("{licence:?}") };
            let Payload::Security(flags) = data.payload else { panic!("{data:?}") };
            assert!(flags.0 == expected && flags.contains(SecurityFlags::LICENSE));
        }
    }

    #[test]
    fn demand_active_without_encryption_is_told_by_the_share_header() {
        let demand = kind(&[0x68, 0, 6, 3, 0xeb, 0x70, 0x81, 0x50, 0x50, 0x01, 0x11, 0x00]);
        let PduKind::SendDataIndication(data) = demand else { panic!("{demand:?}") };
        assert_eq!(data.payload, Payload::Share(1));
    }

    #[test]
    fn any_prefix_gives_some_kind() {
        let pdu = [3, 0, 0, 40, 2, 0xf0, 0x80, 0x64, 0, 6, 3, 0xeb, 0x70, 0x81, 0x50, 0x48, 0, 0, 0];
        assert_eq!(pdu.len(), PDU_PREFIX);
        for cut in 0..pdu.len() {
            let _ = pdu_kind(&pdu[..cut]);
        }
        assert!(matches!(pdu_kind(&pdu), PduKind::SendDataRequest(d) if d.payload != Payload::Other));
    }
}
