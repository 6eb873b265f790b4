//! pcapng blocks, as many kinds as a capture of ours has. draft-ietf-opsawg-pcapng
//!
//! Little-endian, times in nanoseconds. The order in a file: section, interfaces, names, secrets, packets: secrets stand
//! before the packets that they open (section 4.7).

use parser::Timestamp;
use std::net::IpAddr;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const NAMES: u32 = 4;
const PACKET: u32 = 6;
const SECRETS: u32 = 10;
/// Secrets in the form of a TLS key log. 4.7
const TLS_KEY_LOG: u32 = 0x544c_534b;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// LINKTYPE_ETHERNET
const ETHERNET: u16 = 1;

const OPT_COMMENT: u16 = 1;
/// `shb_os`, `shb_userappl`. 4.1
const OPT_OS: u16 = 3;
const OPT_APPLICATION: u16 = 4;
/// `if_name`, `if_description`, `if_tsresol`. 4.2
const OPT_NAME: u16 = 2;
const OPT_DESCRIPTION: u16 = 3;
const OPT_RESOLUTION: u16 = 9;
/// `epb_flags`. 4.3
const OPT_FLAGS: u16 = 2;

/// `if_tsresol`: ten to the minus nine.
const NANOSECONDS: u8 = 9;
/// Longest text of an option, in bytes: its length field has two.
pub(super) const LONGEST: usize = 65_535;

/// What wrote the file: how our own are known again.
pub(crate) const APPLICATION: &str = concat!("rdpscope ", env!("CARGO_PKG_VERSION"));

/// One packet of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) at: Timestamp,
    /// Number of its interface, in the order in which they are described.
    pub(crate) interface: u32,
    /// We sent it.
    pub(crate) outbound: bool,
    pub(crate) frame: Vec<u8>,
    pub(crate) comments: Vec<String>,
}

/// The section header, with its comments.
pub(crate) fn section(comments: &[String]) -> Vec<u8> {
    let mut body = Vec::with_capacity(4_096);
    body.extend(BYTE_ORDER.to_le_bytes());
    // Version 1.0, and a length that is not given.
    body.extend([1, 0, 0, 0]);
    body.extend(u64::MAX.to_le_bytes());
    comments.iter().for_each(|comment| option(&mut body, OPT_COMMENT, comment.as_bytes()));
    option(&mut body, OPT_OS, std::env::consts::OS.as_bytes());
    option(&mut body, OPT_APPLICATION, APPLICATION.as_bytes());
    end_of_options(&mut body);
    block(SECTION, &body)
}

/// One interface.
pub(crate) fn interface(name: &str, description: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(256);
    body.extend(ETHERNET.to_le_bytes());
    // Reserved, and a snapshot length that is not limited.
    body.extend([0; 6]);
    option(&mut body, OPT_NAME, name.as_bytes());
    option(&mut body, OPT_DESCRIPTION, description.as_bytes());
    option(&mut body, OPT_RESOLUTION, &[NANOSECONDS]);
    end_of_options(&mut body);
    block(INTERFACE, &body)
}

/// The name of an address.
pub(crate) fn name(address: IpAddr, name: &str) -> Vec<u8> {
    const IPV4: u16 = 1;
    const IPV6: u16 = 2;
    let (kind, mut record) = match address {
        IpAddr::V4(address) => (IPV4, address.octets().to_vec()),
        IpAddr::V6(address) => (IPV6, address.octets().to_vec()),
    };
    record.extend(cut(name.as_bytes(), 255));
    record.push(0);
    let mut body = Vec::with_capacity(64);
    option(&mut body, kind, &record);
    end_of_options(&mut body);
    block(NAMES, &body)
}

/// The secrets that open the packets which follow, as lines of a key log.
pub(crate) fn secrets(key_log: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(key_log.len() + 16);
    body.extend(TLS_KEY_LOG.to_le_bytes());
    body.extend((key_log.len() as u32).to_le_bytes());
    body.extend(key_log.as_bytes());
    pad(&mut body);
    block(SECRETS, &body)
}

