//! Medians, and how sure one may be of them.

/// A median with the interval that holds the true one in 95 of 100 cases, as far as the rounds tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// How often the rounds are drawn anew.
const RESAMPLES: usize = 10_000;

/// By the percentile bootstrap. The draws are the same in every run, so equal rounds give equal intervals.
pub(crate) fn estimate(values: &[f64]) -> Option<Estimate> {
    let whole = median(&mut values.to_vec())?;
    let mut draw = 0x9e37_79b9_7f4a_7c15_u64;
    let mut index = || {
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        (draw % values.len() as u64) as usize
    };
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| median(&mut (0..values.len()).map(|_| values[index()]).collect::<Vec<f64>>()))
        .collect();
    medians.sort_by(f64::total_cmp);
    let at = |share: f64| medians.get(((medians.len() - 1) as f64 * share).round() as usize).copied();
    Some(Estimate { median: whole, low: at(0.025)?, high: at(0.975)? })
}

/// The middle one, or the mean of the middle two; sorts.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get((values.len().checked_sub(1)?) / 2)?, values.get(values.len() / 2)?);
    Some((low + high) / 2.0)
}

/// The value that `share` of them do not exceed; sorts.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(((values.len().checked_sub(1)?) as f64 * share).round() as usize).copied()
}
