//! What is not common, in words and as lists.

use super::meet::Mismatch;
use super::offer::{Ability, Offer};
use super::order::Strength;
use crate::diagnosis::Missing;
use crate::wire::{CipherSuite, NamedGroup, SignatureScheme, TlsVersion};
use core::fmt::Display;

impl Mismatch {
    /// What is not common, with up to `most` names of each side.
    pub fn sentence(self, offer: &Offer, host: &Ability, most: usize) -> String {
        let Missing { client, host: refused } = self.missing(offer, host);
        let (offered, accepted) = (list(&refused, most), list(&client, most));
        let nothing = |text: String| if text.is_empty() { "none".to_owned() } else { text };
        let (offered, accepted) = (nothing(offered), nothing(accepted));
        let versions = || list(common_versions(offer, host).iter().map(|v| version_name(*v)), most);
        match self {
            Mismatch::Version => {
                format!("The client offers {offered}; the host accepts {accepted}: no version in common.")
            }
            Mismatch::Suite => format!(
                "In {} the client offers {offered}; the host accepts {accepted}: no cipher suite in common.",
                versions()
            ),
            Mismatch::KeyType => format!(
                "The host has {} only; what the client offers needs another kind of key.",
                list(host.keys.iter().map(|key| format!("an {} key", key.name())), 3)
            ),
            Mismatch::Group => {
                format!("The client offers the groups {offered}; the host accepts {accepted}: none in common.")
            }
            Mismatch::SignatureScheme => {
                format!("The client accepts signatures with {offered}; the host signs with {accepted}: none in common.")
            }
        }
    }

    /// What each side would have to add. Broken suites and SSL 3.0 are nobody's lack.
    pub fn missing(self, offer: &Offer, host: &Ability) -> Missing {
        let common = common_versions(offer, host);
        let sound = |version: TlsVersion, suite: &CipherSuite| Strength::of(version, *suite) < Strength::Never;
        match self {
            Mismatch::Version => Missing {
                client: host
                    .versions
                    .iter()
                    .map(|(v, _)| *v)
                    .filter(|v| *v >= TlsVersion::TLS10)
                    .map(version_name)
                    .collect(),
                host: offer.versions.iter().filter(|v| **v >= TlsVersion::TLS10).map(|v| version_name(*v)).collect(),
            },
            Mismatch::Suite | Mismatch::KeyType => {
                let fitting = |suites: &[CipherSuite]| {
                    let some = suites.iter().filter(|suite| common.iter().any(|version| sound(*version, suite)));
                    some.map(|suite| suite_name(*suite)).collect::<Vec<_>>()
                };
                // A client whose suites all need another version shows them all.
                let offered = match fitting(&offer.suites) {
                    none if none.is_empty() => offer.suites.iter().map(|suite| suite_name(*suite)).collect(),
                    some => some,
                };
                let mut accepted = Vec::new();
                for suite in common.iter().flat_map(|version| host.suites(*version).unwrap_or_default()) {
                    if !accepted.contains(suite) {
                        accepted.push(*suite);
                    }
                }
                Missing { client: fitting(&accepted), host: offered }
            }
            Mismatch::Group => Missing {
                client: host.groups.iter().flatten().map(|group| group_name(*group)).collect(),
                host: offer.groups.iter().flatten().map(|group| group_name(*group)).collect(),
            },
            Mismatch::SignatureScheme => {
                let name = |scheme: &SignatureScheme| scheme_name(*scheme);
                Missing {
                    client: host.signature_schemes.iter().flatten().map(name).collect(),
                    host: offer.signature_schemes.iter().flatten().map(name).collect(),
                }
            }
        }
    }
}

fn common_versions(offer: &Offer, host: &Ability) -> Vec<TlsVersion> {
    host.versions.iter().map(|(version, _)| *version).filter(|version| offer.versions.contains(version)).collect()
}

/// `TLS 1.2`.
pub(super) fn version_name(version: TlsVersion) -> String {
    match version.name().filter(|name| name.starts_with('1')) {
        Some(name) => format!("TLS {name}"),
        None => version.to_string(),
    }
}

/// IANA name, or the number.
pub(super) fn suite_name(suite: CipherSuite) -> String {
    suite.name().map_or_else(|| suite.to_string(), str::to_owned)
}

/// IANA name, or the number.
pub(super) fn group_name(group: NamedGroup) -> String {
    group.name().map_or_else(|| group.to_string(), str::to_owned)
}

/// IANA name, or the number.
pub(super) fn scheme_name(scheme: SignatureScheme) -> String {
    scheme.name().map_or_else(|| scheme.to_string(), str::to_owned)
}

/// Values joined by commas, at most `most` of them, then how many more there are.
pub(super) fn list<T: Display>(values: impl IntoIterator<Item = T>, most: usize) -> String {
    let all: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    let shown = all.iter().take(most).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > most { format!("{shown} and {} more", all.len() - most) } else { shown }
}
