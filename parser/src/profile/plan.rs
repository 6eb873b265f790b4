//! Which questions are asked of a host, in which order, and what its answers mean. No socket, no clock.
//!
//! [`Plan::next_question`] gives the next [`Question`], [`Plan::answer`] takes what came back, [`Plan::finish`] gives the profile.
//! Questions are few because each costs the host a handshake: a hello also tells what a Connection Request gets, the
//! flight that answers it shows certificate, group and signature, and every hello puts what has not been seen yet first.
//!
//! What is not asked here: CredSSP and NTLM target information lie inside TLS, which a hand-made hello cannot finish.

mod hellos;
mod judge;
mod steps;
#[cfg(test)]
mod tests;
mod words;

use super::{Completeness, HostProfile, LadderStep, NegotiationAnswer, Reaction};
use crate::Timestamp;
use crate::session::{Answer, CertificateFacts, CloseKind};
use crate::wire::tls::Offer;
use crate::wire::{NamedGroup, Protocols, SignatureScheme, TlsVersion};
use judge::{Choice, Contradiction, News};
use steps::Step;
use words::{answer_words, not_rdp, unanswered_words};

/// Versions in the order in which they are asked about.
pub const VERSIONS: [TlsVersion; 5] =
    [TlsVersion::TLS13, TlsVersion::TLS12, TlsVersion::TLS11, TlsVersion::TLS10, TlsVersion::SSL3];
/// Sizes of hellos in bytes, when the largest is not accepted.
pub const HELLO_SIZES: [u16; 5] = [300, 600, 1400, 1700, 3000];
/// The order in which they are asked about: small ones in between, so that lost ones do not look like a host that is gone.
const SIZE_ORDER: [u16; 5] = [3000, 300, 1700, 600, 1400];
/// Unanswered questions in a row after which the host is left alone.
const UNANSWERED_MAX: u8 = 3;
/// `requestedProtocols` that ask for TLS: the first hellos are sent behind these, so they cost no connection of their own.
const TLS_PROTOCOLS: [Protocols; 3] = [Protocols(0x0b), Protocols(0x03), Protocols(0x01)];
/// Requests that ask for no TLS, or for nothing.
const OTHER_PROTOCOLS: [Option<Protocols>; 2] = [Some(Protocols(0)), None];

/// What is asked, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// TLS at once (an RD Gateway), without X.224.
    pub tls_first: bool,
    /// Name for `server_name`; none is sent for an address.
    pub server_name: Option<String>,
    /// Most connections that may be made.
    pub max_handshakes: u16,
}

impl Default for Options {
    /// 200 connections: a Windows host needs 60 to 100, and one that accepts all that OpenSSL has, with two keys, 164.
    fn default() -> Options {
        Options { tls_first: false, server_name: None, max_handshakes: 200 }
    }
}

/// One connection to be made: what is sent on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A Connection Request; its answer is all that is wanted.
    Negotiate(Option<Protocols>),
    /// A Connection Request (not where TLS comes first) and, when TLS is selected, a ClientHello.
    Hello {
        /// `requestedProtocols`; `None` where TLS comes first.
        request: Option<Protocols>,
        /// The hello.
        offer: Box<Offer>,
    },
}

/// What came back on one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// When the connection was over.
    pub at: Timestamp,
    /// What the Connection Request got; `None` when none was sent.
    pub negotiation: Option<NegotiationAnswer>,
    /// What the hello got; `None` when none was sent because TLS was not selected. `NotReached` when there was no connection.
    pub reaction: Option<Reaction>,
    /// The certificate, when it came in clear.
    pub certificate: Option<CertificateFacts>,
    /// The scheme of the host's signature, when it came in clear.
    pub signature: Option<SignatureScheme>,
}

/// The questions to one host.
#[derive(Clone, Debug)]
pub struct Plan {
    options: Options,
    profile: HostProfile,
    step: Step,
    /// TLS protocols that have not been requested.
    unrequested: Vec<Protocols>,
    /// A request that got TLS.
    selecting: Option<Protocols>,
    /// Groups seen in TLS 1.3, and up to 1.2.
    groups13: Vec<NamedGroup>,
    groups12: Vec<NamedGroup>,
    /// The host answered something.
    answered: bool,
    /// The host has sent a HelloRetryRequest for an empty list of shares.
    retries: bool,
    unanswered: u8,
    /// The question asked last got nothing, and is asked once more.
    lost: bool,
    /// A request that had got TLS got a close, until the next answer.
    turned_away: Option<CloseKind>,
    /// TLS was refused to every request, and each is made once more.
    begged: bool,
    /// What the hello of an ordinary client got first: version, suite and group, or `None` inside for a refusal.
    ordinary: Option<Option<Choice>>,
    /// A refusal about which the host is being asked once more.
    doubted: Option<Reaction>,
    /// Where the same question got one answer and then another.
    contradictions: Vec<Contradiction>,
    stopped: bool,
}

