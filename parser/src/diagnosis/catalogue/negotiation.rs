//! X.224: what security the two agree on, and who leaves before TLS.

use super::Observer::{Passthrough, Probe};
use super::{Entry, Predicted};
use crate::diagnosis::Side;
use crate::session::Phase;

const X224: &[Phase] = &[Phase::X224];
const AFTER_CC: &[Phase] = &[Phase::X224, Phase::TlsHello];

pub(super) static HALF_OPEN_AFTER_ACCEPT: Entry = Entry {
    title: "The host accepted the connection and never answered",
    sees: "Connection Request forwarded, not one byte back until the time-out, or until the client gave up after five seconds or more.",
    decided_by: &[Passthrough],
    side: Side::Host,
    phases: X224,
    remedy: &[
        "Look at the host's load and memory; a hung host still accepts TCP.",
        "Restart the service in a quiet minute: `Restart-Service TermService -Force` (xrdp: `systemctl restart xrdp`); it ends running sessions.",
        "If a load balancer stands there, see whether the machine behind it is alive: some balancers accept for a dead one.",
        "If it answers others and slowly, raise `timeouts.negotiate`.",
    ],
    predicted: Predicted::hidden(&["0x704", "0x108", "0x904"]),
    reference: "[MS-RDPBCGR] 1.3.1.1: the Connection Confirm is the first byte a host sends",
};

pub(super) static CLOSED_BEFORE_CC: Entry = Entry {
    title: "The host accepted the connection and closed it without an answer",
    sees: "Host FIN or RST after the Connection Request, 0 bytes from the host.",
    decided_by: &[Passthrough, Probe],
    side: Side::Host,
    phases: X224,
    remedy: &[
        "Read the host's TerminalServices-RemoteConnectionManager and System logs at this second (xrdp: xrdp.log).",
        "See that the listener's certificate and key can be read; VirtualBox VRDP shows exactly this when they cannot.",
        "Look for a rule that drops this proxy's address: host firewall, IPS, fail2ban, a connection limit per address.",
    ],
    predicted: Predicted::same(&["0x904"]),
    reference: "rdesktop issue 319; measured with a host that closes after accept",
};

pub(super) static HOST_CLOSED_AFTER_CC: Entry = Entry {
    title: "The host agreed on the security and then closed before TLS began",
    sees: "Connection Confirm, then host FIN or RST first, not one TLS byte from the host.",
    decided_by: &[Passthrough, Probe],
    side: Side::Host,
    phases: AFTER_CC,
    remedy: &[
        "Read the host's System and TerminalServices-RemoteConnectionManager logs at this second: a restarting service and a connection limit look like this.",
        "Try again: if it happens every time, the listener's certificate or key is the first thing to check (certlm.msc > Remote Desktop > Certificates; xrdp.ini `certificate=`, `key_file=`).",
        "If a balancer or port guard stands in front, it may answer the negotiation in place of a dead host.",
    ],
    predicted: Predicted::same(&["0x904"]),
    reference: "measured: hosts that answer only the negotiation",
};

pub(super) static CLIENT_CLOSED_BEFORE_CC: Entry = Entry {
    title: "The client left before the host answered",
    sees: "Connection Request forwarded, client FIN or RST first, 0 bytes from the host.",
    decided_by: &[Passthrough],
    side: Side::Client,
    phases: &[Phase::Resolve, Phase::Tcp, Phase::X224],
    remedy: &[
        "Compare the waiting time in the evidence with the host's usual answer time: a slow host makes impatient clients.",
        "A scanner that asks and leaves looks the same; look at the client's address.",
    ],
    predicted: Predicted::same(&["0x108", "0x704"]),
    reference: "[MS-RDPBCGR] 1.3.1.1",
};

pub(super) static CLIENT_CLOSED_AFTER_CC: Entry = Entry {
    title: "The client left after the host's choice of security, without starting TLS",
    sees: "Connection Confirm delivered, client FIN or RST first, no TLS byte.",
    decided_by: &[Passthrough],
    side: Side::Client,
    phases: AFTER_CC,
    remedy: &[
        "Compare the host's choice with what this client accepts: a client set to NLA only leaves when the host chooses plain TLS.",
        "Turn NLA on at the host: GPO Remote Desktop Services > Security > \"Require user authentication for remote connections by using Network Level Authentication\" = Enabled.",
        "If the client came back within seconds it only asked for credentials in between.",
    ],
    predicted: Predicted::NOTHING,
    reference: "measured: xfreerdp /sec:nla against a host that chose TLS",
};

pub(super) static CLIENT_HELLO_TIMEOUT: Entry = Entry {
    title: "The client took the host's answer and never started TLS",
    sees: "Connection Confirm delivered, silence from the client until the time-out.",
    decided_by: &[Passthrough],
    side: Side::Client,
    phases: AFTER_CC,
    remedy: &[
        "If clients show a credential prompt at this point, raise `timeouts.client_hello`: the hello comes when the user has typed.",
        "Look for endpoint protection or a TLS-inspecting agent on the client that holds the handshake back.",
        "Capture on the client and see whether its ClientHello leaves the machine.",
    ],
    predicted: Predicted { mstsc: &["0x704", "0x904"], mstsc_direct: &["0x704"], schannel: &[] },
    reference: "[MS-RDPBCGR] 5.4.5.1; seen: 3.3 s between Confirm and hello while a prompt was open",
};

