//! A finished session into counters.

use super::names::{self, MISMATCHES};
use super::{Metrics, OTHER, UpstreamMetrics};
use crate::record::SessionRecord;
use parser::diagnosis::{Cause, Outcome, Verdict};
use parser::profile::{HostProfile, Mismatch, mismatch_between};
use parser::session::{
    Answer, BridgeFacts, BridgeLeg, BridgeReason, ClientHelloFacts, Closer, ConnectFailure, PerPeer, Phase,
    ResolveFailure, Timeline, Upstream,
};
use parser::wire::{CipherSuite, SuiteClass};
use prometheus::IntCounter;

impl Metrics {
    /// What was seen of a session, counted when it ends: facts do not change with the verdict.
    pub(crate) fn seen(&self, record: &SessionRecord, upstream: &UpstreamMetrics) {
        let timeline = &record.timeline;
        self.families.duration.observe(record.ended.since(record.identity.accepted).as_secs_f64());
        for (phase, from, to) in timeline.phases.spans(record.ended) {
            self.phases[phase as usize].duration.observe(to.since(from).as_secs_f64());
        }
        self.connected(timeline, upstream);
        self.negotiation(timeline, upstream);
        self.tls(timeline, upstream);
        if let Some(facts) = &timeline.bridge {
            self.bridge(facts, upstream);
        }
        if let Some((why, _)) = timeline.gave_up {
            self.families.giveups.with_label_values(&[why.name()]).inc();
        }
    }

    /// The verdict of a session, counted once, when it is final.
    pub(crate) fn judged(&self, record: &SessionRecord, profile: Option<&HostProfile>, upstream: &UpstreamMetrics) {
        let verdict = &record.verdict;
        if let Some(counter) = upstream.sessions.get(verdict.cause as usize) {
            counter.inc();
        }
        if verdict.outcome() == Outcome::Failure {
            self.families.failures.with_label_values(&[verdict.phase.name(), verdict.side.name()]).inc();
        }
        if let Some(what) = mismatch(verdict, record.timeline.client_hello.as_ref(), profile) {
            upstream.mismatch[what].inc();
        }
    }

    fn connected(&self, timeline: &Timeline, upstream: &UpstreamMetrics) {
        let reason = match &timeline.upstream {
            Upstream::ResolveFailed { failure, .. } => match failure {
                ResolveFailure::NotFound => "dns_not_found",
                ResolveFailure::ServerFailure => "dns_failure",
                ResolveFailure::Timeout => "dns_timeout",
            },
            Upstream::ConnectFailed { failure, .. } => match failure {
                ConnectFailure::Refused => "refused",
                ConnectFailure::Timeout => "timeout",
                ConnectFailure::Unreachable => "unreachable",
                ConnectFailure::Reset => "reset",
                ConnectFailure::Local => "local",
                ConnectFailure::Other => OTHER,
            },
            Upstream::Connected(_) => {
                // The next phase begins when the host is connected.
                let tcp = timeline.phases.spans(timeline.last_event()).find(|(phase, ..)| *phase == Phase::Tcp);
                if let Some((_, from, to)) = tcp {
                    self.families.connect.observe(to.since(from).as_secs_f64());
                }
                return;
            }
            Upstream::Unknown | Upstream::Resolving | Upstream::Connecting(_) => return,
        };
        self.families.connect_errors.with_label_values(&[&*upstream.label, reason]).inc();
    }

    fn negotiation(&self, timeline: &Timeline, upstream: &UpstreamMetrics) {
        if let Some(request) = &timeline.request {
            self.count("protocols", &self.requests, names::request_protocols(request.protocols));
        }
        match &timeline.answer {
            Some(Answer::Selected { protocol, .. }) => {
                self.count("protocols", &upstream.selected, names::selected_protocol(*protocol));
            }
            Some(Answer::Plain) => self.count("protocols", &upstream.selected, Some(0)),
            Some(Answer::Failure(code)) => {
                let number = code.0.to_string();
                let known = names::FAILURE_CODES.iter().copied().find(|known| *known == number);
                let code = self.closed("code", known);
                self.families.nego_failures.with_label_values(&[&*upstream.label, code]).inc();
            }
            Some(Answer::Ultimatum(_) | Answer::Refused(_) | Answer::NotRdp(_)) | None => {}
        }
    }

    fn bridge(&self, facts: &BridgeFacts, upstream: &UpstreamMetrics) {
        let label = &*upstream.label;
        let version = |leg: Option<BridgeLeg>| match leg {
            None => "none",
            Some(leg) => self.closed("version", names::version(leg.version).map(|at| names::VERSIONS[at])),
        };
        let result = facts.outcome.name();
        let labels = [label, version(facts.client), version(facts.host), result];
        self.families.bridged.with_label_values(&labels).inc();
        if facts.reason == BridgeReason::Rescue {
            self.families.rescues.with_label_values(&[label, result]).inc();
        }
        for (side, leg) in [("client", facts.client), ("host", facts.host)] {
            if let Some(leg) = leg.filter(BridgeLeg::is_weak) {
                let class = names::SUITE_CLASSES[suite_class(leg.suite)];
                let labels = [label, side, version(Some(leg)), class];
                self.families.weak_legs.with_label_values(&labels).inc();
            }
        }
    }

