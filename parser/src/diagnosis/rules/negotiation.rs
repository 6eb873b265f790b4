//! From the Connection Request to the ClientHello.

use super::super::{Cause, Confidence, Side};
use super::case::Case;
use super::finding::Finding;
use super::hello::describe;
use super::opening::lower;
use super::session::HOST_SILENCE;
use super::words::{XRDP_CANNOT_START_TLS, bytes, foreign, span, web_server};
use crate::session::{Answer, Awaiting, Closer, Opening, Peer, Phase, ProxyAct, Upstream};
use crate::wire::{FailureCode, Protocols, RequestFlags, ResponseFlags};
use core::time::Duration;

/// Clients wait at least this long for an answer; who leaves later has not been answered, who leaves sooner was impatient.
pub(super) const CLIENT_PATIENCE: Duration = Duration::from_secs(10);

/// The protocol bits that every host of the last fifteen years knows or ignores.
const COMMON_BITS: u32 = Protocols::SSL.0 | Protocols::HYBRID.0 | Protocols::HYBRID_EX.0;

/// RDP_NEG_FAILURE: the host says why. [MS-RDPBCGR] 2.2.1.2.2
pub(super) fn refused(case: &Case<'_>) -> Option<Finding> {
    let Some(&Answer::Failure(code)) = case.answer() else { return None };
    let cause = Cause::from(code);
    let (side, meaning) = match cause {
        Cause::NegSslRequired => (Side::Client, "it requires TLS"),
        Cause::NegSslNotAllowed => (Side::Host, "it is set to classic RDP security and refuses TLS"),
        Cause::NegSslCertMissing => (Side::Host, "it has no certificate it can use for TLS"),
        Cause::NegInconsistent => (Side::Both, "it finds the client's flags contradictory"),
        Cause::NlaRequired => (Side::Client, "it requires NLA"),
        Cause::NegUserCertRequired => (Side::Both, "it requires a client certificate"),
        _ => (Side::Both, "the code is not a published one"),
    };
    let base = if cause == Cause::NegFailureOther {
        Finding::possible(cause).rivals(&[Cause::UnknownClose])
    } else {
        Finding::proven(cause)
    };
    // It asks for what the client had offered: that is not the client's to mend.
    let base = match offered(case, code) {
        OFFERED => base.side(Side::Host).instead_do(&AT_THE_HOST),
        UNSEEN => base.weakened(Confidence::Likely).side(Side::Both),
        _ => base.side(side),
    };
    Some(
        base.in_phase(Phase::X224)
            .because(format!("The host answered the Connection Request with RDP_NEG_FAILURE {code}."))
            .because_some(asked(case))
            .message(format!("Host refused the negotiation with {code}: {meaning}{}", offered(case, code))),
    )
}

/// What to do about a host that refuses what it asks for.
const AT_THE_HOST: [&str; 4] = [
    "Read the host's System and TerminalServices-RemoteConnectionManager > Operational logs at this second: they say why it did not take what was offered.",
    r#"On the host, see that its settings do not contradict each other: GPO Remote Desktop Services > Security > "Require use of specific security layer" = SSL (or Negotiate), never RDP, where NLA is required; without a GPO `HKLM\SYSTEM\CurrentControlSet\Control\Terminal Server\WinStations\RDP-Tcp` SecurityLayer 2 with UserAuthentication 1. xrdp: `security_layer=negotiate`."#,
    r"See that the host's CredSSP was not taken away by hardening: `HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders` SecurityProviders holds credssp.dll; reboot after a change.",
    "If a balancer or port guard stands in front of the host, connect past it: it may answer in the host's place, or change the request.",
];

/// What [`offered`] says of a host that contradicts itself.
const OFFERED: &str = ", although the client offered it";

/// What it says where a capture lacks the request: then it is not known who has to change something.
const UNSEEN: &str = "; whether the client offered it is not in the capture";

