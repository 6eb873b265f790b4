//! Records under one key: opened, and sealed again in the same length. RFC 8446 5.2, RFC 5288 3, RFC 7905 2

use super::keys::Secret;
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{self, HKDF_SHA256, HKDF_SHA384, Prk};
use aws_lc_rs::tls_prf::{self, P_SHA256, P_SHA384};
use parser::wire::tls::RECORD_HEADER;
use parser::wire::{CipherSuite, TlsVersion};

/// Bytes that every suite here adds at the end.
const TAG: usize = 16;
/// What stands before a record of AES-GCM in TLS 1.2.
const EXPLICIT: usize = 8;
/// The nonce of every suite here.
const NONCE: usize = 12;

/// How records of a suite are sealed.
#[derive(Clone, Copy)]
pub(super) struct Suite {
    aead: &'static Algorithm,
    /// SHA-384 and not SHA-256.
    long_hash: bool,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Tls13,
    /// Half of the nonce stands before each record.
    Tls12Gcm,
    Tls12ChaCha,
}

impl Suite {
    /// `None`: it is none with AEAD, or one that is not spoken here.
    pub(super) fn of(version: TlsVersion, suite: CipherSuite) -> Option<Suite> {
        let name = suite.name()?;
        let aead = [("AES_128_GCM", &AES_128_GCM), ("AES_256_GCM", &AES_256_GCM), ("CHACHA20", &CHACHA20_POLY1305)];
        let (_, aead) = aead.into_iter().find(|(word, _)| name.contains(word))?;
        let form = match version {
            TlsVersion::TLS13 => Form::Tls13,
            TlsVersion::TLS12 if name.contains("CHACHA20") => Form::Tls12ChaCha,
            TlsVersion::TLS12 => Form::Tls12Gcm,
            _ => return None,
        };
        Some(Suite { aead, long_hash: name.ends_with("SHA384"), form })
    }

    pub(super) fn is_13(self) -> bool {
        self.form == Form::Tls13
    }

    /// Length of a secret of this suite, in bytes.
    pub(super) fn secret_length(self) -> usize {
        match (self.form, self.long_hash) {
            (Form::Tls13, false) => 32,
            // The master secret of TLS 1.2 has as many as SHA-384.
            _ => 48,
        }
    }
}

/// One direction under one key.
pub(super) struct Cipher {
    key: LessSafeKey,
    iv: Secret,
    form: Form,
    /// Records so far.
    count: u64,
}

impl Cipher {
    /// Of a traffic secret of TLS 1.3. RFC 8446 7.3
    pub(super) fn of_traffic(suite: Suite, secret: &[u8]) -> Option<Cipher> {
        let algorithm = if suite.long_hash { HKDF_SHA384 } else { HKDF_SHA256 };
        if secret.len() != suite.secret_length() {
            return None;
        }
        let secret = Prk::new_less_safe(algorithm, secret);
        let key = expand(&secret, b"tls13 key", suite.aead.key_len())?;
        Cipher::new(suite, &key, expand(&secret, b"tls13 iv", NONCE)?)
    }

    /// Of a master secret of TLS 1.2: the client's and the server's. RFC 5246 6.3
    pub(super) fn of_master(suite: Suite, master: &[u8], randoms: (&[u8], &[u8])) -> Option<[Cipher; 2]> {
        let hash = if suite.long_hash { &P_SHA384 } else { &P_SHA256 };
        let (key, iv) = (suite.aead.key_len(), if suite.form == Form::Tls12Gcm { NONCE - EXPLICIT } else { NONCE });
        let (client, server) = randoms;
        let secret = tls_prf::Secret::new(hash, master).ok()?;
        let block = secret.derive_with_seed_concatination(b"key expansion", server, client, 2 * (key + iv)).ok()?;
        let (keys, ivs) = block.as_ref().split_at(2 * key);
        let of = |keys: &[u8], iv: &[u8]| Cipher::new(suite, keys, Secret::from(iv.to_vec()));
        Some([of(&keys[..key], &ivs[..iv])?, of(&keys[key..], &ivs[iv..])?])
    }

    fn new(suite: Suite, key: &[u8], iv: Secret) -> Option<Cipher> {
        let key = LessSafeKey::new(UnboundKey::new(suite.aead, key).ok()?);
        Some(Cipher { key, iv, form: suite.form, count: 0 })
    }

    /// Opens the body of the next record. `None`: it is not of this key, or not the next.
    pub(super) fn open(&mut self, header: [u8; RECORD_HEADER], body: &[u8]) -> Option<Secret> {
        let sealed = body.get(self.explicit()..)?;
        let plain = sealed.len().checked_sub(TAG)?;
        let mut opened = Secret::from(sealed.to_vec());
        let (nonce, data) = (self.nonce(body)?, self.additional(header, plain));
        self.key.open_in_place(nonce, Aad::from(data), &mut opened).ok()?;
        self.count += 1;
        opened.truncate(plain);
        Some(opened)
    }

    /// Puts `plain`, as long as it was, sealed into the body of the next record. `None`: it is another length.
    pub(super) fn seal(&mut self, header: [u8; RECORD_HEADER], body: &mut [u8], plain: &[u8]) -> Option<()> {
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
