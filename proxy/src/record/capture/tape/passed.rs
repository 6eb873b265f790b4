//! What passed: bytes and what happened between them, in order; and which of the bytes crossed which leg.

use super::super::reveal::Keys;
use parser::Timestamp;
use parser::session::{CloseKind, Closer, Peer, PerPeer};
use std::net::SocketAddr;
use std::sync::Arc;

/// What passed, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passed {
    /// What was read of both peers, one read after the other.
    pub(super) bytes: Vec<u8>,
    pub(super) marks: Vec<Mark>,
    /// Addresses of the host in the order in which they were tried.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Our own address of each connection to the host.
    pub(crate) locals: Vec<Option<SocketAddr>>,
    /// Bytes of each leg, those that were not kept included.
    pub(super) carried: Carried,
    /// The secrets of both legs of a bridge, where they may be kept.
    pub(crate) keys: Option<Arc<Keys>>,
    /// Why later bytes are not here.
    pub(crate) stopped: Option<Stopped>,
}

/// Bytes that crossed each leg: from the client's side (`client`) and from the host's side (`host`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// The client's leg.
    pub(crate) client_leg: PerPeer<u64>,
    /// The host's leg: of several connections the last one.
    pub(crate) host_leg: PerPeer<u64>,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) at: Timestamp,
    pub(crate) what: Happened,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// So many bytes were read from this peer, and passed on as they were.
    Data(Peer, u32),
    /// So many bytes were read from this peer. Where a bridge takes part, what the other one is sent is told by itself.
    Read(Peer, u32),
    /// So many bytes were sent to this peer.
    Sent(Peer, u32),
    /// The host's name was being looked up.
    Resolving,
    /// The address of this number was being connected.
    Connecting(u8),
    /// It was connected.
    Connected,
    /// The connection of this number is the one to the host from here on; the first is 0.
    Host(u8),
    /// The host ended its connection, and nobody was told yet.
    HostEnded(CloseKind),
    /// We closed the connection to the host of this number.
    HungUp(u8),
    /// There is no way to the host.
    Failed,
    /// A socket ended.
    Closed(Closer, CloseKind),
}

/// Why bytes are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// `max_bytes_per_session` was reached.
    Full,
    /// The tracker could not read on: what came later is not known to be an opening.
    Unread,
    /// The opening budget had no memory to spare; nothing is kept.
    Budget,
    /// The session was up, or was watched for long enough; nothing is kept.
    Released,
}

impl Stopped {
    /// As a file says it, of those with bytes to say it of.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Stopped::Full => Some("full"),
            Stopped::Unread => Some("unread"),
            Stopped::Budget | Stopped::Released => None,
        }
    }
}

/// Both directions of one leg.
pub(crate) type Wire = PerPeer<Vec<u8>>;

impl Happened {
    /// Which legs its bytes crossed, and from whose side they came.
    pub(crate) fn crosses(self) -> [Option<(Peer, Peer)>; 2] {
        match self {
            Happened::Data(from, _) => [Some((from, from)), Some((from.other(), from))],
            Happened::Read(from, _) => [Some((from, from)), None],
            Happened::Sent(to, _) => [Some((to, to.other())), None],
            _ => [None; 2],
        }
    }
}

impl Carried {
    pub(super) fn count(&mut self, what: Happened, bytes: u64) {
        for (leg, side) in what.crosses().into_iter().flatten() {
            let leg = if leg == Peer::Client { &mut self.client_leg } else { &mut self.host_leg };
            leg[side] += bytes;
        }
    }
}

impl Passed {
    /// What happened, in order; data with its bytes.
    pub(crate) fn events(&self) -> impl Iterator<Item = (Mark, &[u8])> {
        let mut rest = &self.bytes[..];
        self.marks.iter().map(move |mark| match mark.what {
            Happened::Data(_, length) | Happened::Read(_, length) | Happened::Sent(_, length) => {
                let (bytes, after) = rest.split_at_checked(length as usize).unwrap_or((rest, &[]));
                rest = after;
                (*mark, bytes)
            }
            _ => (*mark, &[][..]),
        })
    }

    /// What crossed each leg, in order: first the client's, then one for each connection to the host. `client` is what came
    /// from the client's side, `host` what came from the host's.
    pub(crate) fn wires(&self) -> Vec<Wire> {
        let mut wires = vec![Wire::default(); 1 + self.locals.len().max(1)];
        let mut host = 1;
        for (mark, bytes) in self.events() {
            if let Happened::Host(number) = mark.what {
                host = (1 + usize::from(number)).min(wires.len() - 1);
            }
            for (leg, side) in mark.what.crosses().into_iter().flatten() {
                let wire = &mut wires[if leg == Peer::Client { 0 } else { host }];
                wire[side].extend_from_slice(bytes);
            }
        }
        wires
    }

    /// Bytes of the client's leg that are here.
    pub(crate) fn lengths(&self) -> PerPeer<u64> {
        let mut kept = Carried::default();
        for (mark, bytes) in self.events() {
            kept.count(mark.what, bytes.len() as u64);
        }
        kept.client_leg
    }

    /// Bytes that crossed, of which a relay in one piece carried `unseen` past us.
    pub(crate) fn carried(&self, unseen: PerPeer<u64>) -> Carried {
        let mut carried = self.carried;
        for side in [Peer::Client, Peer::Host] {
            carried.client_leg[side] += unseen[side];
            carried.host_leg[side] += unseen[side];
        }
        carried
    }

    /// Bytes that crossed and are not here.
    pub(crate) fn missing(&self, unseen: PerPeer<u64>) -> Carried {
        let (carried, mut kept) = (self.carried(unseen), Carried::default());
        for (mark, bytes) in self.events() {
            if matches!(mark.what, Happened::Host(_)) {
                kept.host_leg = PerPeer::default();
            }
            kept.count(mark.what, bytes.len() as u64);
        }
        let less = |all: PerPeer<u64>, some: PerPeer<u64>| PerPeer {
            client: all.client.saturating_sub(some.client),
            host: all.host.saturating_sub(some.host),
        };
        Carried {
            client_leg: less(carried.client_leg, kept.client_leg),
            host_leg: less(carried.host_leg, kept.host_leg),
        }
    }

    /// The legs carried each its own: a bridge had a hand in it.
    pub(crate) fn is_apart(&self) -> bool {
        self.marks.iter().any(|mark| matches!(mark.what, Happened::Read(..) | Happened::Sent(..)))
    }

    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.marks.len() * size_of::<Mark>()
    }
}
