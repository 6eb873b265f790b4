//! A pcap or pcapng file to packets, one after the other.
//!
//! A file is read to where it can be read: what stopped it, and what was passed over, is in the [`Summary`].

use super::packet::{Frame, Packet, frame};
use super::source::{CaptureError, Source, State};
use crate::record::capture::pcapng;
use parser::Timestamp;
use pcap_parser::traits::{PcapNGPacketBlock, PcapReaderIterator};
use pcap_parser::{Block, LegacyPcapBlock, PcapBlockOwned, PcapError};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

/// Longest block that is read, in bytes. Packets end at 256 KiB (libpcap's largest snapshot length); pcapng's tables of
/// names and secrets may be longer.
const BLOCK: usize = 4 << 20;
/// Interfaces of one pcapng section that are told apart. `tcpdump -i any` writes one, Wireshark one per card.
const INTERFACES: usize = 1_024;
/// Kinds of links that cannot be read, counted by number: each file has one or two.
const UNKNOWN_LINKS: usize = 16;

/// Type of the obsolete Packet Block.
const PACKET: u32 = 2;

/// What is said where nothing could be read, beside the numbers. <https://www.tcpdump.org/linktypes.html>
const READ_LINKS: &str = "those that are read: Ethernet (1), Linux cooked (113, 276), raw IP (12, 14, 101, 228, 229), \
loopback (0, 108)";

/// What a file held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Packets of any kind.
    pub packets: u64,
    /// Those that were TCP segments.
    pub segments: u64,
    /// Fragments of IP packets: they are not put together.
    pub fragments: u64,
    /// Packets that were captured in part only (`tcpdump -s`).
    pub cut_short: u64,
    /// Blocks with TLS or other secrets: they are not used, and the file is to be kept as a secret.
    pub secrets: u64,
    /// Packets on links that cannot be read, by link type (`LINKTYPE_` of tcpdump.org).
    pub unknown_links: BTreeMap<i32, u64>,
    /// Packets of an interface that the file does not describe.
    pub unknown_interfaces: u64,
    /// Packets inside of tunnels, which are not opened, by the name of the tunnel.
    pub tunnels: BTreeMap<&'static str, u64>,
    /// Captures that the proxy wrote, behind another one: of those the packets alone are read.
    pub own: u64,
    /// The first time and the last one, in the order of the file.
    pub times: Option<(Timestamp, Timestamp)>,
    /// Where and why reading ended before the end of the file.
    pub stopped: Option<String>,
}

/// What comes out of a file.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A packet.
    Packet(Packet<'a>),
    /// Nothing has come for a while from a capture that is still being written; by its clock it is now about this late.
    Quiet(Timestamp),
}

impl Summary {
    /// Why nothing at all could be read of a file that has packets, or ought to.
    #[must_use]
    pub fn unreadable(&self) -> Option<String> {
        let unknown: u64 = self.unknown_links.values().sum();
        match self.packets {
            0 => self.stopped.clone(),
            packets if packets == unknown => {
                let links: Vec<String> = self.unknown_links.keys().map(i32::to_string).collect();
                Some(format!("no packet can be read: link type {}; {READ_LINKS}", links.join(", ")))
            }
            _ => None,
        }
    }

    /// What kept packets from being read, as sentences without a full stop; none if nothing did.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        complaints.extend(self.stopped.clone());
        for (link, packets) in &self.unknown_links {
            complaints.push(format!("link type {link} is not read (packets: {packets})"));
        }
        // Beside connections that can be read, tunnels are everyday.
        if self.segments == 0 && !self.tunnels.is_empty() {
            let tunnels: Vec<String> =
                self.tunnels.iter().map(|(name, packets)| format!("{name} (packets: {packets})")).collect();
            complaints.push(format!(
                "no TCP but inside of a tunnel, which is not opened: {}; take the capture where the tunnel has ended",
                tunnels.join(", ")
            ));
        }
        if self.unknown_interfaces > 0 {
            complaints.push(format!("packets of interfaces that are not described: {}", self.unknown_interfaces));
        }
        if self.cut_short > 0 {
            complaints.push(format!(
                "packets of which only the beginning was captured: {} of {}; what is not in them cannot be judged \
                 (`tcpdump -s 0` takes whole ones)",
                self.cut_short, self.packets
            ));
        }
        if self.own > 0 {
            complaints.push(format!(
                "captures that the proxy wrote stand behind another one: {}; of those only the packets are read here, give \
                 each as a file of its own",
                self.own
            ));
        }
        if self.fragments > 0 {
            complaints.push(format!("IP fragments, which are not put together: {}", self.fragments));
        }
        complaints
    }
}

