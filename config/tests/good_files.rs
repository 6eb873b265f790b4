//! Files that are right, and files that cannot be read at all.

use config::{EventPath, ProbeMode, Settings, UserNames};
use std::path::PathBuf;
use std::time::Duration;

/// The configuration section of the contract, with what this build lacks switched off.
const WHOLE: &str = r#"
[[listener]]
name = "rds-farm"
listen = "0.0.0.0:3389"
upstream = "rds07.example.net:3389"
transparent = "off"
keep_client_address = false
proxy_protocol_in = "off"
proxy_protocol_out = "off"
trusted_proxies = []
allow_targets = []
max_sessions = 20000
max_sessions_per_client = 200

[listener.bridge]
mode = "off"
client_versions = ["1.2", "1.3"]
host_versions = ["1.2", "1.3"]
host_ciphers = "default"
verify = "pin"

[[listener]]
name = "gateway"
listen = "[::]:443"
upstream = "[2001:db8::7]:443"

[timeouts]
connect = "250ms"
negotiate = "10s"
client_hello = "15s"
server_hello = "1m"

[probe]
mode = "schedule"
min_interval = "90s"
interval = "6h"
timeout = "500ms"
max_handshakes = 60
hold = "250ms"
state = false

[capture]
directory = "captures"
max_bytes_per_session = "64KiB"
max_total_bytes = "1024MiB"
max_files = 500
max_age = "7d"
min_free = "0B"
secrets = false

[events]
path = "/var/log/rdpscope/events.jsonl"
user_names = "drop"
live = true
[admin]
listen = "off"
[limits]
drain_timeout = "0s"
opening_memory = "128MiB"
event_queue = "16MiB"
threads = 3
"#;

fn whole() -> Settings {
    config::parse("rdpscope.toml", WHOLE).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn every_key_reaches_the_settings() {
    let settings = whole();
    assert_eq!(settings.listeners.len(), 2);
    assert_eq!(settings.listeners[0].name, "rds-farm");
    assert_eq!(settings.listeners[0].upstream.to_string(), "rds07.example.net:3389");
    assert_eq!(settings.listeners[1].upstream.host, "2001:db8::7");
    assert_eq!(settings.listeners[1].upstream.port, 443);
    assert_eq!(settings.listeners[1].max_sessions, 20_000);
    assert_eq!(settings.timeouts.connect, Duration::from_millis(250));
    assert_eq!(settings.timeouts.server_hello, Duration::from_secs(60));
    let probe = &settings.probe;
    assert_eq!(probe.mode, ProbeMode::Schedule);
    assert_eq!((probe.min_interval, probe.interval), (Duration::from_secs(90), Duration::from_secs(21_600)));
    assert_eq!((probe.timeout, probe.max_handshakes), (Duration::from_millis(500), 60));
    assert_eq!((probe.hold, probe.state), (Duration::from_millis(250), false));
    let capture = settings.capture.as_ref().unwrap();
    assert_eq!(capture.directory, PathBuf::from("captures"));
    assert_eq!((capture.max_bytes_per_session, capture.max_total_bytes), (64 << 10, 1 << 30));
    assert_eq!((capture.max_files, capture.max_age), (500, Duration::from_secs(7 * 86_400)));
    assert_eq!(capture.min_free, 0);
    assert_eq!(settings.events.path, EventPath::File(PathBuf::from("/var/log/rdpscope/events.jsonl")));
    assert_eq!(settings.events.user_names, UserNames::Drop);
    assert!(settings.events.live);
    assert_eq!(settings.admin, None);
    assert_eq!(settings.limits.drain_timeout, Duration::ZERO);
    assert_eq!(settings.limits.opening_memory, 128 << 20);
    assert_eq!(settings.limits.event_queue, 16 << 20);
    assert_eq!(settings.limits.threads, 3);
}

#[test]
fn what_is_printed_means_the_same_when_read() {
    let settings = whole();
    let printed = config::effective(&settings);
    assert_eq!(config::parse("effective.toml", &printed), Ok(settings), "{printed}");
}

#[test]
fn secrets_are_allowed_until_a_moment_that_is_near() {
    let until = std::time::SystemTime::now() + Duration::from_secs(3_600);
    let mut settings = whole();
    settings.capture.as_mut().unwrap().secrets_until = Some(until);
    let printed = config::effective(&settings);
    assert_eq!(config::parse("f", &printed), Ok(settings), "{printed}");
    // What has been switched off does not keep a proxy from starting.
    let off = WHOLE.replace("secrets = false", "secrets = false\nsecrets_until = \"2020-01-01T00:00:00Z\"");
    assert_eq!(config::parse("f", &off), Ok(whole()));
}

#[test]
fn fewer_sessions_in_total_lower_the_default_per_client() {
    let text = "[[listener]]\nlisten = '127.0.0.1:0'\nupstream = 'rds07'\nmax_sessions = 50\n";
    let settings = config::parse("f", text).unwrap();
    assert_eq!(settings.listeners[0].max_sessions_per_client, 50);
    assert_eq!(config::parse("f", &config::effective(&settings)), Ok(settings));
}

#[test]
fn a_file_that_is_not_there_is_named_with_what_to_do() {
    let shown = config::load("/nonexistent/rdpscope.toml".as_ref()).unwrap_err().to_string();
    assert!(shown.starts_with("error: cannot read the configuration: No such file or directory"), "{shown}");
    assert!(shown.contains("/nonexistent/rdpscope.toml"), "{shown}");
    assert!(shown.contains("--listen ADDR --upstream HOST:PORT"), "{shown}");
}

#[test]
fn a_directory_is_no_configuration() {
    let shown = config::load(env!("CARGO_MANIFEST_DIR").as_ref()).unwrap_err().to_string();
    assert!(shown.contains("Is a directory"), "{shown}");
}

#[test]
fn a_file_that_is_not_utf8_is_refused_at_the_byte() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("latin1.toml");
    std::fs::write(&path, b"# caf\n# K\xf6ln\n").unwrap();
    let shown = config::load(&path).unwrap_err().to_string();
    assert!(shown.contains("latin1.toml:2:4") && shown.contains("byte 0xf6"), "{shown}");
}

#[test]
fn a_file_that_never_ends_is_refused() {
    let shown = config::load("/dev/zero".as_ref()).unwrap_err().to_string();
    assert!(shown.contains("larger than 1MiB"), "{shown}");
}

#[test]
fn an_entry_that_changes_how_its_host_is_known_lets_go_of_the_pins_of_the_others() {
    let pin = "pin = ['sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef']";
    let text = format!(
        "[[listener]]\nlisten = '0.0.0.0:3389'\nupstream = 'rds07'\n[listener.bridge]\nmode = 'auto'\n{pin}\n\
         [[listener.bridge.host]]\nmatch = 'rds07'\nverify = 'insecure'\n"
    );
    let settings = config::parse("f", &text).expect("good");
    let bridge = &settings.listeners[0].bridge;
    assert_eq!((bridge.common.pin.len(), bridge.hosts[0].rules.pin.len()), (1, 0));
    assert_eq!(config::parse("f", &config::effective(&settings)), Ok(settings.clone()));
    let again = config::parse("f", &format!("{text}{pin}\n")).expect_err("a pin that would not be used").to_string();
    assert!(again.contains("`pin` is not used with `verify = \"insecure\"`"), "{again}");
}
