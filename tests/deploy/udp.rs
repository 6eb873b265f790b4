//! What becomes of RDP's UDP attempts, with each set of rules and with none.

use crate::files::tempdir;
use crate::programs::{installed, root};
use std::fs;
use std::process::Command;

#[test]
fn without_rules_behind_a_dropping_firewall_a_client_waits() {
    let Some(seen) = datagrams("none", "udp-refuse.nft") else { return };
    assert_eq!(seen, "3389 silence\n3391 silence\nfrom_proxy none\nfrom_elsewhere none\n");
}

#[test]
fn the_refusing_rules_answer_at_once_even_where_a_firewall_drops() {
    let Some(seen) = datagrams("refuse", "udp-refuse.nft") else { return };
    assert_eq!(seen, "3389 refused\n3391 refused\nfrom_proxy none\nfrom_elsewhere none\n");
}

#[test]
fn the_passing_rules_bring_datagrams_to_the_host_with_the_address_of_the_proxy() {
    let Some(seen) = datagrams("pass", "udp-pass.nft") else { return };
    // No service listens at the host: its refusal has found its way back to the client, through the proxy.
    assert_eq!(seen, "3389 refused\n3391 silence\nfrom_proxy some\nfrom_elsewhere none\n");
}

/// Runs `udp.sh` in namespaces of its own. `None` where that is not possible.
fn datagrams(case: &str, rules: &str) -> Option<String> {
    let nft = installed("nft")?;
    let _ip = installed("ip")?;
    // A copy with the tab-indented rules as they are deployed; the script needs a path inside its mounts.
    let directory = tempdir(&format!("udp-{case}"));
    let copy = directory.join(rules);
    fs::copy(root().join("deploy/nftables").join(rules), &copy).expect("a copy of the rules");
    let run = |rights: &[&str]| {
        Command::new("unshare")
            .args(rights)
            .args(["--net", "--mount", "bash"])
            .arg(root().join("tests/deploy/udp.sh"))
            .arg(case)
            .arg(&copy)
            .output()
            .expect("unshare")
    };
    let mut output = run(&[]);
    if String::from_utf8_lossy(&output.stderr).contains("unshare failed") {
        output = run(&["--user", "--map-root-user"]);
    }
    fs::remove_dir_all(directory).expect("the copy goes");
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("unshare failed") || stderr.contains("Operation not permitted") {
        eprintln!("left out: no right to make network namespaces ({})", nft.display());
        return None;
    }
    assert!(output.status.success(), "{case}: {}\n{stderr}", output.status);
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
