//! What a bridged session costs beside HAProxy with TLS on both sides, in one run.
//!
//! ```sh
//! cargo build --release && cargo bench --bench bridge                       # every row, nine rounds
//! cargo bench --bench bridge -- --rounds 5 --rdpscope target/release/rdpscope
//! ```
//!
//! The same ends for all, and everybody on one core: TLS 1.3 from the first byte, RSA-2048, X25519, one pair for the host and whoever stands before it. Each
//! of the proxies checks that the host holds its key. Their turns change from round to round; a figure is the processor time of the
//! proxy (all threads), as the median of the ratios of the same round with its 95 % bootstrap interval. Everything
//! stays on loopback; a proxy that is not installed is left out. Figures and the machine stand in `benches/README.md`.

#[allow(dead_code)]
#[path = "compare/cost.rs"]
mod cost;
#[allow(dead_code)]
#[path = "compare/statistics.rs"]
mod statistics;

use cost::Processes;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rdpscope::tls_provider::provider;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, kx_group::X25519};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest, Sha256};
use statistics::estimate;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// No answer of anybody takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections of a window, and how many at a time.
const CONNECTIONS: usize = 160;
const AT_A_TIME: usize = 8;
/// Bytes of a window of the bulk row, in one connection.
const BULK: usize = 192 << 20;
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
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let (mut rounds, mut rdpscope) = (9, PathBuf::from("target/release/rdpscope"));
    for pair in arguments.chunks(2) {
        match pair {
            [name, value] if name == "--rounds" => rounds = value.parse()?,
            [name, value] if name == "--rdpscope" => rdpscope = PathBuf::from(value),
            _ => return Err("usage: cargo bench --bench bridge -- [--rounds N] [--rdpscope FILE]".into()),
        }
    }
    if !rdpscope.exists() {
        return Err(format!("{}: not there: `cargo build --release` first", rdpscope.display()).into());
    }
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bridge-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let pem = make_pair(&directory)?;
    println!("| row | {} |", NAMES.map(|name| format!("{name}: median | ratio to haproxy (95 %)")).join(" | "));
    println!("|---|{}", "---|---|".repeat(NAMES.len()));
    for row in [Row::Full, Row::Resumed, Row::Bulk, Row::Idle] {
        measure(row, rounds, &rdpscope, &directory, &pem).await?;
    }
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

const NAMES: [&str; 2] = ["haproxy", "rdpscope"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// One whole handshake on each leg.
    Full,
    /// Both legs take up an earlier session.
    Resumed,
    /// From the host to the client.
    Bulk,
    /// Held, with nothing to do.
    Idle,
}

impl Row {
    fn text(self, value: f64) -> String {
        match self {
            Row::Full | Row::Resumed => format!("{value:.0} µs"),
            Row::Bulk => format!("{value:.3} s/GB"),
            Row::Idle => format!("{value:.1} KiB"),
        }
    }
}

/// One row: all rounds, then a line.
async fn measure(row: Row, rounds: usize, rdpscope: &Path, directory: &Path, pem: &Path) -> Result<()> {
    let host = host(pem, row == Row::Resumed).await?;
    let haproxy = Command::new("haproxy").arg("-v").stdin(Stdio::null()).output().is_ok_and(|out| out.status.success());
    let mut figures: [Vec<f64>; 2] = Default::default();
    let mut proxies = Vec::new();
    for (number, name) in NAMES.into_iter().enumerate().filter(|(_, name)| haproxy || *name == "rdpscope") {
        proxies.push((number, Proxy::start(name, host, rdpscope, directory, pem)?));
    }
    for round in 0..rounds {
        let count = proxies.len();
        proxies.rotate_left(round % count);
        for (number, proxy) in &mut proxies {
            if row == Row::Idle {
                // Memory that earlier work has left behind would hide what is asked for.
                *proxy = Proxy::start(NAMES[*number], host, rdpscope, directory, pem)?;
            }
            figures[*number].push(window(row, proxy).await?);
        }
    }
    let ratios: Vec<f64> = figures[1].iter().zip(&figures[0]).map(|(ours, theirs)| ours / theirs).collect();
    let cell = |values: &[f64]| estimate(values).map_or("-".to_owned(), |it| row.text(it.median));
    let ratio =
        estimate(&ratios).map_or("-".to_owned(), |it| format!("{:.2} ({:.2} to {:.2})", it.median, it.low, it.high));
    println!("| {row:?} | {} | 1 | {} | {ratio} |", cell(&figures[0]), cell(&figures[1]));
    Ok(())
}

