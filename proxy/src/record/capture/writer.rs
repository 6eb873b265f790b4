//! The one thread that writes captures, and the queue before it. Who hands a session over never waits.

use super::store::{self, Space, Store, StoreError};
use super::tape::{Passed, Stopped, Tape};
use super::until::Until;
use super::{NotWritten, file, is_wanted, pcapng, reveal, words};
use crate::clock;
use crate::limits::{Charge, OpeningBudget};
use crate::record::{CaptureFile, LiveSession, Names, SessionRecord};
use config::Capture;
use parser::diagnosis::diagnose;
use parser::profile::HostProfile;
use parser::session::Timeline;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use uuid::Uuid;

/// Sessions that may wait. Their memory is bounded by the opening budget; this is what a disk that hangs may pile up.
const QUEUE: usize = 1_024;
/// Captures of one second. A file costs the disk more than an opening costs us, and strangers can make openings fail.
const PER_SECOND: u32 = 100;
/// How often old files are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);

/// What is counted.
pub(crate) trait Tally: Send + Sync {
    /// A capture was written.
    fn written(&self);
    /// One was not.
    fn not_written(&self, why: NotWritten);
    /// Bytes of all that are there.
    fn stored(&self, bytes: u64);
}

/// Captures of failed openings.
pub(crate) struct Captures {
    shared: Arc<Shared>,
    bound: usize,
    directory: PathBuf,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    idle: Condvar,
    names: Names,
    secrets: Arc<Until>,
    tally: Box<dyn Tally>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Places promised to sessions whose record is being made.
    reserved: usize,
    working: bool,
    over: bool,
    /// Why nothing could be written when the disk was last asked.
    refused: Option<NotWritten>,
    /// Places given in this second, since 1970.
    second: (i64, u32),
}

/// What the host accepts, when a verdict rests on it.
type Profile = Option<Arc<HostProfile>>;

enum Job {
    Write { record: Arc<SessionRecord>, profile: Profile, passed: Passed, charge: Charge },
    Retell(Arc<SessionRecord>, Profile),
    Remove(Uuid),
}

/// The promise that a session's capture will be written.
pub(crate) struct Place {
    shared: Arc<Shared>,
    pub(crate) file: CaptureFile,
    passed: Option<(Passed, Charge)>,
}

impl Captures {
    /// Opens the directory and starts the thread.
    ///
    /// # Errors
    /// A directory that cannot be used.
    pub(crate) fn start(settings: &Capture, names: Names, tally: Box<dyn Tally>) -> Result<Captures, StoreError> {
        Captures::start_on(settings, names, tally, store::space())
    }

    /// The same with another way to learn what the disk has to spare.
    pub(crate) fn start_on(
        settings: &Capture,
        names: Names,
        tally: Box<dyn Tally>,
        space: Space,
    ) -> Result<Captures, StoreError> {
        let store = Store::open(settings.clone(), space)?;
        tally.stored(store.total());
        let directory = store.directory().to_owned();
        let secrets = Arc::new(Until::new(settings.secrets_until));
        let (state, work, idle) = Default::default();
        let shared = Arc::new(Shared { state, work, idle, names, secrets, tally });
        let thread = Arc::clone(&shared);
        let started = std::thread::Builder::new().name("captures".to_owned()).spawn(move || thread.run(store));
        started.map_err(|source| StoreError::no_thread(&directory, source))?;
        Ok(Captures { shared, bound: settings.max_bytes_per_session, directory })
    }

    /// A tape for a session that begins.
    pub(crate) fn tape(&self, budget: &Arc<OpeningBudget>) -> Arc<Tape> {
        let tape = Tape::new(self.bound, budget);
        Arc::new(if self.shared.secrets.allows() { tape.revealing(&self.shared.secrets) } else { tape })
    }

    /// Files hold secrets no longer than until then, those of sessions that go on now included. `None`: from now on.
    pub(crate) fn lower_secrets(&self, until: Option<SystemTime>) {
        self.shared.secrets.lower(until);
        self.shared.work.notify_one();
    }

