//! `rdpscope run`

use super::{BAD_USAGE, RUN_TIME_FAILURE, bad_configuration, failure, runtime};
use config::Settings;
use rdpscope::observe::log::{self, LogFormat};
use rdpscope::run::{Reload, RunError, RunOptions};
use std::path::PathBuf;
use std::process::ExitCode;

/// Run the proxy
///
/// Accepts clients, connects each to the host, passes every byte on unchanged and reports every connection: an event
/// per session as a JSON line, a readable line in the log, metrics and live sessions over HTTP. Either a file says
/// what to do (`--config`), or two flags do (`--listen` and `--upstream`).
///
/// It accepts connections once it has logged "listening". Point clients at that address, or the host's DNS name.
#[derive(Debug, clap::Args)]
#[command(override_usage = "\
rdpscope run --config <FILE> [--log-format <FORMAT>]
       rdpscope run --listen <ADDR> --upstream <HOST:PORT> [OPTIONS]")]
#[command(group(clap::ArgGroup::new("what").required(true).args(["config", "listen"])))]
#[command(after_long_help = "\
Signals:
  SIGTERM, SIGINT  take no new sessions, let live ones go on up to drain_timeout (12h by default);
                   a second one ends now
  SIGHUP           read the file again; a bad file leaves the running configuration in force, and
                   the log says why. The event log is opened anew, as after log rotation

Probing:
  A session that failed in a way that only the host's own answers explain makes rdpscope ask the
  host what it accepts: one connection at a time, closed in order, at most one probe per host in
  five minutes. A `verdict` event with the same session.id then carries the proof. `--probe off`
  (`mode` of [probe] in the file) never asks. What hosts answered is kept in $STATE_DIRECTORY.

Log level:
  RUST_LOG=warn writes failures alone; RUST_LOG=debug also sessions that hang, and every scanner.

Bridge:
  `--bridge auto` terminates TLS on both sides for a client and a host that cannot meet, and only
  for those; every other pair passes untouched. The host is known by `--bridge-pin sha256:HEX`, the
  hash of its certificate or public key (`rdpscope probe HOST` shows it), or else by the system's
  certificate authorities. NLA needs the host's own key pair, versions below 1.2 an entry for the
  one host: both in a file, [listener.bridge]. `rdpscope check --help` lists its keys.

User names:
  In events they are hashed with a random key (`user_names` in the file changes that). The key is
  kept in $STATE_DIRECTORY, which systemd sets by StateDirectory=, so that hashes stay the same over
  a restart. Without one the key lives as long as the process.

Examples:
  rdpscope run --listen 0.0.0.0:3389 --upstream rds07.example.net:3389
  rdpscope run --listen '[::]:3390' --upstream 10.0.0.7 --event-log /var/log/rdpscope/events.jsonl
  rdpscope run --listen 127.0.0.1:0 --upstream rds07 --admin off --log-format json
  rdpscope run --listen 0.0.0.0:3389 --upstream srv2012 --bridge auto --bridge-pin sha256:…
  rdpscope run --config /etc/rdpscope.toml

Exit codes: 0 a clean stop, 1 a failure while running (port in use, no permission, …), 2 bad usage
or configuration, with the certificates and keys that it names.")]
pub(super) struct Run {
    /// The configuration file; `rdpscope check --help` lists its keys
    #[arg(long, short, value_name = "FILE",
          conflicts_with_all = ["upstream", "bridge", "bridge_pin", "probe", "capture", "event_log", "admin", "threads"])]
    config: Option<PathBuf>,

    /// Address and port to accept clients on, such as 0.0.0.0:3389 or [::]:3389; port 0 takes a free one
    #[arg(long, value_name = "ADDR", requires = "upstream")]
    listen: Option<String>,

    /// The host to lead to, by name or address; port 3389 if left out
    #[arg(long, value_name = "HOST:PORT", requires = "listen")]
    upstream: Option<String>,

    /// Bridge a client and a host whose TLS cannot meet: off, auto or always [default: off]
    #[arg(long, value_name = "MODE", requires = "listen")]
    bridge: Option<String>,

    /// SHA-256 of the host's certificate or public key, by which the bridge knows it [default: the system's CAs]
    #[arg(long, value_name = "sha256:HEX", requires = "bridge")]
    bridge_pin: Option<String>,

    /// When to ask the host what it accepts: off, on_failure or schedule [default: on_failure]
    #[arg(long, value_name = "MODE", requires = "listen")]
    probe: Option<String>,

    /// Write the opening of each failed session into this directory, as pcapng [default: none is written]
    #[arg(long, value_name = "DIR", requires = "listen")]
    capture: Option<String>,

    /// Append session events to this file; `-` is standard output, `unix:PATH` a socket on which a collector listens, `off`
    /// nowhere [default: -]
    #[arg(long, value_name = "FILE", requires = "listen")]
    event_log: Option<String>,

    /// Address of metrics, health and live sessions over HTTP; `off` for none [default: 127.0.0.1:9389]
    #[arg(long, value_name = "ADDR", requires = "listen")]
    admin: Option<String>,

    /// Threads that relay; 0 is one per core this process may use [default: 0]
    #[arg(long, value_name = "N", requires = "listen", value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: Option<u16>,

    /// How the log on standard error is written; session events are JSON always
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

impl Run {
    pub(super) fn main(self) -> ExitCode {
        let mut settings = match self.settings() {
            Ok(settings) => settings,
            Err(errors) => return bad_configuration(&errors),
        };
        settings.state_directory = state_directory();
        log::init(match self.log_format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        });
        if let Some(admin) = settings.admin.as_ref().filter(|admin| !admin.listen.ip().is_loopback()) {
            tracing::warn!("other machines can reach the admin endpoint on {}, and it has no login", admin.listen);
        }
        let reload = self.config.map(|path| -> Reload {
            Box::new(move || {
                let mut settings = config::load(&path).map_err(|errors| errors.to_string())?;
                settings.state_directory = state_directory();
                Ok(settings)
            })
        });
        // Sessions have threads of their own; on this one live signals, the admin endpoint and the prober.
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(code) => return code,
        };
        let result = runtime.block_on(rdpscope::run::run(settings, RunOptions { reload }));
        log::flush();
        match result {
            Ok(()) => ExitCode::SUCCESS,
            // A certificate or a key that the file names is a part of it, and `check` says the same: starting again would
            // not mend it.
            Err(error @ RunError::Bridge { .. }) => failure(BAD_USAGE, error),
            Err(error) => failure(RUN_TIME_FAILURE, error),
        }
    }

    fn settings(&self) -> Result<Settings, config::Errors> {
        if let Some(path) = &self.config {
            return config::load(path);
        }
        let flags = config::Flags {
            listen: self.listen.as_deref().unwrap_or_default(),
            upstream: self.upstream.as_deref().unwrap_or_default(),
            bridge: self.bridge.as_deref(),
            bridge_pin: self.bridge_pin.as_deref(),
            probe: self.probe.as_deref(),
            capture: self.capture.as_deref(),
            event_log: self.event_log.as_deref(),
            admin: self.admin.as_deref(),
            threads: self.threads.map(usize::from),
        };
        flags.settings()
    }
}

/// systemd sets it to the directories of `StateDirectory=`, separated by colons; the first is ours.
fn state_directory() -> Option<PathBuf> {
    let directories = std::env::var_os("STATE_DIRECTORY")?;
    std::env::split_paths(&directories).next().filter(|path| !path.as_os_str().is_empty())
}
