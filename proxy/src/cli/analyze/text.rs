//! Findings as a person reads them.

use super::tally::{Host, Kind, Tally};
use anstyle::{AnsiColor, Style};
use parser::Timestamp;
use parser::diagnosis::{Cause, Outcome};
use rdpscope::analyze::analysis::Finding;
use rdpscope::analyze::capture::Summary;
use rdpscope::record::{ReportStyle, rfc3339, write_report};
use rdpscope::terminal;
use std::io::{self, Write};
use std::net::SocketAddr;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Columns before a report: it stands under its connection.
const MARGIN: usize = 4;
/// Hosts in the table, those with most failures first.
const MOST_HOSTS: usize = 20;

/// One connection.
pub(super) fn finding(out: &mut dyn Write, finding: &Finding, file: Option<&str>) -> io::Result<()> {
    let record = &finding.record;
    write!(out, "{BOLD}stream {}{BOLD:#}", finding.stream)?;
    if let Some(file) = file {
        write!(out, " of {file}")?;
    }
    write!(out, "  {DIM}{}{DIM:#}", rfc3339(record.identity.accepted))?;
    if finding.revised {
        write!(out, "  {BOLD}revised{BOLD:#}")?;
    }
    if finding.attempt.number > 1 {
        write!(out, "  {DIM}connection {} of one attempt{DIM:#}", finding.attempt.number)?;
    }
    writeln!(out)?;
    if let Some(leg) = finding.other_leg {
        let (is, other) = match leg.of_gateway {
            true => ("the gateway's own connection", "the client's is"),
            false => ("the way to a gateway", "it goes on as"),
        };
        writeln!(out, "{:MARGIN$}{is}; {other} stream {} to {}", "", leg.stream, leg.host)?;
    }
    write_report(out, record, &ReportStyle::coloured(), MARGIN, terminal::width())?;
    writeln!(out)
}

/// The tables at the end.
pub(super) fn summary(
    out: &mut dyn Write,
    name: &str,
    summary: &Summary,
    connections: u64,
    tally: &Tally,
) -> io::Result<()> {
    writeln!(out, "{BOLD}{name}{BOLD:#}  {DIM}{}{DIM:#}", span(summary.times))?;
    let count = |kind: Kind| tally.causes.iter().filter(|((of, _), _)| *of == kind).map(|(_, c)| c.connections).sum();
    let (rdp, tls, other): (u64, u64, u64) = (count(Kind::Rdp), count(Kind::Tls), count(Kind::Other));
    writeln!(
        out,
        "packets: {}, TCP connections: {connections} (RDP: {rdp}, TLS from the first byte: {tls}, other: {other})",
        summary.packets
    )?;
    if rdp > 0 {
        writeln!(out)?;
        causes(out, "RDP", Kind::Rdp, tally)?;
    }
    if tls > 0 {
        writeln!(out)?;
        causes(out, "TLS: a gateway's or any other", Kind::Tls, tally)?;
    }
    if !tally.hosts.is_empty() {
        writeln!(out)?;
        hosts(out, tally)?;
    }
    writeln!(out)
}

fn span(times: Option<(Timestamp, Timestamp)>) -> String {
    let Some((first, last)) = times else { return "no packets".to_owned() };
    let second = |at| rfc3339(at).get(..19).unwrap_or_default().replace('T', " ");
    format!("{} to {} UTC", second(first), second(last))
}

fn causes(out: &mut dyn Write, title: &str, kind: Kind, tally: &Tally) -> io::Result<()> {
    let mut rows: Vec<_> = tally.causes.iter().filter(|((of, _), _)| *of == kind).collect();
    rows.sort_by_key(|((_, cause), count)| (order(*cause), u64::MAX - count.connections));
    writeln!(out, "{BOLD}   {title:<34} {:>11} {:>8}{BOLD:#}", "connections", "clients")?;
    for ((_, cause), count) in rows {
        let (style, mark) = match cause.outcome() {
            Outcome::Failure => (BAD, '✗'),
            Outcome::Success => (GOOD, '✓'),
            Outcome::Unknown => (DIM, '·'),
        };
        let (id, more) = (cause.id(), if count.more { ">" } else { "" });
        let clients = format!("{more}{}", count.clients.len());
        writeln!(out, " {style}{mark}{style:#} {id:<34} {:>11} {clients:>8}", count.connections)?;
    }
    Ok(())
}

/// Failures first.
fn order(cause: Cause) -> u8 {
    match cause.outcome() {
        Outcome::Failure => 0,
        Outcome::Unknown => 1,
        Outcome::Success => 2,
    }
}

fn hosts(out: &mut dyn Write, tally: &Tally) -> io::Result<()> {
    let failed = |host: &Host| -> u64 {
        host.causes.iter().filter(|(cause, _)| cause.outcome() == Outcome::Failure).map(|(_, count)| count).sum()
    };
    let mut rows: Vec<(&SocketAddr, &Host)> = tally.hosts.iter().collect();
    rows.sort_by_key(|(address, host)| (u64::MAX - failed(host), u64::MAX - host.connections, **address));
    writeln!(out, "{BOLD}   {:<34} {:>11} {:>8}  causes{BOLD:#}", "host", "connections", "failed")?;
    for (address, host) in rows.iter().take(MOST_HOSTS) {
        let mut causes: Vec<(&Cause, &u64)> = host.causes.iter().collect();
        causes.sort_by_key(|(cause, count)| (order(**cause), u64::MAX - **count));
        let causes: Vec<String> = causes.iter().map(|(cause, count)| format!("{cause} {count}")).collect();
        let line = format!(
            "   {:<34} {:>11} {:>8}  {}",
            address.to_string(),
            host.connections,
            failed(host),
            causes.join(", ")
        );
        terminal::write_wrapped(out, &line, 0, 60, terminal::width())?;
    }
    if rows.len() > MOST_HOSTS {
        writeln!(out, "   {DIM}and {} more{DIM:#}", rows.len() - MOST_HOSTS)?;
    }
    if tally.elsewhere > 0 {
        writeln!(out, "   {DIM}and still others (connections: {}){DIM:#}", tally.elsewhere)?;
    }
    Ok(())
}
