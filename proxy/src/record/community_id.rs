//! Community ID v1: one name for a flow, the same in every network monitor.
//!
//! <https://github.com/corelight/community-id-spec>

use sha1::{Digest, Sha1};
use std::net::{IpAddr, SocketAddr};

/// Protocol number of TCP.
const TCP: u8 = 6;

/// The Community ID of a TCP flow, seed 0. Both directions give the same.
#[must_use]
pub fn community_id(one: SocketAddr, other: SocketAddr) -> String {
    // The smaller end comes first; addresses compare as bytes in network order, then ports.
    let (one, other) = (canonical(one), canonical(other));
    let (first, second) = if key(one) <= key(other) { (one, other) } else { (other, one) };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    update(&mut hash, first.ip());
    update(&mut hash, second.ip());
    hash.update([TCP, 0]);
    hash.update(first.port().to_be_bytes());
    hash.update(second.port().to_be_bytes());
    format!("1:{}", base64(&hash.finalize()))
}

/// An IPv4 client of a dual-stack socket is an IPv4 flow on the wire.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn key(address: SocketAddr) -> (Vec<u8>, u16) {
    let bytes = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    (bytes, address.port())
}

fn update(hash: &mut Sha1, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => hash.update(ip.octets()),
        IpAddr::V6(ip) => hash.update(ip.octets()),
    }
}

/// RFC 4648 4. Twenty bytes per session do not call for a crate.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(one: &str, other: &str) -> String {
        community_id(one.parse().unwrap(), other.parse().unwrap())
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
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
