//! Both ends of a session: a host on a thread of its own, and what a client does.

use super::opening::{self, Turn};
use parser::session::Peer;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

/// Between two screen updates.
const FRAME_EVERY: Duration = Duration::from_micros(33_333);

/// A TLS record of bulk traffic and of a screen update, header included.
pub(crate) const RECORD: u16 = 16 * 1024;

/// Records handed to the kernel, or asked of it, at once in bulk traffic.
const AT_ONCE: usize = 16;

/// A short message, header included.
pub(crate) const SHORT: u16 = 100;

/// Where the host listens, if one of them is free.
const PORTS: std::ops::Range<u16> = 23_389..23_489;

/// What the host does once a session is active: the first byte of the first record that the client sends then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Some updates, then the client leaves.
    Visit = 1,
    /// As much as goes.
    Bulk = 2,
    /// A screen update, thirty times a second.
    Frames = 3,
    /// Each short message is answered by one.
    Echo = 4,
    /// Nothing.
    Silence = 5,
}

impl Ask {
    fn of(byte: u8) -> Option<Ask> {
        [Ask::Visit, Ask::Bulk, Ask::Frames, Ask::Echo, Ask::Silence].into_iter().find(|ask| *ask as u8 == byte)
    }

    /// Some message of a client.
    fn record(self) -> Vec<u8> {
        opening::record(45, self as u8)
    }
}

/// The updates of a [`Ask::Visit`]: eight of 4 KiB.
const UPDATES: usize = 8;
const UPDATE: u16 = 4 * 1024;

/// The host: answers every opening, then does what it is asked.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// Starts it, on the processors of the calling thread.
    pub(crate) fn start() -> io::Result<Host> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Like that of a real host, its port is none of those that connecting sockets are given.
        let listener = PORTS.map(|port| runtime.block_on(TcpListener::bind(("127.0.0.1", port)))).find(Result::is_ok);
        let listener = listener.unwrap_or_else(|| runtime.block_on(TcpListener::bind("127.0.0.1:0")))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("host".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = accept(listener) => {}
                }
            });
        })?;
        Ok(Host { address, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener) {
    let turns = Arc::new(opening::whole());
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let turns = Arc::clone(&turns);
        // A client that leaves is the end of its session, whichever way.
        tokio::spawn(async move { serve(socket, &turns).await });
    }
}

async fn serve(mut socket: TcpStream, turns: &[Turn]) -> io::Result<()> {
    socket.set_nodelay(true)?;
    play(&mut socket, Peer::Host, turns).await?;
    let mut asked = [0; 45];
    socket.read_exact(&mut asked).await?;
    match Ask::of(asked[5]) {
        Some(Ask::Visit) => {
            let update = opening::record(UPDATE, 0);
            for _ in 0..UPDATES {
                socket.write_all(&update).await?;
            }
            drain(&mut socket).await
        }
        Some(Ask::Bulk) => {
            let records = opening::record(RECORD, 0).repeat(AT_ONCE);
            loop {
                socket.write_all(&records).await?;
            }
        }
        Some(Ask::Frames) => {
            let frame = opening::record(RECORD, 0);
            let mut clock = interval(FRAME_EVERY);
            clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                clock.tick().await;
                socket.write_all(&frame).await?;
            }
        }
        Some(Ask::Echo) => {
            let mut message = [0; SHORT as usize];
            loop {
                socket.read_exact(&mut message).await?;
                socket.write_all(&message).await?;
            }
        }
        Some(Ask::Silence) | None => drain(&mut socket).await,
    }
}

async fn drain(socket: &mut TcpStream) -> io::Result<()> {
    let mut rest = [0; 4096];
    while socket.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Says and hears what `own` side says and hears in `turns`.
async fn play(socket: &mut TcpStream, own: Peer, turns: &[Turn]) -> io::Result<()> {
    let mut heard = [0; 4096];
    for turn in turns {
        if turn.from == own {
            for write in &turn.writes {
                socket.write_all(write).await?;
            }
        } else {
            let mut left = turn.bytes();
            while left > 0 {
                let most = left.min(heard.len());
                left -= read_some(socket, &mut heard[..most]).await?;
            }
        }
    }
    Ok(())
}

async fn read_some(socket: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    match socket.read(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        n => Ok(n),
    }
}

/// A client in a session that is active, and that has asked for something.
pub(crate) async fn session(front: SocketAddr, turns: &[Turn], ask: Ask) -> io::Result<TcpStream> {
    let mut socket = connect(front).await?;
    play(&mut socket, Peer::Client, turns).await?;
    socket.write_all(&ask.record()).await?;
    Ok(socket)
}

/// A whole session: opened, some updates, ended in order.
pub(crate) async fn visit(front: SocketAddr, turns: &[Turn]) -> io::Result<()> {
    let mut socket = session(front, turns, Ask::Visit).await?;
    let mut updates = [0; UPDATE as usize];
    for _ in 0..UPDATES {
        socket.read_exact(&mut updates).await?;
    }
    for last in opening::farewell() {
        socket.write_all(&last).await?;
    }
    socket.shutdown().await?;
    drain(&mut socket).await
}

/// A client that leaves after `turns`.
pub(crate) async fn leave_early(front: SocketAddr, turns: &[Turn]) -> io::Result<()> {
    let mut socket = connect(front).await?;
    play(&mut socket, Peer::Client, turns).await?;
    socket.shutdown().await?;
    drain(&mut socket).await
}

/// A short message there and back, in a session that asked for [`Ask::Echo`].
pub(crate) async fn echo(socket: &mut TcpStream, message: &mut [u8]) -> io::Result<()> {
    socket.write_all(message).await?;
    socket.read_exact(message).await.map(|_| ())
}

/// Reads what comes; how much it was is added up.
pub(crate) async fn swallow(socket: &mut TcpStream, buffer: &mut [u8], bytes: &std::cell::Cell<u64>) -> io::Result<()> {
    loop {
        let n = read_some(socket, buffer).await?;
        bytes.set(bytes.get() + n as u64);
    }
}

/// A buffer for [`swallow`].
pub(crate) fn bulk_buffer() -> Vec<u8> {
    vec![0; usize::from(RECORD) * AT_ONCE]
}

async fn connect(front: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(front).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}
