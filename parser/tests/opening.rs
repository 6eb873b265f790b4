//! From the first byte to the end of the TLS handshake, and the many ways it stops before that.

mod support;

use parser::Timestamp;
use parser::session::{
    Answer, Awaiting, CloseKind, Closer, ConnectFailure, GiveUp, Limits, Opening, Peer, Phase, ProxyAct, Session,
    Upstream, UpstreamEvent, Watch,
};
use support::{
    CLEAR_ULTIMATUM, CONTENT_ALERT, CONTENT_CCS, CONTENT_HANDSHAKE, HELLO_RETRY_RANDOM, HYBRID, SSL, Settled,
    client_hello, connection_confirm, connection_request, fresh, handshake_record, negotiation_failure, opening, play,
    record, sealed, server_hello,
};

fn at(ms: u64) -> Timestamp {
    Timestamp(ms * 1_000_000)
}

/// A session that has come as far as the host's choice of TLS.
fn confirmed() -> Session {
    let mut session = fresh();
    session.data(Peer::Client, &connection_request(SSL), at(10));
    session.data(Peer::Host, &connection_confirm(SSL), at(20));
    session
}

/// A session whose ClientHello waits for an answer.
fn asked() -> Session {
    let mut session = confirmed();
    session.data(Peer::Client, &client_hello(), at(30));
    session
}

#[test]
fn the_phase_follows_every_message_of_the_opening() {
    let mut session = fresh();
    assert_eq!((session.phase(), session.awaiting()), (Phase::Accept, (Awaiting::ClientRequest, at(0))));
    let request = connection_request(HYBRID);
    session.data(Peer::Client, &request[..20], at(5));
    assert_eq!((session.phase(), session.awaiting()), (Phase::X224, (Awaiting::ClientRequest, at(0))));
    session.data(Peer::Client, &request[20..], at(10));
    assert_eq!((session.phase(), session.awaiting()), (Phase::X224, (Awaiting::ConnectionConfirm, at(10))));
    session.data(Peer::Host, &connection_confirm(HYBRID), at(20));
    assert_eq!((session.phase(), session.awaiting()), (Phase::TlsHello, (Awaiting::ClientHello, at(20))));
    session.data(Peer::Client, &client_hello(), at(30));
    assert_eq!((session.phase(), session.awaiting()), (Phase::TlsHello, (Awaiting::ServerHello, at(30))));
    assert_eq!(session.watch(), Watch::Opening);
    session.data(Peer::Host, &server_hello(Settled::TLS13, [1; 32], &[2; 32]), at(40));
    assert_eq!((session.phase(), session.awaiting().0), (Phase::TlsFinish, Awaiting::Nothing));
    session.data(Peer::Host, &sealed(23, 69), at(50));
    assert_eq!(session.phase(), Phase::TlsFinish);
    session.data(Peer::Client, &sealed(23, 69), at(60));
    assert_eq!((session.phase(), session.watch()), (Phase::Credssp, Watch::Records));
    assert_eq!(session.timeline().tls.established, Some(at(60)));
    let timeline = session.finish();
    assert_eq!(timeline.request.and_then(|r| r.cookie).as_deref(), Some("alice"));
    assert_eq!(timeline.phases.entered(Phase::TlsFinish), Some(at(40)));
}

#[test]
fn client_bytes_may_come_before_the_host_is_connected() {
    let host = "192.0.2.7:3389".parse().expect("an address");
    let mut session = fresh();
    session.data(Peer::Client, &connection_request(SSL), at(1));
    session.upstream(UpstreamEvent::Resolving, at(2));
    assert_eq!(session.phase(), Phase::Resolve);
    session.upstream(UpstreamEvent::Connecting(host), at(3));
    assert_eq!(
        (session.phase(), session.awaiting().0),
        (Phase::Tcp, Awaiting::Nothing),
        "the connect has its own time-out"
    );
    session.upstream(UpstreamEvent::Connected(host), at(9));
    assert_eq!(session.phase(), Phase::X224);
    assert_eq!(session.awaiting(), (Awaiting::ConnectionConfirm, at(9)), "the host's time begins when it is connected");
    let phases = session.finish().phases;
    let entered = [Phase::Accept, Phase::Resolve, Phase::Tcp, Phase::X224].map(|phase| phases.entered(phase));
    assert_eq!(entered, [Some(at(0)), Some(at(2)), Some(at(3)), Some(at(9))]);
}

