//! Every query of the Grafana dashboard returns data from a real Prometheus that scrapes the running demo.

use crate::files::tempdir;
use crate::programs::{installed, root};
use parser::diagnosis::Cause;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// Longest wait for a condition. A verdict that may yet be revised is counted after 30 s.
const DEADLINE: Duration = Duration::from_secs(90);
/// A good part of a scrape's interval: before the next one no query can change.
const POLL: Duration = Duration::from_millis(300);

#[test]
fn every_query_of_the_dashboard_returns_data_from_the_demo() {
    let Some(prometheus) = installed("prometheus") else { return };
    let directory = tempdir("prometheus");
    let mut demo = Demo::start();
    let server = Prometheus::start(&prometheus, &demo.admin, &directory);

    let deadline = Instant::now() + DEADLINE;
    // Rates need a sample from before a counter moved: one more session, after the first scrape.
    let healthy = demo.listener_that_stays_open();
    while !server.has_data("rdpscope_build_info") {
        assert!(Instant::now() < deadline, "Prometheus does not scrape the demo");
        std::thread::sleep(POLL);
    }
    drop(TcpStream::connect(healthy).expect("a listener of the demo"));
    let mut empty: Vec<(String, String)> = queries();
    assert!(empty.len() >= 30, "only {} queries were found in the dashboard", empty.len());
    // Without such a series an alert could never fire. (A scrape that comes too late takes all series away for a moment.)
    let rules = selectors(&text("deploy/prometheus/rdpscope.rules.yml"));
    assert!(rules.len() >= 10, "only {} selectors were found in the rules", rules.len());
    empty.extend(rules.into_iter().map(|selector| ("alert rules".to_owned(), selector)));
    while !empty.is_empty() {
        empty.retain(|(_, query)| !server.has_data(query));
        assert!(
            Instant::now() < deadline,
            "{} queries return nothing:\n{}",
            empty.len(),
            empty.iter().map(|(panel, query)| format!("  {panel}: {query}\n")).collect::<String>()
        );
        demo.assert_running();
        std::thread::sleep(POLL);
    }
    server.assert_rules_are_healthy();
    drop(server);
    drop(demo);
    fs::remove_dir_all(directory).expect("the directory goes");
}

#[test]
fn every_cause_that_is_named_exists() {
    for file in ["deploy/prometheus/rdpscope.rules.yml", "deploy/grafana/rdpscope.json"] {
        let mut named = 0;
        for selector in selectors(&text(file).replace("\\\"", "\"")) {
            let Some((_, causes)) = selector.split_once("cause") else { continue };
            let causes = causes.split('"').nth(1).expect("a quoted list");
            for cause in causes.split('|') {
                assert!(Cause::from_id(cause).is_some(), "{file}: {cause} in {selector}");
                named += 1;
            }
        }
        assert!(named > 10, "{file}: only {named} causes were found");
    }
}

/// `name{matchers}` of the metrics of rdpscope in a text. Templates of annotations are no selectors.
fn selectors(text: &str) -> Vec<String> {
    let mut selectors = Vec::new();
    for (at, _) in text.match_indices("rdpscope_") {
        let rest = &text[at..];
        let before = text[..at].chars().next_back();
        let name = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let matchers = if rest[name..].starts_with('{') { rest[name..].find('}').map_or(0, |end| end + 1) } else { 0 };
        let selector = &rest[..name + matchers];
        // A recorded name has a colon before or behind it.
        let recorded = before == Some(':') || rest[name..].starts_with(':');
        if !recorded && !selector.contains("{{") {
            selectors.push(selector.to_owned());
        }
    }
    selectors
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Panel and query, with Grafana's variables filled in.
fn queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana/rdpscope.json")).expect("JSON");
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().expect("expr");
            let query =
                expression.replace("$__rate_interval", "5m").replace("$__range", "5m").replace("$upstream", ".*");
            assert!(!query.contains('$'), "an unknown variable: {query}");
            queries.push((panel["title"].as_str().unwrap_or_default().to_owned(), query));
        }
    }
    queries
}

/// `rdpscope demo`, with its admin endpoint and its listeners left open.
struct Demo {
    child: Child,
    admin: String,
    lines: Receiver<String>,
}

impl Demo {
    fn start() -> Demo {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rdpscope"))
            .arg("demo")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the demo starts");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, lines) = mpsc::channel();
        // Somebody must read on, or the demo would wait for the pipe.
        std::thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let mut demo = Demo { child, admin: String::new(), lines };
        demo.admin = demo.line_after("admin endpoint: http://");
        demo
    }

    /// The address that the demo names when the tour is over.
    fn listener_that_stays_open(&self) -> String {
        self.line_after("Listener `healthy` too: ")
    }

    fn line_after(&self, beginning: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("the demo never said {beginning:?}"));
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.split([' ', ',']).next().unwrap_or_default().to_owned();
            }
        }
    }

    fn assert_running(&mut self) {
        let ended = self.child.try_wait().expect("its state");
        assert!(ended.is_none(), "the demo ended: {ended:?}");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Prometheus of this test, with its data in a directory of its own.
struct Prometheus {
    child: Child,
    address: String,
}

impl Prometheus {
    fn start(program: &Path, admin: &str, directory: &Path) -> Prometheus {
        let deployed = root().join("deploy/prometheus");
        let rules = fs::read_to_string(deployed.join("rdpscope.rules.yml")).expect("the rules");
        fs::write(directory.join("rdpscope.rules.yml"), rules).expect("a copy of the rules");
        let configuration = fs::read_to_string(deployed.join("prometheus.yml")).expect("the configuration");
        let here = configuration.replace("127.0.0.1:9389", admin).replace("_interval: 15s", "_interval: 1s");
        assert_ne!(here, configuration, "the deployed configuration scrapes the demo, more often");
        fs::write(directory.join("prometheus.yml"), here).expect("a copy of the configuration");

        let address = free_address();
        let child = Command::new(program)
            .arg(format!("--config.file={}", directory.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.join("log")).expect("a log file"))
            .spawn()
            .expect("Prometheus starts");
        Prometheus { child, address }
    }

    /// True when the query returns at least one sample that is a number.
    fn has_data(&self, query: &str) -> bool {
        let Some(answer) = self.get(&format!("/api/v1/query?query={}", encoded(query))) else { return false };
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let samples = answer["data"]["result"].as_array().expect("a vector");
        samples.iter().any(|sample| sample["value"][1].as_str().is_some_and(|value| value != "NaN"))
    }

    fn assert_rules_are_healthy(&self) {
        let answer = self.get("/api/v1/rules").expect("the rules");
        let mut seen = 0;
        for group in answer["data"]["groups"].as_array().expect("groups") {
            for rule in group["rules"].as_array().expect("rules") {
                assert_eq!(rule["health"], "ok", "{rule}");
                seen += 1;
            }
        }
        assert!(seen >= 10, "only {seen} rules were loaded");
    }

    /// The JSON at `path`; `None` while it does not answer yet.
    fn get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prometheus cannot be given port 0 and asked: a port that is free now.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// Percent-encoding of everything that is not plain.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
