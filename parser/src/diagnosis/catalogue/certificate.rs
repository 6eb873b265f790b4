//! The host's certificate and its key.

use super::Observer::{Bridge, Passthrough, Probe};
use super::{Entry, Predicted};
use crate::diagnosis::Side;
use crate::session::Phase;

/// A refusal by the client comes in `TlsFinish` (alert) or, with TLS 1.3 or after a dialog, once TLS is up.
const REFUSED: &[Phase] = &[Phase::TlsFinish, Phase::Credssp, Phase::Mcs];

pub(super) static CERT_PRIVATE_KEY_UNUSABLE: Entry = Entry {
    title: "The host cannot use the private key of its certificate",
    sees: "The host chooses TLS, then answers every ClientHello by a close or alert 80 or 40, whatever is offered.",
    decided_by: &[Probe],
    side: Side::Host,
    phases: &[Phase::TlsHello],
    remedy: &[
        "Confirm it on the host: System log, source Schannel, event 36870 (0x8009030D or 0x8009000B); TerminalServices-RemoteConnectionManager events 1055, 1057, 1058.",
        "certlm.msc > the listener's certificate > All Tasks > Manage Private Keys: NETWORK SERVICE needs Read.",
        r"Look at the permissions without changing them: `icacls %ProgramData%\Microsoft\Crypto\RSA\MachineKeys`; restore the inherited ones if they were replaced.",
        "If it is the self-signed certificate: delete it in certlm.msc > Remote Desktop > Certificates, then `Restart-Service TermService -Force`; a new pair is made.",
        "If that fails with event 1057: delete only the one RDP key file (name begins with f686aace) after checking its owner. Never move or rename the folder: it holds every machine key, IIS and gateway included.",
        "xrdp: `openssl rsa -noout -modulus -in key.pem` and `openssl x509 -noout -modulus -in cert.pem` must agree; user xrdp must be able to read the key.",
    ],
    predicted: Predicted::tls(&[36870, 36888]),
    reference: "Microsoft technet ee891233 (event 1055), ee890993; measured with xrdp: broken, foreign and too short keys",
};

pub(super) static CERT_EXPIRED: Entry = Entry {
    title: "The host's certificate has expired and the client refuses it",
    sees: "TLS 1.2 and below: notAfter is past; client alert 42, 45 or 46, or a client close after the host's flight.",
    decided_by: &[Passthrough, Probe],
    side: Side::Host,
    phases: REFUSED,
    remedy: &[
        "If it is self-signed (they live six months): certlm.msc > Remote Desktop > Certificates, delete it, then `Restart-Service TermService -Force`; a new one is made.",
        "If it is from a CA: renew it, then bind it: `Get-CimInstance -Namespace root/cimv2/TerminalServices -ClassName Win32_TSGeneralSetting | Set-CimInstance -Property @{SSLCertificateSHA1Hash='THUMBPRINT'}`.",
        "Check the clock of the client: a clock that is ahead sees valid certificates as expired.",
        "xrdp: replace `certificate=` and `key_file=` named in xrdp.ini and restart xrdp.",
    ],
    predicted: Predicted { mstsc: &["0x1B07", "0x904"], mstsc_direct: &["0x1B07", "0x904"], schannel: &[36887] },
    reference: "Microsoft: SSL_ERR_CERT_EXPIRED; RemoteConnectionManager events 1052, 1053",
};

pub(super) static CERT_NOT_YET_VALID: Entry = Entry {
    title: "The host's certificate is not valid yet: a clock is wrong",
    sees: "TLS 1.2 and below: notBefore lies in the future; the client refuses it.",
    decided_by: &[Passthrough, Probe],
    side: Side::Both,
    phases: REFUSED,
    remedy: &[
        "Set the clocks right: `w32tm /query /status`, `w32tm /resync` on host and client (Linux: `timedatectl`).",
        "If the host's clock was wrong when the certificate was made, make it again after correcting the clock.",
    ],
    predicted: Predicted { mstsc: &["0x1D07", "0x904"], mstsc_direct: &["0x1D07", "0x904"], schannel: &[36887] },
    reference: "RFC 5280 4.1.2.5",
};

