//! The smallest change on either side that lets an offer and a host meet.
//!
//! A change is a set of [`Part`]s. Its size is what an operator has to touch: one for a version, a suite, a group or a
//! signature scheme, three for another certificate. Of all changes on one side the strongest resulting handshake wins
//! ([`Strength`]), then the smallest, then the order of that table. So a weak suite is proposed only where
//! that side alone cannot do better, and what is broken is never proposed.

mod allow;

use super::meet::{self, Meeting};
use super::offer::{Ability, KeyType, Offer};
use super::order::{self, Strength};
use crate::wire::{CipherSuite, NamedGroup, SignatureScheme, TlsVersion};
use allow::{GROUPS_WITH_13, NEW_KEY_SCHEMES, SCHEMES_WITH_13, allow_on_client, allow_on_host, counterpart};

/// One thing that a side has to allow in addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// A version.
    Version(TlsVersion),
    /// A suite, in every version it fits.
    Suite(CipherSuite),
    /// A group.
    Group(NamedGroup),
    /// A signature scheme.
    Scheme(SignatureScheme),
    /// A certificate with another kind of key, or on a curve the client takes. The host's suites for its present kind
    /// of key count as allowed for the other too: stacks switch them together.
    Key(KeyType),
}

impl Part {
    /// How much there is to touch.
    #[must_use]
    pub fn size(self) -> u32 {
        if matches!(self, Part::Key(_)) { 3 } else { 1 }
    }
}

/// Parts for each side, and what they lead to. A side without parts stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmallestChange {
    /// What the host has to allow.
    pub host: Vec<Part>,
    /// What the client has to offer.
    pub client: Vec<Part>,
    /// The handshake it is made for.
    pub version: TlsVersion,
    /// Its suite.
    pub suite: CipherSuite,
}

/// Which side may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Changing {
    /// The host alone.
    Host,
    /// The client alone.
    Client,
    /// Both.
    Both,
}

impl SmallestChange {
    /// Sum of the sizes of its parts.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.host.iter().chain(&self.client).map(|part| part.size()).sum()
    }

    /// How good the handshake is that it leads to.
    #[must_use]
    pub fn strength(&self) -> Strength {
        Strength::of(self.version, self.suite)
    }

    /// Which side it changes.
    #[must_use]
    pub fn changing(&self) -> Changing {
        match (self.host.is_empty(), self.client.is_empty()) {
            (_, true) => Changing::Host,
            (true, false) => Changing::Client,
            (false, false) => Changing::Both,
        }
    }

    /// The two sides after the change.
    #[must_use]
    pub fn applied(&self, offer: &Offer, host: &Ability) -> (Offer, Ability) {
        let (mut offer, mut host) = (offer.clone(), host.clone());
        // A new key brings its suites along, and versions take up the suites: keys first, versions last.
        let order = |part: &&Part| match part {
            Part::Key(_) => 0,
            Part::Suite(_) => 2,
            Part::Version(_) => 1,
            _ => 3,
        };
        let mut parts: Vec<&Part> = self.host.iter().collect();
        parts.sort_by_key(order);
        parts.into_iter().for_each(|part| allow_on_host(&mut host, *part));
        self.client.iter().for_each(|part| allow_on_client(&mut offer, *part));
        (offer, host)
    }
}

/// The best change for each side that has one, strongest result first; for both together only where neither side alone
/// leads to a strong handshake. Where the host's change is TLS 1.3 there is a second one without, for hosts that have
/// none (Windows before Server 2022). Empty when they meet already, or nothing sound can be proposed.
#[must_use]
pub fn smallest_changes(offer: &Offer, host: &Ability) -> Vec<SmallestChange> {
    smallest_changes_for(offer, TlsVersion::TLS13, host)
}

/// The same for a client that can be made to speak `newest` and nothing above it.
pub(super) fn smallest_changes_for(offer: &Offer, newest: TlsVersion, host: &Ability) -> Vec<SmallestChange> {
    if meet::meet(offer, host).is_ok() {
        return Vec::new();
    }
    let mut all = Vec::new();
    for side in [Changing::Host, Changing::Client] {
        // What the client offers bounds the host's own changes.
        let newest = if side == Changing::Client { newest } else { TlsVersion::TLS13 };
        let best = smallest_change(offer, host, side, newest);
        let adds_13 = best.iter().any(|c| c.host.contains(&Part::Version(TlsVersion::TLS13)));
        let without = adds_13.then(|| smallest_change(offer, host, side, TlsVersion::TLS12)).flatten();
        all.extend(best);
        all.extend(without.filter(|c| c.strength() == Strength::Strong));
    }
    if all.iter().all(|change| change.strength() > Strength::Strong) {
        let both = smallest_change(offer, host, Changing::Both, newest);
        let stronger = |c: &SmallestChange| all.iter().all(|other| c.strength() < other.strength());
        all.extend(both.filter(|c| c.changing() == Changing::Both && stronger(c)));
    }
    all.sort_by_key(SmallestChange::strength);
    all
}

