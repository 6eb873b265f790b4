//! The time-outs of each phase, and that nothing else is timed; and the memory of openings.

use crate::harness::{Bench, noise, read_all, read_until_reset, within};
use parser::session::{Awaiting, CloseKind, Closer, GiveUp, ProxyAct};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// TPKT, X.224 Connection Request, RDP_NEG_REQ for TLS or CredSSP. [MS-RDPBCGR] 2.2.1.1
const REQUEST: [u8; 19] = [3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0];

/// TPKT, X.224 Connection Confirm, RDP_NEG_RSP that chose TLS. [MS-RDPBCGR] 2.2.1.2
const CONFIRM: [u8; 19] = [3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0, 8, 0, 1, 0, 0, 0];

/// One record with a ClientHello whose cipher suite list is `suites` bytes long. RFC 5246 7.4.1.2
fn client_hello(suites: u16) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend_from_slice(&noise(7, 32));
    body.push(0);
    body.extend_from_slice(&suites.to_be_bytes());
    body.extend((0..suites).map(|i| if i % 2 == 0 { 0x13 } else { 0x01 }));
    body.extend_from_slice(&[1, 0]);
    let length = u16::try_from(body.len()).expect("fits a record");
    let mut record = vec![0x16, 3, 1];
    record.extend_from_slice(&(length + 4).to_be_bytes());
    record.extend_from_slice(&[1, 0]);
    record.extend_from_slice(&length.to_be_bytes());
    record.extend_from_slice(&body);
    record
}

async fn say(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    within("write", from.write_all(bytes)).await.expect("write");
    let mut got = vec![0; bytes.len()];
    within("read", to.read_exact(&mut got)).await.expect("read");
    assert_eq!(got, bytes);
}

/// A bench on which only `awaited` is timed tightly.
async fn impatient(awaited: Awaiting) -> Bench {
    Bench::with(|s| {
        let limit = match awaited {
            Awaiting::ClientRequest | Awaiting::ConnectionConfirm => &mut s.timeouts.negotiate,
            Awaiting::ClientHello => &mut s.timeouts.client_hello,
            Awaiting::ServerHello => &mut s.timeouts.server_hello,
            Awaiting::Nothing => panic!("nothing to wait for"),
        };
        *limit = Duration::from_millis(200);
    })
    .await
}

async fn struck(mut bench: Bench, mut client: TcpStream, mut host: TcpStream, awaited: Awaiting) {
    assert!(read_until_reset(&mut client).await.is_empty());
    let (rest, end) = read_all(&mut host).await;
    end.expect("the host gets a plain close");
    assert!(rest.is_empty());
    let timeline = &bench.record().await.timeline;
    assert_eq!(timeline.proxy_act, Some(ProxyAct::TimedOut(awaited)));
    assert_eq!(timeline.first_close().map(|c| (c.by, c.kind)), Some((Closer::Proxy, CloseKind::Timeout)));
}

#[tokio::test]
async fn a_client_that_says_nothing_is_timed_out() {
    let bench = impatient(Awaiting::ClientRequest).await;
    let (client, host) = bench.session().await;
    struck(bench, client, host, Awaiting::ClientRequest).await;
}

#[tokio::test]
async fn a_host_that_does_not_confirm_is_timed_out() {
    let bench = impatient(Awaiting::ConnectionConfirm).await;
    let (mut client, mut host) = bench.session().await;
    say(&mut client, &mut host, &REQUEST).await;
    struck(bench, client, host, Awaiting::ConnectionConfirm).await;
}

#[tokio::test]
async fn a_client_that_never_sends_its_hello_is_timed_out() {
    let bench = impatient(Awaiting::ClientHello).await;
    let (mut client, mut host) = bench.session().await;
    say(&mut client, &mut host, &REQUEST).await;
    say(&mut host, &mut client, &CONFIRM).await;
    struck(bench, client, host, Awaiting::ClientHello).await;
}

#[tokio::test]
async fn a_host_that_never_answers_the_hello_is_timed_out() {
    let bench = impatient(Awaiting::ServerHello).await;
    let (mut client, mut host) = bench.session().await;
    say(&mut client, &mut host, &REQUEST).await;
    say(&mut host, &mut client, &CONFIRM).await;
    say(&mut client, &mut host, &client_hello(2)).await;
    struck(bench, client, host, Awaiting::ServerHello).await;
}

#[tokio::test]
async fn what_is_not_understood_is_never_timed() {
    let mut bench = Bench::with(|s| {
        s.timeouts.negotiate = Duration::from_millis(200);
        s.timeouts.client_hello = Duration::from_millis(200);
        s.timeouts.server_hello = Duration::from_millis(200);
    })
    .await;
    let (mut client, mut host) = bench.session().await;
    say(&mut client, &mut host, b"SSH-2.0-OpenSSH_9.2\r\n").await;
    // A session that began later and is timed: when its time is over, that of the first one would be too.
    let (mut silent, _its_host) = bench.session().await;
    assert!(read_until_reset(&mut silent).await.is_empty());
    assert_eq!(bench.record().await.timeline.proxy_act, Some(ProxyAct::TimedOut(Awaiting::ClientRequest)));
    say(&mut client, &mut host, b"still here").await;
    say(&mut host, &mut client, b"and here").await;
}

#[tokio::test]
async fn past_the_opening_budget_bytes_pass_unparsed() {
    let mut bench = Bench::with(|s| s.limits.opening_memory = 512).await;
    let (mut client, mut host) = bench.session().await;
    say(&mut client, &mut host, &REQUEST).await;
    say(&mut host, &mut client, &CONFIRM).await;
    let hello = client_hello(4000);
    let (begin, rest) = hello.split_at(2000);
    say(&mut client, &mut host, begin).await;
    assert!(bench.proxy.opening_memory() <= 512, "{} bytes are held", bench.proxy.opening_memory());
    say(&mut client, &mut host, rest).await;
    drop((client, host));
    let timeline = &bench.record().await.timeline;
    assert_eq!(timeline.gave_up.map(|(why, _)| why), Some(GiveUp::Budget));
    assert!(timeline.request.is_some(), "what was read before is kept");
    assert_eq!(timeline.traffic.client.bytes, (REQUEST.len() + hello.len()) as u64);
    within("the end", bench.proxy.idle()).await;
    assert_eq!(bench.proxy.opening_memory(), 0);
}

#[tokio::test]
async fn a_hello_in_pieces_is_charged_while_it_is_held_and_given_back() {
    let mut bench = Bench::new().await;
    let (mut client, mut host) = bench.session().await;
    say(&mut client, &mut host, &REQUEST).await;
    say(&mut host, &mut client, &CONFIRM).await;
    let hello = client_hello(4000);
    let (begin, rest) = hello.split_at(2000);
    say(&mut client, &mut host, begin).await;
    assert!(bench.proxy.opening_memory() > 0, "half a hello is held");
    say(&mut client, &mut host, rest).await;
    drop((client, host));
    assert!(bench.record().await.timeline.client_hello.is_some());
    within("the end", bench.proxy.idle()).await;
    assert_eq!(bench.proxy.opening_memory(), 0);
}
