//! The last records of one direction. [`Tail`] is plain data; how it is filled is here.

use super::{RecordShape, Tail};

impl Tail {
    /// Nothing has come yet, so nothing was missed.
    pub(super) fn from_the_start() -> Tail {
        Tail { known: true, ..Tail::default() }
    }

    /// A record or clear PDU was seen.
    pub(super) fn push(&mut self, shape: RecordShape) {
        let slots = self.records.len();
        if usize::from(self.used) < slots {
            self.records[usize::from(self.used)] = shape;
            self.used += 1;
        } else {
            self.records.copy_within(1.., 0);
            self.records[slots - 1] = shape;
        }
        self.known = true;
    }

    /// Bytes passed that were not looked at: what was last before them is not last any more.
    pub(super) fn forget(&mut self) {
        *self = Tail::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(length: u16) -> RecordShape {
        RecordShape { content_type: 23, length, ..RecordShape::default() }
    }

    #[test]
    fn the_newest_four_stay() {
        let mut tail = Tail::from_the_start();
        for length in 1..=6 {
            tail.push(shape(length));
        }
        let lengths: Vec<u16> = tail.shapes().iter().map(|s| s.length).collect();
        assert_eq!(lengths, [3, 4, 5, 6]);
    }

    #[test]
    fn unseen_bytes_make_it_unknown_until_the_next_record() {
        let mut tail = Tail::from_the_start();
        tail.push(shape(1));
        tail.forget();
        assert!(!tail.known && tail.shapes().is_empty());
        tail.push(shape(2));
        assert!(tail.known && tail.shapes().len() == 1);
    }
}
