//! The GCC data inside MCS Connect Initial and Connect Response: who the client is, what it thinks was negotiated, what
//! the host made of it. [MS-RDPBCGR] 2.2.1.3, 2.2.1.4; ITU-T T.124 8.7
//!
//! Blocks are optional, may come in any order, and a block may end before any field behind its fixed part.

use super::mcs::McsResult;
use super::nego::Protocols;
use super::outcome::Malformed;

/// Bytes of a Connect Initial or Connect Response that are read. mstsc sends 460 bytes; with 16 monitors and 31 channels
/// it is some 1,400.
pub const CONNECT_MAX: usize = 4096;

/// `h221` keys: client to host, host to client. [MS-RDPBCGR] 2.2.1.3, 2.2.1.4
const CLIENT_KEY: &[u8; 4] = b"Duca";
const HOST_KEY: &[u8; 4] = b"McDn";

const CS_CORE: u16 = 0xc001;
const CS_SECURITY: u16 = 0xc002;
const CS_NET: u16 = 0xc003;
const SC_CORE: u16 = 0x0c01;
const SC_SECURITY: u16 = 0x0c02;
const SC_NET: u16 = 0x0c03;
const SC_MCS_MSGCHANNEL: u16 = 0x0c04;

/// UTF-16 units of `clientName`, its terminator included. [MS-RDPBCGR] 2.2.1.3.2
const NAME_UNITS: usize = 16;

/// The blocks of a Connect Initial, as far as they tell one client from another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientData {
    /// `version`: 0x00080004 is RDP 5.0 to 8.1, 0x00080005 is 10.0, and so on.
    pub version: RdpVersion,
    /// `clientBuild`: the build number of the client program.
    pub build: u32,
    /// `clientName`: the client computer's name, to be treated like a user name.
    pub name: String,
    /// `earlyCapabilityFlags`, where the block has it.
    pub early_capabilities: Option<u16>,
    /// `serverSelectedProtocol`: what the client took from the Connection Confirm.
    pub selected_protocol: Option<Protocols>,
    /// `encryptionMethods` of standard RDP security.
    pub encryption_methods: Option<u32>,
    /// `channelCount`: static virtual channels asked for.
    pub channels: Option<u32>,
}

impl ClientData {
    /// RNS_UD_CS_SUPPORT_ERRINFO_PDU: without it the host never says why it ends a session. [MS-RDPBCGR] 2.2.1.3.2
    pub const SUPPORT_ERROR_INFO: u16 = 0x0001;

    /// Reads the blocks of a Connect Initial; `pdu` is the TPKT, perhaps cut at [`CONNECT_MAX`].
    ///
    /// # Errors
    /// There are no client blocks in it.
    pub fn parse(pdu: &[u8]) -> Result<ClientData, Malformed> {
        let mut data = ClientData::default();
        for (kind, block) in blocks(pdu, CLIENT_KEY)? {
            match kind {
                CS_CORE => data.core(block),
                CS_SECURITY => data.encryption_methods = u32_at(block, 4),
                CS_NET => data.channels = u32_at(block, 4),
                _ => {}
            }
        }
        Ok(data)
    }

    fn core(&mut self, block: &[u8]) {
        self.version = RdpVersion(u32_at(block, 4).unwrap_or_default());
        self.build = u32_at(block, 20).unwrap_or_default();
        let units = block.get(24..24 + 2 * NAME_UNITS).unwrap_or_default().chunks_exact(2);
        let units: Vec<u16> =
            units.map(|pair| u16::from_le_bytes([pair[0], pair[1]])).take_while(|unit| *unit != 0).collect();
        self.name = String::from_utf16_lossy(&units);
        self.early_capabilities = u16_at(block, 144);
        self.selected_protocol = u32_at(block, 212).map(Protocols);
    }
}

/// The result and the blocks of a Connect Response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerData {
    /// `result` of the Connect Response.
    pub result: McsResult,
    /// `version`.
    pub version: RdpVersion,
    /// `clientRequestedProtocols`: what the host received in the Connection Request.
    pub requested_protocols: Option<Protocols>,
    /// `encryptionMethod` of standard RDP security; 0 inside TLS.
    pub encryption_method: Option<u32>,
    /// `encryptionLevel`; 0 inside TLS.
    pub encryption_level: Option<u32>,
    /// `MCSChannelId`: the channel that carries the session itself.
    pub io_channel: Option<u16>,
    /// `channelCount`: static virtual channels granted.
    pub channels: Option<u16>,
    /// `MCSChannelID` of the message channel.
    pub message_channel: Option<u16>,
}

