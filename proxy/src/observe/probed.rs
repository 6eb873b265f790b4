//! What becomes of a probe: events, metrics, and the verdicts that waited for it.

use super::Observer;
use crate::clock;
use crate::probe::{HostView, Probed, Prober, Target};
use crate::record::{Action, Event, SessionRecord};
use parser::diagnosis::{Verdict, diagnose_with};
use parser::profile::HostProfile;
use std::sync::Arc;
use uuid::Uuid;

impl Observer {
    /// Who asks hosts from now on, for good: a second call changes nothing.
    pub(crate) fn attach(&self, prober: Arc<Prober>) {
        let _ = self.prober.set(prober);
    }

    /// A probe is over: tells of it and of what has changed, and judges anew who waited for it.
    pub(crate) fn probed(&self, probed: &Probed) {
        let now = clock::now();
        let upstream = self.metrics.upstream(&probed.upstream);
        self.metrics.probed(probed, &upstream);
        let event = Event::probe(probed, now);
        tracing::info!(host = &*probed.upstream, "{}", event.message());
        self.tell_of_host(Action::Probe, &probed.upstream, &event);
        for noticed in &probed.changes {
            let event = Event::host_changed(&probed.upstream, probed.target.address, noticed, now);
            tracing::warn!(host = &*probed.upstream, what = noticed.what, "{}", event.message());
            self.tell_of_host(Action::HostChanged, &probed.upstream, &event);
        }
        self.judge_waiting(probed.target);
    }

    /// Judges anew the sessions that waited for a profile of `target`.
    pub(crate) fn judge_waiting(&self, target: Target) {
        let Some(prober) = self.prober.get() else { return };
        let judged = |record: &SessionRecord| -> Option<(Verdict, Arc<HostProfile>)> {
            let profile = prober.profile_for(target, record)?;
            Some((diagnose_with(&record.timeline, &profile), profile))
        };
        let settled = self.settling.probed(target, judged);
        settled.into_iter().for_each(|session| self.settled(session));
    }

    /// A session still waits for what its host accepts.
    pub(crate) fn waits(&self, session: Uuid) -> bool {
        self.settling.waits(session)
    }

    /// The end of a session was held back for a probe, and the time for that is over.
    pub(crate) fn held_long_enough(&self, session: Uuid) {
        if let Some(settled) = self.settling.held_long_enough(session) {
            self.settled(settled);
        }
    }

    /// All that a host accepts, if it was asked lately.
    pub(crate) fn fresh_profile(&self, target: Target) -> Option<Arc<HostProfile>> {
        self.prober.get()?.fresh(target)
    }

    /// All hosts that were met, by address.
    pub(crate) fn hosts(&self) -> Vec<HostView> {
        self.prober.get().map(|prober| prober.hosts()).unwrap_or_default()
    }

    fn tell_of_host(&self, action: Action, upstream: &Arc<str>, event: &Event) {
        self.tell_about(action, None, Some(upstream), None, event);
    }
}
