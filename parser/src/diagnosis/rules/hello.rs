//! From the ClientHello, or what came in its place, to the ServerHello: the host has the word.

use super::super::{Cause, Confidence, Missing, Side};
use super::case::Case;
use super::finding::Finding;
use super::negotiation::{CLIENT_PATIENCE, wants_negotiation};
use super::session::HOST_SILENCE;
use super::words::{XRDP_CANNOT_START_TLS, bytes, foreign, list, span, version_name, web_server};
use crate::session::{Answer, Awaiting, ClearAlert, ClientHelloFacts, Closer, Opening, Peer, ProxyAct};
use crate::wire::{TPKT_VERSION, TlsVersion};

/// What one hello answered by `handshake_failure` can be, until a probe of the host decides.
const MISMATCHES: &[Cause] = &[
    Cause::TlsNoCommonCipher,
    Cause::TlsNoCommonVersion,
    Cause::TlsNoCommonGroupOrSigalg,
    Cause::TlsCertKeyTypeMismatch,
    Cause::CertPrivateKeyUnusable,
];

/// A TPKT with the shortest X.224 header. RFC 1006 6
const SMALLEST_TPKT: u16 = 7;

/// A full-size segment on Ethernet; used when TCP_INFO of the leg is not known.
const USUAL_MSS: u32 = 1_460;

/// An alert where the ClientHello is due. OpenSSL sends one when its settings leave it no version or no suite to offer.
pub(super) fn alert_instead_of_hello(case: &Case<'_>) -> Option<Finding> {
    let chosen = case.selected()?;
    let alert = case.alert()?;
    let timeline = case.timeline;
    if case.hello().is_some() || case.server_hello().is_some() || timeline.gave_up.is_some() {
        return None;
    }
    let said = format!("In place of a ClientHello the {} sent TLS alert {}.", alert.from.name(), describe(alert));
    let finding = match alert.from {
        Peer::Client if matches!(alert.description.0, 0 | 90) => Finding::likely(Cause::ClientClosedAfterCc)
            .rivals(&[Cause::ClientPromptProbe])
            .message(format!("Client said goodbye ({}) in place of a ClientHello", describe(alert))),
        Peer::Client => Finding::likely(Cause::ClientClosedAfterCc)
            .first_do("Look at the client's own TLS settings (versions, cipher suites, security level): they may leave it nothing to offer.")
            .message(format!(
                "Client sent TLS alert {} in place of a ClientHello: its own settings may leave it nothing to offer",
                describe(alert)
            )),
        Peer::Host => Finding::possible(Cause::HostClosedAfterCc)
            .rivals(&[Cause::TlsAlertInternalError, Cause::CertPrivateKeyUnusable, Cause::UnknownClose])
            .message(format!("Host chose {chosen} and sent TLS alert {} before any ClientHello", describe(alert))),
    };
    Some(finding.because_some(case.choice_sentence()).because(said))
}

/// The host's alert in place of a ServerHello.
pub(super) fn refused_by_alert(case: &Case<'_>) -> Option<Finding> {
    let hello = unanswered_hello(case)?;
    let alert = case.alert_from(Peer::Host)?;
    if clear_message(case).is_some() && case.timeline.opening == Opening::TlsFirst {
        // It had answered before, and in clear.
        return None;
    }
    let finding = match alert.description.0 {
        0 => Finding::possible(Cause::TlsServerRefusedHelloSilently)
            .rivals(&[Cause::CertPrivateKeyUnusable, Cause::TlsAlertOther]),
        // Version and suite were settled by the HelloRetryRequest; what is left to disagree on is the rest.
        40 | 47 if retried(case) => Finding::possible(Cause::TlsNoCommonGroupOrSigalg)
            .side(Side::Both)
            .because("The host had asked for another key share (HelloRetryRequest).")
            .rivals(MISMATCHES),
        40 => handshake_failure(hello),
        70 => no_common_version(hello, Finding::likely(Cause::TlsNoCommonVersion)),
        71 => Finding::likely(Cause::TlsNoCommonCipher)
            .side(Side::Both)
            .because("insufficient_security: the host wants stronger suites than those offered."),
        80 => Finding::likely(Cause::TlsAlertInternalError).rivals(&[Cause::CertPrivateKeyUnusable]),
        86 if hello.fallback_scsv() => Finding::likely(Cause::TlsNoCommonVersion)
            .because("The client retried with a lower version (TLS_FALLBACK_SCSV) than the host supports."),
        112 => unrecognized_name(hello),
        _ => Finding::possible(Cause::TlsAlertOther).rivals(&[
            Cause::CertPrivateKeyUnusable,
            Cause::TlsInspectionMiddlebox,
            Cause::TlsAlertInternalError,
            Cause::UnknownClose,
        ]),
    };
    let wait = span(alert.at.since(hello.at));
    Some(
        finding
            .because(format!("The host answered the ClientHello with alert {} after {wait}.", describe(alert)))
            .because_some(case.offer_sentence())
            .message(refusal(hello, alert)),
    )
}

