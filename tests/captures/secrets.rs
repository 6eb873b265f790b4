//! Secrets in captures as an operator meets them: where they may not be kept the proxy does not start, and it says until
//! when they are and when that is over.

use crate::bench::directory;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// Ends the proxy that was started here.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A configuration with secrets in `captures`, for so long.
fn configuration(room: &Path, captures: &Path, left: Duration) -> PathBuf {
    let until = (OffsetDateTime::now_utc() + left).format(&Rfc3339).unwrap();
    let text = format!(
        "[[listener]]\nlisten = \"127.0.0.1:0\"\nupstream = \"127.0.0.1:9\"\n[capture]\ndirectory = \"{}\"\nsecrets = true\n\
         secrets_until = \"{until}\"\n[events]\npath = \"off\"\n[admin]\nlisten = \"off\"\n",
        captures.display(),
    );
    let file = room.join("rdpscope.toml");
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn a_moment_that_has_passed_is_a_warning_of_check_and_of_a_start_and_stops_neither() {
    let room = directory();
    let captures = room.join("captures");
    let config = configuration(&room, &captures, Duration::seconds(-5));
    let check = Command::new(env!("CARGO_BIN_EXE_rdpscope")).args(["check", "--config"]).arg(&config).output().unwrap();
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(check.status.success() && said.contains("warning: `secrets_until` of [capture] has passed"), "{said}");
    // Without secrets a directory that others may enter is no reason either.
    std::fs::create_dir(&captures).unwrap();
    std::fs::set_permissions(&captures, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut running = Running(run(&config).stderr(Stdio::piped()).spawn().unwrap());
    let log = BufReader::new(running.0.stderr.take().unwrap());
    let mut missing = ["`secrets_until` of [capture] has passed", "listening on"].iter().peekable();
    for line in log.lines() {
        let line = line.unwrap();
        assert!(!line.contains("hold secrets until"), "{line}");
        missing.next_if(|wanted| line.contains(*wanted));
        if missing.peek().is_none() {
            break;
        }
    }
    assert_eq!(missing.next(), None, "and in this order");
    drop(running);
    let _ = std::fs::remove_dir_all(&room);
}

fn run(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdpscope"));
    command.args(["run", "--config"]).arg(config).stdin(Stdio::null());
    command
}

#[test]
fn a_directory_that_others_may_enter_stops_the_start_and_the_error_says_how_to_close_it() {
    let room = directory();
    let captures = room.join("captures");
    std::fs::create_dir(&captures).unwrap();
    for (mode, shown) in [(0o755, "mode 0755"), (0o710, "mode 0710"), (0o701, "mode 0701")] {
        std::fs::set_permissions(&captures, std::fs::Permissions::from_mode(mode)).unwrap();
        let output = run(&configuration(&room, &captures, Duration::hours(1))).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let command = format!("chmod 700 {}", captures.display());
        assert!(said.contains(shown) && said.contains(&command), "{said}");
    }
    let _ = std::fs::remove_dir_all(&room);
}

#[test]
fn the_log_says_until_when_there_are_secrets_and_when_that_is_over() {
    let room = directory();
    // A directory that is made now is ours alone.
    let config = configuration(&room, &room.join("captures"), Duration::seconds(2));
    let mut running = Running(run(&config).stderr(Stdio::piped()).spawn().unwrap());
    let log = BufReader::new(running.0.stderr.take().unwrap());
    let wanted = ["hold secrets until", "listening on", "`secrets_until` of [capture] has passed"];
    let mut missing = wanted.iter().peekable();
    for line in log.lines() {
        let line = line.unwrap();
        missing.next_if(|wanted| line.contains(*wanted));
        if missing.peek().is_none() {
            break;
        }
    }
    assert_eq!(missing.next(), None, "and in this order");
    drop(running);
    let mode = std::fs::metadata(room.join("captures")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let _ = std::fs::remove_dir_all(&room);
}
