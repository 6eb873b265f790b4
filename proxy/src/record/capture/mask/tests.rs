use super::*;
use config::UserNames;
use parser::session::{ServerHelloFacts, Timeline};
use parser::wire::{CipherSuite, ResponseFlags, TlsVersion};
use proptest::prelude::*;

fn names(how: UserNames) -> Names {
    Names::new(how, None).unwrap()
}

/// `bytes` of `from` as they are shown, after TLS with `suite` was agreed on, if there is one.
fn shown_with(from: Peer, bytes: &[u8], timeline: &Timeline, suite: Option<u16>, how: UserNames) -> Vec<u8> {
    let mut wire = Wire::default();
    let hello = suite.map(server_hello).unwrap_or_default();
    let skipped = if from == Peer::Host { hello.len() } else { 0 };
    wire.host = hello;
    wire[from].extend_from_slice(bytes);
    mask(&mut wire, timeline, &names(how));
    let shown = wire[from].split_off(skipped);
    assert_eq!(shown.len(), bytes.len(), "lengths stay");
    shown
}

fn masked(from: Peer, bytes: &[u8], timeline: &Timeline, how: UserNames) -> Vec<u8> {
    let suite = timeline.server_hello.as_ref().map(|hello| hello.suite.0);
    shown_with(from, bytes, timeline, suite, how)
}

fn server_hello(suite: u16) -> Vec<u8> {
    let body = [&[3, 3][..], &[9; 32], &[0], &suite.to_be_bytes(), &[0]].concat();
    record(22, &message(2, &body))
}

fn tls(suite: u16) -> Timeline {
    let answer = Answer::Selected { protocol: Protocols::SSL, flags: ResponseFlags(0) };
    let hello =
        ServerHelloFacts { version: TlsVersion::TLS12, suite: CipherSuite(suite), ..ServerHelloFacts::default() };
    Timeline { answer: Some(answer), server_hello: Some(hello), ..Timeline::default() }
}

fn plain() -> Timeline {
    Timeline { answer: Some(Answer::Plain), ..Timeline::default() }
}

fn request(token: &[u8]) -> Vec<u8> {
    let negotiation = [1, 0, 8, 0, 3, 0, 0, 0];
    let length = 11 + token.len() + negotiation.len();
    let mut request = vec![3, 0, 0, length as u8, (length - 5) as u8, 0xe0, 0, 0, 0, 0, 0];
    request.extend(token);
    request.extend(negotiation);
    request
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3];
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(&(body.len() as u32).to_be_bytes()[1..]);
    message.extend(body);
    message
}

