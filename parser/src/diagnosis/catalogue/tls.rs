//! The TLS handshake.

use super::Observer::{Capture, Passthrough, Probe};
use super::{Entry, Predicted};
use crate::diagnosis::Side;
use crate::session::Phase;

const HELLO: &[Phase] = &[Phase::TlsHello];
const FINISH: &[Phase] = &[Phase::TlsFinish];
const BOTH: &[Phase] = &[Phase::TlsHello, Phase::TlsFinish];

pub(super) static TLS_NO_COMMON_VERSION: Entry = Entry {
    title: "Client and host share no TLS version",
    sees: "The host answers the ClientHello with alert 70 (some with 40), or closes, before any ServerHello.",
    decided_by: &[Passthrough, Probe],
    side: Side::Both,
    phases: BOTH,
    remedy: &[
        r"Allow TLS 1.2 on the host: `HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server` Enabled=1, DisabledByDefault=0, then reboot.",
        "Windows 7 and 2008 R2 need the RDP update for TLS 1.2 (KB3080079) besides the registry value.",
        r"On a Windows client the same keys under `...\TLS 1.2\Client`; update clients that stop at TLS 1.0.",
        "xrdp.ini: `ssl_protocols=TLSv1.2, TLSv1.3`.",
    ],
    predicted: Predicted::tls(&[36874, 36888, 36871]),
    reference: "RFC 8446 4.2.1, RFC 5246 E.1; Remmina issue 684",
};

pub(super) static TLS_NO_COMMON_CIPHER: Entry = Entry {
    title: "Client and host share no cipher suite",
    sees: "The host answers the ClientHello with alert 40 or 71, or closes, before any ServerHello.",
    decided_by: &[Passthrough, Probe],
    side: Side::Both,
    phases: HELLO,
    remedy: &[
        "List the host's suites: `Get-TlsCipherSuite | Format-Table Name`, and compare with the client's offer in the event (`tls.client.supported_ciphers`).",
        "Add one that both have: `Enable-TlsCipherSuite -Name TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384`, then reboot.",
        "Look for a hardening that went too far: GPO Network > SSL Configuration Settings > \"SSL Cipher Suite Order\", or an IIS Crypto template.",
        "xrdp.ini: `tls_ciphers=HIGH`; remember that the suites must fit the kind of certificate (RSA or ECDSA).",
    ],
    predicted: Predicted::tls(&[36874, 36888]),
    reference: "RFC 5246 7.2.2 handshake_failure; FreeRDP issues 7769, 2591, 11461",
};

pub(super) static TLS_NO_COMMON_GROUP_OR_SIGALG: Entry = Entry {
    title: "Client and host share no curve or no signature algorithm",
    sees: "Alert 40 (or 47) although suites are common, or after a HelloRetryRequest.",
    decided_by: &[Probe],
    side: Side::Both,
    phases: BOTH,
    remedy: &[
        "List the host's curves: `Get-TlsEccCurve`; GPO Network > SSL Configuration Settings > \"ECC Curve Order\" must hold one that the client offers (NistP256, curve25519).",
        "Replace a certificate signed with SHA-1 by one signed with SHA-256: current clients do not accept the older signature.",
    ],
    predicted: Predicted::tls(&[36874, 36888]),
    reference: "RFC 8446 4.2.3, 4.2.7; measured: OpenSSL answers alert 40",
};

pub(super) static TLS_CERT_KEY_TYPE_MISMATCH: Entry = Entry {
    title: "The host's certificate has a kind of key that the client's suites cannot use",
    sees: "Alert 40 before any ServerHello, although versions are common.",
    decided_by: &[Probe],
    side: Side::Both,
    phases: HELLO,
    remedy: &[
        "Issue an RSA certificate (2048 bits or more) for the listener and bind it; an ECDSA certificate cannot serve clients that offer only RSA suites.",
        "Or allow the client the suites of the other kind (TLS_ECDHE_ECDSA_...).",
        "Windows Server 2012 R2 has GCM suites only with ECDSA certificates or DHE: a client that insists on GCM meets this there.",
    ],
    predicted: Predicted::tls(&[36874, 36888]),
    reference: "RFC 5246 7.4.2, RFC 8422 5.3; measured with OpenSSL",
};

