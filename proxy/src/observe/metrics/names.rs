//! Every metric name, help text, label and bucket. Dashboards and alerts are written against these: never rename.

use parser::wire::{Protocols, TlsVersion};
use prometheus::{HistogramOpts, HistogramVec, Opts};

const PREFIX: &str = "rdpscope";

/// A name with what `# HELP` says.
type Named = (&'static str, &'static str);
/// A counter family: its name and labels.
type Counters = (Named, &'static [&'static str]);

pub(super) const BUILD_INFO: Named = ("build_info", "Always 1; the version that runs");
pub(super) const CONNECTIONS_ACCEPTED: Counters =
    (("connections_accepted_total", "Connections accepted and served"), &["listener"]);
pub(super) const CONNECTIONS_REJECTED: Counters =
    (("connections_rejected_total", "Connections refused by a limit of ours"), &["listener", "reason"]);
pub(super) const SESSIONS_ACTIVE: Named = ("sessions_active", "Connections open now");
pub(super) const SESSIONS_IN_PHASE: Named = ("sessions_in_phase", "Connections open now, by where they are");
pub(super) const SESSIONS: Counters = (
    ("sessions_total", "Connections that ended, by what they came to; each counted once, when its verdict is final"),
    &["upstream", "cause"],
);
pub(super) const SESSION_FAILURES: Counters =
    (("session_failures_total", "Failed connections, by where they ended and whose doing it was"), &["phase", "side"]);
pub(super) const ATTEMPTS: Counters = (
    ("attempts_total", "Attempts of clients to get a session, each of one or more connections, by what they came to"),
    &["upstream", "cause"],
);
pub(super) const SESSION_DURATION: Named = ("session_duration_seconds", "From accept to the end of both sides");
pub(super) const PHASE_DURATION: Named = ("phase_duration_seconds", "Time spent in each phase");
pub(super) const CONNECT_DURATION: Named =
    ("upstream_connect_duration_seconds", "From the first SYN to a host until it was connected");
pub(super) const CONNECT_ERRORS: Counters =
    (("upstream_connect_errors_total", "Hosts that could not be resolved or connected"), &["upstream", "reason"]);
pub(super) const BYTES: Counters = (("bytes_total", "Bytes carried"), &["upstream", "direction"]);
pub(super) const X224_REQUESTS: Counters =
    (("x224_requests_total", "Connection Requests, by the protocols asked for"), &["protocols"]);
pub(super) const X224_SELECTED: Counters =
    (("x224_selected_total", "Connection Confirms, by the protocol chosen"), &["upstream", "protocol"]);
pub(super) const X224_FAILURES: Counters =
    (("x224_failures_total", "Negotiation failures, by RDP_NEG_FAILURE code"), &["upstream", "code"]);
pub(super) const CLIENT_MAX_VERSION: Counters =
    (("tls_client_max_version_total", "ClientHellos, by the newest TLS version offered"), &["version"]);
pub(super) const NEGOTIATED: Counters = (
    ("tls_negotiated_total", "ServerHellos, by version and how good the suite is"),
    &["upstream", "version", "suite_class"],
);
pub(super) const ALERTS: Counters =
    (("tls_alerts_total", "TLS alerts seen in clear, by who sent them"), &["upstream", "side", "alert"]);
pub(super) const MISMATCH: Counters =
    (("tls_mismatch_total", "Handshakes that failed because the sides do not fit"), &["upstream", "what"]);
pub(super) const DROP_AFTER_HELLO: Counters = (
    ("tls_drop_after_hello_total", "Connections the host closed after the ClientHello, without ServerHello or alert"),
    &["upstream"],
);
pub(super) const CERTIFICATE_NOT_AFTER: Named = (
    "host_certificate_not_after_timestamp_seconds",
    "When the host's certificate, as last seen in clear or by a probe, expires (Unix time)",
);
pub(super) const HOST_CHANGES: Counters = (
    ("host_changes_total", "Differences between what a host accepts and what it accepted when it was asked before"),
    &["upstream", "what"],
);
pub(super) const HOST_TLS: Named =
    ("host_tls_supported", "1: the host accepts this TLS version, 0: it refused it when it was asked last");
