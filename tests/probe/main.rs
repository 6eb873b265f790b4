//! `rdpscope`'s prober against real hosts whose ability is known, and against targets that mean no good.

mod bad;
mod command;
mod credssp;
mod exhaustive;
mod host;
mod path;
mod replay;
mod scan;
mod sound;

use parser::profile::HostProfile;
use rdpscope::probe::ask::{self, Ask};
use std::net::SocketAddr;
use std::time::Duration;

/// Probes as the command does.
fn probe(address: SocketAddr, change: impl FnOnce(&mut Ask)) -> HostProfile {
    let mut ask = Ask::new(address);
    ask.options.max_handshakes = 250;
    ask.within = Duration::from_secs(120);
    change(&mut ask);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(ask::probe(&ask, None, |_| ()))
}
