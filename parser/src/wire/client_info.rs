//! Client Info: which fields are there and how long they are. The texts, a password among them, are never read.
//! [MS-RDPBCGR] 2.2.1.11

/// Bytes of a TS_INFO_PACKET before its first text.
pub(super) const CLIENT_INFO_HEAD: usize = 18;

/// The head of a Client Info PDU. Lengths in bytes, terminators left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// `flags`.
    pub flags: InfoFlags,
    /// `cbDomain`.
    pub domain: u16,
    /// `cbUserName`.
    pub user_name: u16,
    /// `cbPassword`.
    pub password: u16,
    /// `cbAlternateShell`.
    pub alternate_shell: u16,
    /// `cbWorkingDir`.
    pub working_directory: u16,
}

impl ClientInfo {
    /// Reads what stands behind the security header.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<ClientInfo> {
        let head: &[u8; CLIENT_INFO_HEAD] = body.first_chunk()?;
        let length = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        Some(ClientInfo {
            flags: InfoFlags(u32::from_le_bytes([head[4], head[5], head[6], head[7]])),
            domain: length(8),
            user_name: length(10),
            password: length(12),
            alternate_shell: length(14),
            working_directory: length(16),
        })
    }
}

/// `flags` of a TS_INFO_PACKET.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct InfoFlags(pub u32);

impl InfoFlags {
    const NAMES: [(u32, &'static str); 22] = [
        (0x0000_0001, "mouse"),
        (0x0000_0002, "disable_ctrl_alt_del"),
        (0x0000_0008, "autologon"),
        (0x0000_0010, "unicode"),
        (0x0000_0020, "maximize_shell"),
        (0x0000_0040, "logon_notify"),
        (0x0000_0080, "compression"),
        (0x0000_0100, "enable_windows_key"),
        (0x0000_2000, "remote_console_audio"),
        (0x0000_4000, "force_encrypted_cs_pdu"),
        (0x0000_8000, "rail"),
        (0x0001_0000, "logon_errors"),
        (0x0002_0000, "mouse_has_wheel"),
        (0x0004_0000, "password_is_sc_pin"),
        (0x0008_0000, "no_audio_playback"),
        (0x0010_0000, "using_saved_creds"),
        (0x0020_0000, "audio_capture"),
        (0x0040_0000, "video_disable"),
        (0x0080_0000, "reserved1"),
        (0x0100_0000, "reserved2"),
        (0x0200_0000, "hidef_rail_supported"),
        (0x8000_0000, "reserved3"),
    ];

    /// Names of the bits that are set, without `INFO_`, in lower case.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMES.iter().filter(|(bit, _)| self.0 & bit != 0).map(|(_, name)| *name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_flags_are_read() {
        let mut body = vec![0, 0, 0, 0, 0x1b, 0, 0, 0, 6, 0, 10, 0, 14, 0, 0, 0, 0, 0];
        body.extend([0x55; 40]);
        let info = ClientInfo::parse(&body).unwrap();
        assert_eq!((info.domain, info.user_name, info.password), (6, 10, 14));
        assert_eq!(info.flags.names(), ["mouse", "disable_ctrl_alt_del", "autologon", "unicode"]);
        assert!(ClientInfo::parse(&body[..17]).is_none());
    }
}