/// Shows every packet of a capture, in the order of the file, until `each` has seen enough.
///
/// # Errors
///
/// It does not begin as a capture. One that breaks off later is no error, but [`Summary::stopped`].
pub fn read(source: Source, mut each: impl FnMut(Step<'_>) -> ControlFlow<()>) -> Result<Summary, CaptureError> {
    let cut = source.ends_within_first_block();
    let (name, reader, state) = source.into_parts();
    let mut reader = pcap_parser::create_reader(BLOCK, reader).map_err(|error| {
        let why = match (error, state.failure()) {
            (_, Some(failure)) => format!("it cannot be read: {failure}"),
            (PcapError::Eof, None) => "it is empty".to_owned(),
            (_, None) if cut => "it ends within the first block of a capture (pcapng)".to_owned(),
            (PcapError::Incomplete(_), None) => "it ends within the header of a capture".to_owned(),
            (_, None) => "neither pcap nor pcapng".to_owned(),
        };
        CaptureError::Unreadable { file: name, why }
    })?;
    state.begin();
    let mut frames = Frames::default();
    let mut done = 0u64;
    // Since when nothing has come.
    let mut silent: Option<Instant> = None;
    let mut stopped = loop {
        match reader.next() {
            Ok((_, PcapBlockOwned::Legacy(packet))) if is_header(&packet) => break ANOTHER.to_owned(),
            Ok((length, block)) => {
                let flow = frames.block(&block, &mut each);
                reader.consume(length);
                done += length as u64;
                silent = None;
                if flow.is_break() {
                    return Ok(frames.summary);
                }
            }
            Err(PcapError::Eof) => return Ok(frames.summary),
            Err(PcapError::Incomplete(_)) => match refill(&mut *reader, &state) {
                Refill::More => {}
                Refill::Quiet => {
                    let since = silent.get_or_insert_with(Instant::now);
                    if each(Step::Quiet(frames.last.plus(since.elapsed()))).is_break() {
                        return Ok(frames.summary);
                    }
                }
                Refill::Stopped(why) => break why,
            },
            Err(PcapError::UnexpectedEof) => break "the file ends in the middle of a packet".to_owned(),
            Err(PcapError::BufferTooSmall) => break TOO_LONG.to_owned(),
            Err(_) => break "what follows is no packet".to_owned(),
        }
    };
    if begins_a_capture(reader.data()) {
        stopped = ANOTHER.to_owned();
    }
    frames.summary.stopped =
        Some(format!("reading stopped at byte {done}, after {} packets: {stopped}", frames.summary.packets));
    Ok(frames.summary)
}

const TOO_LONG: &str = "a block is too long";

const ANOTHER: &str =
    "another capture begins there, which is not read (`mergecap -w all.pcapng FILE FILE` makes one of two)";

/// First bytes of a pcap file, in both byte orders: with microseconds, with nanoseconds. draft-ietf-opsawg-pcap 4
const MAGICS: [u32; 4] = [0xa1b2_c3d4, 0xa1b2_3c4d, 0xd4c3_b2a1, 0x4d3c_b2a1];
/// What follows them: version 2.4.
const VERSIONS: [u32; 4] = [0x0002_0004, 0x0004_0002, 0x0200_0400, 0x0400_0200];

/// What was read as a packet is the header of another pcap file (`cat a.pcap b.pcap`): it looks like a packet without bytes.
fn is_header(packet: &LegacyPcapBlock<'_>) -> bool {
    packet.caplen == 0 && MAGICS.contains(&packet.ts_sec) && VERSIONS.contains(&packet.ts_usec)
}

/// These bytes are the beginning of a pcap file, or of a pcapng file.
fn begins_a_capture(bytes: &[u8]) -> bool {
    let word = |at: usize| bytes.get(at..at + 4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    let is = |at: usize, known: [u32; 4]| word(at).is_some_and(|word| known.contains(&word));
    let section = word(0) == Some(0x0a0d_0d0a) && matches!(word(8), Some(0x1a2b_3c4d | 0x4d3c_2b1a));
    section || is(0, MAGICS) && is(4, VERSIONS)
}

enum Refill {
    More,
    Quiet,
    Stopped(String),
}

fn refill(reader: &mut (dyn PcapReaderIterator + Send), state: &State) -> Refill {
    let had = reader.data().len();
    if reader.refill().is_err() {
        return match state.failure() {
            Some(failure) => Refill::Stopped(format!("it cannot be read further: {failure}")),
            None => Refill::Quiet,
        };
    }
    if reader.data().len() > had || reader.reader_exhausted() {
        Refill::More
    } else {
        Refill::Stopped(TOO_LONG.to_owned())
    }
}

/// What must be known of the blocks before to read a packet.
#[derive(Default)]
struct Frames {
    summary: Summary,
    /// One in pcap, any number in pcapng.
    interfaces: Vec<Interface>,
    nanoseconds: bool,
    /// Byte order of this section.
    big_endian: bool,
    /// A section was read before.
    begun: bool,
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
        each: &mut impl FnMut(Step<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                self.nanoseconds = header.is_nanosecond_precision();
                // The upper half of the field holds other things. draft-ietf-opsawg-pcap 4
                let link = header.network.0 & 0xffff;
                self.interfaces = vec![Interface { link, resolution: 1, offset: 0 }];
            }
            PcapBlockOwned::Legacy(packet) => {
                let fraction = u64::from(packet.ts_usec) * if self.nanoseconds { 1 } else { 1_000 };
                self.last = Timestamp(u64::from(packet.ts_sec) * 1_000_000_000 + fraction);
                return self.packet(0, packet.data, packet.origlen, each);
            }
            // Interfaces are numbered anew in each section. draft-ietf-opsawg-pcapng 4.2
            PcapBlockOwned::NG(Block::SectionHeader(section)) => {
                self.interfaces.clear();
                self.big_endian = section.big_endian();
                let ours = matches!(section.shb_userappl(), Some(Ok(name)) if pcapng::is_us(name.as_bytes()));
                self.summary.own += u64::from(ours && self.begun);
                self.begun = true;
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(found)) if self.interfaces.len() < INTERFACES => {
                self.interfaces.push(Interface {
                    link: found.linktype.0,
                    resolution: resolution(found.if_tsresol),
                    // Read as little-endian whatever the section is.
                    offset: if self.big_endian { found.if_tsoffset.swap_bytes() } else { found.if_tsoffset },
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
            // Packet Block: obsolete, and old programs write it still. draft-ietf-opsawg-pcapng A
            PcapBlockOwned::NG(Block::Unknown(block)) if [PACKET, PACKET.swap_bytes()].contains(&block.block_type) => {
                let order = if self.big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
                let word = |at: usize| Some(order(block.data.get(at..at + 4)?.try_into().ok()?));
                let words = || Some([word(0)?, word(4)?, word(8)?, word(12)?, word(16)?]);
                let Some([first, high, low, captured, length]) = words() else { return ControlFlow::Continue(()) };
                // The interface is in the first half of the word, packets that were lost are counted in the other one.
                let number = if self.big_endian { first >> 16 } else { first & 0xffff } as usize;
                if let Some(interface) = self.interfaces.get(number) {
                    self.last = interface.time(u64::from(high) << 32 | u64::from(low));
                }
                let there = &block.data[20..];
                return self.packet(number, there.get(..captured as usize).unwrap_or(there), length, each);
            }
            PcapBlockOwned::NG(Block::DecryptionSecrets(_)) => self.summary.secrets += 1,
            PcapBlockOwned::NG(_) => {}
        }
        ControlFlow::Continue(())
    }

    fn packet(
        &mut self,
        interface: usize,
        bytes: &[u8],
        length: u32,
        each: &mut impl FnMut(Step<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.summary.packets += 1;
        let cut = length.saturating_sub(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.summary.cut_short += u64::from(cut > 0);
        self.summary.times = Some((self.summary.times.map_or(self.last, |(first, _)| first), self.last));
        let Some(link) = self.interfaces.get(interface).map(|interface| interface.link) else {
            self.summary.unknown_interfaces += 1;
            return ControlFlow::Continue(());
        };
        match frame(link, bytes, cut, self.last) {
            Frame::Packet(packet) => {
                self.summary.segments += u64::from(matches!(packet, Packet::Segment(_)));
                return each(Step::Packet(packet));
            }
            Frame::Fragment => self.summary.fragments += 1,
            Frame::Tunnel(name) => *self.summary.tunnels.entry(name).or_default() += 1,
            Frame::Other => {}
            Frame::UnknownLink => {
                let known = self.summary.unknown_links.len();
                if known < UNKNOWN_LINKS || self.summary.unknown_links.contains_key(&link) {
                    *self.summary.unknown_links.entry(link).or_default() += 1;
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// Ticks in a second, by `if_tsresol`: a negative power of ten, or of two with the highest bit set. Microseconds where a
/// tick could not be counted. draft-ietf-opsawg-pcapng 4.2
fn resolution(code: u8) -> u64 {
    let power = u32::from(code & 0x7f);
    let ticks = if code & 0x80 == 0 { 10u64.checked_pow(power) } else { 1u64.checked_shl(power) };
    ticks.unwrap_or(1_000_000)
}

impl Interface {
    fn time(self, ticks: u64) -> Timestamp {
        // Microseconds and nanoseconds, without the wide division that others need.
        let since = match self.resolution {
            1_000_000 => u128::from(ticks) * 1_000,
            1_000_000_000 => u128::from(ticks),
            resolution => u128::from(ticks) * 1_000_000_000 / u128::from(resolution),
        };
        let at = i128::try_from(since).unwrap_or(i128::MAX).saturating_add(i128::from(self.offset) * 1_000_000_000);
        Timestamp(u64::try_from(at.max(0)).unwrap_or(u64::MAX))
    }
}
