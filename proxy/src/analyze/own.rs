//! Files that this proxy wrote itself: one session, both its legs, and what no packet shows.
//!
//! The session is put together as the proxy saw it: what the client sent from the client's leg, what the host sent from
//! the host's, closes and time-outs from the comment. So the same rules come to the same verdict.
//!
//! Where a bridge kept the legs apart, the client's leg is the session: the host's words are what the client was sent. What
//! is inside of a bridged session the proxy has read, and the file has it sealed. There the bytes can say less, and sizes
//! alone may point elsewhere; so the verdict is the one that the proxy told, with what it rests on.

use super::source::CaptureError;
use crate::record::SessionIdentity;
use crate::record::capture::facts::{Facts, Meant, Told};
use crate::record::capture::pcapng::{self, Packet};
use etherparse::{SlicedPacket, TransportSlice};
use parser::Timestamp;
use parser::diagnosis::{Cause, Confidence, Missing, Side, Verdict, diagnose, diagnose_with};
use parser::profile::HostProfile;
use parser::session::{Limits, Peer, Phase, Session, Timeline};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// No capture of ours is larger: 16 MiB of an opening at the most, in segments of 536 bytes or more.
const LARGEST: u64 = 64 << 20;
/// The first block of ours is shorter: it holds a report.
const BEGINNING: u64 = 256 << 10;

/// A session out of a file of ours.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Who and where.
    pub identity: SessionIdentity,
    /// All that was seen.
    pub timeline: Timeline,
    /// What the host was found to accept, when the verdict of the proxy rests on it.
    pub profile: Option<Arc<HostProfile>>,
    /// Its last bytes are not in the file: the timeline may say less than the proxy knew.
    pub cut_short: bool,
    /// Cause, side, phase and confidence as the proxy told them; none of a session that was still open.
    pub told: Option<[String; 4]>,
    /// Secrets are in the file: who has it can read its TLS.
    pub secrets: bool,
    /// The verdict of a proxy that has read inside of TLS, where the file is sealed.
    inside: Option<Box<Verdict>>,
}

impl Recorded {
    /// The verdict on it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.inside.as_deref().map_or_else(|| self.by_bytes(), Verdict::clone)
    }

    /// What the bytes of the file alone come to: of a bridged session sizes and ends, as of any that is sealed.
    #[must_use]
    pub fn by_bytes(&self) -> Verdict {
        match &self.profile {
            Some(profile) => diagnose_with(&self.timeline, profile),
            None => diagnose(&self.timeline),
        }
    }
}

