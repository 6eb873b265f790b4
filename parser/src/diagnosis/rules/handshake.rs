//! From the ServerHello to both Finished: the client has the word.

use super::super::{Cause, Missing, Side};
use super::case::Case;
use super::certificate::{self, Objection};
use super::credssp::HOST_PATIENCE;
use super::finding::Finding;
use super::hello::describe;
use super::session::HOST_SILENCE;
use super::words::{list, sentence, span, version_name};
use crate::session::{ClearAlert, ClientHelloFacts, Closer, Peer, Phase, ServerHelloFacts};
use crate::wire::TlsVersion;

/// What an unseen certificate (TLS 1.3) can be refused for.
const REFUSALS: &[Cause] = &[Cause::CertUntrustedCa, Cause::CertExpired, Cause::CertNameMismatch, Cause::CertWeak];

/// A signature or a Finished that does not verify. RFC 8446 6.2
const DECRYPT_ERROR: u8 = 51;

/// A certificate alert by the client: 42 to 46, 48. RFC 8446 6.2
pub(super) fn client_refused_certificate(case: &Case<'_>) -> Option<Finding> {
    let alert = choice_refused(case)?.1;
    if !matches!(alert.description.0, 42..=46 | 48) {
        return None;
    }
    let objections = certificate::objections(case);
    let has = |cause: Cause| objections.iter().any(|o| o.cause == cause);
    let finding = match alert.description.0 {
        45 if has(Cause::CertExpired) => Finding::proven(Cause::CertExpired),
        45 if has(Cause::CertNotYetValid) => Finding::likely(Cause::CertNotYetValid),
        45 => Finding::likely(Cause::CertExpired).because_some(certificate::readable(case).map(|_| {
            "By our clock the host's own certificate is in date: a CA above it, or the client's clock, is meant."
                .to_owned()
        })),
        48 => Finding::likely(Cause::CertUntrustedCa),
        43 if has(Cause::CertWrongEku) => Finding::likely(Cause::CertWrongEku),
        _ => best_objection(&objections),
    };
    let rivals: Vec<Cause> = match objections.is_empty() {
        true if alert.description.0 == 48 || alert.description.0 == 45 => Vec::new(),
        true => REFUSALS.to_vec(),
        // Alerts 42, 43, 44 and 46 do not say which of its faults the client meant, nor that it was one we can see.
        false => objections.iter().map(|o| o.cause).chain([Cause::CertUntrustedCa]).collect(),
    };
    let message = match objections.iter().find(|o| o.cause == finding.cause) {
        Some(objection) => {
            format!("Client refused the host's certificate with alert {}. {}", describe(alert), objection.sentence)
        }
        None => format!("Client refused the host's certificate with alert {}", describe(alert)),
    };
    Some(
        with_certificate(case, finding, &objections)
            .because(format!("The client answered the host's certificate with alert {}.", describe(alert)))
            .rivals(&rivals)
            .message(message.trim_end_matches('.')),
    )
}

/// Any other alert by the client: it does not want what the host chose.
pub(super) fn client_refused_choice(case: &Case<'_>) -> Option<Finding> {
    let (choice, alert) = choice_refused(case)?;
    if matches!(alert.description.0, 0 | 90) {
        return Some(left_silently(case, choice));
    }
    // Of all that can be said against the certificate, only its strength is a matter of these alerts.
    let mut objections = certificate::objections(case);
    objections.retain(|o| o.cause == Cause::CertWeak);
    let weak = !objections.is_empty();
    let finding = match alert.description.0 {
        70 => refused_version(case, choice, Finding::proven(Cause::TlsClientRefusedChoice)),
        71 => Finding::proven(Cause::TlsClientRefusedChoice),
        // A message that could not be read, verified or placed, or nothing that clients say of a choice: its sender or a
        // device between the two may have spoilt it.
        other if !matches!(other, 40 | 47 | 80) => Finding::possible(Cause::TlsClientRefusedChoice)
            .side(Side::Both)
            .rivals(&[Cause::TlsInspectionMiddlebox])
            .rivals_if(other == DECRYPT_ERROR, &[Cause::CertPrivateKeyUnusable])
            .rivals(&[Cause::UnknownClose]),
        _ => Finding::likely(Cause::TlsClientRefusedChoice)
            .rivals(if weak { &[Cause::CertWeak] } else { &[] })
            .rivals(&[Cause::TlsNoCommonGroupOrSigalg])
            .rivals_if(!weak && certificate::readable(case).is_none(), &[Cause::CertWeak]),
    };
    let version_first = alert.description.0 == 80 && choice.version < TlsVersion::TLS12;
    Some(
        with_certificate(case, finding, &objections)
            .because(format!("The client answered the host's choice with alert {}.", describe(alert)))
            .because(chose(choice))
            .because_some(case.offer_sentence())
            .because_some(version_first.then(|| {
                format!("{} signs its key exchange with SHA-1, which current client policies refuse.", choice.version)
            }))
            .message(format!(
                "Client refused the host's choice of {} and {} with TLS alert {}",
                choice.version,
                choice.suite,
                describe(alert)
            )),
    )
}

