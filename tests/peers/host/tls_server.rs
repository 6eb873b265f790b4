//! Real TLS servers that know no RDP: for offers that xrdp's OpenSSL cannot be made to have.

use super::serve;
use crate::lab::{Lab, Process};
use anyhow::Result;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// A TLS server program and its offer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TlsServer {
    /// gnutls-serv with this priority string.
    Gnutls(&'static str),
    /// `openssl s_server` with these options.
    OpenSsl(&'static [&'static str]),
}

impl TlsServer {
    /// Starts it on `port` with the lab's RSA certificate.
    pub(crate) fn start(self, lab: &Arc<Lab>, room: &Path, port: u16) -> Result<Process> {
        let (certificate, key, port_text) = (lab.cert("rsa.crt"), lab.cert("rsa.key"), port.to_string());
        let mut command;
        match self {
            TlsServer::Gnutls(priority) => {
                command = Command::new("gnutls-serv");
                command.args(["-q", "--disable-client-cert", "--port", &port_text, "--priority", priority]);
                command.arg("--x509certfile").arg(certificate).arg("--x509keyfile").arg(key);
            }
            TlsServer::OpenSsl(options) => {
                command = Command::new("openssl");
                command.args(["s_server", "-quiet", "-accept", &port_text]);
                command.arg("-cert").arg(certificate).arg("-key").arg(key).args(options);
            }
        }
        lab.host_environment(&mut command);
        serve(lab, command, &room.join("tls-server.log"), port)
    }
}
