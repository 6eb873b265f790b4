//! What changes when we are in the path, each point of the README's section shown once.

use crate::client::{Script, Then, tls};
use crate::expect::{failed, ok};
use crate::host::{Host, Running, Xrdp};
use crate::lab::{Lab, STARTUP, free_port, run, wait_until};
use crate::proxy::{Options, Proxy, action, at, text};
use crate::runner::{Case, Outcome, Row};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// For reads that must come to an end.
const LIMIT: Duration = Duration::from_secs(20);

/// One case per point.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("presence-refused-becomes-dropped", refused_becomes_dropped),
        Case::new("presence-host-sees-the-proxy", host_sees_the_proxy),
        Case::new("presence-keepalive", keepalive),
        Case::new("presence-udp-is-not-relayed", udp_is_not_relayed),
        Case::new("presence-documented-nft-rules", documented_rules),
        Case::new("presence-half-close", half_close),
        Case::new("presence-user-name-is-not-told", user_name_is_not_told),
        Case::new("presence-hanging-session-shows", hanging_session_shows),
    ]
}

fn start(lab: &Arc<Lab>, name: &str, upstream: u16) -> Result<Proxy> {
    Proxy::start(lab, &lab.room(name)?, &format!("127.0.0.1:{upstream}"), &Options::default())
}

/// Direct, a closed port is "cannot connect" (mstsc 0x204). Behind us the connection is made, then reset (0x904).
fn refused_becomes_dropped(lab: &Arc<Lab>, direct_only: bool) -> Result<Outcome> {
    const NAME: &str = "presence-refused-becomes-dropped";
    let port = free_port();
    let direct = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    ensure!(direct.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused), "direct, no refusal");
    if direct_only {
        return Ok(Outcome::of(Row::note(NAME, "refused/-", "")));
    }
    let proxy = start(lab, NAME, port)?;
    let script = Script {
        first: b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x01\x00\x00\x00",
        then: Then::Wait,
    };
    let ended = script.run(proxy.address(), LIMIT)?;
    ensure!(ended.exit == crate::lab::Exit::Code(1), "behind the proxy: no reset of an accepted connection");
    let sessions = proxy.sessions(1)?;
    let event = sessions.first().context("no session")?;
    failed("tcp_refused", "host|network", "tcp").proven().check(event)?;
    for (path, code) in [("rdpscope.predicted.mstsc_direct", "0x204"), ("rdpscope.predicted.mstsc", "0x904")] {
        let predicted = at(event, path).to_string().to_lowercase();
        ensure!(predicted.contains(code), "{path} is {predicted}, without {code}");
    }
    Ok(Outcome::of(Row::new(NAME, &crate::lab::Exit::Code(30), &ended.exit, event)))
}

/// The host sees the proxy's address, not the client's.
fn host_sees_the_proxy(lab: &Arc<Lab>, direct_only: bool) -> Result<Outcome> {
    const NAME: &str = "presence-host-sees-the-proxy";
    let host = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = Ipv4Addr::new(127, 0, 0, 2);
    let connect = |to: SocketAddr| -> Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((client, 0)).into())?;
        socket.connect(&to.into())?;
        socket.send(b"\x03")?;
        Ok(socket)
    };
    let direct = connect(host.local_addr()?)?;
    ensure!(host.accept()?.1.ip() == client, "direct, the host does not see the client");
    drop(direct);
    if direct_only {
        return Ok(Outcome::of(Row::note(NAME, "127.0.0.2/-", "")));
    }
    let proxy = start(lab, NAME, host.local_addr()?.port())?;
    let through = connect(proxy.address())?;
    let (stream, seen) = host.accept()?;
    ensure!(seen.ip() == Ipv4Addr::LOCALHOST, "the host sees {seen}");
    drop((through, stream));
    let sessions = proxy.sessions(1)?;
    let told = sessions.first().map(|event| text(event, "client.ip")).unwrap_or_default();
    ensure!(told == "127.0.0.2", "the event names the client {told}");
    Ok(Outcome::of(Row::note(NAME, "127.0.0.2/127.0.0.1", "host sees the proxy, the event the client")))
}

