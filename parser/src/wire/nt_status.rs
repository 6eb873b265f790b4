//! NTSTATUS, as `errorCode` of a TSRequest carries it. [MS-ERREF] 2.3.1, [MS-CSSP] 2.2.1

use core::fmt;

/// A status of Windows' security layer: NTSTATUS, or a `SEC_E_*` HRESULT where a host sends that instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NtStatus(pub u32);

impl NtStatus {
    /// The symbolic name, for those that a logon is refused with.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0xc000_0022 => "STATUS_ACCESS_DENIED",
            0xc000_005e => "STATUS_NO_LOGON_SERVERS",
            0xc000_0064 => "STATUS_NO_SUCH_USER",
            0xc000_006a => "STATUS_WRONG_PASSWORD",
            0xc000_006d => "STATUS_LOGON_FAILURE",
            0xc000_006e => "STATUS_ACCOUNT_RESTRICTION",
            0xc000_006f => "STATUS_INVALID_LOGON_HOURS",
            0xc000_0070 => "STATUS_INVALID_WORKSTATION",
            0xc000_0071 => "STATUS_PASSWORD_EXPIRED",
            0xc000_0072 => "STATUS_ACCOUNT_DISABLED",
            0xc000_00bb => "STATUS_NOT_SUPPORTED",
            0xc000_00dc => "STATUS_INVALID_SERVER_STATE",
            0xc000_0133 => "STATUS_TIME_DIFFERENCE_AT_DC",
            0xc000_015b => "STATUS_LOGON_TYPE_NOT_GRANTED",
            0xc000_018d => "STATUS_TRUSTED_RELATIONSHIP_FAILURE",
            0xc000_0192 => "STATUS_NETLOGON_NOT_STARTED",
            0xc000_0193 => "STATUS_ACCOUNT_EXPIRED",
            0xc000_0224 => "STATUS_PASSWORD_MUST_CHANGE",
            0xc000_0234 => "STATUS_ACCOUNT_LOCKED_OUT",
            0xc000_035b => "STATUS_BAD_BINDINGS",
            0xc000_0388 => "STATUS_DOWNGRADE_DETECTED",
            0xc000_0413 => "STATUS_AUTHENTICATION_FIREWALL_FAILED",
            0xc000_0418 => "STATUS_NTLM_BLOCKED",
            0x8009_0308 => "SEC_E_INVALID_TOKEN",
            0x8009_030c => "SEC_E_LOGON_DENIED",
            0x8009_030e => "SEC_E_NO_CREDENTIALS",
            0x8009_030f => "SEC_E_MESSAGE_ALTERED",
            0x8009_0311 => "SEC_E_NO_AUTHENTICATING_AUTHORITY",
            0x8009_0324 => "SEC_E_TIME_SKEW",
            0x8009_0346 => "SEC_E_BAD_BINDINGS",
            _ => return None,
        })
    }
}

impl fmt::Display for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} (0x{:08X})", self.0),
            None => write!(f, "0x{:08X}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_printed_with_its_name_and_number() {
        assert_eq!(NtStatus(0xc000_006d).to_string(), "STATUS_LOGON_FAILURE (0xC000006D)");
        assert_eq!(NtStatus(0xc007_030c).to_string(), "0xC007030C");
    }
}
