//! What a bridged session costs beside HAProxy and stunnel with TLS on both sides, in one run.
//!
//! ```sh
//! cargo build --release && cargo bench --bench bridge                       # every row, nine rounds
//! cargo bench --bench bridge -- full bulk --rounds 15                       # some rows
//! cargo bench --bench bridge -- --rounds 5 --rdpscope target/release/rdpscope
//! ```
//!
//! The same ends for all, and everybody on one core: TLS 1.3 from the first byte, RSA-2048, X25519, one pair for the host and
//! whoever stands before it. Each of the proxies checks that the host holds its key. Their turns change from round to round; a
//! figure is the processor time of the proxy (all threads), as the median of the ratios of the same round with its 95 %
//! bootstrap interval. Everything stays on loopback; a proxy that is not installed is left out. Figures and the machine stand
//! in `benches/README.md`.

#[allow(dead_code)]
#[path = "compare/cost.rs"]
mod cost;
#[allow(dead_code)]
#[path = "compare/statistics.rs"]
mod statistics;

use cost::Processes;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rdpscope::tls_provider::{AnyCertificate, provider};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, kx_group::X25519};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use sha2::{Digest, Sha256};
use statistics::estimate;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// No answer of anybody takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections of a window, and how many at a time.
const CONNECTIONS: usize = 160;
const AT_A_TIME: usize = 8;
/// Bytes of a window of the bulk row in each of its two connections.
const BULK: usize = 96 << 20;
/// Sessions that are held, for the idle row.
const IDLE: usize = 300;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    share_one_core();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bridge: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Ends and proxies: a wake-up across cores costs more than what is compared, and depends on the machine.
fn share_one_core() {
    let allowed = sched_getaffinity(None).unwrap_or_default();
    if let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|core| allowed.is_set(*core)) {
        let mut one = CpuSet::new();
        one.set(last);
        if let Err(error) = sched_setaffinity(None, &one) {
            eprintln!("bridge: on every core, not on one: {error}");
        }
    }
}

async fn run() -> Result<()> {
    if cfg!(debug_assertions) {
        // Ends that are slower than the proxies change what is measured: reads become small, and batches large.
        return Err("its own ends must be optimised: `cargo bench --bench bridge`".into());
    }
    let (mut rounds, mut rdpscope, mut rows) = (9, PathBuf::from("target/release/rdpscope"), Vec::new());
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), Row::ALL.iter().find(|row| row.name() == argument)) {
            (_, Some(row)) => rows.push(*row),
            ("--rounds", _) => rounds = arguments.next().ok_or(USAGE)?.parse()?,
            ("--rdpscope", _) => rdpscope = arguments.next().ok_or(USAGE)?.into(),
            _ => return Err(USAGE.into()),
        }
    }
    if rows.is_empty() {
        rows = Row::ALL.to_vec();
    }
    if !rdpscope.exists() {
        return Err(format!("{}: not there: `cargo build --release` first", rdpscope.display()).into());
    }
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bridge-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let pem = make_pair(&directory)?;
    println!(
        "| row | {} |",
        Kind::ALL.map(|kind| format!("{}: median | ratio to haproxy (95 %)", kind.name())).join(" | ")
    );
    println!("|---|{}", "---|---|".repeat(Kind::ALL.len()));
    for row in rows {
        measure(row, rounds, &rdpscope, &directory, &pem).await?;
    }
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

const USAGE: &str =
    "usage: cargo bench --bench bridge -- [full|left|resumed|bulk|idle]... [--rounds N] [--rdpscope FILE]";

