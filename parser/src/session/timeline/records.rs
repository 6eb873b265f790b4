//! What is told from records by their direction, order and size.

use super::PerPeer;
use crate::Timestamp;

/// The shape of one TLS record, or of one clear TPKT / fast-path PDU under standard RDP security.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordShape {
    /// TLS content type; 0 for a clear RDP PDU.
    pub content_type: u8,
    /// Length field of the record header (bytes after the header); for a clear PDU the whole length.
    pub length: u16,
    /// When its header was seen.
    pub at: Timestamp,
}

/// The last records of one direction, newest last, so that an orderly end can be told from a cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Up to four; unused slots are zero.
    pub records: [RecordShape; 4],
    /// How many slots are used.
    pub used: u8,
    /// False when bytes passed that were not looked at: causes that need the tail are then not given.
    pub known: bool,
}

impl Tail {
    /// The shapes, oldest first.
    #[must_use]
    pub fn shapes(&self) -> &[RecordShape] {
        &self.records[..usize::from(self.used).min(4)]
    }
}

/// Bytes and records of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes read from this peer.
    pub bytes: u64,
    /// When its first byte came.
    pub first: Option<Timestamp>,
    /// When its last byte came.
    pub last: Option<Timestamp>,
    /// TLS records (or clear PDUs) followed while the tracker watched.
    pub records: u32,
}

/// How far the session got after TLS (or after the Connection Confirm under standard RDP security), told from
/// directions, order and sizes, or behind a bridge from the messages. [MS-RDPBCGR] 1.3.1.1. Each time is that of the record
/// that showed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Application records before MCS, per peer: the CredSSP exchange, when NLA was selected.
    pub credssp_records: PerPeer<u16>,
    /// Plaintext size of the last CredSSP record per peer, when the suite gives exact sizes.
    pub credssp_last: PerPeer<Option<u16>>,
    /// The client's third-message-like record (bigger than its first, after a host answer) was seen: credentials were shown.
    pub credssp_authenticate: Option<Timestamp>,
    /// The host answered that message with a record that is not an alert.
    pub credssp_accepted: Option<Timestamp>,
    /// The host sent a small TSRequest (errorCode) after the client's authenticate message.
    pub credssp_error: Option<Timestamp>,
    /// A four-byte host record after CredSSP: Early User Authorization Result. [MS-RDPBCGR] 2.2.10.2
    pub early_user_auth: Option<Timestamp>,
    /// MCS Connect Initial.
    pub connect_initial: Option<Timestamp>,
    /// MCS Connect Response.
    pub connect_response: Option<Timestamp>,
    /// Attach User Confirm.
    pub attach_user: Option<Timestamp>,
    /// Channel joins confirmed.
    pub joins: u8,
    /// Client Info.
    pub client_info: Option<Timestamp>,
    /// First licensing record by the host.
    pub licensing: Option<Timestamp>,
    /// The licence was granted ("valid client" sized).
    pub licensed: Option<Timestamp>,
    /// Demand Active.
    pub demand_active: Option<Timestamp>,
    /// Confirm Active.
    pub confirm_active: Option<Timestamp>,
    /// Finalization complete or session data flowing: the session is up.
    pub active: Option<Timestamp>,
    /// Before activation the host sent a Set-Error-Info-sized record (36–37) and then nine bytes.
    pub denied: Option<Timestamp>,
}
