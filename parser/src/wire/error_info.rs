//! Set Error Info: why the host ends a session. [MS-RDPBCGR] 2.2.5.1.1

use core::fmt;

/// `errorInfo` of a Set Error Info PDU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ErrorInfo(pub u32);

impl ErrorInfo {
    /// ERRINFO_NONE: nothing is wrong; hosts send it to take an earlier reason back.
    pub const NONE: ErrorInfo = ErrorInfo(0);

    /// The name, without `ERRINFO_`.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.entry().map(|(_, name, _)| *name)
    }

    /// What it says, in a few plain words.
    #[must_use]
    pub fn meaning(self) -> Option<&'static str> {
        match self.entry() {
            Some((_, _, meaning)) => Some(meaning),
            None if SECURITY_DATA_TOO_SHORT.contains(&self.0) => {
                Some("client security header or Client Info too short")
            }
            None => None,
        }
    }

    fn entry(self) -> Option<&'static (u32, &'static str, &'static str)> {
        let at = TABLE.binary_search_by_key(&self.0, |(code, _, _)| *code).ok()?;
        TABLE.get(at)
    }
}

impl fmt::Display for ErrorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} (0x{:X})", self.0),
            None => write!(f, "0x{:X}", self.0),
        }
    }
}

/// ERRINFO_SECURITYDATATOOSHORT2 to 23: one place in the host each.
const SECURITY_DATA_TOO_SHORT: core::ops::RangeInclusive<u32> = 0x1111..=0x1126;

