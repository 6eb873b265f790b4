//! A host, a client and a proxy between them. TLS at the ends is rustls; X.224 is the bytes of real peers.

use config::{
    Admin, Bridge, BridgeMode, BridgeRules, Capture, EventPath, Events, Limits, Listener, PairFiles, Pin, Settings,
    Timeouts, Upstream, UserNames, Verify,
};
use rdpscope::observe::Observer;
use rdpscope::record::SessionRecord;
use rdpscope::run::Proxy;
use rdpscope::tls_provider::{AnyCertificate, provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};
use sha2::{Digest, Sha256};
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// No test should ever need this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Connection Request for TLS, as xfreerdp sends it. [MS-RDPBCGR] 2.2.1.1
const REQUEST: &[u8] = b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00";
/// A Connection Confirm that selects TLS, as xrdp sends it. [MS-RDPBCGR] 2.2.1.2
const CONFIRM: &[u8] = b"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x00\x08\x00\x01\x00\x00\x00";

pub(crate) const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
pub(crate) const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
pub(crate) const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// `future`, or a failed test.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: nothing for {PATIENCE:?}"))
}

/// A certificate and its key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    text: String,
}

impl Identity {
    pub(crate) fn new() -> Identity {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let text = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
        Identity { certificate: made.cert.der().clone(), text }
    }

