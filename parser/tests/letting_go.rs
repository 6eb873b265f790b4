//! When the tracker stops watching, and what the tail is worth after that; gateway legs and standard RDP security.

mod support;

use core::time::Duration;
use parser::Timestamp;
use parser::session::{Awaiting, GiveUp, Opening, Peer, Phase, Session, Watch};
use support::{CONTENT_DATA, SSL, Settled, connection_request, fresh, handshake, opening, play, sealed};

fn at(ms: u64) -> Timestamp {
    Timestamp(ms * 1_000_000)
}

fn established() -> Session {
    let (mut session, mut clock) = (fresh(), 0);
    play(&mut session, &mut clock, &opening(SSL, Settled::TLS13));
    session
}

#[test]
fn a_session_of_unknown_sizes_is_let_go_when_data_flows() {
    let mut session = established();
    let before = session.timeline().traffic.host.records;
    while session.watch() == Watch::Records {
        session.data(Peer::Host, &sealed(CONTENT_DATA, 16_000), at(100));
        assert!(session.timeline().traffic.host.records < 40);
    }
    assert_eq!(session.timeline().traffic.host.records - before, 17, "256 KiB");
    let timeline = session.finish();
    assert_eq!(timeline.gave_up.map(|(why, _)| why), Some(GiveUp::Released));
    assert_eq!(timeline.phase(), Phase::Active);
}

#[test]
fn a_thousand_records_in_either_direction_are_enough() {
    let mut session = established();
    for n in 0..1000 {
        assert_eq!(session.watch(), Watch::Records, "{n}");
        session.data(Peer::Client, &sealed(CONTENT_DATA, 27), at(100));
    }
    assert_eq!(session.watch(), Watch::Tail);
}

#[test]
fn after_ten_minutes_nothing_more_is_concluded() {
    let mut session = established();
    let begun = session.timeline().tls.established.expect("established");
    session.data(Peer::Client, &sealed(CONTENT_DATA, 484), begun.plus(Duration::from_secs(599)));
    assert_eq!((session.watch(), session.phase()), (Watch::Records, Phase::Mcs));
    session.data(Peer::Host, &sealed(CONTENT_DATA, 19), begun.plus(Duration::from_secs(600)));
    assert_eq!(session.watch(), Watch::Tail);
    let timeline = session.finish();
    assert_eq!(timeline.gave_up.map(|(why, _)| why), Some(GiveUp::Released));
    assert!(timeline.progress.active.is_none());
}

#[test]
fn an_active_session_is_let_go_and_its_tail_goes_on() {
    let script = support::scripts::all().into_iter().find(|s| s.name == "xrdp-tls").expect("a script");
    let mut session = established();
    for step in &script.steps {
        session.data(step.from, &step.bytes(Settled::TLS13).unwrap_or_default(), at(100));
    }
    assert_eq!((session.phase(), session.watch(), session.buffered()), (Phase::Active, Watch::Tail, 0));
    let records = session.timeline().traffic.host.records;
    session.data(Peer::Host, &sealed(CONTENT_DATA, 26), at(200));
    assert_eq!(session.timeline().tail.host.shapes().last().map(|shape| shape.length), Some(26));
    assert_eq!(session.timeline().traffic.host.records, records, "records are counted while watching");
    // Half a record, then bytes that were spliced through: the tail is unknown until boundaries are found again.
    session.passed_unseen(Peer::Host, 100_000, at(300));
    assert!(!session.timeline().tail.host.known && session.timeline().tail.client.known);
    assert!(session.timeline().tail.host.shapes().is_empty());
    for _ in 0..4 {
        session.data(Peer::Host, &sealed(CONTENT_DATA, 33), at(400));
    }
    let tail = session.timeline().tail.host;
    assert!(tail.known && tail.shapes().iter().all(|shape| shape.length == 33), "{tail:?}");
    assert!(session.finish().gave_up.is_none());
}

fn gateway(records: &str) -> Session {
    let (mut session, mut clock) = (fresh(), 0);
    play(&mut session, &mut clock, &handshake(Settled::TLS13));
    assert_eq!((session.phase(), session.timeline().opening), (Phase::TlsFinish, Opening::TlsFirst));
    for word in records.split_whitespace() {
        let from = if word.starts_with('C') { Peer::Client } else { Peer::Host };
        session.data(from, &sealed(CONTENT_DATA, word[1..].parse().expect("a length")), at(100));
    }
    session
}

