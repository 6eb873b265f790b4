//! Real hosts with known ability: TLS servers behind a small X.224 front, and xrdp. Each ends with the value that holds it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Programs that the hosts are made of; `tests/install-peers.sh` installs them.
const PROGRAMS: [&str; 6] = ["openssl", "gnutls-serv", "xrdp", "freerdp-shadow-cli", "winpr-hash", "Xvfb"];

/// False under `./test --quick`; elsewhere the programs have to be there.
pub(crate) fn peers_wanted() -> bool {
    if std::env::var_os("RDPSCOPE_TEST_QUICK").is_some() {
        println!("left out: needs {}", PROGRAMS.join(", "));
        return false;
    }
    for program in PROGRAMS {
        assert!(find(program).is_some(), "{program} is not installed: run tests/install-peers.sh");
    }
    true
}

/// Where a program is; xrdp lives in a directory that a user's PATH may lack.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin", "/sbin"]).map(|dir| Path::new(dir).join(program)).find(|file| file.is_file())
}

/// A host at work.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    /// Connections that came through the front.
    pub(crate) connections: Arc<AtomicU32>,
    process: Process,
    /// The display of a host that shares one; ends after it.
    _screen: Option<Process>,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Its whole group: xrdp has a child per connection.
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

impl Host {
    /// `openssl s_server` behind a front, with the certificate `pair` and these options.
    pub(crate) fn openssl(pair: &str, options: &[&str]) -> Host {
        let port = free_port();
        Host::behind_a_front(s_server(pair, options, port), port)
    }

    /// `openssl s_server` that speaks first, as a gateway does, and its port.
    pub(crate) fn bare_openssl(pair: &str, options: &[&str]) -> (Host, u16) {
        let port = free_port();
        let process = start(s_server(pair, options, port), port);
        (
            Host { address: (Ipv4Addr::LOCALHOST, port).into(), connections: Arc::default(), process, _screen: None },
            port,
        )
    }

    /// `gnutls-serv` behind a front.
    pub(crate) fn gnutls(pair: &str, priority: &str) -> Host {
        let port = free_port();
        let mut command = Command::new("gnutls-serv");
        command.args(["-q", "--disable-client-cert", "--port", &port.to_string(), "--priority", priority]);
        command.arg("--x509certfile").arg(certificate(pair, "crt")).arg("--x509keyfile").arg(certificate(pair, "key"));
        Host::behind_a_front(command, port)
    }

    /// xrdp with these lines in `[Globals]`.
    pub(crate) fn xrdp(pair: (&str, &str), lines: &str) -> Host {
        let port = free_port();
        let (certificate, key) = (certificate(pair.0, "crt"), certificate(pair.1, "key"));
        let ini = scratch().join(format!("xrdp-{port}.ini"));
        let text = format!(
            "[Globals]\nini_version=1\nfork=true\nport=tcp://127.0.0.1:{port}\nuse_vsock=false\ntcp_nodelay=true\n\
             security_layer=tls\ncrypt_level=high\ncertificate={}\nkey_file={}\n{lines}\nautorun=\nallow_channels=true\n\
             max_bpp=32\n[Logging]\nLogFile={}\nLogLevel=WARNING\nEnableSyslog=false\n[Channels]\nrdpdr=true\n\
             [Xorg]\nname=Xorg\nlib=libnone.so\nusername=na\npassword=ask\nip=127.0.0.1\nport=1\n",
            certificate.display(),
            key.display(),
            scratch().join(format!("xrdp-{port}.log")).display()
        );
        std::fs::write(&ini, text).expect("xrdp.ini is written");
        let mut command = Command::new(find("xrdp").expect("installed"));
        command.arg("--nodaemon").arg("--config").arg(ini).env("OPENSSL_CONF", scratch().join("legacy.cnf"));
        let process = start(command, port);
        Host { address: (Ipv4Addr::LOCALHOST, port).into(), connections: Arc::default(), process, _screen: None }
    }

    /// FreeRDP's shadow server; `layer` is `nla`, `tls` or `rdp`.
    pub(crate) fn shadow(layer: &str) -> Host {
        let port = free_port();
        let (screen, display) = screen();
        let (home, sam) = (scratch().join(format!("shadow-{port}")), scratch().join(format!("sam-{port}")));
        std::fs::create_dir_all(&home).expect("a directory");
        let user = Command::new("winpr-hash").args(["-u", "lab", "-p", "lab", "-f", "sam"]).output().expect("it runs");
        std::fs::write(&sam, user.stdout).expect("written");
        let mut command = Command::new("freerdp-shadow-cli");
        command.arg(format!("/port:{port}")).arg("/bind-address:127.0.0.1").arg(format!("/sec:{layer}"));
        command.arg(format!("/sam-file:{}", sam.display())).env("HOME", home).env("DISPLAY", display);
        let process = start(command, port);
        let address = (Ipv4Addr::LOCALHOST, port).into();
        Host { address, connections: Arc::default(), process, _screen: Some(screen) }
    }

