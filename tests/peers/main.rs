//! End to end with real RDP peers: every scenario runs direct and through `rdpscope run`, the client must not see a
//! difference, and the proxy must say what happened. See `README.md` beside this file.
//!
//! `cargo test --test peers -- tls-s10 --jobs 2`

mod captured;
mod client;
mod expect;
mod host;
mod host_legs;
mod lab;
mod pair;
mod proxy;
mod runner;
mod scenarios;

use anyhow::Result;
use runner::{Case, Report};
use std::process::ExitCode;
use std::time::Instant;

/// What the command line asks for. Options of the standard test harness that mean nothing here are taken in silence.
struct Args {
    wanted: Vec<String>,
    unwanted: Vec<String>,
    exact: bool,
    list: bool,
    direct_only: bool,
    keep: bool,
    jobs: usize,
    /// How often each scenario is run.
    repeat: usize,
}

impl Args {
    fn parse() -> Result<Args> {
        let jobs = 2 * std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 8);
        let (wanted, unwanted) = (vec![], vec![]);
        let mut args =
            Args { wanted, unwanted, exact: false, list: false, direct_only: false, keep: false, jobs, repeat: 1 };
        let mut given = std::env::args().skip(1);
        while let Some(arg) = given.next() {
            match arg.as_str() {
                "--exact" => args.exact = true,
                "--list" => args.list = true,
                "--keep" => args.keep = true,
                "--direct" => args.direct_only = true,
                "--skip" => args.unwanted.extend(given.next()),
                "--repeat" => args.repeat = given.next().unwrap_or_default().parse()?,
                "--jobs" | "--test-threads" => args.jobs = given.next().unwrap_or_default().parse()?,
                "--format" | "--color" | "-Z" | "--logfile" => drop(given.next()),
                flag if flag.starts_with('-') => {}
                _ => args.wanted.push(arg),
            }
        }
        args.jobs = args.jobs.max(1);
        Ok(args)
    }

    fn select(&self, case: &Case) -> bool {
        let matches = |pattern: &String| if self.exact { case.name == *pattern } else { case.name.contains(pattern) };
        (self.wanted.is_empty() || self.wanted.iter().any(matches)) && !self.unwanted.iter().any(matches)
    }
}

fn main() -> Result<ExitCode> {
    let args = Args::parse()?;
    let select = |cases: Vec<Case>| cases.into_iter().filter(|case| args.select(case)).collect::<Vec<_>>();
    let (scenarios, campaigns) = (select(scenarios::all()), select(scenarios::campaigns()));
    if args.list {
        scenarios.iter().chain(&campaigns).for_each(|case| println!("{}: test", case.name));
        return Ok(ExitCode::SUCCESS);
    }
    if scenarios.is_empty() && campaigns.is_empty() {
        println!("no scenario of that name; --list names them all");
        return Ok(ExitCode::SUCCESS);
    }
    let started = Instant::now();
    let (lab, screen) = lab::Lab::set_up(args.keep)?;
    let tcpdump = if args.direct_only { None } else { host_legs::Tcpdump::start(&lab)? };
    let mut report = Report::default();
    report.run(&lab, &scenarios, args.repeat, args.jobs, args.direct_only);
    // A campaign has its own parallelism.
    report.run(&lab, &campaigns, args.repeat, 1, args.direct_only);
    report.settle();
    if !args.direct_only {
        report.check("captures-in-tshark", || captured::readable_by_tshark(&lab).map(drop));
    }
    match tcpdump {
        Some(tcpdump) => report.check("host-legs-in-tcpdump", || tcpdump.compare(&lab)),
        None if args.direct_only => {}
        None => println!("SKIP host-legs-in-tcpdump: it may not capture"),
    }
    drop(screen);
    lab.reaper.finish();
    if args.keep {
        println!("kept: {}", lab.scratch.display());
    }
    let table = report.table();
    println!("\n{table}{:.0} s", started.elapsed().as_secs_f64());
    let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("../peers-report.md");
    if let Err(error) = std::fs::write(&target, table) {
        println!("{} is not written: {error}", target.display());
    }
    Ok(if report.good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
