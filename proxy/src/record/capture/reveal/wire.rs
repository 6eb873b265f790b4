//! What crossed one leg, opened and sealed anew.

use super::super::mask;
use super::super::tape::Wire;
use super::cipher::{Cipher, Suite};
use super::keys::{Keys, Label, Secret};
use parser::session::Peer;
use parser::wire::tls::{HANDSHAKE_HEADER, RECORD_HEADER};
use parser::wire::{
    CipherSuite, ClientHello, ContentType, ExtensionType, Outcome, Preconnection, RecordHeader, ServerHello,
    TPKT_VERSION, TlsVersion, Tpkt,
};
use std::fmt::Write;
use std::ops::Range;

/// Handshake messages. RFC 8446 4
const NEW_SESSION_TICKET: u8 = 4;
const FINISHED: u8 = 20;
const KEY_UPDATE: u8 = 24;
/// RFC 7366 2
const ENCRYPT_THEN_MAC: ExtensionType = ExtensionType(22);
/// The random of a HelloRetryRequest begins so. RFC 8446 4.1.3
const RETRY: [u8; 4] = [0xcf, 0x21, 0xad, 0x74];

/// Makes a leg readable; gives the lines of a key log with which it is. `None`: it stays as it is.
pub(super) fn reveal(wire: &mut Wire, keys: &Keys) -> Option<String> {
    let hellos = Hellos::of(wire)?;
    let suite = Suite::of(hellos.version, hellos.suite, hellos.encrypt_then_mac)?;
    let mut key_log = String::new();
    let real = ciphers(suite, |label| keys.secret(label, &hellos.client_random), &hellos)?;
    let made = |label| {
        // Only what there is a secret for is sealed anew.
        keys.secret(label, &hellos.client_random)?;
        make(suite, label, &hellos, &mut key_log)
    };
    let made = ciphers(suite, made, &hellos)?;
    let is_13 = suite.is_13();
    let ([real_client, real_host], [made_client, made_host]) = (real, made);
    let client = Direction { from: Peer::Client, is_13, real: real_client, made: made_client }.reveal(&mut wire.client);
    let host = Direction { from: Peer::Host, is_13, real: real_host, made: made_host }.reveal(&mut wire.host);
    // Lines that open nothing are not written.
    (client || host).then_some(key_log)
}

/// Whether [`reveal`] finds anything to open.
pub(super) fn opens(wire: &Wire, keys: &Keys) -> bool {
    opened(wire, keys).is_some_and(|sides| sides.iter().any(|side| !side.is_empty()))
}

/// What `keys` open of what the client's side and the host's side sent.
fn opened(wire: &Wire, keys: &Keys) -> Option<[Vec<Opened>; 2]> {
    let hellos = Hellos::of(wire)?;
    let suite = Suite::of(hellos.version, hellos.suite, hellos.encrypt_then_mac)?;
    let [client, host] = ciphers(suite, |label| keys.secret(label, &hellos.client_random), &hellos)?;
    let open = |from, real, bytes| Direction { from, is_13: suite.is_13(), real, made: [None, None] }.open(bytes);
    Some([open(Peer::Client, client, &wire.client), open(Peer::Host, host, &wire.host)])
}

/// The ciphers of both directions, each with those of the handshake and of data. `None`: there is not even the first secret.
fn ciphers(
    suite: Suite,
    mut secret: impl FnMut(Label) -> Option<Secret>,
    hellos: &Hellos,
) -> Option<[[Option<Cipher>; 2]; 2]> {
    if !suite.is_13() {
        let randoms = (&hellos.client_random[..], &hellos.server_random[..]);
        let both = Cipher::of_master(suite, &secret(Label::Master)?, randoms)?;
        return Some(both.map(|cipher| [Some(cipher), None]));
    }
    let mut cipher = |label| secret(label).and_then(|secret| Cipher::of_traffic(suite, &secret));
    let client = [cipher(Label::ClientHandshake), cipher(Label::ClientTraffic)];
    let host = [cipher(Label::ServerHandshake), cipher(Label::ServerTraffic)];
    client[0].is_some().then_some([client, host])
}

/// What is said inside of a leg that `keys` open: from the client's side and from the host's.
#[cfg(test)]
pub(super) fn inside(wire: &Wire, keys: &Keys) -> Option<[Vec<u8>; 2]> {
    let said = |side: Vec<Opened>| -> Vec<u8> {
        let data = side.iter().filter(|one| one.kind == ContentType::APPLICATION_DATA.0);
        data.flat_map(|one| one.plain[..one.length].to_vec()).collect()
    };
    Some(opened(wire, keys)?.map(said))
}