pub(super) const PROBES: Counters =
    (("probes_total", "Times that a host was asked what it accepts, and why"), &["upstream", "reason"]);
pub(super) const PROBE_SUCCESS: Named =
    ("probe_success", "How far the last probe of the host got: 1 for each step that succeeded");
pub(super) const PROBE_DURATION: Named =
    ("probe_duration_seconds", "From the first question to a host to its last answer");
pub(super) const CAPTURES_WRITTEN: Named = ("captures_written_total", "Captures of failed openings that were written");
pub(super) const CAPTURES_NOT_WRITTEN: Counters =
    (("captures_not_written_total", "Failed sessions without a capture, by why"), &["reason"]);
pub(super) const CAPTURES_STORED: Named = ("captures_stored_bytes", "Bytes of all captures in the directory");
pub(super) const BRIDGED: Counters = (
    (
        "bridge_sessions_total",
        "Sessions that the bridge had to do with, by the versions of both legs (`none`: it was not up) and how it went",
    ),
    &["upstream", "client_version", "host_version", "result"],
);
pub(super) const BRIDGE_RESCUES: Counters = (
    ("bridge_rescues_total", "Clients whose hello the host had refused and that the bridge took over, by how it went"),
    &["upstream", "result"],
);
pub(super) const BRIDGE_WEAK_LEGS: Counters = (
    ("bridge_weak_legs_total", "Legs of bridged sessions below TLS 1.2, or without forward secrecy or AEAD"),
    &["upstream", "side", "version", "suite_class"],
);
pub(super) const EVENTS_DROPPED: Counters =
    (("events_dropped_total", "Events and log lines that an output could not take"), &["sink"]);
pub(super) const GIVEUPS: Counters =
    (("parser_giveups_total", "Connections no longer parsed, only carried, and why"), &["reason"]);
pub(super) const LABEL_OVERFLOW: Counters = (("label_overflow_total", "Label values counted as `other`"), &["label"]);
pub(super) const RELOADS: Counters = (("config_reloads_total", "Configuration reloads"), &["result"]);
pub(super) const SHAPES_EVICTED: Named =
    ("hello_shapes_evicted_total", "Kinds of ClientHello that made room for others in the table of those known");

/// A logon takes seconds, a working day hours.
pub(super) const SESSION_BUCKETS: &[f64] =
    &[0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 14_400.0, 43_200.0];
