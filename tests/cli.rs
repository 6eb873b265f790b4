//! The built program, as a person at a terminal or a script meets it.

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

#[test]
fn without_a_command_it_says_what_there_is() {
    let output = rdpscope(&[]);
    assert_eq!(output.status.code(), Some(2));
    for command in ["check", "explain"] {
        assert!(err(&output).contains(&format!("\n  {command} ")), "{}", err(&output));
    }
}

#[test]
fn commands_this_build_does_not_have_are_not_offered() {
    let help = out(&rdpscope(&["--help"]));
    for command in ["probe", "diff", "analyze", "top"] {
        assert!(!help.contains(&format!("\n  {command} ")), "{help}");
        assert_eq!(rdpscope(&[command]).status.code(), Some(2));
    }
}

#[test]
fn help_of_each_command_lists_its_flags_examples_and_exit_codes() {
    for (command, flags) in [("check", &["--config"][..]), ("explain", &["--json", "[CAUSE]"])] {
        let output = rdpscope(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0));
        let help = out(&output);
        for part in flags.iter().chain(&["Examples:", "Exit codes:"]) {
            assert!(help.contains(part), "{command} --help lacks {part}:\n{help}");
        }
    }
}

#[test]
fn help_of_check_is_the_reference_of_every_key() {
    let help = out(&rdpscope(&["check", "--help"]));
    for key in config::KEYS.iter().filter(|key| key.built == config::Built::Yes) {
        assert!(help.contains(&format!("\n{} = {}\n", key.name, key.example)), "{}", key.name);
    }
    let (from, to) = (help.find("[[listener]]").unwrap_or(0), help.find("\nDurations take").unwrap_or(0));
    assert_eq!(config::parse("help", &help[from..to]), config::parse("reference", &config::reference_toml()));
}

#[test]
fn version_says_what_the_build_has_and_lacks() {
    let output = rdpscope(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    let version = out(&output);
    assert!(
        version.starts_with(concat!("rdpscope ", env!("CARGO_PKG_VERSION"), "\nfeatures: passthrough")),
        "{version}"
    );
    assert!(version.contains("not in this build: ") && version.contains("the bridge"), "{version}");
}

#[test]
fn a_bad_file_is_refused_by_check() {
    let path = file("bad.toml", "[[listener]]\nlisten = '127.0.0.1:0'\nupstraem = 'rds07'\n");
    let path = path.to_str().unwrap_or_default();
    let check = rdpscope(&["check", "--config", path]);
    assert_eq!(check.status.code(), Some(2));
    assert_eq!(
        err(&check),
        format!(
            "\
error: `upstraem` is not a key of `[[listener]]`
 --> {path}:3:1
  |
3 | upstraem = 'rds07'
  | ^^^^^^^^ not known here
  |
  = help: did you mean `upstream`?
"
        )
    );
    assert!(out(&check).is_empty());
}

#[test]
fn a_file_that_is_not_there_is_bad_usage() {
    let output = rdpscope(&["check", "--config", "/nonexistent/rdpscope.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("No such file or directory"), "{}", err(&output));
}

#[test]
fn what_check_prints_is_a_good_file_with_the_same_meaning() {
    let path = file("good.toml", "[[listener]]\nlisten = '[::1]:0'\nupstream = 'rds07'\n[timeouts]\nconnect = '2s'\n");
    let first = rdpscope(&["check", "--config", path.to_str().unwrap_or_default()]);
    assert_eq!(first.status.code(), Some(0), "{}", err(&first));
    let printed = out(&first);
    assert!(printed.contains("connect = \"2s\"\n"), "{printed}");
    assert!(
        printed.lines().any(|line| line.starts_with("negotiate = \"10s\"") && line.ends_with("# default")),
        "{printed}"
    );
    assert_eq!(config::load(&path), config::parse("printed", &printed));
}

#[test]
fn explain_lists_every_cause() {
    let output = rdpscope(&["explain"]);
    assert_eq!(output.status.code(), Some(0));
    let table = out(&output);
    for cause in parser::diagnosis::Cause::ALL {
        assert_eq!(
            table
                .lines()
                .filter(|line| line.trim_start_matches(['*', ' ']).split(' ').next() == Some(cause.id()))
                .count(),
            1,
            "{cause}"
        );
    }
    assert!(!table.contains('\x1b'), "no colours when piped");
}

#[test]
fn explain_of_a_cause_says_what_is_seen_and_what_to_do() {
    let page = out(&rdpscope(&["explain", "cert_private_key_unusable"]));
    for part in ["What is seen", "What to do", "NETWORK SERVICE", "Decided by", "36870", "tls_hello"] {
        assert!(page.contains(part), "{part}:\n{page}");
    }
}

#[test]
fn explain_as_json_is_one_document() -> Result<(), serde_json::Error> {
    let all: Vec<serde_json::Value> = serde_json::from_str(&out(&rdpscope(&["explain", "--json"])))?;
    assert_eq!(all.len(), parser::diagnosis::Cause::ALL.len());
    let one: serde_json::Value = serde_json::from_str(&out(&rdpscope(&["explain", "tcp_refused", "--json"])))?;
    assert_eq!(one["id"], "tcp_refused");
    assert_eq!(one["predicted"]["mstsc_direct"][0], "0x204");
    assert!(all.contains(&one));
    Ok(())
}

#[test]
fn an_unknown_cause_is_answered_with_the_nearest() {
    let output = rdpscope(&["explain", "cert_expird"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        err(&output),
        "error: there is no cause `cert_expird`; did you mean `cert_expired`? `rdpscope explain` lists all of them\n"
    );
    assert_eq!(rdpscope(&["explain", "Cert-Expired"]).status.code(), Some(0));
}

#[test]
fn no_line_of_help_is_wider_than_a_hundred_columns() {
    for command in ["check", "explain"] {
        let help = out(&rdpscope(&[command, "--help"]));
        let broken: Vec<_> = help.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(broken.is_empty(), "{command}: {broken:#?}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() -> std::io::Result<()> {
    let mut child = Command::new(PROGRAM).args(["explain", "--json"]).stdout(std::process::Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    assert_eq!(child.wait()?.code(), Some(0));
    Ok(())
}
