//! What is counted of captures.

use super::{keep, names};
use crate::record::capture::{NotWritten, Tally};
use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};

/// Handles, as registered.
#[derive(Clone)]
pub(crate) struct CaptureMetrics {
    written: IntCounter,
    not_written: [IntCounter; 6],
    stored: IntGauge,
}

impl CaptureMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<CaptureMetrics> {
        let (name, labels) = names::CAPTURES_NOT_WRITTEN;
        let not_written = keep(registry, IntCounterVec::new(names::opts(name), labels)?)?;
        Ok(CaptureMetrics {
            written: keep(registry, IntCounter::with_opts(names::opts(names::CAPTURES_WRITTEN))?)?,
            not_written: NotWritten::ALL.map(|why| not_written.with_label_values(&[why.name()])),
            stored: keep(registry, IntGauge::with_opts(names::opts(names::CAPTURES_STORED))?)?,
        })
    }
}

impl Tally for CaptureMetrics {
    fn written(&self) {
        self.written.inc();
    }

    fn not_written(&self, why: NotWritten) {
        self.not_written[why as usize].inc();
    }

    fn stored(&self, bytes: u64) {
        self.stored.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
