//! Early User Authorization Result: four bytes of the host between CredSSP and MCS. [MS-RDPBCGR] 2.2.10.2

use core::fmt;

/// Bytes of it; no TPKT is around them.
pub const EARLY_USER_AUTH_BYTES: usize = 4;

/// `authorizationResult`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EarlyUserAuth(pub u32);

impl EarlyUserAuth {
    /// AUTHZ_SUCCESS.
    pub const SUCCESS: EarlyUserAuth = EarlyUserAuth(0);
    /// AUTHZ_ACCESS_DENIED.
    pub const ACCESS_DENIED: EarlyUserAuth = EarlyUserAuth(5);

    /// The name.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            EarlyUserAuth::SUCCESS => Some("AUTHZ_SUCCESS"),
            EarlyUserAuth::ACCESS_DENIED => Some("AUTHZ_ACCESS_DENIED"),
            _ => None,
        }
    }
}

impl fmt::Display for EarlyUserAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "0x{:X}", self.0),
        }
    }
}
