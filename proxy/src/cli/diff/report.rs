//! What a comparison found, for a person and for a program.

use super::Asked;
use super::captured::Captured;
use super::client::Client;
use anstyle::{AnsiColor, Style};
use parser::diagnosis::Cause;
use parser::profile::{
    Ability, Completeness, Difference, Explanation, HostProfile, Meeting, Mismatch, Offer, WindowsVersion, compare,
    explain,
};
use rdpscope::probe::findings::{Finding, Severity, findings};
use serde_json::{Value, json};
use std::fmt::Write;

const BOLD: Style = Style::new().bold();
/// Names of each side in one sentence.
const MOST_NAMES: usize = 6;

/// Two hosts, held against each other and against a client.
pub(super) struct Report {
    asked: [Asked; 2],
    client: Option<(Client, Offer, Explanation)>,
    differences: Vec<Difference>,
}

impl Report {
    pub(super) fn new(asked: [Asked; 2], client: Option<Client>) -> Report {
        let [first, second] = &asked;
        let differences = compare(&first.profile, &second.profile);
        let client = client.map(|client| {
            let offer = client.offer();
            let explanation = explain(&offer, client.newest(), &first.profile, &second.profile);
            (client, offer, explanation)
        });
        Report { asked, client, differences }
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let [first, second] = &self.asked;
        for (letter, asked) in [("A", first), ("B", second)] {
            let _ = writeln!(
                out,
                "{BOLD}{letter}{BOLD:#}  {}   {} connections{}",
                plain(&asked.shown),
                asked.profile.handshakes,
                doubt(&asked.profile)
            );
        }
        if let Some((client, offer, explanation)) = &self.client {
            self.client_text(&mut out, client, offer, explanation);
        } else {
            self.windows_text(&mut out);
        }
        let _ = writeln!(out, "\n{BOLD}Differences{BOLD:#}");
        if self.differences.is_empty() {
            out.push_str("  none in what both were asked\n");
        }
        for difference in &self.differences {
            let _ = writeln!(out, "  {}", plain(&difference.item));
            let _ = writeln!(out, "    A  {}\n    B  {}", plain(&difference.first), plain(&difference.second));
        }
        out
    }

    fn client_text(&self, out: &mut String, client: &Client, offer: &Offer, explanation: &Explanation) {
        let _ = writeln!(out, "\n{BOLD}{}{BOLD:#}", plain(&client.title()));
        if let Some(caveat) = client.caveat() {
            let _ = writeln!(out, "  ({})", plain(&caveat));
        }
        for (letter, asked, met) in
            [("A", &self.asked[0], &explanation.first), ("B", &self.asked[1], &explanation.second)]
        {
            let host = Ability::of(&asked.profile).unwrap_or_default();
            let (style, words) = match met {
                None => (AnsiColor::Yellow.on_default(), format!("not known: {}", no_tls(asked).what)),
                Some(Ok(meeting)) => (AnsiColor::Green.on_default(), format!("meets it: {}", meeting_words(*meeting))),
                Some(Err(mismatch)) => (
                    AnsiColor::BrightRed.on_default(),
                    format!("does not: {}", mismatch.sentence(offer, &host, MOST_NAMES)),
                ),
            };
            let _ = writeln!(out, "  {letter}  {style}{words}{style:#}");
        }
        if [explanation.first, explanation.second].iter().all(|met| matches!(met, Some(Ok(_)))) {
            out.push_str("  Nothing in TLS keeps it out of either host; what differs below is not why.\n");
        }
        for difference in &explanation.because {
            let _ = writeln!(
                out,
                "  because of {}: A {}, B {}",
                plain(&difference.item),
                plain(&difference.first),
                plain(&difference.second)
            );
        }
        for change in self.changes(explanation) {
            let _ = writeln!(out, "  - {change}");
        }
    }

    /// Which Windows versions tell the two apart.
    fn windows_text(&self, out: &mut String) {
        let told = self.windows();
        if told.is_empty() {
            return;
        }
        let _ = writeln!(
            out,
            "\n{BOLD}Windows versions that meet one and not the other{BOLD:#} (by their published defaults: a hint)"
        );
        for (row, explanation) in told {
            let word = |met: Option<Result<Meeting, Mismatch>>| match met {
                Some(Ok(meeting)) => meeting_words(meeting),
                Some(Err(mismatch)) => format!("no common {}", words(mismatch)),
                None => "not known".to_owned(),
            };
            let _ = writeln!(out, "  {} ({}, {})", row.name, row.id, row.status);
            let _ = writeln!(out, "    A  {}\n    B  {}", word(explanation.first), word(explanation.second));
        }
    }

    fn windows(&self) -> Vec<(&'static WindowsVersion, Explanation)> {
        let clients = WindowsVersion::all().iter().filter(|row| !row.server);
        let [first, second] = &self.asked;
        let explained = clients.map(|row| (row, explain(&row.offer(), row.newest(), &first.profile, &second.profile)));
        let tells_apart = |explanation: &Explanation| matches!((explanation.first, explanation.second), (Some(a), Some(b)) if a.is_ok() != b.is_ok());
        explained.filter(|(_, explanation)| tells_apart(explanation)).collect()
    }

