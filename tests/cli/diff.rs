//! `rdpscope diff` with a client out of a capture, or of an event log.

use crate::{capture, err, file, out, rdpscope};
use std::path::PathBuf;

/// `rdpscope diff` of two hosts that nobody listens at, with such a client.
fn diff_of(arguments: &[&str]) -> (Option<i32>, String) {
    let output = rdpscope(&[&["diff", "127.0.0.1:1", "127.0.0.1:1", "--timeout", "1"], arguments].concat());
    (output.status.code(), err(&output))
}

#[test]
fn a_capture_without_the_client_that_is_asked_for_is_bad_usage_and_says_what_there_is() {
    let with_hello = capture("ok-xrdp-tls");
    let (code, text) = diff_of(&["--capture", &with_hello, "--stream", "77"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("has no stream 77\n  stream 0: 127.0.0.1:"), "{text}");
    let classic = capture("ok-xrdp-rdp-fips");
    let (code, text) = diff_of(&["--capture", &classic]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("has no ClientHello: ") && text.contains("\n  stream 0: "), "{text}");
    let (code, text) = diff_of(&["--capture", &classic, "--stream", "0"]);
    assert!(code == Some(2) && text.contains("stream 0 of ") && text.contains("has no ClientHello"), "{text}");
    for wrong in [&["--stream", "0"][..], &["--capture", &with_hello, "--client", "win7"]] {
        assert_eq!(diff_of(wrong).0, Some(2), "{wrong:?}");
    }
}

#[test]
fn a_capture_that_cannot_be_read_is_a_failure_that_names_the_file_and_what_is_wrong() {
    let text = file("no-capture.pcap", "this is a text of more than twenty-four bytes\n");
    let empty = file("empty.pcap", "");
    let missing = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no-such.pcap");
    for (path, why) in [
        (text.as_path(), "neither pcap nor pcapng"),
        (&empty, "it is empty"),
        (&missing, "No such file"),
        (std::path::Path::new(env!("CARGO_TARGET_TMPDIR")), "a directory"),
    ] {
        let shown = path.display().to_string();
        let (code, said) = diff_of(&["--capture", &shown]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&shown) && said.contains(why), "{said}");
    }
}

#[test]
fn a_capture_that_breaks_off_is_read_as_far_as_it_goes() {
    let whole = std::fs::read(capture("ok-xrdp-tls")).unwrap_or_default();
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("broken-off.pcap");
    let shown = path.display().to_string();
    let written = |length: usize| std::fs::write(&path, &whole[..length]).is_ok();
    assert!(written(whole.len() - 5));
    // The hello is there: what fails are the hosts.
    let (code, text) = diff_of(&["--capture", &shown]);
    assert!(code == Some(1) && text.contains("127.0.0.1:1: "), "{text}");
    // In the middle of the first packet.
    assert!(written(24 + 16 + 7));
    let (code, text) = diff_of(&["--capture", &shown]);
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("reading stopped at byte 24, after 0 packets: the file ends in the middle of a packet"),
        "{text}"
    );
}

#[test]
fn an_event_log_that_cannot_be_read_is_a_failure_and_one_without_the_session_is_bad_usage() {
    let missing = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no-such.jsonl");
    for (path, why) in [(missing.as_path(), "No such file"), (std::path::Path::new("/"), "directory")] {
        let shown = path.display().to_string();
        let (code, said) = diff_of(&["--session", "0193", "--event-log", &shown]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&shown) && said.contains(why), "{said}");
    }
    let other = file("other-sessions.jsonl", "{\"session\":{\"id\":\"0194\"}}\n");
    let (code, said) = diff_of(&["--session", "0193", "--event-log", &other.display().to_string()]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("holds no session `0193`"), "{said}");
}

#[test]
fn json_is_a_document_also_for_a_host_that_cannot_be_reached_and_for_the_list_of_clients() {
    let output = rdpscope(&["diff", "127.0.0.1:1", "127.0.0.1:1", "--timeout", "1", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let document: serde_json::Value = serde_json::from_str(&out(&output)).expect("a document");
    assert_eq!((&document["second"]["completeness"], &document["differences"]), (&"unreachable".into(), &().into()));
    let output = rdpscope(&["diff", "--client", "list", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let document: serde_json::Value = serde_json::from_str(&out(&output)).expect("a document");
    assert!(document["windows"].as_array().is_some_and(|rows| rows.iter().any(|row| row["id"] == "win7")));
}

#[test]
fn a_name_for_tls_that_is_no_dns_name_is_bad_usage() {
    let output = rdpscope(&["probe", "127.0.0.1:1", "--sni", "a b"]);
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    assert!(err(&output).contains("--sni takes a DNS name"), "{}", err(&output));
}
