//! A peer whose records are sealed by hand, once its handshake is complete: what no TLS library would send.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

/// Record types. RFC 8446 5.1
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const DATA: u8 = 23;

/// What one end writes, AES-256-GCM.
pub(crate) struct Sealer {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
    tls13: bool,
}

impl Sealer {
    pub(crate) fn of_client(stream: client::TlsStream<TcpStream>) -> (TcpStream, Sealer) {
        let (socket, tls) = stream.into_inner();
        let tls13 = tls.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
        (socket, Sealer::new(tls.dangerous_extract_secrets().expect("secrets"), tls13))
    }

    pub(crate) fn of_host(stream: server::TlsStream<TcpStream>) -> (TcpStream, Sealer) {
        let (socket, tls) = stream.into_inner();
        let tls13 = tls.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
        (socket, Sealer::new(tls.dangerous_extract_secrets().expect("secrets"), tls13))
    }

    fn new(secrets: ExtractedSecrets, tls13: bool) -> Sealer {
        let (sequence, ConnectionTrafficSecrets::Aes256Gcm { key, iv }) = secrets.tx else { panic!("another suite") };
        let key = UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("a key");
        let iv = iv.as_ref().try_into().expect("twelve bytes");
        Sealer { key: LessSafeKey::new(key), iv, sequence, tls13 }
    }

    /// One record of `kind`. RFC 8446 5.2, RFC 5288 3
    pub(crate) fn record(&mut self, kind: u8, body: &[u8]) -> Vec<u8> {
        let sequence = self.sequence.to_be_bytes();
        self.sequence += 1;
        let mut nonce = self.iv;
        let (mut record, mut sealed, aad);
        if self.tls13 {
            for (byte, number) in nonce[4..].iter_mut().zip(sequence) {
                *byte ^= number;
            }
            sealed = [body, &[kind]].concat();
            record = head(DATA, sealed.len() + 16);
            aad = record.clone();
        } else {
            nonce[4..].copy_from_slice(&sequence);
            sealed = body.to_vec();
            record = [head(kind, body.len() + 24), sequence.to_vec()].concat();
            aad = [sequence.to_vec(), head(kind, body.len())].concat();
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut sealed).expect("sealed");
        record.extend(sealed);
        record
    }
}

fn head(kind: u8, length: usize) -> Vec<u8> {
    let [high, low] = u16::try_from(length).expect("a record's length").to_be_bytes();
    vec![kind, 3, 3, high, low]
}
