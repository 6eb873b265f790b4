//! Peers that answer, or ask, as no RDP peer does: whose doing it is must be right, and what is said of them true.

mod support;

use parser::diagnosis::{Cause, Confidence, Side, Verdict};
use parser::session::{Awaiting, Phase};
use support::field::{Seen, Story};
use support::told::{assert_called, told};
use support::{
    CLEAR_ULTIMATUM, CONTENT_ALERT, HYBRID, SSL, Settled, client_hello, connection_confirm, connection_request,
    negotiation_failure, opening, record, server_hello,
};

fn asked() -> Story {
    Story::new().client(&connection_request(SSL))
}

fn agreed() -> Story {
    asked().host(&connection_confirm(SSL))
}

fn alert(description: u8) -> Vec<u8> {
    record(CONTENT_ALERT, &[2, description])
}

fn says(verdict: &Verdict, words: &str) -> bool {
    verdict.message.contains(words) || verdict.evidence.iter().any(|sentence| sentence.contains(words))
}

#[test]
fn a_tls_alert_in_place_of_the_confirm_is_no_rdp_host() {
    // GnuTLS answers a Connection Request so; an impatient or a patient client makes no difference.
    let called = (Cause::NotRdp, Side::Host, Phase::X224, Confidence::Likely);
    for story in [
        asked().host(&alert(10)).host_fin(),
        asked().host(&alert(10)).host_rst(),
        asked().host(&alert(70)).wait(2).client_fin(),
        asked().host(&alert(70)).wait(20).client_fin(),
    ] {
        assert_called("TLS server", &story, called);
    }
}

#[test]
fn an_alert_where_the_hello_is_due_is_told_and_blames_its_sender() {
    let by_client = (Cause::ClientClosedAfterCc, Side::Client, Phase::TlsHello, Confidence::Likely);
    for story in [agreed().client(&alert(80)).client_fin(), agreed().client(&alert(80)).host_fin()] {
        assert_called("OpenSSL without a suite to offer", &story, by_client);
        assert!(says(
            &told("the same", &story, &[]),
            "In place of a ClientHello the client sent TLS alert internal_error"
        ));
    }
    let by_host = (Cause::HostClosedAfterCc, Side::Host, Phase::TlsHello, Confidence::Possible);
    assert_called("host", &agreed().host(&alert(80)).host_fin(), by_host);
}

#[test]
fn an_alert_on_a_hello_that_cannot_be_read_is_told() {
    let mut hello = client_hello();
    // Length of the session id: longer than the protocol allows.
    hello[5 + 4 + 2 + 32] = 0xff;
    let verdict = told("decode_error", &agreed().client(&hello).host(&alert(50)).host_fin(), &[]);
    assert_eq!((verdict.cause, verdict.side), (Cause::UnknownClose, Side::Host), "{verdict:#?}");
    assert!(says(&verdict, "alert decode_error (50)"), "{verdict:#?}");
    assert!(!says(&verdict, "before any ClientHello"), "{verdict:#?}");
}

#[test]
fn only_nine_bytes_of_disconnect_are_called_so() {
    let answered = |bytes: &[u8]| agreed().client(&client_hello()).host(bytes).host_fin();
    let called = (Cause::TlsServerRefusedHelloSilently, Side::Host, Phase::TlsHello, Confidence::Possible);
    assert_called("disconnect", &answered(&CLEAR_ULTIMATUM), called);
    assert!(says(&told("disconnect", &answered(&CLEAR_ULTIMATUM), &[]), "nine-byte disconnect"));
    let again = answered(&connection_confirm(SSL));
    assert_called("a second confirm", &again, called);
    let verdict = told("a second confirm", &again, &[]);
    assert!(says(&verdict, "a clear RDP message of 19 bytes") && !says(&verdict, "nine-byte"), "{verdict:#?}");

    let at_once = Story::new().client(&client_hello()).host(&[3, 0, 0, 11, 6, 0x80, 0, 0, 0, 0, 0]).host_fin();
    let wants_x224 = (Cause::TlsHelloWithoutNegotiation, Side::Client, Phase::X224, Confidence::Proven);
    assert_called("X.224 disconnect to a first hello", &at_once, wants_x224);

    // A host that reads any first packet as a request, and the rest of it as a hello.
    let mut sslv2 = vec![0x80, 9 + 6 + 16, 1, 3, 1, 0, 6, 0, 0, 0, 16, 0, 0, 0x2f, 0, 0, 0x0a];
    sslv2.extend([7; 16]);
    for hello in [&sslv2, &client_hello()] {
        let confirmed = Story::new().client(hello).host(&connection_confirm(SSL)).host(&alert(50)).host_fin();
        assert_called("confirm, then an alert", &confirmed, wants_x224);
        let verdict = told("confirm, then an alert", &confirmed, &[]);
        assert!(
            says(&verdict, "a clear RDP message of 19 bytes, then with TLS alert decode_error (50)"),
            "{verdict:#?}"
        );
        let refused = told("an alert", &Story::new().client(hello).host(&alert(50)).host_fin(), &[]);
        assert!(says(&refused, "answered the ClientHello with alert decode_error (50)"), "{refused:#?}");
    }
}

