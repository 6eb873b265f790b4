use super::*;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;
use uuid::Uuid;

impl Witness {
    pub(in crate::relay) fn live(&self) -> &Arc<Live> {
        &self.live
    }
}

/// A witness of a connected socket, and the socket.
pub(crate) async fn witness(observer: &Arc<Observer>) -> (Witness, Arc<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let client = TcpStream::connect(listener.local_addr().expect("address")).await.expect("connect");
    let client = Arc::new(client);
    (Witness::new(Arc::new(identity()), &client, observer, &Arc::new(OpeningBudget::new(1 << 20))), client)
}

/// Some session that begins now.
pub(crate) fn identity() -> SessionIdentity {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 3389));
    SessionIdentity {
        id: Uuid::nil(),
        listener: Arc::from("front"),
        upstream: Arc::from("host:3389"),
        client: anywhere,
        local: anywhere,
        accepted: clock::now(),
    }
}

#[tokio::test]
async fn a_tracker_that_panics_gives_up_and_the_session_is_reported() {
    let observer = Observer::quiet();
    let mut records = observer.records();
    let (mut witness, _client) = witness(&observer).await;
    witness.data(Peer::Client, &[3, 0]);
    witness.tell(clock::now(), |_| panic!("a fault in the tracker"));
    witness.data(Peer::Client, &[0, 19, 14]);
    // Once it has let go too.
    witness.tell(clock::now(), |_| panic!("another one"));
    witness.data(Peer::Host, &[1]);
    witness.closed(Closer::Host, CloseKind::Fin, clock::now());
    assert_eq!(witness.awaiting().0, Awaiting::Nothing, "and is not judged by a clock");
    witness.finish();
    let timeline = &records.try_recv().expect("a record").timeline;
    assert_eq!(timeline.gave_up.map(|(why, _)| why), Some(GiveUp::Malformed));
    assert_eq!((timeline.traffic.client.bytes, timeline.traffic.host.bytes), (5, 1));
    assert_eq!(timeline.first_close().map(|close| close.by), Some(Closer::Host));
}

#[tokio::test]
async fn a_session_whose_task_is_dropped_is_reported_all_the_same() {
    let observer = Observer::quiet();
    let mut records = observer.records();
    let (witness, _client) = witness(&observer).await;
    drop(witness);
    let record = records.try_recv().expect("a record");
    assert_eq!(record.timeline.proxy_act, Some(ProxyAct::Shutdown));
    assert!(records.try_recv().is_err(), "one record, not two");
}
