//! At most so many per second; the rest is counted.

use parser::Timestamp;

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
        if now.unix_seconds() != self.second {
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
}