/// The host, or what stands before it, chooses by the name in the hello, and has none such.
fn unrecognized_name(hello: &ClientHelloFacts) -> Finding {
    let asked = match hello.server_name.as_deref() {
        Some(name) => format!("The client asked for the name {name:?} (SNI)."),
        None => "The client asked for no name (SNI).".to_owned(),
    };
    let finding = Finding::possible(Cause::TlsAlertOther).rivals(&[Cause::TlsInspectionMiddlebox, Cause::UnknownClose]);
    finding.because(asked).first_do(
        "Let the client connect by the name that the host, or the load balancer before it, has a certificate for: an alias or an address of it is refused.",
    )
}

/// xrdp's nine clear bytes in place of a ServerHello: TLS could not start there.
pub(super) fn clear_disconnect(case: &Case<'_>) -> Option<Finding> {
    let hello = unanswered_hello(case)?;
    let at = case.timeline.tls.clear_ultimatum.filter(|at| *at <= case.end())?;
    if case.timeline.opening == Opening::TlsFirst {
        return Some(wants_negotiation(case).because("The host answered with a clear RDP disconnect."));
    }
    let wait = span(at.since(hello.at));
    Some(
        Finding::possible(Cause::TlsServerRefusedHelloSilently)
            .because(format!("The host answered the ClientHello with a clear nine-byte disconnect after {wait}; no ServerHello, no alert."))
            .because_some(case.offer_sentence())
            .rivals(&[Cause::CertPrivateKeyUnusable, Cause::TlsNoCommonCipher])
            .first_do(XRDP_CANNOT_START_TLS)
            .message("Host took the ClientHello and disconnected in clear: it cannot start TLS (key, certificate or suites)"),
    )
}

/// Bytes that are no TLS.
pub(super) fn answer_not_tls(case: &Case<'_>) -> Option<Finding> {
    unanswered_hello(case)?;
    let rivals = &[Cause::TlsInspectionMiddlebox, Cause::TlsServerRefusedHelloSilently, Cause::UnknownClose];
    let stranger = |sample: &[u8], what: String, message: String| {
        let finding = Finding::likely(Cause::NotRdp).side(Side::Host).because(what).because_some(web_server(sample));
        Some(finding.rivals(rivals).message(message))
    };
    if let Some(Answer::NotRdp(sample)) = case.answer() {
        let first = foreign(sample);
        return stranger(
            sample,
            format!("The host's first bytes are {first}, which is no TLS record."),
            format!("Host does not speak TLS: its first bytes are {first}"),
        );
    }
    let not_tls = case.timeline.tls.not_tls?;
    if let Some(length) = clear_message(case) {
        let what = format!("a clear RDP message of {}", bytes(length.into()));
        if case.timeline.opening == Opening::TlsFirst {
            let alert = case.alert_from(Peer::Host).map(|alert| format!(", then with TLS alert {}", describe(alert)));
            let alert = alert.unwrap_or_default();
            return Some(wants_negotiation(case).because(format!("The host answered with {what}{alert}.")));
        }
        return Some(
            Finding::possible(Cause::TlsServerRefusedHelloSilently)
                .because(format!("The host answered the ClientHello with {what}; no ServerHello, no alert."))
                .because_some(case.offer_sentence())
                .rivals(&[Cause::CertPrivateKeyUnusable, Cause::TlsNoCommonCipher, Cause::UnknownClose])
                .message("Host answered the ClientHello with a clear RDP message: it did not start TLS"),
        );
    }
    // What is kept has room for 16 bytes; fewer may have come.
    let shown = not_tls.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    let sample = &not_tls[..shown];
    let first = foreign(sample);
    stranger(
        sample,
        format!("The host answered the ClientHello with {first}, which is no TLS record."),
        format!("Host answered the ClientHello with bytes that are no TLS: {first}"),
    )
}

/// The length of the clear RDP message that stood where the host's TLS should begin.
fn clear_message(case: &Case<'_>) -> Option<u16> {
    let [version, reserved, high, low, ..] = case.timeline.tls.not_tls?;
    let length = u16::from_be_bytes([high, low]);
    ((version, reserved) == (TPKT_VERSION, 0) && length >= SMALLEST_TPKT).then_some(length)
}

