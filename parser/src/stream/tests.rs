//! Both directions, fed with whole openings.

use super::{ClientStream, Event, HostStream};
use crate::Timestamp;
use crate::session::{Answer, Opening};
use crate::wire::{
    AlertDescription, CipherSuite, ClearPdu, ContentType, DisconnectReason, Fingerprints, HandshakeType, NamedGroup,
    PduKind, Protocols, ResponseFlags, TlsVersion,
};

const XFREERDP: &str = include_str!("../../testdata/hellos/xfreerdp-2.11.7.hex");
const REQUEST: &str = "0300002b26e00000000000436f6f6b69653a206d737473686173683d616c6963650d0a0100080001000000";
const CONFIRM: &str = "030000130ed000001234000201080001000000";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3];
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0];
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(body);
    message
}

/// A ServerHello (or, with the right random, a HelloRetryRequest) that chooses `suite`.
fn server_hello(random: &[u8], suite: u16, extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend(random);
    body.push(0);
    body.extend(suite.to_be_bytes());
    body.push(0);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    handshake(2, &body)
}

fn client(stream: &mut ClientStream, mut bytes: &[u8]) -> Vec<Event> {
    std::iter::from_fn(|| stream.next(&mut bytes, Timestamp(5))).collect()
}

fn host(stream: &mut HostStream, mut bytes: &[u8]) -> Vec<Event> {
    std::iter::from_fn(|| stream.next(&mut bytes, Timestamp(5))).collect()
}

fn without_records(events: Vec<Event>) -> Vec<Event> {
    events.into_iter().filter(|e| !matches!(e, Event::Record(_))).collect()
}

#[test]
fn a_client_asks_and_then_says_hello() {
    let mut stream = ClientStream::new(65536);
    let hello = hex(XFREERDP);
    let events = client(&mut stream, &[hex(REQUEST), hello.clone()].concat());
    let [
        Event::Opening(Opening::X224),
        Event::Request(request),
        Event::Record(header),
        Event::ClientHello { facts, .. },
    ] = &events[..]
    else {
        panic!("{events:#?}")
    };
    assert_eq!((request.cookie.as_deref(), request.protocols), (Some("alice"), Some(Protocols::SSL)));
    assert_eq!((header.content_type, header.version), (ContentType::HANDSHAKE, TlsVersion::TLS10));
    assert_eq!((facts.records, facts.record_version, facts.at), (1, TlsVersion::TLS10, Timestamp(5)));
    assert_eq!(facts.length as usize + 5, hello.len());
    assert_eq!(Fingerprints::of(facts).ja3, "a3afc2c46ba4a7d7fbe1cfb7a3031c2f");
    assert_eq!((stream.buffered(), stream.missing()), (0, 0));
}

#[test]
fn a_hello_that_stops_half_way_is_known_to_be_incomplete() {
    let mut stream = ClientStream::new(65536);
    let hello = hex(XFREERDP);
    client(&mut stream, &[hex(REQUEST), hello[..100].to_vec()].concat());
    let pending = stream.pending_handshake().expect("half a hello");
    assert_eq!((pending.kind, pending.have, pending.need as usize), (HandshakeType::CLIENT_HELLO, 95, hello.len() - 5));
    assert_eq!(stream.missing(), hello.len() - 100);
    assert!((95..=2048).contains(&stream.buffered()));
}

#[test]
fn a_hello_may_be_spread_over_many_records() {
    let hello = hex(XFREERDP);
    let bytes: Vec<u8> = hello[5..].chunks(50).flat_map(|part| record(22, part)).collect();
    let events = without_records(client(&mut ClientStream::new(65536), &bytes));
    let [Event::Opening(Opening::TlsFirst), Event::ClientHello { facts, .. }] = &events[..] else {
        panic!("{events:#?}")
    };
    assert_eq!(usize::from(facts.records), (hello.len() - 5).div_ceil(50));
}

#[test]
fn a_hello_above_its_bound_is_not_held() {
    let mut stream = ClientStream::new(300);
    let events = without_records(client(&mut stream, &hex(XFREERDP)[..20]));
    assert!(matches!(events[..], [Event::Opening(_), Event::TooLarge { length: 310, bound: 300, .. }]), "{events:?}");
    assert!(stream.is_lost());
    assert_eq!((client(&mut stream, &[1; 5000]), stream.buffered()), (vec![], 0));
}

#[test]
fn a_blob_may_come_before_tls() {
    let blob = hex("16000000 00000000 02000000 07000000 0200 7600 6d00");
    let events = without_records(client(&mut ClientStream::new(65536), &[blob, hex(XFREERDP)].concat()));
    let [Event::Preconnection { id: 7, text }, Event::Opening(Opening::TlsFirst), Event::ClientHello { .. }] =
        &events[..]
    else {
        panic!("{events:#?}")
    };
    assert_eq!(text.as_deref(), Some("vm"));
}

