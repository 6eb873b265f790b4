//! Targets that mean no good end within the bound, with a clear reason.

use crate::probe;
use parser::profile::{Completeness, HostProfile};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

const CONFIRM: [u8; 19] = [3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0, 8, 0, 1, 0, 0, 0];

/// A listener that does this with every connection; its thread ends with the test.
fn target(act: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            std::thread::spawn(move || act(socket));
        }
    });
    address
}

fn request(socket: &mut TcpStream) {
    let mut request = [0; 64];
    let _ = socket.read(&mut request);
}

/// Writes again and again until the other side has gone.
fn endlessly(mut socket: TcpStream, bytes: &[u8], pause: Duration) {
    while socket.write_all(bytes).is_ok() {
        std::thread::sleep(pause);
    }
}

fn bounded(address: SocketAddr) -> HostProfile {
    let begun = Instant::now();
    let profile = probe(address, |ask| {
        ask.timeout = Duration::from_millis(300);
        ask.within = Duration::from_secs(3);
    });
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?} {profile:?}", begun.elapsed());
    profile
}

fn unreachable(profile: &HostProfile) -> &str {
    match &profile.completeness {
        Completeness::Unreachable(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_closed_port() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let profile = bounded(address);
    assert!(unreachable(&profile).contains("refused the connection"));
    assert_eq!(profile.handshakes, 1);
}

#[test]
fn a_host_that_accepts_and_says_nothing() {
    let profile = bounded(target(|socket| {
        std::thread::sleep(Duration::from_secs(4));
        drop(socket);
    }));
    assert!(unreachable(&profile).contains("no answer to a Connection Request"));
    assert_eq!(profile.handshakes, 3);
}

#[test]
fn a_tarpit_that_drips() {
    let profile = bounded(target(|socket| endlessly(socket, &[3], Duration::from_millis(100))));
    assert!(!unreachable(&profile).is_empty());
}

#[test]
fn a_host_that_closes_at_once() {
    let profile = bounded(target(drop));
    assert!(unreachable(&profile).contains("closed"), "{profile:?}");
    assert!(profile.handshakes <= 8);
}

#[test]
fn another_protocol_is_named() {
    for (banner, name) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], "SSH"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"),
        (b"\xff\x00\x01", "ff 00 01"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                request(&mut socket);
                let _ = socket.write_all(banner);
            }
        });
        let profile = bounded(address);
        assert!(unreachable(&profile).contains(name), "{:?}", profile.completeness);
        assert_eq!(profile.handshakes, 1);
    }
}

#[test]
fn a_server_that_speaks_tls_at_once_is_told_from_rdp() {
    let profile = bounded(target(|mut socket| {
        request(&mut socket);
        let _ = socket.write_all(&[21, 3, 1, 0, 2, 2, 50]);
    }));
    assert!(unreachable(&profile).contains("speaks TLS at once"), "{:?}", profile.completeness);
}

#[test]
fn garbage_in_place_of_tls() {
    let profile = bounded(target(|mut socket| {
        request(&mut socket);
        let _ = socket.write_all(&CONFIRM);
        request(&mut socket);
        endlessly(socket, &[0; 4096], Duration::from_millis(1));
    }));
    assert!(profile.versions.iter().all(|ability| !ability.accepted() && !ability.complete), "{profile:?}");
    assert!(!profile.refuses_every_hello());
}

#[test]
fn alerts_without_end() {
    let profile = bounded(target(|mut socket| {
        request(&mut socket);
        let _ = socket.write_all(&CONFIRM);
        request(&mut socket);
        endlessly(socket, &[21, 3, 3, 0, 2, 1, 90], Duration::from_millis(1));
    }));
    assert!(profile.versions.iter().all(|ability| !ability.accepted()), "{profile:?}");
}

#[test]
fn the_end_of_the_time_is_no_answer_of_the_host() {
    let address = target(|mut socket| {
        request(&mut socket);
        let _ = socket.write_all(&CONFIRM);
        std::thread::sleep(Duration::from_secs(4));
    });
    let profile = probe(address, |ask| ask.within = Duration::from_millis(300));
    assert!(profile.versions.is_empty(), "{profile:?}");
    assert!(matches!(profile.completeness, Completeness::Unreachable(why) if why.contains("0.3 s")));
}

#[test]
fn a_hello_that_is_never_answered_leaves_the_host_alone_after_three() {
    let profile = bounded(target(|mut socket| {
        request(&mut socket);
        let _ = socket.write_all(&CONFIRM);
        std::thread::sleep(Duration::from_secs(4));
    }));
    assert!(
        matches!(&profile.completeness, Completeness::Partial(why) if why.contains("3 times in a row")),
        "{profile:?}"
    );
    assert_eq!(profile.handshakes, 3);
}

#[test]
fn the_command_says_why_and_exits_with_one() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    drop(listener);
    let run =
        |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_rdpscope")).args(arguments).output().expect("it runs");
    let output = run(&["probe", &address]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.starts_with("error: ") && words.contains("refused the connection"), "{words}");
    let output = run(&["probe", "--json", &address]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!((output.status.code(), &document["unreachable"]), (Some(1), &serde_json::json!(true)));
    let output = run(&["probe", "rdp://host"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("it takes a host: `host`"));
}
