//! The ground every scenario stands on: a scratch directory, certificates, an X display, a runtime for scripted hosts,
//! and the certainty that all of it is gone afterwards.

mod certs;
mod namespace;
mod ports;
mod process;
mod reaper;

pub(crate) use certs::HOST_NAME;
pub(crate) use namespace::Namespaces;
pub(crate) use ports::{free_port, listens};
pub(crate) use process::{Exit, Process};

use anyhow::{Context, Result, bail};
use reaper::Reaper;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The user every host of the lab knows.
pub(crate) const USER: &str = "alice";
/// The password of [`USER`].
pub(crate) const PASSWORD: &str = "secret";
/// How long a local server may take until it listens. It needs 0.1 s; a busy machine more.
pub(crate) const STARTUP: Duration = Duration::from_secs(20);

/// What each program is wanted for, so that a missing one is named with its package.
const PROGRAMS: &[(&str, &str)] = &[
    ("xrdp", "xrdp"),
    ("xfreerdp", "freerdp2-x11"),
    ("freerdp-shadow-cli", "freerdp2-shadow-x11"),
    ("winpr-hash", "winpr-utils"),
    ("rdesktop", "rdesktop"),
    ("Xvfb", "xvfb"),
    ("gnutls-serv", "gnutls-bin"),
    ("openssl", "openssl"),
    ("tcpdump", "tcpdump"),
    ("tshark", "tshark"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
];

/// See the module.
pub(crate) struct Lab {
    /// Everything written by this run.
    pub(crate) scratch: PathBuf,
    /// Runs the scripted hosts.
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) reaper: Reaper,
    /// What the proxies told of their connections to hosts.
    pub(crate) host_legs: crate::host_legs::HostLegs,
    display: OnceLock<String>,
}

impl Lab {
    /// Makes certificates and the NLA password file, starts the X display. Fails with the line to run when a peer is
    /// not installed. `keep` leaves the scratch directory for a look at its logs and events.
    pub(crate) fn set_up(keep: bool) -> Result<(Arc<Lab>, Process)> {
        let missing: Vec<String> = PROGRAMS
            .iter()
            .filter(|(program, _)| find(program).is_none())
            .map(|(program, package)| format!("{program} (package {package})"))
            .collect();
        if !missing.is_empty() {
            bail!("not installed: {}. Run tests/install-peers.sh", missing.join(", "));
        }
        let scratch = std::env::temp_dir().join(format!("rdpscope-peers-{}", std::process::id()));
        for dir in ["client-home", "host-home"] {
            std::fs::create_dir_all(scratch.join(dir))?;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let reaper = Reaper::start(if keep { Path::new("") } else { &scratch })?;
        let lab = Arc::new(Lab { scratch, runtime, reaper, host_legs: Default::default(), display: OnceLock::new() });
        certs::make(&lab.scratch.join("certs"))?;
        let sam = run(Command::new("winpr-hash").args(["-u", USER, "-p", PASSWORD, "-f", "sam"]))?;
        std::fs::write(lab.scratch.join("sam"), sam)?;
        let screen = lab.start_display()?;
        Ok((lab, screen))
    }

    /// A file of the certificate directory.
    pub(crate) fn cert(&self, file: &str) -> PathBuf {
        self.scratch.join("certs").join(file)
    }

    /// A directory of its own for one half of one scenario; with a number where the scenario is run again.
    pub(crate) fn room(&self, name: &str) -> Result<PathBuf> {
        let mut room = self.scratch.join(name);
        for number in 2.. {
            match std::fs::create_dir(&room) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    room = self.scratch.join(format!("{name}-{number}"));
                }
                made => {
                    made.with_context(|| format!("creating {}", room.display()))?;
                    break;
                }
            }
        }
        Ok(room)
    }

    /// `DISPLAY` and a scratch `HOME` for a client.
    pub(crate) fn client_environment(&self, command: &mut Command) {
        self.environment(command, "client-home");
    }

    /// `DISPLAY` and a scratch `HOME` for a host.
    pub(crate) fn host_environment(&self, command: &mut Command) {
        self.environment(command, "host-home");
    }

    fn environment(&self, command: &mut Command, home: &str) {
        command.env("HOME", self.scratch.join(home)).env("LC_ALL", "C.UTF-8");
        command.env("DISPLAY", self.display.get().map_or("", String::as_str));
    }

    /// `-noreset`: otherwise the server resets behind its last client and the next client finds no display.
    /// `-displayfd`: the server picks a free number itself, and says it once it is ready.
    fn start_display(self: &Arc<Self>) -> Result<Process> {
        let log = self.scratch.join("xvfb.log");
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", "1024x768x24", "-nolisten", "tcp", "-noreset"]);
        let mut xvfb = Process::start(self, command, &log)?;
        let number = wait_until(STARTUP, || {
            let text = xvfb.output();
            let number = text.lines().find(|line| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()));
            number.filter(|_| text.ends_with('\n')).map(str::to_owned)
        });
        let Some(number) = number else {
            xvfb.stop();
            bail!("Xvfb does not start: {}", xvfb.output());
        };
        let _ = self.display.set(format!(":{number}"));
        Ok(xvfb)
    }
}

/// Asks `ready` until it has an answer, at most for `limit`.
pub(crate) fn wait_until<T>(limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(answer) = ready() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(30));
    }
}

/// Runs a short command to its end and gives its standard output.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(std::process::Stdio::null()).output().with_context(|| format!("running {program}"))?;
    if !done.status.success() {
        bail!("{program} ended with {}: {}", done.status, String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Where `program` is installed. xrdp and ip live in directories that a user's PATH may not have.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin", "/sbin"]).map(|dir| Path::new(dir).join(program)).find(|file| file.is_file())
}
