//! A pcap or pcapng file to TCP segments, one after the other.
//!
//! A file is read to where it can be read: what stopped it, and what was passed over, is in the [`Summary`].

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use parser::Timestamp;
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Block, PcapBlockOwned, PcapError};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Longest block that is read, in bytes. Packets end at 256 KiB (libpcap's largest snapshot length); pcapng's tables of
/// names and secrets may be longer.
const BLOCK: usize = 4 << 20;
/// Interfaces of one pcapng section that are told apart. `tcpdump -i any` writes one, Wireshark one per card.
const INTERFACES: usize = 1_024;
/// Kinds of links that cannot be read, counted by number: each file has one or two.
const UNKNOWN_LINKS: usize = 16;

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
    /// SYN.
    pub syn: bool,
    /// ACK.
    pub ack: bool,
    /// FIN.
    pub fin: bool,
    /// RST.
    pub rst: bool,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// What a file held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Packets of any kind.
    pub packets: u64,
    /// Those that were TCP segments.
    pub segments: u64,
    /// Packets that were captured in part only (`tcpdump -s`).
    pub cut_short: u64,
    /// Packets on links that cannot be read, by link type (`LINKTYPE_` of tcpdump.org).
    pub unknown_links: BTreeMap<i32, u64>,
    /// Where and why reading ended before the end of the file.
    pub stopped: Option<String>,
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// It cannot be opened.
    #[error("{}: {source}", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Opened, but no byte could be read.
    #[error("{}: {why}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What was wrong.
        why: &'static str,
    },
}

impl Summary {
    /// What kept packets from being read, as sentences without a full stop; none if nothing did.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        complaints.extend(self.stopped.clone());
        for (link, packets) in &self.unknown_links {
            complaints.push(format!("link type {link} is not read (packets: {packets})"));
        }
        if self.cut_short > 0 {
            complaints.push(format!("packets captured in part: {} (use `tcpdump -s 0`)", self.cut_short));
        }
        complaints
    }
}

/// Shows every TCP segment of a file, in the order of capture, until `each` has seen enough.
///
/// # Errors
///
/// The file cannot be opened, or does not begin as a capture. One that breaks off later is no error, but
/// [`Summary::stopped`].
pub fn segments(path: &Path, mut each: impl FnMut(&Segment<'_>) -> ControlFlow<()>) -> Result<Summary, CaptureError> {
    let failed = |source| CaptureError::Open { file: path.to_owned(), source };
    let unreadable = |why| CaptureError::Unreadable { file: path.to_owned(), why };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(unreadable("a directory, not a capture"));
    }
    let mut reader = pcap_parser::create_reader(BLOCK, file).map_err(|error| match error {
        PcapError::Eof => unreadable("it is empty"),
        PcapError::ReadError => unreadable("it cannot be read"),
        _ => unreadable("neither pcap nor pcapng"),
    })?;
    let mut frames = Frames::default();
    let mut done = 0u64;
    loop {
        let stopped = match reader.next() {
            Ok((length, block)) => {
                let flow = frames.block(&block, &mut each);
                reader.consume(length);
                done += length as u64;
                if flow.is_break() {
                    return Ok(frames.summary);
                }
                continue;
            }
            Err(PcapError::Eof) => return Ok(frames.summary),
            Err(PcapError::Incomplete(_)) => {
                let had = reader.data().len();
                if reader.refill().is_err() {
                    "it cannot be read further"
                } else if reader.data().len() > had || reader.reader_exhausted() {
                    continue;
                } else {
                    "a block is too long"
                }
            }
            Err(PcapError::UnexpectedEof) => "the file ends in the middle of a packet",
            Err(PcapError::BufferTooSmall) => "a block is too long",
            Err(PcapError::ReadError) => "it cannot be read further",
            Err(_) => "what follows is no packet",
        };
        frames.summary.stopped = Some(format!("reading stopped at byte {done}: {stopped}"));
        return Ok(frames.summary);
    }
}

/// What must be known of the blocks before to read a packet.
#[derive(Default)]
struct Frames {
    summary: Summary,
    /// One in pcap, any number in pcapng.
    interfaces: Vec<Interface>,
    nanoseconds: bool,
    /// Time of the packet before, for those that carry none.
    last: Timestamp,
}

#[derive(Clone, Copy)]
struct Interface {
    link: i32,
    /// Ticks in a second.
    resolution: u64,
    /// Seconds to add.
    offset: i64,
}

