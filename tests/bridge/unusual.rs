//! Peers that do what they may and seldom do, or what they may not: no session suffers for it that another one is in.

use crate::ends::{Bench, Host, Identity, TLS12, TLS13, bridged, connect, noise, within};
use crate::sealed::{ALERT, DATA, HANDSHAKE, Sealer};
use config::{BridgeMode, BridgeRules, Timeouts};
use parser::diagnosis::{Cause, Confidence};
use parser::session::{BridgeOutcome, CloseKind, Closer, Peer};
use parser::wire::{AlertDescription, TlsVersion};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ALL: [TlsVersion; 4] = [TlsVersion::TLS10, TlsVersion::TLS11, TlsVersion::TLS12, TlsVersion::TLS13];
/// A ServerHello of TLS 1.2 with ECDHE-ECDSA-AES256-GCM-SHA384 and an extended master secret. RFC 5246 7.4.1.3
const SERVER_HELLO: &[u8] = b"\x16\x03\x03\x00\x35\x02\x00\x00\x31\x03\x03\
    0123456789abcdef0123456789abcdef\x00\xc0\x2c\x00\x00\x09\x00\x17\x00\x00\xff\x01\x00\x01\x00";

/// A NewSessionTicket with a ticket of `length` bytes. RFC 8446 4.6.1
fn ticket(length: u16) -> Vec<u8> {
    let body =
        [&[0, 0, 14, 16, 1, 2, 3, 4, 1, 9][..], &length.to_be_bytes(), &noise(5, length.into()), &[0, 0]].concat();
    [&[4][..], &u32::try_from(body.len()).expect("short").to_be_bytes()[1..], &body].concat()
}

#[tokio::test]
async fn a_ticket_longer_than_a_record_is_taken_and_the_session_goes_on() {
    let identity = Identity::new();
    let host = Host::new(&identity, TLS13).await;
    for fragment in [16_384, 1_000] {
        let mut bench = Bench::new(host.address(), bridged(BridgeMode::Always, identity.pin())).await;
        let (client, served) = tokio::join!(connect(bench.front, TLS13), host.served());
        let (mut client, (mut socket, mut sealer)) = (client.expect("up"), Sealer::of_host(served));
        for part in ticket(60_000).chunks(fragment) {
            socket.write_all(&sealer.record(HANDSHAKE, part)).await.expect("written");
            tokio::task::yield_now().await;
        }
        socket.write_all(&sealer.record(DATA, b"after it")).await.expect("written");
        let mut got = [0; 8];
        within("data", client.read_exact(&mut got)).await.expect("data");
        assert_eq!(&got, b"after it");
        drop((client, socket));
        assert_eq!(bench.record().await.timeline.proxy_act, None);
    }
}

#[tokio::test]
async fn a_message_in_records_of_a_byte_each_ends_the_session_when_it_has_taken_its_room() {
    let identity = Identity::new();
    for by in [Peer::Client, Peer::Host] {
        let host = Host::new(&identity, TLS13).await;
        let mut bench = Bench::new(host.address(), bridged(BridgeMode::Always, identity.pin())).await;
        let (client, served) = tokio::join!(connect(bench.front, TLS13), host.served());
        let client = client.expect("up");
        let (hostile, other) = match by {
            Peer::Client => {
                let (socket, sealer) = Sealer::of_client(client);
                ((socket, sealer), served.into_inner().0)
            }
            Peer::Host => {
                let (socket, sealer) = Sealer::of_host(served);
                ((socket, sealer), client.into_inner().0)
            }
        };
        let ((mut socket, mut sealer), mut other) = (hostile, other);
        for byte in ticket(60_000) {
            if socket.write_all(&sealer.record(HANDSHAKE, &[byte])).await.is_err() {
                break;
            }
        }
        let _ = within("the end", other.read_to_end(&mut Vec::new())).await;
        drop((socket, other));
        assert_eq!(bench.record().await.timeline.proxy_act, None, "nothing has panicked");
    }
}

