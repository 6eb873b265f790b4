//! An opening as packets: what was read, and when, in segments with headers of our making.
//!
//! The proxy ends two TCP connections, so there are two legs, and bytes that were read on one show again on the other;
//! where a bridge takes part each leg has its own, and there may be several connections to the host.
//! Addresses, ports, order, times and payload are those of the sockets; sequence numbers begin anywhere and are then
//! true to the byte; link addresses, TTL and windows mean nothing. What is not a packet (a time-out, a leg that the
//! kernel gave up) is a comment.

mod leg;

use super::pcapng::Packet;
use super::tape::{Carried, Happened, Mark, Passed, Stopped, Wire};
use super::words;
use crate::record::{SessionIdentity, SessionRecord};
use leg::{End, Flags, From, Leg};
use parser::Timestamp;
use parser::session::{CloseKind, Closer, ConnectFailure, Peer, PerPeer, Timeline, Upstream};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Interface of the client's leg.
pub(crate) const CLIENT_LEG: u32 = 0;
/// Interface of the host's leg.
pub(crate) const HOST_LEG: u32 = 1;

/// Locally administered link addresses: client, proxy, host. IEEE 802 8.4
const LINK: [[u8; 6]; 3] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 3]];
/// A segment may have so many bytes of payload. RFC 9293 3.7.1; loopback announces the most.
const SEGMENT: std::ops::RangeInclusive<u32> = 536..=65_483;
/// RFC 6335 6
const FIRST_DYNAMIC_PORT: u16 = 49_152;
/// On an Ethernet, where the kernel has not said.
const USUAL_SEGMENT: u32 = 1_440;

/// The packets of a session, and which of them decided.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    pub(crate) packets: Vec<Packet>,
    /// Where a reader should look: the first clear alert or refusal, and the first close.
    pub(crate) decisive: Vec<usize>,
}

/// Makes the packets. `wires` is what crossed each leg, with nothing in it that may not be shown.
pub(crate) fn packets(record: &SessionRecord, passed: &Passed, wires: &[Wire]) -> Packets {
    let (identity, timeline) = (&*record.identity, &record.timeline);
    let mut writer = Writer::new(identity, timeline, passed);
    let mut rest = Rest::of(wires);
    writer.open_client_leg(identity.accepted);
    for (mark, read) in passed.events() {
        let [own, other] = mark.what.crosses().map(|crossed| rest.take(crossed, read.len()));
        match mark.what {
            Happened::Data(from, _) => {
                writer.read(from, own, mark.at);
                writer.pass_on(from.other(), other, mark.at);
            }
            Happened::Read(from, _) => writer.read(from, own, mark.at),
            Happened::Sent(to, _) => writer.sent(to, own, mark.at),
            Happened::Resolving => {}
            Happened::Connecting(number) => writer.connecting(usize::from(number), mark.at),
            Happened::Connected => writer.connected(mark.at),
            Happened::Host(number) => {
                rest.host = usize::from(number);
                writer.turn_to(usize::from(number), mark.at);
            }
            Happened::HostEnded(kind) => writer.host_ended(kind, mark.at),
            Happened::HungUp(number) => writer.hung_up(usize::from(number), mark.at),
            Happened::Failed => writer.not_connected(mark.at),
            Happened::Closed(by, kind) => writer.closed(by, kind, mark),
        }
    }
    writer.out
}

/// What of each wire is still to come.
struct Rest<'w> {
    wires: Vec<PerPeer<&'w [u8]>>,
    /// The connection to the host.
    host: usize,
}

