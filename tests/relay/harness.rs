//! A proxy with scripted ends.

use config::{EventPath, Events, Limits, Listener, Settings, Timeouts, Upstream, UserNames};
use rdpscope::observe::Observer;
use rdpscope::record::SessionRecord;
use rdpscope::run::{Form, Proxy};
use rdpscope::sys;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;

/// No test should ever need this long; one that does has found a session that hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// `future`, or a failed test.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: nothing for {PATIENCE:?}"))
}

/// One listener named `front` before `upstream`.
pub(crate) fn settings(upstream: SocketAddr) -> Settings {
    settings_for(&upstream.ip().to_string(), upstream.port())
}

pub(crate) fn settings_for(host: &str, port: u16) -> Settings {
    Settings {
        listeners: vec![Listener {
            name: "front".to_owned(),
            listen: "127.0.0.1:0".parse().expect("address"),
            upstream: Upstream { host: host.to_owned(), port },
            max_sessions: 1000,
            max_sessions_per_client: 1000,
            bridge: config::Bridge::default(),
        }],
        timeouts: Timeouts {
            connect: Duration::from_secs(10),
            negotiate: Duration::from_secs(10),
            client_hello: Duration::from_secs(10),
            server_hello: Duration::from_secs(10),
        },
        probe: config::Probe { mode: config::ProbeMode::Off, ..config::Probe::default() },
        events: Events { path: EventPath::Off, user_names: UserNames::Drop, live: false },
        admin: None,
        limits: Limits { drain_timeout: PATIENCE, opening_memory: 64 << 20, event_queue: 1 << 20, threads: 2 },
        capture: None,
        state_directory: None,
    }
}

/// Names the form that the proxies of this process take.
pub(crate) const ASKED: &str = "RDPSCOPE_TEST_FORM";

const FORMS: [(&str, Form); 4] = [
    ("copy", Form { splice_from: usize::MAX, pipe_size: 0, at_most: usize::MAX, stumbles: 0 }),
    ("splice", Form { splice_from: 0, pipe_size: 1 << 20, at_most: usize::MAX, stumbles: 0 }),
    // Short reads, short writes, interruptions.
    ("copy-hard", Form { splice_from: usize::MAX, pipe_size: 0, at_most: 1_000, stumbles: 3 }),
    // And a pipe of one page.
    ("splice-hard", Form { splice_from: 0, pipe_size: 4_096, at_most: 3_000, stumbles: 3 }),
];

/// The form that was asked for, or the one that adapts.
pub(crate) fn asked_form() -> Form {
    let Ok(asked) = std::env::var(ASKED) else { return Form::default() };
    FORMS.iter().find(|(name, _)| *name == asked).unwrap_or_else(|| panic!("no form {asked}")).1
}

/// A proxy, a host socket behind it, and the records it makes.
pub(crate) struct Bench {
    pub(crate) proxy: Proxy,
    pub(crate) front: SocketAddr,
    pub(crate) host: TcpListener,
    records: UnboundedReceiver<Arc<SessionRecord>>,
}

impl Bench {
    pub(crate) async fn new() -> Bench {
        Bench::with(|_| ()).await
    }

    pub(crate) async fn with(adjust: impl FnOnce(&mut Settings)) -> Bench {
        let host = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let mut settings = settings(host.local_addr().expect("address"));
        adjust(&mut settings);
        let observer = Observer::quiet();
        let records = observer.records();
        let proxy = Proxy::start_moving(settings, observer, asked_form()).await.expect("the proxy starts");
        let front = proxy.address("front").await.expect("the listener has an address");
        Bench { proxy, front, host, records }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        within("connect", TcpStream::connect(self.front)).await.expect("connect")
    }

    /// A client that is turned away without a byte.
    pub(crate) async fn turned_away(&self) {
        turned_away(TcpStream::connect(self.front)).await;
    }

    pub(crate) async fn accept(&self) -> TcpStream {
        within("accept", self.host.accept()).await.expect("accept").0
    }

    /// A client and the host's end of its session.
    pub(crate) async fn session(&self) -> (TcpStream, TcpStream) {
        let client = self.connect().await;
        (client, self.accept().await)
    }

    /// The same, after a byte has passed: the proxy has seen its connect succeed. (A host that sends and resets before
    /// that is seen as a connect that was reset.)
    pub(crate) async fn spoken_session(&self) -> (TcpStream, TcpStream) {
        let (mut client, mut host) = self.session().await;
        within("write", client.write_all(b"?")).await.expect("write");
        let mut byte = [0];
        within("read", host.read_exact(&mut byte)).await.expect("read");
        (client, host)
    }

    pub(crate) async fn record(&mut self) -> Arc<SessionRecord> {
        within("record", self.records.recv()).await.expect("the observer lives")
    }
}

/// Reads until FIN or error: what came, and how it ended.
pub(crate) async fn read_all(socket: &mut TcpStream) -> (Vec<u8>, io::Result<()>) {
    let mut bytes = Vec::new();
    let end = within("end of stream", socket.read_to_end(&mut bytes)).await.map(|_| ());
    (bytes, end)
}

/// Reads until the end, which must be a reset.
pub(crate) async fn read_until_reset(socket: &mut TcpStream) -> Vec<u8> {
    let (bytes, end) = read_all(socket).await;
    let error = end.expect_err("the connection was to be reset, not closed in order");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    bytes
}

/// The connection is reset, without a byte; at once perhaps, so that its own end takes it for a connect that failed.
pub(crate) async fn turned_away(connecting: impl Future<Output = io::Result<TcpStream>>) {
    match within("connect", connecting).await {
        Ok(mut client) => assert!(read_until_reset(&mut client).await.is_empty()),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
}

/// Closes with RST once the peer has acknowledged everything: SO_LINGER 0 would drop what is still queued.
pub(crate) async fn reset(socket: TcpStream) {
    let sent = async {
        while sys::unsent(&socket).expect("SIOCOUTQ") > 0 {
            tokio::task::yield_now().await;
        }
    };
    within("acknowledgement", sent).await;
    socket.set_zero_linger().expect("SO_LINGER");
}

/// Bytes that repeat nowhere soon (xorshift64), the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Runs the calling test again in a process of its own, with `limit` file descriptors; returns true in that process.
///
/// For what a whole process has only one of: its descriptor table, its signals.
pub(crate) fn in_own_process(test: &str, limit: u32) -> bool {
    const MARK: &str = "RDPSCOPE_TEST_CHILD";
    if std::env::var(MARK).is_ok_and(|child| child == test) {
        return true;
    }
    let executable = std::env::current_exe().expect("own path");
    let output = std::process::Command::new("sh")
        .args(["-c", &format!("ulimit -n {limit} && exec \"$0\" --exact {test} --nocapture")])
        .arg(executable)
        .env(MARK, test)
        .output()
        .expect("sh runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}
