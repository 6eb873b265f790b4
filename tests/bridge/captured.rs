//! Captures of sessions that a bridge had a hand in: each leg as it was on its wire, the verdict of the proxy, and not
//! more kept than is needed.

use crate::ends::{BOTH, Bench, Host, Identity, TLS12, TLS13, bridged, connect, within};
use crate::sealed::{ALERT, Sealer};
use crate::wiretap::{Wire, Wiretap};
use config::{BridgeMode, BridgeRules, Pin};
use parser::diagnosis::{Cause, Confidence};
use rdpscope::analyze::capture::{self, Step};
use rdpscope::analyze::own::{Recorded, recorded};
use rdpscope::analyze::packet::Packet;
use rdpscope::analyze::source::Source;
use rdpscope::record::SessionRecord;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What xfreerdp and xrdp said inside of TLS until xrdp refused a channel.
pub(crate) const SCRIPT: &str = include_str!("../../parser/testdata/plaintext/xrdp-join-refused.txt");

/// What was said inside, by whom, without the X.224 exchange.
pub(crate) fn script(text: &str) -> Vec<(bool, Vec<u8>)> {
    let said = text.lines().skip(2).filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (who, what) = (words.next()?, words.next()?);
        (what != "end").then(|| (who == "C", bytes(what)))
    });
    said.collect()
}

/// Hexadecimal digits; `(40)` stands for forty zeros.
fn bytes(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('(') {
            let (count, after) = inner.split_once(')').expect("a count");
            let zeros: usize = count.parse().expect("a number");
            out.extend(std::iter::repeat_n(0, zeros));
            rest = after;
        } else {
            let (digits, after) = rest.split_at(2);
            out.push(u8::from_str_radix(digits, 16).expect("digits"));
            rest = after;
        }
    }
    out
}

/// A client, a wire, the proxy, a wire, a host.
pub(crate) struct Stage {
    pub(crate) bench: Bench,
    pub(crate) host: Host,
    pub(crate) front: Wiretap,
    pub(crate) behind: Wiretap,
}

impl Stage {
    pub(crate) async fn new(host: Host, rules: BridgeRules) -> Stage {
        Stage::with(host, rules, |_| ()).await
    }

    pub(crate) async fn with(host: Host, rules: BridgeRules, adjust: impl FnOnce(&mut config::Capture)) -> Stage {
        let behind = Wiretap::to(host.address()).await;
        let bench = Bench::capturing(behind.address, rules, adjust).await;
        let front = Wiretap::to(bench.front).await;
        Stage { bench, host, front, behind }
    }

    /// The script inside of TLS, and then the host closes.
    pub(crate) async fn play(
        &mut self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        said: &[(bool, Vec<u8>)],
    ) -> std::sync::Arc<SessionRecord> {
        let (client, served) = tokio::join!(connect(self.front.address, versions), self.host.served());
        let (mut client, mut served) = (client.expect("up"), served);
        for (by_client, bytes) in said {
            let mut got = vec![0; bytes.len()];
            if *by_client {
                client.write_all(bytes).await.expect("written");
                within("the client's words", served.read_exact(&mut got)).await.expect("read");
            } else {
                served.write_all(bytes).await.expect("written");
                within("the host's words", client.read_exact(&mut got)).await.expect("read");
            }
            assert_eq!(&got, bytes);
        }
        drop(served);
        let mut rest = Vec::new();
        let _ = within("the end", client.read_to_end(&mut rest)).await;
        drop(client);
        self.bench.record().await
    }

