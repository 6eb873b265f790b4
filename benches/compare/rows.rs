//! The figures that are promised: which work, against whom, and how much at most.

use super::proxies::Target::{self, *};
use super::works::{Figures, Work};

/// Which processors are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One, by both ends and the proxy: the layout whose figures are steady.
    Same,
    /// Two, and the proxy has two threads.
    Two,
}

/// One work and what is asked of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
    pub(crate) layout: Layout,
    /// Ours, which is measured.
    pub(crate) ours: Target,
    pub(crate) others: &'static [Target],
    pub(crate) unit: &'static str,
    pub(crate) bounds: &'static [Bound],
}

/// One promise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) what: What,
    pub(crate) must: Option<f64>,
    pub(crate) aim: Option<f64>,
}

/// What is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Processor time as a multiple of this one's.
    Cost(Target),
    /// Time that is added to a round trip, as a multiple of what this one adds.
    AddedP50(Target),
    AddedP99(Target),
    /// Without a comparison: KiB, and each of the other figures of idle sessions.
    Memory,
    Descriptors,
    Pipes,
    WakeUps,
}

const fn cost(against: Target, must: f64, aim: f64) -> Bound {
    Bound { what: What::Cost(against), must: Some(must), aim: Some(aim) }
}

const fn must(what: What, must: f64) -> Bound {
    Bound { what, must: Some(must), aim: None }
}

const fn aim(what: What, aim: f64) -> Bound {
    Bound { what, must: None, aim: Some(aim) }
}

const fn compared(against: Target) -> Bound {
    Bound { what: What::Cost(against), must: None, aim: None }
}

const CONNECTIONS: &[Bound] = &[cost(HaproxyCookie, 1.00, 0.92)];
const CONNECTION: &str = "µs/connection";
const GIGABYTE: &str = "s/GB";

/// All of them.
pub(crate) const ALL: &[Row] = &[
    Row {
        name: "connections",
        work: Work::Connections,
        layout: Layout::Same,
        ours: Ours,
        others: &[HaproxyCookie, Nginx],
        unit: CONNECTION,
        bounds: CONNECTIONS,
    },
    Row {
        name: "early-ends",
        work: Work::EarlyEnds,
        layout: Layout::Same,
        ours: Ours,
        others: &[HaproxyCookie, Nginx],
        unit: CONNECTION,
        bounds: CONNECTIONS,
    },
    Row {
        name: "bulk-1",
        work: Work::Bulk(1),
        layout: Layout::Same,
        ours: Ours,
        others: &[HaproxySplice, HaproxySplice1m, Nginx],
        unit: GIGABYTE,
        bounds: &[must(What::Cost(HaproxySplice), 0.80), cost(HaproxySplice1m, 1.05, 0.95)],
    },
    Row {
        name: "bulk-8",
        work: Work::Bulk(8),
        layout: Layout::Same,
        ours: Ours,
        others: &[HaproxySplice, HaproxySplice1m, Nginx],
        unit: GIGABYTE,
        bounds: &[must(What::Cost(HaproxySplice), 0.80), cost(HaproxySplice1m, 1.10, 0.95)],
    },
    Row {
        name: "frames",
        work: Work::Frames(200),
        layout: Layout::Same,
        ours: Ours,
        others: &[HaproxySplice1m, Nginx],
        unit: "µs/frame",
        bounds: &[cost(HaproxySplice1m, 0.95, 0.85)],
    },
    Row {
        name: "round-trips",
        work: Work::RoundTrips,
        layout: Layout::Same,
        ours: Ours,
        others: &[HaproxyTcp, Nginx, Direct],
        unit: "µs/round trip",
        bounds: &[
            cost(HaproxyTcp, 0.95, 0.90),
            must(What::AddedP50(HaproxyTcp), 1.00),
            must(What::AddedP99(HaproxyTcp), 1.00),
        ],
    },
    Row {
        name: "idle",
        work: Work::Idle(5_000),
        layout: Layout::Same,
        ours: Ours,
        others: &[HaproxyTcp, Nginx],
        unit: "KiB/session",
        bounds: &[
            Bound { what: What::Memory, must: Some(2.5), aim: Some(2.0) },
            must(What::Descriptors, 2.0),
            must(What::Pipes, 0.0),
            must(What::WakeUps, 1.0),
        ],
    },
    Row {
        name: "two-connections",
        work: Work::Connections,
        layout: Layout::Two,
        ours: Ours,
        others: &[HaproxySplice, Nginx],
        unit: CONNECTION,
        bounds: &[must(What::Cost(HaproxySplice), 0.90), aim(What::Cost(Nginx), 1.00)],
    },
    Row {
        name: "two-bulk-8",
        work: Work::Bulk(8),
        layout: Layout::Two,
        ours: Ours,
        others: &[HaproxySplice1m, Nginx],
        unit: GIGABYTE,
        bounds: &[cost(HaproxySplice1m, 1.00, 0.90)],
    },
    thresholds("splice-from-frames", Work::Frames(200), Layout::Same, "µs/frame"),
    thresholds("splice-from-bulk-1", Work::Bulk(1), Layout::Same, GIGABYTE),
    thresholds("splice-from-bulk-8", Work::Bulk(8), Layout::Same, GIGABYTE),
    thresholds("splice-from-two-connections", Work::Connections, Layout::Two, CONNECTION),
    diagnosis("diagnosis-connections", Work::Connections, CONNECTION, &[cost(SameOff, 1.08, 1.05)]),
    Row {
        name: "diagnosis-off-two-connections",
        work: Work::Connections,
        layout: Layout::Two,
        ours: SameOff,
        others: &[HaproxySplice, Nginx, SameOn],
        unit: CONNECTION,
        bounds: &[compared(HaproxySplice), compared(Nginx), compared(SameOn)],
    },
    diagnosis("diagnosis-bulk-1", Work::Bulk(1), GIGABYTE, &[cost(SameOff, 1.01, 1.005)]),
    diagnosis("diagnosis-frames", Work::Frames(200), "µs/frame", &[cost(SameOff, 1.01, 1.005)]),
    diagnosis("diagnosis-round-trips", Work::RoundTrips, "µs/round trip", &[cost(SameOff, 1.01, 1.005)]),
];

