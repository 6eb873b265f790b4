//! Asking hosts what they accept, as an operator lives with it: the real proxy in this process, real TLS on both sides,
//! and the events, metrics and pages that come of it.

#![allow(clippy::unwrap_used)]

mod bench;
mod flow;
mod host;
mod old;
mod proof;
mod state;
