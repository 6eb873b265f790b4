//! RD Gateway: TLS first, then HTTP, tunnel and channel inside.

use super::Observer::{Bridge, Passthrough, Probe};
use super::{Entry, Predicted};
use crate::diagnosis::Side;
use crate::session::Phase;

const HTTP: &[Phase] = &[Phase::TlsFinish, Phase::Http];
const TUNNEL: &[Phase] = &[Phase::TlsFinish, Phase::Http, Phase::Tunnel];
const CHANNEL: &[Phase] = &[Phase::TlsFinish, Phase::Tunnel, Phase::Channel];

pub(super) static RDG_TLS_FAILURE: Entry = Entry {
    title: "Client and gateway could not complete TLS",
    sees: "TLS from the first byte, and a handshake that fails; the alternatives name the TLS cause underneath.",
    decided_by: &[Passthrough, Probe],
    side: Side::Both,
    phases: &[Phase::TlsHello, Phase::TlsFinish],
    remedy: &[
        "See the gateway's certificate: RD Gateway Manager > Properties > SSL Certificate; its name must be the one clients use, its chain complete, its date valid.",
        "See what TLS the gateway accepts: it is IIS on Schannel, the same registry keys and suite order apply (`Get-TlsCipherSuite`).",
        "Read the gateway's System log, source Schannel, at this second.",
    ],
    predicted: Predicted {
        mstsc: &["0x3000005", "0x3000006", "0x3000007", "0x300004A"],
        mstsc_direct: &["0x3000005", "0x3000006", "0x3000007", "0x300004A"],
        schannel: &[36874, 36888],
    },
    reference: "[MS-TSGU] 2.1; names of the client codes published by rdpgw",
};

pub(super) static RDG_HTTP_401_LOOP: Entry = Entry {
    title: "The gateway keeps answering 401: the logon at the gateway fails",
    sees: "Short, equal exchanges inside TLS, then a close; the status is encrypted.",
    decided_by: &[Bridge],
    side: Side::Both,
    phases: HTTP,
    remedy: &[
        "Check the user name and password for the gateway itself; gateway event 4625 in its Security log says which.",
        "If something terminates TLS between client and gateway, take it away or let it pass TLS through: channel binding fails there (status 0xC000035B).",
        r"For a test only: `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\TerminalServerGateway\Config\Core` EnforceChannelBinding=0, then restart TSGateway. It opens the gateway to relayed logons.",
    ],
    predicted: Predicted::same(&["0x300001C", "0xC000035B"]),
    reference: "[MS-TSGU] 3.3.5; Microsoft KB 2903333",
};

pub(super) static RDG_HTTP_403_404_503: Entry = Entry {
    title: "The gateway's web server answers 403, 404 or 503",
    sees: "One exchange inside TLS, then a close; the status is encrypted. Behind a TLS terminator it is read.",
    decided_by: &[Passthrough, Probe, Bridge],
    side: Side::Host,
    phases: HTTP,
    remedy: &[
        "On the gateway: `Get-Service TSGateway`, and IIS Manager > Application Pools, all started.",
        "Ask for the address yourself: `curl -ki https://GATEWAY/remoteDesktopGateway/`; 401 is the healthy answer.",
        "Check the IIS bindings and that the virtual directories remoteDesktopGateway and rpc exist.",
    ],
    predicted: Predicted::same(&["0x300000D", "0x3000008"]),
    reference: "FreeRDP issues 7756, 2282, 2958",
};

pub(super) static RDG_WEBSOCKET_BLOCKED: Entry = Entry {
    title: "A web proxy does not let the gateway's WebSocket upgrade pass",
    sees: "One connection, then the client falls back to two, or gives up.",
    decided_by: &[Probe, Bridge],
    side: Side::Network,
    phases: HTTP,
    remedy: &[
        "Let the reverse proxy pass the headers Upgrade and Connection, with HTTP/1.1 to the gateway.",
        "Clients that fall back to two connections still work, unless the balancer sends them to two nodes.",
    ],
    predicted: Predicted::same(&["0x3000008"]),
    reference: "[MS-TSGU] 3.3.5.1; RFC 6455 4.1",
};

pub(super) static RDG_IN_OUT_SPLIT: Entry = Entry {
    title: "The client's two gateway connections landed on different nodes",
    sees: "Two connections of one client at once, one of them dies.",
    decided_by: &[Bridge],
    side: Side::Network,
    phases: HTTP,
    remedy: &[
        "Make the balancer sticky by client address, or by the header RDG-Connection-Id.",
        "In the gateway farm enter all members on every node; event 210 tells of unmatched connections.",
    ],
    predicted: Predicted::same(&["0x3000008"]),
    reference: "[MS-TSGU] 3.3.5.1; TerminalServices-Gateway event 210",
};

