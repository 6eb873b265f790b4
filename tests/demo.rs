//! `rdpscope demo --once` judges every case as it should, with a real terminal nowhere in sight.

use std::process::{Command, Stdio};

#[test]
fn the_tour_ends_with_every_verdict_as_expected() {
    let output = Command::new(env!("CARGO_BIN_EXE_rdpscope"))
        .args(["demo", "--once"])
        .stdin(Stdio::null())
        .output()
        .expect("the demo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("verdicts are as expected"), "{text}");
    assert!(!text.contains('\u{1b}'), "colours in a pipe");
    assert!(text.contains("because") && text.contains("to do"), "a report explains");
}
