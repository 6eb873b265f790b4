//! Connections that break: refused, closed, reset, answered with nonsense, cut in the middle, or never answered.

use crate::client::{Client, tls};
use crate::expect::{Expect, failed};
use crate::host::{Cut, Front, Host, How};
use crate::pair::Pair;
use serde_json::json;
use std::time::Duration;

/// Time-outs short enough for a test. Each, when it strikes, is a verdict.
const SHORT: &str = "[timeouts]\nconnect = \"2s\"\nnegotiate = \"1s\"\nclient_hello = \"1s\"\nserver_hello = \"1s\"";

fn front(front: Front) -> Host {
    Host::Front(front)
}

fn unanswered_request(close: &'static str) -> Expect {
    failed("closed_before_cc|rst_by_middlebox", "host|network", "x224")
        .at_most("likely")
        .close(close)
        .is("destination.bytes", json!(0))
        .is("rdp.requested_protocols", json!(["ssl"]))
}

fn closed_behind_confirm(close: &'static str) -> Expect {
    const CAUSES: &str = "host_closed_after_cc|tls_server_refused_hello_silently|cert_private_key_unusable|\
                          rst_by_middlebox|unknown_close";
    failed(CAUSES, "host|network", "tls_hello").at_most("possible").close(close).negotiated(&["ssl"], "ssl")
}

/// The hello is answered by this alert, and by every probe it would be: the number alone proves nothing.
fn alert(code: u8, causes: &'static str, at_most: &'static str) -> Pair {
    let expect = failed(causes, "host|network|client|both", "tls_hello").at_most(at_most).close("client/fin");
    Pair::new(format!("fault-alert{code}"), front(Front::Alert(code)), tls(&[]), 143)
        .session(expect.alert("host", code).is("tls.alert.level", json!("fatal")))
}

pub(crate) fn pairs() -> Vec<Pair> {
    [silence(), cuts(), before_the_answer(), before_tls(), alerts()].concat()
}

fn before_the_answer() -> Vec<Pair> {
    const EITHER: &str = "host/fin|host/rst";
    let twice = || unanswered_request("host/fin");
    vec![
        Pair::new("tcp-refused", Host::Nobody, tls(&[]), 147).or_never_connected().session(
            failed("tcp_refused", "host|network", "tcp")
                .proven()
                .close("host/rst|host/error|proxy/rst")
                .is("destination.bytes", json!(0)),
        ),
        Pair::new("fault-close-accept", front(Front::CloseAccept), tls(&[]), 147).session(unanswered_request(EITHER)),
        Pair::new("fault-rst-accept", front(Front::RstAccept), tls(&[]), 147).session(unanswered_request("host/rst")),
        Pair::new("fault-close-after-cr", front(Front::CloseAfterRequest), tls(&[]), 147).session(twice()),
        Pair::new("fault-rst-after-cr", front(Front::RstAfterRequest), tls(&[]), 147)
            .session(unanswered_request("host/rst")),
        // Without +auth-only xfreerdp tries a second time.
        Pair::new(
            "fault-close-after-cr-noao",
            front(Front::CloseAfterRequest),
            Client::Xfreerdp(vec!["/sec:tls"]),
            147,
        )
        .session(twice())
        .session(twice()),
        Pair::new("fault-garbage", front(Front::Garbage), tls(&[]), 147).session(
            failed("not_rdp", "host", "x224").proven().close("host/fin").is("event.outcome", json!("unknown")),
        ),
    ]
}

fn before_tls() -> Vec<Pair> {
    const DROPPED: &str = "tls_server_refused_hello_silently|cert_private_key_unusable|rst_by_middlebox|\
                           tls13_middlebox_intolerance|host_closed_after_cc|unknown_close";
    let dropped = |close| failed(DROPPED, "host|network", "tls_hello").at_most("possible").close(close);
    vec![
        Pair::new("fault-close-after-cc", front(Front::CloseAfterConfirm), tls(&[]), 143)
            .session(closed_behind_confirm("host/fin")),
        Pair::new("fault-rst-after-cc", front(Front::RstAfterConfirm), tls(&[]), 143)
            .session(closed_behind_confirm("host/rst")),
        Pair::new("fault-rst-after-ch", front(Front::RstAfterHello), tls(&[]), 143)
            .session(dropped("host/rst").offered(&["1.3", "1.2", "1.1", "1.0"])),
        Pair::new("fault-rst-after-ch-noao", front(Front::RstAfterHello), Client::Xfreerdp(vec!["/sec:tls"]), 143)
            .session(dropped("host/rst")),
        Pair::new("fault-fin-after-ch", front(Front::FinAfterHello), tls(&[]), 143).session(dropped("host/fin")),
        Pair::new("fault-garbage-after-ch", front(Front::GarbageAfterHello), tls(&[]), 143).session(
            failed(
                "not_rdp|tls_inspection_middlebox|unknown_close|tls_server_refused_hello_silently|\
                 cert_private_key_unusable",
                "host|network",
                "tls_hello",
            )
            .at_most("likely")
            .close("client/fin"),
        ),
        Pair::new("fault-partial-sh", front(Front::PartialServerHello), tls(&[]), 143).session(
            failed(
                "tls_server_refused_hello_silently|cert_private_key_unusable|tls_handshake_timeout|unknown_close",
                "host",
                "tls_hello",
            )
            .at_most("possible")
            .close("host/fin"),
        ),
    ]
}

