//! NTLM as far as it goes without a credential: NEGOTIATE as it is sent, and what a CHALLENGE says of its host. [MS-NLMP]

use super::outcome::Malformed;
use crate::Timestamp;

/// First bytes of every NTLM message. [MS-NLMP] 2.2.1
const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";
const NEGOTIATE: u32 = 1;
const CHALLENGE: u32 = 2;

/// What a client of today asks for; no host answers target information and its version to less. [MS-NLMP] 2.2.2.5:
/// KEY_EXCH, 56, 128, VERSION, EXTENDED_SESSIONSECURITY, ALWAYS_SIGN, NTLM, SEAL, SIGN, REQUEST_TARGET, UNICODE.
const ASKED: u32 = 0xe208_8235;
const UNICODE: u32 = 0x0000_0001;
const TARGET_INFO: u32 = 0x0080_0000;
const VERSION: u32 = 0x0200_0000;

/// AV pairs that are read: the specification has eleven kinds. [MS-NLMP] 2.2.2.1
const PAIRS_MAX: usize = 16;
/// UTF-16 units kept of one name: a DNS name has at most 255.
const NAME_MAX: usize = 255;
/// 1601-01-01 to 1970-01-01 in units of 100 ns.
const FILETIME_OF_EPOCH: u64 = 116_444_736_000_000_000;

/// A NEGOTIATE message without domain and workstation. [MS-NLMP] 2.2.1.1
#[must_use]
pub fn ntlm_negotiate() -> [u8; 40] {
    let mut message = [0; 40];
    message[..8].copy_from_slice(SIGNATURE);
    message[8..12].copy_from_slice(&NEGOTIATE.to_le_bytes());
    message[12..16].copy_from_slice(&ASKED.to_le_bytes());
    // 16..32: no domain and no workstation. The version, 10.0, is read by nobody; its revision is always 15. 2.2.2.10
    message[32..].copy_from_slice(&[10, 0, 0, 0, 0, 0, 0, 15]);
    message
}

