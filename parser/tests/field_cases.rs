//! What administrators meet: whole connections of the clients, hosts, boxes and scanners of the field, and what each must
//! (and must never) be called. Every story is told five ways (live, as a capture, in pieces, with a coarse clock), and
//! the verdict must not depend on how.

mod support;

use parser::diagnosis::{Cause, Confidence, End, Outcome, Side, Verdict};
use parser::session::{Awaiting, CloseKind, Closer, Peer, Phase};
use support::field::{Seen, Story};
use support::{
    CLEAR_ULTIMATUM, CONTENT_ALERT, CONTENT_CCS, CONTENT_DATA, CONTENT_HANDSHAKE, HELLO_RETRY_RANDOM, HYBRID,
    HYBRID_EX, RDSTLS, SSL, Settled, client_hello, connection_confirm, connection_request, handshake, handshake_record,
    negotiation_failure, opening, record, sealed, server_hello,
};

/// NTLM and Kerberos exchanges, and MCS to the active session, as plaintext sizes.
const NTLM: &str = "C57 S295 C677 S95 C110";
const NTLM_EX: &str = "C57 S295 C677 S95 C110 S4";
const KERBEROS_EX: &str = "C175 S1351 C1887 S227 C191 S103 C361 S4";
const MCS: &str = "C462 S126 C12 C8 S11 C12 S15 C12 S15 C12 S15 C12 S15";
const LICENSED: &str = "C433 S34";
const ACTIVE: &str = "S472 C611 C36 C40 C40 S36 S40 C40 S40 S40";
const DRAWING: &str = "S1400 C29 S900 S1400 C31 S260 C29 S4000";

fn up(settled: Settled, selected: u32, authentication: &str) -> Story {
    Story::new()
        .all(opening(selected, settled))
        .records(settled, authentication)
        .records(settled, MCS)
        .records(settled, LICENSED)
        .records(settled, ACTIVE)
        .records(settled, DRAWING)
}

fn suites() -> impl Iterator<Item = Settled> {
    Settled::EXACT.into_iter().chain(Settled::BLOCKS)
}

/// The verdict, which must be the same in every telling but those left out.
fn told(name: &str, story: &Story, left_out: &[Seen]) -> Verdict {
    let first = story.verdict(Seen::Live);
    for seen in Seen::ALL.into_iter().filter(|seen| !left_out.contains(seen)) {
        let verdict = story.verdict(seen);
        let phases = verdict.cause.entry().phases;
        assert!(phases.contains(&verdict.phase), "{name}, {seen:?}: {} is not of {}", verdict.cause, verdict.phase);
        let key = |v: &Verdict| (v.cause, v.side, v.phase, v.confidence, v.end);
        assert_eq!(key(&verdict), key(&first), "{name}, {seen:?}:\n{verdict:#?}\nlive:\n{first:#?}");
    }
    assert!(first.confidence < Confidence::Proven || first.alternatives.is_empty(), "{name}: {first:?}");
    first
}

fn assert_ok(name: &str, story: &Story, end: End) {
    let verdict = told(name, story, &[]);
    assert_eq!((verdict.cause, verdict.end), (Cause::Ok, Some(end)), "{name}: {verdict:#?}");
    assert_eq!(verdict.phase, Phase::Active, "{name}");
}

/// `(cause, side, phase, most confidence)`.
type Called = (Cause, Side, Phase, Confidence);

fn assert_called(name: &str, story: &Story, called: Called) {
    assert_called_but(name, story, &[], called);
}

fn assert_called_but(name: &str, story: &Story, left_out: &[Seen], (cause, side, phase, most): Called) {
    let verdict = told(name, story, left_out);
    assert_eq!((verdict.cause, verdict.side, verdict.phase), (cause, side, phase), "{name}: {verdict:#?}");
    assert!(verdict.confidence <= most, "{name}: {verdict:#?}");
}

/// Every generation of authentication there is.
const AUTHENTICATIONS: [(u32, &str); 6] = [
    (SSL, ""),
    (HYBRID, NTLM),
    (HYBRID_EX, NTLM_EX),
    (HYBRID_EX, KERBEROS_EX),
    (RDSTLS, "S8 C600 S10"),
    (HYBRID, "C175 S1351 C1887 S227 C191 S103 C361"),
];

