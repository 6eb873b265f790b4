//! Bounds on who talks to the admin endpoint: connections at once, and time without an answer.

use axum::serve::Listener;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at once; the next ones wait in the kernel's backlog.
const CONNECTIONS: usize = 128;

/// A connection on which we could write nothing for this long is closed: a request that never ends, a reader that does
/// not read, or nobody. Above the usual scrape interval of a minute, and above the heartbeat of the live feed.
const SILENCE: Duration = Duration::from_secs(75);

/// The same until the first answer: every request is answered at once, so who has asked for nothing by then holds a place
/// that a health check may be waiting for.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// A listener with these bounds.
pub(super) struct Bounded {
    listener: TcpListener,
    room: Arc<Semaphore>,
    first_answer: Duration,
    silence: Duration,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener) -> Bounded {
        Bounded { listener, room: Arc::new(Semaphore::new(CONNECTIONS)), first_answer: FIRST_ANSWER, silence: SILENCE }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.room).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let connection =
            Connection { stream, idle: Box::pin(sleep(self.first_answer)), silence: self.silence, _permit: permit };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A stream that fails when nothing could be written to it for too long.
pub(super) struct Connection {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    silence: Duration,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn timed_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        ready!(self.idle.as_mut().poll(cx));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }

    fn wrote(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(result) => {
                let until = Instant::now() + self.silence;
                self.idle.as_mut().reset(until);
                Poll::Ready(result)
            }
            Poll::Pending => self.timed_out(cx).map(Err),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(error) = self.timed_out(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(600);

    async fn pair(first_answer: Duration, silence: Duration) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut bounded = Bounded { first_answer, silence, ..Bounded::new(listener) };
        let client = TcpStream::connect(address).await.unwrap();
        (bounded.accept().await.0, client)
    }

    #[tokio::test]
    async fn a_request_that_never_ends_is_cut_although_bytes_keep_coming() {
        let (mut connection, mut client) = pair(SHORT, LONG).await;
        let drip = tokio::spawn(async move { while client.write_all(b"x").await.is_ok() {} });
        let mut buffer = [0; 1024];
        let cut = async {
            loop {
                if let Err(error) = connection.read(&mut buffer).await {
                    break error;
                }
            }
        };
        let error =
            tokio::time::timeout(Duration::from_secs(20), cut).await.expect("the time to the first answer counts");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(connection);
        drip.await.unwrap();
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_is_cut() {
        let (mut connection, _client) = pair(LONG, SHORT).await;
        let chunk = vec![0; 1 << 20];
        let error = loop {
            if let Err(error) = connection.write_all(&chunk).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
