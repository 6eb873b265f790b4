//! Before the ServerHello: would this host have taken this client's hello?

use super::super::finding::Finding;
use super::super::words::{bytes, version_name};
use super::{Probed, words};
use crate::diagnosis::{Cause, Confidence, Side, Verdict};
use crate::profile::{Ability, LadderChange, Meeting, Mismatch, Offer, Reaction, meet, smallest_changes};
use crate::session::{ClientHelloFacts, Peer};
use crate::wire::{AlertDescription, TlsVersion};

/// What the probe refutes when the host takes this hello, or one like it.
const REFUTED: &[Cause] = &[
    Cause::TlsNoCommonVersion,
    Cause::TlsNoCommonCipher,
    Cause::TlsNoCommonGroupOrSigalg,
    Cause::TlsCertKeyTypeMismatch,
    Cause::CertPrivateKeyUnusable,
];

pub(super) fn second_look(probed: &Probed<'_>, first: &Verdict) -> Option<Finding> {
    probed.reactions().next()?;
    if !probed.reactions().any(Reaction::accepted) {
        return nothing_accepted(probed, first);
    }
    // It closed before a hello could matter; that it takes one says nothing of why.
    if first.cause == Cause::HostClosedAfterCc {
        return None;
    }
    let hello = probed.case.hello()?;
    if is_silence(first.cause) {
        return unanswered(probed, first, hello);
    }
    if probed.replayed().is_some_and(Reaction::accepted) {
        let how = "The host takes this very hello when it is sent again: client and host have all they need in common.";
        return Some(refuted(probed, first, how.to_owned()));
    }
    let (offer, host) = (Offer::from(hello), Ability::of(probed.profile)?);
    match (meet(&offer, &host), probed.replayed()) {
        (Err(mismatch), _) => {
            // What a hello offers only by form is no lack of the host.
            let named = Offer::named(hello);
            let mismatch = meet(&named, &host).err().unwrap_or(mismatch);
            Some(mismatched(probed, mismatch, &named, &host, probed.most()))
        }
        (Ok(meeting), replayed) => Some(met_on_paper(probed, first, hello, meeting, &host, replayed)),
    }
}

/// The host took no hello of any kind.
fn nothing_accepted(probed: &Probed<'_>, first: &Verdict) -> Option<Finding> {
    let all = |is: fn(&Reaction) -> bool| probed.reactions().all(is);
    let count = probed.reactions().count();
    if all(|reaction| matches!(reaction, Reaction::Silence)) {
        let finding = Finding::likely(Cause::TlsHandshakeTimeout)
            .side(Side::Host)
            .because("No hello of the probe was answered either, small or large.")
            .message("Host answers no ClientHello: not this client's, and none of a probe");
        return is_silence(first.cause).then_some(finding);
    }
    if all(|reaction| matches!(reaction, Reaction::NotTls | Reaction::Silence)) {
        return None;
    }
    // It minds the name that it is asked for, and neither the offer nor its own key.
    if probed.reactions().any(|reaction| *reaction == Reaction::Alert(AlertDescription::UNRECOGNIZED_NAME)) {
        return None;
    }
    // A front that only answers the negotiation closes on every hello too, and without a word.
    let said = |reaction: &Reaction| matches!(reaction, Reaction::ClearDisconnect | Reaction::Alert(_));
    if first.cause == Cause::HostClosedAfterCc && !probed.reactions().any(said) {
        return None;
    }
    let clear = probed.reactions().any(|reaction| matches!(reaction, Reaction::ClearDisconnect));
    let reset = probed.case.by_reset();
    // Alert 40 is also what a host says whose certificate fits none of the suites that it is set to.
    let misfit = probed.reactions().any(|reaction| *reaction == Reaction::Alert(AlertDescription::HANDSHAKE_FAILURE));
    let likely = count > 1 && !misfit;
    let finding = Finding::new(Cause::CertPrivateKeyUnusable, if likely { Confidence::Likely } else { Confidence::Possible })
        .side(Side::Host)
        .because(format!("The host refused every one of {count} different hellos: it is not this client's offer."))
        // The probe has asked with all that any build speaks.
        .rivals_if(
            !matches!(first.cause, Cause::TlsServerRefusedHelloSilently | Cause::BridgeNeedsLegacyBuild),
            &[first.cause],
        )
        .rivals_if(misfit, &[Cause::TlsCertKeyTypeMismatch])
        .rivals_if(clear, &[Cause::TlsNoCommonCipher])
        .rivals_if(reset, &[Cause::RstByMiddlebox])
        .rivals_if(probed.case.alert_from(Peer::Host).is_some(), &[Cause::TlsInspectionMiddlebox])
        .message("Host takes no ClientHello of any client: its private key or certificate is unusable, or TLS cannot start there");
    Some(finding)
}