impl Frames {
    fn block(
        &mut self,
        block: &PcapBlockOwned<'_>,
        each: &mut impl FnMut(&Segment<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                self.nanoseconds = header.is_nanosecond_precision();
                self.interfaces = vec![Interface { link: header.network.0, resolution: 1, offset: 0 }];
            }
            PcapBlockOwned::Legacy(packet) => {
                let fraction = u64::from(packet.ts_usec) * if self.nanoseconds { 1 } else { 1_000 };
                self.last = Timestamp(u64::from(packet.ts_sec) * 1_000_000_000 + fraction);
                return self.packet(0, packet.data, packet.origlen, each);
            }
            // Interfaces are numbered anew in each section. draft-ietf-opsawg-pcapng 4.2
            PcapBlockOwned::NG(Block::SectionHeader(_)) => self.interfaces.clear(),
            PcapBlockOwned::NG(Block::InterfaceDescription(found)) if self.interfaces.len() < INTERFACES => {
                self.interfaces.push(Interface {
                    link: found.linktype.0,
                    resolution: found.ts_resolution().filter(|ticks| *ticks > 0).unwrap_or(1_000_000),
                    offset: found.if_tsoffset,
                });
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let number = packet.if_id as usize;
                if let Some(interface) = self.interfaces.get(number) {
                    self.last = interface.time(u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low));
                }
                return self.packet(number, packet.packet_data(), packet.origlen, each);
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                return self.packet(0, packet.packet_data(), packet.origlen, each);
            }
            PcapBlockOwned::NG(_) => {}
        }
        ControlFlow::Continue(())
    }

    fn packet(
        &mut self,
        interface: usize,
        frame: &[u8],
        length: u32,
        each: &mut impl FnMut(&Segment<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.summary.packets += 1;
        self.summary.cut_short += u64::from(frame.len() < length as usize);
        let Some(link) = self.interfaces.get(interface).map(|interface| interface.link) else {
            return ControlFlow::Continue(());
        };
        let frame = with_length(link, frame);
        let Some(sliced) = slice(link, &frame) else {
            let known = self.summary.unknown_links.len();
            if known < UNKNOWN_LINKS || self.summary.unknown_links.contains_key(&link) {
                *self.summary.unknown_links.entry(link).or_default() += 1;
            }
            return ControlFlow::Continue(());
        };
        let Some(segment) = sliced.as_ref().and_then(|sliced| segment(sliced, self.last)) else {
            return ControlFlow::Continue(());
        };
        self.summary.segments += 1;
        each(&segment)
    }
}

impl Interface {
    fn time(self, ticks: u64) -> Timestamp {
        let since = u128::from(ticks) * 1_000_000_000 / u128::from(self.resolution);
        let at = i128::try_from(since).unwrap_or(i128::MAX).saturating_add(i128::from(self.offset) * 1_000_000_000);
        Timestamp(u64::try_from(at.max(0)).unwrap_or(u64::MAX))
    }
}

/// A network card that cuts segments itself leaves the IPv4 length of what it was given at 0.
fn with_length(link: i32, frame: &[u8]) -> Cow<'_, [u8]> {
    if link == 1
        && frame.get(12..15) == Some(&[0x08, 0x00, 0x45])
        && frame.get(16..18) == Some(&[0, 0])
        && let Ok(length) = u16::try_from(frame.len() - 14)
    {
        let mut whole = frame.to_vec();
        whole[16..18].copy_from_slice(&length.to_be_bytes());
        return Cow::Owned(whole);
    }
    Cow::Borrowed(frame)
}

/// The headers of a frame: `None` on a link of unknown type, `Some(None)` when they cannot be read.
fn slice(link: i32, frame: &[u8]) -> Option<Option<SlicedPacket<'_>>> {
    let ip = |header: usize| frame.get(header..).and_then(|packet| SlicedPacket::from_ip(packet).ok());
    Some(match link {
        // LINKTYPE_NULL, LINKTYPE_LOOP: an address family of four bytes.
        0 | 108 => ip(4),
        1 => SlicedPacket::from_ethernet(frame).ok(),
        // LINKTYPE_RAW and what systems write for it, LINKTYPE_IPV4, LINKTYPE_IPV6.
        12 | 14 | 101 | 228 | 229 => ip(0),
        // LINKTYPE_LINUX_SLL and SLL2, of `tcpdump -i any`.
        113 => ip(16),
        276 => ip(20),
        _ => return None,
    })
}

fn segment<'a>(sliced: &SlicedPacket<'a>, at: Timestamp) -> Option<Segment<'a>> {
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
        payload: tcp.payload(),
    })
}
