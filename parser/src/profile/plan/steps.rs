//! The steps of a plan: what each one asks, and which one comes after.

use super::super::HostProfile;
use super::super::known::{SCHEMES_OF_TLS13, suites_of};
use super::super::{Reaction, VersionAbility};
use super::{OTHER_PROTOCOLS, Plan, Question, SIZE_ORDER, VERSIONS};
use crate::wire::tls::Offer;
use crate::wire::{CipherSuite, SuiteClass, TlsVersion};

/// What is being asked about.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The suites of one version: all are offered, and the one chosen is left out the next time, until a refusal.
    Version(Enumeration),
    /// Whether the host keeps its own order in this version: what it chose is offered the other way round.
    Order(usize),
    /// What an ordinary client of all versions at once gets, where TLS 1.3 alone was refused.
    Together,
    /// What an ordinary client gets, several times: whether all who answer here answer alike.
    Control(u8),
    /// Groups of TLS 1.3, by HelloRetryRequest: no share is sent, so the host signs nothing.
    Groups13,
    /// Whether the host sends a HelloRetryRequest at all.
    EmptyShares,
    /// Groups up to TLS 1.2.
    Groups12,
    /// Signature schemes of TLS 1.2.
    Schemes12,
    /// Signature schemes of TLS 1.3, one at a time, where TLS 1.2 showed none.
    Schemes13(usize),
    /// Hellos of growing size; the largest one first, which settles it when it is accepted.
    Sizes(usize),
    /// Connection Requests that ask for no TLS.
    Plain(usize),
    /// Nothing more.
    Done,
}

/// The suites of one version, so far.
#[derive(Clone, Debug)]
pub(super) struct Enumeration {
    /// Index in [`VERSIONS`].
    pub(super) at: usize,
    /// Suites not chosen yet, in the order offered.
    pub(super) left: Vec<CipherSuite>,
    /// Suites chosen, in that order.
    pub(super) picks: Vec<CipherSuite>,
    /// What the first hello got.
    pub(super) first: Option<Reaction>,
}

impl Enumeration {
    fn new(at: usize) -> Enumeration {
        let left = VERSIONS.get(at).map(|version| suites_of(*version)).unwrap_or_default();
        Enumeration { at, left, picks: Vec::new(), first: None }
    }

    pub(super) fn version(&self) -> TlsVersion {
        VERSIONS.get(self.at).copied().unwrap_or_default()
    }
}

impl Step {
    pub(super) fn first() -> Step {
        Step::Version(Enumeration::new(0))
    }

    pub(super) fn topic(&self) -> String {
        match self {
            Step::Version(suites) => match suites.picks.len() {
                0 => short(suites.version()),
                found => format!("{}: {found} suites so far", short(suites.version())),
            },
            Step::Order(at) => format!("{}: whose order", VERSIONS.get(*at).copied().map(short).unwrap_or_default()),
            Step::Together => "all versions at once".to_owned(),
            Step::Control(_) => "whether it answers alike".to_owned(),
            Step::Groups13 | Step::EmptyShares | Step::Groups12 => "groups".to_owned(),
            Step::Schemes12 | Step::Schemes13(_) => "signature schemes".to_owned(),
            Step::Sizes(_) => "large hellos".to_owned(),
            Step::Plain(_) => "negotiation without TLS".to_owned(),
            Step::Done => "done".to_owned(),
        }
    }
}

impl Plan {
    /// What the current step asks; `None` when it does not apply.
    pub(super) fn question(&self) -> Option<Question> {
        if let Step::Plain(at) = self.step {
            let request = *OTHER_PROTOCOLS.get(at)?;
            return (!self.options.tls_first).then_some(Question::Negotiate(request));
        }
        let offer = self.hello()?;
        let request = if self.options.tls_first {
            None
        } else {
            // Without a request that gets TLS there is nobody to say hello to.
            Some(self.unrequested.first().copied().or(self.selecting)?)
        };
        Some(Question::Hello { request, offer: Box::new(offer) })
    }

    fn hello(&self) -> Option<Offer> {
        let sorted = |suites: &[CipherSuite]| suites.to_vec();
        match &self.step {
            Step::Version(suites) => Some(self.offer(suites.version(), sorted(&suites.left))),
            Step::Order(at) => {
                let ability = self.profile.versions.get(*at).filter(|ability| self.order_is_open(ability))?;
                Some(self.offer(ability.version, ability.suites.iter().rev().copied().collect()))
            }
            Step::Together => {
                let asked = !self.profile.ladder.is_empty();
                (!asked && !self.accepts(TlsVersion::TLS13)).then(|| self.ordinary())
            }
            Step::Control(_) => self.profile.versions.iter().any(VersionAbility::accepted).then(|| self.ordinary()),
            Step::Groups13 => {
                let suites = self.suites(TlsVersion::TLS13)?;
                let groups = self.unseen13();
                let offer = Offer { key_shares: Some(Vec::new()), groups, ..self.offer(TlsVersion::TLS13, suites) };
                (!offer.groups.is_empty()).then_some(offer)
            }
            Step::EmptyShares => {
                let (suites, groups) = (self.suites(TlsVersion::TLS13)?, self.groups13.clone());
                Some(Offer { key_shares: Some(Vec::new()), groups, ..self.offer(TlsVersion::TLS13, suites) })
            }
            Step::Groups12 => {
                let (version, suites) = self.with_curves()?;
                let mut groups = self.unseen12();
                if groups.is_empty() {
                    return None;
                }
                groups.extend(self.certificate_group());
                Some(Offer { groups, ..self.offer(version, suites) })
            }
            Step::Schemes12 => {
                let schemes = self.unseen_schemes();
                let suites = self.signed_suites();
                let offer = Offer { signature_schemes: schemes, ..self.offer(TlsVersion::TLS12, suites) };
                (!offer.suites.is_empty() && !offer.signature_schemes.is_empty()).then_some(offer)
            }
            Step::Schemes13(at) => {
                let suites = self.suites(TlsVersion::TLS13)?;
                let scheme = *SCHEMES_OF_TLS13.get(*at)?;
                if *at == 0 && !self.signed_suites().is_empty() {
                    return None;
                }
                Some(Offer { signature_schemes: vec![scheme], ..self.offer(TlsVersion::TLS13, suites) })
            }
            Step::Sizes(at) => self.sized(*SIZE_ORDER.get(*at)?),
            Step::Plain(_) | Step::Done => None,
        }
    }