impl Plan {
    /// A plan that begins at `now`.
    #[must_use]
    pub fn new(options: Options, now: Timestamp) -> Plan {
        let profile = HostProfile { begun: now, ended: now, tls_first: options.tls_first, ..HostProfile::default() };
        Plan {
            unrequested: if options.tls_first { Vec::new() } else { TLS_PROTOCOLS.to_vec() },
            options,
            profile,
            step: Step::first(),
            selecting: None,
            groups13: Vec::new(),
            groups12: Vec::new(),
            answered: false,
            retries: false,
            unanswered: 0,
            lost: false,
            turned_away: None,
            begged: false,
            ordinary: None,
            doubted: None,
            contradictions: Vec::new(),
            stopped: false,
        }
    }

    /// Takes the steps of a client's own hello, for which `made` connections were made before: what an ordinary client gets
    /// need not be asked then.
    pub fn climbed(&mut self, made: u16, steps: Vec<LadderStep>) {
        self.profile.handshakes = made;
        self.answered |= steps.iter().any(|step| step.reaction.accepted());
        self.profile.ladder = steps;
    }

    /// The next question; `None` when all are answered, or when it is time to stop.
    pub fn next_question(&mut self) -> Option<Question> {
        while !self.stopped {
            let Some(question) = self.question() else {
                let next = self.after();
                match next {
                    Step::Done => return None,
                    next => self.step = next,
                }
                continue;
            };
            if self.profile.handshakes >= self.options.max_handshakes {
                self.stop(format!("the bound of {} connections", self.options.max_handshakes));
                return None;
            }
            return Some(question);
        }
        None
    }

    /// What came back for the question asked last.
    pub fn answer(&mut self, reply: Reply) {
        self.profile.handshakes = self.profile.handshakes.saturating_add(1);
        self.profile.ended = reply.at;
        if self.unanswered(&reply) {
            return;
        }
        if let Some(answer) = reply.negotiation.clone() {
            self.negotiated(answer);
        }
        let news = self.seen(&reply);
        if self.stopped {
            return;
        }
        if let Some(reaction) = reply.reaction {
            match self.doubted.take() {
                None if self.is_doubtful(&reaction) => self.doubted = Some(reaction),
                None => self.judge(reaction, news),
                Some(refusal) if reaction.accepted() => {
                    self.contradicted(self.refused_and_taken(&refusal));
                    self.judge(reaction, news);
                }
                Some(refusal) => {
                    // Whether an alert comes before the close may be chance.
                    let says_more = matches!(reaction, Reaction::Alert(_) | Reaction::ClearDisconnect);
                    self.judge(if says_more { reaction } else { refusal }, News::default());
                }
            }
        } else if matches!(self.step, Step::Plain(_)) {
            self.step = self.after();
        }
    }

    /// Asks nothing more. `why` completes "stopped early: ".
    pub fn stop(&mut self, why: String) {
        if !self.stopped {
            self.stopped = true;
            self.profile.completeness = match self.answered {
                true => Completeness::Partial(why),
                false => Completeness::Unreachable(why),
            };
        }
    }

    /// What is being asked about, for a person who waits.
    #[must_use]
    pub fn topic(&self) -> String {
        self.step.topic()
    }

    /// The profile so far.
    #[must_use]
    pub fn profile(&self) -> &HostProfile {
        &self.profile
    }

    /// The profile, as far as the questions were answered.
    #[must_use]
    pub fn finish(mut self) -> HostProfile {
        if !self.stopped && !self.answered {
            let words = self.profile.negotiation.first().map(|(_, answer)| unanswered_words(answer));
            self.stop(words.unwrap_or_else(|| "no question was asked".to_owned()));
        }
        self.conclude();
        self.profile
    }

