//! Probes at regular intervals, give or take a tenth, so that a hundred proxies do not ask one host in the same second.

use super::prober::Prober;
use crate::clock;
use crate::upstream::{Resolver, label};
use config::Upstream;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Weak;
use std::time::Duration;

/// The first probes after a start are spread over this, or over a tenth of the interval if that is less.
const FIRST: Duration = Duration::from_secs(60);

/// Shortest pause: what is due at once is due in a moment.
const SHORTEST: Duration = Duration::from_secs(1);

/// Asks every address of `upstream` once per `interval`, for as long as the prober lives.
pub(super) async fn run(prober: Weak<Prober>, upstream: Upstream, interval: Duration) {
    let resolver = Resolver::default();
    let upstream_label = label(&upstream);
    let mut pause = FIRST.min(interval / 10).mul_f64(fraction());
    loop {
        tokio::time::sleep(pause).await;
        // A name that does not resolve now may do so at the next turn; sessions tell of it meanwhile.
        let addresses = resolver.resolve(&upstream).await.unwrap_or_default();
        let mut oldest = None;
        for address in addresses {
            let Some(prober) = prober.upgrade() else { return };
            let target = prober.form_of(SocketAddr::new(address.ip().to_canonical(), address.port()));
            let age = || prober.last_asked(target).map(|asked| clock::now().since(asked));
            if age().is_none_or(|age| age >= interval.mul_f64(0.9)) {
                prober.due(target, &upstream_label).await;
            }
            oldest = oldest.max(age());
        }
        pause = next(interval, oldest, fraction());
    }
}

/// The pause until the next turn, when the oldest answer has this age.
fn next(interval: Duration, oldest: Option<Duration>, fraction: f64) -> Duration {
    let jittered = interval.mul_f64(0.9 + 0.2 * fraction);
    let age = oldest.filter(|age| *age < interval).unwrap_or_default();
    jittered.saturating_sub(age).max(SHORTEST.min(interval))
}

/// From 0 to 1, another each time.
fn fraction() -> f64 {
    let random = RandomState::new().hash_one(0_u8);
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_turn_is_an_interval_after_the_last_give_or_take_a_tenth() {
        assert_eq!(next(HOUR, None, 0.0), HOUR.mul_f64(0.9));
        assert_eq!(next(HOUR, Some(Duration::ZERO), 1.0), HOUR.mul_f64(1.1));
        assert_eq!(next(HOUR, Some(HOUR / 2), 0.5), HOUR / 2);
    }

    #[test]
    fn what_is_overdue_does_not_spin() {
        assert_eq!(next(HOUR, Some(HOUR.mul_f64(0.95)), 0.0), SHORTEST);
        assert_eq!(next(HOUR, Some(HOUR * 9), 0.0), HOUR.mul_f64(0.9), "away: asked again in its turn");
    }

    #[test]
    fn no_two_turns_are_alike() {
        let fractions: Vec<f64> = (0..16).map(|_| fraction()).collect();
        assert!(fractions.iter().all(|f| (0.0..=1.0).contains(f)));
        assert!(fractions.iter().any(|f| (f - fractions[0]).abs() > 1e-6));
    }
}
