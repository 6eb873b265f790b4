//! Does this offer meet this host? The one model of a handshake's beginning that proof, refutation and remedies share.
//!
//! [`meet`] looks for any combination that both sides have, best first: a host that insists on the newest common version
//! and then finds no suite in it refuses although they meet here. Such a host is found by the replay of the client's own
//! hello, not by the model; so an empty meeting is a mismatch on every host, whatever its order of choice.

use super::HostProfile;
use super::offer::{Ability, KeyType, Offer, uses_curve};
use super::order;
use crate::session::ClientHelloFacts;
use crate::wire::{CipherSuite, NamedGroup, SignatureScheme, TlsVersion};

/// What the two would agree on, at best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// The newest common version with a common suite.
    pub version: TlsVersion,
    /// The best common suite in it.
    pub suite: CipherSuite,
    /// A common group, where the suite uses one and it is known.
    pub group: Option<NamedGroup>,
    /// A common signature scheme, where the handshake negotiates one.
    pub scheme: Option<SignatureScheme>,
}

/// What is not common, in the order in which a handshake decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mismatch {
    /// No version.
    Version,
    /// Versions, but no suite in any of them.
    Suite,
    /// Every suite (or scheme) of the client needs another kind of key than the host's certificate has.
    KeyType,
    /// Suites, but no group for them.
    Group,
    /// Suites and groups, but no signature scheme.
    SignatureScheme,
}

impl Mismatch {
    /// All, for metrics that start at zero.
    pub const ALL: [Mismatch; 5] =
        [Mismatch::Version, Mismatch::Suite, Mismatch::Group, Mismatch::SignatureScheme, Mismatch::KeyType];

    /// Label value: `version`, `suite`, `group`, `sigalg`, `key_type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mismatch::Version => "version",
            Mismatch::Suite => "suite",
            Mismatch::KeyType => "key_type",
            Mismatch::Group => "group",
            Mismatch::SignatureScheme => "sigalg",
        }
    }
}

/// The best that offer and host have in common, or what they have not.
pub fn meet(offer: &Offer, host: &Ability) -> Result<Meeting, Mismatch> {
    let common_versions: Vec<TlsVersion> =
        host.versions.iter().map(|(v, _)| *v).filter(|v| offer.versions.contains(v)).collect();
    if common_versions.is_empty() {
        return Err(Mismatch::Version);
    }
    let mut furthest = Mismatch::Suite;
    for version in TlsVersion::ALL.into_iter().rev().filter(|v| common_versions.contains(v)) {
        let mut suites: Vec<CipherSuite> = common_suites(offer, host, version);
        suites.sort_by_key(|suite| order::rank(version, *suite));
        for suite in suites {
            let mismatch = match common_group(offer, host, version, suite) {
                Err(()) => Mismatch::Group,
                Ok(group) => match common_scheme(offer, host, version, suite) {
                    Ok(scheme) => return Ok(Meeting { version, suite, group, scheme }),
                    Err(mismatch) => mismatch,
                },
            };
            furthest = further(furthest, mismatch);
        }
    }
    if furthest == Mismatch::Suite && keys_are_foreign(offer, host, &common_versions) {
        furthest = Mismatch::KeyType;
    }
    Err(furthest)
}

/// What of this client's hello the host does not have, by the model alone: what `tls_mismatch_total{what}` counts.
/// `None` when they meet, and when the profile knows no version that the host accepts.
#[must_use]
pub fn mismatch_between(hello: &ClientHelloFacts, profile: &HostProfile) -> Option<Mismatch> {
    let host = Ability::of(profile)?;
    let mismatch = meet(&Offer::from(hello), &host).err()?;
    Some(meet(&Offer::named(hello), &host).err().unwrap_or(mismatch))
}

/// Suites in both lists that `version` may use and the host has a key for.
pub(super) fn common_suites(offer: &Offer, host: &Ability, version: TlsVersion) -> Vec<CipherSuite> {
    let accepted = host.suites(version).unwrap_or_default();
    let has_key = |suite| host.keys.is_empty() || KeyType::of_suite(suite).is_none_or(|key| host.keys.contains(&key));
    accepted.iter().copied().filter(|s| offer.suites.contains(s) && fits(*s, version) && has_key(*s)).collect()
}

/// `version` may negotiate `suite`. What a later version dropped is not held against a host that accepts it: old stacks do.
pub(super) fn fits(suite: CipherSuite, version: TlsVersion) -> bool {
    suite.info().is_none_or(|info| info.min <= version && info.min.is_tls13() == version.is_tls13())
}

/// The handshake needs a group: TLS 1.3 always, below it ECDHE.
pub(super) fn needs_group(version: TlsVersion, suite: CipherSuite) -> bool {
    version.is_tls13() || uses_curve(suite)
}

/// `version` may use `group`: below TLS 1.3 curves only, neither finite fields nor hybrids. RFC 8422 5.1.1, RFC 7919
pub(super) fn group_fits(version: TlsVersion, group: NamedGroup) -> bool {
    version.is_tls13() || !group.is_post_quantum() && !(256..=511).contains(&group.0)
}

