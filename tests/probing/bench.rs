//! A proxy whose events, metrics and pages can be read.

use config::{Admin, Capture, EventPath, Events, Limits, Listener, Probe, Settings, Timeouts, Upstream, UserNames};
use parser::profile::HostProfile;
use rdpscope::analyze::own::recorded;
use rdpscope::observe::Observer;
use rdpscope::probe::{Asker, Question, over_the_wire};
use rdpscope::run::Proxy;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Bench {
    pub(crate) proxy: Proxy,
    pub(crate) front: SocketAddr,
    pub(crate) directory: PathBuf,
}

/// Probing as the defaults have it, apart from what `adjust` changes.
pub(crate) fn probing(adjust: impl FnOnce(&mut Probe)) -> Probe {
    let mut probe = Probe { timeout: Duration::from_secs(1), ..Probe::default() };
    adjust(&mut probe);
    probe
}

impl Bench {
    pub(crate) async fn new(host: SocketAddr, probe: Probe) -> Bench {
        Bench::asking(host, probe, over_the_wire(), directory()).await
    }

    pub(crate) async fn asking(host: SocketAddr, probe: Probe, ask: Asker, directory: PathBuf) -> Bench {
        let settings = Settings {
            listeners: vec![Listener {
                name: "front".to_owned(),
                listen: "127.0.0.1:0".parse().unwrap(),
                upstream: Upstream { host: host.ip().to_string(), port: host.port() },
                max_sessions: 1000,
                max_sessions_per_client: 1000,
                bridge: config::Bridge::default(),
            }],
            timeouts: Timeouts::default(),
            probe,
            events: Events {
                path: EventPath::File(directory.join("events.jsonl")),
                user_names: UserNames::Drop,
                live: false,
            },
            admin: Some(Admin { listen: "127.0.0.1:0".parse().unwrap() }),
            limits: Limits::default(),
            capture: Some(Capture { min_free: 0, ..Capture::into(directory.join("captures")) }),
            state_directory: Some(directory.clone()),
        };
        let observer = Observer::start(&settings).unwrap();
        let proxy = Proxy::start_asking(settings, observer, ask).await.unwrap();
        let front = proxy.address("front").await.unwrap();
        Bench { proxy, front, directory }
    }

    /// The events so far, oldest first.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.directory.join("events.jsonl")).unwrap_or_default();
        // The last line may still be on its way.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until there are `count` events with this action, and gives all of that action.
    pub(crate) async fn wait_for(&self, action: &str, count: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let mut events = self.events();
            events.retain(|event| event["event"]["action"] == action);
            if events.len() >= count {
                return events;
            }
            assert!(begun.elapsed() < PATIENCE, "{} {action} events of {count}: {:#?}", events.len(), self.events());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.proxy.admin().unwrap()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Waits until the value of a series (its name without the prefix, and labels that it has) is `value`.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str], value: f64) {
        let begun = Instant::now();
        loop {
            let text = self.get("/metrics").await;
            let mut lines = text.lines().filter(|line| {
                let rest = line.strip_prefix("rdpscope_").and_then(|line| line.strip_prefix(name));
                rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && labels.iter().all(|label| line.contains(label))
            });
            let line = lines.next().unwrap_or_default();
            let now: Option<f64> = line.rsplit_once(' ').and_then(|(_, value)| value.parse().ok());
            if now.is_some_and(|now| (now - value).abs() < 1e-9) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{name}{labels:?} is {now:?}, not {value}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The one host of `/api/hosts`.
    pub(crate) async fn host(&self) -> Value {
        let mut hosts: Value = serde_json::from_str(&self.get("/api/hosts").await).unwrap();
        hosts["hosts"].get_mut(0).map(Value::take).unwrap_or_default()
    }

    /// The captures tell what these events tell, the last ones of their sessions, and who reads one comes to the same.
    pub(crate) fn captures_say(&self, events: &[Value]) {
        for event in events {
            let path = event["rdpscope"]["capture"]["path"].as_str().expect("a path");
            let read = recorded(path.as_ref()).unwrap().expect("a capture of ours");
            let [code, side, phase, confidence] = read.told.clone().unwrap();
            assert_eq!(event["event"]["code"], code, "the file tells the last verdict");
            let of_event = &event["rdpscope"];
            assert_eq!((&of_event["side"], &of_event["phase"]), (&side.into(), &phase.into()));
            assert_eq!(of_event["confidence"], confidence);
            let verdict = read.verdict();
            assert_eq!(verdict.cause.id(), code);
            assert_eq!(serde_json::json!(verdict.evidence), of_event["evidence"], "{path}");
        }
    }

    pub(crate) async fn stop(&self) {
        self.proxy.stop().await;
        self.proxy.observer().finish().await;
    }
}

/// A directory of its own.
pub(crate) fn directory() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, SeqCst);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("probing-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// Answers with what `profile` makes, and counts how often it was asked.
pub(crate) fn scripted(
    profile: impl Fn(&Question, usize) -> HostProfile + Send + Sync + 'static,
) -> (Asker, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let ask: Asker = Arc::new(move |question| {
        let profile = profile(&question, count.fetch_add(1, SeqCst));
        Box::pin(async move { profile })
    });
    (ask, asked)
}
