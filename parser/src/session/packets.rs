//! What only a packet capture shows of a connection: a relay sees bytes, a capture also sees how they travelled.

use super::{Peer, PerPeer};
use crate::Timestamp;
use core::fmt;
use std::net::IpAddr;

/// What packets show, beside the bytes in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacketFacts {
    /// How often the client sent its SYN.
    pub syns: u16,
    /// When the first SYN of the client was captured.
    pub first_syn: Option<Timestamp>,
    /// When the last one was.
    pub last_syn: Option<Timestamp>,
    /// When the host's SYN ACK was.
    pub syn_ack: Option<Timestamp>,
    /// When the client acknowledged that.
    pub client_ack: Option<Timestamp>,
    /// How late it was by the clock of the capture when nothing more was awaited of this connection.
    pub until: Option<Timestamp>,
    /// What each end sent.
    pub sent: PerPeer<SentFacts>,
    /// The first RST of each end.
    pub reset: PerPeer<Option<ResetFacts>>,
    /// What the network said about segments of this connection; at most [`PacketFacts::MOST_REPORTS`].
    pub path: Vec<PathFacts>,
}

impl PacketFacts {
    /// ICMP errors that are kept: a router repeats itself for every segment.
    pub const MOST_REPORTS: usize = 4;
}

/// Segments of one end. Sizes in bytes of payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentFacts {
    /// Segments with payload.
    pub segments: u32,
    /// Those that had been sent before, keep-alives left out.
    pub retransmits: u32,
    /// The largest segment.
    pub largest: u32,
    /// The largest segment that the other end has acknowledged.
    pub largest_acknowledged: u32,
    /// Bytes that were sent and not acknowledged when the record ended.
    pub unacknowledged: u64,
    /// The segment at the other end's acknowledgment, when it was sent again and never acknowledged.
    pub repeated: Option<RepeatedSegment>,
    /// The longest row of acknowledgments in which this end asked for the same byte again.
    pub duplicate_acks: u32,
    /// How often this end closed its receive window.
    pub zero_windows: u32,
    /// Since when its window was closed when the record ended.
    pub zero_window_since: Option<Timestamp>,
    /// Bytes that were sent and are not in the capture.
    pub missing: u64,
    /// Those of them that were cut off the end of packets, as the capture was told to take only so much of each
    /// (`tcpdump -s`).
    pub cut: u64,
    /// Packets that were cut so.
    pub cut_packets: u32,
    /// Segments that were sent again with other bytes than before.
    pub differing: u32,
    /// Largest segment this end takes, as its SYN announces; 0 without one.
    pub mss: u16,
}

/// A segment that did not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepeatedSegment {
    /// Its bytes of payload.
    pub length: u32,
    /// How often it was sent again.
    pub times: u16,
    /// When it was first sent, as far as the capture shows.
    pub first: Timestamp,
    /// When it was sent last.
    pub last: Timestamp,
    /// When the other end was last heard of; before `first`: it was silent all the while.
    pub heard: Option<Timestamp>,
}

/// A RST against what its sender had sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetFacts {
    /// When.
    pub at: Timestamp,
    /// Its TTL or hop limit.
    pub hops: u8,
    /// That of all earlier segments of its sender, when there were three or more and all had the same.
    pub usual_hops: Option<u8>,
    /// Its sender counts IP identifications up in small steps, and this one is out of line.
    pub strange_id: bool,
    /// Segments that its sender sent after it, with the usual TTL.
    pub went_on: u32,
}

impl ResetFacts {
    /// Another machine than its sender made it: its TTL says that it came another way. One hop more or less may be a
    /// route that changed.
    #[must_use]
    pub fn is_forged(&self) -> bool {
        self.usual_hops.is_some_and(|usual| usual.abs_diff(self.hops) > 1)
    }
}

/// One ICMP error about a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathFacts {
    /// When it was captured.
    pub at: Timestamp,
    /// The machine that said so.
    pub by: IpAddr,
    /// Who had sent the segment.
    pub about: Peer,
    /// What was wrong.
    pub error: PathError,
}

/// What an ICMP error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// No route to the network. RFC 792 type 3 code 0, RFC 4443 type 1 code 0
    NoNetwork,
    /// The host cannot be reached, or another reason that is rare. RFC 792 type 3 code 1
    NoHost,
    /// Nothing listens there, or a filter says so in its place. RFC 792 type 3 code 3, RFC 4443 type 1 code 4
    PortClosed,
    /// A filter on the way forbids it. RFC 1812 5.2.7.1 codes 9, 10, 13
    Prohibited,
    /// Too large for the next link, and not to be fragmented. RFC 1191, RFC 4443 type 2
    TooBig {
        /// What would fit, in bytes of IP packet; 0 when it was not said.
        mtu: u32,
    },
    /// Hops were used up: a loop. RFC 792 type 11
    TooFar,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathError::NoNetwork => f.write_str("network unreachable"),
            PathError::NoHost => f.write_str("host unreachable"),
            PathError::PortClosed => f.write_str("port unreachable"),
            PathError::Prohibited => f.write_str("administratively prohibited"),
            PathError::TooBig { mtu: 0 } => f.write_str("packet too big"),
            PathError::TooBig { mtu } => write!(f, "packet too big (MTU {mtu} bytes)"),
            PathError::TooFar => f.write_str("time to live exceeded"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hop_is_a_route_and_two_are_another_machine() {
        let reset = |hops, usual_hops| ResetFacts { at: Timestamp(0), hops, usual_hops, strange_id: false, went_on: 0 };
        assert!(!reset(63, Some(64)).is_forged() && !reset(64, None).is_forged());
        assert!(reset(62, Some(64)).is_forged() && reset(255, Some(116)).is_forged());
    }
}