pub(super) static RDG_CAP_DENIED: Entry = Entry {
    title: "The gateway's connection authorization policy refuses the user",
    sees: "A close by the gateway after a few small records; the reason is encrypted.",
    decided_by: &[Bridge],
    side: Side::Host,
    phases: TUNNEL,
    remedy: &[
        "Read the gateway's TerminalServices-Gateway log: event 201 names the user and the reason.",
        "Add the user's group to the RD CAP (RD Gateway Manager > Policies), or to the policy on the NPS server it asks.",
    ],
    predicted: Predicted::same(&["0x300001B", "0x300001C"]),
    reference: "[MS-TSGU] E_PROXY_NAP_ACCESSDENIED 0x800759DB",
};

pub(super) static RDG_RAP_DENIED: Entry = Entry {
    title: "The gateway's resource authorization policy refuses the target",
    sees: "A close by the gateway after the channel request; the reason is encrypted.",
    decided_by: &[Bridge],
    side: Side::Host,
    phases: CHANNEL,
    remedy: &[
        "Read the gateway's TerminalServices-Gateway log: event 301 names user and target.",
        "Add the target to the RD RAP in every form clients use: short name, full name, address, and the port.",
    ],
    predicted: Predicted::same(&["0x300001F"]),
    reference: "[MS-TSGU] E_PROXY_RAP_ACCESSDENIED 0x800759DA",
};

pub(super) static RDG_TARGET_UNREACHABLE: Entry = Entry {
    title: "The gateway cannot reach the target host",
    sees: "A close, or silence, after the channel request; behind the gateway: a connect that fails.",
    decided_by: &[Bridge, Passthrough],
    side: Side::Network,
    phases: CHANNEL,
    remedy: &[
        "Read the gateway's TerminalServices-Gateway log: event 304 names the target.",
        "On the gateway: `Test-NetConnection TARGET -Port 3389`; it tells DNS from TCP.",
        "Open the firewall from the gateway to the host's 3389, and start the host.",
    ],
    predicted: Predicted::same(&["0x3000008", "0x904"]),
    reference: "[MS-TSGU] E_PROXY_TS_CONNECTFAILED 0x800759DD",
};

pub(super) static RDG_MAX_CONNECTIONS: Entry = Entry {
    title: "The gateway's connection limit is reached",
    sees: "A quick close by the gateway inside TLS; the reason is encrypted.",
    decided_by: &[Bridge],
    side: Side::Host,
    phases: TUNNEL,
    remedy: &[
        "RD Gateway Manager > Monitoring shows how many are connected; event 203 tells of the limit.",
        "Raise the limit in the gateway's properties, or add a member to the farm (Standard Edition ends at 250).",
    ],
    predicted: Predicted::same(&["0x3000022"]),
    reference: "[MS-TSGU] E_PROXY_MAXCONNECTIONSREACHED 0x59E6",
};

pub(super) static RDG_TIMEOUT: Entry = Entry {
    title: "A time-out of the gateway ended the connection",
    sees: "A close at a fixed age.",
    decided_by: &[Bridge],
    side: Side::Host,
    phases: &[Phase::TlsFinish, Phase::Tunnel, Phase::Channel, Phase::Active],
    remedy: &["RD Gateway Manager > Policies > the RD CAP > Timeouts: idle and session time-out."],
    predicted: Predicted::same(&["0x3000033"]),
    reference: "[MS-TSGU] E_PROXY_SESSIONTIMEOUT 0x59F6",
};

pub(super) static RDG_COOKIE: Entry = Entry {
    title: "The gateway refuses the access token",
    sees: "A close by the gateway inside TLS; the reason is encrypted.",
    decided_by: &[Bridge],
    side: Side::Client,
    phases: TUNNEL,
    remedy: &[
        "Get a new .rdp file from the portal: tokens live for minutes.",
        "Check clocks and the signing key of the token issuer against the gateway's.",
    ],
    predicted: Predicted::same(&["0x3000034", "0x3000035"]),
    reference: "[MS-TSGU] E_PROXY_COOKIE_BADPACKET 0x800759F7, E_PROXY_COOKIE_AUTHENTICATION_ACCESS_DENIED 0x800759F8",
};

pub(super) static RDG_CLOSED_AFTER_TLS: Entry = Entry {
    title: "The gateway connection ended inside TLS; what was said there cannot be seen",
    sees: "TLS completed on a TLS-first connection, then a close before any session data flowed.",
    decided_by: &[Bridge],
    side: Side::Both,
    phases: &[Phase::TlsFinish, Phase::Http, Phase::Tunnel, Phase::Channel],
    remedy: &[
        "Read the gateway's TerminalServices-Gateway > Operational log at this second: 200 and 201 connection policy, 300 and 301 resource policy, 302 and 303 connected and ended, 304 target not reached.",
        "If the log has nothing, the web server refused: IIS log of the gateway, status 401, 403, 404 or 503.",
    ],
    predicted: Predicted::same(&["0x3000008", "0x904"]),
    reference: "[MS-TSGU] 1.3.3; TerminalServices-Gateway events 200 to 304",
};
