//! Network Level Authentication: told from record sizes and order only, so never more than likely.

use super::super::{Cause, Side};
use super::case::Case;
use super::finding::Finding;
use super::words::records;
use crate::session::{Closer, Peer, Phase};
use core::time::Duration;

/// A pause this long inside CredSSP speaks for a domain controller that is not found.
const KERBEROS_PAUSE: Duration = Duration::from_secs(4);

/// Hosts give a client that says nothing up after a minute or two: its user was still at a prompt.
pub(super) const HOST_PATIENCE: Duration = Duration::from_secs(20);

/// Four bytes after CredSSP and an end: Early User Authorization Result, access denied. [MS-RDPBCGR] 2.2.10.2
pub(super) fn logon_right_missing(case: &Case<'_>) -> Option<Finding> {
    let progress = &case.timeline.progress;
    if before_mcs(case).is_none() || !case.seen(progress.early_user_auth) {
        return None;
    }
    let base = if !case.client_left() {
        Finding::likely(Cause::EarlyUserAuthDenied)
    } else {
        // The client may have read "allowed" and left all the same.
        Finding::possible(Cause::EarlyUserAuthDenied).rivals(&[Cause::ClientPromptProbe, Cause::ClosedAfterTlsUnknown])
    };
    Some(
        base.because("CredSSP was complete; then the host sent one record of 4 bytes, the size of Early User Authorization Result.")
            .because("No MCS message followed.")
            .message("Host accepted the password and denied the logon: the user may lack the right to log on remotely"),
    )
}

/// The host's last word came right after the client had shown its credentials.
pub(super) fn refused(case: &Case<'_>) -> Option<Finding> {
    before_mcs(case)?;
    let progress = &case.timeline.progress;
    let told = case.seen(progress.credssp_error);
    let shown = case.seen(progress.credssp_authenticate);
    let accepted = case.seen(progress.credssp_accepted);
    let host_left = !case.client_left() && case.close.is_some_and(|close| close.by != Closer::Proxy);
    if !case.nla() || accepted || !(told || shown && host_left) {
        return None;
    }
    let last = progress.credssp_last.host.filter(|_| told).map(|size| format!(" of {size} bytes")).unwrap_or_default();
    let how = if told {
        let what = if shown { "credentials" } else { "first message" };
        format!("The host answered the client's {what} with a small record{last}, the size of an error code.")
    } else {
        "The host answered the client's credentials with an alert-sized record or a close.".to_owned()
    };
    // An error before any credentials, a reset without a word, or a long wait: other things explain these as well.
    let reset = !told && case.by_reset();
    let waited = !told && case.silence() >= KERBEROS_PAUSE;
    let base = if shown && !reset && !waited { Finding::likely } else { Finding::possible };
    Some(
        base(Cause::NlaAuthRefused)
            .side(Side::Both)
            .in_phase(Phase::Credssp)
            .because(how)
            .because(exchange(case))
            // A bridge has compared the keys of both legs before it answered the client.
            .rivals_if(!case.is_read(), &[Cause::NlaPubkeyMismatch])
            .rivals_if(!shown, &[Cause::CredsspOracleRemediation, Cause::KerberosUnreachable])
            .rivals_if(waited, &[Cause::KerberosUnreachable])
            .rivals_if(reset, &[Cause::RstByMiddlebox, Cause::ClosedAfterTlsUnknown])
            .message("Host refused the logon during NLA (password, account or policy); its Security log, event 4625, says which"),
    )
}

