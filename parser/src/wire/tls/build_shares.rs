//! Key shares that are valid on the wire and that nobody holds the private half of. RFC 8446 4.2.8
//!
//! A host only checks that a share lies in its group. X25519 and X448 take any bytes; on the NIST curves the generator is
//! a point that everybody knows; an ML-KEM key is any list of coefficients below the modulus (FIPS 203 7.2).

use super::NamedGroup;
use sha2::{Digest, Sha256};

/// Modulus of ML-KEM. FIPS 203 2.4
const MODULUS: u32 = 3329;

/// A share for `group` out of `seed`; `None` for a group that this cannot make one for.
#[must_use]
pub fn key_share(group: NamedGroup, seed: &[u8; 32]) -> Option<Vec<u8>> {
    let x25519 = || stream(seed).take(32);
    Some(match group.0 {
        0x0017 => P256.to_vec(),
        0x0018 => P384.to_vec(),
        0x0019 => P521.to_vec(),
        0x001d => x25519().collect(),
        0x001e => stream(seed).take(56).collect(),
        0x0100 => finite_field(2048),
        0x0101 => finite_field(3072),
        0x0102 => finite_field(4096),
        0x0103 => finite_field(6144),
        0x0104 => finite_field(8192),
        0x0200 => ml_kem(seed, 2),
        0x0201 => ml_kem(seed, 3),
        0x0202 => ml_kem(seed, 4),
        // Which part comes first differs from group to group. draft-ietf-tls-ecdhe-mlkem 4.1
        0x11eb => [&P256[..], &ml_kem(seed, 3)].concat(),
        0x11ec => ml_kem(seed, 3).into_iter().chain(x25519()).collect(),
        0x11ed => [&P384[..], &ml_kem(seed, 4)].concat(),
        0x6399 => x25519().chain(ml_kem(seed, 3)).collect(),
        _ => return None,
    })
}

/// The number 4. Only squares are in the group, and hosts refuse the half of all numbers that are none. RFC 7919 3
fn finite_field(bits: usize) -> Vec<u8> {
    let mut share = vec![0; bits / 8];
    if let Some(last) = share.last_mut() {
        *last = 4;
    }
    share
}

/// An encapsulation key of `rank` polynomials: 256 coefficients of 12 bits each, then the seed of the matrix.
fn ml_kem(seed: &[u8; 32], rank: usize) -> Vec<u8> {
    let mut bytes = stream(seed);
    let mut coefficient = || {
        let pair = [bytes.next().unwrap_or_default(), bytes.next().unwrap_or_default()];
        u32::from(u16::from_be_bytes(pair)) % MODULUS
    };
    let mut key = Vec::with_capacity(384 * rank + 32);
    for _ in 0..128 * rank {
        let pair = coefficient() | coefficient() << 12;
        key.extend(&pair.to_le_bytes()[..3]);
    }
    key.extend(seed);
    key
}

/// Endless bytes out of a seed.
fn stream(seed: &[u8; 32]) -> impl Iterator<Item = u8> + use<> {
    let seed = *seed;
    (0u32..).flat_map(move |block| Sha256::new().chain_update(seed).chain_update(block.to_be_bytes()).finalize())
}

/// Generator, uncompressed. SEC 2 2.4.2
const P256: [u8; 65] = hex(
    b"046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b31\
      5ececbb6406837bf51f5",
);
/// Generator, uncompressed. SEC 2 2.5.1
const P384: [u8; 97] = hex(
    b"04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab73617de4a9626\
      2c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
);
/// Generator, uncompressed. SEC 2 2.6.1
const P521: [u8; 133] = hex(
    b"0400c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c18\
      56a429bf97e7e31c2e5bd66011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550\
      b9013fad0761353c7086a272c24088be94769fd16650",
);

const fn hex<const N: usize>(text: &[u8]) -> [u8; N] {
    const fn digit(character: u8) -> u8 {
        match character {
            b'a'..=b'f' => character - b'a' + 10,
            _ => character - b'0',
        }
    }
    assert!(text.len() == 2 * N);
    let (mut bytes, mut at) = ([0; N], 0);
    while at < N {
        bytes[at] = digit(text[2 * at]) << 4 | digit(text[2 * at + 1]);
        at += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_the_length_of_their_group() {
        for (group, length) in
            [(0x17, 65), (0x18, 97), (0x19, 133), (0x1d, 32), (0x1e, 56), (0x100, 256), (0x11ec, 1216), (0x11ed, 1665)]
        {
            assert_eq!(key_share(NamedGroup(group), &[3; 32]).map(|share| share.len()), Some(length), "{group:#x}");
        }
        assert_eq!(key_share(NamedGroup(0x2a2a), &[3; 32]), None);
    }

    #[test]
    fn coefficients_of_ml_kem_are_below_the_modulus() {
        let key = ml_kem(&[5; 32], 3);
        let below = |three: &[u8]| {
            let pair = u32::from_le_bytes([three[0], three[1], three[2], 0]);
            (pair & 0xfff) < MODULUS && (pair >> 12) < MODULUS
        };
        assert!(key[..1152].chunks_exact(3).all(below));
    }
}
