use super::*;

#[derive(Default)]
struct Seen {
    direction: Direction,
    held: Held,
    bytes: Vec<u8>,
    missing: Vec<u64>,
}

impl Seen {
    fn give(&mut self, act: impl FnOnce(&mut Direction, &mut Held, &mut dyn FnMut(Piece<'_>))) {
        let (bytes, missing) = (&mut self.bytes, &mut self.missing);
        act(&mut self.direction, &mut self.held, &mut |piece| match piece {
            Piece::Data(data) => bytes.extend(data),
            Piece::Missing(count) => missing.push(count),
            Piece::Unseen => missing.push(0),
        });
    }

    fn take(&mut self, sequence: u32, payload: &[u8]) {
        self.give(|direction, held, mut give| direction.take(sequence, payload, 0, held, &mut give));
    }

    fn acknowledge(&mut self, sequence: u32, at: u64) {
        self.give(|direction, held, mut give| direction.acknowledge(sequence, Timestamp(at), held, &mut give));
    }
}

#[test]
fn bytes_come_in_order_once_across_the_end_of_the_sequence_numbers() {
    let mut seen = Seen::default();
    for (sequence, payload) in [(u32::MAX - 1, &b"ab"[..]), (2, b"ef"), (u32::MAX, b"bcd"), (0, b"cdef")] {
        seen.take(sequence, payload);
    }
    assert_eq!((seen.bytes.as_slice(), seen.missing.len(), seen.direction.differing), (&b"abcdef"[..], 0, 0));
    seen.direction.free(&mut seen.held);
    assert_eq!(seen.held.0, 0);
}

#[test]
fn of_bytes_that_came_twice_the_first_count_and_differences_are_counted() {
    let mut seen = Seen::default();
    seen.take(0, b"ab");
    seen.take(0, b"aX");
    seen.take(5, b"fgh");
    seen.take(3, b"dYYYYij");
    assert_eq!(seen.direction.differing, 2);
    seen.take(2, b"ceZ");
    assert_eq!((seen.bytes.as_slice(), seen.direction.differing), (&b"abcdYfghij"[..], 3));
    seen.take(9, b"?");
    assert_eq!(seen.direction.differing, 3, "a keep-alive");
}

#[test]
fn what_the_other_end_has_and_the_capture_has_not_is_a_gap() {
    let mut seen = Seen::default();
    seen.take(0, b"ab");
    seen.take(5, b"f");
    seen.acknowledge(6, 0);
    assert_eq!(seen.missing, [0; 0], "it may be late");
    seen.acknowledge(6, 2_000_000_000);
    assert_eq!((seen.bytes.as_slice(), seen.missing.as_slice()), (&b"abf"[..], &[3][..]));
    seen.acknowledge(8, 3_000_000_000);
    seen.give(|direction, held, mut give| direction.close_gaps(held, &mut give));
    assert_eq!((seen.missing.as_slice(), seen.direction.delivered), (&[3, 2][..], 8));
}

#[test]
fn a_direction_that_the_capture_lacks_is_told_by_what_was_acknowledged() {
    let mut seen = Seen::default();
    seen.acknowledge(700, 0);
    seen.acknowledge(719, 1);
    seen.give(|direction, held, mut give| direction.close_gaps(held, &mut give));
    assert_eq!((seen.missing.as_slice(), seen.direction.missing), (&[0][..], 19));
}

#[test]
fn what_nobody_acknowledged_is_not_given_behind_a_gap() {
    let mut seen = Seen::default();
    seen.take(0, b"ab");
    seen.take(5, b"f");
    seen.acknowledge(2, 0);
    seen.give(|direction, held, mut give| direction.close_gaps(held, &mut give));
    assert_eq!((seen.bytes.as_slice(), seen.missing.len()), (&b"ab"[..], 0));
}

#[test]
fn what_was_cut_off_by_the_capture_is_missing_at_once() {
    let mut seen = Seen::default();
    seen.give(|direction, held, mut give| direction.take(0, b"ab", 3, held, &mut give));
    seen.take(5, b"f");
    assert_eq!((seen.bytes.as_slice(), seen.missing.as_slice()), (&b"abf"[..], &[3][..]));
    assert_eq!((seen.direction.missing, seen.direction.cut), (3, 3));
    seen.acknowledge(10, 0);
    seen.give(|direction, held, mut give| direction.close_gaps(held, &mut give));
    assert_eq!((seen.direction.missing, seen.direction.cut), (7, 3), "lost, not cut");
}

#[test]
fn what_waits_is_bounded_and_given_back() {
    let mut seen = Seen::default();
    seen.take(0, b"a");
    for n in 0..5_000 {
        seen.take(2 + n * 1_000, &[7; 1_000]);
        assert!(seen.held.0 <= WAITING, "{}", seen.held.0);
    }
    assert_eq!((seen.missing.as_slice(), seen.bytes.len()), (&[1][..], 5_000_001));
    seen.direction.free(&mut seen.held);
    assert_eq!(seen.held.0, 0);
}

#[test]
fn a_fin_is_told_when_all_before_it_was_given() {
    let mut seen = Seen::default();
    seen.take(0, b"ab");
    seen.direction.fin(4);
    assert!(!seen.direction.finishes());
    seen.take(2, b"cd");
    assert!(seen.direction.finishes() && !seen.direction.finishes());
}
