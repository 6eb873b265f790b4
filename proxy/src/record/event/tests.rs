use super::*;
use crate::record::fixture::{self, USER, after, record};
use config::UserNames;
use parser::diagnosis::diagnose;
use parser::session::{CloseKind, Closer};
use serde_json::Value;

fn names(how: UserNames) -> Names {
    Names::new(how, None).unwrap()
}

fn told() -> Told {
    let attempt = Attempt { id: Uuid::from_u128(1), number: 2, previous_session: Some(Uuid::from_u128(1)) };
    Told { attempt: Some(attempt), is_final: true, profile: None }
}

fn parse(event: &Event) -> Value {
    serde_json::from_slice(&event.line()).unwrap()
}

/// The whole object, every field that passthrough can know. Copied from CONTRACT.md by hand, not from the program.
#[test]
fn a_full_event_is_what_the_contract_says() {
    let (record, told) = (record(1, Cause::CertExpired), told());
    let event = Event::ended(Action::SessionEnd, &record, after(20), &names(UserNames::Plain), &told);
    let mut event = parse(&event);
    let predicted = event["rdpscope"].as_object_mut().unwrap().remove("predicted").unwrap();
    assert!(predicted["mstsc"].is_array() && predicted["mstsc_direct"].is_array(), "{predicted}");
    let expected: Value = serde_json::from_str(include_str!("full.json")).unwrap();
    assert_eq!(event, expected, "\n{event:#}");
}

#[test]
fn every_event_is_one_line() {
    let mut record = record(1, Cause::CertExpired);
    record.verdict.message = "two\nlines \u{1b}[31m".to_owned();
    let line = Event::ended(Action::SessionEnd, &record, after(20), &names(UserNames::Plain), &told()).line();
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert!(line.ends_with(b"}\n") && !line.contains(&0x1b));
}

#[test]
fn a_session_of_which_nothing_is_known_leaves_fields_out() {
    let record = SessionRecord { timeline: Timeline::default(), ..record(1, Cause::ClientSentNothing) };
    let event = parse(&Event::ended(Action::SessionEnd, &record, after(20), &names(UserNames::Hash), &Told::default()));
    assert_eq!(event["event"]["outcome"], "unknown");
    assert_eq!(event["network"]["protocol"], "unknown");
    for absent in [&event["tls"], &event["rdp"]["cookie"], &event["rdp"]["requested_protocols"], &event["server"]["ip"]]
    {
        assert_eq!(*absent, Value::Null, "{event:#}");
    }
    assert_eq!(event["rdpscope"]["final"], false);
}

#[test]
fn no_user_name_leaves_unless_it_may() {
    for how in [UserNames::Hash, UserNames::Drop] {
        let names = names(how);
        for truncated in [0, 1, 2, 3] {
            // Timelines that broke off at different places: what the diagnosis writes of them is text too.
            let mut timeline = fixture::timeline();
            if truncated > 0 {
                timeline.certificate = None;
                timeline.alerts.clear();
            }
            if truncated > 1 {
                timeline.server_hello = None;
            }
            if truncated > 2 {
                timeline.client_hello = None;
                timeline.answer = None;
                timeline.closes[0].by = Closer::Host;
                timeline.closes[0].kind = CloseKind::Rst;
            }
            if let Some(request) = &mut timeline.request {
                request.routing_token = Some(format!("Cookie: mstshash={USER}"));
            }
            let verdict = diagnose(&timeline);
            let record = SessionRecord { timeline, verdict, ..record(1, Cause::CertExpired) };
            let told = told();
            let event = Event::ended(Action::SessionEnd, &record, after(20), &names, &told);
            let detail = crate::record::Detail::ended(Action::SessionEnd, &record, &names, &told).to_string();
            let report = crate::record::report(&record, &crate::record::ReportStyle::plain());
            for text in [String::from_utf8(event.line()).unwrap(), detail, report] {
                assert!(!text.to_lowercase().contains("alice"), "{text}");
            }
            let cookie = &parse(&event)["rdp"]["cookie"];
            assert_eq!(cookie.is_null(), how == UserNames::Drop, "{cookie}");
        }
    }
}

#[test]
fn a_hostile_hello_does_not_make_a_huge_event() {
    let mut record = record(1, Cause::TlsNoCommonCipher);
    let hello = record.timeline.client_hello.as_mut().unwrap();
    std::sync::Arc::make_mut(&mut hello.shape).suites = (0..32_000).map(parser::wire::CipherSuite).collect();
    hello.server_name = Some("ü".repeat(60_000).into());
    let line = Event::ended(Action::SessionEnd, &record, after(20), &names(UserNames::Hash), &told()).line();
    assert!(line.len() < 24 * 1024, "{} bytes", line.len());
}

#[test]
fn a_hanging_session_says_where_and_since_when_each_side_is_silent() {
    let silence = Silence { client: Some(after(1_000)), host: None };
    let identity = fixture::identity(1);
    let event = parse(&Event::phase(&identity, Phase::TlsHello, after(1_000), after(6_500), silence));
    assert_eq!(event["event"]["action"], "session_phase");
    assert_eq!(event["rdpscope"]["phase"], "tls_hello");
    assert_eq!(event["rdpscope"]["waiting"]["phase_ms"], 5500.0);
    assert_eq!(event["rdpscope"]["waiting"]["client_silent_ms"], 5500.0);
    assert_eq!(event["rdpscope"]["waiting"]["host_silent_ms"], Value::Null);
    assert_eq!(event["message"], "in tls_hello for 5.5 s; last byte of the client 5.5 s ago, no byte of the host yet");
}

#[test]
fn an_upstream_is_split_into_name_and_port() {
    let host = |label| serde_json::to_value(super::host(label, None)).unwrap();
    assert_eq!(host("rds07.example.net:3389"), serde_json::json!({"address": "rds07.example.net", "port": 3389}));
    assert_eq!(
        host("[2001:db8::7]:3390"),
        serde_json::json!({"address": "2001:db8::7", "ip": "2001:db8::7", "port": 3390})
    );
}

#[test]
fn a_usual_event_is_some_kilobytes_and_microseconds() {
    let record = record(1, Cause::CertExpired);
    let names = names(UserNames::Hash);
    let told = told();
    let begin = std::time::Instant::now();
    let mut bytes = 0;
    for _ in 0..200 {
        bytes = Event::ended(Action::SessionEnd, &record, after(20), &names, &told).line().len();
    }
    println!("{bytes} bytes, {:?} each", begin.elapsed() / 200);
    assert!((1_500..4_096).contains(&bytes), "{bytes} bytes");
}
