//! One direction of a connection: segments to bytes in order.
//!
//! Of bytes that came twice the first ones count, and what differs is counted. What the other end acknowledged and the
//! capture does not hold is a gap; what it never acknowledged never reached it.

use parser::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Bytes of one direction that wait for a lost segment: the window of a fast connection.
const WAITING: usize = 1 << 20;
/// Bytes that are held in all directions together. A capture with losses everywhere is none that can be read anyway.
const HELD_IN_ALL: usize = 32 << 20;
/// What keeping a piece costs beside its bytes.
const PIECE: usize = 64;
/// Delivered bytes of the opening that are kept, to be held against what is sent again.
const RECENT: usize = 16 << 10;
/// How long a segment that was acknowledged may be late in a capture: several queues of a network card are read in turn.
pub(super) const LATE: Duration = Duration::from_secs(1);
/// Pieces behind a gap after which the missing one is not late any more.
pub(super) const PIECES: usize = 64;

/// What a direction gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Data(&'a [u8]),
    /// So many bytes were sent that the capture does not hold.
    Missing(u64),
    /// Bytes were sent, and the capture holds nothing of this direction.
    Unseen,
}

/// Bytes kept by all directions.
#[derive(Debug, Default)]
pub(super) struct Held(pub(super) usize);

/// Places are counted from the first byte of the direction, which is 0; they never wrap, as sequence numbers do.
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// Sequence number of the byte that comes next.
    next: Option<u32>,
    /// Only the other end's acknowledgments tell that there is something.
    unseen: bool,
    /// Its place.
    pub(super) delivered: i64,
    waiting: BTreeMap<i64, Waiting>,
    /// Cost of `waiting` and `recent`.
    held: usize,
    /// The bytes before `delivered`, while all of the direction fits in.
    recent: Vec<u8>,
    /// Since when bytes are missing that the other end has.
    gap_since: Option<Timestamp>,
    /// Where the other end is.
    acknowledged: i64,
    /// Place of the FIN.
    fin: Option<i64>,
    finished: bool,
    /// Segments that held other bytes than before.
    pub(super) differing: u32,
    pub(super) missing: u64,
    /// What of `missing` was cut off the end of segments.
    pub(super) cut: u64,
}

#[derive(Debug)]
struct Waiting {
    bytes: Box<[u8]>,
    /// Bytes behind it that were not captured.
    cut: u32,
}

impl Direction {
    /// The SYN: the first byte comes after it.
    pub(super) fn begins_after(&mut self, syn: u32) {
        self.next.get_or_insert(syn.wrapping_add(1));
    }

    /// The place of a sequence number: at most 2 GiB ahead or behind. RFC 9293 3.4
    pub(super) fn place(&self, sequence: u32) -> Option<i64> {
        Some(self.delivered + i64::from(sequence.wrapping_sub(self.next?).cast_signed()))
    }

