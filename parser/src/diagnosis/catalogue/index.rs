//! From a cause to its entry and its room: exhaustive, so that a cause cannot be forgotten.

use super::{Entry, Room, certificate, credssp, gateway, healthy, negotiation, network, proxy, session, tls};
use crate::diagnosis::Cause;

impl Cause {
    /// What the catalogue says of this cause.
    #[must_use]
    pub fn entry(self) -> &'static Entry {
        match self {
            Cause::Ok => &healthy::OK,
            Cause::OkBridged => &healthy::OK_BRIDGED,
            Cause::DnsFailure => &network::DNS_FAILURE,
            Cause::TcpRefused => &network::TCP_REFUSED,
            Cause::TcpTimeoutSynDrop => &network::TCP_TIMEOUT_SYN_DROP,
            Cause::TcpUnreachable => &network::TCP_UNREACHABLE,
            Cause::BacklogSaturated => &network::BACKLOG_SATURATED,
            Cause::HalfOpenAfterAccept => &negotiation::HALF_OPEN_AFTER_ACCEPT,
            Cause::ClosedBeforeCc => &negotiation::CLOSED_BEFORE_CC,
            Cause::RstByMiddlebox => &network::RST_BY_MIDDLEBOX,
            Cause::IdleTimeoutFirewall => &network::IDLE_TIMEOUT_FIREWALL,
            Cause::ClientPromptProbe => &healthy::CLIENT_PROMPT_PROBE,
            Cause::NegSslRequired => &negotiation::NEG_SSL_REQUIRED,
            Cause::NegSslNotAllowed => &negotiation::NEG_SSL_NOT_ALLOWED,
            Cause::NegSslCertMissing => &negotiation::NEG_SSL_CERT_MISSING,
            Cause::NegInconsistent => &negotiation::NEG_INCONSISTENT,
            Cause::NlaRequired => &negotiation::NLA_REQUIRED,
            Cause::NegUserCertRequired => &negotiation::NEG_USER_CERT_REQUIRED,
            Cause::NegUnknownProtocolBits => &negotiation::NEG_UNKNOWN_PROTOCOL_BITS,
            Cause::ServerSelectedWeaker => &negotiation::SERVER_SELECTED_WEAKER,
            Cause::TlsHelloWithoutNegotiation => &negotiation::TLS_HELLO_WITHOUT_NEGOTIATION,
            Cause::RestrictedAdminDenied => &negotiation::RESTRICTED_ADMIN_DENIED,
            Cause::TlsNoCommonVersion => &tls::TLS_NO_COMMON_VERSION,
            Cause::TlsNoCommonCipher => &tls::TLS_NO_COMMON_CIPHER,
            Cause::TlsNoCommonGroupOrSigalg => &tls::TLS_NO_COMMON_GROUP_OR_SIGALG,
            Cause::TlsCertKeyTypeMismatch => &tls::TLS_CERT_KEY_TYPE_MISMATCH,
            Cause::TlsServerRefusedHelloSilently => &tls::TLS_SERVER_REFUSED_HELLO_SILENTLY,
            Cause::CertPrivateKeyUnusable => &certificate::CERT_PRIVATE_KEY_UNUSABLE,
            Cause::CertExpired => &certificate::CERT_EXPIRED,
            Cause::CertNotYetValid => &certificate::CERT_NOT_YET_VALID,
            Cause::CertUntrustedCa => &certificate::CERT_UNTRUSTED_CA,
            Cause::CertNameMismatch => &certificate::CERT_NAME_MISMATCH,
            Cause::CertWeak => &certificate::CERT_WEAK,
            Cause::CertWrongEku => &certificate::CERT_WRONG_EKU,
            Cause::CertChangedMidSession => &certificate::CERT_CHANGED_MID_SESSION,
            Cause::TlsInspectionMiddlebox => &tls::TLS_INSPECTION_MIDDLEBOX,
            Cause::Tls13MiddleboxIntolerance => &tls::TLS13_MIDDLEBOX_INTOLERANCE,
            Cause::LargeClienthelloLost => &tls::LARGE_CLIENTHELLO_LOST,
            Cause::MtuBlackhole => &network::MTU_BLACKHOLE,
            Cause::TlsAlertInternalError => &tls::TLS_ALERT_INTERNAL_ERROR,
            Cause::TlsHandshakeTimeout => &tls::TLS_HANDSHAKE_TIMEOUT,
            Cause::NlaAuthRefused => &credssp::NLA_AUTH_REFUSED,
            Cause::NlaPubkeyMismatch => &credssp::NLA_PUBKEY_MISMATCH,
            Cause::CredsspOracleRemediation => &credssp::CREDSSP_ORACLE_REMEDIATION,
            Cause::CredsspDelegationPolicy => &credssp::CREDSSP_DELEGATION_POLICY,
            Cause::KerberosUnreachable => &credssp::KERBEROS_UNREACHABLE,
            Cause::EarlyUserAuthDenied => &credssp::EARLY_USER_AUTH_DENIED,
            Cause::ServerDenied0x7 => &session::SERVER_DENIED_0X7,
            Cause::McsCoreMismatch => &session::MCS_CORE_MISMATCH,
            Cause::ServerClosedInMcs => &session::SERVER_CLOSED_IN_MCS,
            Cause::LicenseFailure => &session::LICENSE_FAILURE,
            Cause::ActivationFailed => &session::ACTIVATION_FAILED,
            Cause::WinlogonOrProfileFailure => &session::WINLOGON_OR_PROFILE_FAILURE,
            Cause::SessionReplaced => &healthy::SESSION_REPLACED,
            Cause::IdleOrTimeLimit => &healthy::IDLE_OR_TIME_LIMIT,
            Cause::ServerResetInSession => &session::SERVER_RESET_IN_SESSION,
            Cause::ClientSideNetworkLoss => &network::CLIENT_SIDE_NETWORK_LOSS,
            Cause::UserClosed => &healthy::USER_CLOSED,
            Cause::UdpTransportBlocked => &network::UDP_TRANSPORT_BLOCKED,
            Cause::RedirectBypassesProxy => &network::REDIRECT_BYPASSES_PROXY,
            Cause::RdgTlsFailure => &gateway::RDG_TLS_FAILURE,
            Cause::RdgHttp401Loop => &gateway::RDG_HTTP_401_LOOP,
            Cause::RdgHttp403404503 => &gateway::RDG_HTTP_403_404_503,
            Cause::RdgWebsocketBlocked => &gateway::RDG_WEBSOCKET_BLOCKED,
            Cause::RdgInOutSplit => &gateway::RDG_IN_OUT_SPLIT,
            Cause::RdgCapDenied => &gateway::RDG_CAP_DENIED,
            Cause::RdgRapDenied => &gateway::RDG_RAP_DENIED,
            Cause::RdgTargetUnreachable => &gateway::RDG_TARGET_UNREACHABLE,
            Cause::RdgMaxConnections => &gateway::RDG_MAX_CONNECTIONS,
            Cause::RdgTimeout => &gateway::RDG_TIMEOUT,
            Cause::RdgCookie => &gateway::RDG_COOKIE,
            Cause::FipsMismatch => &tls::FIPS_MISMATCH,
            Cause::ProxyLimit => &proxy::PROXY_LIMIT,
            Cause::NotRdp => &network::NOT_RDP,
            Cause::ClientSentNothing => &network::CLIENT_SENT_NOTHING,
            Cause::ClientClosedBeforeCc => &negotiation::CLIENT_CLOSED_BEFORE_CC,
            Cause::ClientClosedAfterCc => &negotiation::CLIENT_CLOSED_AFTER_CC,
            Cause::ClientHelloTimeout => &negotiation::CLIENT_HELLO_TIMEOUT,
            Cause::TlsClientRefusedChoice => &tls::TLS_CLIENT_REFUSED_CHOICE,
            Cause::TlsClientClosedSilently => &tls::TLS_CLIENT_CLOSED_SILENTLY,
            Cause::ClosedAfterTlsUnknown => &credssp::CLOSED_AFTER_TLS_UNKNOWN,
            Cause::HostClosedActive => &session::HOST_CLOSED_ACTIVE,
            Cause::ProxyShutdown => &proxy::PROXY_SHUTDOWN,
            Cause::ProxyHeaderUntrusted => &proxy::PROXY_HEADER_UNTRUSTED,
            Cause::TargetNotAllowed => &proxy::TARGET_NOT_ALLOWED,
            Cause::BridgeBlockedByNla => &proxy::BRIDGE_BLOCKED_BY_NLA,
            Cause::BridgeHostUntrusted => &proxy::BRIDGE_HOST_UNTRUSTED,
            Cause::BridgeLegFailed => &proxy::BRIDGE_LEG_FAILED,
            Cause::BridgeNeedsLegacyBuild => &proxy::BRIDGE_NEEDS_LEGACY_BUILD,
            Cause::RdgClosedAfterTls => &gateway::RDG_CLOSED_AFTER_TLS,
            Cause::HostClosedAfterCc => &negotiation::HOST_CLOSED_AFTER_CC,
            Cause::ClientLeftBeforeServerHello => &tls::CLIENT_LEFT_BEFORE_SERVER_HELLO,
            Cause::NegFailureOther => &negotiation::NEG_FAILURE_OTHER,
            Cause::TlsAlertOther => &tls::TLS_ALERT_OTHER,
            Cause::CaptureIncomplete => &network::CAPTURE_INCOMPLETE,
            Cause::UnknownClose => &network::UNKNOWN_CLOSE,
        }
    }

    /// The room of the catalogue this cause stands in.
    #[must_use]
    pub fn room(self) -> Room {
        match self {
            Cause::Ok
            | Cause::OkBridged
            | Cause::ClientPromptProbe
            | Cause::UserClosed
            | Cause::SessionReplaced
            | Cause::IdleOrTimeLimit => Room::Healthy,
            Cause::ProxyLimit
            | Cause::ProxyShutdown
            | Cause::ProxyHeaderUntrusted
            | Cause::TargetNotAllowed
            | Cause::BridgeBlockedByNla
            | Cause::BridgeHostUntrusted
            | Cause::BridgeLegFailed
            | Cause::BridgeNeedsLegacyBuild => Room::Proxy,
            Cause::DnsFailure
            | Cause::TcpRefused
            | Cause::TcpTimeoutSynDrop
            | Cause::TcpUnreachable
            | Cause::BacklogSaturated
            | Cause::RstByMiddlebox
            | Cause::IdleTimeoutFirewall
            | Cause::MtuBlackhole
            | Cause::ClientSideNetworkLoss
            | Cause::UdpTransportBlocked
            | Cause::RedirectBypassesProxy
            | Cause::ClientSentNothing
            | Cause::NotRdp
            | Cause::CaptureIncomplete
            | Cause::UnknownClose => Room::Network,
            Cause::HalfOpenAfterAccept
            | Cause::ClosedBeforeCc
            | Cause::HostClosedAfterCc
            | Cause::ClientClosedBeforeCc
            | Cause::ClientClosedAfterCc
            | Cause::ClientHelloTimeout
            | Cause::NegSslRequired
            | Cause::NegSslNotAllowed
            | Cause::NegSslCertMissing
            | Cause::NegInconsistent
            | Cause::NlaRequired
            | Cause::NegUserCertRequired
            | Cause::NegUnknownProtocolBits
            | Cause::NegFailureOther
            | Cause::ServerSelectedWeaker
            | Cause::TlsHelloWithoutNegotiation
            | Cause::RestrictedAdminDenied => Room::Negotiation,
            Cause::TlsNoCommonVersion
            | Cause::TlsNoCommonCipher
            | Cause::TlsNoCommonGroupOrSigalg
            | Cause::TlsCertKeyTypeMismatch
            | Cause::TlsServerRefusedHelloSilently
            | Cause::TlsInspectionMiddlebox
            | Cause::Tls13MiddleboxIntolerance
            | Cause::LargeClienthelloLost
            | Cause::TlsAlertInternalError
            | Cause::TlsAlertOther
            | Cause::TlsHandshakeTimeout
            | Cause::TlsClientRefusedChoice
            | Cause::TlsClientClosedSilently
            | Cause::ClientLeftBeforeServerHello
            | Cause::FipsMismatch => Room::Tls,
            Cause::CertPrivateKeyUnusable
            | Cause::CertExpired
            | Cause::CertNotYetValid
            | Cause::CertUntrustedCa
            | Cause::CertNameMismatch
            | Cause::CertWeak
            | Cause::CertWrongEku
            | Cause::CertChangedMidSession => Room::Certificate,
            Cause::NlaAuthRefused
            | Cause::NlaPubkeyMismatch
            | Cause::CredsspOracleRemediation
            | Cause::CredsspDelegationPolicy
            | Cause::KerberosUnreachable
            | Cause::EarlyUserAuthDenied
            | Cause::ClosedAfterTlsUnknown => Room::Credssp,
            Cause::ServerDenied0x7
            | Cause::McsCoreMismatch
            | Cause::ServerClosedInMcs
            | Cause::LicenseFailure
            | Cause::ActivationFailed
            | Cause::WinlogonOrProfileFailure
            | Cause::ServerResetInSession
            | Cause::HostClosedActive => Room::Session,
            Cause::RdgTlsFailure
            | Cause::RdgHttp401Loop
            | Cause::RdgHttp403404503
            | Cause::RdgWebsocketBlocked
            | Cause::RdgInOutSplit
            | Cause::RdgCapDenied
            | Cause::RdgRapDenied
            | Cause::RdgTargetUnreachable
            | Cause::RdgMaxConnections
            | Cause::RdgTimeout
            | Cause::RdgCookie
            | Cause::RdgClosedAfterTls => Room::Gateway,
        }
    }
}