pub(super) static NEG_SSL_REQUIRED: Entry = Entry {
    title: "The host requires TLS and the client did not offer it",
    sees: "Connection Confirm with failure code 1, SSL_REQUIRED_BY_SERVER.",
    decided_by: &[Passthrough],
    side: Side::Client,
    phases: X224,
    remedy: &[
        "Use a client that speaks TLS, and let it: xfreerdp without `/sec:rdp`; for mstsc, version 6.0 or later.",
        "In a .rdp file set `negotiate security layer:i:1`.",
        "If this connection is a client's second try after a failed TLS handshake, look at the first one: that is the cause.",
    ],
    predicted: Predicted::NOTHING,
    reference: "[MS-RDPBCGR] 2.2.1.2.2 SSL_REQUIRED_BY_SERVER",
};

pub(super) static NEG_SSL_NOT_ALLOWED: Entry = Entry {
    title: "The host is set to classic RDP security and refuses TLS",
    sees: "Connection Confirm with failure code 2, SSL_NOT_ALLOWED_BY_SERVER.",
    decided_by: &[Passthrough],
    side: Side::Host,
    phases: X224,
    remedy: &[
        "Set GPO Remote Desktop Services > Security > \"Require use of specific security layer for remote (RDP) connections\" = SSL.",
        r"Or the value itself: `HKLM\SYSTEM\CurrentControlSet\Control\Terminal Server\WinStations\RDP-Tcp` SecurityLayer=2, then restart TermService.",
        "xrdp: `security_layer=negotiate` (or tls) with `certificate=` and `key_file=` in xrdp.ini.",
    ],
    predicted: Predicted::NOTHING,
    reference: "[MS-RDPBCGR] 2.2.1.2.2 SSL_NOT_ALLOWED_BY_SERVER",
};

pub(super) static NEG_SSL_CERT_MISSING: Entry = Entry {
    title: "The host has no certificate it can use for TLS",
    sees: "Connection Confirm with failure code 3, SSL_CERT_NOT_ON_SERVER.",
    decided_by: &[Passthrough],
    side: Side::Host,
    phases: X224,
    remedy: &[
        "On the host read TerminalServices-RemoteConnectionManager events 1051, 1055, 1057 and 1058: they say whether the certificate or its key is the problem.",
        "If it is the self-signed one: certlm.msc > Remote Desktop > Certificates, delete it, then `Restart-Service TermService -Force`; a new one is made.",
        "If it is from a CA: certlm.msc > the certificate > Manage Private Keys, NETWORK SERVICE needs Read; then bind it again in the listener.",
        "xrdp: see that `certificate=` and `key_file=` in xrdp.ini exist and that user xrdp may read them (Debian: `adduser xrdp ssl-cert`).",
    ],
    predicted: Predicted { mstsc: &["0x904"], mstsc_direct: &["0x904"], schannel: &[36870] },
    reference: "[MS-RDPBCGR] 2.2.1.2.2 SSL_CERT_NOT_ON_SERVER; Microsoft technet ee890993",
};

pub(super) static NEG_INCONSISTENT: Entry = Entry {
    title: "The host says that the client's negotiation flags contradict each other",
    sees: "Connection Confirm with failure code 4, INCONSISTENT_FLAGS.",
    decided_by: &[Passthrough],
    side: Side::Both,
    phases: X224,
    remedy: &[
        "Update the client; look at what it asked for in the evidence.",
        "See whether a device between client and this proxy rewrites the Connection Request.",
    ],
    predicted: Predicted::NOTHING,
    reference: "[MS-RDPBCGR] 2.2.1.2.2 INCONSISTENT_FLAGS",
};

pub(super) static NLA_REQUIRED: Entry = Entry {
    title: "The host requires Network Level Authentication and the client did not offer it",
    sees: "Connection Confirm with failure code 5, HYBRID_REQUIRED_BY_SERVER.",
    decided_by: &[Passthrough],
    side: Side::Client,
    phases: X224,
    remedy: &[
        "Let the client use NLA: in the .rdp file `enablecredsspsupport:i:1` and `negotiate security layer:i:1`; xfreerdp without `/sec:tls` or `/sec:rdp`.",
        "Use a client that speaks CredSSP (mstsc 6.1 or later, FreeRDP, the Microsoft apps).",
        r"For a test only, let the host accept clients without NLA: `HKLM\SYSTEM\CurrentControlSet\Control\Terminal Server\WinStations\RDP-Tcp` UserAuthentication=0 (GPO Require user authentication for remote connections by using NLA). It opens the logon screen to anybody who can connect.",
    ],
    predicted: Predicted::same(&["0xB09"]),
    reference: "[MS-RDPBCGR] 2.2.1.2.2 HYBRID_REQUIRED_BY_SERVER",
};