/// Who stands between the ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Haproxy,
    /// Two services of one stunnel, one for each leg.
    Stunnel,
    Rdpscope,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Haproxy, Kind::Stunnel, Kind::Rdpscope];

    fn name(self) -> &'static str {
        match self {
            Kind::Haproxy => "haproxy",
            Kind::Stunnel => "stunnel4",
            Kind::Rdpscope => "rdpscope",
        }
    }

    /// It can be started here.
    fn is_there(self) -> bool {
        let asked = match self {
            Kind::Haproxy => Command::new("haproxy").arg("-v").stdin(Stdio::null()).output(),
            Kind::Stunnel => Command::new("stunnel4").arg("-version").stdin(Stdio::null()).output(),
            Kind::Rdpscope => return true,
        };
        asked.is_ok_and(|out| out.status.success())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// One whole handshake on each leg, and a byte each way.
    Full,
    /// The client leaves when its own handshake is done, and no byte is sent: who connects to the host only then has less
    /// to do, which the host's count of whole handshakes shows.
    Left,
    /// Both legs take up an earlier session.
    Resumed,
    /// From the host to the client, in two connections.
    Bulk,
    /// Held, with nothing to do.
    Idle,
}

impl Row {
    const ALL: [Row; 5] = [Row::Full, Row::Left, Row::Resumed, Row::Bulk, Row::Idle];

    fn name(self) -> &'static str {
        match self {
            Row::Full => "full",
            Row::Left => "left",
            Row::Resumed => "resumed",
            Row::Bulk => "bulk",
            Row::Idle => "idle",
        }
    }

    fn text(self, value: f64) -> String {
        match self {
            Row::Full | Row::Left | Row::Resumed => format!("{value:.0} µs"),
            Row::Bulk => format!("{value:.3} s/GB"),
            Row::Idle => format!("{value:.1} KiB"),
        }
    }
}

/// What the rounds of one proxy came to.
#[derive(Default)]
struct Figures {
    costs: Vec<f64>,
    /// Handshakes that the host has completed for each connection.
    completed: Vec<f64>,
}

/// One row: all rounds, then a line.
async fn measure(row: Row, rounds: usize, rdpscope: &Path, directory: &Path, pem: &Path) -> Result<()> {
    let host = host(pem, row == Row::Resumed).await?;
    let mut figures: [Figures; 3] = Default::default();
    let mut proxies = Vec::new();
    for (number, kind) in Kind::ALL.into_iter().enumerate().filter(|(_, kind)| kind.is_there()) {
        proxies.push((number, Proxy::start(kind, host.address, rdpscope, directory, pem)?));
    }
    for round in 0..rounds {
        let count = proxies.len();
        proxies.rotate_left(round % count);
        for (number, proxy) in &mut proxies {
            if row == Row::Idle {
                // Memory that earlier work has left behind would hide what is asked for.
                *proxy = Proxy::start(Kind::ALL[*number], host.address, rdpscope, directory, pem)?;
            }
            let before = host.completed.load(Relaxed);
            figures[*number].costs.push(window(row, proxy).await?);
            let completed = host.completed.load(Relaxed) - before;
            figures[*number].completed.push(completed as f64 / (CONNECTIONS + AT_A_TIME) as f64);
        }
    }
    let cells = figures.iter().map(|of| {
        let ratios: Vec<f64> = of.costs.iter().zip(&figures[0].costs).map(|(ours, theirs)| ours / theirs).collect();
        let cost = estimate(&of.costs).map_or("-".to_owned(), |it| row.text(it.median));
        let ratio = estimate(&ratios)
            .map_or("-".to_owned(), |it| format!("{:.2} ({:.2} to {:.2})", it.median, it.low, it.high));
        match estimate(&of.completed).filter(|_| row == Row::Left) {
            Some(completed) => format!("{cost}, host {:.0} % | {ratio}", completed.median * 100.0),
            None => format!("{cost} | {ratio}"),
        }
    });
    println!("| {} | {} |", row.name(), cells.collect::<Vec<_>>().join(" | "));
    Ok(())
}

