//! A session built from record sizes: real hellos, sealed records of zeros, a clock that steps by itself.
#![allow(dead_code, unreachable_pub)] // each test binary uses its own part

pub mod field;
pub mod scripts;
pub mod told;

use parser::Timestamp;
use parser::session::{CloseKind, Closer, Limits, Peer, Session};
use parser::wire::{CipherSuite, SealedLen, Sealing, TlsVersion};

/// A version, a suite, and whether the host settles on encrypt-then-MAC.
#[derive(Clone, Copy, Debug)]
pub struct Settled {
    pub version: TlsVersion,
    pub suite: u16,
    pub encrypt_then_mac: bool,
}

impl Settled {
    pub const TLS13: Settled = Settled { version: TlsVersion::TLS13, suite: 0x1302, encrypt_then_mac: false };
    pub const TLS13_SHA256: Settled = Settled { version: TlsVersion::TLS13, suite: 0x1301, encrypt_then_mac: false };
    pub const GCM: Settled = Settled { version: TlsVersion::TLS12, suite: 0xc030, encrypt_then_mac: false };
    pub const CHACHA: Settled = Settled { version: TlsVersion::TLS12, suite: 0xcca8, encrypt_then_mac: false };
    pub const CBC12: Settled = Settled { version: TlsVersion::TLS12, suite: 0x002f, encrypt_then_mac: false };
    pub const CBC12_ETM: Settled = Settled { version: TlsVersion::TLS12, suite: 0x002f, encrypt_then_mac: true };
    pub const CBC12_SHA384: Settled = Settled { version: TlsVersion::TLS12, suite: 0xc028, encrypt_then_mac: false };
    pub const CBC11: Settled = Settled { version: TlsVersion::TLS11, suite: 0xc014, encrypt_then_mac: false };
    pub const CBC10: Settled = Settled { version: TlsVersion::TLS10, suite: 0xc014, encrypt_then_mac: false };
    pub const CBC10_ETM: Settled = Settled { version: TlsVersion::TLS10, suite: 0xc014, encrypt_then_mac: true };
    pub const TRIPLE_DES: Settled = Settled { version: TlsVersion::TLS10, suite: 0x000a, encrypt_then_mac: false };
    pub const RC4: Settled = Settled { version: TlsVersion::TLS10, suite: 0x0005, encrypt_then_mac: false };

    /// Suites that give plaintext sizes to the byte.
    pub const EXACT: [Settled; 5] = [Self::TLS13, Self::TLS13_SHA256, Self::GCM, Self::CHACHA, Self::RC4];
    /// Suites that round up.
    pub const BLOCKS: [Settled; 7] =
        [Self::CBC12, Self::CBC12_ETM, Self::CBC12_SHA384, Self::CBC11, Self::CBC10, Self::CBC10_ETM, Self::TRIPLE_DES];

    pub fn is_tls13(self) -> bool {
        self.version.is_tls13()
    }

    /// Record length of `plaintext` bytes.
    pub fn seal(self, plaintext: u16) -> u16 {
        let sealing = Sealing::of(self.version, CipherSuite(self.suite), self.encrypt_then_mac).expect("known suite");
        match sealing.sealed_len(plaintext) {
            SealedLen::Exact(length) | SealedLen::Minimal(length) => length,
            SealedLen::Unknown => panic!("a known suite seals"),
        }
    }
}

pub const CONTENT_CCS: u8 = 20;
pub const CONTENT_ALERT: u8 = 21;
pub const CONTENT_HANDSHAKE: u8 = 22;
pub const CONTENT_DATA: u8 = 23;

pub const SSL: u32 = 1;
pub const HYBRID: u32 = 2;
pub const RDSTLS: u32 = 4;
pub const HYBRID_EX: u32 = 8;
pub const RDSAAD: u32 = 16;

pub fn connection_request(protocols: u32) -> Vec<u8> {
    let mut pdu = b"\x03\x00\x00\x2b\x26\xe0\x00\x00\x00\x00\x00Cookie: mstshash=alice\r\n\x01\x00\x08\x00".to_vec();
    pdu.extend(protocols.to_le_bytes());
    pdu
}

pub fn connection_confirm(selected: u32) -> Vec<u8> {
    let mut pdu = b"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x01\x08\x00".to_vec();
    pdu.extend(selected.to_le_bytes());
    pdu
}