#[test]
fn what_a_host_did_not_send_is_not_shown() {
    let verdict = told("banner", &agreed().client(&client_hello()).host(b"SSH-2.0-x\r\n").host_fin(), &[]);
    assert_eq!((verdict.cause, verdict.side), (Cause::NotRdp, Side::Host), "{verdict:#?}");
    assert!(says(&verdict, "2d 78 0d 0a (\"SSH-2.0-x\")"), "{verdict:#?}");
}

#[test]
fn a_host_that_greets_a_tls_client_does_not_speak_tls() {
    let called = (Cause::NotRdp, Side::Host, Phase::TlsHello, Confidence::Likely);
    let greeted = || Story::new().host(b"SSH-2.0-OpenSSH_9\r\n").client(&client_hello());
    assert_called("host leaves", &greeted().host_rst(), called);
    assert_called("client leaves", &greeted().client_fin(), called);
}

#[test]
fn a_load_balancers_proxy_header_is_called_so() {
    let version_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x01\x0a\0\0\x02\xc3\x50\x0d\x3d";
    for (version, header) in [(1, &b"PROXY TCP4 10.0.0.1 10.0.0.2 50000 3389\r\n"[..]), (2, version_2)] {
        // In one segment with the request, in a segment of its own, and in pieces.
        let request = connection_request(HYBRID | SSL);
        let whole = Story::new().client(&[header, &request].concat());
        let apart = Story::new().client(header).client(&request);
        let pieces = Story::new().client(&header[..3]).client(&header[3..]).client(&request);
        for story in [whole, apart, pieces] {
            let verdict = told("PROXY header", &story.host_fin(), &[]);
            assert_eq!((verdict.cause, verdict.side), (Cause::NotRdp, Side::Client), "{verdict:#?}");
            assert!(says(&verdict, &format!("a PROXY protocol header of version {version}.")), "{verdict:#?}");
            assert!(verdict.message.contains(&format!("a PROXY protocol header (version {version})")), "{verdict:#?}");
            assert!(verdict.remedy[0].contains("`send-proxy`"), "{verdict:#?}");
            assert!(!verdict.remedy.iter().any(|action| action.contains("scanner")), "{verdict:#?}");
        }
    }
    // Somebody's text is none.
    let text = told("text", &Story::new().client(b"PROXYING is fun\r\n").host_fin(), &[]);
    assert!(!text.message.contains("PROXY protocol"), "{text:#?}");
}

#[test]
fn a_host_that_requires_what_was_offered_contradicts_itself() {
    for (asks, code, cause) in [(HYBRID | SSL, 5, Cause::NlaRequired), (SSL, 1, Cause::NegSslRequired)] {
        let refused = |asks| Story::new().client(&connection_request(asks)).host(&negotiation_failure(code)).host_fin();
        assert_called("offered", &refused(asks), (cause, Side::Host, Phase::X224, Confidence::Proven));
        assert_called("not offered", &refused(0), (cause, Side::Client, Phase::X224, Confidence::Proven));
        let remedy = told("offered", &refused(asks), &[]).remedy;
        assert!(remedy[0].starts_with("Read the host's System and"), "{remedy:#?}");
        let clients = |action: &String| action.contains("client") || action.contains("xfreerdp");
        assert!(!remedy.iter().any(clients), "the client did its part: {remedy:#?}");
        assert!(told("not offered", &refused(0), &[]).remedy.iter().any(clients));
    }
}

#[test]
fn an_alert_that_names_no_choice_refuses_none() {
    let answered = |level, description| {
        let hello = server_hello(Settled::GCM, [9; 32], &[5; 32]);
        agreed().client(&client_hello()).host(&hello).client(&record(CONTENT_ALERT, &[level, description])).client_fin()
    };
    let refused = |side, most| (Cause::TlsClientRefusedChoice, side, Phase::TlsFinish, most);
    assert_called("handshake_failure", &answered(2, 40), refused(Side::Client, Confidence::Likely));
    for description in [10, 20, 22, 50, 51, 110] {
        assert_called("spoilt", &answered(2, description), refused(Side::Both, Confidence::Possible));
    }
    assert!(told("signature", &answered(2, 51), &[]).alternatives.contains(&Cause::CertPrivateKeyUnusable));
    // A goodbye is told as one.
    let goodbye = told("goodbye", &answered(1, 0), &[]);
    assert_eq!(goodbye.cause, Cause::TlsClientClosedSilently, "{goodbye:#?}");
    assert!(says(&goodbye, "with alert close_notify (0)"), "{goodbye:#?}");
    assert!(!says(&goodbye, "without an alert") && !says(&goodbye, "no clear alert"), "{goodbye:#?}");
}

