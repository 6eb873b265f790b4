//! What only a finished handshake shows: the certificate of a host that has TLS 1.3 alone, what a gateway's two
//! well-known paths answer, and how CredSSP introduces its host. The one part of a probe that uses a TLS library, rustls;
//! it verifies nothing and sends no credential.

use super::ask::Ask;
use crate::clock;
use crate::tls_provider::{AnyCertificate, provider};
use crate::upstream::connect;
use parser::Timestamp;
use parser::profile::{CredsspFacts, HostProfile, NegotiationAnswer};
use parser::session::{Answer, CertificateFacts};
use parser::stream::{Event, HostStream};
use parser::wire::{Outcome, Protocols, TS_REQUEST_MAX, TsRequest, connection_request, ntlm_negotiate, ts_request};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The paths of an RD Gateway: WebSocket and HTTP transport, and the older RPC over HTTP. [MS-TSGU] 1.7, 3.3.5.1
pub const GATEWAY_PATHS: [&str; 2] = ["/remoteDesktopGateway/", "/rpc/rpcproxy.dll"];
/// Bytes read of a response: the status line and the headers that matter come first.
const HEAD_MAX: usize = 16 * 1024;
/// What is asked for to get CredSSP: PROTOCOL_SSL and PROTOCOL_HYBRID. A host without it selects the former.
const NLA: Protocols = Protocols(0x03);
const HYBRID: u32 = 0x02;
/// How long a host may take to close its side after we closed ours.
const LINGER: Duration = Duration::from_millis(500);

/// The head of an HTTP response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    /// `Server`.
    pub server: Option<String>,
    /// Schemes of `WWW-Authenticate`, in the order sent.
    pub authenticate: Vec<String>,
}

/// The leaf certificate, by a handshake with TLS 1.2 or 1.3 behind a request for `protocols` (`None` where TLS comes first).
///
/// # Errors
/// Why there is none, in words.
pub async fn certificate(ask: &Ask, protocols: Option<Protocols>) -> Result<CertificateFacts, String> {
    let deadline = Instant::now() + ask.timeout;
    let stream = handshake(ask, protocols, deadline).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let facts = chain.first().map(|leaf| CertificateFacts {
        chain_length: u8::try_from(chain.len()).unwrap_or(u8::MAX),
        ..CertificateFacts::from_der(leaf)
    });
    end(stream, deadline).await;
    facts.ok_or_else(|| "the host sent no certificate".to_owned())
}

/// A request that got TLS when it was made for this profile; `None` where TLS comes first.
#[must_use]
pub fn request_for_tls(profile: &HostProfile) -> Option<Protocols> {
    profile.negotiation.iter().find_map(|(asked, answer)| match answer {
        NegotiationAnswer::Answered(Answer::Selected { protocol, .. }) if protocol.0 != 0 => *asked,
        _ => None,
    })
}

/// What `path` of a gateway answers to a request without credentials. 401 is what a healthy gateway says.
///
/// # Errors
/// Why there is no answer, in words.
pub async fn http_answer(ask: &Ask, host: &str, path: &str) -> Result<HttpAnswer, String> {
    let deadline = Instant::now() + ask.timeout;
    let mut stream = handshake(ask, None, deadline).await?;

    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: rdpscope\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let words = |error: std::io::Error| format!("the connection ended: {error}");
    stream.write_all(request.as_bytes()).await.map_err(words)?;
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while head.len() < HEAD_MAX && !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match timeout_at(deadline, stream.read(&mut buffer)).await {
            Err(_) => return Err("no answer within the time-out".to_owned()),
            Ok(Ok(0)) => break,
            Ok(Ok(length)) => head.extend(&buffer[..length]),
            // Servers close TLS without close_notify; what came before it counts.
            Ok(Err(_)) if !head.is_empty() => break,
            Ok(Err(error)) => return Err(words(error)),
        }
    }
    let _ = timeout_at(deadline, stream.shutdown()).await;
    read_head(&head).ok_or_else(|| "what it answered is not HTTP".to_owned())
}

/// How CredSSP introduces its host: one NTLM NEGOTIATE is sent, its CHALLENGE is read, and the connection is closed. The
/// host may log it as a logon that was begun and given up. With it comes the moment at which the answer was there.
///
/// # Errors
/// Why there is no answer, in words.
pub async fn credssp(ask: &Ask) -> Result<(CredsspFacts, Timestamp), String> {
    let deadline = Instant::now() + ask.timeout;
    let (mut socket, selected) = negotiated(ask, NLA, deadline).await?;
    if selected.0 & HYBRID == 0 {
        let _ = timeout_at(deadline, socket.shutdown()).await;
        return Err("the host does not offer Network Level Authentication".to_owned());
    }
    let mut stream = tls(ask, socket, deadline).await?;
    let facts = introduction(&mut stream, deadline).await.map(|facts| (facts, clock::now()));

    end(stream, deadline).await;
    facts
}