pub fn negotiation_failure(code: u32) -> Vec<u8> {
    let mut pdu = b"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x03\x00\x08\x00".to_vec();
    pdu.extend(code.to_le_bytes());
    pdu
}

/// The nine bytes xrdp says in clear when it cannot go on.
pub const CLEAR_ULTIMATUM: [u8; 9] = [0x03, 0x00, 0x00, 0x09, 0x02, 0xf0, 0x80, 0x21, 0x80];

/// xfreerdp's hello, as one record.
pub fn client_hello() -> Vec<u8> {
    let hex = include_str!("../../testdata/hellos/xfreerdp-2.11.7.hex").trim();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

pub const HELLO_RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// A ServerHello record with a given random and session id.
pub fn server_hello(settled: Settled, random: [u8; 32], session_id: &[u8]) -> Vec<u8> {
    let mut body = settled.version.0.min(TlsVersion::TLS12.0).to_be_bytes().to_vec();
    body.extend(random);
    body.push(session_id.len() as u8);
    body.extend(session_id);
    body.extend(settled.suite.to_be_bytes());
    body.push(0);
    let mut extensions = Vec::new();
    if settled.is_tls13() {
        extensions.extend([0, 43, 0, 2, 3, 4]);
        if random == HELLO_RETRY_RANDOM {
            extensions.extend([0, 51, 0, 2, 0, 24]);
        } else {
            extensions.extend([0, 51, 0, 36, 0, 29, 0, 32]);
            extensions.extend([7; 32]);
        }
    } else {
        extensions.extend([0xff, 1, 0, 1, 0]);
        if settled.encrypt_then_mac {
            extensions.extend([0, 22, 0, 0]);
        }
    }
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    handshake_record(2, &body)
}

/// One handshake message in one record.
pub fn handshake_record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0];
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(body);
    record(CONTENT_HANDSHAKE, &message)
}

pub fn record(content_type: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![content_type, 3, 3];
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}

/// A record of zeros.
pub fn sealed(content_type: u8, length: u16) -> Vec<u8> {
    record(content_type, &vec![0; usize::from(length)])
}

/// Something that happens on the wire.
#[derive(Clone, Debug)]
pub enum Happening {
    Bytes(Peer, Vec<u8>),
    Close(Closer, CloseKind),
}

/// From the Connection Request to both Finished.
pub fn opening(selected: u32, settled: Settled) -> Vec<Happening> {
    let mut all = vec![
        Happening::Bytes(Peer::Client, connection_request(selected | SSL)),
        Happening::Bytes(Peer::Host, connection_confirm(selected)),
    ];
    all.extend(handshake(settled));
    all
}

/// From the ClientHello to both Finished.
pub fn handshake(settled: Settled) -> Vec<Happening> {
    let mut all = vec![
        Happening::Bytes(Peer::Client, client_hello()),
        Happening::Bytes(Peer::Host, server_hello(settled, [9; 32], &[5; 32])),
    ];
    let mut add = |from, bytes| all.push(Happening::Bytes(from, bytes));
    if settled.is_tls13() {
        let finished = if settled.suite == 0x1302 { 69 } else { 53 };
        add(Peer::Host, record(CONTENT_CCS, &[1]));
        for length in [23, 805, 281, finished] {
            add(Peer::Host, sealed(CONTENT_DATA, length));
        }
        add(Peer::Client, record(CONTENT_CCS, &[1]));
        add(Peer::Client, sealed(CONTENT_DATA, finished));
    } else {
        add(Peer::Host, handshake_record(14, &[]));
        add(Peer::Client, handshake_record(16, &[0; 33]));
        for peer in [Peer::Client, Peer::Host] {
            add(peer, record(CONTENT_CCS, &[1]));
            add(peer, sealed(CONTENT_HANDSHAKE, settled.seal(16)));
        }
    }
    all
}

/// Shows everything to a session, a millisecond apart.
pub fn play(session: &mut Session, clock: &mut u64, happenings: &[Happening]) {
    for happening in happenings {
        *clock += 1_000_000;
        match happening {
            Happening::Bytes(from, bytes) => session.data(*from, bytes, Timestamp(*clock)),
            Happening::Close(by, kind) => session.closed(*by, *kind, Timestamp(*clock)),
        }
    }
}

pub fn fresh() -> Session {
    Session::new(Timestamp(0), Limits::default())
}
