//! The smallest change, for any client and any host: it makes them meet, and nothing smaller does as well.

use parser::profile::{
    Ability, Changing, KeyType, Meeting, Mismatch, Offer, Part, SmallestChange, Strength, meet, smallest_change,
    smallest_changes,
};
use parser::wire::{CipherSuite, NamedGroup, SignatureScheme, SuiteClass, TlsVersion};
use proptest::prelude::*;
use proptest::sample::subsequence;

/// Suites of every kind: TLS 1.3, AEAD and CBC for both keys, static RSA, 3DES, RC4, NULL, export.
const SUITES: [u16; 16] = [
    0x1301, 0x1302, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0x009e, 0xc013, 0xc014, 0xc009, 0x009c, 0x002f, 0x000a, 0x0005,
    0x0002, 0x0003,
];
const GROUPS: [u16; 5] = [29, 23, 24, 256, 26];
const SCHEMES: [u16; 8] = [0x0804, 0x0401, 0x0201, 0x0403, 0x0503, 0x0203, 0x0805, 0x0603];

fn versions() -> impl Strategy<Value = Vec<TlsVersion>> {
    subsequence(TlsVersion::ALL.to_vec(), 0..=5).prop_map(|mut versions| {
        versions.reverse();
        versions
    })
}

fn offers() -> impl Strategy<Value = Offer> {
    let suites = subsequence(SUITES.map(CipherSuite).to_vec(), 1..=10).prop_shuffle();
    let groups = proptest::option::of(subsequence(GROUPS.map(NamedGroup).to_vec(), 0..=5));
    let schemes = proptest::option::of(subsequence(SCHEMES.map(SignatureScheme).to_vec(), 0..=8));
    (versions(), suites, groups, schemes).prop_map(|(versions, suites, groups, signature_schemes)| Offer {
        versions,
        suites,
        groups,
        signature_schemes,
    })
}

fn hosts() -> impl Strategy<Value = Ability> {
    let suites = subsequence(SUITES.map(CipherSuite).to_vec(), 0..=10);
    let groups = proptest::option::of(subsequence(GROUPS.map(NamedGroup).to_vec(), 1..=5));
    let schemes = proptest::option::of(subsequence(SCHEMES.map(SignatureScheme).to_vec(), 1..=8));
    let keys = prop_oneof![
        Just(vec![KeyType::Rsa]),
        Just(vec![KeyType::Ecdsa]),
        Just(vec![KeyType::Rsa, KeyType::Ecdsa]),
        Just(vec![])
    ];
    let curve = proptest::option::of(proptest::sample::select(vec![NamedGroup(23), NamedGroup(24)]));
    (versions(), suites, groups, schemes, keys, curve).prop_map(
        |(versions, suites, groups, signature_schemes, keys, curve)| {
            // A probe sees a suite only with a key that fits it.
            let usable = |suite: &CipherSuite| {
                KeyType::of_suite(*suite).is_none_or(|key| keys.is_empty() || keys.contains(&key))
            };
            let fits = |suite: &CipherSuite, version: TlsVersion| suite.info().is_some_and(|info| info.fits(version));
            let of = |version| suites.iter().copied().filter(|s| usable(s) && fits(s, version)).collect::<Vec<_>>();
            let held = |schemes: Vec<SignatureScheme>| {
                let fitting = |s: &SignatureScheme| {
                    KeyType::of_scheme(*s).is_none_or(|key| keys.is_empty() || keys.contains(&key))
                };
                schemes.into_iter().filter(fitting).collect()
            };
            let key_curve = curve.filter(|_| keys.contains(&KeyType::Ecdsa));
            let versions = versions.into_iter().map(|version| (version, of(version))).collect();
            Ability { versions, groups, signature_schemes: signature_schemes.map(held), keys: keys.clone(), key_curve }
        },
    )
}

fn strength(meeting: Meeting) -> Strength {
    Strength::of(meeting.version, meeting.suite)
}

/// Everything sound that could be changed on one side: no SHA-1, no curve outside of current recommendations.
fn parts(client: bool) -> Vec<Part> {
    let mut parts: Vec<Part> = TlsVersion::ALL[1..].iter().map(|v| Part::Version(*v)).collect();
    parts.extend(SUITES.map(|code| Part::Suite(CipherSuite(code))));
    parts.extend(GROUPS[..3].iter().map(|code| Part::Group(NamedGroup(*code))));
    parts.extend(SCHEMES.iter().filter(|code| **code > 0x03ff).map(|code| Part::Scheme(SignatureScheme(*code))));
    if !client {
        parts.extend([Part::Key(KeyType::Rsa), Part::Key(KeyType::Ecdsa)]);
    }
    parts
}

