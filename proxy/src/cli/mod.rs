//! The command line: one file per command. Each command's `--help` is its documentation.

mod analyze;
mod check;
mod demo;
mod diff;
mod explain;
mod probe;
mod run;
mod target;

use clap::{Parser, Subcommand};
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::LazyLock;
use tokio::runtime::{Builder, Runtime};

/// Something went wrong while running.
const RUN_TIME_FAILURE: u8 = 1;
/// Bad usage or configuration; clap uses the same number.
const BAD_USAGE: u8 = 2;

/// The version and what this build has and lacks.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut missing: Vec<&str> = Vec::new();
    for key in config::KEYS {
        if let config::Built::No { feature, .. } = key.built
            && !missing.contains(&feature)
        {
            missing.push(feature);
        }
    }
    format!(
        "{}\nfeatures: passthrough, diagnosis, bridge, event log, metrics, admin HTTP, probe, captures, demo\nnot in this build: {}",
        env!("CARGO_PKG_VERSION"),
        missing.join(", "),
    )
});

/// Says why an RDP connection fails: who ended it, at which step, and what would fix it
///
/// rdpscope stands between RDP clients and their hosts (or in front of an RD Gateway), passes every byte on unchanged,
/// reads the negotiation and the TLS handshake on the way, and reports each connection: whether it worked and, if not,
/// why, whose doing it was, at which step, and what to change.
#[derive(Debug, Parser)]
#[command(name = "rdpscope", version, long_version = LONG_VERSION.as_str(), max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_long_help = "\
Start here:
  rdpscope demo --once
      see it judge some thirty faults, on this machine alone
  rdpscope run --listen 0.0.0.0:3389 --upstream rds07.example.net:3389
      stand in front of a host; then point clients here
  rdpscope probe rds07.example.net
      what a host accepts, and what is wrong with it
  rdpscope analyze capture.pcapng
      the same diagnosis over a capture, where no proxy can stand in the path
  rdpscope explain
      every cause it can name

Exit codes: 0 success, 1 failure while running, 2 bad usage or configuration.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Explain(explain::Explain),
    Probe(probe::Probe),
    Diff(diff::Diff),
    Analyze(analyze::Analyze),
    Demo(demo::Demo),
}

/// Reads the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(run) => run.main(),
        Command::Check(check) => check.main(),
        Command::Explain(explain) => explain.main(),
        Command::Probe(probe) => probe.main(),
        Command::Diff(diff) => diff.main(),
        Command::Analyze(analyze) => analyze.main(),
        Command::Demo(demo) => demo.main(),
    }
}

/// Writes to standard output. A reader that has left (`| head`) is no failure.
fn print(text: &str) -> ExitCode {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => failure(RUN_TIME_FAILURE, format_args!("cannot write to standard output: {error}")),
    }
}

/// Says why it ends, on standard error, and with which code.
fn failure(code: u8, why: impl Display) -> ExitCode {
    let style = anstyle::AnsiColor::BrightRed.on_default().bold();
    complain(format_args!("{style}error{style:#}: {why}"));
    ExitCode::from(code)
}

/// All that is wrong with a configuration, with colours if standard error is a terminal.
fn bad_configuration(errors: &config::Errors) -> ExitCode {
    complain(errors.render(true));
    if errors.problems().len() > 1 {
        complain(format_args!("\n{} errors, nothing was started", errors.problems().len()));
    }
    ExitCode::from(BAD_USAGE)
}

/// A line on standard error, if there is one; there is nowhere to complain if not.
fn complain(line: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// The tokio runtime of this thread. Sessions have threads of their own, so it never has much to do.
fn runtime() -> Result<Runtime, ExitCode> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failure(RUN_TIME_FAILURE, format_args!("cannot start a runtime: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_every_flag_is_explained() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_long_about().is_some(), "{}", command.get_name());
            assert!(command.get_after_long_help().is_some(), "{}", command.get_name());
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }
}
