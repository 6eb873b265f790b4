//! A session that rests and wakes is the session that it was, to the last private field, and goes on as if it had not.

mod support;

use parser::Timestamp;
use parser::diagnosis::diagnose;
use parser::session::{CloseKind, Closer, Peer, Session, Watch};
use proptest::prelude::*;
use support::{CONTENT_ALERT, CONTENT_DATA, CONTENT_HANDSHAKE, Settled, fresh, opening, play, scripts, sealed};

/// A session as it is when its script is over.
fn played(name: &str, settled: Settled) -> Session {
    let script = scripts::all().into_iter().find(|script| script.name == name).expect("a script of that name");
    let (mut session, mut clock) = (fresh(), 1_795_000_000_000_000_000);
    play(&mut session, &mut clock, &opening(script.selected, settled));
    for step in &script.steps {
        clock += 1_234_567;
        session.data(step.from, &step.bytes(settled).unwrap_or_default(), Timestamp(clock));
    }
    session
}

/// Rests and wakes when it can; whether it could.
fn nap(session: Session) -> (Session, Option<usize>) {
    match Box::new(session).rest() {
        Ok(resting) => {
            let held = resting.held();
            (*resting.wake(), Some(held))
        }
        Err(awake) => (*awake, None),
    }
}

#[test]
fn what_wakes_is_what_went_to_rest() {
    let (mut rested, mut largest) = (0, 0);
    for script in scripts::all() {
        for settled in Settled::EXACT.into_iter().chain(Settled::BLOCKS) {
            let session = played(&script.name, settled);
            let watch = session.watch();
            let before = format!("{session:?}");
            let (after, held) = nap(session);
            assert_eq!(format!("{after:?}"), before, "{} {settled:?}", script.name);
            assert!(held.is_none() || watch == Watch::Tail, "only what was let go rests");
            rested += usize::from(held.is_some());
            largest = largest.max(held.unwrap_or(0));
        }
    }
    println!("{rested} sessions rested, in {largest} bytes at the most");
    assert!(rested > 40 && largest <= 384, "{rested} rested, in {largest} bytes at the most");
}

#[test]
fn a_session_that_is_up_rests() {
    let (session, held) = nap(played("xrdp-tls", Settled::TLS13));
    println!("a session over TLS 1.3 to xrdp rests in {held:?} bytes");
    assert!(held.is_some_and(|held| held <= 352));
    assert!(session.timeline().reached_active());
}

#[test]
fn one_that_has_an_end_does_not() {
    let mut session = played("xrdp-tls", Settled::TLS13);
    session.closed(Closer::Host, CloseKind::Fin, Timestamp(u64::MAX));
    assert_eq!(nap(session).1, None);
}

/// What may happen to a session that is up.
#[derive(Clone, Copy, Debug)]
enum Then {
    Record(Peer, u8, u16),
    Half(Peer, u16),
    Unseen(Peer, u32),
    Closed(Peer, bool),
}

fn then() -> impl Strategy<Value = Then> {
    let peer = || prop_oneof![Just(Peer::Client), Just(Peer::Host)];
    let kind = prop_oneof![Just(CONTENT_DATA), Just(CONTENT_ALERT), Just(CONTENT_HANDSHAKE), Just(3)];
    prop_oneof![
        6 => (peer(), kind, 1..400_u16).prop_map(|(from, kind, length)| Then::Record(from, kind, length)),
        2 => (peer(), 1..300_u16).prop_map(|(from, length)| Then::Half(from, length)),
        1 => (peer(), 1..5_000_u32).prop_map(|(from, count)| Then::Unseen(from, count)),
        1 => (peer(), any::<bool>()).prop_map(|(by, reset)| Then::Closed(by, reset)),
    ]
}

fn happens(session: &mut Session, then: Then, at: Timestamp) {
    match then {
        Then::Record(from, kind, length) => session.data(from, &sealed(kind, length), at),
        Then::Half(from, length) => {
            let record = sealed(CONTENT_DATA, length);
            session.data(from, &record[..record.len() / 2], at);
        }
        Then::Unseen(from, count) => session.passed_unseen(from, u64::from(count), at),
        Then::Closed(by, reset) => {
            let by = if by == Peer::Client { Closer::Client } else { Closer::Host };
            session.closed(by, if reset { CloseKind::Rst } else { CloseKind::Fin }, at);
        }
    }
}

proptest! {
    #[test]
    fn it_goes_on_as_if_it_had_not_rested(
        script in 0..scripts::all().len(), settled in 0..Settled::EXACT.len(),
        events in proptest::collection::vec((then(), 0..u64::from(u32::MAX) * 1000), 0..12),
    ) {
        let (name, settled) = (scripts::all().swap_remove(script).name, Settled::EXACT[settled]);
        let mut awake = played(&name, settled);
        let mut resting = awake.clone();
        let mut at = awake.timeline().last_event();
        for (event, pause) in events {
            at = Timestamp(at.0 + pause);
            resting = nap(resting).0;
            happens(&mut awake, event, at);
            happens(&mut resting, event, at);
            prop_assert_eq!(awake.timeline(), resting.timeline());
            prop_assert_eq!(awake.watch(), resting.watch());
        }
        prop_assert_eq!(diagnose(&awake.finish()), diagnose(&resting.finish()));
    }
}
