//! The preconnection blob: which VM or session a connection is for, before anything else. [MS-RDPEPS] 2.2.1

use super::outcome::{Outcome, Parsed, arriving, unexpected};
use nom::bytes::streaming::take;
use nom::number::streaming::{le_u16, le_u32};

/// Longest blob that is read, in bytes. Real ones carry a VM id and a few words (under 300 bytes); the field could
/// announce 128 KiB, and nobody is made to hold that for a stranger.
pub const PRECONNECTION_MAX: u32 = 2048;
/// Bytes of version 1, and of the part of version 2 before its text.
const FIXED: u32 = 16;

/// An RDP_PRECONNECTION_PDU of version 1 or 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preconnection<'a> {
    /// `cbSize`: whole length in bytes.
    pub length: u32,
    /// `Id`.
    pub id: u32,
    /// `wszPCB` of version 2, UTF-16LE as sent, its final zero included.
    text: Option<&'a [u8]>,
}

impl<'a> Preconnection<'a> {
    /// Reads a whole blob.
    pub fn parse(input: &'a [u8]) -> Outcome<Preconnection<'a>> {
        arriving(input, blob)
    }

    /// `wszPCB`, decoded, without the zeros that end it. Version 1 has none.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let units = self.text?.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let text: String = char::decode_utf16(units.take_while(|&u| u != 0))
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        Some(text)
    }
}

fn blob(input: &[u8]) -> Parsed<'_, Preconnection<'_>> {
    let (i, length) = le_u32(input)?;
    if !(FIXED..=PRECONNECTION_MAX).contains(&length) {
        return Err(unexpected(input, "preconnection blob size of 16 to 2048"));
    }
    let (after_flags, flags) = le_u32(i)?;
    if flags != 0 {
        return Err(unexpected(i, "preconnection flags 0"));
    }
    let (i, version) = le_u32(after_flags)?;
    if !matches!(version, 1 | 2) {
        return Err(unexpected(after_flags, "preconnection version 1 or 2"));
    }
    let (i, id) = le_u32(i)?;
    // The whole blob is taken by its own size, so that what a version adds later is stepped over.
    let (rest, body) = take(length - FIXED)(i)?;
    let text = if version == 2 && body.len() >= 2 {
        let (chars, count) = le_u16(body)?;
        let bytes = usize::from(count) * 2;
        match chars.get(..bytes) {
            Some(text) => Some(text),
            None => return Err(unexpected(body, "preconnection text within the blob")),
        }
    } else {
        None
    };
    Ok((rest, Preconnection { length, id, text }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version2(id: u32, text: &str) -> Vec<u8> {
        let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
        let mut blob = Vec::new();
        blob.extend((18 + 2 * units.len() as u32).to_le_bytes());
        blob.extend(0u32.to_le_bytes());
        blob.extend(2u32.to_le_bytes());
        blob.extend(id.to_le_bytes());
        blob.extend((units.len() as u16).to_le_bytes());
        blob.extend(units.iter().flat_map(|u| u.to_le_bytes()));
        blob
    }

    #[test]
    fn version_1_has_an_id_and_no_text() {
        let mut blob = vec![16, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
        blob.extend(0xCAFE_u32.to_le_bytes());
        blob.push(3);
        let Outcome::Value { value, consumed } = Preconnection::parse(&blob) else { panic!("not read") };
        assert_eq!((value.id, value.text(), consumed), (0xCAFE, None, 16));
    }

    #[test]
    fn version_2_carries_the_vm_id() {
        let text = "8a4b2c1e-0000-4000-8000-000000000001;EnhancedMode=1";
        let blob = version2(0, text);
        let Outcome::Value { value, consumed } = Preconnection::parse(&blob) else { panic!("not read") };
        assert_eq!((value.text().as_deref(), consumed), (Some(text), blob.len()));
    }

    #[test]
    fn a_part_of_a_blob_needs_more() {
        let blob = version2(7, "vm");
        for cut in 0..blob.len() {
            assert!(matches!(Preconnection::parse(&blob[..cut]), Outcome::NeedMore { .. }), "cut at {cut}");
        }
    }

    #[test]
    fn a_text_longer_than_the_blob_is_malformed() {
        let mut blob = version2(7, "vm");
        blob[16] = 0xff;
        assert!(matches!(Preconnection::parse(&blob), Outcome::Malformed(m) if m.offset == 16));
    }

    #[test]
    fn an_absurd_size_is_refused_at_once() {
        assert!(matches!(Preconnection::parse(&[0xff, 0xff, 0xff, 0xff]), Outcome::Malformed(_)));
    }
}
