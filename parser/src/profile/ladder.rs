//! Which replays of a client's hello are worth a connection: first the hello as sent, then everything that is known; where
//! that helps, one thing at a time until one is enough, and where it does not, less. What helped, and the hello as sent, are
//! then tried again: behind a balancer each answer may have been that of another host.

use super::{LadderChange, LadderStep, Reaction, RecordedHello};
use crate::wire::TlsVersion;

/// A size that every path carries in one packet, and that leaves no room for a post-quantum share.
const SMALL: u16 = 300;

/// Which replays are made of one recorded hello.
#[derive(Clone, Debug)]
pub struct Ladder {
    steps: Vec<LadderStep>,
    /// Changes still to be tried, the next one last.
    left: Vec<LadderChange>,
    offers_13: bool,
    length: usize,
    /// What helped, and the hello as sent, are being tried again.
    doubting: bool,
    over: bool,
}

impl Ladder {
    /// The ladder of one hello. It has eight steps at the most, of twelve replays.
    #[must_use]
    pub fn new(hello: &RecordedHello) -> Ladder {
        Ladder {
            steps: Vec::new(),
            left: vec![LadderChange::AsSent],
            offers_13: hello.offers_13(),
            length: hello.message.len(),
            doubting: false,
            over: false,
        }
    }

    /// The next replay; `None` when enough is known.
    #[must_use]
    pub fn next_change(&self) -> Option<LadderChange> {
        self.left.last().filter(|_| !self.over).cloned()
    }

    /// What came back for it.
    pub fn answer(&mut self, reaction: Reaction) {
        let Some(change) = self.left.pop() else { return };
        let accepted = reaction.accepted();
        if self.doubting {
            self.doubt(LadderStep { change, reaction });
            return;
        }
        let unreached = matches!(reaction, Reaction::NotReached(_));
        match change {
            LadderChange::AsSent if !accepted => self.left = vec![LadderChange::Everything],
            LadderChange::Everything => self.left = if accepted { self.widened() } else { self.narrowed() },
            _ if accepted => self.left.clear(),
            _ => {}
        }
        self.over = unreached;
        self.steps.push(LadderStep { change, reaction });
        if let (true, Some(helped)) = (self.left.is_empty(), self.helped()) {
            self.doubting = true;
            // Each twice: a balancer that takes two hosts in turn would give the same one to every second replay.
            self.left = vec![LadderChange::AsSent, LadderChange::AsSent, helped.clone(), helped];
        }
    }

    /// The last change that was taken where the hello as sent was refused. (Where it had no answer, every further one costs
    /// a time-out.)
    fn helped(&self) -> Option<LadderChange> {
        let unanswered = |step: &LadderStep| step.reaction.accepted() || step.reaction == Reaction::Silence;
        if self.steps.first().is_none_or(unanswered) {
            return None;
        }
        let taken = self.steps.iter().rev().find(|step| step.reaction.accepted());
        taken.map(|step| step.change.clone())
    }

    /// Another answer than before: nothing is told but that the hello as sent is taken, where it is.
    fn doubt(&mut self, step: LadderStep) {
        match (&step.change, step.reaction.accepted()) {
            // No answer says nothing.
            _ if matches!(step.reaction, Reaction::Silence | Reaction::NotReached(_)) => return,
            (LadderChange::AsSent, true) => self.steps = vec![step],
            (LadderChange::AsSent, false) | (_, true) => return,
            (_, false) => self.steps.clear(),
        }
        self.over = true;
    }

    /// The steps made; none where what helped could not be tried again.
    #[must_use]
    pub fn finish(self) -> Vec<LadderStep> {
        let untold = self.doubting && !self.over && !self.left.is_empty();
        if untold { Vec::new() } else { self.steps }
    }