#[test]
fn every_generation_of_session_that_ends_in_order_is_ok() {
    for settled in suites() {
        for (selected, authentication) in AUTHENTICATIONS {
            // A greeting of eight bytes came after TLS 1.0; with blocks it is not told from other things.
            if selected == RDSTLS
                && !Settled::EXACT.iter().any(|s| s.suite == settled.suite && s.version == settled.version)
            {
                continue;
            }
            let session = || up(settled, selected, authentication);
            let name = format!("{settled:?} {selected} {authentication}");
            assert_ok(
                &format!("window closed, {name}"),
                &session().records(settled, "C33 S33 C9 CA").client_fin(),
                End::UserClosed,
            );
            assert_ok(&format!("closed without a word, {name}"), &session().client_fin(), End::UserClosed);
            assert_ok(&format!("client killed, {name}"), &session().client_rst(), End::ClientGone);
            assert_ok(
                &format!("logoff, mstsc resets, {name}"),
                &session().records(settled, "S9").client_rst(),
                End::HostEnded,
            );
            assert_ok(
                &format!("logoff, host closes, {name}"),
                &session().records(settled, "S9").host_fin(),
                End::HostEnded,
            );
            assert_ok(
                &format!("admin disconnect, {name}"),
                &session().records(settled, "S36 S9").host_fin().client_fin(),
                End::HostEnded,
            );
            assert_ok(
                &format!("both fins, {name}"),
                &session().records(settled, "CA SA").host_fin().client_fin(),
                End::UserClosed,
            );
            assert_ok(
                &format!("half-close, then the host goes on, {name}"),
                &session().client_fin().records(settled, "S4000 S4000 S4000 S4000 S4000").host_fin(),
                End::UserClosed,
            );
            assert_ok(
                &format!("host says a TLS goodbye only, {name}"),
                &session().records(settled, "SA").host_fin(),
                End::HostEnded,
            );
        }
    }
}

#[test]
fn a_session_that_is_cut_is_no_orderly_end_even_while_the_mouse_moves() {
    for settled in Settled::EXACT {
        // A fast-path input PDU with one mouse event has nine bytes, as a disconnect has.
        let moving = up(settled, HYBRID_EX, NTLM_EX).records(settled, "C9 C9 C9 S1400 C9 C9");
        for story in [moving.clone().host_rst(), moving.clone().host_fin()] {
            assert_called(
                "host dies while the mouse moves",
                &story,
                (Cause::HostClosedActive, Side::Host, Phase::Active, Confidence::Possible),
            );
        }
        assert_ok("client killed while the mouse moves", &moving.clone().client_rst(), End::ClientGone);
        assert_called(
            "client's nine bytes, then a reset by the host",
            &up(settled, SSL, "").records(settled, "C31 C9").host_rst(),
            (Cause::HostClosedActive, Side::Host, Phase::Active, Confidence::Possible),
        );
        let answered =
            told("nine bytes, host closes", &up(settled, SSL, "").records(settled, "C31 C9").host_fin(), &[]);
        assert_eq!((answered.cause, answered.confidence), (Cause::Ok, Confidence::Possible), "{answered:?}");
        // The host's goodbye is the last word although the user had just moved the mouse.
        let logoff = moving.records(settled, "S9").client_rst();
        let verdict = told("logoff after a mouse move", &logoff, &[]);
        assert_eq!((verdict.cause, verdict.end), (Cause::Ok, Some(End::HostEnded)), "{verdict:?}");
    }
}

#[test]
fn legs_that_die_by_themselves_name_the_network_of_that_leg() {
    for settled in [Settled::GCM, Settled::TLS13, Settled::CBC12] {
        let session = || up(settled, HYBRID, NTLM).wait(3_000);
        assert_called(
            "laptop sleeps",
            &session().close(Closer::Client, CloseKind::Timeout),
            (Cause::ClientSideNetworkLoss, Side::Network, Phase::Active, Confidence::Likely),
        );
        assert_called(
            "host loses power",
            &session().close(Closer::Host, CloseKind::Timeout),
            (Cause::ServerResetInSession, Side::Host, Phase::Active, Confidence::Possible),
        );
        assert_called(
            "host reboots",
            &session().host_rst(),
            (Cause::HostClosedActive, Side::Host, Phase::Active, Confidence::Possible),
        );
    }
}