impl ServerData {
    /// Reads a Connect Response; `pdu` is the TPKT, perhaps cut at [`CONNECT_MAX`]. Without blocks (a refusal has none) the
    /// result stands alone.
    #[must_use]
    pub fn parse(pdu: &[u8]) -> ServerData {
        let mut data = ServerData { result: result(pdu).unwrap_or_default(), ..ServerData::default() };
        for (kind, block) in blocks(pdu, HOST_KEY).into_iter().flatten() {
            match kind {
                SC_CORE => {
                    data.version = RdpVersion(u32_at(block, 4).unwrap_or_default());
                    data.requested_protocols = u32_at(block, 8).map(Protocols);
                }
                SC_SECURITY => {
                    data.encryption_method = u32_at(block, 4);
                    data.encryption_level = u32_at(block, 8);
                }
                SC_NET => {
                    data.io_channel = u16_at(block, 4);
                    data.channels = u16_at(block, 6);
                }
                SC_MCS_MSGCHANNEL => data.message_channel = u16_at(block, 4),
                _ => {}
            }
        }
        data
    }
}

/// `version` of a core block. [MS-RDPBCGR] 2.2.1.3.2, 2.2.1.4.2
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RdpVersion(pub u32);

impl RdpVersion {
    /// The version as Microsoft counts it: `10.12`; `5.0` stands for 5.0 to 8.1, which share one number.
    #[must_use]
    pub fn name(self) -> Option<String> {
        match self.0 {
            0x0008_0001 => Some("4.0".to_owned()),
            0x0008_0004 => Some("5.0".to_owned()),
            minor @ 0x0008_0005..=0x0008_00ff => Some(format!("10.{}", minor - 0x0008_0005)),
            _ => None,
        }
    }
}

/// The blocks behind the key `h221`: type, and the whole block with its header of four bytes.
fn blocks<'a>(pdu: &'a [u8], key: &[u8; 4]) -> Result<impl Iterator<Item = (u16, &'a [u8])> + use<'a>, Malformed> {
    let malformed = |offset, expected| Malformed { offset, expected };
    let at = pdu.windows(key.len()).position(|window| window == key);
    let at = at.ok_or(malformed(pdu.len(), "GCC user data"))? + key.len();
    // A length determinant of PER: one byte, or two with the top bit set. ITU-T X.691 10.9
    let (start, length) = match pdu.get(at..).unwrap_or_default() {
        [short @ 0..0x80, ..] => (at + 1, usize::from(*short)),
        [high, low, ..] => (at + 2, usize::from(u16::from_be_bytes([high & 0x3f, *low]))),
        _ => return Err(malformed(pdu.len(), "length of the GCC user data")),
    };
    let mut rest = pdu.get(start..).unwrap_or_default();
    rest = &rest[..rest.len().min(length)];
    Ok(core::iter::from_fn(move || {
        let (kind, length) = (u16_at(rest, 0)?, usize::from(u16_at(rest, 2)?));
        // A block that is cut is read as far as it goes.
        let end = length.min(rest.len());
        let block = rest.get(..end).filter(|block| block.len() >= 4)?;
        rest = &rest[end..];
        Some((kind, block))
    }))
}

/// `result`: the first element of a Connect Response, an ENUMERATED. ITU-T T.125 7, part 2
fn result(pdu: &[u8]) -> Option<McsResult> {
    let response = pdu.get(super::tpkt::TPKT_HEADER + 3 + 2..)?;
    let length_bytes = match response.first()? {
        0..0x80 => 1,
        long => 1 + usize::from(long & 0x7f),
    };
    match response.get(length_bytes..)? {
        [0x0a, 1, result, ..] => Some(McsResult(*result)),
        _ => None,
    }
}

fn u16_at(block: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*block.get(at..)?.first_chunk()?))
}