    /// The changes in words, for each host that the client does not meet.
    fn changes(&self, explanation: &Explanation) -> Vec<String> {
        let neither = [explanation.first, explanation.second].iter().all(|met| matches!(met, Some(Err(_))));
        // With the hosts it is for.
        let mut told: Vec<(String, String)> = Vec::new();
        for ((asked, letter), changes) in self.asked.iter().zip(["A", "B"]).zip(&explanation.changes) {
            let Some(host) = Ability::of(&asked.profile) else {
                told.push((letter.to_owned(), format!("Host {letter}: {}", plain(&no_tls(asked).remedy))));
                continue;
            };
            for change in changes {
                let text = plain(&change.text(&host)).replacen("Host: ", &format!("Host {letter}: "), 1);
                match told.iter_mut().find(|(_, other)| *other == text) {
                    Some((letters, _)) => letters.push_str(" and B"),
                    None => told.push((letter.to_owned(), text)),
                }
            }
        }
        let of_client = |(letters, text): (String, String)| match text.strip_prefix("Client: ") {
            Some(what) if neither => format!("Client, for {letters}: {what}"),
            _ => text,
        };
        told.into_iter().map(of_client).collect()
    }

    pub(super) fn json(&self) -> String {
        let [first, second] = &self.asked;
        let client = self.client.as_ref().map(|(client, offer, explanation)| {
            let outcome = |asked: &Asked, met| met_json(met, offer, asked);
            json!({
                "name": client.title(),
                "session": match client { Client::Recorded { session, .. } => Some(session), _ => None },
                "windows": match client { Client::Windows(row) => Some(windows_json(row)), _ => None },
                "capture": match client { Client::Captured(captured) => Some(captured_json(captured)), _ => None },
                "first": outcome(first, explanation.first),
                "second": outcome(second, explanation.second),
                "because": explanation.because.iter().map(difference_json).collect::<Vec<_>>(),
                "smallest_change": self.changes(explanation),
            })
        });
        let windows = self.windows().into_iter().map(|(row, explanation)| {
            let offer = row.offer();
            json!({
                "windows": windows_json(row),
                "first": met_json(explanation.first, &offer, first),
                "second": met_json(explanation.second, &offer, second),
            })
        });
        let document = json!({
            "schema": "1",
            "first": host_json(first),
            "second": host_json(second),
            "client": client,
            "differences": self.differences.iter().map(difference_json).collect::<Vec<_>>(),
            "windows_clients_told_apart": windows.collect::<Vec<_>>(),
        });
        format!("{document:#}\n")
    }
}

/// Why nobody gets as far as TLS at this host, and what to do about it.
fn no_tls(asked: &Asked) -> Finding {
    let worst = findings(&asked.profile, &asked.host, &[], rdpscope::clock::now().unix_seconds()).into_iter().next();
    worst.filter(|finding| finding.severity == Severity::Broken).unwrap_or_else(|| Finding {
        severity: Severity::Broken,
        what: "It takes no ClientHello".to_owned(),
        remedy: format!("`rdpscope probe {}` shows what it answers", asked.shown),
        cause: None,
    })
}

fn host_json(asked: &Asked) -> Value {
    let (completeness, reason) = match &asked.profile.completeness {
        Completeness::Complete => ("complete", None),
        Completeness::Partial(why) => ("partial", Some(why)),
        Completeness::Mixed(why) => ("mixed", Some(why)),
        Completeness::Unreachable(why) => ("unreachable", Some(why)),
    };
    json!({
        "host": asked.shown,
        "completeness": completeness,
        "reason": reason,
        "connections": asked.profile.handshakes,
        "@timestamp": rdpscope::record::rfc3339(asked.profile.begun),
    })
}

/// The document where a host could not be reached: which one, and why.
pub(super) fn uncompared(asked: &[Asked; 2]) -> String {
    let [first, second] = asked.each_ref().map(host_json);
    let document = json!({
        "schema": "1",
        "first": first,
        "second": second,
        "client": null,
        "differences": null,
        "windows_clients_told_apart": null,
    });
    format!("{document:#}\n")
}

pub(super) fn windows_json(row: &WindowsVersion) -> Value {
    json!({ "id": row.id, "name": row.name, "status": row.status, "source": row.source, "note": row.note })
}