#[test]
fn a_warning_before_a_silent_refusal_is_told() {
    let warned = || agreed().client(&client_hello()).host(&record(CONTENT_ALERT, &[1, 112]));
    for (story, cause) in [
        (warned().host_fin(), Cause::TlsServerRefusedHelloSilently),
        (warned().client_fin(), Cause::ClientLeftBeforeServerHello),
    ] {
        let verdict = told("unrecognized_name", &story, &[]);
        assert_eq!(verdict.cause, cause, "{verdict:#?}");
        assert!(says(&verdict, "The host had sent alert unrecognized_name (112), a warning."), "{verdict:#?}");
        assert!(
            !says(&verdict, "no TLS alert") && !says(&verdict, "no alert") && !says(&verdict, "no TLS byte"),
            "{verdict:#?}"
        );
    }
}

#[test]
fn half_a_hello_is_not_called_none() {
    let begun = || agreed().client(&client_hello()[..100]);
    let left = begun().client_fin();
    let called = (Cause::ClientClosedAfterCc, Side::Client, Phase::TlsHello, Confidence::Likely);
    assert_called("client", &left, called);
    let verdict = told("client", &left, &[]);
    assert!(says(&verdict, "in the middle of its ClientHello") && !says(&verdict, "without"), "{verdict:#?}");
    let late = told("time-out", &begun().wait(15).time_out(Awaiting::ClientHello), &[]);
    assert!(says(&late, "A record of the client was begun and not completed."), "{late:#?}");
}

#[test]
fn a_host_that_drops_a_new_connection_is_no_prompt() {
    for settled in [Settled::GCM, Settled::TLS13] {
        let up = || Story::new().all(opening(SSL, settled));
        let prompted = |story: &Story| {
            let verdict = told("host leaves after TLS", story, &[]);
            assert_eq!((verdict.cause, verdict.side), (Cause::ClosedAfterTlsUnknown, Side::Host), "{verdict:#?}");
            verdict.alternatives.contains(&Cause::ClientPromptProbe)
        };
        // Its client comes back and gets in; that makes no prompt of what the host broke off.
        assert!(!prompted(&up().host_rst()) && !prompted(&up().wait(1).host_fin()));
        assert!(prompted(&up().wait(60).host_fin()));
    }
}

#[test]
fn a_gateway_request_in_clear_is_not_said_to_be_inside_tls() {
    let request = b"RDG_OUT_DATA /remoteDesktopGateway/ HTTP/1.1\r\n\r\n";
    let refused = Story::new().client(request).host(b"HTTP/1.1 401 Unauthorized\r\n\r\n").host_fin();
    let verdict = told("behind a TLS terminator", &refused, &[]);
    assert_eq!(verdict.cause, Cause::RdgClosedAfterTls, "{verdict:#?}");
    assert!(says(&verdict, "request came in clear") && !says(&verdict, "TLS"), "{verdict:#?}");
    assert!(says(&verdict, "HTTP status 401"), "{verdict:#?}");
}

#[test]
fn a_refusal_in_clear_names_its_status_and_is_the_cause_where_nothing_came_after_it() {
    let request = b"GET /remoteDesktopGateway/ HTTP/1.1\r\n\r\n";
    let answered = |status: &str| Story::new().client(request).host(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes());
    let not_told = |verdict: &Verdict| {
        assert_eq!(
            (verdict.cause, verdict.confidence),
            (Cause::RdgClosedAfterTls, Confidence::Possible),
            "{verdict:#?}"
        );
        assert!(says(verdict, "first answer has HTTP status"), "{verdict:#?}");
    };
    for status in ["403 Forbidden", "404 Not Found", "503 Service Unavailable"] {
        for story in
            [answered(status).host_fin(), answered(status).client_fin(), answered(status).wait(30).client_rst()]
        {
            let verdict = told(status, &story, &[Seen::CoarseClock]);
            let called = (verdict.cause, verdict.side, verdict.phase, verdict.confidence);
            assert_eq!(called, (Cause::RdgHttp403404503, Side::Host, Phase::Http, Confidence::Proven), "{verdict:#?}");
            assert!(says(&verdict, &format!("HTTP status {}", &status[..3])), "{verdict:#?}");
            // Which of the two spoke last is not known.
            let coarse = story.verdict(Seen::CoarseClock);
            not_told(&coarse);
            assert_eq!(coarse.alternatives[0], Cause::RdgHttp403404503);
        }
    }
    // What it was answered then is not read.
    let again = answered("404 Not Found").client(request).host(b"HTTP/1.1 200 OK\r\n\r\n").host_fin();
    for story in [again, answered("502 Bad Gateway").host_fin(), answered("101 Switching Protocols").host_fin()] {
        not_told(&told("something else", &story, &[]));
    }
}

#[test]
fn a_web_server_where_rdp_or_tls_is_due_is_called_so_with_its_status() {
    let bad = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    let web = "a web server's answer in clear: HTTP status 400";
    assert!(says(&told("X.224", &asked().host(bad).host_fin(), &[]), web));
    assert!(says(&told("TLS first", &Story::new().client(&client_hello()).host(bad).host_fin(), &[]), web));
    let browser = Story::new().client(b"GET / HTTP/1.1\r\n\r\n").host(bad).host_fin();
    assert!(says(&told("browser", &browser, &[]), "answered with HTTP status 400"));
}
