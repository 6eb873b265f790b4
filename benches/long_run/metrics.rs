//! The proxy's own counters, over HTTP.

use crate::compare::proxies::Running;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Sum of the series of this name whose labels hold `label`.
pub(crate) fn sum(proxy: &Running, name: &str, label: &str) -> Result<f64, String> {
    let read = || {
        let mut socket = TcpStream::connect(proxy.admin?).ok()?;
        socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        socket.read_to_string(&mut text).ok()?;
        Some(text)
    };
    let text = read().ok_or("the metrics cannot be read")?;
    let series = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let labels = series.strip_prefix("rdpscope_")?.strip_prefix(name)?;
        (labels.is_empty() || labels.starts_with('{')).then_some(())?;
        labels.contains(label).then(|| value.parse::<f64>().ok())?
    });
    Ok(series.sum())
}

/// Waits until it is `value`.
pub(crate) fn reaches(proxy: &Running, name: &str, label: &str, value: f64) -> Result<(), String> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let now = sum(proxy, name, label)?;
        if now == value {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("{name}{{{label}}} is {now} and not {value}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
