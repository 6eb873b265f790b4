//! Peers that answer, or ask, as no RDP peer does: whose doing it is must be right, and what is said of them true.

mod support;

use parser::diagnosis::{Cause, Side};
use support::field::Story;
use support::told::told;
use support::{SSL, Settled, opening};

#[test]
fn a_host_that_drops_a_new_connection_is_no_prompt() {
    for settled in [Settled::GCM, Settled::TLS13] {
        let up = || Story::new().all(opening(SSL, settled));
        let prompted = |story: &Story| {
            let verdict = told("host leaves after TLS", story, &[]);
            assert_eq!((verdict.cause, verdict.side), (Cause::ClosedAfterTlsUnknown, Side::Host), "{verdict:#?}");
            verdict.alternatives.contains(&Cause::ClientPromptProbe)
        };
        // Its client comes back and gets in; that makes no prompt of what the host broke off.
        assert!(!prompted(&up().host_rst()) && !prompted(&up().wait(1).host_fin()));
        assert!(prompted(&up().wait(60).host_fin()));
    }
}
