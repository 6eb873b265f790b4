//! A client's own hello, sent again: as it was, or with one thing changed.
//!
//! [`RecordedHello::replay`] makes the records; which change is worth a connection is said by [`Ladder`](super::Ladder).

use super::LadderChange;
use super::known::{GROUPS_OF_TLS12, GROUPS_OF_TLS13, SIGNATURE_SCHEMES, suites_of};
use crate::wire::tls::{Fresh, HelloMessage, key_share, records};
use crate::wire::{CipherSuite, ExtensionType, NamedGroup, Protocols, SignatureScheme, TlsVersion};

/// Extensions that a host can do without, in the order in which they are left out of a hello that has to shrink.
const EXPENDABLE: [u16; 13] = [21, 0xfe0d, 27, 17513, 17613, 18, 5, 17, 49, 34, 28, 16, 35];
/// `cookie`, `early_data`, `pre_shared_key`: they hold for one connection alone.
const OF_ONE_CONNECTION: [ExtensionType; 3] =
    [ExtensionType(44), ExtensionType::EARLY_DATA, ExtensionType::PRE_SHARED_KEY];

/// A client's hello as it was recorded, with what came before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedHello {
    /// It was sent at once, without a Connection Request.
    pub tls_first: bool,
    /// `requestedProtocols` of the Connection Request; `None` when it had no negotiation data.
    pub protocols: Option<Protocols>,
    /// Version in the header of its first record.
    pub record_version: TlsVersion,
    /// The handshake message, its header included.
    pub message: Vec<u8>,
}

impl RecordedHello {
    /// The records of this hello with a fresh random, session id and key shares, and with one thing changed. `None` when
    /// the message is no ClientHello.
    ///
    /// Tickets and pre-shared keys are left out: they belong to a session that is over.
    #[must_use]
    pub fn replay(&self, change: &LadderChange, fresh: &Fresh) -> Option<Vec<u8>> {
        let mut hello = HelloMessage::read(&self.message)?;
        hello.random = fresh.random;
        hello.session_id = fresh.seed[..hello.session_id.len().min(32)].to_vec();
        for kind in OF_ONE_CONNECTION {
            hello.remove_extension(kind);
        }
        if hello.extension(ExtensionType::SESSION_TICKET).is_some() {
            hello.set_extension(ExtensionType::SESSION_TICKET, Vec::new());
        }
        changed(&mut hello, change, &fresh.seed);
        renew_shares(&mut hello, &fresh.seed);
        Some(records(self.record_version, &hello.write()))
    }

    pub(super) fn offers_13(&self) -> bool {
        HelloMessage::read(&self.message).is_some_and(|hello| hello.versions().contains(&TlsVersion::TLS13))
    }
}

fn changed(hello: &mut HelloMessage, change: &LadderChange, seed: &[u8; 32]) {
    match change {
        LadderChange::AsSent => {}
        LadderChange::Versions(versions) => hello.set_versions(versions, seed),
        LadderChange::AllSuites => all_suites(hello),
        LadderChange::AllGroups => all_groups(hello),
        LadderChange::AllSignatureSchemes => hello.set_signature_schemes(&SIGNATURE_SCHEMES),
        LadderChange::OnlyAuth(kind) => {
            hello.suites.retain(|suite| {
                suite.is_signal() || suite.info().is_some_and(|suite| [*kind, "any"].contains(&suite.authentication))
            });
            let of_kind = |scheme: &SignatureScheme| {
                let ecdsa = scheme.name().is_some_and(|name| name.starts_with("ecdsa") || name.starts_with("ed"));
                ecdsa == (*kind == "ECDSA")
            };
            let schemes: Vec<_> = hello.signature_schemes().into_iter().filter(of_kind).collect();
            if !schemes.is_empty() {
                hello.set_signature_schemes(&schemes);
            }
        }
        LadderChange::Size(size) => resize(hello, usize::from(*size), seed),
        LadderChange::Without13 => {
            let mut versions = hello.versions();
            versions.retain(|version| !version.is_tls13() && !version.is_grease());
            if versions.is_empty() {
                versions.push(TlsVersion::TLS12);
            }
            hello.set_versions(&versions, seed);
            hello.suites.retain(|suite| suite.info().is_none_or(|suite| suite.max != TlsVersion::TLS13));
        }
        LadderChange::Everything => {
            let versions = [TlsVersion::TLS13, TlsVersion::TLS12, TlsVersion::TLS11, TlsVersion::TLS10];
            hello.set_versions(&versions, seed);
            all_suites(hello);
            all_groups(hello);
            hello.set_signature_schemes(&SIGNATURE_SCHEMES);
        }
    }
}