/// The host asked for a client certificate, got none that it likes, and said so or left.
pub(super) fn client_certificate_wanted(case: &Case<'_>) -> Option<Finding> {
    let choice = unfinished(case)?;
    let alert = case.alert_from(Peer::Host);
    let left = case.closed_first(Closer::Host) && case.alert().is_none();
    if !choice.certificate_requested || !(left || alert.is_some_and(|a| matches!(a.description.0, 40..=49 | 116))) {
        return None;
    }
    let finding = match alert {
        Some(_) => Finding::likely(Cause::NegUserCertRequired),
        None => Finding::possible(Cause::NegUserCertRequired).rivals(&[Cause::UnknownClose]),
    };
    Some(
        finding
            .side(Side::Both)
            .because("The host asked for a client certificate (CertificateRequest).")
            .because_some(alert.map(|alert| format!("After the client's part it sent alert {}.", describe(alert))))
            .message("Host asked for a client certificate and did not accept what came"),
    )
}

/// The same in TLS 1.3, where the request is sealed and the client is done first: its Certificate before the Finished, and
/// not one record of data from the host, not even a session ticket.
pub(super) fn client_certificate_refused(case: &Case<'_>) -> Option<Finding> {
    let choice = case.server_hello().filter(|choice| choice.version.is_tls13() && choice.certificate_requested)?;
    let data = case.timeline.tls.data;
    let host_left = case.sealed_alert(Peer::Host) || case.closed_first(Closer::Host);
    // A host that waited for somebody at a prompt had accepted.
    let at_once = case.silence() < HOST_PATIENCE;
    if !case.established() || case.is_read() || case.client_left() || !host_left || !at_once || case.seen(data.host) {
        return None;
    }
    // A web server may ask for one and do without it, and ends the connection for what the client asks of it then.
    if case.is_gateway() && case.seen(data.client) {
        return None;
    }
    let alert = case.sealed_alert(Peer::Host);
    Some(
        Finding::possible(Cause::NegUserCertRequired)
            .side(Side::Both)
            .in_phase(Phase::TlsFinish)
            .because(chose(choice))
            .because("By size the client sent a Certificate, with one or without, beside its Finished: the host had asked for one.")
            .because(if alert {
                "The host's one record after that is alert-sized, and encrypted."
            } else {
                "Not one record came from the host after that."
            })
            .rivals(&[Cause::ClosedAfterTlsUnknown, Cause::TlsAlertInternalError])
            .rivals_if(case.seen(data.client), &[Cause::ServerClosedInMcs])
            .rivals_if(case.by_reset(), &[Cause::RstByMiddlebox])
            .message("Host asked for a client certificate, and ended the connection when it had the client's answer"),
    )
}

/// Any other alert by the host in the middle of the handshake.
pub(super) fn host_alert(case: &Case<'_>) -> Option<Finding> {
    let choice = unfinished(case)?;
    let alert = case.alert_from(Peer::Host)?;
    let finding = match alert.description.0 {
        80 => Finding::likely(Cause::TlsAlertInternalError).rivals(&[Cause::CertPrivateKeyUnusable]),
        _ => Finding::possible(Cause::TlsAlertOther).rivals(&[
            Cause::TlsAlertInternalError,
            Cause::TlsInspectionMiddlebox,
            Cause::TlsNoCommonGroupOrSigalg,
        ]),
    };
    Some(
        finding
            .side(Side::Host)
            .because(format!("The host sent alert {} after its own ServerHello.", describe(alert)))
            .because(chose(choice))
            .message(format!("Host broke off its own TLS handshake with alert {}", describe(alert))),
    )
}

