//! Nothing is wrong, or the session was ended on purpose.

use super::Observer::{Bridge, Passthrough};
use super::{Entry, Predicted};
use crate::diagnosis::Side;
use crate::session::Phase;

pub(super) static OK: Entry = Entry {
    title: "The session came up and was ended by the client, its user or a policy",
    sees: "Activation finished and session data flowed; the end was orderly, or came from the client.",
    decided_by: &[Passthrough],
    side: Side::Client,
    phases: &[Phase::TlsFinish, Phase::Active],
    remedy: &[],
    predicted: Predicted::same(&["0x1", "0x2", "0x3"]),
    reference: "[MS-RDPBCGR] 1.3.1.1, 1.3.1.4",
};

pub(super) static OK_BRIDGED: Entry = Entry {
    title: "The session came up through the bridge and was ended by the client, its user or a policy",
    sees: "Nothing: in a bridged session the proxy terminates TLS on both legs.",
    decided_by: &[Bridge],
    side: Side::Client,
    phases: &[Phase::TlsFinish, Phase::Active],
    remedy: &[],
    predicted: Predicted::same(&["0x1", "0x2", "0x3"]),
    reference: "[MS-RDPBCGR] 1.3.1.1, 1.3.1.4",
};

pub(super) static CLIENT_PROMPT_PROBE: Entry = Entry {
    title: "The client dropped its first connection at a prompt and came back: not a failure",
    sees: "The client closes after TLS or in CredSSP without any MCS byte; within seconds one that asks for the same, with the same TLS offer, connects from its address and gets further.",
    decided_by: &[Passthrough],
    side: Side::Client,
    phases: &[Phase::TlsHello, Phase::TlsFinish, Phase::Credssp, Phase::Rdstls, Phase::Mcs],
    remedy: &[],
    predicted: Predicted::NOTHING,
    reference: "xrdp issue 2476: mstsc connects once to ask for credentials or to show the certificate, then again",
};

pub(super) static USER_CLOSED: Entry = Entry {
    title: "The user or the client program ended the session",
    sees: "The client's last record is a nine-byte disconnect or a close_notify, then its FIN.",
    decided_by: &[Passthrough, Bridge],
    side: Side::Client,
    phases: &[Phase::Active],
    remedy: &[],
    predicted: Predicted::same(&["0x1", "0x2"]),
    reference: "[MS-RDPBCGR] 1.3.1.4.1; T.125 Disconnect Provider Ultimatum, reason 3",
};

pub(super) static SESSION_REPLACED: Entry = Entry {
    title: "Another logon of the same account took the session over",
    sees: "The host sends a record of Set Error Info size (36 or 37 bytes), then nine bytes, then closes; the reason itself is encrypted.",
    decided_by: &[Bridge],
    side: Side::Host,
    phases: &[Phase::Active],
    remedy: &[
        "Find who logged on: Event Viewer > TerminalServices-LocalSessionManager > Operational, events 25 and 40 at this second.",
        "If several sessions per account are meant to be possible, set GPO Remote Desktop Services > Connections > \"Restrict Remote Desktop Services users to a single session\" to Disabled.",
    ],
    predicted: Predicted::same(&["0x3"]),
    reference: "[MS-RDPBCGR] 2.2.5.1.1 ERRINFO_DISCONNECTED_BY_OTHERCONNECTION (5)",
};

pub(super) static IDLE_OR_TIME_LIMIT: Entry = Entry {
    title: "A time limit of the host ended the session",
    sees: "A regular lifetime and an orderly end by the host; the reason itself is encrypted.",
    decided_by: &[Bridge],
    side: Side::Host,
    phases: &[Phase::Active],
    remedy: &[
        "If the limit is not wanted, change GPO Remote Desktop Services > Session Time Limits (active, idle, disconnected) on the host or in the collection.",
    ],
    predicted: Predicted::same(&["0x3"]),
    reference: "[MS-RDPBCGR] 2.2.5.1.1 ERRINFO_IDLE_TIMEOUT (3), ERRINFO_LOGON_TIMEOUT (4)",
};
