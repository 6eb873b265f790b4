//! Licensing: which message, and what an error message says. [MS-RDPELE] 2.2.2, [MS-RDPBCGR] 2.2.1.12

use core::fmt;

/// One licensing message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Licence {
    /// `bMsgType`.
    pub kind: LicenceKind,
    /// `dwErrorCode` and `dwStateTransition` of an error message.
    pub error: Option<(LicenceError, u32)>,
}

/// `bMsgType` of a licensing preamble. [MS-RDPBCGR] 2.2.1.12.1.1
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LicenceKind(pub u8);

/// `dwErrorCode` of a licensing error message. [MS-RDPBCGR] 2.2.1.12.1.3
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LicenceError(pub u32);

/// Bytes of a preamble, and of an error message with it.
pub(super) const PREAMBLE: usize = 4;
pub(super) const ERROR_MESSAGE: usize = 12;

impl Licence {
    /// Reads what stands behind the security header.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Licence> {
        let kind = LicenceKind(*body.first_chunk::<PREAMBLE>()?.first()?);
        let number = |at: usize| Some(u32::from_le_bytes(*body.get(at..)?.first_chunk()?));
        let error = match kind {
            LicenceKind::ERROR_ALERT => Some((LicenceError(number(PREAMBLE)?), number(PREAMBLE + 4)?)),
            _ => None,
        };
        Some(Licence { kind, error })
    }

    /// The host lets the client in.
    #[must_use]
    pub fn grants(self) -> bool {
        let valid = self.error.is_some_and(|(error, _)| error == LicenceError::VALID_CLIENT);
        valid || matches!(self.kind, LicenceKind::NEW_LICENSE | LicenceKind::UPGRADE_LICENSE)
    }

    /// The error it carries, unless that is "valid client".
    #[must_use]
    pub fn refuses(self) -> Option<LicenceError> {
        self.error.map(|(error, _)| error).filter(|error| *error != LicenceError::VALID_CLIENT)
    }

    /// `dwStateTransition` by name, when there is one.
    #[must_use]
    pub fn transition(self) -> Option<&'static str> {
        Some(match self.error?.1 {
            1 => "total_abort",
            2 => "no_transition",
            3 => "reset_phase_to_start",
            4 => "resend_last_message",
            _ => return None,
        })
    }
}

impl LicenceKind {
    /// NEW_LICENSE: the client gets a licence.
    pub const NEW_LICENSE: LicenceKind = LicenceKind(0x03);
    /// UPGRADE_LICENSE: the client's licence is exchanged.
    pub const UPGRADE_LICENSE: LicenceKind = LicenceKind(0x04);
    /// ERROR_ALERT, which "valid client" is one of.
    pub const ERROR_ALERT: LicenceKind = LicenceKind(0xff);

    /// The name, in lower case.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x01 => "license_request",
            0x02 => "platform_challenge",
            0x03 => "new_license",
            0x04 => "upgrade_license",
            0x12 => "license_info",
            0x13 => "new_license_request",
            0x15 => "platform_challenge_response",
            0xff => "error_alert",
            _ => return None,
        })
    }
}

impl LicenceError {
    /// STATUS_VALID_CLIENT: no error, the client may go on.
    pub const VALID_CLIENT: LicenceError = LicenceError(7);

    /// The name.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x01 => "ERR_INVALID_SERVER_CERTIFICATE",
            0x02 => "ERR_NO_LICENSE",
            0x03 => "ERR_INVALID_MAC",
            0x04 => "ERR_INVALID_SCOPE",
            0x06 => "ERR_NO_LICENSE_SERVER",
            0x07 => "STATUS_VALID_CLIENT",
            0x08 => "ERR_INVALID_CLIENT",
            0x0b => "ERR_INVALID_PRODUCTID",
            0x0c => "ERR_INVALID_MESSAGE_LEN",
            _ => return None,
        })
    }
}

impl fmt::Display for LicenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} (0x{:X})", self.0),
            None => write!(f, "0x{:X}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u8, transition: u8) -> Licence {
        Licence::parse(&[0xff, 3, 0x10, 0, code, 0, 0, 0, transition, 0, 0, 0, 4, 0, 0, 0]).unwrap()
    }

    #[test]
    fn seven_is_success() {
        let valid = error(7, 2);
        assert!(valid.grants() && valid.refuses().is_none());
        assert_eq!(valid.transition(), Some("no_transition"));
    }

    #[test]
    fn any_other_code_refuses() {
        let refused = error(6, 1);
        assert!(!refused.grants());
        assert_eq!(refused.refuses().unwrap().to_string(), "ERR_NO_LICENSE_SERVER (0x6)");
        assert_eq!(refused.transition(), Some("total_abort"));
    }

    #[test]
    fn a_new_licence_grants_and_a_request_does_neither() {
        assert!(Licence::parse(&[3, 3, 200, 0]).unwrap().grants());
        let request = Licence::parse(&[1, 3, 0x4d, 1, 9]).unwrap();
        assert!(!request.grants() && request.refuses().is_none());
        assert_eq!(request.kind.name(), Some("license_request"));
        assert!(Licence::parse(&[0xff, 3, 16, 0, 7]).is_none() && Licence::parse(&[]).is_none());
    }
}
