//! A hundred tries to talk a healthy pair down.

use crate::attacker::{Attack, before};
use crate::ends::{BOTH, Bench, Host, Identity, bridged, connect};
use config::{BridgeMode, BridgeRules};
use parser::session::BridgeOutcome;
use parser::wire::TlsVersion;
use std::sync::Arc;

/// Both ends can do TLS 1.3, and the configuration allows 1.2 and 1.3.
///
/// The attacker refuses in the host's place, or lowers what the bridge offers the host. It may cost a bridge, or a
/// connection; a session that comes up has what the pair would have had by itself.
#[tokio::test]
async fn nobody_on_the_way_moves_a_healthy_pair_to_a_weaker_version() {
    const TRIES: usize = 100;
    let identity = Identity::new();
    let host = Arc::new(Host::new(&identity, BOTH).await);
    // First connection refused, the bridge's own left alone, or lowered.
    let attacks = [Some(Attack::Reset), None, Some(Attack::Forge), None, Some(Attack::Forge), Some(Attack::Lower)];
    let front = before(host.address(), move |number| attacks[number % attacks.len()]).await;
    let serving = Arc::clone(&host);
    tokio::spawn(async move {
        loop {
            // Kept for as long as its client stays.
            let mut stream = serving.served().await;
            tokio::spawn(async move {
                let (mut read, mut write) = tokio::io::split(&mut stream);
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    // Given, so that none has to be made for each try.
    let pair = Identity::new().files("downgrade");
    let (mut carried, mut refused) = (0, 0);
    for number in 0..TRIES {
        // Anew each time, so that no failure is remembered for the attacker's next try.
        let rules = BridgeRules { pair: Some(pair.clone()), ..bridged(BridgeMode::Auto, identity.pin()) };
        let mut bench = Bench::new(front, rules).await;
        let client = connect(bench.front, BOTH).await;
        let up = client.as_ref().ok().and_then(|stream| stream.get_ref().1.protocol_version());
        drop(client);
        let record = bench.record().await;
        let facts = record.timeline.bridge.as_deref().expect("the refusal called for the bridge");
        match up {
            Some(version) => {
                assert_eq!(version, rustls::ProtocolVersion::TLSv1_3, "try {number}");
                assert_eq!(facts.outcome, BridgeOutcome::Carried, "try {number}");
                let legs = [facts.client, facts.host].map(|leg| leg.map(|leg| leg.version));
                assert_eq!(legs, [Some(TlsVersion::TLS13); 2], "try {number}");
                carried += 1;
            }
            None => {
                assert!(matches!(facts.outcome, BridgeOutcome::LegFailed { .. }), "try {number}: {facts:?}");
                refused += 1;
            }
        }
    }
    // A lowered hello is found out by both ends: the transcript is not the same. RFC 8446 4.1.3, 4.4.4
    assert!(carried >= TRIES / 2 && refused >= TRIES / 5, "{carried} carried, {refused} refused");
}