/// Calls `f` with every set of parts that is smaller than `size`, up to three of them.
fn smaller(all: &[Part], size: u32, chosen: &mut Vec<Part>, f: &mut impl FnMut(&[Part])) {
    f(chosen);
    for (at, part) in all.iter().enumerate() {
        let total: u32 = chosen.iter().map(|p| p.size()).sum::<u32>() + part.size();
        if total < size && chosen.len() < 3 {
            chosen.push(*part);
            smaller(&all[at + 1..], size, chosen, f);
            chosen.pop();
        }
    }
}

fn made_of(parts: &[Part], client: bool) -> SmallestChange {
    let (host, client) = if client { (Vec::new(), parts.to_vec()) } else { (parts.to_vec(), Vec::new()) };
    SmallestChange { host, client, version: TlsVersion::TLS13, suite: CipherSuite(0x1301) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_global_rejects: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_smallest_change_makes_them_meet_and_no_smaller_one_does(offer in offers(), host in hosts()) {
        prop_assume!(meet(&offer, &host).is_err());
        for side in [Changing::Host, Changing::Client] {
            let Some(change) = smallest_change(&offer, &host, side, TlsVersion::TLS13) else { continue };
            prop_assert_eq!(change.changing(), side);
            let outcome = change.outcome(&offer, &host);
            let met = outcome.map(strength);
            prop_assert!(met.is_ok_and(|met| met <= change.strength()), "{:?} leads to {:?}", change, outcome);
            let client = side == Changing::Client;
            let mut better = None;
            smaller(&parts(client), change.size(), &mut Vec::new(), &mut |set| {
                if let Ok(meeting) = made_of(set, client).outcome(&offer, &host)
                    && strength(meeting) <= change.strength()
                {
                    better.get_or_insert((set.to_vec(), meeting));
                }
            });
            prop_assert_eq!(better, None, "smaller than {:?}", change);
        }
    }

    #[test]
    fn nothing_broken_is_proposed_and_nothing_weak_where_strong_would_do(offer in offers(), host in hosts()) {
        let changes = smallest_changes(&offer, &host);
        for change in &changes {
            prop_assert!(change.strength() < Strength::Never);
            prop_assert!(change.version >= TlsVersion::TLS10);
            prop_assert!(change.suite.class() != Some(SuiteClass::Broken));
            for part in change.host.iter().chain(&change.client) {
                let text = format!("{part:?}");
                match part {
                    Part::Version(version) => prop_assert!(*version >= TlsVersion::TLS10, "{}", text),
                    Part::Suite(suite) => prop_assert!(suite.class() != Some(SuiteClass::Broken), "{}", text),
                    Part::Scheme(scheme) => prop_assert!(scheme.0 > 0x03ff, "SHA-1: {}", text),
                    Part::Group(_) | Part::Key(_) => {}
                }
            }
            let words = change.text(&host);
            prop_assert_eq!(words.contains("test only"), change.strength() == Strength::Poor, "{}", words);
        }
        prop_assert!(changes.is_sorted_by_key(SmallestChange::strength));
        // Whatever the two are, both together can always be brought to a strong handshake: the first change is one.
        if meet(&offer, &host).is_err() {
            prop_assert_eq!(changes.first().map(SmallestChange::strength), Some(Strength::Strong));
        } else {
            prop_assert!(changes.is_empty());
        }
    }

    #[test]
    fn what_both_have_is_what_they_meet_on(offer in offers(), host in hosts()) {
        match meet(&offer, &host) {
            Ok(meeting) => {
                prop_assert!(offer.versions.contains(&meeting.version) && host.accepts(meeting.version));
                prop_assert!(offer.suites.contains(&meeting.suite));
                prop_assert!(host.suites(meeting.version).is_some_and(|suites| suites.contains(&meeting.suite)));
                if let (Some(group), Some(offered), Some(held)) = (meeting.group, &offer.groups, &host.groups) {
                    prop_assert!(offered.contains(&group) && held.contains(&group));
                }
                if let (Some(scheme), Some(offered)) = (meeting.scheme, &offer.signature_schemes) {
                    prop_assert!(offered.contains(&scheme));
                }
            }
            Err(Mismatch::Version) => prop_assert!(offer.versions.iter().all(|version| !host.accepts(*version))),
            Err(Mismatch::Suite | Mismatch::KeyType | Mismatch::Group | Mismatch::SignatureScheme) => {
                prop_assert!(offer.versions.iter().any(|version| host.accepts(*version)));
            }
        }
    }

    #[test]
    fn a_wider_offer_never_stops_meeting(offer in offers(), host in hosts(), more in 0..SUITES.len()) {
        prop_assume!(meet(&offer, &host).is_ok());
        let mut wider = offer.clone();
        wider.suites.push(CipherSuite(SUITES[more]));
        wider.versions = TlsVersion::ALL.into_iter().rev().collect();
        prop_assert!(meet(&wider, &host).is_ok());
    }
}

#[test]
fn an_ecdsa_certificate_and_a_client_of_rsa_suites_is_a_matter_of_the_key() {
    let offer = Offer {
        versions: vec![TlsVersion::TLS12],
        suites: vec![CipherSuite(0xc030), CipherSuite(0x002f)],
        groups: Some(vec![NamedGroup::SECP256R1]),
        signature_schemes: Some(vec![SignatureScheme(0x0804), SignatureScheme(0x0401)]),
    };
    let host = Ability {
        versions: vec![(TlsVersion::TLS12, vec![CipherSuite(0xc02c), CipherSuite(0xc02b)])],
        groups: Some(vec![NamedGroup::SECP256R1]),
        signature_schemes: Some(vec![SignatureScheme(0x0403)]),
        keys: vec![KeyType::Ecdsa],
        key_curve: Some(NamedGroup::SECP256R1),
    };
    assert_eq!(meet(&offer, &host), Err(Mismatch::KeyType));
    let changes = smallest_changes(&offer, &host);
    assert_eq!(changes[0].host, [Part::Key(KeyType::Rsa)], "{changes:?}");
    assert!(changes[0].text(&host).contains("an RSA certificate"), "{}", changes[0].text(&host));
    let client: Vec<&SmallestChange> = changes.iter().filter(|c| c.changing() == Changing::Client).collect();
    assert!(client[0].client.contains(&Part::Suite(CipherSuite(0xc02c))), "{changes:?}");
}

/// A new key is enough where the client takes the signatures that come with it, even by SHA-1 alone: an older version
/// beside it, whose signatures are no better, is one part too many.
#[test]
fn a_client_that_takes_sha1_signatures_alone_needs_no_older_version_from_a_host_with_another_key() {
    let offer = Offer {
        versions: vec![TlsVersion::TLS12, TlsVersion::TLS11],
        suites: vec![CipherSuite(0xc009)],
        groups: Some(vec![NamedGroup::SECP256R1]),
        signature_schemes: Some(vec![SignatureScheme(0x0203)]),
    };
    let host = Ability {
        versions: vec![(TlsVersion::TLS12, vec![CipherSuite(0xc030)])],
        keys: vec![KeyType::Rsa],
        ..Ability::default()
    };
    let change = smallest_change(&offer, &host, Changing::Host, TlsVersion::TLS13).expect("a change");
    assert_eq!((change.version, change.suite), (TlsVersion::TLS12, CipherSuite(0xc009)));
    assert!(change.outcome(&offer, &host).is_ok());
    assert_eq!(change.size(), 4, "{change:?}");
}

#[test]
fn a_certificate_on_a_curve_that_the_client_lacks_is_a_matter_of_the_group() {
    let offer = Offer {
        versions: vec![TlsVersion::TLS12],
        suites: vec![CipherSuite(0xc02c)],
        groups: Some(vec![NamedGroup::SECP256R1]),
        signature_schemes: None,
    };
    let host = Ability {
        versions: vec![(TlsVersion::TLS12, vec![CipherSuite(0xc02c)])],
        groups: Some(vec![NamedGroup::SECP256R1, NamedGroup::SECP384R1]),
        keys: vec![KeyType::Ecdsa],
        key_curve: Some(NamedGroup::SECP384R1),
        ..Ability::default()
    };
    assert_eq!(meet(&offer, &host), Err(Mismatch::Group));
    let changes = smallest_changes(&offer, &host);
    assert!(changes.iter().any(|c| c.client == [Part::Group(NamedGroup::SECP384R1)]), "{changes:?}");
    assert!(changes.iter().all(|c| c.outcome(&offer, &host).is_ok()));
}