/// Nobody answered this hello; the host answers others.
fn unanswered(probed: &Probed<'_>, first: &Verdict, hello: &ClientHelloFacts) -> Option<Finding> {
    if let Some(finding) = lost_by_size(probed, hello) {
        return Some(finding);
    }
    match probed.replayed() {
        Some(replayed) if replayed.accepted() => Some(
            Finding::possible(Cause::TlsHandshakeTimeout)
                .because("The host answers this very hello when it is sent again: it, or the way to it, was stalled for a time.")
                .rivals(&[Cause::MtuBlackhole])
                .message(format!("{}; the same hello was answered later", first.message)),
        ),
        Some(Reaction::Silence) => match without_13(probed) {
            Some(finding) => Some(finding),
            None => Some(
                Finding::likely(Cause::TlsHandshakeTimeout)
                    .because("The host answers other hellos, but not this one.")
                    .rivals(&[Cause::MtuBlackhole, Cause::LargeClienthelloLost])
                    .message(format!("{}, nor when it was sent again", first.message)),
            ),
        },
        _ => None,
    }
}

/// Small hellos are answered, large ones vanish, and this one was large.
fn lost_by_size(probed: &Probed<'_>, hello: &ClientHelloFacts) -> Option<Finding> {
    let length = u16::try_from(hello.length).unwrap_or(u16::MAX);
    // A replay that was made smaller also lost extensions: it points to the size, and does not prove it.
    let replays = probed.profile.ladder.iter().filter_map(|step| match step.change {
        LadderChange::Size(size) => Some((size, &step.reaction, false)),
        LadderChange::AsSent => Some((length, &step.reaction, false)),
        _ => None,
    });
    let asked = probed.profile.hello_sizes.iter().map(|(size, reaction)| (*size, reaction, true));
    let sizes: Vec<(u16, &Reaction, bool)> = asked.chain(replays).collect();
    let accepted = sizes.iter().filter(|(_, reaction, _)| reaction.accepted());
    let (passing, _, passed) = accepted.max_by_key(|(size, ..)| *size)?;
    let gone = |reaction: &Reaction| matches!(reaction, Reaction::Silence | Reaction::Closed(_));
    let vanished = sizes.iter().filter(|(size, reaction, _)| size > passing && gone(reaction));
    let (lost, reaction, asked) = vanished.min_by_key(|(size, _, asked)| (*size, !asked))?;
    if length <= *passing {
        return None;
    }
    // Between the two sizes the experiment does not reach; a reset may be anybody's.
    let sure = *passed && *asked && length >= *lost && matches!(reaction, Reaction::Silence);
    let confidence = if sure { probed.most() } else { Confidence::Likely };
    Some(
        Finding::new(Cause::LargeClienthelloLost, confidence)
            .side(Side::Network)
            .because(format!(
                "A hello of {} is answered; one of {}: {}.",
                bytes((*passing).into()),
                bytes((*lost).into()),
                words::reaction(reaction)
            ))
            .because(format!("This client's hello has {}.", bytes(hello.length.into())))
            .rivals(&[Cause::MtuBlackhole])
            .message(format!(
                "ClientHello of {} got lost on the way to the host: hellos up to {} arrive",
                bytes(hello.length.into()),
                bytes((*passing).into())
            )),
    )
}

