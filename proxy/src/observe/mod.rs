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
mod sample;
mod settle;
mod tick;

pub(crate) use feed::{Item, SUBSCRIBERS};
pub(crate) use history::Ended;
pub use latency::PhaseLatency;
pub(crate) use latency::Row as LatencyRow;
pub(crate) use live::Entry;
pub use notice::{Drain, Notice, Readiness, Rejection};
pub use open::OutputError;

use crate::clock;
use crate::limits::OpeningBudget;
use crate::probe::{Prober, REVISED_WITHIN, Standing};
use crate::record::capture::{Captures, Tape};
use crate::record::{Action, Event, LiveSession, Names, SessionIdentity, SessionRecord, Silence, Told, Writer};
use feed::Feed;
use history::History;
use latency::Latencies;
use live::Live;
use metrics::{Metrics, UpstreamMetrics};
use parser::Timestamp;
use parser::diagnosis::{Cause, Marks, Outcome, diagnose_with};
use parser::session::{PerPeer, Phase, Timeline};
use pending::Pending;
use sample::Sampler;
use settle::{Settled, Settling, Tell};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};
use tick::Tick;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

/// Refused connections that are told of, of one reason.
const REFUSALS_PER_SECOND: u32 = 10;

/// Failed sessions that the text log shows one by one: more than that is one fault, seen often.
const FAILURES_PER_SECOND: u32 = 100;