impl<'w> Rest<'w> {
    fn of(wires: &'w [Wire]) -> Rest<'w> {
        let wires = wires.iter().map(|wire| PerPeer { client: &wire.client[..], host: &wire.host[..] });
        Rest { wires: wires.collect(), host: 0 }
    }

    fn take(&mut self, crossed: Option<(Peer, Peer)>, length: usize) -> &'w [u8] {
        let Some((leg, side)) = crossed else { return &[] };
        let number = if leg == Peer::Client { 0 } else { 1 + self.host };
        let Some(rest) = self.wires.get_mut(number).map(|wire| &mut wire[side]) else { return &[] };
        let (bytes, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        *rest = after;
        bytes
    }
}

struct Writer<'a> {
    timeline: &'a Timeline,
    passed: &'a Passed,
    client: Leg,
    host: Option<Leg>,
    /// Its number, and the other connections to the host with theirs.
    number: usize,
    others: Vec<(usize, Leg)>,
    /// What the client said before the host was connected.
    early: Vec<u8>,
    /// Comments on what was read of a peer at a time.
    remarks: HashMap<(Peer, Timestamp), String>,
    /// Bytes of each leg that were not kept, until a packet has said so.
    missing: Option<Carried>,
    closed: bool,
    /// First sequence numbers.
    begin: [u32; 4],
    out: Packets,
}

