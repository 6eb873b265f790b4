//! What must hold for any bytes. One property per layer: the fuzz targets call these, and so do the tests that replay
//! their corpus. Not part of the interface.

use crate::Timestamp;
use crate::session::{Answer, CloseKind, Closer, Limits, Peer, Session};
use crate::stream::{ClientStream, Event, HostStream};
use crate::wire::tls::{ja3_text, ja3s};
use crate::wire::{
    Alert, CertificateChain, CipherSuite, ClientHello, ConnectionAnswer, ConnectionRequest, FastPath, Fingerprints,
    FirstBytes, HandshakeHeader, Outcome, Preconnection, RecordHeader, ServerHello, ServerKeyExchange, Sslv2Hello,
    Tpkt, pdu_kind,
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
    checked(bytes, Preconnection::parse(bytes)).map(|blob| blob.text());
    checked(bytes, ConnectionRequest::parse(bytes));
    checked(bytes, CertificateChain::parse(bytes)).map(|chain| chain.certificates().count());
    for suite in [0xc030, 0x009f, 0xc035, 0x002f] {
        checked(bytes, ServerKeyExchange::parse(bytes, CipherSuite(suite)));
    }
    if let Some(hello) = checked(bytes, ClientHello::parse(bytes)) {
        let _ = (ja3_text(&hello), Fingerprints::of(&hello), hello.server_name(), hello.offers_resumption());
        let listed = hello.suites().count() + hello.groups().count() + hello.signature_schemes().count();
        assert!(listed + hello.key_shares().count() + hello.alpn().count() <= bytes.len());
    }
    if let Some(hello) = checked(bytes, ServerHello::parse(bytes)) {
        let _ = (ja3s(&hello), hello.version().to_string(), hello.group(), hello.downgrade(), hello.chose_psk());
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

/// The tracker with both directions, closes and time in any order. Each step is a control byte (who, how many bytes or
/// which close), then its bytes.
pub fn session(mut input: &[u8]) {
    let mut session = Session::new(Timestamp(0), Limits::default());
    let mut now = 0;
    while let Some((control, rest)) = input.split_first() {
        now += 1_000_000;
        let peer = if control & 0x80 == 0 { Peer::Client } else { Peer::Host };
        let take = usize::from(control & 0x7f).min(rest.len());
        let (bytes, rest) = rest.split_at(take);
        input = rest;
        if control & 0x7f == 0 {
            let closer = if peer == Peer::Client { Closer::Client } else { Closer::Host };
            session.closed(closer, CloseKind::Fin, Timestamp(now));
        } else {
            session.data(peer, bytes, Timestamp(now));
        }
        assert!(session.buffered() <= 512 * 1024);
    }
    let _ = crate::session::Session::finish(session);
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
        fn any_course_of_events_ends_in_a_timeline(bytes in proptest::collection::vec(any_bytes(), 0..6)) {
            let steps = bytes.iter().flat_map(|b| b.chunks(100)).enumerate().flat_map(|(i, chunk)| {
                let control = chunk.len() as u8 | if i % 2 == 0 { 0 } else { 0x80 };
                [vec![control], chunk.to_vec()].concat()
            });
            session(&steps.collect::<Vec<u8>>());
        }
    }
}
