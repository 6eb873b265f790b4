//! Recorded traffic: a capture to the same records that a live relay makes.
//!
//! [`source`] opens files, compressed ones and standard input; [`capture`] reads pcap and pcapng into packets; [`streams`]
//! puts the bytes of each connection in order; [`analysis`] shows them to the tracker as a relay would have, and tells what
//! each came to. Everything streams: memory is bounded whatever the file holds. What the bytes mean is the business of the
//! `parser` crate, as with live ones.

pub mod analysis;
pub mod capture;
#[doc(hidden)]
pub mod fuzz_properties;
pub mod own;
pub mod packet;
pub mod path;
pub mod source;
pub mod streams;

mod ahead;
mod direction;
mod flow;
mod observed;
mod pairs;
mod replay;
mod settle;
