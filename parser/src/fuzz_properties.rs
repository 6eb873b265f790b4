//! What must hold for any bytes. One property per layer: the fuzz targets call these, and so do the tests that replay
//! their corpus. Not part of the interface.

use crate::Timestamp;
use crate::diagnosis::Verdict;
use crate::session::{Answer, CloseKind, Closer, Limits, Peer, Session, Timeline};
use crate::stream::{ClientStream, Event, HostStream, PlainStream};
use crate::wire::tls::{ja3_text, ja3s};
use crate::wire::{
    Alert, CertificateChain, CipherSuite, ClientData, ClientHello, ClientInfo, ConnectionAnswer, ConnectionRequest,
    FastPath, Fingerprints, FirstBytes, HandshakeHeader, HelloShape, Licence, NtlmChallenge, Outcome, Preconnection,
    RecordHeader, ServerData, ServerHello, ServerKeyExchange, Sslv2Hello, Tpkt, TsRequest, pdu_kind,
};

/// A ClientHello bound for these properties, small enough to be met by short inputs.
const HELLO_BOUND: usize = 4096;

/// Every reader of a message: no panic, no more consumed than there is, "need more" asks for something, and a value that
/// was read from a part stays the value of the whole.
pub fn wire(bytes: &[u8]) {
    stable(bytes, FirstBytes::of);
    stable(bytes, Tpkt::parse);
    stable(bytes, FastPath::parse);
    stable(bytes, RecordHeader::parse);
    stable(bytes, HandshakeHeader::parse);
    stable(bytes, Alert::parse);
    stable(bytes, ConnectionAnswer::parse);
    let _ = pdu_kind(bytes);
    if let Ok(client) = ClientData::parse(bytes) {
        assert!(client.name.chars().count() <= 16);
    }
    let _ = (ServerData::parse(bytes), ClientInfo::parse(bytes), Licence::parse(bytes), NtlmChallenge::parse(bytes));
    checked(bytes, TsRequest::parse(bytes));
    checked(bytes, Preconnection::parse(bytes)).map(|blob| blob.text());
    checked(bytes, ConnectionRequest::parse(bytes));
    checked(bytes, CertificateChain::parse(bytes)).map(|chain| chain.certificates().count());
    for suite in [0xc030, 0x009f, 0xc035, 0x002f] {
        checked(bytes, ServerKeyExchange::parse(bytes, CipherSuite(suite)));
    }
    if let Some(hello) = checked(bytes, ClientHello::parse(bytes)) {
        let _ = (
            ja3_text(&HelloShape::of(&hello)),
            Fingerprints::of(&HelloShape::of(&hello)),
            hello.server_name(),
            hello.offers_resumption(),
        );
        let listed = hello.suites().count() + hello.groups().count() + hello.signature_schemes().count();
        assert!(listed + hello.key_shares().count() + hello.alpn().count() <= bytes.len());
    }
    if let Some(hello) = checked(bytes, ServerHello::parse(bytes)) {
        let kinds: Vec<u16> = hello.extensions().map(|(kind, _)| kind.0).collect();
        let _ = ja3s(hello.legacy_version, hello.suite, &kinds);
        let _ = (hello.version().to_string(), hello.group(), hello.downgrade(), hello.chose_psk());
    }
    if let Some(hello) = checked(bytes, Sslv2Hello::parse(bytes)) {
        assert!(3 * (hello.suites().count() + hello.sslv2_ciphers().count()) <= bytes.len());
    }
}

fn checked<T>(bytes: &[u8], outcome: Outcome<T>) -> Option<T> {
    match &outcome {
        Outcome::Value { consumed, .. } => assert!(*consumed <= bytes.len()),
        Outcome::NeedMore { at_least } => assert!(*at_least > 0),
        Outcome::Malformed(malformed) => assert!(malformed.offset <= bytes.len()),
    }
    outcome.value()
}

fn stable<T: PartialEq + core::fmt::Debug>(bytes: &[u8], parse: impl Fn(&[u8]) -> Outcome<T>) {
    let whole = parse(bytes);
    for cut in 0..bytes.len().min(600) {
        match parse(&bytes[..cut]) {
            Outcome::NeedMore { at_least } => assert!(at_least > 0),
            decided => assert_eq!(decided, whole, "after {cut} bytes"),
        }
    }
    checked(bytes, whole);
}

