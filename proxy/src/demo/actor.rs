//! Carries a script out on a socket.

use super::rdp;
use super::script::{Step, Turn};
use super::tls::{self, Credentials};
use anyhow::bail;
use parser::session::Peer;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// Longest that one script may run; past it the connection is dropped. Far above any of the demo's time-outs.
const DEADLINE: Duration = Duration::from_secs(20);

/// Plays `steps` as `role` on `socket`. The script ends early when the other end does; that is what many cases are
/// about, so it is no error here: the proxy's verdict is what counts.
pub(super) async fn play(socket: TcpStream, role: Peer, steps: &[Step], credentials: &Credentials) {
    // Small messages follow one another, as they do between real ends: none may wait for an acknowledgement.
    let _ = socket.set_nodelay(true);
    let mut wire = Wire::Clear(socket);
    let all = async {
        for step in steps {
            if wire.take(*step, role, credentials).await.is_err() {
                break;
            }
        }
        wire.close_in_order().await;
    };
    let _ = tokio::time::timeout(DEADLINE, all).await;
}

/// One end of a connection, as far as it got.
enum Wire {
    Clear(TcpStream),
    Client(Box<client::TlsStream<TcpStream>>),
    Host(Box<server::TlsStream<TcpStream>>),
    /// Reset, or lost in a handshake.
    Gone,
}

impl Wire {
    async fn take(&mut self, step: Step, role: Peer, credentials: &Credentials) -> anyhow::Result<()> {
        match step {
            Step::Request { user, protocols } => self.send(&rdp::connection_request(user, protocols)).await,
            Step::Confirm(selected) => self.send(&rdp::connection_confirm(selected)).await,
            Step::Refuse(code) => self.send(&rdp::negotiation_failure(code)).await,
            Step::Send(bytes) => self.send(bytes).await,
            Step::ReadPacket => {
                let header: [u8; 4] = self.read().await?;
                self.skip(u16::from_be_bytes([header[2], header[3]]).saturating_sub(4).into()).await
            }
            Step::ReadHello => {
                let header: [u8; 5] = self.read().await?;
                self.skip(u16::from_be_bytes([header[3], header[4]]).into()).await
            }
            Step::ReadSome => {
                let _: [u8; 1] = self.read().await?;
                Ok(())
            }
            Step::HostTls(tls) => {
                let acceptor = TlsAcceptor::from(credentials.server(tls)?);
                let socket = self.clear()?;
                match acceptor.accept(socket).into_fallible().await {
                    Ok(stream) => *self = Wire::Host(Box::new(stream)),
                    Err((error, socket)) => {
                        *self = Wire::Clear(socket);
                        return Err(error.into());
                    }
                }
                Ok(())
            }
            Step::ClientTls(tls) => {
                let connector = TlsConnector::from(credentials.client(tls)?);
                let socket = self.clear()?;
                match connector.connect(tls::server_name()?, socket).into_fallible().await {
                    Ok(stream) => *self = Wire::Client(Box::new(stream)),
                    Err((error, socket)) => {
                        *self = Wire::Clear(socket);
                        return Err(error.into());
                    }
                }
                Ok(())
            }
            Step::Exchange(parts) => {
                for part in parts {
                    self.exchange(part, role).await?;
                }
                Ok(())
            }
            Step::HalfClose => {
                if let Some(socket) = self.tcp() {
                    socket.shutdown().await?;
                }
                self.drain().await;
                Ok(())
            }
            Step::Reset => {
                if let Some(socket) = self.tcp() {
                    socket.set_zero_linger()?;
                }
                *self = Wire::Gone;
                Ok(())
            }
            Step::AwaitEnd => {
                self.drain().await;
                Ok(())
            }
        }
    }

    /// Each message is written alone, so that it becomes one TLS record.
    async fn exchange(&mut self, turns: &[Turn], role: Peer) -> anyhow::Result<()> {
        for turn in turns {
            for size in turn.sizes {
                if turn.from == role {
                    self.send(&rdp::message(*size)).await?;
                } else {
                    self.skip((*size).into()).await?;
                }
            }
        }
        Ok(())
    }

