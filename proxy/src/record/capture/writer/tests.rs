use super::*;
use crate::record::fixture;
use crate::sys::DiskSpace;
use parser::diagnosis::Cause;
use parser::session::Peer;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Default)]
struct Counts {
    written: AtomicU64,
    not_written: [AtomicU64; NotWritten::ALL.len()],
}

impl Tally for Arc<Counts> {
    fn written(&self) {
        self.written.fetch_add(1, Relaxed);
    }
    fn not_written(&self, why: NotWritten) {
        self.not_written[why as usize].fetch_add(1, Relaxed);
    }
    fn stored(&self, _: u64) {}
}

impl Counts {
    fn of(&self, why: NotWritten) -> u64 {
        self.not_written[why as usize].load(Relaxed)
    }
}

struct Stage {
    captures: Captures,
    counts: Arc<Counts>,
    budget: Arc<OpeningBudget>,
}

impl Stage {
    fn new() -> Stage {
        Stage::on(Box::new(|_| Ok(DiskSpace { free: 1 << 40, inodes: None })))
    }

    fn on(space: Space) -> Stage {
        let directory = std::env::temp_dir().join(format!("rdpscope-writer-{}", Uuid::now_v7()));
        let counts = Arc::new(Counts::default());
        let names = Names::new(config::UserNames::Drop, None).unwrap();
        let captures =
            Captures::start_on(&Capture::into(directory), names, Box::new(Arc::clone(&counts)), space).unwrap();
        Stage { captures, counts, budget: Arc::new(OpeningBudget::new(1 << 20)) }
    }

    /// A session that ends with this cause, so many milliseconds after the first.
    fn end(&self, number: u128, cause: Cause, ms: u64) -> Arc<SessionRecord> {
        let tape = self.captures.tape(&self.budget);
        tape.data(Peer::Client, b"\x03\x00\x00\x0b\x06\xe0\0\0\0\0\0", fixture::after(1));
        let mut record = fixture::record(number, cause);
        record.ended = fixture::after(ms);
        let mut identity = crate::record::SessionIdentity::clone(&record.identity);
        identity.id = Uuid::now_v7();
        record.identity = Arc::new(identity);
        let place = self.captures.place(&record, Some(&tape));
        record.capture = place.as_ref().map(|place| place.file.clone());
        let record = Arc::new(record);
        if let Some(place) = place {
            place.write(&record, None);
        }
        record
    }

    fn flush(&self) {
        assert!(self.captures.flush(Duration::from_secs(30)));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.flush();
        let _ = std::fs::remove_dir_all(&self.captures.directory);
    }
}

#[test]
fn more_than_a_hundred_in_a_second_are_counted_and_the_next_second_begins_anew() {
    let stage = Stage::new();
    let places = (0..130).filter(|n| stage.end(*n, Cause::CertExpired, 20).capture.is_some()).count();
    assert_eq!((places, stage.counts.of(NotWritten::Rate)), (100, 30));
    assert!(stage.end(200, Cause::CertExpired, 1_500).capture.is_some());
    stage.flush();
    assert_eq!(stage.counts.written.load(Relaxed), 101);
    assert_eq!(stage.budget.used(), 0);
}

#[test]
fn a_disk_that_does_not_answer_is_an_error_and_not_full() {
    let stage = Stage::on(Box::new(|_| Err(io::ErrorKind::PermissionDenied.into())));
    for number in 0..3 {
        stage.end(number, Cause::CertExpired, 20);
        stage.flush();
    }
    assert_eq!((stage.counts.of(NotWritten::Error), stage.counts.of(NotWritten::DiskFull)), (3, 0));
}

#[test]
fn a_revised_verdict_is_told_in_the_file_and_no_failure_leaves_none() {
    let stage = Stage::new();
    let record = stage.end(1, Cause::TlsServerRefusedHelloSilently, 20);
    stage.flush();
    let file = || std::fs::read(stage.captures.path(record.identity.id));
    let told = |file: &[u8], cause: Cause| {
        let text = format!("verdict: {cause}");
        file.windows(text.len()).any(|bytes| bytes == text.as_bytes())
    };
    let first = file().unwrap();
    // Whatever the fixture's alert and close are, one packet says it.
    let revise = |cause| {
        let revised = SessionRecord { verdict: fixture::verdict(cause), ..SessionRecord::clone(&record) };
        stage.captures.revised(&Arc::new(revised), None);
        stage.flush();
    };
    revise(Cause::TlsNoCommonCipher);
    let second = file().unwrap();
    assert_eq!(told(&first, Cause::TlsServerRefusedHelloSilently), told(&second, Cause::TlsNoCommonCipher));
    assert!(!told(&second, Cause::TlsServerRefusedHelloSilently));
    assert!(String::from_utf8_lossy(&second).contains("tls_no_common_cipher  "), "the report too");
    revise(Cause::ClientPromptProbe);
    assert!(file().is_err());
    assert_eq!(stage.counts.written.load(Relaxed), 1, "counted once");
}

#[test]
fn what_panics_with_secrets_is_made_without_them_and_what_always_does_is_not_made() {
    let id = Uuid::now_v7();
    let mut passed = Passed::default();
    passed.keys = Some(Arc::default());
    let sealed = |passed: &Passed| {
        assert!(passed.keys.is_none(), "a fault");
        vec![1]
    };
    assert_eq!(made(id, &mut passed, sealed), Some(vec![1]));
    passed.keys = Some(Arc::default());
    let never = |passed: &Passed| {
        assert!(passed.is_apart(), "a fault");
        Vec::new()
    };
    assert_eq!(made(id, &mut passed, never), None);
}

#[test]
fn healthy_sessions_scanners_and_our_own_stop_have_no_place() {
    let stage = Stage::new();
    for cause in [Cause::Ok, Cause::ClientPromptProbe, Cause::NotRdp, Cause::ClientSentNothing, Cause::ProxyShutdown] {
        assert!(stage.end(1, cause, 20).capture.is_none(), "{cause}");
    }
    assert!(NotWritten::ALL.iter().all(|why| stage.counts.of(*why) == 0), "and are not missed");
}
