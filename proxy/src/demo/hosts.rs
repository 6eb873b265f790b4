//! The embedded hosts: one listening socket per case, each accepted connection plays the next script.

use super::actor;
use super::case::Host;
use super::script::Step;
use super::tls::Credentials;
use anyhow::Context;
use parser::session::Peer;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::AbortHandle;

/// What stands behind one listener, for as long as it lives.
pub(super) struct Standing {
    /// Where the proxy is to connect to: a name or an address, and a port.
    pub(super) upstream: (String, u16),
    /// The port of [`Host::ClosedPort`]: bound, so that nobody else takes it, and not listening.
    _closed: Option<TcpSocket>,
    task: Option<AbortHandle>,
}

impl Drop for Standing {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Puts a host up.
pub(super) async fn stand(host: Host, credentials: &Arc<Credentials>) -> anyhow::Result<Standing> {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    match host {
        Host::Named(name) => Ok(Standing { upstream: (name.to_owned(), 3389), _closed: None, task: None }),
        Host::ClosedPort => {
            let socket = TcpSocket::new_v4()?;
            socket.bind(anywhere).context("a port for a host that does not listen")?;
            let upstream = located(socket.local_addr()?);
            Ok(Standing { upstream, _closed: Some(socket), task: None })
        }
        Host::Plays(scripts) => {
            let listener = TcpListener::bind(anywhere).await.context("a port for an embedded host")?;
            let upstream = located(listener.local_addr()?);
            let task = tokio::spawn(serve(listener, scripts, Arc::clone(credentials)));
            Ok(Standing { upstream, _closed: None, task: Some(task.abort_handle()) })
        }
    }
}

async fn serve(listener: TcpListener, scripts: &'static [&'static [Step]], credentials: Arc<Credentials>) {
    let mut next = scripts.iter();
    let mut script: &[Step] = &[];
    while let Ok((socket, _)) = listener.accept().await {
        script = next.next().copied().unwrap_or(script);
        let credentials = Arc::clone(&credentials);
        tokio::spawn(async move { actor::play(socket, Peer::Host, script, &credentials).await });
    }
}

fn located(address: SocketAddr) -> (String, u16) {
    (address.ip().to_string(), address.port())
}
