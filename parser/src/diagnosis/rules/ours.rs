//! What this proxy did itself, other than its time-outs, which say something about a peer.

use super::super::{Cause, Side};
use super::case::Case;
use super::finding::Finding;
use crate::session::{Phase, ProxyAct};

/// A limit, a drain, a header or a target that is not allowed.
pub(super) fn refused_or_stopped(case: &Case<'_>) -> Option<Finding> {
    let finding = match case.our_act()? {
        ProxyAct::TimedOut(_) => return None,
        ProxyAct::LimitRefused => Finding::proven(Cause::ProxyLimit)
            .in_phase(Phase::Accept)
            .because("This proxy refused the connection at a limit of its own.")
            .message("This proxy refused the connection: a limit of its own was reached"),
        ProxyAct::Shutdown => Finding::proven(Cause::ProxyShutdown)
            .because("This proxy ended the session when its drain time was over.")
            .because(case.volume())
            .message(format!("This proxy was stopped and ended the session in phase {}", case.phase())),
        ProxyAct::ProxyHeaderUntrusted => Finding::proven(Cause::ProxyHeaderUntrusted)
            .in_phase(Phase::Accept)
            .because("A valid PROXY header from a trusted address was required and did not come.")
            .message("This proxy closed the connection: its PROXY header is missing, malformed or not trusted"),
        ProxyAct::TargetNotAllowed => Finding::proven(Cause::TargetNotAllowed)
            .in_phase(Phase::Resolve)
            .because_some(case.host_address().map(|to| format!("The connection was meant for {to}.")))
            .message("This proxy closed the connection: its destination is not in allow_targets"),
    };
    Some(finding.side(Side::Proxy))
}
