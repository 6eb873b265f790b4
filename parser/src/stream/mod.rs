//! One direction of a connection: chunks in, messages out. Buffers only until the opening is understood.

mod event;

pub use event::{Event, PendingHandshake};
