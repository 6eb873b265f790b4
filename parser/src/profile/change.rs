//! Two profiles side by side: what differs between two hosts, and what changed on one.
//!
//! Only what both probes found out is compared. A version that was met with silence, suites that were not asked down to
//! the refusal, groups that were not tried: they are no difference, so a probe that was cut short never makes one.

use super::lack::{group_name, list, scheme_name, suite_name, version_name};
use super::{Completeness, HostProfile, NegotiationAnswer, Reaction, VersionAbility};
use crate::session::{Answer, CertificateFacts};
use crate::wire::{CipherSuite, Protocols};

/// Names in one text; the rest is counted.
const MOST_NAMES: usize = 8;

/// What kind of thing differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// The certificate.
    Certificate,
    /// A TLS version.
    Version,
    /// Cipher suites of a version that both accept.
    Suite,
    /// The order in which suites are preferred, or whose order counts.
    Order,
    /// The answer to a Connection Request.
    Negotiation,
    /// A group.
    Group,
    /// Signature schemes.
    Signature,
}

impl ChangeKind {
    /// All, for metrics that start at zero.
    pub const ALL: [ChangeKind; 7] = [
        ChangeKind::Certificate,
        ChangeKind::Version,
        ChangeKind::Suite,
        ChangeKind::Order,
        ChangeKind::Negotiation,
        ChangeKind::Group,
        ChangeKind::Signature,
    ];

    /// Label value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ChangeKind::Certificate => "certificate",
            ChangeKind::Version => "version",
            ChangeKind::Suite => "suite",
            ChangeKind::Order => "order",
            ChangeKind::Negotiation => "negotiation",
            ChangeKind::Group => "group",
            ChangeKind::Signature => "signature",
        }
    }
}

/// One thing in which two profiles differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which kind.
    pub what: ChangeKind,
    /// What it is about: `TLS 1.2`, `suites of TLS 1.2`, `certificate`, `a request for ssl+hybrid`.
    pub item: String,
    /// How it is in the first profile.
    pub first: String,
    /// How it is in the second.
    pub second: String,
    /// The same as something that happened to one host, the first profile being the older one.
    pub as_change: String,
}

/// One thing that changed on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which kind.
    pub what: ChangeKind,
    /// What happened, to be read behind the host's name: `stopped accepting TLS 1.2`.
    pub text: String,
}

/// What changed from `old` to `new`, two profiles of one host. Empty when one of them learned nothing.
#[must_use]
pub fn changes(old: &HostProfile, new: &HostProfile) -> Vec<Change> {
    compare(old, new)
        .into_iter()
        .map(|difference| Change { what: difference.what, text: difference.as_change })
        .collect()
}

/// In what two profiles differ, certificate first.
#[must_use]
pub fn compare(first: &HostProfile, second: &HostProfile) -> Vec<Difference> {
    let learned =
        |profile: &HostProfile| !matches!(profile.completeness, Completeness::Unreachable(_) | Completeness::Mixed(_));
    if !learned(first) || !learned(second) {
        return Vec::new();
    }
    let mut all: Vec<Difference> = certificate(first, second).into_iter().collect();
    for ability in &first.versions {
        if let Some(other) = second.versions.iter().find(|other| other.version == ability.version) {
            all.extend(version(ability, other));
        }
    }
    all.extend(groups(first, second));
    all.extend(schemes(first, second));
    for (asked, answer) in &first.negotiation {
        if let Some((_, other)) = second.negotiation.iter().find(|(other, _)| other == asked) {
            all.extend(negotiation(*asked, answer, other));
        }
    }
    all
}

fn certificate(first: &HostProfile, second: &HostProfile) -> Option<Difference> {
    let (a, b) = (first.certificate.as_ref()?, second.certificate.as_ref()?);
    // Several hosts behind one address, each with its own: which of them were met says nothing.
    if first.certificates_of_several().or(second.certificates_of_several()).is_some() {
        return None;
    }
    // A host with two certificates may show either one first.
    let held = |profile: &HostProfile, c: &CertificateFacts| {
        profile.certificate.iter().chain(&profile.second_certificate).any(|other| other.sha256 == c.sha256)
    };
    if held(first, b) || held(second, a) {
        return None;
    }
    Some(Difference {
        what: ChangeKind::Certificate,
        item: "certificate".to_owned(),
        first: certificate_words(a),
        second: certificate_words(b),
        as_change: format!("replaced its certificate: now {}; before {}", certificate_words(b), certificate_words(a)),
    })
}

