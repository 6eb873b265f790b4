//! What `rdpscope analyze --json` prints of a session, from the proxy's own file and from packets that tcpdump took on
//! either side of the proxy, beside the event that the proxy wrote: the same fields with the same values, but for those that
//! are named here with the reason.

use crate::bench::{Bench, pass, request, within};
use crate::kinds::{Kind, bench, nobody};
use crate::tools::left_out;
use rdpscope::record::SessionRecord;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Where the packets came from that were analysed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum View {
    /// The file that the proxy wrote.
    Own,
    /// tcpdump between client and proxy.
    ClientLeg,
    /// tcpdump between proxy and host.
    HostLeg,
}

use View::{ClientLeg, HostLeg, Own};

/// Fields that differ, or are in one of both alone; a name that ends in `.` stands for all below it. Each must be met.
const DIFFER: &[(&str, &[View], &str)] = &[
    ("rdpscope.file", ALL, "which file it was"),
    ("rdpscope.stream", ALL, "which connection of the file"),
    ("rdpscope.capture.path", ALL, "the live event names the file, the file does not name itself"),
    ("rdpscope.final", ALL, "live, the client's next connection may still change it; a file has no more of them"),
    ("@timestamp", ALL, "live, when the event was written; of a file, when the last thing in it happened"),
    ("event.duration", ALL, "until the proxy was done with both sockets; of a file, until the last thing in it"),
    ("rdpscope.stages_ms.", ALL, "each observer has his own clock and place, and the last phase lasts until the end"),
    (
        "rdp.cookie",
        ALL,
        "hashed with a key of the proxy's; its own file holds as much of the hash as the name was long",
    ),
    ("rdpscope.listener", DUMPS, "a listener is no address on the wire"),
    ("rdpscope.attempt.id", DUMPS, "named after the session's id"),
    ("session.id", DUMPS, "made of the time and of the addresses of the packets"),
    ("server.address", DUMPS, "the name that was looked up is not in these packets"),
    ("server.port", &[ClientLeg], "to the client the proxy is the host"),
    ("client.port", &[HostLeg], "to the host the proxy is the client"),
    ("network.community_id", &[HostLeg], "made of addresses and ports: those of the other leg"),
    ("rdpscope.tcp.", DUMPS, "the kernel's view of two sockets; of packets, what they show of the one connection"),
];

const ALL: &[View] = &[Own, ClientLeg, HostLeg];
const DUMPS: &[View] = &[ClientLeg, HostLeg];

/// Every leaf of an event by its name; lists are one value.
fn leaves(event: &Value) -> BTreeMap<String, Value> {
    fn walk(prefix: &str, object: &Map<String, Value>, into: &mut BTreeMap<String, Value>) {
        for (key, value) in object {
            let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                Value::Object(inner) => walk(&name, inner, into),
                value => _ = into.insert(name, value.clone()),
            }
        }
    }
    let mut leaves = BTreeMap::new();
    walk("", event.as_object().unwrap(), &mut leaves);
    leaves
}

/// The same with spans of time left out of sentences: each observer has his own clock and place.
fn timeless(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let mut words: Vec<&str> = text.split(' ').collect();
            for at in 1..words.len() {
                let unit = matches!(words[at].trim_end_matches([',', '.', ';']), "µs" | "ms" | "s" | "min" | "h");
                if unit && words[at - 1].parse::<f64>().is_ok() {
                    (words[at - 1], words[at]) = ("some", "time");
                }
            }
            Value::String(words.join(" "))
        }
        Value::Array(values) => Value::Array(values.iter().map(timeless).collect()),
        other => other.clone(),
    }
}

