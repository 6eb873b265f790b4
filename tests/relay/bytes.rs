//! What one side sends is what the other side gets.

use crate::harness::{Bench, noise, read_all, within};
use parser::session::{CloseKind, Closer};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Writes in pieces of changing size, then FIN.
async fn send(mut to: OwnedWriteHalf, bytes: &[u8]) {
    let mut rest = bytes;
    let mut size = 1;
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(size.min(rest.len()));
        within("write", to.write_all(piece)).await.expect("write");
        rest = tail;
        size = size * 7 % 100_003 + 1;
    }
    within("FIN", to.shutdown()).await.expect("shutdown");
}

/// Reads at most `chunk` bytes at a time, letting others run in between.
async fn receive(mut from: OwnedReadHalf, chunk: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; chunk];
    loop {
        let n = within("read", from.read(&mut buffer)).await.expect("read");
        if n == 0 {
            return bytes;
        }
        bytes.extend_from_slice(&buffer[..n]);
        tokio::task::yield_now().await;
    }
}

async fn exchange(client_chunk: usize, host_chunk: usize, size: usize) {
    let mut bench = Bench::new().await;
    let (client, host) = bench.session().await;
    let (up, down) = (noise(1, size), noise(2, size + 12_345));
    let (client_read, client_write) = client.into_split();
    let (host_read, host_write) = host.into_split();
    let ((), (), at_client, at_host) = tokio::join!(
        send(client_write, &up),
        send(host_write, &down),
        receive(client_read, client_chunk),
        receive(host_read, host_chunk),
    );
    assert!(at_host == up, "client to host: {} bytes of {} are not as sent", at_host.len(), up.len());
    assert!(at_client == down, "host to client: {} bytes of {} are not as sent", at_client.len(), down.len());
    let record = bench.record().await;
    assert!(record.timeline.closes.iter().all(|c| c.kind == CloseKind::Fin), "{:?}", record.timeline.closes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn megabytes_pass_unchanged_both_ways_at_once() {
    exchange(64 * 1024, 64 * 1024, 8 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_gets_every_byte() {
    exchange(997, 64 * 1024, 2 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_host_gets_every_byte() {
    exchange(64 * 1024, 997, 2 << 20).await;
}

#[tokio::test]
async fn a_receiver_that_stops_reading_holds_back_its_sender() {
    let bench = Bench::new().await;
    let (client, mut host) = bench.session().await;
    // The kernel's buffers of four sockets and ours take some; without back-pressure this would go on for ever.
    let chunk = noise(3, 1 << 20);
    let mut written = 0;
    loop {
        let writable = tokio::time::timeout(Duration::from_millis(500), client.writable()).await;
        if writable.is_err() {
            break;
        }
        match client.try_write(&chunk[written % chunk.len()..]) {
            Ok(n) => written += n,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("write: {error}"),
        }
        assert!(written < 256 << 20, "{written} bytes were taken from a client whose host reads nothing");
    }
    let mut client = client;
    within("FIN", client.shutdown()).await.expect("shutdown");
    let (got, end) = read_all(&mut host).await;
    end.expect("FIN");
    assert_eq!(got.len(), written);
    assert!(got.chunks(chunk.len()).all(|part| *part == chunk[..part.len()]), "bytes were changed");
}

#[tokio::test]
async fn bytes_that_are_not_rdp_pass_all_the_same() {
    let mut bench = Bench::new().await;
    let (mut client, mut host) = bench.session().await;
    let request = b"GET / HTTP/1.1\r\nHost: example.net\r\n\r\n";
    let answer = b"\x00\xff not RDP either";
    for _ in 0..3 {
        ping(&mut client, &mut host, request).await;
        ping(&mut host, &mut client, answer).await;
    }
    drop(client);
    let (rest, end) = read_all(&mut host).await;
    end.expect("FIN");
    assert!(rest.is_empty());
    drop(host);
    let record = bench.record().await;
    assert_eq!(record.timeline.first_close().map(|c| (c.by, c.kind)), Some((Closer::Client, CloseKind::Fin)));
}

async fn ping(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    within("write", from.write_all(bytes)).await.expect("write");
    let mut got = vec![0; bytes.len()];
    within("read", to.read_exact(&mut got)).await.expect("read");
    assert_eq!(got, bytes);
}
