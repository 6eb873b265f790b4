//! One client and target: its recent connections, oldest first.

use super::{
    Attempt, Attempts, Deadline, MOST_CONNECTIONS, Marks, Placement, Revision, Settled, identity, pair, revise,
};
use crate::Timestamp;
use crate::diagnosis::{Cause, Outcome, Verdict};
use crate::session::Phase;
use std::collections::VecDeque;

/// A person gives up sooner; a program that goes on in a loop makes an attempt of each so many.
const MOST_IN_ATTEMPT: usize = MOST_CONNECTIONS / 2;

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) session: u128,
    pub(super) attempt: u128,
    pub(super) opened: Timestamp,
    pub(super) phase: Phase,
    pub(super) marks: Marks,
    pub(super) ended: Option<Ended>,
}

/// How it ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) at: Timestamp,
    pub(super) cause: Cause,
    pub(super) phase: Phase,
    /// The whole verdict, as long as it may still turn out to be a prompt.
    pub(super) revisable: Option<Box<Verdict>>,
}

impl Member {
    fn succeeded(&self) -> bool {
        match &self.ended {
            Some(ended) => ended.cause.outcome() == Outcome::Success,
            None => self.phase >= Phase::Active,
        }
    }

    /// The next connection can still belong to it.
    fn is_open_at(&self, at: Timestamp) -> bool {
        let last = self.ended.as_ref().map_or(self.opened, |ended| ended.at);
        at.since(last) <= Attempts::WINDOW
    }
}

/// One client and target.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// Recency stamp.
    pub(super) seen: u64,
    pub(super) members: VecDeque<Member>,
    /// The next of its windows that ends.
    pub(super) due: Option<Deadline>,
    /// No member that has ended did so before this; nothing is settled until its window is over.
    first_end: Option<Timestamp>,
}

impl Client {
    /// A new connection. Until it shows whose it is, it belongs to the latest attempt that is still open.
    pub(super) fn open(&mut self, session: u128, at: Timestamp) {
        let attempt = self.attempt_to_join(Marks::default(), at, session).unwrap_or(session);
        self.members.push_back(Member {
            session,
            attempt,
            opened: at,
            phase: Phase::Accept,
            marks: Marks::default(),
            ended: None,
        });
    }

    /// A connection got further, or showed more of itself: then it may have to leave an attempt that is not its own.
    pub(super) fn advance(&mut self, session: u128, phase: Phase, marks: Marks) {
        let Some(index) = self.index(session) else { return };
        let member = &mut self.members[index];
        member.phase = member.phase.max(phase);
        let before = member.marks;
        member.marks.merge(marks);
        let (marks, opened, attempt) = (member.marks, member.opened, member.attempt);
        if marks.who() == before.who()
            || attempt == session
            || self.members.iter().any(|m| m.attempt == session && m.session != session)
        {
            return;
        }
        let fits = |m: &Member| m.attempt == attempt && m.session != session && m.marks.agrees(marks);
        if !self.members.iter().any(fits) {
            self.members[index].attempt = self.attempt_to_join(marks, opened, session).unwrap_or(session);
        }
    }

    /// The other connections of its attempt, newest first.
    pub(super) fn companions(&self, session: u128) -> impl Iterator<Item = &Member> {
        let attempt = self.index(session).map(|index| self.members[index].attempt);
        self.members.iter().rev().filter(move |m| Some(m.attempt) == attempt && m.session != session)
    }

    /// See [`Attempts::beside`].
    pub(super) fn beside(&self, session: u128, verdict: &Verdict, marks: Marks) -> Option<Verdict> {
        self.in_its_pair(session, verdict, marks).or_else(|| {
            let before = self.companions(session).find(|member| member.ended.is_some())?;
            identity::changed(verdict, marks, before)
        })
    }

    fn in_its_pair(&self, session: u128, verdict: &Verdict, marks: Marks) -> Option<Verdict> {
        let half = marks.half?;
        let (other, left) = self
            .companions(session)
            .filter_map(|member| Some((member.session, member.marks.half?)))
            .find_map(|(id, other)| Some((id, other.left_before(&half)?)))?;
        Some(pair::ended_by_client(verdict, &half, other, left))
    }

    pub(super) fn end(&mut self, session: u128, verdict: &Verdict, revisable: bool, at: Timestamp) {
        if let Some(index) = self.index(session) {
            let revisable = revisable.then(|| Box::new(verdict.clone()));
            self.members[index].ended = Some(Ended { at, cause: verdict.cause, phase: verdict.phase, revisable });
            self.first_end = Some(self.first_end.map_or(at, |first| first.min(at)));
        }
    }

    /// Another verdict on a connection that has ended. Says whether it may still turn out to be a prompt.
    pub(super) fn judge_again(&mut self, session: u128, verdict: &Verdict, revisable: bool) -> bool {
        let Some(index) = self.index(session) else { return false };
        let Some(ended) = self.members[index].ended.as_mut() else { return false };
        (ended.cause, ended.phase) = (verdict.cause, verdict.phase);
        ended.revisable = ended.revisable.take().filter(|_| revisable).map(|_| Box::new(verdict.clone()));
        ended.revisable.is_some()
    }

    /// Where a connection stands.
    pub(super) fn place(&self, session: u128, may_be_revised: Option<Timestamp>) -> Option<Placement> {
        let index = self.index(session)?;
        let attempt = self.members[index].attempt;
        let before = self.members.iter().take(index).filter(|m| m.attempt == attempt);
        let (count, previous) = before.fold((0, None), |(count, _), member| (count + 1, Some(member.session)));
        let number = u16::try_from(count + 1).unwrap_or(u16::MAX);
        Some(Placement { attempt, number, previous, may_be_revised })
    }

