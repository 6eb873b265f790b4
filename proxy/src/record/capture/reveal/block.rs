//! Records of CBC suites, TLS 1.0 to 1.2. RFC 5246 6.2.3.2, RFC 2246 6.2.3.2, RFC 7366

use super::keys::Secret;
use aws_lc_rs::cipher::{
    AES_128, AES_256, Algorithm, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use parser::wire::TlsVersion;
use parser::wire::tls::RECORD_HEADER;

/// The block of AES.
const BLOCK: usize = 16;

/// How a CBC suite seals.
#[derive(Clone, Copy)]
pub(super) struct BlockSuite {
    cipher: &'static Algorithm,
    key: usize,
    hash: hmac::Algorithm,
    mac: usize,
    /// Each record begins with its initialization vector; in TLS 1.0 it is the last block of the record before.
    explicit: bool,
    /// The MAC stands behind the sealed bytes and covers them, and not inside.
    encrypt_then_mac: bool,
}

impl BlockSuite {
    /// `None`: it is no suite with AES and CBC.
    pub(super) fn of(version: TlsVersion, name: &str, encrypt_then_mac: bool) -> Option<BlockSuite> {
        let (cipher, key) = if name.contains("AES_128_CBC") {
            (&AES_128, 16)
        } else if name.contains("AES_256_CBC") {
            (&AES_256, 32)
        } else {
            return None;
        };
        let (hash, mac) = match name.rsplit('_').next()? {
            "SHA" => (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, 20),
            "SHA256" => (hmac::HMAC_SHA256, 32),
            "SHA384" => (hmac::HMAC_SHA384, 48),
            _ => return None,
        };
        let explicit = version > TlsVersion::TLS10;
        Some(BlockSuite { cipher, key, hash, mac, explicit, encrypt_then_mac })
    }

    /// Lengths of the keys of one side: MAC, cipher, first initialization vector.
    pub(super) fn lengths(self) -> [usize; 3] {
        [self.mac, self.key, if self.explicit { 0 } else { BLOCK }]
    }
}

/// One direction under one key.
pub(super) struct Block {
    suite: BlockSuite,
    open: DecryptingKey,
    seal: EncryptingKey,
    mac: hmac::Key,
    /// The last block, where it is the next record's initialization vector.
    last: [u8; BLOCK],
    /// Records so far.
    count: u64,
}

impl Block {
    /// Of the keys of one side, as long as [`BlockSuite::lengths`] says.
    pub(super) fn new(suite: BlockSuite, mac: &[u8], key: &[u8], iv: &[u8]) -> Option<Block> {
        let unbound = || UnboundCipherKey::new(suite.cipher, key).ok();
        Some(Block {
            suite,
            open: DecryptingKey::cbc(unbound()?).ok()?,
            seal: EncryptingKey::cbc(unbound()?).ok()?,
            mac: hmac::Key::new(suite.hash, mac),
            last: iv.try_into().unwrap_or_default(),
            count: 0,
        })
    }

    /// Opens the body of the next record. `None`: it is not of this key, or not the next.
    pub(super) fn open(&mut self, header: [u8; RECORD_HEADER], body: &[u8]) -> Option<Secret> {
        let BlockSuite { mac, explicit, encrypt_then_mac, .. } = self.suite;
        let (data, tag) = body.split_at(body.len().checked_sub(if encrypt_then_mac { mac } else { 0 })?);
        if encrypt_then_mac && self.sum(header, data).as_ref() != tag {
            return None;
        }
        let (iv, sealed) = data.split_at_checked(if explicit { BLOCK } else { 0 })?;
        let iv = if explicit { iv.try_into().ok()? } else { self.last };
        let mut opened = Secret::from(sealed.to_vec());
        self.open.decrypt(&mut opened, DecryptionContext::Iv128(FixedLength::from(iv))).ok()?;
        let padding = usize::from(*opened.last()?) + 1;
        let inside = opened.len().checked_sub(padding)?;
        let content = inside.checked_sub(if encrypt_then_mac { 0 } else { mac })?;
        if !encrypt_then_mac && self.sum(header, &opened[..content]).as_ref() != &opened[content..inside] {
            return None;
        }
        self.went_by(sealed);
        opened.truncate(content);
        Some(opened)
    }

    /// Puts `plain`, as long as it was, sealed into the body of the next record. `None`: it is another length.
    pub(super) fn seal(&mut self, header: [u8; RECORD_HEADER], body: &mut [u8], plain: &[u8]) -> Option<()> {
        let BlockSuite { mac, explicit, encrypt_then_mac, .. } = self.suite;
        let (inside, outside) = if encrypt_then_mac { (0, mac) } else { (mac, 0) };
        let begin = if explicit { BLOCK } else { 0 };
        let end = body.len().checked_sub(outside)?;
        let padding = end.checked_sub(begin + plain.len() + inside)?;
        let value = u8::try_from(padding.checked_sub(1)?).ok()?;
        let iv = if explicit { body.get(..BLOCK)?.try_into().ok()? } else { self.last };
        let mut sealed = plain.to_vec();
        if !encrypt_then_mac {
            sealed.extend_from_slice(self.sum(header, plain).as_ref());
        }
        sealed.resize(end - begin, value);
        self.seal.less_safe_encrypt(&mut sealed, EncryptionContext::Iv128(FixedLength::from(iv))).ok()?;
        body[begin..end].copy_from_slice(&sealed);
        if encrypt_then_mac {
            let tag = self.sum(header, &body[..end]);
            body[end..].copy_from_slice(tag.as_ref());
        }
        self.went_by(&sealed);
        Some(())
    }

    /// Over count, type, version, length and what is covered. RFC 5246 6.2.3.1, RFC 7366 3
    fn sum(&self, header: [u8; RECORD_HEADER], covered: &[u8]) -> hmac::Tag {
        let mut sum = hmac::Context::with_key(&self.mac);
        sum.update(&self.count.to_be_bytes());
        sum.update(&header[..3]);
        sum.update(&(covered.len() as u16).to_be_bytes());
        sum.update(covered);
        sum.sign()
    }

    fn went_by(&mut self, sealed: &[u8]) {
        self.count += 1;
        if let Some(last) = sealed.last_chunk() {
            self.last = *last;
        }
    }
}