    /// A place for a session that has ended, if it is to have a file; when it should and cannot, that is counted.
    pub(crate) fn place(&self, record: &SessionRecord, tape: Option<&Tape>) -> Option<Place> {
        if !is_wanted(record.verdict.cause) {
            return None;
        }
        let refuse = |why| {
            self.shared.tally.not_written(why);
            None
        };
        let Some(tape) = tape else { return refuse(NotWritten::Released) };
        let (mut passed, charge) = tape.take();
        passed.keys = passed.keys.filter(|keys| self.shared.secrets.allows() && keys.are_there());
        match passed.stopped {
            Some(Stopped::Budget) => return refuse(NotWritten::Budget),
            Some(Stopped::Released) => return refuse(NotWritten::Released),
            Some(Stopped::Full | Stopped::Unread) | None => {}
        }
        let mut state = self.shared.lock();
        if let Some(why) = state.refused {
            // Asked again by the thread, which is the one that may wait for a disk.
            self.shared.work.notify_one();
            drop(state);
            return refuse(why);
        }
        if state.over || state.jobs.len() + state.reserved >= QUEUE {
            drop(state);
            return refuse(NotWritten::QueueFull);
        }
        let second = record.ended.unix_seconds();
        if state.second.0 != second {
            state.second = (second, 0);
        }
        if state.second.1 >= PER_SECOND {
            drop(state);
            return refuse(NotWritten::Rate);
        }
        state.second.1 += 1;
        state.reserved += 1;
        drop(state);
        // The event says whether there are secrets before the file is made. Never the end of a session's task.
        let opens = || passed.keys.as_deref().is_some_and(|keys| reveal::opens(&passed.wires(), keys));
        if !catch_unwind(AssertUnwindSafe(opens)).unwrap_or(false) {
            passed.keys = None;
        }
        let path = Arc::from(self.directory.join(store::file_name(record.identity.id)));
        let file = CaptureFile { path, secrets: passed.keys.is_some() };
        Some(Place { shared: Arc::clone(&self.shared), file, passed: Some((passed, charge)) })
    }

    /// The verdict on a session that has a file is another one now.
    pub(crate) fn revised(&self, record: &Arc<SessionRecord>, profile: Profile) {
        if record.capture.is_none() {
            return;
        }
        let job = match is_wanted(record.verdict.cause) {
            true => Job::Retell(Arc::clone(record), profile),
            // What was no failure leaves no file.
            false => Job::Remove(record.identity.id),
        };
        self.shared.lock().jobs.push_back(job);
        self.shared.work.notify_one();
    }

    /// A live session as it is now, and never readable, since the admin endpoint asks nobody who they are; `None` when its
    /// opening is kept no more.
    pub(crate) fn live(&self, session: &dyn LiveSession) -> Option<Vec<u8>> {
        let mut passed = session.tape()?.look();
        passed.keys = None;
        if matches!(passed.stopped, Some(Stopped::Budget | Stopped::Released)) {
            return None;
        }
        let timeline = Timeline { tcp: session.tcp(), ..session.timeline() };
        let (identity, verdict) = (Arc::clone(session.identity()), diagnose(&timeline));
        let record = SessionRecord { identity, timeline, verdict, ended: clock::now(), capture: None };
        Some(file(&record, &passed, &self.shared.names, false, None))
    }

    /// Where the capture of a session is, if it has one.
    pub(crate) fn path(&self, session: Uuid) -> PathBuf {
        self.directory.join(store::file_name(session))
    }

