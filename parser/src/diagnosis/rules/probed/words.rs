//! What a probe found, as evidence: one sentence per step, with what was sent and what came back.

use super::super::words::{list, span, version_name};
use super::Probed;
use crate::diagnosis::Missing;
use crate::profile::{Ability, Completeness, LadderChange, Mismatch, Offer, Reaction, Strength};
use crate::wire::{CipherSuite, TlsVersion};

/// Names in one sentence; the full lists are in the profile and in `missing`.
pub(super) const MOST_NAMES: usize = 6;

/// When the host was asked, how much, and which versions it takes.
pub(super) fn probe(probed: &Probed<'_>) -> String {
    let (profile, end) = (probed.profile, probed.case.end());
    let when = match profile.ended >= end {
        true => format!("{} after this connection ended", span(profile.ended.since(end))),
        false => format!("{} before this connection ended", span(end.since(profile.ended))),
    };
    let whole = match &profile.completeness {
        Completeness::Complete => "every question answered".to_owned(),
        Completeness::Partial(why) => format!("incomplete: {why}"),
        Completeness::Unreachable(why) => format!("nothing learned: {why}"),
    };
    let accepted = Ability::from(profile).versions;
    let found = match accepted.as_slice() {
        [] if probed.reactions().next().is_none() => "no ClientHello could be sent".to_owned(),
        [] if probed.reactions().any(Reaction::accepted) => "some hello is accepted".to_owned(),
        [] => "no ClientHello is accepted".to_owned(),
        versions => format!("it accepts {}", list(versions.iter().map(|(v, _)| version_name(*v)), MOST_NAMES)),
    };
    format!("The host was probed {when} ({} connections, {whole}): {found}.", profile.handshakes)
}

/// The replay of the client's own hello, step by step.
pub(super) fn ladder(probed: &Probed<'_>) -> Vec<String> {
    if probed.replayed().is_none() {
        return Vec::new();
    }
    let steps = probed.profile.ladder.iter();
    steps.map(|step| format!("{}: {}.", change(&step.change), reaction(&step.reaction))).collect()
}

/// What was changed in a replayed hello.
fn change(change: &LadderChange) -> String {
    match change {
        LadderChange::AsSent => "The client's own hello again".to_owned(),
        LadderChange::Versions(versions) => {
            format!("The same with {} only", list(versions.iter().map(|v| version_name(*v)), MOST_NAMES))
        }
        LadderChange::AllSuites => "The same with all suites".to_owned(),
        LadderChange::AllGroups => "The same with all groups".to_owned(),
        LadderChange::AllSignatureSchemes => "The same with all signature schemes".to_owned(),
        LadderChange::OnlyAuth(auth) => format!("The same with {auth} suites only"),
        LadderChange::Size(size) => format!("The same at {size} bytes"),
        LadderChange::Without13 => "The same without TLS 1.3".to_owned(),
        LadderChange::Everything => "A hello with everything that is known".to_owned(),
    }
}

/// What came back.
pub(super) fn reaction(reaction: &Reaction) -> String {
    match reaction {
        Reaction::Hello { version, suite, .. } => {
            format!("ServerHello, {} with {}", version_name(*version), suite_name(*suite))
        }
        Reaction::Retry { suite, group } => {
            let group = group
                .map_or_else(|| "another group".to_owned(), |g| g.name().map_or_else(|| g.to_string(), str::to_owned));
            format!("HelloRetryRequest for {group}, TLS 1.3 with {}", suite_name(*suite))
        }
        Reaction::Alert(description) => format!("alert {description}"),
        Reaction::Closed(kind) => format!("closed ({}) without an answer", kind.name().to_uppercase()),
        Reaction::ClearDisconnect => "a clear disconnect instead of TLS".to_owned(),
        Reaction::NotTls => "bytes that are no TLS".to_owned(),
        Reaction::Silence => "no answer".to_owned(),
        Reaction::NotReached(why) => format!("not reached, {why}"),
    }
}

/// What is not common, with up to `most` names of each side.
pub(super) fn mismatch(mismatch: Mismatch, offer: &Offer, host: &Ability, most: usize) -> String {
    let Missing { client, host: refused } = missing(mismatch, offer, host);
    let (offered, accepted) = (list(&refused, most), list(&client, most));
    let nothing = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    let (offered, accepted) = (nothing(offered), nothing(accepted));
    let versions = || list(common_versions(offer, host).iter().map(|v| version_name(*v)), most);
    match mismatch {
        Mismatch::Version => format!("The client offers {offered}; the host accepts {accepted}: no version in common."),
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
pub(super) fn missing(mismatch: Mismatch, offer: &Offer, host: &Ability) -> Missing {
    let common = common_versions(offer, host);
    let sound = |version: TlsVersion, suite: &CipherSuite| Strength::of(version, *suite) < Strength::Never;
    match mismatch {
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
            client: host
                .groups
                .iter()
                .flatten()
                .map(|g| g.name().map_or_else(|| g.to_string(), str::to_owned))
                .collect(),
            host: offer
                .groups
                .iter()
                .flatten()
                .map(|g| g.name().map_or_else(|| g.to_string(), str::to_owned))
                .collect(),
        },
        Mismatch::SignatureScheme => {
            let name = |s: &crate::wire::SignatureScheme| s.name().map_or_else(|| s.to_string(), str::to_owned);
            Missing {
                client: host.signature_schemes.iter().flatten().map(name).collect(),
                host: offer.signature_schemes.iter().flatten().map(name).collect(),
            }
        }
    }
}

fn common_versions(offer: &Offer, host: &Ability) -> Vec<TlsVersion> {
    host.versions.iter().map(|(version, _)| *version).filter(|version| offer.versions.contains(version)).collect()
}

/// IANA name, or the number.
pub(super) fn suite_name(suite: CipherSuite) -> String {
    suite.name().map_or_else(|| suite.to_string(), str::to_owned)
}
