//! What shows only after a while: that memory stays flat, that nothing leaks, and what happens at the limits.
//!
//! ```sh
//! cargo bench --bench long_run                        # some minutes; fails where something is not as it has to be
//! cargo bench --bench long_run -- 2000 20000          # sessions held, short connections
//! ```
//!
//! Every part has a proxy of its own. Figures and the machine stand in `benches/README.md`.

#[allow(dead_code)]
#[path = "compare/main.rs"]
mod compare;
#[path = "long_run/limits.rs"]
mod limits;
#[path = "long_run/metrics.rs"]
mod metrics;
#[path = "long_run/steady.rs"]
mod steady;

use std::process::ExitCode;

/// A part of the run: an error says what is not as it has to be.
type Outcome = Result<String, String>;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let sessions = numbers.next().unwrap_or(9_000);
    let connections = numbers.next().unwrap_or(200_000);
    let limit = rdpscope::sys::raise_descriptor_limit().map_or(1_024, |limit| limit as usize);
    // Two for each session here, both ends, and as many in the proxy.
    let sessions = sessions.min(limit.saturating_sub(200) / 2);
    let parts: [(String, Box<dyn Fn() -> Outcome>); 5] = [
        (format!("{sessions} sessions held, seven times"), Box::new(move || steady::held(sessions))),
        (format!("{connections} short connections"), Box::new(move || steady::short(connections))),
        ("at full rate every session has its event".to_owned(), Box::new(|| limits::full_rate(20_000))),
        ("events twice as fast as their reader".to_owned(), Box::new(|| limits::overload(20_000))),
        ("no descriptor is left".to_owned(), Box::new(limits::descriptors)),
    ];
    let mut failed = false;
    for (name, part) in parts {
        match part() {
            Ok(found) => println!("ok    {name}: {found}"),
            Err(why) => {
                failed = true;
                println!("FAIL  {name}: {why}");
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
