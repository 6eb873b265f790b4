//! What a probe found, as evidence: one sentence per step, with what was sent and what came back.

use super::super::words::{list, span, version_name};
use super::Probed;
use crate::profile::{Ability, Completeness, LadderChange, Reaction};
use crate::wire::CipherSuite;

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
        Completeness::Mixed(why) => format!("it did not answer alike: {why}"),
        Completeness::Unreachable(why) => format!("nothing learned: {why}"),
    };
    let accepted = Ability::of(profile).map(|host| host.versions).unwrap_or_default();
    let found = match accepted.as_slice() {
        [] if matches!(profile.completeness, Completeness::Mixed(_)) => "what it accepts is not known".to_owned(),
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

/// IANA name, or the number.
pub(super) fn suite_name(suite: CipherSuite) -> String {
    suite.name().map_or_else(|| suite.to_string(), str::to_owned)
}
