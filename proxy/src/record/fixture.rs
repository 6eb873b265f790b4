//! Sessions for the tests of this crate's outputs: one with every field, and a live one.

use super::{LiveSession, SessionIdentity, SessionRecord};
use parser::Timestamp;
use parser::diagnosis::{Cause, Confidence, End, Missing, Side, Verdict};
use parser::session::*;
use parser::wire::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// 2026-03-01T07:12:09.123456Z
pub(crate) const OPENED: Timestamp = Timestamp(1_772_349_129_123_456_000);

/// The user name in the request of [`record`].
pub(crate) const USER: &str = "CORP\\alice";

pub(crate) fn after(ms: u64) -> Timestamp {
    OPENED.plus(Duration::from_millis(ms))
}

pub(crate) fn identity(number: u128) -> Arc<SessionIdentity> {
    Arc::new(SessionIdentity {
        id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number),
        listener: Arc::from("rds-farm"),
        upstream: Arc::from("rds07.example.net:3389"),
        client: "10.1.2.3:51234".parse().unwrap(),
        local: "10.9.9.9:3389".parse().unwrap(),
        accepted: OPENED,
    })
}

/// A client with TLS 1.2 and 1.3 whose handshake a host refuses with an alert; every field is set that an event can tell.
pub(crate) fn timeline() -> Timeline {
    let mut timeline = Timeline { opened: OPENED, opening: Opening::X224, ..Timeline::default() };
    for (phase, ms) in
        [(Phase::Accept, 0), (Phase::Resolve, 1), (Phase::Tcp, 3), (Phase::X224, 4), (Phase::TlsHello, 9)]
    {
        timeline.phases.enter(phase, after(ms));
    }
    timeline.upstream = Upstream::Connected("192.0.2.7:3389".parse().unwrap());
    timeline.request = Some(RequestFacts {
        length: 60,
        cookie: Some(USER.to_owned()),
        routing_token: Some("msts=3640205228.15629.0000".to_owned()),
        protocols: Some(Protocols(0x0b)),
        flags: RequestFlags(8),
        correlation_id: Some([4, 3, 2, 1, 6, 5, 8, 7, 9, 10, 11, 12, 13, 14, 15, 16]),
        preconnection: None,
    });
    timeline.answer = Some(Answer::Selected { protocol: Protocols::HYBRID, flags: ResponseFlags(0x1f) });
    timeline.client_hello = Some(hello());
    timeline.server_hello = Some(ServerHelloFacts {
        at: after(12),
        version: TlsVersion::TLS12,
        suite: CipherSuite(0xc030),
        group: Some(NamedGroup(29)),
        legacy_version: TlsVersion::TLS12,
        extensions: vec![0xff01, 11],
        ..ServerHelloFacts::default()
    });
    timeline.certificate = Some(Box::new(CertificateFacts {
        subject: "CN=rds07.example.net".to_owned(),
        issuer: "CN=rds07.example.net".to_owned(),
        not_before: 1_756_684_800,
        not_after: 1_772_323_200,
        sha256: [0xab; 32],
        alternative_names: vec!["rds07.example.net".to_owned()],
        key_algorithm: "RSA".to_owned(),
        key_bits: 2048,
        signature_algorithm: "sha256WithRSAEncryption".to_owned(),
        ..CertificateFacts::default()
    }));
    timeline.alerts = vec![ClearAlert {
        from: Peer::Client,
        level: AlertLevel(2),
        description: AlertDescription(45),
        record_version: TlsVersion::TLS12,
        at: after(14),
        after_handshake: false,
        after_close: false,
    }];
    timeline.traffic.client = Traffic { bytes: 400, first: Some(after(2)), last: Some(after(14)), records: 2 };
    timeline.traffic.host = Traffic { bytes: 1800, first: Some(after(9)), last: Some(after(12)), records: 3 };
    timeline.closes = vec![Close { by: Closer::Client, kind: CloseKind::Fin, at: after(15) }];
    let leg = TcpFacts { rtt_us: 640, retransmits: 1, lost: 0, mss: 1448, ..TcpFacts::default() };
    timeline.tcp = PerPeer { client: Some(leg), host: Some(TcpFacts { rtt_us: 210, ..leg }) };
    timeline
}

fn hello() -> ClientHelloFacts {
    ClientHelloFacts {
        at: after(10),
        record_version: TlsVersion::TLS10,
        length: 350,
        records: 1,
        server_name: Some("rds07.example.net".into()),
        ..ClientHelloFacts::from(HelloShape {
            legacy_version: TlsVersion::TLS12,
            supported_versions: vec![TlsVersion(0x3a3a), TlsVersion::TLS13, TlsVersion::TLS12],
            suites: vec![CipherSuite(0x4a4a), CipherSuite(0x1302), CipherSuite(0xc030), CipherSuite(0xfefe)],
            extensions: vec![0, 10, 13, 43],
            groups: vec![NamedGroup(0x5a5a), NamedGroup(29), NamedGroup(23)],
            signature_schemes: vec![SignatureScheme(0x0804), SignatureScheme(0x0403)],
            ..HelloShape::default()
        })
    }
}

pub(crate) fn verdict(cause: Cause) -> Verdict {
    let ok = cause == Cause::Ok;
    Verdict {
        cause,
        side: Side::Host,
        phase: if ok { Phase::Active } else { Phase::TlsFinish },
        confidence: Confidence::Proven,
        evidence: vec!["the host's certificate expired 6 h before".to_owned()],
        alternatives: vec![Cause::CertUntrustedCa],
        remedy: vec!["renew the certificate".to_owned(), "restart TermService".to_owned()],
        missing: Missing { client: vec![], host: vec!["TLS 1.3".to_owned()] },
        smallest_change: vec!["a certificate that is valid today".to_owned()],
        end: ok.then_some(End::UserClosed),
        message: "The client refused the host's certificate: it has expired".to_owned(),
    }
}

/// [`timeline`] with `cause`, ended after 20 ms.
pub(crate) fn record(number: u128, cause: Cause) -> SessionRecord {
    let (identity, timeline, verdict) = (identity(number), timeline(), verdict(cause));
    SessionRecord { identity, timeline, verdict, ended: after(20), capture: None }
}

/// A live session that shows what it is given.
pub(crate) struct Fake {
    pub(crate) identity: Arc<SessionIdentity>,
    pub(crate) timeline: Mutex<Timeline>,
}

impl Fake {
    pub(crate) fn new(identity: Arc<SessionIdentity>) -> Arc<Fake> {
        let mut timeline = Timeline { opened: identity.accepted, ..Timeline::default() };
        timeline.phases.enter(Phase::Accept, identity.accepted);
        Arc::new(Fake { identity, timeline: Mutex::new(timeline) })
    }
}

impl LiveSession for Fake {
    fn identity(&self) -> &Arc<SessionIdentity> {
        &self.identity
    }
    fn timeline(&self) -> Timeline {
        self.timeline.lock().unwrap().clone()
    }
    fn phase(&self) -> Phase {
        self.timeline.lock().unwrap().phase()
    }
    fn entered(&self) -> Timestamp {
        let timeline = self.timeline.lock().unwrap();
        timeline.phases.entered(timeline.phase()).unwrap_or(timeline.opened)
    }
    fn tcp(&self) -> PerPeer<Option<TcpFacts>> {
        PerPeer { client: Some(TcpFacts { rtt_us: 77, ..TcpFacts::default() }), host: None }
    }
}
