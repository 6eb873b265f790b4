//! A small RD Gateway: real TLS, HTTP with NTLM (any password will do), the tunnel in websocket form and in the older
//! form of two connections. [MS-TSGU] 3.3, HTTP transport.

use super::gateway_http::{Framing, Head, Inbox, frame, packet};
use super::{listen, ntlm};
use crate::lab::Lab;
use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha1::{Digest, Sha1};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What the gateway makes of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gateway {
    /// Lets them through.
    Ok,
    /// Refuses the user after the NTLM answer.
    Deny,
    /// Answers the first request with this HTTP status.
    Status(u16),
    /// Closes on the first request.
    CloseOnRequest,
    /// Offers only Negotiate, never NTLM.
    NegotiateOnly,
    /// Offers NTLM again and again without a challenge.
    EmptyChallenge,
    /// Refuses to create the tunnel, with this code.
    Tunnel(u32),
    /// Refuses the tunnel's authorisation, with this code.
    Authorisation(u32),
    /// Refuses the channel to the host, with this code.
    Channel(u32),
    /// Closes when the channel is asked for.
    DropChannel,
}

type Tls = TlsStream<TcpStream>;
/// OUT connections waiting for their IN connection, by RDG-Connection-Id.
type Waiting = Arc<Mutex<HashMap<String, WriteHalf<Tls>>>>;

impl Gateway {
    /// Listens on `port` and leads to the host on `target`.
    pub(super) fn start(self, lab: &Lab, port: u16, target: u16) -> Result<JoinHandle<()>> {
        let chain: Vec<_> = CertificateDer::pem_file_iter(lab.cert("rsa.crt"))?.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(lab.cert("rsa.key")).context("the gateway's key")?;
        let config = rustls::ServerConfig::builder_with_provider(rdpscope::tls_provider::provider());
        let config =
            config.with_safe_default_protocol_versions()?.with_no_client_auth().with_single_cert(chain, key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = listen(lab, port)?;
        Ok(lab.runtime.spawn(async move {
            let waiting = Waiting::default();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, waiting) = (acceptor.clone(), Arc::clone(&waiting));
                tokio::spawn(async move {
                    // Errors are clients that leave, or the gateway's own refusal: the client tells the test.
                    let stream = acceptor.accept(stream).await?;
                    self.serve(stream, &waiting, target).await
                });
            }
        }))
    }

    async fn serve(self, stream: Tls, waiting: &Waiting, target: u16) -> io::Result<()> {
        let (read, mut write) = tokio::io::split(stream);
        let mut inbox = Inbox::new(read);
        let mut head = self.authenticate(&mut inbox, &mut write).await?;
        if head.header("upgrade").eq_ignore_ascii_case("websocket") {
            let accept = websocket_accept(head.header("sec-websocket-key"));
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            write.write_all(answer.as_bytes()).await?;
            return self.tunnel(inbox, write, Framing::WebSocket, target).await;
        }
        let id = head.header("rdg-connection-id").to_owned();
        match head.method.as_str() {
            "RDG_OUT_DATA" => {
                write.write_all(b"HTTP/1.1 200 OK\r\nServer: stub\r\n\r\n0123456789").await?;
                waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, write);
                inbox.drain().await
            }
            "RDG_IN_DATA" => {
                write.write_all(b"HTTP/1.1 200 OK\r\nServer: stub\r\nContent-Length: 0\r\n\r\n").await?;
                while head.header("transfer-encoding").is_empty() {
                    head = inbox.head().await?;
                }
                let out = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                let out = out.ok_or(ErrorKind::NotFound)?;
                self.tunnel(inbox, out, Framing::Chunked, target).await
            }
            _ => write.shutdown().await,
        }
    }

    /// Requests until one carries the last NTLM message, and this gateway does not refuse it.
    async fn authenticate(self, inbox: &mut Inbox<ReadHalf<Tls>>, write: &mut WriteHalf<Tls>) -> io::Result<Head> {
        loop {
            let head = inbox.head().await?;
            let token = head.header("authorization").strip_prefix("NTLM ").map(ntlm::from_base64).unwrap_or_default();
            let answer = match (self, ntlm::message_type(&token)) {
                (Gateway::CloseOnRequest, _) => {
                    write.shutdown().await?;
                    return Err(ErrorKind::ConnectionAborted.into());
                }
                (Gateway::Status(code), _) => format!("HTTP/1.1 {code} Refused\r\nContent-Length: 0\r\n\r\n"),
                (Gateway::NegotiateOnly, _) => unauthorized("Negotiate"),
                (Gateway::EmptyChallenge, _) | (Gateway::Deny, 3) => unauthorized("NTLM"),
                (_, 3) => return Ok(head),
                (_, 1) => unauthorized(&format!("NTLM {}", ntlm::base64(&ntlm::challenge()))),
                _ => unauthorized("NTLM"),
            };
            write.write_all(answer.as_bytes()).await?;
        }
    }

    /// The tunnel's own protocol, and the RDP bytes in it. [MS-TSGU] 2.2.10
    async fn tunnel(
        self,
        mut inbox: Inbox<ReadHalf<Tls>>,
        mut write: WriteHalf<Tls>,
        framing: Framing,
        target: u16,
    ) -> io::Result<()> {
        let mut host: Option<TcpStream> = None;
        let mut down = vec![0; 16000];
        loop {
            let answer = tokio::select! {
                read = read_some(&mut host, &mut down) => match read? {
                    0 => {
                        host = None;
                        packet(CLOSE_CHANNEL, &0u32.to_le_bytes())
                    }
                    len => data(&down[..len]),
                },
                incoming = inbox.packet(framing) => {
                    let (kind, body) = incoming?;
                    match kind {
                        HANDSHAKE => packet(HANDSHAKE_RESPONSE, &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0]),
                        CREATE_TUNNEL => tunnel_created(self),
                        AUTHORISE => authorised(self),
                        CREATE_CHANNEL if self == Gateway::DropChannel => return write.shutdown().await,
                        CREATE_CHANNEL => {
                            let refusal = if let Gateway::Channel(code) = self { code } else { 0 };
                            if refusal == 0 {
                                host = Some(TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?);
                            }
                            let mut answer = refusal.to_le_bytes().to_vec();
                            answer.extend_from_slice(&[1, 0, 0, 0, 1, 0, 0, 0]);
                            packet(CHANNEL_RESPONSE, &answer)
                        }
                        DATA => {
                            if let (Some(host), Some(bytes)) = (host.as_mut(), body.get(2..)) {
                                host.write_all(bytes).await?;
                            }
                            continue;
                        }
                        CLOSE_CHANNEL => {
                            let answer = packet(CLOSE_CHANNEL_RESPONSE, &[0; 8]);
                            write.write_all(&wrap(&answer, framing)).await?;
                            return write.shutdown().await;
                        }
                        _ => continue,
                    }
                }
            };
            write.write_all(&wrap(&answer, framing)).await?;
        }
    }
}

