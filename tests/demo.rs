//! `rdpscope demo --once` judges every case as it should, with a real terminal nowhere in sight.

use std::io::{BufRead, BufReader};
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
    the_report_of_the_readme_is_one_of(&text);
}

#[test]
fn a_reader_that_leaves_ends_the_tour_without_a_word() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_rdpscope"))
        .args(["demo", "--once"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the demo runs");
    let mut line = String::new();
    BufReader::new(demo.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let output = demo.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("Broken pipe"), "{}\n{said}", output.status);
}

/// What README.md shows is what is printed; ports, ids and times differ from run to run.
fn the_report_of_the_readme_is_one_of(printed: &str) {
    let readme = include_str!("../README.md");
    let shown = readme.split("```").nth(1).expect("a report near the top");
    let first = shown.split_whitespace().next().expect("a cause");
    let report = printed
        .split("\n\n")
        .find(|case| case.lines().nth(1).is_some_and(|line| line.trim_start().starts_with(first)))
        .expect("the case of that report");
    let report = report.split_once('\n').expect("a report below the heading").1;
    let (shown, report) = (words(shown), words(report));
    assert_eq!(shown, report, "README.md shows a report that is not printed any more");
}

/// The words of a report, without what is different in each run: numbers, and which of two sides closed first after an
/// alert that ends both.
fn words(report: &str) -> Vec<&str> {
    let differs = |word: &str| {
        word.starts_with("127.0.0.1:")
            || word.matches('-').count() == 4
            || word.parse::<f64>().is_ok()
            || ["µs", "ms", "s"].contains(&word)
    };
    let lines = report.lines().filter(|line| !line.trim_start().starts_with("First close:"));
    let words = lines.flat_map(str::split_whitespace);
    words.filter(|word| !differs(word.trim_matches([',', '.', '(', ')']))).collect()
}
