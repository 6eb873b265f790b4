//! Sizes of the RDP messages that never change, and how a sealed record is compared with them.
//!
//! After TLS only record lengths are visible. Most messages of the connection sequence have a fixed plaintext size, and
//! a cipher suite adds a constant (AEAD, stream) or rounds up to a block (CBC). A [`Plain`] says which plaintext sizes a
//! record can have; it never says what is inside.

use super::ServerHelloFacts;
use crate::wire::{PlaintextLen, SealedLen, Sealing};

/// `encrypt_then_mac`. RFC 7366 2
const ENCRYPT_THEN_MAC: u16 = 22;

/// Erect Domain Request. [MS-RDPBCGR] 2.2.1.5
pub(super) const ERECT_DOMAIN: u16 = 12;
/// Attach User Request. [MS-RDPBCGR] 2.2.1.6
pub(super) const ATTACH_USER_REQUEST: u16 = 8;
/// Attach User Confirm. [MS-RDPBCGR] 2.2.1.7
pub(super) const ATTACH_USER_CONFIRM: u16 = 11;
/// Channel Join Confirm. [MS-RDPBCGR] 2.2.1.9
pub(super) const JOIN_CONFIRM: u16 = 15;
/// Static channels, user, I/O and message channel: nobody joins more. [MS-RDPBCGR] 2.2.1.3.4
pub(super) const MOST_JOINS: u16 = 34;
/// Licensing "valid client", with the one-byte and the two-byte PER length. [MS-RDPBCGR] 2.2.1.12
pub(super) const VALID_CLIENT: [u16; 2] = [34, 35];
/// Synchronize, and Set Error Info, with either PER length. [MS-RDPBCGR] 2.2.1.14, 2.2.5.1
pub(super) const SYNCHRONIZE: [u16; 2] = [36, 37];
/// Control (cooperate, request, granted), Font List and Font Map. [MS-RDPBCGR] 2.2.1.15 to 2.2.1.22
pub(super) const CONTROL: [u16; 2] = [40, 41];
/// MCS Disconnect Provider Ultimatum. [MS-RDPBCGR] 2.2.2.3
pub(super) const ULTIMATUM: u16 = 9;
/// Early User Authorization Result. [MS-RDPBCGR] 2.2.10.2
pub(super) const EARLY_USER_AUTH: u16 = 4;
/// An alert. RFC 8446 6
pub(super) const ALERT: u16 = 2;
/// A TSRequest with nothing but version and errorCode is 15 bytes; a signed pubKeyAuth never is below 40. [MS-CSSP] 2.2.1
pub(super) const LONGEST_TSREQUEST_ERROR: u16 = 31;

/// How the suite of one connection relates record lengths to plaintext sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes(Option<Sealing>);

impl Sizes {
    /// What a ServerHello settled.
    pub(super) fn of(hello: &ServerHelloFacts) -> Sizes {
        let encrypt_then_mac = hello.extensions.contains(&ENCRYPT_THEN_MAC);
        Sizes(Sealing::of(hello.version, hello.suite, encrypt_then_mac))
    }

    /// Plaintext sizes of a record of `length`; `None` when the suite is not known, or seals nothing to that length.
    pub(super) fn plain(&self, length: u16) -> Option<Plain> {
        match self.0?.plaintext_len(length) {
            PlaintextLen::Exact(size) => Some(Plain::exactly(size)),
            PlaintextLen::Range(low, high) => Some(Plain::between(low, high)),
            PlaintextLen::Unknown => None,
        }
    }

    /// Length of the record that seals `plain` bytes with the least padding; `None` when the suite is not known.
    pub(super) fn sealed(&self, plain: u16) -> Option<u16> {
        match self.0?.sealed_len(plain) {
            SealedLen::Exact(length) | SealedLen::Minimal(length) => Some(length),
            SealedLen::Unknown => None,
        }
    }
}

/// The plaintext sizes one record can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plain {
    low: u16,
    high: u16,
}

impl Plain {
    /// A size that is known to the byte.
    pub(super) fn exactly(size: u16) -> Plain {
        Plain { low: size, high: size }
    }

    /// Any size from `low` to `high`.
    pub(super) const fn between(low: u16, high: u16) -> Plain {
        Plain { low, high: if high < low { low } else { high } }
    }

    /// The record can hold exactly `size` bytes.
    pub(super) fn is(self, size: u16) -> bool {
        self.low <= size && size <= self.high
    }

    /// The record can hold one of `sizes`.
    pub(super) fn is_any(self, sizes: [u16; 2]) -> bool {
        self.is(sizes[0]) || self.is(sizes[1])
    }

    /// The record can hold `size` bytes or more.
    pub(super) fn at_least(self, size: u16) -> bool {
        self.high >= size
    }

    /// The record holds `size` bytes or fewer.
    pub(super) fn at_most(self, size: u16) -> bool {
        self.high <= size
    }

    /// The record can hold more than `other` can.
    pub(super) fn exceeds(self, other: Plain) -> bool {
        self.low > other.low
    }

    /// The size, when the suite gives it to the byte.
    pub(super) fn exact(self) -> Option<u16> {
        (self.low == self.high).then_some(self.low)
    }

    /// How many messages of `size` bytes the record holds, when it holds nothing else.
    pub(super) fn count_of(self, size: u16) -> Option<u16> {
        let count = self.high / size;
        (count > 0 && self.is(count * size)).then_some(count)
    }

    /// The same record when its first byte went ahead in a record of its own (or, as some stacks do, none did).
    pub(super) fn after_split(self) -> Plain {
        Plain { low: self.low, high: self.high.saturating_add(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_matches_every_size_in_it_and_no_other() {
        let plain = Plain::between(28, 43);
        assert!(plain.is(28) && plain.is(43) && !plain.is(27) && !plain.is(44));
        assert!(plain.is_any(SYNCHRONIZE) && plain.is_any(CONTROL) && plain.is_any(VALID_CLIENT));
        assert_eq!(plain.exact(), None);
        assert_eq!(Plain::exactly(9).exact(), Some(9));
    }

    #[test]
    fn several_joins_in_one_record_are_counted() {
        assert_eq!(Plain::exactly(45).count_of(JOIN_CONFIRM), Some(3));
        assert_eq!(Plain::exactly(46).count_of(JOIN_CONFIRM), None);
        assert_eq!(Plain::exactly(4).count_of(JOIN_CONFIRM), None);
    }

    #[test]
    fn a_split_record_may_hold_one_byte_more() {
        assert!(Plain::exactly(11).after_split().is(12));
        assert!(Plain::exactly(11).after_split().is(11));
    }
}
