//! Instructions that reading an opening takes, counted by valgrind and compared with `recorded.txt` beside this crate.
//!
//! ```sh
//! cargo run --release -p instructions            # counts, compares, fails when anything takes 5 % more than recorded
//! cargo run --release -p instructions -- --bless # records what it counts now
//! ```
//!
//! Unlike a time, a count is the same on a busy machine. Each work is run twice, once longer than the other, so that what
//! the program does besides falls out of the difference. Another compiler counts a little differently: bless then.

mod work;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// More than this over the recorded count fails, in per cent.
const TOLERANCE: u64 = 5;

/// Rounds of the shorter run; the longer one has four times as many.
const ROUNDS: u64 = 200;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(),
        ["--bless"] => bless(),
        ["--work", name, rounds] => work(name, rounds),
        _ => Err("usage: instructions [--bless]".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("instructions: {message}");
            ExitCode::FAILURE
        }
    }
}

/// What valgrind runs.
fn work(name: &str, rounds: &str) -> Result<(), String> {
    let rounds: u64 = rounds.parse().map_err(|_| format!("{rounds:?} is no number of rounds"))?;
    let (_, run) = work::ALL.iter().find(|(known, _)| *known == name).ok_or_else(|| format!("no work {name:?}"))?;
    run(rounds);
    Ok(())
}

fn compare() -> Result<(), String> {
    let recorded = recorded()?;
    let mut worse = Vec::new();
    println!("{:<44} {:>10} {:>10}", "instructions", "recorded", "now");
    for (name, count) in count_all()? {
        let before = recorded.get(name).copied();
        let change = before.map(|before| (count as f64 / before.max(1) as f64 - 1.0) * 100.0);
        let change = change.map_or_else(|| "new: not recorded yet".to_owned(), |change| format!("{change:+.1} %"));
        println!(
            "{name:<44} {:>10} {count:>10}  {change}",
            before.map_or_else(String::new, |before| before.to_string())
        );
        if before.is_none_or(|before| count * 100 > before * (100 + TOLERANCE)) {
            worse.push(name);
        }
    }
    if worse.is_empty() {
        return Ok(());
    }
    Err(format!(
        "more than {TOLERANCE} % over what is recorded: {}. If that is meant, or the compiler is another one: \
         cargo run --release -p instructions -- --bless",
        worse.join(", ")
    ))
}

fn bless() -> Result<(), String> {
    let mut text = String::from(
        "# Instructions per round, counted by valgrind. Written by `cargo run --release -p instructions -- --bless`.\n",
    );
    for (name, count) in count_all()? {
        println!("{name:<44} {count:>10}");
        text.push_str(&format!("{count:>8} {name}\n"));
    }
    std::fs::write(path(), text).map_err(|error| format!("{}: {error}", path().display()))
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recorded.txt")
}

fn recorded() -> Result<BTreeMap<String, u64>, String> {
    let text = std::fs::read_to_string(path()).map_err(|error| format!("{}: {error}", path().display()))?;
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let read = |line: &str| {
        let (count, name) = line.trim().split_once(' ')?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    lines.map(|line| read(line).ok_or_else(|| format!("{}: not `COUNT NAME`: {line:?}", path().display()))).collect()
}

fn count_all() -> Result<Vec<(&'static str, u64)>, String> {
    work::ALL.iter().map(|(name, _)| Ok((*name, per_round(name)?))).collect()
}

fn per_round(name: &str) -> Result<u64, String> {
    let (short, long) = (count(name, ROUNDS)?, count(name, 4 * ROUNDS)?);
    Ok(long.saturating_sub(short) / (3 * ROUNDS))
}

/// Instructions of a whole run.
fn count(name: &str, rounds: u64) -> Result<u64, String> {
    let own = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(own)
        .args(["--work", name, &rounds.to_string()])
        .output()
        .map_err(|error| format!("cannot run valgrind: {error}. As root, on Debian 12: apt-get install valgrind"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected.filter(|_| output.status.success()).ok_or_else(|| format!("valgrind counted nothing:\n{said}"))
}
