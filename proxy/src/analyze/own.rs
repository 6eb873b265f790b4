//! Files that this proxy wrote itself: one session, both its legs, and what no packet shows.
//!
//! The session is put together as the proxy saw it: what the client sent from the client's leg, what the host sent from
//! the host's, closes and time-outs from the comment. So the same rules come to the same verdict.
//!
//! Where a bridge kept the legs apart, the client's leg is the session: the host's words are what the client was sent. What
//! is inside of a bridged session the proxy has read, and the file has it sealed. There the bytes can say less, and sizes
//! alone may point elsewhere; so the verdict is the one that the proxy told, with what it rests on.
//!
//! So it is where somebody has shortened the file: what is left of the bytes could come to anything. The comment says how
//! many there were.

use super::source::{CaptureError, Source};
use crate::record::SessionIdentity;
use crate::record::capture::facts::{Facts, Inside, Meant, Told};
use crate::record::capture::pcapng::{self, Packet};
use etherparse::{SlicedPacket, TransportSlice};
use parser::Timestamp;
use parser::diagnosis::{Cause, Confidence, Missing, Side, Verdict, diagnose, diagnose_with};
use parser::profile::HostProfile;
use parser::session::{Limits, Peer, Phase, Session, Timeline};
use std::path::Path;
use std::sync::Arc;

/// No capture of ours is larger: 16 MiB of an opening at the most, in segments of 536 bytes or more. Of several in one file
/// no more is read either.
const LARGEST: u64 = 64 << 20;
/// Sessions that are read of one file: what each comes to is kept until all are read.
const SESSIONS: usize = 4_096;

/// What a capture turns out to be.
#[derive(Debug)]
pub enum Opened {
    /// One of ours, or several behind each other.
    Own(Own),
    /// Another one, of which nothing is lost.
    Other(Source),
}

/// What is in a file of ours.
#[derive(Debug, Default)]
pub struct Own {
    /// One session for each capture in it, in their order.
    pub sessions: Vec<Recorded>,
    /// What of it was not read, as sentences without a full stop.
    pub complaints: Vec<String>,
}

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
    /// Bytes of the client and of the host that the file had and has no more, or has twice.
    pub altered: bool,
    /// Cause, side, phase and confidence as the proxy told them; none of a session that was still open.
    pub told: Option<[String; 4]>,
    /// Secrets are in the file: who has it can read its TLS.
    pub secrets: bool,
    /// The verdict of the proxy, where the bytes of the file cannot give it: it has read inside of TLS where the file is
    /// sealed, or the bytes are not all there.
    repeated: Option<Box<Verdict>>,
}

