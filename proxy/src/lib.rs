//! rdpscope: a transparent RDP diagnostic proxy.
//!
//! `session` reads like the sequence diagram of a connection, from accept to report. Everything that is thought about
//! bytes is in the `parser` crate; this crate accepts, connects, relays, and tells.

pub mod admin;
pub mod analyze;
mod bridge;
pub mod clock;
pub mod demo;
pub mod limits;
pub mod observe;
pub mod probe;
pub mod record;
pub mod run;
pub mod sys;
pub mod terminal;
pub mod tls_provider;
pub mod upstream;

mod cores;
mod listen;
mod plan;
mod relay;
mod session;
mod shutdown;
