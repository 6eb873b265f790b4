//! What packets show beside their bytes: what was sent again, what was never acknowledged, who made a reset.

use super::direction::Direction;
use super::packet::Segment;
use super::path::PathReport;
use parser::Timestamp;
use parser::session::{PacketFacts, PathFacts, Peer, PerPeer, RepeatedSegment, ResetFacts, SentFacts};
use std::time::Duration;

/// Segments of a sender after which its TTL is known.
const USUAL: u32 = 3;
/// IP identifications of one sender that follow each other differ by no more, even on a host that talks to many.
const SMALL_STEP: u16 = 256;
/// A reset within so many of the last one may be its own.
const NEAR: u16 = 4_096;
/// One packet captured at two places comes twice within this time, with the same IP identification.
const TWICE: Duration = Duration::from_millis(5);
/// The same where there is no identification.
const TWICE_WITHOUT_ID: Duration = Duration::from_micros(100);

/// One connection, packet by packet. Of fixed size but for a few ICMP errors.
#[derive(Debug, Default)]
pub(super) struct Observed {
    syns: u16,
    first_syn: Option<Timestamp>,
    last_syn: Option<Timestamp>,
    syn_ack: Option<Timestamp>,
    client_ack: Option<Timestamp>,
    ends: [End; 2],
    path: Vec<PathFacts>,
}

/// What one end sent.
#[derive(Debug, Default)]
struct End {
    facts: SentFacts,
    /// Place behind the last byte that was sent.
    highest: i64,
    /// A segment of the largest size that waits for its acknowledgment: where it ends, and its length.
    large: Option<(i64, u32)>,
    repeated: Option<(i64, RepeatedSegment)>,
    heard: Option<Timestamp>,
    /// The last acknowledgment and window, and how often they came again.
    acknowledgment: (u32, u16),
    again: u32,
    hops: u8,
    hops_vary: bool,
    segments: u32,
    last_id: Option<u16>,
    small_steps: u32,
    other_steps: u32,
    reset: Option<ResetFacts>,
    last: Option<Last>,
}

/// What tells a packet from the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    sequence: u32,
    acknowledgment: u32,
    window: u16,
    length: u32,
    flags: [bool; 4],
    id: Option<u16>,
}

impl Observed {
    /// Notes a segment, before its bytes are taken. True when it is a packet that was captured twice.
    pub(super) fn segment(&mut self, segment: &Segment<'_>, from: Peer, directions: &[Direction; 2]) -> bool {
        let at = segment.at;
        let (end, other) = match (&mut self.ends, from) {
            ([client, host], Peer::Client) => (client, host),
            ([client, host], Peer::Host) => (host, client),
        };
        if end.is_twice(segment) {
            return true;
        }
        end.heard = Some(at);
        match (segment.syn, segment.ack) {
            (true, false) => {
                self.syns = self.syns.saturating_add(1);
                self.first_syn.get_or_insert(at);
                self.last_syn = Some(at);
            }
            (true, true) => _ = self.syn_ack.get_or_insert(at),
            (false, true) if from == Peer::Client && self.syn_ack.is_some() => _ = self.client_ack.get_or_insert(at),
            _ => {}
        }
        end.facts.mss = segment.mss.unwrap_or(end.facts.mss);
        if segment.rst {
            end.reset(segment);
            return false;
        }
        end.headers(segment);
        end.window(segment);
        let [own, others] = match from {
            Peer::Client => [&directions[0], &directions[1]],
            Peer::Host => [&directions[1], &directions[0]],
        };
        end.payload(segment, own);
        if segment.ack {
            end.asks_again(segment, other.highest > others.acknowledged());
            if let Some(place) = others.place(segment.acknowledgment) {
                other.acknowledged(place);
            }
        }
        false
    }

    /// Notes an ICMP error about a segment of `about`.
    pub(super) fn report(&mut self, report: &PathReport, about: Peer) {
        let facts = PathFacts { at: report.at, by: report.by, about, error: report.error };
        let known = self.path.iter().any(|known| PathFacts { at: facts.at, ..*known } == facts);
        if !known && self.path.len() < PacketFacts::MOST_REPORTS {
            self.path.push(facts);
        }
    }

    /// The reset of this end did nothing.
    pub(super) fn forget_reset(&mut self, peer: Peer) {
        self.ends[peer as usize].reset = None;
    }

    /// Client and host turned out to be each other.
    pub(super) fn turn(&mut self) {
        self.ends.swap(0, 1);
        self.path.iter_mut().for_each(|path| path.about = path.about.other());
    }

    /// All of it; `until`: how late it is.
    pub(super) fn facts(&mut self, directions: &[Direction; 2], until: Timestamp) -> PacketFacts {
        let heard = [self.ends[1].heard, self.ends[0].heard];
        for ((end, direction), heard) in self.ends.iter_mut().zip(directions).zip(heard) {
            end.facts.unacknowledged = u64::try_from(end.highest - direction.acknowledged()).unwrap_or(0);
            end.facts.repeated = end.repeated.map(|(_, repeated)| RepeatedSegment { heard, ..repeated });
            end.facts.missing = direction.missing;
            end.facts.cut = direction.cut;
            end.facts.differing = direction.differing;
        }
        let [client, host] = &self.ends;
        PacketFacts {
            syns: self.syns,
            first_syn: self.first_syn,
            last_syn: self.last_syn,
            syn_ack: self.syn_ack,
            client_ack: self.client_ack,
            until: Some(until),
            sent: PerPeer { client: client.facts, host: host.facts },
            reset: PerPeer { client: client.reset, host: host.reset },
            path: std::mem::take(&mut self.path),
        }
    }
}

