//! Recorded traffic: packets of a file to segments, segments to connections.
//!
//! [`capture`] reads pcap and pcapng, [`streams`] puts the bytes of each connection in order. Both stream: memory is
//! bounded whatever the file holds. What the bytes mean is the business of the `parser` crate, as with live ones.

pub mod capture;
pub mod own;
pub mod streams;
