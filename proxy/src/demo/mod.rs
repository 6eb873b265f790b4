//! `rdpscope demo`: a tour of faults on loopback, judged by the proxy as `run` has it.
//!
//! `cases` is the tour, one table. Hosts and clients are scripts (`script`) that `actor` plays on real sockets with
//! real TLS; between them stands an unmodified [`crate::run::Proxy`], started from settings as a file would give them.
//! `tour` sends the clients, `print` writes. Nothing leaves this machine.

mod actor;
mod case;
mod cases;
mod hosts;
mod print;
mod rdp;
mod script;
mod tls;
mod tour;

use std::io::Write;
use std::time::Instant;

/// The case whose listener is named at the end: its host takes part in a session.
const HEALTHY: &str = "healthy";

/// Runs the tour and writes to standard output. `Ok(true)` when every verdict was as expected. Unless `once`, the admin
/// endpoint then stays open until Ctrl-C.
///
/// # Errors
/// When the tour could not be made: no port, no key, nowhere to write.
pub async fn run(once: bool) -> anyhow::Result<bool> {
    let mut out = anstream::stdout();
    let started = Instant::now();
    let mut tour = tour::Tour::start(cases::CASES).await?;
    let admin = tour.proxy().admin();
    writeln!(out, "rdpscope demo: {} cases on loopback, through the real proxy", cases::CASES.len())?;
    if let Some(admin) = admin {
        writeln!(out, "admin endpoint: http://{admin}")?;
    }
    writeln!(out)?;

    let findings = tour.visit_all(&mut out).await?;
    print::summary(&mut out, &findings)?;
    print::latencies(&mut out, &tour.proxy().observer().phase_latencies())?;
    writeln!(out, "\n{} sessions in {:.1} s", findings.len(), started.elapsed().as_secs_f64())?;
    writeln!(
        out,
        "\nIn front of a host of yours:\n  rdpscope run --listen 0.0.0.0:3389 --upstream HOST --event-log off"
    )?;
    if !once {
        if let Some(admin) = admin {
            writeln!(out, "\nStill open until Ctrl-C: http://{admin}/ lists what can be asked there.")?;
        }
        if let Some(healthy) = tour.proxy().address(HEALTHY).await {
            writeln!(out, "Listener `{HEALTHY}` too: {healthy}, for a client of yours.")?;
        }
        out.flush()?;
        tokio::signal::ctrl_c().await?;
    }
    tour.stop().await;
    Ok(findings.iter().all(tour::Finding::as_expected))
}
