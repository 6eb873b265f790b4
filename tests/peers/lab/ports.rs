//! Ports that are free, and knowing when somebody listens on one.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the kernel's range for outgoing connections, so that no client takes a port between choosing and listening.
const FIRST: u16 = 13_000;
const SPAN: u16 = 19_000;
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback port that nothing listens on. No port is given twice in one run; runs side by side start elsewhere.
pub(crate) fn free_port() -> u16 {
    let offset = (std::process::id().wrapping_mul(977) % u32::from(SPAN)) as u16;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % SPAN;
        let port = FIRST + (offset + step) % SPAN;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Whether a TCP socket listens on `port` in the network namespace of process `pid`.
///
/// Read from the kernel's table: a trial connection would be one more session for the host under test.
pub(crate) fn listens(pid: u32, port: u16) -> bool {
    const LISTEN: &str = "0A";
    let wanted = format!(":{port:04X}");
    ["tcp", "tcp6"].iter().any(|table| {
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        table.lines().skip(1).any(|line| {
            let mut columns = line.split_whitespace().skip(1);
            let local = columns.next().unwrap_or_default();
            let state = columns.nth(1).unwrap_or_default();
            local.ends_with(&wanted) && state == LISTEN
        })
    })
}