/// The same hello passes once TLS 1.3 is left out, and no alert says why.
fn without_13(probed: &Probed<'_>) -> Option<Finding> {
    let wordless = matches!(probed.replayed()?, Reaction::Silence | Reaction::Closed(_) | Reaction::ClearDisconnect);
    if !wordless || !accepted(probed, &LadderChange::Without13) {
        return None;
    }
    Some(
        Finding::likely(Cause::Tls13MiddleboxIntolerance)
            .side(Side::Network)
            .because("The same hello is taken once it does not offer TLS 1.3, and dropped without a word when it does.")
            .rivals(&[Cause::TlsServerRefusedHelloSilently])
            .first_do(r"If the host is Windows before Server 2022 (or before Windows 11), TLS 1.3 may have been half enabled on it: remove `HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.3\Server` and reboot.")
            .message("ClientHello is dropped because it offers TLS 1.3: by a device on the way, or by a host with TLS 1.3 half enabled"),
    )
}

/// Nothing in common: the proof.
fn mismatched(probed: &Probed<'_>, mismatch: Mismatch, offer: &Offer, host: &Ability, most: Confidence) -> Finding {
    let asked = probed.profile.versions.iter();
    let whole = asked.filter(|v| offer.versions.contains(&v.version) && v.accepted()).all(|v| v.complete);
    let groups = mismatch != Mismatch::Group
        || offer
            .groups
            .iter()
            .flatten()
            .all(|group| probed.profile.refused_groups.contains(group) || host.groups.is_some());
    let confidence = if whole && groups { most } else { most.min(Confidence::Likely) };
    let sentence = mismatch.sentence(offer, host, words::MOST_NAMES);
    let short = mismatch.sentence(offer, host, 1);
    let line = match mismatch {
        Mismatch::Version => "Client and host share no TLS version",
        Mismatch::Suite => "Client and host share no cipher suite",
        Mismatch::KeyType => "The host's certificate has a kind of key that nothing in the client's offer can use",
        Mismatch::Group => "Client and host share no group (curve)",
        Mismatch::SignatureScheme => "Client and host share no signature algorithm",
    };
    Finding::new(mismatch.into(), confidence)
        .side(Side::Both)
        .because(sentence)
        .missing(mismatch.missing(offer, host))
        .smallest_change(smallest_changes(offer, host).iter().map(|change| change.text(host)).collect())
        .message(format!("{line}. {}", short.trim_end_matches('.')))
}

/// By what both have they meet; yet it failed, and perhaps failed again.
fn met_on_paper(
    probed: &Probed<'_>,
    first: &Verdict,
    hello: &ClientHelloFacts,
    meeting: Meeting,
    host: &Ability,
    replayed: Option<&Reaction>,
) -> Finding {
    // A host that insists on the newest version it shares may find nothing in it.
    let offer = Offer::named(hello);
    let newest: Vec<TlsVersion> =
        offer.versions.iter().copied().filter(|v| host.accepts(*v)).max().into_iter().collect();
    let insisting = Offer { versions: newest.clone(), ..offer.clone() };
    if let (Err(mismatch), [version]) = (meet(&insisting, host), newest.as_slice()) {
        // The experiment bears the model out: this one widening is enough.
        let enough = match mismatch {
            Mismatch::Suite => accepted(probed, &LadderChange::AllSuites),
            Mismatch::Group => accepted(probed, &LadderChange::AllGroups),
            Mismatch::SignatureScheme => accepted(probed, &LadderChange::AllSignatureSchemes),
            Mismatch::Version | Mismatch::KeyType => false,
        };
        let most = if enough && replayed.is_some() { probed.most() } else { Confidence::Likely };
        return mismatched(probed, mismatch, &insisting, host, most).because(format!(
            "An older version would do, but the host insists on {}, the newest that both have.",
            version_name(*version)
        ));
    }
    if replayed.is_some() {
        if let Some(finding) = lost_by_size(probed, hello).or_else(|| without_13(probed)) {
            return finding;
        }
        if let Some(finding) = by_step(probed, &offer, host) {
            return finding;
        }
        return not_this_one(probed, first);
    }
    let how = format!(
        "They have {} with {} in common: a mismatch of version, suite, group, signature or key is refuted.",
        version_name(meeting.version),
        words::suite_name(meeting.suite)
    );
    refuted(probed, first, how)
}

