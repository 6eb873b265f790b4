//! What the program says of itself, and of a command line that is wrong.

use crate::{PROGRAM, err, out, rdpscope};
use std::process::{Command, Stdio};

#[test]
fn without_a_command_it_says_what_there_is() {
    let output = rdpscope(&[]);
    assert_eq!(output.status.code(), Some(2));
    for command in ["run", "check", "explain", "probe", "diff", "analyze", "demo"] {
        assert!(err(&output).contains(&format!("\n  {command} ")), "{}", err(&output));
    }
}

#[test]
fn commands_this_build_does_not_have_are_not_offered() {
    let help = out(&rdpscope(&["--help"]));
    assert!(!help.contains("\n  top "), "{help}");
    assert_eq!(rdpscope(&["top"]).status.code(), Some(2));
}

#[test]
fn help_of_each_command_lists_its_flags_examples_and_exit_codes() {
    for (command, flags) in [
        (
            "run",
            &[
                "--config",
                "--listen",
                "--upstream",
                "--bridge",
                "--probe",
                "--capture",
                "--event-log",
                "--admin",
                "--log-format",
            ][..],
        ),
        ("check", &["--config"]),
        ("explain", &["--json", "[CAUSE]"]),
        ("probe", &["--gateway", "--credssp", "--json", "--timeout", "<HOST[:PORT]>"]),
        (
            "diff",
            &["--client", "--session", "--event-log", "--capture", "--stream", "--gateway", "--json", "--timeout"],
        ),
        ("analyze", &["--json", "--all", "--stream", "--user-names", "<FILE>..."]),
        ("demo", &["--once"]),
    ] {
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
    for key in config::KEYS.iter().filter(|key| key.built == config::Built::Yes && !key.example.is_empty()) {
        let line = format!("{} = {}\n", key.name, key.example);
        assert!(help.contains(&format!("\n{line}")) || help.contains(&format!("\n# {line}")), "{}", key.name);
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
    assert!(version.contains("not in this build: ") && version.contains("the PROXY protocol"), "{version}");
}

#[test]
fn run_needs_a_file_or_an_address_and_a_host() {
    for (arguments, lacks) in [
        (&["run"][..], "<--config <FILE>|--listen <ADDR>>"),
        (&["run", "--listen", "127.0.0.1:0"], "--upstream"),
        (&["run", "--upstream", "127.0.0.1"], "--listen"),
        (&["run", "--config", "a.toml", "--listen", "127.0.0.1:0"], "cannot be used with"),
        (&["run", "--config", "a.toml", "--admin", "off"], "cannot be used with"),
        (
            &["run", "--listen", "127.0.0.1:0", "--upstream", "a", "--log-format", "xml"],
            "[possible values: text, json]",
        ),
        (&["run", "--lisen", "127.0.0.1:0"], "--listen"),
    ] {
        let output = rdpscope(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(err(&output).contains(lacks), "{arguments:?}: {}", err(&output));
    }
}

#[test]
fn wrong_flags_are_pointed_at_with_what_would_be_right() {
    let output = rdpscope(&["run", "--listen", ":3389", "--upstream", "rds07:0", "--bridge", "on"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        err(&output),
        "\
error: `--listen` does not say which address to listen on
 --> command line:1:23
  |
1 | rdpscope run --listen :3389 --upstream rds07:0 --bridge on
  |                       ^^^^^ a port alone
  |
  = help: write `--listen 0.0.0.0:3389`
  = help: `0.0.0.0` is every IPv4 address of this machine, `[::]` every IPv6 address

error: `--upstream` has no usable port
 --> command line:1:40
  |
1 | rdpscope run --listen :3389 --upstream rds07:0 --bridge on
  |                                        ^^^^^^^ port `0`
  |
  = help: write `--upstream rds07:3389`
  = help: a host's port is a number from 1 to 65535

error: `--bridge` is not known
 --> command line:1:57
  |
1 | rdpscope run --listen :3389 --upstream rds07:0 --bridge on
  |                                                         ^^ read `on`
  |
  = help: write `--bridge off`
  = help: one of `off`, `auto`, `always`

3 errors, nothing was started
"
    );
}

#[test]
fn colours_are_for_terminals_and_for_those_who_insist() {
    let arguments = ["run", "--listen", ":3389", "--upstream", "rds07"];
    assert!(!err(&rdpscope(&arguments)).contains('\x1b'));
    let forced = Command::new(PROGRAM).args(arguments).env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR").output();
    assert!(forced.is_ok_and(|output| err(&output).contains('\x1b')));
}

#[test]
fn no_line_of_help_is_wider_than_a_hundred_columns() {
    for command in ["run", "check", "explain", "probe", "diff", "analyze", "demo"] {
        let help = out(&rdpscope(&[command, "--help"]));
        let broken: Vec<_> = help.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(broken.is_empty(), "{command}: {broken:#?}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() -> std::io::Result<()> {
    let mut child = Command::new(PROGRAM).args(["explain", "--json"]).stdout(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    assert_eq!(child.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn a_host_whose_name_is_unknown_was_probed_now_and_not_in_1970() {
    let output = rdpscope(&["probe", "no-such-host.invalid", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    assert!(err(&output).contains("cannot be resolved"), "{}", err(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("\"begun\": \"2") && !text.contains("\"1970-"), "{text}");
}
