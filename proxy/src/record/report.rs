//! A session for a person: cause, whose doing, where, what it rests on, what to do.

use super::SessionRecord;
use anstyle::{AnsiColor, Style};
use parser::diagnosis::{Outcome, Verdict};
use std::fmt::{self, Display, Write};

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

fn write(text: &mut String, record: &SessionRecord, style: &ReportStyle) -> fmt::Result {
    let (identity, verdict) = (&*record.identity, &record.verdict);
    let colour = if verdict.outcome() == Outcome::Failure { style.bad } else { style.good };
    let lasted = record.ended.since(identity.accepted).as_secs_f64();
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
        format_args!("{from} to {} {dim}after {lasted:.3} s, session {}{dim:#}", identity.upstream, identity.id),
    )?;
    if let Some(close) = record.timeline.first_close() {
        line(text, style, "closed", format_args!("first by {}, {}", close.by.name(), close.kind.name()))?;
    }
    list(text, style, "because", &verdict.evidence)?;
    missing(text, style, verdict)?;
    let rivals: Vec<&str> = verdict.alternatives.iter().map(|cause| cause.id()).collect();
    if !rivals.is_empty() {
        line(text, style, "or", rivals.join(", "))?;
    }
    list(text, style, "to do", &verdict.remedy)
}

fn missing(text: &mut String, style: &ReportStyle, verdict: &Verdict) -> fmt::Result {
    for (side, items) in [("client", &verdict.missing.client), ("host", &verdict.missing.host)] {
        if !items.is_empty() {
            line(text, style, "missing", format_args!("on the {side}: {}", items.join(", ")))?;
        }
    }
    list(text, style, "smallest", &verdict.smallest_change)
}

fn list(text: &mut String, style: &ReportStyle, name: &str, items: &[String]) -> fmt::Result {
    items.iter().enumerate().try_for_each(|(at, item)| line(text, style, if at == 0 { name } else { "" }, item))
}

fn line(text: &mut String, style: &ReportStyle, name: &str, value: impl Display) -> fmt::Result {
    let heading = style.heading;
    writeln!(text, "  {heading}{name:>8}{heading:#}  {value}")
}