/// Dead peers are the kernel's business: keep-alive is on for both legs.
fn keepalive(lab: &Arc<Lab>, direct_only: bool) -> Result<Outcome> {
    const NAME: &str = "presence-keepalive";
    if direct_only {
        return Ok(Outcome::skip("there is no direct half"));
    }
    let host = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let proxy = start(lab, NAME, host.local_addr()?.port())?;
    let mut client = TcpStream::connect(proxy.address())?;
    client.write_all(b"\x03")?;
    let _host_side = host.accept()?;
    let (listen, upstream) = (proxy.address().port(), host.local_addr()?.port());
    for filter in [format!("sport = :{listen}"), format!("dport = :{upstream}")] {
        // ss -o shows a timer only while it runs; right after data the retransmission timer may stand in its place.
        let shown = || {
            let text = run(Command::new("ss").args(["-Htno", "state", "established", &filter])).ok()?;
            text.contains("timer:(keepalive").then_some(())
        };
        wait_until(STARTUP, shown).with_context(|| format!("no keep-alive on {filter}"))?;
    }
    Ok(Outcome::of(Row::note(NAME, "-", "keep-alive on both legs")))
}

/// RDP's side channel over UDP does not pass: the client is told so at once and stays on TCP.
fn udp_is_not_relayed(lab: &Arc<Lab>, direct_only: bool) -> Result<Outcome> {
    const NAME: &str = "presence-udp-is-not-relayed";
    if direct_only {
        return Ok(Outcome::skip("there is no direct half"));
    }
    let host = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let proxy = start(lab, NAME, host.local_addr()?.port())?;
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    client.connect(proxy.address())?;
    client.set_read_timeout(Some(LIMIT))?;
    client.send(b"\xff\xff\xff\xff\x00\x40\x10\x01")?;
    let answer = client.recv(&mut [0; 64]);
    ensure!(
        answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused),
        "UDP to the listener's port gave {answer:?}"
    );
    Ok(Outcome::of(Row::note(NAME, "-", "port unreachable")))
}

/// Every nftables file that we ship, and every block that the README shows, is one that nft accepts.
fn documented_rules(lab: &Arc<Lab>, _: bool) -> Result<Outcome> {
    const NAME: &str = "presence-documented-nft-rules";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut rules = vec![];
    for entry in std::fs::read_dir(root.join("deploy/nftables"))? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "nft") {
            rules.push((file.display().to_string(), std::fs::read_to_string(&file)?));
        }
    }
    ensure!(!rules.is_empty(), "deploy/nftables has no rules for UDP 3389");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap_or_default();
    rules.extend(nft_blocks(&readme).into_iter().map(|block| ("README.md".to_owned(), block)));
    let copy = lab.room(NAME)?.join("rules.nft");
    for (origin, text) in &rules {
        std::fs::write(&copy, text)?;
        let check = Command::new("nft").arg("-c").arg("-f").arg(&copy).output()?;
        let said = String::from_utf8_lossy(&check.stderr).into_owned();
        if said.contains("Operation not permitted") {
            return Ok(Outcome::skip("nft may not talk to the kernel here; run as root"));
        }
        ensure!(check.status.success(), "nft refuses the rules of {origin}:\n{text}\n{said}");
    }
    Ok(Outcome::of(Row::note(NAME, "-", format!("{} rule sets accepted by nft", rules.len()))))
}

/// Fenced blocks with the language `nft` or `nftables`, or whose text is a table.
fn nft_blocks(markdown: &str) -> Vec<String> {
    let mut blocks = vec![];
    let mut fences = markdown.split("```");
    fences.next();
    while let Some(block) = fences.next() {
        let (language, body) = block.split_once('\n').unwrap_or((block, ""));
        if language.trim().starts_with("nft") || body.trim_start().starts_with("table ") {
            blocks.push(body.to_owned());
        }
        // The text up to the next opening fence.
        fences.next();
    }
    blocks
}

