//! The usual `process_*` metrics, read from `/proc` at each scrape.

use std::fs;
use std::io::Write;

/// Ticks of `/proc/*/stat` per second: USER_HZ, which is 100 for user space on every architecture Linux still has
/// machines of. proc_pid_stat(5)
const TICKS: f64 = 100.0;

/// What cannot be read is left out.
pub(super) fn render(text: &mut Vec<u8>) {
    let mut put = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            // Writing to a Vec does not fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
    };
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
    let cpu = field(&stat, 14).zip(field(&stat, 15)).map(|(user, system)| (user + system) / TICKS);
    let start = field(&stat, 22).zip(word_after(&boot, "btime ")).map(|(ticks, boot)| boot + ticks / TICKS);
    put("process_cpu_seconds_total", "counter", "User and system CPU time used, in seconds", cpu);
    put("process_open_fds", "gauge", "Open file descriptors", open_descriptors());
    put("process_max_fds", "gauge", "Most file descriptors that may be open", word_after(&limits, "Max open files"));
    let memory = word_after(&status, "VmSize:").map(|kib| kib * 1024.0);
    put("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes", memory);
    let resident = word_after(&status, "VmRSS:").map(|kib| kib * 1024.0);
    put("process_resident_memory_bytes", "gauge", "Resident memory size in bytes", resident);
    put("process_start_time_seconds", "gauge", "Start of the process, Unix time in seconds", start);
    put("process_threads", "gauge", "Threads", word_after(&status, "Threads:"));
}

/// Field `number`, from 1, of `/proc/self/stat`. The second is the command in parentheses and may hold anything.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(number - 3)?.parse().ok()
}

fn word_after(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn open_descriptors() -> Option<f64> {
    // The directory that is being read is a descriptor too.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_spaces_and_parentheses_shifts_no_field() {
        let stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 13";
        assert_eq!(field(stat, 14), Some(150.0));
        assert_eq!(field(stat, 15), Some(50.0));
        assert_eq!(field(stat, 40), None);
    }

    #[test]
    fn this_process_has_all_of_them() {
        let mut text = Vec::new();
        render(&mut text);
        let text = String::from_utf8(text).unwrap();
        for name in ["cpu_seconds_total", "open_fds", "max_fds", "resident_memory_bytes", "start_time_seconds"] {
            let line = text.lines().find(|line| line.starts_with(&format!("process_{name} "))).unwrap();
            let value: f64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
            assert!(value >= 0.0, "{line}");
        }
    }
}