/// What one window costs: µs per connection, seconds per GB, or KiB per session.
async fn window(row: Row, proxy: &Proxy) -> Result<f64> {
    let config = client_config(row == Row::Resumed);
    // Everything that is made once, and the tickets of a session to be resumed.
    for _ in 0..AT_A_TIME {
        open(proxy.address, &config, b'b').await?;
    }
    let processes = Processes::of(proxy.child.id());
    let before = processes.nanoseconds();
    match row {
        Row::Full | Row::Resumed => {
            let lane = || async {
                for _ in 0..CONNECTIONS / AT_A_TIME {
                    open(proxy.address, &config, b'b').await?;
                }
                Result::Ok(())
            };
            futures_util::future::try_join_all((0..AT_A_TIME).map(|_| lane())).await?;
            Ok((processes.nanoseconds() - before) as f64 / 1e3 / CONNECTIONS as f64)
        }
        Row::Bulk => {
            let mut stream = open(proxy.address, &config, b'B').await?;
            let (mut left, mut buffer) = (BULK, vec![0; 64 << 10]);
            while left > 0 {
                let count = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await??;
                left = left.checked_sub(count).filter(|_| count > 0).ok_or("the host's bytes did not come across")?;
            }
            Ok((processes.nanoseconds() - before) as f64 / BULK as f64)
        }
        Row::Idle => {
            let before = processes.private_memory();
            let mut held = Vec::new();
            for _ in 0..IDLE {
                held.push(open(proxy.address, &config, b'b').await?);
            }
            Ok(processes.private_memory().saturating_sub(before) as f64 / 1024.0 / IDLE as f64)
        }
    }
}

/// A session, up: asked for `what` and answered.
async fn open(at: SocketAddr, config: &Arc<ClientConfig>, what: u8) -> Result<TlsStream<TcpStream>> {
    let up = async {
        let socket = TcpStream::connect(at).await?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("host.test").map_err(io::Error::other)?;
        let mut stream = TlsConnector::from(Arc::clone(config)).connect(name, socket).await?;
        stream.write_all(&[what]).await?;
        stream.read_exact(&mut [0]).await?;
        io::Result::Ok(stream)
    };
    Ok(tokio::time::timeout(PATIENCE, up).await??)
}

/// One of the proxies; it ends with its handle.
struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Proxy {
    fn start(name: &str, host: SocketAddr, rdpscope: &Path, directory: &Path, pem: &Path) -> Result<Proxy> {
        let address = StdListener::bind("127.0.0.1:0")?.local_addr()?;
        let file = directory.join(format!("{name}-{}.conf", address.port()));
        let (pem, log) = (pem.display(), directory.join(format!("{name}.log")));
        let mut command = if name == "haproxy" {
            std::fs::write(
                &file,
                format!(
                    "global\n nbthread 1\n maxconn 4000\n tune.ssl.default-dh-param 2048\ndefaults\n mode tcp\n timeout connect 5s\n \
                     timeout client 120s\n timeout server 120s\nlisten p\n bind {address} ssl crt {pem}\n server s {host} ssl verify none\n"
                ),
            )?;
            let mut command = Command::new("haproxy");
            command.args(["-db", "-f"]).arg(&file);
            command
        } else {
            let pin: String = Sha256::digest(certificate(pem.to_string().as_ref())?)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let events = directory.join("events.jsonl");
            std::fs::write(
                &file,
                format!(
                    "[[listener]]\nlisten = \"{address}\"\nupstream = \"{host}\"\nmax_sessions_per_client = 4000\n[listener.bridge]\n\
                     mode = \"always\"\npin = [\"sha256:{pin}\"]\ncertificate = \"{pem}\"\nprivate_key = \"{pem}\"\n[probe]\nmode = \"off\"\n\
                     [events]\npath = \"{}\"\n[admin]\nlisten = \"off\"\n",
                    events.display()
                ),
            )?;
            let mut command = Command::new(rdpscope);
            command.args(["run", "--config"]).arg(&file);
            command
        };
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

/// A host: TLS at once, one byte that says what is wanted, one that says that it comes.
async fn host(pem: &Path, resumes: bool) -> Result<SocketAddr> {
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
    // Its own threads: what the ends do is not to wait for each other.
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                socket.set_nodelay(true)?;
                let mut stream = acceptor.accept(socket).await?;
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
    Ok(address)
}

fn client_config(resumes: bool) -> Arc<ClientConfig> {
    let provider = x25519();
    let verifier = Arc::new(Anybody(Arc::clone(&provider)));
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
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

/// The clients take whoever answers: their cost is not measured.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
