//! Connections counted: per cause, and per host.

use parser::diagnosis::{Cause, Outcome};
use parser::session::Opening;
use rdpscope::analyze::analysis::Finding;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

/// Where RDP hosts listen.
const RDP_PORT: u16 = 3389;
/// Hosts, and clients of one cause, that are told apart.
const HOSTS: usize = 10_000;
const CLIENTS: usize = 10_000;

/// What a connection is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// RDP, or what would have become RDP.
    Rdp,
    /// TLS from the first byte: a gateway's, or any other.
    Tls,
    Other,
}

/// All of one capture.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) causes: BTreeMap<(Kind, Cause), Count>,
    pub(super) hosts: HashMap<SocketAddr, Host>,
    /// Addresses of hosts that have spoken RDP.
    speak_rdp: BTreeSet<SocketAddr>,
    /// What was counted of connections that may still be told again.
    open: HashMap<u64, (Kind, Cause)>,
}

/// One cause.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) connections: u64,
    pub(super) clients: BTreeSet<IpAddr>,
}

/// One host. Other connections than RDP and TLS are left out.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) connections: u64,
    pub(super) causes: BTreeMap<Cause, u64>,
}

impl Tally {
    /// Counts a finding. Says whether it is about RDP, as far as can be known.
    pub(super) fn add(&mut self, finding: &Finding) -> bool {
        let host = finding.record.identity.local;
        let cause = finding.record.verdict.cause;
        let kind = self.kind(finding, host);
        if finding.revised
            && let Some(before) = self.open.remove(&finding.stream)
        {
            self.take_back(before, host);
        }
        if !finding.is_final {
            self.open.insert(finding.stream, (kind, cause));
        }
        let count = self.causes.entry((kind, cause)).or_default();
        count.connections += 1;
        if count.clients.len() < CLIENTS {
            count.clients.insert(finding.record.identity.client.ip());
        }
        if kind != Kind::Other && (self.hosts.len() < HOSTS || self.hosts.contains_key(&host)) {
            let counted = self.hosts.entry(host).or_default();
            counted.connections += 1;
            *counted.causes.entry(cause).or_default() += 1;
        }
        match kind {
            Kind::Rdp => true,
            Kind::Tls => finding.other_leg.is_some() || finding.record.timeline.tls.established.is_none(),
            Kind::Other => false,
        }
    }

    fn kind(&mut self, finding: &Finding, host: SocketAddr) -> Kind {
        let timeline = &finding.record.timeline;
        match timeline.opening {
            Opening::X224 if timeline.request.is_some() || timeline.answer.is_some() => {
                if timeline.answer.is_some() && self.speak_rdp.len() < HOSTS {
                    self.speak_rdp.insert(host);
                }
                Kind::Rdp
            }
            Opening::TlsFirst | Opening::GatewayHttp => Kind::Tls,
            Opening::X224 | Opening::Unknown if host.port() == RDP_PORT || self.speak_rdp.contains(&host) => Kind::Rdp,
            Opening::X224 | Opening::Unknown | Opening::NotRdp => Kind::Other,
        }
    }

    fn take_back(&mut self, (kind, cause): (Kind, Cause), host: SocketAddr) {
        if let Some(count) = self.causes.get_mut(&(kind, cause)) {
            count.connections -= 1;
            if count.connections == 0 {
                self.causes.remove(&(kind, cause));
            }
        }
        if let Some(counted) = self.hosts.get_mut(&host).filter(|_| kind != Kind::Other) {
            counted.connections -= 1;
            if let Some(count) = counted.causes.get_mut(&cause) {
                *count -= 1;
            }
            counted.causes.retain(|_, count| *count > 0);
        }
    }
}

/// It stopped a user.
pub(super) fn failed(finding: &Finding) -> bool {
    finding.record.verdict.outcome() == Outcome::Failure
}