#[test]
fn a_failed_connect_ends_in_tcp() {
    let address = "192.0.2.7:3389".parse().expect("an address");
    let mut session = fresh();
    session.upstream(UpstreamEvent::Connecting(address), at(1));
    session.data(Peer::Client, &connection_request(SSL), at(2));
    assert_eq!(session.phase(), Phase::Tcp);
    let failed = Upstream::ConnectFailed { address, failure: ConnectFailure::Refused, errno: 111, tried: 1 };
    session.upstream(UpstreamEvent::Failed(failed.clone()), at(3));
    session.proxy_act(ProxyAct::LimitRefused, at(3));
    let timeline = session.finish();
    assert_eq!((timeline.phase(), timeline.upstream), (Phase::Tcp, failed));
    assert_eq!(timeline.proxy_act, Some(ProxyAct::LimitRefused));
}

#[test]
fn a_negotiation_failure_stays_in_x224() {
    let mut session = fresh();
    session.data(Peer::Client, &connection_request(SSL), at(1));
    session.data(Peer::Host, &negotiation_failure(5), at(2));
    session.closed(Closer::Client, CloseKind::Fin, at(3));
    session.data(Peer::Host, &CLEAR_ULTIMATUM, at(4));
    assert_eq!((session.phase(), session.awaiting().0), (Phase::X224, Awaiting::Nothing));
    let timeline = session.finish();
    assert!(matches!(timeline.answer, Some(Answer::Failure(code)) if code.0 == 5));
    assert_eq!(timeline.tls.clear_ultimatum, None, "no TLS was expected here");
}

#[test]
fn nine_clear_bytes_are_told_apart_by_where_they_stand() {
    // Instead of a Connection Confirm.
    let mut session = fresh();
    session.data(Peer::Client, &connection_request(0x10), at(1));
    session.data(Peer::Host, &CLEAR_ULTIMATUM, at(2));
    assert_eq!(session.phase(), Phase::X224);
    assert!(matches!(session.finish().answer, Some(Answer::Ultimatum(3))));
    // Instead of a ServerHello.
    let mut session = asked();
    session.data(Peer::Host, &CLEAR_ULTIMATUM[..4], at(40));
    session.data(Peer::Host, &CLEAR_ULTIMATUM[4..], at(41));
    assert_eq!((session.phase(), session.awaiting().0), (Phase::TlsHello, Awaiting::Nothing));
    assert_eq!(session.finish().tls.clear_ultimatum, Some(at(41)));
    // After an alert, and after the client has left.
    let mut session = asked();
    session.data(Peer::Host, &record(CONTENT_ALERT, &[2, 70]), at(40));
    session.closed(Closer::Client, CloseKind::Fin, at(50));
    session.data(Peer::Host, &CLEAR_ULTIMATUM, at(60));
    let timeline = session.finish();
    assert_eq!(timeline.tls.clear_ultimatum, Some(at(60)));
    assert_eq!(timeline.alerts.len(), 1);
    assert!(!timeline.alerts[0].after_close && timeline.alerts[0].description.0 == 70);
    assert!(timeline.gave_up.is_none() && timeline.tls.not_tls.is_none());
}

#[test]
fn alerts_say_who_when_and_whether_it_was_a_reaction() {
    let mut session = confirmed();
    session.closed(Closer::Client, CloseKind::Fin, at(25));
    session.data(Peer::Host, &record(CONTENT_ALERT, &[2, 50]), at(30));
    let alert = session.finish().alerts[0];
    assert_eq!((alert.from, alert.after_close, alert.at), (Peer::Host, true, at(30)));
    // A client that refuses what the host chose, in either form.
    for settled in [Settled::CBC10, Settled::TLS13] {
        let mut session = asked();
        session.data(Peer::Host, &server_hello(settled, [1; 32], &[2; 32]), at(40));
        session.data(Peer::Client, &record(CONTENT_ALERT, &[2, 70]), at(50));
        assert_eq!(session.phase(), Phase::TlsFinish);
        let alert = session.finish().alerts[0];
        assert_eq!((alert.from, alert.after_handshake, alert.after_close), (Peer::Client, false, false));
    }
}

#[test]
fn at_most_four_alerts_are_kept() {
    let mut session = asked();
    for _ in 0..50 {
        session.data(Peer::Host, &record(CONTENT_ALERT, &[1, 90]), at(40));
    }
    assert_eq!(session.finish().alerts.len(), 4);
}

