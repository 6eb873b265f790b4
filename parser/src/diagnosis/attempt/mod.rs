//! Connections of one client that belong to one attempt: one story, not three failures.
//!
//! A client at a prompt connects twice (mstsc drops the first connection when it asks for a password or shows a
//! certificate), probes NLA and then opens the real session, or tries again after a refusal (rdesktop with classic RDP
//! security, xfreerdp once more, a gateway client with its older transport, which takes two connections at once).
//! [`Attempts`] puts them together by client address and target, and by user and TLS fingerprint when both connections
//! show one.
//!
//! Pure and bounded: times are arguments, user names are kept as hashes only, and at most [`MOST_CLIENTS`] clients are
//! remembered, the least recently seen one being forgotten first.
//!
//! # Driving it
//!
//! ```
//! # use parser::Timestamp;
//! # use parser::diagnosis::{Attempts, Marks, diagnose};
//! # use parser::session::{Phase, Timeline};
//! # let (client, at, timeline) = ("192.0.2.7".parse().unwrap(), Timestamp(0), Timeline::default());
//! let mut attempts = Attempts::new();
//! attempts.opened(1, client, "rds07.example.net:3389", at);
//! // On every phase a session enters; each revision is the whole verdict of an earlier session, final now.
//! for revision in attempts.reached(1, Phase::X224, Marks::of(&timeline), at) {
//!     println!("session {} was {}", revision.session, revision.verdict.cause);
//! }
//! // At the end of a session, whose event goes out at once: first, how its companions stand by now.
//! for other in attempts.companions(1) {
//!     attempts.shown(other, Marks::of(&timeline));
//! }
//! let alone = diagnose(&timeline);
//! let verdict = attempts.beside(1, &alone, &timeline).unwrap_or(alone);
//! let placement = attempts.ended(1, &verdict, &timeline, at);
//! assert_eq!((placement.attempt, placement.number), (1, 1));
//! // About once a second: which verdicts are final by now, and which attempts are over.
//! let settled = attempts.expire(at.plus(Attempts::WINDOW));
//! assert_eq!(settled.attempts.len(), 1);
//! ```

mod client;
mod identity;
mod pair;
mod revise;

use super::{Cause, Outcome, Verdict};
use crate::Timestamp;
use crate::session::{Phase, Timeline};
use crate::wire::tls::{hash_codes, is_grease};
use crate::wire::{HelloShape, Protocols};
use client::{Client, Member};
use core::hash::{BuildHasher, Hash, Hasher};
use core::time::Duration;
use pair::Half;
use rapidhash::RapidHashMap;
use rapidhash::quality::GlobalState;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Clients (address and target) remembered at most. Each holds at most [`MOST_CONNECTIONS`] connections of about half a
/// kilobyte, most of them one: a few megabytes for a farm in the morning.
pub const MOST_CLIENTS: usize = 4_096;

/// Connections remembered per client and target; an attempt holds at most half as many.
pub const MOST_CONNECTIONS: usize = 16;

/// What a session has shown of itself: what tells two users behind one address apart, which certificate it was given, and
/// which half of a gateway session it is. No text is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    user: Option<u64>,
    /// What it asked for, once it has asked: security protocols, or none by name.
    asked: Option<Option<Protocols>>,
    fingerprint: Option<u64>,
    certificate: Option<u64>,
    half: Option<Half>,
}

impl Marks {
    /// What a session has shown so far.
    #[must_use]
    pub fn of(timeline: &Timeline) -> Marks {
        let user = timeline.request.as_ref().and_then(|request| request.cookie.as_deref()).map(hash);
        let asked = timeline.request.as_ref().map(|request| request.protocols);
        let fingerprint = timeline.client_hello.as_deref().map(program);
        let certificate = timeline.certificate.as_ref().map(|c| hash_of(&c.sha256));
        Marks { user, asked, fingerprint, certificate, half: Half::of(timeline) }
    }

    /// What tells clients apart.
    fn who(self) -> [Option<u64>; 2] {
        [self.user, self.fingerprint]
    }

    /// Nothing that both show speaks against one and the same client.
    fn agrees(self, other: Marks) -> bool {
        // A client that retries with another security layer shows another hello, or none: the user decides, where both
        // name one.
        if self.user.is_some() && other.user.is_some() {
            return self.user == other.user;
        }
        at_one(self.fingerprint, other.fingerprint)
    }

    /// The name or the program is the same, and nothing that both show speaks against one and the same program with the
    /// same settings. Who comes with others may be the same person, and does not show how the first connection would have
    /// gone on; who shows neither may be anybody behind that address.
    fn may_go_on_as(self, other: Marks) -> bool {
        let alike = self.same_user(other) || self.same_program(other);
        alike && self.agrees(other) && at_one(self.asked, other.asked) && at_one(self.fingerprint, other.fingerprint)
    }

    /// Both show the same program: asked for the same, with the same hello.
    fn same_program(self, other: Marks) -> bool {
        self.fingerprint.is_some() && self.fingerprint == other.fingerprint && at_one(self.asked, other.asked)
    }