#[test]
fn an_sslv2_form_hello_is_read_and_tls_follows() {
    let mut hello = hex("8022 01 0301 0009 0000 0010 00002f 000005 010080");
    hello.extend([9; 16]);
    let events = client(&mut ClientStream::new(65536), &[hello, record(22, &[16, 0, 0, 0])].concat());
    let [
        Event::Opening(Opening::TlsFirst),
        Event::ClientHello { facts, .. },
        Event::Record(_),
        Event::Handshake { .. },
    ] = &events[..]
    else {
        panic!("{events:#?}")
    };
    assert!(facts.sslv2_form && Fingerprints::of(facts).ja4.is_empty());
    assert_eq!(facts.suites, [CipherSuite(0x2f), CipherSuite(5)]);
}

#[test]
fn what_is_not_rdp_is_named_and_no_longer_read() {
    let mut stream = ClientStream::new(65536);
    assert_eq!(client(&mut stream, b"GET / HTTP/1.1\r\nHost: x\r\n"), [Event::Opening(Opening::NotRdp)]);
    assert_eq!(stream.first_bytes(), b"GET / HTTP/1.1\r\n");
    assert_eq!(client(&mut stream, &hex(XFREERDP)), []);
}

#[test]
fn a_wrong_length_indicator_is_told_and_reading_goes_on() {
    let mut request = hex(REQUEST);
    request[4] = 9;
    let events = client(&mut ClientStream::new(65536), &[request, hex(XFREERDP)].concat());
    assert!(matches!(events[2], Event::Malformed { offset: 4, fatal: false, .. }), "{events:#?}");
    assert!(matches!(events[4], Event::ClientHello { .. }));
}

#[test]
fn a_host_selects_and_sends_its_flight() {
    let flight = [
        server_hello(&[1; 32], 0xc030, &[]),
        handshake(11, &[0, 0, 4, 0, 0, 1, 7]),
        handshake(12, &[3, 0, 29, 1, 9]),
        handshake(13, &[0, 0]),
        handshake(14, &[]),
    ];
    let mut stream = HostStream::new();
    let events = host(&mut stream, &[hex(CONFIRM), record(22, &flight.concat())].concat());
    let [
        Event::Answer(answer),
        Event::Record(_),
        Event::ServerHello { facts, .. },
        Event::Certificate(certificate),
        Event::KeyExchange { group, dh_bits: None, signature: None },
        Event::CertificateRequest,
        Event::ServerHelloDone,
    ] = &events[..]
    else {
        panic!("{events:#?}")
    };
    assert_eq!(*answer, Answer::Selected { protocol: Protocols::SSL, flags: ResponseFlags(1) });
    assert_eq!((facts.version, facts.suite, facts.hello_retry), (TlsVersion::TLS12, CipherSuite(0xc030), false));
    assert_eq!((certificate.chain_length, certificate.unreadable.is_some()), (1, true));
    assert_eq!(*group, Some(NamedGroup::X25519));
}

#[test]
fn the_second_hello_after_a_retry_request_is_read_behind_change_cipher_spec() {
    let retry = hex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c");
    let version = [0, 43, 0, 2, 3, 4];
    let bytes = [
        record(22, &server_hello(&retry, 0x1302, &[&version[..], &[0, 51, 0, 2, 0, 24]].concat())),
        record(20, &[1]),
        record(22, &server_hello(&[1; 32], 0x1302, &[&version[..], &[0, 51, 0, 4, 0, 24, 0, 0]].concat())),
        record(23, &[7; 40]),
    ];
    let events = without_records(host(&mut HostStream::new(), &bytes.concat()));
    let [Event::HelloRetryRequest { group: Some(NamedGroup::SECP384R1), .. }, Event::ServerHello { facts, .. }] =
        &events[..]
    else {
        panic!("{events:#?}")
    };
    assert!(facts.hello_retry && facts.version == TlsVersion::TLS13);

    let hello = hex(XFREERDP);
    let bytes = [hello.clone(), record(20, &[1]), hello].concat();
    let events = without_records(client(&mut ClientStream::new(65536), &bytes));
    assert!(
        matches!(events[..], [Event::Opening(_), Event::ClientHello { .. }, Event::ClientHello { .. }]),
        "{events:#?}"
    );
}

#[test]
fn encrypted_handshake_is_followed_by_header_alone() {
    let bytes = [record(22, &[16, 0, 0, 1, 9]), record(20, &[1]), record(22, &[0; 40]), record(21, &[0; 26])];
    let events = client(&mut ClientStream::new(65536), &bytes.concat());
    let records = events.iter().filter(|e| matches!(e, Event::Record(_))).count();
    assert_eq!((records, without_records(events).len()), (4, 2), "opening and ClientKeyExchange");
}

