//! A bridge that cannot work stops the start, with the file and the reason; a reload leaves the old one in force.

use crate::ends::{Bench, Host, Identity, TLS12, TLS13, bridged, connect, settings};
use config::{BridgeMode, BridgeRules, PairFiles};
use rdpscope::observe::Observer;
use rdpscope::run::Proxy;

#[tokio::test]
async fn a_pair_that_does_not_fit_stops_the_start_and_names_the_file() {
    let (one, other) = (Identity::new(), Identity::new());
    let host = Host::new(&one, TLS13).await;
    let (own, foreign) = (one.files("start-one"), other.files("start-other"));
    let mixed = PairFiles { private_key: foreign.private_key.clone(), ..own };
    let rules = BridgeRules { pair: Some(mixed), ..bridged(BridgeMode::Auto, one.pin()) };
    let why = Bench::try_new(host.address(), rules).await.err().expect("no start");
    let file = foreign.private_key.display().to_string();
    assert!(why.contains("listener front") && why.contains(&file) && why.contains("does not belong"), "{why}");
}

#[tokio::test]
async fn a_reload_with_a_bad_pair_leaves_the_old_one_in_force() {
    let identity = Identity::new();
    let host = Host::new(&identity, TLS13).await;
    let good = bridged(BridgeMode::Auto, identity.pin());
    let proxy = Proxy::start(settings(host.address(), good.clone()), Observer::quiet()).await.expect("a start");
    let absent = PairFiles {
        certificate: Some("/nonexistent/host.pem".into()),
        private_key: "/nonexistent/host.key".into(),
        password_file: None,
    };
    let bad = BridgeRules { pair: Some(absent), ..good };
    let why = proxy.reload(settings(host.address(), bad)).await.expect_err("refused").to_string();
    assert!(why.contains("/nonexistent/host.pem"), "{why}");
    let front = proxy.address("front").await.expect("still listening");
    let (client, _served) = tokio::join!(connect(front, TLS12), host.served());
    client.expect("bridged as before");
}