/// The client left without a word.
pub(super) fn client_left(case: &Case<'_>) -> Option<Finding> {
    let choice = unfinished(case)?;
    if !case.client_left() {
        return None;
    }
    Some(flight_not_arrived(case, choice).unwrap_or_else(|| left_silently(case, choice)))
}

/// The client left, and has not had the host's flight: it was not sent whole, or never arrived. What is in it was not
/// refused then.
fn flight_not_arrived(case: &Case<'_>, choice: &ServerHelloFacts) -> Option<Finding> {
    if case.alert_from(Peer::Client).is_some() || case.sealed_alert(Peer::Client) {
        return None;
    }
    let answered = case.timeline.traffic.client.last.is_some_and(|at| at > choice.at && case.seen(Some(at)));
    if case.leg_is_stuck(Peer::Client) && !answered {
        return Some(
            Finding::possible(Cause::MtuBlackhole)
                .side(Side::Network)
                .because(chose(choice))
                .because_some(case.leg_sentence(Peer::Client))
                .because(sentence!(
                    "The client left {} after the ServerHello and had not acknowledged all of it.",
                    case.after(choice.at)
                ))
                .rivals(&[Cause::ClientSideNetworkLoss, Cause::TlsClientClosedSilently])
                .message("Host's TLS flight did not reach the client, which left: full-size packets may vanish on the client's path"),
        );
    }
    let silence = case.silence_of(Peer::Host);
    if !case.timeline.tls.partial_record.host || silence < HOST_SILENCE {
        return None;
    }
    Some(
        Finding::possible(Cause::TlsHandshakeTimeout)
            .side(Side::Host)
            .because(chose(choice))
            .because(sentence!(
                "The host had begun a record and sent nothing more for {}; then the client left.",
                span(silence)
            ))
            .because_some(case.host_leg_sentence())
            .rivals(&[Cause::MtuBlackhole, Cause::TlsClientClosedSilently])
            .message(sentence!(
                "Host stopped in the middle of its own TLS flight for {}; the client gave up",
                span(silence)
            )),
    )
}

/// The host left without a word.
pub(super) fn host_closed(case: &Case<'_>) -> Option<Finding> {
    let choice = unfinished(case)?;
    if !case.closed_first(Closer::Host) && !case.sealed_alert(Peer::Host) {
        return None;
    }
    Some(
        Finding::possible(Cause::UnknownClose)
            .side(if case.by_timeout() { Side::Network } else { Side::Host })
            .because(chose(choice))
            .because(format!(
                "The host's close came {} after its ServerHello, before the handshake was complete.",
                case.after(choice.at)
            ))
            .because_some(case.host_leg_sentence())
            .rivals(&[Cause::TlsAlertInternalError, Cause::MtuBlackhole])
            .rivals_if(client_answered(case, choice), &[Cause::NegUserCertRequired])
            .rivals_if(case.by_reset(), &[Cause::RstByMiddlebox])
            .message(format!("{} in the middle of its own TLS handshake", case.closed())),
    )
}

/// In TLS 1.3 the client has sent sealed records that are no Finished by their size: a certificate may be among them.
fn client_answered(case: &Case<'_>, choice: &ServerHelloFacts) -> bool {
    choice.version.is_tls13() && case.last_records(Peer::Client).next().is_some_and(|shape| shape.content_type == 23)
}