/// The one change that makes the host take the hello.
fn by_step(probed: &Probed<'_>, offer: &Offer, host: &Ability) -> Option<Finding> {
    let older =
        probed.profile.ladder.iter().any(|s| matches!(s.change, LadderChange::Versions(_)) && s.reaction.accepted());
    if older {
        return Some(
            Finding::likely(Cause::TlsNoCommonVersion)
                .side(Side::Both)
                .because("The host takes the client's hello once it offers all versions; with the client's own versions it does not.")
                .missing(Mismatch::Version.missing(offer, host))
                .message("Host does not take the client's TLS versions: the same hello with all of them is accepted"),
        );
    }
    let (step, cause, what) = [
        (LadderChange::AllSuites, Cause::TlsNoCommonCipher, Mismatch::Suite),
        (LadderChange::AllGroups, Cause::TlsNoCommonGroupOrSigalg, Mismatch::Group),
        (LadderChange::AllSignatureSchemes, Cause::TlsNoCommonGroupOrSigalg, Mismatch::SignatureScheme),
    ]
    .into_iter()
    .find(|(step, ..)| accepted(probed, step))?;
    let name = match step {
        LadderChange::AllSuites => "suites",
        LadderChange::AllGroups => "groups",
        _ => "signature schemes",
    };
    Some(
        Finding::likely(cause)
            .side(Side::Both)
            .because(format!(
                "The host takes the client's hello once it offers all {name}; with the client's own {name} it does not."
            ))
            .missing(what.missing(offer, host))
            .message(format!("Host does not take the client's {name}: the same hello with all of them is accepted")),
    )
}

/// Refused again when it was sent again, accepted in no variation, while the host takes others.
fn not_this_one(probed: &Probed<'_>, first: &Verdict) -> Finding {
    let cause = if REFUTED.contains(&first.cause) { Cause::TlsServerRefusedHelloSilently } else { first.cause };
    let cause = match (cause, probed.case.alert_from(Peer::Host)) {
        (Cause::TlsServerRefusedHelloSilently, Some(alert)) if alert.description.0 != 0 => Cause::TlsAlertOther,
        (cause, _) => cause,
    };
    let former: Vec<Cause> =
        first.alternatives.iter().copied().filter(|c| *c != Cause::CertPrivateKeyUnusable).collect();
    Finding::possible(cause)
        .side(Side::Host)
        .because(
            "The host refuses this hello again and again, takes others, and by what both have it should take this one.",
        )
        .rivals(&[Cause::TlsInspectionMiddlebox])
        .rivals(&former)
        .message(format!("{}; it takes other hellos, and refuses this one each time", first.message))
}

/// No mismatch and no dead key: what is left.
fn refuted(probed: &Probed<'_>, first: &Verdict, how: String) -> Finding {
    let case = probed.case;
    let finding = match case.alert_from(Peer::Host) {
        Some(alert) if alert.description.0 == 80 => {
            Finding::possible(Cause::TlsAlertInternalError).rivals(&[Cause::TlsInspectionMiddlebox])
        }
        Some(alert) if alert.description.0 != 0 => {
            Finding::possible(Cause::TlsAlertOther).rivals(&[Cause::TlsInspectionMiddlebox, Cause::UnknownClose])
        }
        _ if case.by_reset() => {
            Finding::possible(Cause::RstByMiddlebox).rivals(&[Cause::TlsServerRefusedHelloSilently])
        }
        _ => Finding::possible(Cause::TlsServerRefusedHelloSilently).rivals(&[Cause::UnknownClose]),
    };
    let left: Vec<Cause> = first.alternatives.iter().copied().filter(|cause| !REFUTED.contains(cause)).collect();
    finding
        .rivals(&left)
        .because(how)
        .first_do("Probe the host several times: behind one address there may be several hosts with different settings, or one that was restarting.")
        .message(format!("{}; a mismatch is refuted, the probe shows that the two fit", first.message))
}

fn accepted(probed: &Probed<'_>, change: &LadderChange) -> bool {
    probed.profile.ladder.iter().any(|step| step.change == *change && step.reaction.accepted())
}

fn is_silence(cause: Cause) -> bool {
    matches!(cause, Cause::TlsHandshakeTimeout | Cause::LargeClienthelloLost | Cause::MtuBlackhole)
}
