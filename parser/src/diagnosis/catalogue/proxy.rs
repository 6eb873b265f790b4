//! What this proxy did itself.

use super::Observer::{Bridge, Passthrough};
use super::{Entry, Predicted};
use crate::diagnosis::Side;
use crate::session::Phase;

pub(super) static PROXY_LIMIT: Entry = Entry {
    title: "This proxy refused the connection: a limit of its own was reached",
    sees: "We closed it ourselves, before anything was read, or could not open a connection to the host.",
    decided_by: &[Passthrough],
    side: Side::Proxy,
    phases: &[Phase::Accept, Phase::Tcp],
    remedy: &[
        "See in `connections_rejected_total{reason}` which limit it was.",
        "If one client holds many connections, look at that client first: a reconnect loop or a scanner.",
        "Raise `max_sessions` or `max_sessions_per_client` of the listener; for descriptors raise `LimitNOFILE` of the service.",
    ],
    predicted: Predicted { mstsc: &["0x904"], mstsc_direct: &[], schannel: &[] },
    reference: "configuration: [[listener]] max_sessions, max_sessions_per_client",
};

pub(super) static PROXY_SHUTDOWN: Entry = Entry {
    title: "This proxy was stopped and its drain time ended",
    sees: "We closed a live session ourselves.",
    decided_by: &[Passthrough],
    side: Side::Proxy,
    phases: &[Phase::Accept, Phase::X224, Phase::TlsHello, Phase::TlsFinish, Phase::Credssp, Phase::Active],
    remedy: &["If sessions should outlive a restart, raise `limits.drain_timeout` and stop the service only once."],
    predicted: Predicted { mstsc: &["0x904"], mstsc_direct: &[], schannel: &[] },
    reference: "configuration: [limits] drain_timeout",
};

pub(super) static PROXY_HEADER_UNTRUSTED: Entry = Entry {
    title: "The PROXY header was missing, malformed or from an address that is not trusted",
    sees: "We closed it ourselves after the first bytes.",
    decided_by: &[Passthrough],
    side: Side::Proxy,
    phases: &[Phase::Accept],
    remedy: &[
        "This version does not read the PROXY protocol, so it never comes to this: it passes such a header on, and the cause is `not_rdp`.",
        "Switch the header off in the balancer: HAProxy without `send-proxy` and `send-proxy-v2`.",
    ],
    predicted: Predicted::NOTHING,
    reference: "PROXY protocol specification, section 2",
};

pub(super) static TARGET_NOT_ALLOWED: Entry = Entry {
    title: "The original destination is not in allow_targets",
    sees: "We closed it ourselves before connecting.",
    decided_by: &[Passthrough],
    side: Side::Proxy,
    phases: &[Phase::Accept, Phase::Resolve],
    remedy: &[
        "This version has no transparent listeners (`transparent`, `allow_targets`), so it never comes to this: each listener has the one `upstream` that its configuration names.",
    ],
    predicted: Predicted::NOTHING,
    reference: "configuration: [[listener]] allow_targets",
};

pub(super) static BRIDGE_BLOCKED_BY_NLA: Entry = Entry {
    title: "This pair needs the bridge, but NLA binds the host's own key",
    sees: "The TLS failure underneath; the bridge stood aside.",
    decided_by: &[Bridge],
    side: Side::Both,
    phases: &[Phase::X224, Phase::TlsHello, Phase::TlsFinish],
    remedy: &[
        "Bring client and host to a common TLS version and suite: then no bridge is needed.",
        "Give the host's own key pair to `[listener.bridge]` certificate and private_key: NLA is then carried.",
    ],
    predicted: Predicted::tls(&[36874, 36888]),
    reference: "[MS-CSSP] 3.1.5: the public key is part of the authentication",
};

pub(super) static BRIDGE_HOST_UNTRUSTED: Entry = Entry {
    title: "The host's certificate does not match the pin or CA of the bridge",
    sees: "Nothing; the bridge closed the host leg itself.",
    decided_by: &[Bridge],
    side: Side::Proxy,
    phases: &[Phase::TlsFinish],
    remedy: &[
        "Find out whether the host's certificate was changed on purpose before anything else.",
        "If it was, put the new fingerprint into `pin` (or the issuer into `ca`) and reload.",
    ],
    predicted: Predicted { mstsc: &["0x904"], mstsc_direct: &[], schannel: &[] },
    reference: "configuration: [listener.bridge] verify, pin, ca",
};

pub(super) static BRIDGE_LEG_FAILED: Entry = Entry {
    title: "TLS failed between the bridge and one of its peers",
    sees: "Nothing; the bridge knows which leg and which alert.",
    decided_by: &[Bridge],
    side: Side::Both,
    phases: &[Phase::TlsHello, Phase::TlsFinish, Phase::Active],
    remedy: &["Read in the evidence which leg failed, and treat it as a TLS failure of that peer."],
    predicted: Predicted::tls(&[36874, 36888]),
    reference: "RFC 5246 7.2, RFC 8446 6",
};

pub(super) static BRIDGE_NEEDS_LEGACY_BUILD: Entry = Entry {
    title: "This pair needs TLS below 1.2, CBC or RSA key exchange, and this build has no legacy leg",
    sees: "The TLS failure underneath.",
    decided_by: &[Bridge],
    side: Side::Proxy,
    phases: &[Phase::TlsHello],
    remedy: &[
        "Give the older side TLS 1.2 with an ECDHE suite.",
        "Where that is impossible, use the build with the legacy leg (`cargo build --release --features legacy-tls`) and name the versions of this one host in `[[listener.bridge.host]]`.",
    ],
    predicted: Predicted::tls(&[36874, 36888]),
    reference: "RFC 8996: TLS 1.0 and 1.1 are deprecated",
};