fn left_silently(case: &Case<'_>, choice: &ServerHelloFacts) -> Finding {
    let objections = certificate::objections(case);
    // TLS 1.2 from a host without 1.3 is everyday; older versions are what client policies refuse.
    let old = choice.version < TlsVersion::TLS12;
    let lowered = if old { offered_newer(case.hello(), choice) } else { Vec::new() };
    let dated = objections.iter().find(|o| matches!(o.cause, Cause::CertExpired | Cause::CertNotYetValid));
    let finding = match dated {
        Some(objection) if lowered.is_empty() => {
            Finding::possible(objection.cause).rivals(&[Cause::TlsClientClosedSilently])
        }
        _ => Finding::possible(Cause::TlsClientClosedSilently).rivals(&[Cause::TlsClientRefusedChoice]),
    };
    let seen: Vec<Cause> = objections.iter().map(|o| o.cause).collect();
    let side = Side::Client;
    let doubt = match (dated, lowered.as_slice()) {
        (Some(objection), []) => format!(". {}", objection.sentence.trim_end_matches('.')),
        (_, []) => String::new(),
        _ => format!("; the host had chosen {}, the client had offered {}", choice.version, list(lowered.iter(), 2)),
    };
    let sealed = case.sealed_alert(Peer::Client);
    let said = case.alert_from(Peer::Client).map(describe);
    let alert = match &said {
        Some(said) => format!("with alert {said}"),
        None if sealed => "with an encrypted alert".to_owned(),
        None => "without an alert".to_owned(),
    };
    let missing = if said.is_some() { "no Finished" } else { "no clear alert and no Finished" };
    let who = if case.closed_first(Closer::Client) { case.closed() } else { "Client left".to_owned() };
    with_certificate(case, finding, &objections)
        .side(side)
        .because(chose(choice))
        .because_some(case.offer_sentence())
        .because(sentence!(
            "The end came {} after the ServerHello; {missing} came from the client.",
            case.after(choice.at)
        ))
        .because_some(said.map(|said| format!("The client sent alert {said} first.")))
        .because_some(sealed.then(|| "The client's last record is alert-sized, and encrypted.".to_owned()))
        .rivals_if(!lowered.is_empty(), &[Cause::TlsNoCommonVersion])
        .rivals_if(case.timeline.tls.partial_record.host, &[Cause::TlsHandshakeTimeout])
        .rivals(&seen)
        .rivals_if(certificate::readable(case).is_none(), REFUSALS)
        .rivals(&[Cause::ClientPromptProbe])
        .message(sentence!("{who} in the middle of the TLS handshake, {alert}{doubt}"))
}

/// The client's alert on the host's choice, while the handshake was not finished.
fn choice_refused<'a>(case: &Case<'a>) -> Option<(&'a ServerHelloFacts, ClearAlert)> {
    let choice = case.server_hello()?;
    let alert = case.alert_from(Peer::Client)?;
    // OpenSSL sends its refusal of a TLS 1.3 certificate in clear, after the host's Finished.
    let in_handshake = !alert.after_handshake || !case.established() || choice.version >= TlsVersion::TLS13;
    in_handshake.then_some((choice, alert))
}

fn unfinished<'a>(case: &Case<'a>) -> Option<&'a ServerHelloFacts> {
    if case.established() { None } else { case.server_hello() }
}

/// Alert 70: the chosen version is below what this client accepts, though the hello formally allowed it.
fn refused_version(case: &Case<'_>, choice: &ServerHelloFacts, finding: Finding) -> Finding {
    let newer = offered_newer(case.hello(), choice);
    // A host answers with the highest version it shares with the offer (RFC 5246 E.1): it has none of these.
    let host: Vec<String> = newer.iter().map(|version| version_name(*version)).collect();
    let mut changes = Vec::new();
    if let Some(best) = newer.iter().min() {
        changes.push(format!("Host: enable {}.", version_name(*best)));
    }
    changes.push(format!("Client: accept {} (for a test only).", version_name(choice.version)));
    finding
        .side(Side::Both)
        .missing(Missing { client: vec![version_name(choice.version)], host })
        .smallest_change(changes)
}

/// Versions on offer that are newer than the chosen one.
fn offered_newer(hello: Option<&ClientHelloFacts>, choice: &ServerHelloFacts) -> Vec<TlsVersion> {
    hello.map_or_else(Vec::new, |hello| hello.versions().into_iter().filter(|v| *v > choice.version).collect())
}

fn chose(choice: &ServerHelloFacts) -> String {
    sentence!("The host chose {} with {}.", choice.version, choice.suite)
}

fn best_objection(objections: &[Objection]) -> Finding {
    match objections.first().map(|o| o.cause) {
        Some(cause @ (Cause::CertExpired | Cause::CertNotYetValid | Cause::CertWeak | Cause::CertWrongEku)) => {
            Finding::likely(cause)
        }
        Some(cause) => Finding::possible(cause),
        None => Finding::possible(Cause::CertUntrustedCa),
    }
}

fn with_certificate(case: &Case<'_>, finding: Finding, objections: &[Objection]) -> Finding {
    let finding = finding.because_some(certificate::readable(case).map(certificate::sentence));
    objections.iter().fold(finding, |finding, objection| finding.because(objection.sentence.clone()))
}
