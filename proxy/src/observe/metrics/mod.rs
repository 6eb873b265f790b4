//! Prometheus metrics. All names and labels stand in [`names`]; handles are resolved once per listener and upstream.
//!
//! Labels come from closed or configured sets, never from a client. Counters of a closed set exist at 0 from the start.

mod captures;
mod count;
mod names;
mod probe;
mod process;

use crate::limits::Rejection;

use parser::session::Phase;
use prometheus::core::Collector;
use prometheus::{Encoder, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};
use rapidhash::RapidHashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Most values of a label that is configured rather than fixed. Past it (reloads that rename upstreams for ever) new
/// values are counted as `other`.
const LABEL_VALUES: usize = 256;

/// The value that takes what does not fit.
const OTHER: &str = "other";

/// Every metric of this process.
pub(crate) struct Metrics {
    registry: Registry,
    families: Families,
    listeners: RwLock<RapidHashMap<Arc<str>, Arc<ListenerMetrics>>>,
    upstreams: RwLock<RapidHashMap<Arc<str>, Arc<UpstreamMetrics>>>,
    phases: Vec<PhaseMetrics>,
    /// In the order of `names::REQUEST_PROTOCOLS`.
    requests: Vec<IntCounter>,
    /// In the order of `names::VERSIONS`.
    client_max_version: Vec<IntCounter>,
}

/// The families, as registered.
struct Families {
    accepted: IntCounterVec,
    rejected: IntCounterVec,
    active: IntGaugeVec,
    sessions: IntCounterVec,
    failures: IntCounterVec,
    attempts: IntCounterVec,
    duration: Histogram,
    connect: Histogram,
    connect_errors: IntCounterVec,
    bytes: IntCounterVec,
    requests: IntCounterVec,
    selected: IntCounterVec,
    nego_failures: IntCounterVec,
    client_max_version: IntCounterVec,
    negotiated: IntCounterVec,
    alerts: IntCounterVec,
    mismatch: IntCounterVec,
    drop_after_hello: IntCounterVec,
    certificate: prometheus::GaugeVec,
    host_changes: IntCounterVec,
    host_tls: IntGaugeVec,
    probes: IntCounterVec,
    probe_success: IntGaugeVec,
    probe_duration: Histogram,
    captures: captures::CaptureMetrics,
    bridged: IntCounterVec,
    rescues: IntCounterVec,
    weak_legs: IntCounterVec,
    events_dropped: IntCounterVec,
    giveups: IntCounterVec,
    overflow: IntCounterVec,
    reloads: IntCounterVec,
    shapes_evicted: IntCounter,
}

/// What is counted per listener.
pub(crate) struct ListenerMetrics {
    pub(crate) accepted: IntCounter,
    pub(crate) active: IntGauge,
    rejected: [IntCounter; 4],
}

impl ListenerMetrics {
    pub(crate) fn rejected(&self, why: Rejection) -> &IntCounter {
        &self.rejected[why as usize]
    }
}

/// What is counted per upstream.
pub(crate) struct UpstreamMetrics {
    /// In the order of `Cause::ALL`.
    sessions: Vec<IntCounter>,
    attempts: Vec<IntCounter>,
    client_to_host: IntCounter,
    host_to_client: IntCounter,
    /// In the order of `names::MISMATCHES`.
    mismatch: Vec<IntCounter>,
    drop_after_hello: IntCounter,
    /// In the order of `names::PROTOCOLS`.
    selected: Vec<IntCounter>,
    /// In the order of `names::VERSIONS`, and for each of `names::SUITE_CLASSES`.
    negotiated: Vec<IntCounter>,
    label: Arc<str>,
}

struct PhaseMetrics {
    now: IntGauge,
    duration: Histogram,
}

impl Metrics {
    /// Registers every family.
    ///
    /// # Errors
    /// A name or label that Prometheus does not take, or that is there twice: a fault of `names`, found by any test.
    pub(crate) fn new() -> prometheus::Result<Metrics> {
        let registry = Registry::new();
        let families = Families::register(&registry)?;
        families.begin_at_zero();
        let in_phase = keep(&registry, IntGaugeVec::new(names::opts(names::SESSIONS_IN_PHASE), &["phase"])?)?;
        let lasted = keep(&registry, names::histogram(names::PHASE_DURATION, names::PHASE_BUCKETS, &["phase"])?)?;
        let phases = Phase::ALL
            .iter()
            .map(|phase| PhaseMetrics {
                now: in_phase.with_label_values(&[phase.name()]),
                duration: lasted.with_label_values(&[phase.name()]),
            })
            .collect();
        let build = keep(&registry, IntGaugeVec::new(names::opts(names::BUILD_INFO), &["version"])?)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let each = |family: &IntCounterVec, values: &[&str]| -> Vec<IntCounter> {
            values.iter().map(|value| family.with_label_values(&[value])).collect()
        };
        Ok(Metrics {
            requests: each(&families.requests, &names::REQUEST_PROTOCOLS),
            client_max_version: each(&families.client_max_version, &names::VERSIONS),
            registry,
            families,
            listeners: RwLock::default(),
            upstreams: RwLock::default(),
            phases,
        })
    }