/// Both directions: any chunking gives the same events, memory stays within the bounds, and every byte is taken. The
/// first byte of the input chooses the chunking.
pub fn stream(input: &[u8]) {
    let Some((seed, bytes)) = input.split_first() else { return };
    let whole = [bytes.len().max(1)];
    let sizes = [usize::from(seed & 0x0f) + 1, usize::from(seed >> 4) + 1];
    let client = |sizes: &[usize]| {
        let mut stream = ClientStream::new(HELLO_BOUND);
        chunked(bytes, sizes, |piece| {
            let event = stream.next(piece, Timestamp(1));
            assert!(stream.buffered() <= 2 * HELLO_BOUND.max(64 * 1024));
            event
        })
    };
    assert_eq!(client(&sizes), client(&whole));
    let host = |sizes: &[usize], tls: bool| {
        let mut stream = HostStream::new();
        if tls {
            stream.expect_tls();
        }
        chunked(bytes, sizes, |piece| {
            let event = stream.next(piece, Timestamp(1));
            assert!(stream.buffered() <= 128 * 1024);
            event
        })
    };
    assert_eq!(host(&sizes, false), host(&whole, false));
    assert_eq!(host(&sizes, true), host(&whole, true));
}

fn chunked(mut bytes: &[u8], sizes: &[usize], mut next: impl FnMut(&mut &[u8]) -> Option<Event>) -> Vec<Event> {
    let mut events = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (mut piece, rest) = bytes.split_at((*size).min(bytes.len()));
        bytes = rest;
        while let Some(event) = next(&mut piece) {
            events.push(without_chunking(event));
        }
        assert!(piece.is_empty(), "every byte is taken");
    }
    events
}

/// How many of the first bytes an event shows depends on how many had come; all else does not.
fn without_chunking(event: Event) -> Event {
    match event {
        Event::NotTls(_) => Event::NotTls([0; 16]),
        Event::Answer(Answer::NotRdp(_)) => Event::Answer(Answer::NotRdp(Vec::new())),
        other => other,
    }
}

/// The tracker with both directions, closes and time in any order: any chunking gives the same timeline. Each step is a
/// control byte (who, how many bytes or which close), then its bytes.
pub fn session(input: &[u8]) {
    let shown = |size: usize| {
        let mut session = Session::new(Timestamp(0), Limits::default());
        let data = |session: &mut Session, from, bytes: &[u8], at| {
            bytes.chunks(size).for_each(|piece| session.data(from, piece, at));
            assert!(session.buffered() <= 512 * 1024);
        };
        steps(&mut session, input, data);
        seen(session)
    };
    assert_eq!(shown(usize::MAX), shown(1));
}