/// The client's suites, then all others of its versions, strong ones first.
fn all_suites(hello: &mut HelloMessage) {
    let versions = hello.versions();
    let newest = versions.iter().copied().filter(|version| !version.is_grease()).max().unwrap_or(TlsVersion::TLS12);
    let old = suites_of(newest.min(TlsVersion::TLS12));
    let of_13 = if newest.is_tls13() { suites_of(TlsVersion::TLS13) } else { Vec::new() };
    for suite in of_13.into_iter().rev().chain(old.into_iter().rev()) {
        if !hello.suites.contains(&suite) {
            hello.suites.push(suite);
        }
    }
}

/// The client's groups, then all others; hybrids are not added, since their shares would make another hello of it.
fn all_groups(hello: &mut HelloMessage) {
    let mut groups = hello.groups();
    for group in GROUPS_OF_TLS12.into_iter().chain(GROUPS_OF_TLS13).filter(|group| !group.is_post_quantum()) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    hello.set_groups(&groups);
}

fn resize(hello: &mut HelloMessage, size: usize, seed: &[u8; 32]) {
    for kind in EXPENDABLE {
        if hello.write().len() <= size {
            break;
        }
        hello.remove_extension(ExtensionType(kind));
    }
    if hello.write().len() > size && hello.extension(ExtensionType::KEY_SHARE).is_some() {
        // A share of one small group; the host may ask for another.
        let groups = hello.groups();
        let small = groups.iter().copied().find(|group| [NamedGroup::X25519, NamedGroup::SECP256R1].contains(group));
        hello.set_groups(&groups.into_iter().filter(|group| !group.is_post_quantum()).collect::<Vec<_>>());
        hello.set_key_shares(&small.into_iter().collect::<Vec<_>>(), seed);
    }
    hello.pad_to(size);
}

/// The shares of the same groups, made anew; a share of a group that is not known (GREASE) is sent as it was.
fn renew_shares(hello: &mut HelloMessage, seed: &[u8; 32]) {
    let Some(old) = hello.extension(ExtensionType::KEY_SHARE) else { return };
    let (mut shares, mut rest) = (Vec::new(), old.get(2..).unwrap_or_default());
    while let [high, low, a, b, after @ ..] = rest {
        let Some((share, next)) = after.split_at_checked(usize::from(u16::from_be_bytes([*a, *b]))) else { return };
        let fresh = key_share(NamedGroup(u16::from_be_bytes([*high, *low])), seed);
        let share = fresh.filter(|fresh| fresh.len() == share.len()).unwrap_or_else(|| share.to_vec());
        shares.extend([*high, *low, *a, *b]);
        shares.extend(share);
        rest = next;
    }
    let mut data = (shares.len() as u16).to_be_bytes().to_vec();
    data.extend(shares);
    hello.set_extension(ExtensionType::KEY_SHARE, data);
}

impl HelloMessage {
    /// Versions offered: of the extension, or all up to `legacy_version` down to the oldest a client would mean.
    #[must_use]
    pub fn versions(&self) -> Vec<TlsVersion> {
        match self.extension(ExtensionType::SUPPORTED_VERSIONS) {
            Some(data) => codes(data.get(1..)).map(TlsVersion).collect(),
            None => TlsVersion::ALL.into_iter().rev().filter(|version| *version <= self.legacy_version).collect(),
        }
    }

    /// `supported_groups`.
    #[must_use]
    pub fn groups(&self) -> Vec<NamedGroup> {
        codes(self.extension(ExtensionType::SUPPORTED_GROUPS).and_then(|data| data.get(2..))).map(NamedGroup).collect()
    }

    /// `signature_algorithms`.
    #[must_use]
    pub fn signature_schemes(&self) -> Vec<SignatureScheme> {
        let data = self.extension(ExtensionType::SIGNATURE_ALGORITHMS).and_then(|data| data.get(2..));
        codes(data).map(SignatureScheme).collect()
    }