    /// Makes the series of these labels exist.
    pub(crate) fn configured(&self, settings: &config::Settings) {
        for listener in &settings.listeners {
            self.listener(&Arc::from(listener.name.as_str()));
            self.upstream(&Arc::from(names::upstream_label(&listener.upstream).as_str()));
        }
    }

    /// The handles of a listener.
    pub(crate) fn listener(&self, label: &Arc<str>) -> Arc<ListenerMetrics> {
        self.resolve(&self.listeners, "listener", label, |label| self.families.listener(label))
    }

    /// The handles of an upstream.
    pub(crate) fn upstream(&self, label: &Arc<str>) -> Arc<UpstreamMetrics> {
        self.resolve(&self.upstreams, "upstream", label, |label| self.families.upstream(label))
    }

    fn resolve<T>(
        &self,
        known: &RwLock<RapidHashMap<Arc<str>, Arc<T>>>,
        name: &str,
        label: &Arc<str>,
        make: impl Fn(&Arc<str>) -> T,
    ) -> Arc<T> {
        if let Some(handles) = known.read().unwrap_or_else(PoisonError::into_inner).get(label) {
            return Arc::clone(handles);
        }
        let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
        let label = if known.len() < LABEL_VALUES || known.contains_key(label) {
            Arc::clone(label)
        } else {
            self.families.overflow.with_label_values(&[name]).inc();
            Arc::from(OTHER)
        };
        Arc::clone(known.entry(Arc::clone(&label)).or_insert_with(|| Arc::new(make(&label))))
    }

    /// A session moved from one phase to the next; `None` is outside of its life.
    pub(crate) fn moved(&self, from: Option<Phase>, to: Option<Phase>) {
        if let Some(phase) = from {
            self.phases[phase as usize].now.dec();
        }
        if let Some(phase) = to {
            self.phases[phase as usize].now.inc();
        }
    }

    /// Lines or notices that a sink of ours could not take. `sink` is one of [`names::SINKS`].
    pub(crate) fn dropped(&self, sink: &'static str) -> IntCounter {
        self.families.events_dropped.with_label_values(&[sink])
    }

    /// What is counted of captures.
    pub(crate) fn captures(&self) -> captures::CaptureMetrics {
        self.families.captures.clone()
    }

    pub(crate) fn reloaded(&self, success: bool) {
        self.families.reloads.with_label_values(&[if success { "success" } else { "failure" }]).inc();
    }

    /// The text exposition format, version 0.0.4.
    pub(crate) fn render(&self) -> Vec<u8> {
        let lost = self.dropped("log");
        lost.inc_by(super::log::dropped().saturating_sub(lost.get()));
        let evicted = &self.families.shapes_evicted;
        evicted.inc_by(crate::record::evicted_shapes().saturating_sub(evicted.get()));
        let mut text = Vec::with_capacity(64 * 1024);
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!("metrics could not be written: {error}");
        }
        process::render(&mut text);
        text
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Registers `collector` and hands it back.
fn keep<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

impl Families {
    fn register(registry: &Registry) -> prometheus::Result<Families> {
        let counters = |(name, labels)| keep(registry, IntCounterVec::new(names::opts(name), labels)?);
        let histogram =
            |name, buckets: &[f64]| keep(registry, Histogram::with_opts(names::histogram_opts(name, buckets))?);
        Ok(Families {
            accepted: counters(names::CONNECTIONS_ACCEPTED)?,
            rejected: counters(names::CONNECTIONS_REJECTED)?,
            active: keep(registry, IntGaugeVec::new(names::opts(names::SESSIONS_ACTIVE), &["listener"])?)?,
            sessions: counters(names::SESSIONS)?,
            failures: counters(names::SESSION_FAILURES)?,
            attempts: counters(names::ATTEMPTS)?,
            duration: histogram(names::SESSION_DURATION, names::SESSION_BUCKETS)?,
            connect: histogram(names::CONNECT_DURATION, names::CONNECT_BUCKETS)?,
            connect_errors: counters(names::CONNECT_ERRORS)?,
            bytes: counters(names::BYTES)?,
            requests: counters(names::X224_REQUESTS)?,
            selected: counters(names::X224_SELECTED)?,
            nego_failures: counters(names::X224_FAILURES)?,
            client_max_version: counters(names::CLIENT_MAX_VERSION)?,
            negotiated: counters(names::NEGOTIATED)?,
            alerts: counters(names::ALERTS)?,
            mismatch: counters(names::MISMATCH)?,
            drop_after_hello: counters(names::DROP_AFTER_HELLO)?,
            certificate: keep(
                registry,
                prometheus::GaugeVec::new(names::opts(names::CERTIFICATE_NOT_AFTER), &["upstream"])?,
            )?,
            host_changes: counters(names::HOST_CHANGES)?,
            host_tls: keep(registry, IntGaugeVec::new(names::opts(names::HOST_TLS), &["upstream", "version"])?)?,
            probes: counters(names::PROBES)?,
            probe_success: keep(registry, IntGaugeVec::new(names::opts(names::PROBE_SUCCESS), &["upstream", "step"])?)?,
            probe_duration: histogram(names::PROBE_DURATION, names::PROBE_BUCKETS)?,
            captures: captures::CaptureMetrics::register(registry)?,
            bridged: counters(names::BRIDGED)?,
            rescues: counters(names::BRIDGE_RESCUES)?,
            weak_legs: counters(names::BRIDGE_WEAK_LEGS)?,
            events_dropped: counters(names::EVENTS_DROPPED)?,
            giveups: counters(names::GIVEUPS)?,
            overflow: counters(names::LABEL_OVERFLOW)?,
            reloads: counters(names::RELOADS)?,
            shapes_evicted: keep(registry, IntCounter::with_opts(names::opts(names::SHAPES_EVICTED))?)?,
        })
    }

