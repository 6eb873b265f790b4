//! Somebody on the way between the proxy and its host, who can change what passes but holds no key.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// What it does to a ClientHello on its way to the host.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attack {
    /// Answers it with RST.
    Reset,
    /// Answers it with a forged protocol_version.
    Forge,
    /// Takes `supported_versions` out of it, so that it offers TLS 1.2 at best.
    Lower,
}

/// Listens in the host's place. `attack` gets the number of the connection, from 0.
pub(crate) async fn before(
    host: SocketAddr,
    attack: impl Fn(usize) -> Option<Attack> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let (attack, count) = (Arc::new(attack), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let attack = attack(count.fetch_add(1, Relaxed));
            tokio::spawn(async move {
                let _ = between(socket, host, attack).await;
            });
        }
    });
    address
}

async fn between(mut victim: TcpStream, host: SocketAddr, attack: Option<Attack>) -> std::io::Result<()> {
    let mut host = TcpStream::connect(host).await?;
    let mut packet = [0; 19];
    victim.read_exact(&mut packet).await?;
    host.write_all(&packet).await?;
    host.read_exact(&mut packet).await?;
    victim.write_all(&packet).await?;
    let mut header = [0; 5];
    victim.read_exact(&mut header).await?;
    let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    victim.read_exact(&mut hello).await?;
    match attack {
        Some(Attack::Reset) => return victim.set_zero_linger(),
        Some(Attack::Forge) => {
            victim.write_all(&[21, 3, 3, 0, 2, 2, 70]).await?;
            victim.shutdown().await?;
            // The host takes one connection after the other.
            drop(host);
            let _ = victim.read_to_end(&mut Vec::new()).await;
            return Ok(());
        }
        // The type 43 of the extension, with the length of a list of one or two versions behind it.
        Some(Attack::Lower) => {
            let at = hello.windows(3).position(|bytes| bytes == [0, 43, 0]).expect("supported_versions");
            hello[at + 1] = 99;
        }
        None => {}
    }
    host.write_all(&header).await?;
    host.write_all(&hello).await?;
    copy_bidirectional(&mut victim, &mut host).await.map(|_| ())
}