/// From how many waiting bytes on a pipe is taken: the same binary with one and another. Nothing is promised of it.
const fn thresholds(name: &'static str, work: Work, layout: Layout, unit: &'static str) -> Row {
    const OTHERS: &[Target] =
        &[SpliceFrom(4_096), SpliceFrom(16_384), SpliceFrom(32_768), SpliceFrom(65_536), SpliceFrom(usize::MAX)];
    const BOUNDS: &[Bound] =
        &[compared(OTHERS[0]), compared(OTHERS[1]), compared(OTHERS[2]), compared(OTHERS[3]), compared(OTHERS[4])];
    Row { name, work, layout, ours: SpliceFrom(8_192), others: OTHERS, unit, bounds: BOUNDS }
}

/// The same binary with its diagnosis on and off.
const fn diagnosis(name: &'static str, work: Work, unit: &'static str, bounds: &'static [Bound]) -> Row {
    Row { name, work, layout: Layout::Same, ours: SameOn, others: &[SameOff], unit, bounds }
}

impl Row {
    /// Everybody it takes, ours first.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let mut all = vec![self.ours];
        all.extend(self.others);
        all
    }

    /// Whether a proxy has to be new for it: memory that was freed would hide what is taken.
    pub(crate) fn wants_fresh(&self) -> bool {
        matches!(self.work, Work::Idle(_))
    }
}

impl What {
    /// The figure in one round, given what each target came to.
    pub(crate) fn of(self, ours: &Figures, of: impl Fn(Target) -> Option<Figures>) -> Option<f64> {
        let ratio = |a: f64, b: f64| (b > 0.0).then(|| a / b);
        let added = |figure: fn(&Figures) -> Option<f64>, other: Target| {
            let direct = figure(&of(Direct)?)?;
            ratio(figure(ours)? - direct, figure(&of(other)?)? - direct)
        };
        match self {
            What::Cost(other) => ratio(ours.cost, of(other)?.cost),
            What::AddedP50(other) => added(|figures| figures.p50, other),
            What::AddedP99(other) => added(|figures| figures.p99, other),
            What::Memory => Some(ours.cost),
            What::Descriptors => ours.descriptors,
            What::Pipes => ours.pipes,
            What::WakeUps => ours.wake_ups,
        }
    }

    pub(crate) fn name(self) -> String {
        match self {
            What::Cost(other) => format!("× {}", other.name()),
            What::AddedP50(other) => format!("added p50 × {}", other.name()),
            What::AddedP99(other) => format!("added p99 × {}", other.name()),
            What::Memory => "KiB".to_owned(),
            What::Descriptors => "descriptors".to_owned(),
            What::Pipes => "pipes of all".to_owned(),
            What::WakeUps => "wake-ups of all, per s".to_owned(),
        }
    }
}
