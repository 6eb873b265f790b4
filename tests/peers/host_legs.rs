//! The connections from the proxy to its hosts as tcpdump sees them: analysed offline, each must come to the cause, the
//! side and the phase that the proxy told live.
//!
//! One tcpdump runs beside all scenarios; what it wrote is read once, at the end.

use crate::lab::{Exit, Lab, Process, STARTUP, wait_until};
use crate::proxy::{at, text};
use anyhow::{Context, Result, bail, ensure};
use parser::Timestamp;
use parser::session::Closer;
use rdpscope::analyze::analysis::{Analysis, Finding, Telling};
use rdpscope::analyze::capture::{self, Step};
use rdpscope::analyze::source::Source;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What the kernel keeps for tcpdump, in KiB (it takes less where there is less): hosts are busy in bursts.
const BUFFER: &str = "262144";

/// What a busy machine may take to pass an end on.
const TOGETHER: Duration = Duration::from_millis(500);

/// What the proxy told of the connections to one host.
#[derive(Debug)]
struct Told {
    scenario: String,
    port: u16,
    sessions: Vec<Value>,
}

/// All that was told, to be compared at the end.
#[derive(Debug, Default)]
pub(crate) struct HostLegs(Mutex<Vec<Told>>);

impl HostLegs {
    /// The proxy told of these connections to the host at this port, in the order in which they were accepted.
    pub(crate) fn told(&self, scenario: &str, port: u16, sessions: &[Value]) {
        let told = Told { scenario: scenario.to_owned(), port, sessions: sessions.to_vec() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(told);
    }
}

/// A running tcpdump on loopback.
pub(crate) struct Tcpdump {
    process: Process,
    file: PathBuf,
}

impl Tcpdump {
    /// Starts it; `None` where it may not capture.
    pub(crate) fn start(lab: &Arc<Lab>) -> Result<Option<Tcpdump>> {
        let file = lab.scratch.join("host-legs.pcap");
        let mut command = in_time("tcpdump");
        command.args(["-i", "lo", "-s", "0", "-B", BUFFER, "-Z", "root", "-w"]).arg(&file).arg("tcp");
        let mut process = Process::start(lab, command, &lab.scratch.join("tcpdump.log"))?;
        let ready = wait_until(STARTUP, || match process.try_exit() {
            None => process.output().contains("listening on").then_some(true),
            Some(_) => Some(false),
        });
        match ready {
            Some(true) => Ok(Some(Tcpdump { process, file })),
            Some(false) if process.output().contains("permission") => Ok(None),
            _ => {
                process.stop();
                bail!("tcpdump does not start: {}", process.output())
            }
        }
    }