impl End {
    fn is_twice(&mut self, segment: &Segment<'_>) -> bool {
        let now = Last {
            sequence: segment.sequence,
            acknowledgment: segment.acknowledgment,
            window: segment.window,
            length: segment.payload.len() as u32 + segment.cut,
            flags: [segment.syn, segment.ack, segment.fin, segment.rst],
            id: segment.ip_id.filter(|id| *id != 0),
        };
        let apart = segment.at.since(self.heard.unwrap_or_default());
        let limit = if now.id.is_some() { TWICE } else { TWICE_WITHOUT_ID };
        let twice = self.last == Some(now) && apart <= limit;
        self.last = Some(now);
        twice
    }

    fn headers(&mut self, segment: &Segment<'_>) {
        match self.segments {
            0 => self.hops = segment.hops,
            _ => self.hops_vary |= self.hops != segment.hops,
        }
        self.segments = self.segments.saturating_add(1);
        if let (Some(id), Some(last)) = (segment.ip_id, self.last_id) {
            let small = (1..=SMALL_STEP).contains(&id.wrapping_sub(last));
            *(if small { &mut self.small_steps } else { &mut self.other_steps }) += 1;
        }
        self.last_id = segment.ip_id;
        if let Some(reset) = &mut self.reset
            && reset.usual_hops == Some(segment.hops)
        {
            reset.went_on = reset.went_on.saturating_add(1);
        }
    }

    fn reset(&mut self, segment: &Segment<'_>) {
        let counts_up = self.small_steps >= USUAL && self.other_steps == 0;
        let strange_id = match (segment.ip_id, self.last_id) {
            (Some(id), Some(last)) if counts_up && id != 0 => !(1..=NEAR).contains(&id.wrapping_sub(last)),
            _ => false,
        };
        self.reset.get_or_insert(ResetFacts {
            at: segment.at,
            hops: segment.hops,
            usual_hops: (self.segments >= USUAL && !self.hops_vary).then_some(self.hops),
            strange_id,
            went_on: 0,
        });
    }

    fn window(&mut self, segment: &Segment<'_>) {
        if segment.window > 0 || segment.syn {
            self.facts.zero_window_since = None;
        } else if self.facts.zero_window_since.is_none() {
            self.facts.zero_window_since = Some(segment.at);
            self.facts.zero_windows = self.facts.zero_windows.saturating_add(1);
        }
    }

    fn payload(&mut self, segment: &Segment<'_>, direction: &Direction) {
        let length = segment.payload.len() as u32 + segment.cut;
        if length == 0 {
            return;
        }
        let start = segment.sequence.wrapping_add(u32::from(segment.syn));
        let place = direction.place(start).unwrap_or(0);
        let behind = place + i64::from(length);
        if length == 1 && behind == self.highest {
            return; // a keep-alive, or a window probe
        }
        self.facts.segments = self.facts.segments.saturating_add(1);
        self.facts.cut_packets = self.facts.cut_packets.saturating_add(u32::from(segment.cut > 0));
        self.facts.largest = self.facts.largest.max(length);
        if !direction.has(place, behind) {
            if length >= self.facts.largest && self.large.is_none_or(|(_, large)| length > large) {
                self.large = Some((behind, length));
            }
            self.highest = self.highest.max(behind);
            return;
        }
        self.facts.retransmits = self.facts.retransmits.saturating_add(1);
        let awaited = direction.acknowledged();
        if !(place..behind).contains(&awaited) {
            return;
        }
        let at = segment.at;
        match &mut self.repeated {
            Some((known, repeated)) if *known == place => {
                repeated.times = repeated.times.saturating_add(1);
                repeated.last = at;
            }
            _ => {
                self.repeated = Some((place, RepeatedSegment { length, times: 1, first: at, last: at, heard: None }));
            }
        }
    }

    /// The other end has everything before `place`.
    fn acknowledged(&mut self, place: i64) {
        if self.large.is_some_and(|(behind, _)| behind <= place)
            && let Some((_, length)) = self.large.take()
        {
            self.facts.largest_acknowledged = self.facts.largest_acknowledged.max(length);
        }
        if self.repeated.is_some_and(|(known, _)| known < place) {
            self.repeated = None;
        }
    }

    /// Counts acknowledgments that ask for the same byte again while more is on its way. RFC 5681 2
    fn asks_again(&mut self, segment: &Segment<'_>, more_on_its_way: bool) {
        let now = (segment.acknowledgment, segment.window);
        let bare = segment.payload.is_empty() && segment.cut == 0 && !segment.syn && !segment.fin;
        if bare && self.acknowledgment == now && more_on_its_way {
            self.again = self.again.saturating_add(1);
            self.facts.duplicate_acks = self.facts.duplicate_acks.max(self.again);
        } else {
            self.again = 0;
        }
        self.acknowledgment = now;
    }
}
