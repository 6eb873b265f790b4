//! A path that loses large packets, in a network namespace of its own.

use crate::host::{certificate, find, peers_wanted};
use serde_json::Value;
use std::process::{Command, Output};

/// A network namespace; it is deleted with this value.
struct Namespace(String);

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

impl Namespace {
    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]).args(arguments).output().expect("ip runs")
    }
}

/// One shell in the namespace: a TLS server, the loss, the probe of it, and the end of the server.
const SCRIPT: &str = r#"
ip link set lo mtu 1500 up
nft 'add table inet loss; add chain inet loss in { type filter hook input priority 0; }'
nft 'add rule inet loss in tcp dport 4433 meta length > 1480 drop'
openssl s_server -www -accept 127.0.0.1:4433 -cert "$1" -key "$2" </dev/null >/dev/null 2>&1 &
server=$!
until ss -Htln 'sport = :4433' | grep -q .; do kill -0 $server || exit 9; sleep 0.02; done
"$3" probe --gateway --json --timeout 1 127.0.0.1:4433
status=$?
kill $server
exit $status
"#;

#[test]
fn a_path_that_loses_large_hellos_is_told_by_their_size() {
    if !peers_wanted() {
        return;
    }
    if find("ip").is_none() || find("nft").is_none() || find("ss").is_none() {
        println!("left out: needs ip, ss and nft");
        return;
    }
    let space = Namespace(format!("probe-{}", std::process::id()));
    let made = Command::new("ip").args(["netns", "add", &space.0]).output().expect("ip runs");
    if !made.status.success() {
        println!("left out: no right to make a network namespace: {}", String::from_utf8_lossy(&made.stderr));
        return;
    }
    let (pem, key) = (certificate("rsa", "crt"), certificate("rsa", "key"));
    let program = env!("CARGO_BIN_EXE_rdpscope");
    let arguments = ["-c", SCRIPT, "path", &pem.to_string_lossy(), &key.to_string_lossy(), program];
    let output = space.run("sh", &arguments);
    let words = String::from_utf8_lossy(&output.stderr);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {words}"));
    let sizes: Vec<(u64, bool)> = document["hello_sizes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|step| (step["bytes"].as_u64().unwrap_or_default(), step["answer"]["silence"] != true))
        .collect();
    assert_eq!(sizes, [(300, true), (600, true), (1400, true), (1700, false), (3000, false)], "{words}");
    let causes: Vec<&str> =
        document["findings"].as_array().into_iter().flatten().filter_map(|f| f["cause"].as_str()).collect();
    assert!(causes.contains(&"large_clienthello_lost"), "{causes:?}");
}
