//! The two sides of a TLS handshake, reduced to what decides whether it can begin.

use super::{HostProfile, Reaction, VersionAbility};
use crate::session::ClientHelloFacts;
use crate::wire::{CipherSuite, NamedGroup, SignatureScheme, TlsVersion};

/// What a client offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Versions the host may choose from, newest first. Without `supported_versions` these are all up to
    /// `legacy_version` (RFC 5246 E.1, RFC 8446 4.2.1), even those that the client would refuse afterwards.
    pub versions: Vec<TlsVersion>,
    /// Suites in the client's order, without GREASE and signals.
    pub suites: Vec<CipherSuite>,
    /// `supported_groups`; `None` without the extension: any group will do below TLS 1.3. RFC 8422 4
    pub groups: Option<Vec<NamedGroup>>,
    /// `signature_algorithms`; `None` without the extension.
    pub signature_schemes: Option<Vec<SignatureScheme>>,
}

impl From<&ClientHelloFacts> for Offer {
    fn from(hello: &ClientHelloFacts) -> Offer {
        let said = &hello.supported_versions;
        let offered = |version: &TlsVersion| match said.is_empty() {
            true => *version <= hello.legacy_version,
            false => said.contains(version),
        };
        let known =
            |values: &[NamedGroup]| values.iter().copied().filter(|g| !crate::wire::tls::is_grease(g.0)).collect();
        Offer {
            versions: TlsVersion::ALL.into_iter().rev().filter(offered).collect(),
            suites: hello.suites.iter().copied().filter(|s| !s.is_grease() && !s.is_signal()).collect(),
            groups: (!hello.groups.is_empty()).then(|| known(&hello.groups)),
            signature_schemes: (!hello.signature_schemes.is_empty()).then(|| {
                hello.signature_schemes.iter().copied().filter(|s| !crate::wire::tls::is_grease(s.0)).collect()
            }),
        }
    }
}

impl Offer {
    /// The same with only those versions that the client named: what it would not refuse afterwards.
    #[must_use]
    pub fn named(hello: &ClientHelloFacts) -> Offer {
        let mut versions: Vec<TlsVersion> =
            hello.versions().into_iter().filter(|v| TlsVersion::ALL.contains(v)).collect();
        versions.sort_by_key(|version| core::cmp::Reverse(*version));
        Offer { versions, ..Offer::from(hello) }
    }
}

/// The kinds of key a certificate may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// RSA.
    Rsa,
    /// ECDSA, and EdDSA, which shares its suites. RFC 8422 2.2
    Ecdsa,
    /// DSS.
    Dss,
}

impl KeyType {
    /// `RSA`, `ECDSA`, `DSS`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            KeyType::Rsa => "RSA",
            KeyType::Ecdsa => "ECDSA",
            KeyType::Dss => "DSS",
        }
    }

    /// By what [`SuiteInfo::authentication`](crate::wire::SuiteInfo) and certificates say.
    #[must_use]
    pub fn from_name(name: &str) -> Option<KeyType> {
        Some(match name.to_ascii_uppercase().as_str() {
            "RSA" => KeyType::Rsa,
            "ECDSA" | "EC" | "ED25519" | "ED448" | "EDDSA" => KeyType::Ecdsa,
            "DSS" | "DSA" => KeyType::Dss,
            _ => return None,
        })
    }

    /// The key a suite below TLS 1.3 needs.
    #[must_use]
    pub fn of_suite(suite: CipherSuite) -> Option<KeyType> {
        KeyType::from_name(suite.info()?.authentication)
    }

    /// The key with which a scheme signs.
    #[must_use]
    pub fn of_scheme(scheme: SignatureScheme) -> Option<KeyType> {
        let name = scheme.name()?;
        Some(match name {
            _ if name.starts_with("rsa") => KeyType::Rsa,
            _ if name.starts_with("ecdsa") || name.starts_with("ed") => KeyType::Ecdsa,
            _ if name.starts_with("dsa") => KeyType::Dss,
            _ => return None,
        })
    }
}

/// What a host accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ability {
    /// Versions, newest first, each with the suites the host accepts in it.
    pub versions: Vec<(TlsVersion, Vec<CipherSuite>)>,
    /// Groups; `None` when it is not known.
    pub groups: Option<Vec<NamedGroup>>,
    /// Schemes with which the host signs; `None` when it is not known.
    pub signature_schemes: Option<Vec<SignatureScheme>>,
    /// Kinds of key the host has a certificate for; empty when it is not known.
    pub keys: Vec<KeyType>,
    /// Curve of its ECDSA key, when there is one and it is known. Below TLS 1.3 clients must offer it. RFC 8422 5.1
    pub key_curve: Option<NamedGroup>,
}

