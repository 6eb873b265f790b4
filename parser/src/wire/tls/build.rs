//! Hand-made ClientHellos: what a probe sends. RFC 8446 4.1.2, RFC 5246 7.4.1.2, RFC 6101 5.6.1.2
//!
//! An [`Offer`] says what is offered; [`Offer::build`] makes the record. No TLS library is behind it, so it can offer what
//! none of them contains any more. [`HelloMessage`] is the editable form of any hello, one of a client's own included.
//! Nothing here can finish a handshake, and no randomness is made here: random bytes are arguments.

use super::build_shares::key_share;
use super::{
    CipherSuite, ClientHello, ContentType, ExtensionType, HandshakeType, NamedGroup, SignatureScheme, TlsVersion,
};
use crate::wire::Outcome;

/// Longest record body that is written; a longer message is spread over several. RFC 8446 5.1
const FRAGMENT_MAX: usize = 1 << 14;
/// `psk_key_exchange_modes`. RFC 8446 4.2.9
const PSK_KEY_EXCHANGE_MODES: ExtensionType = ExtensionType(45);

/// What a hand-made ClientHello offers. An empty list leaves its extension out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Version in the record header.
    pub record_version: TlsVersion,
    /// `legacy_version`; the version itself up to TLS 1.2.
    pub legacy_version: TlsVersion,
    /// `supported_versions`.
    pub supported_versions: Vec<TlsVersion>,
    /// Suites in the order offered.
    pub suites: Vec<CipherSuite>,
    /// `supported_groups`.
    pub groups: Vec<NamedGroup>,
    /// Groups a key share is sent for; `Some` and empty asks the host to choose with a HelloRetryRequest. RFC 8446 4.2.8
    pub key_shares: Option<Vec<NamedGroup>>,
    /// `signature_algorithms`.
    pub signature_schemes: Vec<SignatureScheme>,
    /// `host_name` of `server_name`.
    pub server_name: Option<String>,
    /// RFC 7627
    pub extended_master_secret: bool,
    /// RFC 5746
    pub renegotiation_info: bool,
    /// Length of the handshake message in bytes that padding is to reach. RFC 7685
    pub pad_to: Option<u16>,
}

/// Bytes that must differ from hello to hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// `random`.
    pub random: [u8; 32],
    /// Seed of the session id and of the key shares.
    pub seed: [u8; 32],
}

/// A ClientHello taken apart, so that parts can be changed. [`HelloMessage::write`] puts it together again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HelloMessage {
    /// `legacy_version`.
    pub legacy_version: TlsVersion,
    /// `random`.
    pub random: [u8; 32],
    /// `legacy_session_id`, 32 bytes at the most.
    pub session_id: Vec<u8>,
    /// Suites in the order offered.
    pub suites: Vec<CipherSuite>,
    /// `legacy_compression_methods`.
    pub compression_methods: Vec<u8>,
    /// Type and data of every extension in the order sent; `None` for a message that ends without an extension block.
    pub extensions: Option<Vec<(ExtensionType, Vec<u8>)>>,
}

impl Offer {
    /// The records of this hello.
    ///
    /// ```
    /// use parser::wire::tls::{Fresh, Offer};
    /// use parser::wire::{CipherSuite, TlsVersion};
    /// let offer = Offer {
    ///     record_version: TlsVersion::TLS10,
    ///     legacy_version: TlsVersion::TLS12,
    ///     suites: vec![CipherSuite(0xc02f)],
    ///     ..Offer::default()
    /// };
    /// let records = offer.build(&Fresh { random: [1; 32], seed: [2; 32] });
    /// assert_eq!(Offer::read(&records), Some(offer));
    /// ```
    #[must_use]
    pub fn build(&self, fresh: &Fresh) -> Vec<u8> {
        records(self.record_version, &self.message(fresh).write())
    }

