//! Many users behind one address, clients that come back, scanners and storms: which connections make one story, and
//! which must never be explained by another one's success.

use parser::Timestamp;
use parser::diagnosis::{Attempts, Cause, Confidence, Marks, Revision, Verdict, diagnose};
use parser::session::{ClientHelloFacts, Close, CloseKind, Closer, Phase, RequestFacts, Timeline};
use parser::wire::{CipherSuite, HelloShape};
use std::net::IpAddr;

const TARGET: &str = "rds07.example.net:3389";

fn at(ms: u64) -> Timestamp {
    Timestamp(ms * 1_000_000)
}

/// What a client shows: a user name, the suites it offers.
#[derive(Clone, Copy)]
struct Who(Option<&'static str>, &'static [u16]);

impl Who {
    fn timeline(self) -> Timeline {
        let suites = self.1.iter().map(|suite| CipherSuite(*suite)).collect();
        Timeline {
            request: Some(RequestFacts { cookie: self.0.map(str::to_owned), ..RequestFacts::default() }),
            client_hello: Some(HelloShape { suites, ..HelloShape::default() }.into()),
            ..Timeline::default()
        }
    }
}

/// A client that left at a prompt.
fn at_prompt(phase: Phase) -> Verdict {
    let mut verdict = diagnose(&Timeline {
        closes: vec![Close { by: Closer::Client, kind: CloseKind::Fin, at: at(0) }],
        ..Timeline::default()
    });
    verdict.cause = Cause::ClosedAfterTlsUnknown;
    verdict.confidence = Confidence::Possible;
    verdict.phase = phase;
    verdict.alternatives = vec![Cause::ClientPromptProbe];
    verdict
}

/// All connections of one address, told in the order of time.
struct Address {
    attempts: Attempts,
    client: IpAddr,
}

impl Address {
    fn new() -> Address {
        Address { attempts: Attempts::new(), client: IpAddr::from([192, 0, 2, 9]) }
    }

    fn opens(&mut self, id: u128, ms: u64) {
        self.attempts.opened(id, self.client, TARGET, at(ms));
    }

    fn reaches(&mut self, id: u128, who: Who, phase: Phase, ms: u64) -> Vec<Revision> {
        self.attempts.reached(id, phase, Marks::of(&who.timeline()), at(ms))
    }

    fn ends(&mut self, id: u128, who: Who, verdict: &Verdict, ms: u64) {
        let mut timeline = who.timeline();
        timeline.phases.enter(verdict.phase, at(ms));
        self.attempts.ended(id, verdict, &timeline, at(ms));
    }

    /// Opens, comes to `phase`, leaves there.
    fn leaves_at_prompt(&mut self, id: u128, who: Who, phase: Phase, ms: u64) {
        self.opens(id, ms);
        self.reaches(id, who, phase, ms + 50);
        self.ends(id, who, &at_prompt(phase), ms + 100);
    }
}

const MSTSC: &[u16] = &[0x1302, 0x1301, 0xc02c, 0xc02b];
const FREERDP: &[u16] = &[0x1302, 0x1303, 0x1301];

#[test]
fn the_prompt_of_a_named_user_is_told_by_the_same_name_only_and_never_proven() {
    let alice = Who(Some("alice"), MSTSC);
    let mut address = Address::new();
    address.leaves_at_prompt(1, alice, Phase::Credssp, 0);
    address.opens(2, 8_000);
    let revisions = address.reaches(2, alice, Phase::Mcs, 8_200);
    assert_eq!(
        revisions.iter().map(|r| (r.session, r.verdict.cause)).collect::<Vec<_>>(),
        [(1, Cause::ClientPromptProbe)]
    );
    assert_eq!(revisions[0].verdict.confidence, Confidence::Likely);

    let mut address = Address::new();
    address.leaves_at_prompt(1, alice, Phase::Credssp, 0);
    address.opens(2, 8_000);
    assert!(address.reaches(2, Who(Some("bob"), MSTSC), Phase::Active, 8_200).is_empty());
}

#[test]
fn without_a_name_a_prompt_is_no_more_than_possible() {
    for (first, second) in [(None, None), (Some("alice"), None), (None, Some("bob"))] {
        let mut address = Address::new();
        address.leaves_at_prompt(1, Who(first, MSTSC), Phase::Credssp, 0);
        address.opens(2, 8_000);
        for revision in address.reaches(2, Who(second, MSTSC), Phase::Active, 9_000) {
            assert_eq!(revision.verdict.confidence, Confidence::Possible, "{first:?} {second:?} {revision:?}");
        }
    }
}

