//! What hosts really accept: asked with hand-made hellos, one connection at a time.

pub mod ask;
pub mod findings;
pub mod inside;