/// What one window costs: µs per connection, seconds per GB, or KiB per session.
async fn window(row: Row, proxy: &Proxy) -> Result<f64> {
    let config = client_config(row == Row::Resumed);
    let connection = || async {
        let mut stream = connect(proxy.address, &config).await?;
        if row != Row::Left {
            ask(&mut stream, b'b').await?;
        }
        Result::Ok(stream)
    };
    // Everything that is made once, and the tickets of a session to be resumed.
    for _ in 0..AT_A_TIME {
        connection().await?;
    }
    let processes = Processes::of(proxy.child.id());
    let before = processes.nanoseconds();
    match row {
        Row::Full | Row::Left | Row::Resumed => {
            let lane = || async {
                for _ in 0..CONNECTIONS / AT_A_TIME {
                    connection().await?;
                }
                Result::Ok(())
            };
            futures_util::future::try_join_all((0..AT_A_TIME).map(|_| lane())).await?;
            // What a proxy goes on doing for a client that has left is its cost too.
            let settled = settled(&processes).await;
            Ok((settled - before) as f64 / 1e3 / CONNECTIONS as f64)
        }
        Row::Bulk => {
            let transfer = || async {
                let mut stream = connect(proxy.address, &config).await?;
                ask(&mut stream, b'B').await?;
                let (mut left, mut buffer) = (BULK, vec![0; 64 << 10]);
                while left > 0 {
                    let count = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await??;
                    left =
                        left.checked_sub(count).filter(|_| count > 0).ok_or("the host's bytes did not come across")?;
                }
                Result::Ok(())
            };
            futures_util::future::try_join(transfer(), transfer()).await?;
            Ok((processes.nanoseconds() - before) as f64 / (2 * BULK) as f64)
        }
        Row::Idle => {
            let before = processes.private_memory();
            let mut held = Vec::new();
            for _ in 0..IDLE {
                held.push(connection().await?);
            }
            Ok(processes.private_memory().saturating_sub(before) as f64 / 1024.0 / IDLE as f64)
        }
    }
}

/// The time on a processor, once it has not grown by more than a trifle for a tenth of a second.
async fn settled(processes: &Processes) -> u64 {
    let mut last = processes.nanoseconds();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = processes.nanoseconds();
        if now.saturating_sub(last) < 1_000_000 {
            break;
        }
        last = now;
    }
    last
}

/// A connection whose handshake is done on the client's side.
async fn connect(at: SocketAddr, config: &Arc<ClientConfig>) -> Result<TlsStream<TcpStream>> {
    let up = async {
        let socket = TcpStream::connect(at).await?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("host.test").map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(config)).connect(name, socket).await
    };
    Ok(tokio::time::timeout(PATIENCE, up).await??)
}

/// Asks the host for `what`; it answers with a byte, so both legs are up.
async fn ask(stream: &mut TlsStream<TcpStream>, what: u8) -> Result<()> {
    let answered = async {
        stream.write_all(&[what]).await?;
        stream.read_exact(&mut [0]).await.map(|_| ())
    };
    Ok(tokio::time::timeout(PATIENCE, answered).await??)
}

