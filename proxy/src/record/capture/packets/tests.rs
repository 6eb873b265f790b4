use super::super::tape::Tape;
use super::*;
use crate::limits::OpeningBudget;
use crate::record::fixture::{identity, timeline, verdict};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use parser::diagnosis::Cause;
use parser::session::{TcpFacts, UpstreamEvent};
use std::sync::Arc;

const NOW: Timestamp = Timestamp(1_772_349_129_000_000_000);

fn at(ms: u64) -> Timestamp {
    Timestamp(NOW.0 + ms * 1_000_000)
}

/// A tape with a large bound.
fn tape(bound: usize) -> Tape {
    Tape::new(bound, &Arc::new(OpeningBudget::new(1 << 24)))
}

fn host() -> SocketAddr {
    "192.0.2.7:3389".parse().unwrap()
}

/// Connected at 3 ms from port 40,000.
fn connected(tape: &Tape) {
    tape.upstream(&UpstreamEvent::Connecting(host()), at(1));
    tape.upstream(&UpstreamEvent::Connected(host()), at(3));
    tape.host(Some("10.9.9.9:40000".parse().unwrap()), at(3));
}

fn record(client: &str, local: &str) -> SessionRecord {
    let mut identity = SessionIdentity::clone(&identity(1));
    (identity.client, identity.local, identity.accepted) = (client.parse().unwrap(), local.parse().unwrap(), NOW);
    let mut timeline = Timeline { alerts: Vec::new(), ..timeline() };
    timeline.tcp.client = Some(TcpFacts { mss: 1_000, ..TcpFacts::default() });
    timeline.tcp.host = None;
    SessionRecord {
        identity: Arc::new(identity),
        timeline,
        verdict: verdict(Cause::TcpRefused),
        ended: at(99),
        capture: None,
    }
}

fn usual() -> SessionRecord {
    record("10.1.2.3:51234", "10.9.9.9:3389")
}

fn made(record: &mut SessionRecord, tape: &Tape) -> Packets {
    let passed = tape.look();
    let lengths = passed.lengths();
    for peer in [Peer::Client, Peer::Host] {
        record.timeline.traffic[peer].bytes = record.timeline.traffic[peer].bytes.max(lengths[peer]);
    }
    packets(record, &passed, &passed.wires())
}

/// A packet as a reader of it would say it: leg, direction, flags, relative numbers, bytes.
fn said(packets: &[Packet]) -> Vec<String> {
    let mut first = std::collections::HashMap::new();
    let mut lines = Vec::new();
    for packet in packets {
        let sliced = SlicedPacket::from_ethernet(&packet.frame).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
        let ends = (packet.interface, tcp.source_port());
        let sequence = tcp.sequence_number().wrapping_sub(*first.entry(ends).or_insert(tcp.sequence_number()));
        let other = first.get(&(packet.interface, tcp.destination_port())).copied().unwrap_or_default();
        let flags = [(tcp.syn(), "S"), (tcp.fin(), "F"), (tcp.rst(), "R"), (tcp.ack(), "A")];
        let flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| *flag).collect();
        let ack = if tcp.ack() { tcp.acknowledgment_number().wrapping_sub(other) } else { 0 };
        let (leg, way) = (["client", "host"][packet.interface as usize], if packet.outbound { "<" } else { ">" });
        lines.push(format!("{leg}{way} {flags} {sequence} {ack} {}", tcp.payload().len()));
    }
    lines
}

/// Checks checksums and lengths of a packet as its receiver would.
fn sound(packet: &Packet) {
    let sliced = SlicedPacket::from_ethernet(&packet.frame).unwrap();
    let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { panic!("no TCP") };
    let header = tcp.to_header();
    match sliced.net.as_ref().unwrap() {
        NetSlice::Ipv4(ip) => {
            let ip = ip.header().to_header();
            assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            assert_eq!(usize::from(ip.total_len), packet.frame.len() - 14);
            assert_eq!(header.checksum, header.calc_checksum_ipv4(&ip, tcp.payload()).unwrap());
        }
        NetSlice::Ipv6(ip) => {
            let ip = ip.header().to_header();
            assert_eq!(header.checksum, header.calc_checksum_ipv6(&ip, tcp.payload()).unwrap());
        }
        NetSlice::Arp(_) => panic!("ARP"),
    }
}