impl<'a> Writer<'a> {
    fn new(identity: &SessionIdentity, timeline: &'a Timeline, passed: &'a Passed) -> Writer<'a> {
        // Any numbers do; those of one session should not be those of another.
        let id = identity.id.as_u128();
        let begin = [id as u32, (id >> 32) as u32, (id >> 48) as u32, (id >> 16) as u32];
        let far = End { link: LINK[0], address: identity.client, next: begin[0], finished: false };
        let near = End { link: LINK[1], address: identity.local, next: begin[1], finished: false };
        let segment = segment(timeline, Peer::Client);
        let missing = passed.missing(super::unseen(timeline, passed));
        Writer {
            timeline,
            passed,
            client: Leg { interface: CLIENT_LEG, segment, far, near, established: false, dead: false },
            host: None,
            number: 0,
            others: Vec::new(),
            early: Vec::new(),
            remarks: words::remarks(timeline),
            missing: (missing != Carried::default()).then_some(missing),
            closed: false,
            begin,
            out: Packets::default(),
        }
    }

    /// It was complete when it was accepted.
    fn open_client_leg(&mut self, at: Timestamp) {
        self.client.shake(Some(at), at, &mut self.out.packets);
    }

    fn connecting(&mut self, number: usize, at: Timestamp) {
        let Some(address) = self.passed.addresses.get(number).copied() else { return };
        let local = self.passed.locals.first().copied().flatten().filter(|_| self.is_connected_to(number));
        let local = local.unwrap_or_else(|| stand_in(address.ip(), number));
        let mut leg = self.host_leg(address, local, 0);
        leg.send(From::Near, Flags { syn: true, ..Flags::default() }, &[], at, &mut self.out.packets);
        self.host = Some(leg);
        if !self.is_connected_to(number) {
            let reported =
                matches!(self.timeline.upstream, Upstream::ConnectFailed { address: of, .. } if of == address);
            let text = if reported { words::not_connected(&self.timeline.upstream) } else { None };
            let text = text.unwrap_or_else(|| format!("No connection to {address} came of this."));
            self.remark(format!("{text} Our own address and port are not known: {local} stands for them."));
        }
    }

    /// Connection `number` to the host.
    fn host_leg(&self, address: SocketAddr, local: SocketAddr, number: usize) -> Leg {
        let apart = (number as u32).wrapping_mul(0x1357_9bdf);
        let end = |link, address, begin: u32| {
            let (address, next) = (canonical(address), begin.wrapping_add(apart));
            End { link, address, next, finished: false }
        };
        let (far, near) = (end(LINK[2], address, self.begin[3]), end(LINK[1], local, self.begin[2]));
        let segment = segment(self.timeline, Peer::Host);
        Leg { interface: HOST_LEG, segment, far, near, established: false, dead: false }
    }

    /// The connection of this number is the one to the host from here on; one that is new is made now.
    fn turn_to(&mut self, number: usize, at: Timestamp) {
        let known = self.others.iter().position(|(other, _)| *other == number);
        let known = known.map(|place| self.others.swap_remove(place).1);
        let before = self.host.take().map(|leg| (self.number, leg));
        self.others.extend(before);
        self.number = number;
        let address = match self.timeline.upstream {
            Upstream::Connected(address) => Some(address),
            _ => None,
        };
        self.host = known.or_else(|| {
            let address = address?;
            let local = self.passed.locals.get(number).copied().flatten();
            let mut leg = self.host_leg(address, local.unwrap_or_else(|| stand_in(address.ip(), number)), number);
            leg.shake(Some(at), at, &mut self.out.packets);
            Some(leg)
        });
    }

    /// What the host did to its connection, before anybody was told.
    fn host_ended(&mut self, kind: CloseKind, at: Timestamp) {
        let Some(leg) = &mut self.host else { return };
        match kind {
            CloseKind::Fin => leg.finish(From::Far, at, &mut self.out.packets),
            CloseKind::Rst => leg.reset(From::Far, at, &mut self.out.packets),
            CloseKind::Timeout | CloseKind::Error => leg.dead = true,
        }
    }

    /// We need that connection to the host no more.
    fn hung_up(&mut self, number: usize, at: Timestamp) {
        let other = self.others.iter_mut().find(|(other, _)| *other == number).map(|(_, leg)| leg);
        let leg = other.or(self.host.as_mut().filter(|_| self.number == number));
        if let Some(leg) = leg.filter(|leg| leg.is_open()) {
            leg.finish(From::Near, at, &mut self.out.packets);
        }
    }

    fn connected(&mut self, at: Timestamp) {
        let Some(leg) = &mut self.host else { return };
        leg.shake(None, at, &mut self.out.packets);
        let early = std::mem::take(&mut self.early);
        leg.bytes(From::Near, &early, at, &mut self.out.packets);
    }

    fn not_connected(&mut self, at: Timestamp) {
        let answered = match &self.timeline.upstream {
            Upstream::ConnectFailed { failure, .. } => {
                matches!(failure, ConnectFailure::Refused | ConnectFailure::Reset)
            }
            _ => false,
        };
        if let Some(leg) = self.host.as_mut().filter(|_| answered) {
            leg.reset(From::Far, at, &mut self.out.packets);
            self.decisive();
        }
    }

    fn read(&mut self, from: Peer, bytes: &[u8], at: Timestamp) {
        let packets = &mut self.out.packets;
        match from {
            Peer::Client => self.client.bytes(From::Far, bytes, at, packets),
            Peer::Host => _ = self.host.as_mut().map(|leg| leg.bytes(From::Far, bytes, at, packets)),
        }
        self.remark_on(from, at);
    }

    fn pass_on(&mut self, to: Peer, bytes: &[u8], at: Timestamp) {
        match to {
            Peer::Host if !self.host.as_ref().is_some_and(Leg::is_open) => self.early.extend_from_slice(bytes),
            _ => self.send(to, bytes, at),
        }
    }

    /// What a client is sent by a bridge is all it hears of the host.
    fn sent(&mut self, to: Peer, bytes: &[u8], at: Timestamp) {
        self.send(to, bytes, at);
        if to == Peer::Client {
            self.remark_on(Peer::Host, at);
        }
    }

    fn send(&mut self, to: Peer, bytes: &[u8], at: Timestamp) {
        let packets = &mut self.out.packets;
        match to {
            Peer::Client => self.client.bytes(From::Near, bytes, at, packets),
            Peer::Host => _ = self.host.as_mut().map(|leg| leg.bytes(From::Near, bytes, at, packets)),
        }
    }

    fn remark_on(&mut self, from: Peer, at: Timestamp) {
        if let Some(remark) = self.remarks.remove(&(from, at)) {
            self.remark(remark);
            self.decisive();
        }
    }

    fn closed(&mut self, by: Closer, kind: CloseKind, mark: Mark) {
        self.pass_over_what_is_missing();
        let text = words::closed(by, kind, self.timeline, !self.closed);
        let before = self.out.packets.len();
        let at = mark.at;
        let packets = &mut self.out.packets;
        let (own, other) = match by {
            Closer::Client => (Some(&mut self.client), self.host.as_mut()),
            Closer::Host => (self.host.as_mut(), Some(&mut self.client)),
            // The client gets RST, or FIN behind an alert of ours; the host what a client that gives up sends.
            Closer::Proxy => {
                match kind {
                    CloseKind::Fin => self.client.finish(From::Near, at, packets),
                    _ => self.client.reset(From::Near, at, packets),
                }
                if let Some(leg) = self.host.as_mut().filter(|leg| leg.is_open()) {
                    leg.finish(From::Near, at, packets);
                }
                (None, None)
            }
        };
        if let Some(leg) = own {
            match kind {
                CloseKind::Fin => leg.finish(From::Far, at, packets),
                CloseKind::Rst => leg.reset(From::Far, at, packets),
                // Nothing came: that is what ended it.
                CloseKind::Timeout | CloseKind::Error => leg.dead = true,
            }
        }
        if let Some(leg) = other.filter(|leg| leg.is_open()) {
            match kind {
                CloseKind::Fin => leg.finish(From::Near, at, packets),
                _ => leg.reset(From::Near, at, packets),
            }
        }
        // A leg that fell silent has no packet for it.
        let told = if packets.len() > before { before } else { before.saturating_sub(1) };
        if let Some(packet) = packets.get_mut(told) {
            packet.comments.push(text);
            if !std::mem::replace(&mut self.closed, true) {
                self.out.decisive.push(told);
            }
        }
    }

    /// Sequence numbers go on as if it were there.
    fn pass_over_what_is_missing(&mut self) {
        let Some(missing) = self.missing.take().filter(|_| self.passed.stopped.is_some()) else { return };
        let Carried { client_leg, host_leg } = missing;
        self.client.far.next = self.client.far.next.wrapping_add(client_leg.client as u32);
        self.client.near.next = self.client.near.next.wrapping_add(client_leg.host as u32);
        if let Some(leg) = self.host.as_mut().filter(|leg| leg.established) {
            leg.near.next = leg.near.next.wrapping_add(host_leg.client as u32);
            leg.far.next = leg.far.next.wrapping_add(host_leg.host as u32);
        }
        let why = match self.passed.stopped {
            Some(Stopped::Full) => "max_bytes_per_session was reached",
            _ => "the proxy could not read on",
        };
        self.remark(format!(
            "After this {} bytes of the client and {} bytes of the host are not in the file: {why}.",
            client_leg.client, client_leg.host
        ));
    }

    fn is_connected_to(&self, number: usize) -> bool {
        let last = number + 1 == self.passed.addresses.len();
        last && matches!(self.timeline.upstream, Upstream::Connected(_))
    }

    /// On the packet before.
    fn remark(&mut self, text: String) {
        if let Some(packet) = self.out.packets.last_mut() {
            packet.comments.push(text);
        }
    }

    /// The packet before.
    fn decisive(&mut self) {
        self.out.decisive.push(self.out.packets.len().saturating_sub(1));
    }
}

fn segment(timeline: &Timeline, leg: Peer) -> usize {
    let known = timeline.tcp[leg].map(|tcp| tcp.mss).filter(|mss| *mss > 0).unwrap_or(USUAL_SEGMENT);
    known.clamp(*SEGMENT.start(), *SEGMENT.end()) as usize
}

/// Our end of a connection that came to nothing, of which the kernel forgets what it was: an address for documentation
/// (RFC 5737, RFC 3849), and a port of its own for each try.
fn stand_in(to: IpAddr, number: usize) -> SocketAddr {
    let ip = match to.to_canonical() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    };
    SocketAddr::new(ip, FIRST_DYNAMIC_PORT.saturating_add(u16::try_from(number).unwrap_or(u16::MAX)))
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests;