#[test]
fn a_tls_first_connection_waits_for_hellos_only() {
    let mut session = fresh();
    session.data(Peer::Client, &support::client_hello()[..100], at(5));
    assert_eq!((session.phase(), session.awaiting()), (Phase::TlsHello, (Awaiting::ClientHello, at(5))));
    session.data(Peer::Client, &support::client_hello()[100..], at(6));
    assert_eq!(session.awaiting(), (Awaiting::ServerHello, at(6)));
}

#[test]
fn a_whole_session_is_seen_through_a_gateway_tunnel() {
    // xfreerdp through a WebSocket gateway, and through the two connections of the older form; TLS 1.3 record lengths.
    let websocket = "S250 C428 S250 S298 C836 S146 C37 S37 C39 S45 C41 S43 C67 S39 C77 S48 C354 S1384 C113 C524 S286 S286 \
                     S162 C67 C63 S62 C67 S66 C67 S66 C67 S66 C67 S66 C67 S66 C67 S66 C398 S390 C213 S534 C607 C92 C96 \
                     C96 C96 S360 C57 C19";
    let out = "C348 S250 S250 S298 C756 S62 S35 S43 S41 S37 S46 S1380 S537 S158 S60 S64 S64 S64 S64 S64 S64 S386 S530 \
               S271 S112 C19";
    let inward = "C347 S250 S250 S298 C755 S71 C278 C36 C39 C41 C67 C77 C353 C113 C523 C67 C63 C67 C67 C67 C67 C67 C67 \
                  C397 C211 C606 C92 C96 C96 C96 C57 C19";
    for records in [websocket, out, inward] {
        let session = gateway(records);
        assert_eq!((session.phase(), session.watch()), (Phase::Active, Watch::Tail), "{records}");
        assert!(session.finish().progress.joins >= 4);
    }
}

#[test]
fn a_refused_gateway_connection_stays_in_tls_finish() {
    let refused = [
        "S250 C428 S250 S62 C19",
        "C392 S250 S250 S62 C4197 C121 S62 C19",
        "C428 S250 S250 S298 C836 S89 C19",
        "C428 S250 S250 S298 C836 S146 C37 S37 C39 S45 C41 S43 C67 S39 C77",
        // A 401 that looks like healthy TLS.
        "C716 S900 C1460 S475",
    ];
    for records in refused {
        let session = gateway(records);
        assert_eq!(session.phase(), Phase::TlsFinish, "{records}");
        let timeline = session.finish();
        assert!(timeline.progress == Default::default(), "{records}");
    }
}

fn tpkt(mcs: &[u8]) -> Vec<u8> {
    let mut pdu = vec![3, 0];
    pdu.extend((mcs.len() as u16 + 7).to_be_bytes());
    pdu.extend([2, 0xf0, 0x80]);
    pdu.extend(mcs);
    pdu
}

/// Send Data: channel 1003, then `head` and zeros up to `length` bytes of user data.
fn on_channel(choice: u8, head: &[u8], length: u16) -> Vec<u8> {
    let mut mcs = vec![choice, 0, 6, 3, 0xeb, 0x70];
    if length < 0x80 {
        mcs.push(length as u8);
    } else {
        mcs.extend((length | 0x8000).to_be_bytes());
    }
    mcs.extend(head);
    mcs.resize(mcs.len() + usize::from(length) - head.len(), 0);
    tpkt(&mcs)
}