#[test]
fn a_refusal_of_any_kind_is_an_answer() {
    let answer = |bytes: &[u8]| match &host(&mut HostStream::new(), bytes)[..] {
        [Event::Answer(answer)] => answer.clone(),
        other => panic!("{other:?}"),
    };
    assert!(matches!(answer(&hex("030000130ed000000000000300080005000000")), Answer::Failure(code) if code.0 == 5));
    assert_eq!(answer(&hex("0300000902f0802180")), Answer::Ultimatum(3));
    assert_eq!(answer(&hex("0300000b0680000012340000")), Answer::Refused(0x80));
    assert_eq!(answer(b"SSH-2.0-OpenSSH_9.2\r\n"), Answer::NotRdp(b"SSH-2.0-OpenSSH_".to_vec()));
    let alert = host(&mut HostStream::new(), &record(21, &[2, 40]));
    assert!(matches!(alert[1], Event::Alert { description: AlertDescription::HANDSHAKE_FAILURE, .. }), "{alert:?}");
}

#[test]
fn nine_clear_bytes_where_a_record_should_be_are_told() {
    let mut stream = HostStream::new();
    host(&mut stream, &[hex(CONFIRM), record(22, &server_hello(&[1; 32], 0xc030, &[]))].concat());
    let ultimatum = ClearPdu { kind: PduKind::Ultimatum(DisconnectReason(3)), length: 9 };
    assert_eq!(host(&mut stream, &hex("0300000902f0802180")), [Event::Pdu(ultimatum)]);
    let events = host(&mut stream, b"HTTP/1.0 400 Bad Request");
    assert_eq!(events, [Event::NotTls(*b"HTTP/1.0 400 Bad")]);
    assert!(stream.is_lost());
}

#[test]
fn a_tls_host_may_answer_with_clear_bytes_too() {
    let mut stream = HostStream::new();
    stream.expect_tls();
    let ultimatum = ClearPdu { kind: PduKind::Ultimatum(DisconnectReason(3)), length: 9 };
    assert_eq!(host(&mut stream, &hex("0300000902f0802180")), [Event::Pdu(ultimatum)]);
}

#[test]
fn standard_rdp_security_is_followed_pdu_by_pdu() {
    let mut stream = HostStream::new();
    let bytes = [hex("0300000b06d00000123400"), hex("0300000b02f0802e00000600"), hex("c0 05 00 00 00")];
    let events = host(&mut stream, &bytes.concat()[..27]);
    assert!(matches!(events[0], Event::Answer(Answer::Plain)));
    assert!(
        matches!(events[1], Event::Pdu(ClearPdu { kind: PduKind::AttachUserConfirm(0), length: 11 })),
        "{events:?}"
    );
}

#[test]
fn record_boundaries_are_found_again_after_bytes_passed_unseen() {
    let mut stream = ClientStream::new(65536);
    client(&mut stream, &[hex(XFREERDP), record(23, &[7; 100])[..50].to_vec()].concat());
    assert!(stream.skip(30), "still inside the record");
    assert!(!stream.skip(1_000_000));
    let bytes = [vec![0x99; 60], record(23, &[7; 30]), record(21, &[7; 19])].concat();
    let events = client(&mut stream, &bytes);
    let [Event::Resynced, Event::Record(first), Event::Record(last)] = &events[..] else { panic!("{events:#?}") };
    assert_eq!((first.length, last.length, last.content_type), (30, 19, ContentType::ALERT));
}

#[test]
fn a_readable_leaf_is_described() {
    let der = minimal_certificate();
    let facts = crate::session::CertificateFacts::from_der(&der);
    assert_eq!(facts.unreadable, None);
    assert!(facts.subject.contains("CN=") && facts.key_bits > 0 && facts.not_before < facts.not_after);
}

/// CN=rds, P-256, valid 2020 to 2030, self-issued, with a signature that is not checked.
fn minimal_certificate() -> Vec<u8> {
    let tlv = |tag: u8, parts: &[&[u8]]| {
        let body = parts.concat();
        let mut out = vec![tag];
        match body.len() {
            short @ 0..128 => out.push(short as u8),
            long => out.extend([0x81, long as u8]),
        }
        out.extend(body);
        out
    };
    let name = tlv(0x30, &[&tlv(0x31, &[&tlv(0x30, &[&hex("0603550403"), &tlv(0x0c, &[b"rds"])])])]);
    let algorithm = hex("300a06082a8648ce3d040302");
    let validity = tlv(0x30, &[&tlv(0x17, &[b"200101000000Z"]), &tlv(0x17, &[b"300101000000Z"])]);
    let point = [&[0, 4][..], &[1; 64]].concat();
    let key = tlv(0x30, &[&hex("301306072a8648ce3d020106082a8648ce3d030107"), &tlv(0x03, &[&point])]);
    let body = tlv(0x30, &[&hex("a003020102"), &hex("020101"), &algorithm, &name, &validity, &name, &key]);
    tlv(0x30, &[&body, &algorithm, &hex("03030030 00")])
}
