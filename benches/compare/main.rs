//! What rdpscope costs beside HAProxy and nginx for the same work, in one run.
//!
//! ```sh
//! cargo bench --bench compare                              # every row, nine rounds; proxies that are not there are left out
//! cargo bench --bench compare -- connections bulk-1        # some rows
//! cargo bench --bench compare -- --rounds 15 --window 800 --json target/compare.json
//! cargo bench --bench compare -- --list
//! cargo bench --bench compare -- --calls                   # system calls of a connection, by strace
//! cargo bench --bench compare -- --rdpscope FILE           # another build
//! cargo bench --bench compare -- --before FILE connections # beside the build from before a change
//! ```
//!
//! The targets of a row have their turn in each round, and the one that begins changes, so that what else the machine
//! does meets all of them. A figure is the median of the ratios of the same round, with its 95 % bootstrap interval.
//! Nothing is installed, and everything stays on loopback. Figures and the machine stand in `benches/README.md`.

mod calls;
pub(crate) mod cost;
pub(crate) mod ends;
pub(crate) mod opening;
pub(crate) mod proxies;
mod results;
mod rows;
pub(crate) mod statistics;
#[path = "../../parser/tests/support/mod.rs"]
mod support;
pub(crate) mod works;

use ends::Host;
use proxies::{Running, Setting, Target};
use rdpscope::observe::Observer;
use rdpscope::run::{Form, Proxy};
use results::Measured;
use rows::{ALL, Layout, Row};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use works::Figures;

/// First argument of this program when it is to be a proxy: what `rdpscope run` does with a configuration,
pub(crate) const SERVE: &str = "serve";
/// and the same without memory to read an opening with (so the tracker lets go at the ClientHello), without events and
/// without the admin endpoint.
pub(crate) const SERVE_BLIND: &str = "serve-blind";

/// How this program is started to serve with another threshold of `splice`, in bytes.
pub(crate) const SERVE_SPLICING: &str = "serve-splicing";

const USAGE: &str = "usage: cargo bench --bench compare -- [--rounds N] [--window MILLISECONDS] [--json FILE] [--rdpscope FILE] [--before FILE] [--list | --calls | ROW...]";

