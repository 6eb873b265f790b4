//! TLS from the first byte: in front of a gateway a bridge shows the gateway's own certificate, or stands aside.

use crate::ends::{BOTH, Bench, Host, Identity, TLS12, TLS13, bridged, shake, within};
use config::{BridgeMode, BridgeRules};
use parser::session::{BridgeBlock, BridgeOutcome, BridgeReason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_gateway_is_bridged_with_its_own_pair_and_passed_untouched_with_any_other() {
    let identity = Identity::new();
    let own = BridgeRules { pair: Some(identity.files("gateway-own")), ..bridged(BridgeMode::Always, identity.pin()) };
    let none = bridged(BridgeMode::Always, identity.pin());
    for (rules, outcome) in [(own, BridgeOutcome::Carried), (none, BridgeOutcome::Blocked(BridgeBlock::Gateway))] {
        let host = Host::new(&identity, BOTH).await.at_once();
        let mut bench = Bench::new(host.address(), rules).await;
        let socket = TcpStream::connect(bench.front).await.expect("connected");
        let (client, served) = tokio::join!(shake(socket, TLS13, b""), host.served());
        let (mut client, mut served) = (client.expect("up"), served);
        let shown = client.get_ref().1.peer_certificates().and_then(|chain| chain.first()).expect("a certificate");
        assert_eq!(shown.as_ref(), identity.der(), "what the sign-in inside binds");
        client.write_all(b"RDG_OUT_DATA /remoteDesktopGateway/ HTTP/1.1\r\n\r\n").await.expect("written");
        let mut got = [0; 12];
        within("data", served.read_exact(&mut got)).await.expect("data");
        assert_eq!(&got, b"RDG_OUT_DATA");
        drop((client, served));
        let record = bench.record().await;
        assert_eq!(record.timeline.bridge.as_deref().map(|facts| &facts.outcome), Some(&outcome));
    }
}

#[tokio::test]
async fn a_client_that_its_gateway_refuses_is_rescued() {
    let identity = Identity::new();
    let rules =
        BridgeRules { pair: Some(identity.files("gateway-rescue")), ..bridged(BridgeMode::Auto, identity.pin()) };
    let host = Host::new(&identity, TLS13).await.at_once();
    let mut bench = Bench::new(host.address(), rules).await;
    let socket = TcpStream::connect(bench.front).await.expect("connected");
    let (client, served) = tokio::join!(shake(socket, TLS12, b""), host.served());
    drop((client.expect("up"), served));
    let record = bench.record().await;
    let facts = record.timeline.bridge.as_deref().expect("bridged");
    assert_eq!((facts.reason, &facts.outcome), (BridgeReason::Rescue, &BridgeOutcome::Carried));
}
