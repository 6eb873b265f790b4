//! FIN as FIN, RST as RST, in order, after the last byte; and who was first.

use crate::harness::{Bench, noise, read_all, read_until_reset, reset, within};
use parser::session::{CloseKind, Closer, Timeline};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn closes(timeline: &Timeline) -> Vec<(Closer, CloseKind)> {
    timeline.closes.iter().map(|close| (close.by, close.kind)).collect()
}

async fn write(socket: &mut TcpStream, bytes: &[u8]) {
    within("write", socket.write_all(bytes)).await.expect("write");
}

/// `first` sends FIN, `second` answers with data for a while, then closes too.
async fn half_close(mut first: TcpStream, mut second: TcpStream) {
    let (before, after) = (noise(1, 100_000), noise(2, 3 << 20));
    let one = async {
        write(&mut first, &before).await;
        within("FIN", first.shutdown()).await.expect("shutdown");
        let (got, end) = read_all(&mut first).await;
        end.expect("FIN");
        assert!(got == after, "{} of {} bytes after the half-close", got.len(), after.len());
    };
    let other = async {
        let (got, end) = read_all(&mut second).await;
        end.expect("FIN");
        assert!(got == before, "{} of {} bytes before the half-close", got.len(), before.len());
        write(&mut second, &after).await;
        drop(second);
    };
    tokio::join!(one, other);
}

#[tokio::test]
async fn a_client_that_sends_fin_still_gets_the_hosts_data() {
    let mut bench = Bench::new().await;
    let (client, host) = bench.spoken_session().await;
    half_close(client, host).await;
    let record = bench.record().await;
    assert_eq!(closes(&record.timeline), [(Closer::Client, CloseKind::Fin), (Closer::Host, CloseKind::Fin)]);
}

#[tokio::test]
async fn a_host_that_sends_fin_still_gets_the_clients_data() {
    let mut bench = Bench::new().await;
    let (client, host) = bench.spoken_session().await;
    half_close(host, client).await;
    let record = bench.record().await;
    assert_eq!(closes(&record.timeline), [(Closer::Host, CloseKind::Fin), (Closer::Client, CloseKind::Fin)]);
}

#[tokio::test]
async fn a_reset_by_the_host_reaches_the_client_after_its_last_byte() {
    let mut bench = Bench::new().await;
    let (mut client, mut host) = bench.spoken_session().await;
    let last_words = noise(1, 20_000);
    write(&mut host, &last_words).await;
    reset(host).await;
    assert!(read_until_reset(&mut client).await == last_words);
    let record = bench.record().await;
    assert_eq!(closes(&record.timeline), [(Closer::Host, CloseKind::Rst)]);
    assert!(record.timeline.tcp.client.is_some_and(|tcp| tcp.mss > 0), "TCP_INFO of the client leg");
    assert!(record.timeline.tcp.host.is_some_and(|tcp| tcp.mss > 0), "TCP_INFO of the host leg, though it was reset");
}

