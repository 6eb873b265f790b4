//! What reads without memory of its own: wire messages, and records once the opening is over.
//!
//! One test, as the allocator that counts is one for the whole process.

use parser::Timestamp;
use parser::session::{Limits, Peer, Session, Watch};
use parser::wire::{ClientHello, RecordHeader, ServerHello};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::hint::black_box;

#[path = "support/hello.rs"]
mod hello;
mod support;

use support::{CONTENT_DATA, Happening, Settled, opening, scripts, sealed};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations that `work` makes.
fn allocations(work: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    change.allocations + change.reallocations
}

fn shown(name: &str, settled: Settled) -> Session {
    let script = scripts::all().into_iter().find(|script| script.name == name).expect("a script of that name");
    let mut session = Session::new(Timestamp(0), Limits::default());
    let mut at = 0;
    let mut show = |session: &mut Session, from, bytes: &[u8]| {
        at += 1_000_000;
        session.data(from, bytes, Timestamp(at));
    };
    for happening in opening(script.selected, settled) {
        if let Happening::Bytes(from, bytes) = happening {
            show(&mut session, from, &bytes);
        }
    }
    for step in &script.steps {
        if let Some(bytes) = step.bytes(settled) {
            show(&mut session, step.from, &bytes);
        }
    }
    session
}

#[test]
fn messages_and_records_are_read_without_memory() {
    for size in [517, 1_700] {
        let record = hello::record(size);
        assert_eq!(allocations(|| _ = black_box(hello::every_field(black_box(&record)))), 0, "hello of {size} bytes");
    }
    let server = support::server_hello(Settled::TLS13, [9; 32], &[5; 32]);
    let read = || {
        let header = RecordHeader::parse(black_box(&server)).value().expect("a record");
        let hello = ServerHello::parse(&server[5..]).value().expect("a hello");
        black_box((header, hello.version(), hello.group(), hello.downgrade(), hello.extensions().count()));
        assert!(ClientHello::parse(&server[5..]).value().is_none());
    };
    assert_eq!(allocations(read), 0, "ServerHello");

    // Followed, before Demand Active: the rules find nothing in these.
    let mut watched = shown("licence-failure", Settled::TLS13);
    let small = sealed(CONTENT_DATA, 40).repeat(200);
    assert_eq!(allocations(|| watched.data(Peer::Client, black_box(&small), Timestamp(9_000_000_000))), 0);
    assert_eq!(watched.watch(), Watch::Records);

    // Let go, and cut anywhere.
    let mut active = shown("xrdp-tls", Settled::TLS13);
    assert_eq!(active.watch(), Watch::Tail);
    let frames = sealed(CONTENT_DATA, 4_096).repeat(8);
    let work = || {
        for chunk in frames.chunks(1_448) {
            active.data(Peer::Host, black_box(chunk), Timestamp(9_000_000_000));
        }
        active.passed_unseen(Peer::Host, 100_000, Timestamp(9_000_000_000));
        active.data(Peer::Host, black_box(&frames), Timestamp(9_000_000_000));
    };
    assert_eq!(allocations(work), 0, "the tail");
}