    /// Both name the same user. That is no proof of a person: mstsc cuts the name to nine characters, so that all of
    /// `MYCOMPANY\…` look the same.
    fn same_user(self, other: Marks) -> bool {
        self.user.is_some() && self.user == other.user
    }

    /// The name gave way to what a connection broker has told the client to say.
    fn name_given_up(self, other: Marks) -> bool {
        self.user.is_some() && other.user.is_none()
    }

    fn merge(&mut self, newer: Marks) {
        self.user = newer.user.or(self.user);
        self.asked = newer.asked.or(self.asked);
        self.fingerprint = newer.fingerprint.or(self.fingerprint);
        self.certificate = newer.certificate.or(self.certificate);
        self.half = newer.half.or(self.half);
    }
}

/// Equal, where both are known.
fn at_one<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
    a.is_none() || b.is_none() || a == b
}

/// What one program offers every time. Extensions are left out: some stacks shuffle them, and a client that comes back
/// offers the ticket it has got meanwhile.
fn program(hello: &HelloShape) -> u64 {
    let mut hasher = GlobalState::new().build_hasher();
    hello.legacy_version.hash(&mut hasher);
    let without_grease = |code: &u16| !is_grease(*code);
    hash_codes(hello.suites.iter().map(|s| s.0).filter(without_grease), &mut hasher);
    hash_codes(hello.groups.iter().map(|g| g.0).filter(without_grease), &mut hasher);
    hash_codes(hello.signature_schemes.iter().map(|s| s.0).filter(without_grease), &mut hasher);
    hash_codes(hello.supported_versions.iter().map(|v| v.0).filter(without_grease), &mut hasher);
    hasher.finish()
}

/// Of a user name: Windows does not tell `Bob` from `bob`.
fn hash(name: &str) -> u64 {
    let is_lower = name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower { hash_of(&name) } else { hash_of(&name.to_lowercase()) }
}

fn hash_of(value: &impl Hash) -> u64 {
    GlobalState::new().hash_one(value)
}

/// Where a session stands among its client's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The attempt: the id of its first session.
    pub attempt: u128,
    /// From 1, in the order in which the connections were opened.
    pub number: u16,
    /// The connection of the attempt that was opened before it.
    pub previous: Option<u128>,
    /// The verdict may be revised until then (`rdpscope.final` is false); at most [`Attempts::WINDOW`] away.
    /// `None`: it is final.
    pub may_be_revised: Option<Timestamp>,
}

/// A verdict that a later connection of the same client changed. It is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The session it is about; it has ended before.
    pub session: u128,
    /// The connection that got further.
    pub successor: u128,
    /// The whole verdict.
    pub verdict: Verdict,
}

/// An attempt that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The id of its first session.
    pub id: u128,
    /// What it came to: success if any connection succeeded, else the first failure, of which the rest are consequences.
    pub cause: Cause,
    /// How many connections it took.
    pub connections: u16,
}

/// What became final.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Sessions whose verdict could have been revised and was not: it stands as given.
    pub sessions: Vec<u128>,
    /// Attempts that are over.
    pub attempts: Vec<Attempt>,
}

/// Who connects to what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    client: IpAddr,
    target: Arc<str>,
}

/// When a window ends, and that of which session.
type Deadline = (Timestamp, u128);

/// The attempts of all clients.
#[derive(Debug, Default)]
pub struct Attempts {
    clients: RapidHashMap<Key, Client>,
    sessions: RapidHashMap<u128, Key>,
    /// Least recently seen first.
    recency: BTreeMap<u64, Key>,
    /// Ends of windows, of each client the next one: when a session's verdict becomes final, or its attempt is over. The
    /// session tells apart what ends at one moment.
    deadlines: BTreeMap<Deadline, Key>,
    forgotten: Settled,
    clock: u64,
}

impl Attempts {
    /// How long after a connection's end the next one still belongs to it, and its verdict may be revised.
    pub const WINDOW: Duration = Duration::from_secs(30);
    /// A client that comes back may open its next connection this long before we see the end of the one it gave up. Two
    /// connections that live side by side for longer are two users of one address.
    const OVERLAP: Duration = Duration::from_secs(1);

    /// Nobody has connected yet.
    #[must_use]
    pub fn new() -> Attempts {
        Attempts::default()
    }

    /// A connection of `client` to `target` (the configured upstream, or the original destination) was accepted.
    pub fn opened(&mut self, session: u128, client: IpAddr, target: impl Into<Arc<str>>, at: Timestamp) {
        let key = Key { client, target: target.into() };
        let entry = self.clients.entry(key.clone()).or_default();
        if entry.seen != self.clock || self.clock == 0 {
            self.clock += 1;
            self.recency.remove(&entry.seen);
            entry.seen = self.clock;
            self.recency.insert(self.clock, key.clone());
        }
        entry.settle(at, &mut self.forgotten);
        while entry.members.len() >= MOST_CONNECTIONS {
            if let Some(gone) = entry.drop_oldest(&mut self.forgotten) {
                self.sessions.remove(&gone);
            }
        }
        entry.open(session, at);
        self.sessions.insert(session, key);
        self.make_room();
    }