/// Round trips at one end, a person at a prompt at the other.
pub(super) const PHASE_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];
/// Dozens of handshakes one after the other, or the time-outs of a host that is silent.
pub(super) const PROBE_BUCKETS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0];
/// A round trip, or the retransmissions of a SYN at 1, 3 and 7 s.
pub(super) const CONNECT_BUCKETS: &[f64] =
    &[0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Values of `client_version` and `host_version`: those a leg can have, and none.
pub(super) const LEG_VERSIONS: [&str; 5] = ["1.0", "1.1", "1.2", "1.3", "none"];
/// Values of `sink`: the event file, live subscribers, the text log.
pub(crate) const SINKS: [&str; 3] = ["file", "feed", "log"];
/// Labels that may overflow.
pub(super) const OVERFLOWING: [&str; 6] = ["listener", "upstream", "protocols", "version", "code", "alert"];
pub(super) const VERSIONS: [&str; 7] = ["ssl2", "ssl3", "1.0", "1.1", "1.2", "1.3", "other"];
pub(super) const SUITE_CLASSES: [&str; 4] = ["modern", "weak", "broken", "other"];
pub(super) const PROTOCOLS: [&str; 7] = ["rdp", "ssl", "hybrid", "rdstls", "hybrid_ex", "rdsaad", "other"];
pub(super) const FAILURE_CODES: [&str; 7] = ["1", "2", "3", "4", "5", "6", "other"];
pub(super) const MISMATCHES: [&str; 5] = ["version", "suite", "group", "sigalg", "key_type"];
pub(super) const CONNECT_REASONS: [&str; 9] =
    ["dns_not_found", "dns_failure", "dns_timeout", "refused", "timeout", "unreachable", "reset", "local", "other"];
/// Steps of a probe: a connection, a Connection Confirm that leads to TLS (or TLS at once), a ServerHello, and every
/// question answered.
pub(super) const PROBE_STEPS: [&str; 4] = ["connect", "negotiation", "tls", "complete"];
/// What clients ask for in practice; any other set of bits is `other`. `none` is a request without RDP_NEG_REQ.
pub(super) const REQUEST_PROTOCOLS: [&str; 12] = [
    "none",
    "rdp",
    "ssl",
    "hybrid",
    "ssl+hybrid",
    "ssl+hybrid_ex",
    "ssl+hybrid+hybrid_ex",
    "ssl+rdstls",
    "ssl+hybrid+rdstls",
    "ssl+hybrid+rdstls+hybrid_ex",
    "ssl+hybrid+rdstls+hybrid_ex+rdsaad",
    "other",
];

/// Where a version stands in [`VERSIONS`].
pub(super) fn version(version: TlsVersion) -> Option<usize> {
    let name = if version.is_tls13_draft() { "1.3" } else { version.name()? };
    VERSIONS.iter().position(|known| *known == name)
}

/// Where what a client asks for stands in [`REQUEST_PROTOCOLS`].
pub(super) fn request_protocols(protocols: Option<Protocols>) -> Option<usize> {
    /// The bits of [`REQUEST_PROTOCOLS`] between `none` and `other`.
    const BITS: [u32; 10] = [0, 1, 2, 3, 0x09, 0x0b, 0x05, 0x07, 0x0f, 0x1f];
    let Some(protocols) = protocols else { return Some(0) };
    BITS.iter().position(|bits| *bits == protocols.0).map(|at| at + 1)
}

/// Where the one protocol a host chose stands in [`PROTOCOLS`].
pub(super) fn selected_protocol(protocol: Protocols) -> Option<usize> {
    match protocol.0 {
        0 => Some(0),
        bit if bit.is_power_of_two() && bit <= 16 => Some(bit.trailing_zeros() as usize + 1),
        _ => None,
    }
}

/// The label of an upstream: `host:port` as configured, IPv6 in brackets.
pub(super) fn upstream_label(upstream: &config::Upstream) -> String {
    if upstream.host.contains(':') {
        format!("[{}]:{}", upstream.host, upstream.port)
    } else {
        format!("{}:{}", upstream.host, upstream.port)
    }
}

pub(super) fn opts((name, help): Named) -> Opts {
    Opts::new(name, help).namespace(PREFIX)
}

pub(super) fn histogram_opts(name: Named, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts { common_opts: opts(name), buckets: buckets.to_vec() }
}

pub(super) fn histogram(name: Named, buckets: &[f64], labels: &[&str]) -> prometheus::Result<HistogramVec> {
    HistogramVec::new(histogram_opts(name, buckets), labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_protocols_are_found_by_their_bits() {
        for bits in 0..=0x20 {
            let joined = Protocols(bits).names().join("+");
            let known = |list: &[&str]| list.iter().position(|known| *known == joined);
            assert_eq!(request_protocols(Some(Protocols(bits))), known(&REQUEST_PROTOCOLS), "{joined}");
            assert_eq!(selected_protocol(Protocols(bits)), known(&PROTOCOLS), "{joined}");
        }
        assert_eq!(request_protocols(None).map(|at| REQUEST_PROTOCOLS[at]), Some("none"));
    }
}