    /// Takes a segment, and gives what can be given now.
    pub(super) fn take(
        &mut self,
        sequence: u32,
        payload: &[u8],
        cut: u32,
        held: &mut Held,
        give: &mut impl FnMut(Piece<'_>),
    ) {
        self.next.get_or_insert(sequence);
        self.unseen = false;
        let Some(place) = self.place(sequence) else { return };
        self.compare(place, payload);
        if place <= self.delivered && self.waiting.is_empty() {
            self.deliver(place, payload, cut, held, give);
            return;
        }
        // Of the part that is new, what waits already came first.
        let old = usize::try_from(self.delivered - place).unwrap_or(0);
        let new = payload.get(old..).unwrap_or_default();
        while !self.keep(place.max(self.delivered), new, cut, held) {
            // Without room, what is missing will not come.
            let first = self.waiting.first_key_value().map_or(place, |(first, _)| *first);
            self.pass_over(first.min(place), held, give);
            self.drain(held, give);
            if place <= self.delivered {
                return self.deliver(place, payload, cut, held, give);
            }
        }
        self.drain(held, give);
    }

    /// Bytes before this sequence number have not come yet, or its FIN has not: the capture is behind. Not where it holds
    /// nothing of this direction at all, or where so much more would be missing than is ever under way.
    pub(super) fn lacks(&self, sequence: u32) -> bool {
        let ahead = self.place(sequence).map_or(0, |place| place - self.delivered - i64::from(self.finished));
        !self.unseen && (1..=WAITING as i64).contains(&ahead)
    }

    /// A segment of it, with a SYN or with bytes, has come.
    pub(super) fn has_begun(&self) -> bool {
        self.next.is_some() && !self.unseen
    }

    /// So much waits behind a gap that what is missing is not late any more.
    pub(super) fn is_torn(&self) -> bool {
        self.waiting.len() >= PIECES
    }

    /// The other end has everything before this sequence number.
    pub(super) fn acknowledge(
        &mut self,
        sequence: u32,
        at: Timestamp,
        held: &mut Held,
        give: &mut impl FnMut(Piece<'_>),
    ) {
        // Of a direction without any segment on record, what is acknowledged later was sent all the same.
        self.unseen |= self.next.is_none();
        self.next.get_or_insert(sequence);
        let Some(place) = self.place(sequence) else { return };
        self.acknowledged = self.acknowledged.max(place.min(self.fin.unwrap_or(place)));
        if self.acknowledged <= self.delivered {
            self.gap_since = None;
            return;
        }
        let since = *self.gap_since.get_or_insert(at);
        if at.since(since) >= LATE || self.is_torn() {
            self.close_gaps(held, give);
        }
    }

    /// The connection is over: what the other end had and the capture has not will not come any more.
    pub(super) fn close_gaps(&mut self, held: &mut Held, give: &mut impl FnMut(Piece<'_>)) {
        while self.acknowledged > self.delivered {
            let first = self.waiting.first_key_value().map_or(self.acknowledged, |(place, _)| *place);
            self.pass_over(first.min(self.acknowledged), held, give);
            self.drain(held, give);
        }
        self.gap_since = None;
    }

    /// A FIN that ends at this sequence number; whether it can be one of this direction, which has nothing behind its end.
    pub(super) fn fin(&mut self, sequence: u32) -> bool {
        let place = self.place(sequence).unwrap_or(self.delivered);
        let fits = place >= self.delivered && self.fin.is_none_or(|fin| place <= fin);
        if fits {
            self.fin = Some(place);
        }
        fits
    }

    /// True once: everything before the FIN was given.
    pub(super) fn finishes(&mut self) -> bool {
        if self.finished {
            return false;
        }
        // One that bytes lie behind is none of this direction.
        self.fin = self.fin.filter(|fin| *fin >= self.delivered);
        self.finished = self.fin == Some(self.delivered);
        self.finished
    }

    /// These bytes were sent before.
    pub(super) fn has(&self, place: i64, end: i64) -> bool {
        end <= self.delivered || self.waiting.get(&place).is_some_and(|piece| place + piece.bytes.len() as i64 >= end)
    }

    /// Where the other end is.
    pub(super) fn acknowledged(&self) -> i64 {
        self.acknowledged
    }

    /// Bytes that are held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Gives back what is held.
    pub(super) fn free(&mut self, held: &mut Held) {
        held.0 = held.0.saturating_sub(self.held);
        self.held = 0;
        self.waiting.clear();
        self.recent = Vec::new();
    }

    /// Everything up to `place` is given up.
    fn pass_over(&mut self, place: i64, held: &mut Held, give: &mut impl FnMut(Piece<'_>)) {
        let Ok(count) = u64::try_from(place - self.delivered) else { return };
        if count > 0 {
            give(if self.unseen { Piece::Unseen } else { Piece::Missing(count) });
            self.missing = self.missing.saturating_add(count);
            self.advance(count as i64);
            self.forget_recent(held);
        }
    }

    /// Gives what has become the next of what waits.
    fn drain(&mut self, held: &mut Held, give: &mut impl FnMut(Piece<'_>)) {
        while let Some(first) = self.waiting.first_entry().filter(|first| *first.key() <= self.delivered) {
            let (place, piece) = first.remove_entry();
            self.release(piece.bytes.len() + PIECE, held);
            self.deliver(place, &piece.bytes, piece.cut, held, give);
        }
    }

    /// Gives what is new of a piece that begins at or before what comes next.
    fn deliver(&mut self, place: i64, piece: &[u8], cut: u32, held: &mut Held, give: &mut impl FnMut(Piece<'_>)) {
        let old = usize::try_from(self.delivered - place).unwrap_or(usize::MAX);
        if let Some(new) = piece.get(old..).filter(|new| !new.is_empty()) {
            give(Piece::Data(new));
            self.advance(new.len() as i64);
            self.remember(new, held);
        }
        let before = self.missing;
        self.pass_over(place + piece.len() as i64 + i64::from(cut), held, give);
        self.cut = self.cut.saturating_add(self.missing - before);
    }

    fn advance(&mut self, count: i64) {
        self.delivered += count;
        self.next = self.next.map(|next| next.wrapping_add(count as u32));
    }

    fn remember(&mut self, new: &[u8], held: &mut Held) {
        let whole = self.recent.len() as i64 + new.len() as i64 == self.delivered;
        if whole && self.delivered <= RECENT as i64 && held.0 + new.len() <= HELD_IN_ALL {
            let before = self.recent.capacity();
            self.recent.extend_from_slice(new);
            let more = self.recent.capacity() - before;
            self.held += more;
            held.0 += more;
        } else {
            self.forget_recent(held);
        }
    }

    fn forget_recent(&mut self, held: &mut Held) {
        if !self.recent.is_empty() {
            self.release(self.recent.capacity(), held);
            self.recent = Vec::new();
        }
    }

    fn release(&mut self, count: usize, held: &mut Held) {
        self.held = self.held.saturating_sub(count);
        held.0 = held.0.saturating_sub(count);
    }

    /// Holds a piece against the bytes that were given before.
    fn compare(&mut self, place: i64, piece: &[u8]) {
        // A keep-alive: any byte that the other end has already. RFC 9293 3.8.4
        if piece.len() <= 1 && place + 1 == self.delivered {
            return;
        }
        let Ok(from) = usize::try_from(place) else { return };
        let Some(known) = self.recent.get(from..) else { return };
        let both = known.len().min(piece.len());
        self.differing += u32::from(known[..both] != piece[..both]);
    }

    /// Keeps what came too early, where nothing is kept yet. False without room for it.
    fn keep(&mut self, place: i64, payload: &[u8], cut: u32, held: &mut Held) -> bool {
        let end = place + payload.len() as i64;
        let mut from = place;
        let before = self.waiting.range(..place).next_back().map(|(place, _)| *place);
        let mut differs = false;
        let mut free: Vec<(i64, i64)> = Vec::new();
        for (&start, piece) in self.waiting.range(before.unwrap_or(place)..end.max(place + 1)) {
            let stop = start + piece.bytes.len() as i64;
            let (first, last) = (start.max(place), stop.min(end));
            if first < last {
                let of = |base: i64| (first - base) as usize..(last - base) as usize;
                differs |= piece.bytes[of(start)] != payload[of(place)];
            }
            if start > from {
                free.push((from, start.min(end)));
            }
            from = from.max(stop);
        }
        let only_cut = payload.is_empty() && cut > 0 && from == place && !self.waiting.contains_key(&place);
        if from < end || only_cut {
            free.push((from, end));
        }
        self.differing += u32::from(differs);
        let cost: usize = free.iter().map(|(from, to)| (to - from) as usize + PIECE).sum();
        if self.held + cost > WAITING || held.0 + cost > HELD_IN_ALL {
            return false;
        }
        for (from, to) in free {
            let bytes = payload[(from - place) as usize..(to - place) as usize].into();
            self.waiting.insert(from, Waiting { bytes, cut: if to == end { cut } else { 0 } });
        }
        self.held += cost;
        held.0 += cost;
        true
    }
}

#[cfg(test)]
mod tests;
