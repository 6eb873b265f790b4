//! A frame to a TCP segment, or to what the network says of one.

use super::path::{PathReport, path_report};
use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, LenSource, TcpOptionElement, TcpSlice, TransportSlice};
use parser::Timestamp;
use std::net::{IpAddr, SocketAddr};

/// One TCP segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// When it was captured.
    pub at: Timestamp,
    /// Who sent it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// Sequence number of its first byte, or of its SYN. RFC 9293 3.1
    pub sequence: u32,
    /// The next byte that its sender expects; means nothing without `ack`.
    pub acknowledgment: u32,
    /// Its window field, not scaled.
    pub window: u16,
    /// Hops it may still go: TTL of IPv4, hop limit of IPv6.
    pub hops: u8,
    /// Identification of IPv4.
    pub ip_id: Option<u16>,
    /// Maximum segment size that a SYN announces, in bytes.
    pub mss: Option<u16>,
    /// SYN.
    pub syn: bool,
    /// ACK.
    pub ack: bool,
    /// FIN.
    pub fin: bool,
    /// RST.
    pub rst: bool,
    /// Its bytes, as far as they were captured.
    pub payload: &'a [u8],
    /// Bytes behind them that were sent and not captured (`tcpdump -s`).
    pub cut: u32,
}

/// What a frame holds that an analysis can use.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// A segment.
    Segment(Segment<'a>),
    /// An ICMP error about a segment.
    Path(PathReport),
}

/// What a frame turned out to be.
#[derive(Debug)]
pub(super) enum Frame<'a> {
    Packet(Packet<'a>),
    /// A fragment of an IP packet: only all of them together would hold a segment.
    Fragment,
    /// What it is about travels inside of something else, of this name, which is not opened.
    Tunnel(&'static str),
    /// Neither TCP nor an ICMP error about it, or not readable.
    Other,
    UnknownLink,
}

/// 802.2 with SNAP for an EtherType: both service access points, unnumbered information, no organisation. RFC 1042
const SNAP: [u8; 6] = [0xaa, 0xaa, 3, 0, 0, 0];

/// Reads the headers of a frame on a link of this type (`LINKTYPE_` of tcpdump.org), of which `cut` bytes at the end were
/// not captured.
pub(super) fn frame(link: i32, bytes: &[u8], cut: u32, at: Timestamp) -> Frame<'_> {
    let ip = |header: usize| LaxSlicedPacket::from_ip(bytes.get(header..)?).ok();
    // The type stands in the link's header, and VLAN tags may follow it.
    let typed = |place: usize, header: usize| {
        let ether_type = u16::from_be_bytes(bytes.get(place..place + 2)?.try_into().ok()?);
        Some(LaxSlicedPacket::from_ether_type(EtherType(ether_type), bytes.get(header..)?))
    };
    let sliced = match link {
        // LINKTYPE_NULL, LINKTYPE_LOOP: an address family of four bytes.
        0 | 108 => ip(4),
        // A length in the place of the type: 802.2 with SNAP, the type behind it. RFC 1042
        1 if bytes.get(14..20) == Some(&SNAP) && bytes[12] < 6 => typed(20, 22),
        1 => typed(12, 14),
        // LINKTYPE_RAW and what systems write for it, LINKTYPE_IPV4, LINKTYPE_IPV6.
        12 | 14 | 101 | 228 | 229 => ip(0),
        // LINKTYPE_LINUX_SLL and SLL2, of `tcpdump -i any`.
        113 => typed(14, 16),
        276 => typed(0, 20),
        _ => return Frame::UnknownLink,
    };
    let Some(sliced) = sliced else { return Frame::Other };
    if let Some(tunnel) = tunnel(&sliced) {
        return Frame::Tunnel(tunnel);
    }
    let Some(net) = sliced.net.as_ref() else { return Frame::Other };
    if net.ip_payload_ref().is_some_and(|payload| payload.fragmented) {
        return Frame::Fragment;
    }
    let Some(ip) = Ip::of(net, cut) else { return Frame::Other };
    match sliced.transport.as_ref() {
        Some(TransportSlice::Tcp(tcp)) => Frame::Packet(Packet::Segment(segment(&ip, tcp, at))),
        Some(TransportSlice::Icmpv4(icmp)) => report(path_report(false, icmp.slice(), ip.source, at)),
        Some(TransportSlice::Icmpv6(icmp)) => report(path_report(true, icmp.slice(), ip.source, at)),
        _ => Frame::Other,
    }
}

