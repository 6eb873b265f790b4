//! Which endings may have been a prompt, and what is said when they were.

use super::{Marks, Member};
use crate::Timestamp;
use crate::diagnosis::{Cause, Confidence, Side, Verdict};
use crate::session::Phase;
use core::time::Duration;

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

/// A broker sends a client on at once; who comes later may be anybody.
const SENT_ON: Duration = Duration::from_secs(3);

/// The verdict on a connection after which one like it got further. Never proven: a name and a hello are no identity, and
/// behind one address many users have the same of both. Likely, where both are the same; else the former cause may stand.
pub(super) fn as_prompt(before: &Verdict, marks: Marks, successor: &Member, ended: Timestamp) -> Verdict {
    let pause = successor.opened.since(ended);
    // Behind Client Info no client shows a prompt; there a connection broker sends it on.
    let sent_on = before.phase >= Phase::ClientInfo;
    let named = marks.same_user(successor.marks);
    let program = marks.same_program(successor.marks);
    let told_to = sent_on && marks.name_given_up(successor.marks) && pause <= SENT_ON;
    let likely = program && (named || told_to);
    let like = match (named, program) {
        (true, true) => "with the same name and the same TLS offer",
        (true, false) => "with the same name",
        (false, _) => "with the same TLS offer",
    };
    let mut evidence = before.evidence.clone();
    evidence.push(format!(
        "A connection from the same address, {like}, was opened {:.1} s later (session {}) and got to phase {}; this one had ended in {}.",
        pause.as_secs_f64(),
        uuid(successor.session),
        successor.phase,
        before.phase
    ));
    let phase = before.phase;
    let message = match (likely, sent_on) {
        (true, true) => format!("Client was sent on in phase {phase} and came back: not a failure"),
        (true, false) => format!("Client left at a prompt in phase {phase} and came back: not a failure"),
        (false, true) => {
            format!("Client may have been sent on in phase {phase}: one like it came back and got further")
        }
        (false, false) => {
            format!("Client may have left at a prompt in phase {phase}: one like it came back and got further")
        }
    };
    let rivals = core::iter::once(before.cause).chain(before.alternatives.iter().copied());
    Verdict {
        cause: Cause::ClientPromptProbe,
        side: Side::Client,
        phase,
        confidence: if likely { Confidence::Likely } else { Confidence::Possible },
        evidence,
        alternatives: rivals.filter(|cause| *cause != Cause::ClientPromptProbe).collect(),
        remedy: Vec::new(),
        missing: before.missing.clone(),
        smallest_change: Vec::new(),
        end: None,
        message,
    }
}

/// The id as events write it.
pub(super) fn uuid(id: u128) -> String {
    let hex = format!("{id:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
