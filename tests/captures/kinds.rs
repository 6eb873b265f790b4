//! One session of each way to fail, all through tshark: nothing that does not fit, and on each leg what passed there.

use crate::bench::{ALERT, Bench, CONFIRM, hello, pass, request, within};
use crate::tools::{left_out, said};
use rdpscope::analyze::own::recorded;
use rdpscope::record::SessionRecord;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

/// What happens after the client was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    HostSaysNothingAndCloses,
    HostResetsAtTheRequest,
    HostRefusesTheNegotiation,
    HostResetsAtTheHello,
    HostClosesAtTheHello,
    HostSendsAnAlert,
    ClientSendsAnAlert,
    HostBreaksOffInItsHello,
    ClientLeavesBeforeTheHello,
    ClientNeverSendsItsHello,
    HostNeverAnswersTheHello,
    GatewaySendsAnAlert,
    /// The host chose standard RDP security, and the client starts TLS all the same.
    ClientStartsTlsUnasked,
    HostIsNotThere,
}

impl Kind {
    pub(crate) const ALL: [Kind; 14] = [
        Kind::HostSaysNothingAndCloses,
        Kind::HostResetsAtTheRequest,
        Kind::HostRefusesTheNegotiation,
        Kind::HostResetsAtTheHello,
        Kind::HostClosesAtTheHello,
        Kind::HostSendsAnAlert,
        Kind::ClientSendsAnAlert,
        Kind::HostBreaksOffInItsHello,
        Kind::ClientLeavesBeforeTheHello,
        Kind::ClientNeverSendsItsHello,
        Kind::HostNeverAnswersTheHello,
        Kind::GatewaySendsAnAlert,
        Kind::ClientStartsTlsUnasked,
        Kind::HostIsNotThere,
    ];

    fn has_a_hello(self) -> bool {
        use Kind::*;
        !matches!(
            self,
            HostSaysNothingAndCloses
                | HostResetsAtTheRequest
                | HostRefusesTheNegotiation
                | ClientLeavesBeforeTheHello
                | ClientNeverSendsItsHello
                | HostIsNotThere
        )
    }

    fn has_a_request(self) -> bool {
        !matches!(self, Kind::GatewaySendsAnAlert)
    }

    /// The proxy ends it, and no packet of a peer says why.
    pub(crate) fn is_the_proxys_doing(self) -> bool {
        use Kind::*;
        matches!(self, ClientNeverSendsItsHello | HostNeverAnswersTheHello | HostIsNotThere)
    }

    /// Lets it happen.
    pub(crate) async fn happen(self, bench: &mut Bench) -> Arc<SessionRecord> {
        let client = within("connect", TcpStream::connect(bench.front)).await;
        let mut rest = Vec::new();
        if self == Kind::HostIsNotThere {
            // The reset may be there before the client has looked.
            if let Ok(mut client) = client {
                let _ = within("the end", client.read_to_end(&mut rest)).await;
            }
            return bench.record().await;
        }
        let mut client = client.unwrap();
        let (mut host, _) = within("accept", bench.host.accept()).await.unwrap();
        if self.has_a_request() {
            pass(&mut client, &mut host, &request()).await;
        }
        match self {
            Kind::HostRefusesTheNegotiation => {
                let refusal = [3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 3, 0, 8, 0, 5, 0, 0, 0];
                pass(&mut host, &mut client, &refusal).await;
            }
            Kind::GatewaySendsAnAlert | Kind::HostSaysNothingAndCloses | Kind::HostResetsAtTheRequest => {}
            Kind::ClientStartsTlsUnasked => {
                let standard = [3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0, 8, 0, 0, 0, 0, 0];
                pass(&mut host, &mut client, &standard).await;
            }
            _ => pass(&mut host, &mut client, &CONFIRM).await,
        }
        if self.has_a_hello() {
            pass(&mut client, &mut host, &hello()).await;
        }
        match self {
            Kind::HostSendsAnAlert | Kind::GatewaySendsAnAlert => pass(&mut host, &mut client, &ALERT).await,
            // unknown_ca
            Kind::ClientSendsAnAlert => pass(&mut client, &mut host, &[21, 3, 3, 0, 2, 2, 48]).await,
            Kind::HostBreaksOffInItsHello => {
                pass(&mut host, &mut client, &[22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3, 1, 2, 3, 4, 5, 6, 7]).await;
            }
            Kind::HostResetsAtTheHello | Kind::HostResetsAtTheRequest => host.set_zero_linger().unwrap(),
            Kind::ClientNeverSendsItsHello | Kind::HostNeverAnswersTheHello => {
                let _ = within("the end", client.read_to_end(&mut rest)).await;
            }
            _ => {}
        }
        match self {
            Kind::ClientLeavesBeforeTheHello | Kind::ClientSendsAnAlert => {
                drop(client);
                let _ = within("the end", host.read_to_end(&mut rest)).await;
                drop(host);
            }
            _ => {
                drop(host);
                let _ = within("the end", client.read_to_end(&mut rest)).await;
                drop(client);
            }
        }
        bench.record().await
    }
}