    /// The handshake message of this hello, before it is written.
    #[must_use]
    pub fn message(&self, fresh: &Fresh) -> HelloMessage {
        let mut extensions = Vec::new();
        if let Some(name) = &self.server_name {
            extensions.push((ExtensionType::SERVER_NAME, server_name(name)));
        }
        if self.extended_master_secret {
            extensions.push((ExtensionType::EXTENDED_MASTER_SECRET, Vec::new()));
        }
        if self.renegotiation_info {
            extensions.push((ExtensionType::RENEGOTIATION_INFO, vec![0]));
        }
        if !self.groups.is_empty() {
            extensions.push((ExtensionType::SUPPORTED_GROUPS, list(self.groups.iter().map(|group| group.0))));
            // Uncompressed points: needed with curves up to TLS 1.2, ignored after. RFC 8422 5.1.2
            extensions.push((ExtensionType::EC_POINT_FORMATS, vec![1, 0]));
        }
        if !self.signature_schemes.is_empty() {
            let schemes = list(self.signature_schemes.iter().map(|scheme| scheme.0));
            extensions.push((ExtensionType::SIGNATURE_ALGORITHMS, schemes));
        }
        if !self.supported_versions.is_empty() {
            extensions.push((ExtensionType::SUPPORTED_VERSIONS, versions(&self.supported_versions)));
        }
        if let Some(groups) = &self.key_shares {
            extensions.push((PSK_KEY_EXCHANGE_MODES, vec![1, 1]));
            extensions.push((ExtensionType::KEY_SHARE, key_shares(groups, &fresh.seed)));
        }
        let mut message = HelloMessage {
            legacy_version: self.legacy_version,
            random: fresh.random,
            // A session id of 32 bytes makes a TLS 1.3 hello look like a resumption of 1.2 to a middlebox. RFC 8446 D.4
            session_id: if self.key_shares.is_some() { fresh.seed.to_vec() } else { Vec::new() },
            suites: self.suites.clone(),
            compression_methods: vec![0],
            extensions: (!extensions.is_empty()).then_some(extensions),
        };
        if let Some(length) = self.pad_to {
            message.pad_to(usize::from(length));
        }
        message
    }

    /// The offer in the records of a hello made by [`Offer::build`]; of another hello, as far as an offer can say it.
    #[must_use]
    pub fn read(records: &[u8]) -> Option<Offer> {
        let record_version = TlsVersion(u16::from_be_bytes([*records.get(1)?, *records.get(2)?]));
        let message = joined(records)?;
        let hello = ClientHello::parse(&message).value()?;
        let has = |kind| hello.extensions().any(|(k, _)| k == kind);
        let padded = has(ExtensionType::PADDING);
        Some(Offer {
            record_version,
            legacy_version: hello.legacy_version,
            supported_versions: hello.supported_versions().collect(),
            suites: hello.suites().collect(),
            groups: hello.groups().collect(),
            key_shares: has(ExtensionType::KEY_SHARE).then(|| hello.key_shares().map(|(group, _)| group).collect()),
            signature_schemes: hello.signature_schemes().collect(),
            server_name: hello.server_name().map(|name| String::from_utf8_lossy(name).into_owned()),
            extended_master_secret: has(ExtensionType::EXTENDED_MASTER_SECRET),
            renegotiation_info: has(ExtensionType::RENEGOTIATION_INFO),
            pad_to: padded.then(|| u16::try_from(hello.length).unwrap_or(u16::MAX)),
        })
    }
}