    fn set_groups(&mut self, groups: &[NamedGroup]) {
        self.set_extension(ExtensionType::SUPPORTED_GROUPS, listed(groups.iter().map(|group| group.0)));
        if self.extension(ExtensionType::EC_POINT_FORMATS).is_none() {
            self.set_extension(ExtensionType::EC_POINT_FORMATS, vec![1, 0]);
        }
    }

    fn set_signature_schemes(&mut self, schemes: &[SignatureScheme]) {
        self.set_extension(ExtensionType::SIGNATURE_ALGORITHMS, listed(schemes.iter().map(|scheme| scheme.0)));
    }

    fn set_key_shares(&mut self, groups: &[NamedGroup], seed: &[u8; 32]) {
        let mut shares = Vec::new();
        for group in groups {
            if let Some(share) = key_share(*group, seed) {
                shares.extend(group.0.to_be_bytes());
                shares.extend((share.len() as u16).to_be_bytes());
                shares.extend(share);
            }
        }
        let mut data = (shares.len() as u16).to_be_bytes().to_vec();
        data.extend(shares);
        self.set_extension(ExtensionType::KEY_SHARE, data);
    }

    /// Offers these versions: with the extension when TLS 1.3 is among them, as old clients do when it is not.
    fn set_versions(&mut self, versions: &[TlsVersion], seed: &[u8; 32]) {
        let newest = versions.iter().copied().max().unwrap_or(TlsVersion::TLS12);
        self.legacy_version = newest.min(TlsVersion::TLS12);
        if !newest.is_tls13() {
            // `psk_key_exchange_modes` means nothing without TLS 1.3.
            for kind in [ExtensionType::SUPPORTED_VERSIONS, ExtensionType::KEY_SHARE, ExtensionType(45)] {
                self.remove_extension(kind);
            }
            return;
        }
        let codes = listed(versions.iter().map(|version| version.0));
        self.set_extension(ExtensionType::SUPPORTED_VERSIONS, codes[1..].to_vec());
        if self.extension(ExtensionType::KEY_SHARE).is_none() {
            if self.groups().is_empty() {
                self.set_groups(&[NamedGroup::X25519, NamedGroup::SECP256R1, NamedGroup::SECP384R1]);
            }
            let groups: Vec<NamedGroup> = self.groups().into_iter().filter(|group| group.0 < 0x100).take(1).collect();
            self.set_extension(ExtensionType(45), vec![1, 1]);
            self.set_key_shares(&groups, seed);
        }
        if !self.suites.iter().any(|suite| suite.info().is_some_and(|suite| suite.max == TlsVersion::TLS13)) {
            self.suites.splice(0..0, [0x1302, 0x1301, 0x1303].map(CipherSuite));
        }
        if self.signature_schemes().is_empty() {
            self.set_signature_schemes(&SIGNATURE_SCHEMES);
        }
    }
}

