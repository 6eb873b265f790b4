//! Records that TLS 1.0 stacks cut in two against chosen-plaintext attacks: one byte (or none) first, then the rest.
//! A message then comes as two records, and only the second one has a size worth reading.

use super::shapes::Plain;
use super::{Peer, PerPeer};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Habit {
    /// No record yet.
    #[default]
    Unknown,
    /// Messages come whole.
    Whole,
    /// Messages come in two records; `ahead`: the small one has just come.
    Split { ahead: bool },
}

/// What each peer does. The first record decides: every exchange inside TLS begins with a message far bigger than
/// one byte, so a first record which can hold one byte is a split one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Splits {
    possible: bool,
    habit: PerPeer<Habit>,
}

impl Splits {
    /// `possible`: TLS 1.0 or older with a CBC suite.
    pub(super) fn new(possible: bool) -> Splits {
        Splits { possible, habit: PerPeer::default() }
    }

    /// The message in a record, or `None` for the small record that goes ahead of one.
    pub(super) fn body(&mut self, from: Peer, plain: Plain) -> Option<Plain> {
        if !self.possible {
            return Some(plain);
        }
        let small = plain.is(1) || plain.is(0);
        let habit = &mut self.habit[from];
        if *habit == Habit::Unknown {
            *habit = if small { Habit::Split { ahead: false } } else { Habit::Whole };
        }
        match habit {
            Habit::Split { ahead } if !*ahead && small => {
                *ahead = true;
                None
            }
            Habit::Split { ahead } => {
                *ahead = false;
                Some(plain.after_split())
            }
            _ => Some(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // AES-SHA1 in TLS 1.0 without encrypt-then-MAC: 0 to 11 bytes make a record of 32.
    const SMALL: Plain = Plain::between(0, 11);

    #[test]
    fn the_byte_that_goes_ahead_is_no_message() {
        let mut splits = Splits::new(true);
        assert_eq!(splits.body(Peer::Client, SMALL), None);
        assert!(splits.body(Peer::Client, Plain::between(460, 475)).is_some_and(|p| p.is(476)));
        assert_eq!(splits.body(Peer::Client, SMALL), None);
        // Attach User: one byte ahead, seven after it, in a record of the same size.
        assert!(splits.body(Peer::Client, SMALL).is_some_and(|p| p.is(8)));
    }

    #[test]
    fn a_peer_that_sends_whole_messages_keeps_its_small_ones() {
        let mut splits = Splits::new(true);
        assert!(splits.body(Peer::Client, Plain::between(444, 459)).is_some());
        assert_eq!(splits.body(Peer::Client, SMALL), Some(SMALL));
    }
}