#[tokio::test]
async fn a_reset_by_the_client_reaches_the_host_after_its_last_byte() {
    let mut bench = Bench::new().await;
    let (mut client, mut host) = bench.spoken_session().await;
    let last_words = noise(1, 20_000);
    write(&mut client, &last_words).await;
    reset(client).await;
    assert!(read_until_reset(&mut host).await == last_words);
    assert_eq!(closes(&bench.record().await.timeline), [(Closer::Client, CloseKind::Rst)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn megabytes_before_a_reset_reach_a_client_that_reads_slowly() {
    let mut bench = Bench::new().await;
    let (mut client, mut host) = bench.spoken_session().await;
    let last_words = noise(1, 4 << 20);
    let sending = async {
        write(&mut host, &last_words).await;
        reset(host).await;
    };
    let reading = async {
        let mut got = Vec::new();
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match within("read", client.read(&mut buffer)).await {
                Ok(0) => panic!("FIN instead of RST"),
                Ok(n) => got.extend_from_slice(&buffer[..n]),
                Err(error) => break (got, error),
            }
            tokio::task::yield_now().await;
        }
    };
    let ((), (got, error)) = tokio::join!(sending, reading);
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(got == last_words, "{} of {} bytes", got.len(), last_words.len());
    assert_eq!(closes(&bench.record().await.timeline), [(Closer::Host, CloseKind::Rst)]);
}

/// Fills everything between `socket` and a peer that does not read.
async fn flood(socket: &TcpStream) -> usize {
    let chunk = noise(9, 1 << 20);
    let mut written = 0;
    while tokio::time::timeout(std::time::Duration::from_millis(300), socket.writable()).await.is_ok() {
        match socket.try_write(&chunk) {
            Ok(n) => written += n,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("write: {error}"),
        }
    }
    written
}

#[tokio::test]
async fn a_client_that_resets_while_its_host_reads_nothing_does_not_hang_the_session() {
    let mut bench = Bench::new().await;
    let (client, mut host) = bench.spoken_session().await;
    flood(&client).await;
    client.set_zero_linger().expect("SO_LINGER");
    drop(client);
    let record = bench.record().await;
    assert_eq!(closes(&record.timeline), [(Closer::Client, CloseKind::Rst)]);
    let _ = read_until_reset(&mut host).await;
}

#[tokio::test]
async fn a_client_that_resets_while_it_reads_nothing_still_has_its_last_bytes_delivered() {
    let mut bench = Bench::new().await;
    let (mut client, mut host) = bench.spoken_session().await;
    flood(&host).await;
    let last_words = noise(4, 10_000);
    write(&mut client, &last_words).await;
    reset(client).await;
    assert!(read_until_reset(&mut host).await == last_words);
    assert_eq!(closes(&bench.record().await.timeline), [(Closer::Client, CloseKind::Rst)]);
}

#[tokio::test]
async fn data_for_a_host_that_has_closed_comes_back_as_a_reset() {
    let mut bench = Bench::new().await;
    let (mut client, host) = bench.spoken_session().await;
    // close(2), not shutdown(2): the host's kernel answers whatever comes now with RST.
    drop(host);
    let (got, end) = read_all(&mut client).await;
    end.expect("first the FIN");
    assert!(got.is_empty());
    write(&mut client, b"too late").await;
    // Its FIN has been read, so the reset shows on a write (EPIPE), as it would without a proxy.
    let refused = async {
        while client.write_all(b"!").await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within("reset", refused).await;
    let record = bench.record().await;
    assert_eq!(closes(&record.timeline), [(Closer::Host, CloseKind::Fin)]);
}

#[tokio::test]
async fn a_host_that_closes_without_reading_is_seen_as_a_reset_by_the_host() {
    let mut bench = Bench::new().await;
    let (mut client, host) = bench.spoken_session().await;
    write(&mut client, &noise(5, 1000)).await;
    within("data at the host", host.peek(&mut [0])).await.expect("peek");
    // With unread data in its buffer, the kernel turns this close into RST.
    drop(host);
    assert!(read_until_reset(&mut client).await.is_empty());
    assert_eq!(closes(&bench.record().await.timeline), [(Closer::Host, CloseKind::Rst)]);
}

/// Reads the end, then writes until that fails: FIN first, and a reset behind it.
async fn fin_then_reset(mut socket: TcpStream) {
    let (got, end) = read_all(&mut socket).await;
    end.expect("FIN");
    assert!(got.is_empty());
    let refused = async {
        while socket.write_all(b"!").await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within("reset", refused).await;
}

#[tokio::test]
async fn a_fin_with_a_reset_right_behind_it_is_a_fin_with_a_reset_right_behind_it() {
    let direct = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let mut bench = Bench::new().await;
    for through in [false, true] {
        let (client, mut host) = if through {
            bench.spoken_session().await
        } else {
            let client = within("connect", TcpStream::connect(direct.local_addr().expect("address"))).await;
            (client.expect("connect"), within("accept", direct.accept()).await.expect("accept").0)
        };
        write(&mut host, b"unread").await;
        within("data at the client", client.peek(&mut [0])).await.expect("peek");
        // Nothing is awaited between the two, so the relay, on this thread, finds both at once. What was not read turns
        // close(2) into RST.
        socket2::SockRef::from(&client).shutdown(std::net::Shutdown::Write).expect("shutdown");
        drop(client);
        fin_then_reset(host).await;
    }
    assert_eq!(closes(&bench.record().await.timeline).first(), Some(&(Closer::Client, CloseKind::Fin)));
}
