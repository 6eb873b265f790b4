//! What is counted. Names are those of `recorded.txt`.

use parser::Timestamp;
use parser::diagnosis::diagnose;
use parser::session::{CloseKind, Closer, Limits, Peer, Session};
use parser::wire::{ClientHello, Fingerprints, HelloShape};
use std::hint::black_box;

#[path = "../../../parser/tests/support/hello.rs"]
mod hello;
#[path = "../../../parser/tests/support/mod.rs"]
mod support;

use support::{CONTENT_DATA, Happening, Settled, opening, scripts, sealed};

type Run = fn(u64);

/// Name and work, which is done so many times.
pub(crate) const ALL: &[(&str, Run)] = &[
    ("every field of a 517-byte ClientHello", |rounds| every_field(517, rounds)),
    ("every field of a 1,700-byte ClientHello", |rounds| every_field(1_700, rounds)),
    ("shape of a ClientHello", shape),
    ("JA3 and JA4 of a shape", fingerprints),
    ("whole opening, TLS 1.3 without NLA", |rounds| whole_opening("xrdp-tls", Settled::TLS13, rounds)),
    ("whole opening, TLS 1.2 with NLA", |rounds| whole_opening("mstsc-kerberos", Settled::GCM, rounds)),
    ("one record while watching", |rounds| records("licence-failure", rounds)),
    ("one record of the tail", |rounds| records("xrdp-tls", rounds)),
    ("verdict on a session that ended well", verdict),
];

fn every_field(size: usize, rounds: u64) {
    let record = hello::record(size);
    for _ in 0..rounds {
        black_box(hello::every_field(black_box(&record)));
    }
}

fn shape(rounds: u64) {
    let record = hello::record(517);
    let hello = ClientHello::parse(&record[5..]).value();
    for _ in 0..rounds {
        black_box(hello.as_ref().map(|hello| HelloShape::of(black_box(hello))));
    }
}

fn fingerprints(rounds: u64) {
    let record = hello::record(517);
    let shape = ClientHello::parse(&record[5..]).value().map(|hello| HelloShape::of(&hello)).unwrap_or_default();
    for _ in 0..rounds {
        black_box(Fingerprints::of(black_box(&shape)));
    }
}

fn chunks(name: &str, settled: Settled) -> Vec<(Peer, Vec<u8>)> {
    let script = scripts::all().into_iter().find(|script| script.name == name).expect("a script of that name");
    let opening = opening(script.selected, settled).into_iter().filter_map(|happening| match happening {
        Happening::Bytes(from, bytes) => Some((from, bytes)),
        Happening::Close(..) => None,
    });
    opening.chain(script.steps.iter().filter_map(|step| Some((step.from, step.bytes(settled)?)))).collect()
}

fn show(session: &mut Session, chunks: &[(Peer, Vec<u8>)]) {
    for (at, (from, bytes)) in (1..).zip(chunks) {
        session.data(*from, black_box(bytes), Timestamp(at * 1_000_000));
    }
}

fn whole_opening(name: &str, settled: Settled, rounds: u64) {
    let chunks = chunks(name, settled);
    for _ in 0..rounds {
        let mut session = Session::new(Timestamp(0), Limits::default());
        show(&mut session, &chunks);
        black_box(session);
    }
}

/// Records of a client that no rule fits. A session is watched for a thousand of them at most.
fn records(name: &str, rounds: u64) {
    let mut begun = Session::new(Timestamp(0), Limits::default());
    show(&mut begun, &chunks(name, Settled::TLS13));
    let record = sealed(CONTENT_DATA, 40);
    for _ in 0..rounds / 100 {
        let mut session = begun.clone();
        for _ in 0..100 {
            session.data(Peer::Client, black_box(&record), Timestamp(9_000_000_000));
        }
        black_box(session);
    }
}

fn verdict(rounds: u64) {
    let mut session = Session::new(Timestamp(0), Limits::default());
    show(&mut session, &chunks("xrdp-tls", Settled::TLS13));
    session.closed(Closer::Client, CloseKind::Fin, Timestamp(9_000_000_000));
    let timeline = session.finish();
    for _ in 0..rounds {
        black_box(diagnose(black_box(&timeline)));
    }
}
