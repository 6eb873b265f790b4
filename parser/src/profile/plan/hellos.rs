//! The hellos of a plan: what has not been seen yet comes first in every list.

use super::super::HostProfile;
use super::super::known::{GROUPS_OF_TLS12, GROUPS_OF_TLS13, SIGNATURE_SCHEMES};
use super::{Plan, VERSIONS};
use crate::wire::tls::Offer;
use crate::wire::{CipherSuite, NamedGroup, SignatureScheme, TlsVersion};

/// Groups of which a share is sent without being asked for: small ones that nearly every host has.
const SHARES: [NamedGroup; 2] = [NamedGroup::X25519, NamedGroup::SECP256R1];

/// What ordinary clients of the last fifteen years offer; a hello of it stays below 300 bytes.
const ORDINARY: [u16; 26] = [
    0x1302, 0x1301, 0x1303, 0xc02c, 0xc030, 0xc02b, 0xc02f, 0x009f, 0x009e, 0xc024, 0xc028, 0xc023, 0xc027, 0xc00a,
    0xc014, 0xc009, 0xc013, 0x0039, 0x0033, 0x009d, 0x009c, 0x003d, 0x003c, 0x0035, 0x002f, 0x000a,
];

/// The groups of that hello.
const ORDINARY_GROUPS: [NamedGroup; 4] =
    [NamedGroup::X25519, NamedGroup::SECP256R1, NamedGroup::SECP384R1, NamedGroup::SECP521R1];

impl HostProfile {
    /// TLS 1.2 alone could be spoken with an ordinary client: there is a suite for it, and a curve where that needs one.
    #[must_use]
    pub fn serves_ordinary_clients(&self) -> bool {
        let curve = self.groups.iter().any(|group| ORDINARY_GROUPS.contains(group));
        let usable = |suite: &CipherSuite| {
            let exchange = suite.info().map_or("", |suite| suite.key_exchange);
            ORDINARY.contains(&suite.0) && (curve || exchange != "ECDHE")
        };
        self.ability(TlsVersion::TLS12).is_some_and(|ability| ability.suites.iter().any(usable))
    }
}

impl Plan {
    /// A hello of one version with `suites`.
    pub(super) fn offer(&self, version: TlsVersion, mut suites: Vec<CipherSuite>) -> Offer {
        if version == TlsVersion::SSL3 {
            suites.push(CipherSuite::EMPTY_RENEGOTIATION_INFO_SCSV);
            return Offer { record_version: version, legacy_version: version, suites, ..Offer::default() };
        }
        let of_13 = version.is_tls13();
        let groups = match of_13 {
            true => unseen_first(&GROUPS_OF_TLS13, &self.groups13),
            false => unseen_first(&GROUPS_OF_TLS12, &self.groups12),
        };
        Offer {
            // What every stack sends, so that old hosts read on. RFC 8446 5.1
            record_version: TlsVersion::TLS10,
            legacy_version: version.min(TlsVersion::TLS12),
            supported_versions: if of_13 { vec![version] } else { Vec::new() },
            suites,
            key_shares: of_13.then(|| self.shares()),
            groups,
            signature_schemes: match version >= TlsVersion::TLS12 {
                true => unseen_first(&SIGNATURE_SCHEMES, &self.profile.signature_schemes),
                false => Vec::new(),
            },
            server_name: self.options.server_name.clone(),
            extended_master_secret: true,
            renegotiation_info: true,
            pad_to: None,
        }
    }

    /// The hello of an ordinary client that has all of TLS: the same one whenever it is asked for.
    pub(super) fn ordinary(&self) -> Offer {
        let suites = ORDINARY.iter().map(|code| CipherSuite(*code)).collect();
        Offer {
            supported_versions: VERSIONS.into_iter().filter(|version| *version >= TlsVersion::TLS10).collect(),
            groups: ORDINARY_GROUPS.to_vec(),
            key_shares: Some(vec![NamedGroup::X25519]),
            signature_schemes: SIGNATURE_SCHEMES.to_vec(),
            ..self.offer(TlsVersion::TLS13, suites)
        }
    }

    /// A hello that the host accepts, padded to `size` bytes. Without one there is nothing to compare a larger one with.
    pub(super) fn sized(&self, size: u16) -> Option<Offer> {
        let accepted = |version: &&TlsVersion| **version > TlsVersion::SSL3 && self.accepts(**version);
        let version = *VERSIONS.iter().find(accepted)?;
        let mut suites = self.suites(version)?;
        suites.truncate(16);
        let offer = self.offer(version, suites);
        let known = if version.is_tls13() { &self.groups13 } else { &self.groups12 };
        let groups = match known.is_empty() {
            true => vec![NamedGroup::X25519, NamedGroup::SECP256R1],
            false => known.iter().take(4).copied().collect(),
        };
        let key_shares =
            version.is_tls13().then(|| groups.iter().copied().filter(|group| SHARES.contains(group)).collect());
        let signature_schemes = offer.signature_schemes.iter().rev().take(12).copied().collect();
        Some(Offer { groups, key_shares, signature_schemes, pad_to: Some(size), ..offer })
    }

    pub(super) fn unseen13(&self) -> Vec<NamedGroup> {
        unseen(&GROUPS_OF_TLS13, &self.groups13)
    }

    /// Curves that no version has shown.
    pub(super) fn unseen12(&self) -> Vec<NamedGroup> {
        let mut groups = unseen(&GROUPS_OF_TLS12, &self.groups12);
        groups.retain(|group| !self.groups13.contains(group));
        groups
    }

    pub(super) fn unseen_schemes(&self) -> Vec<SignatureScheme> {
        unseen(&SIGNATURE_SCHEMES, &self.profile.signature_schemes)
    }

    /// The curve of an ECDSA certificate: without it among the groups, a host must not use that certificate. RFC 8422 5.1
    pub(super) fn certificate_group(&self) -> Option<NamedGroup> {
        let certificate =
            self.profile.certificate.as_ref().filter(|certificate| certificate.key_algorithm == "ECDSA")?;
        match certificate.key_bits {
            256 => Some(NamedGroup::SECP256R1),
            384 => Some(NamedGroup::SECP384R1),
            521 => Some(NamedGroup::SECP521R1),
            _ => None,
        }
    }

    /// Groups a share is sent for: small ones, or what the host asked for.
    fn shares(&self) -> Vec<NamedGroup> {
        match self.groups13.iter().any(|group| SHARES.contains(group)) || self.groups13.is_empty() {
            true => SHARES.to_vec(),
            false => self.groups13.first().copied().into_iter().collect(),
        }
    }
}

fn unseen<T: Copy + PartialEq>(all: &[T], seen: &[T]) -> Vec<T> {
    all.iter().filter(|one| !seen.contains(one)).copied().collect()
}

fn unseen_first<T: Copy + PartialEq>(all: &[T], seen: &[T]) -> Vec<T> {
    let mut list = unseen(all, seen);
    list.extend(all.iter().filter(|one| seen.contains(one)));
    list
}
