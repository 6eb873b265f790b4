//! What the messages themselves say, where they can be read: behind a bridge, and under standard RDP security where it
//! encrypts nothing. A code names its cause; without one the phase does, as everywhere else.

use super::super::{Cause, Confidence, End, Side};
use super::active;
use super::case::Case;
use super::error_info;
use super::finding::Finding;
use super::nt_status;
use crate::session::{McsStep, Peer, Phase};
use crate::wire::{EarlyUserAuth, ErrorInfo, RedirectionFlags};

/// The oldest CredSSP version that binds the key by its hash. CVE-2018-0886, [MS-CSSP] 2.2.1
const REMEDIED: u32 = 5;

/// Set Error Info, and nothing but the goodbye after it. [MS-RDPBCGR] 2.2.5.1
pub(super) fn ended_with_reason(case: &Case<'_>) -> Option<Finding> {
    let (code, at) = case.told()?.error_info?;
    if code == ErrorInfo::NONE || !case.among_last(Peer::Host, at) {
        return None;
    }
    let reason = error_info::reason(code, case.phase());
    let meaning = code.meaning().map(|meaning| format!(": {meaning}")).unwrap_or_default();
    let finding = match reason.end {
        Some(end) => active::ok(case, reason.confidence).end(end),
        None => Finding::new(reason.cause, reason.confidence),
    };
    let message = match reason.end {
        Some(_) => format!("Session of {} ended by the host with {code}{meaning}", case.age()),
        None => format!("Host ended it in phase {} with {code}{meaning}", case.phase()),
    };
    let finding = reason.action.iter().fold(finding, |finding, action| finding.first_do(*action));
    Some(
        finding
            .side(reason.side)
            .because(format!("The host sent Set Error Info {code}{meaning}."))
            .because_some(goodbye(case, Peer::Host))
            .rivals(reason.rivals)
            .message(message),
    )
}

/// The client said goodbye in words, and the host had given no reason.
pub(super) fn closed_by_user(case: &Case<'_>) -> Option<Finding> {
    let (_, at) = case.told()?.disconnect.client?;
    let by_host = case.told()?.disconnect.host.is_some_and(|(_, host)| host <= at);
    if !case.was_active() || by_host || !case.among_last(Peer::Client, at) {
        return None;
    }
    Some(
        active::ok(case, Confidence::Proven)
            .end(End::UserClosed)
            .side(Side::Client)
            .because_some(goodbye(case, Peer::Client))
            .message(format!("Session of {} ended by the client", case.age())),
    )
}

/// Server Redirection: the client goes on somewhere else, or comes back with a token. [MS-RDPBCGR] 2.2.13
pub(super) fn redirected(case: &Case<'_>) -> Option<Finding> {
    let (flags, at) = case.told()?.redirection?;
    if flags.contains(RedirectionFlags::NO_REDIRECT) || !case.among_last(Peer::Host, at) {
        return None;
    }
    let by_token = flags.contains(RedirectionFlags::LOAD_BALANCE_INFO);
    let message = match (by_token, flags.has_address()) {
        (true, false) => "Host sent the client on with a routing token: it comes back to the address it has used",
        (true, true) => "Host sent the client to another machine, with its address and a routing token",
        (false, _) => "Host sent the client to another machine by address: it may not come back through this proxy",
    };
    Some(
        Finding::likely(Cause::RedirectBypassesProxy)
            .because(format!("The host sent Server Redirection with flags {flags}."))
            .rivals(&[Cause::ClientPromptProbe])
            .message(message),
    )
}

/// A TSRequest with an `errorCode`. [MS-CSSP] 2.2.1
pub(super) fn logon_refused(case: &Case<'_>) -> Option<Finding> {
    let told = case.told()?;
    let (status, at) = told.nt_status?;
    if !case.seen(Some(at)) || case.seen(case.timeline.progress.connect_initial) {
        return None;
    }
    let reason = nt_status::reason(status);
    let by = told.mechanism.map(|mechanism| format!(" The logon went by {}.", mechanism.name())).unwrap_or_default();
    let finding = reason.action.iter().fold(Finding::new(reason.cause, reason.confidence), |f, a| f.first_do(*a));
    Some(
        finding
            .in_phase(Phase::Credssp)
            .because(format!("The host refused the logon with errorCode {status} in its TSRequest.{by}"))
            .because_some(versions(case))
            .rivals(reason.rivals)
            .message(format!("Host refused the logon during NLA with {status}: {}", reason.meaning)),
    )
}

/// Early User Authorization Result. [MS-RDPBCGR] 2.2.10.2
pub(super) fn logon_right_missing(case: &Case<'_>) -> Option<Finding> {
    let (result, at) = case.told()?.early_user_auth?;
    if result == EarlyUserAuth::SUCCESS || !case.seen(Some(at)) {
        return None;
    }
    let base = if result == EarlyUserAuth::ACCESS_DENIED { Finding::proven } else { Finding::likely };
    Some(
        base(Cause::EarlyUserAuthDenied)
            .in_phase(Phase::Credssp)
            .because(format!("CredSSP was complete; the host's authorization result is {result}."))
            .message(format!("Host accepted the password and denied the logon with {result}")),
    )
}

