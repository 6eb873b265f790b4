//! Connections counted: per cause, and per host.

use parser::diagnosis::{Cause, Outcome};
use parser::session::Opening;
use rdpscope::analyze::analysis::Finding;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// Where RDP hosts listen.
const RDP_PORT: u16 = 3389;
/// Hosts that are told apart, and clients of all causes together: a few megabytes of each.
const HOSTS: usize = 10_000;
const CLIENTS: usize = 100_000;
/// Findings that may still be told again: as many wait for their client's next connection at most, and as many more.
const OPEN: usize = 2_048;

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
    /// Connections of hosts that there was no place for.
    pub(super) elsewhere: u64,
    /// Entries of all [`Count::clients`].
    clients: usize,
    /// What was counted of connections that may still be told again, the latest last.
    open: VecDeque<(u64, (Kind, Cause))>,
}

/// One cause.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) connections: u64,
    pub(super) clients: BTreeSet<IpAddr>,
    /// There were more clients than are told apart.
    pub(super) more: bool,
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
            && let Some(place) = self.open.iter().rposition(|(stream, _)| *stream == finding.stream)
            && let Some((_, before)) = self.open.remove(place)
        {
            self.take_back(before, host);
        }
        if !finding.is_final {
            self.open.push_back((finding.stream, (kind, cause)));
            if self.open.len() > OPEN {
                self.open.pop_front();
            }
        }
        let count = self.causes.entry((kind, cause)).or_default();
        count.connections += 1;
        let client = finding.record.identity.client.ip();
        match self.clients < CLIENTS {
            true => self.clients += usize::from(count.clients.insert(client)),
            false => count.more |= !count.clients.contains(&client),
        }
        if kind != Kind::Other {
            match self.hosts.len() < HOSTS || self.hosts.contains_key(&host) {
                true => {
                    let counted = self.hosts.entry(host).or_default();
                    counted.connections += 1;
                    *counted.causes.entry(cause).or_default() += 1;
                }
                false => self.elsewhere += 1,
            }
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
                self.clients -= count.clients.len();
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
