//! xrdp without sesman: it shows its login box, which is a whole RDP session for our purpose.
//!
//! The back end that a client with a password is led to does not exist. One that does not answer would keep xrdp in
//! its own retries for up to 15 s, and with it every session whose client has long gone.

use super::serve;
use crate::lab::{Lab, Process};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// `security_layer` of xrdp.ini.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// TLS only.
    Tls,
    /// Standard RDP security only.
    Rdp,
    /// Whatever the client asks for.
    Negotiate,
}

/// An xrdp and what is wrong with it.
#[derive(Clone, Debug)]
pub(crate) struct Xrdp {
    layer: Layer,
    crypt_level: &'static str,
    protocols: &'static str,
    ciphers: Option<&'static str>,
    certificate: &'static str,
    key: &'static str,
    legacy: bool,
}

impl Xrdp {
    /// Healthy, TLS 1.2 and 1.3, RSA certificate.
    pub(crate) fn tls() -> Xrdp {
        Xrdp {
            layer: Layer::Tls,
            crypt_level: "high",
            protocols: "TLSv1.2, TLSv1.3",
            ciphers: None,
            certificate: "rsa.crt",
            key: "rsa.key",
            legacy: false,
        }
    }

    /// Standard RDP security at `none`, `low`, `medium`, `high` or `fips`.
    pub(crate) fn rdp(crypt_level: &'static str) -> Xrdp {
        Xrdp { layer: Layer::Rdp, crypt_level, ..Xrdp::tls() }
    }

    /// Only these `ssl_protocols`.
    pub(crate) fn protocols(self, protocols: &'static str) -> Xrdp {
        Xrdp { protocols, ..self }
    }

    /// Only these `tls_ciphers`, in OpenSSL's notation.
    pub(crate) fn ciphers(self, ciphers: &'static str) -> Xrdp {
        Xrdp { ciphers: Some(ciphers), ..self }
    }

    /// TLS 1.0 or 1.1 only, with every cipher that OpenSSL still has.
    pub(crate) fn legacy(protocols: &'static str) -> Xrdp {
        Xrdp { legacy: true, ..Xrdp::tls().protocols(protocols).ciphers("ALL:@SECLEVEL=0") }
    }

    /// Certificate and key by file name in the lab's certificate directory.
    pub(crate) fn pair(self, certificate: &'static str, key: &'static str) -> Xrdp {
        Xrdp { certificate, key, ..self }
    }

    /// The security layer.
    pub(crate) fn layer(self, layer: Layer) -> Xrdp {
        Xrdp { layer, ..self }
    }

    /// Why this one cannot be run here: standard RDP security needs a key that the package makes for root and xrdp only.
    pub(super) fn unavailable(&self) -> Option<String> {
        const KEY: &str = "/etc/xrdp/rsakeys.ini";
        let unreadable = self.layer != Layer::Tls && std::fs::File::open(KEY).is_err();
        unreadable.then(|| format!("{KEY} cannot be read; run as root"))
    }

    /// Starts it on `port`.
    pub(crate) fn start(&self, lab: &Arc<Lab>, room: &Path, port: u16) -> Result<Process> {
        let ini = room.join("xrdp.ini");
        std::fs::write(&ini, self.ini(lab, &room.join("xrdp-file.log"), port))?;
        let mut command = Command::new("xrdp");
        lab.host_environment(&mut command);
        command.arg("--nodaemon").arg("--config").arg(&ini);
        if self.legacy {
            command.env("OPENSSL_CONF", lab.cert("legacy.cnf"));
        }
        serve(lab, command, &room.join("xrdp.log"), port)
    }

    fn ini(&self, lab: &Lab, log: &Path, port: u16) -> String {
        let layer = match self.layer {
            Layer::Tls => "tls",
            Layer::Rdp => "rdp",
            Layer::Negotiate => "negotiate",
        };
        let certificate: PathBuf = lab.cert(self.certificate);
        let key = lab.cert(self.key);
        let ciphers = self.ciphers.map_or_else(String::new, |list| format!("tls_ciphers={list}\n"));
        format!(
            "[Globals]\nini_version=1\nfork=true\nport=tcp://127.0.0.1:{port}\nuse_vsock=false\n\
             tcp_nodelay=true\ntcp_keepalive=true\nsecurity_layer={layer}\ncrypt_level={crypt}\n\
             certificate={certificate}\nkey_file={key}\nssl_protocols={protocols}\n{ciphers}\
             autorun=\nallow_channels=true\nbitmap_cache=true\nbitmap_compression=true\nbulk_compression=true\n\
             max_bpp=32\nnew_cursors=true\nuse_fastpath=both\n\
             [Logging]\nLogFile={log}\nLogLevel=INFO\nEnableSyslog=false\nEnableConsole=true\nConsoleLevel=INFO\n\
             [Channels]\nrdpdr=true\nrdpsnd=true\ndrdynvc=true\ncliprdr=true\n\
             [Xorg]\nname=Xorg\nlib=libnone.so\nusername=na\npassword=ask\nip=127.0.0.1\nport=1\n",
            crypt = self.crypt_level,
            certificate = certificate.display(),
            key = key.display(),
            protocols = self.protocols,
            log = log.display(),
        )
    }
}