pub(super) static TLS_SERVER_REFUSED_HELLO_SILENTLY: Entry = Entry {
    title: "The host took the ClientHello and closed without a word of TLS",
    sees: "Host FIN, RST or a clear disconnect after the ClientHello; no ServerHello and no alert.",
    decided_by: &[Passthrough, Probe],
    side: Side::Host,
    phases: HELLO,
    remedy: &[
        "Read the host's System log, source Schannel, at this second: 36870 means the private key, 36874 no common suite, 36871 no protocol enabled.",
        "Try another, older or newer client: if every client fails, the key is the cause; if only this one, its offer is.",
        "Check the listener's certificate and key: certlm.msc > Remote Desktop > Certificates > Manage Private Keys, NETWORK SERVICE needs Read.",
        "xrdp: see xrdp.log for \"Error loading TLS private key\" or \"do not match\", and xrdp.ini `certificate=`, `key_file=`, `tls_ciphers=`.",
    ],
    predicted: Predicted::tls(&[36870, 36874, 36888]),
    reference: "measured with xrdp (broken key, impossible suites); Schannel often closes without an alert: FreeRDP issue 11461",
};

pub(super) static TLS_INSPECTION_MIDDLEBOX: Entry = Entry {
    title: "Something between client and host terminates or rewrites TLS",
    sees: "Bytes or a certificate that are not the host's: an issuer of a proxy, another shape of the ServerHello.",
    decided_by: &[Probe, Capture],
    side: Side::Network,
    phases: BOTH,
    remedy: &[
        "Compare the certificate's fingerprint as clients see it with the one on the host (`Get-ChildItem 'Cert:\\LocalMachine\\Remote Desktop'`).",
        "Exempt RDP from TLS inspection on the firewall or proxy; NLA fails through it in any case, since it binds the host's key.",
    ],
    predicted: Predicted::same(&["0x904"]),
    reference: "[MS-CSSP] 3.1.5: public key binding",
};

pub(super) static TLS13_MIDDLEBOX_INTOLERANCE: Entry = Entry {
    title: "A device on the way does not let TLS 1.3 pass",
    sees: "A ClientHello that offers TLS 1.3 is lost or reset; the same client limited to 1.2 works.",
    decided_by: &[Probe, Capture],
    side: Side::Network,
    phases: HELLO,
    remedy: &[
        "Update the firmware of the inspecting device, or exempt RDP from its TLS inspection.",
        "To confirm, connect once with TLS 1.2 only (xfreerdp `/tls:enforce:1.2`, 2.x `+enforce-tlsv1_2`) over the same path.",
    ],
    predicted: Predicted::same(&["0x904"]),
    reference: "RFC 8446 D.4",
};

pub(super) static LARGE_CLIENTHELLO_LOST: Entry = Entry {
    title: "The ClientHello is larger than one packet and got lost on the way",
    sees: "A hello of more than one segment, no answer, perhaps retransmissions; small hellos are answered.",
    decided_by: &[Probe, Capture],
    side: Side::Network,
    phases: HELLO,
    remedy: &[
        "Clamp the MSS on the tunnel: `nft add rule inet filter forward tcp flags syn tcp option maxseg size set rt mtu`.",
        "Let ICMP \"fragmentation needed\" through, on both sides of the path.",
        "Update firewalls that read only the first segment of a ClientHello: post-quantum key shares made hellos longer than one packet.",
    ],
    predicted: Predicted::hidden(&["0x904", "0x704"]),
    reference: "frp issue 3972; Jool issue 455; hellos of 1.7 kB with X25519MLKEM768",
};

pub(super) static TLS_ALERT_INTERNAL_ERROR: Entry = Entry {
    title: "The host reported an internal TLS error",
    sees: "Alert 80 by the host.",
    decided_by: &[Passthrough, Probe],
    side: Side::Host,
    phases: &[Phase::TlsHello, Phase::TlsFinish, Phase::Credssp],
    remedy: &[
        "Read the host's System log, sources Schannel and LsaSrv, at this second: 36870 and 36888 name the reason.",
        "Check the key of the listener's certificate: certlm.msc > Remote Desktop > Certificates > Manage Private Keys, NETWORK SERVICE needs Read.",
        "If the key lives in a TPM or an HSM, see that its provider works.",
    ],
    predicted: Predicted::tls(&[36870, 36888]),
    reference: "RFC 5246 7.2.2 internal_error; FreeRDP issue 4449",
};

pub(super) static TLS_ALERT_OTHER: Entry = Entry {
    title: "The host answered the ClientHello with an alert that names no known mismatch",
    sees: "An alert other than 40, 70, 71 and 80, before any ServerHello.",
    decided_by: &[Passthrough, Probe],
    side: Side::Host,
    phases: HELLO,
    remedy: &[
        "Read the host's System log, source Schannel, at this second: event 36888 gives the same alert with its internal state.",
        "Try another client: if every hello is answered so, suspect the listener's certificate and key, or a device that terminates TLS in front of the host.",
    ],
    predicted: Predicted::tls(&[36888]),
    reference: "RFC 8446 6.2",
};

