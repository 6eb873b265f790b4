//! Records under one key: opened, and sealed again in the same length. RFC 8446 5.2, RFC 5288 3, RFC 7905 2; those of CBC
//! are in `block`.

use super::block::{Block, BlockSuite};
use super::keys::Secret;
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{self, HKDF_SHA256, HKDF_SHA384, Prk};
use aws_lc_rs::tls_prf::{self, P_SHA256, P_SHA384};
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use md5::Md5;
use parser::wire::tls::RECORD_HEADER;
use parser::wire::{CipherSuite, TlsVersion};
use sha1::Sha1;

/// Bytes that every suite here adds at the end.
const TAG: usize = 16;
/// What stands before a record of AES-GCM in TLS 1.2.
const EXPLICIT: usize = 8;
/// The nonce of every suite here.
const NONCE: usize = 12;

/// How records of a suite are sealed.
#[derive(Clone, Copy)]
pub(super) struct Suite {
    version: TlsVersion,
    /// SHA-384 and not SHA-256.
    long_hash: bool,
    how: How,
}

#[derive(Clone, Copy)]
enum How {
    Aead(&'static Algorithm, Form),
    Block(BlockSuite),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Tls13,
    /// Half of the nonce stands before each record.
    Tls12Gcm,
    Tls12ChaCha,
}

impl Suite {
    /// `None`: it is none that is spoken here, as one with 3DES. `encrypt_then_mac`: both ends have agreed on it.
    pub(super) fn of(version: TlsVersion, suite: CipherSuite, encrypt_then_mac: bool) -> Option<Suite> {
        let name = suite.name()?;
        let aead = [("AES_128_GCM", &AES_128_GCM), ("AES_256_GCM", &AES_256_GCM), ("CHACHA20", &CHACHA20_POLY1305)];
        let aead = aead.into_iter().find(|(word, _)| name.contains(word)).map(|(_, aead)| aead);
        let how = match (version, aead) {
            (TlsVersion::TLS13, Some(aead)) => How::Aead(aead, Form::Tls13),
            (TlsVersion::TLS12, Some(aead)) if name.contains("CHACHA20") => How::Aead(aead, Form::Tls12ChaCha),
            (TlsVersion::TLS12, Some(aead)) => How::Aead(aead, Form::Tls12Gcm),
            (TlsVersion::TLS10 | TlsVersion::TLS11 | TlsVersion::TLS12, None) => {
                How::Block(BlockSuite::of(version, name, encrypt_then_mac)?)
            }
            _ => return None,
        };
        Some(Suite { version, long_hash: name.ends_with("SHA384"), how })
    }

    pub(super) fn is_13(self) -> bool {
        self.version == TlsVersion::TLS13
    }

    /// Length of a secret of this suite, in bytes.
    pub(super) fn secret_length(self) -> usize {
        // A master secret has 48 bytes, whatever the hash. RFC 5246 8.1
        if self.is_13() && !self.long_hash { 32 } else { 48 }
    }

    /// Lengths of the keys of one side: MAC, cipher, initialization vector. RFC 5246 6.3
    fn lengths(self) -> [usize; 3] {
        match self.how {
            How::Aead(aead, Form::Tls12Gcm) => [0, aead.key_len(), NONCE - EXPLICIT],
            How::Aead(aead, _) => [0, aead.key_len(), NONCE],
            How::Block(suite) => suite.lengths(),
        }
    }
}

/// One direction under one key.
pub(super) enum Cipher {
    Aead(Aead),
    Block(Box<Block>),
}

impl Cipher {
    /// Of a traffic secret of TLS 1.3. RFC 8446 7.3
    pub(super) fn of_traffic(suite: Suite, secret: &[u8]) -> Option<Cipher> {
        let algorithm = if suite.long_hash { HKDF_SHA384 } else { HKDF_SHA256 };
        if secret.len() != suite.secret_length() {
            return None;
        }
        let secret = Prk::new_less_safe(algorithm, secret);
        let [_, key, iv] = suite.lengths();
        Cipher::new(suite, [&[], &expand(&secret, b"tls13 key", key)?, &expand(&secret, b"tls13 iv", iv)?])
    }

    /// Of a master secret of older versions: the client's and the server's. RFC 5246 6.3
    pub(super) fn of_master(suite: Suite, master: &[u8], randoms: (&[u8], &[u8])) -> Option<[Cipher; 2]> {
        let (client, server) = randoms;
        let lengths = suite.lengths();
        let seed = [server, client].concat();
        let block = prf(suite, master, b"key expansion", &seed, 2 * lengths.iter().sum::<usize>())?;
        let mut rest = &block[..];
        let mut sides: [[&[u8]; 3]; 2] = Default::default();
        for (part, length) in lengths.into_iter().enumerate() {
            for side in &mut sides {
                (side[part], rest) = rest.split_at_checked(length)?;
            }
        }
        let [client, server] = sides;
        Some([Cipher::new(suite, client)?, Cipher::new(suite, server)?])
    }

    fn new(suite: Suite, [mac, key, iv]: [&[u8]; 3]) -> Option<Cipher> {
        Some(match suite.how {
            How::Aead(aead, form) => {
                let key = LessSafeKey::new(UnboundKey::new(aead, key).ok()?);
                Cipher::Aead(Aead { key, iv: Secret::from(iv.to_vec()), form, count: 0 })
            }
            How::Block(suite) => Cipher::Block(Box::new(Block::new(suite, mac, key, iv)?)),
        })
    }

