//! One direction of a connection: chunks in, messages out. Buffers only until the opening is understood.
//!
//! [`ClientStream`] and [`HostStream`] are pulled: `while let Some(event) = stream.next(&mut bytes, at)`. A message that is
//! whole in a chunk is read where it lies; one that is not is held, up to a stated bound, and given back when it is read.
//! [`RecordReader`] alone follows record headers, for who needs no more than that.

mod body;
mod buffer;
mod client;
mod event;
mod facts;
mod handshake;
mod host;
mod opening;
mod pdus;
mod plain;
mod records;
#[cfg(test)]
mod tests;
mod tls;
mod ts_requests;

pub use client::ClientStream;
pub use event::{Event, PendingHandshake};
pub use host::HostStream;
pub use plain::PlainStream;
pub use records::{RecordReader, RecordStep};
