//! Bytes, ends and openings again, each time with the relay forced into one form and with a kernel that makes it hard.

use crate::harness::{ASKED, Bench, noise, within};
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Runs the tests of what passes in processes of their own, whose proxies all have this form.
fn all_is_as_before(form: &str) {
    if std::env::var_os(ASKED).is_some() {
        return;
    }
    for tests in [&["bytes::", "ends::", "differential::", "opening::"][..], &["forms::the_form_asked_for_is_taken"]] {
        let output = Command::new(std::env::current_exe().expect("own path"))
            .args(tests)
            .env(ASKED, form)
            .env("PROPTEST_CASES", "60")
            .output()
            .expect("the tests run");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{form}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(!text.contains("running 0 tests"), "{text}");
    }
}

#[test]
fn copying_alone_changes_nothing() {
    all_is_as_before("copy");
}

#[test]
fn splicing_all_that_may_be_changes_nothing() {
    all_is_as_before("splice");
}

#[test]
fn copying_with_short_reads_and_writes_and_interruptions_changes_nothing() {
    all_is_as_before("copy-hard");
}

#[test]
fn splicing_through_a_tiny_pipe_with_interruptions_changes_nothing() {
    all_is_as_before("splice-hard");
}

/// Pipes that this process has open.
fn pipes() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").expect("proc");
    let targets = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("pipe:")).count()
}

/// Told by the pipes: only `splice` needs any. Alone in its process when a form is asked for.
#[tokio::test]
async fn the_form_asked_for_is_taken() {
    let Ok(asked) = std::env::var(ASKED) else { return };
    let mut bench = Bench::new().await;
    let before = pipes();
    let (mut client, mut host) = bench.session().await;
    // The first bytes are always looked at; they are no RDP, so the rest need not be.
    let words = noise(1, 2 << 20);
    let mut got = vec![0; words.len()];
    let (writing, reading) = (client.write_all(&words), host.read_exact(&mut got));
    let (written, read) = within("the words", async { tokio::join!(writing, reading) }).await;
    written.expect("write");
    read.expect("read");
    assert!(got == words);
    assert_eq!(pipes() > before, asked.starts_with("splice"), "{asked}");
    drop((client, host));
    assert_eq!(bench.record().await.timeline.traffic.client.bytes, words.len() as u64);
}
