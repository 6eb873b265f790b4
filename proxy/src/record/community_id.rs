//! Community ID v1: one name for a flow, the same in every network monitor.
//!
//! <https://github.com/corelight/community-id-spec>

use super::stamp::ascii;
use serde::{Serialize, Serializer};
use sha1::{Digest, Sha1};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Protocol number of TCP.
const TCP: u8 = 6;

/// One flow's name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CommunityId([u8; 30]);

impl CommunityId {
    /// The name as it is written: `1:` and 28 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }
}

impl fmt::Debug for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for CommunityId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The Community ID of a TCP flow, seed 0. Both directions give the same.
#[must_use]
pub fn community_id(one: SocketAddr, other: SocketAddr) -> CommunityId {
    // The smaller end comes first; addresses compare as bytes in network order, then ports.
    let (one, other) = (canonical(one), canonical(other));
    let (first, second) = if comes_first(one, other) { (one, other) } else { (other, one) };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    update(&mut hash, first.ip());
    update(&mut hash, second.ip());
    hash.update([TCP, 0]);
    hash.update(first.port().to_be_bytes());
    hash.update(second.port().to_be_bytes());
    let mut id = *b"1:____________________________";
    base64(&hash.finalize(), &mut id[2..]);
    CommunityId(id)
}

/// An IPv4 client of a dual-stack socket is an IPv4 flow on the wire.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn comes_first(one: SocketAddr, other: SocketAddr) -> bool {
    let ports = (one.port(), other.port());
    match (one.ip(), other.ip()) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.octets(), ports.0) <= (other.octets(), ports.1),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.octets(), ports.0) <= (other.octets(), ports.1),
        // Two families are no flow; any fixed order will do.
        (one, other) => one < other,
    }
}

fn update(hash: &mut Sha1, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => hash.update(ip.octets()),
        IpAddr::V6(ip) => hash.update(ip.octets()),
    }
}

/// RFC 4648 4, into `text`, which has room. Twenty bytes per session do not call for a crate.
fn base64(bytes: &[u8], text: &mut [u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (chunk, digits) in bytes.chunks(3).zip(text.chunks_mut(4)) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (at, digit) in digits.iter_mut().enumerate() {
            *digit = if at <= chunk.len() { ALPHABET[(group >> (18 - 6 * at) & 63) as usize] } else { b'=' };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(one: &str, other: &str) -> String {
        community_id(one.parse().unwrap(), other.parse().unwrap()).as_str().to_owned()
    }

    /// Values of the specification's `baseline_deflt.json`.
    #[test]
    fn the_vectors_of_the_specification_hold() {
        assert_eq!(id("128.232.110.120:34855", "66.35.250.204:80"), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(id("66.35.250.204:80", "128.232.110.120:34855"), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_flow() {
        assert_eq!(id("[::ffff:128.232.110.120]:34855", "66.35.250.204:80"), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    }

    #[test]
    fn base64_pads_as_rfc_4648_shows() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            let mut text = vec![0; coded.len()];
            base64(plain.as_bytes(), &mut text);
            assert_eq!(text, coded.as_bytes());
        }
    }
}