/// What is asked for.
pub(crate) struct Asked {
    pub(crate) rows: Vec<&'static Row>,
    pub(crate) rounds: usize,
    /// For how long each target is at work in a round.
    pub(crate) window: Duration,
    pub(crate) rdpscope: PathBuf,
    /// Another build, which has its turn in the same rounds.
    pub(crate) before: Option<PathBuf>,
    /// For configurations, logs and events.
    pub(crate) directory: PathBuf,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let result = match &arguments[..] {
        [how, configuration] if how == SERVE || how == SERVE_BLIND => serve(configuration, how == SERVE_BLIND),
        [how, configuration, bytes] if how == SERVE_SPLICING => serve_splicing(configuration, bytes),
        [list] if list == "--list" => {
            ALL.iter().for_each(|row| println!("{}", row.name));
            Ok(())
        }
        _ => compare(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("compare: {message}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &[String]) -> Result<(), String> {
    let mut asked = Asked {
        rows: Vec::new(),
        rounds: 9,
        window: Duration::from_millis(500),
        rdpscope: PathBuf::from(env!("CARGO_BIN_EXE_rdpscope")),
        before: None,
        directory: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compare"),
    };
    let (mut json, mut calls) = (None, false);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().ok_or_else(|| format!("{argument} needs a number\n{USAGE}"))?;
            value.parse().map_err(|_| format!("{argument}: {value:?} is no number\n{USAGE}"))
        };
        match argument.as_str() {
            "--rounds" => asked.rounds = number()?,
            "--window" => asked.window = Duration::from_millis(number()? as u64),
            "--calls" => calls = true,
            "--rdpscope" => {
                asked.rdpscope = arguments.next().ok_or_else(|| format!("--rdpscope needs a file\n{USAGE}"))?.into();
            }
            "--before" => {
                asked.before = Some(arguments.next().ok_or_else(|| format!("--before needs a file\n{USAGE}"))?.into());
            }
            "--json" => json = Some(arguments.next().ok_or_else(|| format!("--json needs a file\n{USAGE}"))?),
            name => {
                let row = ALL.iter().find(|row| row.name == name);
                asked.rows.push(row.ok_or_else(|| format!("no row {name:?}; --list shows them\n{USAGE}"))?);
            }
        }
    }
    if calls {
        return count_calls(&asked).map_err(|error| error.to_string());
    }
    if asked.rows.is_empty() {
        asked.rows = ALL.iter().collect();
    }
    let measured = run(&asked).map_err(|error| error.to_string())?;
    if let Some(file) = json {
        let all: Vec<serde_json::Value> = measured.iter().map(Measured::json).collect();
        std::fs::write(file, format!("{:#}\n", serde_json::Value::from(all)))
            .map_err(|error| format!("{file}: {error}"))?;
    }
    let missed: Vec<&str> = measured.iter().filter(|row| !row.holds()).map(|row| row.row.name).collect();
    println!(
        "\n{}",
        if missed.is_empty() { "every must holds".to_owned() } else { format!("missed: {}", missed.join(", ")) }
    );
    Ok(())
}

/// Measures the rows that are asked for, layout by layout, and prints each as it is done.
pub(crate) fn run(asked: &Asked) -> io::Result<Vec<Measured>> {
    let _ = rdpscope::sys::raise_descriptor_limit()?;
    let allowed = sched_getaffinity(None)?;
    let result = [Layout::Same, Layout::Two].into_iter().try_fold(Vec::new(), |mut all, layout| {
        let rows: Vec<&'static Row> = asked.rows.iter().copied().filter(|row| row.layout == layout).collect();
        if !rows.is_empty() {
            all.extend(run_layout(asked, layout, &rows, &allowed)?);
        }
        Ok(all)
    });
    sched_setaffinity(None, &allowed)?;
    result
}

fn run_layout(asked: &Asked, layout: Layout, rows: &[&'static Row], allowed: &CpuSet) -> io::Result<Vec<Measured>> {
    let threads = match layout {
        Layout::Same => 1,
        Layout::Two => 2,
    };
    // Threads and processes that are started from here on stay on these too. The first processor of a machine often has
    // the interrupts, so the last ones are taken.
    let mut own = CpuSet::new();
    (0..CpuSet::MAX_CPU).rev().filter(|cpu| allowed.is_set(*cpu)).take(threads).for_each(|cpu| own.set(cpu));
    sched_setaffinity(None, &own)?;
    let host = Host::start()?;
    let directory = asked.directory.join(if threads == 1 { "same" } else { "two" });
    let mut setting = Setting::new(&asked.rdpscope, host.address, threads, directory);
    setting.before = asked.before.as_deref();
    let mut running: HashMap<&'static str, Running> = HashMap::new();
    let mut all = Vec::new();
    for row in rows {
        let mut targets = row.targets();
        targets.extend(asked.before.as_ref().filter(|_| row.ours == Target::Ours).map(|_| Target::Before));
        targets.retain(|target| {
            let there = target.is_there();
            if !there {
                println!("{} is not there: left out", target.name());
            }
            there
        });
        let mut rounds = Vec::new();
        for round in 0..asked.rounds {
            targets.rotate_left(usize::from(round > 0));
            let mut figures: Vec<(Target, Figures)> = Vec::new();
            for target in &targets {
                if row.wants_fresh() {
                    drop(running.remove(target.name()));
                }
                let proxy = match running.remove(target.name()) {
                    Some(proxy) => proxy,
                    None => Running::start(*target, &setting)?,
                };
                figures.push((
                    *target,
                    row.work.run(&proxy.path, asked.window).map_err(|error| {
                        io::Error::new(error.kind(), format!("{} through {}: {error}", row.name, target.name()))
                    })?,
                ));
                running.insert(target.name(), proxy);
            }
            rounds.push(figures);
        }
        let measured = Measured { row, rounds };
        measured.print();
        all.push(measured);
    }
    Ok(all)
}

fn count_calls(asked: &Asked) -> io::Result<()> {
    let host = Host::start()?;
    let directory = asked.directory.join("calls");
    let setting = Setting::new(&asked.rdpscope, host.address, 1, directory);
    for target in [Target::Ours, Target::HaproxyCookie, Target::Nginx].into_iter().filter(|target| target.is_there()) {
        // Under strace everything takes ten times as long.
        calls::Calls::count(target, &setting, asked.window * 4)?.print(target);
    }
    Ok(())
}

/// Is the proxy of the rows that compare one binary with itself.
fn serve(configuration: &str, blind: bool) -> Result<(), String> {
    let mut settings = config::load(configuration.as_ref()).map_err(|errors| errors.to_string())?;
    if blind {
        settings.limits.opening_memory = 0;
        settings.events.path = config::EventPath::Off;
        settings.admin = None;
    }
    rdpscope::observe::log::init(rdpscope::observe::log::LogFormat::Text);
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let options = rdpscope::run::RunOptions { reload: None };
    runtime.block_on(rdpscope::run::run(settings, options)).map_err(|error| error.to_string())
}

/// Serves until it is ended, and splices what is at least `bytes`.
fn serve_splicing(configuration: &str, bytes: &str) -> Result<(), String> {
    let settings = config::load(configuration.as_ref()).map_err(|errors| errors.to_string())?;
    let splice_from = bytes.parse().map_err(|error| format!("{bytes}: {error}"))?;
    let form = Form { splice_from, ..Form::default() };
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let observer = Observer::start(&settings).map_err(|error| error.to_string())?;
        let _proxy = Proxy::start_moving(settings, observer, form).await.map_err(|error| error.to_string())?;
        std::future::pending::<Result<(), String>>().await
    })
}
