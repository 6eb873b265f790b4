//! `rdpscope demo`

use super::{RUN_TIME_FAILURE, failure, runtime};
use std::io::ErrorKind;
use std::process::ExitCode;

/// Watch it judge real faults, on this machine alone
///
/// Starts embedded hosts with some thirty different faults and embedded clients on loopback, sends each client
/// through the real proxy in the same process, and prints every report as it happens and a table at the end. Then the
/// admin endpoint stays open until Ctrl-C: look at /metrics and /api/sessions. Needs no network and no rights.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  rdpscope demo           the tour, then the admin endpoint until Ctrl-C
  rdpscope demo --once    the tour alone, for a script

Exit codes: 0 every case got the verdict it should, 1 one did not.")]
pub(super) struct Demo {
    /// End after the tour
    #[arg(long)]
    once: bool,
}

/// The reader has left (`| head`).
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

impl Demo {
    pub(super) fn main(self) -> ExitCode {
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(code) => return code,
        };
        match runtime.block_on(rdpscope::demo::run(self.once)) {
            Ok(true) => ExitCode::SUCCESS,
            // The table has shown which.
            Ok(false) => ExitCode::from(RUN_TIME_FAILURE),
            Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
            Err(error) => failure(RUN_TIME_FAILURE, format_args!("{error:#}")),
        }
    }
}
