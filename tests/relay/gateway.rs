//! A gateway session in two connections, OUT and IN, with real TLS and records of the sizes that a session has.

use crate::harness::{Bench, within};
use parser::diagnosis::{Cause, End, Side};
use rdpscope::record::SessionRecord;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

struct Ends {
    client: client::TlsStream<TcpStream>,
    gateway: server::TlsStream<TcpStream>,
}

fn tls() -> (TlsAcceptor, TlsConnector) {
    let pair = rcgen::generate_simple_self_signed(["gw.example.net".to_owned()]).expect("certificate");
    let (certificate, key) = (pair.cert.der().clone(), pair.signing_key.serialize_der());
    let key = PrivateKeyDer::try_from(key).expect("key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let server = server.expect("versions").with_no_client_auth().with_single_cert(vec![certificate.clone()], key);
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("root");
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.expect("versions").with_root_certificates(roots).with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server.expect("pair"))), TlsConnector::from(Arc::new(client)))
}

/// One message that arrives in one record of its own.
async fn say(from: &mut (impl AsyncWrite + Unpin), to: &mut (impl AsyncRead + Unpin), length: usize) {
    let mut got = vec![0; length];
    let said = async {
        from.write_all(&vec![b'x'; length]).await?;
        from.flush().await?;
        to.read_exact(&mut got).await
    };
    within("a message", said).await.expect("a message");
}

/// Channel joins, then messages as big as Client Info and capabilities.
async fn session_data(from: &mut (impl AsyncWrite + Unpin), to: &mut (impl AsyncRead + Unpin)) {
    for length in [48; 5].into_iter().chain([300; 15]) {
        say(from, to, length).await;
    }
}

impl Ends {
    /// A connection through the proxy, its request and the answer to it.
    async fn new(bench: &Bench, (acceptor, connector): &(TlsAcceptor, TlsConnector)) -> Ends {
        let (client, gateway) = bench.session().await;
        let name = ServerName::try_from("gw.example.net").expect("name");
        let both = async { tokio::join!(connector.connect(name, client), acceptor.accept(gateway)) };
        let (client, gateway) = within("handshake", both).await;
        let mut ends = Ends { client: client.expect("client"), gateway: gateway.expect("gateway") };
        say(&mut ends.client, &mut ends.gateway, 400).await;
        say(&mut ends.gateway, &mut ends.client, 200).await;
        ends
    }
}

/// OUT and IN of one session that is up, in the order in which a client opens them.
async fn session(bench: &Bench) -> (Ends, Ends) {
    let tls = tls();
    let (mut out, mut inward) = (Ends::new(bench, &tls).await, Ends::new(bench, &tls).await);
    session_data(&mut out.gateway, &mut out.client).await;
    session_data(&mut inward.client, &mut inward.gateway).await;
    (out, inward)
}

async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) {
    // Without close_notify the end is an error of TLS, which is no matter here.
    let _ = within("end", stream.read_to_end(&mut Vec::new())).await;
}

/// The records of the connections that carried what the gateway said, and what the client said.
async fn records(bench: &mut Bench) -> (Arc<SessionRecord>, Arc<SessionRecord>) {
    let mut records = [bench.record().await, bench.record().await];
    records.sort_by_key(|record| record.timeline.traffic.client.bytes);
    records.into()
}

#[tokio::test]
async fn a_gateway_that_answers_the_end_of_out_by_closing_in_has_not_cut_the_session() {
    let mut bench = Bench::new().await;
    let (mut out, mut inward) = session(&bench).await;
    within("goodbye", out.client.shutdown()).await.expect("shutdown");
    read_to_end(&mut out.gateway).await;
    // The close_notify ends the reading of TLS; the FIN behind it says that the proxy has seen the client's end.
    let end = within("the client's FIN", out.gateway.get_mut().0.read(&mut [0; 1])).await;
    assert_eq!(end.expect("the client's FIN"), 0);
    // FIN without close_notify, before the client has come to this connection; OUT is not over yet.
    within("FIN", inward.gateway.get_mut().0.shutdown()).await.expect("shutdown");
    read_to_end(&mut inward.client).await;
    drop((inward, out));
    let (out, inward) = records(&mut bench).await;
    assert_eq!((out.verdict.cause, out.verdict.end), (Cause::Ok, Some(End::UserClosed)), "{:?}", out.verdict);
    assert_eq!((inward.verdict.cause, inward.verdict.end), (Cause::Ok, Some(End::UserClosed)), "{:?}", inward.verdict);
    assert_eq!(inward.verdict.side, Side::Client);
}

#[tokio::test]
async fn a_gateway_that_closes_in_by_itself_has() {
    let mut bench = Bench::new().await;
    let (mut out, mut inward) = session(&bench).await;
    within("FIN", inward.gateway.get_mut().0.shutdown()).await.expect("shutdown");
    read_to_end(&mut inward.client).await;
    within("goodbye", out.client.shutdown()).await.expect("shutdown");
    read_to_end(&mut out.gateway).await;
    drop((inward, out));
    let (out, inward) = records(&mut bench).await;
    assert_eq!(out.verdict.cause, Cause::Ok, "{:?}", out.verdict);
    assert_eq!(
        (inward.verdict.cause, inward.verdict.side),
        (Cause::HostClosedActive, Side::Host),
        "{:?}",
        inward.verdict
    );
}
