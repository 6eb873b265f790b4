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
    tape.host_local(Some("10.9.9.9:40000".parse().unwrap()));
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
    packets(record, &passed, &PerPeer { client: passed.of(Peer::Client), host: passed.of(Peer::Host) })
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