/// The best change on `side` that leads to a handshake in `newest` or older.
#[must_use]
pub fn smallest_change(offer: &Offer, host: &Ability, side: Changing, newest: TlsVersion) -> Option<SmallestChange> {
    let held = host.all_suites();
    let mut suites: Vec<CipherSuite> = offer.suites.iter().chain(&held).copied().collect();
    suites.extend(PROPOSED_SUITES);
    suites.extend(suites.clone().into_iter().filter_map(counterpart));
    suites.sort_by_key(|suite| suite.0);
    suites.dedup();
    let versions = TlsVersion::ALL.into_iter().filter(|v| (TlsVersion::TLS10..=newest).contains(v));
    let pairs = versions.flat_map(|version| suites.iter().map(move |suite| (version, *suite)));
    let sound = pairs.filter(|(version, suite)| Strength::of(*version, *suite) < Strength::Never);
    let changes = sound.filter_map(|(version, suite)| needed(offer, host, side, version, suite));
    changes.min_by_key(|change| (change.strength(), change.size(), order::rank(change.version, change.suite)))
}

/// What to propose where neither side names anything better. RFC 9325 4.2
const PROPOSED_SUITES: [CipherSuite; 6] = [
    CipherSuite(0x1302),
    CipherSuite(0x1301),
    CipherSuite(0xc030),
    CipherSuite(0xc02f),
    CipherSuite(0xc02c),
    CipherSuite(0xc02b),
];
const PROPOSED_GROUPS: [NamedGroup; 3] = [NamedGroup::X25519, NamedGroup::SECP256R1, NamedGroup::SECP384R1];
const PROPOSED_SCHEMES: [SignatureScheme; 5] = [
    SignatureScheme::RSA_PSS_RSAE_SHA256,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::ECDSA_SECP256R1_SHA256,
    SignatureScheme(0x0503),
    SignatureScheme(0x0603),
];

/// Parts per side.
#[derive(Clone, Default)]
struct Need {
    host: Vec<Part>,
    client: Vec<Part>,
}

impl Need {
    fn allowed(&self, side: Changing) -> bool {
        match side {
            Changing::Host => self.client.is_empty(),
            Changing::Client => self.host.is_empty(),
            Changing::Both => true,
        }
    }

    fn size(&self) -> u32 {
        self.host.iter().chain(&self.client).map(|part| part.size()).sum()
    }
}

/// What this one handshake lacks, if `side` can provide it.
fn needed(
    offer: &Offer,
    host: &Ability,
    side: Changing,
    version: TlsVersion,
    suite: CipherSuite,
) -> Option<SmallestChange> {
    let mut need = Need::default();
    if !offer.versions.contains(&version) {
        need.client.push(Part::Version(version));
    }
    if !host.accepts(version) {
        need.host.push(Part::Version(version));
    }
    if !offer.suites.contains(&suite) {
        need.client.push(Part::Suite(suite));
    }
    let key = key_and_scheme(offer, host, side, version, suite)?;
    let changed_key = key.host.iter().any(|part| matches!(part, Part::Key(_)));
    let mut allowed = match host.suites(version) {
        Some(suites) => suites.to_vec(),
        None => host.all_suites(),
    };
    if changed_key {
        allowed.extend(allowed.clone().into_iter().filter_map(counterpart));
    }
    if !allowed.contains(&suite) {
        need.host.push(Part::Suite(suite));
    }
    let group = group(offer, host, side, version, suite, changed_key)?;
    for more in [group, key] {
        need.host.extend(more.host);
        need.client.extend(more.client);
    }
    let change = SmallestChange { host: need.host.clone(), client: need.client.clone(), version, suite };
    need.allowed(side).then_some(change)
}