impl HelloMessage {
    /// Takes a whole handshake message apart, its header included.
    #[must_use]
    pub fn read(message: &[u8]) -> Option<HelloMessage> {
        let Outcome::Value { value: hello, consumed } = ClientHello::parse(message) else {
            return None;
        };
        let extensions: Vec<_> = hello.extensions().map(|(kind, data)| (kind, data.to_vec())).collect();
        // Header, version, random, and three vectors with their lengths: what is left is the extension block.
        let fixed = 4 + 2 + 32 + 1 + hello.session_id.len() + 2 + 1 + hello.compression_methods.len();
        let block = consumed > fixed + 2 * hello.suites().count();
        Some(HelloMessage {
            legacy_version: hello.legacy_version,
            random: hello.random.try_into().ok()?,
            session_id: hello.session_id.to_vec(),
            suites: hello.suites().collect(),
            compression_methods: hello.compression_methods.to_vec(),
            extensions: block.then_some(extensions),
        })
    }

    /// The handshake message, its header included. Lists longer than their length fields can say are cut.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(512);
        body.extend(self.legacy_version.0.to_be_bytes());
        body.extend(self.random);
        vector8(&mut body, &self.session_id);
        body.extend(list(self.suites.iter().map(|suite| suite.0)));
        vector8(&mut body, &self.compression_methods);
        if let Some(extensions) = &self.extensions {
            let mut block = Vec::with_capacity(512);
            for (kind, data) in extensions {
                block.extend(kind.0.to_be_bytes());
                vector16(&mut block, data);
            }
            vector16(&mut body, &block);
        }
        let mut message = vec![HandshakeType::CLIENT_HELLO.0];
        message.extend(&(body.len() as u32).to_be_bytes()[1..]);
        message.extend(body);
        message
    }

    /// Data of an extension.
    #[must_use]
    pub fn extension(&self, kind: ExtensionType) -> Option<&[u8]> {
        self.extensions.iter().flatten().find(|(k, _)| *k == kind).map(|(_, data)| &data[..])
    }

    /// Replaces an extension where it stands, or adds it. `pre_shared_key` stays the last one. RFC 8446 4.2.11
    pub fn set_extension(&mut self, kind: ExtensionType, data: Vec<u8>) {
        let extensions = self.extensions.get_or_insert_default();
        match extensions.iter_mut().find(|(k, _)| *k == kind) {
            Some((_, old)) => *old = data,
            None => extensions.push((kind, data)),
        }
    }

    /// Leaves an extension out.
    pub fn remove_extension(&mut self, kind: ExtensionType) {
        if let Some(extensions) = &mut self.extensions {
            extensions.retain(|(k, _)| *k != kind);
        }
    }

    /// Fills up to `length` bytes with a padding extension. A message that is longer, or too near, stays as it is.
    pub fn pad_to(&mut self, length: usize) {
        self.remove_extension(ExtensionType::PADDING);
        let block = if self.extensions.is_none() { 2 } else { 0 };
        let now = self.write().len() + block + 4;
        if let Some(missing) = length.checked_sub(now) {
            self.set_extension(ExtensionType::PADDING, vec![0; missing]);
        }
    }
}

/// A handshake message in records of `version`.
#[must_use]
pub fn records(version: TlsVersion, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 5);
    for fragment in message.chunks(FRAGMENT_MAX) {
        out.push(ContentType::HANDSHAKE.0);
        out.extend(version.0.to_be_bytes());
        vector16(&mut out, fragment);
    }
    out
}

/// A `supported_versions` extension of a ClientHello. RFC 8446 4.2.1
pub(super) fn versions(versions: &[TlsVersion]) -> Vec<u8> {
    let bytes: Vec<u8> = versions.iter().take(127).flat_map(|version| version.0.to_be_bytes()).collect();
    let mut out = Vec::new();
    vector8(&mut out, &bytes);
    out
}

/// A `key_share` extension of a ClientHello. Groups that no share can be made for are left out.
pub(super) fn key_shares(groups: &[NamedGroup], seed: &[u8; 32]) -> Vec<u8> {
    let mut shares = Vec::new();
    for group in groups {
        if let Some(share) = key_share(*group, seed) {
            shares.extend(group.0.to_be_bytes());
            vector16(&mut shares, &share);
        }
    }
    let mut out = Vec::new();
    vector16(&mut out, &shares);
    out
}