/// Decrypted bytes of a bridged session, of either side: any chunking gives the same events, little is held, and a whole
/// session of them ends in the same verdict. The first byte chooses the chunking, the rest are steps as for [`session`].
pub fn plain(input: &[u8]) {
    let Some((seed, bytes)) = input.split_first() else { return };
    let sizes = [usize::from(seed & 0x0f) + 1, usize::from(seed >> 4) + 1];
    for from in [Peer::Client, Peer::Host] {
        let events = |sizes: &[usize]| {
            let mut stream = PlainStream::new(from);
            chunked(bytes, sizes, |piece| {
                let event = stream.next(piece);
                assert!(stream.buffered() <= 8 * 1024);
                event
            })
        };
        assert_eq!(events(&sizes), events(&[bytes.len().max(1)]));
    }
    let shown = |size: usize| {
        let mut session = Session::new(Timestamp(0), Limits::default());
        session.data(Peer::Client, b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x0b\0\0\0", Timestamp(1));
        session.data(Peer::Host, b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\x01\x08\0\x08\0\0\0", Timestamp(2));
        session.plain_from(Timestamp(3));
        let data = |session: &mut Session, from, bytes: &[u8], at| {
            bytes.chunks(size).for_each(|piece| session.plain(from, piece, at));
            assert!(session.buffered() <= 16 * 1024);
        };
        steps(&mut session, bytes, data);
        seen(session)
    };
    assert_eq!(shown(usize::MAX), shown(sizes[0]));
}

/// Shows a session every step, a millisecond apart.
fn steps(session: &mut Session, input: &[u8], data: impl Fn(&mut Session, Peer, &[u8], Timestamp)) {
    for (n, step) in Steps(input).enumerate() {
        let at = Timestamp((n as u64 + 1) * 1_000_000);
        match step {
            (peer, []) => {
                let closer = if peer == Peer::Client { Closer::Client } else { Closer::Host };
                session.closed(closer, CloseKind::Fin, at);
            }
            (peer, bytes) => data(session, peer, bytes, at),
        }
    }
}

/// What came of a session.
fn seen(session: Session) -> (Timeline, Verdict) {
    let timeline = session.finish();
    let verdict = crate::diagnosis::diagnose(&timeline);
    (timeline, verdict)
}

/// A control byte (who, and how many bytes; none is a close), then the bytes.
struct Steps<'a>(&'a [u8]);

impl<'a> Iterator for Steps<'a> {
    type Item = (Peer, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (control, rest) = self.0.split_first()?;
        let peer = if control & 0x80 == 0 { Peer::Client } else { Peer::Host };
        let (bytes, rest) = rest.split_at(usize::from(control & 0x7f).min(rest.len()));
        self.0 = rest;
        Some((peer, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
    }

    /// Beginnings of openings, so that random bytes get past the first decision.
    fn beginnings() -> impl Strategy<Value = Vec<u8>> {
        let request = hex("0300002b26e00000000000436f6f6b69653a206d737473686173683d616c6963650d0a0100080001000000");
        let hello = hex(include_str!("../testdata/hellos/xfreerdp-2.11.7.hex"));
        let confirm = hex("030000130ed000001234000201080001000000");
        let handshake = hello[5..].to_vec();
        let alert = vec![21, 3, 3, 0, 2, 2, 40];
        let blob = vec![16, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0];
        let server_hello = vec![22, 3, 3, 0, 48, 2, 0, 0, 44, 3, 3];
        let sslv2 = vec![0x80, 36, 1, 3, 1, 0, 9, 0, 0, 0, 16];
        let pieces = vec![request, hello, confirm, handshake, alert, blob, server_hello, sslv2, vec![3, 0], vec![]];
        proptest::collection::vec(proptest::sample::select(pieces), 0..4).prop_map(|parts| parts.concat())
    }

    /// Beginnings of messages inside of TLS, with something changed.
    fn any_plaintext() -> impl Strategy<Value = Vec<u8>> {
        let pieces = vec![
            crate::wire::ts_request(&crate::wire::ntlm_negotiate()),
            hex("300da003020106a40602 04c000006d"),
            hex("05000000"),
            hex("0300000c02f0800401000100"),
            hex("0300000b02f0802e000007"),
            hex("0300002202f08068000703eb701480001000ff0210000700000002000000280000000000"),
            hex("0300002502f08068000703eb701616001700f003ea030100000108002f00000007000000"),
            hex("0300002402f08068000703eb70161a001700f003ea0301000001080026000000030000001e0002000000"),
            hex("0300001002f080040a0100020100447563610a01c006"),
            hex("0300000902f0802180"),
            hex("04800400"),
            Vec::new(),
        ];
        let piece = proptest::sample::select(pieces);
        (piece, proptest::collection::vec(any::<u8>(), 0..60), any::<u16>(), any::<u8>()).prop_map(
            |(mut bytes, noise, place, byte)| {
                if !bytes.is_empty() && byte & 1 == 0 {
                    let at = usize::from(place) % bytes.len();
                    bytes[at] = byte;
                }
                if byte & 2 == 0 {
                    bytes.extend(noise);
                }
                bytes
            },
        )
    }

    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        (beginnings(), proptest::collection::vec(any::<u8>(), 0..200), any::<u16>(), any::<u8>()).prop_map(
            |(mut bytes, noise, place, byte)| {
                if !bytes.is_empty() && byte & 1 == 0 {
                    let at = usize::from(place) % bytes.len();
                    bytes[at] = byte;
                }
                bytes.extend(noise);
                bytes
            },
        )
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in any_bytes()) {
            wire(&bytes);
        }

        #[test]
        fn any_chunking_gives_the_same_events(seed: u8, bytes in any_bytes()) {
            stream(&[vec![seed], bytes].concat());
        }

        #[test]
        fn any_plaintext_ends_in_a_verdict(seed: u8, bytes in proptest::collection::vec(any_plaintext(), 0..6)) {
            let steps = bytes.iter().flat_map(|b| b.chunks(100)).enumerate().flat_map(|(i, chunk)| {
                let control = chunk.len() as u8 | if i % 3 == 0 { 0 } else { 0x80 };
                [vec![control], chunk.to_vec()].concat()
            });
            plain(&core::iter::once(seed).chain(steps).collect::<Vec<u8>>());
            plain(&[vec![seed], bytes.concat()].concat());
        }

        #[test]
        fn any_course_of_events_ends_in_a_timeline(bytes in proptest::collection::vec(any_bytes(), 0..6)) {
            let steps = bytes.iter().flat_map(|b| b.chunks(100)).enumerate().flat_map(|(i, chunk)| {
                let control = chunk.len() as u8 | if i % 2 == 0 { 0 } else { 0x80 };
                [vec![control], chunk.to_vec()].concat()
            });
            session(&steps.collect::<Vec<u8>>());
        }
    }
}