/// The tunnel that a frame is of, by EtherType, IP protocol or UDP port, as IANA and IEEE have them; beside those the ports
/// that Linux takes for VXLAN and a capturing device for TZSP.
fn tunnel(sliced: &LaxSlicedPacket<'_>) -> Option<&'static str> {
    let Some(net) = &sliced.net else {
        return match sliced.ether_payload()?.ether_type.0 {
            0x8847 | 0x8848 => Some("MPLS"),
            0x8864 => Some("PPPoE"),
            _ => None,
        };
    };
    match (net.ip_payload_ref()?.ip_number.0, &sliced.transport) {
        (4 | 41, _) => Some("IP in IP"),
        (47, _) => Some("GRE"),
        (50, _) => Some("ESP (IPsec)"),
        (17, Some(TransportSlice::Udp(udp))) => match udp.destination_port() {
            2_152 => Some("GTP-U"),
            4_789 | 8_472 => Some("VXLAN"),
            6_081 => Some("Geneve"),
            37_008 => Some("TZSP"),
            _ => None,
        },
        _ => None,
    }
}

fn report<'a>(report: Option<PathReport>) -> Frame<'a> {
    report.map_or(Frame::Other, |report| Frame::Packet(Packet::Path(report)))
}

/// What is used of an IP header.
struct Ip {
    source: IpAddr,
    destination: IpAddr,
    hops: u8,
    id: Option<u16>,
    /// Bytes at the end of the packet that were not captured.
    cut: u32,
}

impl Ip {
    fn of(net: &LaxNetSlice<'_>, frame_cut: u32) -> Option<Ip> {
        Some(match net {
            LaxNetSlice::Ipv4(ip) => {
                let header = ip.header();
                let had = header.slice().len() + ip.payload().payload.len();
                // A network card that cuts segments itself leaves the length of what it was given at 0.
                let by_length = usize::from(header.total_len()) > 0;
                let cut = match ip.payload().incomplete {
                    true => usize::from(header.total_len()).saturating_sub(had) as u32,
                    false if !by_length => frame_cut,
                    false => 0,
                };
                Ip {
                    source: header.source_addr().into(),
                    destination: header.destination_addr().into(),
                    hops: header.ttl(),
                    id: Some(header.identification()),
                    cut,
                }
            }
            LaxNetSlice::Ipv6(ip) => {
                let header = ip.header();
                let had = ip.extensions().slice().len() + ip.payload().payload.len();
                let cut = match ip.payload().incomplete {
                    true => usize::from(header.payload_length()).saturating_sub(had) as u32,
                    false if ip.payload().len_source == LenSource::Slice => frame_cut,
                    false => 0,
                };
                Ip {
                    source: header.source_addr().into(),
                    destination: header.destination_addr().into(),
                    hops: header.hop_limit(),
                    id: None,
                    cut,
                }
            }
            LaxNetSlice::Arp(_) => return None,
        })
    }
}

fn segment<'a>(ip: &Ip, tcp: &TcpSlice<'a>, at: Timestamp) -> Segment<'a> {
    let mss = || {
        tcp.options_iterator().find_map(|option| match option {
            Ok(TcpOptionElement::MaximumSegmentSize(size)) => Some(size),
            _ => None,
        })
    };
    Segment {
        at,
        from: SocketAddr::new(ip.source, tcp.source_port()),
        to: SocketAddr::new(ip.destination, tcp.destination_port()),
        sequence: tcp.sequence_number(),
        acknowledgment: tcp.acknowledgment_number(),
        window: tcp.window_size(),
        hops: ip.hops,
        ip_id: ip.id,
        mss: if tcp.syn() { mss() } else { None },
        syn: tcp.syn(),
        ack: tcp.ack(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        payload: tcp.payload(),
        cut: ip.cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    const PAYLOAD: &[u8] = b"a Connection Request";

    fn read(link: i32, bytes: &[u8], cut: u32) -> Segment<'_> {
        match frame(link, bytes, cut, Timestamp(7)) {
            Frame::Packet(Packet::Segment(segment)) => segment,
            other => panic!("{other:?}"),
        }
    }

    fn ipv4() -> Vec<u8> {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 57).tcp(50_000, 3_389, 9, 1_000).ack(77);
        builder.write(&mut bytes, PAYLOAD).unwrap();
        bytes
    }

    fn ipv6() -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv6([1; 16], [2; 16], 61).tcp(50_000, 3_389, 9, 1_000).write(&mut bytes, PAYLOAD).unwrap();
        bytes
    }

    fn behind(header: &[u8], packet: &[u8]) -> Vec<u8> {
        [header, packet].concat()
    }

    /// An Ethernet header with these tags, for an IPv4 packet.
    fn ethernet(tags: &[u16]) -> Vec<u8> {
        let mut header = vec![2; 12];
        for tag in tags {
            header.extend(tag.to_be_bytes());
            header.extend([0, 42]);
        }
        header.extend([8, 0]);
        header
    }

    #[test]
    fn every_link_gives_the_same_segment() {
        let sll = [&[0, 0, 0, 1, 0, 6][..], &[9; 8], &[8, 0]].concat();
        let sll2 = [&[8, 0][..], &[9; 18]].concat();
        for (link, header) in [
            (1, ethernet(&[])),
            (1, ethernet(&[0x8100])),
            (1, ethernet(&[0x88a8, 0x8100])),
            (1, [&[2; 12][..], &[0, 80], &SNAP, &[8, 0]].concat()),
            (0, vec![2, 0, 0, 0]),
            (108, vec![0, 0, 0, 2]),
            (101, vec![]),
            (228, vec![]),
            (113, sll),
            (276, sll2),
        ] {
            let bytes = behind(&header, &ipv4());
            let segment = read(link, &bytes, 0);
            assert_eq!((segment.payload, segment.sequence, segment.hops), (PAYLOAD, 9, 57), "link {link}");
            assert_eq!(segment.to, SocketAddr::from(([10, 0, 0, 2], 3_389)));
            assert_eq!((segment.ack, segment.acknowledgment, segment.window, segment.cut), (true, 77, 1_000, 0));
        }
        assert!(matches!(frame(147, &ipv4(), 0, Timestamp(0)), Frame::UnknownLink));
    }

    #[test]
    fn ipv6_is_read_through_its_extension_headers() {
        let bytes = ipv6();
        assert_eq!(read(229, &bytes, 0).hops, 61);
        // Hop-by-hop options and a destination header of eight bytes each. RFC 8200 4.3, 4.6
        let mut extended = bytes.clone();
        let tcp = std::mem::replace(&mut extended[6], 0);
        extended.splice(40..40, [60, 0, 1, 4, 0, 0, 0, 0, tcp, 0, 1, 4, 0, 0, 0, 0]);
        extended[4..6].copy_from_slice(&(bytes.len() as u16 - 40 + 16).to_be_bytes());
        assert_eq!(read(229, &extended, 0).payload, PAYLOAD);
    }

    #[test]
    fn what_was_not_captured_of_a_segment_is_counted() {
        for bytes in [ipv4(), ipv6()] {
            let link = if bytes[0] >> 4 == 4 { 228 } else { 229 };
            let part = &bytes[..bytes.len() - 8];
            let segment = read(link, part, 8);
            assert_eq!((segment.payload, segment.cut), (&PAYLOAD[..PAYLOAD.len() - 8], 8));
        }
        // Padding of short Ethernet frames is no payload.
        let padded = [ethernet(&[]), ipv4(), vec![0; 12]].concat();
        assert_eq!(read(1, &padded, 0).payload, PAYLOAD);
    }

    #[test]
    fn a_length_left_at_zero_by_the_sender_means_all_there_is() {
        let mut bytes = ipv4();
        bytes[2..4].fill(0);
        assert_eq!(read(228, &bytes, 0).payload, PAYLOAD);
        assert_eq!(read(228, &bytes[..bytes.len() - 3], 3).cut, 3);
    }

    #[test]
    fn fragments_are_no_segments() {
        let mut bytes = ipv4();
        bytes[6] |= 0x20;
        assert!(matches!(frame(228, &bytes, 0, Timestamp(0)), Frame::Fragment));
    }

    #[test]
    fn a_tunnel_is_named() {
        let typed = |ether_type: u16| behind(&[&[2; 12][..], &ether_type.to_be_bytes()].concat(), &[0x11; 60]);
        let mut inside = ipv4();
        inside[9] = 47;
        let datagram = |port: u16| {
            let mut datagram = Vec::new();
            let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9).udp(50_000, port);
            builder.write(&mut datagram, &ipv4()).unwrap();
            datagram
        };
        for (link, bytes, name) in [
            (1, typed(0x8864), "PPPoE"),
            (1, typed(0x8847), "MPLS"),
            (228, inside, "GRE"),
            (228, datagram(4_789), "VXLAN"),
            (228, datagram(8_472), "VXLAN"),
            (228, datagram(37_008), "TZSP"),
        ] {
            let found = frame(link, &bytes, 0, Timestamp(0));
            assert!(matches!(found, Frame::Tunnel(found) if found == name), "{name}: {found:?}");
        }
    }

    #[test]
    fn any_part_of_a_frame_is_read_or_passed_over() {
        for bytes in [behind(&ethernet(&[0x8100]), &ipv4()), behind(&ethernet(&[]), &ipv6())] {
            for end in 0..bytes.len() {
                let _ = frame(1, &bytes[..end], 0, Timestamp(0));
            }
        }
    }
}
