//! The built program, as a person at a terminal or a script meets it.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

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
fn a_bad_file_is_refused_by_check_and_by_run_alike() {
    let path = file("bad.toml", "[[listener]]\nlisten = '127.0.0.1:0'\nupstraem = 'rds07'\n");
    let path = path.to_str().unwrap_or_default();
    let check = rdpscope(&["check", "--config", path]);
    let run = rdpscope(&["run", "--config", path]);
    assert_eq!((check.status.code(), run.status.code()), (Some(2), Some(2)));
    assert_eq!(err(&check), err(&run));
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
    for command in ["check", "run"] {
        let output = rdpscope(&[command, "--config", "/nonexistent/rdpscope.toml"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(err(&output).contains("No such file or directory"), "{}", err(&output));
    }
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

/// A capture of the golden tests.
fn capture(name: &str) -> String {
    format!("{}/tests/golden/lab/{name}.pcap", env!("CARGO_MANIFEST_DIR"))
}

/// `rdpscope diff` of two hosts that nobody listens at, with a client out of a capture.
fn diff_of(arguments: &[&str]) -> (Option<i32>, String) {
    let output = rdpscope(&[&["diff", "127.0.0.1:1", "127.0.0.1:1", "--timeout", "1"], arguments].concat());
    (output.status.code(), err(&output))
}

#[test]
fn a_capture_without_the_client_that_is_asked_for_is_bad_usage_and_says_what_there_is() {
    let with_hello = capture("ok-xrdp-tls");
    let (code, text) = diff_of(&["--capture", &with_hello, "--stream", "77"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("has no stream 77\n  stream 0: 127.0.0.1:"), "{text}");
    let classic = capture("ok-xrdp-rdp-fips");
    let (code, text) = diff_of(&["--capture", &classic]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("has no ClientHello: ") && text.contains("\n  stream 0: "), "{text}");
    let (code, text) = diff_of(&["--capture", &classic, "--stream", "0"]);
    assert!(code == Some(2) && text.contains("stream 0 of ") && text.contains("has no ClientHello"), "{text}");
    for wrong in [&["--stream", "0"][..], &["--capture", &with_hello, "--client", "win7"]] {
        assert_eq!(diff_of(wrong).0, Some(2), "{wrong:?}");
    }
}

#[test]
fn a_capture_that_cannot_be_read_is_a_failure_that_names_the_file_and_what_is_wrong() {
    let text = file("no-capture.pcap", "this is a text of more than twenty-four bytes\n");
    let empty = file("empty.pcap", "");
    let missing = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no-such.pcap");
    for (path, why) in [
        (text.as_path(), "neither pcap nor pcapng"),
        (&empty, "it is empty"),
        (&missing, "No such file"),
        (std::path::Path::new(env!("CARGO_TARGET_TMPDIR")), "a directory"),
    ] {
        let shown = path.display().to_string();
        let (code, said) = diff_of(&["--capture", &shown]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&shown) && said.contains(why), "{said}");
    }
}

#[test]
fn a_capture_that_breaks_off_is_read_as_far_as_it_goes() {
    let whole = std::fs::read(capture("ok-xrdp-tls")).unwrap_or_default();
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("broken-off.pcap");
    let shown = path.display().to_string();
    let written = |length: usize| std::fs::write(&path, &whole[..length]).is_ok();
    assert!(written(whole.len() - 5));
    // The hello is there: what fails are the hosts.
    let (code, text) = diff_of(&["--capture", &shown]);
    assert!(code == Some(1) && text.contains("127.0.0.1:1: "), "{text}");
    // In the middle of the first packet.
    assert!(written(24 + 16 + 7));
    let (code, text) = diff_of(&["--capture", &shown]);
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("reading stopped at byte 24, after 0 packets: the file ends in the middle of a packet"),
        "{text}"
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

/// `rdpscope run` and the lines of its log. It is ended with the test, whatever comes.
struct Running {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
    log: Vec<String>,
}

impl Running {
    fn start(arguments: &[&str]) -> std::io::Result<Running> {
        let mut command = Command::new(PROGRAM);
        command.arg("run").args(arguments).env_remove("RUST_LOG").env_remove("CLICOLOR_FORCE");
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let lines = child.stderr.take().map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok);
        Ok(Running { child, lines: Box::new(lines), log: Vec::new() })
    }

    /// Reads the log up to the line with `what`. The log ends when the program does, so this does too.
    fn wait_for(&mut self, what: &str) -> String {
        for line in self.lines.by_ref() {
            self.log.push(line.clone());
            if line.contains(what) {
                return line;
            }
        }
        panic!("no line with {what:?}: {:#?}", self.log);
    }

    /// The address it says it listens on.
    fn address(&mut self) -> SocketAddr {
        let line = self.wait_for("listening on ");
        let address = line.split_once("listening on ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        address.unwrap_or_else(|| panic!("{line}"))
    }

    fn signal(&self, name: &str) -> std::io::Result<()> {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status()?;
        assert!(status.success());
        Ok(())
    }

    fn exit_code(&mut self) -> std::io::Result<Option<i32>> {
        self.log.extend(self.lines.by_ref());
        Ok(self.child.wait()?.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn run_listens_when_it_says_so_and_ends_cleanly_on_sigterm() -> std::io::Result<()> {
    let mut running = Running::start(&[
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        "127.0.0.1:1",
        "--admin",
        "off",
        "--event-log",
        "off",
    ])?;
    let address = running.address();
    assert_ne!(address.port(), 0);
    TcpStream::connect(address)?;
    running.signal("TERM")?;
    assert_eq!(running.exit_code()?, Some(0), "{:#?}", running.log);
    assert!(TcpStream::connect(address).is_err());
    Ok(())
}

#[test]
fn a_bad_file_at_reload_is_pointed_at_and_the_running_configuration_stays() -> std::io::Result<()> {
    let good = "[[listener]]\nlisten = '127.0.0.1:0'\nupstream = '127.0.0.1:1'\n[admin]\nlisten = 'off'\n[events]\npath = 'off'\n";
    let path = file("reload.toml", good);
    let mut running = Running::start(&["--config", path.to_str().unwrap_or_default()])?;
    let address = running.address();
    std::fs::write(&path, good.replace("upstream", "upstraem"))?;
    running.signal("HUP")?;
    running.wait_for("did you mean `upstream`?");
    TcpStream::connect(address)?;
    std::fs::write(&path, good)?;
    running.signal("HUP")?;
    running.wait_for("configuration reloaded");
    running.signal("TERM")?;
    assert_eq!(running.exit_code()?, Some(0), "{:#?}", running.log);
    Ok(())
}

#[test]
fn a_log_reader_that_leaves_does_not_end_the_proxy() -> std::io::Result<()> {
    let mut running = Running::start(&[
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        "127.0.0.1:1",
        "--admin",
        "off",
        "--event-log",
        "off",
    ])?;
    let address = running.address();
    running.lines = Box::new(std::iter::empty());
    TcpStream::connect(address)?;
    running.signal("TERM")?;
    assert_eq!(running.exit_code()?, Some(0));
    Ok(())
}

#[test]
fn run_on_a_port_in_use_names_the_address_and_ends_with_1() -> std::io::Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let output =
        rdpscope(&["run", "--listen", &address, "--upstream", "127.0.0.1:1", "--admin", "off", "--event-log", "off"]);
    assert_eq!(output.status.code(), Some(1));
    let message = err(&output);
    assert!(message.contains("error: ") && message.contains(&address) && message.contains("in use"), "{message}");
    Ok(())
}

#[test]
fn run_with_a_directory_of_captures_that_cannot_be_used_names_it_and_ends_with_1() {
    for (directory, what) in [("/nonexistent/captures", "cannot make"), ("/dev/null", "cannot read")] {
        let flags =
            ["run", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--admin", "off", "--capture", directory];
        let output = rdpscope(&flags);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(directory) && said.contains(what) && said.contains("--capture"), "{said}");
    }
}

#[test]
fn run_on_an_address_of_another_machine_says_so_and_ends_with_1() {
    // RFC 5737: an address that no machine has.
    let output = rdpscope(&[
        "run",
        "--listen",
        "192.0.2.1:3389",
        "--upstream",
        "127.0.0.1",
        "--admin",
        "off",
        "--event-log",
        "off",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("192.0.2.1:3389"), "{}", err(&output));
}

/// The events that `analyze --json` prints of these files.
fn events(arguments: &[&str]) -> Vec<serde_json::Value> {
    let output = rdpscope(&[&["analyze", "--json"][..], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    out(&output).lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
}

#[test]
fn analyze_reports_the_failures_of_a_capture_and_counts_all() {
    let (good, bad) = (capture("ok-xrdp-tls"), capture("cert-corrupt-key"));
    let output = rdpscope(&["analyze", &good, &bad]);
    let text = out(&output);
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
    assert_eq!(text.matches("\n    tls_server_refused_hello_silently  Host took").count(), 1, "{text}");
    assert_eq!(text.matches("stream 0").count(), 1, "{text}");
    assert!(text.contains(" ✓ ok ") && text.contains(" ✗ tls_server_refused_hello_silently "), "{text}");
    assert!(text.contains("127.0.0.1:14303") && !text.contains('\u{1b}'), "{text}");
    let wide = |line: &&str| line.starts_with("    ") && line.chars().count() > 100;
    assert!(!text.lines().any(|line| wide(&line)), "{text}");
    let all = out(&rdpscope(&["analyze", "--all", &good]));
    assert!(all.contains("\n    ok  Session of"), "{all}");
}

#[test]
fn analyze_prints_the_proxys_event_for_each_connection() {
    let file = capture("ok-xrdp-tls");
    let [event] = &events(&[&file])[..] else { panic!("one connection") };
    assert_eq!(event["event"]["action"], "session_end");
    assert_eq!((&event["event"]["code"], &event["event"]["outcome"]), (&"ok".into(), &"success".into()));
    assert_eq!((&event["rdpscope"]["stream"], &event["rdpscope"]["file"]), (&0.into(), &file.clone().into()));
    assert_eq!((&event["rdpscope"]["schema"], &event["rdpscope"]["final"]), (&"1".into(), &true.into()));
    assert!(event["rdp"]["cookie"].as_str().is_some_and(|cookie| cookie.starts_with("hmac-sha256:")), "{event}");
    assert_eq!(events(&[&file])[0]["session"]["id"], event["session"]["id"], "the same each time");
    let plain = events(&["--user-names", "plain", &file]);
    assert_eq!(plain[0]["rdp"]["cookie"], "alice");
    assert!(events(&["--user-names", "drop", &file])[0]["rdp"]["cookie"].is_null());
}

#[test]
fn analyze_takes_one_connection_by_its_number() {
    let file = capture("gw-auto-404");
    assert_eq!(events(&[&file]).len(), 3);
    let one = events(&[&file, "--stream", "1"]);
    assert_eq!((one.len(), &one[0]["rdpscope"]["stream"]), (1, &1.into()));
    let text = out(&rdpscope(&["analyze", &file, "--stream", "2"]));
    assert!(text.starts_with("stream 2 ") && !text.contains("packets:"), "{text}");
    let output = rdpscope(&["analyze", &file, "--stream", "3"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("there is no stream 3; it has 3 TCP connections, 0 to 2"), "{}", err(&output));
    assert_eq!(rdpscope(&["analyze", &file, &file, "--stream", "0"]).status.code(), Some(2));
}

#[test]
fn analyze_says_what_is_wrong_with_a_file_and_reads_the_others() {
    let whole = std::fs::read(capture("ok-xrdp-tls")).expect("a capture");
    let cut = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cut.pcap");
    std::fs::write(&cut, &whole[..whole.len() - 7]).expect("written");
    let (empty, text) = (file("empty.pcap", ""), file("text.pcap", "Not a capture, but long enough to be one."));
    let short = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("short.pcap");
    std::fs::write(&short, &whole[..20]).expect("written");
    for (path, says) in [
        (empty.to_str(), "empty.pcap: it is empty"),
        (text.to_str(), "text.pcap: neither pcap nor pcapng"),
        (short.to_str(), "short.pcap: it ends within the header of a capture"),
        (Some("/tmp"), "/tmp: a directory, not a capture"),
        (Some("/nowhere/x.pcap"), "/nowhere/x.pcap: No such file or directory"),
    ] {
        let output = rdpscope(&["analyze", path.expect("UTF-8"), &capture("ok-xrdp-tls")]);
        assert_eq!(output.status.code(), Some(1), "{says}");
        assert!(err(&output).contains(says), "{says}: {}", err(&output));
        assert!(out(&output).contains(" ✓ ok "), "{says}: the other file is read");
    }
    let output = rdpscope(&["analyze", cut.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(0), "read in part");
    assert!(err(&output).contains("reading stopped at byte") && err(&output).contains("in the middle of a packet"));
    assert!(out(&output).contains("TCP connections: 1"), "{}", out(&output));
}

#[test]
fn analyze_names_a_link_type_that_it_cannot_read_and_those_that_it_can() {
    let mut bytes = std::fs::read(capture("ok-xrdp-tls")).expect("a capture");
    // LINKTYPE_USER0
    bytes[20..24].copy_from_slice(&147u32.to_le_bytes());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("user0.pcap");
    std::fs::write(&path, &bytes).expect("written");
    let output = rdpscope(&["analyze", path.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(1));
    let said = err(&output);
    assert!(
        said.contains("user0.pcap: no packet can be read: link type 147; those that are read: Ethernet (1)"),
        "{said}"
    );
}

#[test]
fn analyze_reads_gzip_and_says_where_a_cut_one_ends() {
    use std::io::Write;
    let whole = std::fs::read(capture("ok-xrdp-tls")).expect("a capture");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&whole).expect("memory");
    let bytes = gzip.finish().expect("memory");
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("whole.pcap.gz");
    std::fs::write(&path, &bytes).expect("written");
    let found = events(&[path.to_str().expect("UTF-8")]);
    assert_eq!(found[0]["event"], events(&[&capture("ok-xrdp-tls")])[0]["event"]);
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
    let output = rdpscope(&["analyze", path.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(0));
    assert!(err(&output).contains("it cannot be read further: "), "{}", err(&output));
}

/// A pcap file, little-endian with microseconds, as the smallest pcapng. draft-ietf-opsawg-pcapng 4
fn as_pcapng(pcap: &[u8]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let length = (body.len().next_multiple_of(4) as u32 + 12).to_le_bytes();
        let mut block = [&kind.to_le_bytes()[..], &length, body].concat();
        block.resize(block.len().next_multiple_of(4), 0);
        [block, length.to_vec()].concat()
    };
    let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().expect("four bytes"));
    let mut pcapng = block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    pcapng.extend(block(1, &[word(20).to_le_bytes(), [0; 4]].concat()));
    let mut at = 24;
    while at + 16 <= pcap.len() {
        let data = &pcap[at + 16..at + 16 + word(at + 8) as usize];
        let time = u64::from(word(at)) * 1_000_000 + u64::from(word(at + 4));
        let words = [0, (time >> 32) as u32, time as u32, word(at + 8), word(at + 12)].map(u32::to_le_bytes);
        pcapng.extend(block(6, &[&words.concat(), data].concat()));
        at += 16 + data.len();
    }
    pcapng
}

#[test]
fn analyze_reads_pcapng_from_a_file_from_gzip_and_from_a_pipe_that_gives_little_at_a_time() {
    use std::io::Write;
    let wanted = events(&[&capture("ok-xrdp-tls")])[0]["event"].clone();
    let pcapng = as_pcapng(&std::fs::read(capture("ok-xrdp-tls")).expect("a capture"));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&pcapng).expect("memory");
    for (name, bytes) in [("whole.pcapng", &pcapng), ("whole.pcapng.gz", &gzip.finish().expect("memory"))] {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, bytes).expect("written");
        assert_eq!(events(&[path.to_str().expect("UTF-8")])[0]["event"], wanted, "{name}");
    }
    let mut command = Command::new(PROGRAM);
    command.args(["analyze", "--json", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let mut input = child.stdin.take().expect("a pipe");
    let (header, rest) = pcapng.split_at(40);
    for byte in header {
        input.write_all(&[*byte]).and_then(|()| input.flush()).expect("written");
    }
    input.write_all(rest).expect("written");
    drop(input);
    let output = child.wait_with_output().expect("ended");
    let event: serde_json::Value =
        serde_json::from_str(out(&output).lines().next().expect("a line")).expect("an event");
    assert_eq!(event["event"], wanted);
}

#[test]
fn analyze_of_a_pipe_tells_of_a_connection_while_the_pipe_is_open() {
    use std::io::Write;
    let mut command = Command::new(PROGRAM);
    command.args(["analyze", "--json", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(&std::fs::read(capture("ok-xrdp-tls")).expect("a capture")).expect("written");
    input.flush().expect("written");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    // The pipe stays open, and silent.
    let line = lines.next().expect("a line").expect("UTF-8");
    let event: serde_json::Value = serde_json::from_str(&line).expect("an event");
    assert_eq!((&event["event"]["code"], &event["rdpscope"]["file"]), (&"ok".into(), &"standard input".into()));
    drop(input);
    assert!(lines.next().is_none());
    assert!(child.wait().expect("ended").success());
}
