//! One picture per line: what was seen, and what it must be called.

use super::super::super::{Cause, Confidence, Side};
use super::build::{Build, at};
use super::openings::{negotiation, ours_and_reach};
use crate::session::{Answer, Awaiting, CloseKind, Closer, GiveUp, Opening, Peer, Phase, ProxyAct};
use Confidence::{Likely, Possible, Proven};

pub(super) type Picture = (&'static str, Build, Cause, Side, Confidence);

pub(super) fn pictures() -> Vec<Picture> {
    [ours_and_reach(), negotiation(), hello(), handshake(), after_tls(), active(), gateway()].concat()
}

pub(super) fn timed_out(build: Build, awaiting: Awaiting) -> Build {
    build.acted(ProxyAct::TimedOut(awaiting), 15_010)
}

fn hello() -> Vec<Picture> {
    let hello = || Build::agreed(1).hello(&[0x0304, 0x0303], 310);
    let old = || Build::agreed(1).hello(&[0x0302, 0x0301], 200);
    let answered = |build: Build, alert| build.alert(Peer::Host, alert, 15).client_left(16);
    let ultimatum = hello().with(|t| t.tls.clear_ultimatum = Some(at(15)));
    let garbage = hello().with(|t| t.tls.not_tls = Some(*b"<html><body>no!!"));
    vec![
        ("alert 40", answered(hello(), 40), Cause::TlsNoCommonCipher, Side::Both, Possible),
        ("alert 40 to an old client", answered(old(), 40), Cause::TlsNoCommonVersion, Side::Both, Possible),
        ("alert 70", answered(hello(), 70), Cause::TlsNoCommonVersion, Side::Both, Likely),
        ("alert 71", answered(hello(), 71), Cause::TlsNoCommonCipher, Side::Both, Likely),
        ("alert 80", answered(hello(), 80), Cause::TlsAlertInternalError, Side::Host, Likely),
        ("alert 112", answered(hello(), 112), Cause::TlsAlertOther, Side::Host, Possible),
        ("clear nine bytes", ultimatum.client_left(16), Cause::TlsServerRefusedHelloSilently, Side::Host, Possible),
        ("garbage", garbage.client_left(16), Cause::NotRdp, Side::Host, Likely),
        (
            "hello unanswered",
            timed_out(hello(), Awaiting::ServerHello),
            Cause::TlsHandshakeTimeout,
            Side::Host,
            Possible,
        ),
        ("FIN after hello", hello().host_left(15), Cause::TlsServerRefusedHelloSilently, Side::Host, Possible),
        ("RST after hello", hello().host_reset(15), Cause::TlsServerRefusedHelloSilently, Side::Host, Possible),
        (
            "client leaves after hello",
            hello().client_left(500),
            Cause::ClientLeftBeforeServerHello,
            Side::Client,
            Likely,
        ),
    ]
}

fn handshake() -> Vec<Picture> {
    let chosen = |version| Build::agreed(1).hello(&[0x0304, 0x0303], 310).chose(version);
    let refused = |build: Build, alert| build.alert(Peer::Client, alert, 25).client_left(26);
    let day = 86_400;
    let expired = || chosen(0x0303).certificate(|c| c.not_after -= 30 * day);
    let early = || chosen(0x0303).certificate(|c| c.not_before += 30 * day);
    let weak = || chosen(0x0303).certificate(|c| c.key_bits = 1_024);
    let client_only = || chosen(0x0303).certificate(|c| c.extended_key_usage = vec!["1.3.6.1.5.5.7.3.2".into()]);
    let renamed = || chosen(0x0303).certificate(|c| c.alternative_names = vec!["old.example.net".into()]);
    let wanted = || chosen(0x0303).with(|t| t.server_hello.as_mut().unwrap().certificate_requested = true);
    vec![
        ("expired, alert 45", refused(expired(), 45), Cause::CertExpired, Side::Host, Proven),
        ("expired, alert 46", refused(expired(), 46), Cause::CertExpired, Side::Host, Likely),
        ("expired, silence", expired().client_left(40), Cause::CertExpired, Side::Client, Possible),
        ("not yet valid", refused(early(), 42), Cause::CertNotYetValid, Side::Both, Likely),
        ("weak key", refused(weak(), 42), Cause::CertWeak, Side::Host, Likely),
        ("no server certificate", refused(client_only(), 43), Cause::CertWrongEku, Side::Host, Likely),
        ("other name", refused(renamed(), 46), Cause::CertNameMismatch, Side::Both, Possible),
        ("unknown CA", refused(chosen(0x0303).certificate(|_| ()), 48), Cause::CertUntrustedCa, Side::Both, Likely),
        ("unseen certificate", refused(chosen(0x0304), 46), Cause::CertUntrustedCa, Side::Both, Possible),
        ("client refuses version", refused(chosen(0x0301), 70), Cause::TlsClientRefusedChoice, Side::Both, Proven),
        ("client refuses choice", refused(chosen(0x0303), 40), Cause::TlsClientRefusedChoice, Side::Client, Likely),
        (
            "client leaves handshake",
            chosen(0x0303).client_left(40),
            Cause::TlsClientClosedSilently,
            Side::Client,
            Possible,
        ),
        (
            "client certificate",
            wanted().alert(Peer::Host, 40, 30).client_left(31),
            Cause::NegUserCertRequired,
            Side::Both,
            Likely,
        ),
        (
            "host alert 80 in handshake",
            chosen(0x0303).alert(Peer::Host, 80, 30).client_left(31),
            Cause::TlsAlertInternalError,
            Side::Host,
            Likely,
        ),
        ("host leaves handshake", chosen(0x0303).host_reset(40), Cause::UnknownClose, Side::Host, Possible),
    ]
}

fn after_tls() -> Vec<Picture> {
    let tls = || Build::established(1);
    let nla = || Build::established(2).with(|t| t.progress.credssp_records.client = 1);
    let shown = || nla().with(|t| t.progress.credssp_authenticate = Some(at(60)));
    let accepted =
        || shown().with(|t| (t.progress.credssp_accepted, t.progress.credssp_last.host) = (Some(at(70)), Some(95)));
    let mcs = || tls().with(|t| t.progress.connect_initial = Some(at(50)));
    let joining = || mcs().with(|t| t.progress.connect_response = Some(at(60))).phase(Phase::Mcs, 60);
    let info = || joining().with(|t| t.progress.client_info = Some(at(90))).phase(Phase::ClientInfo, 90);
    let licensing = || info().with(|t| t.progress.licensing = Some(at(95))).phase(Phase::Licensing, 95);
    let demand = || {
        let build =
            licensing().with(|t| (t.progress.licensed, t.progress.demand_active) = (Some(at(98)), Some(at(99))));
        build.phase(Phase::Activation, 98)
    };
    vec![
        ("host never answers MCS", mcs().client_left(9_600), Cause::UnknownClose, Side::Host, Possible),
        ("client leaves in MCS", mcs().client_left(200), Cause::UnknownClose, Side::Client, Possible),
        ("client leaves after TLS", tls().client_left(200), Cause::ClosedAfterTlsUnknown, Side::Client, Possible),
        (
            "client leaves after TLS, the certificate it saw has expired",
            tls().certificate(|c| c.not_after -= 30 * 86_400).client_left(200),
            Cause::CertExpired,
            Side::Client,
            Possible,
        ),
        ("host leaves after TLS", tls().host_left(200), Cause::ClosedAfterTlsUnknown, Side::Host, Possible),
        (
            "client leaves before NLA",
            Build::established(2).client_left(200),
            Cause::ClosedAfterTlsUnknown,
            Side::Client,
            Possible,
        ),
        (
            "client leaves before NLA, the host's FIN wins",
            Build::established(2).with(|t| t.tls.encrypted_alert.client = Some(at(199))).host_left(200),
            Cause::ClosedAfterTlsUnknown,
            Side::Client,
            Possible,
        ),
        (
            "TLS 1.3 client refuses what it cannot say",
            Build::agreed(1)
                .hello(&[0x0304], 310)
                .chose(0x0304)
                .with(|t| t.tls.encrypted_alert.client = Some(at(25)))
                .host_left(26),
            Cause::TlsClientClosedSilently,
            Side::Client,
            Possible,
        ),
        ("client leaves in NLA", nla().client_left(200), Cause::ClosedAfterTlsUnknown, Side::Client, Possible),
        ("logon refused by close", shown().host_left(80), Cause::NlaAuthRefused, Side::Both, Likely),
        (
            "logon refused by error",
            shown().with(|t| t.progress.credssp_error = Some(at(70))).closed(Closer::Client, CloseKind::Rst, 80),
            Cause::NlaAuthRefused,
            Side::Both,
            Likely,
        ),
        ("key not accepted", accepted().client_left(80), Cause::NlaPubkeyMismatch, Side::Network, Possible),
        (
            "no logon right",
            accepted().with(|t| t.progress.early_user_auth = Some(at(75))).host_left(80),
            Cause::EarlyUserAuthDenied,
            Side::Host,
            Likely,
        ),
        ("Connect Initial unanswered", mcs().host_left(80), Cause::ServerClosedInMcs, Side::Host, Possible),
        ("joins break off", joining().host_reset(80), Cause::ServerClosedInMcs, Side::Host, Possible),
        (
            "denied",
            info().with(|t| t.progress.denied = Some(at(100))).host_left(101),
            Cause::ServerDenied0x7,
            Side::Host,
            Likely,
        ),
        (
            "denied, client RST",
            info().with(|t| t.progress.denied = Some(at(100))).closed(Closer::Client, CloseKind::Rst, 101),
            Cause::ServerDenied0x7,
            Side::Host,
            Likely,
        ),
        ("no licence", licensing().host_left(120), Cause::LicenseFailure, Side::Host, Likely),
        (
            "host leg dies in NLA",
            shown().closed(Closer::Host, CloseKind::Timeout, 90_000),
            Cause::MtuBlackhole,
            Side::Network,
            Possible,
        ),
        ("after Demand Active", demand().host_left(120), Cause::ActivationFailed, Side::Host, Possible),
        (
            "network of client",
            nla().closed(Closer::Client, CloseKind::Timeout, 90_000),
            Cause::ClientSideNetworkLoss,
            Side::Network,
            Possible,
        ),
    ]
}

fn active() -> Vec<Picture> {
    let up = Build::active;
    vec![
        ("user closes", up().record(Peer::Client, 23, 9, 60_000).client_left(60_001), Cause::Ok, Side::Client, Likely),
        ("host cut", up().host_reset(64_000), Cause::HostClosedActive, Side::Host, Possible),
        (
            "client's network in session",
            up().closed(Closer::Client, CloseKind::Timeout, 90_000),
            Cause::ClientSideNetworkLoss,
            Side::Network,
            Possible,
        ),
        (
            "host gone",
            up().closed(Closer::Host, CloseKind::Timeout, 90_000),
            Cause::ServerResetInSession,
            Side::Host,
            Possible,
        ),
    ]
}

fn gateway() -> Vec<Picture> {
    let first = || Build::tls_first(443);
    let looked = || first().chose(0x0303).tls_done(30);
    let done = || looked().with(|t| t.tls.data.client = Some(at(40)));
    let in_clear = |status: u16| {
        let request =
            Build::opened().connected(80).sent(Peer::Client, 300, 1).with(|t| t.opening = Opening::GatewayHttp);
        request.answered(Answer::NotRdp(format!("HTTP/1.1 {status} No").into_bytes()))
    };
    let clear = Build::tls_first(3389).with(|t| t.tls.clear_ultimatum = Some(at(15)));
    let unread = Build::asked(3).with(|t| t.gave_up = Some((GiveUp::Malformed, at(9)))).sent(Peer::Host, 100, 9);
    let lacking = || Build::agreed(1).hello(&[], 200).with(|t| t.gave_up = Some((GiveUp::Gap, at(14))));
    vec![
        ("gateway looked at", looked().client_left(90), Cause::NotRdp, Side::Client, Possible),
        ("gateway refuses in clear", in_clear(503).host_left(90), Cause::RdgHttp403404503, Side::Host, Proven),
        ("gateway asks who it is", in_clear(401).client_left(90), Cause::RdgClosedAfterTls, Side::Client, Possible),
        ("gateway refuses inside", done().host_left(90), Cause::RdgClosedAfterTls, Side::Host, Possible),
        ("gateway waits for target", done().client_left(11_000), Cause::RdgClosedAfterTls, Side::Client, Possible),
        (
            "gateway session",
            done().with(|t| t.progress.active = Some(at(900))).client_left(9_000),
            Cause::Ok,
            Side::Client,
            Likely,
        ),
        ("gateway closes on hello", first().host_reset(15), Cause::RdgTlsFailure, Side::Host, Possible),
        (
            "gateway version",
            first().alert(Peer::Host, 70, 15).client_left(16),
            Cause::TlsNoCommonVersion,
            Side::Both,
            Likely,
        ),
        (
            "gateway certificate",
            first().chose(0x0303).certificate(|_| ()).alert(Peer::Client, 48, 25).client_left(26),
            Cause::CertUntrustedCa,
            Side::Both,
            Likely,
        ),
        ("TLS to an RDP host", clear.host_reset(16), Cause::TlsHelloWithoutNegotiation, Side::Client, Proven),
        (
            "TLS to a silent RDP host",
            Build::tls_first(3389).host_left(15),
            Cause::TlsHelloWithoutNegotiation,
            Side::Client,
            Possible,
        ),
        ("unreadable", unread.host_left(20), Cause::UnknownClose, Side::Host, Possible),
        ("cut short", lacking().host_left(20), Cause::CaptureIncomplete, Side::Host, Possible),
        (
            "cut short, an alert after it",
            lacking().alert(Peer::Host, 40, 16).client_left(20),
            Cause::CaptureIncomplete,
            Side::Client,
            Possible,
        ),
        (
            "an alert, then cut short",
            lacking().alert(Peer::Host, 70, 12).client_left(20),
            Cause::TlsNoCommonVersion,
            Side::Both,
            Likely,
        ),
    ]
}
