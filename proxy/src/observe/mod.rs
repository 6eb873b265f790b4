//! Metrics, events, logs and the live table: everything that tells, fed by timelines and counters.
//!
//! [`Observer`] is the only thing the relay knows of this room. None of its calls blocks: events and log lines go through
//! bounded queues, and a subscriber that does not keep up loses events.

mod feed;
mod history;
mod latency;
mod live;
pub mod log;
mod metrics;
mod notice;
mod open;
mod pending;
mod probed;
mod query;
mod refused;
mod sample;
mod settle;
mod tell;
mod tick;

pub(crate) use feed::{Item, SUBSCRIBERS};
pub(crate) use history::Ended;
pub use latency::PhaseLatency;
pub(crate) use latency::Row as LatencyRow;
pub(crate) use live::Entry;
pub use notice::{Drain, Notice, Readiness};
pub use open::OutputError;

use crate::limits::OpeningBudget;
use crate::limits::Rejection;
use crate::probe::{Prober, REVISED_WITHIN, Standing};
use crate::record::capture::{Captures, Tape};
use crate::record::{Action, Event, LiveSession, Names, SessionRecord, Silence, Writer};
use feed::Feed;
use history::History;
use latency::Latencies;
use live::Live;
use metrics::Metrics;
use parser::Timestamp;
use parser::diagnosis::{Marks, diagnose_with};
use parser::session::{PerPeer, Phase, Timeline};
use pending::Pending;
use refused::Refused;
use sample::Sampler;
use settle::{Settled, Settling, Tell};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};
use tick::Tick;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

/// How long [`Observer::finish`] waits for a slow disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a session leaves beside its record.
#[derive(Default)]
pub(crate) struct Left {
    /// The client's hello as it was sent, if the host did not answer it: a probe replays it.
    pub(crate) client_hello: Option<Box<[u8]>>,
    /// Its opening, if it is kept.
    pub(crate) tape: Option<Arc<Tape>>,
}

/// Everything that tells.
#[derive(Debug)]
pub struct Observer {
    metrics: Metrics,
    names: Arc<Names>,
    file: Option<Writer<Pending>>,
    captures: Option<Captures>,
    /// `events.live`: starts and phases go to the file too.
    live_in_file: bool,
    feed: Feed,
    live: Live,
    history: Mutex<History>,
    latencies: Latencies,
    settling: Settling,
    tick: Tick,
    /// Never sent to: who waits for its end is told that by its drop.
    gone: watch::Sender<()>,
    refused: Mutex<[Refused; Rejection::ALL.len()]>,
    /// The text log, by outcome: the event file has all.
    logged: Mutex<[Sampler; 3]>,
    notices: Mutex<Vec<mpsc::UnboundedSender<Notice>>>,
    records: Mutex<Vec<mpsc::UnboundedSender<Arc<SessionRecord>>>>,
    readiness: AtomicU8,
    /// Who asks hosts what they accept. None in a process that serves no session.
    prober: OnceLock<Arc<Prober>>,
}

impl Observer {
    /// The labels that exist from now on.
    pub fn configured(&self, settings: &config::Settings) {
        self.metrics.configured(settings);
    }

    /// Whether connections are accepted.
    pub fn readiness(&self, readiness: Readiness) {
        self.readiness.store(readiness as u8, Relaxed);
    }

    /// The event file may have been rotated: the next event goes where its name leads now.
    pub fn reopen(&self) {
        if let Some(file) = &self.file {
            file.reopen();
        }
    }

    /// The configuration was read again, or why it was not. The event file is opened anew either way.
    pub fn reloaded(&self, result: Result<(), &str>) {
        self.reopen();
        self.metrics.reloaded(result.is_ok());
        let message = match result {
            Ok(()) => "configuration reloaded".to_owned(),
            Err(why) => format!("configuration not reloaded, the running one stays in force: {why}"),
        };
        self.of_proxy(Action::Reload, result.is_ok(), message, None);
    }

    /// A drain goes on.
    pub fn drain(&self, step: Drain) {
        let (success, message, live) = match step {
            Drain::Begun { live } => (true, format!("draining: {} may go on", sessions(live)), live),
            Drain::Done => (true, "drained: no session was cut".to_owned(), 0),
            Drain::CutShort { live } => (false, format!("drain cut short: {} ended", sessions(live)), live),
        };
        self.of_proxy(Action::Drain, success, message, Some(live));
    }

    /// Counts what is still held and writes what is still queued. The last call of a run.
    pub async fn finish(&self) {
        self.settle(Timestamp(u64::MAX));
        self.left_out(Timestamp(u64::MAX));
        self.refusals_left_out(Timestamp(u64::MAX));
        // A disk that hangs may hold this up for some seconds; no session is left to mind.
        if let Some(file) = &self.file {
            file.flush(PATIENCE);
        }
        if let Some(captures) = &self.captures {
            captures.flush(PATIENCE);
        }
        log::flush();
    }

    /// Where the opening of a session that begins is kept, if failed ones are captured.
    pub(crate) fn tape(&self, budget: &Arc<OpeningBudget>) -> Option<Arc<Tape>> {
        self.captures.as_ref().map(|captures| captures.tape(budget))
    }

    /// Captures hold secrets no longer than until then: at once no more without a moment.
    pub(crate) fn lower_secrets(&self, until: Option<SystemTime>) {
        if let Some(captures) = &self.captures {
            captures.lower_secrets(until);
        }
    }