fn certificate_words(certificate: &CertificateFacts) -> String {
    let fingerprint: String = certificate.sha256.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let issuer =
        if certificate.self_issued { "self-signed".to_owned() } else { format!("issuer {}", certificate.issuer) };
    format!(
        "{}, {issuer}, {} {} bits, {}, until {}, SHA-256 {fingerprint}…",
        certificate.subject,
        certificate.key_algorithm,
        certificate.key_bits,
        certificate.signature_algorithm,
        crate::diagnosis::date(certificate.not_after)
    )
}

fn version(a: &VersionAbility, b: &VersionAbility) -> Vec<Difference> {
    let (Some(was), Some(is)) = (verdict(a), verdict(b)) else { return Vec::new() };
    let name = version_name(a.version);
    let word = |accepted: bool| if accepted { "accepted".to_owned() } else { "refused".to_owned() };
    if was != is {
        let verb = if is { "began to accept" } else { "stopped accepting" };
        return vec![Difference {
            what: ChangeKind::Version,
            first: word(was),
            second: word(is),
            as_change: format!("{verb} {name}"),
            item: name,
        }];
    }
    if !is || !a.complete || !b.complete {
        return Vec::new();
    }
    let only = |x: &VersionAbility, y: &VersionAbility| -> Vec<CipherSuite> {
        x.suites.iter().copied().filter(|suite| !y.suites.contains(suite)).collect()
    };
    let (gone, come) = (only(a, b), only(b, a));
    let mut all = Vec::new();
    if !gone.is_empty() || !come.is_empty() {
        let names = |suites: &[CipherSuite]| list(suites.iter().map(|suite| suite_name(*suite)), MOST_NAMES);
        let told =
            |verb: &str, suites: &[CipherSuite]| (!suites.is_empty()).then(|| format!("{verb} {}", names(suites)));
        let parts: Vec<String> =
            told("stopped accepting", &gone).into_iter().chain(told("began to accept", &come)).collect();
        let alone = |suites: &[CipherSuite]| {
            if suites.is_empty() { "nothing the other lacks".to_owned() } else { format!("also {}", names(suites)) }
        };
        all.push(Difference {
            what: ChangeKind::Suite,
            item: format!("suites of {name}"),
            first: alone(&gone),
            second: alone(&come),
            as_change: format!("in {name} {}", parts.join(", ")),
        });
    }
    all.extend(order(a, b, &name));
    all
}

/// Whether a version is accepted; `None` when the probe got no clear answer.
fn verdict(ability: &VersionAbility) -> Option<bool> {
    match &ability.reaction {
        reaction if reaction.accepted() || ability.accepted() => Some(true),
        Reaction::Alert(_) | Reaction::Closed(_) | Reaction::ClearDisconnect => Some(false),
        // It chose another version: this one it does not have.
        Reaction::Hello { .. } | Reaction::Retry { .. } => Some(false),
        Reaction::NotTls | Reaction::Silence | Reaction::NotReached(_) => None,
    }
}

fn order(a: &VersionAbility, b: &VersionAbility, name: &str) -> Option<Difference> {
    let common = |x: &VersionAbility, y: &VersionAbility| -> Vec<CipherSuite> {
        x.suites.iter().copied().filter(|suite| y.suites.contains(suite)).collect()
    };
    let (first, second) = (common(a, b), common(b, a));
    if first.len() < 2 || a.host_order == b.host_order && (!a.host_order || first == second) {
        return None;
    }
    let words = |own: bool, suites: &[CipherSuite]| match own {
        true => format!("the host's order: {}", list(suites.iter().map(|suite| suite_name(*suite)), MOST_NAMES)),
        false => "the client's order".to_owned(),
    };
    let (was, is) = (words(a.host_order, &first), words(b.host_order, &second));
    Some(Difference {
        what: ChangeKind::Order,
        item: format!("order of the suites of {name}"),
        as_change: format!("in {name} now follows {is}; before {was}"),
        first: was,
        second: is,
    })
}

