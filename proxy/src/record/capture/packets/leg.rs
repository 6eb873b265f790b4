//! One TCP connection as packets: its segments with headers of our making, numbered to the byte.

use super::super::pcapng::Packet;
use super::CLIENT_LEG;
use etherparse::{IpHeaders, IpNumber, Ipv4Header, Ipv6Header, PacketBuilder, TcpHeader, TcpOptionElement};
use parser::Timestamp;
use std::net::{IpAddr, SocketAddr};

const TTL: u8 = 64;
/// With [`WINDOW_SCALE`] 8 MiB: nothing in an opening ever waits for it.
const WINDOW: u16 = u16::MAX;
const WINDOW_SCALE: u8 = 7;

/// One end of a leg.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) link: [u8; 6],
    pub(super) address: SocketAddr,
    /// Sequence number of what it sends next.
    pub(super) next: u32,
    pub(super) finished: bool,
}

/// One TCP connection. `far` is the peer, `near` is us.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) interface: u32,
    pub(super) segment: usize,
    pub(super) far: End,
    pub(super) near: End,
    /// Its handshake is through.
    pub(super) established: bool,
    /// Reset by one of them.
    pub(super) dead: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Far,
    Near,
}

/// What a segment says beside its payload.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) syn: bool,
    pub(super) ack: bool,
    pub(super) psh: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
}

impl Leg {
    /// SYN (unless it was sent before), SYN ACK, ACK.
    pub(super) fn shake(&mut self, syn: Option<Timestamp>, at: Timestamp, packets: &mut Vec<Packet>) {
        // The client opens its leg, we open the host's.
        let (opener, other) =
            if self.interface == CLIENT_LEG { (From::Far, From::Near) } else { (From::Near, From::Far) };
        if let Some(syn) = syn {
            self.send(opener, Flags { syn: true, ..Flags::default() }, &[], syn, packets);
        }
        self.send(other, Flags { syn: true, ack: true, ..Flags::default() }, &[], at, packets);
        self.send(opener, Flags { ack: true, ..Flags::default() }, &[], at, packets);
        self.established = true;
    }

    pub(super) fn is_open(&self) -> bool {
        self.established && !self.dead
    }

    pub(super) fn bytes(&mut self, from: From, bytes: &[u8], at: Timestamp, packets: &mut Vec<Packet>) {
        let sender = if from == From::Far { self.far } else { self.near };
        if self.dead || sender.finished {
            return;
        }
        let segments = bytes.chunks(self.segment);
        let last = segments.len().saturating_sub(1);
        for (number, segment) in segments.enumerate() {
            let flags = Flags { ack: true, psh: number == last, ..Flags::default() };
            self.send(from, flags, segment, at, packets);
        }
    }

    pub(super) fn finish(&mut self, from: From, at: Timestamp, packets: &mut Vec<Packet>) {
        let sender = if from == From::Far { &mut self.far } else { &mut self.near };
        if self.dead || std::mem::replace(&mut sender.finished, true) {
            return;
        }
        self.send(from, Flags { ack: true, fin: true, ..Flags::default() }, &[], at, packets);
        let other = if from == From::Far { From::Near } else { From::Far };
        self.send(other, Flags { ack: true, ..Flags::default() }, &[], at, packets);
    }

    pub(super) fn reset(&mut self, from: From, at: Timestamp, packets: &mut Vec<Packet>) {
        if !std::mem::replace(&mut self.dead, true) {
            self.send(from, Flags { ack: true, rst: true, ..Flags::default() }, &[], at, packets);
        }
    }

    pub(super) fn send(&mut self, from: From, flags: Flags, payload: &[u8], at: Timestamp, packets: &mut Vec<Packet>) {
        let (sender, receiver) = match from {
            From::Far => (&mut self.far, &self.near),
            From::Near => (&mut self.near, &self.far),
        };
        let mut tcp = TcpHeader::new(sender.address.port(), receiver.address.port(), sender.next, WINDOW);
        (tcp.syn, tcp.ack, tcp.psh, tcp.fin, tcp.rst) = (flags.syn, flags.ack, flags.psh, flags.fin, flags.rst);
        tcp.acknowledgment_number = if flags.ack { receiver.next } else { 0 };
        if flags.rst {
            tcp.window_size = 0;
        }
        if flags.syn {
            let segment = u16::try_from(self.segment).unwrap_or(u16::MAX);
            let options = [TcpOptionElement::MaximumSegmentSize(segment), TcpOptionElement::WindowScale(WINDOW_SCALE)];
            // Seven bytes of the forty that there are.
            let _ = tcp.set_options(&options);
        }
        let used = payload.len() as u32 + u32::from(flags.syn) + u32::from(flags.fin);
        sender.next = sender.next.wrapping_add(used);
        packets.push(Packet {
            at,
            interface: self.interface,
            outbound: from == From::Near,
            frame: frame(sender, receiver, tcp, payload),
            comments: Vec::new(),
        });
    }
}

/// Ethernet, IP and TCP around a payload, with their checksums.
fn frame(sender: &End, receiver: &End, tcp: TcpHeader, payload: &[u8]) -> Vec<u8> {
    let ip = match (sender.address.ip(), receiver.address.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = Ipv4Header { time_to_live: TTL, protocol: IpNumber::TCP, ..Ipv4Header::default() };
            (header.source, header.destination) = (source.octets(), destination.octets());
            IpHeaders::Ipv4(header, Default::default())
        }
        (source, destination) => {
            let wide = |address: IpAddr| match address {
                IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                IpAddr::V6(address) => address.octets(),
            };
            let mut header = Ipv6Header { hop_limit: TTL, next_header: IpNumber::TCP, ..Ipv6Header::default() };
            (header.source, header.destination) = (wide(source), wide(destination));
            IpHeaders::Ipv6(header, Default::default())
        }
    };
    let mut frame = Vec::with_capacity(payload.len() + 96);
    // A segment is never longer than IP can say, and a Vec takes all that is written.
    let _ = PacketBuilder::ethernet2(sender.link, receiver.link).ip(ip).tcp_header(tcp).write(&mut frame, payload);
    frame
}
