//! When a verdict is final, and which connections of a client belong together.
//!
//! A session's end is told at once, or after `probe.hold`. When its client's next connection or a probe of its host may
//! still change what we know, counting waits for it, at most half a minute.

use super::metrics::UpstreamMetrics;
use crate::probe::Target;
use crate::record::{Attempt, SessionRecord, Told};
use parser::Timestamp;
use parser::diagnosis::{Attempts, Cause, Marks, Verdict};
use parser::profile::HostProfile;
use parser::session::Phase;
use rapidhash::RapidHashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Ended sessions that may be held for a revision: a flood of them is counted at once instead.
const HELD: usize = 4096;

/// Attempts whose upstream is remembered: what [`Attempts`] itself bounds, with room for one burst.
const ATTEMPTS: usize = 16_384;

/// Something to be told of an ended session, or counted.
pub(super) struct Settled {
    /// With the verdict as it is now.
    pub(super) record: Arc<SessionRecord>,
    pub(super) upstream: Arc<UpstreamMetrics>,
    /// `is_final`: the session is to be counted.
    pub(super) told: Told,
    pub(super) tell: Tell,
}

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tell {
    /// As the end of the session, which was not told yet.
    End,
    /// As a verdict that takes the place of the one before.
    Verdict {
        /// The cause before.
        was: Cause,
        /// What a line of the log says of it differs: a person is told.
        news: bool,
    },
    /// Not at all: what was told stands.
    Nothing,
}

#[derive(Default)]
pub(super) struct Settling {
    state: Mutex<State>,
    /// How many of `held` may turn out to have been a prompt. While there is none, a session that gets further changes
    /// nothing about the ones before it.
    prompts: AtomicUsize,
}

#[derive(Default)]
struct State {
    attempts: Attempts,
    held: RapidHashMap<u128, Held>,
    /// Upstream of each attempt, by its id.
    targets: RapidHashMap<u128, Arc<UpstreamMetrics>>,
}

struct Held {
    record: Arc<SessionRecord>,
    upstream: Arc<UpstreamMetrics>,
    told: Told,
    /// The client's next connection may change the verdict.
    prompt: bool,
    /// The probe that may change it, and until when it is waited for.
    probe: Option<(Target, Timestamp)>,
    /// Its end was told.
    written: bool,
}

impl Held {
    fn settle(mut self) -> Settled {
        self.told.is_final = true;
        let tell = if self.written { Tell::Nothing } else { Tell::End };
        Settled { record: self.record, upstream: self.upstream, told: self.told, tell }
    }

    /// Another verdict takes the place of the one before.
    fn judge(&mut self, verdict: Verdict) -> Tell {
        let tell = match self.written {
            false => Tell::End,
            true if verdict == self.record.verdict => Tell::Nothing,
            true => Tell::Verdict { was: self.record.verdict.cause, news: differs(&self.record.verdict, &verdict) },
        };
        self.record = Arc::new(SessionRecord { verdict, ..SessionRecord::clone(&self.record) });
        tell
    }
}

/// Whether a person who has read of the one learns anything from the other.
fn differs(before: &Verdict, after: &Verdict) -> bool {
    let read = |verdict: &Verdict| (verdict.cause, verdict.side, verdict.confidence, verdict.remedy.first().cloned());
    read(before) != read(after)
}

impl Settling {
    pub(super) fn opened(&self, identity: &crate::record::SessionIdentity) {
        let (client, target) = (identity.client.ip().to_canonical(), Arc::clone(&identity.upstream));
        self.lock().attempts.opened(identity.id.as_u128(), client, target, identity.accepted);
    }