    pub(crate) fn pin(&self) -> Pin {
        Pin(Sha256::digest(&self.certificate).into())
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// In a file that only its owner can read.
    pub(crate) fn files(&self, name: &str) -> PairFiles {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.pem", std::process::id()));
        std::fs::write(&path, &self.text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("mode");
        PairFiles { certificate: Some(path.clone()), private_key: path, password_file: None }
    }

    fn server(&self, versions: &[&'static SupportedProtocolVersion]) -> TlsAcceptor {
        let key = PrivateKeyDer::from_pem_slice(self.text.as_bytes()).expect("a key");
        let config =
            ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions).expect("versions");
        let config = config.with_no_client_auth().with_single_cert(vec![self.certificate.clone()], key);
        let mut config = config.expect("a pair");
        config.enable_secret_extraction = true;
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A host that speaks TLS after X.224.
pub(crate) struct Host {
    listener: TcpListener,
    tls: TlsAcceptor,
    confirm: Vec<u8>,
    at_once: bool,
    asked: bool,
}

impl Host {
    pub(crate) async fn new(identity: &Identity, versions: &[&'static SupportedProtocolVersion]) -> Host {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        Host { listener, tls: identity.server(versions), confirm: CONFIRM.to_vec(), at_once: false, asked: false }
    }

    /// TLS from the first byte, as a gateway has it.
    pub(crate) fn at_once(mut self) -> Host {
        self.at_once = true;
        self
    }

    /// Probes come too, with requests of their own.
    pub(crate) fn asked(mut self) -> Host {
        self.asked = true;
        self
    }

    /// It selects `protocol` instead of TLS.
    pub(crate) fn selecting(mut self, protocol: u8) -> Host {
        self.confirm[15] = protocol;
        self
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("address")
    }

    /// The next connection, its request answered. A handshake that fails is an answer too.
    pub(crate) async fn next(&self) -> std::io::Result<server::TlsStream<TcpStream>> {
        let socket = self.negotiated().await?;
        within("the host's handshake", self.tls.accept(socket)).await
    }

    /// The next connection, its request answered and nothing of TLS.
    pub(crate) async fn negotiated(&self) -> std::io::Result<TcpStream> {
        let (mut socket, _) = within("a connection to the host", self.listener.accept()).await?;
        if !self.at_once {
            let mut request = vec![0; 4];
            socket.read_exact(&mut request).await?;
            request.resize(usize::from(request[3]).max(4), 0);
            socket.read_exact(&mut request[4..]).await?;
            assert!(self.asked || request == REQUEST, "the host gets the client's own request: {request:?}");
            socket.write_all(&self.confirm).await?;
        }
        Ok(socket)
    }

    /// The next connection whose handshake succeeds.
    pub(crate) async fn served(&self) -> server::TlsStream<TcpStream> {
        loop {
            if let Ok(stream) = self.next().await {
                return stream;
            }
        }
    }
}

/// Connects, negotiates, and begins TLS.
pub(crate) async fn connect(
    to: SocketAddr,
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<client::TlsStream<TcpStream>> {
    connect_saying(to, versions, b"").await
}

/// The client's handshake on a connection. `early` goes out with the last of it.
pub(crate) async fn shake(
    socket: TcpStream,
    versions: &[&'static SupportedProtocolVersion],
    early: &[u8],
) -> std::io::Result<client::TlsStream<TcpStream>> {
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions).expect("versions");
    let mut config =
        config.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate)).with_no_client_auth();
    config.enable_secret_extraction = true;
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    let speak = |tls: &mut rustls::ClientConnection| _ = tls.writer().write(early);
    within("the client's handshake", connector.connect_with(name, socket, speak)).await
}

/// X.224 as [`connect`] does it, and then `early` with the last of the handshake.
pub(crate) async fn connect_saying(
    to: SocketAddr,
    versions: &[&'static SupportedProtocolVersion],
    early: &[u8],
) -> std::io::Result<client::TlsStream<TcpStream>> {
    let mut socket = TcpStream::connect(to).await?;
    socket.write_all(REQUEST).await?;
    let mut confirm = vec![0; CONFIRM.len()];
    within("an answer", socket.read_exact(&mut confirm)).await?;
    shake(socket, versions, early).await
}

/// A proxy with one listener.
pub(crate) struct Bench {
    pub(crate) front: SocketAddr,
    records: UnboundedReceiver<Arc<SessionRecord>>,
    /// It serves as long as it is kept.
    proxy: Proxy,
    settings: Settings,
    /// Of its captures.
    directory: Option<PathBuf>,
}

/// A bridge that knows the host by `pin`.
pub(crate) fn bridged(mode: BridgeMode, pin: Pin) -> BridgeRules {
    BridgeRules { mode, verify: Verify::Pin, pin: vec![pin], ..BridgeRules::default() }
}

impl Bench {
    pub(crate) async fn new(upstream: SocketAddr, rules: BridgeRules) -> Bench {
        Bench::try_new(upstream, rules).await.unwrap_or_else(|why| panic!("{why}"))
    }

    /// Or why it does not start.
    pub(crate) async fn try_new(upstream: SocketAddr, rules: BridgeRules) -> Result<Bench, String> {
        Bench::start(settings(upstream, rules)).await
    }

    /// One whose time-outs `adjust` changes.
    pub(crate) async fn timing(upstream: SocketAddr, rules: BridgeRules, adjust: impl FnOnce(&mut Timeouts)) -> Bench {
        let mut settings = settings(upstream, rules);
        adjust(&mut settings.timeouts);
        Bench::start(settings).await.unwrap_or_else(|why| panic!("{why}"))
    }

    async fn start(settings: Settings) -> Result<Bench, String> {
        let observer = Observer::quiet();
        let records = observer.records();
        let proxy = Proxy::start(settings.clone(), observer).await.map_err(|error| error.to_string())?;
        let front = proxy.address("front").await.expect("the listener has an address");
        Ok(Bench { front, records, proxy, settings, directory: None })
    }

    /// One that writes captures, as `adjust` wants them.
    pub(crate) async fn capturing(
        upstream: SocketAddr,
        rules: BridgeRules,
        adjust: impl FnOnce(&mut Capture),
    ) -> Bench {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, SeqCst);
        let name = format!("bridge-captures-{}-{number}", std::process::id());
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut capture = Capture { min_free: 0, ..Capture::into(directory.clone()) };
        adjust(&mut capture);
        let mut settings = settings(upstream, rules);
        settings.capture = Some(capture);
        settings.admin = Some(Admin { listen: "127.0.0.1:0".parse().expect("address") });
        let observer = Observer::start(&settings).expect("outputs");
        let records = observer.records();
        let proxy = Proxy::start(settings.clone(), observer).await.expect("a proxy");
        let front = proxy.address("front").await.expect("the listener has an address");
        Bench { front, records, proxy, settings, directory: Some(directory) }
    }

    /// Every file of a session that has ended is there.
    pub(crate) async fn written(&self) {
        self.proxy.observer().finish().await;
    }

    pub(crate) fn opening_memory(&self) -> usize {
        self.proxy.opening_memory()
    }

    /// Status and body of the capture of the one live session.
    pub(crate) async fn live_capture(&self) -> (u16, Vec<u8>) {
        let (_, body) = self.get("/api/sessions?state=live").await;
        let sessions: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let id = sessions["sessions"][0]["session"]["id"].as_str().expect("a session").to_owned();
        self.get(&format!("/api/sessions/{id}/capture")).await
    }

    /// Bytes that the client of the one live session has sent.
    pub(crate) async fn heard_of_client(&self) -> u64 {
        let (_, body) = self.get("/api/sessions?state=live").await;
        let sessions: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        sessions["sessions"][0]["source"]["bytes"].as_u64().expect("a session")
    }

    /// Status and body of the capture of a session that has ended.
    pub(crate) async fn capture(&self, id: impl std::fmt::Display) -> (u16, Vec<u8>) {
        self.get(&format!("/api/sessions/{id}/capture")).await
    }

    /// The same settings once more, with secrets until then.
    pub(crate) async fn reload(&self, secrets_until: Option<SystemTime>) {
        let mut settings = self.settings.clone();
        settings.capture.as_mut().expect("captures").secrets_until = secrets_until;
        self.proxy.reload(settings).await.expect("reloaded");
    }

    async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.proxy.admin().expect("admin")).await.expect("connect");
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.expect("asked");
        let mut answer = Vec::new();
        within("an answer", stream.read_to_end(&mut answer)).await.expect("an answer");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let status = std::str::from_utf8(&answer[9..12]).expect("digits").parse().expect("a status");
        (status, answer.split_off(end + 4))
    }

    /// The record of the next session that ended.
    pub(crate) async fn record(&mut self) -> Arc<SessionRecord> {
        within("a record", self.records.recv()).await.expect("a record")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(directory) = &self.directory {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

pub(crate) fn settings(upstream: SocketAddr, rules: BridgeRules) -> Settings {
    Settings {
        listeners: vec![Listener {
            name: "front".to_owned(),
            listen: "127.0.0.1:0".parse().expect("address"),
            upstream: Upstream { host: upstream.ip().to_string(), port: upstream.port() },
            max_sessions: 1000,
            max_sessions_per_client: 1000,
            bridge: Bridge { common: rules, hosts: Vec::new() },
        }],
        timeouts: Timeouts::default(),
        probe: config::Probe { mode: config::ProbeMode::Off, ..config::Probe::default() },
        events: Events { path: EventPath::Off, user_names: UserNames::Drop, live: false },
        admin: None,
        limits: Limits::default(),
        capture: None,
        state_directory: None,
    }
}

/// Bytes without a pattern that a mix-up could hide in.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}
