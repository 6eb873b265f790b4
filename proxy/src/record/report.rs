//! A session for a person: cause, whose doing, where, what it rests on, what to do.

use super::SessionRecord;
use crate::terminal::write_wrapped;
use anstream::adapter::strip_str;
use anstyle::{AnsiColor, Style};
use parser::diagnosis::{Outcome, Verdict};
use std::borrow::Borrow;
use std::fmt::{self, Display, Write};
use std::io;
use std::time::Duration;

/// Columns before the text of a report's line, behind its label.
pub(crate) const HANGING: usize = 12;

/// Colours, or none.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReportStyle {
    good: Style,
    bad: Style,
    heading: Style,
    dim: Style,
}

impl ReportStyle {
    /// No escape sequence at all.
    #[must_use]
    pub fn plain() -> ReportStyle {
        ReportStyle::default()
    }

    /// For a terminal.
    #[must_use]
    pub fn coloured() -> ReportStyle {
        ReportStyle {
            good: AnsiColor::Green.on_default().bold(),
            bad: AnsiColor::Red.on_default().bold(),
            heading: Style::new().bold(),
            dim: Style::new().dimmed(),
        }
    }
}

/// The report, several lines, line feed at the end. It holds no user name.
#[must_use]
pub fn report(record: &SessionRecord, style: &ReportStyle) -> String {
    let mut text = String::with_capacity(512);
    // Writing to a String does not fail.
    let _ = write(&mut text, record, style);
    text
}

/// Writes the report `margin` columns in, its lines broken where they are wider than `columns`.
///
/// # Errors
///
/// Those of `out`.
pub fn write_report(
    out: &mut dyn io::Write,
    record: &SessionRecord,
    style: &ReportStyle,
    margin: usize,
    columns: usize,
) -> io::Result<()> {
    report(record, style).lines().try_for_each(|line| {
        // What belongs to a numbered step stands under its text, not under its number.
        let number = if is_numbered(line) { "1. ".len() } else { 0 };
        write_wrapped(out, line, margin, margin + HANGING + number, columns)
    })
}

/// True for a line of a report whose text begins with the number of a step.
fn is_numbered(line: &str) -> bool {
    let text = strip_str(line).to_string();
    let step = text.get(HANGING..).unwrap_or_default();
    step.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok())
}

fn write(text: &mut String, record: &SessionRecord, style: &ReportStyle) -> fmt::Result {
    let (identity, verdict) = (&*record.identity, &record.verdict);
    let colour = if verdict.outcome() == Outcome::Failure { style.bad } else { style.good };
    writeln!(text, "{colour}{}{colour:#}  {}", verdict.cause, verdict.message)?;
    line(
        text,
        style,
        "who",
        format_args!("{} ({}), in {}", verdict.side.name(), verdict.confidence.name(), verdict.phase),
    )?;
    let dim = style.dim;
    let from = identity.client.ip().to_canonical();
    line(
        text,
        style,
        "from",
        format_args!(
            "{from} to {}, ended after {} {dim}(session {}){dim:#}",
            identity.upstream,
            readable(record.ended.since(identity.accepted)),
            identity.id
        ),
    )?;
    shown(text, style, record)?;
    list(text, style, "because", &verdict.evidence)?;
    missing(text, style, verdict)?;
    let rivals: Vec<&str> = verdict.alternatives.iter().map(|cause| cause.id()).collect();
    if !rivals.is_empty() {
        line(text, style, "or", rivals.join(", "))?;
    }
    for (at, step) in verdict.remedy.iter().enumerate() {
        line(text, style, if at == 0 { "to do" } else { "" }, format_args!("{}. {step}", at + 1))?;
    }
    Ok(())
}