#[tokio::test]
async fn a_reset_is_seen_while_the_other_side_takes_nothing() {
    let identity = Identity::new();
    for by in [Peer::Client, Peer::Host] {
        let host = Host::new(&identity, TLS13).await;
        let mut bench = Bench::new(host.address(), bridged(BridgeMode::Always, identity.pin())).await;
        let (client, served) = tokio::join!(connect(bench.front, TLS13), host.served());
        let (mut client, mut served) = (client.expect("up"), served);
        // As much as goes, until nothing has moved for a while.
        let flood = vec![7; 65_536];
        let pause = Duration::from_millis(500);
        let closer = match by {
            Peer::Client => {
                while let Ok(written) = tokio::time::timeout(pause, client.write(&flood)).await {
                    written.expect("written");
                }
                client.get_ref().0.set_zero_linger().expect("linger");
                drop(client);
                Closer::Client
            }
            Peer::Host => {
                while let Ok(written) = tokio::time::timeout(pause, served.write(&flood)).await {
                    written.expect("written");
                }
                served.get_ref().0.set_zero_linger().expect("linger");
                drop(served);
                Closer::Host
            }
        };
        let record = bench.record().await;
        let first = record.timeline.first_close().map(|close| (close.by, close.kind));
        assert_eq!(first, Some((closer, CloseKind::Rst)));
    }
}

/// A host that was dialled once more than is waited for would show.
fn soon_late(timeouts: &mut Timeouts) {
    timeouts.server_hello = Duration::from_secs(1);
    timeouts.negotiate = Duration::from_secs(600);
}

#[tokio::test]
async fn a_rescue_in_which_the_host_falls_silent_ends_with_what_the_host_had_said() {
    let identity = Identity::new();
    let host = Host::new(&identity, TLS13).await;
    let rules = bridged(BridgeMode::Auto, identity.pin());
    let mut bench = Bench::timing(host.address(), rules, soon_late).await;
    let host_side = async {
        assert!(host.next().await.is_err(), "it refuses the client's own hello");
        host.negotiated().await.expect("dialled again")
    };
    let (client, _silent) = tokio::join!(connect(bench.front, TLS12), host_side);
    let error = client.expect_err("refused").to_string();
    assert!(error.contains("ProtocolVersion"), "{error}");
    let record = bench.record().await;
    let facts = record.timeline.bridge.as_deref().expect("told");
    assert!(matches!(&facts.outcome, BridgeOutcome::LegFailed { leg: Peer::Host, .. }), "{facts:?}");
    assert_eq!(record.verdict.cause, Cause::BridgeLegFailed);
}

#[tokio::test]
async fn a_host_that_falls_silent_in_its_handshake_is_an_alert_for_the_client_and_told_as_a_leg_that_failed() {
    let identity = Identity::new();
    // A whole ServerHello and nothing after it, or not even that.
    for answer in [true, false] {
        let host = Host::new(&identity, TLS12).await;
        let rules = bridged(BridgeMode::Always, identity.pin());
        let mut bench = Bench::timing(host.address(), rules, soon_late).await;
        let host_side = async {
            let mut socket = host.negotiated().await.expect("a connection");
            let _ = socket.read(&mut [0; 4096]).await;
            if answer {
                socket.write_all(SERVER_HELLO).await.expect("written");
            }
            socket
        };
        let (client, _silent) = tokio::join!(connect(bench.front, TLS13), host_side);
        let error = client.expect_err("refused").to_string();
        assert!(error.contains("HandshakeFailure"), "{error}");
        let record = bench.record().await;
        assert_eq!(record.verdict.cause, Cause::BridgeLegFailed, "{:?}", record.verdict);
    }
}

/// OpenSSL writes nothing while its peer is in the middle of a message.
#[tokio::test]
async fn data_for_a_host_that_is_in_the_middle_of_a_ticket_is_kept_until_it_can_be_sent() {
    let identity = Identity::new();
    let modern = bridged(BridgeMode::Always, identity.pin());
    let legacy = BridgeRules { host_versions: ALL.to_vec(), ..modern.clone() };
    for rules in [modern, legacy].into_iter().take(if config::LEGACY_TLS { 2 } else { 1 }) {
        let host = Host::new(&identity, TLS13).await;
        let mut bench = Bench::capturing(host.address(), rules, |_| ()).await;
        let (client, served) = tokio::join!(connect(bench.front, TLS13), host.served());
        let (mut client, (mut socket, mut sealer)) = (client.expect("up"), Sealer::of_host(served));
        let ticket = ticket(500);
        let (begin, end) = ticket.split_at(100);
        // What comes before it shows that it has been read.
        let before = [sealer.record(DATA, b"before"), sealer.record(HANDSHAKE, begin)].concat();
        socket.write_all(&before).await.expect("written");
        let mut got = [0; 6];
        within("data", client.read_exact(&mut got)).await.expect("data");
        let known = bench.heard_of_client().await;
        client.write_all(&noise(6, 50_000)).await.expect("written");
        within("the client's data", async { while bench.heard_of_client().await < known + 50_000 {} }).await;
        let behind = [sealer.record(HANDSHAKE, end), sealer.record(DATA, b"behind")].concat();
        socket.write_all(&behind).await.expect("written");
        within("data", client.read_exact(&mut got)).await.expect("the session goes on");
        assert_eq!(&got, b"behind");
        let mut sealed = vec![0; 50_000];
        within("the client's data", socket.read_exact(&mut sealed)).await.expect("all of it");
        drop((client, socket));
        bench.record().await;
    }
}