    fn tls(&self, timeline: &Timeline, upstream: &UpstreamMetrics) {
        if let Some(hello) = &timeline.client_hello {
            // A version nobody knows does not hide the newest one that we do.
            let said = match hello.supported_versions.as_slice() {
                [] => std::slice::from_ref(&hello.legacy_version),
                versions => versions,
            };
            let newest = said.iter().copied().filter(|version| names::version(*version).is_some()).max();
            self.count("version", &self.client_max_version, newest.and_then(names::version));
        }
        if let Some(hello) = &timeline.server_hello {
            let version = names::version(hello.version).unwrap_or_else(|| {
                self.overflows("version");
                names::VERSIONS.len() - 1
            });
            upstream.negotiated[version * names::SUITE_CLASSES.len() + suite_class(hello.suite)].inc();
        }
        for alert in &timeline.alerts {
            let name = self.closed("alert", alert.description.name());
            self.families.alerts.with_label_values(&[&*upstream.label, alert.from.name(), name]).inc();
        }
        if host_dropped_the_hello(timeline) {
            upstream.drop_after_hello.inc();
        }
        // Behind a bridge it is the bridge's own.
        let own = timeline.bridge.as_ref().is_some_and(|facts| facts.host.is_some());
        if let Some(certificate) = timeline.certificate.as_ref().filter(|c| !own && c.unreadable.is_none()) {
            self.families.certificate.with_label_values(&[&*upstream.label]).set(certificate.not_after as f64);
        }
    }

    /// A value of a closed set, or `other`, which is counted.
    fn closed(&self, label: &str, value: Option<&'static str>) -> &'static str {
        value.unwrap_or_else(|| {
            self.overflows(label);
            OTHER
        })
    }

    /// The same for a set whose counters are at hand; the last is that of `other`.
    fn count(&self, label: &str, counters: &[IntCounter], value: Option<usize>) {
        match value.and_then(|at| counters.get(at)) {
            Some(counter) => counter.inc(),
            None => {
                self.overflows(label);
                counters.iter().last().into_iter().for_each(IntCounter::inc);
            }
        }
    }

    fn overflows(&self, label: &str) {
        self.families.overflow.with_label_values(&[label]).inc();
    }
}

impl UpstreamMetrics {
    /// Bytes carried since the last time.
    pub(crate) fn carried(&self, bytes: PerPeer<u64>) {
        self.client_to_host.inc_by(bytes.client);
        self.host_to_client.inc_by(bytes.host);
    }

    /// An attempt of a client is over.
    pub(crate) fn attempted(&self, cause: Cause) {
        if let Some(counter) = self.attempts.get(cause as usize) {
            counter.inc();
        }
    }
}

/// Index into [`names::SUITE_CLASSES`].
fn suite_class(suite: CipherSuite) -> usize {
    match suite.class() {
        Some(SuiteClass::Modern) => 0,
        Some(SuiteClass::Weak) => 1,
        Some(SuiteClass::Broken) => 2,
        Some(SuiteClass::Signal) | None => 3,
    }
}

fn host_dropped_the_hello(timeline: &Timeline) -> bool {
    timeline.client_hello.is_some()
        && timeline.server_hello.is_none()
        && timeline.alerts.is_empty()
        && timeline.first_close().is_some_and(|close| close.by == Closer::Host)
}

/// Index into [`MISMATCHES`].
fn mismatch(verdict: &Verdict, hello: Option<&ClientHelloFacts>, profile: Option<&HostProfile>) -> Option<usize> {
    let known = hello.zip(profile).and_then(|(hello, profile)| mismatch_between(hello, profile));
    let what = match verdict.cause {
        Cause::TlsNoCommonVersion => "version",
        Cause::TlsNoCommonCipher => "suite",
        Cause::TlsCertKeyTypeMismatch => "key_type",
        Cause::TlsNoCommonGroupOrSigalg if known == Some(Mismatch::SignatureScheme) => "sigalg",
        Cause::TlsNoCommonGroupOrSigalg if known == Some(Mismatch::Group) => "group",
        Cause::TlsNoCommonGroupOrSigalg => {
            let missing = verdict.missing.client.iter().chain(&verdict.missing.host);
            let schemes = || hello.into_iter().flat_map(|hello| &hello.signature_schemes);
            let is_scheme = |name: &String| {
                schemes().any(|scheme| scheme.name() == Some(name))
                    || name.starts_with("rsa_")
                    || name.starts_with("ecdsa_")
            };
            if missing.into_iter().any(is_scheme) { "sigalg" } else { "group" }
        }
        _ => return None,
    };
    MISMATCHES.iter().position(|known| *known == what)
}
