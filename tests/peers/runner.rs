//! Runs cases a few at a time, keeps a panic in its case, prints each result as it comes and a table at the end.

use crate::lab::{Exit, Lab};
use crate::proxy::text;
use anyhow::{Error, Result, anyhow};
use serde_json::Value;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// One scenario.
pub(crate) struct Case {
    pub(crate) name: String,
    run: Run,
}

/// What a case does: gets the lab, and whether only the direct half is wanted.
type Run = Box<dyn Fn(&Arc<Lab>, bool) -> Result<Outcome> + Send + Sync>;

/// A check that has to wait for its time, done while nothing else is left to do.
pub(crate) type Later = Box<dyn FnOnce() -> Result<()> + Send>;

/// What a case came to.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) rows: Vec<Row>,
    pub(crate) later: Option<Later>,
    /// Why it was not run.
    pub(crate) skipped: Option<String>,
}

/// One line of the table: one connection.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    scenario: String,
    exits: String,
    verdict: [String; 4],
}

impl Row {
    /// The connection that `event` tells of.
    pub(crate) fn new(scenario: &str, direct: &Exit, proxied: &Exit, event: &Value) -> Row {
        let verdict = ["event.code", "rdpscope.side", "rdpscope.phase", "rdpscope.confidence"];
        Row {
            scenario: scenario.to_owned(),
            exits: format!("{direct}/{proxied}"),
            verdict: verdict.map(|path| text(event, path).to_owned()),
        }
    }

    /// Only the direct half was run.
    pub(crate) fn direct(scenario: &str, exit: Exit) -> Row {
        Row { scenario: scenario.to_owned(), exits: format!("{exit}/-"), verdict: Default::default() }
    }

    /// A case that is no pair of client and host.
    pub(crate) fn note(scenario: &str, exits: impl Into<String>, what: impl Into<String>) -> Row {
        let none = String::new;
        Row { scenario: scenario.to_owned(), exits: exits.into(), verdict: [what.into(), none(), none(), none()] }
    }
}

impl Outcome {
    /// One row and nothing to come.
    pub(crate) fn of(row: Row) -> Outcome {
        Outcome { rows: vec![row], ..Outcome::default() }
    }

    /// Not run, and why.
    pub(crate) fn skip(why: impl Into<String>) -> Outcome {
        Outcome { skipped: Some(why.into()), ..Outcome::default() }
    }
}

impl Case {
    /// See [`Run`].
    pub(crate) fn new(
        name: impl Into<String>,
        run: impl Fn(&Arc<Lab>, bool) -> Result<Outcome> + Send + Sync + 'static,
    ) -> Case {
        Case { name: name.into(), run: Box::new(run) }
    }
}

/// All that was run.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    later: Vec<(String, Later)>,
    failed: Vec<(String, String)>,
    skipped: Vec<(String, String)>,
    passed: usize,
}

impl Report {
    /// Runs each of `cases` `times` times, `jobs` at a time.
    pub(crate) fn run(&mut self, lab: &Arc<Lab>, cases: &[Case], times: usize, jobs: usize, direct_only: bool) {
        let queue = Mutex::new((0..times).flat_map(|_| cases).collect::<VecDeque<&Case>>());
        let report = Mutex::new(std::mem::take(self));
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    loop {
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                        let Some(case) = next else { break };
                        let started = Instant::now();
                        let result = guarded(|| (case.run)(lab, direct_only));
                        let seconds = started.elapsed().as_secs_f64();
                        report.lock().unwrap_or_else(PoisonError::into_inner).take(&case.name, result, seconds);
                    }
                });
            }
        });
        *self = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    }

    /// Runs the checks that had to wait.
    pub(crate) fn settle(&mut self) {
        for (name, later) in std::mem::take(&mut self.later) {
            if let Err(error) = guarded(later) {
                self.fail(&name, &error.context("when all was counted"));
            }
        }
    }

    /// One more check, of all that was run.
    pub(crate) fn check(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        match guarded(check) {
            Ok(()) => {
                println!("ok   {name}");
                self.passed += 1;
            }
            Err(error) => self.fail(name, &error),
        }
    }

    fn take(&mut self, name: &str, result: Result<Outcome>, seconds: f64) {
        match result {
            Ok(Outcome { skipped: Some(why), .. }) => {
                println!("SKIP {name}: {why}");
                self.skipped.push((name.to_owned(), why));
            }
            Ok(outcome) => {
                println!("ok   {name} ({seconds:.1} s)");
                self.passed += 1;
                self.rows.extend(outcome.rows);
                self.later.extend(outcome.later.map(|later| (name.to_owned(), later)));
            }
            Err(error) => self.fail(name, &error),
        }
    }

    fn fail(&mut self, name: &str, error: &Error) {
        let text = error.chain().rev().map(ToString::to_string).collect::<Vec<_>>().join("\n    ");
        println!("FAIL {name}\n    {text}");
        self.failed.push((name.to_owned(), text));
    }

    /// Whether nothing failed.
    pub(crate) fn good(&self) -> bool {
        self.failed.is_empty()
    }

    /// The table, in Markdown, with what failed and what was skipped.
    pub(crate) fn table(&self) -> String {
        const HEAD: [&str; 6] = ["scenario", "client exit direct/proxied", "cause", "side", "phase", "confidence"];
        let mut rows = self.rows.clone();
        rows.sort_by(|a, b| a.scenario.cmp(&b.scenario));
        let cells = |row: &Row| -> [String; 6] {
            let [cause, side, phase, confidence] = row.verdict.clone();
            [row.scenario.clone(), row.exits.clone(), cause, side, phase, confidence]
        };
        let mut lines: Vec<[String; 6]> = vec![HEAD.map(str::to_owned)];
        lines.extend(rows.iter().map(cells));
        let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..6).map(width).collect();
        lines.insert(1, std::array::from_fn(|column| "-".repeat(widths[column])));
        let mut table = String::new();
        for line in &lines {
            let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let _ = writeln!(table, "| {} |", padded.collect::<Vec<_>>().join(" | "));
        }
        for (name, why) in &self.skipped {
            let _ = writeln!(table, "\nSKIPPED {name}: {why}");
        }
        for (name, _) in &self.failed {
            let _ = writeln!(table, "\nFAILED {name}");
        }
        let (passed, failed, skipped) = (self.passed, self.failed.len(), self.skipped.len());
        let _ = writeln!(table, "\n{passed} passed, {failed} failed, {skipped} skipped");
        table
    }
}

/// A panic in a case is that case's failure.
fn guarded<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(anyhow!("panicked: {}", text.unwrap_or("without a word")))
    })
}