    async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let Some(stream) = self.stream() else { bail!("the connection is gone") };
        stream.write_all(bytes).await?;
        Ok(stream.flush().await?)
    }

    async fn read<const N: usize>(&mut self) -> anyhow::Result<[u8; N]> {
        let Some(stream) = self.stream() else { bail!("the connection is gone") };
        let mut bytes = [0; N];
        stream.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    async fn skip(&mut self, count: usize) -> anyhow::Result<()> {
        let Some(stream) = self.stream() else { bail!("the connection is gone") };
        stream.read_exact(&mut vec![0; count]).await?;
        Ok(())
    }

    /// Reads until the other end has closed, or reset.
    async fn drain(&mut self) {
        let Some(stream) = self.stream() else { return };
        let mut sink = [0; 4096];
        while matches!(stream.read(&mut sink).await, Ok(1..)) {}
    }

    async fn close_in_order(&mut self) {
        let Some(stream) = self.stream() else { return };
        let _ = stream.shutdown().await;
        // What TLS cannot read any more (after an alert, say) is still taken from the socket, or the kernel would
        // answer it with RST.
        let Some(socket) = self.tcp() else { return };
        let mut sink = [0; 4096];
        while matches!(socket.read(&mut sink).await, Ok(1..)) {}
    }

    fn clear(&mut self) -> anyhow::Result<TcpStream> {
        match std::mem::replace(self, Wire::Gone) {
            Wire::Clear(socket) => Ok(socket),
            _ => bail!("a second handshake on one connection"),
        }
    }

    fn tcp(&mut self) -> Option<&mut TcpStream> {
        match self {
            Wire::Clear(socket) => Some(socket),
            Wire::Client(stream) => Some(stream.get_mut().0),
            Wire::Host(stream) => Some(stream.get_mut().0),
            Wire::Gone => None,
        }
    }

    fn stream(&mut self) -> Option<&mut dyn Stream> {
        match self {
            Wire::Clear(socket) => Some(socket),
            Wire::Client(stream) => Some(&mut **stream),
            Wire::Host(stream) => Some(&mut **stream),
            Wire::Gone => None,
        }
    }
}

/// What can be read and written, with TLS or without.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

#[cfg(test)]
mod tests {
    use super::super::script::{Certificate, ClientTls, HostTls, Suites, Versions};
    use super::*;
    use std::sync::Arc;
    use tokio::net::TcpListener;

    /// Plays a host and a client against each other, without a proxy, and tells how the client's last read ended.
    async fn meet(host: &'static [Step], client: &'static [Step]) -> std::io::Result<usize> {
        let credentials = Arc::new(Credentials::generate().expect("keys"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let for_host = Arc::clone(&credentials);
        let host = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.expect("a client");
            play(socket, Peer::Host, host, &for_host).await;
        });
        let mut wire = Wire::Clear(TcpStream::connect(address).await.expect("a connection"));
        for step in client {
            wire.take(*step, Peer::Client, &credentials).await.expect("a step");
        }
        let end = wire.stream().expect("a stream").read(&mut [0; 16]).await;
        wire.close_in_order().await;
        host.await.expect("the host ends");
        end
    }

    const HOST_TLS: Step =
        Step::HostTls(HostTls { certificate: Certificate::Good, versions: Versions::Both, suites: Suites::All });
    const CLIENT_TLS: Step = Step::ClientTls(ClientTls { versions: Versions::Both, suites: Suites::All });

    #[tokio::test]
    async fn a_whole_session_is_played_and_closed_in_order() {
        let end = meet(
            &[Step::ReadPacket, Step::Confirm(rdp::HYBRID_EX), HOST_TLS, Step::Exchange(&[rdp::CREDSSP])],
            &[
                Step::Request { user: "alice", protocols: rdp::MSTSC },
                Step::ReadPacket,
                CLIENT_TLS,
                Step::Exchange(&[rdp::CREDSSP]),
            ],
        );
        assert_eq!(end.await.expect("an orderly end"), 0);
    }

    #[tokio::test]
    async fn a_reset_is_a_reset() {
        let end = meet(&[Step::ReadPacket, Step::Reset], &[Step::Request { user: "alice", protocols: rdp::MSTSC }]);
        assert_eq!(end.await.expect_err("no orderly end").kind(), std::io::ErrorKind::ConnectionReset);
    }
}