/// What a CHALLENGE says of the host that sent it; the challenge itself is not kept. [MS-NLMP] 2.2.1.2
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NtlmChallenge {
    /// `TargetName` and the names among the AV pairs (`NbComputerName`, `DnsDomainName`, …), in the order sent.
    pub names: Vec<(&'static str, String)>,
    /// `MsvAvTimestamp`: the host's clock.
    pub time: Option<Timestamp>,
    /// Major, minor and build number of the operating system, as the host gives it.
    pub version: Option<(u8, u8, u16)>,
}

impl NtlmChallenge {
    /// Reads a CHALLENGE. What stands before it, as SPNEGO does ([RFC 4178] 4.2), is stepped over; a name that lies outside
    /// the message is left out.
    ///
    /// # Errors
    /// No CHALLENGE, or one that ends before its target name, is in `token`.
    ///
    /// [RFC 4178]: https://www.rfc-editor.org/rfc/rfc4178
    pub fn parse(token: &[u8]) -> Result<NtlmChallenge, Malformed> {
        let malformed = |offset, expected| Malformed { offset, expected };
        let start = token.windows(SIGNATURE.len()).position(|window| window == SIGNATURE);
        let start = start.ok_or(malformed(0, "NTLMSSP"))?;
        let message = token.get(start..).unwrap_or_default();
        if u32_at(message, 8) != Some(CHALLENGE) {
            return Err(malformed(start + 8, "NTLM CHALLENGE"));
        }
        let flags = u32_at(message, 20).ok_or(malformed(token.len(), "NTLM negotiate flags"))?;

        let mut challenge = NtlmChallenge::default();
        if let Some(name) = payload(message, 12).filter(|name| !name.is_empty()) {
            let name = if flags & UNICODE != 0 { utf16(name) } else { String::from_utf8_lossy(name).into_owned() };
            challenge.names.push(("TargetName", name.chars().take(NAME_MAX).collect()));
        }
        if flags & TARGET_INFO != 0 {
            challenge.read_pairs(payload(message, 40).unwrap_or_default());
        }
        if flags & VERSION != 0
            && let Some([major, minor, low, high, ..]) = message.get(48..56)
        {
            challenge.version = Some((*major, *minor, u16::from_le_bytes([*low, *high])));
        }
        Ok(challenge)
    }

    /// [MS-NLMP] 2.2.2.1
    fn read_pairs(&mut self, mut pairs: &[u8]) {
        for _ in 0..PAIRS_MAX {
            let (Some(id), Some(length)) = (u16_at(pairs, 0), u16_at(pairs, 2)) else { return };
            let end = 4 + usize::from(length);
            let Some(value) = pairs.get(4..end) else { return };
            let name = match id {
                0 => return,
                1 => "NbComputerName",
                2 => "NbDomainName",
                3 => "DnsComputerName",
                4 => "DnsDomainName",
                5 => "DnsTreeName",
                7 => {
                    self.time = filetime(value);
                    ""
                }
                _ => "",
            };
            if !name.is_empty() && !value.is_empty() {
                self.names.push((name, utf16(value)));
            }
            pairs = pairs.get(end..).unwrap_or_default();
        }
    }
}

/// What the length, the room and the offset at `at` point to. [MS-NLMP] 2.2.1.2
fn payload(message: &[u8], at: usize) -> Option<&[u8]> {
    let length = usize::from(u16_at(message, at)?);
    let offset = usize::try_from(u32_at(message, at + 4)?).ok()?;
    message.get(offset..offset.checked_add(length)?)
}

/// 100 ns since 1601, little endian; none for a time before 1970 or one that no clock shows. [MS-DTYP] 2.3.3
fn filetime(value: &[u8]) -> Option<Timestamp> {
    let ticks = u64::from_le_bytes(value.try_into().ok()?);
    ticks.checked_sub(FILETIME_OF_EPOCH)?.checked_mul(100).map(Timestamp)
}

fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).take(NAME_MAX).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn units(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    /// As Windows Server 2022 sends it. [MS-NLMP] 4.2.4.3 has the layout.
    pub(crate) fn challenge() -> Vec<u8> {
        let mut pairs = Vec::new();
        let time = (FILETIME_OF_EPOCH + 17_000_000_000_000_000).to_le_bytes();
        for (id, value) in [
            (2u16, units("CORP")),
            (1, units("RD07")),
            (4, units("corp.example.net")),
            (3, units("RD07.corp.example.net")),
            (5, units("example.net")),
            (7, time.to_vec()),
            (0, Vec::new()),
        ] {
            pairs.extend(id.to_le_bytes());
            pairs.extend((value.len() as u16).to_le_bytes());
            pairs.extend(value);
        }
        let target = units("CORP");
        let fields = |length: usize, offset: usize| {
            [&(length as u16).to_le_bytes()[..], &(length as u16).to_le_bytes(), &(offset as u32).to_le_bytes()]
                .concat()
        };
        let mut message = SIGNATURE.to_vec();
        message.extend(CHALLENGE.to_le_bytes());
        message.extend(fields(target.len(), 56));
        message.extend((ASKED | TARGET_INFO).to_le_bytes());
        message.extend([0x5a; 8]);
        message.extend([0; 8]);
        message.extend(fields(pairs.len(), 56 + target.len()));
        message.extend([10, 0, 0x7c, 0x4f, 0, 0, 0, 15]);
        message.extend(target);
        message.extend(pairs);
        message
    }

    #[test]
    fn a_challenge_names_the_host_its_build_and_its_clock() {
        let read = NtlmChallenge::parse(&challenge()).expect("a challenge");
        let expected = [
            ("TargetName", "CORP"),
            ("NbDomainName", "CORP"),
            ("NbComputerName", "RD07"),
            ("DnsDomainName", "corp.example.net"),
            ("DnsComputerName", "RD07.corp.example.net"),
            ("DnsTreeName", "example.net"),
        ];
        assert_eq!(read.names, expected.map(|(kind, name)| (kind, name.to_owned())));
        assert_eq!(read.time.map(Timestamp::unix_seconds), Some(1_700_000_000));
        assert_eq!(read.version, Some((10, 0, 20_348)));
    }

    #[test]
    fn a_wrapping_is_stepped_over() {
        let wrapped = [&[0xa1, 0x81, 0xff, 0x30][..], &challenge()].concat();
        assert_eq!(NtlmChallenge::parse(&wrapped), NtlmChallenge::parse(&challenge()));
    }

    #[test]
    fn another_message_is_no_challenge() {
        let refused = NtlmChallenge::parse(&ntlm_negotiate());
        assert_eq!(refused, Err(Malformed { offset: 8, expected: "NTLM CHALLENGE" }));
        assert_eq!(NtlmChallenge::parse(b"Kerberos").map_err(|malformed| malformed.offset), Err(0));
    }

    #[test]
    fn a_time_before_1970_or_beyond_every_clock_is_none() {
        assert_eq!(filetime(&0u64.to_le_bytes()), None);
        assert_eq!(filetime(&u64::MAX.to_le_bytes()), None);
        assert_eq!(filetime(&FILETIME_OF_EPOCH.to_le_bytes()), Some(Timestamp(0)));
    }

    proptest! {
        #[test]
        fn hostile_bytes_cost_no_more_than_they_are(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..24),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = challenge();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            if let Ok(read) = NtlmChallenge::parse(&bytes) {
                prop_assert!(read.names.len() <= PAIRS_MAX + 1);
                prop_assert!(read.names.iter().all(|(_, name)| name.chars().count() <= NAME_MAX));
            }
        }
    }
}