/// The events that the command prints of a file.
fn analyzed(file: &Path) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdpscope"));
    let output = command.args(["analyze", "--json", "--user-names", "plain"]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A tcpdump of the two ports.
struct Tcpdump {
    child: Child,
    file: PathBuf,
}

impl Tcpdump {
    /// `None` where it may not capture.
    fn start(bench: &Bench, host: u16) -> Option<Tcpdump> {
        let file = bench.directory.join("tcpdump.pcap");
        let filter = format!("tcp and (port {} or port {host})", bench.front.port());
        let mut command = Command::new("tcpdump");
        // No packet here is longer, and the kernel keeps as many as fit: of its usual length only eight would.
        command.args(["-i", "lo", "-s", "4096", "-B", "16384", "-U", "--immediate-mode", "-Z", "root", "-w"]);
        command.arg(&file).arg(filter);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("tcpdump (tests/install-peers.sh): {error}"));
        let mut said = String::new();
        for line in BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok) {
            if line.contains("listening on") {
                return Some(Tcpdump { child, file });
            }
            let _ = writeln!(said, "{line}");
        }
        let _ = child.wait();
        assert!(said.contains("permission"), "tcpdump does not start: {said}");
        eprintln!("left out: tcpdump may not capture here");
        None
    }

    /// Ends it when it has written all packets up to now: one that says so was the last.
    async fn whole(mut self, front: std::net::SocketAddr) -> Vec<Value> {
        const LAST: &[u8] = b"the last packet";
        let mut client = within("connect", TcpStream::connect(front)).await.unwrap();
        client.write_all(LAST).await.unwrap();
        let written = async {
            loop {
                let file = std::fs::read(&self.file).unwrap_or_default();
                if file.windows(LAST.len()).any(|window| window == LAST) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within("the last packet in the file", written).await;
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        analyzed(&self.file)
    }
}

impl Drop for Tcpdump {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is wrong with `seen` beside `live`, and which explanations were needed.
fn compare(live: &Value, seen: &Value, view: View, met: &mut BTreeSet<(&'static str, View)>) -> Vec<String> {
    let (live, seen) = (leaves(live), leaves(seen));
    let names: BTreeSet<&String> = live.keys().chain(seen.keys()).collect();
    let mut wrong = Vec::new();
    for name in names {
        let (told, found) = (live.get(name), seen.get(name));
        if told.map(timeless) == found.map(timeless) {
            continue;
        }
        let of = |(known, views, _): &&(&str, &[View], &str)| {
            (*known == name || known.ends_with('.') && name.starts_with(*known)) && views.contains(&view)
        };
        match DIFFER.iter().find(of) {
            Some((known, ..)) => _ = met.insert((*known, view)),
            None => wrong.push(format!("{view:?} {name}: live {told:?}, {found:?}")),
        }
    }
    wrong
}

/// A session that worked, and has no file of its own: standard RDP security, and more than any opening has.
async fn healthy(bench: &mut Bench) -> Arc<SessionRecord> {
    let mut client = within("connect", TcpStream::connect(bench.front)).await.unwrap();
    let (mut host, _) = within("accept", bench.host.accept()).await.unwrap();
    pass(&mut client, &mut host, &request()).await;
    pass(&mut host, &mut client, &[3, 0, 0, 11, 6, 0xd0, 0, 0, 0x12, 0x34, 0]).await;
    let mut drawing = vec![3, 0, 8, 0, 2, 0xf0, 0x80, 0x68];
    drawing.resize(0x800, 7);
    for _ in 0..140 {
        pass(&mut host, &mut client, &drawing).await;
    }
    drop(client);
    let _ = within("the end", host.read_to_end(&mut Vec::new())).await;
    drop(host);
    let record = bench.record().await;
    assert_eq!((record.verdict.cause.id(), &record.capture), ("ok", &None));
    record
}

#[tokio::test]
async fn the_events_of_a_capture_have_the_fields_and_values_of_the_live_one() {
    if left_out("tcpdump") {
        return;
    }
    let (_taken, nobody) = nobody();
    let (mut wrong, mut met) = (String::new(), BTreeSet::new());
    let mut compared = BTreeMap::new();
    for kind in Kind::ALL.into_iter().map(Some).chain([None]) {
        let mut bench = match kind {
            Some(kind) => bench(kind, nobody).await,
            None => Bench::new().await,
        };
        let host = bench.host.local_addr().unwrap();
        // What the proxy did itself looks like the host's doing to who sees the client's leg alone, and the other way about.
        let by_peers = !kind.is_some_and(Kind::is_the_proxys_doing);
        let tcpdump = if by_peers { Tcpdump::start(&bench, host.port()) } else { None };
        let record = match kind {
            Some(kind) => kind.happen(&mut bench).await,
            None => healthy(&mut bench).await,
        };
        bench.written().await;
        let id = record.identity.id.to_string();
        let live = bench.events().into_iter().find(|event| event["session"]["id"] == *id).unwrap();
        let mut seen = Vec::new();
        if kind.is_some() {
            let own = analyzed(record.capture.as_deref().unwrap());
            assert_eq!(own.len(), 1, "{kind:?}");
            seen.extend(own.into_iter().map(|event| (Own, event)));
        }
        let of_own = seen.len();
        if let Some(tcpdump) = tcpdump {
            let found = tcpdump.whole(bench.front).await;
            // The first to that port: what says that it is the last packet came later.
            let to = |port: u16| {
                let to_port = found.iter().filter(|event| event["server"]["port"] == port);
                to_port.min_by_key(|event| event["rdpscope"]["stream"].as_u64()).cloned()
            };
            seen.extend(to(bench.front.port()).map(|event| (ClientLeg, event)));
            seen.extend(to(host.port()).map(|event| (HostLeg, event)));
            assert_eq!(seen.len(), of_own + 2, "{kind:?}: {found:#?}");
        }
        for (view, event) in seen {
            *compared.entry(view).or_insert(0) += 1;
            for line in compare(&live, &event, view, &mut met) {
                let _ = writeln!(wrong, "{kind:?} {line}");
            }
        }
        bench.proxy.stop().await;
    }
    assert!(wrong.is_empty(), "{wrong}");
    println!("{compared:?}");
    for (name, views, _) in DIFFER {
        for view in views.iter().filter(|view| compared.contains_key(view)) {
            assert!(met.contains(&(*name, *view)), "{name} does not differ in {view:?}: no explanation is needed");
        }
    }
}
