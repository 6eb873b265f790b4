//! The far end of a scenario: real servers, and scripted ones for what no real server can be made to do.

mod front;
mod gateway;
mod gateway_http;
mod ntlm;
mod tls_server;
mod xrdp;

pub(crate) use front::{Cut, Front, How};
pub(crate) use gateway::Gateway;
pub(crate) use tls_server::TlsServer;
pub(crate) use xrdp::{Layer, Xrdp};

use crate::lab::{Lab, Process, STARTUP, free_port, listens, wait_until};
use anyhow::{Result, bail};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

/// Which host a scenario wants.
#[derive(Clone, Debug)]
pub(crate) enum Host {
    /// xrdp.
    Xrdp(Xrdp),
    /// FreeRDP's server, with one security layer and the lab's user.
    Shadow(&'static str),
    /// The same, with TLS 1.3 alone.
    Shadow13(&'static str),
    /// The same with an OpenSSL configuration of the certificate directory.
    ShadowWith(&'static str, &'static str),
    /// Scripted: misbehaves at one exact point.
    Front(Front),
    /// Scripted negotiation, then a real TLS server that is no RDP host.
    Tls(TlsServer),
    /// A real TLS server that speaks first, as a gateway does.
    BareTls(TlsServer),
    /// A healthy xrdp behind a wire that is cut.
    CutXrdp(Cut),
    /// A balancer before two healthy xrdps of TLS 1.2, each with a certificate of its own.
    Farm,
    /// An RD Gateway with a healthy xrdp behind it.
    Gateway(Gateway),
    /// A port where nothing listens.
    Nobody,
}

/// A host at work. Dropping it ends it.
pub(crate) struct Running {
    /// Where it listens on loopback.
    pub(crate) port: u16,
    /// What a scripted host received and sent, one entry per connection, in the order they ended.
    pub(crate) wire: Wire,
    processes: Vec<Process>,
    tasks: Vec<JoinHandle<()>>,
}

/// Bytes received and sent by a scripted host.
pub(crate) type Wire = Arc<Mutex<Vec<(u64, u64)>>>;

impl Host {
    /// Why this host cannot be run here.
    pub(crate) fn unavailable(&self) -> Option<String> {
        if let Host::Xrdp(xrdp) = self { xrdp.unavailable() } else { None }
    }

    /// Starts it; it accepts connections when this returns.
    pub(crate) fn start(&self, lab: &Arc<Lab>, room: &Path) -> Result<Running> {
        // Between choosing a port and listening on it somebody else may take it.
        const TRIES: usize = 3;
        let mut result = self.start_on(lab, room, free_port());
        for _ in 1..TRIES {
            if result.is_ok() {
                break;
            }
            result = self.start_on(lab, room, free_port());
        }
        result
    }

    /// The same on a port that was chosen before, as when a host comes back after a crash.
    pub(crate) fn start_on(&self, lab: &Arc<Lab>, room: &Path, port: u16) -> Result<Running> {
        let mut running = Running { port, wire: Wire::default(), processes: vec![], tasks: vec![] };
        match self {
            Host::Xrdp(xrdp) => running.processes.push(xrdp.start(lab, room, running.port)?),
            Host::Shadow(layer) => running.processes.push(shadow(lab, room, layer, running.port, None)?),
            Host::Shadow13(layer) => {
                running.processes.push(shadow(lab, room, layer, running.port, Some("only13.cnf"))?);
            }
            Host::ShadowWith(layer, file) => {
                running.processes.push(shadow(lab, room, layer, running.port, Some(file))?);
            }
            Host::Front(front) => running.script(lab, front.clone())?,
            Host::Tls(server) => {
                let inner = free_port();
                running.processes.push(server.start(lab, room, inner)?);
                running.script(lab, Front::Splice(inner))?;
            }
            Host::BareTls(server) => running.processes.push(server.start(lab, room, running.port)?),
            Host::CutXrdp(cut) => {
                let inner = free_port();
                running.processes.push(Xrdp::tls().start(lab, room, inner)?);
                running.script(lab, Front::Relay(inner, *cut))?;
            }
            Host::Farm => {
                let ports = [free_port(), free_port()];
                for ((name, key), port) in [("rsa.crt", "rsa.key"), ("ec.crt", "ec.key")].into_iter().zip(ports) {
                    let room = lab.room(&format!("{}-{name}", room.file_name().unwrap_or_default().display()))?;
                    let member = Xrdp::tls().protocols("TLSv1.2").pair(name, key);
                    running.processes.push(member.start(lab, &room, port)?);
                }
                running.script(lab, Front::Balance(Arc::default(), ports))?;
            }
            Host::Gateway(gateway) => {
                let inner = free_port();
                running.processes.push(Xrdp::tls().start(lab, room, inner)?);
                running.tasks.push(gateway.start(lab, running.port, inner)?);
            }
            Host::Nobody => {}
        }
        Ok(running)
    }
}

impl Running {
    /// Ends the host as a crash would: its kernel closes what is open.
    pub(crate) fn crash(&mut self) {
        self.processes.iter_mut().for_each(Process::kill);
    }

    /// What a scripted host received and sent on its connections so far.
    pub(crate) fn wire(&self) -> Vec<(u64, u64)> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the real servers have printed.
    pub(crate) fn output(&self) -> String {
        self.processes.iter().map(Process::output).collect()
    }

    fn script(&mut self, lab: &Arc<Lab>, front: Front) -> Result<()> {
        self.tasks.push(front.start(lab, self.port, Arc::clone(&self.wire))?);
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Starts `command` and waits until it listens on `port`.
fn serve(lab: &Arc<Lab>, command: Command, log: &Path, port: u16) -> Result<Process> {
    let mut server = Process::start(lab, command, log)?;
    let up = wait_until(STARTUP, || (listens(server.id(), port) || server.try_exit().is_some()).then_some(()));
    if up.is_none() || server.try_exit().is_some() {
        server.stop();
        bail!("{} does not listen on port {port}: {}", log.display(), server.output());
    }
    Ok(server)
}

/// A listener on loopback for a scripted host.
fn listen(lab: &Lab, port: u16) -> Result<tokio::net::TcpListener> {
    Ok(lab.runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)))?)
}

/// `layer` is `nla`, `tls` or `rdp`. It makes its own certificate under its HOME.
fn shadow(lab: &Arc<Lab>, room: &Path, layer: &str, port: u16, openssl: Option<&str>) -> Result<Process> {
    let mut command = Command::new("freerdp-shadow-cli");
    lab.host_environment(&mut command);
    if let Some(file) = openssl {
        command.env("OPENSSL_CONF", lab.cert(file));
    }
    command.arg(format!("/port:{port}")).arg("/bind-address:127.0.0.1").arg(format!("/sec:{layer}"));
    command.arg(format!("/sam-file:{}", lab.scratch.join("sam").display()));
    serve(lab, command, &room.join("shadow.log"), port)
}