#[test]
fn a_server_hello_cut_short_is_a_partial_record() {
    let mut session = asked();
    session.data(Peer::Host, &server_hello(Settled::TLS13, [1; 32], &[2; 32])[..11], at(40));
    assert_eq!((session.phase(), session.awaiting().0), (Phase::TlsHello, Awaiting::ServerHello));
    session.closed(Closer::Host, CloseKind::Fin, at(50));
    session.closed(Closer::Client, CloseKind::Fin, at(51));
    let timeline = session.finish();
    assert!(timeline.tls.partial_record.host && !timeline.tls.partial_record.client);
    assert!(timeline.server_hello.is_none());
}

#[test]
fn bytes_that_are_no_tls_are_kept_and_end_the_reading() {
    let mut session = asked();
    session.data(Peer::Host, b"HTTP/1.1 ", at(40));
    session.data(Peer::Host, b"400 Bad Request\r\n", at(41));
    assert_eq!(session.finish().tls.not_tls.as_ref().map(|bytes| &bytes[..]), Some(&b"HTTP/1.1 400 Bad"[..]));
    let mut session = fresh();
    session.data(Peer::Client, &connection_request(SSL), at(1));
    session.data(Peer::Host, b"HTTP", at(2));
    session.data(Peer::Host, b"/1.1 400 Bad Request\r\n", at(3));
    assert_eq!((session.phase(), session.watch()), (Phase::X224, Watch::Tail));
    assert_eq!(session.finish().answer, Some(Answer::NotRdp(b"HTTP/1.1 400 Bad".to_vec())));
}

#[test]
fn a_scanner_is_not_rdp_and_is_never_timed() {
    let mut session = fresh();
    session.data(Peer::Client, b"SSH-2.0-", at(1));
    session.data(Peer::Client, b"OpenSSH_9.2p1\r\n", at(2));
    assert_eq!((session.awaiting().0, session.watch()), (Awaiting::Nothing, Watch::Tail));
    let timeline = session.finish();
    assert_eq!((timeline.opening, timeline.phase()), (Opening::NotRdp, Phase::Accept));
    assert_eq!(timeline.first_bytes, b"SSH-2.0-OpenSSH_");
    assert_eq!(timeline.traffic.client.bytes, 23);
    assert!(!timeline.tail.client.known);
}

#[test]
fn an_answer_to_what_is_not_rdp_enters_no_phase() {
    let mut session = fresh();
    session.data(Peer::Client, b"GET / HTTP/1.1\r\n\r\n", at(1));
    session.data(Peer::Host, &connection_confirm(0), at(2));
    assert_eq!(session.phase(), Phase::Accept);
}

#[test]
fn a_host_that_speaks_first_is_never_timed() {
    let mut session = fresh();
    session.data(Peer::Host, b"220 mail.example ESMTP\r\n", at(1));
    assert_eq!(session.awaiting().0, Awaiting::Nothing);
}

#[test]
fn a_hello_retry_keeps_the_first_offer_and_waits_for_the_second() {
    let mut session = asked();
    let first = session.timeline().client_hello.clone();
    session.data(Peer::Host, &server_hello(Settled::TLS13, HELLO_RETRY_RANDOM, &[2; 32]), at(40));
    assert_eq!((session.phase(), session.awaiting()), (Phase::TlsHello, (Awaiting::ClientHello, at(40))));
    session.data(Peer::Host, &record(CONTENT_CCS, &[1]), at(41));
    session.data(Peer::Client, &record(CONTENT_CCS, &[1]), at(45));
    session.data(Peer::Client, &client_hello(), at(50));
    assert_eq!(session.awaiting(), (Awaiting::ServerHello, at(50)));
    session.data(Peer::Host, &server_hello(Settled::TLS13, [3; 32], &[2; 32]), at(60));
    session.data(Peer::Host, &sealed(23, 69), at(61));
    session.data(Peer::Client, &sealed(23, 69), at(62));
    assert_eq!(session.phase(), Phase::Mcs);
    let timeline = session.finish();
    assert_eq!(timeline.client_hello, first);
    assert!(timeline.server_hello.is_some_and(|hello| hello.hello_retry));
}

