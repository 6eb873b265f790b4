//! A connection as it is met in the field: written once, then shown live and as a capture, whole and in pieces.

use super::{CONTENT_ALERT, CONTENT_DATA, Happening, Settled, sealed};
use core::time::Duration;
use parser::Timestamp;
use parser::diagnosis::{Verdict, diagnose};
use parser::session::{
    Awaiting, CloseKind, Closer, Limits, Peer, ProxyAct, Session, TcpFacts, Timeline, UpstreamEvent,
};

/// What happens, in order.
#[derive(Clone, Debug)]
pub enum Step {
    Bytes(Peer, Vec<u8>),
    Close(Closer, CloseKind),
    Wait(Duration),
    /// Our time-out for what is awaited then, which must be this.
    TimeOut(Awaiting),
    Tcp(Peer, TcpFacts),
}

/// How a story is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// By the relay: name lookup and connect are known, and come after the client's first bytes.
    Live,
    /// By the relay, byte by byte.
    LiveInBytes,
    /// By a reader of a capture without the SYN.
    Capture,
    /// The same, in pieces of seven bytes.
    CaptureInPieces,
    /// A capture whose time stamps do not tell one packet from the next; waits count all the same.
    CoarseClock,
}

impl Seen {
    pub const ALL: [Seen; 5] = [Seen::Live, Seen::LiveInBytes, Seen::Capture, Seen::CaptureInPieces, Seen::CoarseClock];

    fn live(self) -> bool {
        matches!(self, Seen::Live | Seen::LiveInBytes)
    }

    fn piece(self) -> usize {
        match self {
            Seen::LiveInBytes => 1,
            Seen::CaptureInPieces => 7,
            _ => usize::MAX,
        }
    }
}

/// One connection.
#[derive(Clone, Debug, Default)]
pub struct Story(pub Vec<Step>);

impl Story {
    pub fn new() -> Story {
        Story::default()
    }

    pub fn client(mut self, bytes: &[u8]) -> Story {
        self.0.push(Step::Bytes(Peer::Client, bytes.to_vec()));
        self
    }

    pub fn host(mut self, bytes: &[u8]) -> Story {
        self.0.push(Step::Bytes(Peer::Host, bytes.to_vec()));
        self
    }

    pub fn all(mut self, happenings: Vec<Happening>) -> Story {
        self.0.extend(happenings.into_iter().map(|happening| match happening {
            Happening::Bytes(from, bytes) => Step::Bytes(from, bytes),
            Happening::Close(by, kind) => Step::Close(by, kind),
        }));
        self
    }

    /// Records by plaintext size: `C467 S109 SA`, where A is a sealed alert.
    pub fn records(mut self, settled: Settled, words: &str) -> Story {
        for word in words.split_whitespace() {
            let (from, size) = word.split_at(1);
            let from = if from == "C" { Peer::Client } else { Peer::Host };
            let bytes = match size {
                "A" if settled.is_tls13() => sealed(CONTENT_DATA, settled.seal(2)),
                "A" => sealed(CONTENT_ALERT, settled.seal(2)),
                size => sealed(CONTENT_DATA, settled.seal(size.parse().expect("a size"))),
            };
            self.0.push(Step::Bytes(from, bytes));
        }
        self
    }

    pub fn wait(mut self, seconds: u64) -> Story {
        self.0.push(Step::Wait(Duration::from_secs(seconds)));
        self
    }

    pub fn close(mut self, by: Closer, kind: CloseKind) -> Story {
        self.0.push(Step::Close(by, kind));
        self
    }

    pub fn client_fin(self) -> Story {
        self.close(Closer::Client, CloseKind::Fin)
    }

    pub fn client_rst(self) -> Story {
        self.close(Closer::Client, CloseKind::Rst)
    }

    pub fn host_fin(self) -> Story {
        self.close(Closer::Host, CloseKind::Fin)
    }

    pub fn host_rst(self) -> Story {
        self.close(Closer::Host, CloseKind::Rst)
    }

    pub fn time_out(mut self, awaited: Awaiting) -> Story {
        self.0.push(Step::TimeOut(awaited));
        self
    }

    pub fn timeline(&self, seen: Seen) -> Timeline {
        let mut session = Session::new(Timestamp(0), Limits::default());
        let mut now = 0;
        let mut connected = !seen.live();
        let mut connect = |session: &mut Session, now: u64| {
            if !core::mem::replace(&mut connected, true) {
                let host = "192.0.2.7:3389".parse().expect("an address");
                session.upstream(UpstreamEvent::Resolving, Timestamp(now));
                session.upstream(UpstreamEvent::Connecting(host), Timestamp(now));
                session.upstream(UpstreamEvent::Connected(host), Timestamp(now));
            }
        };
        for step in &self.0 {
            if seen != Seen::CoarseClock {
                now += 1_000_000;
            }
            match step {
                Step::Wait(time) => now += u64::try_from(time.as_nanos()).expect("not that long"),
                Step::Bytes(from, bytes) => {
                    for piece in bytes.chunks(seen.piece().min(bytes.len())) {
                        session.data(*from, piece, Timestamp(now));
                    }
                    connect(&mut session, now);
                }
                Step::Close(by, kind) => {
                    connect(&mut session, now);
                    session.closed(*by, *kind, Timestamp(now));
                }
                Step::TimeOut(awaited) => {
                    connect(&mut session, now);
                    assert_eq!(session.awaiting().0, *awaited, "{seen:?}");
                    session.proxy_act(ProxyAct::TimedOut(*awaited), Timestamp(now));
                    session.closed(Closer::Proxy, CloseKind::Timeout, Timestamp(now));
                }
                Step::Tcp(leg, facts) => session.socket_facts(*leg, *facts),
            }
        }
        session.finish()
    }

    pub fn verdict(&self, seen: Seen) -> Verdict {
        diagnose(&self.timeline(seen))
    }
}
