//! What comes with a part once a side allows it.

use super::super::meet;
use super::super::offer::{Ability, KeyType, Offer};
use super::Part;
use crate::wire::{CipherSuite, NamedGroup, SignatureScheme};

/// What a client without these extensions offers once it speaks TLS 1.3. RFC 8446 9.1
pub(super) const GROUPS_WITH_13: [NamedGroup; 2] = [NamedGroup::X25519, NamedGroup::SECP256R1];
pub(super) const SCHEMES_WITH_13: [SignatureScheme; 3] =
    [SignatureScheme::RSA_PSS_RSAE_SHA256, SignatureScheme::RSA_PKCS1_SHA256, SignatureScheme::ECDSA_SECP256R1_SHA256];

/// With which schemes a newly issued certificate signs, at least: RSA with SHA-256, P-256 with SHA-256.
pub(super) const NEW_KEY_SCHEMES: [u16; 3] = [0x0804, 0x0401, 0x0403];

/// The same suite for the other kind of key: `ECDHE_RSA` for `ECDHE_ECDSA` and back.
pub(super) fn counterpart(suite: CipherSuite) -> Option<CipherSuite> {
    let name = suite.name()?;
    let other = match () {
        () if name.starts_with("TLS_ECDHE_RSA_") => name.replacen("ECDHE_RSA", "ECDHE_ECDSA", 1),
        () if name.starts_with("TLS_ECDHE_ECDSA_") => name.replacen("ECDHE_ECDSA", "ECDHE_RSA", 1),
        () => return None,
    };
    CipherSuite::from_name(&other)
}

/// Allows `part`, and what comes with it.
pub(super) fn allow_on_host(host: &mut Ability, part: Part) {
    match part {
        Part::Version(version) if !host.accepts(version) => {
            let fitting = host.all_suites().into_iter().filter(|suite| meet::fits(*suite, version)).collect();
            host.versions.push((version, fitting));
            host.versions.sort_by_key(|(version, _)| core::cmp::Reverse(*version));
        }
        Part::Version(_) => {}
        Part::Suite(suite) => {
            for (version, suites) in &mut host.versions {
                if meet::fits(suite, *version) && !suites.contains(&suite) {
                    suites.push(suite);
                }
            }
        }
        Part::Group(group) => add(host.groups.as_mut(), group),
        Part::Scheme(scheme) => add(host.signature_schemes.as_mut(), scheme),
        Part::Key(key) => {
            for (_, suites) in &mut host.versions {
                let more: Vec<CipherSuite> = suites.iter().copied().filter_map(counterpart).collect();
                more.into_iter().for_each(|suite| add(Some(&mut *suites), suite));
            }
            let unknown = host.keys.is_empty();
            if !unknown {
                add(Some(&mut host.keys), key);
            }
            // Issued on a curve that fits.
            host.key_curve = None;
            for code in NEW_KEY_SCHEMES {
                if KeyType::of_scheme(SignatureScheme(code)) == Some(key) {
                    add(host.signature_schemes.as_mut(), SignatureScheme(code));
                }
            }
        }
    }
}

/// Offers `part`, and what comes with it.
pub(super) fn allow_on_client(offer: &mut Offer, part: Part) {
    match part {
        Part::Version(version) => {
            if version.is_tls13() && !offer.versions.contains(&version) {
                offer.groups.get_or_insert_with(|| GROUPS_WITH_13.to_vec());
                offer.signature_schemes.get_or_insert_with(|| SCHEMES_WITH_13.to_vec());
            }
            add(Some(&mut offer.versions), version);
            offer.versions.sort_by_key(|version| core::cmp::Reverse(*version));
        }
        Part::Suite(suite) => add(Some(&mut offer.suites), suite),
        Part::Group(group) => add(Some(offer.groups.get_or_insert_default()), group),
        Part::Scheme(scheme) => add(Some(offer.signature_schemes.get_or_insert_default()), scheme),
        Part::Key(_) => {}
    }
}

fn add<T: PartialEq>(list: Option<&mut Vec<T>>, item: T) {
    if let Some(list) = list.filter(|list| !list.contains(&item)) {
        list.push(item);
    }
}