fn u32_at(block: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*block.get(at..)?.first_chunk()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A block with its header.
    pub(crate) fn block(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len() + 4).unwrap();
        [&kind.to_le_bytes()[..], &length.to_le_bytes(), body].concat()
    }

    /// CS_CORE of a client called `name`, up to serverSelectedProtocol.
    pub(crate) fn core(name: &str, build: u32, selected: u32) -> Vec<u8> {
        let mut body = vec![0; 212];
        body[..4].copy_from_slice(&0x0008_0011_u32.to_le_bytes());
        body[16..20].copy_from_slice(&build.to_le_bytes());
        for (unit, slot) in name.encode_utf16().zip(body[20..52].chunks_exact_mut(2)) {
            slot.copy_from_slice(&unit.to_le_bytes());
        }
        body[140..142].copy_from_slice(&0x0aad_u16.to_le_bytes());
        body[208..212].copy_from_slice(&selected.to_le_bytes());
        block(CS_CORE, &body)
    }

    /// A TPKT around MCS Connect Initial or Connect Response with these blocks.
    pub(crate) fn connect(host: bool, blocks: &[u8]) -> Vec<u8> {
        let key = if host { HOST_KEY } else { CLIENT_KEY };
        let mut mcs = if host { vec![0x7f, 0x66, 0x82, 0, 0, 0x0a, 1, 0] } else { vec![0x7f, 0x65, 0x82, 0, 0] };
        mcs.extend([4, 1, 1, 4, 1, 1, 1, 1, 0xff, 0, 5, 0, 0x14, 0x7c, 0, 1]);
        mcs.extend(key);
        mcs.extend((u16::try_from(blocks.len()).unwrap() | 0x8000).to_be_bytes());
        mcs.extend(blocks);
        let length = u16::try_from(mcs.len() + 7).unwrap().to_be_bytes();
        [&[3, 0, length[0], length[1], 2, 0xf0, 0x80][..], &mcs].concat()
    }

    #[test]
    fn a_client_is_described_by_its_core_block() {
        let net = block(CS_NET, &[&3_u32.to_le_bytes()[..], &[0; 36]].concat());
        let security = block(CS_SECURITY, &[3, 0, 0, 0, 0, 0, 0, 0]);
        let pdu = connect(false, &[core("WS-042", 22_621, 2), security, net].concat());
        let data = ClientData::parse(&pdu).unwrap();
        assert_eq!((data.version.name().as_deref(), data.build, &*data.name), (Some("10.12"), 22_621, "WS-042"));
        assert_eq!((data.selected_protocol, data.early_capabilities), (Some(Protocols::HYBRID), Some(0x0aad)));
        assert_eq!((data.encryption_methods, data.channels), (Some(3), Some(3)));
    }

    #[test]
    fn fields_behind_the_end_of_a_short_block_are_absent() {
        let short = block(CS_CORE, &core("old", 2600, 0)[4..132]);
        let data = ClientData::parse(&connect(false, &short)).unwrap();
        assert_eq!((data.build, data.selected_protocol, data.early_capabilities), (2600, None, None));
    }

    #[test]
    fn a_response_says_what_the_host_received() {
        let core = block(SC_CORE, &[4, 0, 8, 0, 0x0b, 0, 0, 0]);
        let security = block(SC_SECURITY, &[2, 0, 0, 0, 3, 0, 0, 0]);
        let net = block(SC_NET, &[0xeb, 3, 2, 0, 0xec, 3, 0xed, 3]);
        let message = block(SC_MCS_MSGCHANNEL, &[0xf0, 3]);
        let data = ServerData::parse(&connect(true, &[core, security, net, message].concat()));
        assert_eq!((data.result, data.requested_protocols), (McsResult(0), Some(Protocols(0x0b))));
        assert_eq!((data.encryption_method, data.encryption_level), (Some(2), Some(3)));
        assert_eq!((data.io_channel, data.channels, data.message_channel), (Some(1003), Some(2), Some(1008)));
    }

    #[test]
    fn a_refusal_has_a_result_and_no_blocks() {
        let pdu = [3, 0, 0, 14, 2, 0xf0, 0x80, 0x7f, 0x66, 3, 0x0a, 1, 15, 2];
        assert_eq!(ServerData::parse(&pdu).result, McsResult(15));
        assert!(ClientData::parse(&pdu).is_err());
    }

    #[test]
    fn any_part_is_read_as_far_as_it_goes() {
        let pdu = connect(false, &core("WS-042", 22_621, 2));
        for cut in 0..pdu.len() {
            let _ = (ClientData::parse(&pdu[..cut]), ServerData::parse(&pdu[..cut]));
        }
    }
}
