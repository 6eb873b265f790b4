//! A plain relay that notes what passes: the wire between a client and the proxy, or between the proxy and a host.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One connection: who opened it, our own end of the one that goes on, and the bytes of both.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire {
    pub(crate) opener: Option<SocketAddr>,
    pub(crate) onward: Option<SocketAddr>,
    pub(crate) up: Vec<u8>,
    pub(crate) down: Vec<u8>,
}

/// See the module. It ends with the test.
pub(crate) struct Wiretap {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Wire>>>,
    task: JoinHandle<()>,
}

impl Wiretap {
    /// In front of `to`.
    pub(crate) async fn to(to: SocketAddr) -> Wiretap {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let (address, seen) = (listener.local_addr().expect("address"), Arc::<Mutex<Vec<Wire>>>::default());
        let noted = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((near, opener)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(to).await else { continue };
                let onward = far.local_addr().ok();
                let number = {
                    let mut seen = noted.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.push(Wire { opener: Some(opener), onward, ..Wire::default() });
                    seen.len() - 1
                };
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                tokio::spawn(pass(near_read, far_write, Arc::clone(&noted), number, |wire| &mut wire.up));
                tokio::spawn(pass(far_read, near_write, Arc::clone(&noted), number, |wire| &mut wire.down));
            }
        });
        Wiretap { address, seen, task }
    }

    /// What passed so far, connection by connection.
    pub(crate) fn seen(&self) -> Vec<Wire> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Wiretap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    seen: Arc<Mutex<Vec<Wire>>>,
    number: usize,
    of: fn(&mut Wire) -> &mut Vec<u8>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => {
                // Noted first: whoever has what was passed on finds it here.
                of(&mut seen.lock().unwrap_or_else(PoisonError::into_inner)[number]).extend_from_slice(&buffer[..read]);
                if to.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
        }
    }
    let _ = to.shutdown().await;
}