#[test]
fn both_legs_show_what_was_read_and_what_was_passed_on() {
    let tape = tape(1 << 18);
    tape.data(Peer::Client, b"early", at(0));
    connected(&tape);
    tape.data(Peer::Host, b"confirm", at(4));
    tape.data(Peer::Client, &[1; 1_500], at(5));
    tape.closed(Closer::Host, CloseKind::Fin, at(6));
    tape.closed(Closer::Client, CloseKind::Fin, at(7));
    let made = made(&mut usual(), &tape);
    let expected = [
        "client> S 0 0 0",
        "client< SA 0 1 0",
        "client> A 1 1 0",
        "client> A 1 1 5",
        "host< S 0 0 0",
        "host> SA 0 1 0",
        "host< A 1 1 0",
        "host< A 1 1 5",
        "host> A 1 6 7",
        "client< A 1 6 7",
        "client> A 6 8 1000",
        "client> A 1006 8 500",
        "host< A 6 8 1440",
        "host< A 1446 8 60",
        "host> FA 8 1506 0",
        "host< A 1506 9 0",
        "client< FA 8 1506 0",
        "client> A 1506 9 0",
        "client> FA 1506 9 0",
        "client< A 9 1507 0",
        "host< FA 1506 9 0",
        "host> A 9 1507 0",
    ];
    // The tape heard the client before the connect began.
    assert_eq!(said(&made.packets), expected);
    made.packets.iter().for_each(sound);
    assert!(made.packets.windows(2).all(|pair| pair[0].at <= pair[1].at));
    assert_eq!(made.decisive, [14]);
    assert!(made.packets[14].comments[0].contains("The host closed (FIN), before anybody else"));
}

#[test]
fn a_reset_ends_both_legs_and_nothing_follows_it() {
    for (by, last) in [
        (Closer::Client, ["client> RA 1 1 0", "host< RA 1 1 0"]),
        (Closer::Host, ["host> RA 1 1 0", "client< RA 1 1 0"]),
    ] {
        let tape = tape(1 << 18);
        connected(&tape);
        tape.closed(by, CloseKind::Rst, at(4));
        tape.data(Peer::Client, b"late", at(5));
        tape.data(Peer::Host, b"late", at(5));
        let lines = said(&made(&mut usual(), &tape).packets);
        assert_eq!(lines[6..], last, "{by:?}");
    }
}

#[test]
fn our_own_end_resets_the_client_and_closes_the_host() {
    let tape = tape(1 << 18);
    connected(&tape);
    tape.closed(Closer::Proxy, CloseKind::Timeout, at(9));
    let lines = said(&made(&mut usual(), &tape).packets);
    assert_eq!(lines[6..], ["client< RA 1 1 0", "host< FA 1 1 0", "host> A 1 2 0"]);
}

#[test]
fn a_leg_that_fell_silent_has_no_packet_for_it_but_a_remark() {
    let tape = tape(1 << 18);
    connected(&tape);
    tape.closed(Closer::Client, CloseKind::Timeout, at(9));
    let made = made(&mut usual(), &tape);
    assert_eq!(said(&made.packets)[6..], ["host< RA 1 1 0"]);
    assert!(made.packets[6].comments[0].contains("given up by the kernel"), "{:?}", made.packets[6]);
}

#[test]
fn a_host_that_refuses_and_one_that_is_silent_are_shown_so() {
    for (failure, answered) in [(ConnectFailure::Refused, true), (ConnectFailure::Timeout, false)] {
        let tape = tape(1 << 18);
        tape.upstream(&UpstreamEvent::Connecting(host()), at(1));
        let failed = Upstream::ConnectFailed { address: host(), failure, errno: 111, tried: 1 };
        tape.upstream(&UpstreamEvent::Failed(failed.clone()), at(2));
        tape.closed(Closer::Proxy, CloseKind::Rst, at(2));
        let mut record = usual();
        record.timeline.upstream = failed;
        let made = made(&mut record, &tape);
        let lines = said(&made.packets);
        assert_eq!(lines[3], "host< S 0 0 0");
        assert!(made.packets[3].comments[0].starts_with("192.0.2.7:3389 "), "{:?}", made.packets[3].comments);
        assert_eq!(lines.contains(&"host> RA 0 1 0".to_owned()), answered);
        assert_eq!(lines.last().unwrap(), "client< RA 1 1 0");
        made.packets.iter().for_each(sound);
    }
}

