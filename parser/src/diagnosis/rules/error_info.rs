//! What a Set Error Info code says of a session, by where the session was. [MS-RDPBCGR] 2.2.5.1.1

use super::super::{Cause, Confidence, End, Side};
use crate::session::Phase;
use crate::wire::ErrorInfo;

/// The reading of one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) cause: Cause,
    pub(super) confidence: Confidence,
    pub(super) side: Side,
    /// The session had been up, and this is no failure.
    pub(super) end: Option<End>,
    pub(super) action: Option<&'static str>,
    pub(super) rivals: &'static [Cause],
}

/// What `code` means for a session that got to `phase`.
pub(super) fn reason(code: ErrorInfo, phase: Phase) -> Reason {
    let up = phase >= Phase::Active;
    match code.0 {
        0x01 | 0x02 if up => ended(End::HostEnded, Side::Host),
        0x03 | 0x04 if up => ended(End::IdleOrTimeLimit, Side::Host),
        0x05 if up => ended(End::Replaced, Side::Host),
        0x0b | 0x0c if up => ended(End::UserClosed, Side::Client),
        // The code says who ended it, and nothing of why a session that never came up was ended.
        0x01..=0x05 | 0x0b | 0x0c => Reason {
            confidence: Confidence::Likely,
            rivals: &[Cause::WinlogonOrProfileFailure],
            ..proven(Cause::ServerDenied0x7)
        },
        0x06 => advised(
            Cause::ServerDenied0x7,
            "Free memory on the host, or spread its sessions: it said that it has none left.",
        ),
        0x08 => proven(Cause::FipsMismatch),
        0x09 => proven(Cause::EarlyUserAuthDenied),
        0x0a => advised(
            Cause::NlaAuthRefused,
            "Delete the credentials that the client has saved for this host (`cmdkey /list`, `cmdkey /delete:TERMSRV/HOST`) and type them: its policy \"Always prompt for password upon connection\" refuses saved ones.",
        ),
        0x0f..=0x12 | 0x17 | 0x18 => proven(Cause::WinlogonOrProfileFailure),
        0x19 | 0x1a => proven(Cause::ServerResetInSession),
        0x100..=0x10a => licence(code),
        0x400..=0x4ff => advised(
            Cause::ServerDenied0x7,
            "Read the connection broker's log at this second (TerminalServices-SessionBroker > Operational): it could not place this session.",
        ),
        0x10d2 | 0x10d3 if !up => proven(Cause::ServerClosedInMcs),
        0x1000..=0x7fff if !up => proven(Cause::ActivationFailed),
        0x1000..=0x7fff => proven(Cause::HostClosedActive),
        0x07 => proven(Cause::ServerDenied0x7),
        _ => Reason {
            confidence: Confidence::Likely,
            rivals: &[Cause::UnknownClose],
            ..proven(if up { Cause::HostClosedActive } else { Cause::ServerDenied0x7 })
        },
    }
}

fn licence(code: ErrorInfo) -> Reason {
    let action = match code.0 {
        0x101 => {
            "Let the host find its licence server: GPO Remote Desktop Services > Licensing > \"Use the specified Remote Desktop license servers\"; from the host, TCP 135 and its dynamic ports must answer."
        }
        0x102 => {
            "Install client access licences of the mode that the host is set to (per user or per device), or wait until one is free."
        }
        0x10a => {
            "License the host for remote connections: the grace time of its Remote Desktop Session Host role is over."
        }
        0x104 | 0x105 => {
            r"Delete the licence stored on this client, key `HKLM\SOFTWARE\Microsoft\MSLicensing`, and start mstsc once as administrator."
        }
        _ => return proven(Cause::LicenseFailure),
    };
    advised(Cause::LicenseFailure, action)
}

fn proven(cause: Cause) -> Reason {
    let side = cause.entry().side;
    Reason { cause, confidence: Confidence::Proven, side, end: None, action: None, rivals: &[] }
}

fn advised(cause: Cause, action: &'static str) -> Reason {
    Reason { action: Some(action), ..proven(cause) }
}

fn ended(end: End, side: Side) -> Reason {
    Reason { side, end: Some(end), ..proven(Cause::Ok) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_limit_ends_a_session_that_was_up_and_denies_one_that_was_not() {
        assert_eq!(reason(ErrorInfo(3), Phase::Active).end, Some(End::IdleOrTimeLimit));
        let denied = reason(ErrorInfo(3), Phase::Licensing);
        assert_eq!((denied.cause, denied.confidence, denied.end), (Cause::ServerDenied0x7, Confidence::Likely, None));
    }

    #[test]
    fn each_family_has_its_cause() {
        let early = |code| reason(ErrorInfo(code), Phase::Activation).cause;
        assert_eq!((early(7), early(9)), (Cause::ServerDenied0x7, Cause::EarlyUserAuthDenied));
        assert_eq!((early(0x101), early(0x10e7)), (Cause::LicenseFailure, Cause::ActivationFailed));
        assert_eq!((early(0x17), early(0x1a)), (Cause::WinlogonOrProfileFailure, Cause::ServerResetInSession));
        assert_eq!((early(8), early(0x408)), (Cause::FipsMismatch, Cause::ServerDenied0x7));
        assert_eq!(reason(ErrorInfo(0x10e7), Phase::Active).cause, Cause::HostClosedActive);
    }

    #[test]
    fn no_code_panics_and_an_unknown_one_is_not_proven() {
        for code in (0..0x2000).chain([u32::MAX]) {
            for phase in [Phase::Mcs, Phase::Active] {
                let reason = reason(ErrorInfo(code), phase);
                assert!(ErrorInfo(code).meaning().is_some() || code >= 0x100 || reason.confidence < Confidence::Proven);
            }
        }
    }
}