pub(super) static NEG_USER_CERT_REQUIRED: Entry = Entry {
    title: "The host requires a client certificate",
    sees: "Connection Confirm with failure code 6, or a CertificateRequest that the client answers with none and a host alert; in TLS 1.3, where both are encrypted, by the sizes of the two.",
    decided_by: &[Passthrough],
    side: Side::Both,
    phases: &[Phase::X224, Phase::TlsFinish],
    remedy: &[
        "Log on with a smart card or a user certificate that the host's CA issued.",
        "See whether the policy is meant for these users: GPO Interactive logon > \"Require Windows Hello for Business or smart card\".",
        "If a TLS front stands before the host, see whether it is set to ask for client certificates.",
    ],
    predicted: Predicted::NOTHING,
    reference: "[MS-RDPBCGR] 2.2.1.2.2 SSL_WITH_USER_AUTH_REQUIRED_BY_SERVER; RFC 5246 7.4.4",
};

pub(super) static NEG_UNKNOWN_PROTOCOL_BITS: Entry = Entry {
    title: "The host hangs up on protocol bits it does not know",
    sees: "The request asks for more than TLS, NLA and HYBRID_EX; the answer is a clear nine-byte disconnect, or nothing, then a close.",
    decided_by: &[Passthrough, Probe],
    side: Side::Host,
    phases: X224,
    remedy: &[
        "Update the host: older xrdp closes instead of ignoring RDSTLS and Entra ID bits.",
        "In mstsc clear Advanced > \"Use a web account to sign in to the remote computer\"; in the .rdp file `enablerdsaadauth:i:0`.",
        "Do not let a broker redirect to this host with RDSTLS.",
    ],
    predicted: Predicted::same(&["0x904"]),
    reference: "measured with xrdp 0.9.21; xrdp libxrdp/xrdp_iso.c",
};

pub(super) static NEG_FAILURE_OTHER: Entry = Entry {
    title: "The host refused the negotiation with a code that is not published",
    sees: "Connection Confirm with a failure code outside 1 to 6.",
    decided_by: &[Passthrough],
    side: Side::Both,
    phases: X224,
    remedy: &[
        "Look for the number in the evidence in the manual of the host's product: it is not one of Microsoft's six.",
        "Update the host's RDP server, and the client.",
    ],
    predicted: Predicted::same(&["0x904"]),
    reference: "[MS-RDPBCGR] 2.2.1.2.2 lists 1 to 6",
};

pub(super) static SERVER_SELECTED_WEAKER: Entry = Entry {
    title: "The host chose a protocol that the client did not ask for",
    sees: "selectedProtocol of the Connection Confirm is not among the requested ones; the client leaves.",
    decided_by: &[Passthrough],
    side: Side::Both,
    phases: AFTER_CC,
    remedy: &[
        "See why the host cannot do what was asked: without a usable certificate an xrdp with `security_layer=negotiate` falls back to classic RDP security. Check `certificate=` and `key_file=` in xrdp.ini.",
        "Set the host to TLS: xrdp.ini `security_layer=tls`; Windows GPO \"Require use of specific security layer\" = SSL.",
        "Update the client so that it offers what this host has (TLS beside NLA).",
    ],
    predicted: Predicted::same(&["0x904"]),
    reference: "[MS-RDPBCGR] 3.2.5.3.2: the client must drop the connection then; measured with xrdp 0.9.21",
};

pub(super) static TLS_HELLO_WITHOUT_NEGOTIATION: Entry = Entry {
    title: "The client started TLS at once, but this host wants the RDP negotiation first",
    sees: "The first client byte is a TLS handshake; the host closes with no TLS byte.",
    decided_by: &[Passthrough],
    side: Side::Client,
    phases: X224,
    remedy: &[
        "If it is a health check or a scanner, let the balancer check by TCP connect or send an X.224 request.",
        "If it is a gateway client, this listener points at an RDP host: send gateway traffic to a listener whose upstream is the gateway.",
    ],
    predicted: Predicted::NOTHING,
    reference: "[MS-RDPBCGR] 5.4.5.1; measured with xrdp and freerdp-shadow",
};

pub(super) static RESTRICTED_ADMIN_DENIED: Entry = Entry {
    title: "The client asked for Restricted Admin or Remote Credential Guard and the host does not offer it",
    sees: "The request carries flag 0x01 or 0x02, the Confirm lacks 0x08 or 0x10, then a close.",
    decided_by: &[Passthrough, Probe],
    side: Side::Both,
    phases: &[Phase::TlsHello, Phase::TlsFinish, Phase::Credssp],
    remedy: &[
        "Start mstsc without `/restrictedAdmin` or `/remoteGuard` if it is not needed here.",
        r"Allow it on the host: `HKLM\SYSTEM\CurrentControlSet\Control\Lsa` DisableRestrictedAdmin=0 (DWORD).",
        "Check GPO System > Credentials Delegation > \"Restrict delegation of credentials to remote servers\" on the client.",
    ],
    predicted: Predicted::same(&["0xE09"]),
    reference: "[MS-RDPBCGR] 2.2.1.1.1 and 2.2.1.2.1, RESTRICTED_ADMIN and REDIRECTED_AUTHENTICATION flags",
};
