//! Clients that are no RDP clients, or stop half-way: health checks, scanners, users whose network went.

use super::Ended;
use crate::lab::Exit;
use anyhow::Result;
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// What a scripted client does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    /// Sent first; empty for nothing at all.
    pub(crate) first: &'static [u8],
    /// What follows.
    pub(crate) then: Then,
}

/// What a scripted client does after its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// FIN at once.
    Close,
    /// Reads one answer, then FIN.
    CloseAfterAnswer,
    /// Reads until the other side ends the connection.
    Wait,
}

/// Codes of a scripted client: the other side ended with FIN, or RST; no connection.
const FIN: i32 = 0;
const RST: i32 = 1;
const NO_CONNECTION: i32 = 30;

impl Script {
    /// Runs it; exit 0 when the connection ended by FIN, 1 by RST, 30 when there was none.
    pub(crate) fn run(&self, to: SocketAddr, limit: Duration) -> Result<Ended> {
        let ended = |exit, bytes| Ok(Ended { exit, output: String::new(), bytes: Some(bytes) });
        let Ok(mut host) = TcpStream::connect(to) else { return ended(Exit::Code(NO_CONNECTION), (0, 0)) };
        host.set_read_timeout(Some(limit))?;
        // The other side may have reset the connection by now.
        let started = SockRef::from(&host).set_tcp_nodelay(true).and_then(|()| host.write_all(self.first));
        if started.is_err() {
            return ended(Exit::Code(RST), (0, 0));
        }
        let sent = self.first.len() as u64;
        let mut received = 0;
        let mut bytes = [0; 4096];
        if self.then == Then::CloseAfterAnswer {
            received += host.read(&mut bytes).unwrap_or(0) as u64;
        }
        if self.then != Then::Wait {
            let _ = host.shutdown(Shutdown::Write);
        }
        loop {
            match host.read(&mut bytes) {
                Ok(0) => return ended(Exit::Code(FIN), (sent, received)),
                Ok(len) => received += len as u64,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return ended(Exit::Running, (sent, received));
                }
                Err(_) => return ended(Exit::Code(RST), (sent, received)),
            }
        }
    }
}
