//! `rdpscope probe`

mod json;
mod text;

use super::target::target;
use super::{BAD_USAGE, RUN_TIME_FAILURE, failure, print, runtime};
use parser::profile::{Completeness, HostProfile};
use parser::wire::TlsVersion;
use rdpscope::probe;
use rdpscope::probe::ask::{self, Ask, Progress};
use rdpscope::probe::findings::{Finding, findings};
use rdpscope::probe::inside::{self, GATEWAY_PATHS, HttpAnswer};
use rdpscope::upstream::Resolver;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Ports where nothing is said: RDP's, and HTTPS for a gateway.
const RDP_PORT: u16 = 3389;
const HTTPS_PORT: u16 = 443;
/// Most connections, and the longest time, that one probe takes. A host with all of OpenSSL switched on and two keys needs 164.
const CONNECTIONS: u16 = 250;
const WITHIN: Duration = Duration::from_secs(120);

/// Ask a host what it accepts, and say what is wrong with it
///
/// Finds out which protocols the host negotiates, which TLS versions, cipher suites (in its own order, where it has one),
/// groups and signature algorithms it takes, what its certificate says, and whether large hellos get through. It asks with
/// hand-made ClientHellos, so it also finds what no TLS library contains any more: SSL 3.0, RC4, 3DES, export suites.
///
/// One connection at a time, each closed in order; nothing is sent that could log anybody on. The host sees some 20 to 170
/// connections that end after the first flight; Windows may log Schannel events 36874 and 36888 for those it refuses.
///
/// A refusal or silence counts when the same question gets it twice, and what an ordinary client gets is asked several times:
/// of hosts behind a load balancer that do not answer alike, that is told, and none is described by the answers of another.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  rdpscope probe rds07.example.net
  rdpscope probe 10.0.0.7:3390 --json | jq '.versions[] | select(.accepted).ciphers'
  rdpscope probe --gateway gw.example.net
  rdpscope probe 10.0.0.7 --sni rds07.example.net    # by address, but as its users ask for it
  rdpscope probe --credssp rds07.example.net

With TLS 1.3 alone, the certificate is read by one ordinary handshake that verifies nothing; so are
a gateway's HTTP answers.

--credssp begins NLA and reads the CredSSP version, the host's names, its build and its clock. No
credential is sent. The host may log a logon that was begun and given up: it is off by default.

Exit codes: 0 probed, 1 the host could not be reached (standard error says why), 2 bad usage.")]
pub(super) struct Probe {
    /// Host to ask; port 3389 (443 with --gateway) if none is given
    #[arg(value_name = "HOST[:PORT]")]
    host: String,
    /// TLS comes first, as at an RD Gateway; also asks its two well-known HTTP paths (401 is healthy)
    #[arg(long)]
    gateway: bool,
    /// Name to ask for in TLS (SNI); HOST itself if none is given, and none for an address
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// Also ask over NLA for CredSSP version, names, build and clock; no credentials, but the host may log it
    #[arg(long, conflicts_with = "gateway")]
    credssp: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Longest wait for one answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

/// All that was found out.
struct Probed {
    /// As it was typed, without the port.
    host: String,
    /// `host:port`.
    shown: String,
    address: Option<SocketAddr>,
    profile: HostProfile,
    gateway: Vec<(&'static str, Result<HttpAnswer, String>)>,
    /// Why CredSSP was asked for and told nothing.
    no_credssp: Option<String>,
    findings: Vec<Finding>,
    took: Duration,
    /// Now, in Unix seconds.
    now: i64,
}

impl Probe {
    pub(super) fn main(self) -> ExitCode {
        let usual = if self.gateway { HTTPS_PORT } else { RDP_PORT };
        let upstream = match target(&self.host, usual) {
            Ok(upstream) => upstream,
            Err(why) => return failure(BAD_USAGE, why),
        };
        if let Some(name) = self.sni.as_deref().filter(|name| ask::server_name(name).is_none()) {
            return failure(BAD_USAGE, format_args!("--sni takes a DNS name, as TLS does: {name:?} is none"));
        }
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(code) => return code,
        };
        let probed = runtime.block_on(self.probe(&upstream));
        runtime.shutdown_background();
        let out = if self.json { json::document(&probed) } else { text::report(&probed) };
        let unreachable = match &probed.profile.completeness {
            Completeness::Unreachable(why) => Some(format!("{}: {why}{}", probed.shown, self.hint(why))),
            _ => None,
        };
        match unreachable {
            Some(why) => {
                if self.json {
                    print(&out);
                }
                failure(RUN_TIME_FAILURE, why)
            }
            None => print(&out),
        }
    }

