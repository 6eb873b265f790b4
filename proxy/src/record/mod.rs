//! What is written of a session: the event, the report, the redaction of user names.
//!
//! [`Event`] is one JSON line; [`Writer`] takes it to its file without ever holding up a session; [`report`] is the same
//! for a person. Everything here is made from a [`SessionRecord`], nothing from bytes.

pub(crate) mod capture;
mod community_id;
mod detail;
mod event;
#[cfg(test)]
pub(crate) mod fixture;
mod log_file;
mod profile;
mod queue;
mod redact;
mod report;
mod session;
mod shapes;
mod socket;
mod stamp;

pub use capture::{StoreError, Tape};
pub use community_id::{CommunityId, community_id};
pub use detail::Detail;
pub use event::{Action, Attempt, Captured, Event, OtherLeg, SCHEMA, Silence, Told};
pub use profile::profile_json;
pub use queue::{Dropped, Sink, Writer};
pub use redact::{KeyError, Names};
pub(crate) use report::HANGING;
pub(crate) use report::readable;
pub use report::{ReportStyle, report, write_report};
pub use session::{CaptureFile, LiveSession, SessionIdentity, SessionRecord};
pub(crate) use shapes::{evicted as evicted_shapes, shared as shared_shape, told as shape_told};
pub(crate) use stamp::Stamp;
pub use stamp::rfc3339;