/// The session in a file of ours; `None` when it is another file.
///
/// # Errors
///
/// The file cannot be opened or read.
pub fn recorded(path: &Path) -> Result<Option<Recorded>, CaptureError> {
    let failed = |source| CaptureError::Open { file: path.to_owned(), source };
    let mut bytes = Vec::new();
    let mut file = File::open(path).map_err(failed)?;
    // Who wrote it stands in the first block; the rest of a large file of others is not for us.
    (&mut file).take(BEGINNING).read_to_end(&mut bytes).map_err(failed)?;
    if !pcapng::is_ours(&bytes) {
        return Ok(None);
    }
    file.take(LARGEST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(read(&bytes))
}

/// The session in the bytes of such a file.
#[must_use]
pub fn read(file: &[u8]) -> Option<Recorded> {
    let ours = file.len() as u64 <= LARGEST && pcapng::is_ours(file);
    let facts = pcapng::comments(file).iter().filter(|_| ours).find_map(|comment| Facts::read(comment))?;
    let mut replay =
        Replay { session: Session::new(Timestamp(facts.accepted), Limits::default()), at: [0; 2], step: 0 };
    for packet in pcapng::packets(file) {
        if let Some((from, bytes)) = seen_by_us(&packet, facts.is_apart()) {
            replay.steps(&facts, false);
            replay.data(from, bytes, packet.at);
        }
    }
    replay.steps(&facts, true);
    let mut session = replay.session;
    if let Some(act) = facts.act.as_ref().and_then(|act| act.meant()) {
        session.proxy_act(act, Timestamp(facts.accepted));
    }
    if let Some(bridge) = facts.bridge() {
        session.bridged(bridge);
    }
    let (tcp, profile) = (facts.tcp.meant(), facts.profile());
    for leg in [Peer::Client, Peer::Host] {
        if let Some(tcp) = tcp[leg] {
            session.socket_facts(leg, tcp);
        }
    }
    Some(Recorded {
        identity: SessionIdentity {
            id: facts.session,
            listener: Arc::from(facts.listener),
            upstream: Arc::from(facts.upstream),
            client: facts.client[0],
            local: facts.client[1],
            accepted: Timestamp(facts.accepted),
        },
        timeline: session.finish(),
        profile,
        cut_short: facts.carried != facts.kept,
        secrets: pcapng::holds_secrets(file),
        inside: facts.verdict.as_ref().and_then(inside).map(Box::new),
        told: facts.verdict.map(|told| [told.cause, told.side, told.phase, told.confidence]),
    })
}

struct Replay {
    session: Session,
    /// Bytes of the client and of the host so far.
    at: [u64; 2],
    /// The next step.
    step: usize,
}

impl Replay {
    fn data(&mut self, from: Peer, bytes: &[u8], at: Timestamp) {
        self.at[usize::from(from == Peer::Host)] += bytes.len() as u64;
        self.session.data(from, bytes, at);
    }

    /// The steps that came before the next byte; at the end of the file all that are left, and what was not kept before
    /// the first close.
    fn steps(&mut self, facts: &Facts, over: bool) {
        while let Some(step) = facts.steps.get(self.step) {
            if !over && (step.after[0] > self.at[0] || step.after[1] > self.at[1]) {
                return;
            }
            self.step += 1;
            let at = step.at();
            match step.what.meant() {
                Some(Meant::Upstream(event)) => self.session.upstream(event, at),
                Some(Meant::Closed(by, kind)) => {
                    self.unseen(facts, at);
                    self.session.closed(by, kind, at);
                }
                None => {}
            }
        }
        if over {
            let last = self.session.timeline().last_event();
            self.unseen(facts, last);
        }
    }

    fn unseen(&mut self, facts: &Facts, at: Timestamp) {
        for (index, peer) in [Peer::Client, Peer::Host].into_iter().enumerate() {
            // Only what was cut off at the end is missing: before the last kept byte nothing is.
            if self.at[index] >= facts.kept[index] && self.at[index] < facts.carried[index] {
                self.session.passed_unseen(peer, facts.carried[index] - self.at[index], at);
                self.at[index] = facts.carried[index];
            }
        }
    }
}

/// A verdict that the file cannot give by its bytes. `None`: it can, or it has a name of a later version.
fn inside(told: &Told) -> Option<Verdict> {
    let inside = told.inside.as_ref()?;
    let mut evidence = inside.evidence.clone();
    evidence.push("The proxy has read this inside of TLS; in the file it is sealed.".to_owned());
    Some(Verdict {
        cause: Cause::from_id(&told.cause)?,
        side: Side::ALL.into_iter().find(|side| side.name() == told.side)?,
        phase: Phase::ALL.into_iter().find(|phase| phase.name() == told.phase)?,
        confidence: [Confidence::Possible, Confidence::Likely, Confidence::Proven]
            .into_iter()
            .find(|confidence| confidence.name() == told.confidence)?,
        evidence,
        alternatives: inside.alternatives.iter().filter_map(|id| Cause::from_id(id)).collect(),
        remedy: inside.remedy.clone(),
        missing: Missing::default(),
        smallest_change: Vec::new(),
        end: None,
        message: inside.message.clone(),
    })
}

/// What a packet brought us, and from whom; what we sent is the same again. With legs `apart`, what the client's leg shows.
fn seen_by_us(packet: &Packet, apart: bool) -> Option<(Peer, &[u8])> {
    let from = match (packet.interface, packet.outbound, apart) {
        (0, false, _) => Peer::Client,
        (1, false, false) | (0, true, true) => Peer::Host,
        _ => return None,
    };
    let sliced = SlicedPacket::from_ethernet(&packet.frame).ok()?;
    let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { return None };
    let length = tcp.payload().len();
    (length > 0).then(|| (from, &packet.frame[packet.frame.len() - length..]))
}

#[cfg(test)]
mod tests;
