//! How long each phase lasts: one HDR histogram per phase, three significant digits.

use hdrhistogram::Histogram;
use parser::Timestamp;
use parser::session::{Phase, PhaseLog};
use serde::Serialize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Longest span that is told apart, in microseconds: a day. It bounds each histogram to some 100 KiB.
const LONGEST_US: u64 = 24 * 60 * 60 * 1_000_000;

/// Percentiles of one phase since the start of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseLatency {
    /// The phase.
    pub phase: Phase,
    /// Sessions that passed or ended in it.
    pub count: u64,
    /// Median.
    pub p50: Duration,
    /// Nine in ten were at most this long.
    pub p90: Duration,
    /// 99 in 100 were at most this long.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

/// The same as `/api/latency` gives it, in milliseconds.
#[derive(Serialize)]
pub(crate) struct Row {
    phase: &'static str,
    count: u64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl From<PhaseLatency> for Row {
    fn from(latency: PhaseLatency) -> Row {
        let ms = |span: Duration| span.as_micros() as f64 / 1000.0;
        Row {
            phase: latency.phase.name(),
            count: latency.count,
            p50_ms: ms(latency.p50),
            p90_ms: ms(latency.p90),
            p99_ms: ms(latency.p99),
            max_ms: ms(latency.max),
        }
    }
}

/// One histogram per phase that was ever seen. Locked once per session, at its end.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    phases: Mutex<[Option<Histogram<u32>>; Phase::ALL.len()]>,
}

impl Latencies {
    pub(crate) fn record(&self, log: &PhaseLog, end: Timestamp) {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        for (phase, from, to) in log.spans(end) {
            let slot = &mut phases[phase as usize];
            // Three digits, growing with what is recorded: neither call can fail with these arguments.
            if slot.is_none() {
                *slot = Histogram::new(3).ok();
            }
            if let Some(histogram) = slot {
                let span = u64::try_from(to.since(from).as_micros()).unwrap_or(u64::MAX);
                let _ = histogram.record(span.min(LONGEST_US));
            }
        }
    }

    pub(crate) fn percentiles(&self) -> Vec<PhaseLatency> {
        let phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        let row = |(phase, histogram): (&Phase, &Option<Histogram<u32>>)| {
            let histogram = histogram.as_ref()?;
            let at = |quantile| Duration::from_micros(histogram.value_at_quantile(quantile));
            Some(PhaseLatency {
                phase: *phase,
                count: histogram.len(),
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                max: Duration::from_micros(histogram.max()),
            })
        };
        Phase::ALL.iter().zip(phases.iter()).filter_map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_three_digits() {
        let latencies = Latencies::default();
        for ms in 1..=100 {
            let mut log = PhaseLog::default();
            log.enter(Phase::Accept, Timestamp(0));
            log.enter(Phase::Tcp, Timestamp(1_000_000));
            latencies.record(&log, Timestamp(1_000_000 + ms * 1_000_000));
        }
        let rows = latencies.percentiles();
        assert_eq!(rows.iter().map(|row| row.phase).collect::<Vec<_>>(), [Phase::Accept, Phase::Tcp]);
        let tcp = rows[1];
        assert_eq!(tcp.count, 100);
        for (value, expected) in [(tcp.p50, 50), (tcp.p90, 90), (tcp.p99, 99), (tcp.max, 100)] {
            let error = value.as_secs_f64() * 1000.0 / f64::from(expected) - 1.0;
            assert!(error.abs() < 0.002, "{value:?} is not {expected} ms");
        }
    }

    #[test]
    fn an_absurd_span_is_capped() {
        let latencies = Latencies::default();
        let mut log = PhaseLog::default();
        log.enter(Phase::Accept, Timestamp(0));
        latencies.record(&log, Timestamp(u64::MAX));
        assert!(latencies.percentiles()[0].max <= Duration::from_secs(24 * 60 * 60 + 100));
    }
}