    fn behind_a_front(command: Command, port: u16) -> Host {
        let process = start(command, port);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let (address, connections) = (listener.local_addr().expect("bound"), Arc::new(AtomicU32::new(0)));
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || front(client, port));
            }
        });
        Host { address, connections, process, _screen: None }
    }

    /// Both in turn, as a load balancer without a memory gives them out.
    pub(crate) fn in_turn(hosts: &[Host; 2]) -> SocketAddr {
        let addresses = hosts.each_ref().map(|host| host.address);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            for (client, host) in listener.incoming().flatten().zip(addresses.into_iter().cycle()) {
                std::thread::spawn(move || to_and_fro(client, TcpStream::connect(host).ok()?));
            }
        });
        address
    }

    /// A path to the host that loses the ClientHello of one connection, the so-many-th.
    pub(crate) fn behind_a_path_that_loses(&self, number: usize) -> SocketAddr {
        let host = self.address;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            for (before, client) in listener.incoming().flatten().enumerate() {
                let pass = if before + 1 == number { lose_the_hello } else { to_and_fro };
                std::thread::spawn(move || pass(client, TcpStream::connect(host).ok()?));
            }
        });
        address
    }

    /// It has not ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.process.0.try_wait(), Ok(None))
    }
}

fn s_server(pair: &str, options: &[&str], port: u16) -> Command {
    let mut command = Command::new("openssl");
    command.args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}")]);
    command.arg("-cert").arg(certificate(pair, "crt")).arg("-key").arg(certificate(pair, "key")).args(options);
    command.env("OPENSSL_CONF", scratch().join("legacy.cnf"));
    command
}

/// Answers the Connection Request as a host that has TLS alone, then hands the connection to the server on `port`.
fn front(mut client: TcpStream, port: u16) -> Option<()> {
    let mut header = [0; 4];
    client.read_exact(&mut header).ok()?;
    let mut rest = vec![0; usize::from(header[3].checked_sub(4)?)];
    client.read_exact(&mut rest).ok()?;
    let confirm = |negotiation: [u8; 8]| [&[3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0][..], &negotiation].concat();
    match rest.get(11) {
        Some(protocols) if protocols & 1 != 0 => client.write_all(&confirm([2, 0, 8, 0, 1, 0, 0, 0])).ok()?,
        // SSL_REQUIRED_BY_SERVER
        _ => return client.write_all(&confirm([3, 0, 8, 0, 1, 0, 0, 0])).ok(),
    }
    to_and_fro(client, TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?)
}

fn to_and_fro(client: TcpStream, server: TcpStream) -> Option<()> {
    let (from_client, to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    std::thread::spawn(move || pass(from_client, to_server));
    pass(server, client);
    Some(())
}

/// A Connection Request comes in one piece, and nothing more before its answer.
fn lose_the_hello(mut client: TcpStream, mut server: TcpStream) -> Option<()> {
    let mut request = [0; 512];
    let length = client.read(&mut request).ok()?;
    server.write_all(&request[..length]).ok()?;
    let back = client.try_clone().ok()?;
    std::thread::spawn(move || pass(server, back));
    std::io::copy(&mut client, &mut std::io::sink()).ok().map(|_| ())
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

fn start(mut command: Command, port: u16) -> Process {
    let log = scratch().join(format!("server-{port}.log"));
    let out = std::fs::File::create(&log).expect("a log");
    let err = out.try_clone().expect("a log");
    command.process_group(0).stdin(Stdio::piped()).stdout(out).stderr(err);
    let mut process = Process(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")));
    let end = Instant::now() + Duration::from_secs(20);
    while !listens(port) {
        let ended = process.0.try_wait().ok().flatten();
        let text = || std::fs::read_to_string(&log).unwrap_or_default();
        assert!(ended.is_none() && Instant::now() < end, "{command:?} does not listen: {}", text());
        std::thread::sleep(Duration::from_millis(5));
    }
    process
}

/// An X server that picks a free display itself, and says which once it is ready.
fn screen() -> (Process, String) {
    let mut command = Command::new("Xvfb");
    command.args(["-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp", "-noreset"]);
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = Process(command.spawn().expect("Xvfb runs"));
    let mut number = String::new();
    let out = process.0.stdout.take().expect("piped");
    BufReader::new(out).read_line(&mut number).expect("a number");
    (process, format!(":{}", number.trim()))
}

/// From the kernel's table: a trial connection would be one more for the host under test.
fn listens(port: u16) -> bool {
    let wanted = format!(":{port:04X} ");
    ["tcp", "tcp6"].iter().any(|table| {
        let table = std::fs::read_to_string(format!("/proc/self/net/{table}")).unwrap_or_default();
        table.lines().any(|line| line.contains(&wanted) && line.contains(" 0A "))
    })
}

/// A port below the kernel's range for outgoing connections, given once.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id().wrapping_mul(331);
        let port = 13_000 + (step % 19_000) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// A file of one of the pairs `rsa ec rsa1024 sha1 garbage`.
pub(crate) fn certificate(pair: &str, kind: &str) -> PathBuf {
    scratch().join(format!("{pair}.{kind}"))
}

/// Certificates and logs of this run.
fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("probe-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        // Debian's defaults refuse what old hosts do.
        let legacy = "openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = defaults\n[defaults]\n\
                      MinProtocol = TLSv1\nCipherString = DEFAULT:@SECLEVEL=0\n";
        std::fs::write(dir.join("legacy.cnf"), legacy).expect("written");
        std::fs::write(dir.join("garbage.key"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
            .expect("written");
        for (name, key) in [
            ("rsa", &["-newkey", "rsa:2048"][..]),
            ("ec", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]),
            ("rsa1024", &["-newkey", "rsa:1024"]),
            ("sha1", &["-newkey", "rsa:2048", "-sha1"]),
        ] {
            let mut command = Command::new("openssl");
            command.args(["req", "-x509", "-nodes", "-days", "365", "-subj", "/CN=rdp-host.lab.test"]).args(key);
            command
                .arg("-keyout")
                .arg(dir.join(format!("{name}.key")))
                .arg("-out")
                .arg(dir.join(format!("{name}.crt")));
            let done = command.output().expect("openssl runs");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
        dir
    })
}