/// A secret for this file alone, and its line.
fn make(suite: Suite, label: Label, hellos: &Hellos, key_log: &mut String) -> Option<Secret> {
    let mut secret = Secret::from(vec![0; suite.secret_length()]);
    aws_lc_rs::rand::fill(&mut secret).ok()?;
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    let _ = writeln!(key_log, "{} {} {}", label.name(), hex(&hellos.client_random), hex(&secret));
    Some(secret)
}

/// What both hellos say.
struct Hellos {
    client_random: Vec<u8>,
    server_random: Vec<u8>,
    version: TlsVersion,
    suite: CipherSuite,
    encrypt_then_mac: bool,
}

impl Hellos {
    fn of(wire: &Wire) -> Option<Hellos> {
        let clear = |bytes: &[u8]| -> Vec<u8> {
            let clear = records(bytes).into_iter().take_while(|record| record.kind != ContentType::APPLICATION_DATA.0);
            let clear = clear.filter(|record| record.kind == ContentType::HANDSHAKE.0);
            clear.flat_map(|record| bytes[record.body].to_vec()).collect()
        };
        let (client, host) = (clear(&wire.client), clear(&wire.host));
        let client_random = ClientHello::parse(&client).value()?.random.to_vec();
        let mut rest = &host[..];
        loop {
            let Outcome::Value { value, consumed } = ServerHello::parse(rest) else { return None };
            if value.random.starts_with(&RETRY) {
                rest = &rest[consumed..];
                continue;
            }
            let (server_random, version, suite) = (value.random.to_vec(), value.version(), value.suite);
            let encrypt_then_mac = value.extensions().any(|(kind, _)| kind == ENCRYPT_THEN_MAC);
            return Some(Hellos { client_random, server_random, version, suite, encrypt_then_mac });
        }
    }
}

/// One whole record.
struct Record {
    header: [u8; RECORD_HEADER],
    kind: u8,
    body: Range<usize>,
}

/// The whole TLS records of one direction, behind what is no TLS.
fn records(bytes: &[u8]) -> Vec<Record> {
    let mut at = match Preconnection::parse(bytes) {
        Outcome::Value { consumed, .. } => consumed,
        _ => 0,
    };
    let mut records = Vec::new();
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        if rest[0] == TPKT_VERSION {
            let Some(tpkt) = Tpkt::parse(rest).value() else { break };
            at += usize::from(tpkt.length).max(1);
            continue;
        }
        let Some(header) = RecordHeader::parse(rest).value() else { break };
        let body = at + RECORD_HEADER..at + RECORD_HEADER + usize::from(header.length);
        let Some(Ok(first)) = rest.get(..RECORD_HEADER).map(<[u8; RECORD_HEADER]>::try_from) else { break };
        at = body.end;
        if body.end > bytes.len() {
            break;
        }
        records.push(Record { header: first, kind: header.content_type.0, body });
    }
    records
}

/// One direction of a leg: with the handshake's keys (in TLS 1.2 the only ones), then with those of data.
struct Direction {
    from: Peer,
    is_13: bool,
    real: [Option<Cipher>; 2],
    made: [Option<Cipher>; 2],
}

/// A record that was opened.
struct Opened {
    record: Record,
    /// With which keys.
    epoch: usize,
    /// What is inside, in TLS 1.3 with its type and padding behind it.
    plain: Secret,
    kind: u8,
    /// Length of the content.
    length: usize,
}

impl Direction {
    /// False: nothing in it could be opened.
    fn reveal(mut self, bytes: &mut [u8]) -> bool {
        let mut opened = self.open(bytes);
        mask_data(self.from, &mut opened);
        // The handshake of TLS 1.3 itself says who both are, as that of TLS 1.2 does in clear.
        let is_early = |one: &Opened| self.is_13 && one.epoch == 0 && one.kind == ContentType::HANDSHAKE.0;
        let late = opened.iter_mut().filter(|one| !is_early(one));
        hide(late.map(|one| (ContentType(one.kind), &mut one.plain[..one.length])), self.is_13);
        let mut any = false;
        for one in &opened {
            let body = &mut bytes[one.record.body.clone()];
            match self.made[one.epoch].as_mut().and_then(|made| made.seal(one.record.header, body, &one.plain)) {
                Some(()) => any = true,
                None => body.fill(0),
            }
        }
        any
    }

