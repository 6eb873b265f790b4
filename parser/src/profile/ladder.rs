//! Which replays of a client's hello are worth a connection: first the hello as sent, then everything that is known; where
//! that helps, one thing at a time until one is enough, and where it does not, less.

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
    over: bool,
}

impl Ladder {
    /// The ladder of one hello. It has eight steps at the most.
    #[must_use]
    pub fn new(hello: &RecordedHello) -> Ladder {
        Ladder {
            steps: Vec::new(),
            left: vec![LadderChange::AsSent],
            offers_13: hello.offers_13(),
            length: hello.message.len(),
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
        let unreached = matches!(reaction, Reaction::NotReached(_));
        match change {
            LadderChange::AsSent if !accepted => self.left = vec![LadderChange::Everything],
            LadderChange::Everything => self.left = if accepted { self.widened() } else { self.narrowed() },
            _ => {}
        }
        let whole = change == LadderChange::Everything;
        self.over = unreached || (accepted && !whole);
        self.steps.push(LadderStep { change, reaction });
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

    fn climb(accepts: impl Fn(&LadderChange) -> bool) -> Vec<LadderChange> {
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
}