    /// Notes a question that got nothing, and stops when there were too many. True when it has to be asked again.
    fn unanswered(&mut self, reply: &Reply) -> bool {
        let words = match (&reply.reaction, &reply.negotiation) {
            (Some(Reaction::NotReached(words)), _) => words.clone(),
            (Some(Reaction::Silence), _) => "connected, but no answer to a ClientHello within the time-out".to_owned(),
            (None, Some(NegotiationAnswer::Silence)) => unanswered_words(&NegotiationAnswer::Silence),
            // It got TLS before: asking again may.
            (None, Some(answer)) if self.requests_known() => {
                let words = answer_words(answer);
                match answer {
                    NegotiationAnswer::Closed(kind) => self.turned_away = Some(*kind),
                    _ => {
                        self.contradicted(Contradiction::new(format!("a Connection Request got TLS and then {words}")))
                    }
                }
                format!("{words}, where it had selected TLS")
            }
            _ => {
                (self.unanswered, self.lost) = (0, false);
                if let Some(kind) = self.turned_away.take().filter(|_| reply.reaction.is_some()) {
                    let words = format!("a Connection Request got TLS, then a close ({}), and then TLS", kind.name());
                    self.contradicted(Contradiction { words, by_close: true });
                }
                return self.stopped;
            }
        };
        let hello_lost = reply.reaction == Some(Reaction::Silence);
        let request_lost = reply.reaction.is_none() && reply.negotiation == Some(NegotiationAnswer::Silence);
        let silent = hello_lost || request_lost;
        // What got nothing twice counts once where other hellos are answered.
        let again = silent && std::mem::take(&mut self.lost);
        let answers = self.profile.versions.iter().any(|ability| ability.reaction != Reaction::Silence);
        self.unanswered += u8::from(!(again && answers));
        let not_reached = matches!(reply.reaction, Some(Reaction::NotReached(_)));
        if not_reached && !self.answered {
            self.stop(words);
            return true;
        }
        if self.unanswered >= UNANSWERED_MAX {
            if let Some(answer) = reply.negotiation.clone() {
                self.negotiated(answer);
            }
            if hello_lost {
                self.judge(Reaction::Silence, News::default());
            }
            self.stop(if self.answered { format!("{UNANSWERED_MAX} times in a row: {words}") } else { words });
            return true;
        }
        // Only silence to the same question twice says something of it. (Where the largest one was lost, others will be.)
        self.lost = silent && !again && self.unanswered == 1 && !matches!(self.step, Step::Sizes(1..));
        not_reached || self.lost
    }

    /// The current question sends a request whose answer was TLS before.
    fn requests_known(&self) -> bool {
        !matches!(self.step, Step::Plain(_)) && self.selecting.is_some() && self.requested() == self.selecting
    }

    fn negotiated(&mut self, answer: NegotiationAnswer) {
        let request = self.requested();
        if let NegotiationAnswer::Answered(answer) = &answer {
            match answer {
                Answer::NotRdp(first) if !self.answered => self.stop(not_rdp(first)),
                Answer::NotRdp(_) => {}
                Answer::Selected { protocol, .. } if protocol.0 != 0 => {
                    self.answered = true;
                    if self.begged && self.selecting.is_none() {
                        let mut before = self.profile.negotiation.iter().filter(|(asked, _)| *asked == request);
                        let by_close = before.any(|(_, had)| matches!(had, NegotiationAnswer::Closed(_)));
                        let words = "a Connection Request got no TLS and then did".to_owned();
                        self.contradicted(Contradiction { words, by_close });
                    }
                    self.selecting = self.selecting.or(request);
                    // What was refused in the first round was not the host's answer.
                    self.profile.negotiation.retain(|(asked, _)| *asked != request || !self.begged);
                }
                _ => self.answered = true,
            }
        }
        self.unrequested.retain(|protocols| Some(*protocols) != request);
        if self.unrequested.is_empty() && self.selecting.is_none() && !self.begged {
            self.begged = true;
            self.unrequested = TLS_PROTOCOLS.to_vec();
        }
        if !self.profile.negotiation.iter().any(|(asked, _)| *asked == request) {
            self.profile.negotiation.push((request, answer));
        }
    }

    /// The protocols that the current question requests.
    fn requested(&self) -> Option<Protocols> {
        match self.step {
            Step::Plain(at) => OTHER_PROTOCOLS.get(at).copied().flatten(),
            _ => self.unrequested.first().copied().or(self.selecting),
        }
    }

    fn seen(&mut self, reply: &Reply) -> News {
        let mut news = News::default();
        if let Some(certificate) = &reply.certificate {
            match &self.profile.certificate {
                None => self.profile.certificate = Some(certificate.clone()),
                Some(first) if first.sha256 != certificate.sha256 => {
                    let second = &mut self.profile.second_certificate;
                    // One of another key type says more of what the host accepts.
                    let of_first = |c: &CertificateFacts| c.key_algorithm == first.key_algorithm;
                    if second.as_ref().is_none_or(of_first) {
                        *second = Some(certificate.clone());
                    }
                }
                Some(_) => {}
            }
        }
        if let Some(scheme) = reply.signature
            && !self.profile.signature_schemes.contains(&scheme)
        {
            self.profile.signature_schemes.push(scheme);
            news.signature = Some(scheme);
        }
        let (group, of_13) = match reply.reaction {
            Some(Reaction::Hello { version, group, .. }) => (group, version.is_tls13()),
            Some(Reaction::Retry { group, .. }) => (group, true),
            _ => (None, false),
        };
        let groups = if of_13 { &mut self.groups13 } else { &mut self.groups12 };
        if let Some(group) = group
            && !groups.contains(&group)
        {
            groups.push(group);
            news.group = true;
        }
        // A close is an answer only of a host that has said something before.
        self.answered |= matches!(&reply.reaction, Some(reaction) if reaction.accepted())
            || matches!(reply.reaction, Some(Reaction::Alert(_)));
        if self.options.tls_first && !self.answered && reply.reaction == Some(Reaction::NotTls) {
            self.stop("what listens there does not speak TLS".to_owned());
        }
        news
    }
}