fn codes(list: Option<&[u8]>) -> impl Iterator<Item = u16> {
    list.unwrap_or_default().chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

/// Code points behind the length of their list, two bytes.
fn listed(codes: impl Iterator<Item = u16>) -> Vec<u8> {
    let bytes: Vec<u8> = codes.take(0x7fff).flat_map(u16::to_be_bytes).collect();
    let mut out = (bytes.len() as u16).to_be_bytes().to_vec();
    out.extend(bytes);
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::wire::ClientHello;
    use crate::wire::tls::Offer;
    use proptest::prelude::*;

    const FRESH: Fresh = Fresh { random: [5; 32], seed: [6; 32] };

    pub(in super::super) fn recorded() -> RecordedHello {
        let offer = Offer {
            record_version: TlsVersion::TLS10,
            legacy_version: TlsVersion::TLS12,
            supported_versions: vec![TlsVersion(0x2a2a), TlsVersion::TLS13, TlsVersion::TLS12],
            suites: [0x1301, 0xc02b, 0xc02f].map(CipherSuite).to_vec(),
            groups: vec![NamedGroup::X25519_MLKEM768, NamedGroup::X25519],
            key_shares: Some(vec![NamedGroup::X25519_MLKEM768, NamedGroup::X25519]),
            signature_schemes: vec![SignatureScheme(0x0403), SignatureScheme(0x0804)],
            server_name: Some("host".to_owned()),
            ..Offer::default()
        };
        let mut message = offer.message(&Fresh { random: [1; 32], seed: [2; 32] });
        message.set_extension(ExtensionType::SESSION_TICKET, vec![9; 40]);
        message.set_extension(ExtensionType::PRE_SHARED_KEY, vec![9; 40]);
        RecordedHello {
            tls_first: false,
            protocols: Some(Protocols(3)),
            record_version: TlsVersion::TLS10,
            message: message.write(),
        }
    }

    fn replayed(change: &LadderChange) -> HelloMessage {
        let records = recorded().replay(change, &FRESH).expect("a hello");
        let message = HelloMessage::read(&records[5..]).expect("a hello");
        assert!(ClientHello::parse(&message.write()).value().is_some());
        message
    }

    #[test]
    fn what_is_replayed_as_sent_differs_in_what_must_be_fresh_alone() {
        let (before, after) =
            (HelloMessage::read(&recorded().message).expect("a hello"), replayed(&LadderChange::AsSent));
        assert_eq!((after.random, after.session_id.len()), ([5; 32], before.session_id.len()));
        assert_eq!((&after.suites, after.versions()), (&before.suites, before.versions()));
        assert_eq!((after.groups(), after.signature_schemes()), (before.groups(), before.signature_schemes()));
        let length = |hello: &HelloMessage| hello.extension(ExtensionType::KEY_SHARE).map(<[u8]>::len);
        assert_eq!(length(&after), length(&before));
        assert_ne!(after.extension(ExtensionType::KEY_SHARE), before.extension(ExtensionType::KEY_SHARE));
        assert_eq!(after.extension(ExtensionType::PRE_SHARED_KEY), None);
        assert_eq!(after.extension(ExtensionType::SESSION_TICKET), Some(&[][..]));
    }

    #[test]
    fn every_change_changes_what_it_says() {
        let old = replayed(&LadderChange::Without13);
        assert_eq!((old.versions().contains(&TlsVersion::TLS13), old.suites.len()), (false, 2));
        assert_eq!(old.extension(ExtensionType::KEY_SHARE), None);
        assert!(replayed(&LadderChange::AllSuites).suites.contains(&CipherSuite(0x0005)));
        assert!(replayed(&LadderChange::AllGroups).groups().contains(&NamedGroup::SECP521R1));
        assert!(replayed(&LadderChange::AllSignatureSchemes).signature_schemes().contains(&SignatureScheme(0x0201)));
        let rsa = replayed(&LadderChange::OnlyAuth("RSA"));
        assert_eq!(rsa.suites, [CipherSuite(0x1301), CipherSuite(0xc02f)]);
        assert_eq!(rsa.signature_schemes(), [SignatureScheme(0x0804)]);
        assert_eq!(replayed(&LadderChange::Size(300)).write().len(), 300);
        assert_eq!(replayed(&LadderChange::Size(3000)).write().len(), 3000);
        let all = replayed(&LadderChange::Everything);
        assert!(all.versions().contains(&TlsVersion::TLS10) && all.suites.contains(&CipherSuite(0x000a)));
        let versions = replayed(&LadderChange::Versions(vec![TlsVersion::TLS11]));
        assert_eq!(versions.legacy_version, TlsVersion::TLS11);
    }

    proptest! {
        #[test]
        fn no_recorded_bytes_make_it_panic(
            at in prop::collection::vec((0..2000usize, any::<u8>()), 0..6),
            cut in 0..2000usize,
            change in 0..10usize,
        ) {
            let mut recorded = recorded();
            for (at, byte) in at {
                let at = at % recorded.message.len();
                recorded.message[at] = byte;
            }
            recorded.message.truncate(cut.max(4));
            let changes = [
                LadderChange::AsSent,
                LadderChange::Versions(vec![TlsVersion::TLS13]),
                LadderChange::AllSuites,
                LadderChange::AllGroups,
                LadderChange::AllSignatureSchemes,
                LadderChange::OnlyAuth("ECDSA"),
                LadderChange::Size(300),
                LadderChange::Size(3000),
                LadderChange::Without13,
                LadderChange::Everything,
            ];
            let _ = recorded.replay(&changes[change], &FRESH);
            let _ = super::super::Ladder::new(&recorded);
        }
    }
}
