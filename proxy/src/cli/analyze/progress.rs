//! One line on a terminal that says how far a file was read.

use rdpscope::analyze::source::Progress;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Packets between two looks at the clock.
const PACKETS: u32 = 4_096;
/// A line that changes more often cannot be read.
const PAUSE: Duration = Duration::from_millis(200);
/// Cells of the bar.
const CELLS: u64 = 30;

/// Written over as it changes, and taken away at the end. Nothing without a terminal, and of a source without an end.
pub(super) struct ProgressLine<'a> {
    name: &'a str,
    progress: Progress,
    wanted: bool,
    shown: bool,
    packets: u32,
    next: Instant,
}

impl<'a> ProgressLine<'a> {
    pub(super) fn new(name: &'a str, progress: Progress) -> ProgressLine<'a> {
        let wanted = std::io::stderr().is_terminal() && progress.size.is_some_and(|size| size > 0);
        ProgressLine { name, progress, wanted, shown: false, packets: 0, next: Instant::now() + PAUSE }
    }

    /// To be called with every packet.
    pub(super) fn show(&mut self, connections: u64) {
        self.packets += 1;
        if !self.wanted || !self.packets.is_multiple_of(PACKETS) || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + PAUSE;
        self.shown = true;
        let line = line(self.name, self.progress.read(), self.progress.size.unwrap_or(1), connections);
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    }

    /// Takes the line away, so that something else can be written.
    pub(super) fn hide(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for ProgressLine<'_> {
    fn drop(&mut self) {
        self.hide();
    }
}

fn line(name: &str, read: u64, size: u64, connections: u64) -> String {
    let part = |of: u64| (read.min(size) as u128 * u128::from(of) / u128::from(size.max(1))) as usize;
    let full = part(CELLS);
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(CELLS as usize - full));
    format!("{name} {bar} {} % of {} MB, {connections} connections", part(100), size / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_full_at_the_end_and_never_longer() {
        let at = |read| line("a.pcap", read, 2_000_000, 7);
        assert_eq!(at(1_000_000), format!("a.pcap {}{} 50 % of 2 MB, 7 connections", "█".repeat(15), "░".repeat(15)));
        assert!(at(9_000_000).contains(" 100 % "), "{}", at(9_000_000));
    }
}
