//! Both directions of one connection, its closes and the time, into a [`Timeline`].
//!
//! [`Session`] is fed by whoever holds the bytes: a live relay, a capture reader, a test. It never fails: what cannot
//! be parsed is noted in the timeline and no longer looked at.
//!
//! In the order of a connection: `tracker` takes bytes and hands them to the streams, and `beside_bytes` takes closes
//! and whatever else is known of a connection; `reading` turns their messages into facts, and `records` TLS records;
//! `handshake` follows TLS to its end; `after_tls` (with `credssp`, `tickets` and `split`), `clear_rdp`, `plain`
//! (behind a bridge) and `gateway` tell how far RDP gets; `advance` makes a phase of it; `awaiting` says what may be
//! timed; `release` when to stop; `tail` keeps what came last; `resting` is a session that is up, in few bytes;
//! `bridge` is what a bridge tells of itself, `told` what was said where it could be read.

mod advance;
mod after_tls;
mod awaiting;
mod beside_bytes;
mod bridge;
mod clear_rdp;
mod credssp;
mod gateway;
mod handshake;
mod packets;
mod phase;
mod plain;
mod reading;
mod records;
mod release;
mod resting;
mod shapes;
mod split;
mod tail;
mod tickets;
mod timeline;
mod told;
mod tracker;

pub use beside_bytes::UpstreamEvent;
pub use bridge::{BridgeBlock, BridgeCut, BridgeFacts, BridgeLeg, BridgeOutcome, BridgeReason};
pub use packets::{PacketFacts, PathError, PathFacts, RepeatedSegment, ResetFacts, SentFacts};
pub use phase::{Phase, PhaseLog};
pub use release::Limits;
pub use resting::Resting;
pub use timeline::*;
pub use told::{McsStep, Told};
pub use tracker::{Session, Watch};
