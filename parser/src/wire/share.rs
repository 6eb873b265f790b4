//! Share PDUs: the session itself, on the I/O channel. Types, and the few fields that say how a session comes up and why
//! it ends. [MS-RDPBCGR] 2.2.8.1.1

use super::error_info::ErrorInfo;
use core::fmt;

/// `totalLength`, `pduType`, `pduSource`. [MS-RDPBCGR] 2.2.8.1.1.1.1
const CONTROL_HEADER: usize = 6;
/// The control header and `shareId` to `compressedLength`. [MS-RDPBCGR] 2.2.8.1.1.1.2
const DATA_HEADER: usize = 18;
/// PACKET_COMPRESSED in `compressedType`: the body says nothing to us. [MS-RDPBCGR] 2.2.8.1.1.1.2
const COMPRESSED: u8 = 0x20;
/// LOGON_EX_AUTORECONNECTCOOKIE and LOGON_EX_LOGONERRORS. The cookie is a credential and is never read.
const LOGON_COOKIE: u32 = 0x0000_0001;
const LOGON_ERRORS: u32 = 0x0000_0002;

/// One share PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Demand Active. [MS-RDPBCGR] 2.2.1.13.1
    DemandActive,
    /// Confirm Active. [MS-RDPBCGR] 2.2.1.13.2
    ConfirmActive,
    /// Deactivate All: a reactivation follows, or the end. [MS-RDPBCGR] 2.2.3.1
    DeactivateAll,
    /// Server Redirection. [MS-RDPBCGR] 2.2.13.3.1
    Redirection(RedirectionFlags),
    /// Share data.
    Data(ShareData),
    /// Another type, with its number.
    Other(u8),
}

/// What share data is. [MS-RDPBCGR] 2.2.8.1.1.1.2
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareData {
    /// Synchronize. [MS-RDPBCGR] 2.2.1.14
    Synchronize,
    /// Control, with its action: 1 request, 2 granted, 3 detach, 4 cooperate. [MS-RDPBCGR] 2.2.1.15
    Control(u16),
    /// Font List. [MS-RDPBCGR] 2.2.1.18
    FontList,
    /// Font Map: the session is up. [MS-RDPBCGR] 2.2.1.22
    FontMap,
    /// Shutdown Request: the user closes the window. [MS-RDPBCGR] 2.2.2.1
    ShutdownRequest,
    /// Shutdown Request Denied: somebody is logged on; the client asks its user. [MS-RDPBCGR] 2.2.2.2
    ShutdownDenied,
    /// Set Error Info. [MS-RDPBCGR] 2.2.5.1
    ErrorInfo(ErrorInfo),
    /// Save Session Info. [MS-RDPBCGR] 2.2.10.1
    SessionInfo(SessionInfo),
    /// Another type, or a compressed body, with `pduType2`.
    Other(u8),
}

/// What Save Session Info tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionInfo {
    /// `infoType`: 0 and 1 logon, 2 plain notify, 3 extended.
    pub kind: u32,
    /// `ErrorNotificationType` and `ErrorNotificationData` of a logon error that came without a reconnection cookie.
    /// [MS-RDPBCGR] 2.2.10.1.1.4.1.1
    pub logon_error: Option<(u32, u32)>,
}

/// `RedirFlags` of a redirection packet. [MS-RDPBCGR] 2.2.13.1
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RedirectionFlags(pub u32);

impl RedirectionFlags {
    /// LB_LOAD_BALANCE_INFO: a routing token, with which the client comes back to the address it used.
    pub const LOAD_BALANCE_INFO: RedirectionFlags = RedirectionFlags(0x02);
    /// LB_NOREDIRECT: the client stays.
    pub const NO_REDIRECT: RedirectionFlags = RedirectionFlags(0x80);
    /// LB_TARGET_NET_ADDRESS, LB_TARGET_FQDN, LB_TARGET_NETBIOS_NAME, LB_TARGET_NET_ADDRESSES: where to go.
    const ADDRESSES: u32 = 0x01 | 0x100 | 0x200 | 0x800;