/// There are secrets in a file of ours.
pub(crate) fn holds_secrets(file: &[u8]) -> bool {
    blocks(file).any(|block| read_u32(block, 0) == Some(SECRETS))
}

/// One packet.
pub(crate) fn packet(packet: &Packet) -> Vec<u8> {
    const INBOUND: u32 = 1;
    const OUTBOUND: u32 = 2;
    let length = packet.frame.len() as u32;
    let mut body = Vec::with_capacity(packet.frame.len() + 64);
    body.extend(packet.interface.to_le_bytes());
    body.extend(((packet.at.0 >> 32) as u32).to_le_bytes());
    body.extend((packet.at.0 as u32).to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(&packet.frame);
    pad(&mut body);
    packet.comments.iter().for_each(|comment| option(&mut body, OPT_COMMENT, comment.as_bytes()));
    option(&mut body, OPT_FLAGS, &if packet.outbound { OUTBOUND } else { INBOUND }.to_le_bytes());
    end_of_options(&mut body);
    block(PACKET, &body)
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() + 12) as u32;
    let mut block = Vec::with_capacity(body.len() + 12);
    block.extend(kind.to_le_bytes());
    block.extend(length.to_le_bytes());
    block.extend(body);
    block.extend(length.to_le_bytes());
    block
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = cut(value, LONGEST);
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    pad(body);
}

fn end_of_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// The beginning of a text, cut between two characters.
fn cut(text: &[u8], most: usize) -> &[u8] {
    if text.len() <= most {
        return text;
    }
    let continues = |byte: &u8| byte & 0xc0 == 0x80;
    let end = (0..=most).rev().find(|end| !continues(&text[*end])).unwrap_or(0);
    &text[..end]
}

/// Our own file once more with another section header, and with `verdict` in the place of the packet comments that
/// begin as it does up to its first colon. `None` for what is no file of ours.
pub(crate) fn retold(file: &[u8], comments: &[String], verdict: &str) -> Option<Vec<u8>> {
    let word = &verdict[..=verdict.find(':')?];
    let mut out = section(comments);
    let mut rest = &file[block_at(file, SECTION)?.len()..];
    while !rest.is_empty() {
        let length = read_u32(rest, 4)? as usize;
        let (block, after) = rest.split_at_checked(length).filter(|_| length >= 12)?;
        match read_u32(block, 0)? {
            PACKET => out.extend(packet(&read_packet(block)?.with_verdict(word, verdict))),
            _ => out.extend(block),
        }
        rest = after;
    }
    Some(out)
}

impl Packet {
    fn with_verdict(mut self, word: &str, verdict: &str) -> Packet {
        self.comments.iter_mut().filter(|comment| comment.starts_with(word)).for_each(|comment| {
            verdict.clone_into(comment);
        });
        self
    }
}

/// The packets of a file of ours, as far as it can be read.
pub(crate) fn packets(file: &[u8]) -> impl Iterator<Item = Packet> {
    blocks(file).filter(|block| read_u32(block, 0) == Some(PACKET)).filter_map(read_packet)
}

fn blocks(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = file;
    std::iter::from_fn(move || {
        let length = read_u32(rest, 4)? as usize;
        let (block, after) = rest.split_at_checked(length).filter(|_| length >= 12)?;
        rest = after;
        Some(block)
    })
}

/// The sections of a file and how far whole blocks reach. What is behind them is given to the last section.
pub(crate) fn sections(file: &[u8]) -> (Vec<&[u8]>, usize) {
    let (mut begins, mut at) = (Vec::new(), 0);
    for block in blocks(file) {
        if read_u32(block, 0) == Some(SECTION) {
            begins.push(at);
        }
        at += block.len();
    }
    let ends = begins.iter().skip(1).copied().chain([file.len()]);
    (begins.iter().zip(ends).map(|(begin, end)| &file[*begin..end]).collect(), at)
}

