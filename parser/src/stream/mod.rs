//! One direction of a connection: chunks in, messages out. Buffers only until the opening is understood.
