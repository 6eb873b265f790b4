//! A profile as a person reads it.

use super::super::explain::wrapped;
use super::Probed;
use anstyle::{AnsiColor, Style};
use parser::profile::{Completeness, HostProfile, LadderChange, NegotiationAnswer, Reaction, VersionAbility};
use parser::session::{Answer, CertificateFacts};
use parser::wire::{CipherSuite, NamedGroup, Protocols, SuiteClass, TlsVersion};
use rdpscope::probe::findings::Severity;
use std::fmt::{Display, Write};
use time::OffsetDateTime;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
/// Values begin behind this column.
const COLUMN: usize = 14;

/// The whole report; empty for a host that was not reached.
pub(super) fn report(probed: &Probed) -> String {
    let profile = &probed.profile;
    let mut out = String::new();
    if matches!(profile.completeness, Completeness::Unreachable(_)) {
        return out;
    }
    let address = probed.address.map_or_else(String::new, |address| match address.ip().to_string() == probed.host {
        true => String::new(),
        false => format!(" ({})", address.ip()),
    });
    let _ = writeln!(
        out,
        "{BOLD}{}{BOLD:#}{address}   {DIM}{} connections, {:.1} s{DIM:#}",
        plain(&probed.shown),
        profile.handshakes,
        probed.took.as_secs_f32()
    );
    if let Completeness::Partial(why) = &profile.completeness {
        let style = colour(AnsiColor::Yellow);
        let _ = writeln!(out, "{style}Incomplete{style:#}: stopped early, {}", plain(why));
    }
    findings(&mut out, probed);
    negotiation(&mut out, probed);
    if !profile.versions.is_empty() {
        let _ = writeln!(out, "\n{BOLD}TLS{BOLD:#}");
        for ability in &profile.versions {
            version(&mut out, ability);
        }
        let groups = |groups: &[NamedGroup]| groups.iter().map(name_of_group).collect::<Vec<_>>().join(", ");
        if !profile.groups.is_empty() {
            line(&mut out, "groups", groups(&profile.groups));
        }
        if !profile.signature_schemes.is_empty() {
            let schemes = profile.signature_schemes.iter().map(|scheme| match scheme.name() {
                Some(name) => name.to_owned(),
                None => scheme.to_string(),
            });
            line(&mut out, "signs with", schemes.collect::<Vec<_>>().join(", "));
        }
        for (size, reaction) in &profile.hello_sizes {
            let words = if reaction.accepted() { "accepted".to_owned() } else { words(reaction) };
            line(&mut out, "hello size", format!("{size} bytes: {words}"));
        }
        for step in profile.ladder.iter().filter(|step| step.change == LadderChange::Everything) {
            line(&mut out, "all at once", words(&step.reaction));
        }
    }
    for certificate in profile.certificate.iter().chain(&profile.second_certificate) {
        show_certificate(&mut out, certificate, probed.now);
    }
    for (path, answer) in &probed.gateway {
        if *path == super::GATEWAY_PATHS[0] {
            let _ = writeln!(
                out,
                "\n{BOLD}Gateway{BOLD:#}   {DIM}asked with rustls; the certificate was not verified{DIM:#}"
            );
        }
        let text = match answer {
            Ok(answer) => {
                let schemes = match answer.authenticate.is_empty() {
                    true => String::new(),
                    false => format!(", offers {}", answer.authenticate.join(", ")),
                };
                let verdict = if matches!(answer.status, 200 | 401) { "healthy" } else { "not healthy" };
                format!("{}: {verdict}{schemes}", answer.status)
            }
            Err(why) => why.clone(),
        };
        let _ = writeln!(out, "  {path:24} {}", plain(&text));
    }
    out
}

fn findings(out: &mut String, probed: &Probed) {
    if probed.findings.is_empty() {
        let style = colour(AnsiColor::Green);
        let _ = writeln!(out, "\n{style}Nothing is wrong with it{style:#} that can be seen from outside.");
        return;
    }
    let _ = writeln!(out, "\n{BOLD}What is wrong with it{BOLD:#}");
    for finding in &probed.findings {
        let style = match finding.severity {
            Severity::Broken => colour(AnsiColor::BrightRed),
            Severity::Weak => colour(AnsiColor::Yellow),
            Severity::Note => DIM,
        };
        let cause = finding.cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
        let what = format!("{}{cause}", plain(&finding.what));
        let _ = writeln!(out, "  {style}{:7}{style:#} {}", finding.severity.name(), wrapped(&what, 10));
        if !finding.remedy.is_empty() {
            let _ = writeln!(out, "          {DIM}→{DIM:#} {}", wrapped(&plain(&finding.remedy), 12));
        }
    }
}

