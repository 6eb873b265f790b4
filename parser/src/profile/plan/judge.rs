//! What an answer means for the step that asked.

use super::super::known::suites_of;
use super::super::{Completeness, HostProfile, LadderChange, LadderStep, Reaction, VersionAbility};
use super::steps::{Enumeration, Step, short};
use super::{Plan, SIZE_ORDER};
use crate::wire::{CipherSuite, NamedGroup, SignatureScheme, TlsVersion};

/// Contradictions after which more than one host seems to answer.
const CONTRADICTIONS: usize = 2;
/// Connections of which a path may cut one by chance.
const CUT_OF: usize = 10;
/// How often the hello of an ordinary client is sent: hosts that a balancer takes in turn show, up to as many of them.
const CONTROLS: u8 = 6;

/// One question had one answer and then another.
#[derive(Clone, Debug)]
pub(super) struct Contradiction {
    pub(super) words: String,
    /// One of the two was a close and nothing else: the connection may have been cut by chance.
    pub(super) by_close: bool,
}

impl Contradiction {
    pub(super) fn new(words: String) -> Contradiction {
        Contradiction { words, by_close: false }
    }
}

/// What an answer showed for the first time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct News {
    pub(super) group: bool,
    pub(super) signature: Option<SignatureScheme>,
}

impl Plan {
    /// Only a refusal that is given twice counts: one connection may be cut by chance. (Where schemes are tried one by one,
    /// most are refused, and nothing rests on one.)
    pub(super) fn is_doubtful(&self, reaction: &Reaction) -> bool {
        let often = match self.step {
            Step::Schemes13(_) => true,
            Step::Control(_) => self.ordinary == Some(None),
            _ => false,
        };
        refused(reaction) && !often
    }

    pub(super) fn refused_and_taken(&self, refusal: &Reaction) -> Contradiction {
        let of = match &self.step {
            Step::Version(suites) => short(suites.version()),
            step => step.topic(),
        };
        let words = format!("the same ClientHello ({of}) got {} and then a ServerHello", refusal_words(refusal));
        Contradiction { words, by_close: matches!(refusal, Reaction::Closed(_)) }
    }

    /// After the second time nothing that the answers say together is told: it may hold of none of those who gave them.
    pub(super) fn contradicted(&mut self, contradiction: Contradiction) {
        self.contradictions.push(contradiction);
        let times = self.contradictions.len();
        let by_chance =
            self.contradictions.iter().all(|one| one.by_close) && times * CUT_OF < usize::from(self.profile.handshakes);
        if times < CONTRADICTIONS || by_chance || self.stopped {
            return;
        }
        self.stopped = true;
        let mut told = std::mem::take(&mut self.profile);
        // That somebody there takes a client's own hello stays true.
        told.ladder.retain(|step| step.change == LadderChange::AsSent && step.reaction.accepted());
        self.profile = HostProfile {
            completeness: Completeness::Mixed(self.contradictions.swap_remove(0).words),
            versions: Vec::new(),
            refused_groups: Vec::new(),
            signature_schemes: Vec::new(),
            hello_sizes: Vec::new(),
            ..told
        };
        (self.groups13, self.groups12) = (Vec::new(), Vec::new());
        self.step = Step::Done;
    }

    /// Takes the answer to the current step's hello, and goes on to the next step when this one is settled.
    pub(super) fn judge(&mut self, reaction: Reaction, news: News) {
        let settled = match std::mem::replace(&mut self.step, Step::Done) {
            Step::Version(suites) => self.version(suites, reaction),
            step => {
                self.step = step;
                self.other(reaction, news)
            }
        };
        if settled && !self.stopped {
            self.step = self.after();
        }
    }

