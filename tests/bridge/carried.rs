//! What crosses a bridge: bytes, ends, and nothing of a pair that needs none.

use crate::ends::{BOTH, Bench, Host, Identity, TLS12, TLS13, bridged, connect, connect_saying, noise, within};
use config::{BridgeMode, BridgeRules};
use parser::diagnosis::{Cause, Confidence};
use parser::session::{BridgeBlock, BridgeOutcome, BridgeReason, CloseKind, Closer};
use parser::wire::TlsVersion;
use std::io::Write;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_client_whose_hello_the_host_refuses_is_rescued_and_never_notices() {
    let identity = Identity::new();
    let host = Host::new(&identity, TLS13).await;
    let mut bench = Bench::new(host.address(), bridged(BridgeMode::Auto, identity.pin())).await;
    let (client, served) = tokio::join!(connect(bench.front, TLS12), host.served());
    let (mut client, mut served) = (client.expect("one connection, no failure"), served);
    client.write_all(b"\x03\x00\x00\x08 hello").await.expect("written");
    let mut got = [0; 10];
    within("data", served.read_exact(&mut got)).await.expect("data");
    drop(client);
    drop(served);
    let record = bench.record().await;
    let facts = record.timeline.bridge.as_deref().expect("bridged");
    assert_eq!((facts.reason, &facts.outcome), (BridgeReason::Rescue, &BridgeOutcome::Carried));
    assert_eq!(facts.client.map(|leg| leg.version), Some(TlsVersion::TLS12));
    assert_eq!(facts.host.map(|leg| leg.version), Some(TlsVersion::TLS13));
}

#[tokio::test]
async fn a_pair_that_can_meet_is_left_alone_the_client_sees_the_hosts_certificate() {
    let identity = Identity::new();
    let host = Host::new(&identity, BOTH).await;
    let mut bench = Bench::new(host.address(), bridged(BridgeMode::Auto, identity.pin())).await;
    let (client, served) = tokio::join!(connect(bench.front, BOTH), host.next());
    let (client, _served) = (client.expect("up"), served.expect("up"));
    let shown = client.get_ref().1.peer_certificates().and_then(|chain| chain.first()).expect("a certificate");
    assert_eq!(shown.as_ref(), identity.der());
    drop((client, _served));
    assert_eq!(bench.record().await.timeline.bridge, None);
}

#[tokio::test]
async fn bytes_half_closes_and_close_notifies_cross_in_both_directions() {
    let identity = Identity::new();
    let host = Host::new(&identity, TLS13).await;
    let mut bench = Bench::new(host.address(), bridged(BridgeMode::Always, identity.pin())).await;
    let (client, served) = tokio::join!(connect(bench.front, TLS12), host.served());
    let (mut client, mut served) = (client.expect("up"), served);
    let (up, down) = (noise(1, 300_000), noise(2, 3_000_000));
    let one = async {
        client.write_all(&up).await.expect("written");
        // close_notify and FIN: the other direction goes on.
        client.shutdown().await.expect("shutdown");
        let mut got = Vec::new();
        within("the host's data", client.read_to_end(&mut got)).await.expect("an end with close_notify");
        assert!(got == down, "{} of {} bytes", got.len(), down.len());
    };
    let other = async {
        let mut got = Vec::new();
        within("the client's data", served.read_to_end(&mut got)).await.expect("an end with close_notify");
        assert!(got == up, "{} of {} bytes", got.len(), up.len());
        served.write_all(&down).await.expect("written");
        served.shutdown().await.expect("shutdown");
    };
    tokio::join!(one, other);
    let record = bench.record().await;
    let closes: Vec<_> = record.timeline.closes.iter().map(|close| (close.by, close.kind)).collect();
    assert_eq!(closes, [(Closer::Client, CloseKind::Fin), (Closer::Host, CloseKind::Fin)]);
}

#[tokio::test]
async fn what_comes_with_the_end_of_the_handshake_is_carried_and_counted_once() {
    let identity = Identity::new();
    let data = noise(3, 5000);
    let mut counted = Vec::new();
    for early in [true, false] {
        let host = Host::new(&identity, TLS13).await;
        let mut bench = Bench::new(host.address(), bridged(BridgeMode::Always, identity.pin())).await;
        let said = if early { &data[..] } else { b"" };
        let (client, served) = tokio::join!(connect_saying(bench.front, TLS13, said), host.served());
        let (mut client, mut served) = (client.expect("up"), served);
        if !early {
            client.write_all(&data).await.expect("written");
        }
        let mut got = vec![0; data.len()];
        within("data", served.read_exact(&mut got)).await.expect("data");
        assert!(got == data);
        drop((client, served));
        counted.push(bench.record().await.timeline.traffic.client.bytes);
    }
    // With the handshake it is counted as it crossed the wire, with the 22 bytes around a record. RFC 8446 5.2
    assert!(counted[0].abs_diff(counted[1]) <= 22, "{counted:?}");
}