/// Our time-out, a dead host leg, or a client that waited long.
pub(super) fn unanswered(case: &Case<'_>) -> Option<Finding> {
    let hello = unanswered_hello(case)?;
    let waited = case.end().since(hello.at);
    if retried(case) && case.our_act() == Some(ProxyAct::TimedOut(Awaiting::ClientHello)) {
        return Some(
            Finding::possible(Cause::ClientHelloTimeout)
                .because(
                    "The host asked for another key share (HelloRetryRequest); the client's second hello never came.",
                )
                .rivals(&[Cause::TlsNoCommonGroupOrSigalg, Cause::LargeClienthelloLost])
                .message("Client did not send the second ClientHello that the host asked for"),
        );
    }
    let ours = case.our_act() == Some(ProxyAct::TimedOut(Awaiting::ServerHello));
    let host_leg_died = case.closed_first(Closer::Host) && case.by_timeout();
    // After a HelloRetryRequest it is the client's turn.
    let patience = if retried(case) { CLIENT_PATIENCE } else { HOST_SILENCE };
    let patient = case.closed_first(Closer::Client) && waited >= patience;
    if !(ours || host_leg_died || patient) {
        return None;
    }
    let tcp = case.timeline.tcp.host;
    let mss = tcp.map_or(USUAL_MSS, |tcp| if tcp.mss == 0 { USUAL_MSS } else { tcp.mss });
    let large = hello.length > mss;
    let lost = tcp.is_some_and(|tcp| tcp.retransmits > 0 && tcp.unacked > 0);
    let rivals: &[Cause] = match (large, lost) {
        (true, _) => &[Cause::LargeClienthelloLost, Cause::MtuBlackhole, Cause::CertPrivateKeyUnusable],
        (false, true) => &[Cause::MtuBlackhole],
        (false, false) => &[Cause::CertPrivateKeyUnusable, Cause::MtuBlackhole],
    };
    let base = if large && lost {
        Finding::possible(Cause::LargeClienthelloLost).rivals(&[Cause::TlsHandshakeTimeout])
    } else {
        Finding::possible(Cause::TlsHandshakeTimeout).side(if lost { Side::Network } else { Side::Host })
    };
    let from_host = case.timeline.traffic.host.bytes;
    let part = case.timeline.tls.partial_record.host;
    let sentence = if large { "more than one segment" } else { "one segment" };
    Some(
        base.because(format!("The ClientHello was unanswered for {}.", span(waited)))
            .because(format!("It is {} long: {sentence} at an MSS of {mss} bytes.", bytes(hello.length.into())))
            .because_some(part.then(|| format!("What came from the host ({}) is no ServerHello.", bytes(from_host))))
            .rivals_if(part, &[Cause::NotRdp, Cause::TlsInspectionMiddlebox])
            .because_some(case.host_leg_sentence())
            .rivals(rivals)
            .rivals_if(patient && waited < CLIENT_PATIENCE, &[Cause::ClientLeftBeforeServerHello])
            .message(format!("Host did not answer the ClientHello for {}", span(waited))),
    )
}

/// FIN or RST by the host and no alert.
pub(super) fn host_closed(case: &Case<'_>) -> Option<Finding> {
    let hello = unanswered_hello(case)?;
    if !case.closed_first(Closer::Host) {
        return None;
    }
    let partial = case.timeline.tls.partial_record.host;
    let wait = case.after(hello.at);
    let offers_13 = hello.supported_versions.contains(&TlsVersion::TLS13);
    let from_host = case.timeline.traffic.host.bytes;
    if case.timeline.opening == Opening::TlsFirst && from_host == 0 && !is_gateway_port(case) {
        return Some(
            wants_negotiation(case)
                .because(format!("The host closed {wait} after the ClientHello; 0 bytes from the host."))
                .because_some(case.offer_sentence())
                .unless_proven_by_answer(),
        );
    }
    let warning = warning(case);
    let fatal = if warning.is_some() { "fatal " } else { "" };
    Some(
        Finding::possible(Cause::TlsServerRefusedHelloSilently)
            .because(format!("The host closed {wait} after the ClientHello; no ServerHello, no {fatal}alert."))
            .because_some(warning)
            .because_some(partial.then(|| format!("It had begun a record: {} in all came from it.", bytes(from_host))))
            .because_some(case.offer_sentence())
            .rivals(&[Cause::CertPrivateKeyUnusable])
            .rivals_if(partial, &[Cause::TlsHandshakeTimeout, Cause::UnknownClose])
            .rivals(&[Cause::TlsNoCommonCipher, Cause::TlsNoCommonVersion])
            .rivals_if(case.by_reset(), &[Cause::RstByMiddlebox])
            .rivals_if(case.by_reset() && offers_13, &[Cause::Tls13MiddleboxIntolerance])
            .message(format!(
                "Host closed the connection {wait} after the ClientHello ({}, no {fatal}TLS alert)",
                how(case)
            )),
    )
}