/// A list of code points behind its length in bytes.
pub(super) fn list(codes: impl Iterator<Item = u16>) -> Vec<u8> {
    let bytes: Vec<u8> = codes.take(0x7fff).flat_map(u16::to_be_bytes).collect();
    let mut out = Vec::with_capacity(bytes.len() + 2);
    vector16(&mut out, &bytes);
    out
}

fn server_name(name: &str) -> Vec<u8> {
    let mut entry = vec![0];
    vector16(&mut entry, name.as_bytes());
    let mut out = Vec::new();
    vector16(&mut out, &entry);
    out
}

fn vector8(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(0xff)];
    out.push(bytes.len() as u8);
    out.extend(bytes);
}

pub(super) fn vector16(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(0xffff)];
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend(bytes);
}

/// The message that handshake records carry.
fn joined(records: &[u8]) -> Option<Vec<u8>> {
    let (mut message, mut rest) = (Vec::new(), records);
    while let [22, _, _, high, low, after @ ..] = rest {
        let (fragment, next) = after.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        message.extend(fragment);
        rest = next;
    }
    rest.is_empty().then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    const FRESH: Fresh = Fresh { random: [7; 32], seed: [9; 32] };

    fn offer() -> impl Strategy<Value = Offer> {
        let shares = vec(prop::sample::select(vec![23u16, 24, 25, 29, 30, 0x11ec, 0x100]).prop_map(NamedGroup), 0..3);
        let lists =
            (vec(any::<u16>(), 0..5), vec(any::<u16>(), 0..300), vec(any::<u16>(), 0..40), vec(any::<u16>(), 0..40));
        let rest = (option::of(shares), option::of("[a-z]{1,20}"), any::<(bool, bool)>(), any::<(u16, u16)>());
        (lists, rest).prop_map(|((versions, suites, groups, schemes), (key_shares, name, flags, (record, legacy)))| {
            Offer {
                record_version: TlsVersion(record),
                legacy_version: TlsVersion(legacy),
                supported_versions: versions.into_iter().map(TlsVersion).collect(),
                suites: suites.into_iter().map(CipherSuite).collect(),
                groups: groups.into_iter().map(NamedGroup).collect(),
                key_shares,
                signature_schemes: schemes.into_iter().map(SignatureScheme).collect(),
                server_name: name,
                extended_master_secret: flags.0,
                renegotiation_info: flags.1,
                pad_to: None,
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_offered_is_what_is_read(offer in offer()) {
            prop_assert_eq!(Offer::read(&offer.build(&FRESH)), Some(offer));
        }

        #[test]
        fn a_message_taken_apart_is_put_together_to_the_same_bytes(offer in offer()) {
            let bytes = offer.message(&FRESH).write();
            prop_assert_eq!(HelloMessage::read(&bytes).map(|message| message.write()), Some(bytes));
        }

        #[test]
        fn padding_reaches_the_size_that_was_asked_for(offer in offer(), size in 3000u16..20000) {
            prop_assume!(offer.message(&FRESH).write().len() + 6 <= usize::from(size));
            let padded = Offer { pad_to: Some(size), ..offer };
            prop_assert_eq!(padded.message(&FRESH).write().len(), usize::from(size));
            prop_assert_eq!(Offer::read(&padded.build(&FRESH)), Some(padded));
        }
    }

    #[test]
    fn a_hello_of_ssl_3_has_no_extension_block() {
        let offer = Offer {
            record_version: TlsVersion::SSL3,
            legacy_version: TlsVersion::SSL3,
            suites: vec![CipherSuite(0x000a)],
            ..Offer::default()
        };
        let bytes = offer.build(&FRESH);
        assert_eq!((bytes.len(), &bytes[..3]), (5 + 4 + 2 + 32 + 1 + 4 + 2, &[22, 3, 0][..]));
    }
}