/// The handshake negotiates with which scheme the host signs: TLS 1.3 always, TLS 1.2 with an ephemeral key.
pub(super) fn is_signed(version: TlsVersion, suite: CipherSuite) -> bool {
    let ephemeral = suite.info().is_some_and(|info| matches!(info.key_exchange, "ECDHE" | "DHE"));
    version.is_tls13() || version == TlsVersion::TLS12 && ephemeral && KeyType::of_suite(suite).is_some()
}

/// A key of this kind, on this curve, may sign with `scheme` in `version`. RFC 8446 4.2.3
pub(super) fn scheme_fits(
    version: TlsVersion,
    scheme: SignatureScheme,
    key: KeyType,
    curve: Option<NamedGroup>,
) -> bool {
    if KeyType::of_scheme(scheme) != Some(key) {
        return false;
    }
    if !version.is_tls13() {
        return true;
    }
    let signs_13 = matches!(scheme.0, 0x0403 | 0x0503 | 0x0603 | 0x0804..=0x080b | 0x081a..=0x081c);
    let wanted = match scheme.0 {
        0x0403 => Some(NamedGroup::SECP256R1),
        0x0503 => Some(NamedGroup::SECP384R1),
        0x0603 => Some(NamedGroup::SECP521R1),
        _ => None,
    };
    signs_13 && (wanted.is_none() || curve.is_none() || wanted == curve)
}

fn common_group(
    offer: &Offer,
    host: &Ability,
    version: TlsVersion,
    suite: CipherSuite,
) -> Result<Option<NamedGroup>, ()> {
    let certified = !version.is_tls13() && KeyType::of_suite(suite) == Some(KeyType::Ecdsa);
    if let (true, Some(curve), Some(offered)) = (certified, host.key_curve, &offer.groups)
        && !offered.contains(&curve)
    {
        return Err(());
    }
    if !needs_group(version, suite) {
        return Ok(None);
    }
    let usable = |groups: &[NamedGroup]| groups.iter().copied().find(|group| group_fits(version, *group));
    match (&offer.groups, &host.groups) {
        (Some(offered), Some(accepted)) => {
            let common: Vec<NamedGroup> = offered.iter().copied().filter(|g| accepted.contains(g)).collect();
            usable(&common).map(Some).ok_or(())
        }
        (Some(offered), None) => usable(offered).map(Some).ok_or(()),
        // TLS 1.3 has no key exchange without the extension. RFC 8446 9.2
        (None, _) if version.is_tls13() => Err(()),
        (None, Some(accepted)) => usable(accepted).map(Some).ok_or(()),
        (None, None) => Ok(None),
    }
}

fn common_scheme(
    offer: &Offer,
    host: &Ability,
    version: TlsVersion,
    suite: CipherSuite,
) -> Result<Option<SignatureScheme>, Mismatch> {
    if !is_signed(version, suite) {
        return Ok(None);
    }
    let Some(offered) = &offer.signature_schemes else {
        // RFC 5246 7.4.1.4.1: the default is SHA-1 with the suite's key; RFC 8446 9.2: TLS 1.3 does not go without.
        return if version.is_tls13() { Err(Mismatch::SignatureScheme) } else { Ok(None) };
    };
    let keys: Vec<KeyType> = match KeyType::of_suite(suite) {
        Some(key) => vec![key],
        None if host.keys.is_empty() => vec![KeyType::Rsa, KeyType::Ecdsa],
        None => host.keys.clone(),
    };
    let fits = |scheme: &SignatureScheme| keys.iter().any(|key| scheme_fits(version, *scheme, *key, host.key_curve));
    let usable: Vec<SignatureScheme> = offered.iter().copied().filter(fits).collect();
    let common = usable.iter().copied().find(|s| host.signature_schemes.as_ref().is_none_or(|held| held.contains(s)));
    let same_kind = offered.iter().any(|s| KeyType::of_scheme(*s).is_some_and(|key| keys.contains(&key)));
    match common {
        Some(scheme) => Ok(Some(scheme)),
        None if same_kind => Err(Mismatch::SignatureScheme),
        None => Err(Mismatch::KeyType),
    }
}

/// No suite is common, and those of the two sides need different kinds of key.
fn keys_are_foreign(offer: &Offer, host: &Ability, common_versions: &[TlsVersion]) -> bool {
    let of = |suites: Vec<CipherSuite>| {
        let mut keys: Vec<Option<KeyType>> = suites.into_iter().map(KeyType::of_suite).collect();
        keys.dedup();
        keys
    };
    let fits_common = |suite: &CipherSuite| common_versions.iter().any(|v| !v.is_tls13() && fits(*suite, *v));
    let wanted = of(offer.suites.iter().copied().filter(fits_common).collect());
    let held = of(common_versions
        .iter()
        .flat_map(|v| host.suites(*v).unwrap_or_default())
        .copied()
        .filter(fits_common)
        .collect());
    !wanted.is_empty()
        && !held.is_empty()
        && wanted.iter().chain(&held).all(Option::is_some)
        && !wanted.iter().any(|k| held.contains(k))
}

/// The mismatch that was met later in the handshake says more.
fn further(a: Mismatch, b: Mismatch) -> Mismatch {
    let step = |m: Mismatch| match m {
        Mismatch::Version => 0,
        Mismatch::Suite => 1,
        Mismatch::Group => 2,
        Mismatch::KeyType => 3,
        Mismatch::SignatureScheme => 4,
    };
    if step(b) > step(a) { b } else { a }
}