/// Four thousand fit into one record, and each has an answer. RFC 5246 7.4.1.1, 7.2.2
#[tokio::test]
async fn a_host_may_ask_for_a_renegotiation_but_not_again_and_again() {
    let identity = Identity::new();
    let modern = bridged(BridgeMode::Always, identity.pin());
    let legacy = BridgeRules { host_versions: ALL[1..3].to_vec(), ..modern.clone() };
    for rules in [modern, legacy].into_iter().take(if config::LEGACY_TLS { 2 } else { 1 }) {
        let host = Host::new(&identity, TLS12).await;
        let mut bench = Bench::new(host.address(), rules).await;
        let (client, served) = tokio::join!(connect(bench.front, TLS13), host.served());
        let (mut client, (mut socket, mut sealer)) = (client.expect("up"), Sealer::of_host(served));
        let once = [sealer.record(HANDSHAKE, &[0; 4]), sealer.record(DATA, b"behind")].concat();
        socket.write_all(&once).await.expect("written");
        let mut got = [0; 6];
        within("data", client.read_exact(&mut got)).await.expect("it goes on");
        assert_eq!(&got, b"behind");
        socket.write_all(&sealer.record(HANDSHAKE, &[0; 16_384])).await.expect("written");
        let mut answers = Vec::new();
        within("the end", socket.read_to_end(&mut answers)).await.expect("an end");
        assert!(answers.len() < 500, "{} bytes", answers.len());
        let end = within("the end", client.read(&mut got)).await;
        assert_eq!(end.expect_err("no close_notify").kind(), std::io::ErrorKind::UnexpectedEof);
        drop((client, socket));
        bench.record().await;
    }
}

#[tokio::test]
async fn a_session_that_is_cut_is_told_by_whom_and_nobody_takes_it_for_a_whole_one() {
    let identity = Identity::new();
    let bad = [&[23, 3, 3, 0, 40][..], &[7; 40]].concat();
    for (by, alert) in [(Peer::Client, true), (Peer::Host, true), (Peer::Client, false), (Peer::Host, false)] {
        let host = Host::new(&identity, TLS13).await;
        let mut bench = Bench::new(host.address(), bridged(BridgeMode::Always, identity.pin())).await;
        let (client, served) = tokio::join!(connect(bench.front, TLS13), host.served());
        let (mut client, mut served) = (client.expect("up"), served);
        let mut got = Vec::new();
        let end = match by {
            Peer::Client => {
                let (mut socket, mut sealer) = Sealer::of_client(client);
                let before = sealer.record(DATA, b"before");
                let last = if alert { sealer.record(ALERT, &[2, 80]) } else { bad.clone() };
                socket.write_all(&[before, last].concat()).await.expect("written");
                within("the end", served.read_to_end(&mut got)).await
            }
            Peer::Host => {
                let (mut socket, mut sealer) = Sealer::of_host(served);
                let before = sealer.record(DATA, b"before");
                let last = if alert { sealer.record(ALERT, &[2, 80]) } else { bad.clone() };
                socket.write_all(&[before, last].concat()).await.expect("written");
                within("the end", client.read_to_end(&mut got)).await
            }
        };
        assert_eq!(end.expect_err("no close_notify").kind(), std::io::ErrorKind::UnexpectedEof);
        assert_eq!(got, b"before");
        let told = match (by, alert) {
            (_, false) => Closer::Proxy,
            (Peer::Client, true) => Closer::Client,
            (Peer::Host, true) => Closer::Host,
        };
        let record = bench.record().await;
        assert_eq!(record.timeline.first_close().map(|close| close.by), Some(told));
        let cut = record.timeline.bridge.as_ref().and_then(|facts| facts.cut.clone()).expect("told");
        assert_eq!((cut.leg, cut.alert), (by, alert.then_some(AlertDescription::INTERNAL_ERROR)));
        let confidence = if alert { Confidence::Likely } else { Confidence::Proven };
        assert_eq!((record.verdict.cause, record.verdict.confidence), (Cause::BridgeLegFailed, confidence));
        let named = if alert { "internal_error (80)" } else { &*cut.words };
        assert!(record.verdict.message.contains(named), "{}", record.verdict.message);
        assert!(record.verdict.message.contains(by.name()), "{}", record.verdict.message);
    }
}
