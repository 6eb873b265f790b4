//! The built program, as a person at a terminal or a script meets it.

mod analyze;
mod check;
mod diff;
mod explain;
mod run;
mod usage;

use std::path::PathBuf;
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_rdpscope");

fn rdpscope(arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_remove("CLICOLOR_FORCE").env_remove("STATE_DIRECTORY");
    command.output().unwrap_or_else(|error| panic!("{PROGRAM}: {error}"))
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

/// A capture of the golden tests.
fn capture(name: &str) -> String {
    format!("{}/tests/golden/lab/{name}.pcap", env!("CARGO_MANIFEST_DIR"))
}