    /// Waits until everything queued so far was written, at most for `patience`.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.shared.lock();
        while state.working || !state.jobs.is_empty() {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return false;
            };
            state = self.shared.idle.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Place {
    /// Hands the session over.
    pub(crate) fn write(mut self, record: &Arc<SessionRecord>, profile: Profile) {
        if let Some((passed, charge)) = self.passed.take() {
            let job = Job::Write { record: Arc::clone(record), profile, passed, charge };
            self.shared.lock().jobs.push_back(job);
            self.shared.work.notify_one();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.lock().reserved -= 1;
    }
}

impl Drop for Captures {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.work.notify_one();
    }
}

impl std::fmt::Debug for Captures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Captures").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread.
    fn run(&self, mut store: Store) {
        let (mut expired, mut secrets) = (Instant::now(), self.secrets.allows());
        store.expire(SystemTime::now());
        loop {
            let patience = self.secrets.left().unwrap_or(EXPIRE_EVERY).min(EXPIRE_EVERY);
            let Some(job) = self.next(patience) else { return };
            if secrets && !self.secrets.allows() {
                secrets = false;
                tracing::warn!(
                    "`secrets_until` of [capture] has passed or was taken out: captures hold no secrets from now on, until a \
                     restart with a later one"
                );
            }
            if let Some(job) = job {
                self.work_on(job, &mut store);
            }
            if expired.elapsed() >= EXPIRE_EVERY {
                expired = Instant::now();
                store.expire(SystemTime::now());
            }
            self.tally.stored(store.total());
            let refused = store.may_write(0).err();
            let mut state = self.lock();
            state.refused = refused;
            state.working = false;
            if state.jobs.is_empty() {
                self.idle.notify_all();
            }
        }
    }

    /// The next job; none when `patience` is over: it is time to look for old files, or whether the disk has room again.
    fn next(&self, patience: Duration) -> Option<Option<Job>> {
        let mut state = self.lock();
        if state.jobs.is_empty() {
            if state.over {
                return None;
            }
            state = self.work.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
        let job = state.jobs.pop_front();
        if job.is_none() && state.over {
            return None;
        }
        state.working = true;
        Some(job)
    }

    fn work_on(&self, job: Job, store: &mut Store) {
        let done = match job {
            Job::Write { record, profile, mut passed, charge } => {
                passed.keys = passed.keys.filter(|_| self.secrets.allows());
                let session = record.identity.id;
                let made =
                    made(session, &mut passed, |passed| file(&record, passed, &self.names, true, profile.as_ref()));
                drop((passed, charge));
                made.ok_or(NotWritten::Error).and_then(|bytes| store.write(session, &bytes))
            }
            Job::Retell(record, profile) => return self.retell(&record, profile.as_ref(), store),
            Job::Remove(session) => return store.remove(session),
        };
        match done {
            Ok(()) => self.tally.written(),
            Err(why) => self.tally.not_written(why),
        }
    }

    /// Writes the file anew with the verdict as it is now. It is counted already.
    fn retell(&self, record: &SessionRecord, profile: Option<&Arc<HostProfile>>, store: &mut Store) {
        let session = record.identity.id;
        let Some(file) = store.read(session) else { return };
        let Some(comments) = words::retold(&file, record, profile) else { return };
        if let Some(file) = pcapng::retold(&file, &comments, &words::verdict(record)) {
            // The one that is there tells the verdict before this one.
            let _ = store.write(session, &file);
        }
    }
}

/// What `make` makes of it; where that panics, what it makes of it without secrets. `None`: it panics then too. The bytes of
/// no session end the thread.
fn made(session: Uuid, passed: &mut Passed, make: impl Fn(&Passed) -> Vec<u8>) -> Option<Vec<u8>> {
    let attempt = |passed: &Passed| catch_unwind(AssertUnwindSafe(|| make(passed))).ok();
    let first = attempt(passed);
    if first.is_some() {
        return first;
    }
    let again = passed.keys.take().is_some();
    let then = if again { "it is made without secrets" } else { "there is none" };
    tracing::error!("the capture of session {session} could not be made, {then}: this is a fault of rdpscope");
    if again { attempt(passed) } else { None }
}

impl StoreError {
    fn no_thread(directory: &Path, source: io::Error) -> StoreError {
        StoreError::new(directory, "no thread can be had to write captures", source)
    }
}

#[cfg(test)]
mod tests;
