//! `rdpscope diff`

mod captured;
mod client;
mod report;

use super::target::target;
use super::{BAD_USAGE, RUN_TIME_FAILURE, failure, print, runtime};
use captured::{Captured, NoClient};
use client::Client;
use parser::profile::{Completeness, HostProfile};
use rdpscope::probe;
use rdpscope::probe::ask::{self, Ask, Progress};
use rdpscope::probe::findings::UNLIKE;
use rdpscope::upstream::Resolver;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const RDP_PORT: u16 = 3389;
const HTTPS_PORT: u16 = 443;
/// Most connections, and the longest time, that one of the two probes takes.
const CONNECTIONS: u16 = 250;
const WITHIN: Duration = Duration::from_secs(120);

/// Compare two hosts, and say why a client reaches one and not the other
///
/// Asks both hosts what they accept, one after the other (see `rdpscope probe`), and lists in what they differ: TLS
/// versions, cipher suites and their order, groups, signature algorithms, certificate, negotiation.
///
/// With a client, given as a recorded session, by a capture of it or by the name of a Windows version, it says whether that
/// client meets each host, which difference makes it so, and the smallest change that would let it in. A Windows version stands for its
/// published defaults: a hint, never a proof, since policies and updates change them.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  rdpscope diff rds07.example.net rds08.example.net
  rdpscope diff rds07 rds08 --client win10_22h2
  rdpscope diff rds07 rds08 --session 0193f2a6-7c1e --event-log /var/log/rdpscope/events.jsonl
  rdpscope diff rds07 rds08 --capture client.pcapng --stream 2
  rdpscope diff --client list
  rdpscope diff 10.0.0.7 10.0.0.8:3390 --json | jq '.differences[].item'

Without a client, every Windows version that reaches one host and not the other is named.

Exit codes: 0 compared, 1 a host could not be reached or does not answer alike, or a capture or an event log not be read
(standard error says which and why; of a host also the document of --json), 2 bad usage.")]
pub(super) struct Diff {
    /// The first host; port 3389 (443 with --gateway) if none is given
    #[arg(value_name = "HOST[:PORT]")]
    first: Option<String>,
    /// The second host
    #[arg(value_name = "HOST[:PORT]")]
    second: Option<String>,
    /// A Windows version by name, as `win7` or `"Windows Server 2019"`; `list` prints all of them
    #[arg(long, value_name = "NAME", conflicts_with_all = ["session", "capture"])]
    client: Option<String>,
    /// A recorded session: its `session.id`, or the beginning of it
    #[arg(long, value_name = "ID", requires = "event_log", conflicts_with = "capture")]
    session: Option<String>,
    /// The event log that holds the session; gzip too
    #[arg(long, value_name = "FILE", requires = "session")]
    event_log: Option<PathBuf>,
    /// A pcap or pcapng file: the client of the first connection in it that has a ClientHello
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// The client of this connection of the capture instead, numbered from 0 as by tshark (`tcp.stream`)
    #[arg(long, value_name = "N", requires = "capture")]
    stream: Option<u64>,
    /// TLS comes first at both, as at an RD Gateway
    #[arg(long)]
    gateway: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Longest wait for one answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

/// One of the two.
struct Asked {
    /// As it was typed, without the port.
    host: String,
    /// `host:port`.
    shown: String,
    profile: HostProfile,
}

impl Diff {
    pub(super) fn main(self) -> ExitCode {
        if self.client.as_deref() == Some("list") {
            return print(&if self.json { client::list_json() } else { client::list() });
        }
        let client = match self.chosen() {
            Ok(client) => client,
            Err((code, why)) => return failure(code, why),
        };
        let (Some(first), Some(second)) = (&self.first, &self.second) else {
            return failure(BAD_USAGE, "two hosts are needed: `rdpscope diff HOST HOST`");
        };
        let usual = if self.gateway { HTTPS_PORT } else { RDP_PORT };
        let (first, second) = match (target(first, usual), target(second, usual)) {
            (Ok(first), Ok(second)) => (first, second),
            (Err(why), _) | (_, Err(why)) => return failure(BAD_USAGE, why),
        };
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(code) => return code,
        };
        let asked = runtime.block_on(async { [self.ask(&first).await, self.ask(&second).await] });
        runtime.shutdown_background();
        let unknown: Vec<String> = asked.iter().filter_map(unknown).collect();
        if !unknown.is_empty() {
            if self.json {
                print(&report::uncompared(&asked));
            }
            return failure(RUN_TIME_FAILURE, unknown.join("\n       "));
        }
        let report = report::Report::new(asked, client);
        print(&if self.json { report.json() } else { report.text() })
    }

    /// The client, or an exit code and why there is none.
    fn chosen(&self) -> Result<Option<Client>, (u8, String)> {
        let usage = |why| (BAD_USAGE, why);
        let absent = |why: NoClient| (why.code(), why.to_string());
        match (&self.client, &self.session, &self.event_log, &self.capture) {
            (Some(name), ..) => Client::windows(name).map(Some).map_err(usage),
            (None, Some(id), Some(file), _) => Client::recorded(id, file).map(Some).map_err(absent),
            (None, _, _, Some(file)) => {
                Captured::read(file, self.stream).map(|captured| Some(Client::Captured(captured))).map_err(absent)
            }
            _ => Ok(None),
        }
    }

    async fn ask(&self, upstream: &config::Upstream) -> Asked {
        let shown = upstream.to_string();
        let mut profile = HostProfile::default();
        match Resolver::default().resolve(upstream).await {
            Err((_, words)) => {
                profile.completeness = Completeness::Unreachable(format!("the name cannot be resolved: {words}"));
            }
            Ok(addresses) => {
                for address in addresses {
                    let mut ask = Ask::new(address);
                    ask.timeout = Duration::from_secs(self.timeout);
                    ask.within = WITHIN;
                    ask.options.tls_first = self.gateway;
                    ask.options.server_name = ask::server_name(&upstream.host);
                    ask.options.max_handshakes = CONNECTIONS;
                    let line = ProgressLine::new(&shown);
                    profile = probe::probe(&ask, None, |progress| line.show(&progress)).await;
                    if !matches!(profile.completeness, Completeness::Unreachable(_)) {
                        break;
                    }
                }
            }
        }
        profile.tls_first = self.gateway;
        Asked { host: upstream.host.clone(), shown, profile }
    }
}

/// Why there is nothing to compare.
fn unknown(asked: &Asked) -> Option<String> {
    match &asked.profile.completeness {
        Completeness::Unreachable(why) => Some(format!("{}: {why}", asked.shown)),
        Completeness::Mixed(why) => Some(format!("{}: it does not answer alike: {why}. {UNLIKE}", asked.shown)),
        Completeness::Complete | Completeness::Partial(_) => None,
    }
}

/// One line on a terminal that is written over, and taken away at the end.
struct ProgressLine<'a> {
    host: &'a str,
    shown: bool,
}

impl ProgressLine<'_> {
    fn new(host: &str) -> ProgressLine<'_> {
        ProgressLine { host, shown: std::io::stderr().is_terminal() }
    }

    fn show(&self, progress: &Progress) {
        if self.shown {
            let Progress { connections, topic } = progress;
            let _ = write!(std::io::stderr(), "\r\x1b[K{}: {connections} connections: {topic}", self.host);
        }
    }
}

impl Drop for ProgressLine<'_> {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
