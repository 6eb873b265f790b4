//! One real program under test conditions: its own process group, its output in a file, an end that is certain.

use super::{Lab, wait_until};
use anyhow::{Context, Result};
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// How long a program may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(3);

/// A running program. Dropping it ends its whole process group: xrdp's per-connection children included.
pub(crate) struct Process {
    lab: Arc<Lab>,
    child: Child,
    log: PathBuf,
    status: Option<ExitStatus>,
}

/// How a program came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It ended by itself with this code (128 + signal when a signal ended it).
    Code(i32),
    /// It was still at work when its time was up.
    Running,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "{code}"),
            Exit::Running => f.write_str("running"),
        }
    }
}

impl Process {
    /// Starts `command` with nothing to read. Both outputs go to `log`.
    pub(crate) fn start(lab: &Arc<Lab>, command: Command, log: &Path) -> Result<Process> {
        Self::start_reading(lab, command, log, Stdio::null())
    }

    /// Starts `command` with `input` to read.
    pub(crate) fn start_reading(lab: &Arc<Lab>, mut command: Command, log: &Path, input: Stdio) -> Result<Process> {
        let out = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let err = out.try_clone()?;
        let child = command
            .process_group(0)
            .stdin(input)
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().to_string_lossy()))?;
        lab.reaper.add_group(child.id());
        Ok(Process { lab: Arc::clone(lab), child, log: log.to_owned(), status: None })
    }

    /// The process id, which is also the id of its process group.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its exit, when it has ended.
    pub(crate) fn try_exit(&mut self) -> Option<Exit> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        let status = self.status?;
        Some(Exit::Code(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))))
    }

    /// Waits up to `limit` for its end.
    pub(crate) fn wait(&mut self, limit: Duration) -> Exit {
        wait_until(limit, || self.try_exit()).unwrap_or(Exit::Running)
    }

    /// Ends it as a crash or a power cut would: no handler runs, the kernel closes its sockets.
    pub(crate) fn kill(&mut self) {
        if self.status.is_none() {
            self.signal("KILL");
            self.wait(GRACE);
        }
    }

    /// Asks it to end, and insists after a moment. Members of its group that outlive it are ended too, while the
    /// unreaped leader still keeps the group's number from being given to somebody else.
    pub(crate) fn stop(&mut self) {
        if self.status.is_none() {
            self.signal("TERM");
            wait_until(GRACE, || self.is_zombie().then_some(()));
            self.kill();
        }
    }

    fn signal(&self, name: &str) {
        let line = format!("kill -s {name} -- -{}", self.id());
        let _ = Command::new("sh").args(["-c", &line]).stderr(Stdio::null()).status();
    }

    fn is_zombie(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        stat.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with('Z'))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
        self.lab.reaper.remove_group(self.id());
    }
}