fn hello(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (kind, data) in extensions {
        block.extend(kind.to_be_bytes());
        block.extend((data.len() as u16).to_be_bytes());
        block.extend(data);
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    body.extend((block.len() as u16).to_be_bytes());
    body.extend(block);
    message(1, &body)
}

fn contains(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}

#[test]
fn a_user_name_is_written_as_events_write_it_wherever_a_front_has_put_it() {
    for token in
        [&b"Cookie: mstshash=CORP\\alice\r\n"[..], b"Cookie: MSTSHASH=CORP\\alice\r\n", b"x mstshash=CORP\\alice"]
    {
        let request = request(token);
        assert_eq!(masked(Peer::Client, &request, &Timeline::default(), UserNames::Plain), request);
        for how in [UserNames::Hash, UserNames::Drop] {
            let shown = masked(Peer::Client, &request, &Timeline::default(), how);
            assert!(!contains(&shown, b"alice") && !contains(&shown, b"CORP"), "{shown:?}");
            assert_eq!(shown[..11], request[..11]);
        }
    }
    let routed = request(b"Cookie: msts=3640205228.15629.0000\r\n");
    assert_eq!(masked(Peer::Client, &routed, &Timeline::default(), UserNames::Drop), routed, "no user name");
}

#[test]
fn a_request_that_breaks_off_in_the_name_shows_none_of_it() {
    let request = request(b"Cookie: mstshash=alice\r\n");
    for cut in 0..request.len() {
        let shown = masked(Peer::Client, &request[..cut], &Timeline::default(), UserNames::Drop);
        assert!(!contains(&shown, b"=a"), "cut at {cut}: {shown:?}");
    }
}

#[test]
fn hellos_alerts_and_sealed_records_stay_as_they_were() {
    let mut client = request(b"");
    client.extend(record(22, &hello(&[(0, vec![0, 4, 0, 0, 1, b'x'])])));
    client.extend(record(20, &[1]));
    client.extend(record(22, &[0xee; 40]));
    client.extend(record(23, &[0xdd; 300]));
    client.extend(record(21, &[0xcc; 26]));
    assert_eq!(masked(Peer::Client, &client, &tls(0xc030), UserNames::Hash), client);
}

#[test]
fn data_of_a_suite_that_does_not_encrypt_is_not_shown() {
    let password = b"correct horse battery staple";
    let mut client = request(b"");
    client.extend(record(23, password));
    let body = client.len() - password.len();
    for suite in [0x0002, 0xc0b4, 0xfafa] {
        let shown = masked(Peer::Client, &client, &tls(suite), UserNames::Plain);
        assert_eq!(shown[..body], client[..body]);
        assert!(shown[body..].iter().all(|byte| *byte == 0), "{suite:#x}");
    }
    assert_eq!(masked(Peer::Client, &client, &tls(0xc030), UserNames::Plain), client);
}

#[test]
fn tickets_of_earlier_sessions_are_not_shown_however_records_cut_them() {
    let secret = b"a ticket that was encrypted for the host alone".to_vec();
    let mut identities = vec![0, secret.len() as u8 + 6, 0, secret.len() as u8];
    identities.extend(&secret);
    identities.extend([1, 2, 3, 4, 0, 4, 3, 9, 9, 9]);
    let name = (0, vec![0, 6, 0, 0, 3, b'r', b'd', b's']);
    for extension in [(35, secret.clone()), (41, identities)] {
        let message = hello(&[name.clone(), extension]);
        for size in [message.len(), 70, 3] {
            let client: Vec<u8> = message.chunks(size).flat_map(|piece| record(22, piece)).collect();
            let shown = masked(Peer::Client, &client, &tls(0xc030), UserNames::Plain);
            let read =
                |bytes: &[u8]| -> Vec<u8> { bytes.chunks(size + 5).flat_map(|record| record[5..].to_vec()).collect() };
            let (before, after) = (read(&client), read(&shown));
            assert!(contains(&before, &secret) && !contains(&after, b"ticket") && contains(&after, b"rds"));
            let (was, is) = (ClientHello::parse(&before).value().unwrap(), ClientHello::parse(&after).value().unwrap());
            let kinds =
                |hello: ClientHello<'_>| hello.extensions().map(|(kind, data)| (kind, data.len())).collect::<Vec<_>>();
            assert_eq!(kinds(was), kinds(is));
        }
    }
    let mut body = vec![0, 0, 1, 0, 0, secret.len() as u8];
    body.extend(&secret);
    let new = record(22, &message(4, &body));
    let shown = masked(Peer::Host, &new, &tls(0xc030), UserNames::Plain);
    assert!(!contains(&shown, b"ticket") && shown[..15] == new[..15]);
}

#[test]
fn the_second_hello_of_tls_1_3_has_its_ticket_hidden_too() {
    let secret = b"another ticket".to_vec();
    let mut identities = vec![0, secret.len() as u8 + 6, 0, secret.len() as u8];
    identities.extend(&secret);
    identities.extend([0; 4]);
    let mut client = record(22, &hello(&[]));
    client.extend(record(20, &[1]));
    client.extend(record(22, &hello(&[(41, identities)])));
    let shown = masked(Peer::Client, &client, &tls(0x1302), UserNames::Plain);
    assert!(contains(&client, &secret) && !contains(&shown, &secret));
}

#[test]
fn the_certificate_of_a_client_names_a_person() {
    let certificate = record(22, &message(11, b"\0\0\x14\0\0\x11CN=alice, O=corp "));
    let shown = |how| masked(Peer::Client, &certificate, &tls(0xc030), how);
    assert!(contains(&shown(UserNames::Plain), b"alice"));
    assert!(!contains(&shown(UserNames::Hash), b"alice") && !contains(&shown(UserNames::Drop), b"alice"));
    let of_host = masked(Peer::Host, &certificate, &tls(0xc030), UserNames::Drop);
    assert_eq!(of_host, certificate, "a host is no person");
}

/// TPKT and X.224 Data around an MCS message.
fn pdu(mcs: &[u8]) -> Vec<u8> {
    let mut pdu = vec![3, 0];
    pdu.extend((mcs.len() as u16 + 7).to_be_bytes());
    pdu.extend([2, 0xf0, 0x80]);
    pdu.extend(mcs);
    pdu
}

fn send_data(choice: u8, data: &[u8]) -> Vec<u8> {
    let mut mcs = vec![choice, 0, 6, 3, 0xeb, 0x70];
    mcs.extend((0x8000 | data.len() as u16).to_be_bytes());
    mcs.extend(data);
    pdu(&mcs)
}

#[test]
fn a_password_in_a_clear_client_info_is_never_shown_and_the_sequence_still_is() {
    let utf16: Vec<u8> = "s3cret-pw".encode_utf16().flat_map(u16::to_le_bytes).collect();
    // SEC_INFO_PKT, then code page, flags and five lengths.
    let mut info = vec![0x40, 0, 0, 0, 0, 0, 0, 0, 0x33, 0, 0, 0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0];
    info.extend(b"a\0l\0i\0c\0e\0\0\0");
    info.extend(&utf16);
    info.extend([0; 200]);
    let connect = pdu(&[0x7f, 0x65, 0x82, 1, 2, 3]);
    let join = pdu(&[0x38, 0, 6, 3, 0xeb]);
    let keys = [0x04, 9, b's', b'3', b'c', b'r', b'e', b't', b'!'];
    let mut client = request(b"Cookie: mstshash=alice\r\n");
    // Share data of type Input, with what was typed.
    let typed = [&[36, 0, 0x17, 0, 0xea, 3, 0, 0, 1, 0, 0, 1, 18, 0, 0x1c, 0, 0, 0][..], &utf16].concat();
    let parts = [connect.clone(), join.clone(), send_data(0x64, &info), keys.to_vec(), send_data(0x64, &typed)];
    client.extend(parts.concat());
    let shown = masked(Peer::Client, &client, &plain(), UserNames::Plain);
    assert!(!contains(&shown, b"s\x003\0") && !contains(&shown, b"s3c") && !contains(&shown, b"a\0l"), "{shown:?}");
    let from = request(b"Cookie: mstshash=alice\r\n").len() + connect.len() + join.len();
    assert_eq!(shown[..from + 15 + 4], client[..from + 15 + 4], "up to the flags of the security header");
    // The tracker finds the same in it.
    let timeline = |bytes: &[u8]| {
        let mut session = parser::session::Session::new(parser::Timestamp(0), parser::session::Limits::default());
        session.data(Peer::Client, &bytes[..request(b"Cookie: mstshash=alice\r\n").len()], parser::Timestamp(1));
        session.data(Peer::Host, &[3, 0, 0, 11, 6, 0xd0, 0, 0, 0x12, 0x34, 0], parser::Timestamp(2));
        session.data(Peer::Client, &bytes[request(b"Cookie: mstshash=alice\r\n").len()..], parser::Timestamp(3));
        session.finish()
    };
    assert!(timeline(&client).progress.client_info.is_some());
    let mut expected = timeline(&client);
    let info = expected.told.as_mut().and_then(|told| told.client_info.as_mut()).expect("a Client Info");
    (info.user_name, info.password) = (0, 2);
    assert_eq!(timeline(&shown), expected);
}

#[test]
fn tls_that_a_client_starts_under_standard_rdp_security_is_shown_without_its_tickets() {
    let (name, ticket) = ((0, vec![0, 4, 0, 0, 1, b'x']), (35, b"a session ticket".to_vec()));
    let hello = record(22, &hello(&[name, ticket]));
    let client = [request(b""), hello.clone(), record(23, b"what was typed")].concat();
    let shown = masked(Peer::Client, &client, &plain(), UserNames::Plain);
    let begin = request(b"").len();
    assert_eq!(shown[begin..begin + 60], client[begin..begin + 60]);
    assert!(!contains(&shown, b"ticket") && !contains(&shown, b"typed"), "{shown:?}");
    let host = [&[3, 0, 0, 11, 6, 0xd0, 0, 0, 0x12, 0x34, 0][..], &record(21, &[2, 40])].concat();
    assert_eq!(masked(Peer::Host, &host, &plain(), UserNames::Plain), host);
    // What only begins like a record of TLS is none.
    let other = [request(b""), b"\x16\x09\x03\0\x20 and a password behind it".to_vec()].concat();
    assert!(!contains(&masked(Peer::Client, &other, &plain(), UserNames::Plain), b"password"));
}

#[test]
fn of_a_client_info_no_length_is_shown_and_nothing_of_what_only_begins_like_one() {
    let info = [&[0x40, 0, 0, 0][..], &[0x11; 8], b"0123456789 and what else there is"].concat();
    let licence = [&[0x80, 0, 0, 0, 0xff, 3, 16, 0][..], &[0x22; 8], b"0123456789"].concat();
    let on = |mut pdu: Vec<u8>, channel: [u8; 2]| {
        pdu[10..12].copy_from_slice(&channel);
        pdu
    };
    let (io, other) = ([3, 0xeb], [3, 0xec]);
    // By its side, what was sent on which channel, and how many bytes of the user data are shown.
    for (choice, data, channel, told) in [
        (0x64, &info, io, 12),
        (0x64, &info, other, 4),
        (0x68, &info, io, 4),
        (0x68, &licence, io, 16),
        (0x64, &licence, io, 8),
        (0x68, &licence, other, 4),
    ] {
        let from = if choice == 0x64 { Peer::Client } else { Peer::Host };
        let clear = [request(b""), vec![3, 0, 0, 11, 6, 0xd0, 0, 0, 0x12, 0x34, 0]];
        let before = clear[usize::from(from == Peer::Host)].clone();
        let bytes = [&before[..], &on(send_data(choice, data), channel)].concat();
        let shown = masked(from, &bytes, &plain(), UserNames::Plain);
        let begin = bytes.len() - data.len();
        assert_eq!(shown[begin..begin + told], bytes[begin..begin + told], "{choice:#x} {channel:?}");
        let mut rest = vec![0; data.len() - told];
        if told == 12 {
            // `cbPassword`: there is one.
            rest[4] = 2;
        }
        assert_eq!(shown[begin + told..], rest, "{choice:#x} {channel:?}");
    }
}

#[test]
fn why_a_clear_session_ended_is_shown_and_what_it_carried_is_not() {
    let share = |kind: u8, body: &[u8]| -> Vec<u8> {
        let total = 18 + body.len() as u16;
        let mut pdu = total.to_le_bytes().to_vec();
        pdu.extend([0x17, 0, 0xea, 3, 0, 0, 1, 0, 0, 1, 8, 0, kind, 0, 0, 0]);
        pdu.extend(body);
        pdu
    };
    let cookie = [3, 0, 0, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, b'c', b'o', b'o', b'k', b'i', b'e'];
    let logon_error = [3, 0, 0, 0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 1, 0, 0, 0];
    let licence = [0x80, 0, 0, 0, 0xff, 3, 16, 0, 6, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0];
    let request = [&[0x80, 0, 0, 0, 1, 3, 30, 0][..], b"a licence's secret"].concat();
    for (data, kept) in [
        (share(0x2f, &[7, 0, 0, 0]), 22),
        ([vec![0; 4], share(0x2f, &[7, 0, 0, 0])].concat(), 26),
        (share(0x26, &logon_error), 40),
        (share(0x26, &cookie), 28),
        (share(2, b"drawing"), 18),
        (licence.to_vec(), 16),
        (request, 8),
        (b"\x08\0\0\0sealed".to_vec(), 4),
        (b"\x10\0\0\0\x03\0\0\0on another channel".to_vec(), 4),
    ] {
        let mut host = vec![3, 0, 0, 11, 6, 0xd0, 0, 0, 0x12, 0x34, 0];
        host.extend(send_data(0x68, &data));
        let shown = masked(Peer::Host, &host, &plain(), UserNames::Plain);
        let begin = host.len() - data.len();
        assert_eq!(shown[..begin + kept], host[..begin + kept], "{data:?}");
        assert!(shown[begin + kept..].iter().all(|byte| *byte == 0), "{data:?}: {:?}", &shown[begin..]);
    }
    // Two in one: both headers, and the code between them.
    let data = [share(0x2f, &[7, 0, 0, 0]), share(0x1c, b"typed")].concat();
    let mut host = vec![3, 0, 0, 11, 6, 0xd0, 0, 0, 0x12, 0x34, 0];
    host.extend(send_data(0x68, &data));
    let shown = masked(Peer::Host, &host, &plain(), UserNames::Plain);
    assert_eq!(shown[..host.len() - 5], host[..host.len() - 5]);
    assert!(!contains(&shown, b"typed"));
}

#[test]
fn what_is_not_understood_shows_as_much_as_events_quote() {
    let text = b"USER alice\r\nPASS s3cret\r\n and more";
    let shown = masked(Peer::Client, text, &Timeline::default(), UserNames::Drop);
    assert_eq!(shown[..16], text[..16]);
    assert!(shown[16..].iter().all(|byte| *byte == 0));
    let mut host = vec![3, 0, 0, 11, 6, 0xd0, 0, 0, 0x12, 0x34, 0];
    host.extend(b"HTTP/1.1 401 Unauthorized and more");
    let shown = masked(Peer::Host, &host, &tls(0xc030), UserNames::Plain);
    assert!(contains(&shown, b"HTTP/1.1 401 Una") && !contains(&shown, b"Unauthorized"));
}

#[test]
fn the_headers_of_a_gateway_client_in_clear_are_never_shown() {
    for word in ["RDG_OUT_DATA ", "RPC_IN_DATA ", "GET /remoteDesktopGateway"] {
        let request = format!("{word}/x?y HTTP/1.1\r\nAuthorization: Basic YWxpY2U6czNjcmV0\r\n\r\n");
        let shown = masked(Peer::Client, request.as_bytes(), &Timeline::default(), UserNames::Plain);
        assert_eq!(shown[..word.len()], request.as_bytes()[..word.len()]);
        assert!(shown[word.len()..].iter().all(|byte| *byte == 0));
        assert_eq!(FirstBytes::of(&shown).value(), Some(FirstBytes::GatewayHttp));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Nothing is added, nothing moves, nothing panics: a byte is as it was, or not shown.
    #[test]
    fn any_bytes_keep_their_length_and_their_place(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        begin in 0usize..5,
        clear: bool,
        host: bool,
    ) {
        let begins = [&b""[..], &[3, 0, 0, 19], &[0x16, 3, 1, 0, 40, 1, 0, 0, 36], b"RDG_OUT_DATA ", &[0x80, 0x2e, 1, 3, 1]];
        let mut sent = begins[begin].to_vec();
        sent.extend(bytes);
        let timeline = if clear { plain() } else { tls(0xc030) };
        let from = if host { Peer::Host } else { Peer::Client };
        let shown = masked(from, &sent, &timeline, UserNames::Drop);
        prop_assert!(shown.iter().zip(&sent).all(|(shown, sent)| shown == sent || *shown == 0 || *shown == b'-'));
    }
}

/// A TSRequest with one field. [MS-CSSP] 2.2.1
fn ts_request(field: u8, token: &[u8]) -> Vec<u8> {
    let octets = [&[4, token.len() as u8], token].concat();
    let field = [&[field, octets.len() as u8], &octets[..]].concat();
    [&[0x30, 5 + field.len() as u8, 0xa0, 3, 2, 1, 6], &field[..]].concat()
}

#[test]
fn of_credssp_it_is_shown_what_kind_of_message_it_was_and_never_what_was_in_it() {
    let challenge = [&b"NTLMSSP\0\x02\0\0\0"[..], b"a challenge of the host"].concat();
    let sealed = [&[1, 0, 0, 0][..], b"sum and number and key"].concat();
    for (field, token, kept) in
        [(0xa1, &challenge[..], 12), (0xa3, &sealed, 4), (0xa2, b"TSCredentials", 0), (0xa5, b"\x05nonce", 0)]
    {
        let request = ts_request(field, token);
        let begin = request.len() - token.len();
        for from in [Peer::Client, Peer::Host] {
            let mut shown = request.clone();
            inside(from, &mut shown);
            assert_eq!(shown[..begin + kept], request[..begin + kept], "{field:x}");
            assert!(shown[begin + kept..].iter().all(|byte| *byte == 0), "{field:x}: {shown:x?}");
            // One that breaks off, and one that lies about a length.
            for cut in 0..request.len() {
                let mut shown = request[..cut].to_vec();
                inside(from, &mut shown);
                assert!(!contains(&shown, &token[kept..][..4]), "cut at {cut}");
                let mut wrong = request.clone();
                wrong[cut] ^= 0x42;
                inside(from, &mut wrong);
                assert!(!contains(&wrong, &token[kept..]), "changed at {cut}: {wrong:x?}");
            }
        }
    }
    let refusal = [0x30, 13, 0xa0, 3, 2, 1, 6, 0xa4, 6, 2, 4, 0xc0, 0, 0, 0x6d];
    let mut host = [&refusal[..], &[0, 0, 0, 5], &pdu(&[0x21, 0x80])].concat();
    let before = host.clone();
    inside(Peer::Host, &mut host);
    assert_eq!(host, before, "a status, a result and a goodbye are no secrets");
}

#[test]
fn of_a_direction_that_is_not_understood_nothing_is_shown_from_there_on() {
    let mut client = [&pdu(&[0x7f, 0x65, 0x82, 1, 2, 3])[..], &[3, 9, 0xff], b"s3cret password"].concat();
    inside(Peer::Client, &mut client);
    assert!(client.starts_with(&[3, 0, 0, 13]) && !contains(&client, b"s3"), "{client:x?}");
    let gateway = "RDG_OUT_DATA /remoteDesktopGateway/ HTTP/1.1\r\nAuthorization: Basic YWxpY2U6czNjcmV0\r\n\r\n";
    for text in ["s3cret password", "d and more", "\0\0\0\0", "0", gateway] {
        let mut typed = text.as_bytes().to_vec();
        inside(Peer::Client, &mut typed);
        assert!(typed.iter().all(|byte| *byte == 0), "{typed:x?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Inside too a byte is as it was, or not shown; and texts of any place are never shown whole.
    #[test]
    fn inside_any_bytes_keep_their_length_and_their_place(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        begin in 0usize..5,
        host: bool,
    ) {
        let begins = [&b""[..], &[3, 0, 0, 40, 2, 0xf0, 0x80, 0x64], &[0x30, 0x82, 1, 0], &[0x30, 40, 0xa0, 3, 2, 1, 6], &[0x44, 9]];
        let sent = [begins[begin], &bytes[..]].concat();
        let mut shown = sent.clone();
        inside(if host { Peer::Host } else { Peer::Client }, &mut shown);
        prop_assert_eq!(shown.len(), sent.len());
        prop_assert!(shown.iter().zip(&sent).all(|(shown, sent)| shown == sent || *shown == 0));
    }
}