#[test]
fn a_resumed_tls_1_2_handshake_has_the_host_finish_first() {
    let session_id = client_hello()[5 + 4 + 2 + 32 + 1..][..32].to_vec();
    let mut session = asked();
    session.data(Peer::Host, &server_hello(Settled::GCM, [1; 32], &session_id), at(40));
    session.data(Peer::Host, &record(CONTENT_CCS, &[1]), at(41));
    session.data(Peer::Host, &sealed(CONTENT_HANDSHAKE, 40), at(42));
    assert_eq!(session.phase(), Phase::TlsFinish);
    session.data(Peer::Client, &record(CONTENT_CCS, &[1]), at(43));
    session.data(Peer::Client, &sealed(CONTENT_HANDSHAKE, 40), at(44));
    assert_eq!(session.phase(), Phase::Mcs);
    let timeline = session.finish();
    assert!(timeline.server_hello.is_some_and(|hello| hello.resumed));
    assert!(timeline.certificate.is_none());
}

#[test]
fn a_client_may_send_data_before_the_host_has_finished() {
    // RFC 7918: CredSSP begins right behind the client's own Finished.
    let mut session = asked();
    session.data(Peer::Host, &server_hello(Settled::GCM, [1; 32], &[2; 32]), at(40));
    session.data(Peer::Client, &record(CONTENT_CCS, &[1]), at(50));
    session.data(Peer::Client, &sealed(CONTENT_HANDSHAKE, 40), at(51));
    session.data(Peer::Client, &sealed(23, 491), at(52));
    assert_eq!(session.phase(), Phase::TlsFinish);
    session.data(Peer::Host, &record(CONTENT_CCS, &[1]), at(60));
    session.data(Peer::Host, &sealed(CONTENT_HANDSHAKE, 40), at(61));
    assert_eq!(session.phase(), Phase::Mcs);
    assert_eq!(session.finish().progress.connect_initial, Some(at(52)));
}

#[test]
fn a_client_hello_in_many_records_and_segments_is_one_hello() {
    let hello = client_hello();
    let mut session = confirmed();
    for part in hello[5..].chunks(60) {
        for byte in record(CONTENT_HANDSHAKE, part) {
            session.data(Peer::Client, &[byte], at(30));
        }
    }
    let split = session.finish().client_hello.expect("a hello");
    let whole = asked().finish().client_hello.expect("a hello");
    assert_eq!((split.records, whole.records), (6, 1));
    assert_eq!(split.shape, whole.shape);
}

#[test]
fn an_sslv2_hello_opens_a_tls_handshake() {
    // RFC 5246 appendix E.2: two suites, a challenge of 16.
    let mut hello = vec![0x80, 9 + 6 + 16, 1, 3, 1, 0, 6, 0, 0, 0, 16, 0, 0, 0x2f, 0, 0, 0x0a];
    hello.extend([7; 16]);
    let mut session = confirmed();
    session.data(Peer::Client, &hello, at(30));
    assert_eq!(session.awaiting(), (Awaiting::ServerHello, at(30)));
    session.data(Peer::Host, &server_hello(Settled::CBC10, [1; 32], &[2; 32]), at(40));
    assert_eq!(session.phase(), Phase::TlsFinish);
    assert!(session.finish().client_hello.is_some_and(|hello| hello.sslv2_form));
}

#[test]
fn a_malformed_hello_ends_the_reading_and_not_the_counting() {
    let mut session = confirmed();
    session.data(Peer::Client, &handshake_record(1, &[0xff; 90]), at(30));
    let timeline = session.timeline();
    assert!(matches!(timeline.gave_up, Some((GiveUp::Malformed, _))), "{:?}", timeline.gave_up);
    assert_eq!((session.watch(), session.awaiting().0, session.buffered()), (Watch::Tail, Awaiting::Nothing, 0));
    session.data(Peer::Host, &record(CONTENT_ALERT, &[2, 50]), at(40));
    let timeline = session.finish();
    assert_eq!((timeline.traffic.host.bytes, timeline.alerts.len()), (19 + 7, 1));
}

#[test]
fn a_client_hello_above_its_bound_is_not_kept() {
    let limits = Limits { client_hello: 1024, ..Limits::default() };
    let mut session = Session::new(at(0), limits);
    session.data(Peer::Client, &connection_request(SSL), at(1));
    session.data(Peer::Host, &connection_confirm(SSL), at(2));
    session.data(Peer::Client, &[CONTENT_HANDSHAKE, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff], at(3));
    session.data(Peer::Client, &[0; 5000], at(4));
    assert!(matches!(session.timeline().gave_up, Some((GiveUp::TooLarge, _))));
    assert_eq!(session.buffered(), 0);
}

