//! A TLS-first connection: an RD Gateway leg, of which nothing inside can be read. What can be told is whether a whole
//! RDP session went through it.
//!
//! The RDP client inside joins its channels one by one, so a tunnel shows a run of records of one size, larger than the
//! same messages outside by the tunnel's framing (measured: mstsc 57 and 56 bytes, FreeRDP 50, 49 and 47). Client Info,
//! capabilities and drawing follow as records several times as big. The two-connection form shows one direction of it
//! on each connection. A refused gateway connection has neither: an HTTP exchange of a few records, then a close.

use super::shapes::Plain;
use super::{Peer, PerPeer, Progress};
use crate::Timestamp;

/// Joins inside: the smallest is a bare inner record without tunnel framing, the largest has CBC on both layers.
const JOIN: core::ops::RangeInclusive<u16> = 40..=120;
/// Every client joins its user channel, the I/O channel and two or more static channels.
const JOINS: u8 = 4;
/// Client Info, licensing, capabilities and drawing.
const BIG: u16 = 150;
/// Big records of one peer after its joins: three are Client Info, capabilities and data, or licensing, capabilities and data.
const BIG_AFTER_JOINS: u8 = 3;
/// No refusal page is as long as this.
const SESSION_BYTES: u64 = 64 * 1024;

#[derive(Clone, Copy, Debug, Default)]
struct Direction {
    run_of: u16,
    run: u8,
    big_after_joins: u8,
    bytes: u64,
}

/// Follows one gateway connection after TLS.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gateway {
    direction: PerPeer<Direction>,
    joins: u8,
}

impl Gateway {
    /// One application record.
    pub(super) fn record(&mut self, from: Peer, length: u16, plain: Plain, at: Timestamp, progress: &mut Progress) {
        let direction = &mut self.direction[from];
        direction.bytes += u64::from(length);
        if direction.run_of == length {
            direction.run = direction.run.saturating_add(1);
        } else {
            (direction.run_of, direction.run) = (length, 1);
        }
        let join_sized = JOIN.contains(&length) && plain.at_least(*JOIN.start());
        if join_sized && direction.run >= JOINS {
            self.joins = self.joins.max(direction.run);
            progress.joins = self.joins;
        }
        if self.joins > 0 && plain.at_least(BIG) {
            direction.big_after_joins = direction.big_after_joins.saturating_add(1);
        }
        if direction.big_after_joins >= BIG_AFTER_JOINS || direction.bytes >= SESSION_BYTES {
            progress.active.get_or_insert(at);
        }
    }
}
