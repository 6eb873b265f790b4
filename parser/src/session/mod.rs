//! Both directions of one connection, its closes and the time, into a [`Timeline`].
//!
//! [`Session`] is fed by whoever holds the bytes: a live relay, a capture reader, a test. It never fails: what cannot
//! be parsed is noted in the timeline and no longer looked at.

mod phase;
mod timeline;
mod tracker;

pub use phase::{Phase, PhaseLog};
pub use timeline::*;
pub use tracker::{Limits, Session, UpstreamEvent, Watch};
