//! Which replays of a client's hello are worth a connection: first the hello as sent, then everything that is known; where
//! that helps, one thing at a time until one is enough, and where it does not, less. What helped is held against the hello
//! as sent once more: where that is taken now, the change was not what helped.

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
    /// The hello as sent is being tried again.
    doubting: bool,
    over: bool,
}

impl Ladder {
    /// The ladder of one hello. It has eight steps at the most, and makes ten replays.
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
            // Silence costs whoever waits a time-out each.
            self.over = accepted || matches!(reaction, Reaction::Silence | Reaction::NotReached(_));
            if accepted {
                // Of the answers before, each may be that of another host.
                self.steps = vec![LadderStep { change, reaction }];
            }
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
        if self.left.is_empty() && self.is_to_be_doubted() {
            self.doubting = true;
            // Twice: a balancer that takes two hosts in turn would give the one that refused it both times.
            self.left = vec![LadderChange::AsSent; 2];
        }
    }

    /// The hello as sent was refused, and something else was taken.
    fn is_to_be_doubted(&self) -> bool {
        let refused = self.steps.first().is_some_and(|step| !step.reaction.accepted());
        refused && self.steps.iter().any(|step| step.reaction.accepted())
    }

    /// The steps made.
    #[must_use]
    pub fn finish(self) -> Vec<LadderStep> {
        self.steps
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

    #[test]
    fn what_helped_only_because_another_host_answered_is_no_help() {
        // A balancer takes a host that refuses every hello and one that takes this very one in turn.
        for first in [0, 1] {
            let mut at = first;
            let steps = climb(|_| {
                at += 1;
                at % 2 == 0
            });
            assert_eq!(steps, [LadderChange::AsSent], "{first}");
        }
    }

    #[test]
    fn a_hello_that_got_no_answer_is_doubted_once() {
        let hello = Reaction::Hello { version: TlsVersion::TLS12, suite: CipherSuite(0xc02f), group: None };
        let (mut ladder, mut replays) = (Ladder::new(&recorded()), 0);
        while let Some(change) = ladder.next_change() {
            replays += 1;
            ladder.answer(if change == LadderChange::Size(300) { hello.clone() } else { Reaction::Silence });
        }
        // As sent, everything, without TLS 1.3, small, and as sent again.
        assert_eq!((replays, ladder.finish().len()), (5, 4));
    }
}