    /// Opens what can be opened, up to what cannot: that and what comes after it stays under keys that nobody will have.
    fn open(&mut self, bytes: &[u8]) -> Vec<Opened> {
        let (mut opened, mut epoch, mut sealed) = (Vec::new(), 0, false);
        let mut handshake = Secret::default();
        for record in records(bytes) {
            let change = record.kind == ContentType::CHANGE_CIPHER_SPEC.0;
            let is_sealed = if self.is_13 { record.kind == ContentType::APPLICATION_DATA.0 } else { sealed };
            sealed |= change;
            if !is_sealed || change {
                continue;
            }
            let real = self.real[epoch].as_mut();
            let Some(plain) = real.and_then(|real| real.open(record.header, &bytes[record.body.clone()])) else {
                break;
            };
            let (kind, length) = if self.is_13 {
                let Some(length) = plain.iter().rposition(|byte| *byte != 0) else { break };
                (plain[length], length)
            } else {
                (record.kind, plain.len())
            };
            let one = Opened { record, epoch, plain, kind, length };
            let mut over = false;
            if self.is_13 && kind == ContentType::HANDSHAKE.0 {
                if epoch == 0 {
                    handshake.extend_from_slice(&one.plain[..length]);
                    epoch = usize::from(messages(&handshake).any(|message| handshake[message.start] == FINISHED));
                } else {
                    over = messages(&one.plain[..length]).any(|message| one.plain[message.start] == KEY_UPDATE);
                }
            }
            opened.push(one);
            if over {
                break;
            }
        }
        opened
    }
}

/// The whole handshake messages in here, with their headers.
fn messages(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let [_, a, b, c] = *bytes.get(at..at + HANDSHAKE_HEADER)? else { return None };
        let end = at + HANDSHAKE_HEADER + u32::from_be_bytes([0, a, b, c]) as usize;
        let message = at..end;
        (end <= bytes.len()).then(|| at = end).map(|()| message)
    })
}

/// Masks what the direction says inside, whichever records cut it.
fn mask_data(from: Peer, opened: &mut [Opened]) {
    let of_data = |one: &&mut Opened| one.kind == ContentType::APPLICATION_DATA.0;
    // In one piece from the start: what a vector has outgrown is not wiped.
    let length = opened.iter_mut().filter(of_data).map(|one| one.length).sum();
    let mut whole = Secret::from(Vec::with_capacity(length));
    opened.iter_mut().filter(of_data).for_each(|one| whole.extend_from_slice(&one.plain[..one.length]));
    mask::inside(from, &mut whole);
    let mut rest = &whole[..];
    for one in opened.iter_mut().filter(of_data) {
        let (shown, after) = rest.split_at(one.length);
        one.plain[..one.length].copy_from_slice(shown);
        rest = after;
    }
}

/// Hides in the records of one direction what is neither data, which are masked in one piece, nor an alert nor understood.
/// Once a record ends inside of a handshake message, where the next one begins is not known.
pub(super) fn hide<'a>(records: impl Iterator<Item = (ContentType, &'a mut [u8])>, is_13: bool) {
    let mut cut = false;
    for (kind, content) in records {
        match kind {
            ContentType::APPLICATION_DATA | ContentType::ALERT | ContentType::CHANGE_CIPHER_SPEC => {}
            ContentType::HANDSHAKE if !cut => cut = hide_messages(content, is_13),
            _ => content.fill(0),
        }
    }
}

/// Leaves of handshake messages their headers, the Finished of TLS 1.2, and of TLS 1.3 key updates and of a ticket what is
/// no secret. True: the last message goes on in the next record.
fn hide_messages(content: &mut [u8], is_13: bool) -> bool {
    let found: Vec<Range<usize>> = messages(content).collect();
    let end = found.last().map_or(0, |message| message.end);
    for message in found {
        let kind = content[message.start];
        let body = &mut content[message.start + HANDSHAKE_HEADER..message.end];
        let shown = match kind {
            FINISHED => !is_13,
            KEY_UPDATE => is_13,
            NEW_SESSION_TICKET => is_13 && hide_ticket(body).is_some(),
            _ => false,
        };
        if !shown {
            body.fill(0);
        }
    }
    content[end..].fill(0);
    end < content.len()
}

/// Lifetime (4), age (4), nonce (1 and up to 255), ticket (2 and what it says), extensions. RFC 8446 4.6.1
fn hide_ticket(body: &mut [u8]) -> Option<()> {
    let nonce = 9..9 + usize::from(*body.get(8)?);
    body.get_mut(nonce.clone())?.fill(0);
    let length = body.get(nonce.end..nonce.end + 2)?;
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    body.get_mut(nonce.end + 2..nonce.end + 2 + length)?.fill(0);
    Some(())
}