    fn version(&mut self, mut suites: Enumeration, reaction: Reaction) -> bool {
        let chosen = match reaction {
            Reaction::Hello { version, suite, .. } if version == suites.version() => Some(suite),
            Reaction::Retry { suite, .. } if suites.version().is_tls13() => Some(suite),
            _ => None,
        };
        let chosen = chosen.and_then(|suite| suites.left.iter().position(|left| *left == suite));
        suites.first.get_or_insert(reaction.clone());
        let over = match chosen {
            Some(at) => {
                let suite = suites.left.remove(at);
                suites.picks.push(suite);
                suites.left.is_empty()
            }
            None => true,
        };
        if over {
            self.enumerated(&suites, !matches!(reaction, Reaction::Silence | Reaction::NotTls));
        }
        self.step = Step::Version(suites);
        over
    }

    fn enumerated(&mut self, suites: &Enumeration, complete: bool) {
        let version = suites.version();
        let mut offered = suites_of(version);
        offered.retain(|suite| suites.picks.contains(suite));
        self.profile.versions.push(VersionAbility {
            version,
            reaction: suites.first.clone().unwrap_or(Reaction::Silence),
            host_order: suites.picks.len() > 1 && offered != suites.picks,
            suites: suites.picks.clone(),
            complete,
        });
    }

    fn other(&mut self, reaction: Reaction, news: News) -> bool {
        match self.step {
            Step::Order(_) if refused(&reaction) => {
                let words = "suites that were each chosen before were refused when they alone were offered";
                self.contradicted(Contradiction::new(words.to_owned()));
                true
            }
            Step::Order(at) => {
                if let Some(ability) = self.profile.versions.get_mut(at) {
                    let first = ability.suites.first().copied();
                    ability.host_order = suite(&reaction).is_some() && suite(&reaction) == first;
                    if !ability.host_order {
                        // The client's order says nothing of the host: strong ones first.
                        ability.suites.reverse();
                    }
                }
                true
            }
            Step::Together => {
                let chosen = choice(&reaction);
                self.ordinary = (chosen.is_some() || refused(&reaction)).then_some(chosen);
                self.profile.ladder.push(LadderStep { change: LadderChange::Everything, reaction });
                let alone = self.profile.ability(TlsVersion::TLS13).map(|ability| &ability.reaction);
                if chosen.is_some_and(|(version, ..)| version.is_tls13()) && alone.is_some_and(refused) {
                    let words = "TLS 1.3 was refused when it alone was offered, and chosen among all versions";
                    self.contradicted(Contradiction::new(words.to_owned()));
                }
                true
            }
            Step::Control(times) => self.control(times, reaction),
            Step::Groups13 => {
                self.retries |= matches!(reaction, Reaction::Retry { .. });
                if refused(&reaction) && self.retries {
                    let groups = self.unseen13();
                    self.refuse(groups);
                } else if refused(&reaction) {
                    self.step = Step::EmptyShares;
                    return false;
                }
                !(news.group && reaction.accepted())
            }
            Step::EmptyShares => {
                if reaction.accepted() {
                    let groups = self.unseen13();
                    self.refuse(groups);
                }
                true
            }
            Step::Groups12 => {
                // A host that takes the client's order comes to its certificate's own curve last.
                let at_the_end = reaction.accepted() && !news.group && self.groups12.len() > 1;
                if refused(&reaction) || (at_the_end && self.certificate_group().is_some()) {
                    let groups = self.unseen12();
                    self.refuse(groups);
                }
                !(news.group && reaction.accepted())
            }
            Step::Schemes12 => news.signature.is_none(),
            Step::Schemes13(at) => {
                let scheme = super::super::known::SCHEMES_OF_TLS13.get(at).copied();
                if reaction.accepted()
                    && let Some(scheme) = scheme
                    && !self.profile.signature_schemes.contains(&scheme)
                {
                    self.profile.signature_schemes.push(scheme);
                }
                self.step = Step::Schemes13(at + 1);
                false
            }
            Step::Sizes(at) => {
                let size = SIZE_ORDER.get(at).copied().unwrap_or_default();
                let accepted = reaction.accepted();
                self.profile.hello_sizes.push((size, reaction));
                if at == 0 && accepted {
                    // Smaller ones were accepted before.
                    self.step = Step::Sizes(SIZE_ORDER.len());
                }
                true
            }
            Step::Version(_) | Step::Plain(_) | Step::Done => true,
        }
    }