/// An alert of the host that ends nothing. RFC 6066 3: unrecognized_name
fn warning(case: &Case<'_>) -> Option<String> {
    let alert = case
        .timeline
        .alerts
        .iter()
        .find(|alert| alert.from == Peer::Host && !alert.after_close && case.seen(Some(alert.at)))?;
    Some(format!("The host had sent alert {}, a warning.", describe(*alert)))
}

/// The client did not wait for the ServerHello.
pub(super) fn client_left(case: &Case<'_>) -> Option<Finding> {
    let hello = unanswered_hello(case)?;
    if !case.closed_first(Closer::Client) {
        return None;
    }
    let wait = case.after(hello.at);
    if retried(case) {
        return Some(
            Finding::possible(Cause::TlsNoCommonGroupOrSigalg)
                .side(Side::Both)
                .because(format!(
                    "The host asked for another key share (HelloRetryRequest); the client left {wait} after its ClientHello."
                ))
                .because_some(case.alert_from(Peer::Client).map(|a| format!("The client sent alert {}.", describe(a))))
                .because_some(case.offer_sentence())
                .rivals(&[Cause::ClientLeftBeforeServerHello, Cause::TlsHandshakeTimeout])
                .message("Client left when the host asked for another key share: they may have no group in common"),
        );
    }
    let warning = warning(case);
    let so_far = if warning.is_some() { "no ServerHello had come" } else { "no TLS byte had come from the host" };
    Some(
        Finding::likely(Cause::ClientLeftBeforeServerHello)
            .because(format!("The client left {wait} after its ClientHello; {so_far}."))
            .because_some(warning)
            .because_some(case.offer_sentence())
            .rivals_if(case.end().since(hello.at).as_secs() >= 3, &[Cause::TlsHandshakeTimeout])
            .message(format!("Client left {wait} after its ClientHello, before the host answered ({})", how(case))),
    )
}

/// The alert in the words of a person.
fn refusal(hello: &ClientHelloFacts, alert: ClearAlert) -> String {
    let offer = list(hello.versions().into_iter().map(version_name), 4);
    let meaning = match alert.description.0 {
        40 => "Host found nothing it can use in the client's TLS offer (suites, version, curves or kind of key)"
            .to_owned(),
        70 => format!("Host speaks none of the TLS versions the client offers ({offer})"),
        71 => "Host wants stronger cipher suites than the client offers".to_owned(),
        80 => "Host failed inside its own TLS stack".to_owned(),
        _ => "Host refused the ClientHello".to_owned(),
    };
    format!("{meaning}: TLS alert {}", describe(alert))
}

/// Alert 40 names nothing; the oldest offers make a version mismatch the better guess.
fn handshake_failure(hello: &ClientHelloFacts) -> Finding {
    let newest = hello.versions().into_iter().max().unwrap_or_default();
    let first = if newest < TlsVersion::TLS12 { Cause::TlsNoCommonVersion } else { Cause::TlsNoCommonCipher };
    Finding::possible(first).side(Side::Both).rivals(MISMATCHES)
}

/// Alert 70: the host has none of the versions on offer.
fn no_common_version(hello: &ClientHelloFacts, finding: Finding) -> Finding {
    let offered = hello.versions();
    let names: Vec<String> = offered.iter().map(|version| version_name(*version)).collect();
    // That the host said no to all of these is on the wire; what it would accept is not, without a probe.
    finding.side(Side::Both).missing(Missing { client: Vec::new(), host: names }).smallest_change(
        offered.iter().max().map(|best| format!("Host: accept {}.", version_name(*best))).into_iter().collect(),
    )
}

/// The client's hello, while no ServerHello had come.
fn unanswered_hello<'a>(case: &Case<'a>) -> Option<&'a ClientHelloFacts> {
    if case.server_hello().is_some() || case.established() { None } else { case.hello() }
}

/// TLS records came from the host, and no ServerHello, alert or goodbye among them: a HelloRetryRequest. RFC 8446 4.1.4
fn retried(case: &Case<'_>) -> bool {
    case.timeline.hello_retry.is_some_and(|at| at <= case.end())
}

/// HTTPS: what listens there is a gateway, not an RDP host.
fn is_gateway_port(case: &Case<'_>) -> bool {
    case.host_address().is_some_and(|address| matches!(address.port(), 443 | 8443))
}

/// `handshake_failure (40)`.
pub(super) fn describe(alert: ClearAlert) -> String {
    alert.description.to_string()
}

fn how(case: &Case<'_>) -> &'static str {
    if case.by_reset() { "RST" } else { "FIN" }
}

impl Finding {
    /// A silent close is no answer: others close on a hello too.
    fn unless_proven_by_answer(self) -> Finding {
        self.weakened(Confidence::Possible).rivals(&[Cause::RdgTlsFailure, Cause::TlsServerRefusedHelloSilently])
    }
}