#[test]
fn tls_1_3_oddities_leave_a_session_healthy() {
    let settled = Settled::TLS13;
    let mut big = vec![];
    for happening in opening(SSL, settled) {
        big.push(happening.clone());
        // A chain that fills records, and one more.
        if matches!(&happening, support::Happening::Bytes(Peer::Host, bytes) if bytes.first() == Some(&20)) {
            big.extend([16_401, 16_401, 4_000].map(|n| support::Happening::Bytes(Peer::Host, sealed(CONTENT_DATA, n))));
        }
    }
    let rest = |story: Story| story.records(settled, MCS).records(settled, LICENSED).records(settled, ACTIVE);
    assert_ok("big certificates", &rest(Story::new().all(big)).client_fin(), End::UserClosed);
    let tickets = "C462 S233 S233 S126 C12 C8 S11 C12 S15";
    let four = Story::new().all(opening(SSL, settled)).records(settled, "S233 S233 S233 S233").records(settled, MCS);
    assert_ok(
        "four tickets first",
        &four.records(settled, LICENSED).records(settled, ACTIVE).client_fin(),
        End::UserClosed,
    );
    let mixed = Story::new().all(opening(SSL, settled)).records(settled, tickets);
    assert_ok(
        "tickets mixed in",
        &mixed.records(settled, LICENSED).records(settled, ACTIVE).client_fin(),
        End::UserClosed,
    );
    // KeyUpdate is a message of five bytes; later tickets come at any time.
    let updated = Story::new().all(opening(HYBRID, settled)).records(settled, NTLM).records(settled, MCS);
    let updated =
        updated.records(settled, "C5 S5").records(settled, LICENSED).records(settled, "S5 C5").records(settled, ACTIVE);
    assert_ok("key updates in the middle", &updated.records(settled, "S233 S5 C5").client_fin(), End::UserClosed);
}

#[test]
fn padded_records_never_make_a_long_session_a_failure() {
    let settled = Settled::TLS13;
    let mut story = Story::new().all(opening(HYBRID, settled));
    for _ in 0..40 {
        story = story.records(settled, "C512 S512");
    }
    for _ in 0..10 {
        story = story.records(settled, "S16384 C512");
    }
    let verdict = told("padded", &story.client_fin(), &[]);
    assert_eq!(verdict.outcome(), Outcome::Success, "{verdict:#?}");
}

/// From the ClientHello to both Finished, TLS 1.2 resumed by session id or by ticket.
fn resumed(settled: Settled) -> Story {
    Story::new()
        .client(&connection_request(SSL))
        .host(&connection_confirm(SSL))
        .client(&client_hello())
        .host(&server_hello(settled, [9; 32], &[5; 32]))
        .host(&record(CONTENT_CCS, &[1]))
        .host(&sealed(CONTENT_HANDSHAKE, settled.seal(16)))
        .client(&record(CONTENT_CCS, &[1]))
        .client(&sealed(CONTENT_HANDSHAKE, settled.seal(16)))
}

#[test]
fn resumed_and_renegotiated_handshakes_leave_a_session_healthy() {
    for settled in suites().filter(|s| !s.is_tls13()) {
        let rest = |story: Story| story.records(settled, MCS).records(settled, LICENSED).records(settled, ACTIVE);
        assert_ok("resumed", &rest(resumed(settled)).records(settled, DRAWING).client_fin(), End::UserClosed);
        let mut story = rest(resumed(settled)).records(settled, DRAWING);
        for from in [Peer::Host, Peer::Client, Peer::Host, Peer::Client, Peer::Host] {
            let bytes = sealed(CONTENT_HANDSHAKE, settled.seal(300));
            story = if from == Peer::Client { story.client(&bytes) } else { story.host(&bytes) };
        }
        assert_ok(
            "renegotiated",
            &story.records(settled, DRAWING).records(settled, "C9").client_fin(),
            End::UserClosed,
        );
    }
}