    /// A connection was accepted and will be served.
    pub fn started(&self, session: Arc<dyn LiveSession>) {
        let identity = Arc::clone(session.identity());
        let listener = self.metrics.listener(&identity.listener);
        let upstream = self.metrics.upstream(&identity.upstream);
        listener.accepted.inc();
        listener.active.inc();
        self.metrics.moved(None, Some(Phase::Accept));
        self.live.insert(session, listener, upstream);
        self.settling.opened(&identity);
        self.tick.wake();
        if self.live_wanted() {
            self.tell(Action::SessionStart, Some(&identity), None, &Event::started(&identity));
        }
    }

    /// A session that was in phase `before` entered `phase` at `now`, and shows it already.
    pub fn phase(&self, session: &dyn LiveSession, before: Phase, phase: Phase, now: Timestamp) {
        let identity = session.identity();
        self.metrics.moved(Some(before), Some(phase));
        // Below the hello nothing is known yet by which one client is told from another behind the same address, and
        // behind the host's answer to it nothing new.
        let shown = before < Phase::TlsFinish && phase >= Phase::TlsHello;
        let marks = shown.then(|| session.marks());
        for revised in self.settling.reached(identity.id, phase, marks, now) {
            self.settled(revised);
        }
        if self.live_wanted() {
            let event = Event::phase(identity, phase, now, now, Silence::default());
            self.tell(Action::SessionPhase, Some(identity), None, &event);
        }
    }

    /// A session is about to be over, and to be looked at in the live table for the last time. The other connection of a
    /// gateway session may end on another core at this very moment, and asks how this one stands.
    pub(crate) fn ending(&self, session: Uuid, timeline: &Timeline) {
        if timeline.opening.may_be_gateway() {
            self.settling.shown(session, Marks::of(timeline));
        }
    }

    /// A session is no longer followed closely, or was woken: it is to rest when it is silent.
    pub(crate) fn restless(&self, session: Arc<dyn LiveSession>) {
        self.live.restless(session);
        self.tick.wake();
    }

    /// A session is over. Called exactly once for each [`Observer::started`].
    pub fn ended(&self, record: SessionRecord) {
        self.ended_with(record, Left::default());
    }

    /// The same, with what it leaves.
    pub(crate) fn ended_with(&self, mut record: SessionRecord, left: Left) {
        let identity = Arc::clone(&record.identity);
        let traffic = &record.timeline.traffic;
        let upstream = self.left(&identity, PerPeer { client: traffic.client.bytes, host: traffic.host.bytes });
        self.metrics.seen(&record, &upstream);
        self.latencies.record(&record.timeline.phases, record.ended);
        self.look_beside(&mut record);

        let prober = self.prober.get();
        let (mut profile, mut undecided, mut at_once) = (None, None, false);
        match prober.map_or(Standing::Settled, |prober| prober.standing(&record)) {
            Standing::Settled => {}
            Standing::Known(known) => {
                record.verdict = diagnose_with(&record.timeline, &known);
                profile = Some(known);
            }
            Standing::Undecided(target) => {
                (undecided, at_once) = (Some((target, record.ended.plus(REVISED_WITHIN))), true);
            }
            Standing::Prompt(target) => undecided = Some((target, record.ended.plus(REVISED_WITHIN))),
        }
        let place = self.captures.as_ref().and_then(|captures| captures.place(&record, left.tape.as_deref()));
        record.capture = place.as_ref().map(|place| place.file.clone());
        let record = Arc::new(record);
        if let Some(place) = place {
            place.write(&record, profile.clone());
        }
        let hold = prober.filter(|_| at_once).map(|prober| prober.hold()).filter(|hold| !hold.is_zero());
        let told = self.settling.ended(&record, &upstream, profile, undecided, hold.is_some());
        self.tick.wake();
        match hold.filter(|_| !told.is_final) {
            // Told when the probe is over, or when its time is.
            Some(hold) => prober.into_iter().for_each(|prober| prober.hold_back(identity.id, hold)),
            None => self.tell_settled(Settled { record: Arc::clone(&record), upstream, told, tell: Tell::End }),
        }
        if let (Some(prober), Some((target, _))) = (prober, undecided) {
            match at_once {
                true => prober.want(target, &record, left.client_hello),
                false => prober.want_later(target, record),
            }
        }
    }

    /// Every record ended from now on. For tests and the demo: the channel has no bound.
    #[must_use]
    pub fn records(&self) -> mpsc::UnboundedReceiver<Arc<SessionRecord>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        lock(&self.records).push(sender);
        receiver
    }

    /// Every end and every revised verdict from now on. For tests and the demo: the channel has no bound.
    #[must_use]
    pub fn notices(&self) -> mpsc::UnboundedReceiver<Notice> {
        let (sender, receiver) = mpsc::unbounded_channel();
        lock(&self.notices).push(sender);
        receiver
    }

    /// Percentiles of each phase that any session was in.
    #[must_use]
    pub fn phase_latencies(&self) -> Vec<PhaseLatency> {
        self.latencies.percentiles()
    }

    /// All metrics in the text exposition format.
    #[must_use]
    pub fn metrics_text(&self) -> Vec<u8> {
        self.live.count_bytes();
        self.metrics.render()
    }
}

/// `1 session`, `3 sessions`.
pub(crate) fn sessions(count: usize) -> String {
    if count == 1 { "1 session".to_owned() } else { format!("{count} sessions") }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
