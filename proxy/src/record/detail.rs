//! One session in full, as `/api/sessions/{id}` gives it: the event, and the timeline it was made from.

use super::event::milliseconds;
use super::{Event, LiveSession, Names, SessionRecord, Told, rfc3339};
use crate::record::Action;
use parser::Timestamp;
use parser::session::{Tail, TcpFacts, Timeline, Traffic, Upstream};
use serde_json::{Map, Value, json};

/// A session in full. Made on request only.
#[derive(Debug)]
pub struct Detail;

impl Detail {
    /// A session that goes on, with `TCP_INFO` of both legs as it is now.
    #[must_use]
    pub fn live(session: &dyn LiveSession, now: Timestamp, names: &Names) -> Value {
        let mut timeline = session.timeline();
        timeline.tcp = session.tcp();
        with_timeline(&Event::live(session.identity(), &timeline, now, names), &timeline, now, true)
    }

    /// A session that is over; `action` says whether its verdict was revised.
    #[must_use]
    pub fn ended(action: Action, record: &SessionRecord, names: &Names, told: &Told) -> Value {
        let event = Event::ended(action, record, record.ended, names, told);
        with_timeline(&event, &record.timeline, record.ended, false)
    }
}

fn with_timeline(event: &Event, timeline: &Timeline, now: Timestamp, live: bool) -> Value {
    let mut value = serde_json::to_value(event).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        fields.insert("state".to_owned(), json!(if live { "live" } else { "ended" }));
        fields.insert("timeline".to_owned(), Value::Object(describe(timeline, now)));
    }
    value
}

/// Every time is in milliseconds since the connection was accepted: `at_ms`.
fn describe(timeline: &Timeline, now: Timestamp) -> Map<String, Value> {
    let at = |time: Timestamp| json!(milliseconds(time.since(timeline.opened)));
    let phases: Vec<Value> = timeline
        .phases
        .spans(now)
        .map(|(phase, from, to)| json!({"phase": phase.name(), "at_ms": at(from), "lasted_ms": milliseconds(to.since(from))}))
        .collect();
    let closes: Vec<Value> = timeline
        .closes
        .iter()
        .map(|close| json!({"by": close.by.name(), "kind": close.kind.name(), "at_ms": at(close.at)}))
        .collect();
    let alerts: Vec<Value> = timeline
        .alerts
        .iter()
        .map(|alert| {
            json!({
                "side": alert.from.name(), "level": alert.level.to_string(), "description": alert.description.to_string(),
                "at_ms": at(alert.at), "after_handshake": alert.after_handshake, "after_close": alert.after_close,
            })
        })
        .collect();
    let mut map = Map::new();
    map.insert("opened".to_owned(), json!(rfc3339(timeline.opened)));
    map.insert("last_event_at_ms".to_owned(), at(timeline.last_event()));
    map.insert("upstream".to_owned(), json!(upstream(&timeline.upstream)));
    map.insert("phases".to_owned(), json!(phases));
    map.insert("progress".to_owned(), Value::Object(progress(timeline, &at)));
    map.insert("client".to_owned(), side(timeline.traffic.client, &timeline.tail.client, timeline.tcp.client, &at));
    map.insert("host".to_owned(), side(timeline.traffic.host, &timeline.tail.host, timeline.tcp.host, &at));
    map.insert("alerts".to_owned(), json!(alerts));
    map.insert("closes".to_owned(), json!(closes));
    if let Some((why, when)) = timeline.gave_up {
        map.insert("gave_up".to_owned(), json!({"why": why.name(), "at_ms": at(when)}));
    }
    map
}

fn upstream(upstream: &Upstream) -> String {
    match upstream {
        Upstream::Unknown => "not begun".to_owned(),
        Upstream::Resolving => "looking up the name".to_owned(),
        Upstream::Connecting(address) => format!("connecting to {address}"),
        Upstream::Connected(address) => format!("connected to {address}"),
        Upstream::ResolveFailed { detail, .. } => format!("the name did not resolve: {detail}"),
        Upstream::ConnectFailed { address, failure, errno, tried } => {
            format!("cannot connect to {address}: {failure:?} (errno {errno}), {tried} addresses tried")
        }
    }
}

fn progress(timeline: &Timeline, at: &dyn Fn(Timestamp) -> Value) -> Map<String, Value> {
    let (tls, progress) = (&timeline.tls, &timeline.progress);
    let steps = [
        ("client_hello", timeline.client_hello.as_ref().map(|hello| hello.at)),
        ("server_hello", timeline.server_hello.as_ref().map(|hello| hello.at)),
        ("tls_established", tls.established),
        ("credssp_authenticate", progress.credssp_authenticate),
        ("credssp_accepted", progress.credssp_accepted),
        ("credssp_error", progress.credssp_error),
        ("early_user_auth", progress.early_user_auth),
        ("connect_initial", progress.connect_initial),
        ("connect_response", progress.connect_response),
        ("attach_user", progress.attach_user),
        ("client_info", progress.client_info),
        ("licensing", progress.licensing),
        ("licensed", progress.licensed),
        ("demand_active", progress.demand_active),
        ("confirm_active", progress.confirm_active),
        ("denied", progress.denied),
        ("active", progress.active),
    ];
    steps.into_iter().filter_map(|(name, time)| Some((name.to_owned(), at(time?)))).collect()
}

fn side(traffic: Traffic, tail: &Tail, tcp: Option<TcpFacts>, at: &dyn Fn(Timestamp) -> Value) -> Value {
    let records: Vec<Value> = tail
        .shapes()
        .iter()
        .map(|shape| json!({"content_type": shape.content_type, "length": shape.length, "at_ms": at(shape.at)}))
        .collect();
    json!({
        "bytes": traffic.bytes,
        "records": traffic.records,
        "first_byte_at_ms": traffic.first.map(at),
        "last_byte_at_ms": traffic.last.map(at),
        "tail": {"known": tail.known, "records": records},
        "tcp": tcp.map(|tcp| json!({
            "rtt_us": tcp.rtt_us, "rtt_var_us": tcp.rtt_var_us, "retransmits": tcp.retransmits, "lost": tcp.lost,
            "unacked": tcp.unacked, "mss": tcp.mss, "backoff": tcp.backoff, "pmtu": tcp.pmtu,
            "last_data_received_ms": tcp.last_data_received_ms,
        })),
    })
}
