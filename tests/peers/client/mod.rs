//! The near end of a scenario: real clients, and scripted ones for what no real client sends.

mod mini;
mod scripted;

pub(crate) use mini::Mini;
pub(crate) use scripted::{Script, Then};

use crate::lab::{Exit, Lab, PASSWORD, Process, USER};
use anyhow::{Context, Result};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// How long a client that is expected to end may take. It needs 2 s; a busy machine more.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);

/// Which client a scenario wants.
#[derive(Clone, Debug)]
pub(crate) enum Client {
    /// xfreerdp with these options beside address, user and password.
    Xfreerdp(Vec<&'static str>),
    /// The same with an OpenSSL configuration of the certificate directory.
    XfreerdpWith(&'static str, Vec<&'static str>),
    /// xfreerdp with these options and no password: the host shows its own login box.
    WithoutPassword(Vec<&'static str>),
    /// xfreerdp through a gateway at the address under test.
    ViaGateway(Vec<&'static str>),
    /// rdesktop with these options; it is told `yes` to every question.
    Rdesktop(Vec<&'static str>),
    /// X.224, then OpenSSL's handshake of an exact version range.
    Mini(Mini),
    /// Bytes of our own.
    Script(Script),
}

/// How a client's run ended.
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) output: String,
    /// Bytes it sent and received, when it was one that counts.
    pub(crate) bytes: Option<(u64, u64)>,
}

/// xfreerdp with TLS that ends by itself once the session stands.
pub(crate) fn tls(more: &[&'static str]) -> Client {
    Client::Xfreerdp([&["/sec:tls", "+auth-only"], more].concat())
}

/// rdesktop with these options.
pub(crate) fn rdesktop(options: &[&'static str]) -> Client {
    Client::Rdesktop(options.to_vec())
}

impl Client {
    /// Runs the client against `to` until it ends or `limit` has passed; then it is ended.
    pub(crate) fn run(&self, lab: &Arc<Lab>, room: &Path, to: SocketAddr, limit: Duration) -> Result<Ended> {
        match self {
            Client::Mini(mini) => mini.run(lab, room, to),
            Client::Script(script) => script.run(to, limit),
            _ => {
                let mut client = self.start(lab, room, to)?;
                let exit = client.wait(limit);
                client.stop();
                Ok(Ended { exit, output: client.output(), bytes: None })
            }
        }
    }

    /// Starts a real client and leaves it running.
    pub(crate) fn start(&self, lab: &Arc<Lab>, room: &Path, to: SocketAddr) -> Result<Process> {
        self.start_as(lab, room, to, None)
    }

    /// The same, with `wrapper` in place of the bare program, as for a network namespace.
    pub(crate) fn start_as(
        &self,
        lab: &Arc<Lab>,
        room: &Path,
        to: SocketAddr,
        wrapper: Option<&dyn Fn(&str) -> Command>,
    ) -> Result<Process> {
        let program = |name: &str| wrapper.map_or_else(|| Command::new(name), |wrap| wrap(name));
        match self {
            Client::Xfreerdp(options) => {
                let mut command = program("xfreerdp");
                command.arg(format!("/v:{to}")).args(options);
                xfreerdp(lab, command, options, &room.join("xfreerdp.log"))
            }
            Client::XfreerdpWith(file, options) => {
                let mut command = program("xfreerdp");
                command.arg(format!("/v:{to}")).args(options).env("OPENSSL_CONF", lab.cert(file));
                xfreerdp(lab, command, options, &room.join("xfreerdp.log"))
            }
            Client::WithoutPassword(options) => {
                let mut command = program("xfreerdp");
                command.arg(format!("/v:{to}")).args(options);
                xfreerdp_as(lab, command, options, None, &room.join("xfreerdp.log"))
            }
            Client::ViaGateway(options) => {
                let mut command = program("xfreerdp");
                command.arg(format!("/v:{}:3389", crate::lab::HOST_NAME)).arg(format!("/g:{to}")).args(options);
                command.args(["/gu:gwuser", "/gp:gwpass", "/gd:LAB"]);
                xfreerdp(lab, command, options, &room.join("xfreerdp.log"))
            }
            Client::Rdesktop(options) => {
                let mut command = program("rdesktop");
                command.args(["-u", USER, "-g", "640x480"]).args(options).arg(to.to_string());
                lab.client_environment(&mut command);
                let (read, mut write) = std::io::pipe()?;
                // With its input closed rdesktop crashes at the certificate question.
                write.write_all(b"yes\nyes\nyes\nyes\n")?;
                Process::start_reading(lab, command, &room.join("rdesktop.log"), Stdio::from(read))
            }
            Client::Mini(_) | Client::Script(_) => None.context("not a client that can be left running"),
        }
    }
}

/// The certificate is ignored and a password given unless the options say otherwise.
fn xfreerdp(lab: &Arc<Lab>, command: Command, options: &[&str], log: &Path) -> Result<Process> {
    xfreerdp_as(lab, command, options, Some(PASSWORD), log)
}

fn xfreerdp_as(
    lab: &Arc<Lab>,
    mut command: Command,
    options: &[&str],
    password: Option<&str>,
    log: &Path,
) -> Result<Process> {
    let given = |prefix: &str| options.iter().any(|option| option.starts_with(prefix));
    command.args(["/size:800x600", "/log-level:INFO", "-clipboard"]);
    if !given("/cert:") && !given("-cert") {
        command.arg("/cert:ignore");
    }
    if !given("/u:") {
        command.arg(format!("/u:{USER}"));
    }
    if let Some(password) = password.filter(|_| !given("/p:")) {
        command.arg(format!("/p:{password}"));
    }
    lab.client_environment(&mut command);
    Process::start(lab, command, log)
}