fn met_json(met: Option<Result<Meeting, Mismatch>>, offer: &Offer, asked: &Asked) -> Value {
    let host = Ability::of(&asked.profile).unwrap_or_default();
    match met {
        None => json!({ "meets": null, "why": no_tls(asked).what }),
        Some(Ok(meeting)) => json!({
            "meets": true,
            "version": meeting.version.name(),
            "cipher": meeting.suite.name(),
            "group": meeting.group.and_then(|group| group.name()),
        }),
        Some(Err(mismatch)) => {
            let missing = mismatch.missing(offer, &host);
            json!({
                "meets": false,
                "mismatch": mismatch.name(),
                "cause": Cause::from(mismatch).id(),
                "why": mismatch.sentence(offer, &host, MOST_NAMES),
                "missing": { "client": missing.client, "host": missing.host },
            })
        }
    }
}

fn captured_json(captured: &Captured) -> Value {
    json!({
        "file": captured.file,
        "stream": captured.stream,
        "client": captured.client.to_string(),
        "complaints": captured.complaints,
    })
}

fn difference_json(difference: &Difference) -> Value {
    json!({
        "what": difference.what.name(),
        "item": difference.item,
        "first": difference.first,
        "second": difference.second,
    })
}

fn meeting_words(meeting: Meeting) -> String {
    let version = meeting.version.name().unwrap_or("?");
    let suite = meeting.suite.name().map_or_else(|| meeting.suite.to_string(), str::to_owned);
    let version = if version.starts_with('1') { format!("TLS {version}") } else { version.to_owned() };
    format!("{version} with {suite}")
}

fn words(mismatch: Mismatch) -> &'static str {
    match mismatch {
        Mismatch::Version => "version",
        Mismatch::Suite => "cipher suite",
        Mismatch::KeyType => "kind of key",
        Mismatch::Group => "group",
        Mismatch::SignatureScheme => "signature algorithm",
    }
}

fn doubt(profile: &HostProfile) -> String {
    match &profile.completeness {
        Completeness::Partial(why) => format!("; incomplete: {}", plain(why)),
        _ => String::new(),
    }
}

/// What a host chose to say, without what could command a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parser::profile::{NegotiationAnswer, Reaction, VersionAbility};
    use parser::session::Answer;
    use parser::wire::{AlertDescription, CipherSuite, TlsVersion};

    /// A host that accepts TLS 1.2 with this suite, and nothing older.
    fn asked(suite: u16) -> Asked {
        let (version, suite) = (TlsVersion::TLS12, CipherSuite(suite));
        let reaction = Reaction::Hello { version, suite, group: None };
        let refused = Reaction::Alert(AlertDescription(70));
        let ability =
            |version, reaction, suites| VersionAbility { version, reaction, suites, host_order: true, complete: true };
        let versions = vec![ability(version, reaction, vec![suite]), ability(TlsVersion::TLS10, refused, Vec::new())];
        Asked {
            host: "rds07".to_owned(),
            shown: "rds07:3389".to_owned(),
            profile: HostProfile { versions, ..HostProfile::default() },
        }
    }

    #[test]
    fn a_client_that_meets_neither_is_told_of_both() {
        let changes = |suites: [u16; 2]| {
            let report = Report::new(suites.map(asked), Client::windows("win7").ok());
            let document: Value = serde_json::from_str(&report.json()).unwrap();
            let changes = document["client"]["smallest_change"].as_array().unwrap();
            let changes: Vec<String> = changes.iter().map(|text| text.as_str().unwrap().to_owned()).collect();
            let text = report.text();
            assert!(changes.iter().all(|change| text.contains(&format!("  - {change}\n"))), "{text}");
            assert!(!text.contains("TLS 1.3"), "Windows 7 has none: {text}");
            changes
        };
        let begins = |changes: &[String], with: &str| changes.iter().filter(|text| text.starts_with(with)).count();
        let apart = changes([0xc030, 0xc02f]);
        for with in ["Host A: ", "Host B: ", "Client, for A: ", "Client, for B: "] {
            assert_eq!(begins(&apart, with), 1, "{with}: {apart:#?}");
        }
        let alike = changes([0xc030, 0xc030]);
        assert_eq!((begins(&alike, "Client, for A and B: "), begins(&alike, "Client")), (1, 1), "{alike:#?}");
    }

    #[test]
    fn a_host_without_a_certificate_is_not_given_a_version_to_allow() {
        let failure = NegotiationAnswer::Answered(Answer::Failure(parser::wire::FailureCode(3)));
        let negotiation = vec![(Some(parser::wire::Protocols(3)), failure)];
        let dead = Asked {
            host: "rds08".to_owned(),
            shown: "rds08:3389".to_owned(),
            profile: HostProfile { negotiation, ..HostProfile::default() },
        };
        let report = Report::new([dead, asked(0xc030)], Client::windows("win10_22h2").ok());
        let text = report.text();
        assert!(text.contains("not known: It refuses every request for TLS: SSL_CERT_NOT_ON_SERVER (3)"), "{text}");
        assert!(text.contains("  - Host A: ") && !text.contains("Enable-TlsCipherSuite"), "{text}");
        let document: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(document["client"]["first"]["meets"], Value::Null, "{document:#}");
        assert_eq!(document["client"]["second"]["meets"], true);
    }
}
