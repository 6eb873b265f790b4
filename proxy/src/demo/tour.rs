//! The tour: a proxy with a listener per case, the hosts behind it, and the clients that come one after another.

use super::actor;
use super::case::{Case, Expected, Visit};
use super::hosts::{self, Standing};
use super::print;
use super::tls::Credentials;
use crate::observe::{Notice, Observer};
use crate::run::{Proxy, RunError};
use anyhow::Context;
use config::{Admin, EventPath, Events, Limits, Listener, Probe, Settings, Timeouts, Upstream, UserNames};
use parser::diagnosis::Verdict;
use parser::session::Peer;
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

/// The admin endpoint of the demo: where that of `run` is, so that what the documents say of it holds here too.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9389);
/// Longest wait for a report, or for a revision that is due.
const REPORT_DEADLINE: Duration = Duration::from_secs(15);

/// One visit, and what was said of it.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// Name of the case.
    pub(super) case: &'static str,
    /// What should have been said.
    pub(super) expected: Expected,
    /// What was said last; `None` when no report came.
    pub(super) verdict: Option<Verdict>,
    /// From the accept to the end on both sides.
    pub(super) took: Duration,
    session: Option<Uuid>,
}

impl Finding {
    /// A visit of which nothing was said yet.
    fn due(case: &Case, visit: &Visit) -> Finding {
        Finding { case: case.name, expected: visit.expected, verdict: None, took: Duration::ZERO, session: None }
    }

    /// True when the right thing was said.
    pub(super) fn as_expected(&self) -> bool {
        self.verdict.as_ref().is_some_and(|verdict| self.expected.is_met_by(verdict))
    }
}

/// Everything that the tour needs, up and running.
pub(super) struct Tour {
    cases: &'static [Case],
    proxy: Proxy,
    notices: UnboundedReceiver<Notice>,
    credentials: Arc<Credentials>,
    _hosts: Vec<Standing>,
}

impl Tour {
    /// Puts up the hosts of `cases` and the proxy in front of them.
    pub(super) async fn start(cases: &'static [Case]) -> anyhow::Result<Tour> {
        let credentials = Arc::new(Credentials::generate()?);
        let mut hosts = Vec::with_capacity(cases.len());
        for case in cases {
            hosts.push(hosts::stand(case.host, &credentials).await.with_context(|| case.name)?);
        }
        let mut settings = settings(cases, &hosts);
        let observer = Observer::start(&settings)?;
        let notices = observer.notices();
        let proxy = match Proxy::start(settings.clone(), Arc::clone(&observer)).await {
            // Somebody has that port already, a running rdpscope perhaps: any other will do.
            Err(RunError::InUse { address: ADMIN, .. }) => {
                settings.admin = Some(Admin { listen: SocketAddr::new(ADMIN.ip(), 0) });
                Proxy::start(settings, observer).await?
            }
            started => started?,
        };
        Ok(Tour { cases, proxy, notices, credentials, _hosts: hosts })
    }

    /// The proxy that judges.
    pub(super) fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Sends every client, writes each report as it comes, and tells what was found.
    pub(super) async fn visit_all(&mut self, out: &mut (dyn Write + Send)) -> anyhow::Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for (index, case) in self.cases.iter().enumerate() {
            print::heading(out, index + 1, self.cases.len(), case)?;
            // A client of its own for each case: what one does next must not explain what another did.
            let client = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 1, 0)) + u32::try_from(index % 250)? + 1);
            let first = findings.len();
            for visit in case.visits {
                self.send(case, visit, client).await?;
                findings.push(Finding::due(case, visit));
                self.hear(&mut findings[first..], out).await?;
            }
            self.hear_revisions(&mut findings[first..], out).await?;
            for finding in findings[first..].iter().filter(|f| !f.as_expected()) {
                print::unexpected(out, &finding.expected)?;
            }
            writeln!(out)?;
            out.flush()?;
        }
        Ok(findings)
    }

    /// Ends the proxy, and with it all hosts.
    pub(super) async fn stop(self) {
        self.proxy.stop().await;
    }

    /// Plays one client, to its end.
    async fn send(&self, case: &Case, visit: &Visit, client: Ipv4Addr) -> anyhow::Result<()> {
        let listener = self.proxy.address(case.name).await.with_context(|| format!("no listener {}", case.name))?;
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((client, 0))).context("a client address on loopback")?;
        match socket.connect(listener).await {
            Ok(stream) => actor::play(stream, Peer::Client, visit.client, &self.credentials).await,
            // Without a host the proxy resets its clients, sometimes before they know that they are connected.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => return Err(error).with_context(|| format!("listener {} at {listener}", case.name)),
        }
        Ok(())
    }

    /// Waits for the report of the last of these visits, all to one case.
    async fn hear(&mut self, findings: &mut [Finding], out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let deadline = Instant::now() + REPORT_DEADLINE;
        while findings.last().is_some_and(|f| f.verdict.is_none()) {
            let Ok(Some(notice)) = timeout_at(deadline, self.notices.recv()).await else { break };
            note(notice, findings, out)?;
        }
        Ok(())
    }

    /// Waits for revisions, while a verdict is not yet what it should become. What a client did next changes what is
    /// known of its visit before, so there must be a next one.
    async fn hear_revisions(&mut self, findings: &mut [Finding], out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let deadline = Instant::now() + REPORT_DEADLINE;
        while findings.len() > 1 && !findings.iter().all(Finding::as_expected) {
            let Ok(Some(notice)) = timeout_at(deadline, self.notices.recv()).await else { break };
            note(notice, findings, out)?;
        }
        Ok(())
    }
}