/// The cheapest group for the handshake. The certificate's curve counts too, below TLS 1.3.
fn group(
    offer: &Offer,
    host: &Ability,
    side: Changing,
    version: TlsVersion,
    suite: CipherSuite,
    changed_key: bool,
) -> Option<Need> {
    let mut base = Need::default();
    let ecdsa = !version.is_tls13() && KeyType::of_suite(suite) == Some(KeyType::Ecdsa) && !changed_key;
    if let (true, Some(curve), Some(offered)) = (ecdsa, host.key_curve, &offer.groups)
        && !offered.contains(&curve)
    {
        base.client.push(Part::Group(curve));
    }
    if !meet::needs_group(version, suite) || !version.is_tls13() && offer.groups.is_none() && host.groups.is_none() {
        return base.allowed(side).then_some(base);
    }
    let mut candidates: Vec<NamedGroup> = PROPOSED_GROUPS.to_vec();
    candidates.extend(offer.groups.iter().chain(&host.groups).flatten());
    let mut best: Option<(u32, (u8, u16), Need)> = None;
    for group in candidates.into_iter().filter(|g| meet::group_fits(version, *g)) {
        let mut need = base.clone();
        let offered = match &offer.groups {
            Some(groups) => groups.contains(&group),
            None => !version.is_tls13() || !offer.versions.contains(&version) && GROUPS_WITH_13.contains(&group),
        };
        if !offered && !need.client.contains(&Part::Group(group)) {
            need.client.push(Part::Group(group));
        }
        if host.groups.as_ref().is_some_and(|groups| !groups.contains(&group)) {
            need.host.push(Part::Group(group));
        }
        // A group that is added must be a sound one; what both have already is not our choice.
        let added = need.size() > base.size();
        if !need.allowed(side) || added && !order::group_is_sound(group) {
            continue;
        }
        let key = (need.size(), order::group_rank(group));
        if best.as_ref().is_none_or(|(size, rank, _)| key < (*size, *rank)) {
            best = Some((key.0, key.1, need));
        }
    }
    best.map(|(_, _, need)| need)
}

/// The cheapest key and signature scheme for the handshake.
fn key_and_scheme(
    offer: &Offer,
    host: &Ability,
    side: Changing,
    version: TlsVersion,
    suite: CipherSuite,
) -> Option<Need> {
    let wanted = KeyType::of_suite(suite);
    let lacks = |key: KeyType| !host.keys.is_empty() && !host.keys.contains(&key);
    // An ECDSA key on a curve that the client does not offer is as good as none below TLS 1.3.
    let foreign_curve = !version.is_tls13()
        && wanted == Some(KeyType::Ecdsa)
        && matches!((host.key_curve, &offer.groups), (Some(curve), Some(groups)) if !groups.contains(&curve));
    let replaced = |key: KeyType| lacks(key) || foreign_curve && side == Changing::Host;
    if !meet::is_signed(version, suite) {
        let mut need = Need::default();
        need.host.extend(wanted.filter(|key| replaced(*key)).map(Part::Key));
        return need.allowed(side).then_some(need);
    }
    if offer.signature_schemes.is_none() && !version.is_tls13() {
        let mut need = Need::default();
        need.host.extend(wanted.filter(|key| replaced(*key)).map(Part::Key));
        return need.allowed(side).then_some(need);
    }
    let mut candidates: Vec<SignatureScheme> = PROPOSED_SCHEMES.to_vec();
    candidates.extend(offer.signature_schemes.iter().chain(&host.signature_schemes).flatten());
    let mut best: Option<(u32, (u8, u16), Need)> = None;
    for scheme in candidates {
        let Some(key) = KeyType::of_scheme(scheme).filter(|key| wanted.is_none_or(|w| w == *key)) else { continue };
        let replace = replaced(key) || version.is_tls13() && !meet::scheme_fits(version, scheme, key, host.key_curve);
        let curve = if replace { None } else { host.key_curve };
        if key == KeyType::Dss || !meet::scheme_fits(version, scheme, key, curve) {
            continue;
        }
        let mut need = Need::default();
        let offered = match &offer.signature_schemes {
            Some(schemes) => schemes.contains(&scheme),
            // A client that learns TLS 1.3 learns what belongs to it.
            None => !offer.versions.contains(&version) && SCHEMES_WITH_13.contains(&scheme),
        };
        if !offered {
            need.client.push(Part::Scheme(scheme));
        }
        if replace {
            need.host.push(Part::Key(key));
        }
        let held = host.signature_schemes.as_ref().is_none_or(|schemes| schemes.contains(&scheme));
        let issued = replace && NEW_KEY_SCHEMES.contains(&scheme.0);
        if !held && !issued {
            need.host.push(Part::Scheme(scheme));
        }
        // A scheme that is added must be a sound one; what both have already is not our choice.
        let added = !offered || !held && !issued;
        if !need.allowed(side) || added && !order::scheme_is_sound(scheme) {
            continue;
        }
        let order = (need.size(), order::scheme_rank(scheme));
        if best.as_ref().is_none_or(|(size, rank, _)| order < (*size, *rank)) {
            best = Some((order.0, order.1, need));
        }
    }
    best.map(|(_, _, need)| need)
}

impl SmallestChange {
    /// Where the two meet once it is made; an error would be a mistake of this module.
    pub fn outcome(&self, offer: &Offer, host: &Ability) -> Result<Meeting, meet::Mismatch> {
        let (offer, host) = self.applied(offer, host);
        meet::meet(&offer, &host)
    }
}
