//! Asking, and what comes of it: one probe per host at a time, few hosts at once, never more often than allowed.

use super::cache::{Hello, HostView, Hosts, Noticed, Standing as Known};
use super::store::Store;
use super::{Question, Reason, Target, schedule, trigger};
use crate::clock;
use crate::observe::Observer;
use crate::record::SessionRecord;
use config::{ProbeMode, Settings};
use futures_util::future::BoxFuture;
use parser::Timestamp;
use parser::diagnosis::{Cause, Outcome, needs_profile};
use parser::profile::{Change, Completeness, HostProfile, RecordedHello, changes};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Hosts asked at once, one connection each: when a whole farm fails, its hosts are asked in turn.
const AT_ONCE: usize = 8;

/// A probe ends within this, so that a verdict can be revised before it counts as final (30 s after the session).
const WITHIN: Duration = Duration::from_secs(25);

/// After it a probe that does not keep its own bound is ended from outside.
const GRACE: Duration = Duration::from_secs(2);

/// A client that shows a prompt is given this long to come back before its host is asked why it left.
const PROMPT: Duration = Duration::from_secs(20);

/// A session waits this long for the probe that would decide it.
pub(crate) const REVISED_WITHIN: Duration = Duration::from_secs(30);

/// Asks a host: a function, so that tests can script the answers.
pub type Asker = Arc<dyn Fn(Question) -> BoxFuture<'static, HostProfile> + Send + Sync>;

/// Asks hosts what they accept, and knows what they said.
pub struct Prober {
    ask: Asker,
    settings: RwLock<config::Probe>,
    hosts: Mutex<Hosts>,
    observer: Weak<Observer>,
    runtime: Handle,
    places: Semaphore,
    store: Option<Store>,
    schedules: Mutex<JoinSet<()>>,
}

/// How a session that ended stands with respect to its host.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// No answer of the host would change its verdict, or none is to be had.
    Settled,
    /// The host is known: the verdict can be given with what it accepts.
    Known(Arc<HostProfile>),
    /// A probe would decide: under way, or to be begun with [`Prober::want`].
    Undecided(Target),
    /// The same, but the client's next connection is likely to decide first, without troubling the host.
    Prompt(Target),
}

/// A probe that is over.
#[derive(Debug)]
pub(crate) struct Probed {
    pub(crate) target: Target,
    pub(crate) upstream: Arc<str>,
    pub(crate) reason: Reason,
    /// The session whose failure asked for it.
    pub(crate) session: Option<Uuid>,
    pub(crate) profile: Arc<HostProfile>,
    pub(crate) changes: Vec<Noticed>,
    pub(crate) took: Duration,
}

impl Prober {
    /// A prober that asks with `ask`, as `settings` say, and reads what was kept of an earlier run.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[must_use]
    pub fn start(ask: Asker, settings: &Settings, observer: &Arc<Observer>) -> Arc<Prober> {
        let store = settings.state_directory.as_deref().filter(|_| settings.probe.state).map(Store::new);
        let mut hosts = Hosts::default();
        if let Some(store) = store.as_ref().filter(|_| settings.probe.mode != ProbeMode::Off) {
            for kept in store.load() {
                hosts.restore(kept);
            }
        }
        let prober = Arc::new(Prober {
            ask,
            settings: RwLock::new(settings.probe.clone()),
            hosts: Mutex::new(hosts),
            observer: Arc::downgrade(observer),
            runtime: Handle::current(),
            places: Semaphore::new(AT_ONCE),
            store,
            schedules: Mutex::default(),
        });
        prober.configure(settings);
        prober
    }

    /// Other settings from now on.
    pub fn configure(self: &Arc<Self>, settings: &Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings.probe.clone();
        let mut schedules = self.schedules.lock().unwrap_or_else(PoisonError::into_inner);
        schedules.abort_all();
        *schedules = JoinSet::new();
        if settings.probe.mode == ProbeMode::Schedule {
            let mut known = Vec::new();
            for listener in &settings.listeners {
                if !known.contains(&&listener.upstream) {
                    known.push(&listener.upstream);
                    let upstream = listener.upstream.clone();
                    let task = schedule::run(Arc::downgrade(self), upstream, settings.probe.interval);
                    schedules.spawn_on(task, &self.runtime);
                }
            }
        }
    }

