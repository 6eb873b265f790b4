//! `[probe]`: when hosts are asked what they accept, how often, and in how many handshakes.

use super::section::{Read, Reader};
use super::{at_most, between};
use crate::problem::{Fault, Problem, shown};
use crate::quantity::{duration, write_duration};
use crate::reference::Table;
use crate::settings::{Probe, ProbeMode};
use crate::suggest::nearest;
use std::time::Duration;
use toml::de::DeTable;

/// An answer that takes longer would come after the verdict that it is for.
const MAX_PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// More often a probe is a load.
const MIN_PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// A profile that is older says little of the host as it is.
const MAX_PROBE_INTERVAL: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Every suite of every version on its own would be fewer.
const MAX_PROBE_HANDSHAKES: usize = 2_000;
/// Above it a reader of events would miss the session.
const MAX_HOLD: Duration = Duration::from_secs(1);

pub(super) fn probe(reader: &mut Reader, root: &DeTable<'_>) -> Probe {
    let section = reader.section(root, "probe", Table::Probe);
    let defaults = Probe::default();
    let min_interval =
        reader.text(&section, "min_interval", |text| between(text, MIN_PROBE_INTERVAL, MAX_PROBE_INTERVAL));
    let interval = reader.text(&section, "interval", |text| between(text, MIN_PROBE_INTERVAL, MAX_PROBE_INTERVAL));
    if let (Read::Good(least, _), Read::Good(usual, at)) = (&min_interval, &interval)
        && usual < least
    {
        reader.problems.push(Problem {
            title: "`interval` is shorter than `min_interval`".to_owned(),
            at: at.clone(),
            label: format!("a host is asked at most every {}", write_duration(*least)),
            also: None,
            help: vec![format!("write `interval = \"{}\"` or more, or lower `min_interval`", write_duration(*least))],
        });
    }
    let min_interval = min_interval.or(defaults.min_interval);
    let usual = usize::from(defaults.max_handshakes);
    let most = reader.count(&section, "max_handshakes", 1..=MAX_PROBE_HANDSHAKES, usual).or(usual);
    let max_handshakes = u16::try_from(most).unwrap_or(u16::MAX);
    Probe {
        mode: reader.text(&section, "mode", mode).or(defaults.mode),
        min_interval,
        interval: interval.or(defaults.interval.max(min_interval)),
        timeout: reader
            .text(&section, "timeout", |text| between(text, Duration::from_millis(1), MAX_PROBE_TIMEOUT))
            .or(defaults.timeout),
        max_handshakes,
        hold: reader.text(&section, "hold", |text| at_most(duration(text)?, MAX_HOLD)).or(defaults.hold),
        state: reader.boolean(&section, "state").or(defaults.state),
    }
}

/// When hosts are asked, as `probe.mode` and `--probe` name it.
pub(crate) fn mode(text: &str) -> Result<ProbeMode, Fault> {
    ProbeMode::ALL.into_iter().find(|mode| mode.name() == text).ok_or_else(|| {
        let near = nearest(text, ProbeMode::ALL.map(ProbeMode::name)).unwrap_or("on_failure");
        let read = format!("read `{}`", shown(text));
        Fault::new("is not known", read).instead(near).note("one of `off`, `on_failure`, `schedule`")
    })
}