#[test]
fn a_prompt_that_lasts_is_never_timed_and_never_blamed() {
    for settled in [Settled::GCM, Settled::TLS13] {
        let asked = || Story::new().all(opening(HYBRID, settled));
        let smart_card = asked().records(settled, "C57 S295").wait(400).records(settled, "C677 S95 C110");
        let smart_card = smart_card.records(settled, MCS).records(settled, LICENSED).records(settled, ACTIVE);
        assert_ok("smart card PIN after minutes", &smart_card.client_fin(), End::UserClosed);
        for minutes in [5, 20] {
            let left = asked().wait(60 * minutes).records(settled, "CA").client_fin();
            let verdict = told("left at the prompt", &left, &[]);
            assert_eq!((verdict.cause, verdict.side), (Cause::ClosedAfterTlsUnknown, Side::Client), "{verdict:#?}");
            assert!(verdict.alternatives.contains(&Cause::ClientPromptProbe), "{verdict:#?}");
            // The host answers the goodbye before the client's own FIN is seen.
            let answered = told("the same", &asked().wait(60 * minutes).records(settled, "CA SA").host_fin(), &[]);
            assert_eq!((answered.cause, answered.side), (Cause::ClosedAfterTlsUnknown, Side::Client), "{answered:#?}");
        }
    }
}

#[test]
fn nothing_after_the_server_hello_is_timed() {
    for settled in suites() {
        let all = up(settled, HYBRID_EX, NTLM_EX).0;
        for cut in 4..all.len() {
            let timeline = Story(all[..cut].to_vec());
            let mut session = support::fresh();
            let mut clock = 0;
            for step in &timeline.0 {
                let support::field::Step::Bytes(from, bytes) = step else { continue };
                clock += 1_000_000;
                session.data(*from, bytes, parser::Timestamp(clock));
            }
            assert_eq!(session.awaiting().0, Awaiting::Nothing, "{settled:?} after {cut} messages");
        }
    }
}

#[test]
fn logons_that_are_refused_are_likely_only_when_nothing_else_explains_them() {
    let credssp = |settled, records: &str| Story::new().all(opening(HYBRID_EX, settled)).records(settled, records);
    for settled in Settled::EXACT {
        let refused = |side, most| (Cause::NlaAuthRefused, side, Phase::Credssp, most);
        assert_called(
            "NTLM, told",
            &credssp(settled, "C57 S295 C677 S15").client_rst(),
            refused(Side::Both, Confidence::Likely),
        );
        assert_called(
            "NTLM, closed",
            &credssp(settled, "C57 S295 C677 SA").host_fin(),
            refused(Side::Both, Confidence::Likely),
        );
        assert_called(
            "reset without a word",
            &credssp(settled, "C57 S295 C677").host_rst(),
            refused(Side::Both, Confidence::Possible),
        );
        assert_called(
            "closed after half a minute",
            &credssp(settled, "C57 S295 C677").wait(30).host_fin(),
            refused(Side::Both, Confidence::Possible),
        );
        assert_called(
            "error to the first message",
            &credssp(settled, "C57 S15").client_fin(),
            refused(Side::Both, Confidence::Possible),
        );
        assert_called(
            "user cancels, host closes first",
            &credssp(settled, "C57 S295 C677 CA").host_fin(),
            (Cause::ClosedAfterTlsUnknown, Side::Client, Phase::Credssp, Confidence::Possible),
        );
        assert_called(
            "no right to log on",
            &credssp(settled, NTLM_EX).host_fin(),
            (Cause::EarlyUserAuthDenied, Side::Host, Phase::Credssp, Confidence::Likely),
        );
    }
}

#[test]
fn a_redirection_by_a_broker_names_itself_and_the_prompt_as_a_rival() {
    for settled in suites() {
        let logged_on = || Story::new().all(opening(HYBRID, settled)).records(settled, NTLM).records(settled, MCS);
        for sent_on in ["C433 S34 S900", "C433 S34 S1200 CA", "C433 S900"] {
            for story in
                [logged_on().records(settled, sent_on).client_fin(), logged_on().records(settled, sent_on).client_rst()]
            {
                let verdict = told(sent_on, &story, &[]);
                assert_eq!(verdict.cause, Cause::RedirectBypassesProxy, "{settled:?} {sent_on}: {verdict:#?}");
                assert_eq!(verdict.confidence, Confidence::Possible);
                assert!(verdict.alternatives.contains(&Cause::ClientPromptProbe), "{verdict:#?}");
            }
        }
    }
}

