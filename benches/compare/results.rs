//! What came out, as a table and as JSON.

use super::proxies::Target;
use super::rows::{Bound, Row, What};
use super::statistics::{Estimate, estimate, median};
use super::works::Figures;
use serde_json::{Value, json};

/// All rounds of one row: what each target came to.
pub(crate) struct Measured {
    pub(crate) row: &'static Row,
    pub(crate) rounds: Vec<Vec<(Target, Figures)>>,
}

/// What is printed when another build takes part. Nothing is promised of it.
const BEFORE: Bound = Bound { what: What::Cost(Target::Before), must: None, aim: None };

/// How a promise stands. A must is broken when even the lower end of the interval is above it.
fn standing(bound: &Bound, found: Estimate) -> &'static str {
    // A must is broken when it can be shown to be; an aim is reached when the middle of what was found is there.
    match (bound.must.is_none_or(|must| found.low <= must), bound.aim.map(|aim| found.median <= aim)) {
        (false, _) => "MISSED",
        (true, Some(true)) => "aim reached",
        (true, Some(false)) if bound.must.is_none() => "aim missed",
        (true, _) if bound.must.is_none() => "",
        (true, _) => "holds",
    }
}

impl Measured {
    /// Whether every must holds that could be measured.
    pub(crate) fn holds(&self) -> bool {
        self.row.bounds.iter().all(|bound| self.found(bound).is_none_or(|found| standing(bound, found) != "MISSED"))
    }

    fn found(&self, bound: &Bound) -> Option<Estimate> {
        let of_round = |round: &Vec<(Target, Figures)>| {
            let of =
                |target: Target| round.iter().find(|(known, _)| *known == target).map(|(_, figures)| figures.clone());
            bound.what.of(&of(self.row.ours)?, of)
        };
        estimate(&self.rounds.iter().filter_map(of_round).collect::<Vec<f64>>())
    }

    /// Those that took part.
    fn targets(&self) -> Vec<Target> {
        let took_part = |target: &Target| self.rounds.iter().flatten().any(|(known, _)| known == target);
        self.row.targets().into_iter().chain([Target::Before]).filter(took_part).collect()
    }

    /// The median of one figure of one target.
    fn median(&self, target: Target, figure: impl Fn(&Figures) -> Option<f64>) -> Option<f64> {
        let all = self.rounds.iter().flatten().filter(|(known, _)| *known == target);
        median(&mut all.filter_map(|(_, figures)| figure(figures)).collect::<Vec<f64>>())
    }

    pub(crate) fn print(&self) {
        println!("\n{} ({}, {} rounds)", self.row.name, self.row.unit, self.rounds.len());
        for target in self.targets() {
            let Some(cost) = self.median(target, |figures| Some(figures.cost)) else { continue };
            let also = [
                ("p50 µs", self.median(target, |figures| figures.p50)),
                ("p99 µs", self.median(target, |figures| figures.p99)),
                ("descriptors", self.median(target, |figures| figures.descriptors)),
                ("wake-ups/s", self.median(target, |figures| figures.wake_ups)),
            ];
            let also: String =
                also.iter().filter_map(|(name, value)| Some(format!("  {name} {:.2}", (*value)?))).collect();
            println!("  {:<26} {cost:>9.3}{also}", target.name());
        }
        for bound in self.row.bounds.iter().chain(&[BEFORE]) {
            let Some(found) = self.found(bound) else { continue };
            let limit = |limit: Option<f64>| limit.map_or_else(|| "-".to_owned(), |limit| format!("{limit}"));
            println!(
                "  {:<36} {:>7.3} [{:.3}, {:.3}]  must {:<5} aim {:<5} {}",
                bound.what.name(),
                found.median,
                found.low,
                found.high,
                limit(bound.must),
                limit(bound.aim),
                standing(bound, found)
            );
        }
    }

    pub(crate) fn json(&self) -> Value {
        let bounds = self.row.bounds.iter().chain(&[BEFORE]).filter_map(|bound| {
            let found = self.found(bound)?;
            Some(json!({
                "of": bound.what.name(), "median": found.median, "low": found.low, "high": found.high,
                "must": bound.must, "aim": bound.aim, "standing": standing(bound, found),
            }))
        });
        let figures = |(target, figures): &(Target, Figures)| {
            json!({
                "target": target.name(), "cost": figures.cost, "p50_us": figures.p50, "p99_us": figures.p99,
                "descriptors": figures.descriptors, "pipes": figures.pipes, "wake_ups_per_s": figures.wake_ups,
            })
        };
        let rounds: Vec<Value> = self.rounds.iter().map(|round| round.iter().map(figures).collect()).collect();
        json!({
            "row": self.row.name, "unit": self.row.unit, "bounds": bounds.collect::<Vec<Value>>(), "rounds": rounds,
        })
    }
}
