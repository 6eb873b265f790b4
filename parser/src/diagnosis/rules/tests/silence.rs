//! Whose silence it was: a client that gives up on a host, a leg that dies, segments that nobody acknowledges.

use super::super::super::{Cause, Confidence, End, Outcome, Side, Verdict, diagnose};
use super::build::{Build, at};
use super::table::timed_out;
use crate::session::{Awaiting, Close, CloseKind, Closer, Peer, Phase, TcpFacts};

fn told(build: Build) -> Verdict {
    diagnose(&build.0)
}

fn called(verdict: &Verdict) -> (Cause, Side, Confidence) {
    (verdict.cause, verdict.side, verdict.confidence)
}

/// Segments that were sent again and never acknowledged.
fn stuck(build: Build, leg: Peer) -> Build {
    build.with(|t| t.tcp[leg] = Some(TcpFacts { retransmits: 6, lost: 1, mss: 1_448, ..TcpFacts::default() }))
}

fn says(verdict: &Verdict, what: &str) -> bool {
    verdict.evidence.iter().any(|sentence| sentence.contains(what))
}

#[test]
fn a_client_that_gives_up_on_a_silent_host_is_not_to_blame() {
    let asked = told(Build::asked(3).client_left(9_001));
    assert_eq!(called(&asked), (Cause::HalfOpenAfterAccept, Side::Host, Confidence::Possible));
    assert_eq!(asked.alternatives, [Cause::ClientClosedBeforeCc]);
    let hello = told(Build::agreed(1).hello(&[0x0304], 310).client_left(9_010));
    assert_eq!(called(&hello), (Cause::TlsHandshakeTimeout, Side::Host, Confidence::Possible));
    assert!(hello.alternatives.contains(&Cause::ClientLeftBeforeServerHello), "{hello:#?}");
    let begun = |ms| {
        let flight = Build::agreed(1).hello(&[0x0304], 310).chose(0x0304);
        told(flight.with(|t| t.tls.partial_record.host = true).client_left(ms))
    };
    let flight = begun(9_020);
    assert_eq!(called(&flight), (Cause::TlsHandshakeTimeout, Side::Host, Confidence::Possible));
    assert!(!flight.alternatives.contains(&Cause::CertUntrustedCa) && says(&flight, "for 9.0 s"), "{flight:#?}");
    assert!(begun(900).alternatives.contains(&Cause::TlsHandshakeTimeout));
    // A whole flight is the client's to answer, and its user may be asked about the certificate.
    let whole = told(Build::agreed(1).hello(&[0x0304], 310).chose(0x0304).client_left(9_020));
    assert_eq!((whole.cause, whole.side), (Cause::TlsClientClosedSilently, Side::Client));
}

#[test]
fn silence_while_the_session_is_set_up_is_the_hosts_when_it_owed_an_answer() {
    let joining = |client: u64, host: u64| {
        let joining = Build::established(1).phase(Phase::Mcs, 60).with(|t| {
            (t.progress.connect_initial, t.progress.connect_response) = (Some(at(50)), Some(at(60)));
        });
        joining.record(Peer::Host, 23, 15, host).record(Peer::Client, 23, 12, client)
    };
    let owed = told(joining(70, 60).client_left(8_070));
    assert_eq!(called(&owed), (Cause::UnknownClose, Side::Host, Confidence::Possible));
    assert!(says(&owed, "unanswered for 8.0 s"), "{owed:#?}");
    assert_eq!(told(joining(60, 70).client_left(8_070)).side, Side::Both, "it was not its turn");
    assert_eq!(told(joining(70, 60).client_left(300)).side, Side::Client);
    let demand = |ms| {
        let demand = joining(70, 60).phase(Phase::Activation, 99).with(|t| {
            t.progress.client_info = Some(at(80));
            (t.progress.licensed, t.progress.demand_active) = (Some(at(98)), Some(at(99)));
        });
        told(demand.record(Peer::Host, 23, 400, 99).client_left(ms))
    };
    let late = demand(8_100);
    assert_eq!(called(&late), (Cause::UnknownClose, Side::Both, Confidence::Possible), "{late:#?}");
    assert!(!late.alternatives.contains(&Cause::RedirectBypassesProxy), "a redirected client does not wait");
    let at_once = demand(200);
    assert_eq!(at_once.cause, Cause::RedirectBypassesProxy);
    assert!(at_once.alternatives.contains(&Cause::ClientSideNetworkLoss), "or it was killed: {at_once:#?}");
}

