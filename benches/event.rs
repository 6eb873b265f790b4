//! What the end of a session costs beside its bytes: the verdict, and the line that is written of it.
//! `cargo bench --bench event`

use divan::{Bencher, black_box};
use parser::Timestamp;
use parser::diagnosis::diagnose;
use parser::session::{CloseKind, Closer, Limits, Peer, Session, TcpFacts, Timeline, UpstreamEvent};
use rdpscope::record::{Action, Attempt, Event, Names, SessionIdentity, SessionRecord, Told};
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

#[path = "../parser/tests/support/mod.rs"]
mod support;

use support::{Happening, Settled, opening, scripts};

fn main() {
    divan::main();
}

/// A session that became active and ended well, or one whose host refused the hello.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Healthy,
    Refused,
}

const KINDS: [Kind; 2] = [Kind::Healthy, Kind::Refused];

fn timeline(kind: Kind) -> Timeline {
    let host = SocketAddr::from(([10, 0, 0, 7], 3389));
    let at = |ms: u64| Timestamp(1_772_349_129_123_456_000 + ms * 1_000_000);
    let mut session = Session::new(at(0), Limits::default());
    session.upstream(UpstreamEvent::Connecting(host), at(0));
    session.upstream(UpstreamEvent::Connected(host), at(1));
    let script = scripts::all().into_iter().find(|script| script.name == "xrdp-tls").expect("a script of that name");
    let opening = opening(script.selected, Settled::TLS13).into_iter().filter_map(|happening| match happening {
        Happening::Bytes(from, bytes) => Some((from, bytes)),
        Happening::Close(..) => None,
    });
    let steps = script.steps.iter().filter_map(|step| Some((step.from, step.bytes(Settled::TLS13)?)));
    let chunks: Vec<_> = opening.chain(steps).collect();
    let shown = match kind {
        Kind::Healthy => chunks.len(),
        Kind::Refused => 3,
    };
    let mut now = 2;
    for (from, bytes) in &chunks[..shown] {
        session.data(*from, bytes, at(now));
        now += 1;
    }
    let (by, peer) = match kind {
        Kind::Healthy => (Closer::Client, Peer::Client),
        Kind::Refused => (Closer::Host, Peer::Host),
    };
    if matches!(kind, Kind::Refused) {
        session.data(peer, &[21, 3, 1, 0, 2, 2, 70], at(now));
    }
    session.closed(by, CloseKind::Fin, at(now + 1));
    let leg = TcpFacts { rtt_us: 640, mss: 1448, ..TcpFacts::default() };
    session.socket_facts(Peer::Client, leg);
    session.socket_facts(Peer::Host, leg);
    session.finish()
}

fn record(kind: Kind) -> SessionRecord {
    let timeline = timeline(kind);
    let identity = SessionIdentity {
        id: Uuid::now_v7(),
        listener: Arc::from("rds-farm"),
        upstream: Arc::from("rds07.example.net:3389"),
        client: SocketAddr::from(([10, 1, 2, 3], 51234)),
        local: SocketAddr::from(([10, 9, 9, 9], 3389)),
        accepted: timeline.opened,
    };
    let (verdict, ended) = (diagnose(&timeline), timeline.last_event());
    SessionRecord { identity: Arc::new(identity), timeline, verdict, ended, capture: None }
}

#[divan::bench(args = KINDS)]
fn verdict(bencher: Bencher, kind: Kind) {
    let timeline = timeline(kind);
    bencher.bench_local(|| diagnose(black_box(&timeline)));
}

#[divan::bench(args = KINDS)]
fn line(bencher: Bencher, kind: Kind) {
    let record = record(kind);
    let names = Names::new(config::UserNames::Hash, None).expect("a key");
    let attempt = Attempt { id: record.identity.id, number: 1, previous_session: None };
    let told = Told { attempt: Some(attempt), is_final: true, profile: None };
    bencher.bench_local(|| Event::ended(Action::SessionEnd, black_box(&record), record.ended, &names, &told).line());
}
