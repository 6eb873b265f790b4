//! A TLS-first connection: an RD Gateway leg, of which nothing inside can be read. What can be told is whether a whole
//! RDP session went through it.
//!
//! The RDP client inside joins its channels one by one, so a tunnel shows a run of records of one size, larger than the
//! same messages outside by the tunnel's framing (measured: mstsc 57 and 56 bytes, FreeRDP 50, 49 and 47). Client Info,
//! capabilities and drawing follow as records several times as big. The two-connection form shows one direction of it
//! on each connection. A refused gateway connection has neither: an HTTP exchange of a few records, then a close.
//!
//! RDP in a plain TLS tunnel, without a gateway, has smaller joins, and new clients join nothing at all. Its finalization
//! run shows through whatever is around it: Synchronize, and two Controls that are four bytes longer.

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
/// Synchronize, below all that is around it. [MS-RDPBCGR] 2.2.1.14.1
const SYNCHRONIZE: u16 = 36;
/// So much longer is a Control. [MS-RDPBCGR] 2.2.1.15.1
const CONTROL_LONGER_BY: u16 = 4;
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
    /// Lengths of the client's last two records.
    client_last: [u16; 2],
    /// The client has sent a [`BIG`] record: its capabilities go before its finalization run.
    client_big: bool,
    client_finalized: bool,
}

impl Gateway {
    /// One application record.
    pub(super) fn record(&mut self, from: Peer, length: u16, plain: Plain, at: Timestamp, progress: &mut Progress) {
        let big = plain.at_least(BIG);
        let drawn = from == Peer::Host && big && self.client_finalized;
        if from == Peer::Client {
            self.finalizes(length, plain);
            self.client_big |= big;
        }
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
        if self.joins > 0 && big {
            direction.big_after_joins = direction.big_after_joins.saturating_add(1);
        }
        if drawn || direction.big_after_joins >= BIG_AFTER_JOINS || direction.bytes >= SESSION_BYTES {
            progress.active.get_or_insert(at);
        }
    }

    /// Synchronize, Control, Control, in three records of the client.
    fn finalizes(&mut self, length: u16, plain: Plain) {
        let [before, last] = self.client_last;
        self.client_last = [last, length];
        let small = plain.at_least(SYNCHRONIZE + CONTROL_LONGER_BY) && plain.at_most(BIG);
        let run = last == length && before.checked_add(CONTROL_LONGER_BY) == Some(length);
        self.client_finalized |= self.client_big && small && run && plain.exact().is_some();
    }
}