#[test]
fn standard_rdp_security_is_followed_to_the_active_session() {
    const REQUEST: u8 = 0x64;
    const INDICATION: u8 = 0x68;
    let joins = [(Peer::Client, tpkt(&[0x38, 0, 6, 3, 0xeb])), (Peer::Host, tpkt(&[0x3e, 0, 0, 6, 3, 0xeb, 3, 0xeb]))];
    // Clear: a share control header tells what a PDU is. Encrypted: SEC_ENCRYPT and then only sizes.
    for encrypted in [false, true] {
        let share = |kind: u8, length: u16| {
            let [low, high] = length.to_le_bytes();
            if encrypted { vec![8, 0, 0, 0] } else { vec![low, high, 0x10 | kind, 0] }
        };
        let say = |choice: u8, kind: u8, length: u16| on_channel(choice, &share(kind, length), length);
        let (control, font) = (26, 26);
        let mut steps = vec![
            (Peer::Client, tpkt(&[0x7f, 0x65, 0x82, 1, 0xab]), Phase::Mcs),
            (Peer::Host, tpkt(&[0x7f, 0x66, 0x5f, 0x0a]), Phase::Mcs),
            (Peer::Client, tpkt(&[0x04, 1, 0, 1, 0]), Phase::Mcs),
            (Peer::Client, tpkt(&[0x28]), Phase::Mcs),
            (Peer::Host, tpkt(&[0x2e, 0, 0, 6]), Phase::Mcs),
        ];
        for (from, bytes) in joins.clone() {
            steps.push((from, bytes, Phase::Mcs));
        }
        if encrypted {
            steps.push((Peer::Client, on_channel(REQUEST, &[1, 2, 0, 0], 80), Phase::Mcs));
        }
        let info = if encrypted { 0x48 } else { 0x40 };
        steps.extend([
            (Peer::Client, on_channel(REQUEST, &[info, 0, 0, 0], 340), Phase::ClientInfo),
            (Peer::Host, on_channel(INDICATION, &[0x80, 0, 0x3e, 0x80], 322), Phase::Licensing),
            (Peer::Client, on_channel(REQUEST, &[0x80, 0, 0, 0], 140), Phase::Licensing),
            (Peer::Host, on_channel(INDICATION, &[0x80, 0, 0x10, 0], 20), Phase::Licensing),
            (Peer::Host, say(INDICATION, 1, 410), Phase::Activation),
            (Peer::Client, say(REQUEST, 3, 535), Phase::Activation),
            (Peer::Client, say(REQUEST, 7, 22), Phase::Activation),
            (Peer::Client, say(REQUEST, 7, control), Phase::Activation),
            (Peer::Client, say(REQUEST, 7, control), Phase::Activation),
            (Peer::Client, say(REQUEST, 7, font), Phase::Activation),
            (Peer::Host, say(INDICATION, 7, 22), Phase::Activation),
            (Peer::Host, say(INDICATION, 7, control), Phase::Activation),
            (Peer::Host, say(INDICATION, 7, control), Phase::Activation),
            (Peer::Host, say(INDICATION, 7, font), Phase::Active),
        ]);
        let mut session = fresh();
        session.data(Peer::Client, &connection_request(0), at(1));
        session.data(Peer::Host, &support::connection_confirm(0), at(2));
        assert_eq!((session.phase(), session.awaiting().0), (Phase::X224, Awaiting::Nothing));
        for (n, (from, bytes, phase)) in steps.iter().enumerate() {
            session.data(*from, bytes, at(10 + n as u64));
            assert_eq!(session.phase(), *phase, "encrypted {encrypted}, PDU {n}");
        }
        let timeline = session.finish();
        assert_eq!(timeline.progress.joins, 1);
        assert!(timeline.progress.licensed.is_some() && timeline.gave_up.is_none());
        assert!(timeline.tail.host.shapes().iter().all(|shape| shape.content_type == 0));
    }
}

#[test]
fn a_denial_under_standard_rdp_security_is_seen() {
    let mut session = fresh();
    session.data(Peer::Client, &connection_request(0), at(1));
    session.data(Peer::Host, &support::connection_confirm(0), at(2));
    session.data(Peer::Client, &tpkt(&[0x7f, 0x65, 0x82, 1, 0xab]), at(3));
    session.data(Peer::Host, &tpkt(&[0x7f, 0x66, 0x5f, 0x0a]), at(4));
    session.data(Peer::Client, &on_channel(0x64, &[0x40, 0, 0, 0], 340), at(5));
    session.data(Peer::Host, &on_channel(0x68, &[22, 0, 0x17, 0], 22), at(6));
    session.data(Peer::Host, &support::CLEAR_ULTIMATUM, at(7));
    let timeline = session.finish();
    assert_eq!((timeline.progress.denied, timeline.phase()), (Some(at(7)), Phase::ClientInfo));
}
