//! OpenSSL's own client and server at the two ends of a bridge, with what they can be told to do in a session.

use crate::ends::{Bench, Identity, bridged, within};
use config::{BridgeMode, BridgeRules};
use parser::wire::TlsVersion;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

/// `openssl s_client` or `s_server`.
struct Program {
    child: Child,
    lines: UnboundedReceiver<String>,
}

impl Program {
    fn start(arguments: &[&str]) -> Program {
        let mut command = Command::new("openssl");
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("openssl: {error}"));
        let (sender, lines) = unbounded_channel();
        listen(child.stdout.take().expect("piped"), sender.clone());
        listen(child.stderr.take().expect("piped"), sender);
        Program { child, lines }
    }

    /// The next line with `text` in it.
    async fn until(&mut self, text: &str) -> String {
        loop {
            let line =
                within(text, self.lines.recv()).await.unwrap_or_else(|| panic!("openssl has ended before {text}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    fn say(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("piped");
        stdin.write_all(format!("{line}\n").as_bytes()).expect("it listens");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(stream: impl Read + Send + 'static, lines: UnboundedSender<String>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let _ = lines.send(String::from_utf8_lossy(&line).into_owned());
            line.clear();
        }
    });
}

#[tokio::test]
async fn either_end_may_ask_for_new_keys_again_and_again() {
    if std::env::var_os("RDPSCOPE_TEST_QUICK").is_some() {
        println!("left out: it needs openssl (RDPSCOPE_TEST_QUICK)");
        return;
    }
    let identity = Identity::new();
    let files = identity.files("openssl");
    let [certificate, key] =
        [files.certificate.as_ref().expect("given"), &files.private_key].map(|path| path.to_str().expect("UTF-8"));
    let modern = BridgeRules { pair: Some(files.clone()), ..bridged(BridgeMode::Always, identity.pin()) };
    let all = vec![TlsVersion::TLS10, TlsVersion::TLS11, TlsVersion::TLS12, TlsVersion::TLS13];
    let legacy = BridgeRules { host_versions: all, ..modern.clone() };
    for rules in [modern, legacy].into_iter().take(if config::LEGACY_TLS { 2 } else { 1 }) {
        let mut server = Program::start(&["s_server", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", key]);
        let accepting = server.until("ACCEPT 127.0.0.1").await;
        let address: SocketAddr = accepting.trim().trim_start_matches("ACCEPT ").parse().expect("an address");
        let bench = Bench::new(address, rules).await;
        let mut client = Program::start(&["s_client", "-connect", &bench.front.to_string()]);
        client.until("Verify return code").await;
        // More often than an OpenSSL leg answers attempts to renegotiate.
        for number in 0..10 {
            // It reads a line that comes right behind a command as a part of it, and does not say when it has read one.
            server.say("K");
            let down = format!("down {number}.");
            within("the server's line", async {
                while let Err(_elapsed) = timeout(Duration::from_millis(200), async {
                    server.say(&down);
                    client.until(&down).await
                })
                .await
                {}
            })
            .await;
            client.say("K");
            client.until("KEYUPDATE").await;
            client.say(&format!("up {number}."));
            server.until(&format!("up {number}.")).await;
        }
    }
}