    /// What `session` having come this far changes about the ended connections before it.
    pub(super) fn revise(&mut self, session: u128, at: Timestamp) -> Vec<Revision> {
        let Some(index) = self.index(session) else { return Vec::new() };
        let (before, rest) = self.members.make_contiguous().split_at_mut(index);
        let Some(successor) = rest.first() else { return Vec::new() };
        let mut revisions = Vec::new();
        for member in before.iter_mut().filter(|m| m.attempt == successor.attempt) {
            let Some(ended) = member.ended.as_mut() else { continue };
            let in_time = at.since(ended.at) <= Attempts::WINDOW;
            let in_turn = ended.at.since(successor.opened) <= Attempts::OVERLAP;
            // Behind TLS at least: a scanner that asks one more question each time is at no prompt.
            let further = successor.phase > ended.phase && successor.phase >= Phase::Credssp;
            if !in_time || !in_turn || !further || !member.marks.may_go_on_as(successor.marks) {
                continue;
            }
            let Some(before) = ended.revisable.take() else { continue };
            let verdict = revise::as_prompt(&before, member.marks, successor, ended.at);
            (ended.cause, ended.phase) = (verdict.cause, verdict.phase);
            revisions.push(Revision { session: member.session, successor: session, verdict });
        }
        revisions
    }

    /// Moves what is final at `now` to `settled`, and marks it as such.
    pub(super) fn settle(&mut self, now: Timestamp, settled: &mut Settled) {
        if self.first_end.is_none_or(|first| now.since(first) < Attempts::WINDOW) {
            return;
        }
        for member in &mut self.members {
            if let Some(ended) = member.ended.as_mut().filter(|e| now.since(e.at) >= Attempts::WINDOW)
                && ended.revisable.take().is_some()
            {
                settled.sessions.push(member.session);
            }
        }
        for id in self.attempt_ids() {
            let over = |m: &Member| m.ended.as_ref().is_some_and(|e| now.since(e.at) >= Attempts::WINDOW);
            if self.members.iter().filter(|m| m.attempt == id).all(over) {
                settled.attempts.extend(self.sum_up(id));
                self.members.retain_mut(|m| {
                    m.attempt != id || {
                        m.attempt = SETTLED;
                        true
                    }
                });
            }
        }
    }

    /// Forgets what was settled. Returns the sessions.
    pub(super) fn drop_settled(&mut self) -> Vec<u128> {
        let gone = self.members.iter().filter(|m| m.attempt == SETTLED).map(|m| m.session).collect();
        self.members.retain(|m| m.attempt != SETTLED);
        self.first_end = self.members.iter().filter_map(|m| m.ended.as_ref()).map(|ended| ended.at).min();
        gone
    }

    /// The first of its windows that ends after `now`.
    pub(super) fn next_end(&self, now: Timestamp) -> Option<Deadline> {
        let ends = self.members.iter().filter_map(|m| Some((m.ended.as_ref()?.at.plus(Attempts::WINDOW), m.session)));
        ends.filter(|(end, _)| *end > now).min()
    }

    /// Forgets the oldest connection; its attempt, if it is over, is settled with it. Returns the session.
    pub(super) fn drop_oldest(&mut self, settled: &mut Settled) -> Option<u128> {
        let attempt = self.members.front()?.attempt;
        if attempt != SETTLED && self.members.iter().filter(|m| m.attempt == attempt).all(|m| m.ended.is_some()) {
            settled.attempts.extend(self.sum_up(attempt));
            for member in self.members.iter_mut().filter(|m| m.attempt == attempt) {
                member.attempt = SETTLED;
            }
        }
        let member = self.members.pop_front()?;
        if member.ended.is_some_and(|ended| ended.revisable.is_some()) {
            settled.sessions.push(member.session);
        }
        Some(member.session)
    }

    fn index(&self, session: u128) -> Option<usize> {
        self.members.iter().position(|m| m.session == session)
    }

    fn attempt_ids(&self) -> Vec<u128> {
        let mut ids: Vec<u128> = self.members.iter().map(|m| m.attempt).filter(|id| *id != SETTLED).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The latest attempt before `session` that a connection opened at `at` with these marks can belong to.
    fn attempt_to_join(&self, marks: Marks, at: Timestamp, session: u128) -> Option<u128> {
        let fits = |m: &&Member| {
            m.session != session
                && m.attempt != SETTLED
                && m.opened <= at
                && m.marks.agrees(marks)
                && m.is_open_at(at)
                && !m.succeeded()
        };
        let attempt = self.members.iter().rev().find(fits)?.attempt;
        (self.members.iter().filter(|m| m.attempt == attempt).count() < MOST_IN_ATTEMPT).then_some(attempt)
    }

    fn sum_up(&self, id: u128) -> Option<Attempt> {
        let members: Vec<&Member> = self.members.iter().filter(|m| m.attempt == id).collect();
        let ends = || members.iter().filter_map(|m| m.ended.as_ref());
        let success = ends().filter(|e| e.cause.outcome() == Outcome::Success).max_by_key(|e| e.phase);
        let failure = ends().find(|e| e.cause.outcome() == Outcome::Failure);
        // A prompt alone is no session that came up: a failure after it weighs more.
        let came_up = success.filter(|e| failure.is_none() || e.phase >= Phase::Active);
        let cause = came_up.or(failure).or_else(|| ends().next())?.cause;
        Some(Attempt { id, cause, connections: u16::try_from(members.len()).unwrap_or(u16::MAX) })
    }
}

/// Marks a member whose attempt was summed up; UUIDs of version 7 never are zero.
const SETTLED: u128 = 0;
