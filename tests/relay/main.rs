//! The relay against scripted clients and hosts on loopback: bytes, ends, openings, limits, and the proxy's own life.
//!
//! Nothing here waits for a time to pass: a test waits for a byte, an end, or a record.

mod bytes;
mod differential;
mod ends;
mod forms;
mod gateway;
mod harness;
mod life;
mod limits;
mod opening;
mod timeouts;
