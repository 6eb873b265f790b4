//! Which endings may have been a prompt, and what is said when they were.

use super::Member;
use crate::Timestamp;
use crate::diagnosis::{Cause, Confidence, Side, Verdict};
use crate::session::Phase;

/// The client left where clients show prompts, and nobody refused anything.
///
/// Rules list the prompt among the rivals exactly where it explains what was seen. A certificate that the client refused
/// is the other case: its user may accept it, and the client comes back.
pub(super) fn may_be_prompt(verdict: &Verdict) -> bool {
    let refused_certificate = matches!(
        verdict.cause,
        Cause::CertExpired
            | Cause::CertNotYetValid
            | Cause::CertUntrustedCa
            | Cause::CertNameMismatch
            | Cause::CertWeak
            | Cause::CertWrongEku
            | Cause::CertChangedMidSession
    );
    refused_certificate || verdict.alternatives.contains(&Cause::ClientPromptProbe)
}

/// The verdict on a connection whose client came back and got further. Proven, when both name the same user and the
/// second passed the place where prompts are shown; without a name, another user of the same address may have come.
pub(super) fn as_prompt(before: &Verdict, successor: &Member, ended: Timestamp, same_user: bool) -> Verdict {
    let proven = same_user && successor.phase >= Phase::Mcs;
    // Behind Client Info no client shows a prompt; there a connection broker sends it on.
    let what = if before.phase >= Phase::ClientInfo { "was sent on" } else { "left at a prompt" };
    let pause = successor.opened.since(ended);
    let mut evidence = before.evidence.clone();
    evidence.push(format!(
        "The same client connected again {:.1} s later (session {}) and got to phase {}; this one had ended in {}.",
        pause.as_secs_f64(),
        uuid(successor.session),
        successor.phase,
        before.phase
    ));
    Verdict {
        cause: Cause::ClientPromptProbe,
        side: Side::Client,
        phase: before.phase,
        confidence: if proven { Confidence::Proven } else { Confidence::Likely },
        evidence,
        alternatives: Vec::new(),
        remedy: Vec::new(),
        missing: before.missing.clone(),
        smallest_change: Vec::new(),
        end: None,
        message: format!("Client {what} in phase {} and came back: not a failure", before.phase),
    }
}

/// The id as events write it.
pub(super) fn uuid(id: u128) -> String {
    let hex = format!("{id:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
