//! Timelines built by hand, step by step, for pictures that no capture of ours shows. Times in milliseconds.

use crate::Timestamp;
use crate::session::{
    Answer, CertificateFacts, ClearAlert, ClientHelloFacts, Close, CloseKind, Closer, Opening, Peer, Phase, ProxyAct,
    RecordShape, RequestFacts, ServerHelloFacts, Tail, Timeline, Upstream,
};
use crate::wire::{
    AlertDescription, AlertLevel, CipherSuite, HelloShape, Protocols, RequestFlags, ResponseFlags, TlsVersion,
};
use std::net::SocketAddr;

/// 2024-02-29 12:30:00 UTC, in milliseconds.
const START: u64 = 1_709_209_800_000;
/// TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: a TLS 1.2 record is its plaintext and 24 bytes.
const GCM_12: CipherSuite = CipherSuite(0xc030);

/// `ms` milliseconds after the connection was opened.
pub(super) fn at(ms: u64) -> Timestamp {
    Timestamp((START + ms) * 1_000_000)
}

/// The host of all these connections.
pub(super) fn host(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 7], port))
}

/// A timeline under construction.
#[derive(Clone)]
pub(super) struct Build(pub(super) Timeline);

impl Build {
    /// Accepted, nothing sent.
    pub(super) fn opened() -> Build {
        let mut timeline = Timeline { opened: at(0), ..Timeline::default() };
        timeline.phases.enter(Phase::Accept, at(0));
        timeline.tail.client.known = true;
        timeline.tail.host.known = true;
        Build(timeline)
    }

    /// Connected to the host, and an X.224 request that asks for `protocols`.
    pub(super) fn asked(protocols: u32) -> Build {
        let mut build = Build::opened().connected(3389);
        build.0.opening = Opening::X224;
        let asks = (protocols != u32::MAX).then_some(Protocols(protocols));
        build.0.request =
            Some(RequestFacts { protocols: asks, cookie: Some("alice".into()), ..RequestFacts::default() });
        build.sent(Peer::Client, 43, 1).phase(Phase::X224, 1)
    }

    /// A request for TLS and NLA that the host answered with `selected`.
    pub(super) fn agreed(selected: u32) -> Build {
        Build::asked(3).answered(Answer::Selected { protocol: Protocols(selected), flags: ResponseFlags(0x1f) })
    }

    /// TLS from the first byte.
    pub(super) fn tls_first(port: u16) -> Build {
        let mut build = Build::opened().connected(port);
        build.0.opening = Opening::TlsFirst;
        build.phase(Phase::TlsHello, 1).hello(&[0x0304, 0x0303], 310)
    }

    /// NLA or TLS agreed on, handshake done in TLS 1.2.
    pub(super) fn established(selected: u32) -> Build {
        let next = if selected == 1 { Phase::Mcs } else { Phase::Credssp };
        Build::agreed(selected).hello(&[0x0304, 0x0303], 310).chose(0x0303).tls_done(30).phase(next, 30)
    }

    /// A session that has been up since 1 s.
    pub(super) fn active() -> Build {
        let mut build = Build::established(1).phase(Phase::Active, 1_000);
        build.0.progress.connect_initial = Some(at(100));
        build.0.progress.connect_response = Some(at(150));
        build.0.progress.client_info = Some(at(200));
        build.0.progress.licensed = Some(at(250));
        build.0.progress.demand_active = Some(at(300));
        build.0.progress.confirm_active = Some(at(350));
        build.0.progress.active = Some(at(1_000));
        build.record(Peer::Host, 23, 1_200, 5_000)
    }

    pub(super) fn connected(mut self, port: u16) -> Build {
        self.0.upstream = Upstream::Connected(host(port));
        self.phase(Phase::Tcp, 0)
    }

    pub(super) fn flags(mut self, flags: u8) -> Build {
        if let Some(request) = self.0.request.as_mut() {
            request.flags = RequestFlags(flags);
        }
        self
    }

    pub(super) fn answered(mut self, answer: Answer) -> Build {
        let agreed = matches!(answer, Answer::Selected { .. } | Answer::Plain);
        self.0.answer = Some(answer);
        let build = self.sent(Peer::Host, 19, 5);
        if agreed { build.phase(Phase::TlsHello, 5) } else { build }
    }

