//! A real client: `openssl s_client` behind a small adaptor that says the Connection Request for it and shows both
//! directions to the tracker, as the proxy does.

use parser::Timestamp;
use parser::profile::RecordedHello;
use parser::session::{Close, CloseKind, Closer, Limits, Peer, Phase, Session, Timeline, UpstreamEvent};
use parser::wire::{Protocols, TlsVersion, connection_request};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// How `s_client` is started.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) min: &'static str,
    pub(crate) max: &'static str,
    /// Suites below TLS 1.3, in OpenSSL's names; its defaults if not set.
    pub(crate) cipher: Option<&'static str>,
    pub(crate) groups: Option<&'static str>,
}

/// One connection of a client.
pub(crate) struct Visit {
    /// The client's handshake was complete.
    pub(crate) established: bool,
    /// What the client said.
    pub(crate) words: String,
    pub(crate) timeline: Timeline,
    /// Its hello, when no ServerHello came.
    pub(crate) hello: Option<RecordedHello>,
}

impl Visit {
    /// The same, cut off by a reset of the host behind the ClientHello.
    pub(crate) fn reset_at_hello(&self) -> Visit {
        let at = self.timeline.client_hello.as_ref().expect("a hello").at;
        let mut timeline = self.timeline.clone();
        timeline.server_hello = None;
        timeline.certificate = None;
        timeline.tls = Default::default();
        timeline.progress = Default::default();
        timeline.alerts.clear();
        timeline.phases = Default::default();
        timeline.phases.enter(Phase::TlsHello, at);
        timeline.closes = vec![Close { by: Closer::Host, kind: CloseKind::Rst, at }];
        Visit { established: false, words: String::new(), timeline, hello: None }
    }
}

enum Seen {
    Bytes(Vec<u8>),
    Closed(CloseKind),
}

impl Client {
    /// TLS 1.2 and 1.3 with OpenSSL's defaults.
    pub(crate) fn current() -> Client {
        Client { min: "TLSv1.2", max: "TLSv1.3", cipher: None, groups: None }
    }

    /// With what `change` says of OpenSSL clients and of xfreerdp.
    pub(crate) fn changed(&self, change: &str) -> Client {
        let mut changed = self.clone();
        for version in ["TLSv1.2", "TLSv1.3"] {
            if change.contains(&format!("that holds {version}")) {
                changed.min = changed.min.min(version);
                changed.max = changed.max.max(version);
            }
        }
        if let Some((_, rest)) = change.split_once("`/tls-ciphers:") {
            let added = rest.split('`').next().unwrap_or_default();
            changed.cipher = Some(match changed.cipher {
                Some(list) => Box::leak(format!("{list}:{added}").into_boxed_str()),
                None => Box::leak(added.to_owned().into_boxed_str()),
            });
        }
        changed
    }

    /// Connects to an RDP host and ends after the handshake.
    pub(crate) fn visit(&self, host: SocketAddr) -> Visit {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let mut command = Command::new("openssl");
        command.args([
            "s_client",
            "-brief",
            "-connect",
            &format!("127.0.0.1:{port}"),
            "-servername",
            "rdp-host.lab.test",
        ]);
        command.args(["-min_protocol", self.min, "-max_protocol", self.max]);
        for (flag, list) in [("-cipher", self.cipher), ("-groups", self.groups)] {
            if let Some(list) = list {
                command.args([flag, list]);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let program = command.spawn().expect("openssl starts");
        let (client, _) = listener.accept().expect("s_client connects");
        let (timeline, hello) = carry(client, host);
        let output = program.wait_with_output().expect("openssl ends");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        Visit { established: words.contains("CONNECTION ESTABLISHED"), words, timeline, hello }
    }
}

/// Carries one connection to its end, with a Connection Request before it.
fn carry(mut client: TcpStream, address: SocketAddr) -> (Timeline, Option<RecordedHello>) {
    let mut session = Session::new(now(), Limits::default());
    session.upstream(UpstreamEvent::Connecting(address), now());
    let mut host = TcpStream::connect(address).expect("the host listens");
    session.upstream(UpstreamEvent::Connected(address), now());
    let request = connection_request(Some(Protocols(1)));
    session.data(Peer::Client, &request, now());
    host.write_all(&request).expect("the host reads");
    let mut confirm = [0; 19];
    host.read_exact(&mut confirm).expect("the host confirms");
    session.data(Peer::Host, &confirm, now());
    let (sender, seen) = mpsc::channel();
    for (peer, stream) in [(Peer::Client, &client), (Peer::Host, &host)] {
        let (stream, sender) = (stream.try_clone().expect("a handle"), sender.clone());
        std::thread::spawn(move || read(stream, &sender, peer));
    }
    drop(sender);
    let mut message = None;
    while let Ok((peer, what)) = seen.recv_timeout(PATIENCE) {
        let other = if peer == Peer::Client { &mut host } else { &mut client };
        match what {
            Seen::Bytes(bytes) => {
                session.data(peer, &bytes, now());
                if peer == Peer::Client && message.is_none() {
                    message = session.take_client_hello();
                }
                let _ = other.write_all(&bytes);
            }
            Seen::Closed(kind) => {
                let by = if peer == Peer::Client { Closer::Client } else { Closer::Host };
                session.closed(by, kind, now());
                let _ = other.shutdown(Shutdown::Write);
            }
        }
    }
    let hello = message.map(|message| RecordedHello {
        tls_first: false,
        protocols: Some(Protocols(1)),
        record_version: TlsVersion::TLS10,
        message: message.to_vec(),
    });
    (session.finish(), hello)
}

fn read(mut stream: TcpStream, sender: &mpsc::Sender<(Peer, Seen)>, peer: Peer) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let (seen, over) = match stream.read(&mut buffer) {
            Ok(0) => (Seen::Closed(CloseKind::Fin), true),
            Ok(count) => (Seen::Bytes(buffer[..count].to_vec()), false),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => (Seen::Closed(CloseKind::Rst), true),
        };
        if sender.send((peer, seen)).is_err() || over {
            return;
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    Timestamp(u64::try_from(since.as_nanos()).expect("before 2554"))
}
