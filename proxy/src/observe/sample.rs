//! At most so many per second; the rest is counted.

use parser::Timestamp;

/// How late an end may be told, in seconds: it may have waited for a probe.
const LATE: i64 = 60;

/// One reason's second.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    second: i64,
    told: u32,
    suppressed: u64,
}

impl Sampler {
    /// `Some` when this one may be told, as `most` may each second, with how many were not since the last that was.
    pub(crate) fn admit(&mut self, now: Timestamp, most: u32) -> Option<u64> {
        if self.is_past(now) {
            self.second = now.unix_seconds();
            self.told = 0;
        }
        if self.told >= most {
            self.suppressed += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.suppressed))
    }

    /// How many were not told, once their second is over: nobody may come after them.
    pub(crate) fn over(&mut self, now: Timestamp) -> Option<u64> {
        let left = self.suppressed > 0 && self.is_past(now);
        left.then(|| std::mem::take(&mut self.suppressed))
    }

    /// This second is over at `now`. Ends are told by when they were and other things by the clock, so a time from shortly
    /// before is of this second too; one from long before is that of a clock which was set back.
    fn is_past(&self, now: Timestamp) -> bool {
        !(self.second - LATE..=self.second).contains(&now.unix_seconds())
    }

    /// When [`Sampler::over`] will have something to say.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let end = u64::try_from(self.second).unwrap_or(0).saturating_add(1);
        (self.suppressed > 0).then_some(Timestamp(end.saturating_mul(1_000_000_000)))
    }

    /// The one that was just not admitted is the first.
    pub(crate) fn has_begun_to_suppress(&self) -> bool {
        self.suppressed == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_a_second_are_told_and_the_next_one_says_how_many_were_not() {
        let mut sampler = Sampler::default();
        let told = (0..25).filter(|_| sampler.admit(Timestamp(5_500_000_000), 10).is_some()).count();
        assert_eq!(told, 10);
        assert_eq!(sampler.admit(Timestamp(6_000_000_000), 10), Some(15));
        assert_eq!(sampler.admit(Timestamp(6_000_000_001), 10), Some(0));
    }

    #[test]
    fn a_time_of_before_begins_no_second_of_its_own() {
        let mut sampler = Sampler::default();
        let told = [106, 105, 106, 105].map(|second| sampler.admit(Timestamp(second * 1_000_000_000), 1));
        assert_eq!(told, [Some(0), None, None, None]);
        assert_eq!(sampler.over(Timestamp(106_000_000_000)), None);
        assert_eq!(sampler.admit(Timestamp(9_000_000_000), 1), Some(3), "the clock was set back");
    }

    #[test]
    fn those_that_were_not_told_are_told_of_when_their_second_is_over() {
        let mut sampler = Sampler::default();
        let at = Timestamp(5_500_000_000);
        assert_eq!((sampler.admit(at, 1), sampler.due()), (Some(0), None));
        assert!(sampler.admit(at, 1).is_none() && sampler.has_begun_to_suppress());
        assert!(sampler.admit(at, 1).is_none() && !sampler.has_begun_to_suppress());
        assert_eq!((sampler.due(), sampler.over(at)), (Some(Timestamp(6_000_000_000)), None));
        assert_eq!(sampler.over(Timestamp(6_000_000_000)), Some(2));
        assert_eq!((sampler.due(), sampler.over(Timestamp(7_000_000_000))), (None, None), "once");
    }
}
