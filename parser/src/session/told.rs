//! What the two ends said in messages that could be read: plaintext behind a bridge, or standard RDP security where it
//! encrypts nothing. Codes, lengths and flags; no password, no token, no cookie, no ticket.

use super::PerPeer;
use crate::Timestamp;
use crate::wire::{
    ClientData, ClientInfo, DisconnectReason, EarlyUserAuth, ErrorInfo, Licence, McsResult, Mechanism, NtStatus,
    RedirectionFlags, ServerData, SessionInfo,
};

/// Every fact that only readable messages give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// `version` of the peer's TSRequests.
    pub credssp_version: PerPeer<Option<u32>>,
    /// Who authenticated the user; the last mechanism that a token showed.
    pub mechanism: Option<Mechanism>,
    /// The host refused with this `errorCode`.
    pub nt_status: Option<(NtStatus, Timestamp)>,
    /// The client has handed its credentials over (`authInfo`).
    pub credentials_delegated: Option<Timestamp>,
    /// Early User Authorization Result.
    pub early_user_auth: Option<(EarlyUserAuth, Timestamp)>,
    /// The client's MCS Connect Initial.
    pub client: Option<Box<ClientData>>,
    /// The host's MCS Connect Response.
    pub server: Option<ServerData>,
    /// The first MCS request that the host refused, with its result.
    pub mcs_refused: Option<(McsStep, McsResult, Timestamp)>,
    /// The head of Client Info.
    pub client_info: Option<ClientInfo>,
    /// The last licensing message of each peer.
    pub licence: PerPeer<Option<(Licence, Timestamp)>>,
    /// The last Set Error Info; [`ErrorInfo::NONE`] takes an earlier one back.
    pub error_info: Option<(ErrorInfo, Timestamp)>,
    /// The last Save Session Info.
    pub session_info: Option<SessionInfo>,
    /// The client asked whether it may close (Shutdown Request).
    pub shutdown_requested: Option<Timestamp>,
    /// Deactivate All by the host: how often. A reactivation follows each but the last.
    pub deactivated: u16,
    /// Server Redirection.
    pub redirection: Option<(RedirectionFlags, Timestamp)>,
    /// The peer's MCS Disconnect Provider Ultimatum. xrdp gives the same reason for nearly every end of its own.
    pub disconnect: PerPeer<Option<(DisconnectReason, Timestamp)>>,
}

/// An MCS request that a host may refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum McsStep {
    /// Connect Initial.
    Connect,
    /// Attach User Request.
    AttachUser,
    /// Channel Join Request.
    ChannelJoin,
}

impl McsStep {
    /// The name used in events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            McsStep::Connect => "connect",
            McsStep::AttachUser => "attach_user",
            McsStep::ChannelJoin => "channel_join",
        }
    }
}