#[test]
fn health_checks_and_scanners_are_no_users() {
    let nothing = (Cause::ClientSentNothing, Side::Client, Phase::Accept, Confidence::Proven);
    assert_called("connect, close", &Story::new().client_fin(), nothing);
    assert_called("connect, reset", &Story::new().client_rst(), nothing);
    assert_called("connect, wait, time-out", &Story::new().wait(10).time_out(Awaiting::ClientRequest), nothing);
    let foreign = (Cause::NotRdp, Side::Client, Phase::X224, Confidence::Proven);
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"SSH-2.0-Go\r\n",
        b"OPTIONS sip:nm SIP/2.0\r\n",
        b"\0\0\0\0\0\0\0\0",
    ] {
        assert_called("scanner", &Story::new().client(bytes).client_fin(), foreign);
        assert_called("scanner", &Story::new().client(bytes).host_rst(), foreign);
    }
    let part = (Cause::NotRdp, Side::Client, Phase::X224, Confidence::Possible);
    assert_called("one byte", &Story::new().client(&[3]).client_fin(), part);
    assert_called("half a request", &Story::new().client(&connection_request(3)[..20]).client_fin(), part);
    assert_called(
        "half a request, time-out",
        &Story::new().client(&connection_request(3)[..20]).wait(10).time_out(Awaiting::ClientRequest),
        part,
    );
    let left = |phase| (Cause::ClientClosedAfterCc, Side::Client, phase, Confidence::Likely);
    for (asked, chosen) in [(SSL, SSL), (HYBRID, HYBRID), (3, HYBRID), (0xb, HYBRID_EX)] {
        let story = Story::new().client(&connection_request(asked)).host(&connection_confirm(chosen)).client_fin();
        assert_called("nmap, zgrab", &story, left(Phase::TlsHello));
    }
    assert_called(
        "nmap asks for classic RDP",
        &Story::new().client(&connection_request(0)).host(&connection_confirm(0)).client_fin(),
        left(Phase::X224),
    );
    // TLS first, finished, and nothing inside: a TLS health check of a gateway.
    for settled in suites() {
        let looked = Story::new().all(handshake(settled)).client_fin();
        let verdict = told("TLS check", &looked, &[]);
        assert_eq!((verdict.cause, verdict.outcome()), (Cause::NotRdp, Outcome::Unknown), "{settled:?} {verdict:#?}");
        let polite = told(
            "TLS check",
            &Story::new().all(handshake(settled)).records(settled, "CA SA").host_fin(),
            &[Seen::CoarseClock],
        );
        assert_eq!(polite.cause, Cause::NotRdp, "{settled:?} {polite:#?}");
    }
}

#[test]
fn tls_to_a_host_that_wants_x224_is_the_clients_mistake() {
    let hello = client_hello();
    let called = |most| (Cause::TlsHelloWithoutNegotiation, Side::Client, Phase::X224, most);
    assert_called("xrdp", &Story::new().client(&hello).host(&CLEAR_ULTIMATUM).host_rst(), called(Confidence::Proven));
    assert_called("shadow", &Story::new().client(&hello).host_fin(), called(Confidence::Possible));
}

#[test]
fn a_request_that_nobody_answered_depends_on_who_left_and_when() {
    let asked = || Story::new().client(&connection_request(3));
    let x224 = |cause, side, most| (cause, side, Phase::X224, most);
    assert_called(
        "impatient",
        &asked().client_fin(),
        x224(Cause::ClientClosedBeforeCc, Side::Client, Confidence::Likely),
    );
    // The answer was on its way when the client had already left.
    let crossed = asked().client_fin().wait(1).host(&connection_confirm(HYBRID)).host_fin();
    assert_called("crossed", &crossed, x224(Cause::ClientClosedBeforeCc, Side::Client, Confidence::Likely));
    let refused_late = asked().client_fin().wait(1).host(&negotiation_failure(5));
    assert_called(
        "refused too late",
        &refused_late,
        x224(Cause::ClientClosedBeforeCc, Side::Client, Confidence::Likely),
    );
    assert_called(
        "hung",
        &asked().wait(10).time_out(Awaiting::ConnectionConfirm),
        x224(Cause::HalfOpenAfterAccept, Side::Host, Confidence::Likely),
    );
    assert_called("closed", &asked().host_fin(), x224(Cause::ClosedBeforeCc, Side::Host, Confidence::Likely));
    assert_called(
        "another service",
        &asked().host(b"SSH-2.0-OpenSSH_9\r\n").client_fin(),
        x224(Cause::NotRdp, Side::Host, Confidence::Proven),
    );
}