    /// A session got further, and may have shown marks; earlier ones of the same client may now be understood.
    pub(super) fn reached(&self, id: Uuid, phase: Phase, marks: Option<Marks>, at: Timestamp) -> Vec<Settled> {
        // Who has not come behind TLS was at no prompt either: only then is something said of those before it.
        let may_explain = phase >= Phase::Credssp && self.prompts.load(Relaxed) > 0;
        if marks.is_none() && phase < Phase::Active && !may_explain {
            return Vec::new();
        }
        let mut state = self.lock();
        let revisions = state.attempts.reached(id.as_u128(), phase, marks.unwrap_or_default(), at);
        let mut revised = Vec::new();
        for revision in revisions {
            if let Some(mut held) = state.held.remove(&revision.session) {
                self.prompts.fetch_sub(usize::from(held.prompt), Relaxed);
                held.told.is_final = true;
                let tell = held.judge(revision.verdict);
                revised.push(Settled { record: held.record, upstream: held.upstream, told: held.told, tell });
            }
        }
        revised
    }

    /// The other connections of the same attempt.
    pub(super) fn companions(&self, id: Uuid) -> Vec<Uuid> {
        self.lock().attempts.companions(id.as_u128()).into_iter().map(Uuid::from_u128).collect()
    }

    /// What a session has shown of itself by now.
    pub(super) fn shown(&self, id: Uuid, marks: Marks) {
        self.lock().attempts.shown(id.as_u128(), marks);
    }

    /// An ended session in the light of its client's other connections.
    pub(super) fn look_beside(&self, record: &mut SessionRecord) {
        let id = record.identity.id.as_u128();
        if let Some(verdict) = self.lock().attempts.beside(id, &record.verdict, &record.timeline) {
            record.verdict = verdict;
        }
    }

    /// Where an ended session stands. When its verdict is final it is the caller's to count.
    ///
    /// `probe` is what may still decide it and until when; with `hold` the caller does not tell of the end yet.
    pub(super) fn ended(
        &self,
        record: &Arc<SessionRecord>,
        upstream: &Arc<UpstreamMetrics>,
        profile: Option<Arc<HostProfile>>,
        probe: Option<(Target, Timestamp)>,
        hold: bool,
    ) -> Told {
        let id = record.identity.id.as_u128();
        let mut state = self.lock();
        let placement = state.attempts.ended(id, &record.verdict, &record.timeline, record.ended);
        let attempt = Some(Attempt {
            id: Uuid::from_u128(placement.attempt),
            number: u32::from(placement.number),
            previous_session: placement.previous.map(Uuid::from_u128),
        });
        if state.targets.len() < ATTEMPTS {
            state.targets.entry(placement.attempt).or_insert_with(|| Arc::clone(upstream));
        }
        let prompt = placement.may_be_revised.is_some();
        let is_final = !(prompt || probe.is_some()) || state.held.len() >= HELD;
        let told = Told { attempt, is_final, profile };
        if !is_final {
            let held = Held {
                record: Arc::clone(record),
                upstream: Arc::clone(upstream),
                told: told.clone(),
                prompt,
                probe,
                written: !hold,
            };
            state.held.insert(id, held);
            self.prompts.fetch_add(usize::from(prompt), Relaxed);
        }
        told
    }

    /// The session waits for a probe.
    pub(super) fn waits(&self, id: Uuid) -> bool {
        self.lock().held.get(&id.as_u128()).is_some_and(|held| held.probe.is_some())
    }

    /// The time is over for which the end of a session was held back.
    pub(super) fn held_long_enough(&self, id: Uuid) -> Option<Settled> {
        let mut state = self.lock();
        let held = state.held.get_mut(&id.as_u128()).filter(|held| !held.written)?;
        held.written = true;
        let (record, upstream) = (Arc::clone(&held.record), Arc::clone(&held.upstream));
        Some(Settled { record, upstream, told: held.told.clone(), tell: Tell::End })
    }

    /// A probe of `target` is over. `judge` says what a session comes to with it, `None` when it learns nothing from it.
    ///
    /// Thousands may wait: no lock is held while they are judged, since sessions end meanwhile.
    pub(super) fn probed(
        &self,
        target: Target,
        judge: impl Fn(&SessionRecord) -> Option<(Verdict, Arc<HostProfile>)>,
    ) -> Vec<Settled> {
        let waits = |held: &Held| held.probe.is_some_and(|(of, _)| of == target);
        let waiting: Vec<Arc<SessionRecord>> =
            self.lock().held.values().filter(|held| waits(held)).map(|held| Arc::clone(&held.record)).collect();
        waiting.iter().filter_map(|record| self.judged(record.identity.id.as_u128(), judge(record))).collect()
    }