    /// What an ordinary client got, for the so-many-th time. True when that was often enough.
    fn control(&mut self, times: u8, reaction: Reaction) -> bool {
        let chosen = choice(&reaction);
        if chosen.is_none() && !refused(&reaction) {
            // Each answer that does not come costs a time-out.
            return true;
        }
        let before = *self.ordinary.get_or_insert(chosen);
        if differ(before, chosen) {
            let by_close = matches!(reaction, Reaction::Closed(_));
            let [before, now] = [before, chosen].map(choice_words);
            let words = format!("the hello of an ordinary client got {before} and then {now}");
            self.contradicted(Contradiction { words, by_close });
        }
        if self.stopped {
            return true;
        }
        // It had been lost when it was sent first.
        let lost =
            |step: &&mut LadderStep| step.change == LadderChange::Everything && step.reaction == Reaction::Silence;
        if let (true, Some(step)) = (chosen.is_some(), self.profile.ladder.last_mut().filter(lost)) {
            step.reaction = reaction;
        }
        self.step = Step::Control(times + 1);
        times + 1 >= if self.contradictions.is_empty() { CONTROLS } else { 2 * CONTROLS }
    }

    fn refuse(&mut self, groups: Vec<NamedGroup>) {
        for group in groups {
            if !self.profile.refused_groups.contains(&group) {
                self.profile.refused_groups.push(group);
            }
        }
    }

    /// Puts together what was gathered on the way.
    pub(super) fn conclude(&mut self) {
        if let Step::Version(suites) = std::mem::replace(&mut self.step, Step::Done)
            && suites.first.is_some()
            && self.profile.ability(suites.version()).is_none()
        {
            self.enumerated(&suites, false);
        }
        let (groups13, groups12) = (std::mem::take(&mut self.groups13), std::mem::take(&mut self.groups12));
        for group in groups13.into_iter().chain(groups12) {
            if !self.profile.groups.contains(&group) {
                self.profile.groups.push(group);
            }
        }
        let groups = &self.profile.groups;
        self.profile.refused_groups.retain(|group| !groups.contains(group));
        self.profile.hello_sizes.sort_by_key(|(size, _)| *size);
    }
}

fn suite(reaction: &Reaction) -> Option<CipherSuite> {
    match reaction {
        Reaction::Hello { suite, .. } | Reaction::Retry { suite, .. } => Some(*suite),
        _ => None,
    }
}

fn refusal_words(reaction: &Reaction) -> String {
    match reaction {
        Reaction::Alert(description) => format!("alert {description}"),
        Reaction::Closed(kind) => format!("a close ({})", kind.name()),
        Reaction::ClearDisconnect => "a disconnect in clear".to_owned(),
        _ => "no ServerHello".to_owned(),
    }
}

/// What a host chose of a hello.
pub(super) type Choice = (TlsVersion, CipherSuite, Option<NamedGroup>);

fn choice(reaction: &Reaction) -> Option<Choice> {
    match reaction {
        Reaction::Hello { version, suite, group } => Some((*version, *suite, *group)),
        Reaction::Retry { suite, group } => Some((TlsVersion::TLS13, *suite, *group)),
        _ => None,
    }
}

/// The group may be missing where a flight ended early.
fn differ(before: Option<Choice>, now: Option<Choice>) -> bool {
    match (before, now) {
        (Some((version, suite, group)), Some((other_version, other_suite, other_group))) => {
            let groups = group.zip(other_group).is_some_and(|(one, other)| one != other);
            (version, suite) != (other_version, other_suite) || groups
        }
        (before, now) => before.is_some() != now.is_some(),
    }
}

fn choice_words(choice: Option<Choice>) -> String {
    choice.map_or_else(
        || "a refusal".to_owned(),
        |(version, suite, group)| {
            let group = group.map_or_else(String::new, |group| format!(", {group}"));
            format!("{version} with {suite}{group}")
        },
    )
}

/// The host said no, as opposed to nothing.
fn refused(reaction: &Reaction) -> bool {
    matches!(reaction, Reaction::Alert(_) | Reaction::Closed(_) | Reaction::ClearDisconnect)
}