#[test]
fn what_was_not_kept_leaves_a_gap_and_the_numbers_after_it_are_true() {
    let tape = tape(16 << 10);
    connected(&tape);
    for _ in 0..40 {
        tape.data(Peer::Client, &[7; 1_000], at(4));
    }
    tape.data(Peer::Host, &[8; 500], at(4));
    tape.closed(Closer::Client, CloseKind::Fin, at(5));
    let mut record = usual();
    record.timeline.traffic = PerPeer::default();
    (record.timeline.traffic.client.bytes, record.timeline.traffic.host.bytes) = (40_000, 500);
    let made = made(&mut record, &tape);
    let lines = said(&made.packets);
    assert!(lines.contains(&"client> FA 40001 501 0".to_owned()), "{:?}", &lines[lines.len() - 5..]);
    assert!(lines.contains(&"host< FA 40001 501 0".to_owned()));
    let remarks: Vec<&String> = made.packets.iter().flat_map(|packet| &packet.comments).collect();
    assert!(
        remarks.iter().any(|text| text.contains("bytes of the client and 500 bytes of the host are not in")),
        "{remarks:?}"
    );
}

#[test]
fn ipv6_and_mixed_legs_are_sound_too() {
    let tape = tape(1 << 18);
    connected(&tape);
    tape.data(Peer::Client, b"odd", at(4));
    let made = made(&mut record("[2001:db8::3]:51234", "[2001:db8::9]:3389"), &tape);
    made.packets.iter().for_each(sound);
    let version = |packet: &Packet| packet.frame[14] >> 4;
    assert!(made.packets.iter().all(|packet| version(packet) == if packet.interface == CLIENT_LEG { 6 } else { 4 }));
}

#[test]
fn sequence_numbers_wrap() {
    let tape = tape(1 << 18);
    connected(&tape);
    tape.data(Peer::Client, &[0; 40], at(4));
    let mut record = usual();
    let mut identity = SessionIdentity::clone(&record.identity);
    identity.id = uuid::Uuid::from_u128(u128::MAX);
    record.identity = Arc::new(identity);
    let made = made(&mut record, &tape);
    assert_eq!(said(&made.packets)[6], "client> A 1 1 40");
    made.packets.iter().for_each(sound);
}

#[test]
fn legs_of_a_bridge_show_each_what_crossed_it_and_a_host_that_is_asked_anew_twice() {
    let tape = tape(1 << 18);
    connected(&tape);
    tape.read(Peer::Client, b"hello", at(4));
    tape.sent(Peer::Host, b"hello", at(4));
    tape.read(Peer::Host, b"refused", at(5));
    tape.host_ended(CloseKind::Fin, at(5));
    let first = Some("10.9.9.9:40000".parse().unwrap());
    tape.host(Some("10.9.9.9:40001".parse().unwrap()), at(6));
    tape.sent(Peer::Host, b"another hello", at(6));
    tape.hung_up(first, at(7));
    tape.read(Peer::Host, b"its answer", at(8));
    tape.sent(Peer::Client, b"ours", at(9));
    tape.closed(Closer::Proxy, CloseKind::Fin, at(10));
    let mut record = usual();
    record.timeline.upstream = Upstream::Connected(host());
    let made = made(&mut record, &tape);
    let expected = [
        "client> A 1 1 5",
        "host< A 1 1 5",
        "host> A 1 6 7",
        "host> FA 8 6 0",
        "host< A 6 9 0",
        "host< S 0 0 0",
        "host> SA 0 1 0",
        "host< A 1 1 0",
        "host< A 1 1 13",
        "host< FA 6 9 0",
        "host> A 9 7 0",
        "host> A 1 14 10",
        "client< A 1 6 4",
        "client< FA 5 6 0",
        "client> A 6 6 0",
        "host< FA 14 11 0",
        "host> A 11 15 0",
    ];
    let by_port = |packet: &Packet| {
        let sliced = SlicedPacket::from_ethernet(&packet.frame).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
        if packet.outbound { tcp.source_port() } else { tcp.destination_port() }
    };
    let ports: Vec<u16> = made.packets.iter().filter(|packet| packet.interface == HOST_LEG).map(by_port).collect();
    assert_eq!(ports[..7], [40_000; 7]);
    assert_eq!(ports[7..], [40_001, 40_001, 40_001, 40_001, 40_000, 40_000, 40_001, 40_001, 40_001]);
    let lines = said(&made.packets);
    assert_eq!(lines.len(), 6 + expected.len(), "{lines:?}");
    // The host's own numbers are another connection's: they are told apart by port, and both are at the same one.
    let shape = |line: &str| [0, 1, 4].map(|word| line.split(' ').nth(word).unwrap_or_default().to_owned());
    for (line, wanted) in lines[6..].iter().zip(expected) {
        assert_eq!(shape(line), shape(wanted), "{lines:?}");
    }
    made.packets.iter().for_each(sound);
}