    const NAMES: [(u32, &'static str); 16] = [
        (0x01, "target_net_address"),
        (0x02, "load_balance_info"),
        (0x04, "username"),
        (0x08, "domain"),
        (0x10, "password"),
        (0x20, "dontstoreusername"),
        (0x40, "smartcard_logon"),
        (0x80, "noredirect"),
        (0x100, "target_fqdn"),
        (0x200, "target_netbios_name"),
        (0x800, "target_net_addresses"),
        (0x1000, "client_tsv_url"),
        (0x2000, "server_tsv_capable"),
        (0x4000, "password_is_pk_encrypted"),
        (0x8000, "redirection_guid"),
        (0x10000, "target_certificate"),
    ];

    /// Every bit of `other` is set here.
    #[must_use]
    pub fn contains(self, other: RedirectionFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The packet names the machine to go to.
    #[must_use]
    pub fn has_address(self) -> bool {
        self.0 & Self::ADDRESSES != 0
    }

    /// Names of the bits that are set, without `LB_`, in lower case.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMES.iter().filter(|(bit, _)| self.0 & bit != 0).map(|(_, name)| *name).collect()
    }
}

impl fmt::Display for RedirectionFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:X} ({})", self.0, self.names().join(", "))
    }
}

/// What came of reading a share PDU from the bytes held of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// It is this, and has that many bytes in all.
    Share(Share, usize),
    /// This many bytes of it tell more.
    More(usize),
    /// No share PDU.
    Not,
}

impl Share {
    /// Reads the share PDU that begins `held`, with `room` bytes until the end of the user data. Fields that lie behind the
    /// end of the PDU are taken for absent.
    pub(super) fn read(held: &[u8], room: usize) -> Read {
        // Two bytes of length, then a type whose upper bits are a version.
        if held.get(2).is_some_and(|low| low >> 4 != 1) || held.get(3).is_some_and(|high| *high != 0) {
            return Read::Not;
        }
        let Some(header) = held.first_chunk::<CONTROL_HEADER>() else { return more(CONTROL_HEADER, room) };
        let total = usize::from(u16::from_le_bytes([header[0], header[1]]));
        let pdu_type = u16::from_le_bytes([header[2], header[3]]);
        if total < CONTROL_HEADER || total > room {
            return Read::Not;
        }
        let held = &held[..held.len().min(total)];
        let share = match pdu_type & 0x0f {
            1 => Some(Share::DemandActive),
            3 => Some(Share::ConfirmActive),
            6 => Some(Share::DeactivateAll),
            7 => return data(held, total),
            // Two bytes of padding, `Flags`, `Length`, `SessionID`, then the flags. [MS-RDPBCGR] 2.2.13.3.1
            10 => match number(held, 16) {
                Ok(flags) => Some(Share::Redirection(RedirectionFlags(flags))),
                Err(needed) if needed <= total => return Read::More(needed),
                Err(_) => None,
            },
            _ => None,
        };
        Read::Share(share.unwrap_or(Share::Other((pdu_type & 0x0f) as u8)), total)
    }
}

fn data(held: &[u8], total: usize) -> Read {
    let Some(header) = held.first_chunk::<DATA_HEADER>() else { return more(DATA_HEADER, total) };
    let (kind, compressed) = (header[14], header[15] & COMPRESSED != 0);
    let field = match kind {
        _ if compressed => Ok(ShareData::Other(kind)),
        0x14 => control(held),
        0x1f => Ok(ShareData::Synchronize),
        0x24 => Ok(ShareData::ShutdownRequest),
        0x25 => Ok(ShareData::ShutdownDenied),
        0x26 => session_info(held),
        0x27 => Ok(ShareData::FontList),
        0x28 => Ok(ShareData::FontMap),
        0x2f => number(held, DATA_HEADER).map(|code| ShareData::ErrorInfo(ErrorInfo(code))),
        _ => Ok(ShareData::Other(kind)),
    };
    match field {
        Ok(data) => Read::Share(Share::Data(data), total),
        Err(needed) if needed <= total => Read::More(needed),
        Err(_) => Read::Share(Share::Data(ShareData::Other(kind)), total),
    }
}

fn control(held: &[u8]) -> Result<ShareData, usize> {
    let end = DATA_HEADER + 2;
    let action = held.get(DATA_HEADER..end).ok_or(end)?;
    Ok(ShareData::Control(u16::from_le_bytes([action[0], action[1]])))
}

/// `infoType`; for the extended kind also `Length`, `FieldsPresent` and, when no cookie stands before them, the errors.
fn session_info(held: &[u8]) -> Result<ShareData, usize> {
    let mut info = SessionInfo { kind: number(held, DATA_HEADER)?, logon_error: None };
    let fields = match info.kind {
        3 => number(held, DATA_HEADER + 6)?,
        _ => 0,
    };
    if fields & (LOGON_COOKIE | LOGON_ERRORS) == LOGON_ERRORS {
        info.logon_error = Some((number(held, DATA_HEADER + 14)?, number(held, DATA_HEADER + 18)?));
    }
    Ok(ShareData::SessionInfo(info))
}