#[tokio::test]
async fn an_end_without_close_notify_is_carried_as_one() {
    let identity = Identity::new();
    let host = Host::new(&identity, TLS13).await;
    let bench = Bench::new(host.address(), bridged(BridgeMode::Always, identity.pin())).await;
    let (client, served) = tokio::join!(connect(bench.front, TLS13), host.served());
    let (mut client, served) = (client.expect("up"), served);
    drop(served.into_inner().0);
    let end = within("the end", client.read_to_end(&mut Vec::new())).await;
    assert_eq!(end.expect_err("no close_notify").kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn what_came_before_a_record_that_does_not_open_goes_on_and_is_cut_there() {
    let identity = Identity::new();
    for versions in [TLS12, TLS13] {
        let host = Host::new(&identity, versions).await;
        let bench = Bench::new(host.address(), bridged(BridgeMode::Always, identity.pin())).await;
        let (client, served) = tokio::join!(connect(bench.front, versions), host.served());
        let (client, mut served) = (client.expect("up"), served);
        let (mut socket, mut tls) = client.into_inner();
        // Many small records and one that nobody sealed, in one write.
        let mut wire = Vec::new();
        for part in noise(4, 4_000).chunks(100) {
            tls.writer().write_all(part).expect("taken");
            tls.write_tls(&mut wire).expect("sealed");
        }
        wire.extend([[23, 3, 3, 0, 40].as_slice(), &[7; 40]].concat());
        socket.write_all(&wire).await.expect("written");
        let mut got = Vec::new();
        let end = within("the end", served.read_to_end(&mut got)).await;
        assert!(got == noise(4, 4_000), "{} bytes", got.len());
        assert_eq!(end.expect_err("no close_notify").kind(), std::io::ErrorKind::UnexpectedEof);
    }
}

#[tokio::test]
async fn a_reset_of_one_leg_resets_the_other() {
    let identity = Identity::new();
    let host = Host::new(&identity, TLS13).await;
    let mut bench = Bench::new(host.address(), bridged(BridgeMode::Always, identity.pin())).await;
    let (client, served) = tokio::join!(connect(bench.front, TLS13), host.served());
    let (mut client, served) = (client.expect("up"), served);
    let socket = served.into_inner().0;
    socket.set_zero_linger().expect("linger");
    drop(socket);
    let end = within("the reset", client.read(&mut [0; 16])).await;
    assert_eq!(end.expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(bench.record().await.timeline.first_close().map(|close| close.kind), Some(CloseKind::Rst));
}

#[tokio::test]
async fn a_host_leg_that_fails_is_an_alert_and_no_success_before_an_end() {
    let (identity, other) = (Identity::new(), Identity::new());
    let host = Host::new(&identity, TLS13).await;
    let mut bench = Bench::new(host.address(), bridged(BridgeMode::Always, other.pin())).await;
    let (client, _) = tokio::join!(connect(bench.front, TLS13), host.next());
    let error = client.expect_err("refused").to_string();
    assert!(error.contains("BadCertificate"), "{error}");
    let record = bench.record().await;
    assert_eq!(record.verdict.cause, Cause::BridgeHostUntrusted);
    assert!(record.verdict.evidence.iter().any(|line| line.contains(&identity.pin().to_string())));
}

#[tokio::test]
async fn nla_is_carried_by_the_hosts_own_key_alone_and_else_passed_untouched() {
    let identity = Identity::new();
    for (own, outcome) in [(true, BridgeOutcome::Carried), (false, BridgeOutcome::Blocked(BridgeBlock::Nla))] {
        let other = Identity::new();
        let files = if own { &identity } else { &other }.files(if own { "own" } else { "other" });
        let host = Host::new(&identity, TLS13).await.selecting(2);
        let rules = BridgeRules { pair: Some(files), ..bridged(BridgeMode::Always, identity.pin()) };
        let mut bench = Bench::new(host.address(), rules).await;
        let (client, host_end) = tokio::join!(connect(bench.front, TLS13), async {
            // Untouched means a second connection: the first one has shown which key the host has.
            let first = host.served().await;
            if own { first } else { host.served().await }
        });
        let client = client.expect("up");
        let shown = client.get_ref().1.peer_certificates().and_then(|chain| chain.first()).expect("a certificate");
        assert_eq!(shown.as_ref(), identity.der(), "the host's key either way");
        drop((client, host_end));
        let facts = bench.record().await.timeline.bridge.clone().expect("told");
        assert_eq!(facts.outcome, outcome);
    }
}

#[tokio::test]
async fn a_rescue_that_failed_is_not_tried_again_for_a_while() {
    let (identity, other) = (Identity::new(), Identity::new());
    let host = Host::new(&identity, TLS13).await;
    let mut bench = Bench::new(host.address(), bridged(BridgeMode::Auto, other.pin())).await;
    let mut outcomes = Vec::new();
    for connections in [2, 1] {
        let host_side = async {
            for _ in 0..connections {
                assert!(host.next().await.is_err());
            }
        };
        let (client, ()) = tokio::join!(connect(bench.front, TLS12), host_side);
        let error = client.expect_err("the host's own refusal").to_string();
        assert!(error.contains("ProtocolVersion"), "{error}");
        let record = bench.record().await;
        // The pin is at fault for the second client too.
        assert_eq!(record.verdict.cause, Cause::BridgeHostUntrusted);
        assert!(record.verdict.evidence.iter().any(|line| line.contains(&identity.pin().to_string())));
        outcomes.push((record.verdict.confidence, record.timeline.bridge.clone().expect("told").outcome));
    }
    let [(Confidence::Proven, first), (Confidence::Likely, BridgeOutcome::FailedBefore(second))] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert!(matches!(first, BridgeOutcome::HostUntrusted(_)) && **second == *first, "{outcomes:?}");
}
