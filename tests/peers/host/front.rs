//! A scripted host that does the X.224 step and then misbehaves at one exact point.
//!
//! What it does on the wire is what a broken host, a firewall or a load balancer does; where possible a real server
//! does the TLS part behind it.

use super::{Wire, listen};
use crate::lab::Lab;
use anyhow::Result;
use socket2::SockRef;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Where and how a connection through [`Front::Relay`] is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// Bytes that the host may send; the read that would reach this number is not delivered.
    pub(crate) after: u64,
    /// How long the client has for what was delivered: a reset destroys what it has not read yet.
    pub(crate) pause: Duration,
    /// What happens then.
    pub(crate) how: How,
}

/// How a cut looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// FIN.
    Fin,
    /// RST.
    Rst,
    /// Silence: the connection stays open and nothing comes.
    Silence,
}

/// What the scripted host does to every connection.
#[derive(Clone, Debug)]
pub(crate) enum Front {
    /// Closes on accept.
    CloseAccept,
    /// Resets with the request unread.
    RstAccept,
    /// Accepts and does nothing.
    Hang,
    /// Reads the Connection Request, then FIN.
    CloseAfterRequest,
    /// Reads the Connection Request, then RST.
    RstAfterRequest,
    /// Reads the Connection Request, then nothing.
    HangAfterRequest,
    /// Answers with an HTTP error.
    Garbage,
    /// Answers RDP_NEG_FAILURE with this code.
    NegotiationFailure(u32),
    /// Answers RDP_NEG_RSP selecting this protocol, whatever was asked, and waits.
    Select(u32),
    /// Connection Confirm (TLS), then FIN.
    CloseAfterConfirm,
    /// Connection Confirm (TLS), then RST.
    RstAfterConfirm,
    /// Connection Confirm (TLS), then nothing.
    HangAfterConfirm,
    /// Reads the ClientHello, then RST.
    RstAfterHello,
    /// Reads the ClientHello, then FIN.
    FinAfterHello,
    /// Reads the ClientHello, then nothing.
    HangAfterHello,
    /// Answers the ClientHello with this fatal alert.
    Alert(u8),
    /// Answers the ClientHello with 64 zero bytes.
    GarbageAfterHello,
    /// Eleven bytes of a ServerHello, then FIN.
    PartialServerHello,
    /// Connection Confirm (TLS), then a TLS server on this port takes over.
    Splice(u16),
    /// Everything passes to a host on this port until the cut.
    Relay(u16, Cut),
    /// A balancer that leads each connection to the next of two hosts; the count is of connections so far.
    Balance(Arc<AtomicUsize>, [u16; 2]),
}

/// How long a host that has refused waits for the client to leave.
const LEAVE: Duration = Duration::from_secs(1);
/// How long a host whose answer makes the client wait for more keeps it waiting.
const PAUSE: Duration = Duration::from_millis(250);

impl Front {
    /// Listens on `port`; `wire` gets the byte counts of each connection that ended.
    pub(crate) fn start(self, lab: &Lab, port: u16, wire: Wire) -> Result<JoinHandle<()>> {
        let listener = listen(lab, port)?;
        Ok(lab.runtime.spawn(async move {
            let front = Arc::new(self);
            while let Ok((stream, _)) = listener.accept().await {
                let (front, wire) = (Arc::clone(&front), Arc::clone(&wire));
                tokio::spawn(async move {
                    let mut peer = Peer { stream, received: 0, sent: 0 };
                    // An error here is the client leaving early, which is part of many scenarios.
                    let _ = front.serve(&mut peer).await;
                    let counts = (peer.received, peer.sent);
                    drop(peer);
                    wire.lock().unwrap_or_else(PoisonError::into_inner).push(counts);
                });
            }
        }))
    }

