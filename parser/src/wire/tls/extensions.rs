//! Extension blocks and the lists inside of them: slices that were recorded in one pass, read when asked.
//!
//! Lists are read leniently: a length that promises more than there is gives what there is, since the observer wants the
//! offer and not a judgement of it.

use super::{ExtensionType, NamedGroup};

/// Type and data of each extension in a block, in the order sent. Ends early when the block does.
#[derive(Clone, Debug)]
pub struct Extensions<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Extensions<'a> {
    type Item = (ExtensionType, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let [k0, k1, l0, l1, after @ ..] = self.0 else { return None };
        let (data, rest) = after.split_at_checked(usize::from(u16::from_be_bytes([*l0, *l1])))?;
        self.0 = rest;
        Some((ExtensionType(u16::from_be_bytes([*k0, *k1])), data))
    }
}

/// Group and size in bytes of each key share.
#[derive(Clone, Debug)]
pub struct KeyShares<'a>(pub(super) &'a [u8]);

impl Iterator for KeyShares<'_> {
    type Item = (NamedGroup, u16);

    fn next(&mut self) -> Option<Self::Item> {
        // A key share entry has the layout of an extension. RFC 8446 4.2.8
        let mut entries = Extensions(self.0);
        let (group, share) = entries.next()?;
        self.0 = entries.0;
        Some((NamedGroup(group.0), u16::try_from(share.len()).unwrap_or(u16::MAX)))
    }
}

/// Values of a list whose entries have a one-byte length: ALPN. RFC 7301 3.1
#[derive(Clone, Debug)]
pub struct ByteStrings<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for ByteStrings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let (length, after) = self.0.split_first()?;
        let (value, rest) = after.split_at_checked(usize::from(*length))?;
        self.0 = rest;
        Some(value)
    }
}

/// The list after a two-byte length, or as much of it as there is.
#[inline]
pub(super) fn list16(data: &[u8]) -> &[u8] {
    match data {
        [a, b, list @ ..] => &list[..list.len().min(usize::from(u16::from_be_bytes([*a, *b])))],
        _ => &[],
    }
}

/// The list after a one-byte length, or as much of it as there is.
#[inline]
pub(super) fn list8(data: &[u8]) -> &[u8] {
    match data {
        [a, list @ ..] => &list[..list.len().min(usize::from(*a))],
        _ => &[],
    }
}

/// Big-endian 16-bit values; a single byte at the end is left out.
#[inline]
pub(super) fn u16s(list: &[u8]) -> impl Iterator<Item = u16> + Clone + '_ {
    list.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}