fn alerts() -> Vec<Pair> {
    const OTHER: &str = "tls_alert_other|unknown_close|cert_private_key_unusable|tls_inspection_middlebox|\
                         tls_alert_internal_error";
    const MISMATCH: &str = "tls_no_common_cipher|tls_no_common_version|tls_no_common_group_or_sigalg|\
                            tls_cert_key_type_mismatch|cert_private_key_unusable";
    vec![
        alert(
            0,
            "tls_server_refused_hello_silently|cert_private_key_unusable|unknown_close|tls_alert_other",
            "possible",
        ),
        alert(40, MISMATCH, "possible"),
        alert(42, OTHER, "possible"),
        alert(45, OTHER, "possible"),
        alert(48, OTHER, "possible"),
        alert(70, "tls_no_common_version", "likely"),
        alert(71, MISMATCH, "likely"),
        alert(80, "tls_alert_internal_error|cert_private_key_unusable|tls_alert_other|unknown_close", "likely"),
        alert(86, "tls_alert_other|tls_no_common_version|unknown_close|cert_private_key_unusable", "possible"),
    ]
}

/// Direct, xfreerdp waits for ever. Behind the proxy our time-out ends the wait: the client then has what it would
/// have with a closed connection.
fn silence() -> Vec<Pair> {
    let hang = |name: &str, at, behind| Pair::running(name, front(at), tls(&[])).behind(behind).settings(SHORT);
    let request = || {
        failed("half_open_after_accept", "host|network", "x224")
            .at_most("likely")
            .close("proxy/timeout")
            .is("destination.bytes", json!(0))
    };
    let hello = || {
        failed("tls_handshake_timeout|large_clienthello_lost|mtu_blackhole", "host|network", "tls_hello")
            .at_most("possible")
            .close("proxy/timeout")
    };
    let stalled = Host::CutXrdp(Cut { after: IN_MCS, pause: Duration::ZERO, how: How::Silence });
    vec![
        hang("fault-hang", Front::Hang, 147).session(request()),
        hang("fault-hang-after-cr", Front::HangAfterRequest, 147).session(request()),
        hang("fault-hang-after-cc", Front::HangAfterConfirm, 143).session(hello()),
        hang("fault-hang-after-ch", Front::HangAfterHello, 143).session(hello()),
        // After TLS the proxy has no time-out: xfreerdp's own, 9 s for the activation, ends it direct and proxied.
        Pair::new("fault-silence-in-mcs", stalled, tls(&[]), 131).settings(SHORT).session(
            failed("unknown_close|server_closed_in_mcs", "host|network", "mcs")
                .at_most("possible")
                .close("client/fin|client/rst")
                .established(),
        ),
    ]
}

// Positions in what xrdp sends in a TLS 1.3 session: 19 the Connection Confirm, about 1,370 the handshake, 1,880 with
// its two tickets, 2,010 the MCS answer, 3,500 the session.
const IN_HANDSHAKE: u64 = 700;
const IN_MCS: u64 = 1_950;
const IN_LICENSING: u64 = 2_250;
const IN_SESSION: u64 = 5_000;
/// What a client needs at most to read its way into the session.
const SETTLE: Duration = Duration::from_millis(700);

fn cuts() -> Vec<Pair> {
    const HANDSHAKE: &str = "tls_server_refused_hello_silently|cert_private_key_unusable|rst_by_middlebox|\
                             tls13_middlebox_intolerance";
    const LICENSING: &str = "license_failure|server_closed_in_mcs|server_denied_0x7|unknown_close|rst_by_middlebox";
    const SESSION: &str = "host_closed_active|winlogon_or_profile_failure|server_reset_in_session|unknown_close|\
                           rst_by_middlebox";
    let mut pairs = vec![];
    for (how, word, close) in [(How::Fin, "fin", "host/fin"), (How::Rst, "rst", "host/rst")] {
        let cut = |after| Host::CutXrdp(Cut { after, pause: Duration::ZERO, how });
        let later = |after| Host::CutXrdp(Cut { after, pause: SETTLE, how });
        let lost = |causes, phases| failed(causes, "host|network", phases).at_most("possible").close(close);
        let mcs = || lost("server_closed_in_mcs|mcs_core_mismatch|rst_by_middlebox", "mcs").established();
        let licensing = || lost(LICENSING, "licensing|client_info").established();
        let whole = || Client::Xfreerdp(vec!["/sec:tls"]);
        pairs.extend([
            Pair::new(format!("cut-{word}-handshake"), cut(IN_HANDSHAKE), tls(&[]), 143)
                .session(lost(HANDSHAKE, "tls_hello").without("tls.version")),
            // Without +auth-only xfreerdp tries a second time when it had no session yet.
            Pair::new(format!("cut-{word}-mcs"), cut(IN_MCS), whole(), 147).session(mcs()).session(mcs()),
            Pair::new(format!("cut-{word}-demand"), cut(IN_LICENSING), whole(), 147)
                .session(licensing())
                .session(licensing()),
            Pair::new(format!("cut-{word}-session"), later(IN_SESSION), whole(), 131)
                .session(lost(SESSION, "active").is("rdp.tracking", json!("complete"))),
        ]);
    }
    pairs
}