    async fn serve(&self, peer: &mut Peer) -> io::Result<()> {
        match self {
            Front::CloseAccept => return Ok(()),
            Front::RstAccept => {
                peer.stream.peek(&mut [0]).await?;
                return peer.reset_on_close();
            }
            Front::Hang => return peer.wait_until_closed().await,
            Front::Relay(port, cut) => return peer.relay(*port, Some(*cut)).await,
            Front::Balance(count, ports) => {
                let port = ports[count.fetch_add(1, Ordering::Relaxed) % 2];
                return peer.relay(port, None).await;
            }
            _ => {}
        }
        peer.read_request().await?;
        match self {
            Front::CloseAfterRequest => return Ok(()),
            Front::RstAfterRequest => return peer.reset_on_close(),
            Front::HangAfterRequest => return peer.wait_until_closed().await,
            Front::NegotiationFailure(code) => return peer.refuse(&confirm(NEG_FAILURE, *code), LEAVE).await,
            Front::Select(protocol) => return peer.refuse(&confirm(NEG_RESPONSE, *protocol), LEAVE).await,
            Front::Garbage => return peer.refuse(b"HTTP/1.1 400 Bad Request\r\n\r\n", PAUSE).await,
            _ => peer.send(&confirm(NEG_RESPONSE, PROTOCOL_SSL)).await?,
        }
        match self {
            Front::CloseAfterConfirm => return Ok(()),
            Front::RstAfterConfirm => return peer.reset_on_close(),
            Front::HangAfterConfirm => return peer.wait_until_closed().await,
            Front::Splice(port) => return peer.relay(*port, None).await,
            _ => peer.read_record().await?,
        }
        match self {
            Front::RstAfterHello => peer.reset_on_close(),
            Front::HangAfterHello => peer.wait_until_closed().await,
            Front::Alert(description) => peer.refuse(&[21, 3, 3, 0, 2, 2, *description], LEAVE).await,
            Front::GarbageAfterHello => peer.refuse(&[0; 64], LEAVE).await,
            Front::PartialServerHello => peer.refuse(&[22, 3, 3, 0, 0x7a, 2, 0, 0, 0x76, 3, 3], PAUSE).await,
            _ => Ok(()),
        }
    }
}

const NEG_RESPONSE: u8 = 2;
const NEG_FAILURE: u8 = 3;
const PROTOCOL_SSL: u32 = 1;

/// Connection Confirm with a negotiation structure. [MS-RDPBCGR] 2.2.1.2
fn confirm(kind: u8, value: u32) -> Vec<u8> {
    let mut bytes = vec![3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, kind, 0, 8, 0];
    bytes.extend_from_slice(&value.to_le_bytes());
    bytes
}

struct Peer {
    stream: TcpStream,
    received: u64,
    sent: u64,
}

impl Peer {
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.sent += bytes.len() as u64;
        Ok(())
    }

    async fn read_exact(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes).await?;
        self.received += len as u64;
        Ok(bytes)
    }

    /// One TPKT, behind a preconnection blob if there is one: that starts with its own length. [MS-RDPEPS] 2.2.1
    async fn read_request(&mut self) -> io::Result<()> {
        let mut head = self.read_exact(4).await?;
        if head[0] != 3 {
            let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
            self.read_exact(len.clamp(4, 4096) - 4).await?;
            head = self.read_exact(4).await?;
        }
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        self.read_exact(len.max(4) - 4).await.map(drop)
    }

    /// One TLS record.
    async fn read_record(&mut self) -> io::Result<()> {
        let head = self.read_exact(5).await?;
        let len = usize::from(u16::from_be_bytes([head[3], head[4]]));
        self.read_exact(len).await.map(drop)
    }

    /// Sends the refusal and closes when the client has left, or after `patience`.
    async fn refuse(&mut self, answer: &[u8], patience: Duration) -> io::Result<()> {
        self.send(answer).await?;
        let _ = timeout(patience, self.wait_until_closed()).await;
        Ok(())
    }

    async fn wait_until_closed(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        loop {
            let len = self.stream.read(&mut bytes).await?;
            self.received += len as u64;
            if len == 0 {
                return Ok(());
            }
        }
    }

    /// The drop that follows sends RST.
    fn reset_on_close(&self) -> io::Result<()> {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }

    async fn relay(&mut self, port: u16, cut: Option<Cut>) -> io::Result<()> {
        let mut host = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let (mut up, mut down) = (vec![0; 65536], vec![0; 65536]);
        let (mut client_open, mut host_open) = (true, true);
        while client_open || host_open {
            tokio::select! {
                read = self.stream.read(&mut up), if client_open => {
                    let len = read?;
                    self.received += len as u64;
                    client_open = len > 0;
                    if client_open { host.write_all(&up[..len]).await? } else { host.shutdown().await? }
                }
                read = host.read(&mut down), if host_open => {
                    let len = read?;
                    host_open = len > 0;
                    if !host_open {
                        self.stream.shutdown().await?;
                        continue;
                    }
                    if let Some(cut) = cut.filter(|cut| self.sent + len as u64 >= cut.after) {
                        tokio::time::sleep(cut.pause).await;
                        return match cut.how {
                            How::Fin => self.stream.shutdown().await,
                            How::Rst => self.reset_on_close(),
                            How::Silence => self.wait_until_closed().await,
                        };
                    }
                    self.send(&down[..len]).await?;
                }
            }
        }
        Ok(())
    }
}
