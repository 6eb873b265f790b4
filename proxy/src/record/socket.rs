//! A collector's Unix socket as a stream of lines.
//!
//! The collector may come later than the proxy, and go and come again: what is written while nobody listens is an error,
//! which the queue in front counts, and the socket is tried again.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// After a connect that failed nothing is tried this long.
const PAUSE: Duration = Duration::from_secs(1);

/// Connects when there is something to write. Begins each connection with a new line of the stream.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    stream: Option<UnixStream>,
    refused: Option<Instant>,
}

impl Socket {
    /// Nothing is connected yet.
    pub(crate) fn new(path: PathBuf) -> Socket {
        Socket { path, stream: None, refused: None }
    }

    fn connect(&mut self) -> io::Result<UnixStream> {
        if self.refused.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let connected = UnixStream::connect(&self.path);
        self.refused = connected.is_err().then(Instant::now);
        connected
    }

    fn named(&self, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else {
            self.stream = Some(self.connect().map_err(|error| self.named(error))?);
            // A line feed in front ends a line that was torn, and that one went into the connection before.
            let leading = bytes.first() == Some(&b'\n');
            return if leading { Ok(1) } else { self.write(bytes) };
        };
        stream.write(bytes).map_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.stream = None;
            }
            self.named(error)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Sink, Writer};
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;
    use std::sync::Arc;
    use std::sync::mpsc;
    use uuid::Uuid;

    fn line(writer: &Writer<Vec<u8>>, text: &str) -> bool {
        let lost = writer.dropped();
        writer.push(format!("{text}\n").into_bytes(), text.len());
        assert!(writer.flush(Duration::from_secs(30)), "it is written, or lost");
        writer.dropped() == lost
    }

    /// Lines of this text until one arrives whole.
    fn until_it_arrives(writer: &Writer<Vec<u8>>, text: &str) {
        let begun = Instant::now();
        while !line(writer, text) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{text} never arrives");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_collector_may_come_late_and_come_again_and_what_it_misses_is_counted() {
        let path = std::env::temp_dir().join(format!("rdpscope-{}.sock", Uuid::now_v7()));
        let sink = Sink::Stream(Box::new(Socket::new(path.clone())));
        let form = |text: Vec<u8>, lines: &mut Vec<u8>| lines.extend(text);
        let writer = Writer::start("events", sink, 1 << 20, Arc::new(|_| ()), form).unwrap();
        assert!(!line(&writer, "too early"), "counted as lost");
        for visit in ["first", "second"] {
            let listener = UnixListener::bind(&path).unwrap();
            let (told, heard) = mpsc::channel();
            let collector = std::thread::spawn(move || {
                let mut reader = BufReader::new(listener.accept().unwrap().0);
                let mut text = String::new();
                while reader.read_line(&mut text).unwrap() > 0 && !text.ends_with("last\n") {}
                told.send(text).unwrap();
            });
            until_it_arrives(&writer, visit);
            line(&writer, "last");
            let text = heard.recv_timeout(Duration::from_secs(30)).expect("the collector reads");
            assert!(text.starts_with(&format!("{visit}\n")) && text.ends_with("last\n"), "{text:?}");
            collector.join().unwrap();
            std::fs::remove_file(&path).unwrap();
            // It has left: that shows when something is written.
            let begun = Instant::now();
            while line(&writer, "nobody hears this") {
                assert!(begun.elapsed() < Duration::from_secs(30), "nobody listens");
            }
        }
    }
}