/// The number at `at`, or how many bytes have to be held to read it.
fn number(held: &[u8], at: usize) -> Result<u32, usize> {
    let end = at + 4;
    let bytes = held.get(at..end).ok_or(end)?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn more(needed: usize, room: usize) -> Read {
    if needed <= room { Read::More(needed) } else { Read::Not }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A share control PDU.
    pub(crate) fn share(kind: u8, body: &[u8]) -> Vec<u8> {
        let total = u16::try_from(body.len() + CONTROL_HEADER).unwrap().to_le_bytes();
        [&[total[0], total[1], 0x10 | kind, 0, 0xea, 3][..], body].concat()
    }

    /// A share data PDU.
    pub(crate) fn share_data(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len() + 4).unwrap().to_le_bytes();
        let header = [0xea, 3, 1, 0, 0, 1, length[0], length[1], kind, 0, 0, 0];
        share(7, &[&header[..], body].concat())
    }

    fn read(pdu: &[u8]) -> Share {
        match Share::read(pdu, pdu.len()) {
            Read::Share(share, total) => {
                assert_eq!(total, pdu.len());
                share
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_types_of_a_session_are_told() {
        assert_eq!(read(&share(1, &[0; 300])), Share::DemandActive);
        assert_eq!(read(&share(6, &[])), Share::DeactivateAll);
        assert_eq!(read(&share_data(0x1f, &[1, 0, 0, 0])), Share::Data(ShareData::Synchronize));
        assert_eq!(read(&share_data(0x14, &[4, 0, 0, 0, 0, 0, 0, 0])), Share::Data(ShareData::Control(4)));
        assert_eq!(read(&share_data(0x28, &[0; 8])), Share::Data(ShareData::FontMap));
        assert_eq!(read(&share_data(0x02, &[0; 900])), Share::Data(ShareData::Other(2)));
    }

    #[test]
    fn the_host_says_why() {
        assert_eq!(read(&share_data(0x2f, &[7, 0, 0, 0])), Share::Data(ShareData::ErrorInfo(ErrorInfo(7))));
        let mut compressed = share_data(0x2f, &[7, 0, 0, 0]);
        compressed[15] = 0x21;
        assert_eq!(read(&compressed), Share::Data(ShareData::Other(0x2f)));
    }

    #[test]
    fn a_redirection_shows_its_flags() {
        let body = [&[0, 0, 0, 4, 0x40, 0, 1, 0, 0, 0][..], &0x0000_8102_u32.to_le_bytes(), &[9; 40]].concat();
        let Share::Redirection(flags) = read(&share(10, &body)) else { panic!("a redirection") };
        assert_eq!(flags.names(), ["load_balance_info", "target_fqdn", "redirection_guid"]);
        assert!(flags.has_address() && flags.contains(RedirectionFlags::LOAD_BALANCE_INFO));
    }

    #[test]
    fn logon_errors_are_read_and_a_cookie_is_not() {
        let info = |fields: u32, rest: &[u8]| {
            let body = [&[3, 0, 0, 0, 30, 0][..], &fields.to_le_bytes(), rest].concat();
            let Share::Data(ShareData::SessionInfo(info)) = read(&share_data(0x26, &body)) else { panic!("info") };
            info
        };
        let errors = [8, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 1, 0, 0, 0];
        assert_eq!(info(LOGON_ERRORS, &errors).logon_error, Some((0xffff_fffe, 1)));
        assert_eq!(info(LOGON_ERRORS | LOGON_COOKIE, &[0x77; 44]).logon_error, None);
    }

    #[test]
    fn more_is_asked_for_until_it_is_told_and_never_beyond_the_end() {
        for pdu in [share_data(0x2f, &[7, 0, 0, 0]), share(10, &[0; 14]), share_data(0x26, &[0; 4])] {
            let mut held = 0;
            while let Read::More(needed) = Share::read(&pdu[..held], pdu.len()) {
                assert!(needed > held && needed <= pdu.len());
                held = needed;
            }
            assert!(matches!(Share::read(&pdu[..held], pdu.len()), Read::Share(..)));
        }
        for short in [share_data(0x2f, &[7]), share_data(0x26, &[3, 0, 0, 0, 9]), share(10, &[0; 4]), share(7, &[1])] {
            assert!(!matches!(Share::read(&short, short.len()), Read::More(_)), "{short:02x?}");
        }
    }
}
