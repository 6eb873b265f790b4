//! The tracker's cost: a whole opening, and one record of a session being watched or let go.

use divan::{Bencher, black_box, counter::ItemsCount};
use parser::Timestamp;
use parser::session::{Limits, Peer, Session, Watch};

#[path = "../tests/support/mod.rs"]
mod support;

use support::{CONTENT_DATA, Happening, Settled, fresh, opening, scripts, sealed};

fn main() {
    divan::main();
}

fn chunks(name: &str, settled: Settled) -> Vec<(Peer, Vec<u8>)> {
    let script = scripts::all().into_iter().find(|script| script.name == name).expect("a script of that name");
    let opening = opening(script.selected, settled).into_iter().filter_map(|happening| match happening {
        Happening::Bytes(from, bytes) => Some((from, bytes)),
        Happening::Close(..) => None,
    });
    let steps = script.steps.iter().filter_map(|step| Some((step.from, step.bytes(settled)?)));
    opening.chain(steps).collect()
}

fn show(session: &mut Session, chunks: &[(Peer, Vec<u8>)]) {
    for (n, (from, bytes)) in chunks.iter().enumerate() {
        session.data(*from, black_box(bytes), Timestamp(n as u64));
    }
}

/// From the Connection Request to the active session with NLA, a record a read.
#[divan::bench(args = ["xrdp-tls", "mstsc-kerberos"])]
fn whole_opening(bencher: Bencher, name: &str) {
    let chunks = chunks(name, Settled::GCM);
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| {
        let mut session = Session::new(Timestamp(0), Limits::default());
        show(&mut session, &chunks);
        assert_eq!(session.watch(), Watch::Tail);
        session
    });
}

const RECORDS: usize = 400;

/// A session that stands before Demand Active: records are followed, no rule fits them.
#[divan::bench(args = [true, false])]
fn record_while_watching(bencher: Bencher, small: bool) {
    let opening = chunks("licence-failure", Settled::TLS13);
    let chunk = sealed(CONTENT_DATA, if small { 40 } else { 140 }).repeat(RECORDS);
    bencher
        .counter(ItemsCount::new(RECORDS))
        .with_inputs(|| {
            let mut session = fresh();
            show(&mut session, &opening);
            session
        })
        .bench_local_values(|mut session| {
            session.data(Peer::Client, black_box(&chunk), Timestamp(9));
            assert_eq!(session.watch(), Watch::Records);
            session
        });
}

/// A session that was let go: records feed the tail only.
#[divan::bench]
fn record_of_the_tail(bencher: Bencher) {
    let opening = chunks("xrdp-tls", Settled::TLS13);
    let chunk = sealed(CONTENT_DATA, 140).repeat(RECORDS);
    let mut session = fresh();
    show(&mut session, &opening);
    assert_eq!(session.watch(), Watch::Tail);
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| session.data(Peer::Host, black_box(&chunk), Timestamp(9)));
}
