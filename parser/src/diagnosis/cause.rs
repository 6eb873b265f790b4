//! The closed list of causes. Ids are stable: events, metrics and dashboards carry them. Never rename, only add.

use crate::profile::Mismatch;
use crate::wire::FailureCode;
use core::fmt;

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $id:literal,)*) => {
        /// What a connection came to, as one stable id. `Ok` and `OkBridged` are the healthy ones.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause { $($(#[$doc])* $name,)* }

        impl Cause {
            /// Every cause, in the order of a session's life.
            pub const ALL: &'static [Cause] = &[$(Cause::$name,)*];

            /// The stable id.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Cause::$name => $id,)* }
            }
        }
    };
}

causes! {
    /// Reached active and ended by client, user or policy.
    Ok = "ok",
    /// The same, through the bridge.
    OkBridged = "ok_bridged",
    /// Proxy (or gateway) cannot resolve the target name.
    DnsFailure = "dns_failure",
    /// Nothing listens: RDP off, TermService down, other port.
    TcpRefused = "tcp_refused",
    /// Firewall drops SYN, host off, wrong route.
    TcpTimeoutSynDrop = "tcp_timeout_syn_drop",
    /// ICMP host/net/admin-prohibited unreachable.
    TcpUnreachable = "tcp_unreachable",
    /// Listener backlog or MaxOutstandingConnections full.
    BacklogSaturated = "backlog_saturated",
    /// TCP accepted but host never answers CR (service hung, load-balancer health trick, tarpit).
    HalfOpenAfterAccept = "half_open_after_accept",
    /// Host closes right after CR without CC: no certificate file/keys, denied source, or limit reached.
    ClosedBeforeCc = "closed_before_cc",
    /// Firewall/IPS injects RST.
    RstByMiddlebox = "rst_by_middlebox",
    /// Stateful device expires the flow.
    IdleTimeoutFirewall = "idle_timeout_firewall",
    /// NOT a failure: mstsc drops the first connection after showing a prompt.
    ClientPromptProbe = "client_prompt_probe",
    /// Server needs TLS.
    NegSslRequired = "neg_ssl_required",
    /// Server set to RDP security.
    NegSslNotAllowed = "neg_ssl_not_allowed",
    /// Server has no usable certificate.
    NegSslCertMissing = "neg_ssl_cert_missing",
    /// Flags contradict.
    NegInconsistent = "neg_inconsistent",
    /// Server requires NLA, client cannot.
    NlaRequired = "nla_required",
    /// Client certificate required.
    NegUserCertRequired = "neg_user_cert_required",
    /// Server does not know newer protocol bits (RDSTLS 0x04 together with others, RDSAAD 0x10) and hangs up instead of masking them.
    NegUnknownProtocolBits = "neg_unknown_protocol_bits",
    /// Server selected a protocol the client did not ask for or will not use (e.g. asked HYBRID only, got 0 = RDP security).
    ServerSelectedWeaker = "server_selected_weaker",
    /// Client (or a tool, or a load balancer health check) sends TLS to a host that wants X.224 first.
    TlsHelloWithoutNegotiation = "tls_hello_without_negotiation",
    /// Client asked Restricted Admin / Remote Guard, host does not offer.
    RestrictedAdminDenied = "restricted_admin_denied",
    /// Client and host share no TLS version.
    TlsNoCommonVersion = "tls_no_common_version",
    /// No common cipher suite.
    TlsNoCommonCipher = "tls_no_common_cipher",
    /// Curves or signature algorithms do not meet (e.g. host P-256 only, client X25519 only; SHA-1-only certificate signature against TLS 1.3/strict client).
    TlsNoCommonGroupOrSigalg = "tls_no_common_group_or_sigalg",
    /// ECDSA certificate with RSA-only client list, or reverse.
    TlsCertKeyTypeMismatch = "tls_cert_key_type_mismatch",
    /// Host closes after ClientHello without alert.
    TlsServerRefusedHelloSilently = "tls_server_refused_hello_silently",
    /// Private key missing, ACL lost (NETWORK SERVICE), MachineKeys damaged, TPM/KSP fault.
    CertPrivateKeyUnusable = "cert_private_key_unusable",
    /// Certificate expired (self-signed ones live 6 months and renew only if the service can).
    CertExpired = "cert_expired",
    /// Clock skew.
    CertNotYetValid = "cert_not_yet_valid",
    /// Issuer unknown or expired CA, client policy forbids.
    CertUntrustedCa = "cert_untrusted_ca",
    /// Name in certificate differs.
    CertNameMismatch = "cert_name_mismatch",
    /// RSA <2048, SHA-1 or MD5 signature refused by client or FIPS policy.
    CertWeak = "cert_weak",
    /// Template lacks Server Authentication (1.3.6.1.5.5.7.3.1) or RDP auth (1.3.6.1.4.1.311.54.1.2); TermService then falls back or refuses.
    CertWrongEku = "cert_wrong_eku",
    /// Identity differs between the two mstsc connections (farm without shared cert, TLS inspection on one path).
    CertChangedMidSession = "cert_changed_mid_session",
    /// Something else terminates TLS.
    TlsInspectionMiddlebox = "tls_inspection_middlebox",
    /// Device drops TLS 1.3 or unknown extensions.
    Tls13MiddleboxIntolerance = "tls13_middlebox_intolerance",
    /// ClientHello above one MSS (post-quantum key share about 1.2 kB, many extensions) is not forwarded by a device, or PMTU black hole.
    LargeClienthelloLost = "large_clienthello_lost",
    /// Full-size segments vanish (VPN/PPPoE), small pass.
    MtuBlackhole = "mtu_blackhole",
    /// Host alert 80 or close after TLS finished.
    TlsAlertInternalError = "tls_alert_internal_error",
    /// Host or path stalls mid handshake.
    TlsHandshakeTimeout = "tls_handshake_timeout",
    /// Bad password, locked, disabled, expired.
    NlaAuthRefused = "nla_auth_refused",
    /// CredSSP public key check fails: TLS is bridged with another key.
    NlaPubkeyMismatch = "nla_pubkey_mismatch",
    /// Patched client, unpatched host (CVE-2018-0886) or reverse.
    CredsspOracleRemediation = "credssp_oracle_remediation",
    /// Client may not delegate (NTLM only, untrusted server).
    CredsspDelegationPolicy = "credssp_delegation_policy",
    /// No DC / time skew / wrong SPN.
    KerberosUnreachable = "kerberos_unreachable",
    /// Not in Remote Desktop Users / no logon right.
    EarlyUserAuthDenied = "early_user_auth_denied",
    /// Server refuses with Set Error Info 7: session limit, policy, drain mode, broker.
    ServerDenied0x7 = "server_denied_0x7",
    /// ServerSelectedProtocol does not match (wrong bridge) or bad GCC.
    McsCoreMismatch = "mcs_core_mismatch",
    /// Server closes during MCS/channel join.
    ServerClosedInMcs = "server_closed_in_mcs",
    /// No licence server, no CAL, grace ended.
    LicenseFailure = "license_failure",
    /// Demand/Confirm Active refused, graphics driver.
    ActivationFailed = "activation_failed",
    /// Session starts then dies: profile, Winlogon, display driver.
    WinlogonOrProfileFailure = "winlogon_or_profile_failure",
    /// Another login took it.
    SessionReplaced = "session_replaced",
    /// Server time limits.
    IdleOrTimeLimit = "idle_or_time_limit",
    /// TermService/host crash or reboot.
    ServerResetInSession = "server_reset_in_session",
    /// Wi-Fi/VPN loss.
    ClientSideNetworkLoss = "client_side_network_loss",
    /// Normal end.
    UserClosed = "user_closed",
    /// UDP 3389 (or 3391 to gateway) blocked or regressed; session drops about 65 s in, or lags.
    UdpTransportBlocked = "udp_transport_blocked",
    /// Broker redirects to an address the client cannot reach.
    RedirectBypassesProxy = "redirect_bypasses_proxy",
    /// Client and gateway do not agree on TLS, or gateway certificate.
    RdgTlsFailure = "rdg_tls_failure",
    /// Authentication loop, EPA/channel binding.
    RdgHttp401Loop = "rdg_http_401_loop",
    /// Wrong URL/vdir, forbidden, app pool down.
    RdgHttp403404503 = "rdg_http_403_404_503",
    /// Proxy strips Upgrade.
    RdgWebsocketBlocked = "rdg_websocket_blocked",
    /// IN and OUT channels land on different gateway nodes.
    RdgInOutSplit = "rdg_in_out_split",
    /// CAP refuses.
    RdgCapDenied = "rdg_cap_denied",
    /// RAP refuses target.
    RdgRapDenied = "rdg_rap_denied",
    /// Gateway cannot reach host.
    RdgTargetUnreachable = "rdg_target_unreachable",
    /// Limit reached.
    RdgMaxConnections = "rdg_max_connections",
    /// Idle/session time-out policy.
    RdgTimeout = "rdg_timeout",
    /// Pluggable token bad.
    RdgCookie = "rdg_cookie",
    /// FIPS mode on one side.
    FipsMismatch = "fips_mismatch",
    /// Our own session or rate limit refused it.
    ProxyLimit = "proxy_limit",
    /// Client or server does not speak RDP.
    NotRdp = "not_rdp",
    /// Client connects and sends nothing before it closes or the preamble time-out strikes (health check, port scan, half-open user).
    ClientSentNothing = "client_sent_nothing",
    /// Client sends a Connection Request and leaves before the host answers.
    ClientClosedBeforeCc = "client_closed_before_cc",
    /// Client leaves after the Connection Confirm without a ClientHello (does not like the selected protocol, user cancelled, scanner).
    ClientClosedAfterCc = "client_closed_after_cc",
    /// Client took the Connection Confirm and never sent its ClientHello.
    ClientHelloTimeout = "client_hello_timeout",
    /// Client rejects what the host chose (version, suite, group, signature) although it offered it: client policy or library security level.
    TlsClientRefusedChoice = "tls_client_refused_choice",
    /// Client leaves after the host's flight without an alert (certificate or policy refusal by a stack that sends none).
    TlsClientClosedSilently = "tls_client_closed_silently",
    /// The session ended between the end of TLS and MCS and no size rule matched.
    ClosedAfterTlsUnknown = "closed_after_tls_unknown",
    /// Host closed a single active session, no reason visible.
    HostClosedActive = "host_closed_active",
    /// Our own drain ended.
    ProxyShutdown = "proxy_shutdown",
    /// PROXY header missing, malformed or from an address that is not trusted.
    ProxyHeaderUntrusted = "proxy_header_untrusted",
    /// Original destination is not in allow_targets.
    TargetNotAllowed = "target_not_allowed",
    /// This pair needs the bridge, but NLA was selected and the host's key pair is not configured; passed through untouched.
    BridgeBlockedByNla = "bridge_blocked_by_nla",
    /// The host's certificate does not match the pin or CA configured for the bridge.
    BridgeHostUntrusted = "bridge_host_untrusted",
    /// TLS failed on one leg of the bridge, in its handshake or later.
    BridgeLegFailed = "bridge_leg_failed",
    /// This pair needs TLS below 1.2, CBC or RSA key exchange and the build has no legacy leg.
    BridgeNeedsLegacyBuild = "bridge_needs_legacy_build",
    /// Gateway connection ended after TLS; passthrough cannot see the HTTP exchange.
    RdgClosedAfterTls = "rdg_closed_after_tls",
    /// Host closes right after its Connection Confirm, before a ClientHello reached it (service restarting, limit, a front that only answers the negotiation).
    HostClosedAfterCc = "host_closed_after_cc",
    /// Client leaves between its ClientHello and the ServerHello.
    ClientLeftBeforeServerHello = "client_left_before_server_hello",
    /// Host answers with a negotiation failure code that is not in the published list.
    NegFailureOther = "neg_failure_other",
    /// Host answers the ClientHello with an alert that names none of the known mismatches.
    TlsAlertOther = "tls_alert_other",
    /// The capture lacks bytes that would tell how it came out, or ends before the connection does.
    CaptureIncomplete = "capture_incomplete",
    /// None of the above.
    UnknownClose = "unknown_close",
}

impl Cause {
    /// The cause with this id.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Cause> {
        Cause::ALL.iter().copied().find(|c| c.id() == id)
    }
}

/// What a host refuses a negotiation with. [MS-RDPBCGR] 2.2.1.2.2
impl From<FailureCode> for Cause {
    fn from(code: FailureCode) -> Cause {
        match code {
            FailureCode(1) => Cause::NegSslRequired,
            FailureCode(2) => Cause::NegSslNotAllowed,
            FailureCode(3) => Cause::NegSslCertMissing,
            FailureCode(4) => Cause::NegInconsistent,
            FailureCode(5) => Cause::NlaRequired,
            FailureCode(6) => Cause::NegUserCertRequired,
            _ => Cause::NegFailureOther,
        }
    }
}

/// What a client and a host lack in common, when it stops a connection.
impl From<Mismatch> for Cause {
    fn from(mismatch: Mismatch) -> Cause {
        match mismatch {
            Mismatch::Version => Cause::TlsNoCommonVersion,
            Mismatch::Suite => Cause::TlsNoCommonCipher,
            Mismatch::KeyType => Cause::TlsCertKeyTypeMismatch,
            Mismatch::Group | Mismatch::SignatureScheme => Cause::TlsNoCommonGroupOrSigalg,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}
