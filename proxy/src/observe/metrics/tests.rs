use super::*;
use crate::record::fixture::record;
use parser::diagnosis::Cause;
use parser::session::{GiveUp, PerPeer};
use std::collections::BTreeSet;

fn settings() -> config::Settings {
    super::super::tests::settings(config::EventPath::Off)
}

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.render()).unwrap()
}

/// The value of a series, `name{label="value",…}` as the text has it.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn counters_of_closed_sets_exist_at_zero_from_the_start() {
    let metrics = Metrics::new().unwrap();
    metrics.configured(&settings());
    let text = text(&metrics);
    let upstream = "rds07.example.net:3389";
    let mut series = vec![
        format!(r#"rdpscope_connections_accepted_total{{listener="rds-farm"}}"#),
        format!(r#"rdpscope_connections_rejected_total{{listener="rds-farm",reason="max_sessions_per_client"}}"#),
        format!(r#"rdpscope_sessions_active{{listener="rds-farm"}}"#),
        format!(r#"rdpscope_bytes_total{{direction="client_to_host",upstream="{upstream}"}}"#),
        format!(r#"rdpscope_tls_drop_after_hello_total{{upstream="{upstream}"}}"#),
        format!(r#"rdpscope_tls_negotiated_total{{suite_class="weak",upstream="{upstream}",version="1.0"}}"#),
        format!(r#"rdpscope_tls_alerts_total{{alert="handshake_failure",side="host",upstream="{upstream}"}}"#),
        format!(r#"rdpscope_tls_mismatch_total{{upstream="{upstream}",what="key_type"}}"#),
        format!(r#"rdpscope_upstream_connect_errors_total{{reason="refused",upstream="{upstream}"}}"#),
        format!(r#"rdpscope_x224_failures_total{{code="5",upstream="{upstream}"}}"#),
        format!(r#"rdpscope_x224_selected_total{{protocol="hybrid_ex",upstream="{upstream}"}}"#),
        r#"rdpscope_x224_requests_total{protocols="ssl+hybrid+hybrid_ex"}"#.to_owned(),
        r#"rdpscope_tls_client_max_version_total{version="1.3"}"#.to_owned(),
        r#"rdpscope_config_reloads_total{result="failure"}"#.to_owned(),
        r#"rdpscope_events_dropped_total{sink="file"}"#.to_owned(),
        r#"rdpscope_session_failures_total{phase="tls_hello",side="host"}"#.to_owned(),
        r#"rdpscope_session_duration_seconds_count"#.to_owned(),
        r#"rdpscope_upstream_connect_duration_seconds_count"#.to_owned(),
        r#"rdpscope_label_overflow_total{label="upstream"}"#.to_owned(),
    ];
    for cause in Cause::ALL {
        series.push(format!(r#"rdpscope_sessions_total{{cause="{cause}",upstream="{upstream}"}}"#));
        series.push(format!(r#"rdpscope_attempts_total{{cause="{cause}",upstream="{upstream}"}}"#));
    }
    for phase in Phase::ALL {
        series.push(format!(r#"rdpscope_sessions_in_phase{{phase="{phase}"}}"#));
        series.push(format!(r#"rdpscope_phase_duration_seconds_count{{phase="{phase}"}}"#));
    }
    for why in GiveUp::ALL {
        series.push(format!(r#"rdpscope_parser_giveups_total{{reason="{}"}}"#, why.name()));
    }
    for series in series {
        assert_eq!(value(&text, &series), Some(0.0), "{series}");
    }
    assert_eq!(value(&text, &format!(r#"rdpscope_build_info{{version="{}"}}"#, env!("CARGO_PKG_VERSION"))), Some(1.0));
}

#[test]
fn labels_are_those_of_the_contract_and_nothing_of_a_client() {
    let metrics = Metrics::new().unwrap();
    metrics.configured(&settings());
    let record = record(1, Cause::TlsNoCommonVersion);
    let upstream = metrics.upstream(&record.identity.upstream);
    metrics.seen(&record, &upstream);
    metrics.judged(&record, None, &upstream);
    let text = text(&metrics);
    let labels: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once('{')?.1.split_once('}')?.0))
        .flat_map(|labels| labels.split("\",").map(|label| label.split_once('=').unwrap().0))
        .collect();
    let allowed = BTreeSet::from([
        "alert",
        "cause",
        "client_version",
        "code",
        "direction",
        "host_version",
        "label",
        "le",
        "listener",
        "phase",
        "protocol",
        "protocols",
        "reason",
        "result",
        "side",
        "sink",
        "step",
        "suite_class",
        "upstream",
        "version",
        "what",
    ]);
    assert!(labels.is_subset(&allowed), "{:?}", labels.difference(&allowed));
    for secret in ["10.1.2.3", "alice", "1e41a66dce8c4d46a24f051d7bfed469"] {
        assert!(!text.contains(secret), "{secret}");
    }
    for named in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        assert!(named.starts_with("rdpscope_") || named.starts_with("process_"), "{named}");
    }
}

#[test]
fn a_session_is_counted_where_it_belongs() {
    let metrics = Metrics::new().unwrap();
    let record = record(1, Cause::CertExpired);
    let upstream = metrics.upstream(&record.identity.upstream);
    metrics.seen(&record, &upstream);
    metrics.judged(&record, None, &upstream);
    upstream.carried(PerPeer { client: 400, host: 1800 });
    let text = text(&metrics);
    for (series, expected) in [
        (r#"rdpscope_sessions_total{cause="cert_expired",upstream="rds07.example.net:3389"}"#, 1.0),
        (r#"rdpscope_session_failures_total{phase="tls_finish",side="host"}"#, 1.0),
        (r#"rdpscope_bytes_total{direction="host_to_client",upstream="rds07.example.net:3389"}"#, 1800.0),
        (r#"rdpscope_x224_requests_total{protocols="ssl+hybrid+hybrid_ex"}"#, 1.0),
        (r#"rdpscope_x224_selected_total{protocol="hybrid",upstream="rds07.example.net:3389"}"#, 1.0),
        (r#"rdpscope_tls_client_max_version_total{version="1.3"}"#, 1.0),
        (r#"rdpscope_tls_negotiated_total{suite_class="modern",upstream="rds07.example.net:3389",version="1.2"}"#, 1.0),
        (
            r#"rdpscope_tls_alerts_total{alert="certificate_expired",side="client",upstream="rds07.example.net:3389"}"#,
            1.0,
        ),
        (
            r#"rdpscope_host_certificate_not_after_timestamp_seconds{upstream="rds07.example.net:3389"}"#,
            1_772_323_200.0,
        ),
        (r#"rdpscope_upstream_connect_duration_seconds_sum"#, 0.001),
        (r#"rdpscope_phase_duration_seconds_count{phase="tls_hello"}"#, 1.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series}");
    }
}

#[test]
fn what_does_not_fit_a_label_is_counted_as_other() {
    let metrics = Metrics::new().unwrap();
    for number in 0..LABEL_VALUES + 5 {
        metrics.upstream(&Arc::from(format!("host{number}:3389"))).attempted(Cause::Ok);
    }
    let text = text(&metrics);
    assert_eq!(value(&text, r#"rdpscope_label_overflow_total{label="upstream"}"#), Some(5.0));
    assert_eq!(value(&text, r#"rdpscope_attempts_total{cause="ok",upstream="other"}"#), Some(5.0));
}
