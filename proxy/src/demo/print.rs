//! What the tour writes: a report per connection as it ends, and the summary.
//!
//! Styles are always written; the stream that is written to leaves them out where no terminal is behind it.

use super::case::{Case, Expected};
use super::tour::Finding;
use crate::observe::PhaseLatency;
use crate::record::{HANGING, ReportStyle, SessionRecord, readable, write_report};
use crate::terminal::{self, write_wrapped};
use anstyle::{AnsiColor, Style};
use parser::diagnosis::Verdict;
use std::io::{self, Write};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Columns before a report: it stands under its case.
const MARGIN: usize = 4;

/// The line above the reports of one case.
pub(super) fn heading(out: &mut dyn Write, number: usize, of: usize, case: &Case) -> io::Result<()> {
    let line = format!("{DIM}{number:>2}/{of}{DIM:#}  {BOLD}{}{BOLD:#}: {}", case.name, case.about);
    write_wrapped(out, &line, 0, MARGIN, terminal::width())
}

/// The report of one connection, as every output of rdpscope has it.
pub(super) fn connection(out: &mut dyn Write, record: &SessionRecord) -> io::Result<()> {
    write_report(out, record, &ReportStyle::coloured(), MARGIN, terminal::width())
}

/// A verdict that came to be seen differently.
pub(super) fn revised(out: &mut dyn Write, verdict: &Verdict) -> io::Result<()> {
    let line = format!("{DIM}revised:{DIM:#} {BOLD}{}{BOLD:#}  {}", verdict.cause, verdict.message);
    write_wrapped(out, &line, MARGIN, MARGIN + HANGING, terminal::width())
}

/// A visit whose verdict is not the one that was due.
pub(super) fn unexpected(out: &mut dyn Write, expected: &Expected) -> io::Result<()> {
    let phases: Vec<&str> = expected.phases.iter().map(|phase| phase.name()).collect();
    writeln!(out, "{:MARGIN$}{BAD}not as expected{BAD:#}: {} in {} was due", "", expected.cause, phases.join(" or "))
}

/// The table at the end: one row for each visit, and a second one where the verdict is not as expected.
pub(super) fn summary(out: &mut dyn Write, findings: &[Finding]) -> io::Result<()> {
    writeln!(out, "{BOLD}   {:<21} {:<33} {:<11} {:>8}{BOLD:#}", "case", "verdict", "step", "time")?;
    for finding in findings {
        let (style, tick) = if finding.as_expected() { (GOOD, '✓') } else { (BAD, '✗') };
        write!(out, " {style}{tick}{style:#} {:<21} ", finding.case)?;
        match &finding.verdict {
            Some(verdict) => {
                let (cause, phase, time) = (verdict.cause.id(), verdict.phase.name(), readable(finding.took));
                writeln!(out, "{cause:<33} {phase:<11} {time:>8}")?;
            }
            None => writeln!(out, "no report came")?,
        }
        if !finding.as_expected() {
            writeln!(out, "   {:<21} {} was due", "", finding.expected.cause)?;
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