    /// Series without a configured label exist from the start.
    fn begin_at_zero(&self) {
        let zero = |family: &IntCounterVec, values: &[&str]| _ = family.with_label_values(values);
        for phase in Phase::ALL {
            for side in parser::diagnosis::Side::ALL {
                zero(&self.failures, &[phase.name(), side.name()]);
            }
        }
        names::REQUEST_PROTOCOLS.iter().for_each(|protocols| zero(&self.requests, &[protocols]));
        names::VERSIONS.iter().for_each(|version| zero(&self.client_max_version, &[version]));
        names::SINKS.iter().for_each(|sink| zero(&self.events_dropped, &[sink]));
        parser::session::GiveUp::ALL.iter().for_each(|why| zero(&self.giveups, &[why.name()]));
        names::OVERFLOWING.iter().for_each(|label| zero(&self.overflow, &[label]));
        ["success", "failure"].iter().for_each(|result| zero(&self.reloads, &[result]));
    }

    fn listener(&self, label: &str) -> ListenerMetrics {
        ListenerMetrics {
            accepted: self.accepted.with_label_values(&[label]),
            active: self.active.with_label_values(&[label]),
            rejected: Rejection::ALL.map(|why| self.rejected.with_label_values(&[label, why.name()])),
        }
    }

    fn upstream(&self, label: &Arc<str>) -> UpstreamMetrics {
        let each = |family: &IntCounterVec, values: &[&str]| {
            values.iter().map(|value| family.with_label_values(&[&**label, value])).collect::<Vec<_>>()
        };
        let causes: Vec<&str> = parser::diagnosis::Cause::ALL.iter().map(|cause| cause.id()).collect();
        each(&self.connect_errors, &names::CONNECT_REASONS);
        each(&self.nego_failures, &names::FAILURE_CODES);
        each(&self.host_changes, &parser::profile::ChangeKind::ALL.map(parser::profile::ChangeKind::name));
        each(&self.probes, &crate::probe::Reason::ALL.map(crate::probe::Reason::name));
        let classes = |version| names::SUITE_CLASSES.map(|class| [&**label, version, class]);
        let negotiated = names::VERSIONS.into_iter().flat_map(classes);
        each(&self.rescues, &parser::session::BridgeOutcome::NAMES);
        for (client, host) in names::LEG_VERSIONS.iter().flat_map(|c| names::LEG_VERSIONS.map(|h| (*c, h))) {
            if host != "none" && client != "none" {
                self.bridged.with_label_values(&[&**label, client, host, "carried"]);
            }
        }
        for result in parser::session::BridgeOutcome::NAMES.into_iter().filter(|result| *result != "carried") {
            self.bridged.with_label_values(&[&**label, "none", "none", result]);
        }
        for side in ["client", "host"] {
            for version in ["1.0", "1.1", "1.2"] {
                self.weak_legs.with_label_values(&[&**label, side, version, "weak"]);
            }
        }
        for alert in parser::wire::AlertDescription::all().filter_map(|alert| alert.name()).chain([OTHER]) {
            for side in ["client", "host"] {
                self.alerts.with_label_values(&[&**label, side, alert]);
            }
        }
        UpstreamMetrics {
            sessions: each(&self.sessions, &causes),
            attempts: each(&self.attempts, &causes),
            client_to_host: self.bytes.with_label_values(&[&**label, "client_to_host"]),
            host_to_client: self.bytes.with_label_values(&[&**label, "host_to_client"]),
            mismatch: each(&self.mismatch, &names::MISMATCHES),
            drop_after_hello: self.drop_after_hello.with_label_values(&[&**label]),
            selected: each(&self.selected, &names::PROTOCOLS),
            negotiated: negotiated.map(|labels| self.negotiated.with_label_values(&labels)).collect(),
            label: Arc::clone(label),
        }
    }
}

#[cfg(test)]
mod tests;
