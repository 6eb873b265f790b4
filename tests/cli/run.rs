//! `rdpscope run`: when it is ready, how it ends, and what keeps it from starting.

use crate::{PROGRAM, err, file, rdpscope};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

/// `rdpscope run` and the lines of its log. It is ended with the test, whatever comes.
struct Running {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
    log: Vec<String>,
}

impl Running {
    fn start(arguments: &[&str]) -> std::io::Result<Running> {
        Running::of(Command::new(PROGRAM), arguments)
    }

    /// No file may grow beyond so many blocks of 512 bytes, as on a disk that is full.
    fn start_with_full_disk(blocks: u32, arguments: &[&str]) -> std::io::Result<Running> {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""), PROGRAM]);
        Running::of(command, arguments)
    }

    fn of(mut command: Command, arguments: &[&str]) -> std::io::Result<Running> {
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
fn a_rotated_event_log_is_opened_anew_without_a_file_and_while_draining() -> std::io::Result<()> {
    let host = TcpListener::bind("127.0.0.1:0")?;
    let upstream = host.local_addr()?.to_string();
    let events = file("rotated.jsonl", "");
    let (path, old) = (events.to_str().unwrap_or_default(), events.with_extension("1"));
    let mut running = Running::start(&[
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &upstream,
        "--probe",
        "off",
        "--admin",
        "127.0.0.1:0",
        "--event-log",
        path,
    ])?;
    let client = TcpStream::connect(running.address())?;
    let at_host = host.accept()?;
    std::fs::rename(&events, &old)?;
    running.signal("HUP")?;
    let line = running.wait_for("opened anew");
    assert!(!line.contains("ERROR"), "nothing is wrong: {line}");
    running.signal("TERM")?;
    running.wait_for("draining: 1 session");
    std::fs::rename(&events, &old)?;
    running.signal("HUP")?;
    running.wait_for("draining: the event log is opened anew");
    drop((client, at_host));
    assert_eq!(running.exit_code()?, Some(0), "{:#?}", running.log);
    let written = std::fs::read_to_string(&events)?;
    assert!(written.contains("session_end") && written.contains("drained"), "{written}");
    Ok(())
}

#[test]
fn a_full_disk_leaves_whole_lines() -> std::io::Result<()> {
    let log = file("full.jsonl", "");
    let unused = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let path = log.to_str().unwrap_or_default();
    let arguments = ["--listen", "127.0.0.1:0", "--upstream", &unused, "--probe", "off", "--admin", "127.0.0.1:0"];
    let arguments = [&arguments[..], &["--event-log", path]].concat();
    let mut proxy = Running::start_with_full_disk(15, &arguments)?;
    let address = proxy.address();
    // An event of such a connection has more than a kilobyte.
    for _ in 0..20 {
        TcpStream::connect(address)?;
    }
    proxy.wait_for("cannot write, lines are lost");
    proxy.signal("TERM")?;
    assert_eq!(proxy.exit_code()?, Some(0));
    let written = std::fs::read_to_string(&log)?;
    assert!(written.ends_with("}\n") && written.len() > 1_000, "{} bytes", written.len());
    assert!(written.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{written}");
    Ok(())
}

#[test]
fn a_reload_says_which_changes_wait_for_a_restart_and_which_port_is_our_own() -> std::io::Result<()> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let with = |listen: &str, more: &str| {
        format!(
            "[[listener]]\nname = 'front'\nlisten = '{listen}'\nupstream = '127.0.0.1:1'\n[admin]\nlisten = 'off'\n\
             [events]\npath = 'off'\n{more}"
        )
    };
    let good = with(&address.to_string(), "");
    let path = file("waits.toml", &good);
    let mut running = Running::start(&["--config", path.to_str().unwrap_or_default()])?;
    running.address();
    // The last line of each reload says how it went.
    let mut reload = |text: &str| -> std::io::Result<String> {
        std::fs::write(&path, text)?;
        let before = running.log.len();
        running.signal("HUP")?;
        running.wait_for("reloaded");
        Ok(running.log[before..].join("\n"))
    };
    let changed = with(&address.to_string(), "[limits]\nevent_queue = '1MiB'\n");
    for _ in 0..2 {
        let said = reload(&changed)?;
        assert!(said.contains("changes of `event_queue` of [limits] take effect after a restart"), "{said}");
    }
    let said = reload(&good)?;
    assert!(!said.contains("after a restart"), "{said}");
    let said = reload(&with(&format!("0.0.0.0:{}", address.port()), ""))?;
    assert!(said.contains(&format!("listener front of this proxy listens on {address}")), "{said}");
    Ok(())
}

#[test]
fn a_reload_that_takes_ipv4_from_a_port_says_that_the_other_listener_does_not_get_it() -> std::io::Result<()> {
    let port = TcpListener::bind("[::]:0")?.local_addr()?.port();
    let both = format!(
        "[admin]\nlisten = 'off'\n[events]\npath = 'off'\n\
         [[listener]]\nlisten = '[::]:{port}'\nupstream = '127.0.0.1:1'\n"
    );
    let apart = format!("{both}[[listener]]\nlisten = '127.0.0.1:{port}'\nupstream = '127.0.0.1:1'\n");
    let path = file("apart.toml", &apart);
    let mut running = Running::start(&["--config", path.to_str().unwrap_or_default()])?;
    running.wait_for(&format!("listening on 127.0.0.1:{port}"));
    for (text, told) in [(&apart, false), (&both, true)] {
        std::fs::write(&path, text)?;
        let before = running.log.len();
        running.signal("HUP")?;
        running.wait_for("configuration reloaded");
        let said = running.log[before..].join("\n");
        let warned = said.contains(&format!("[::]:{port} takes clients over IPv6 alone until a restart"));
        assert_eq!(warned, told, "{said}");
    }
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "and so it is");
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