fn negotiation(out: &mut String, probed: &Probed) {
    if probed.profile.negotiation.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{BOLD}Negotiation{BOLD:#}");
    for (asked, answer) in &probed.profile.negotiation {
        let asked = asked.map_or_else(|| "(no request)".to_owned(), protocols);
        let answer = match answer {
            NegotiationAnswer::Answered(Answer::Selected { protocol, .. }) => {
                format!("selects {}", protocols(*protocol))
            }
            NegotiationAnswer::Answered(Answer::Plain) => "confirms without negotiation data".to_owned(),
            NegotiationAnswer::Answered(Answer::Failure(code)) => format!("refuses: {code}"),
            NegotiationAnswer::Answered(Answer::Ultimatum(reason)) => format!("disconnects, reason {reason}"),
            NegotiationAnswer::Answered(Answer::Refused(code)) => format!("refuses: X.224 TPDU 0x{code:02x}"),
            NegotiationAnswer::Answered(Answer::NotRdp(_)) => "answers with something else".to_owned(),
            NegotiationAnswer::Closed(kind) => format!("closes ({}) without an answer", kind.name()),
            NegotiationAnswer::Silence => "does not answer".to_owned(),
        };
        let _ = writeln!(out, "  {asked:24} {answer}");
    }
    let inside = match &probed.no_credssp {
        Some(why) => Some(format!("not known: {why}")),
        None => credssp(&probed.profile),
    };
    if let Some(inside) = inside {
        let _ = writeln!(out, "  {:24} {}", "inside NLA", wrapped(&plain(&inside), 27));
    }
}

fn credssp(profile: &HostProfile) -> Option<String> {
    let facts = profile.credssp.as_ref()?;
    let mut words = format!("CredSSP {}", facts.version);
    for (what, value) in [("host", facts.host()), ("Windows build", facts.build())] {
        if let Some(value) = value {
            let _ = write!(words, ", {what} {value}");
        }
    }
    if let Some(offset) = facts.clock_offset_ms(profile.ended) {
        let _ = write!(words, ", clock {:+.1} s", offset as f64 / 1000.0);
    }
    Some(words)
}

fn version(out: &mut String, ability: &VersionAbility) {
    let name = &short(ability.version);
    if !ability.accepted() {
        let words = match &ability.reaction {
            Reaction::Hello { version, .. } => format!("refused: answers in {} instead", short(*version)),
            reaction => words(reaction),
        };
        line(out, name, words);
        return;
    }
    let count = ability.suites.len();
    let order = match (count, ability.host_order) {
        (1, _) => "",
        (_, true) => ", in the order the host prefers",
        (_, false) => "; the host takes the client's order",
    };
    let rest = if ability.complete { "" } else { "; there may be more" };
    line(out, name, format!("{count} suite{}{order}{rest}", if count == 1 { "" } else { "s" }));
    for suite in &ability.suites {
        let (grade, style) = match suite.class() {
            Some(SuiteClass::Modern) => ("modern", colour(AnsiColor::Green)),
            Some(SuiteClass::Weak) => ("weak", colour(AnsiColor::Yellow)),
            Some(SuiteClass::Broken) => ("broken", colour(AnsiColor::BrightRed)),
            _ => ("", Style::new()),
        };
        let _ = writeln!(out, "  {:COLUMN$} {style}{grade:7}{style:#} {}", "", name_of_suite(*suite));
    }
}

/// `TLS 1.2`, without the number.
fn short(version: TlsVersion) -> String {
    let long = version.to_string();
    long.split(" (").next().unwrap_or_default().to_owned()
}

fn show_certificate(out: &mut String, certificate: &CertificateFacts, now: i64) {
    let _ = writeln!(out, "\n{BOLD}Certificate{BOLD:#}");
    if let Some(why) = &certificate.unreadable {
        line(out, "unreadable", why);
        return;
    }
    line(out, "subject", &certificate.subject);
    if !certificate.alternative_names.is_empty() {
        line(out, "names", certificate.alternative_names.join(", "));
    }
    let issuer = if certificate.self_issued { "itself (self-signed)".to_owned() } else { certificate.issuer.clone() };
    line(out, "issuer", issuer);
    let key = format!(
        "{} {} bits, signed with {}",
        certificate.key_algorithm, certificate.key_bits, certificate.signature_algorithm
    );
    line(out, "key", key);
    let days = (certificate.not_after - now).div_euclid(86_400);
    let left = match days {
        ..0 => format!("expired {} days ago", -days),
        days => format!("{days} days left"),
    };
    line(out, "valid", format!("{} to {}, {left}", date(certificate.not_before), date(certificate.not_after)));
    let hash = certificate.sha256.iter().fold(String::new(), |mut hash, byte| {
        let _ = write!(hash, "{byte:02x}");
        hash
    });
    line(out, "sha256", hash);
}

/// What came back, in words.
pub(super) fn words(reaction: &Reaction) -> String {
    match reaction {
        Reaction::Hello { version, suite, .. } => {
            format!("accepted: {}, {}", version.name().unwrap_or("?"), name_of_suite(*suite))
        }
        Reaction::Retry { suite, .. } => format!("accepted with another key share: {}", name_of_suite(*suite)),
        Reaction::Alert(alert) => format!("refused: alert {alert}"),
        Reaction::Closed(kind) => format!("refused: closed ({}) without a word", kind.name()),
        Reaction::ClearDisconnect => "refused: disconnected in clear".to_owned(),
        Reaction::NotTls => "answered with something that is not TLS".to_owned(),
        Reaction::Silence => "no answer".to_owned(),
        Reaction::NotReached(why) => format!("not asked: {}", plain(why)),
    }
}

fn protocols(protocols: Protocols) -> String {
    protocols.names().join("+")
}

pub(super) fn name_of_suite(suite: CipherSuite) -> String {
    suite.name().map_or_else(|| suite.to_string(), str::to_owned)
}

pub(super) fn name_of_group(group: &NamedGroup) -> String {
    group.name().map_or_else(|| group.to_string(), str::to_owned)
}

fn line(out: &mut String, name: &str, value: impl Display) {
    let _ = writeln!(out, "  {name:COLUMN$} {}", wrapped(&plain(&value.to_string()), COLUMN + 3));
}

fn date(seconds: i64) -> String {
    match OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(moment) => moment.date().to_string(),
        Err(_) => format!("{seconds} s"),
    }
}

/// A host writes its own certificate: what could command a terminal is shown as a replacement character.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn colour(colour: AnsiColor) -> Style {
    colour.on_default()
}
