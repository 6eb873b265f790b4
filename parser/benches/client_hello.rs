//! Cost of reading a ClientHello: every field of it, borrowed; tls-parser with extensions on the same bytes beside it;
//! owned facts and fingerprints apart. `cargo bench -p parser --bench client_hello`

use divan::{Bencher, black_box};
use parser::Timestamp;
use parser::session::ClientHelloFacts;
use parser::wire::{ClientHello, Fingerprints, HelloShape, TlsVersion};
use tls_parser::{TlsMessage, TlsMessageHandshake};

fn main() {
    divan::main();
}

/// Length of the record to build: a browser-sized hello, and one with a post-quantum key share.
const SIZES: [usize; 2] = [517, 1_700];

#[path = "../tests/support/hello.rs"]
mod hello;

use hello::{every_field, record};

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
