//! MCS, licensing, activation and the live session.

use super::Observer::{Bridge, Capture, Passthrough};
use super::{Entry, Predicted};
use crate::diagnosis::Side;
use crate::session::Phase;

pub(super) static SERVER_DENIED_0X7: Entry = Entry {
    title: "The host let the client in and then denied the session",
    sees: "After MCS the host sends a record of Set Error Info size (36 or 37 bytes), then nine bytes, then closes, before activation.",
    decided_by: &[Passthrough, Bridge],
    side: Side::Host,
    phases: &[Phase::Mcs, Phase::ClientInfo, Phase::Licensing, Phase::Activation],
    remedy: &[
        "See whether the host is draining: `change logon /query`; take it back with `change logon /enable`.",
        "Count the sessions (`query session`) against GPO Remote Desktop Services > Connections > \"Limit number of connections\".",
        "In a farm see that the host belongs to the collection and read the broker's log: TerminalServices-SessionBroker > Operational.",
        "Read the host's TerminalServices-RemoteConnectionManager and RdpCoreTS logs at this second: the reason is written there.",
    ],
    predicted: Predicted::same(&["0x904", "0x3"]),
    reference: "[MS-RDPBCGR] 2.2.5.1.1 ERRINFO_SERVER_DENIED_CONNECTION (7): extended code 0x7 in the client's dialog",
};

pub(super) static MCS_CORE_MISMATCH: Entry = Entry {
    title: "The host does not accept the client's MCS Connect Initial",
    sees: "The host closes right after the client's first MCS message.",
    decided_by: &[Bridge],
    side: Side::Both,
    phases: &[Phase::Mcs],
    remedy: &[
        "If something terminates TLS between client and host, see that it does not change the negotiated protocol: serverSelectedProtocol in the client's core data must repeat the host's choice.",
        "Try another client version: one bad GCC field is enough for the host to close.",
        "Read the host's RdpCoreTS log at this second (xrdp: xrdp.log with LogLevel=DEBUG).",
    ],
    predicted: Predicted::same(&["0x904"]),
    reference: "[MS-RDPBCGR] 2.2.1.3.2 serverSelectedProtocol, 3.3.5.3.3",
};

pub(super) static SERVER_CLOSED_IN_MCS: Entry = Entry {
    title: "The host closed while the session's channels were set up",
    sees: "The host closes between MCS Connect Initial and the last channel join.",
    decided_by: &[Passthrough, Bridge],
    side: Side::Host,
    phases: &[Phase::Mcs, Phase::ClientInfo],
    remedy: &[
        "Read the host's TerminalServices-RemoteConnectionManager, RdpCoreTS and Application logs at this second; a crash of the service shows as event 7031 or 1000.",
        "Remove third-party RDP wrappers and old graphics or USB redirection drivers from the host, one at a time.",
        "Turn the client's redirections off (drives, printers, plug-ins): at most 31 static channels are possible.",
    ],
    predicted: Predicted::same(&["0x904"]),
    reference: "[MS-RDPBCGR] 1.3.1.1 basic settings exchange, channel connection",
};

pub(super) static LICENSE_FAILURE: Entry = Entry {
    title: "The host closed at licensing: no usable licence, or no licence server",
    sees: "After Client Info the host sends no licence grant (34 or 35 bytes) and closes.",
    decided_by: &[Passthrough, Bridge],
    side: Side::Host,
    phases: &[Phase::ClientInfo, Phase::Licensing],
    remedy: &[
        "Run RD Licensing Diagnoser on the host (`lsdiag.msc`): it names the missing server, mode or CALs.",
        "Set GPO Remote Desktop Services > Licensing > \"Use the specified Remote Desktop license servers\" and \"Set the Remote Desktop licensing mode\".",
        "See from the host that the licence server answers: TCP 135 and its dynamic ports.",
        r"If only one client is refused, delete its stored licence, key `HKLM\SOFTWARE\Microsoft\MSLicensing` on that client, and start mstsc once as administrator.",
    ],
    predicted: Predicted::same(&["0x808", "0x908", "0x904"]),
    reference: "[MS-RDPELE] 2.2.2, [MS-RDPBCGR] 2.2.1.12.1.3; extended codes 0x100 to 0x10B",
};

pub(super) static ACTIVATION_FAILED: Entry = Entry {
    title: "The session broke off while capabilities and graphics were set up",
    sees: "A close after Demand Active or Confirm Active, before the font map.",
    decided_by: &[Passthrough, Bridge],
    side: Side::Both,
    phases: &[Phase::Licensing, Phase::Activation],
    remedy: &[
        "Read the host's RdpCoreTS and Application logs at this second.",
        "Update the host's graphics driver; to confirm, set GPO Remote Session Environment > \"Use WDDM graphics display driver for Remote Desktop Connections\" = Disabled.",
        "Connect with one small screen and default colours: unusual monitor layouts fail here.",
        "Update the client: old ones break off on the capability sets of newer hosts.",
    ],
    predicted: Predicted::same(&["0x904", "0x3"]),
    reference: "[MS-RDPBCGR] 1.3.1.1 capabilities exchange, finalization; ERRINFO 0x10C9 and above",
};

pub(super) static WINLOGON_OR_PROFILE_FAILURE: Entry = Entry {
    title: "The session came up and died within a minute: logon, profile or display",
    sees: "Activation finished, then the host closes first within about 60 seconds.",
    decided_by: &[Bridge],
    side: Side::Host,
    phases: &[Phase::Active],
    remedy: &[
        "Read the host's Application log at this second: 1000 (crash of winlogon, dwm or rdpclip), 1508, 1511, 1530 (profile).",
        "Check free disk space, the profile share and its permissions (User Profile Disks, FSLogix log).",
        "Log on as another user: if that works, it is the profile.",
    ],
    predicted: Predicted::same(&["0x904", "0x3"]),
    reference: "[MS-RDPBCGR] 2.2.5.1.1 ERRINFO 0x0F to 0x18",
};

pub(super) static SERVER_RESET_IN_SESSION: Entry = Entry {
    title: "The host, or its Remote Desktop service, went down",
    sees: "All sessions of one host end by RST or time-out in the same second.",
    decided_by: &[Passthrough, Capture],
    side: Side::Host,
    phases: &[Phase::Active],
    remedy: &[
        "Read the host's System log: 41 and 6008 (power lost), 1074 (restart asked for), 7031 (service ended).",
        "If the service crashed, the Application log has event 1000 with the faulting module.",
    ],
    predicted: Predicted::same(&["0x904"]),
    reference: "engineering judgement: simultaneous ends on one host",
};

pub(super) static HOST_CLOSED_ACTIVE: Entry = Entry {
    title: "The host closed a running session without the usual farewell",
    sees: "Session data was flowing, then the host's FIN or RST came first and no nine-byte disconnect before it.",
    decided_by: &[Passthrough, Bridge],
    side: Side::Host,
    phases: &[Phase::Active],
    remedy: &[
        "Read the host's System, Application and TerminalServices-LocalSessionManager logs at this second.",
        "See whether other sessions of this host ended in the same second: then it is the host or its service, not the user.",
        "If it came as a RST, see whether a firewall between this proxy and the host expired or reset the flow.",
    ],
    predicted: Predicted::same(&["0x904", "0x3"]),
    reference: "[MS-RDPBCGR] 1.3.1.4.2: an orderly end by the host has a Disconnect Provider Ultimatum",
};
