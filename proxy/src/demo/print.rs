//! What the tour writes: a report per connection as it ends, and the summary.
//!
//! Styles are always written; the stream that is written to leaves them out where no terminal is behind it.

use super::case::{Case, Expected};
use super::tour::Finding;
use crate::observe::PhaseLatency;
use crate::record::{ReportStyle, SessionRecord, report};
use anstream::adapter::strip_str;
use anstyle::{AnsiColor, Style};
use parser::diagnosis::Verdict;
use std::io::{self, Write};
use std::time::Duration;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Columns that reports are wrapped to: fits a split screen and an e-mail.
const WIDTH: usize = 116;
/// Columns before a report: it stands under its case.
const MARGIN: usize = 4;
/// Columns before the text of a report's line, behind its label.
const HANGING: usize = 12;

/// The line above the reports of one case.
pub(super) fn heading(out: &mut dyn Write, number: usize, of: usize, case: &Case) -> io::Result<()> {
    writeln!(out, "{DIM}{number:>2}/{of}{DIM:#}  {BOLD}{}{BOLD:#}: {}", case.name, case.about)
}

/// The report of one connection, as every output of rdpscope has it.
pub(super) fn connection(out: &mut dyn Write, record: &SessionRecord) -> io::Result<()> {
    for line in report(record, &ReportStyle::coloured()).lines() {
        wrapped(out, line)?;
    }
    Ok(())
}

/// A verdict that came to be seen differently.
pub(super) fn revised(out: &mut dyn Write, verdict: &Verdict) -> io::Result<()> {
    wrapped(out, &format!("{DIM}revised:{DIM:#} {BOLD}{}{BOLD:#}  {}", verdict.cause, verdict.message))
}

/// A visit whose verdict is not the one that was due.
pub(super) fn unexpected(out: &mut dyn Write, expected: &Expected) -> io::Result<()> {
    let phases: Vec<&str> = expected.phases.iter().map(|phase| phase.name()).collect();
    writeln!(out, "{:MARGIN$}{BAD}not as expected{BAD:#}: {} in {} was due", "", expected.cause, phases.join(" or "))
}

/// The table at the end.
pub(super) fn summary(out: &mut dyn Write, findings: &[Finding]) -> io::Result<()> {
    writeln!(out, "{BOLD}   {:<21} {:<33} {:<33} {:<11} {:>8}{BOLD:#}", "case", "expected", "verdict", "step", "time")?;
    for finding in findings {
        let (style, tick) = if finding.as_expected() { (GOOD, '✓') } else { (BAD, '✗') };
        write!(out, " {style}{tick}{style:#} {:<21} {:<33} ", finding.case, finding.expected.cause.id())?;
        match &finding.verdict {
            Some(verdict) => {
                let (cause, phase, time) = (verdict.cause.id(), verdict.phase.name(), readable(finding.took));
                writeln!(out, "{cause:<33} {phase:<11} {time:>8}")?;
            }
            None => writeln!(out, "no report came")?,
        }
    }
    let met = findings.iter().filter(|f| f.as_expected()).count();
    let style = if met == findings.len() { GOOD } else { BAD };
    writeln!(out, "\n{style}{met} of {} verdicts are as expected{style:#}", findings.len())
}

/// The table of phase latencies.
pub(super) fn latencies(out: &mut dyn Write, rows: &[PhaseLatency]) -> io::Result<()> {
    writeln!(
        out,
        "\n{BOLD}   {:<21} {:>8} {:>9} {:>9} {:>9} {:>9}{BOLD:#}",
        "time in step", "sessions", "p50", "p90", "p99", "longest"
    )?;
    for row in rows {
        let [p50, p90, p99, max] = [row.p50, row.p90, row.p99, row.max].map(readable);
        writeln!(out, "   {:<21} {:>8} {p50:>9} {p90:>9} {p99:>9} {max:>9}", row.phase.name(), row.count)?;
    }
    Ok(())
}

/// Writes one line, broken at spaces where it is too wide; what follows stands under the text, not under the label.
fn wrapped(out: &mut dyn Write, line: &str) -> io::Result<()> {
    let mut row = " ".repeat(MARGIN);
    let mut column = 0;
    for word in line.split_inclusive(' ') {
        let width = strip_str(word.trim_end()).to_string().chars().count();
        if column > HANGING && column + width > WIDTH - MARGIN {
            writeln!(out, "{}", row.trim_end())?;
            row = " ".repeat(MARGIN + HANGING);
            column = HANGING;
        }
        row.push_str(word);
        column += width + word.len() - word.trim_end().len();
    }
    writeln!(out, "{}", row.trim_end())
}

/// Two or three digits and a unit.
fn readable(time: Duration) -> String {
    match time.as_nanos() {
        0..1_000_000 => format!("{} µs", time.as_micros()),
        1_000_000..10_000_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        10_000_000..1_000_000_000 => format!("{} ms", time.as_millis()),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_line_goes_on_under_its_text() {
        let mut out = Vec::new();
        let words = "word ".repeat(40);
        wrapped(&mut out, &format!("  {BOLD}   to do{BOLD:#}  {words}")).expect("memory");
        let text = strip_str(&String::from_utf8(out).expect("text")).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        let column = lines[0].find("word").expect("text");
        assert_eq!(lines[1].find("word"), Some(column), "{text}");
        assert!(lines.iter().all(|line| line.len() <= WIDTH && !line.ends_with(' ')), "{text}");
        assert_eq!(text.split_whitespace().filter(|w| *w == "word").count(), 40);
    }

    #[test]
    fn times_are_short() {
        assert_eq!(readable(Duration::from_micros(950)), "950 µs");
        assert_eq!(readable(Duration::from_micros(1_260)), "1.3 ms");
        assert_eq!(readable(Duration::from_millis(214)), "214 ms");
        assert_eq!(readable(Duration::from_millis(1_500)), "1.50 s");
    }
}