fn hello_retry() -> Story {
    Story::new()
        .client(&connection_request(SSL))
        .host(&connection_confirm(SSL))
        .client(&client_hello())
        .host(&server_hello(Settled::TLS13, HELLO_RETRY_RANDOM, &[5; 32]))
}

#[test]
fn after_a_hello_retry_request_it_is_about_the_group() {
    let group = (Cause::TlsNoCommonGroupOrSigalg, Side::Both, Phase::TlsHello, Confidence::Possible);
    assert_called("client leaves", &hello_retry().client_fin(), group);
    assert_called("client refuses", &hello_retry().client(&record(CONTENT_ALERT, &[2, 47])).client_fin(), group);
    assert_called(
        "host refuses",
        &hello_retry().client(&client_hello()).host(&record(CONTENT_ALERT, &[2, 40])).host_fin(),
        group,
    );
    assert_called(
        "second hello never comes",
        &hello_retry().wait(15).time_out(Awaiting::ClientHello),
        (Cause::ClientHelloTimeout, Side::Client, Phase::TlsHello, Confidence::Possible),
    );
}

#[test]
fn a_warning_about_the_name_hides_no_later_alert() {
    let settled = Settled::GCM;
    let story = Story::new()
        .client(&connection_request(SSL))
        .host(&connection_confirm(SSL))
        .client(&client_hello())
        .host(&record(CONTENT_ALERT, &[1, 112]))
        .host(&server_hello(settled, [9; 32], &[5; 32]))
        .host(&handshake_record(14, &[]))
        .client(&record(CONTENT_ALERT, &[2, 48]))
        .client_fin();
    assert_called("unknown CA", &story, (Cause::CertUntrustedCa, Side::Both, Phase::TlsFinish, Confidence::Likely));
}

#[test]
fn a_sealed_refusal_of_a_tls_1_3_client_is_the_clients_whoever_closes_first() {
    let settled = Settled::TLS13;
    let mut flight = opening(SSL, settled);
    flight.truncate(flight.len() - 1);
    for story in [
        Story::new().all(flight.clone()).records(settled, "CA").host_fin(),
        Story::new().all(flight).records(settled, "CA").client_fin(),
    ] {
        assert_called(
            "sealed alert",
            &story,
            (Cause::TlsClientClosedSilently, Side::Client, Phase::TlsFinish, Confidence::Possible),
        );
    }
}

#[test]
fn restricted_admin_is_blamed_only_when_the_client_left_on_the_answer() {
    let mut request = connection_request(HYBRID);
    let flags = request.len() - 7;
    request[flags] = 1;
    let asked = || Story::new().client(&request).host(&connection_confirm(HYBRID));
    let denied = |side, phase, most| (Cause::RestrictedAdminDenied, side, phase, most);
    let left = told("leaves", &asked().client_fin(), &[]);
    assert_eq!((left.cause, left.confidence), (Cause::RestrictedAdminDenied, Confidence::Likely));
    let settled = Settled::GCM;
    let logon = asked().all(handshake(settled)).records(settled, "C57 S295 C677 S15").client_rst();
    assert_called("logon refused", &logon, denied(left.side, Phase::Credssp, Confidence::Possible));
    assert_called(
        "never went on",
        &asked().wait(15).time_out(Awaiting::ClientHello),
        (Cause::ClientHelloTimeout, Side::Client, Phase::TlsHello, Confidence::Likely),
    );
}

#[test]
fn a_recording_that_begins_in_the_middle_names_no_failure() {
    for content in [CONTENT_DATA, CONTENT_ALERT, CONTENT_CCS] {
        for close in [Closer::Client, Closer::Host] {
            let story = Story::new()
                .client(&sealed(content, 200))
                .host(&sealed(CONTENT_DATA, 4_000))
                .close(close, CloseKind::Rst);
            let verdict = told("middle", &story, &[]);
            assert_eq!(
                (verdict.outcome(), verdict.confidence),
                (Outcome::Unknown, Confidence::Possible),
                "{verdict:#?}"
            );
        }
    }
    let clear = Story::new().client(&[3, 0, 0, 12, 2, 0xf0, 0x80, 0x64, 0, 0, 3, 0xeb]).client_fin();
    assert_eq!(told("middle, clear", &clear, &[]).outcome(), Outcome::Unknown);
    let host_only = Story::new().host(&sealed(CONTENT_DATA, 4_000)).host_fin();
    assert_eq!(told("host only", &host_only, &[]).outcome(), Outcome::Unknown);
}