    fn hint(&self, why: &str) -> &'static str {
        match self.gateway {
            false if why.contains("speaks TLS at once") => "; try `--gateway`",
            false if why.contains("without an answer to a Connection Request") => {
                "; if it is an RD Gateway, try `--gateway`"
            }
            true if why.contains("does not speak TLS") => "; without `--gateway` it is asked as an RDP host",
            _ => "",
        }
    }

    async fn probe(&self, upstream: &config::Upstream) -> Probed {
        let begun = Instant::now();
        let name = self.sni.as_deref().unwrap_or(&upstream.host);
        let at = rdpscope::clock::now();
        let unasked = HostProfile { begun: at, ended: at, ..HostProfile::default() };
        let (mut profile, mut address, mut gateway) = (unasked, None, Vec::new());
        let mut no_credssp = None;
        match Resolver::default().resolve(upstream).await {
            Err((_, words)) => {
                let words = format!("the name cannot be resolved: {words}");
                profile.completeness = Completeness::Unreachable(words);
            }
            Ok(addresses) => {
                for candidate in addresses {
                    let mut ask = Ask::new(candidate);
                    ask.timeout = Duration::from_secs(self.timeout);
                    ask.within = WITHIN;
                    ask.options.tls_first = self.gateway;
                    ask.options.server_name = ask::server_name(name);
                    ask.options.max_handshakes = CONNECTIONS;
                    let mut line = ProgressLine::new();
                    profile = probe::probe(&ask, None, |progress| line.show(&progress)).await;
                    address = Some(candidate);
                    if !matches!(profile.completeness, Completeness::Unreachable(_)) {
                        line.show(&Progress { connections: profile.handshakes, topic: "inside TLS".to_owned() });
                        self.ask_paths(&ask, name, &mut profile, &mut gateway).await;
                        if self.credssp {
                            no_credssp = ask_credssp(&ask, &mut profile).await.err();
                        }
                        break;
                    }
                }
            }
        }
        profile.tls_first = self.gateway;
        let now = rdpscope::clock::now().unix_seconds();
        Probed {
            findings: findings(&profile, name, &gateway, now),
            host: upstream.host.clone(),
            shown: upstream.to_string(),
            address,
            profile,
            gateway,
            no_credssp,
            took: begun.elapsed(),
            now,
        }
    }

    /// The two well-known paths of a gateway.
    async fn ask_paths(
        &self,
        ask: &Ask,
        host: &str,
        profile: &mut HostProfile,
        gateway: &mut Vec<(&'static str, Result<HttpAnswer, String>)>,
    ) {
        if self.gateway {
            for path in GATEWAY_PATHS {
                gateway.push((path, inside::http_answer(ask, host, path).await));
                profile.handshakes += 1;
            }
        }
    }
}

/// The last question: the profile then ends with it, and the host's clock is held against that moment.
async fn ask_credssp(ask: &Ask, profile: &mut HostProfile) -> Result<(), String> {
    let modern = [TlsVersion::TLS12, TlsVersion::TLS13];
    if !modern.iter().any(|version| profile.ability(*version).is_some_and(|ability| ability.accepted())) {
        return Err("the host has neither TLS 1.2 nor TLS 1.3, and it is asked with nothing older".to_owned());
    }
    profile.handshakes += 1;
    let (facts, at) = inside::credssp(ask).await?;
    (profile.credssp, profile.ended) = (Some(facts), at);
    Ok(())
}

/// One line that is written over, on a terminal alone.
struct ProgressLine {
    shown: bool,
    begun: Instant,
    used: bool,
}

impl ProgressLine {
    fn new() -> ProgressLine {
        ProgressLine { shown: std::io::stderr().is_terminal(), begun: Instant::now(), used: false }
    }

    fn show(&mut self, progress: &Progress) {
        if self.shown {
            self.used = true;
            let Progress { connections, topic } = progress;
            let seconds = self.begun.elapsed().as_secs_f32();
            let _ = write!(std::io::stderr(), "\r\x1b[K{connections} connections, {seconds:.1} s: {topic}");
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.used {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
