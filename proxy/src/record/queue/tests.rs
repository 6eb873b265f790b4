use super::*;
use std::sync::mpsc;

fn counting() -> (Dropped, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let also = Arc::clone(&count);
    (Arc::new(move |lines| _ = also.fetch_add(lines, Relaxed)), count)
}

fn plain(line: &'static [u8], lines: &mut Vec<u8>) {
    lines.extend_from_slice(line);
}

fn push(writer: &Writer<&'static [u8]>, line: &'static [u8]) -> bool {
    writer.push(line, line.len())
}

/// Writes one chunk per permission, so that a test decides when the disk is slow.
struct Gated {
    permissions: mpsc::Receiver<io::Result<usize>>,
    entered: mpsc::Sender<()>,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.entered.send(());
        let count = self.permissions.recv().map_err(|_| io::ErrorKind::BrokenPipe)??.min(bytes.len());
        self.seen.lock().unwrap().extend_from_slice(&bytes[..count]);
        Ok(count)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Gate = (Sink, mpsc::Sender<io::Result<usize>>, mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

fn gate() -> Gate {
    let (allow, permissions) = mpsc::channel();
    let (entered, inside) = mpsc::channel();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let stream = Gated { permissions, entered, seen: Arc::clone(&seen) };
    (Sink::Stream(Box::new(stream)), allow, inside, seen)
}

#[test]
fn a_blocked_sink_drops_what_does_not_fit_and_counts_it() {
    let (sink, allow, inside, seen) = gate();
    let (dropped, count) = counting();
    let writer = Writer::start("test", sink, 30, dropped, plain).unwrap();
    assert!(push(&writer, b"0123456789\n"));
    inside.recv().unwrap(); // the writer is stuck with eleven bytes, which still count
    assert!(push(&writer, b"abcdefgh\n"));
    assert!(!push(&writer, b"does not fit\n"));
    assert!(push(&writer, b"fits\n"));
    assert_eq!((count.load(Relaxed), writer.dropped()), (1, 1));
    assert!(!writer.flush(Duration::from_millis(1)), "nothing was written yet");
    allow.send(Ok(100)).unwrap();
    allow.send(Ok(100)).unwrap();
    assert!(writer.flush(Duration::from_secs(10)));
    assert_eq!(*seen.lock().unwrap(), b"0123456789\nabcdefgh\nfits\n");
    assert!(push(&writer, b"room again\n"));
}

#[test]
fn a_full_disk_tears_at_most_one_line_and_the_next_begins_a_new_one() {
    let (sink, allow, _inside, seen) = gate();
    let (dropped, count) = counting();
    let writer = Writer::start("test", sink, 1000, dropped, plain).unwrap();
    allow.send(Ok(3)).unwrap();
    allow.send(Err(io::Error::from_raw_os_error(28))).unwrap();
    push(&writer, b"first\n");
    assert!(writer.flush(Duration::from_secs(10)));
    assert_eq!(count.load(Relaxed), 1);
    allow.send(Ok(100)).unwrap();
    push(&writer, b"second\n");
    assert!(writer.flush(Duration::from_secs(10)));
    assert_eq!(*seen.lock().unwrap(), b"fir\nsecond\n");
    assert_eq!(count.load(Relaxed), 1);
}

fn scratch() -> PathBuf {
    let directory = std::env::temp_dir().join(format!("rdpscope-queue-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

fn write_one(writer: &Writer<&'static [u8]>, line: &'static [u8]) {
    assert!(push(writer, line) && writer.flush(Duration::from_secs(10)));
}

#[test]
fn reopening_follows_a_rotated_file() {
    let directory = scratch();
    let (path, old) = (directory.join("events.jsonl"), directory.join("events.jsonl.1"));
    let writer = Writer::start("test", Sink::File(path.clone()), 1000, counting().0, plain).unwrap();
    write_one(&writer, b"one\n");
    std::fs::rename(&path, &old).unwrap();
    write_one(&writer, b"two\n");
    writer.reopen();
    write_one(&writer, b"three\n");
    assert_eq!(std::fs::read(&old).unwrap(), b"one\ntwo\n");
    assert_eq!(std::fs::read(&path).unwrap(), b"three\n");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_file_that_was_removed_is_made_anew_and_what_cannot_be_made_is_counted() {
    let directory = scratch();
    let path = directory.join("events.jsonl");
    let (dropped, count) = counting();
    let writer = Writer::start("test", Sink::File(path.clone()), 1000, dropped, plain).unwrap();
    write_one(&writer, b"one\n");
    std::fs::remove_file(&path).unwrap();
    write_one(&writer, b"two\n");
    assert_eq!(std::fs::read(&path).unwrap(), b"two\n");
    std::fs::remove_dir_all(&directory).unwrap();
    write_one(&writer, b"nowhere\n");
    assert_eq!(count.load(Relaxed), 1);
    std::fs::create_dir(&directory).unwrap();
    write_one(&writer, b"three\n");
    assert_eq!((std::fs::read(&path).unwrap().as_slice(), count.load(Relaxed)), (b"three\n".as_slice(), 1));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn half_a_line_of_an_earlier_process_does_not_spoil_the_first_of_ours() {
    let directory = scratch();
    let path = directory.join("events.jsonl");
    for (before, after) in [("{\"half", "{\"half\none\n"), ("whole\n", "whole\none\n"), ("", "one\n")] {
        std::fs::write(&path, before).unwrap();
        let writer = Writer::start("test", Sink::File(path.clone()), 1000, counting().0, plain).unwrap();
        write_one(&writer, b"one\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn lines_that_come_while_one_is_written_are_gathered() {
    let (sink, allow, inside, seen) = gate();
    let writer = Writer::start("test", sink, 10_000, counting().0, plain).unwrap();
    assert!(push(&writer, b"first\n"));
    inside.recv().unwrap();
    (0..100).for_each(|_| assert!(push(&writer, b"more\n")));
    allow.send(Ok(100)).unwrap();
    allow.send(Ok(1_000)).unwrap();
    assert!(writer.flush(Duration::from_secs(10)), "a flush does not wait for more");
    assert_eq!(seen.lock().unwrap().len(), 6 + 100 * 5);
    inside.recv().unwrap();
    assert!(inside.try_recv().is_err(), "two writes for all of them");
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let path = PathBuf::from("/nonexistent-directory/events.jsonl");
    let error = Writer::start("test", Sink::File(path), 10, counting().0, plain).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}