    /// Everything was accepted: which one thing is enough?
    fn widened(&self) -> Vec<LadderChange> {
        let versions = vec![TlsVersion::TLS13, TlsVersion::TLS12, TlsVersion::TLS11, TlsVersion::TLS10];
        let mut changes = vec![
            LadderChange::Versions(versions),
            LadderChange::AllSignatureSchemes,
            LadderChange::AllGroups,
            LadderChange::AllSuites,
        ];
        changes.extend((self.length > usize::from(SMALL)).then_some(LadderChange::Size(SMALL)));
        changes
    }

    /// Not even everything was accepted: perhaps less is.
    fn narrowed(&self) -> Vec<LadderChange> {
        let mut changes = vec![];
        changes.extend((self.length > usize::from(SMALL)).then_some(LadderChange::Size(SMALL)));
        changes.extend(self.offers_13.then_some(LadderChange::Without13));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::super::replay::tests::recorded;
    use super::*;
    use crate::wire::{AlertDescription, CipherSuite};

    fn climb(mut accepts: impl FnMut(&LadderChange) -> bool) -> Vec<LadderChange> {
        let hello = Reaction::Hello { version: TlsVersion::TLS12, suite: CipherSuite(0xc02f), group: None };
        let mut ladder = Ladder::new(&recorded());
        while let Some(change) = ladder.next_change() {
            let accepted = accepts(&change);
            ladder.answer(if accepted { hello.clone() } else { Reaction::Alert(AlertDescription(40)) });
        }
        ladder.finish().into_iter().map(|step| step.change).collect()
    }

    #[test]
    fn the_ladder_ends_as_soon_as_one_change_is_enough() {
        use LadderChange::{AllSuites, AsSent, Everything, Size, Without13};
        assert_eq!(climb(|_| true), [AsSent]);
        assert_eq!(
            climb(|change| matches!(change, Everything | AllSuites)),
            [AsSent, Everything, Size(300), AllSuites]
        );
        assert_eq!(climb(|change| *change == Without13), [AsSent, Everything, Without13]);
        assert_eq!(climb(|_| false), [AsSent, Everything, Without13, Size(300)]);
        assert_eq!(climb(|change| *change == Everything).len(), 7);
    }

    /// The steps that are told where a balancer takes the hosts of `farm` in turn, each of which takes this hello in every
    /// form or in none.
    fn in_turn(farm: &[bool], first: usize) -> Vec<LadderChange> {
        let mut at = first;
        climb(|_| {
            at += 1;
            farm[at % farm.len()]
        })
    }

    #[test]
    fn what_helped_only_because_another_host_answered_is_no_help() {
        for farm in [&[true, false][..], &[true, false, false], &[true, true, false], &[true, false, false, false]] {
            for first in 0..farm.len() {
                let steps = in_turn(farm, first);
                assert!(steps.is_empty() || steps == [LadderChange::AsSent], "{farm:?} {first}: {steps:?}");
            }
        }
    }

    #[test]
    fn what_helped_is_tried_twice_more_and_so_is_the_hello_as_sent() {
        let mut tried = Vec::new();
        let steps = climb(|change| {
            tried.push(change.clone());
            matches!(change, LadderChange::Everything | LadderChange::AllSuites)
        });
        assert_eq!(steps.len(), 4);
        let again = [LadderChange::AllSuites, LadderChange::AllSuites, LadderChange::AsSent, LadderChange::AsSent];
        assert_eq!(tried[4..], again);
    }

    #[test]
    fn a_hello_that_got_no_answer_is_not_doubted() {
        let hello = Reaction::Hello { version: TlsVersion::TLS12, suite: CipherSuite(0xc02f), group: None };
        let (mut ladder, mut replays) = (Ladder::new(&recorded()), 0);
        while let Some(change) = ladder.next_change() {
            replays += 1;
            ladder.answer(if change == LadderChange::Size(300) { hello.clone() } else { Reaction::Silence });
        }
        // As sent, everything, without TLS 1.3, small.
        assert_eq!((replays, ladder.finish().len()), (4, 4));
    }
}
