//! Loopback recordings of real peers, replayed as sizes, directions and times.

mod support;

use parser::Timestamp;
use parser::session::{Answer, CloseKind, Closer, Limits, Peer, Phase, Session, Timeline};
use support::{Settled, client_hello, handshake_record, record, sealed, server_hello};

/// One line of a recording: `[ms, connection, direction, type, length, extra]`, or `[ms, connection, direction, "FIN"]`.
struct Line<'a> {
    ms: f64,
    connection: u32,
    words: Vec<&'a str>,
}

fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().map(|line| {
        let inner = line.trim().trim_start_matches('[').trim_end_matches(']');
        let words: Vec<&str> = inner.split(',').map(|word| word.trim().trim_matches('"')).collect();
        let ms = words[0].parse().expect("milliseconds");
        Line { ms, connection: words[1].parse().expect("a number"), words: words[2..].to_vec() }
    })
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

/// Bytes of the recorded shape. Hellos are real, the rest is zeros of the right length and type.
fn bytes(kind: &str, length: u16, extra: &str, settled: Settled, ccs: bool) -> Vec<u8> {
    match (kind, extra) {
        ("TPKT", hex_text) => hex(hex_text),
        ("HS", "0301 hs=1") => client_hello(),
        ("HS", "0303 hs=2") => server_hello(settled, [1; 32], &[2; 32]),
        ("HS", _) if ccs => sealed(support::CONTENT_HANDSHAKE, length),
        ("HS", extra) => {
            let kind = extra.rsplit('=').next().and_then(|n| n.parse().ok()).expect("a handshake type");
            handshake_record(kind, &vec![0; usize::from(length) - 4])
        }
        ("CCS", _) => record(support::CONTENT_CCS, &[1]),
        ("APP", _) => sealed(support::CONTENT_DATA, length),
        other => panic!("{other:?}"),
    }
}

/// Replays one connection; returns the run of phases with the number of records after which each held.
fn replay(text: &str, connection: u32, settled: Settled) -> (Vec<(Phase, usize)>, Timeline) {
    let mut session = Session::new(Timestamp(0), Limits::default());
    let mut phases: Vec<(Phase, usize)> = Vec::new();
    let mut ccs = [false; 2];
    for line in lines(text).filter(|line| line.connection == connection) {
        let at = Timestamp((line.ms * 1e6) as u64);
        let (peer, closer) = match line.words[0] {
            "C>S" => (Peer::Client, Closer::Client),
            "S>C" => (Peer::Host, Closer::Host),
            _ => continue,
        };
        if line.words[1] == "FIN" {
            session.closed(closer, CloseKind::Fin, at);
            continue;
        }
        let sent = &mut ccs[usize::from(peer == Peer::Host)];
        let length = line.words[2].parse().expect("a length");
        session.data(peer, &bytes(line.words[1], length, line.words[3], settled, *sent), at);
        *sent |= line.words[1] == "CCS";
        match phases.last_mut() {
            Some((phase, records)) if *phase == session.phase() => *records += 1,
            _ => phases.push((session.phase(), 1)),
        }
    }
    (phases, session.finish())
}

use Phase::{Activation, Active, ClientInfo, Credssp, Licensing, Mcs, TlsFinish, TlsHello, X224};

#[test]
fn xfreerdp_to_xrdp_in_tls_1_2() {
    let (phases, timeline) = replay(include_str!("../testdata/records/records-xrdp12.txt"), 1, Settled::GCM);
    let expected = [
        (X224, 1),
        (TlsHello, 2),
        (TlsFinish, 9),
        (Mcs, 18),
        (ClientInfo, 1),
        (Licensing, 3),
        (Activation, 9),
        (Active, 1),
    ];
    assert_eq!(phases, expected);
    assert_eq!(timeline.progress.joins, 6);
    assert!(timeline.tls.change_cipher_spec.client && timeline.tls.change_cipher_spec.host);
}

#[test]
fn xfreerdp_to_xrdp_in_tls_1_3_with_tickets_behind_the_first_data() {
    let (phases, timeline) = replay(include_str!("../testdata/records/records-xrdp13.txt"), 1, Settled::TLS13);
    // The recorder noted the hello before the Connection Confirm, and two joins out of order.
    let last: Vec<Phase> = phases.iter().map(|(phase, _)| *phase).collect();
    assert_eq!(last[last.len() - 6..], [TlsFinish, Mcs, ClientInfo, Licensing, Activation, Active]);
    assert_eq!(timeline.progress.joins, 6);
    let response = timeline.progress.connect_response.expect("a response");
    assert_eq!(response, Timestamp(34_400_000), "the tickets were not taken for the Connect Response");
}

#[test]
fn a_whole_nla_session() {
    let (phases, timeline) = replay(include_str!("../testdata/records/records-nla_ok.txt"), 1, Settled::TLS13);
    let before_active: Vec<_> = phases.iter().copied().take_while(|(phase, _)| *phase < Active).collect();
    let expected = [
        (X224, 1),
        (TlsHello, 2),
        (TlsFinish, 7),
        (Credssp, 8),
        (Mcs, 19),
        (ClientInfo, 1),
        (Licensing, 1),
        (Activation, 9),
    ];
    assert_eq!(before_active, expected);
    assert_eq!((timeline.phase(), timeline.progress.joins), (Active, 7));
    let progress = timeline.progress;
    assert_eq!((progress.credssp_records.client, progress.credssp_records.host), (3, 2));
    assert_eq!(timeline.first_close().map(|close| close.by), Some(Closer::Client));
}

#[test]
fn a_refused_nla_exchange_ends_in_credssp() {
    let text = include_str!("../testdata/records/records-nla_bad.txt");
    for connection in [1, 2] {
        let (phases, timeline) = replay(text, connection, Settled::TLS13);
        assert_eq!(phases.last().map(|(phase, _)| *phase), Some(Credssp));
        let progress = timeline.progress;
        assert!(progress.credssp_authenticate.is_some() && progress.credssp_accepted.is_none());
        assert!(timeline.tls.encrypted_alert.host < timeline.tls.encrypted_alert.client);
        assert_eq!(timeline.first_close().map(|close| close.by), Some(Closer::Host));
    }
}

#[test]
fn a_host_that_wants_nla_says_so_in_x224() {
    let text = include_str!("../testdata/records/records-tls_vs_nla.txt");
    let (phases, timeline) = replay(text, 1, Settled::TLS13);
    assert_eq!(phases, [(X224, 2)]);
    assert!(matches!(timeline.answer, Some(Answer::Failure(code)) if code.0 == 5));
}