#[test]
fn another_program_behind_the_address_explains_nothing() {
    let both = (Some("alice"), Some("alice"));
    for (first, second) in [(None, None), (Some("alice"), None), (None, Some("bob")), both] {
        let mut address = Address::new();
        address.leaves_at_prompt(1, Who(first, MSTSC), Phase::Credssp, 0);
        address.opens(2, 5_000);
        assert!(address.reaches(2, Who(second, FREERDP), Phase::Active, 9_000).is_empty(), "{first:?} {second:?}");
    }
}

#[test]
fn connections_that_live_side_by_side_are_no_prompt_and_its_sequel() {
    let who = Who(None, MSTSC);
    let mut address = Address::new();
    address.opens(1, 0);
    address.reaches(1, who, Phase::Credssp, 100);
    address.opens(2, 2_000);
    assert!(address.reaches(2, who, Phase::Credssp, 2_100).is_empty());
    address.ends(1, who, &at_prompt(Phase::Credssp), 6_000);
    assert!(address.reaches(2, who, Phase::Mcs, 6_100).is_empty());
    assert!(address.reaches(2, who, Phase::Active, 6_200).is_empty());
    // A client that opens the next one just before it lets go of the first is that client.
    let mut address = Address::new();
    address.opens(1, 0);
    address.reaches(1, who, Phase::Credssp, 100);
    address.opens(2, 5_800);
    address.ends(1, who, &at_prompt(Phase::Credssp), 6_000);
    assert_eq!(address.reaches(2, who, Phase::Mcs, 6_200).len(), 1);
}

#[test]
fn a_scanner_that_asks_one_more_question_each_time_is_at_no_prompt() {
    let who = Who(None, FREERDP);
    let mut address = Address::new();
    for (n, phase) in [Phase::TlsHello, Phase::TlsHello, Phase::TlsFinish].into_iter().enumerate() {
        let id = n as u128 + 1;
        address.opens(id, id as u64 * 200);
        assert!(address.reaches(id, who, phase, id as u64 * 200 + 10).is_empty(), "{phase}");
        address.ends(id, who, &at_prompt(phase), id as u64 * 200 + 20);
    }
}

#[test]
fn a_client_that_is_sent_on_by_a_broker_and_comes_back_has_not_failed() {
    let alice = Who(Some("alice"), MSTSC);
    let mut address = Address::new();
    address.leaves_at_prompt(1, alice, Phase::Activation, 0);
    address.opens(2, 300);
    // The second connection carries a routing token and no name.
    let revisions = address.reaches(2, Who(None, MSTSC), Phase::Active, 2_000);
    let [revision] = revisions.as_slice() else { panic!("{revisions:?}") };
    assert!(revision.verdict.message.contains("sent on"), "{}", revision.verdict.message);
    assert_eq!(revision.verdict.confidence, Confidence::Likely);
}

#[test]
fn a_storm_of_retries_revises_nothing_and_stays_bounded() {
    let who = Who(Some("alice"), MSTSC);
    let mut address = Address::new();
    for id in 1..=5_000_u128 {
        let ms = id as u64 * 10;
        address.opens(id, ms);
        assert!(address.reaches(id, who, Phase::Credssp, ms + 1).is_empty());
        address.ends(id, who, &at_prompt(Phase::Credssp), ms + 2);
    }
    assert_eq!(address.attempts.clients(), 1);
    address.attempts.expire(at(200_000));
    assert_eq!(address.attempts.clients(), 0);
}

#[test]
fn a_client_that_comes_back_with_a_ticket_and_other_grease_is_the_same_client() {
    let hello = |grease: u16, extensions: &[u16]| ClientHelloFacts {
        resumption_offered: extensions.contains(&41),
        ..ClientHelloFacts::from(HelloShape {
            suites: [grease, 0x1302, 0xc02c].map(CipherSuite).to_vec(),
            extensions: extensions.to_vec(),
            ..HelloShape::default()
        })
    };
    let shown = |hello| Marks::of(&Timeline { client_hello: Some(hello), ..Timeline::default() });
    let first = shown(hello(0x0a0a, &[0, 10, 13, 43]));
    assert_eq!(first, shown(hello(0xbaba, &[13, 0, 43, 10, 41])));
    assert_ne!(first, shown(HelloShape { suites: vec![CipherSuite(0x1302)], ..HelloShape::default() }.into()));
}
