//! The static files.

use crate::programs::{found, installed, root, succeeds};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_example_configuration_is_accepted() {
    let effective = succeeds(
        Command::new(env!("CARGO_BIN_EXE_rdpscope"))
            .args(["check", "--config"])
            .arg(root().join("deploy/rdpscope.toml")),
    );
    assert!(effective.contains("rds01.example.net:3389"), "{effective}");
}

#[test]
fn systemd_accepts_the_unit_and_finds_it_confined() {
    // Part of systemd itself, which a container does not have.
    let Some(analyze) = found("systemd-analyze") else {
        eprintln!("left out: no systemd here");
        return;
    };
    let directory = tempdir("unit");
    let unit = fs::read_to_string(root().join("deploy/systemd/rdpscope.service")).expect("the unit");
    assert!(unit.contains("/usr/local/bin/rdpscope run "), "the unit runs the installed program");
    // With the line for a key taken in.
    let here = unit
        .replace("/usr/local/bin/rdpscope", env!("CARGO_BIN_EXE_rdpscope"))
        .replace("#LoadCredential", "LoadCredential");
    let file = directory.join("rdpscope.service");
    fs::write(&file, here).expect("a copy of the unit");
    let said = succeeds(Command::new(&analyze).arg("verify").arg(&file));
    assert!(!said.contains("rdpscope.service:"), "a directive was not understood: {said}");
    // 1.5 of 10, printed as 15, when it was written.
    succeeds(Command::new(&analyze).args(["security", "--offline=true", "--threshold=20"]).arg(&file));
    fs::remove_dir_all(directory).expect("the copy goes");
}

#[test]
fn the_unit_waits_longer_than_the_drain() {
    let unit = fs::read_to_string(root().join("deploy/systemd/rdpscope.service")).expect("the unit");
    let settings = config::load(&root().join("deploy/rdpscope.toml")).expect("the example");
    let minutes: u64 = unit
        .lines()
        .find_map(|line| line.strip_prefix("TimeoutStopSec=")?.strip_suffix("min")?.parse().ok())
        .expect("TimeoutStopSec in minutes");
    assert!(minutes * 60 > settings.limits.drain_timeout.as_secs());
    let descriptors: usize =
        unit.lines().find_map(|line| line.strip_prefix("LimitNOFILE=")?.parse().ok()).expect("LimitNOFILE");
    assert!(descriptors > 2 * settings.listeners.iter().map(|l| l.max_sessions).sum::<usize>());
}

#[test]
fn the_container_is_given_all_that_cargo_wants_to_see() {
    let containerfile = fs::read_to_string(root().join("deploy/container/Containerfile")).expect("the Containerfile");
    let mut copied = Vec::new();
    for line in containerfile.lines().filter_map(|l| l.strip_prefix("COPY ")).filter(|l| !l.starts_with("--from")) {
        let mut names: Vec<&str> = line.split_whitespace().collect();
        names.pop();
        copied.extend(names);
    }
    for name in &copied {
        assert!(root().join(name).exists(), "COPY {name}: there is no such file");
    }
    // A target that the manifest names must be there, even if it is not built.
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    for target in packages.iter().flat_map(|package| package["targets"].as_array().into_iter().flatten()) {
        let path = Path::new(target["src_path"].as_str().expect("a path")).strip_prefix(root()).expect("in here");
        assert!(copied.iter().any(|name| path.starts_with(name)), "{} is not copied into the image", path.display());
    }
}

#[test]
fn the_container_has_a_volume_wherever_the_example_configuration_writes() {
    let containerfile = fs::read_to_string(root().join("deploy/container/Containerfile")).expect("the Containerfile");
    let settings = config::load(&root().join("deploy/rdpscope.toml")).expect("the example");
    let config::EventPath::File(events) = &settings.events.path else { panic!("a file: {:?}", settings.events) };
    let captures = &settings.capture.as_ref().expect("captures").directory;
    let words = |begins: &str| {
        let line = containerfile.lines().find(|line| line.starts_with(begins)).expect("the line");
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    for directory in [events.parent().expect("a directory"), captures.parent().expect("a directory")] {
        let directory = directory.to_str().expect("UTF-8");
        for line in ["RUN install -d -o 65532", "VOLUME "] {
            assert!(words(line).iter().any(|word| word == directory), "{line}: {directory}");
        }
        let mounted =
            containerfile.lines().any(|line| line.starts_with('#') && line.contains(&format!(":{directory} ")));
        assert!(mounted, "the command that is shown keeps {directory}");
    }
}

/// A user that exists only while the unit runs owns no file: systemd hands the key over.
#[test]
fn the_key_of_the_example_is_one_that_the_unit_hands_over() {
    let unit = fs::read_to_string(root().join("deploy/systemd/rdpscope.service")).expect("the unit");
    assert!(unit.lines().any(|line| line == "DynamicUser=yes"));
    let line = unit.lines().find(|line| line.starts_with("#LoadCredential=")).expect("a line to be taken in");
    let name = line.split(['=', ':']).nth(1).expect("a name");
    let path = format!("/run/credentials/rdpscope.service/{name}");
    for file in ["rdpscope.toml", "README.md"] {
        let text = fs::read_to_string(root().join("deploy").join(file)).expect("the file");
        assert!(text.contains(&format!("private_key = \"{path}\"")), "{file}: {path}");
    }
}

#[test]
fn nftables_accepts_the_udp_rules() {
    let Some(nft) = installed("nft") else { return };
    for file in ["udp-refuse.nft", "udp-pass.nft"] {
        let mut check = Command::new("unshare");
        // A namespace of its own: the check needs rights, and must not read the rules of this machine.
        check.args(["--net", "--"]).arg(&nft).args(["-c", "-f"]).arg(root().join("deploy/nftables").join(file));
        let output = check.output().expect("unshare");
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("Operation not permitted") {
            eprintln!("left out: no right to check nftables rules");
            return;
        }
        assert!(output.status.success(), "{file}: {said}");
    }
}

#[test]
fn prometheus_accepts_the_configuration_and_the_alerts_fire_as_they_should() {
    let Some(promtool) = installed("promtool") else { return };
    let directory = root().join("deploy/prometheus");
    succeeds(Command::new(&promtool).current_dir(&directory).args(["check", "config", "prometheus.yml"]));
    succeeds(Command::new(&promtool).current_dir(&directory).args(["check", "rules", "rdpscope.rules.yml"]));
    succeeds(Command::new(&promtool).current_dir(&directory).args(["test", "rules", "rdpscope.rules.test.yml"]));
}

/// An empty directory of this test process.
pub(crate) fn tempdir(name: &str) -> std::path::PathBuf {
    let directory = std::env::temp_dir().join(format!("rdpscope-deploy-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory for this test");
    directory
}
