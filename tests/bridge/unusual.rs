//! Peers that do what they may and seldom do, or what they may not: no session suffers for it that another one is in.

use crate::ends::{Bench, Host, Identity, TLS13, bridged, connect, noise, within};
use crate::sealed::{DATA, HANDSHAKE, Sealer};
use config::BridgeMode;
use parser::session::{CloseKind, Closer, Peer};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