#[test]
fn what_follows_a_message_too_large_in_the_same_chunk_is_not_read() {
    let mut session = asked();
    let mut chunk = server_hello(Settled::GCM, [1; 32], &[2; 32]);
    chunk.extend([CONTENT_HANDSHAKE, 3, 3, 0x40, 0, 11, 0x10, 0, 0]);
    chunk.extend([0x41; 500]);
    session.data(Peer::Host, &chunk, at(40));
    assert_eq!(session.phase(), Phase::TlsFinish);
    let timeline = session.finish();
    assert!(matches!(timeline.gave_up, Some((GiveUp::TooLarge, _))));
    assert!(matches!(timeline.answer, Some(Answer::Selected { .. })), "{:?}", timeline.answer);
}

#[test]
fn the_budget_stops_the_reading_and_frees_the_buffers() {
    let mut session = confirmed();
    session.data(Peer::Client, &client_hello()[..200], at(30));
    assert!(session.buffered() >= 195);
    session.give_up(GiveUp::Budget, at(31));
    assert_eq!((session.buffered(), session.watch()), (0, Watch::Tail));
    session.data(Peer::Client, &client_hello()[200..], at(32));
    let timeline = session.finish();
    assert_eq!(timeline.gave_up, Some((GiveUp::Budget, at(31))));
    assert!(timeline.client_hello.is_none() && !timeline.tail.client.known);
}

#[test]
fn what_a_capture_lacks_inside_of_a_sealed_record_changes_nothing_and_anywhere_else_reading_is_over() {
    let mut session = asked();
    session.data(Peer::Host, &server_hello(Settled::TLS13, [1; 32], &[2; 32]), at(40));
    let flight = sealed(23, 900);
    session.data(Peer::Host, &flight[..15], at(50));
    session.missing(Peer::Host, flight.len() as u64 - 15, at(50));
    session.data(Peer::Client, &sealed(23, 69), at(60));
    let timeline = session.timeline();
    assert_eq!((timeline.tls.established, timeline.gave_up), (Some(at(60)), None));
    assert!(timeline.tail.host.known && session.watch() == Watch::Records);
    session.data(Peer::Host, &flight[..15], at(70));
    session.missing(Peer::Host, flight.len() as u64, at(70));
    let timeline = session.finish();
    assert_eq!((timeline.gave_up, timeline.tail.host.known), (Some((GiveUp::Gap, at(70))), false));
    let hello = client_hello();
    let mut session = confirmed();
    session.data(Peer::Client, &hello[..40], at(30));
    session.missing(Peer::Client, hello.len() as u64 - 40, at(30));
    let timeline = session.finish();
    assert_eq!((timeline.gave_up, timeline.client_hello), (Some((GiveUp::Gap, at(30))), None));
}

#[test]
fn every_socket_closes_once_and_in_the_order_noticed() {
    let mut session = asked();
    session.closed(Closer::Host, CloseKind::Rst, at(40));
    session.closed(Closer::Client, CloseKind::Fin, at(41));
    session.closed(Closer::Host, CloseKind::Fin, at(42));
    session.closed(Closer::Proxy, CloseKind::Timeout, at(43));
    session.closed(Closer::Proxy, CloseKind::Fin, at(44));
    let closes: Vec<_> = session.finish().closes.iter().map(|close| (close.by, close.kind)).collect();
    let expected =
        [(Closer::Host, CloseKind::Rst), (Closer::Client, CloseKind::Fin), (Closer::Proxy, CloseKind::Timeout)];
    assert_eq!(closes, expected);
}

#[test]
fn a_cbc_handshake_of_any_version_is_followed_to_its_end() {
    for settled in Settled::BLOCKS.iter().chain(&Settled::EXACT) {
        let (mut session, mut clock) = (fresh(), 0);
        play(&mut session, &mut clock, &opening(SSL, *settled));
        assert_eq!((session.phase(), session.buffered()), (Phase::Mcs, 0), "{settled:?}");
    }
}

#[test]
fn a_hello_without_an_answer_is_kept_for_a_replay_and_counts_as_memory() {
    let (mut session, hello) = (asked(), client_hello());
    let message = &hello[5..];
    assert!(session.buffered() >= message.len());
    let mut refused = session.clone();
    assert_eq!(refused.take_client_hello().as_deref(), Some(message));
    assert_eq!(refused.take_client_hello(), None, "handed out once");

    session.data(Peer::Host, &server_hello(Settled::TLS13, [9; 32], &[5; 32]), at(50));
    assert_eq!((session.take_client_hello(), session.buffered()), (None, 0), "answered: nothing to replay");
}