/// A FIN of one side passes as that, and the other side's bytes still arrive.
fn half_close(lab: &Arc<Lab>, direct_only: bool) -> Result<Outcome> {
    const NAME: &str = "presence-half-close";
    const SIZE: usize = 1 << 20;
    if direct_only {
        return Ok(Outcome::skip("there is no direct half"));
    }
    let host = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let proxy = start(lab, NAME, host.local_addr()?.port())?;
    // Not RDP, so nothing here depends on being understood; every value of a byte occurs.
    let sent: Vec<u8> = (0..SIZE).map(|index| (index * 31 % 251) as u8).collect();
    let echo = std::thread::spawn(move || -> std::io::Result<usize> {
        let (mut stream, _) = host.accept()?;
        let mut all = vec![];
        stream.read_to_end(&mut all)?;
        stream.write_all(&all)?;
        Ok(all.len())
    });
    let mut client = TcpStream::connect(proxy.address())?;
    client.set_read_timeout(Some(LIMIT))?;
    client.write_all(&sent)?;
    client.shutdown(std::net::Shutdown::Write)?;
    let mut back = vec![];
    client.read_to_end(&mut back)?;
    let Ok(received) = echo.join() else { bail!("the host panicked") };
    ensure!(received? == SIZE && back == sent, "{} bytes came back, not the {SIZE} sent", back.len());
    let sessions = proxy.sessions(1)?;
    let event = sessions.first().context("no session")?;
    let expect = failed("not_rdp", "any", "any").close("client/fin");
    let size = serde_json::json!(SIZE);
    expect.is("source.bytes", size.clone()).is("destination.bytes", size).check(event)?;
    Ok(Outcome::of(Row::note(NAME, "-", "1 MiB there, FIN, 1 MiB back")))
}

/// By default user names are hashed with a key, and nowhere in the log or in what is printed.
fn user_name_is_not_told(lab: &Arc<Lab>, direct_only: bool) -> Result<Outcome> {
    const NAME: &str = "presence-user-name-is-not-told";
    if direct_only {
        return Ok(Outcome::skip("there is no direct half"));
    }
    let (host, proxy) = healthy(lab, NAME)?;
    let client = crate::client::Client::Xfreerdp(vec!["/sec:tls", "+auth-only", "/u:wilhelmina"]);
    client.run(lab, &lab.room(NAME)?, proxy.address(), LIMIT)?;
    let sessions = proxy.sessions(1)?;
    let event = sessions.first().context("no session")?;
    ok().check(event)?;
    ensure!(!text(event, "rdp.cookie").is_empty(), "the cookie is not in the event at all");
    let told = format!("{}{}", event, proxy.output());
    ensure!(!told.contains("wilhelmi"), "the user's name is told:\n{told}");
    drop(host);
    Ok(Outcome::of(Row::note(NAME, "-", "rdp.cookie is a keyed hash")))
}

/// A session that hangs is visible while it hangs: its phase in the live list, its timeline by id.
fn hanging_session_shows(lab: &Arc<Lab>, direct_only: bool) -> Result<Outcome> {
    const NAME: &str = "presence-hanging-session-shows";
    if direct_only {
        return Ok(Outcome::skip("there is no direct half"));
    }
    let room = lab.room(NAME)?;
    let host = Host::Front(crate::host::Front::HangAfterHello).start(lab, &room)?;
    let options = Options { settings: Some(""), live_events: true, ..Options::default() };
    let proxy = Proxy::start(lab, &room, &format!("127.0.0.1:{}", host.port), &options)?;
    let mut client = tls(&[]).start(lab, &room, proxy.address())?;
    ensure!(proxy.wait_in_phase("tls_hello", 1.0, LIMIT), "no session in tls_hello in /metrics");
    let live = proxy.page("/api/sessions?state=live")?;
    ensure!(live.contains("tls_hello"), "/api/sessions does not show the phase: {live}");
    let shown = || proxy.events().ok()?.into_iter().find(|event| shows_phase(event, "tls_hello"));
    let event = wait_until(LIMIT, shown).context("no session_phase event while the session hangs")?;
    let id = text(&event, "session.id").to_owned();
    let timeline = proxy.page(&format!("/api/sessions/{id}"))?;
    ensure!(timeline.contains(&id) && timeline.contains("tls_hello"), "/api/sessions/{id} says {timeline}");
    client.stop();
    let sessions = proxy.sessions(1)?;
    let event = sessions.first().context("no session")?;
    failed(
        "client_left_before_server_hello|tls_handshake_timeout|large_clienthello_lost|mtu_blackhole",
        "any",
        "tls_hello",
    )
    .check(event)?;
    Ok(Outcome::of(Row::note(NAME, "-", "tls_hello in /metrics and /api/sessions while it hung")))
}

fn shows_phase(event: &Value, phase: &str) -> bool {
    action(event) == "session_phase" && text(event, "rdpscope.phase") == phase
}

fn healthy(lab: &Arc<Lab>, name: &str) -> Result<(Running, Proxy)> {
    let host = Host::Xrdp(Xrdp::tls()).start(lab, &lab.room(name)?)?;
    let proxy = start(lab, name, host.port)?;
    Ok((host, proxy))
}