    /// What a probe made of a session, unless something else has settled it meanwhile.
    fn judged(&self, id: u128, judged: Option<(Verdict, Arc<HostProfile>)>) -> Option<Settled> {
        let mut state = self.lock();
        let mut held = state.held.remove(&id)?;
        if held.probe.take().is_none() {
            state.held.insert(id, held);
            return None;
        }
        let mut tell = if held.written { Tell::Nothing } else { Tell::End };
        if let Some((verdict, profile)) = judged {
            // Whatever the verdict: the attempt is counted by it as well.
            let still = state.attempts.judged_again(id, &verdict);
            self.prompts.fetch_sub(usize::from(held.prompt && !still), Relaxed);
            held.prompt = still;
            held.told.profile = Some(profile);
            tell = held.judge(verdict);
        }
        held.written = true;
        held.told.is_final = !held.prompt;
        let (record, upstream) = (Arc::clone(&held.record), Arc::clone(&held.upstream));
        let settled = Settled { record, upstream, told: held.told.clone(), tell };
        if held.prompt {
            state.held.insert(id, held);
        }
        Some(settled)
    }

    /// What has become final by the passing of time: sessions, and attempts that are over.
    pub(super) fn expire(&self, now: Timestamp) -> (Vec<Settled>, Vec<(Arc<UpstreamMetrics>, Cause)>) {
        let mut state = self.lock();
        let expired = state.attempts.expire(now);
        for id in &expired.sessions {
            if let Some(held) = state.held.get_mut(id) {
                self.prompts.fetch_sub(usize::from(std::mem::take(&mut held.prompt)), Relaxed);
            }
        }
        let over = |held: &Held| !held.prompt && held.probe.is_none_or(|(_, until)| until <= now);
        let ids: Vec<u128> = state.held.iter().filter(|(_, held)| over(held)).map(|(id, _)| *id).collect();
        let sessions = ids.iter().filter_map(|id| state.held.remove(id)).map(Held::settle).collect();
        let over =
            expired.attempts.iter().filter_map(|attempt| Some((state.targets.remove(&attempt.id)?, attempt.cause)));
        (sessions, over.collect())
    }

    /// When [`Settling::expire`] has something next, at the earliest.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let state = self.lock();
        // What waits for its client's next connection has its time among those of the attempts.
        let held = state.held.values().filter(|held| !held.prompt);
        let probes = held.map(|held| held.probe.map_or(Timestamp(0), |(_, until)| until)).min();
        [state.attempts.due(), probes].into_iter().flatten().min()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Settling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settling").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::Metrics;
    use super::*;
    use crate::record::fixture::{identity, record, verdict};
    use parser::diagnosis::{Confidence, Side};
    use std::time::Duration;