#[test]
fn gateway_legs_that_carried_a_session_are_ok_however_they_end() {
    for settled in [Settled::TLS13, Settled::GCM, Settled::CBC12] {
        let mut out = Story::new().all(handshake(settled)).records(settled, "C348 S298 C756 S62");
        for _ in 0..20 {
            out = out.records(settled, "S8000 C60");
        }
        let out = out.wait(4_000);
        for story in [
            out.clone().client_fin(),
            out.clone().client_rst(),
            out.clone().records(settled, "CA").host_fin(),
            out.clone().records(settled, "SA").host_fin(),
        ] {
            let verdict = told("OUT channel", &story, &[]);
            assert_eq!(verdict.cause, Cause::Ok, "{settled:?}: {verdict:#?}");
        }
        let refused = Story::new().all(handshake(settled)).records(settled, "C700 S880 C1440 S450 SA").host_fin();
        let verdict = told("refused", &refused, &[]);
        assert_eq!(
            (verdict.cause, verdict.confidence),
            (Cause::RdgClosedAfterTls, Confidence::Possible),
            "{verdict:#?}"
        );
    }
}

#[test]
fn a_licence_message_that_ends_the_session_may_be_a_refusal() {
    for settled in suites() {
        let logged_on = Story::new().all(opening(HYBRID, settled)).records(settled, NTLM).records(settled, MCS);
        for exchange in ["C433 S34", "C433 S337 C156 S34", "C433 S35"] {
            let ended = logged_on.clone().records(settled, exchange);
            for story in [ended.clone().host_fin(), ended.clone().client_fin(), ended.client_rst()] {
                assert_called(
                    exchange,
                    &story,
                    (Cause::LicenseFailure, Side::Host, Phase::Licensing, Confidence::Possible),
                );
            }
        }
    }
}

#[test]
fn clear_gateway_http_behind_a_tls_terminator_is_judged_by_volume() {
    let outward = b"RDG_OUT_DATA /remoteDesktopGateway/ HTTP/1.1\r\nHost: gw\r\n\r\n";
    let inward = b"RDG_IN_DATA /remoteDesktopGateway/ HTTP/1.1\r\nHost: gw\r\n\r\n";
    let much = vec![7; 80_000];
    let out = || Story::new().client(outward).host(b"HTTP/1.1 200 OK\r\n\r\n").host(&much).wait(600);
    let into = || Story::new().client(inward).host(b"HTTP/1.1 200 OK\r\n\r\n").client(&much).wait(600);
    for story in [out().client_fin(), out().client_rst(), out().host_fin(), into().client_fin(), into().host_fin()] {
        let verdict = told("clear HTTP", &story, &[]);
        assert_eq!((verdict.cause, verdict.phase), (Cause::Ok, Phase::Active), "{verdict:#?}");
    }
    let refused = Story::new().client(outward).host(b"HTTP/1.1 401 Unauthorized\r\n\r\n").client_fin();
    let verdict = told("refused", &refused, &[]);
    assert_eq!((verdict.cause, verdict.confidence), (Cause::RdgClosedAfterTls, Confidence::Possible), "{verdict:#?}");
}

/// What real clients and hosts put between TLS and the desktop.
const JOINS: [&str; 5] = [
    "C462 S126 C12 C8 S11 C12 S15 C12 S15 C12 S15",
    // Skip-channel-join. [MS-RDPBCGR] 2.2.1.3.2
    "C462 S126 C12 C8 S11",
    "C462 S126 C20 S11 C12 S15 C12 S15",
    // Many monitors, and the message channel.
    "C900 S134 C12 C8 S11 C12 S15 C12 S15 C12 S15 C12 S15 C12 S15 C12 S15 C12 S15 C12 S15",
    "C462 S126 C12 C8 S11 C12 C12 C12 S15 S15 S15",
];
const LICENCES: [&str; 8] = [
    "C433 S34",
    "C339 S35",
    "C339 S337 C156 S34",
    "C433 S2200 C900 S180 C300 S34",
    // Connect-time detection of round trip and bandwidth, before and after licensing.
    "C433 S25 C25 S34",
    "C433 S25 C25 S25 S1040 S1040 S33 C39 S34",
    "C433 S34 S25 C25",
    // Initiate Multitransport, twice, and the answers.
    "C433 S34 S43 S43 C31 C31",
];
const ACTIVATIONS: [&str; 5] = [
    "S472 C611 C36 C40 C40 S36 S40 C40 S40 S40",
    "S425 C550 C37 C41 C41 C41 S36 S40 S40 S40",
    "S472 C611 C36 C40 C40 C40 S36 S40 S40 S40",
    "S398 C556 C37 S41 C37 C41 C41 S41 C41 S41 S41",
    // Deactivate All and the whole run again, as after a resize.
    "S472 C611 C36 C40 C40 C40 S36 S40 S40 S40 S30 S472 C611 C36 C40 C40 C40 S36 S40 S40 S40",
];