/// What the user and the host's administrator have probably before them: how they find this report.
fn shown(text: &mut String, style: &ReportStyle, record: &SessionRecord) -> fmt::Result {
    let predicted = record.verdict.cause.entry().predicted;
    // The client of a capture has nobody between itself and the host.
    let direct = record.timeline.packets.is_some() && !predicted.mstsc_direct.is_empty();
    let mstsc = if direct { predicted.mstsc_direct } else { predicted.mstsc };
    let mut places = Vec::new();
    if !mstsc.is_empty() {
        places.push(format!("{} in mstsc", either(mstsc)));
    }
    if !predicted.schannel.is_empty() {
        let ids: Vec<String> = predicted.schannel.iter().map(u16::to_string).collect();
        places.push(format!("Schannel event {} on a Windows host", either(&ids)));
    }
    if places.is_empty() {
        return Ok(());
    }
    line(text, style, "shows as", format_args!("{} (predicted)", places.join(", ")))
}

/// `a`, `a or b`, `a, b or c`.
fn either(names: &[impl Borrow<str>]) -> String {
    match names {
        [] => String::new(),
        [only] => only.borrow().to_owned(),
        [before @ .., last] => format!("{} or {}", before.join(", "), last.borrow()),
    }
}

/// Two or three digits and a unit.
pub(crate) fn readable(time: Duration) -> String {
    match time.as_nanos() {
        0..1_000_000 => format!("{} µs", time.as_micros()),
        1_000_000..10_000_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        10_000_000..1_000_000_000 => format!("{} ms", time.as_millis()),
        1_000_000_000..100_000_000_000 => format!("{:.1} s", time.as_secs_f64()),
        _ => format!("{} min", time.as_secs() / 60),
    }
}

fn missing(text: &mut String, style: &ReportStyle, verdict: &Verdict) -> fmt::Result {
    for (side, items) in [("client", &verdict.missing.client), ("host", &verdict.missing.host)] {
        if !items.is_empty() {
            line(text, style, "missing", format_args!("on the {side}: {}", items.join(", ")))?;
        }
    }
    list(text, style, "change", &verdict.smallest_change)
}

fn list(text: &mut String, style: &ReportStyle, name: &str, items: &[String]) -> fmt::Result {
    items.iter().enumerate().try_for_each(|(at, item)| line(text, style, if at == 0 { name } else { "" }, item))
}

fn line(text: &mut String, style: &ReportStyle, name: &str, value: impl Display) -> fmt::Result {
    let heading = style.heading;
    writeln!(text, "  {heading}{name:>8}{heading:#}  {value}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixture::record;
    use parser::diagnosis::Cause;

    #[test]
    fn a_report_says_what_who_why_and_what_to_do_in_that_order() {
        let text = report(&record(1, Cause::CertExpired), &ReportStyle::plain());
        let expected = [
            "cert_expired  The client refused",
            "     who  host (proven), in tls_finish",
            "    from  10.1.2.3 to rds07.example.net:3389, ended after 20 ms (session 0190",
            "shows as  0x1B07 or 0x904 in mstsc, Schannel event 36887 on a Windows host (predicted)",
            " because  the host's certificate expired 6 h before",
            " missing  on the host: TLS 1.3",
            "  change  a certificate that is valid today",
            "      or  cert_untrusted_ca",
            "   to do  1. renew the certificate",
            "          2. restart TermService",
        ];
        for (line, expected) in text.lines().zip(expected) {
            let line = line.strip_prefix("  ").unwrap_or(line);
            assert!(line.starts_with(expected), "{line}\n{expected}\n{text}");
        }
        assert_eq!(text.lines().count(), expected.len(), "{text}");
    }

    #[test]
    fn only_steps_are_numbered() {
        assert!(is_numbered("  \x1b[1m   to do\x1b[0m  1. Ask the resolver."));
        assert!(is_numbered("  \x1b[1m        \x1b[0m  2. Fix the record."));
        assert!(!is_numbered("  \x1b[1m because\x1b[0m  0.3 ms passed. Then nothing."));
        assert!(!is_numbered("cert_expired  1. no"));
    }

    #[test]
    fn times_are_short() {
        let text = |ms: f64| readable(Duration::from_secs_f64(ms / 1e3));
        assert_eq!((text(0.95), text(1.26), text(214.0)), ("950 µs".into(), "1.3 ms".into(), "214 ms".into()));
        assert_eq!((text(1_500.0), text(7_500_000.0)), ("1.5 s".into(), "125 min".into()));
    }
}