/// One of the proxies; it ends with its handle.
struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Proxy {
    fn start(kind: Kind, host: SocketAddr, rdpscope: &Path, directory: &Path, pem: &Path) -> Result<Proxy> {
        let address = StdListener::bind("127.0.0.1:0")?.local_addr()?;
        let name = kind.name();
        let file = directory.join(format!("{name}-{}.conf", address.port()));
        let (log, pem) = (directory.join(format!("{name}.log")), pem.display());
        let (text, mut command) = match kind {
            Kind::Haproxy => {
                let mut command = Command::new("haproxy");
                command.args(["-db", "-f"]).arg(&file);
                (
                    format!(
                        "global\n nbthread 1\n maxconn 4000\n tune.ssl.default-dh-param 2048\ndefaults\n mode tcp\n timeout connect \
                         5s\n timeout client 120s\n timeout server 120s\nlisten p\n bind {address} ssl crt {pem}\n server s {host} ssl \
                         verify none\n"
                    ),
                    command,
                )
            }
            Kind::Stunnel => {
                let between = StdListener::bind("127.0.0.1:0")?.local_addr()?;
                let mut command = Command::new("stunnel4");
                command.arg(&file);
                (
                    format!(
                        "foreground = yes\npid =\ndebug = 3\nsessionCacheSize = 1000\nsocket = l:TCP_NODELAY=1\nsocket = \
                         r:TCP_NODELAY=1\n[in]\nclient = no\naccept = {address}\nconnect = {between}\ncert = {pem}\n[out]\nclient = \
                         yes\naccept = {between}\nconnect = {host}\n"
                    ),
                    command,
                )
            }
            Kind::Rdpscope => {
                let pin: String = Sha256::digest(certificate(pem.to_string().as_ref())?)
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                let events = directory.join("events.jsonl");
                let mut command = Command::new(rdpscope);
                command.args(["run", "--config"]).arg(&file);
                (
                    format!(
                        "[[listener]]\nlisten = \"{address}\"\nupstream = \"{host}\"\nmax_sessions_per_client = 4000\n\
                         [listener.bridge]\nmode = \"always\"\npin = [\"sha256:{pin}\"]\ncertificate = \"{pem}\"\nprivate_key = \
                         \"{pem}\"\n[probe]\nmode = \"off\"\n[events]\npath = \"{}\"\n[admin]\nlisten = \"off\"\n",
                        events.display()
                    ),
                    command,
                )
            }
        };
        std::fs::write(&file, text)?;
        let log = std::fs::File::create(log)?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut proxy = Proxy { child, address };
        let begun = std::time::Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            if begun.elapsed() > PATIENCE || proxy.child.try_wait()?.is_some() {
                return Err(format!("{name} does not listen: see its configuration in {}", file.display()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // One that has ended already is waited for all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A host.
struct Host {
    address: SocketAddr,
    /// Handshakes that it has completed.
    completed: Arc<AtomicUsize>,
}

/// TLS at once, one byte that says what is wanted, one that says that it comes.
async fn host(pem: &Path, resumes: bool) -> Result<Host> {
    let chain = vec![certificate(pem)?];
    let key = PrivateKeyDer::from_pem_file(pem)?;
    let builder = ServerConfig::builder_with_provider(x25519()).with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    if resumes {
        config.ticketer = Ticketer::new()?;
    } else {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await?);
    let address = listener.local_addr()?;
    let completed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&completed);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                socket.set_nodelay(true)?;
                let mut stream = acceptor.accept(socket).await?;
                count.fetch_add(1, Relaxed);
                let what = stream.read_u8().await?;
                stream.write_all(b"!").await?;
                let data = vec![7; 256 << 10];
                for _ in 0..if what == b'B' { BULK / data.len() } else { 0 } {
                    stream.write_all(&data).await?;
                }
                stream.flush().await?;
                // Until its client leaves.
                let _ = stream.read_u8().await;
                io::Result::Ok(())
            });
        }
    });
    Ok(Host { address, completed })
}

fn client_config(resumes: bool) -> Arc<ClientConfig> {
    // The clients take whoever answers: their cost is not measured.
    let verifier = Arc::new(AnyCertificate);
    let builder = ClientConfig::builder_with_provider(x25519()).with_protocol_versions(&[&rustls::version::TLS13]);
    let mut config =
        builder.expect("TLS 1.3").dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.resumption = if resumes { Resumption::in_memory_sessions(256) } else { Resumption::disabled() };
    Arc::new(config)
}

/// No post-quantum share: OpenSSL 3.0 has none.
fn x25519() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { kx_groups: vec![X25519], ..CryptoProvider::clone(&provider()) })
}

fn make_pair(directory: &Path) -> Result<PathBuf> {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    let certificate = CertificateParams::new(["host.test".to_owned()])?.self_signed(&key)?;
    let file = directory.join("pair.pem");
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
    io::Write::write_all(&mut out, format!("{}{}", certificate.pem(), key.serialize_pem()).as_bytes())?;
    Ok(file)
}

fn certificate(pem: &Path) -> Result<CertificateDer<'static>> {
    Ok(CertificateDer::from_pem_file(pem)?)
}