#[test]
fn a_dead_client_leg_is_the_clients_network_only_when_the_host_went_on() {
    let lost = |build: Build, kind| told(build.closed(Closer::Client, kind, 90_000));
    let both = lost(Build::active(), CloseKind::Timeout);
    assert_eq!((both.cause, both.confidence), (Cause::ClientSideNetworkLoss, Confidence::Possible));
    assert!(!says(&both, "healthy") && both.alternatives == [Cause::UnknownClose], "{both:#?}");
    assert!(both.message.ends_with("lost: the way to the client died"), "{}", both.message);
    let drawing = || Build::active().record(Peer::Client, 23, 9, 30_000).record(Peer::Host, 23, 700, 85_000);
    let went_on = lost(drawing(), CloseKind::Timeout);
    assert_eq!(went_on.confidence, Confidence::Likely, "{went_on:#?}");
    assert!(went_on.message.ends_with("lost: the client's network went away"), "{}", went_on.message);
    assert!(says(&went_on, "for 55.0 s after the client's last byte") && says(&went_on, "after 1 min 0 s of silence"));
    let aborted = lost(drawing(), CloseKind::Error);
    assert!(says(&aborted, "ended by a socket error") && !says(&aborted, "time-out"), "{aborted:#?}");
    assert_eq!(lost(stuck(drawing(), Peer::Host), CloseKind::Timeout).confidence, Confidence::Possible);
    let host_too = drawing().closed(Closer::Client, CloseKind::Timeout, 90_000);
    let host_too =
        host_too.with(|t| t.closes.push(Close { by: Closer::Host, kind: CloseKind::Timeout, at: at(90_001) }));
    assert_eq!(told(host_too).confidence, Confidence::Possible, "both legs died");
    let lives_on = |verdict: &Verdict| verdict.remedy.iter().any(|action| action.contains("lives on"));
    assert!(lives_on(&both));
    let opening = Build::agreed(1).hello(&[0x0304], 310).chose(0x0304);
    let opening = lost(stuck(opening, Peer::Client), CloseKind::Timeout);
    assert_eq!(called(&opening), (Cause::ClientSideNetworkLoss, Side::Network, Confidence::Possible));
    assert!(!lives_on(&opening) && opening.alternatives.contains(&Cause::MtuBlackhole), "{opening:#?}");
}

#[test]
fn a_flight_that_the_client_never_acknowledged_was_not_refused() {
    let flight = || Build::agreed(1).hello(&[0x0304], 310).chose(0x0304);
    let lost = told(stuck(flight(), Peer::Client).client_left(7_500));
    assert_eq!(called(&lost), (Cause::MtuBlackhole, Side::Network, Confidence::Possible), "{lost:#?}");
    assert!(says(&lost, "TCP to the client: 6 segments retransmitted, 1 not acknowledged"), "{lost:#?}");
    assert!(!lost.alternatives.contains(&Cause::CertUntrustedCa));
    let answered = stuck(flight(), Peer::Client).sent(Peer::Client, 80, 30).client_left(7_500);
    assert_eq!(told(answered).cause, Cause::TlsClientClosedSilently, "it had come that far");
}

#[test]
fn a_hello_that_never_came_may_be_lost_on_the_clients_path() {
    let verdict = told(timed_out(Build::agreed(1), Awaiting::ClientHello));
    assert_eq!(called(&verdict), (Cause::ClientHelloTimeout, Side::Client, Confidence::Possible));
    for rival in [Cause::LargeClienthelloLost, Cause::MtuBlackhole, Cause::ClientSideNetworkLoss] {
        assert!(verdict.alternatives.contains(&rival), "{verdict:#?}");
    }
}

#[test]
fn a_user_who_leaves_a_host_that_is_gone_may_have_given_up() {
    let healthy = told(Build::active().client_left(60_000));
    assert_eq!((healthy.confidence, healthy.alternatives.len()), (Confidence::Likely, 0));
    let gone = told(stuck(Build::active(), Peer::Host).client_left(60_000));
    assert_eq!((gone.outcome(), gone.end), (Outcome::Success, Some(End::UserClosed)));
    assert_eq!(gone.confidence, Confidence::Possible);
    assert!(gone.alternatives.contains(&Cause::ServerResetInSession) && says(&gone, "TCP to the host"), "{gone:#?}");
}

#[test]
fn a_dead_host_was_silent_however_long_the_client_went_on() {
    let typing = Build::active().record(Peer::Client, 23, 20, 31_960).closed(Closer::Host, CloseKind::Timeout, 32_000);
    let verdict = told(typing);
    assert_eq!(verdict.cause, Cause::ServerResetInSession);
    assert!(says(&verdict, "after 27.0 s of silence"), "{verdict:#?}");
}

#[test]
fn standard_rdp_security_that_ends_on_the_first_encrypted_message_is_no_licensing() {
    use crate::session::Answer;
    let plain = |asked| {
        let build = Build::asked(asked).answered(Answer::Plain).phase(Phase::ClientInfo, 90).with(|t| {
            (t.progress.connect_initial, t.progress.connect_response) = (Some(at(50)), Some(at(60)));
            t.progress.client_info = Some(at(90));
        });
        build.host_left(94)
    };
    let fell_back = told(plain(3));
    assert_eq!(called(&fell_back), (Cause::UnknownClose, Side::Host, Confidence::Possible), "{fell_back:#?}");
    assert_eq!(fell_back.alternatives[0], Cause::ServerSelectedWeaker);
    assert!(fell_back.remedy[0].contains("key_file="), "{fell_back:#?}");
    let asked_for = told(plain(0));
    assert!(!asked_for.alternatives.contains(&Cause::ServerSelectedWeaker), "{asked_for:#?}");
    let begun = plain(0).with(|t| t.progress.licensing = Some(at(93)));
    assert_eq!(told(begun).cause, Cause::LicenseFailure, "the host had taken the Client Info");
}

#[test]
fn standard_rdp_security_is_not_said_to_be_readable() {
    use crate::session::Answer;
    let up = Build::active().with(|t| {
        (t.answer, t.client_hello, t.server_hello) = (Some(Answer::Plain), None, None);
        t.tail.host.used = 0;
    });
    let verdict = told(up.client_left(60_000));
    assert_eq!(verdict.cause, Cause::Ok);
    assert!(says(&verdict, "may be encrypted") && !says(&verdict, "every message is readable"), "{verdict:#?}");
}
