//! A proxy that captures, a scripted host behind it, and clients that fail in one way.

use config::{
    Admin, Capture, EventPath, Events, Limits, Listener, Probe, ProbeMode, Settings, Timeouts, Upstream, UserNames,
};
use rdpscope::observe::Observer;
use rdpscope::record::SessionRecord;
use rdpscope::run::Proxy;
use serde_json::Value;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;

/// No test should ever need this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// The user of every client.
pub(crate) const USER: &str = "CORP\\alice";

/// A Connection Request of [`USER`] for TLS.
pub(crate) fn request() -> Vec<u8> {
    let cookie = format!("Cookie: mstshash={USER}\r\n");
    let length = 11 + cookie.len() + 8;
    let mut request = vec![3, 0, 0, length as u8, (length - 5) as u8, 0xe0, 0, 0, 0, 0, 0];
    request.extend(cookie.bytes());
    request.extend([1, 0, 8, 0, 1, 0, 0, 0]);
    request
}

/// A Connection Confirm for TLS.
pub(crate) const CONFIRM: [u8; 19] = [3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0, 8, 0, 1, 0, 0, 0];
/// Alert protocol_version.
pub(crate) const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 70];

/// A ClientHello of rustls, as records.
pub(crate) fn hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = rustls::RootCertStore::empty();
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let mut client = rustls::ClientConnection::new(config, "rds07.example.net".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

pub(crate) struct Bench {
    pub(crate) proxy: Proxy,
    pub(crate) front: SocketAddr,
    pub(crate) host: TcpListener,
    pub(crate) directory: PathBuf,
    records: UnboundedReceiver<Arc<SessionRecord>>,
}

impl Bench {
    pub(crate) async fn new() -> Bench {
        Bench::with(|_| ()).await
    }

    pub(crate) async fn with(adjust: impl FnOnce(&mut Settings)) -> Bench {
        let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let directory = directory();
        let capture = Capture { min_free: 0, ..Capture::into(directory.join("captures")) };
        let mut settings = Settings {
            listeners: vec![Listener {
                name: "front".to_owned(),
                listen: "127.0.0.1:0".parse().unwrap(),
                upstream: Upstream { host: "localhost".to_owned(), port: host.local_addr().unwrap().port() },
                max_sessions: 1000,
                max_sessions_per_client: 1000,
                bridge: config::Bridge::default(),
            }],
            timeouts: Timeouts::default(),
            probe: Probe { mode: ProbeMode::Off, ..Probe::default() },
            capture: Some(capture),
            events: Events {
                path: EventPath::File(directory.join("events.jsonl")),
                user_names: UserNames::Hash,
                live: false,
            },
            admin: Some(Admin { listen: "127.0.0.1:0".parse().unwrap() }),
            limits: Limits::default(),
            state_directory: None,
        };
        adjust(&mut settings);
        let observer = Observer::start(&settings).unwrap();
        let records = observer.records();
        let proxy = Proxy::start(settings, observer).await.unwrap();
        let front = proxy.address("front").await.unwrap();
        Bench { proxy, front, host, directory, records }
    }

    /// A client and the host's end of its session, after request and confirm have passed.
    pub(crate) async fn confirmed(&self) -> (TcpStream, TcpStream) {
        let mut client = within("connect", TcpStream::connect(self.front)).await.unwrap();
        let (mut host, _) = within("accept", self.host.accept()).await.unwrap();
        pass(&mut client, &mut host, &request()).await;
        pass(&mut host, &mut client, &CONFIRM).await;
        (client, host)
    }

    /// A session that the host ends with an alert after the hello.
    pub(crate) async fn refused(&mut self) -> Arc<SessionRecord> {
        let (mut client, mut host) = self.confirmed().await;
        pass(&mut client, &mut host, &hello()).await;
        pass(&mut host, &mut client, &ALERT).await;
        drop((client, host));
        self.record().await
    }

    pub(crate) async fn record(&mut self) -> Arc<SessionRecord> {
        within("a record", self.records.recv()).await.unwrap()
    }

    /// Everything queued is in its file.
    pub(crate) async fn written(&self) {
        self.proxy.observer().finish().await;
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.directory.join("events.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The names in the directory of captures, in order.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.join("captures")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Status and body of an admin page.
    pub(crate) async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.proxy.admin().unwrap()).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        within("an answer", stream.read_to_end(&mut answer)).await.unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        (status, answer.split_off(end + 4))
    }

    /// The value of a series.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let (_, body) = self.get("/metrics").await;
        let text = String::from_utf8(body).unwrap();
        let line =
            text.lines().find_map(|line| line.strip_prefix("rdpscope_")?.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Sends `bytes`, and waits until they have come out at the other end.
pub(crate) async fn pass(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    within("write", from.write_all(bytes)).await.unwrap();
    let mut got = vec![0; bytes.len()];
    within("read", to.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, bytes);
}

/// `future`, or a failed test.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: nothing for {PATIENCE:?}"))
}

/// A directory of its own.
pub(crate) fn directory() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, SeqCst);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("captures-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}