    /// A session entered `phase`. Returns what that changes about its predecessors.
    pub fn reached(&mut self, session: u128, phase: Phase, marks: Marks, at: Timestamp) -> Vec<Revision> {
        let Some(client) = self.sessions.get(&session).and_then(|key| self.clients.get_mut(key)) else {
            return Vec::new();
        };
        client.advance(session, phase, marks);
        client.revise(session, at)
    }

    /// What a session has shown of itself by now, without having got further.
    pub fn shown(&mut self, session: u128, marks: Marks) {
        if let Some(client) = self.sessions.get(&session).and_then(|key| self.clients.get_mut(key)) {
            client.advance(session, Phase::default(), marks);
        }
    }

    /// The other connections of the attempt that are remembered, live ones among them.
    #[must_use]
    pub fn companions(&self, session: u128) -> Vec<u128> {
        let client = self.sessions.get(&session).and_then(|key| self.clients.get(key));
        client.map(|client| client.companions(session).map(|member| member.session).collect()).unwrap_or_default()
    }

    /// What another connection of the same attempt says about the end of this one: the whole verdict in place of `verdict`.
    /// To be asked when a session is over, before its verdict goes out, and after [`Attempts::shown`] was told how each
    /// of its [`Attempts::companions`] stands.
    #[must_use]
    pub fn beside(&self, session: u128, verdict: &Verdict, timeline: &Timeline) -> Option<Verdict> {
        if verdict.outcome() != Outcome::Failure {
            return None;
        }
        let client = self.sessions.get(&session).and_then(|key| self.clients.get(key))?;
        client.beside(session, verdict, Marks::of(timeline))
    }

    /// A session is over, with the verdict that goes out now.
    pub fn ended(&mut self, session: u128, verdict: &Verdict, timeline: &Timeline, at: Timestamp) -> Placement {
        let alone = Placement { attempt: session, number: 1, previous: None, may_be_revised: None };
        let known = self.sessions.get(&session).and_then(|key| Some((key, self.clients.get_mut(key)?)));
        let Some((key, client)) = known else {
            // Forgotten, or never announced: it stands for itself.
            self.forgotten.attempts.push(Attempt { id: session, cause: verdict.cause, connections: 1 });
            return alone;
        };
        client.advance(session, timeline.phase(), Marks::of(timeline));
        let revisable = revise::may_be_prompt(verdict);
        client.end(session, verdict, revisable, at);
        let deadline = at.plus(Self::WINDOW);
        if client.due.is_none_or(|due| (deadline, session) < due) {
            if let Some(later) = client.due.replace((deadline, session)) {
                self.deadlines.remove(&later);
            }
            self.deadlines.insert((deadline, session), key.clone());
        }
        client.place(session, revisable.then_some(deadline)).unwrap_or(alone)
    }

    /// A probe of the host has changed the verdict of a session that has ended. Says whether its client's next connection
    /// may still change it: no longer, when the new verdict leaves no room for a prompt.
    pub fn judged_again(&mut self, session: u128, verdict: &Verdict) -> bool {
        let client = self.sessions.get(&session).and_then(|key| self.clients.get_mut(key));
        client.is_some_and(|client| client.judge_again(session, verdict, revise::may_be_prompt(verdict)))
    }

    /// Everything whose window is over at `now`. To be called about once a second.
    pub fn expire(&mut self, now: Timestamp) -> Settled {
        while let Some(next) = self.deadlines.first_entry().filter(|next| next.key().0 <= now) {
            let key = next.remove();
            let Some(client) = self.clients.get_mut(&key) else { continue };
            client.settle(now, &mut self.forgotten);
            for session in client.drop_settled() {
                self.sessions.remove(&session);
            }
            client.due = client.next_end(now);
            if let Some(due) = client.due {
                self.deadlines.insert(due, key);
            } else if client.members.is_empty() {
                self.recency.remove(&client.seen);
                self.clients.remove(&key);
            }
        }
        core::mem::take(&mut self.forgotten)
    }

    /// When [`Attempts::expire`] has something next, at the earliest; `None` when only a new end can bring it something.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        if self.forgotten != Settled::default() {
            return Some(Timestamp(0));
        }
        self.deadlines.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Clients remembered now.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    fn make_room(&mut self) {
        while self.clients.len() > MOST_CLIENTS {
            let Some((_, key)) = self.recency.pop_first() else { return };
            let Some(mut client) = self.clients.remove(&key) else { continue };
            client.due.and_then(|due| self.deadlines.remove(&due));
            while let Some(gone) = client.drop_oldest(&mut self.forgotten) {
                self.sessions.remove(&gone);
            }
        }
    }
}

#[cfg(test)]
mod tests;