/// A proxy for it: patient but where its time-out is what is to happen, with a host but where there is none.
pub(crate) async fn bench(kind: Kind, nobody: SocketAddr) -> Bench {
    Bench::with(|settings| match kind {
        Kind::ClientNeverSendsItsHello => settings.timeouts.client_hello = Duration::from_millis(200),
        Kind::HostNeverAnswersTheHello => settings.timeouts.server_hello = Duration::from_millis(200),
        Kind::HostIsNotThere => settings.listeners[0].upstream.port = nobody.port(),
        _ => {}
    })
    .await
}

/// A port that is taken, and where nobody listens.
pub(crate) fn nobody() -> (TcpSocket, SocketAddr) {
    let taken = TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = taken.local_addr().unwrap();
    (taken, nobody)
}

#[tokio::test]
async fn every_way_to_fail_leaves_a_file_that_tshark_reads_without_a_complaint() {
    if left_out("tshark") {
        return;
    }
    let (_taken, nobody) = nobody();
    let mut causes = BTreeSet::new();
    for kind in Kind::ALL {
        let mut bench = bench(kind, nobody).await;
        let record = kind.happen(&mut bench).await;
        bench.written().await;
        let file =
            record.capture.as_deref().unwrap_or_else(|| panic!("{kind:?}: {} has no file", record.verdict.cause));
        let read = recorded(file).unwrap().unwrap();
        assert!(read.verdict() == record.verdict && !read.altered, "{kind:?}");
        causes.insert(record.verdict.cause.id());
        let checks = ["-n", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"];
        let ports = [record.identity.local.port(), bench.host.local_addr().unwrap().port()];
        let mut shown = String::new();
        for name in ["tpkt", "tls"] {
            let [front, back] = ports.map(|port| format!("tcp.port=={port},{name}"));
            let decoded = [&checks[..], &["-d", &front, "-d", &back]].concat();
            let fields =
                ["-T", "fields", "-e", "frame.interface_name", "-e", "_ws.col.Info", "-z", "expert,note", "-r"];
            let text = said("tshark", &[&decoded[..], &fields].concat(), file);
            let counted = |line: &&str| line.split_whitespace().next().is_some_and(|word| word.parse::<u32>().is_ok());
            // True of the traffic: closes, resets, and our own comments.
            let known = ["connection closing", "Connection reset (RST)", "Comment"];
            let is_known = |line: &str| known.iter().any(|known| line.contains(known));
            let other: Vec<&str> = text.lines().filter(counted).filter(|line| !is_known(line)).collect();
            assert!(text.contains("Frequency"), "nothing was remarked:\n{text}");
            assert!(other.is_empty(), "{kind:?} as {name}: {other:?}\n{text}");
            shown += &text;
        }
        let on = |leg: &str, text: &str| shown.lines().any(|line| line.starts_with(leg) && line.contains(text));
        for leg in ["client leg", "host leg"] {
            let there = kind != Kind::HostIsNotThere;
            assert_eq!(on(leg, "Negotiate Request"), kind.has_a_request() && there, "{kind:?}, {leg}:\n{shown}");
            assert_eq!(on(leg, "Client Hello"), kind.has_a_hello(), "{kind:?}, {leg}:\n{shown}");
        }
        if kind == Kind::HostIsNotThere {
            assert!(on("host leg", "[SYN]") && on("host leg", "[RST, ACK]"), "{shown}");
            let ends = said("tshark", &["-n", "-T", "fields", "-e", "ip.src", "-e", "ip.dst", "-r"], file);
            assert!(!ends.contains("0.0.0.0"), "{ends}");
        }
        bench.proxy.stop().await;
    }
    assert!(causes.len() >= 8, "{causes:?}");
}