    /// The step after the current one.
    pub(super) fn after(&self) -> Step {
        match &self.step {
            Step::Done => Step::Done,
            step if !self.tls_is_reachable() && !matches!(step, Step::Plain(_)) => Step::Plain(0),
            Step::Version(suites) => Step::Order(suites.at),
            Step::Order(at) if at + 1 < VERSIONS.len() => Step::Version(Enumeration::new(at + 1)),
            Step::Order(_) => Step::Together,
            // It was the first time.
            Step::Together => Step::Control(u8::from(self.ordinary.is_some())),
            Step::Control(_) => Step::Groups13,
            Step::Groups13 | Step::EmptyShares => Step::Groups12,
            Step::Groups12 => Step::Schemes12,
            Step::Schemes12 => Step::Schemes13(0),
            Step::Schemes13(_) => Step::Sizes(0),
            Step::Sizes(at) if at + 1 < SIZE_ORDER.len() => Step::Sizes(at + 1),
            Step::Sizes(_) => Step::Plain(0),
            Step::Plain(at) if at + 1 < OTHER_PROTOCOLS.len() => Step::Plain(at + 1),
            Step::Plain(_) => Step::Done,
        }
    }

    fn tls_is_reachable(&self) -> bool {
        self.options.tls_first || self.selecting.is_some() || !self.unrequested.is_empty()
    }

    pub(super) fn accepts(&self, version: TlsVersion) -> bool {
        self.profile.ability(version).is_some_and(VersionAbility::accepted)
    }

    pub(super) fn suites(&self, version: TlsVersion) -> Option<Vec<CipherSuite>> {
        self.profile.ability(version).filter(|ability| ability.accepted()).map(|ability| ability.suites.clone())
    }

    /// The newest version up to TLS 1.2 with suites that need a curve, and these suites.
    pub(super) fn with_curves(&self) -> Option<(TlsVersion, Vec<CipherSuite>)> {
        let old = self.profile.versions.iter().filter(|ability| !ability.version.is_tls13());
        old.map(|ability| (ability.version, of_exchange(ability, &["ECDHE"]))).find(|(_, suites)| !suites.is_empty())
    }

    /// Suites of TLS 1.2 in which the host signs.
    pub(super) fn signed_suites(&self) -> Vec<CipherSuite> {
        let signed = |suite: &CipherSuite| suite.info().is_some_and(|suite| suite.authentication != "NULL");
        let ability = self.profile.ability(TlsVersion::TLS12);
        let mut suites = ability.map(|ability| of_exchange(ability, &["ECDHE", "DHE"])).unwrap_or_default();
        suites.retain(signed);
        suites
    }

    /// The choices were those of a host that takes the client's first: it may also be its own order.
    fn order_is_open(&self, ability: &VersionAbility) -> bool {
        ability.suites.len() > 1 && !ability.host_order
    }
}

impl HostProfile {
    /// What was found about one version.
    #[must_use]
    pub fn ability(&self, version: TlsVersion) -> Option<&VersionAbility> {
        self.versions.iter().find(|ability| ability.version == version)
    }

    /// The host selects TLS and then takes no hello at all, of whatever version: what a host does whose key cannot be used.
    #[must_use]
    pub fn refuses_every_hello(&self) -> bool {
        let refused = |reaction: &Reaction| {
            matches!(reaction, Reaction::Alert(_) | Reaction::Closed(_) | Reaction::ClearDisconnect)
        };
        self.versions.len() == VERSIONS.len()
            && self.versions.iter().all(|ability| refused(&ability.reaction))
            && self.ladder.iter().all(|step| refused(&step.reaction))
    }
}

fn of_exchange(ability: &VersionAbility, exchanges: &[&str]) -> Vec<CipherSuite> {
    let fits = |suite: &&CipherSuite| {
        suite.info().is_some_and(|suite| exchanges.contains(&suite.key_exchange) && suite.class != SuiteClass::Signal)
    };
    ability.suites.iter().filter(fits).copied().collect()
}

pub(super) fn short(version: TlsVersion) -> String {
    let long = version.to_string();
    long.split(" (").next().unwrap_or_default().to_owned()
}
