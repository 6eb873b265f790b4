//! The one thread that looks at the clock: sessions that hang, verdicts that become final, bytes of long sessions.

use super::Observer;
use crate::clock;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Fine enough for a hang of five seconds, cheap enough for 20,000 live sessions.
const TICK: Duration = Duration::from_millis(500);

/// Byte counters of live sessions are brought up to date once in so many ticks, and at each scrape.
const BYTES_EVERY: u32 = 10;

/// Within a tick it is looked this often which sessions may rest.
const RESTS: u32 = 5;

/// Runs as long as the observer lives.
pub(super) fn start(observer: &Arc<Observer>) -> io::Result<()> {
    let observer = Arc::downgrade(observer);
    std::thread::Builder::new().name("observe".to_owned()).spawn(move || run(&observer))?;
    Ok(())
}

fn run(observer: &Weak<Observer>) {
    for tick in (0..BYTES_EVERY).cycle() {
        for _ in 0..RESTS {
            std::thread::sleep(TICK / RESTS);
            let Some(observer) = observer.upgrade() else { return };
            observer.live.rest(clock::now());
        }
        let Some(observer) = observer.upgrade() else { return };
        let now = clock::now();
        observer.hanging(now);
        observer.settle(now);
        if tick == 0 {
            observer.live.count_bytes();
        }
    }
}
