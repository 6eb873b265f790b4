//! A client with an exact range of TLS versions and demands on the certificate: our X.224 request, then the handshake of
//! `openssl s_client`.
//!
//! s_client knows no RDP, so it connects to a socket of ours; we have done the X.224 step on another socket and join
//! the two.

use super::{Ended, PATIENCE};
use crate::lab::{Exit, HOST_NAME, Lab, Process, wait_until};
use anyhow::{Context, Result};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The versions it offers.
#[derive(Clone, Debug)]
pub(crate) struct Mini {
    /// `-min_protocol` and `-max_protocol`, as OpenSSL writes them: `TLSv1`, `TLSv1.1`, ….
    pub(crate) versions: (&'static str, &'static str),
    /// The one certificate of the lab that it trusts, and further options. Without, it takes every certificate.
    verifies: Option<(&'static str, &'static [&'static str])>,
    /// TLS from the first byte, as a health check for web servers begins.
    bare: bool,
}

/// No connection.
const TCP: i32 = 30;
/// No TLS was selected.
const NEGOTIATION: i32 = 10;
/// The handshake failed.
const TLS: i32 = 20;

/// Connection Request for TLS with a cookie. [MS-RDPBCGR] 2.2.1.1
const REQUEST: &[u8] =
    b"\x03\x00\x00\x2a\x25\xe0\x00\x00\x00\x00\x00Cookie: mstshash=mini\r\n\x01\x00\x08\x00\x01\x00\x00\x00";

impl Mini {
    /// Only this version.
    pub(crate) fn only(version: &'static str) -> Mini {
        Mini::between(version, version)
    }

    /// From one version to the other.
    pub(crate) fn between(oldest: &'static str, newest: &'static str) -> Mini {
        Mini { versions: (oldest, newest), verifies: None, bare: false }
    }

    /// It looks at the host's certificate, trusts `anchor` alone, and leaves with the alert that OpenSSL has for what it does
    /// not like. `options` come last.
    pub(crate) fn verifying(self, anchor: &'static str, options: &'static [&'static str]) -> Mini {
        Mini { verifies: Some((anchor, options)), ..self }
    }

    /// It leaves the negotiation out.
    pub(crate) fn bare(self) -> Mini {
        Mini { bare: true, ..self }
    }

    /// Exit 0: handshake done and closed in order. 10, 20, 30: see the constants.
    pub(crate) fn run(&self, lab: &Arc<Lab>, room: &Path, to: SocketAddr) -> Result<Ended> {
        let ended = |code, output: String, bytes| Ok(Ended { exit: Exit::Code(code), output, bytes });
        let mut host = match TcpStream::connect(to) {
            Ok(host) => host,
            Err(error) => return ended(TCP, error.to_string(), None),
        };
        host.set_read_timeout(Some(PATIENCE))?;
        host.set_nodelay(true)?;
        let mut before = (0, 0);
        if !self.bare {
            let mut confirm = [0; 19];
            if let Err(error) = host.write_all(REQUEST).and_then(|()| host.read_exact(&mut confirm)) {
                return ended(TCP, error.to_string(), None);
            }
            if confirm[11] != 2 {
                return ended(NEGOTIATION, format!("answer {confirm:02x?}"), None);
            }
            before = (REQUEST.len() as u64, confirm.len() as u64);
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &listener.local_addr()?.to_string(), "-servername", HOST_NAME]);
        command.args(["-cipher", "ALL:@SECLEVEL=0", "-min_protocol", self.versions.0]);
        command.args(["-max_protocol", self.versions.1]).env("OPENSSL_CONF", lab.cert("legacy.cnf"));
        if let Some((anchor, options)) = self.verifies {
            command.args(["-verify", "1", "-verify_return_error", "-CAfile"]).arg(lab.cert(anchor)).args(options);
        }
        let mut client = Process::start(lab, command, &room.join("s_client.log"))?;
        let joined = wait_until(PATIENCE, || listener.accept().ok()).context("s_client does not connect")?;
        joined.0.set_nonblocking(false)?;
        let (sent, received) = join(joined.0, host)?;
        let code = if client.wait(PATIENCE) == Exit::Code(0) { 0 } else { TLS };
        let bytes = Some((before.0 + sent, before.1 + received));
        ended(code, client.output(), bytes)
    }
}

/// Copies both ways until both sides are done; counts to the host and from it.
fn join(client: TcpStream, host: TcpStream) -> Result<(u64, u64)> {
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(PATIENCE))?;
    let (client_too, host_too) = (client.try_clone()?, host.try_clone()?);
    let up = thread::spawn(move || copy(client_too, host_too));
    let received = copy(host, client);
    Ok((up.join().unwrap_or(0), received))
}

fn copy(mut from: TcpStream, mut to: TcpStream) -> u64 {
    let (mut bytes, mut count) = ([0; 16384], 0);
    loop {
        let len = match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A reset has to reach the other side as an end; a FIN is enough for the clients used here.
            Err(_) => break,
        };
        count += len as u64;
        if to.write_all(&bytes[..len]).is_err() {
            // The far side is gone; drain what this side still says so that it is not reset.
            let _ = from.set_read_timeout(Some(Duration::from_millis(50)));
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    count
}
