//! Rescues that failed, so that one host and one kind of client are not tried again and again.
//!
//! Nothing else is learned from them: not what the host can do, not what the client can.

use crate::record::shape_told;
use parser::session::{BridgeOutcome, ClientHelloFacts};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a rescue that failed is not tried again.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Pairs remembered; the oldest one goes first.
const PAIRS: usize = 1024;

/// What failed, when, and how.
#[derive(Debug, Default)]
pub(super) struct FailedRescues(HashMap<Pair, (Instant, BridgeOutcome)>);

/// A host, and a hello as far as its fate may depend on it.
type Pair = (SocketAddr, String, u32);

fn pair(host: SocketAddr, hello: &ClientHelloFacts) -> Pair {
    (host, shape_told(&hello.shape).fingerprints.ja4.clone(), hello.length)
}

impl FailedRescues {
    /// How it failed within the last ten minutes.
    pub(super) fn remembers(&self, host: SocketAddr, hello: &ClientHelloFacts, now: Instant) -> Option<BridgeOutcome> {
        let (at, how) = self.0.get(&pair(host, hello))?;
        (now.duration_since(*at) < REMEMBERED).then(|| how.clone())
    }

    /// It has failed now.
    pub(super) fn note(&mut self, host: SocketAddr, hello: &ClientHelloFacts, how: BridgeOutcome, now: Instant) {
        if self.0.len() >= PAIRS {
            self.0.retain(|_, (at, _)| now.duration_since(*at) < REMEMBERED);
        }
        if self.0.len() >= PAIRS
            && let Some(oldest) = self.0.iter().min_by_key(|(_, (at, _))| *at).map(|(pair, _)| pair.clone())
        {
            self.0.remove(&oldest);
        }
        self.0.insert(pair(host, hello), (now, how));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_remembered_for_ten_minutes_per_host_and_hello() {
        let now = Instant::now();
        let (one, other): (SocketAddr, SocketAddr) = (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        let hello = ClientHelloFacts { length: 300, ..ClientHelloFacts::default() };
        let longer = ClientHelloFacts { length: 301, ..ClientHelloFacts::default() };
        let mut failed = FailedRescues::default();
        let how = BridgeOutcome::HostUntrusted("no pin is its".to_owned());
        failed.note(one, &hello, how.clone(), now);
        assert_eq!(failed.remembers(one, &hello, now + Duration::from_secs(599)), Some(how));
        assert_eq!(failed.remembers(one, &hello, now + Duration::from_secs(600)), None);
        assert_eq!((failed.remembers(other, &hello, now), failed.remembers(one, &longer, now)), (None, None));
    }

    #[test]
    fn the_memory_is_bounded() {
        let (now, mut failed) = (Instant::now(), FailedRescues::default());
        for port in 0..3000 {
            failed.note(
                ([127, 0, 0, 1], port).into(),
                &ClientHelloFacts::default(),
                BridgeOutcome::HostUntrusted(String::new()),
                now + Duration::from_millis(port.into()),
            );
        }
        assert_eq!(failed.0.len(), PAIRS);
        assert!(failed.remembers(([127, 0, 0, 1], 2999).into(), &ClientHelloFacts::default(), now).is_some());
    }
}
