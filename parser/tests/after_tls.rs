//! Sessions as sizes, directions and order: the phase after every record, and the facts at the end.

mod support;

use parser::Timestamp;
use parser::session::{Peer, Phase, Session};
use support::scripts::{self, Script};
use support::{Settled, fresh, opening, play};

fn run(script: &Script, settled: Settled) -> Session {
    let mut session = fresh();
    let mut clock = 0;
    play(&mut session, &mut clock, &opening(script.selected, settled));
    assert!(session.timeline().tls.established.is_some(), "{} {settled:?}", script.name);
    for (at, step) in script.steps.iter().enumerate() {
        let Some(bytes) = step.bytes(settled) else { continue };
        clock += 1_000_000;
        session.data(step.from, &bytes, Timestamp(clock));
        let place = format!("{}, record {at} ({:?} {:?}), {settled:?}", script.name, step.from, step.content);
        assert_eq!(session.phase(), step.phase, "{place}");
    }
    session
}

fn every_script(settled: &[Settled], blocks: bool) {
    let scripts = scripts::all();
    assert!(scripts.len() >= 20);
    for script in scripts.iter().filter(|script| !(blocks && script.exact)) {
        for settled in settled {
            let timeline = run(script, *settled).finish();
            let known = scripts::known(&timeline.progress);
            assert_eq!(known, script.facts, "{} {settled:?}", script.name);
        }
    }
}

#[test]
fn phases_and_facts_follow_from_exact_sizes() {
    every_script(&Settled::EXACT, false);
}

#[test]
fn phases_and_facts_follow_from_sizes_rounded_to_blocks() {
    every_script(&Settled::BLOCKS, true);
}

fn script(name: &str) -> Script {
    scripts::all().into_iter().find(|script| script.name == name).expect("a script of that name")
}

#[test]
fn credssp_records_are_counted_without_tickets_and_without_mcs() {
    let timeline = run(&script("shadow-nla"), Settled::TLS13).finish();
    let progress = timeline.progress;
    assert_eq!((progress.credssp_records.client, progress.credssp_records.host), (3, 2));
    assert_eq!((progress.credssp_last.client, progress.credssp_last.host), (Some(110), Some(95)));
    let refused = run(&script("mstsc-ntlm-refused"), Settled::GCM).finish().progress;
    assert_eq!((refused.credssp_records.client, refused.credssp_records.host), (2, 2));
    assert_eq!(refused.credssp_last.host, Some(15));
}

#[test]
fn times_are_those_of_the_records_that_showed_it() {
    let timeline = run(&script("xrdp-tls"), Settled::GCM).finish();
    let progress = timeline.progress;
    assert!(progress.connect_initial < progress.connect_response);
    assert!(progress.connect_response < progress.attach_user);
    assert!(progress.attach_user < progress.client_info);
    assert!(progress.licensing < progress.licensed && progress.licensed < progress.demand_active);
    assert!(progress.confirm_active < progress.active);
    for phase in [Phase::X224, Phase::TlsHello, Phase::TlsFinish, Phase::Mcs, Phase::ClientInfo, Phase::Licensing] {
        assert!(timeline.phases.entered(phase).is_some(), "{phase}");
    }
    assert_eq!(timeline.phases.entered(Phase::Active), progress.active);
}

#[test]
fn an_alert_after_the_handshake_is_noted_and_is_no_answer() {
    for settled in Settled::EXACT.iter().chain(&Settled::BLOCKS) {
        let timeline = run(&script("shadow-nla-refused"), *settled).finish();
        assert!(timeline.tls.encrypted_alert.host.is_some() && timeline.tls.encrypted_alert.client.is_none());
        assert!(timeline.alerts.is_empty());
        let last = timeline.tail.host.shapes().last().map(|shape| shape.length);
        assert_eq!(last, Some(settled.seal(2)), "{settled:?}");
    }
}

#[test]
fn a_byte_ahead_of_every_message_changes_nothing() {
    // TLS 1.0 against chosen plaintext: one byte, or an empty record, goes ahead of every message.
    for (ahead, rest) in [(1u16, 1u16), (0, 0)] {
        for settled in [Settled::CBC10, Settled::CBC10_ETM, Settled::TRIPLE_DES] {
            for name in ["xrdp-tls", "windows7-nla", "rdesktop-tls"] {
                let script = script(name);
                let mut session = fresh();
                let mut clock = 0;
                play(&mut session, &mut clock, &opening(script.selected, settled));
                for step in &script.steps {
                    let support::scripts::Content::Message(size) = step.content else { continue };
                    for part in [ahead, size - rest] {
                        clock += 1;
                        let bytes = support::sealed(support::CONTENT_DATA, settled.seal(part));
                        session.data(step.from, &bytes, Timestamp(clock));
                    }
                    assert_eq!(session.phase(), step.phase, "{name} {settled:?} {step:?}");
                }
                assert_eq!(scripts::known(&session.finish().progress), script.facts, "{name} {settled:?}");
            }
        }
    }
}

#[test]
fn the_tail_keeps_the_last_four_records_of_each_direction() {
    let timeline = run(&script("mstsc-kerberos"), Settled::GCM).finish();
    let lengths = |peer: Peer| timeline.tail[peer].shapes().iter().map(|shape| shape.length).collect::<Vec<_>>();
    assert_eq!(lengths(Peer::Host), [64, 64, 64, 33]);
    assert_eq!(lengths(Peer::Client), [60, 64, 64, 64]);
    assert!(timeline.tail.host.known && timeline.tail.client.known);
}
