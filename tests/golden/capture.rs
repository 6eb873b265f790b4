//! TCP segments out of a pcap or pcapng file. Enough for test data; times in nanoseconds, payloads copied.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use parser::Timestamp;
use pcap_parser::{PcapBlockOwned, PcapError};
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// One TCP segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) at: Timestamp,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) sequence: u32,
    pub(crate) syn: bool,
    pub(crate) ack: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    pub(crate) payload: Vec<u8>,
}

/// Every TCP segment of a file, in the order of capture.
pub(crate) fn segments(path: &Path) -> Vec<Segment> {
    let mut reader = pcap_parser::create_reader(16 << 20, File::open(path).unwrap()).unwrap();
    let mut segments = Vec::new();
    let mut link = 1;
    let mut nanoseconds = false;
    let mut resolution = 1_000_000u64;
    loop {
        match reader.next() {
            Ok((offset, block)) => {
                match block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        link = header.network.0;
                        nanoseconds = header.is_nanosecond_precision();
                    }
                    PcapBlockOwned::Legacy(packet) => {
                        let fraction = u64::from(packet.ts_usec) * if nanoseconds { 1 } else { 1_000 };
                        let at = Timestamp(u64::from(packet.ts_sec) * 1_000_000_000 + fraction);
                        segments.extend(segment(link, packet.data, at));
                    }
                    PcapBlockOwned::NG(pcap_parser::Block::InterfaceDescription(interface)) => {
                        link = interface.linktype.0;
                        resolution = interface.ts_resolution().unwrap_or(1_000_000);
                    }
                    PcapBlockOwned::NG(pcap_parser::Block::EnhancedPacket(packet)) => {
                        let ticks = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                        let at = u128::from(ticks) * 1_000_000_000 / u128::from(resolution);
                        segments.extend(segment(link, packet.data, Timestamp(u64::try_from(at).unwrap())));
                    }
                    PcapBlockOwned::NG(_) => {}
                }
                reader.consume(offset);
            }
            Err(PcapError::Eof) => return segments,
            Err(PcapError::Incomplete(_)) => reader.refill().unwrap(),
            // A capture that was cut off in the middle of a packet ends there.
            Err(PcapError::UnexpectedEof) => return segments,
            Err(error) => panic!("{}: {error:?}", path.display()),
        }
    }
}

fn segment(link: i32, frame: &[u8], at: Timestamp) -> Option<Segment> {
    let mut frame = frame.to_vec();
    // A network card that cuts segments itself leaves the IPv4 length of what it was given at 0.
    if link == 1 && frame.get(12..15) == Some(&[0x08, 0x00, 0x45]) && frame.get(16..18) == Some(&[0, 0]) {
        let length = u16::try_from(frame.len() - 14).ok()?.to_be_bytes();
        frame[16..18].copy_from_slice(&length);
    }
    let frame = frame.as_slice();
    let sliced = match link {
        0 => SlicedPacket::from_ip(frame.get(4..)?),
        1 => SlicedPacket::from_ethernet(frame),
        12 | 14 | 101 => SlicedPacket::from_ip(frame),
        113 => SlicedPacket::from_ip(frame.get(16..)?),
        276 => SlicedPacket::from_ip(frame.get(20..)?),
        other => panic!("link type {other}"),
    };
    let sliced = sliced.ok()?;
    let (source, destination): (IpAddr, IpAddr) = match sliced.net.as_ref()? {
        NetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        NetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        NetSlice::Arp(_) => return None,
    };
    let TransportSlice::Tcp(tcp) = sliced.transport.as_ref()? else { return None };
    Some(Segment {
        at,
        from: SocketAddr::new(source, tcp.source_port()),
        to: SocketAddr::new(destination, tcp.destination_port()),
        sequence: tcp.sequence_number(),
        syn: tcp.syn(),
        ack: tcp.ack(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        payload: tcp.payload().to_vec(),
    })
}
