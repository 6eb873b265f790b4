//! CredSSP, that is Network Level Authentication, and what ends right after TLS.

use super::Observer::{Bridge, Passthrough, Probe};
use super::{Entry, Predicted};
use crate::diagnosis::Side;
use crate::session::Phase;

const NLA: &[Phase] = &[Phase::Credssp];

pub(super) static NLA_AUTH_REFUSED: Entry = Entry {
    title: "The host refused the logon during Network Level Authentication",
    sees: "After the client's authenticate message the host answers with a small record or closes.",
    decided_by: &[Passthrough, Bridge],
    side: Side::Both,
    phases: NLA,
    remedy: &[
        "Read the host's (or the domain controller's) Security log at this second: event 4625, its SubStatus says what: 0xC000006A password, 0xC0000064 no such user, 0xC0000234 locked, 0xC0000072 disabled, 0xC0000071 expired.",
        r"Try the user name in full: `DOMAIN\user` or user@domain; for a local account `HOST\user`.",
        "See whether NTLM is refused: GPO Network security > Restrict NTLM, membership in Protected Users.",
        "An expired password cannot be changed through NLA: change it by another way, then connect.",
    ],
    predicted: Predicted::same(&["0x807", "0xA07", "0xB07", "0xC07", "0xD07", "0xE07", "0xF07", "0x1207"]),
    reference: "[MS-CSSP] 2.2.1 errorCode; measured: freerdp-shadow closes after the third message",
};

pub(super) static NLA_PUBKEY_MISMATCH: Entry = Entry {
    title: "NLA found another TLS key than the host's own: something terminates TLS in between",
    sees: "A close right after the public key exchange of CredSSP, by either side.",
    decided_by: &[Bridge, Probe],
    side: Side::Network,
    phases: NLA,
    remedy: &["Take the TLS-terminating device (inspection, balancer) out of the path, or let it pass RDP untouched."],
    predicted: Predicted::same(&["0x904"]),
    reference: "[MS-CSSP] 3.1.5 pubKeyAuth; PyRDP documentation",
};

pub(super) static CREDSSP_ORACLE_REMEDIATION: Entry = Entry {
    title: "One side lacks the CredSSP update of 2018 and the other refuses to go on",
    sees: "The CredSSP exchange stops after its first or second message: the client closes.",
    decided_by: &[Probe, Bridge],
    side: Side::Both,
    phases: NLA,
    remedy: &[
        "Install the updates on the older side (CVE-2018-0886, May 2018 or later): that is the whole cure.",
        r"For a test only, on the client: GPO System > Credentials Delegation > Encryption Oracle Remediation = Vulnerable (AllowEncryptionOracle=2). Take it back the same day.",
    ],
    predicted: Predicted::same(&["0x904"]),
    reference: "Microsoft KB 4295591, CVE-2018-0886",
};

pub(super) static CREDSSP_DELEGATION_POLICY: Entry = Entry {
    title: "The client's policy forbids handing credentials to this host",
    sees: "The client closes before or after its first CredSSP message.",
    decided_by: &[Bridge],
    side: Side::Client,
    phases: NLA,
    remedy: &[
        "Make Kerberos work, then no exception is needed: connect by the host's full DNS name, its SPN TERMSRV/NAME must exist (`setspn -L HOST`).",
        "Otherwise allow it for named hosts: GPO System > Credentials Delegation > \"Allow delegating saved credentials with NTLM-only server authentication\" with TERMSRV/HOST.",
    ],
    predicted: Predicted::same(&["0x1607", "0x1707"]),
    reference: "Microsoft: SSL_ERR_DELEGATION_POLICY, SSL_ERR_POLICY_NTLM_ONLY",
};

pub(super) static KERBEROS_UNREACHABLE: Entry = Entry {
    title: "Kerberos could not be used: no domain controller, wrong time or wrong name",
    sees: "A pause of seconds in CredSSP, then the client closes, or falls back to smaller NTLM messages.",
    decided_by: &[Bridge],
    side: Side::Network,
    phases: NLA,
    remedy: &[
        "From the client: `nltest /dsgetdc:DOMAIN`, `klist get TERMSRV/HOST`.",
        "Compare the clocks: `w32tm /query /status`; five minutes are the limit.",
        "See that the SPN exists once: `setspn -Q TERMSRV/HOST`.",
        "For clients outside of the network publish a KDC proxy at the RD Gateway.",
    ],
    predicted: Predicted::same(&["0x1807", "0x1D07"]),
    reference: "Microsoft: SSL_ERR_NO_AUTHENTICATING_AUTHORITY; RFC 4120",
};

pub(super) static EARLY_USER_AUTH_DENIED: Entry = Entry {
    title: "The password was right, but the user may not log on through Remote Desktop",
    sees: "After CredSSP the host sends one record of four bytes, then closes.",
    decided_by: &[Passthrough, Bridge],
    side: Side::Host,
    phases: &[Phase::Credssp, Phase::Mcs],
    remedy: &[
        "Add the user or group to the host's Remote Desktop Users: `Add-LocalGroupMember 'Remote Desktop Users' -Member DOMAIN\\user`.",
        "Check GPO User Rights Assignment > \"Allow log on through Remote Desktop Services\", and that \"Deny log on through Remote Desktop Services\" does not hold the user.",
    ],
    predicted: Predicted::same(&["0x1307"]),
    reference: "[MS-RDPBCGR] 2.2.10.2 Early User Authorization Result",
};

pub(super) static CLOSED_AFTER_TLS_UNKNOWN: Entry = Entry {
    title: "The connection ended right after TLS and nothing visible says why",
    sees: "TLS finished, too few records for any known step, then a close.",
    decided_by: &[Bridge],
    side: Side::Both,
    phases: &[Phase::TlsFinish, Phase::Credssp, Phase::Rdstls, Phase::Mcs],
    remedy: &[
        "If the client closed: it may have shown a certificate or credential prompt that was cancelled; ask the user, look for the client's next connection.",
        "If the host closed: read its Security log (4625), System log (LsaSrv, Schannel) and TerminalServices logs at this second.",
        "A certificate refusal under TLS 1.3 looks like this: check date, issuer and name of the host's certificate.",
    ],
    predicted: Predicted::same(&["0x904"]),
    reference: "measured: clients that refuse a certificate, and scanners that only fetch one",
};