    /// Opens the body of the next record. `None`: it is not of this key, or not the next.
    pub(super) fn open(&mut self, header: [u8; RECORD_HEADER], body: &[u8]) -> Option<Secret> {
        match self {
            Cipher::Aead(cipher) => cipher.open(header, body),
            Cipher::Block(cipher) => cipher.open(header, body),
        }
    }

    /// Puts `plain`, as long as it was, sealed into the body of the next record. `None`: it is another length.
    pub(super) fn seal(&mut self, header: [u8; RECORD_HEADER], body: &mut [u8], plain: &[u8]) -> Option<()> {
        match self {
            Cipher::Aead(cipher) => cipher.seal(header, body, plain),
            Cipher::Block(cipher) => cipher.seal(header, body, plain),
        }
    }
}

/// AEAD.
pub(super) struct Aead {
    key: LessSafeKey,
    iv: Secret,
    form: Form,
    /// Records so far.
    count: u64,
}

impl Aead {
    fn open(&mut self, header: [u8; RECORD_HEADER], body: &[u8]) -> Option<Secret> {
        let sealed = body.get(self.explicit()..)?;
        let plain = sealed.len().checked_sub(TAG)?;
        let mut opened = Secret::from(sealed.to_vec());
        let (nonce, data) = (self.nonce(body)?, self.additional(header, plain));
        self.key.open_in_place(nonce, Aad::from(data), &mut opened).ok()?;
        self.count += 1;
        opened.truncate(plain);
        Some(opened)
    }

    fn seal(&mut self, header: [u8; RECORD_HEADER], body: &mut [u8], plain: &[u8]) -> Option<()> {
        let explicit = self.explicit();
        if body.len() != explicit + plain.len() + TAG {
            return None;
        }
        let mut sealed = plain.to_vec();
        let (nonce, data) = (self.nonce(body)?, self.additional(header, plain.len()));
        self.key.seal_in_place_append_tag(nonce, Aad::from(data), &mut sealed).ok()?;
        self.count += 1;
        body[explicit..].copy_from_slice(&sealed);
        Some(())
    }

    fn explicit(&self) -> usize {
        if self.form == Form::Tls12Gcm { EXPLICIT } else { 0 }
    }

    fn nonce(&self, body: &[u8]) -> Option<Nonce> {
        let mut nonce = [0; NONCE];
        if self.form == Form::Tls12Gcm {
            let (fixed, explicit) = nonce.split_at_mut(NONCE - EXPLICIT);
            fixed.copy_from_slice(&self.iv);
            explicit.copy_from_slice(body.get(..EXPLICIT)?);
        } else {
            nonce.copy_from_slice(&self.iv);
            let counted = nonce[NONCE - 8..].iter_mut().zip(self.count.to_be_bytes());
            counted.for_each(|(byte, count)| *byte ^= count);
        }
        Some(Nonce::assume_unique_for_key(nonce))
    }

    /// RFC 8446 5.2: the header. RFC 5246 6.2.3.3: count, type, version, and the length of what is inside.
    fn additional(&self, header: [u8; RECORD_HEADER], plain: usize) -> Vec<u8> {
        match self.form {
            Form::Tls13 => header.to_vec(),
            Form::Tls12Gcm | Form::Tls12ChaCha => {
                [&self.count.to_be_bytes()[..], &header[..3], &(plain as u16).to_be_bytes()].concat()
            }
        }
    }
}

/// The pseudorandom function of TLS 1.2, and of what was before it. RFC 5246 5, RFC 2246 5
fn prf(suite: Suite, secret: &[u8], label: &[u8], seed: &[u8], length: usize) -> Option<Secret> {
    if suite.version == TlsVersion::TLS12 {
        let hash = if suite.long_hash { &P_SHA384 } else { &P_SHA256 };
        let made = tls_prf::Secret::new(hash, secret).ok()?.derive(label, seed, length).ok()?;
        return Some(Secret::from(made.as_ref().to_vec()));
    }
    let seed = [label, seed].concat();
    // Halves of an even length.
    let (first, second) = secret.split_at(secret.len() / 2);
    let mut made = expanded::<Hmac<Md5>>(first, &seed, length)?;
    let other = expanded::<Hmac<Sha1>>(second, &seed, length)?;
    made.iter_mut().zip(&*other).for_each(|(byte, other)| *byte ^= other);
    Some(made)
}

/// `P_hash`. RFC 5246 5
fn expanded<M: Mac + KeyInit>(secret: &[u8], seed: &[u8], length: usize) -> Option<Secret> {
    let sum = |parts: [&[u8]; 2]| -> Option<Secret> {
        let mut mac = <M as Mac>::new_from_slice(secret).ok()?;
        parts.iter().for_each(|part| mac.update(part));
        Some(Secret::from(mac.finalize().into_bytes().to_vec()))
    };
    let mut made = Secret::from(Vec::with_capacity(length + 64));
    let mut chain = sum([seed, &[]])?;
    while made.len() < length {
        made.extend_from_slice(&sum([&chain, seed])?);
        chain = sum([&chain, &[]])?;
    }
    made.truncate(length);
    Some(made)
}

/// HKDF-Expand-Label without a context. RFC 8446 7.1
fn expand(secret: &Prk, label: &[u8], length: usize) -> Option<Secret> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut out = Secret::from(vec![0; length]);
    let (length_of, label_of) = ((length as u16).to_be_bytes(), [label.len() as u8]);
    let info: [&[u8]; 4] = [&length_of, &label_of, label, &[0]];
    secret.expand(&info, Length(length)).ok()?.fill(&mut out).ok()?;
    Some(out)
}
