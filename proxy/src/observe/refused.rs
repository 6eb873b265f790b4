//! Connections that a limit of ours refused: all are counted, some of a second are told of, and how many were not.

use super::sample::Sampler;
use super::{Observer, Rejection, lock};
use crate::record::{Action, Event, SessionIdentity};
use parser::Timestamp;

/// Refused connections that are told of, of one reason.
const PER_SECOND: u32 = 10;

/// Those of one reason.
#[derive(Debug, Default)]
pub(super) struct Refused {
    sampler: Sampler,
    /// The first that was not told of: it stands for the others when their second is over and nobody came after them.
    first_left_out: Option<SessionIdentity>,
}

impl Refused {
    /// As [`Sampler::admit`].
    fn admit(&mut self, identity: &SessionIdentity) -> Option<u64> {
        let admitted = self.sampler.admit(identity.accepted, PER_SECOND);
        if admitted.is_some() {
            self.first_left_out = None;
        } else if self.sampler.has_begun_to_suppress() {
            self.first_left_out = Some(identity.clone());
        }
        admitted
    }

    /// One that was not told of, and how many beside it, once their second is over.
    fn over(&mut self, now: Timestamp) -> Option<(SessionIdentity, u64)> {
        let left_out = self.sampler.over(now)?;
        Some((self.first_left_out.take()?, left_out - 1))
    }

    /// As [`Sampler::due`].
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.sampler.due()
    }
}

impl Observer {
    /// A connection was refused by a limit of ours. It is no session: only `connections_rejected_total` counts it.
    pub fn rejected(&self, identity: &SessionIdentity, why: Rejection) {
        self.metrics.listener(&identity.listener).rejected(why).inc();
        let admitted = lock(&self.refused)[why as usize].admit(identity);
        match admitted {
            Some(suppressed) => self.tell_refusal(identity, why, suppressed),
            // Nobody may come after it.
            None => self.tick.wake(),
        }
    }

    /// Tells of those that were not told of in their second, where none came after them.
    pub(super) fn refusals_left_out(&self, now: Timestamp) {
        for why in Rejection::ALL {
            let left_out = lock(&self.refused)[why as usize].over(now);
            left_out.into_iter().for_each(|(identity, others)| self.tell_refusal(&identity, why, others));
        }
    }

    /// One refusal, and how many before or beside it were not told of: each is in exactly one event.
    fn tell_refusal(&self, identity: &SessionIdentity, why: Rejection, suppressed: u64) {
        let client = identity.client.ip().to_canonical();
        let more =
            if suppressed > 0 { format!("; {suppressed} more were not logged one by one") } else { String::new() };
        let message = format!("connection from {client} refused: {}{more}", why.words());
        tracing::warn!(reason = why.name(), listener = &*identity.listener, suppressed, "{message}");
        let event = Event::rejected(identity, why.cause(), why.name(), &message, suppressed);
        self.tell(Action::SessionEnd, Some(identity), Some(why.cause().id()), &event);
    }
}