impl Recorded {
    /// The verdict on it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.repeated.as_deref().map_or_else(|| self.by_bytes(), Verdict::clone)
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

/// Tells a capture of ours by its first block, however its bytes come, and reads it.
#[must_use]
pub fn open(mut source: Source) -> Opened {
    // One that a later version wrote in words we do not know is a capture like any other.
    if facts(source.beginning()).is_none() {
        return Opened::Other(source);
    }
    let (bytes, failure) = source.read_ahead(LARGEST + 1);
    let file = &bytes[..bytes.len().min(LARGEST as usize)];
    let (sections, whole) = pcapng::sections(file);
    let (mut own, mut at) = (Own::default(), 0);
    let (mut foreign, mut first_foreign) = (0, 0);
    for section in sections {
        if own.sessions.len() == SESSIONS {
            own.complaints.push(format!("only its first {SESSIONS} sessions are read, up to byte {at}"));
            break;
        }
        match read(section) {
            Some(session) => own.sessions.push(session),
            None => {
                first_foreign = if foreign == 0 { at } else { first_foreign };
                foreign += 1;
            }
        }
        at += section.len();
    }
    if foreign > 0 {
        let more = if foreign > 1 { format!(" (and {} more behind it)", foreign - 1) } else { String::new() };
        own.complaints.push(format!(
            "at byte {first_foreign} another capture begins{more}, which the proxy did not write: it is not read; give it as \
             a file of its own"
        ));
    }
    if let Some(failure) = failure {
        own.complaints.push(format!("it cannot be read further: {failure}"));
    }
    if bytes.len() > file.len() {
        own.complaints.push(format!("only its first {} MiB are read", LARGEST >> 20));
    } else if whole < file.len() {
        own.complaints.push(format!("reading stopped at byte {whole}: no whole block follows"));
    }
    Opened::Own(own)
}

/// The first session in a file of ours; `None` when it is another file.
///
/// # Errors
///
/// The file cannot be opened or read.
pub fn recorded(path: &Path) -> Result<Option<Recorded>, CaptureError> {
    match open(Source::open(path)?) {
        Opened::Own(own) => Ok(own.sessions.into_iter().next()),
        Opened::Other(_) => Ok(None),
    }
}

fn facts(file: &[u8]) -> Option<Facts> {
    let ours = pcapng::is_ours(file);
    pcapng::comments(file).iter().filter(|_| ours).find_map(|comment| Facts::read(comment))
}

/// The session in the bytes of such a file.
#[must_use]
pub fn read(file: &[u8]) -> Option<Recorded> {
    let facts = facts(file).filter(|_| file.len() as u64 <= LARGEST)?;
    let mut replay =
        Replay { session: Session::new(Timestamp(facts.accepted), Limits::default()), at: [0; 2], step: 0 };
    for packet in pcapng::packets(file) {
        if let Some((from, bytes)) = seen_by_us(&packet, facts.is_apart()) {
            replay.steps(&facts, false);
            replay.data(from, bytes, packet.at);
        }
    }
    let there = replay.at;
    replay.steps(&facts, true);
    let mut session = replay.session;
    if let Some(act) = facts.act.as_ref().and_then(|act| act.meant()) {
        session.proxy_act(act, Timestamp(facts.accepted));
    }
    if let Some(bridge) = facts.bridge() {
        session.bridged(bridge);
    }
    let (tcp, profile) = (facts.tcp.meant(), facts.profile());
    let altered = there != facts.kept;
    let repeated = facts.verdict.as_ref().and_then(|told| match &told.inside {
        Some(inside) => sealed(told, inside),
        None if altered => shortened(told, &pcapng::comments(file), there, facts.kept),
        None => None,
    });
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
        altered,
        repeated: repeated.map(Box::new),
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
                    self.unseen(facts, at, over);
                    self.session.closed(by, kind, at);
                }
                None => {}
            }
        }
        if over {
            let last = self.session.timeline().last_event();
            self.unseen(facts, last, over);
        }
    }

    fn unseen(&mut self, facts: &Facts, at: Timestamp, over: bool) {
        for (index, peer) in [Peer::Client, Peer::Host].into_iter().enumerate() {
            // Only what was cut off at the end is missing: before the last kept byte nothing is, in a whole file.
            let left = facts.carried[index].saturating_sub(self.at[index]);
            if left > 0 && self.at[index] >= facts.kept[index] {
                self.session.passed_unseen(peer, left, at);
                self.at[index] = facts.carried[index];
            } else if left > 0 && over {
                self.session.missing(peer, left, at);
                self.at[index] = facts.carried[index];
            }
        }
    }
}

/// The verdict of a proxy that has read inside of TLS.
fn sealed(told: &Told, inside: &Inside) -> Option<Verdict> {
    let mut evidence = inside.evidence.clone();
    evidence.push("The proxy has read this inside of TLS; in the file it is sealed.".to_owned());
    Some(Verdict {
        evidence,
        alternatives: inside.alternatives.iter().filter_map(|id| Cause::from_id(id)).collect(),
        remedy: inside.remedy.clone(),
        ..repeated(told, inside.message.clone())?
    })
}

/// The verdict on a file that has not all the bytes of each side that it had.
fn shortened(told: &Told, comments: &[String], there: [u64; 2], kept: [u64; 2]) -> Option<Verdict> {
    // The report begins with the cause and the message.
    let message = comments.iter().find_map(|text| text.lines().next()?.strip_prefix(&told.cause)?.strip_prefix("  "));
    let evidence = format!(
        "The proxy told this; of the bytes that it wrote into the file, {} of {} of the client and {} of {} of the host \
         are in it.",
        there[0], kept[0], there[1], kept[1]
    );
    Some(Verdict { evidence: vec![evidence], ..repeated(told, message.unwrap_or_default().to_owned())? })
}

/// What the proxy told. `None`: it has a name of a later version.
fn repeated(told: &Told, message: String) -> Option<Verdict> {
    let cause = Cause::from_id(&told.cause)?;
    let entry = cause.entry();
    Some(Verdict {
        cause,
        side: Side::ALL.into_iter().find(|side| side.name() == told.side)?,
        phase: Phase::ALL.into_iter().find(|phase| phase.name() == told.phase)?,
        confidence: [Confidence::Possible, Confidence::Likely, Confidence::Proven]
            .into_iter()
            .find(|confidence| confidence.name() == told.confidence)?,
        evidence: Vec::new(),
        alternatives: Vec::new(),
        remedy: entry.remedy.iter().map(|action| (*action).to_owned()).collect(),
        missing: Missing::default(),
        smallest_change: Vec::new(),
        end: None,
        message: if message.is_empty() { entry.title.to_owned() } else { message },
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