    const TARGET: Target = Target {
        address: std::net::SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 3389)),
        tls_first: false,
    };
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A session that waits for a probe of [`TARGET`], its end told or held back.
    fn waiting(settling: &Settling, hold: bool) -> (Arc<SessionRecord>, Timestamp) {
        let record = Arc::new(record(1, Cause::TlsServerRefusedHelloSilently));
        let upstream = Metrics::new().unwrap().upstream(&identity(1).upstream);
        settling.opened(&record.identity);
        let until = record.ended.plus(PATIENCE);
        let told = settling.ended(&record, &upstream, None, Some((TARGET, until)), hold);
        assert!(!told.is_final);
        assert!(settling.waits(record.identity.id));
        (record, until)
    }

    #[test]
    fn a_probe_that_never_ends_leaves_the_verdict_final_after_its_time() {
        let settling = Settling::default();
        let (record, until) = waiting(&settling, false);
        assert!(settling.expire(record.ended.plus(PATIENCE / 2)).0.is_empty());
        let (settled, _) = settling.expire(until);
        let [settled] = settled.as_slice() else { panic!("one session") };
        assert_eq!((settled.told.is_final, settled.tell), (true, Tell::Nothing), "counted as it was told");
        assert!(!settling.waits(record.identity.id));
        let late = settling.probed(TARGET, |_| Some((verdict(Cause::TlsNoCommonCipher), Arc::default())));
        assert!(late.is_empty(), "it is counted already");
    }

    #[test]
    fn an_end_that_is_held_back_is_told_once_whatever_comes_first() {
        let settling = Settling::default();
        let (record, _) = waiting(&settling, true);
        let first = settling.held_long_enough(record.identity.id).expect("its time is over");
        assert_eq!((first.told.is_final, first.tell), (false, Tell::End));
        assert!(settling.held_long_enough(record.identity.id).is_none());
        let judged = settling.probed(TARGET, |_| Some((verdict(Cause::TlsNoCommonCipher), Arc::default())));
        assert_eq!(judged[0].tell, Tell::Verdict { was: Cause::TlsServerRefusedHelloSilently, news: true });
        assert_eq!(judged[0].record.verdict.cause, Cause::TlsNoCommonCipher);

        let settling = Settling::default();
        let (record, _) = waiting(&settling, true);
        let judged = settling.probed(TARGET, |_| None);
        assert_eq!((judged[0].tell, judged[0].told.is_final), (Tell::End, true), "nothing was learned: told as it is");
        assert!(settling.held_long_enough(record.identity.id).is_none());

        let settling = Settling::default();
        waiting(&settling, true);
        assert_eq!(settling.expire(Timestamp(u64::MAX)).0[0].tell, Tell::End, "the proxy ends");
    }

    #[test]
    fn an_attempt_counts_by_what_the_probe_made_of_its_session() {
        let settling = Settling::default();
        waiting(&settling, false);
        let judged = settling.probed(TARGET, |_| Some((verdict(Cause::TlsNoCommonCipher), Arc::default())));
        assert!(judged[0].told.is_final, "no prompt: the attempts are told of it all the same");
        let (_, attempts) = settling.expire(Timestamp(u64::MAX));
        assert_eq!(attempts.iter().map(|(_, cause)| *cause).collect::<Vec<_>>(), [Cause::TlsNoCommonCipher]);
    }

    #[test]
    fn the_probe_of_one_host_judges_nobody_elses_session() {
        let settling = Settling::default();
        let (record, _) = waiting(&settling, false);
        let gateway = Target { tls_first: true, ..TARGET };
        assert!(settling.probed(gateway, |_| Some((verdict(Cause::Ok), Arc::default()))).is_empty());
        assert!(settling.waits(record.identity.id));
    }

    #[test]
    fn a_verdict_that_stands_is_not_told_twice() {
        let settling = Settling::default();
        let (record, _) = waiting(&settling, false);
        let judged = settling.probed(TARGET, |_| Some((record.verdict.clone(), Arc::default())));
        assert_eq!((judged[0].tell, judged[0].told.is_final), (Tell::Nothing, true));
    }

    #[test]
    fn a_verdict_whose_evidence_alone_grew_is_told_but_is_no_news() {
        let news = |change: fn(&mut Verdict)| {
            let settling = Settling::default();
            let (record, _) = waiting(&settling, false);
            let mut verdict = record.verdict.clone();
            change(&mut verdict);
            match settling.probed(TARGET, |_| Some((verdict.clone(), Arc::default())))[0].tell {
                Tell::Verdict { was: Cause::TlsServerRefusedHelloSilently, news } => news,
                other => panic!("{other:?}"),
            }
        };
        assert!(!news(|verdict| verdict.evidence.push("Host, asked by us: TLS 1.2 alone.".to_owned())));
        assert!(!news(|verdict| verdict.remedy.push("and look again".to_owned())));
        assert!(news(|verdict| verdict.remedy.insert(0, "first of all, this".to_owned())));
        assert!(news(|verdict| verdict.side = Side::Client));
        assert!(news(|verdict| verdict.confidence = Confidence::Likely));
    }
}