    /// No probe on a schedule begins any more.
    pub fn rest(&self) {
        self.schedules.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// How long the end of a session is held back for a probe.
    pub(crate) fn hold(&self) -> Duration {
        self.settings().hold
    }

    /// The end of a session is told after `hold`, if it was not by then.
    pub(crate) fn hold_back(&self, session: Uuid, hold: Duration) {
        let observer = Weak::clone(&self.observer);
        self.runtime.spawn(async move {
            tokio::time::sleep(hold).await;
            if let Some(observer) = observer.upgrade() {
                observer.held_long_enough(session);
            }
        });
    }

    /// A session has ended: how it stands.
    pub(crate) fn standing(&self, record: &SessionRecord) -> Standing {
        let Some(target) = trigger::target(record) else { return Standing::Settled };
        let mut hosts = self.lock();
        hosts.met(target, &record.identity.upstream, &record.timeline);
        let settings = self.settings();
        if settings.mode == ProbeMode::Off || !needs_profile(&record.verdict) {
            return Standing::Settled;
        }
        let hello = record.timeline.client_hello.as_ref();
        match hosts.standing(target, hello, clock::now(), settings.min_interval) {
            Known::Fresh(profile) => Standing::Known(profile),
            Known::Unknown if record.verdict.alternatives.contains(&Cause::ClientPromptProbe) => {
                Standing::Prompt(target)
            }
            Known::Asked | Known::Unknown => Standing::Undecided(target),
            Known::Spared => Standing::Settled,
        }
    }

    /// A session waits for what `target` accepts: asks it, unless it is being asked or was asked meanwhile.
    pub(crate) fn want(self: &Arc<Self>, target: Target, record: &SessionRecord, client_hello: Option<Box<[u8]>>) {
        let settings = self.settings();
        let facts = record.timeline.client_hello.as_ref();
        let begun = {
            let mut hosts = self.lock();
            match hosts.standing(target, facts, clock::now(), settings.min_interval) {
                Known::Asked => return,
                Known::Unknown => {
                    hosts.begin(target, clock::now());
                    true
                }
                Known::Fresh(_) | Known::Spared => false,
            }
        };
        if !begun {
            // The probe that it was to wait for ended between two looks.
            if let Some(observer) = self.observer.upgrade() {
                observer.judge_waiting(target);
            }
            return;
        }
        let recorded = trigger::recorded(record, client_hello).map(Arc::new);
        let replayed = facts.filter(|_| recorded.is_some()).map(Hello::of);
        let question = Self::question(&settings, target, &record.identity.upstream, recorded);
        let (cause, session) = (record.verdict.cause, record.identity.id);
        tracing::info!(%session, "asking {} ({}) what it accepts: a session ended in {cause}", target, question.upstream);
        let prober = Arc::clone(self);
        self.runtime.spawn(async move { prober.probe(question, Reason::Failure, replayed, Some(session)).await });
    }

    /// The same later, if the session still waits then: most prompts are answered, and every user who signs in makes one.
    pub(crate) fn want_later(self: &Arc<Self>, target: Target, record: Arc<SessionRecord>) {
        let prober = Arc::downgrade(self);
        self.runtime.spawn(async move {
            tokio::time::sleep(PROMPT).await;
            let Some(prober) = prober.upgrade() else { return };
            if prober.observer.upgrade().is_some_and(|observer| observer.waits(record.identity.id)) {
                prober.want(target, &record, None);
            }
        });
    }

    /// A host is due. Does nothing when it was asked lately, or is being asked.
    pub(super) async fn due(self: &Arc<Self>, target: Target, upstream: &Arc<str>) {
        let settings = self.settings();
        {
            let mut hosts = self.lock();
            if hosts.standing(target, None, clock::now(), settings.min_interval) != Known::Unknown {
                return;
            }
            hosts.begin(target, clock::now());
        }
        tracing::info!("asking {target} ({upstream}) what it accepts, as scheduled");
        let question = Self::question(&settings, target, upstream, None);
        self.probe(question, Reason::Schedule, None, None).await;
    }

    /// How a host is spoken to: as its clients do, or as its port suggests.
    pub(super) fn form_of(&self, address: std::net::SocketAddr) -> Target {
        /// A gateway's port.
        const HTTPS: u16 = 443;
        let hosts = self.lock();
        let (x224, tls) = (Target { address, tls_first: false }, Target { address, tls_first: true });
        if !hosts.knows(x224) && (hosts.knows(tls) || address.port() == HTTPS) { tls } else { x224 }
    }

    /// When the host's answers came last.
    pub(super) fn last_asked(&self, target: Target) -> Option<Timestamp> {
        self.lock().profile(target).map(|profile| profile.ended)
    }

    /// The profile of a host as it concerns this session.
    pub(crate) fn profile_for(&self, target: Target, record: &SessionRecord) -> Option<Arc<HostProfile>> {
        self.lock().profile_for(target, record.timeline.client_hello.as_ref())
    }

    /// What a session came to, for good.
    pub(crate) fn came_to(&self, record: &SessionRecord) {
        let cause = record.verdict.cause;
        if cause.outcome() == Outcome::Unknown {
            return;
        }
        if let (Some(target), Some(hello)) = (trigger::target(record), &record.timeline.client_hello) {
            let came_to = (cause, record.timeline.bridge.as_deref());
            self.lock().came_to(target, hello, came_to, record.ended);
        }
    }

    /// All that a host accepts, if it was asked so lately that this is taken for true.
    pub(crate) fn fresh(&self, target: Target) -> Option<Arc<HostProfile>> {
        match self.lock().standing(target, None, clock::now(), self.settings().min_interval) {
            Known::Fresh(profile) if profile.completeness == Completeness::Complete => Some(profile),
            _ => None,
        }
    }

    /// All hosts, by address.
    pub(crate) fn hosts(&self) -> Vec<HostView> {
        self.lock().view()
    }

    fn question(
        settings: &config::Probe,
        target: Target,
        upstream: &Arc<str>,
        recorded: Option<Arc<RecordedHello>>,
    ) -> Question {
        let (timeout, max_handshakes) = (settings.timeout, settings.max_handshakes);
        Question { target, upstream: Arc::clone(upstream), recorded, timeout, max_handshakes, within: WITHIN }
    }

    /// One probe that [`Hosts::begin`] has announced.
    async fn probe(&self, question: Question, reason: Reason, replayed: Option<Hello>, session: Option<Uuid>) {
        let (target, upstream) = (question.target, Arc::clone(&question.upstream));
        // The semaphore is never closed.
        let place = self.places.acquire().await.ok();
        let begun = clock::now();
        let profile = self.answer(question, begun).await;
        drop(place);
        let Some(profile) = profile else {
            self.lock().abandoned(target);
            return;
        };
        let took = profile.ended.since(profile.begun);
        let (profile, changes) = {
            let mut hosts = self.lock();
            let (profile, before) = hosts.ended(target, profile, replayed);
            let changes = before.map_or_else(Vec::new, |before| noticed(&before, &profile));
            hosts.changed(target, changes.iter().cloned());
            (profile, changes)
        };
        if let Some(observer) = self.observer.upgrade() {
            observer.probed(&Probed { target, upstream, reason, session, profile, changes, took });
        }
        self.keep().await;
    }

    /// `None` when the runtime ends.
    async fn answer(&self, question: Question, begun: Timestamp) -> Option<HostProfile> {
        let within = question.within + GRACE;
        // A task of its own: what goes wrong in it is the probe's business alone.
        let mut task = tokio::spawn((self.ask)(question));
        let why = match tokio::time::timeout(within, &mut task).await {
            Ok(Ok(profile)) => return Some(profile),
            Ok(Err(error)) if error.is_cancelled() => return None,
            Ok(Err(error)) => {
                tracing::error!("a probe failed: {error}");
                "the probe failed".to_owned()
            }
            Err(_elapsed) => {
                task.abort();
                format!("no end within {} s", within.as_secs())
            }
        };
        let completeness = Completeness::Unreachable(why);
        Some(HostProfile { begun, ended: clock::now(), completeness, ..HostProfile::default() })
    }

    /// Writes what is known to the file, if there is one.
    async fn keep(&self) {
        let Some(store) = &self.store else { return };
        let profiles = self.lock().profiles();
        let store = store.clone();
        // Fails only when the runtime ends: then the file stays as it was.
        let _ = tokio::task::spawn_blocking(move || store.save(&profiles)).await;
    }

    fn settings(&self) -> config::Probe {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, Hosts> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn noticed(before: &HostProfile, now: &HostProfile) -> Vec<Noticed> {
    let noticed = |Change { what, text }| Noticed { what: what.name(), text, after: before.ended, before: now.begun };
    changes(before, now).into_iter().map(noticed).collect()
}

impl std::fmt::Debug for Prober {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prober").finish_non_exhaustive()
    }
}
