//! What an NTSTATUS in a TSRequest says of a logon. [MS-CSSP] 2.2.1, [MS-ERREF] 2.3.1

use super::super::{Cause, Confidence};
use crate::wire::NtStatus;

/// The reading of one status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) cause: Cause,
    pub(super) confidence: Confidence,
    pub(super) meaning: &'static str,
    pub(super) action: Option<&'static str>,
    pub(super) rivals: &'static [Cause],
}

/// What `status` means.
pub(super) fn reason(status: NtStatus) -> Reason {
    let named = |meaning, action| named(Cause::NlaAuthRefused, meaning, Some(action));
    let network = |meaning, action| self::named(Cause::KerberosUnreachable, meaning, Some(action));
    match status.0 {
        0xc000_006d | 0x8009_030c => self::named(Cause::NlaAuthRefused, "user name or password is wrong", None),
        0xc000_0064 => named(
            "there is no such user",
            r"Type the user name in full: `DOMAIN\user`; for a local account `HOST\user`.",
        ),
        0xc000_006a => named(
            "the password is wrong",
            "Type the password anew; delete one that the client has saved (`cmdkey /delete:TERMSRV/HOST`).",
        ),
        0xc000_0022 => named(
            "access denied",
            "See which policy denies it in the host's Security log, event 4625: user rights, Restrict NTLM, authentication policies.",
        ),
        0xc000_006e => named(
            "an account restriction (a blank password, hours, Protected Users)",
            "Give the account a password, and see its logon hours and its groups.",
        ),
        0xc000_006f => {
            named("outside of the account's logon hours", "Change the account's logon hours, or wait for them.")
        }
        0xc000_0070 => named(
            "the account may not log on from this workstation",
            "Add the workstation to the account's \"Log On To\" list.",
        ),
        0xc000_0071 => named(
            "the password has expired",
            "Change the password by another way (console, web access, an administrator): NLA cannot change it.",
        ),
        0xc000_0224 => named(
            "the password must be changed first",
            "Change the password by another way (console, web access, an administrator): NLA cannot change it.",
        ),
        0xc000_0072 => named(
            "the account is disabled",
            "Enable the account: `Enable-ADAccount USER`, or `net user USER /active:yes`.",
        ),
        0xc000_0193 => named("the account has expired", "Set a new end date: `Set-ADAccountExpiration USER`."),
        0xc000_0234 => named(
            "the account is locked out",
            "Unlock the account (`Unlock-ADAccount USER`) and find what locked it: event 4740 on the domain controller.",
        ),
        0xc000_015b => named(
            "the user has no right to log on through Remote Desktop Services",
            "Add the user to the host's Remote Desktop Users, and see GPO User Rights Assignment > \"Allow log on through Remote Desktop Services\".",
        ),
        0xc000_0413 => named(
            "selective authentication of the trust refuses the user",
            "Grant the user \"Allowed to authenticate\" on the host's computer object.",
        ),
        0xc000_0418 => named(
            "NTLM is blocked",
            "Use Kerberos: connect by the host's full DNS name, with its SPN TERMSRV/NAME registered; or add an exception to GPO \"Restrict NTLM\".",
        ),
        0xc000_00bb => named(
            "the host does not support this kind of logon",
            "See whether NTLM or this kind of credential is refused by policy; connect by the host's full DNS name so that Kerberos can be used.",
        ),
        0xc000_005e | 0x8009_0311 => network(
            "no domain controller could be reached",
            "From the host: `nltest /dsgetdc:DOMAIN`, `Test-ComputerSecureChannel`.",
        ),
        0xc000_0133 | 0x8009_0324 => network(
            "the clocks differ too much",
            "Set the clocks right: `w32tm /resync` on client, host and domain controller; five minutes are the limit.",
        ),
        0xc000_018d | 0xc000_0192 | 0xc000_00dc => network(
            "the host's own bond to its domain is broken",
            "On the host: `Test-ComputerSecureChannel -Repair`, service Netlogon.",
        ),
        0xc000_035b | 0x8009_0346 | 0x8009_030f => Reason {
            cause: Cause::NlaPubkeyMismatch,
            confidence: Confidence::Likely,
            meaning: "what binds the logon to the TLS key does not fit",
            action: None,
            rivals: &[Cause::NlaAuthRefused],
        },
        0x8009_0308 => Reason {
            cause: Cause::NlaAuthRefused,
            confidence: Confidence::Likely,
            meaning: "the host cannot read the client's token",
            action: None,
            rivals: &[Cause::CredsspOracleRemediation],
        },
        _ => self::named(Cause::NlaAuthRefused, "the status says why", None),
    }
}

fn named(cause: Cause, meaning: &'static str, action: Option<&'static str>) -> Reason {
    Reason { cause, confidence: Confidence::Proven, meaning, action, rivals: &[] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_of_refusals_is_one_cause_with_its_own_remedies() {
        for status in [0xc000_0234, 0xc000_0072, 0xc000_015b, 0xc000_0224] {
            let reason = reason(NtStatus(status));
            assert_eq!((reason.cause, reason.confidence), (Cause::NlaAuthRefused, Confidence::Proven));
            assert!(reason.action.is_some());
        }
        assert_eq!(reason(NtStatus(0xc000_0133)).cause, Cause::KerberosUnreachable);
        assert_eq!(reason(NtStatus(0x8009_030f)).cause, Cause::NlaPubkeyMismatch);
    }

    #[test]
    fn every_status_has_a_meaning() {
        for status in [0, 0xc000_006d, 0xc000_0413, 0xdead_beef] {
            assert!(!reason(NtStatus(status)).meaning.is_empty());
        }
    }
}