/// CredSSP versions that one side's update of 2018 does not accept.
pub(super) fn credssp_outdated(case: &Case<'_>) -> Option<Finding> {
    let told = case.told()?;
    let (client, host) = (told.credssp_version.client?, told.credssp_version.host?);
    let progress = &case.timeline.progress;
    let broke_off = !case.seen(progress.connect_initial) && told.credentials_delegated.is_none();
    let refused_host = client >= REMEDIED && host < REMEDIED && case.client_left();
    let refused_client = client < REMEDIED && host >= REMEDIED && !case.client_left();
    if !broke_off || progress.credssp_error.is_some() || !(refused_host || refused_client) {
        return None;
    }
    let message = if refused_host {
        "Client broke off NLA: the host's CredSSP is older than the update of 2018"
    } else {
        "Host broke off NLA: the client's CredSSP is older than the update of 2018"
    };
    Some(
        Finding::likely(Cause::CredsspOracleRemediation)
            .in_phase(Phase::Credssp)
            .because_some(versions(case))
            .rivals(&[Cause::NlaAuthRefused])
            .message(message),
    )
}

/// A licensing error other than "valid client". [MS-RDPBCGR] 2.2.1.12.1.3
pub(super) fn licence_refused(case: &Case<'_>) -> Option<Finding> {
    let told = case.told()?;
    let progress = &case.timeline.progress;
    if case.seen(progress.demand_active) || case.seen(progress.active) {
        return None;
    }
    let of = |peer: Peer| {
        let (licence, at) = told.licence[peer]?;
        Some((peer, licence, licence.refuses().filter(|_| case.seen(Some(at)))?))
    };
    let (by, licence, error) = of(Peer::Host).or_else(|| of(Peer::Client))?;
    let (who, side) = match by {
        Peer::Host => ("Host", Side::Host),
        Peer::Client => ("Client", Side::Client),
    };
    let transition = licence.transition().map(|name| format!(" and state transition {name}")).unwrap_or_default();
    Some(
        Finding::proven(Cause::LicenseFailure)
            .side(side)
            .in_phase(Phase::Licensing)
            .because(format!("The {} sent licensing error {error}{transition}.", by.name()))
            .message(format!("{who} ended licensing with {error}")),
    )
}

/// A refused MCS request. ITU-T T.125 7
pub(super) fn mcs_refused(case: &Case<'_>) -> Option<Finding> {
    let (step, result, at) = case.told()?.mcs_refused?;
    if !case.seen(Some(at)) || case.seen(case.timeline.progress.client_info) {
        return None;
    }
    let (what, confidence) = match step {
        McsStep::Connect => ("Connect Initial", Confidence::Proven),
        McsStep::AttachUser => ("Attach User Request", Confidence::Proven),
        // A client may do without one channel.
        McsStep::ChannelJoin => ("a Channel Join Request", Confidence::Likely),
    };
    Some(
        Finding::new(Cause::ServerClosedInMcs, confidence)
            .side(Side::Host)
            .in_phase(Phase::Mcs)
            .because(format!("The host answered {what} with {result}."))
            .rivals(&[Cause::UnknownClose])
            .message(format!("Host refused {what} of MCS with {result}")),
    )
}

/// The two ends do not mean the same negotiation. [MS-RDPBCGR] 2.2.1.3.2, 2.2.1.4.2
pub(super) fn core_mismatch(case: &Case<'_>) -> Option<Finding> {
    let told = case.told()?;
    let progress = &case.timeline.progress;
    let finding = |confidence| Finding::new(Cause::McsCoreMismatch, confidence).in_phase(Phase::Mcs);
    let client = told.client.as_ref()?;
    if case.seen(progress.connect_initial) && !case.seen(progress.connect_response) && !case.client_left() {
        let (said, chosen) = (client.selected_protocol?, case.selected()?);
        return (said != chosen).then(|| {
            finding(Confidence::Proven)
                .because(format!("The client's core data says the host selected {said}; it had selected {chosen}."))
                .message(format!("{} on the client's core data, which names another protocol", case.closed()))
        });
    }
    let asked = case.timeline.request.as_ref()?.protocols?;
    let echoed = told.server.as_ref()?.requested_protocols?;
    let left_on_it = case.client_left() && !case.seen(progress.attach_user);
    (left_on_it && echoed != asked).then(|| {
        finding(Confidence::Likely)
            .because(format!("The host's core data says that the client asked for {echoed}; it had asked for {asked}."))
            .rivals(&[Cause::UnknownClose])
            .message(format!("{} on the host's core data, which repeats another request than its own", case.closed()))
    })
}

/// The ultimatum of a peer, as evidence. Its reason is printed and not believed.
fn goodbye(case: &Case<'_>, peer: Peer) -> Option<String> {
    let (reason, at) = case.told()?.disconnect[peer]?;
    let said = format!("The {} said goodbye: Disconnect Provider Ultimatum, reason {reason}.", peer.name());
    case.seen(Some(at)).then_some(said)
}

fn versions(case: &Case<'_>) -> Option<String> {
    let versions = case.told()?.credssp_version;
    Some(format!("CredSSP versions: client {}, host {}.", versions.client?, versions.host?))
}
