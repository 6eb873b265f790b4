//! What becomes of a session that ended or hangs: judged beside its client's others, counted when that is final, told to all
//! who listen.

use super::history::Ended;
use super::metrics::UpstreamMetrics;
use super::notice::Notice;
use super::pending::Pending;
use super::settle::{Settled, Tell};
use super::{Item, Observer, lock, log};
use crate::clock;
use crate::record::{Action, Event, SessionIdentity, SessionRecord, Silence, Told};
use parser::Timestamp;
use parser::diagnosis::{Cause, Marks, Outcome};
use parser::session::PerPeer;
use std::net::IpAddr;
use std::sync::Arc;

/// Verdicts of failure that the text log shows one by one: more than that is one fault, seen often.
const FAILURES_PER_SECOND: u32 = 100;

/// The same for sessions that ended well, and for what was no session.
const OTHERS_PER_SECOND: u32 = 10;

impl Observer {
    /// A session is no longer live: gauges and the rest of its bytes.
    pub(super) fn left(&self, identity: &SessionIdentity, bytes: PerPeer<u64>) -> Arc<UpstreamMetrics> {
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
    pub(super) fn look_beside(&self, record: &mut SessionRecord) {
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
    pub(super) fn settled(&self, settled: Settled) {
        if let Some(captures) = self.captures.as_ref().filter(|_| settled.tell != Tell::Nothing) {
            captures.revised(&settled.record, settled.told.profile.clone());
        }
        self.tell_settled(settled);
    }

    /// Tells what is to be told of an ended session, and counts it when that is final.
    pub(super) fn tell_settled(&self, settled: Settled) {
        let Settled { record, upstream, told, tell } = settled;
        if told.is_final {
            self.metrics.judged(&record, told.profile.as_deref(), &upstream);
            if let Some(prober) = self.prober.get() {
                prober.came_to(&record);
            }
        }
        match tell {
            Tell::End => self.tell_end(&record, told),
            Tell::Verdict { was, news } => self.tell_verdict(&record, told, news.then_some(was)),
            Tell::Nothing => {}
        }
    }

    pub(super) fn tell_end(&self, record: &Arc<SessionRecord>, told: Told) {
        self.tell_session(Action::SessionEnd, record, record.ended, &told);
        self.log(record, record.ended, None);
        lock(&self.history).push(Ended { record: Arc::clone(record), told, revised: false });
        lock(&self.records).retain(|sender| sender.send(Arc::clone(record)).is_ok());
        self.notify(&Notice::Ended(Arc::clone(record)));
    }

    /// `was` is the cause before, when a person is to be told.
    pub(super) fn tell_verdict(&self, record: &Arc<SessionRecord>, told: Told, was: Option<Cause>) {
        let now = clock::now();
        self.tell_session(Action::Verdict, record, now, &told);
        if was.is_some() {
            self.log(record, now, was);
        }
        let (session, verdict) = (record.identity.id, record.verdict.clone());
        lock(&self.history).revise(Ended { record: Arc::clone(record), told, revised: true });
        self.notify(&Notice::Revised { session, verdict });
    }

    /// Tells those who listen, and queues the record for the file: its line is made by the thread that writes it.
    pub(super) fn tell_session(&self, action: Action, record: &Arc<SessionRecord>, at: Timestamp, told: &Told) {
        let identity = &*record.identity;
        if self.feed.wanted() {
            let client = Some(identity.client.ip().to_canonical());
            let line = Event::ended(action, record, at, &self.names, told).line();
            self.feed_line(action, client, Some(&identity.upstream), Some(record.verdict.cause.id()), &line);
        }
        self.queue(|| Pending::Session { action, record: Arc::clone(record), at, told: told.clone() });
    }

    /// A busy proxy ends thousands of sessions a second, and one probe may revise as many; a person reads some of them.
    /// `was`: the cause that the verdict takes the place of.
    pub(super) fn log(&self, record: &SessionRecord, at: Timestamp, was: Option<Cause>) {
        let outcome = record.verdict.outcome();
        let most = if outcome == Outcome::Failure { FAILURES_PER_SECOND } else { OTHERS_PER_SECOND };
        let (admitted, first_left_out) = {
            let sampler = &mut lock(&self.logged)[outcome as usize];
            (sampler.admit(at, most), sampler.has_begun_to_suppress())
        };
        match admitted {
            Some(suppressed @ 1..) => log::left_out(outcome, suppressed),
            // Nobody may come after it.
            None if first_left_out => self.tick.wake(),
            _ => {}
        }
        log::session(record, was, admitted.is_some());
    }

    /// Says how many verdicts of a second that is over were not logged, where none came after them.
    pub(super) fn left_out(&self, now: Timestamp) {
        for outcome in [Outcome::Success, Outcome::Failure, Outcome::Unknown] {
            let left_out = lock(&self.logged)[outcome as usize].over(now);
            left_out.into_iter().for_each(|suppressed| log::left_out(outcome, suppressed));
        }
    }

    /// Counts what has become final by the passing of time.
    pub(super) fn settle(&self, now: Timestamp) {
        let (sessions, attempts) = self.settling.expire(now);
        sessions.into_iter().for_each(|session| self.settled(session));
        attempts.into_iter().for_each(|(upstream, cause)| upstream.attempted(cause));
    }

    /// Tells again of sessions that hang.
    pub(super) fn hanging(&self, now: Timestamp) {
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

    pub(super) fn of_proxy(&self, action: Action, success: bool, message: String, live: Option<usize>) {
        self.tell(action, None, None, &Event::of_proxy(action, clock::now(), success, message, live));
    }

    /// Starts and phases are worth making an event of.
    pub(super) fn live_wanted(&self) -> bool {
        self.feed.wanted() || (self.live_in_file && self.file.is_some())
    }

    pub(super) fn tell(
        &self,
        action: Action,
        about: Option<&SessionIdentity>,
        cause: Option<&'static str>,
        event: &Event,
    ) {
        let client = about.map(|identity| identity.client.ip().to_canonical());
        self.tell_about(action, client, about.map(|identity| &identity.upstream), cause, event);
    }

    pub(super) fn tell_about(
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

    pub(super) fn feed_line(
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

    pub(super) fn queue(&self, pending: impl FnOnce() -> Pending) {
        if let Some(file) = &self.file {
            let pending = pending();
            let weight = pending.weight();
            file.push(pending, weight);
        }
    }

    pub(super) fn notify(&self, notice: &Notice) {
        lock(&self.notices).retain(|sender| sender.send(notice.clone()).is_ok());
    }
}