/// Closes in order: bytes that nobody read, such as the tickets of TLS 1.3, would turn the close into a reset.
async fn end(mut stream: TlsStream<TcpStream>, deadline: Instant) {
    let until = deadline.min(Instant::now() + LINGER);
    if let Ok(Ok(())) = timeout_at(until, stream.shutdown()).await {
        let mut rest = AsyncReadExt::take(stream, TS_REQUEST_MAX as u64);
        let _ = timeout_at(until, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}

async fn introduction(stream: &mut TlsStream<TcpStream>, deadline: Instant) -> Result<CredsspFacts, String> {
    let words = |error: std::io::Error| format!("the connection ended: {error}");
    stream.write_all(&ts_request(&ntlm_negotiate())).await.map_err(words)?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match TsRequest::parse(&answer) {
            Outcome::Value { value, .. } => return CredsspFacts::read(&value),
            Outcome::Malformed(_) => return Err("what it answered is not CredSSP".to_owned()),
            // A header, and the most that the parser lets it announce.
            Outcome::NeedMore { .. } if answer.len() > TS_REQUEST_MAX + 8 => {
                return Err("its answer is too long".to_owned());
            }
            Outcome::NeedMore { .. } => {}
        }
        match timeout_at(deadline, stream.read(&mut buffer)).await {
            Err(_) => return Err("CredSSP was not answered within the time-out".to_owned()),
            Ok(Ok(0)) => return Err("the host closed without answering CredSSP".to_owned()),
            Ok(Ok(length)) => answer.extend(&buffer[..length]),
            Ok(Err(error)) => return Err(words(error)),
        }
    }
}

fn read_head(head: &[u8]) -> Option<HttpAnswer> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let mut answer = HttpAnswer { status, ..HttpAnswer::default() };
    for line in lines.take_while(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "server" => answer.server = Some(value.chars().filter(|c| !c.is_control()).take(64).collect()),
            "www-authenticate" if answer.authenticate.len() < 8 => {
                let scheme = value.split(' ').next().unwrap_or_default();
                answer.authenticate.push(scheme.chars().filter(|c| !c.is_control()).take(32).collect());
            }
            _ => {}
        }
    }
    Some(answer)
}

async fn handshake(ask: &Ask, protocols: Option<Protocols>, deadline: Instant) -> Result<TlsStream<TcpStream>, String> {
    let socket = match protocols {
        Some(protocols) => negotiated(ask, protocols, deadline).await?.0,
        None => connected(ask, deadline).await?,
    };
    tls(ask, socket, deadline).await
}

async fn connected(ask: &Ask, deadline: Instant) -> Result<TcpStream, String> {
    connect(ask.address, deadline).await.map_err(|error| format!("connecting failed: {error:?}"))
}

/// A connection on which the host has selected TLS, and what it selected.
async fn negotiated(ask: &Ask, protocols: Protocols, deadline: Instant) -> Result<(TcpStream, Protocols), String> {
    let mut socket = connected(ask, deadline).await?;
    let selected = negotiate(&mut socket, protocols, deadline).await?;
    Ok((socket, selected))
}

async fn tls(ask: &Ask, socket: TcpStream, deadline: Instant) -> Result<TlsStream<TcpStream>, String> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    let name = match &ask.options.server_name {
        Some(name) => ServerName::try_from(name.clone()).map_err(|error| error.to_string())?,
        None => ServerName::from(ask.address.ip()),
    };
    match timeout_at(deadline, TlsConnector::from(Arc::new(config)).connect(name, socket)).await {
        Err(_) => Err("the TLS handshake did not end within the time-out".to_owned()),
        Ok(Err(error)) => Err(format!("the TLS handshake failed: {error}")),
        Ok(Ok(stream)) => Ok(stream),
    }
}

async fn negotiate(socket: &mut TcpStream, protocols: Protocols, deadline: Instant) -> Result<Protocols, String> {
    let words = |error: std::io::Error| error.to_string();
    socket.write_all(&connection_request(Some(protocols))).await.map_err(words)?;
    let (mut host, mut byte) = (HostStream::new(), [0]);
    // Byte by byte: what follows the answer belongs to TLS.
    for _ in 0..512 {
        match timeout_at(deadline, socket.read(&mut byte)).await {
            Ok(Ok(1..)) => {}
            _ => return Err("the negotiation was not answered".to_owned()),
        }
        match host.next(&mut &byte[..], clock::now()) {
            Some(Event::Answer(Answer::Selected { protocol, .. })) if protocol.0 != 0 => return Ok(protocol),
            Some(_) => return Err("TLS was not selected".to_owned()),
            None => {}
        }
    }
    Err("the negotiation was not answered".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_gateway_is_read() {
        let head = b"HTTP/1.1 401 Unauthorized\r\nServer: Microsoft-HTTPAPI/2.0\r\nWWW-Authenticate: Negotiate\r\n\
                     WWW-Authenticate: NTLM\r\n\r\nbody: x\r\n";
        let expected = HttpAnswer {
            status: 401,
            server: Some("Microsoft-HTTPAPI/2.0".to_owned()),
            authenticate: vec!["Negotiate".to_owned(), "NTLM".to_owned()],
        };
        assert_eq!(read_head(head), Some(expected));
        assert_eq!(read_head(b"SSH-2.0-x\r\n"), None);
        assert_eq!(read_head(b""), None);
    }
}
