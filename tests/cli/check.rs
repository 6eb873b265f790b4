//! Configuration files, as `check` and `run` take them.

use crate::{err, file, out, rdpscope};

#[test]
fn a_bad_file_is_refused_by_check_and_by_run_alike() {
    let path = file("bad.toml", "[[listener]]\nlisten = '127.0.0.1:0'\nupstraem = 'rds07'\n");
    let path = path.to_str().unwrap_or_default();
    let check = rdpscope(&["check", "--config", path]);
    let run = rdpscope(&["run", "--config", path]);
    assert_eq!((check.status.code(), run.status.code()), (Some(2), Some(2)));
    assert_eq!(err(&check), err(&run));
    assert_eq!(
        err(&check),
        format!(
            "\
error: `upstraem` is not a key of `[[listener]]`
 --> {path}:3:1
  |
3 | upstraem = 'rds07'
  | ^^^^^^^^ not known here
  |
  = help: did you mean `upstream`?
"
        )
    );
    assert!(out(&check).is_empty());
}

#[test]
fn a_file_that_is_not_there_is_bad_usage() {
    for command in ["check", "run"] {
        let output = rdpscope(&[command, "--config", "/nonexistent/rdpscope.toml"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(err(&output).contains("No such file or directory"), "{}", err(&output));
    }
}

#[test]
fn what_check_prints_is_a_good_file_with_the_same_meaning() {
    let path = file("good.toml", "[[listener]]\nlisten = '[::1]:0'\nupstream = 'rds07'\n[timeouts]\nconnect = '2s'\n");
    let first = rdpscope(&["check", "--config", path.to_str().unwrap_or_default()]);
    assert_eq!(first.status.code(), Some(0), "{}", err(&first));
    let printed = out(&first);
    assert!(printed.contains("connect = \"2s\"\n"), "{printed}");
    assert!(
        printed.lines().any(|line| line.starts_with("negotiate = \"10s\"") && line.ends_with("# default")),
        "{printed}"
    );
    assert_eq!(config::load(&path), config::parse("printed", &printed));
}

#[test]
fn a_certificate_that_would_stop_a_bridge_is_found_by_check_already() {
    let with = |certificate: &str| {
        let key = std::path::Path::new(certificate).with_extension("key").display().to_string();
        let text = format!(
            "[[listener]]\nname = 'front'\nlisten = '127.0.0.1:0'\nupstream = 'rds07'\n[listener.bridge]\nmode = 'auto'\n\
             verify = 'insecure'\ncertificate = '{certificate}'\nprivate_key = '{key}'\n"
        );
        file("bridged.toml", &text)
    };
    let path = with("/nonexistent/rds07.pem");
    let path = path.to_str().unwrap_or_default();
    let check = rdpscope(&["check", "--config", path]);
    let run = rdpscope(&["run", "--config", path]);
    let why = "listener front: the bridge cannot work: /nonexistent/rds07.pem: No such file";
    // By 2 systemd knows that starting again would not mend it (RestartPreventExitStatus=).
    for output in [&check, &run] {
        assert_eq!(output.status.code(), Some(2), "{}", err(output));
        assert!(err(output).contains(why), "{}", err(output));
    }
    assert!(out(&check).is_empty());
}

#[test]
fn a_place_where_nothing_can_be_written_is_found_by_check_and_stops_a_start() {
    let directory = env!("CARGO_TARGET_TMPDIR");
    let taken = file("no-directory", "a file");
    let taken = taken.to_str().expect("UTF-8");
    for (key, value, code, says) in [
        ("events.path", directory.to_owned(), 2, ": a directory: name a file in it"),
        ("events.path", format!("{taken}/events.jsonl"), 2, "no-directory is no directory"),
        ("capture.directory", taken.to_owned(), 2, ": no directory: captures are files of their own in one"),
        ("events.path", format!("{directory}/absent/events.jsonl"), 0, "absent is not there; `run` does not make it"),
        ("capture.directory", format!("{directory}/absent/captures"), 0, "absent is not there; `run` does not make it"),
    ] {
        let text = format!(
            "{key} = '{value}'\nadmin.listen = 'off'\n[[listener]]\nlisten = '127.0.0.1:0'\nupstream = 'rds07'\n"
        );
        let path = file("place.toml", &text);
        let path = path.to_str().expect("UTF-8");
        let check = rdpscope(&["check", "--config", path]);
        let said = err(&check);
        assert_eq!(check.status.code(), Some(code), "{said}");
        assert!(said.contains(key) && said.contains(says), "{said}");
        assert!(!std::path::Path::new(directory).join("absent").exists(), "check makes nothing");
        let run = rdpscope(&["run", "--config", path]);
        assert!(run.status.code().is_some_and(|code| code > 0) && !err(&run).is_empty(), "{key} = {value}");
    }
}
