//! What is written of a session: the event, the report, the redaction of user names.

mod session;

pub use session::{LiveSession, SessionIdentity, SessionRecord};