    /// The file of a session, and what it says.
    pub(crate) async fn file(&self, record: &SessionRecord) -> Recorded {
        self.bench.written().await;
        let path = record.capture.as_deref().expect("it has a file");
        // The session's own memory goes a moment after its record came.
        let given_back = async {
            while self.bench.opening_memory() > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        within("all memory is given back", given_back).await;
        let read = recorded(path).expect("readable").expect("one of ours");
        assert!(!read.altered, "all that was kept is in it");
        read
    }

    /// Every wire is in the file as it was, but for what is masked.
    pub(crate) fn is_true_to_the_wires(&self, path: &Path) {
        let shown = payloads(path);
        let front = self.front.seen().into_iter().map(|wire| (wire, true));
        let behind = self.behind.seen().into_iter().map(|wire| (wire, false));
        for (wire, is_front) in front.chain(behind) {
            let Wire { opener, onward, up, down } = wire;
            let ends = if is_front { [onward, Some(self.bench.front)] } else { [opener, Some(self.behind.address)] };
            let [near, far] = ends.map(|end| end.expect("an address"));
            for (ends, sent) in [((near, far), up), ((far, near), down)] {
                let shown = shown.get(&ends).cloned().unwrap_or_default();
                assert_eq!(shown.len(), sent.len(), "{ends:?}");
                let differs = shown.iter().zip(&sent).position(|(shown, sent)| shown != sent && *shown != 0);
                assert_eq!(differs, None, "{ends:?}");
                let hidden = shown.iter().zip(&sent).filter(|(shown, sent)| shown != sent).count();
                assert!(hidden < 400, "{hidden} of {} bytes are hidden: only tickets are", sent.len());
            }
        }
    }
}

/// The bytes alone come to the same step, and claim to prove nothing else.
pub(crate) fn says_nothing_against_it(read: &Recorded, record: &SessionRecord) {
    let (by_bytes, told) = (read.by_bytes(), &record.verdict);
    assert_eq!(by_bytes.phase, told.phase, "{by_bytes:?}");
    assert!(by_bytes.cause == told.cause || by_bytes.confidence < Confidence::Proven, "{by_bytes:?}");
    println!(
        "told {} ({}), by its bytes {} ({})",
        told.cause,
        told.confidence.name(),
        by_bytes.cause,
        by_bytes.confidence.name()
    );
}

/// The bytes of each direction of each connection in a file.
pub(crate) fn payloads(path: &Path) -> HashMap<(SocketAddr, SocketAddr), Vec<u8>> {
    let mut payloads: HashMap<_, Vec<u8>> = HashMap::new();
    let read = capture::read(Source::open(path).expect("open"), |step| {
        if let Step::Packet(Packet::Segment(segment)) = step {
            payloads.entry((segment.from, segment.to)).or_default().extend_from_slice(segment.payload);
        }
        ControlFlow::Continue(())
    });
    assert_eq!(read.expect("readable").stopped, None);
    payloads
}

#[tokio::test]
async fn a_session_that_fails_inside_of_a_bridge_has_both_legs_as_they_were_and_the_verdict_of_the_proxy() {
    let identity = Identity::new();
    for (mode, client, host) in
        [(BridgeMode::Always, TLS13, BOTH), (BridgeMode::Always, TLS12, TLS13), (BridgeMode::Auto, TLS12, TLS13)]
    {
        let mut stage = Stage::new(Host::new(&identity, host).await, bridged(mode, identity.pin())).await;
        let record = stage.play(client, &script(SCRIPT)).await;
        assert_eq!(record.verdict.cause, Cause::ServerClosedInMcs, "{:?}", record.verdict);
        let read = stage.file(&record).await;
        let (told, here) = (&record.verdict, read.verdict());
        assert_eq!(
            (here.cause, here.side, here.phase, here.confidence),
            (told.cause, told.side, told.phase, told.confidence)
        );
        assert_eq!((&here.message, &here.alternatives), (&told.message, &told.alternatives));
        assert!(here.evidence.starts_with(&told.evidence) && here.evidence.len() == told.evidence.len() + 1);
        says_nothing_against_it(&read, &record);
        assert_eq!(read.timeline.bridge, record.timeline.bridge);
        assert!(!read.cut_short);
        let rescued = usize::from(mode == BridgeMode::Auto);
        assert_eq!(stage.behind.seen().len(), 1 + rescued, "connections to the host");
        stage.is_true_to_the_wires(record.capture.as_deref().expect("a file"));
    }
}

#[tokio::test]
async fn a_session_that_tls_cuts_has_the_reason_in_its_file() {
    let identity = Identity::new();
    for alert in [true, false] {
        let host = Host::new(&identity, TLS13).await;
        let mut stage = Stage::new(host, bridged(BridgeMode::Always, identity.pin())).await;
        let (client, served) = tokio::join!(connect(stage.front.address, TLS13), stage.host.served());
        let (mut client, (mut socket, mut sealer)) = (client.expect("up"), Sealer::of_host(served));
        let last = if alert { sealer.record(ALERT, &[2, 80]) } else { [&[23, 3, 3, 0, 40][..], &[7; 40]].concat() };
        socket.write_all(&last).await.expect("written");
        within("the end", client.read_to_end(&mut Vec::new())).await.expect_err("no close_notify");
        drop((client, socket));
        let record = stage.bench.record().await;
        assert_eq!(record.verdict.cause, Cause::BridgeLegFailed, "{:?}", record.verdict);
        let read = stage.file(&record).await;
        assert!(read.timeline.bridge.as_ref().is_some_and(|facts| facts.cut.is_some()));
        assert_eq!(read.timeline.bridge, record.timeline.bridge);
        let (told, here) = (&record.verdict, read.verdict());
        assert_eq!((here.cause, here.confidence, &here.message), (told.cause, told.confidence, &told.message));
    }
}

#[tokio::test]
async fn legs_that_do_not_come_up_are_shown_with_all_that_was_tried() {
    let identity = Identity::new();
    let other = Pin([7; 32]);
    for (mode, cause) in
        [(BridgeMode::Always, Cause::BridgeHostUntrusted), (BridgeMode::Auto, Cause::BridgeHostUntrusted)]
    {
        let mut stage = Stage::new(Host::new(&identity, TLS13).await, bridged(mode, other)).await;
        let hosts = async {
            // Whatever comes is refused or refuses.
            let tries = if mode == BridgeMode::Auto { 2 } else { 1 };
            for _ in 0..tries {
                let _ = stage.host.next().await;
            }
        };
        let (client, ()) = tokio::join!(connect(stage.front.address, TLS12), hosts);
        assert!(client.is_err(), "refused");
        let record = stage.bench.record().await;
        assert_eq!(record.verdict.cause, cause, "{:?}", record.verdict);
        let read = stage.file(&record).await;
        assert_eq!(read.verdict(), record.verdict, "from the bytes and from what the bridge did");
        stage.is_true_to_the_wires(record.capture.as_deref().expect("a file"));
    }
}

#[tokio::test]
async fn what_a_bridge_lets_pass_is_captured_like_any_other_session() {
    let identity = Identity::new();
    // NLA, and no key of the host's: untouched.
    let host = Host::new(&identity, TLS13).await.selecting(2);
    let mut stage = Stage::new(host, bridged(BridgeMode::Auto, identity.pin())).await;
    let (client, _) = tokio::join!(connect(stage.front.address, TLS12), stage.host.next());
    assert!(client.is_err(), "they cannot meet");
    let record = stage.bench.record().await;
    assert_eq!(record.verdict.cause, Cause::BridgeBlockedByNla, "{:?}", record.verdict);
    let read = stage.file(&record).await;
    assert_eq!((read.verdict(), read.timeline), (record.verdict.clone(), record.timeline.clone()));
    stage.is_true_to_the_wires(record.capture.as_deref().expect("a file"));
}

#[tokio::test]
async fn an_opening_behind_a_bridge_can_be_looked_at_and_a_session_that_is_up_holds_nothing() {
    let identity = Identity::new();
    let stage = Stage::new(Host::new(&identity, TLS13).await, bridged(BridgeMode::Always, identity.pin())).await;
    let (client, served) = tokio::join!(connect(stage.front.address, TLS12), stage.host.served());
    let (mut client, mut served) = (client.expect("up"), served);
    let session = include_str!("../../parser/testdata/plaintext/xrdp-session.txt");
    let mut looked = false;
    for (by_client, bytes) in script(session) {
        let mut got = vec![0; bytes.len()];
        if by_client {
            client.write_all(&bytes).await.expect("written");
            within("the client's words", served.read_exact(&mut got)).await.expect("read");
        } else {
            served.write_all(&bytes).await.expect("written");
            within("the host's words", client.read_exact(&mut got)).await.expect("read");
        }
        if !std::mem::replace(&mut looked, true) {
            let (status, body) = stage.bench.live_capture().await;
            let read = rdpscope::analyze::own::read(&body).expect("one of ours");
            assert_eq!(status, 200);
            assert!(read.timeline.client_hello.is_some() && read.timeline.bridge.is_some());
            assert!(stage.bench.opening_memory() > 2_000, "both legs are kept");
        }
    }
    assert_eq!(stage.bench.opening_memory(), 0, "the session is up");
    let (status, body) = stage.bench.live_capture().await;
    assert_eq!(status, 404, "{}", String::from_utf8_lossy(&body));
    drop((client, served));
}

#[tokio::test]
async fn what_cannot_be_understood_inside_is_not_kept_for_as_long_as_its_session_lasts() {
    let identity = Identity::new();
    let stage = Stage::new(Host::new(&identity, TLS13).await, bridged(BridgeMode::Always, identity.pin())).await;
    let (client, served) = tokio::join!(connect(stage.front.address, TLS12), stage.host.served());
    let (mut client, mut served) = (client.expect("up"), served);
    let mut got = [0; 600];
    client.write_all(&[0xff; 600]).await.expect("written");
    within("the client's words", served.read_exact(&mut got)).await.expect("read");
    let held = stage.bench.opening_memory();
    for _ in 0..50 {
        client.write_all(&[0xff; 600]).await.expect("written");
        within("the client's words", served.read_exact(&mut got)).await.expect("read");
    }
    assert_eq!(stage.bench.opening_memory(), held, "what came until then, and nothing after it");
    drop((client, served));
}

#[tokio::test]
async fn a_client_that_leaves_while_it_is_rescued_leaves_a_file_that_can_be_read() {
    let identity = Identity::new();
    let mut stage = Stage::new(Host::new(&identity, TLS13).await, bridged(BridgeMode::Always, identity.pin())).await;
    let mut client = TcpStream::connect(stage.front.address).await.expect("connect");
    client
        .write_all(b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00")
        .await
        .expect("written");
    let confirmed = async {
        let mut confirm = [0; 19];
        within("an answer", client.read_exact(&mut confirm)).await.expect("an answer");
        drop(client);
    };
    let (_, ()) = tokio::join!(stage.host.next(), confirmed);
    let record = stage.bench.record().await;
    stage.bench.written().await;
    if let Some(path) = record.capture.as_deref() {
        assert_eq!(recorded(path).expect("readable").expect("ours").verdict(), record.verdict);
        stage.is_true_to_the_wires(path);
    }
}