/// Ordered by code.
const TABLE: &[(u32, &str, &str)] = &[
    (0x0000, "NONE", "no error"),
    (0x0001, "RPC_INITIATED_DISCONNECT", "disconnected by an admin tool in another session"),
    (0x0002, "RPC_INITIATED_LOGOFF", "logged off by an admin tool in another session"),
    (0x0003, "IDLE_TIMEOUT", "idle session limit reached"),
    (0x0004, "LOGON_TIMEOUT", "active session limit reached"),
    (0x0005, "DISCONNECTED_BY_OTHER_CONNECTION", "another client took over the session"),
    (0x0006, "OUT_OF_MEMORY", "server out of memory"),
    (0x0007, "SERVER_DENIED_CONNECTION", "server refused the connection"),
    (0x0008, "SERVER_DENIED_CONNECTION_FIPS", "server refused the connection for FIPS reasons"),
    (0x0009, "SERVER_INSUFFICIENT_PRIVILEGES", "user has no right to log on here"),
    (0x000a, "SERVER_FRESH_CREDENTIALS_REQUIRED", "saved credentials not accepted"),
    (0x000b, "RPC_INITIATED_DISCONNECT_BY_USER", "disconnected by a tool run by the user"),
    (0x000c, "LOGOFF_BY_USER", "user logged off"),
    (0x000f, "CLOSE_STACK_ON_DRIVER_NOT_READY", "display driver gave no status in time"),
    (0x0010, "SERVER_DWM_CRASH", "DWM crashed in the session"),
    (0x0011, "CLOSE_STACK_ON_DRIVER_FAILURE", "display driver start-up failed"),
    (0x0012, "CLOSE_STACK_ON_DRIVER_IFACE_FAILURE", "display driver started but is unusable"),
    (0x0017, "SERVER_WINLOGON_CRASH", "Winlogon crashed in the session"),
    (0x0018, "SERVER_CSRSS_CRASH", "CSRSS crashed in the session"),
    (0x0019, "SERVER_SHUTDOWN", "host shuts down"),
    (0x001a, "SERVER_REBOOT", "host reboots"),
    (0x0100, "LICENSE_INTERNAL", "internal licensing error"),
    (0x0101, "LICENSE_NO_LICENSE_SERVER", "no licence server found"),
    (0x0102, "LICENSE_NO_LICENSE", "no CAL available"),
    (0x0103, "LICENSE_BAD_CLIENT_MSG", "invalid licensing message from client"),
    (0x0104, "LICENSE_HWID_DOESNT_MATCH_LICENSE", "client CAL was altered"),
    (0x0105, "LICENSE_BAD_CLIENT_LICENSE", "client CAL has a bad format"),
    (0x0106, "LICENSE_CANT_FINISH_PROTOCOL", "network trouble stopped licensing"),
    (0x0107, "LICENSE_CLIENT_ENDED_PROTOCOL", "client stopped licensing early"),
    (0x0108, "LICENSE_BAD_CLIENT_ENCRYPTION", "licensing message badly encrypted"),
    (0x0109, "LICENSE_CANT_UPGRADE_LICENSE", "CAL could not be upgraded or renewed"),
    (0x010a, "LICENSE_NO_REMOTE_CONNECTIONS", "host not licensed for remote connections"),
    (0x0400, "CB_DESTINATION_NOT_FOUND", "broker: target not found"),
    (0x0402, "CB_LOADING_DESTINATION", "broker: target is disconnecting"),
    (0x0404, "CB_REDIRECTING_TO_DESTINATION", "broker: redirect failed"),
    (0x0405, "CB_SESSION_ONLINE_VM_WAKE", "broker: waking the VM failed"),
    (0x0406, "CB_SESSION_ONLINE_VM_BOOT", "broker: starting the VM failed"),
    (0x0407, "CB_SESSION_ONLINE_VM_NO_DNS", "broker: no IP address for the VM"),
    (0x0408, "CB_DESTINATION_POOL_NOT_FREE", "broker: no free endpoint in the pool"),
    (0x0409, "CB_CONNECTION_CANCELLED", "broker: connection cancelled"),
    (0x0410, "CB_CONNECTION_ERROR_INVALID_SETTINGS", "broker: routing token not valid"),
    (0x0411, "CB_SESSION_ONLINE_VM_BOOT_TIMEOUT", "broker: VM start timed out"),
    (0x0412, "CB_SESSION_ONLINE_VM_SESSMON_FAILED", "broker: session monitoring failed at VM start"),
    (0x10c9, "UNKNOWN_DATA_PDU_TYPE", "unknown pduType2"),
    (0x10ca, "UNKNOWN_PDU_TYPE", "unknown pduType"),
    (0x10cb, "DATA_PDU_SEQUENCE", "data PDU out of sequence"),
    (0x10cd, "CONTROL_PDU_SEQUENCE", "control PDU out of sequence"),
    (0x10ce, "INVALID_CONTROL_PDU_ACTION", "bad action in Control PDU"),
    (0x10cf, "INVALID_INPUT_PDU_TYPE", "bad input event type"),
    (0x10d0, "INVALID_INPUT_PDU_MOUSE", "bad mouse event flags"),
    (0x10d1, "INVALID_REFRESH_RECT_PDU", "bad Refresh Rect"),
    (0x10d2, "CREATE_USER_DATA_FAILED", "server could not build its GCC data"),
    (0x10d3, "CONNECT_FAILED", "channel connection phase failed"),
    (0x10d4, "CONFIRM_ACTIVE_HAS_WRONG_SHAREID", "wrong shareId in Confirm Active"),
    (0x10d5, "CONFIRM_ACTIVE_HAS_WRONG_ORIGINATOR", "wrong originatorId in Confirm Active"),
    (0x10da, "PERSISTENT_KEY_PDU_BAD_LENGTH", "Persistent Key List too short"),
    (0x10db, "PERSISTENT_KEY_PDU_ILLEGAL_FIRST", "second Persistent Key List marked first"),
    (0x10dc, "PERSISTENT_KEY_PDU_TOO_MANY_TOTAL_KEYS", "more than 262144 persistent keys"),
    (0x10dd, "PERSISTENT_KEY_PDU_TOO_MANY_CACHE_KEYS", "too many keys for one cache"),
    (0x10de, "INPUT_PDU_BAD_LENGTH", "input PDU too short"),
    (0x10df, "BITMAP_CACHE_ERROR_PDU_BAD_LENGTH", "bitmap cache error PDU too short"),
    (0x10e0, "SECURITY_DATA_TOO_SHORT", "fast-path security data too short"),
    (0x10e1, "VCHANNEL_DATA_TOO_SHORT", "virtual channel data too short"),
    (0x10e2, "SHARE_DATA_TOO_SHORT", "share header or data too short"),
    (0x10e3, "BAD_SUPPRESS_OUTPUT_PDU", "bad Suppress Output"),
    (0x10e5, "CONFIRM_ACTIVE_PDU_TOO_SHORT", "Confirm Active too short"),
    (0x10e7, "CAPABILITY_SET_TOO_SMALL", "capability set too small"),
    (0x10e8, "CAPABILITY_SET_TOO_LARGE", "capability set longer than the data"),
    (0x10e9, "NO_CURSOR_CACHE", "pointer cache sizes are zero"),
    (0x10ea, "BAD_CAPABILITIES", "capabilities refused"),
    (0x10ec, "VIRTUAL_CHANNEL_DECOMPRESSION", "virtual channel decompression failed"),
    (0x10ed, "INVALID_VC_COMPRESSION_TYPE", "bad compression type"),
    (0x10ef, "INVALID_CHANNEL_ID", "bad MCS channel id"),
    (0x10f0, "VCHANNELS_TOO_MANY", "more than 31 static channels"),
    (0x10f3, "REMOTEAPP_NOT_ENABLED", "host serves RemoteApp only and INFO_RAIL was not set"),
    (0x10f4, "CACHE_CAP_NOT_SET", "persistent keys without the rev 2 cache capability"),
    (0x10f5, "BITMAP_CACHE_ERROR_PDU_BAD_LENGTH2", "bitmap cache error counts inconsistent"),
    (0x10f6, "OFFSCREEN_CACHE_ERROR_PDU_BAD_LENGTH", "offscreen cache error PDU too short"),
    (0x10f7, "DRAWNINEGRID_CACHE_ERROR_PDU_BAD_LENGTH", "DrawNineGrid cache error PDU too short"),
    (0x10f8, "GDIPLUS_PDU_BAD_LENGTH", "GDI+ error PDU too short"),
    (0x1129, "BAD_MONITOR_DATA", "bad monitor count"),
    (0x112a, "VC_DECOMPRESSED_REASSEMBLE_FAILED", "virtual channel reassembly failed"),
    (0x112b, "VC_DATA_TOO_LONG", "virtual channel PDU above chunk size"),
    (0x112c, "BAD_FRAME_ACK_DATA", "frame acknowledge too short"),
    (0x112d, "GRAPHICS_MODE_NOT_SUPPORTED", "graphics mode not supported by the server"),
    (0x112e, "GRAPHICS_SUBSYSTEM_RESET_FAILED", "graphics subsystem reset failed"),
    (0x112f, "GRAPHICS_SUBSYSTEM_FAILED", "graphics subsystem in error"),
    (0x1130, "TIMEZONE_KEY_NAME_LENGTH_TOO_SHORT", "time zone name length missing"),
    (0x1131, "TIMEZONE_KEY_NAME_LENGTH_TOO_LONG", "time zone name too long"),
    (0x1132, "DYNAMIC_DST_DISABLED_FIELD_MISSING", "dynamic DST field missing"),
    (0x1133, "VC_DECODING_ERROR", "dynamic channel data error"),
    (0x1134, "VIRTUALDESKTOPTOOLARGE", "virtual desktop above 32766 pixels"),
    (0x1135, "MONITORGEOMETRYVALIDATIONFAILED", "monitor geometry invalid"),
    (0x1136, "INVALIDMONITORCOUNT", "too many monitors"),
    (0x1191, "UPDATE_SESSION_KEY_FAILED", "RDP security key update failed"),
    (0x1192, "DECRYPT_FAILED", "RDP security decryption or key creation failed"),
    (0x1193, "ENCRYPT_FAILED", "RDP security encryption failed"),
    (0x1194, "ENCRYPTION_PACKAGE_MISMATCH", "no usable RDP security encryption method"),
    (0x1195, "DECRYPT_FAILED2", "clear data where RDP security was expected"),
    (0x1196, "PEER_DISCONNECTED", "connection to the peer was lost"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_every_code_is_found() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
        for (code, name, _) in TABLE {
            assert_eq!(ErrorInfo(*code).name(), Some(*name));
        }
    }

    #[test]
    fn a_code_is_printed_with_its_name() {
        assert_eq!(ErrorInfo(7).to_string(), "SERVER_DENIED_CONNECTION (0x7)");
        assert_eq!(ErrorInfo(0x1112).to_string(), "0x1112");
        assert!(ErrorInfo(0x1112).meaning().is_some() && ErrorInfo(0x7777).meaning().is_none());
    }
}