/// Whether the client had offered what the host requires.
fn offered(case: &Case<'_>, code: FailureCode) -> &'static str {
    let wanted = match code {
        FailureCode(1) => Protocols::SSL,
        FailureCode(5) => Protocols::HYBRID,
        _ => return "",
    };
    match case.timeline.request.as_ref().map(|request| request.protocols) {
        Some(Some(asked)) if asked.contains(wanted) => OFFERED,
        Some(_) => ", which the client did not offer",
        None if case.lacks(Peer::Client) || case.lacks_the_beginning() => UNSEEN,
        None => "",
    }
}

/// The answer is neither X.224 nor anything else we know.
pub(super) fn answer_not_rdp(case: &Case<'_>) -> Option<Finding> {
    let Some(Answer::NotRdp(sample)) = case.answer() else { return None };
    if case.timeline.opening != Opening::X224 || case.server_hello().is_some() {
        return None;
    }
    let first = foreign(sample);
    Some(
        Finding::proven(Cause::NotRdp)
            .side(Side::Host)
            .in_phase(Phase::X224)
            .because(format!("The host answered the Connection Request with {first}."))
            .because_some(web_server(sample))
            .first_do("Check the upstream's address and port: what answers there is not an RDP server.")
            .message(format!("Host does not speak RDP: it answered with {first}")),
    )
}

/// A TLS alert in place of the Connection Confirm: a gateway's or web server's first word to what is no ClientHello.
pub(super) fn answered_by_alert(case: &Case<'_>) -> Option<Finding> {
    let alert = case.alert_from(Peer::Host)?;
    let timeline = case.timeline;
    if timeline.opening != Opening::X224
        || case.answer().is_some()
        || timeline.gave_up.is_some()
        || case.server_hello().is_some()
    {
        return None;
    }
    timeline.request.as_ref()?;
    let alert = describe(alert);
    Some(
        Finding::likely(Cause::NotRdp)
            .side(Side::Host)
            .in_phase(Phase::X224)
            .because(format!("The host answered the Connection Request with TLS alert {alert}."))
            .rivals(&[Cause::TlsInspectionMiddlebox, Cause::ClosedBeforeCc])
            .first_do(
                "Check the upstream's address and port: what answers there expects TLS from the first byte, as an RD Gateway or a web server does.",
            )
            .message(format!("Host does not speak RDP: it answered the Connection Request with TLS alert {alert}")),
    )
}

/// A clear disconnect in place of the Connection Confirm.
pub(super) fn disconnected_instead_of_answer(case: &Case<'_>) -> Option<Finding> {
    let how = match case.answer()? {
        Answer::Ultimatum(reason) => format!("a clear MCS disconnect (reason {reason})"),
        Answer::Refused(tpdu) => format!("an X.224 disconnect or error (TPDU 0x{tpdu:02x})"),
        _ => return None,
    };
    if case.timeline.opening == Opening::TlsFirst {
        return Some(wants_negotiation(case).because(format!("The host answered the ClientHello with {how}.")));
    }
    let finding = match new_bits(case) {
        Some(bits) => Finding::likely(Cause::NegUnknownProtocolBits)
            .because(format!("The request asks for {bits}, which older hosts do not know."))
            .message(format!("Host hung up on a request for {bits} instead of ignoring what it does not know")),
        None => Finding::likely(Cause::ClosedBeforeCc)
            .side(Side::Host)
            .message(format!("Host answered the Connection Request with {how} and no reason")),
    };
    Some(
        finding
            .in_phase(Phase::X224)
            .because(format!("The host answered the Connection Request with {how}."))
            .because_some(asked(case)),
    )
}

/// Our time-out, or a client that waited long, with nothing from the host.
pub(super) fn unanswered(case: &Case<'_>) -> Option<Finding> {
    let waited = waiting_for_answer(case)?;
    let ours = case.our_act() == Some(ProxyAct::TimedOut(Awaiting::ConnectionConfirm));
    let host_leg_died = case.closed_first(Closer::Host) && case.by_timeout();
    let left = case.closed_first(Closer::Client);
    let patient = left && waited >= CLIENT_PATIENCE;
    // Whether the host would have answered yet is not known, but whose silence it was is.
    let connected = !matches!(case.timeline.upstream, Upstream::Resolving | Upstream::Connecting(_));
    let silent = left && !patient && waited >= HOST_SILENCE && connected;
    if !(ours || host_leg_died || patient || silent) {
        return None;
    }
    let base = if silent { Finding::possible } else { Finding::likely };
    Some(
        base(Cause::HalfOpenAfterAccept)
            .rivals_if(silent, &[Cause::ClientClosedBeforeCc])
            .in_phase(Phase::X224)
            .because(format!("The Connection Request was unanswered for {}; {}.", span(waited), came_back(case)))
            .rivals_if(part_came(case), &[Cause::NotRdp])
            .because_some(case.host_leg_sentence())
            .message(format!("Host accepted the connection and did not answer for {}", span(waited))),
    )
}

/// FIN or RST by the host, and not one byte.
pub(super) fn host_closed_unanswered(case: &Case<'_>) -> Option<Finding> {
    let waited = waiting_for_answer(case)?;
    if !case.closed_first(Closer::Host) {
        return None;
    }
    let bits = new_bits(case);
    Some(
        Finding::likely(Cause::ClosedBeforeCc)
            .side(Side::Host)
            .in_phase(Phase::X224)
            .because(format!("The host closed {} after the Connection Request; {}.", span(waited), came_back(case)))
            .rivals_if(part_came(case), &[Cause::NotRdp])
            .because_some(asked(case))
            .rivals_if(case.by_reset(), &[Cause::RstByMiddlebox])
            .rivals_if(bits.is_some(), &[Cause::NegUnknownProtocolBits])
            .message(format!("{} without answering the Connection Request", case.closed())),
    )
}

/// The client did not wait.
pub(super) fn client_left_unanswered(case: &Case<'_>) -> Option<Finding> {
    let waited = waiting_for_answer(case)?;
    if !case.closed_first(Closer::Client) {
        return None;
    }
    // Live, the host may not even be connected: then it was not its turn, and what is in the way is not known.
    let in_the_way: &[Cause] = match case.timeline.upstream {
        Upstream::Resolving => &[Cause::DnsFailure],
        Upstream::Connecting(_) => &[Cause::TcpTimeoutSynDrop, Cause::BacklogSaturated],
        _ => &[],
    };
    let connected = in_the_way.is_empty();
    let before = if connected { "before the host answered" } else { "before the host was connected" };
    let finding = if connected {
        Finding::likely(Cause::ClientClosedBeforeCc).in_phase(Phase::X224)
    } else {
        Finding::possible(Cause::ClientClosedBeforeCc).side(Side::Network).rivals(in_the_way)
    };
    Some(
        finding
            .because_some((!connected).then(|| "The connection to the host was not up yet.".to_owned()))
            .because(format!("The client left {} after its Connection Request; {}.", span(waited), came_back(case)))
            .rivals_if(waited > Duration::from_secs(3), &[Cause::HalfOpenAfterAccept])
            .message(format!("{} {} after its request, {before}", case.closed(), span(waited))),
    )
}

/// The selected protocol was not in the request, and the client left. [MS-RDPBCGR] 3.2.5.3.2
pub(super) fn chose_what_was_not_asked(case: &Case<'_>) -> Option<Finding> {
    let chosen = left_before_hello(case)?;
    let asked = case.timeline.request.as_ref()?.protocols?;
    if !case.closed_first(Closer::Client) || chosen.0 == 0 && asked.0 == 0 || chosen.0 != 0 && asked.contains(chosen) {
        return None;
    }
    // Every request allows standard RDP security on the wire, but a client that named protocols will not use it.
    Some(
        Finding::proven(Cause::ServerSelectedWeaker)
            .because_some(case.choice_sentence())
            .because("The client left without a ClientHello.")
            .message(format!("Host chose {chosen}, which the client had not asked for ({asked}); the client left")),
    )
}

/// Restricted Admin or Remote Credential Guard was asked for and is not offered.
pub(super) fn restricted_admin_not_offered(case: &Case<'_>) -> Option<Finding> {
    let request = case.timeline.request.as_ref()?;
    let Some(&Answer::Selected { flags, .. }) = case.answer() else { return None };
    let admin = request.flags.contains(RequestFlags::RESTRICTED_ADMIN);
    let guard = request.flags.contains(RequestFlags::REDIRECTED_AUTHENTICATION);
    let offered = admin && flags.contains(ResponseFlags::RESTRICTED_ADMIN)
        || guard && flags.contains(ResponseFlags::REDIRECTED_AUTHENTICATION);
    let handshake_failed = case.hello().is_some() && !case.established();
    let ours = case.closed_first(Closer::Proxy) || case.by_timeout();
    if !(admin || guard) || offered || handshake_failed || ours || case.seen(case.timeline.progress.connect_initial) {
        return None;
    }
    let mode = if admin { "Restricted Admin" } else { "Remote Credential Guard" };
    // Who wants it leaves before credentials are in play. After that, or when the host left, other things explain it too.
    let at_once = case.client_left() && !case.seen(case.timeline.progress.credssp_authenticate);
    let base = if at_once { Finding::likely } else { Finding::possible };
    Some(
        base(Cause::RestrictedAdminDenied)
            .rivals_if(!at_once, &[Cause::NlaAuthRefused, Cause::ClosedAfterTlsUnknown, Cause::HostClosedAfterCc])
            .because(format!(
                "The request demands {mode} (flags 0x{:02x}); the Connection Confirm does not offer it (flags 0x{:02x}).",
                request.flags.0, flags.0
            ))
            .message(format!("Client demanded {mode} mode, which the host does not offer; {}", lower(&case.closed()))),
    )
}

/// Our time-out for the ClientHello.
pub(super) fn hello_never_came(case: &Case<'_>) -> Option<Finding> {
    let chosen = left_before_hello(case)?;
    if case.our_act() != Some(ProxyAct::TimedOut(Awaiting::ClientHello)) {
        return None;
    }
    let waited = case.timeline.phases.entered(Phase::TlsHello).map(|at| case.after(at));
    let waited = waited.unwrap_or_else(|| span(case.silence()));
    let begun = hello_begun(case);
    // A hello of more than one segment that is lost on its way here looks like one that was never sent.
    Some(
        Finding::possible(Cause::ClientHelloTimeout)
            .because(format!("The host chose {chosen}; no complete ClientHello came for {waited}."))
            .rivals_if(begun.is_some(), &[Cause::LargeClienthelloLost, Cause::MtuBlackhole])
            .because_some(begun)
            .rivals(&[Cause::ClientPromptProbe, Cause::LargeClienthelloLost, Cause::MtuBlackhole])
            .rivals(&[Cause::ClientSideNetworkLoss])
            .message(format!("Client did not start TLS for {waited} after the host's answer")),
    )
}

/// The client took the Connection Confirm and left.
pub(super) fn client_left_after_confirm(case: &Case<'_>) -> Option<Finding> {
    let chosen = left_before_hello(case)?;
    if !case.closed_first(Closer::Client) || case.seen(case.timeline.progress.connect_initial) {
        return None;
    }
    let wanted_nla =
        case.timeline.request.as_ref().and_then(|r| r.protocols).is_some_and(|p| p.contains(Protocols::HYBRID));
    let plain_tls = wanted_nla && chosen == Protocols::SSL;
    let why = if plain_tls { ": it may insist on NLA" } else { "" };
    let begun = hello_begun(case);
    let how = if begun.is_some() { "in the middle of its ClientHello" } else { "without starting TLS" };
    Some(
        Finding::likely(Cause::ClientClosedAfterCc)
            .because_some(case.choice_sentence())
            .because(begun.unwrap_or_else(|| "The client left without a ClientHello.".to_owned()))
            .rivals_if(plain_tls, &[Cause::ServerSelectedWeaker])
            .rivals(&[Cause::ClientPromptProbe])
            .message(format!("{} after the host chose {chosen}, {how}{why}", case.closed())),
    )
}

/// The host closed before a ClientHello reached it.
pub(super) fn host_closed_after_confirm(case: &Case<'_>) -> Option<Finding> {
    let chosen = left_before_hello(case)?;
    if !case.closed_first(Closer::Host) {
        return None;
    }
    if case.seen(case.timeline.tls.clear_ultimatum) {
        // The hello was on its way: this is hello::clear_disconnect, seen from one packet earlier.
        return Some(
            Finding::possible(Cause::HostClosedAfterCc)
                .because_some(case.choice_sentence())
                .because("Instead of waiting for the ClientHello the host sent a clear nine-byte disconnect and closed.")
                .rivals(&[Cause::CertPrivateKeyUnusable, Cause::TlsServerRefusedHelloSilently])
                .first_do(XRDP_CANNOT_START_TLS)
                .message(format!("Host disconnected in clear right after it had chosen {chosen}, as xrdp does when it cannot start TLS")),
        );
    }
    let begun = hello_begun(case);
    let partial = begun.is_some();
    Some(
        Finding::possible(Cause::HostClosedAfterCc)
            .because_some(case.choice_sentence())
            .because("Not one TLS byte came from the host, and no whole ClientHello had come from the client.")
            .because_some(begun)
            .rivals_if(partial, &[Cause::LargeClienthelloLost])
            .rivals(&[Cause::TlsServerRefusedHelloSilently, Cause::CertPrivateKeyUnusable, Cause::UnknownClose])
            .rivals_if(case.by_reset(), &[Cause::RstByMiddlebox])
            .message(format!("{} right after it had chosen {chosen}, before TLS began", case.closed())),
    )
}

/// TLS came first and the host wants X.224.
pub(super) fn wants_negotiation(case: &Case<'_>) -> Finding {
    Finding::proven(Cause::TlsHelloWithoutNegotiation)
        .side(Side::Client)
        .in_phase(Phase::X224)
        .because("The client's first bytes are a TLS handshake record.")
        .message(format!(
            "Client started TLS at once, but this host wants the RDP negotiation first; {}",
            lower(&case.closed())
        ))
}

/// `0 bytes from the host`; what is no whole answer counts as none.
fn came_back(case: &Case<'_>) -> String {
    format!("{} from the host", bytes(case.timeline.traffic.host.bytes))
}

/// Part of an answer came: it may not have been one.
fn part_came(case: &Case<'_>) -> bool {
    case.timeline.traffic.host.bytes > 0
}

/// How long the Connection Request had been waiting when it ended; `None` when it was answered or never made.
fn waiting_for_answer(case: &Case<'_>) -> Option<Duration> {
    let timeline = case.timeline;
    if timeline.request.is_none() || case.answer().is_some() {
        return None;
    }
    let asked_at = timeline.traffic.client.last.unwrap_or(timeline.opened);
    Some(case.end().since(asked_at))
}

/// The chosen protocol, when it ended before a ClientHello or any other message that follows.
fn left_before_hello(case: &Case<'_>) -> Option<Protocols> {
    let chosen = case.selected()?;
    let went_on = case.hello().is_some()
        || case.server_hello().is_some()
        || case.established()
        || case.seen(case.timeline.progress.connect_initial)
        || case.timeline.alerts.iter().any(|a| !a.after_close && a.at <= case.end());
    (!went_on).then_some(chosen)
}

/// The client had sent the beginning of a record, as evidence.
fn hello_begun(case: &Case<'_>) -> Option<String> {
    let begun = case.timeline.tls.partial_record.client;
    begun.then(|| "A record of the client was begun and not completed.".to_owned())
}

/// Protocol bits in the request that older hosts do not know.
fn new_bits(case: &Case<'_>) -> Option<Protocols> {
    let asked = case.timeline.request.as_ref()?.protocols?;
    (asked.0 & !COMMON_BITS != 0).then_some(Protocols(asked.0 & !COMMON_BITS))
}

/// What the client asked for, as evidence.
fn asked(case: &Case<'_>) -> Option<String> {
    let request = case.timeline.request.as_ref()?;
    Some(match request.protocols {
        Some(protocols) => format!("The client asked for {protocols}."),
        None => "The client asked without RDP_NEG_REQ, that is for classic RDP security.".to_owned(),
    })
}
