//! A host that shows one certificate on a client's first connection and another one on the next.
//!
//! A client that has asked its user about the first certificate refuses the second: members of a farm without a shared
//! certificate, or TLS inspection on one of two paths.

use super::{Marks, Member, revise};
use crate::diagnosis::{Cause, Confidence, Verdict};

/// The verdict on a connection whose client left where certificates are looked at, as on the connection before, which had
/// been given another certificate.
///
/// Only possible: its user may have said no twice.
pub(super) fn changed(verdict: &Verdict, marks: Marks, before: &Member) -> Option<Verdict> {
    let left_too = before.ended.as_ref().is_some_and(|ended| ended.revisable.is_some());
    let differs = before.marks.certificate? != marks.certificate?;
    if !differs || !left_too || !revise::may_be_prompt(verdict) {
        return None;
    }
    let mut evidence = verdict.evidence.clone();
    evidence.push(format!(
        "The connection before (session {}) was given another certificate, and the client left there as well.",
        revise::uuid(before.session)
    ));
    let mut alternatives = vec![verdict.cause];
    alternatives.extend(verdict.alternatives.iter().copied().filter(|rival| *rival != Cause::CertChangedMidSession));
    let known = Cause::CertChangedMidSession.entry();
    Some(Verdict {
        cause: Cause::CertChangedMidSession,
        side: known.side,
        confidence: Confidence::Possible,
        evidence,
        alternatives,
        remedy: known.remedy.iter().map(|item| (*item).to_owned()).collect(),
        message: "Client left at a certificate that differs from the one of its connection before".to_owned(),
        ..verdict.clone()
    })
}