#[test]
fn every_way_to_the_desktop_is_a_healthy_session() {
    for settled in suites() {
        for (n, authentication) in ["", NTLM, NTLM_EX, KERBEROS_EX].into_iter().enumerate() {
            let selected = [SSL, HYBRID, HYBRID_EX, HYBRID_EX][n];
            for (joins, licence) in JOINS.into_iter().flat_map(|j| LICENCES.map(|l| (j, l))) {
                for activation in ACTIVATIONS {
                    let name = format!("{settled:?}\n{authentication} {joins} {licence} {activation}");
                    let story = Story::new()
                        .all(opening(selected, settled))
                        .records(settled, authentication)
                        .records(settled, joins)
                        .records(settled, licence)
                        .records(settled, activation)
                        .records(settled, "S1400 C29 S900 C31 S4000");
                    let verdict = story.clone().records(settled, "C33 S33 C9 CA").client_fin().verdict(Seen::Live);
                    assert_eq!(
                        (verdict.cause, verdict.end),
                        (Cause::Ok, Some(End::UserClosed)),
                        "{name}: {verdict:#?}"
                    );
                    let verdict = story.records(settled, "S36 S9").client_rst().verdict(Seen::Capture);
                    assert_eq!((verdict.cause, verdict.end), (Cause::Ok, Some(End::HostEnded)), "{name}: {verdict:#?}");
                }
            }
        }
    }
}

#[test]
fn wherever_a_connection_is_cut_its_verdict_does_not_depend_on_how_it_was_seen() {
    let kinds = [CloseKind::Fin, CloseKind::Rst, CloseKind::Timeout, CloseKind::Error];
    for settled in [Settled::TLS13, Settled::GCM, Settled::CBC10, Settled::CBC12_ETM] {
        for (selected, authentication) in [(SSL, ""), (HYBRID_EX, NTLM_EX), (HYBRID_EX, KERBEROS_EX)] {
            let whole = up(settled, selected, authentication);
            for cut in 0..whole.0.len() {
                for (by, kind) in [Closer::Client, Closer::Host].into_iter().flat_map(|by| kinds.map(|kind| (by, kind)))
                {
                    let story = Story(whole.0[..cut].to_vec()).close(by, kind);
                    let name = format!("{settled:?} {selected} cut after {cut} by {by:?} {kind:?}");
                    let verdict = told(&name, &story, &[Seen::LiveInBytes, Seen::CoarseClock]);
                    let died = matches!(kind, CloseKind::Timeout | CloseKind::Error);
                    if died && by == Closer::Client && cut > 0 {
                        assert_eq!(verdict.cause, Cause::ClientSideNetworkLoss, "{name}: {verdict:#?}");
                    }
                    if died && by == Closer::Host && cut > 0 {
                        assert_ne!(verdict.side, Side::Client, "{name}: {verdict:#?}");
                        assert_ne!(verdict.cause, Cause::NlaAuthRefused, "{name}: {verdict:#?}");
                    }
                    // The handshake is over at message 11 at the latest; what follows is told by sizes.
                    assert!(cut < 12 || verdict.confidence < Confidence::Proven, "{name}: {verdict:#?}");
                    let active = verdict.phase == Phase::Active;
                    assert!(
                        !active || by == Closer::Host || died || verdict.cause == Cause::Ok,
                        "{name}: {verdict:#?}"
                    );
                    assert!(!verdict.message.is_empty() && !verdict.evidence.is_empty(), "{name}");
                    assert!(
                        verdict.confidence > Confidence::Possible
                            || verdict.cause == Cause::UnknownClose
                            || !verdict.alternatives.is_empty(),
                        "{name}: {verdict:#?}"
                    );
                }
            }
        }
    }
}
