//! Sessions as sizes, directions and order, with an end: what each must be called. The sequences are those of real
//! clients and hosts (`testdata/records/sessions.txt`).

mod support;

use parser::Timestamp;
use parser::diagnosis::{Cause, Confidence, End, Verdict, diagnose};
use parser::session::{CloseKind, Closer};
use support::scripts::{self, Script};
use support::{Settled, fresh, opening, play};

const CLIENT_FIN: (Closer, CloseKind) = (Closer::Client, CloseKind::Fin);
const CLIENT_RST: (Closer, CloseKind) = (Closer::Client, CloseKind::Rst);
const HOST_FIN: (Closer, CloseKind) = (Closer::Host, CloseKind::Fin);
const HOST_RST: (Closer, CloseKind) = (Closer::Host, CloseKind::Rst);

fn verdict(script: &Script, settled: Settled, (by, kind): (Closer, CloseKind)) -> Verdict {
    let mut session = fresh();
    let mut clock = 0;
    play(&mut session, &mut clock, &opening(script.selected, settled));
    for step in &script.steps {
        let Some(bytes) = step.bytes(settled) else { continue };
        clock += 1_000_000;
        session.data(step.from, &bytes, Timestamp(clock));
    }
    session.closed(by, kind, Timestamp(clock + 1_000_000));
    diagnose(&session.finish())
}

fn scripts_named(names: &[&str]) -> Vec<Script> {
    let found: Vec<Script> = scripts::all().into_iter().filter(|s| names.contains(&s.name.as_str())).collect();
    assert_eq!(found.len(), names.len(), "{names:?}");
    found
}

fn every_suite(script: &Script) -> impl Iterator<Item = Settled> {
    let blocks = if script.exact { &[][..] } else { &Settled::BLOCKS[..] };
    Settled::EXACT.into_iter().chain(blocks.iter().copied())
}

fn assert_called(names: &[&str], end: (Closer, CloseKind), cause: Cause, most: Confidence) {
    for script in scripts_named(names) {
        for settled in every_suite(&script) {
            let verdict = verdict(&script, settled, end);
            let place = format!("{} {settled:?}: {} {:?}", script.name, verdict.message, verdict.evidence);
            assert_eq!(verdict.cause, cause, "{place}");
            assert!(verdict.confidence <= most, "{place}");
        }
    }
}

/// Scripts that come to the active session.
const HEALTHY: &[&str] = &[
    "xrdp-tls",
    "shadow-nla",
    "mstsc-kerberos",
    "windows7-nla",
    "rdesktop-tls",
    "multitransport-bootstrap",
    "finalization-packed-by-the-host",
    "finalization-packed-by-both",
    "valid-client-and-demand-active-in-one-record",
];

#[test]
fn a_session_that_its_client_ends_is_ok() {
    for end in [CLIENT_FIN, CLIENT_RST] {
        assert_called(HEALTHY, end, Cause::Ok, Confidence::Likely);
    }
}

#[test]
fn mstsc_resets_after_the_hosts_nine_bytes_and_that_is_ok() {
    for settled in Settled::EXACT {
        let verdict = verdict(&scripts_named(&["mstsc-kerberos"])[0], settled, CLIENT_RST);
        assert_eq!((verdict.cause, verdict.end), (Cause::Ok, Some(End::HostEnded)), "{}", verdict.message);
    }
    assert_called(&["mstsc-kerberos"], HOST_FIN, Cause::Ok, Confidence::Likely);
}

#[test]
fn a_session_that_its_host_cuts_is_a_failure() {
    let names = ["finalization-packed-by-the-host", "finalization-packed-by-both", "rdesktop-tls"];
    for end in [HOST_FIN, HOST_RST] {
        assert_called(&names, end, Cause::HostClosedActive, Confidence::Possible);
    }
}

#[test]
fn a_refused_logon_is_told_whoever_closes_first() {
    let names = ["shadow-nla-refused", "mstsc-ntlm-refused", "older-host-refuses-with-an-alert"];
    for end in [CLIENT_RST, HOST_FIN] {
        assert_called(&names, end, Cause::NlaAuthRefused, Confidence::Likely);
    }
    assert_called(&["mstsc-early-result-denied"], HOST_FIN, Cause::EarlyUserAuthDenied, Confidence::Likely);
}

#[test]
fn a_denial_before_activation_is_told_whoever_closes_first() {
    let names = ["denied-after-client-info", "denied-in-mcs", "denied-behind-the-connect-response"];
    for end in [CLIENT_RST, HOST_FIN] {
        assert_called(&names, end, Cause::ServerDenied0x7, Confidence::Likely);
    }
}

#[test]
fn a_cut_opening_is_called_by_the_step_it_reached() {
    assert_called(
        &["cut-before-the-connect-response", "answer-is-an-alert"],
        HOST_FIN,
        Cause::ServerClosedInMcs,
        Confidence::Possible,
    );
    assert_called(&["cut-after-client-info"], HOST_RST, Cause::LicenseFailure, Confidence::Possible);
    assert_called(&["licence-failure"], HOST_FIN, Cause::LicenseFailure, Confidence::Likely);
    let activating = [
        "erect-and-attach-in-one-record-then-no-joins",
        "connect-time-auto-detection",
        "new-licence-without-valid-client",
    ];
    assert_called(&activating, HOST_FIN, Cause::ActivationFailed, Confidence::Possible);
}

#[test]
fn a_client_that_leaves_where_prompts_are_shown_names_the_prompt_as_a_rival() {
    for script in scripts_named(&["client-leaves-after-tls", "windows7-nla-client-leaves-after-acceptance"]) {
        for settled in every_suite(&script) {
            let verdict = verdict(&script, settled, CLIENT_FIN);
            assert!(
                verdict.alternatives.contains(&Cause::ClientPromptProbe),
                "{} {settled:?} {verdict:?}",
                script.name
            );
            assert_eq!(verdict.confidence, Confidence::Possible, "{}", script.name);
        }
    }
}

#[test]
fn no_cut_of_any_session_is_proven_by_sizes() {
    for script in scripts::all() {
        for settled in every_suite(&script) {
            for end in [CLIENT_FIN, CLIENT_RST, HOST_FIN, HOST_RST] {
                for steps in 0..=script.steps.len() {
                    let cut = Script { steps: script.steps[..steps].to_vec(), ..script.clone() };
                    let verdict = verdict(&cut, settled, end);
                    assert!(verdict.confidence < Confidence::Proven, "{} {steps}: {}", script.name, verdict.message);
                    assert!(
                        verdict.cause.entry().phases.contains(&verdict.phase),
                        "{} {steps} {}: {}",
                        script.name,
                        verdict.cause,
                        verdict.phase
                    );
                }
            }
        }
    }
}
