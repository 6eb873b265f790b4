//! A fault of our own reading is no reason to cut a connection, nor to leave it without a record.

use crate::record::SessionIdentity;
use parser::Timestamp;
use parser::diagnosis::{Cause, Confidence, Missing, Side, Verdict};
use parser::session::{GiveUp, Limits, Session, Timeline};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Tells the tracker something. Should it panic, that is a fault of ours and no reason to cut the connection: it stops
/// reading, and the bytes go on. (Costs nothing while nothing panics.)
pub(super) fn contained(
    identity: &SessionIdentity,
    session: &mut Session,
    at: Timestamp,
    something: impl FnOnce(&mut Session),
) {
    if catch_unwind(AssertUnwindSafe(|| something(session))).is_ok() {
        return;
    }
    // Giving up lets go of the state that may be half changed, and may itself stumble over it.
    let given_up = catch_unwind(AssertUnwindSafe(|| session.give_up(GiveUp::Malformed, at))).is_ok();
    if !given_up {
        *session = Session::new(identity.accepted, Limits::default());
        session.give_up(GiveUp::Malformed, at);
    }
    tracing::error!(session = %identity.id, "the tracker failed: this session is relayed unparsed; please report this");
}

/// The verdict of `rules` on a session. Should they panic, the session still has its one record, and that says whose fault
/// the missing verdict is.
pub(super) fn judged(
    identity: &SessionIdentity,
    timeline: &Timeline,
    rules: impl FnOnce(&Timeline) -> Verdict,
) -> Verdict {
    catch_unwind(AssertUnwindSafe(|| rules(timeline))).unwrap_or_else(|_| {
        tracing::error!(session = %identity.id, "the diagnosis failed: this session has no verdict; please report this");
        Verdict {
            cause: Cause::UnknownClose,
            side: Side::Proxy,
            phase: timeline.phase(),
            confidence: Confidence::Possible,
            evidence: vec!["The diagnosis itself failed, which is a fault of this proxy; the bytes were relayed.".to_owned()],
            alternatives: Vec::new(),
            remedy: vec!["Report this session's id and the version of rdpscope to its maintainers.".to_owned()],
            missing: Missing::default(),
            smallest_change: Vec::new(),
            end: None,
            message: "No verdict: the diagnosis itself failed, a fault of this proxy".to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::witness::tests::identity;
    use super::*;
    use parser::diagnosis::diagnose;

    #[test]
    fn a_diagnosis_that_panics_is_told_as_our_fault() {
        let (identity, timeline) = (identity(), Timeline::default());
        let verdict = judged(&identity, &timeline, |_| panic!("a fault in the rules"));
        assert_eq!((verdict.cause, verdict.side), (Cause::UnknownClose, Side::Proxy));
        assert_eq!(judged(&identity, &timeline, diagnose), diagnose(&timeline));
    }
}