impl Ability {
    /// What a host accepts; `None` when it took no hello in any version. Then nothing is known that an offer could be held
    /// against: what it refused them for lies elsewhere.
    #[must_use]
    pub fn of(profile: &HostProfile) -> Option<Ability> {
        let mut versions: Vec<(TlsVersion, Vec<CipherSuite>)> =
            profile.versions.iter().filter_map(|v| Some((v.version, accepted_suites(v)?))).collect();
        if versions.is_empty() {
            return None;
        }
        versions.sort_by_key(|(version, _)| core::cmp::Reverse(*version));
        let curves =
            versions.iter().any(|(version, suites)| version.is_tls13() || suites.iter().any(|s| uses_curve(*s)));
        let certificate = profile.certificate.as_ref().filter(|c| c.unreadable.is_none());
        let mut keys: Vec<KeyType> = Vec::new();
        let below_13 = versions.iter().filter(|(version, _)| !version.is_tls13()).flat_map(|(_, suites)| suites);
        let from_suites = below_13.filter_map(|suite| KeyType::of_suite(*suite));
        let from_schemes = profile.signature_schemes.iter().filter_map(|scheme| KeyType::of_scheme(*scheme));
        let second = profile.second_certificate.as_ref().filter(|c| c.unreadable.is_none());
        let certificates = || certificate.into_iter().chain(second);
        let from_certificates = certificates().filter_map(|c| KeyType::from_name(&c.key_algorithm));
        for key in from_certificates.chain(from_suites).chain(from_schemes) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let ecdsa = certificates().find(|c| c.key_algorithm.eq_ignore_ascii_case("ecdsa"));
        let key_curve = ecdsa.and_then(|c| match c.key_bits {
            256 => Some(NamedGroup::SECP256R1),
            384 => Some(NamedGroup::SECP384R1),
            521 => Some(NamedGroup::SECP521R1),
            _ => None,
        });
        Some(Ability {
            // A host without a suite that uses a group cannot show which it has.
            groups: (curves && !profile.groups.is_empty()).then(|| profile.groups.clone()),
            signature_schemes: (!profile.signature_schemes.is_empty()).then(|| profile.signature_schemes.clone()),
            versions,
            keys,
            key_curve,
        })
    }

    /// The suites accepted in `version`; `None` when the version is not accepted.
    #[must_use]
    pub fn suites(&self, version: TlsVersion) -> Option<&[CipherSuite]> {
        self.versions.iter().find(|(v, _)| *v == version).map(|(_, suites)| suites.as_slice())
    }

    /// The host accepts `version`.
    #[must_use]
    pub fn accepts(&self, version: TlsVersion) -> bool {
        self.suites(version).is_some()
    }

    /// Every suite accepted in some version.
    #[must_use]
    pub fn all_suites(&self) -> Vec<CipherSuite> {
        let mut all: Vec<CipherSuite> = Vec::new();
        for suite in self.versions.iter().flat_map(|(_, suites)| suites) {
            if !all.contains(suite) {
                all.push(*suite);
            }
        }
        all
    }
}

/// ECDHE below TLS 1.3.
pub(super) fn uses_curve(suite: CipherSuite) -> bool {
    suite.info().is_some_and(|info| info.key_exchange == "ECDHE")
}

/// The suites of an accepted version: those enumerated, or the one that was chosen first.
fn accepted_suites(ability: &VersionAbility) -> Option<Vec<CipherSuite>> {
    match &ability.reaction {
        _ if !ability.suites.is_empty() => Some(ability.suites.clone()),
        Reaction::Hello { suite, version, .. } if *version == ability.version => Some(vec![*suite]),
        Reaction::Retry { suite, .. } if ability.version.is_tls13() => Some(vec![*suite]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::HelloShape;

    #[test]
    fn a_hello_without_supported_versions_offers_all_up_to_its_own() {
        let shape = HelloShape { legacy_version: TlsVersion::TLS11, ..HelloShape::default() };
        let hello = ClientHelloFacts::from(shape.clone());
        assert_eq!(Offer::from(&hello).versions, [TlsVersion::TLS11, TlsVersion::TLS10, TlsVersion::SSL3]);
        let shape = HelloShape { supported_versions: vec![TlsVersion(0x2a2a), TlsVersion::TLS13], ..shape };
        let hello = ClientHelloFacts::from(shape);
        assert_eq!(Offer::from(&hello).versions, [TlsVersion::TLS13]);
    }

    #[test]
    fn signals_and_grease_are_no_offer() {
        let suites = vec![CipherSuite(0x1a1a), CipherSuite(0xc030), CipherSuite::FALLBACK_SCSV];
        let shape = HelloShape { suites, groups: vec![NamedGroup(0x3a3a)], ..HelloShape::default() };
        let hello = ClientHelloFacts::from(shape);
        assert_eq!(Offer::from(&hello).suites, [CipherSuite(0xc030)]);
        assert_eq!(Offer::from(&hello).groups, Some(vec![]));
    }

    #[test]
    fn kinds_of_key_are_told_from_suites_schemes_and_certificates() {
        assert_eq!(KeyType::of_suite(CipherSuite(0xc02c)), Some(KeyType::Ecdsa));
        assert_eq!(KeyType::of_suite(CipherSuite(0x1301)), None);
        assert_eq!(KeyType::of_scheme(SignatureScheme::RSA_PSS_RSAE_SHA256), Some(KeyType::Rsa));
        assert_eq!(KeyType::of_scheme(SignatureScheme::ED25519), Some(KeyType::Ecdsa));
        assert_eq!(KeyType::from_name("1.2.3"), None);
    }
}