// Packet types. [MS-TSGU] 2.2.5.3.3
const HANDSHAKE: u16 = 0x1;
const HANDSHAKE_RESPONSE: u16 = 0x2;
const CREATE_TUNNEL: u16 = 0x4;
const TUNNEL_RESPONSE: u16 = 0x5;
const AUTHORISE: u16 = 0x6;
const AUTHORISE_RESPONSE: u16 = 0x7;
const CREATE_CHANNEL: u16 = 0x8;
const CHANNEL_RESPONSE: u16 = 0x9;
const DATA: u16 = 0xA;
const CLOSE_CHANNEL: u16 = 0x10;
const CLOSE_CHANNEL_RESPONSE: u16 = 0x11;

fn tunnel_created(gateway: Gateway) -> Vec<u8> {
    let refusal = if let Gateway::Tunnel(code) = gateway { code } else { 0 };
    let mut body = vec![0, 0];
    body.extend_from_slice(&refusal.to_le_bytes());
    // Fields present: tunnel id and capabilities.
    body.extend_from_slice(&[3, 0, 0, 0]);
    body.extend_from_slice(&1u32.to_le_bytes());
    body.extend_from_slice(&0x3fu32.to_le_bytes());
    packet(TUNNEL_RESPONSE, &body)
}

fn authorised(gateway: Gateway) -> Vec<u8> {
    let refusal = if let Gateway::Authorisation(code) = gateway { code } else { 0 };
    let mut body = refusal.to_le_bytes().to_vec();
    // Fields present: redirection flags (no restriction) and idle time-out.
    body.extend_from_slice(&[3, 0, 0, 0]);
    body.extend_from_slice(&0x8000_0000u32.to_le_bytes());
    body.extend_from_slice(&0u32.to_le_bytes());
    packet(AUTHORISE_RESPONSE, &body)
}

fn data(bytes: &[u8]) -> Vec<u8> {
    let mut body = (bytes.len() as u16).to_le_bytes().to_vec();
    body.extend_from_slice(bytes);
    packet(DATA, &body)
}

fn wrap(packet: &[u8], framing: Framing) -> Vec<u8> {
    match framing {
        Framing::Chunked => packet.to_vec(),
        Framing::WebSocket => frame(packet),
    }
}

fn unauthorized(offer: &str) -> String {
    format!("HTTP/1.1 401 Unauthorized\r\nServer: stub\r\nWWW-Authenticate: {offer}\r\nContent-Length: 0\r\n\r\n")
}

/// RFC 6455 4.2.2
fn websocket_accept(key: &str) -> String {
    ntlm::base64(&Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")))
}

/// Reads from the host, or waits for ever while there is none.
async fn read_some(host: &mut Option<TcpStream>, bytes: &mut [u8]) -> io::Result<usize> {
    match host {
        Some(host) => host.read(bytes).await,
        None => std::future::pending().await,
    }
}