    /// Ends it, and compares what it saw with what the proxy told.
    pub(crate) fn compare(mut self, lab: &Lab) -> Result<()> {
        self.process.stop();
        ensure!(self.process.try_exit() != Some(Exit::Running), "tcpdump does not end");
        let log = self.process.output();
        let whole = log.lines().any(|line| line == "0 packets dropped by kernel");
        let mut seen = findings(&self.file)?;
        let told = std::mem::take(&mut *lab.host_legs.0.lock().unwrap_or_else(PoisonError::into_inner));
        let (mut compared, mut bridged, mut of_two_minds, mut wrong) = (0, 0, 0, String::new());
        for told in &told {
            let seen = seen.remove(&told.port).unwrap_or_default();
            // A bridge dials again, and what it read inside of TLS is on no wire.
            if told.sessions.iter().any(|event| !at(event, "rdpscope.bridge").is_null()) {
                bridged += 1;
                continue;
            }
            let connected: Vec<&Value> = told.sessions.iter().filter(|event| reached_the_network(event)).collect();
            if seen.len() != connected.len() {
                let _ = writeln!(wrong, "{}: {} connections seen, {} told", told.scenario, seen.len(), connected.len());
                continue;
            }
            for (event, finding) in connected.into_iter().zip(&seen) {
                if only_the_proxy_knows(event) {
                    continue;
                }
                compared += 1;
                let verdict = &finding.record.verdict;
                let offline = [verdict.cause.id(), verdict.side.name(), verdict.phase.name()];
                let live = ["event.code", "rdpscope.side", "rdpscope.phase"].map(|path| text(event, path));
                if offline == live {
                    continue;
                }
                if crossed(event, finding) {
                    of_two_minds += 1;
                } else {
                    let _ = writeln!(
                        wrong,
                        "{}: live {live:?}, offline {offline:?}: {:?}",
                        told.scenario, verdict.evidence
                    );
                }
            }
        }
        println!(
            "host legs compared with the proxy's verdicts: {compared}, of which ends that crossed: {of_two_minds}"
        );
        ensure!(
            of_two_minds < 10 + compared / 10,
            "{of_two_minds} of {compared} ends have crossed what the client did"
        );
        ensure!(compared > 0 || bridged == told.len(), "nothing was compared");
        // Where packets are missing, a connection may look different from what it was: that proves nothing.
        ensure!(wrong.is_empty() || !whole, "{wrong}");
        if !whole {
            println!("the capture of host legs has holes, so differences are no failures: {log}\n{wrong}");
        }
        Ok(())
    }
}

/// A program that runs before all others where that is allowed: it must keep up with a busy machine.
fn in_time(program: &str) -> Command {
    let chrt = ["--fifo", "1"];
    let allowed = Command::new("chrt").args(chrt).arg("true").output().is_ok_and(|output| output.status.success());
    if !allowed {
        return Command::new(program);
    }
    let mut command = Command::new("chrt");
    command.args(chrt).arg(program);
    command
}

/// A connection to the host was tried.
fn reached_the_network(event: &Value) -> bool {
    !matches!(
        text(event, "event.code"),
        "dns_failure" | "proxy_limit" | "proxy_header_untrusted" | "target_not_allowed"
    )
}

/// Host and client acted at the same time, and what came first depends on where one stands: to the proxy it is what arrived
/// first, on the wire to the host it is the host's end until what the client did has been passed on. The causes differ
/// then, as `client_closed_after_cc` and `host_closed_after_cc` do, and each is right where it was told.
fn crossed(event: &Value, finding: &Finding) -> bool {
    let timeline = &finding.record.timeline;
    let [first, rest @ ..] = timeline.closes.as_slice() else { return false };
    let soon = |at: Timestamp| at >= first.at && at.since(first.at) <= TOGETHER;
    let client = &timeline.traffic.client;
    let behind = match text(event, "rdpscope.close.first") {
        // The client's end was on its way.
        "client" => rest.iter().any(|close| close.by == Closer::Client && soon(close.at)),
        // Its bytes were, and came behind the host's end or not at all.
        "host" => {
            client.last.is_some_and(soon) || at(event, "source.bytes").as_u64().is_some_and(|read| read > client.bytes)
        }
        _ => false,
    };
    first.by == Closer::Host && behind
}

/// The proxy ended it for a reason of its own, a time-out or a limit, which is on no wire.
fn only_the_proxy_knows(event: &Value) -> bool {
    text(event, "rdpscope.close.first") == "proxy" && text(event, "rdpscope.phase") != "tcp"
}

/// What was captured, by the port of the host and in the order of the first segments.
fn findings(file: &std::path::Path) -> Result<HashMap<u16, Vec<Finding>>> {
    let mut analysis = Analysis::new(Telling::Once);
    let mut found: HashMap<u16, Vec<Finding>> = HashMap::new();
    let mut note = |finding: Finding| found.entry(finding.record.identity.local.port()).or_default().push(finding);
    let summary = capture::read(Source::open(file)?, |step| {
        if let Step::Packet(packet) = step {
            analysis.packet(&packet, &mut note);
        }
        ControlFlow::Continue(())
    });
    let summary = summary.context("the capture of loopback")?;
    ensure!(summary.stopped.is_none(), "{summary:?}");
    analysis.finish(&mut note);
    found.values_mut().for_each(|all| all.sort_by_key(|finding| finding.stream));
    Ok(found)
}