fn groups(first: &HostProfile, second: &HostProfile) -> Vec<Difference> {
    let moved = |had: &HostProfile, lacks: &HostProfile| -> Vec<_> {
        had.groups.iter().copied().filter(|group| lacks.refused_groups.contains(group)).collect()
    };
    let one = |group, gone: bool| {
        let (name, yes, no) = (group_name(group), "accepted".to_owned(), "refused".to_owned());
        let verb = if gone { "stopped accepting" } else { "began to accept" };
        Difference {
            what: ChangeKind::Group,
            as_change: format!("{verb} the group {name}"),
            item: format!("group {name}"),
            first: if gone { yes.clone() } else { no.clone() },
            second: if gone { no } else { yes },
        }
    };
    let gone = moved(first, second).into_iter().map(|group| one(group, true));
    gone.chain(moved(second, first).into_iter().map(|group| one(group, false))).collect()
}

fn schemes(first: &HostProfile, second: &HostProfile) -> Option<Difference> {
    let whole =
        |profile: &HostProfile| profile.completeness == Completeness::Complete && !profile.signature_schemes.is_empty();
    // Another kind of key signs with other schemes: then the certificate is the difference.
    let key = |profile: &HostProfile| profile.certificate.as_ref().map(|c| c.key_algorithm.clone());
    if !whole(first) || !whole(second) || key(first) != key(second) {
        return None;
    }
    let only = |a: &HostProfile, b: &HostProfile| -> Vec<String> {
        let schemes = a.signature_schemes.iter().filter(|scheme| !b.signature_schemes.contains(scheme));
        schemes.map(|scheme| scheme_name(*scheme)).collect()
    };
    let (gone, come) = (only(first, second), only(second, first));
    if gone.is_empty() && come.is_empty() {
        return None;
    }
    let told =
        |verb: &str, names: &[String]| (!names.is_empty()).then(|| format!("{verb} {}", list(names, MOST_NAMES)));
    let alone = |names: &[String]| {
        if names.is_empty() {
            "nothing the other lacks".to_owned()
        } else {
            format!("also {}", list(names, MOST_NAMES))
        }
    };
    Some(Difference {
        what: ChangeKind::Signature,
        item: "signature schemes".to_owned(),
        first: alone(&gone),
        second: alone(&come),
        as_change: told("stopped signing with", &gone)
            .into_iter()
            .chain(told("began to sign with", &come))
            .collect::<Vec<_>>()
            .join(", "),
    })
}

fn negotiation(asked: Option<Protocols>, a: &NegotiationAnswer, b: &NegotiationAnswer) -> Option<Difference> {
    // What a host says in flags, and silence, is not its choice.
    let (was, is) = (choice(a)?, choice(b)?);
    if was == is {
        return None;
    }
    let item = match asked {
        Some(protocols) => format!("a request for {protocols}"),
        None => "a request without negotiation".to_owned(),
    };
    Some(Difference {
        what: ChangeKind::Negotiation,
        as_change: format!("answers {item} with {is}; before {was}"),
        item,
        first: was,
        second: is,
    })
}

fn choice(answer: &NegotiationAnswer) -> Option<String> {
    Some(match answer {
        NegotiationAnswer::Silence => return None,
        NegotiationAnswer::Closed(kind) => format!("a close ({})", kind.name().to_uppercase()),
        NegotiationAnswer::Answered(answer) => match answer {
            Answer::Selected { protocol, .. } => protocol.to_string(),
            Answer::Plain => "plain RDP security".to_owned(),
            Answer::Failure(code) => format!("failure {code}"),
            Answer::Ultimatum(_) => "a clear disconnect".to_owned(),
            Answer::Refused(_) => "an X.224 refusal".to_owned(),
            Answer::NotRdp(_) => "bytes that are no RDP".to_owned(),
        },
    })
}
