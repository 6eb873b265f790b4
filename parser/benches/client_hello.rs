//! Cost of reading a ClientHello: every field of it, borrowed; tls-parser with extensions on the same bytes beside it;
//! owned facts and fingerprints apart. `cargo bench -p parser --bench client_hello`

use divan::{Bencher, black_box};
use parser::Timestamp;
use parser::session::ClientHelloFacts;
use parser::wire::{ClientHello, Fingerprints, HelloShape, RecordHeader, TlsVersion};
use tls_parser::{TlsMessage, TlsMessageHandshake};

fn main() {
    divan::main();
}

/// Length of the record to build: a browser-sized hello, and one with a post-quantum key share.
const SIZES: [usize; 2] = [517, 1_700];

/// The suites, groups and schemes of xfreerdp's hello, extended to `size` bytes of record: by padding (RFC 7685), and
/// above 1,400 bytes by an X25519MLKEM768 key share of 1,216 bytes too.
fn record(size: usize) -> Vec<u8> {
    let text = include_str!("../testdata/hellos/xfreerdp-2.11.7.hex");
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let original: Vec<u8> = digits
        .chunks(2)
        .map(|d| u8::from_str_radix(std::str::from_utf8(d).expect("ascii"), 16).expect("hex"))
        .collect();
    let hello = ClientHello::parse(&original[5..]).value().expect("a hello");
    let mut extensions = Vec::new();
    for (kind, data) in hello.extensions().filter(|(kind, _)| kind.0 != 21) {
        if kind.0 == 51 && size > 1_400 {
            let mut shares = vec![0x11, 0xec];
            shares.extend(1_216u16.to_be_bytes());
            shares.resize(shares.len() + 1_216, 7);
            shares.extend(&data[2..]);
            let list = (shares.len() as u16).to_be_bytes();
            extension(&mut extensions, kind.0, &[&list[..], &shares].concat());
        } else {
            extension(&mut extensions, kind.0, data);
        }
    }
    let fixed = 5 + 4 + 2 + 32 + 1 + hello.session_id.len() + 2 + 2 * hello.suites().count() + 2 + 2;
    let padding = size - fixed - extensions.len() - 4;
    extension(&mut extensions, 21, &vec![0; padding]);

    let mut body = hello.legacy_version.0.to_be_bytes().to_vec();
    body.extend(hello.random);
    body.push(hello.session_id.len() as u8);
    body.extend(hello.session_id);
    body.extend((2 * hello.suites().count() as u16).to_be_bytes());
    hello.suites().for_each(|suite| body.extend(suite.0.to_be_bytes()));
    body.extend([1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut record = vec![22, 3, 1];
    record.extend((body.len() as u16 + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    assert_eq!(record.len(), size);
    record
}

fn extension(block: &mut Vec<u8>, kind: u16, data: &[u8]) {
    block.extend(kind.to_be_bytes());
    block.extend((data.len() as u16).to_be_bytes());
    block.extend(data);
}

/// Reads the record and touches every field.
fn every_field(record: &[u8]) -> usize {
    let header = RecordHeader::parse(record).value().expect("a record");
    let hello = ClientHello::parse(&record[5..]).value().expect("a hello");
    let lists = hello.suites().map(|s| usize::from(s.0)).sum::<usize>()
        + hello.groups().map(|g| usize::from(g.0)).sum::<usize>()
        + hello.signature_schemes().map(|s| usize::from(s.0)).sum::<usize>()
        + hello.supported_versions().map(|v| usize::from(v.0)).sum::<usize>()
        + hello.key_shares().map(|(g, n)| usize::from(g.0) + usize::from(n)).sum::<usize>();
    lists
        + usize::from(header.length)
        + hello.server_name().map_or(0, <[u8]>::len)
        + hello.alpn().count()
        + usize::from(hello.offers_resumption())
}

#[divan::bench(args = SIZES)]
fn borrowed_in_one_pass(bencher: Bencher, size: usize) {
    let record = record(size);
    bencher.bench_local(|| ClientHello::parse(black_box(&record[5..])));
}

#[divan::bench(args = SIZES)]
fn every_field_touched(bencher: Bencher, size: usize) {
    let record = record(size);
    bencher.bench_local(|| every_field(black_box(&record)));
}

#[divan::bench(args = SIZES)]
fn tls_parser_with_extensions(bencher: Bencher, size: usize) {
    let record = record(size);
    bencher.bench_local(|| {
        let (_, plaintext) = tls_parser::parse_tls_plaintext(black_box(&record)).expect("read");
        let [TlsMessage::Handshake(TlsMessageHandshake::ClientHello(hello))] = &plaintext.msg[..] else {
            panic!("one hello")
        };
        let (_, extensions) =
            tls_parser::parse_tls_client_hello_extensions(hello.ext.expect("extensions")).expect("read");
        extensions.len() + hello.ciphers.len()
    });
}

#[divan::bench(args = SIZES)]
fn owned_facts(bencher: Bencher, size: usize) {
    let record = record(size);
    let hello = ClientHello::parse(&record[5..]).value().expect("a hello");
    bencher.bench_local(|| ClientHelloFacts::from_hello(black_box(&hello), Timestamp(0), TlsVersion::TLS10, 1));
}

#[divan::bench(args = SIZES)]
fn fingerprints_alone(bencher: Bencher, size: usize) {
    let record = record(size);
    let hello = ClientHello::parse(&record[5..]).value().expect("a hello");
    let shape = HelloShape::of(&hello);
    bencher.bench_local(|| Fingerprints::of(black_box(&shape)));
}
