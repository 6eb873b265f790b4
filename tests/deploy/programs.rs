//! Running other programs, and leaving them out where that was asked for.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program of this name, which `tests/install-peers.sh` installs; `None` when `./test --quick` asked to leave such programs out.
///
/// # Panics
/// When it is not installed: a test that was not asked to be left out must not pass unseen.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    if std::env::var_os("RDPSCOPE_TEST_QUICK").is_some() {
        eprintln!("left out: {name} (quick)");
        return None;
    }
    let found = found(name);
    assert!(found.is_some(), "{name} is not installed: run tests/install-peers.sh, or ./test --quick");
    found
}

/// The program of this name, where there is one.
pub(crate) fn found(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Root's own programs are not on everybody's path.
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// Runs `command` and shows all that it said, should it fail.
pub(crate) fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}
