//! Connections that came to nothing, as administrators meet them: what each must (and must never) be called, however it
//! is seen.

mod support;

use parser::diagnosis::{Cause, Confidence, End, Outcome, Side};
use parser::session::{Awaiting, CloseKind, Closer, Phase};
use support::field::{Seen, Story};
use support::told::{ACTIVE, KERBEROS_EX, LICENSED, MCS, NTLM, NTLM_EX, assert_called, assert_ok, suites, told, up};
use support::{
    CLEAR_ULTIMATUM, CONTENT_ALERT, CONTENT_CCS, CONTENT_DATA, HELLO_RETRY_RANDOM, HYBRID, HYBRID_EX, SSL, Settled,
    client_hello, connection_confirm, connection_request, handshake, handshake_record, negotiation_failure, opening,
    record, sealed, server_hello,
};

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
            // The host loses patience first.
            let dropped = told("host drops the prompt", &asked().wait(60 * minutes).host_fin(), &[]);
            assert_eq!(dropped.cause, Cause::ClosedAfterTlsUnknown, "{dropped:#?}");
            assert!(dropped.alternatives.contains(&Cause::ClientPromptProbe), "{dropped:#?}");
            // The host answers the goodbye before the client's own FIN is seen.
            let answered = told("the same", &asked().wait(60 * minutes).records(settled, "CA SA").host_fin(), &[]);
            assert_eq!((answered.cause, answered.side), (Cause::ClosedAfterTlsUnknown, Side::Client), "{answered:#?}");
        }
    }
}

/// TLS 1.3 up to the host's Finished, and the client's answer to a CertificateRequest in records of these lengths.
fn asked_for_a_certificate(selected: u32, settled: Settled, answer: &[u16]) -> Story {
    let mut steps = opening(selected, settled);
    steps.pop();
    let mut story = Story::new().all(steps);
    for length in answer {
        story = story.client(&sealed(CONTENT_DATA, *length));
    }
    story
}

#[test]
fn a_tls_1_3_host_that_wants_a_client_certificate_is_told_by_the_clients_answer() {
    for (settled, finished) in [(Settled::TLS13, 69), (Settled::TLS13_SHA256, 53)] {
        for (selected, first) in [(SSL, "C462"), (HYBRID, "C57")] {
            // None (OpenSSL), none in one record with the Finished, one with its signature.
            for answer in [&[25, finished][..], &[finished + 8], &[1_100, 281, finished]] {
                let asked = || asked_for_a_certificate(selected, settled, answer);
                let called = (Cause::NegUserCertRequired, Side::Both, Phase::TlsFinish, Confidence::Possible);
                for story in [
                    asked().records(settled, "SA").host_fin(),
                    asked().records(settled, "SA").client_fin(),
                    asked().records(settled, first).records(settled, "SA").host_fin(),
                    asked().host_fin(),
                    asked().host_rst(),
                ] {
                    assert_called("refused", &story, called);
                    let rivals = told("refused", &story, &[]).alternatives;
                    assert!(rivals.contains(&Cause::ClosedAfterTlsUnknown), "{rivals:?}");
                }
                // Who sends tickets has accepted the answer.
                let accepted = asked().records(settled, "S233 S233 SA").host_fin();
                assert_ne!(told("accepted", &accepted, &[]).cause, Cause::NegUserCertRequired);
                let left = asked().records(settled, "CA").client_fin();
                assert_ne!(told("client leaves", &left, &[]).cause, Cause::NegUserCertRequired);
                assert_ne!(told("prompt", &asked().wait(60).host_fin(), &[]).cause, Cause::NegUserCertRequired);
            }
            let not_asked = Story::new().all(opening(selected, settled)).records(settled, "SA").host_fin();
            let verdict = told("not asked", &not_asked, &[]);
            assert!(!verdict.alternatives.contains(&Cause::NegUserCertRequired), "{verdict:#?}");
        }
        let up = asked_for_a_certificate(SSL, settled, &[25, finished]).records(settled, MCS);
        let up = up.records(settled, LICENSED).records(settled, ACTIVE);
        assert_ok("a session with a certificate", &up.client_fin(), End::UserClosed);
        // All in one record: its end is not told by its size.
        let packed = asked_for_a_certificate(SSL, settled, &[1_900]).records(settled, "SA").host_fin();
        let verdict = told("packed", &packed, &[]);
        assert_eq!((verdict.cause, verdict.confidence), (Cause::UnknownClose, Confidence::Possible), "{verdict:#?}");
        assert!(verdict.alternatives.contains(&Cause::NegUserCertRequired), "{verdict:#?}");
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
        (Cause::ClientHelloTimeout, Side::Client, Phase::TlsHello, Confidence::Possible),
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

/// Channel Join Confirms are all of one size, and that of a whole block with the type that TLS 1.3 seals beside them.
#[test]
fn a_client_that_leaves_when_its_channels_are_joined_is_not_the_hosts_doing() {
    for settled in suites() {
        for more in ["", "C433"] {
            let joined = Story::new().all(opening(SSL, settled)).records(settled, MCS).records(settled, more);
            for story in [joined.clone().client_fin(), joined.client_rst()] {
                let verdict = told(more, &story, &[]);
                assert_eq!(verdict.side, Side::Client, "{settled:?} {more}: {verdict:#?}");
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