pub(super) static CERT_UNTRUSTED_CA: Entry = Entry {
    title: "The client does not trust the issuer of the host's certificate",
    sees: "Client alert 48 or 46, or a client close after the host's flight and no return.",
    decided_by: &[Passthrough, Probe],
    side: Side::Both,
    phases: REFUSED,
    remedy: &[
        "Install the issuing CA on the clients: certlm.msc > Trusted Root Certification Authorities, or by GPO; send the intermediate certificate with the chain.",
        "Or give the host a certificate of a CA that the clients trust already.",
        "See what the client's policy demands: GPO Remote Desktop Connection Client > \"Configure server authentication for client\".",
        "Check the dates of the intermediate CA.",
    ],
    predicted: Predicted { mstsc: &["0x904"], mstsc_direct: &["0x904"], schannel: &[36887] },
    reference: "RFC 5246 7.2.2 unknown_ca; measured with OpenSSL",
};

pub(super) static CERT_NAME_MISMATCH: Entry = Entry {
    title: "The name the client used is not in the host's certificate",
    sees: "TLS 1.2 and below: the name asked for (SNI) is neither among the alternative names nor the common name.",
    decided_by: &[Passthrough, Probe],
    side: Side::Both,
    phases: REFUSED,
    remedy: &[
        "Connect by a name that is in the certificate, or issue one whose alternative names hold every name in use; the host's DNS name should point to this proxy.",
        "Do not switch to the bare address: it breaks Kerberos and does not match either.",
    ],
    predicted: Predicted::same(&["0x904"]),
    reference: "RFC 6125; mstsc warns and lets the user go on, other clients refuse",
};

pub(super) static CERT_WEAK: Entry = Entry {
    title: "The host's certificate is too weak for the client",
    sees: "TLS 1.2 and below: RSA below 2048 bits, or a SHA-1 or MD5 signature; the client refuses it.",
    decided_by: &[Passthrough, Probe],
    side: Side::Host,
    phases: REFUSED,
    remedy: &[
        "Issue a certificate with RSA 2048 bits (or P-256) and a SHA-256 signature, and bind it to the listener.",
        "If the self-signed one is that old: certlm.msc > Remote Desktop > Certificates, delete it, then `Restart-Service TermService -Force`.",
        "For a test only, lower the client's demands: xfreerdp `/tls-seclevel:0`.",
    ],
    predicted: Predicted { mstsc: &["0x904"], mstsc_direct: &["0x904"], schannel: &[36887] },
    reference: "NIST SP 800-131A; OpenSSL security levels",
};

pub(super) static CERT_WRONG_EKU: Entry = Entry {
    title: "The host's certificate is not meant for servers",
    sees: "TLS 1.2 and below: extended key usage lacks Server Authentication; or failure code 3, or the self-signed certificate where another is expected.",
    decided_by: &[Passthrough, Probe],
    side: Side::Host,
    phases: &[Phase::X224, Phase::TlsFinish, Phase::Credssp, Phase::Mcs],
    remedy: &[
        "Use a template with Server Authentication (1.3.6.1.5.5.7.3.1) or Remote Desktop Authentication (1.3.6.1.4.1.311.54.1.2) and issue the certificate again.",
        "Check GPO Remote Desktop Services > Security > \"Server authentication certificate template\"; RemoteConnectionManager event 1054 names the wrong template.",
    ],
    predicted: Predicted { mstsc: &["0x904"], mstsc_direct: &["0x904"], schannel: &[36887] },
    reference: "RFC 5280 4.2.1.12; RemoteConnectionManager event 1054",
};

pub(super) static CERT_CHANGED_MID_SESSION: Entry = Entry {
    title: "The client met two different certificates within one attempt",
    sees: "Two connections of one attempt with two fingerprints (TLS 1.2 and below).",
    decided_by: &[Passthrough, Bridge],
    side: Side::Network,
    phases: &[Phase::TlsFinish, Phase::Credssp],
    remedy: &[
        "Give all members of the farm the same certificate, or make the balancer keep a client on one host.",
        "If only one of the two paths has the foreign certificate, a TLS-inspecting device stands there: exempt RDP.",
    ],
    predicted: Predicted::same(&["0x907"]),
    reference: "mstsc: ERROR_SECURITY_UNEXPECTED_CERTIFICATE (name published by rdpgw)",
};
