//! Nothing that a scenario starts outlives the test run, however the run ends.
//!
//! A small shell waits on a pipe that this process holds. Each line adds or removes a process group or a network
//! namespace. When the pipe closes, because we finished, panicked, got Ctrl-C or were killed, the shell ends what is
//! still on its list and removes the scratch directory. It runs in a process group of its own, so that a Ctrl-C on
//! the terminal does not take it away first.

use anyhow::{Context, Result};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Reads `OPERATION ARGUMENT` lines; `$1` is the directory to remove, if any.
const SCRIPT: &str = r#"
groups=' ' spaces=' '
while read -r op arg; do case $op in
  +group) groups="$groups$arg " ;;
  -group) groups="${groups%% $arg *} ${groups#* $arg }" ;;
  +netns) spaces="$spaces$arg " ;;
  -netns) ip netns del "$arg"; spaces="${spaces%% $arg *} ${spaces#* $arg }" ;;
esac 2>/dev/null; done
for group in $groups; do kill -s KILL -- "-$group"; done 2>/dev/null
for space in $spaces; do ip netns del "$space"; done 2>/dev/null
[ -z "$1" ] || rm -rf -- "$1"
"#;

/// The shell that cleans up behind us, and the pipe to it.
pub(crate) struct Reaper {
    pipe: Mutex<Option<ChildStdin>>,
    shell: Mutex<Child>,
}

impl Reaper {
    /// Starts the shell. `scratch` is removed when everything is over; an empty path keeps all.
    pub(crate) fn start(scratch: &Path) -> Result<Reaper> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "reaper"])
            .arg(scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting the clean-up shell")?;
        let pipe = shell.stdin.take();
        Ok(Reaper { pipe: Mutex::new(pipe), shell: Mutex::new(shell) })
    }

    /// Puts a process group on the list.
    pub(crate) fn add_group(&self, group: u32) {
        self.send(&format!("+group {group}"));
    }

    /// Takes a process group that has ended off the list.
    pub(crate) fn remove_group(&self, group: u32) {
        self.send(&format!("-group {group}"));
    }

    /// Puts a network namespace on the list.
    pub(crate) fn add_namespace(&self, name: &str) {
        self.send(&format!("+netns {name}"));
    }

    /// Deletes a network namespace.
    pub(crate) fn remove_namespace(&self, name: &str) {
        self.send(&format!("-netns {name}"));
    }

    /// Closes the pipe and waits until the shell has cleaned up.
    pub(crate) fn finish(&self) {
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = self.shell.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }

    fn send(&self, line: &str) {
        if let Some(pipe) = self.pipe.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            // One write per line: the shell reads whole lines, whoever else writes.
            let _ = pipe.write_all(format!("{line}\n").as_bytes());
        }
    }
}
