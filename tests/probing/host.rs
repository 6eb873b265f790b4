//! Hosts behind X.224: rustls with a known ability, and ways to refuse.

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::Acceptor;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::io::Cursor;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const NAME: &str = "rds01.example.net";

/// What a side speaks: versions, and a part of the name of each suite up to TLS 1.2 that is allowed.
#[derive(Clone, Copy)]
pub(crate) struct Speaks {
    pub(crate) versions: &'static [&'static SupportedProtocolVersion],
    pub(crate) suites: &'static str,
    /// A part of the name of each group.
    pub(crate) groups: &'static str,
}

pub(crate) static TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
pub(crate) static TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
pub(crate) static BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// Everything that rustls has.
pub(crate) const ALL: Speaks = Speaks { versions: BOTH, suites: "", groups: "" };

/// A kind of key.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Key {
    Rsa,
    Ecdsa,
}

static RSA: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap());

/// What a host does with the next hellos.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Manner {
    /// As rustls does, but a refusal is a reset without an alert.
    Silent,
    /// The first so many hellos are reset, whatever they are.
    ResetsFirst(usize),
    /// Every hello is reset: a key that cannot be used.
    Dead,
    /// Every second one is: a dead host and a healthy one behind a balancer that takes them in turn.
    HalfDead,
}

/// A host.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    hellos: Arc<AtomicUsize>,
    open: Arc<Open>,
    task: tokio::task::AbortHandle,
}

#[derive(Default)]
struct Open {
    now: AtomicUsize,
    most: AtomicUsize,
    total: AtomicUsize,
}

/// A connection that is open.
struct Here(Arc<Open>);

impl Here {
    fn enter(open: &Arc<Open>) -> Here {
        open.total.fetch_add(1, SeqCst);
        open.most.fetch_max(open.now.fetch_add(1, SeqCst) + 1, SeqCst);
        Here(Arc::clone(open))
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, SeqCst);
    }
}

impl Host {
    pub(crate) async fn new(speaks: Speaks, key: Key, manner: Manner) -> Host {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Arc::new(Mutex::new(server(speaks, key)));
        let (hellos, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(Open::default()));
        let task = {
            let (config, hellos, open) = (Arc::clone(&config), Arc::clone(&hellos), Arc::clone(&open));
            tokio::spawn(async move {
                while let Ok((socket, _)) = listener.accept().await {
                    let here = Here::enter(&open);
                    let (config, hellos) = (Arc::clone(&config), Arc::clone(&hellos));
                    tokio::spawn(async move {
                        let _ = serve(socket, here, &config, &hellos, manner).await;
                    });
                }
            })
        };
        Host { address, config, hellos, open, task: task.abort_handle() }
    }

    /// Another ability from now on.
    pub(crate) fn becomes(&self, speaks: Speaks, key: Key) {
        *self.config.lock().unwrap() = server(speaks, key);
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.open.total.load(SeqCst)
    }

    /// Most connections that were open at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.open.most.load(SeqCst)
    }

    /// Hellos so far.
    pub(crate) fn hellos(&self) -> usize {
        self.hellos.load(SeqCst)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut socket: TcpStream,
    here: Here,
    config: &Mutex<Arc<ServerConfig>>,
    hellos: &AtomicUsize,
    manner: Manner,
) -> std::io::Result<()> {
    // Dropped before the socket: whoever sees it closed may count on the place being free.
    let _here = here;
    let mut header = [0; 4];
    socket.read_exact(&mut header).await?;
    let mut rest = vec![0; usize::from(u16::from_be_bytes([header[2], header[3]])).saturating_sub(4)];
    socket.read_exact(&mut rest).await?;
    // Connection Confirm with RDP_NEG_RSP that selects SSL. [MS-RDPBCGR] 2.2.1.2
    socket.write_all(b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\x1f\x08\0\x01\0\0\0").await?;
    let mut acceptor = Acceptor::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = socket.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        acceptor.read_tls(&mut Cursor::new(&buffer[..count]))?;
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let number = hellos.fetch_add(1, SeqCst);
                let refused = match manner {
                    Manner::Dead => true,
                    Manner::HalfDead => number.is_multiple_of(2),
                    Manner::ResetsFirst(count) => number < count,
                    Manner::Silent => false,
                };
                let config = Arc::clone(&config.lock().unwrap());
                let connection = if refused { None } else { accepted.into_connection(config).ok() };
                let Some(mut connection) = connection else {
                    socket.set_zero_linger()?;
                    return Ok(());
                };
                let mut flight = Vec::new();
                while connection.wants_write() {
                    connection.write_tls(&mut flight)?;
                }
                socket.write_all(&flight).await?;
                // Whoever asked has its answer; a client would go on from here, and that is not what is tested.
                while socket.read(&mut buffer).await? > 0 {}
                return Ok(());
            }
            Err((_, mut alert)) => {
                // A hello that rustls cannot even read: old versions, odd suites. Windows resets.
                let mut bytes = Vec::new();
                let _ = alert.write_all(&mut bytes);
                socket.set_zero_linger()?;
                hellos.fetch_add(1, SeqCst);
                return Ok(());
            }
        }
    }
}

fn provider(speaks: Speaks) -> Arc<CryptoProvider> {
    let mut provider = CryptoProvider::clone(&rdpscope::tls_provider::provider());
    provider
        .cipher_suites
        .retain(|suite| suite.tls13().is_some() || format!("{:?}", suite.suite()).contains(speaks.suites));
    provider.kx_groups.retain(|group| format!("{:?}", group.name()).contains(speaks.groups));
    Arc::new(provider)
}

fn server(speaks: Speaks, key: Key) -> Arc<ServerConfig> {
    let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    let ecdsa;
    let key = match key {
        Key::Rsa => &*RSA,
        Key::Ecdsa => {
            ecdsa = KeyPair::generate().unwrap();
            &ecdsa
        }
    };
    let certificate = params.self_signed(key).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider(speaks))
        .with_protocol_versions(speaks.versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    Arc::new(config)
}

/// A client connects, negotiates, sends its hello, and is done when an answer or the end comes.
pub(crate) async fn visit(front: SocketAddr, speaks: Speaks) {
    let mut socket = TcpStream::connect(front).await.unwrap();
    // Connection Request that asks for TLS. [MS-RDPBCGR] 2.2.1.1
    socket.write_all(b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x01\0\0\0").await.unwrap();
    let mut confirm = [0; 19];
    socket.read_exact(&mut confirm).await.unwrap();
    let config = ClientConfig::builder_with_provider(provider(speaks))
        .with_protocol_versions(speaks.versions)
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), ServerName::try_from(NAME).unwrap()).unwrap();
    let mut hello = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut hello).unwrap();
    }
    socket.write_all(&hello).await.unwrap();
    // A reset is an end like any other here.
    let _ = socket.read(&mut [0; 1024]).await;
}