/// The same for sessions that ended well, and for what was no session.
const OTHERS_PER_SECOND: u32 = 10;

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
    samplers: Mutex<[Sampler; Rejection::ALL.len()]>,
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

    /// The configuration was read again, or why it was not. The event file is opened anew either way.
    pub fn reloaded(&self, result: Result<(), &str>) {
        if let Some(file) = &self.file {
            file.reopen();
        }
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

    /// A connection was refused by a limit of ours. It is no session: only `connections_rejected_total` counts it.
    pub fn rejected(&self, identity: &SessionIdentity, why: Rejection) {
        self.metrics.listener(&identity.listener).rejected(why).inc();
        let Some(suppressed) = lock(&self.samplers)[why as usize].admit(identity.accepted, REFUSALS_PER_SECOND) else {
            return;
        };
        let client = identity.client.ip().to_canonical();
        let message = format!("connection from {client} refused: {}", why.words());
        tracing::warn!(reason = why.name(), listener = &*identity.listener, suppressed, "{message}");
        let event = Event::rejected(identity, why.cause(), why.name(), &message, suppressed);
        self.tell(Action::SessionEnd, Some(identity), Some(why.cause().id()), &event);
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

impl Observer {
    /// A session is no longer live: gauges and the rest of its bytes.
    fn left(&self, identity: &SessionIdentity, bytes: PerPeer<u64>) -> Arc<UpstreamMetrics> {
        match self.live.remove(identity.id) {
            Some(mut entry) => {
                entry.listener.active.dec();
                self.metrics.moved(Some(entry.session.phase()), None);
                entry.carried(bytes);
                entry.upstream
            }
            // Never announced: there is no gauge to take back.
            None => {
                let upstream = self.metrics.upstream(&identity.upstream);
                upstream.carried(bytes);
                upstream
            }
        }
    }

    /// Judges a session again in the light of its client's other connections. Of a gateway session's other half it counts
    /// how that is now, live or ended.
    fn look_beside(&self, record: &mut SessionRecord) {
        if record.verdict.outcome() != Outcome::Failure {
            return;
        }
        let paired = record.timeline.opening.may_be_gateway();
        let companions = if paired { self.settling.companions(record.identity.id) } else { Vec::new() };
        for other in companions {
            // One that has left the table said how it stands before: see [`Observer::ending`].
            if let Some(entry) = self.live.find(other) {
                self.settling.shown(other, Marks::of(&entry.session.timeline()));
            }
        }
        self.settling.look_beside(record);
    }

    /// The same for one whose capture, if it has one, tells the verdict that it had at its end.
    fn settled(&self, settled: Settled) {
        if let Some(captures) = self.captures.as_ref().filter(|_| settled.tell != Tell::Nothing) {
            captures.revised(&settled.record, settled.told.profile.clone());
        }
        self.tell_settled(settled);
    }

    /// Tells what is to be told of an ended session, and counts it when that is final.
    fn tell_settled(&self, settled: Settled) {
        let Settled { record, upstream, told, tell } = settled;
        if told.is_final {
            self.metrics.judged(&record, told.profile.as_deref(), &upstream);
            if let Some(prober) = self.prober.get() {
                prober.came_to(&record);
            }
        }
        match tell {
            Tell::End => self.tell_end(&record, told),
            Tell::Verdict(was) => self.tell_verdict(&record, told, was),
            Tell::Nothing => {}
        }
    }

    fn tell_end(&self, record: &Arc<SessionRecord>, told: Told) {
        self.tell_session(Action::SessionEnd, record, record.ended, &told);
        self.log(record);
        lock(&self.history).push(Ended { record: Arc::clone(record), told, revised: false });
        lock(&self.records).retain(|sender| sender.send(Arc::clone(record)).is_ok());
        self.notify(&Notice::Ended(Arc::clone(record)));
    }

    fn tell_verdict(&self, record: &Arc<SessionRecord>, told: Told, was: Cause) {
        let cause = record.verdict.cause.id();
        let client = record.identity.client.ip().to_canonical();
        let was = was.id();
        tracing::info!(cause, was, %client, session = %record.identity.id, "revised: {}", record.verdict.message);
        self.tell_session(Action::Verdict, record, clock::now(), &told);
        let (session, verdict) = (record.identity.id, record.verdict.clone());
        lock(&self.history).revise(Ended { record: Arc::clone(record), told, revised: true });
        self.notify(&Notice::Revised { session, verdict });
    }

    /// Tells those who listen, and queues the record for the file: its line is made by the thread that writes it.
    fn tell_session(&self, action: Action, record: &Arc<SessionRecord>, at: Timestamp, told: &Told) {
        let identity = &*record.identity;
        if self.feed.wanted() {
            let client = Some(identity.client.ip().to_canonical());
            let line = Event::ended(action, record, at, &self.names, told).line();
            self.feed_line(action, client, Some(&identity.upstream), Some(record.verdict.cause.id()), &line);
        }
        self.queue(|| Pending::Session { action, record: Arc::clone(record), at, told: told.clone() });
    }

    /// A busy proxy ends thousands of sessions a second; a person reads some of them.
    fn log(&self, record: &SessionRecord) {
        let outcome = record.verdict.outcome();
        let most = if outcome == Outcome::Failure { FAILURES_PER_SECOND } else { OTHERS_PER_SECOND };
        let admitted = lock(&self.logged)[outcome as usize].admit(record.ended, most);
        if let Some(suppressed @ 1..) = admitted {
            let outcome = outcome.name();
            tracing::info!(suppressed, "{suppressed} more sessions of outcome {outcome} were not logged one by one");
        }
        log::session(record, &record.verdict, admitted.is_some());
    }

    /// Counts what has become final by the passing of time.
    fn settle(&self, now: Timestamp) {
        let (sessions, attempts) = self.settling.expire(now);
        sessions.into_iter().for_each(|session| self.settled(session));
        attempts.into_iter().for_each(|(upstream, cause)| upstream.attempted(cause));
    }

    /// Tells again of sessions that hang.
    fn hanging(&self, now: Timestamp) {
        for entry in self.live.hanging(now) {
            let traffic = entry.session.timeline().traffic;
            let last = Silence { client: traffic.client.last, host: traffic.host.last };
            let identity = entry.session.identity();
            let event = Event::phase(identity, entry.session.phase(), entry.session.entered(), now, last);
            let client = identity.client.ip().to_canonical();
            tracing::debug!(session = %identity.id, %client, host = &*identity.upstream, "{}", event.message());
            if self.live_wanted() {
                self.tell(Action::SessionPhase, Some(identity), None, &event);
            }
        }
    }

    fn of_proxy(&self, action: Action, success: bool, message: String, live: Option<usize>) {
        self.tell(action, None, None, &Event::of_proxy(action, clock::now(), success, message, live));
    }

    /// Starts and phases are worth making an event of.
    fn live_wanted(&self) -> bool {
        self.feed.wanted() || (self.live_in_file && self.file.is_some())
    }

    fn tell(&self, action: Action, about: Option<&SessionIdentity>, cause: Option<&'static str>, event: &Event) {
        let client = about.map(|identity| identity.client.ip().to_canonical());
        self.tell_about(action, client, about.map(|identity| &identity.upstream), cause, event);
    }

    fn tell_about(
        &self,
        action: Action,
        client: Option<IpAddr>,
        host: Option<&Arc<str>>,
        cause: Option<&'static str>,
        event: &Event,
    ) {
        let line = event.line();
        if self.feed.wanted() {
            self.feed_line(action, client, host, cause, &line);
        }
        let only_live = matches!(action, Action::SessionStart | Action::SessionPhase) && !self.live_in_file;
        if !only_live {
            self.queue(|| Pending::Line(line));
        }
    }

    fn feed_line(
        &self,
        action: Action,
        client: Option<IpAddr>,
        host: Option<&Arc<str>>,
        cause: Option<&'static str>,
        line: &[u8],
    ) {
        let json = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line));
        self.feed.send(&Item { action: action.name(), cause, client, host: host.cloned(), json: Arc::from(json) });
    }

    fn queue(&self, pending: impl FnOnce() -> Pending) {
        if let Some(file) = &self.file {
            let pending = pending();
            let weight = pending.weight();
            file.push(pending, weight);
        }
    }

    fn notify(&self, notice: &Notice) {
        lock(&self.notices).retain(|sender| sender.send(notice.clone()).is_ok());
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