/// Writes what the proxy says, if it is about one of these visits, and keeps the verdict.
fn note(notice: Notice, findings: &mut [Finding], out: &mut dyn Write) -> anyhow::Result<()> {
    match notice {
        Notice::Ended(record) => {
            let due = findings.iter_mut().find(|f| f.session.is_none() && *record.identity.listener == *f.case);
            if let Some(finding) = due {
                print::connection(out, &record)?;
                finding.took = record.ended.since(record.identity.accepted);
                finding.session = Some(record.identity.id);
                finding.verdict = Some(record.verdict.clone());
            }
        }
        Notice::Revised { session, verdict } => {
            if let Some(finding) = findings.iter_mut().find(|f| f.session == Some(session)) {
                print::revised(out, &verdict)?;
                finding.verdict = Some(verdict);
            }
        }
    }
    Ok(())
}

/// What `run` would read from a file: a listener per case, and time-outs short enough for somebody who watches.
fn settings(cases: &[Case], hosts: &[Standing]) -> Settings {
    let listeners = cases
        .iter()
        .zip(hosts)
        .map(|(case, host)| Listener {
            name: case.name.to_owned(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            upstream: Upstream { host: host.upstream.0.clone(), port: host.upstream.1 },
            max_sessions: config::MAX_SESSIONS,
            max_sessions_per_client: config::MAX_SESSIONS_PER_CLIENT,
            bridge: config::Bridge::default(),
        })
        .collect();
    let short = Duration::from_millis(1200);
    Settings {
        listeners,
        timeouts: Timeouts { connect: 2 * short, negotiate: short, client_hello: short, server_hello: short },
        // Whoever watches sees the proof in the report itself, not as a revision.
        probe: Probe { timeout: short / 4, hold: Duration::from_secs(1), ..Probe::default() },
        events: Events { path: EventPath::Off, user_names: UserNames::Hash, live: false },
        admin: Some(Admin { listen: ADMIN }),
        limits: Limits::default(),
        capture: None,
        state_directory: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::case::Host;
    use super::super::script::Step;
    use super::*;
    use parser::diagnosis::Cause;
    use parser::session::Phase;

    const RIGHT: Visit = Visit {
        client: &[Step::Request { user: "alice", protocols: 0 }, Step::ReadPacket],
        expected: Expected { cause: Cause::NegSslRequired, phases: &[Phase::X224] },
    };
    const WRONG: Visit = Visit { expected: Expected { cause: Cause::NlaRequired, phases: &[Phase::X224] }, ..RIGHT };
    const HOST: Host = Host::Plays(&[&[Step::ReadPacket, Step::Refuse(1), Step::AwaitEnd]]);

    #[tokio::test(flavor = "multi_thread")]
    async fn a_wrong_expectation_is_found_and_shown() {
        static CASES: [Case; 2] = [
            Case { name: "right", about: "TLS is required", host: HOST, visits: &[RIGHT] },
            Case { name: "wrong", about: "said to be NLA, which it is not", host: HOST, visits: &[WRONG] },
        ];
        let mut tour = Tour::start(&CASES).await.expect("a tour");
        let mut out = Vec::new();
        let findings = tour.visit_all(&mut out).await.expect("reports");
        tour.stop().await;

        let met: Vec<bool> = findings.iter().map(Finding::as_expected).collect();
        assert_eq!(met, [true, false]);
        let text = anstream::adapter::strip_str(&String::from_utf8(out).expect("text")).to_string();
        assert_eq!(text.matches("not as expected: nla_required in x224 was due").count(), 1, "{text}");
    }
}