/// The host had accepted; then somebody left before MCS.
pub(super) fn ended_after_acceptance(case: &Case<'_>) -> Option<Finding> {
    before_mcs(case)?;
    let progress = &case.timeline.progress;
    if !case.nla() || !case.seen(progress.credssp_accepted) {
        return None;
    }
    // What the client said after the host's answer is its credentials; without them it disliked the answer.
    let last_client = case.last_records(Peer::Client).next().map(|shape| shape.at);
    let delegated = last_client > progress.credssp_accepted;
    let exact = progress.credssp_last.host.is_some();
    let finding = match (case.client_left(), delegated) {
        // Block ciphers hide whether the host's answer was its key confirmation or an error.
        (true, false) if !exact => Finding::possible(Cause::NlaAuthRefused)
            .side(Side::Both)
            .rivals(&[Cause::NlaPubkeyMismatch, Cause::CredsspDelegationPolicy, Cause::ClientPromptProbe])
            .because("The client left right after the host's answer to its credentials.")
            .message("Client left NLA after the host's answer to its credentials: the logon may have been refused"),
        (true, false) => Finding::possible(Cause::NlaPubkeyMismatch)
            .rivals(&[Cause::CredsspDelegationPolicy, Cause::ClientPromptProbe, Cause::ClosedAfterTlsUnknown])
            .because("The client left right after the host's public key answer, before it handed over credentials.")
            .message("Client left NLA after the host's key confirmation: it may not accept the host's key"),
        (true, true) => Finding::possible(Cause::ClosedAfterTlsUnknown)
            .side(Side::Client)
            .rivals(&[Cause::ClientPromptProbe])
            .because("NLA was complete on the client's side; no MCS message followed.")
            .message("Client left after NLA and before MCS"),
        (false, _) => Finding::possible(Cause::ClosedAfterTlsUnknown)
            .side(Side::Host)
            .rivals(&[Cause::EarlyUserAuthDenied, Cause::NlaPubkeyMismatch, Cause::ServerClosedInMcs])
            .because("The host had answered the client's credentials; no MCS message followed.")
            .message(format!("{} after NLA and before MCS; the user may lack the right to log on", case.closed())),
    };
    Some(finding.in_phase(Phase::Credssp).because(exchange(case)).because_some(goodbye(case)))
}

/// CredSSP began, or should have, and nobody had shown credentials.
pub(super) fn ended_early(case: &Case<'_>) -> Option<Finding> {
    before_mcs(case)?;
    if !case.nla() {
        return None;
    }
    let progress = &case.timeline.progress;
    let began = progress.credssp_records.client > 0;
    let paused = began && case.silence() >= KERBEROS_PAUSE;
    let finding = Finding::possible(Cause::ClosedAfterTlsUnknown);
    let finding = match (case.client_left(), began) {
        (true, false) => finding
            .side(Side::Client)
            .rivals(&[Cause::ClientPromptProbe, Cause::CertUntrustedCa, Cause::CertNameMismatch, Cause::CertExpired])
            .rivals(&[Cause::CredsspDelegationPolicy])
            .message("Client left after TLS, before NLA began: a prompt, or a refused certificate"),
        (true, true) => finding
            .side(Side::Client)
            .rivals(&[Cause::ClientPromptProbe])
            .rivals_if(paused, &[Cause::KerberosUnreachable])
            .rivals(&[Cause::CredsspOracleRemediation, Cause::CredsspDelegationPolicy])
            .message(if case.seen(progress.credssp_authenticate) {
                "Client left in the middle of NLA, before the host had answered its credentials"
            } else {
                "Client left in the middle of NLA, before it showed credentials"
            }),
        (false, _) => finding
            .side(Side::Host)
            .rivals_if(case.silence() >= HOST_PATIENCE, &[Cause::ClientPromptProbe])
            .rivals(&[Cause::CredsspOracleRemediation, Cause::NlaAuthRefused, Cause::TlsAlertInternalError])
            .rivals_if(case.by_reset(), &[Cause::RstByMiddlebox])
            .message(format!("{} after TLS, before the client showed credentials", case.closed())),
    };
    Some(finding.because(exchange(case)).because_some(goodbye(case)))
}

/// TLS was complete and MCS had not begun.
fn before_mcs(case: &Case<'_>) -> Option<()> {
    (case.established() && !case.is_gateway() && !case.seen(case.timeline.progress.connect_initial)).then_some(())
}

/// The client's close_notify, as evidence against the order of the FINs.
fn goodbye(case: &Case<'_>) -> Option<String> {
    let said = case.sealed_alert(Peer::Client) && case.client_left();
    said.then(|| "The client said goodbye first (an alert-sized record).".to_owned())
}

fn exchange(case: &Case<'_>) -> String {
    let counts = case.timeline.progress.credssp_records;
    let (client, host) = (u64::from(counts.client), u64::from(counts.host));
    format!("NLA: {} from the client, {} from the host.", records(client), records(host))
}
