//! A disk that is really small: the built binary with its captures on a file system of two megabytes.

use crate::bench::{ALERT, CONFIRM, directory, hello, request};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// Ends the proxy that was started here.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_disk_that_is_nearly_full_stops_captures_and_no_session() {
    let room = directory();
    let mount = room.join("small");
    std::fs::create_dir_all(&mount).unwrap();
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = room.join("rdpscope.toml");
    let text = format!(
        "[[listener]]\nlisten = \"127.0.0.1:0\"\nupstream = \"{}\"\n[probe]\nmode = \"off\"\n[capture]\ndirectory = \"{}\"\n\
         min_free = \"1MiB\"\n[events]\npath = \"off\"\n[admin]\nlisten = \"127.0.0.1:0\"\n",
        host.local_addr().unwrap(),
        mount.join("captures").display(),
    );
    std::fs::write(&config, text).unwrap();
    // A mount of its own in a namespace of its own; what fills it is there before the proxy is.
    let script = "mount -t tmpfs -o size=2m none \"$1\" && head -c 1500000 /dev/zero >\"$1\"/ballast && exec \"$2\" run --config \"$3\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--", "sh", "-c", script, "sh"])
        .arg(&mount)
        .arg(env!("CARGO_BIN_EXE_rdpscope"))
        .arg(&config);
    let mut running = Running(command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("unshare"));
    let mut log = BufReader::new(running.0.stderr.take().unwrap());
    let (mut front, mut admin, mut said) = (None, None, String::new());
    while front.is_none() || admin.is_none() {
        let mut line = String::new();
        if log.read_line(&mut line).unwrap() == 0 {
            let no_right = ["Operation not permitted", "permission denied", "must be superuser"];
            if no_right.iter().any(|words| said.contains(words)) {
                eprintln!("left out: no right to mount a small disk");
                return;
            }
            panic!("the proxy does not start:\n{said}");
        }
        let address = |after: &str| -> Option<SocketAddr> {
            let rest = line.split_once(after)?.1;
            rest.split([' ', '/']).next()?.parse().ok()
        };
        front = front.or_else(|| address("listening on "));
        admin = admin.or_else(|| address("http://"));
        said.push_str(&line);
    }
    // Nobody may be held up by a log that is not read.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    for _ in 0..3 {
        let mut client = TcpStream::connect(front.unwrap()).unwrap();
        let (mut behind, _) = host.accept().unwrap();
        for (from, to, bytes) in [
            (true, false, request()),
            (false, true, CONFIRM.to_vec()),
            (true, false, hello()),
            (false, true, ALERT.to_vec()),
        ] {
            let (writer, reader) = if from && !to { (&mut client, &mut behind) } else { (&mut behind, &mut client) };
            writer.write_all(&bytes).unwrap();
            reader.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut got = vec![0; bytes.len()];
            reader.read_exact(&mut got).unwrap();
            assert_eq!(got, bytes);
        }
    }
    let begun = Instant::now();
    loop {
        let text = metrics(admin.unwrap());
        let value = |series: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
            line.unwrap().parse().unwrap()
        };
        let refused = value("rdpscope_captures_not_written_total{reason=\"disk_full\"}");
        assert_eq!(value("rdpscope_captures_written_total"), 0.0);
        if refused == 3.0 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{refused} of 3 were refused");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(running);
    let _ = std::fs::remove_dir_all(&room);
}

fn metrics(admin: SocketAddr) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