pub(super) static TLS_HANDSHAKE_TIMEOUT: Entry = Entry {
    title: "The host did not answer the ClientHello in time",
    sees: "ClientHello forwarded, no ServerHello or only part of the host's flight until the time-out, or until the client gave up after five seconds or more.",
    decided_by: &[Passthrough, Probe],
    side: Side::Host,
    phases: BOTH,
    remedy: &[
        "Look at the host: CPU load, hung lsass or TermService, a key provider (TPM, HSM) that does not answer.",
        "See in the TCP figures of the evidence whether the hello arrived: retransmissions to the host mean the path, not the host.",
        "If the host is only slow, raise `timeouts.server_hello`.",
    ],
    predicted: Predicted::hidden(&["0x704", "0x108", "0x904"]),
    reference: "RFC 8446 4.1.3",
};

pub(super) static TLS_CLIENT_REFUSED_CHOICE: Entry = Entry {
    title: "The client refuses what the host chose for TLS",
    sees: "ServerHello, then an alert by the client: 40, 47, 70, 71 or 80.",
    decided_by: &[Passthrough],
    side: Side::Client,
    phases: FINISH,
    remedy: &[
        "Raise the host to what current clients want: TLS 1.2 or 1.3, an ECDHE suite, a certificate signed with SHA-256.",
        r"On a Windows host: `HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server` Enabled=1, DisabledByDefault=0, then reboot; xrdp.ini `ssl_protocols=TLSv1.2, TLSv1.3`.",
        "See what the client's policy demands: OpenSSL's MinProtocol and SECLEVEL, GnuTLS priorities, FIPS mode, Schannel's Client keys.",
        "For a test only, lower the client's demands: xfreerdp `/tls-seclevel:0`, OpenSSL CipherString DEFAULT@SECLEVEL=0.",
    ],
    predicted: Predicted::tls(&[36887]),
    reference: "RFC 5246 7.2.2, RFC 8446 6.2; measured: OpenSSL sends 70 or 80, GnuTLS nothing",
};

pub(super) static TLS_CLIENT_CLOSED_SILENTLY: Entry = Entry {
    title: "The client left in the middle of the TLS handshake without saying why",
    sees: "ServerHello, then client FIN or RST first, no alert and no Finished.",
    decided_by: &[Passthrough, Probe],
    side: Side::Client,
    phases: FINISH,
    remedy: &[
        "Look at the host's certificate and choice in the evidence: date, issuer, name, key size, version and suite; a refusal of one of them looks like this.",
        "Read the client's own message or log (xfreerdp `/log-level:DEBUG`).",
    ],
    predicted: Predicted::tls(&[]),
    reference: "measured: rdesktop (GnuTLS) refuses TLS 1.0 with a RST and no alert",
};

pub(super) static CLIENT_LEFT_BEFORE_SERVER_HELLO: Entry = Entry {
    title: "The client left before the host answered its ClientHello",
    sees: "ClientHello delivered, client FIN or RST first, no TLS byte from the host yet.",
    decided_by: &[Passthrough],
    side: Side::Client,
    phases: HELLO,
    remedy: &[
        "Compare the waiting time in the evidence with the host's usual time to ServerHello: a slow host makes impatient clients.",
        "If it left within milliseconds it was a scanner or was killed; look at the client's address.",
    ],
    predicted: Predicted::NOTHING,
    reference: "RFC 8446 4.1.3",
};

pub(super) static FIPS_MISMATCH: Entry = Entry {
    title: "One side runs in FIPS mode and the other cannot follow",
    sees: "A client offer of FIPS suites only that the host refuses, or standard RDP security with an encryption method the other side lacks.",
    decided_by: &[Probe],
    side: Side::Both,
    phases: &[Phase::X224, Phase::TlsHello, Phase::Mcs],
    remedy: &[
        r"See whether FIPS mode is on: `HKLM\SYSTEM\CurrentControlSet\Control\Lsa\FipsAlgorithmPolicy` Enabled, on client and host.",
        "Give the other side AES-GCM suites with NIST curves: they are allowed in FIPS mode.",
    ],
    predicted: Predicted { mstsc: &["0xE06", "0x904"], mstsc_direct: &["0xE06", "0x904"], schannel: &[36874] },
    reference: "Microsoft: System cryptography, use FIPS compliant algorithms; extended code 8",
};
