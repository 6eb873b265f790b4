//! RDP openings, read from bytes: what was asked, what was answered, how far it got, who ended it, and why.
//!
//! This crate is the waist of rdpscope. Bytes, closes and times go in as arguments; a [`session::Timeline`] and a
//! [`diagnosis::Verdict`] come out. It knows no socket, no clock and no runtime, so the same code serves a live
//! connection, a capture file, a property test and a fuzzer, and they cannot disagree.
//!
//! Four rooms, each readable without the next one:
//!
//! * [`wire`]: one message per file, zero-copy. Bytes to values.
//! * [`stream`]: one direction of a connection. Chunks to messages.
//! * [`session`]: both directions, closes and times. Messages to a timeline, phase by phase.
//! * [`diagnosis`]: a timeline to a verdict. The catalogue of causes lives here.

pub mod diagnosis;
#[doc(hidden)]
pub mod fuzz_properties;
pub mod profile;
pub mod session;
pub mod stream;
pub mod wire;

mod pack;
mod time;

pub use time::Timestamp;