/// A packet block of ours, read again.
fn read_packet(block: &[u8]) -> Option<Packet> {
    let (high, low) = (read_u32(block, 12)?, read_u32(block, 16)?);
    let length = read_u32(block, 20)? as usize;
    let mut packet = Packet {
        at: Timestamp(u64::from(high) << 32 | u64::from(low)),
        interface: read_u32(block, 8)?,
        frame: block.get(28..28 + length)?.to_vec(),
        ..Packet::default()
    };
    for (code, value) in options(block.get(28 + length.next_multiple_of(4)..)?) {
        match code {
            OPT_COMMENT => packet.comments.push(String::from_utf8_lossy(value).into_owned()),
            OPT_FLAGS => packet.outbound = value.first() == Some(&2),
            _ => {}
        }
    }
    Some(packet)
}

/// Code and value of each option, until their end or that of the block.
fn options(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [c0, c1, l0, l1, after @ ..] = rest else { return None };
        let (code, length) = (u16::from_le_bytes([*c0, *c1]), usize::from(u16::from_le_bytes([*l0, *l1])));
        let value = after.get(..length).filter(|_| code != 0)?;
        rest = after.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((code, value))
    })
}

/// The comments of the section header that begins a file.
pub(crate) fn comments(file: &[u8]) -> Vec<String> {
    let options = block_at(file, SECTION).and_then(|block| block.get(24..)).map(options);
    let comments = options.into_iter().flatten().filter(|(code, _)| *code == OPT_COMMENT);
    comments.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
}

/// The section header that begins a file was written by us.
pub(crate) fn is_ours(file: &[u8]) -> bool {
    let application = || {
        let block = block_at(file, SECTION)?;
        options(block.get(24..)?).find(|(code, _)| *code == OPT_APPLICATION).map(|(_, value)| value)
    };
    application().is_some_and(is_us)
}

/// The application that wrote a section is this one, of any version.
pub(crate) fn is_us(application: &[u8]) -> bool {
    application.starts_with(b"rdpscope ")
}

/// The first block, when it is of this kind and whole.
fn block_at(file: &[u8], kind: u32) -> Option<&[u8]> {
    let length = read_u32(file, 4)? as usize;
    file.get(..length).filter(|_| length >= 28 && read_u32(file, 0) == Some(kind))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(verdict: &str) -> Vec<u8> {
        let packets = [
            Packet { at: Timestamp(1 << 40 | 7), frame: vec![1, 2, 3], outbound: true, ..Packet::default() },
            Packet { interface: 1, comments: vec!["alert".into(), format!("verdict: {verdict}")], ..Packet::default() },
        ];
        let mut file = section(&[format!("report of {verdict}")]);
        file.extend(interface("client", "client leg"));
        file.extend(interface("host", "host leg"));
        file.extend(name("192.0.2.7".parse().unwrap(), "rds07.example.net"));
        file.extend(secrets("CLIENT_RANDOM 00 01\n"));
        packets.iter().for_each(|one| file.extend(packet(one)));
        file
    }

    #[test]
    fn a_verdict_that_is_revised_takes_the_place_of_the_first_one_and_all_else_stays() {
        let told = retold(&file("one"), &["report of another one".into()], "verdict: another one").unwrap();
        assert_eq!(told, file("another one"));
        assert!(holds_secrets(&told) && !holds_secrets(&section(&[])));
    }

    #[test]
    fn what_is_no_whole_file_of_ours_is_not_touched() {
        let whole = file("one");
        assert!(is_ours(&whole));
        for cut in 0..whole.len() {
            let told = retold(&whole[..cut], &[], "verdict: x");
            assert!(told.is_none() || told.is_some_and(|told| told.len() < whole.len()), "cut at {cut}");
        }
        let foreign: Vec<u8> = whole.iter().map(|byte| if *byte == b'r' { b'R' } else { *byte }).collect();
        assert!(!is_ours(&foreign) && !is_ours(b"") && !is_ours(&whole[..20]));
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_between_characters() {
        assert_eq!(cut("aé".as_bytes(), 2), b"a");
        assert_eq!(cut("aé".as_bytes(), 3), "aé".as_bytes());
        let long = section(&["é".repeat(40_000)]);
        let (_, comment) = options(&long[24..]).next().unwrap();
        assert!(comment.len() <= LONGEST && std::str::from_utf8(comment).is_ok());
    }
}