    pub(super) fn hello(mut self, versions: &[u16], length: u32) -> Build {
        self.0.client_hello = Some(ClientHelloFacts {
            at: at(10),
            server_name: Some("rds07.example.net".into()),
            length,
            ..ClientHelloFacts::from(HelloShape {
                legacy_version: TlsVersion::TLS12,
                supported_versions: versions.iter().map(|v| TlsVersion(*v)).collect(),
                suites: vec![GCM_12],
                ..HelloShape::default()
            })
        });
        self.sent(Peer::Client, u64::from(length), 10)
    }

    pub(super) fn chose(mut self, version: u16) -> Build {
        let version = TlsVersion(version);
        self.0.server_hello =
            Some(ServerHelloFacts { at: at(20), version, suite: GCM_12, ..ServerHelloFacts::default() });
        self.sent(Peer::Host, 1_300, 20).phase(Phase::TlsFinish, 20)
    }

    /// A certificate that nothing speaks against.
    pub(super) fn certificate(mut self, change: impl FnOnce(&mut CertificateFacts)) -> Build {
        let now = i64::try_from(START / 1_000).unwrap();
        let mut certificate = CertificateFacts {
            subject: "CN=rds07.example.net".into(),
            issuer: "CN=Corp CA".into(),
            not_before: now - 86_400,
            not_after: now + 86_400,
            alternative_names: vec!["rds07.example.net".into()],
            key_algorithm: "RSA".into(),
            key_bits: 2_048,
            signature_algorithm: "sha256WithRSAEncryption".into(),
            ..CertificateFacts::default()
        };
        change(&mut certificate);
        self.0.certificate = Some(Box::new(certificate));
        self
    }

    pub(super) fn tls_done(mut self, ms: u64) -> Build {
        self.0.tls.finished.client = true;
        self.0.tls.finished.host = true;
        self.0.tls.established = Some(at(ms));
        self.sent(Peer::Client, 100, ms)
    }

    pub(super) fn alert(mut self, from: Peer, description: u8, ms: u64) -> Build {
        self.0.alerts.push(ClearAlert {
            from,
            level: AlertLevel(2),
            description: AlertDescription(description),
            record_version: TlsVersion::TLS12,
            at: at(ms),
            after_handshake: false,
            after_close: !self.0.closes.is_empty(),
        });
        self.sent(from, 7, ms)
    }

    pub(super) fn record(mut self, from: Peer, content_type: u8, plaintext: u16, ms: u64) -> Build {
        let tail: &mut Tail = &mut self.0.tail[from];
        tail.records.rotate_left(usize::from(tail.used == 4));
        tail.used = (tail.used + 1).min(4);
        tail.records[usize::from(tail.used) - 1] = RecordShape { content_type, length: plaintext + 24, at: at(ms) };
        self.sent(from, u64::from(plaintext) + 29, ms)
    }

    pub(super) fn sent(mut self, from: Peer, count: u64, ms: u64) -> Build {
        let traffic = &mut self.0.traffic[from];
        traffic.bytes += count;
        traffic.records += 1;
        traffic.first.get_or_insert(at(ms));
        traffic.last = Some(at(ms));
        self
    }

    pub(super) fn phase(mut self, phase: Phase, ms: u64) -> Build {
        self.0.phases.enter(phase, at(ms));
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Timeline)) -> Build {
        change(&mut self.0);
        self
    }

    pub(super) fn acted(mut self, act: ProxyAct, ms: u64) -> Build {
        self.0.proxy_act = Some(act);
        self.closed(Closer::Proxy, CloseKind::Timeout, ms)
    }

    pub(super) fn closed(mut self, by: Closer, kind: CloseKind, ms: u64) -> Build {
        self.0.closes.push(Close { by, kind, at: at(ms) });
        self
    }

    pub(super) fn client_left(self, ms: u64) -> Build {
        self.closed(Closer::Client, CloseKind::Fin, ms)
    }

    pub(super) fn host_left(self, ms: u64) -> Build {
        self.closed(Closer::Host, CloseKind::Fin, ms)
    }

    pub(super) fn host_reset(self, ms: u64) -> Build {
        self.closed(Closer::Host, CloseKind::Rst, ms)
    }
}
