//! The hosts that were met: what each accepts as far as it was asked, when it was asked, what changed, who came.
//!
//! Pure: times are arguments. Bounded: at most [`HOSTS`] hosts, the least recently met one is forgotten first.

use super::Target;
use super::store::Kept;
use parser::Timestamp;
use parser::diagnosis::Cause;
use parser::profile::{Completeness, HostProfile};
use parser::session::{ClientHelloFacts, Timeline};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Hosts remembered. A profile has some 4 KiB and the shapes of a busy host as much: a few MiB for the largest farm.
pub(super) const HOSTS: usize = 1024;
/// Labels kept of one host: listeners and names that lead to it.
const UPSTREAMS: usize = 8;
/// Hello shapes kept per host: more kinds of client are rarely seen in one place. What comes later is `other`.
const SHAPES: usize = 32;
/// Outcomes kept per shape, for the same reason.
const OUTCOMES: usize = 16;
/// Changes kept per host, newest last.
const CHANGES: usize = 16;
/// Shape of the clients that no longer had room.
const OTHER: &str = "other";

/// What is known of all hosts.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    hosts: HashMap<Target, Known>,
    clock: u64,
}

/// What is known of one.
#[derive(Debug, Default)]
struct Known {
    upstreams: Vec<Arc<str>>,
    profile: Option<Arc<HostProfile>>,
    /// The hello whose replay is the ladder of the profile.
    replayed: Option<Hello>,
    /// A session has shown that the profile is no longer true.
    outdated: bool,
    /// When a probe began last.
    asked: Option<Timestamp>,
    asking: bool,
    changes: VecDeque<Noticed>,
    shapes: BTreeMap<String, Shape>,
    /// Recency.
    met: u64,
}

/// A hello, as far as a host's reaction may depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    ja4: String,
    length: u32,
}

impl Hello {
    pub(super) fn of(facts: &ClientHelloFacts) -> Hello {
        Hello { ja4: facts.fingerprints.ja4.clone(), length: facts.length }
    }
}

/// A change of a host, and between which two probes it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Noticed {
    pub(crate) what: &'static str,
    pub(crate) text: String,
    /// The end of the last probe that did not show it.
    pub(crate) after: Timestamp,
    /// The beginning of the first one that did.
    pub(crate) before: Timestamp,
}

/// Clients whose hellos look the same.
#[derive(Clone, Debug, Default)]
struct Shape {
    first: Timestamp,
    last: Timestamp,
    outcomes: BTreeMap<&'static str, u64>,
}

/// What is to be done for a session that needs a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// There is one that is fresh.
    Fresh(Arc<HostProfile>),
    /// A probe is under way.
    Asked,
    /// The host may be asked.
    Unknown,
    /// It was asked so recently that it is left alone, and what it said is no use.
    Spared,
}

/// One host as `/api/hosts` shows it.
#[derive(Clone, Debug)]
pub(crate) struct HostView {
    pub(crate) target: Target,
    pub(crate) upstreams: Vec<Arc<str>>,
    pub(crate) profile: Option<Arc<HostProfile>>,
    pub(crate) outdated: bool,
    pub(crate) asking: bool,
    pub(crate) changes: Vec<Noticed>,
    pub(crate) shapes: Vec<ShapeView>,
}

/// One kind of client of a host.
#[derive(Clone, Debug)]
pub(crate) struct ShapeView {
    pub(crate) ja4: String,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) outcomes: Vec<(&'static str, u64)>,
}

impl Hosts {
    /// How a host stands for a session with this hello.
    pub(super) fn standing(
        &self,
        target: Target,
        hello: Option<&ClientHelloFacts>,
        now: Timestamp,
        fresh: Duration,
    ) -> Standing {
        let Some(known) = self.hosts.get(&target) else { return self.other_form(target) };
        if known.asking {
            return Standing::Asked;
        }
        match &known.profile {
            Some(profile) if !known.outdated && now.since(profile.ended) < fresh => {
                Standing::Fresh(known.profile_for(profile, hello))
            }
            _ if known.asked.is_some_and(|asked| now.since(asked) < fresh) => Standing::Spared,
            _ => self.other_form(target),
        }
    }

    /// Never two probes against one address, whichever way it is spoken to.
    fn other_form(&self, target: Target) -> Standing {
        let other = Target { tls_first: !target.tls_first, ..target };
        if self.hosts.get(&other).is_some_and(|known| known.asking) { Standing::Spared } else { Standing::Unknown }
    }

    /// A probe of `target` begins.
    pub(super) fn begin(&mut self, target: Target, now: Timestamp) {
        let known = self.meet(target);
        known.asking = true;
        known.asked = Some(now);
    }

    /// The probe that [`Hosts::begin`] announced is over. Gives the profile to use and the one before it.
    pub(super) fn ended(
        &mut self,
        target: Target,
        profile: HostProfile,
        replayed: Option<Hello>,
    ) -> (Arc<HostProfile>, Option<Arc<HostProfile>>) {
        let known = self.meet(target);
        known.asking = false;
        let profile = Arc::new(profile);
        let before = known.profile.take();
        let useless = matches!(profile.completeness, Completeness::Unreachable(_));
        match &before {
            // A host that is away for a moment is not forgotten: what it accepts is told when it is back.
            Some(_) if useless => {
                known.profile.clone_from(&before);
                known.outdated = true;
            }
            _ => {
                known.profile = Some(Arc::clone(&profile));
                known.replayed = replayed;
                known.outdated = false;
            }
        }
        (profile, before)
    }

    /// The probe was cut short by ourselves: nothing was learned.
    pub(super) fn abandoned(&mut self, target: Target) {
        if let Some(known) = self.hosts.get_mut(&target) {
            known.asking = false;
        }
    }

    /// What a host accepts, for the session whose hello this is: a ladder of another client's hello is left out. `None`
    /// when it is not known, or no longer true.
    pub(super) fn profile_for(&self, target: Target, hello: Option<&ClientHelloFacts>) -> Option<Arc<HostProfile>> {
        let known = self.hosts.get(&target).filter(|known| !known.outdated)?;
        Some(known.profile_for(known.profile.as_ref()?, hello))
    }

    pub(super) fn changed(&mut self, target: Target, changes: impl IntoIterator<Item = Noticed>) {
        let known = self.meet(target);
        known.changes.extend(changes);
        while known.changes.len() > CHANGES {
            known.changes.pop_front();
        }
    }

    /// A session with this host has ended: what its handshake shows may contradict the profile.
    pub(super) fn met(&mut self, target: Target, upstream: &Arc<str>, timeline: &Timeline) {
        let known = self.meet(target);
        if !known.upstreams.contains(upstream) && known.upstreams.len() < UPSTREAMS {
            known.upstreams.push(Arc::clone(upstream));
        }
        if known.profile.as_deref().is_some_and(|profile| contradicts(timeline, profile)) {
            known.outdated = true;
        }
    }

    /// A session with this host came to `cause`, and that is final.
    pub(super) fn came_to(&mut self, target: Target, hello: &ClientHelloFacts, cause: Cause, at: Timestamp) {
        let known = self.meet(target);
        let ja4 = match hello.fingerprints.ja4.as_str() {
            "" => OTHER,
            ja4 if known.shapes.len() < SHAPES || known.shapes.contains_key(ja4) => ja4,
            _ => OTHER,
        };
        let shape = known.shapes.entry(ja4.to_owned()).or_insert_with(|| Shape { first: at, ..Shape::default() });
        shape.last = shape.last.max(at);
        let id = cause.id();
        let id = if shape.outcomes.len() < OUTCOMES || shape.outcomes.contains_key(id) { id } else { OTHER };
        *shape.outcomes.entry(id).or_default() += 1;
    }

    /// A profile from an earlier run.
    pub(super) fn restore(&mut self, kept: Kept) {
        let Kept { target, upstreams, profile } = kept;
        let known = self.meet(target);
        known.asked = Some(profile.begun);
        known.upstreams = upstreams;
        known.upstreams.truncate(UPSTREAMS);
        known.profile = Some(profile);
    }

    /// The profile of a host, whatever its age.
    pub(super) fn profile(&self, target: Target) -> Option<&Arc<HostProfile>> {
        self.hosts.get(&target)?.profile.as_ref()
    }

    /// Sessions have spoken to this address in this way.
    pub(super) fn knows(&self, target: Target) -> bool {
        self.hosts.contains_key(&target)
    }

    /// Every profile, for the file.
    pub(super) fn profiles(&self) -> Vec<Kept> {
        let mut all: Vec<Kept> = self
            .hosts
            .iter()
            .filter_map(|(target, known)| {
                let profile = Arc::clone(known.profile.as_ref()?);
                Some(Kept { target: *target, upstreams: known.upstreams.clone(), profile })
            })
            .collect();
        all.sort_by_key(|kept| kept.target);
        all
    }

    /// All hosts, by address.
    pub(super) fn view(&self) -> Vec<HostView> {
        let mut all: Vec<HostView> = self.hosts.iter().map(|(target, known)| known.view(*target)).collect();
        all.sort_by_key(|host| host.target);
        all
    }

    fn meet(&mut self, target: Target) -> &mut Known {
        self.clock += 1;
        if !self.hosts.contains_key(&target) && self.hosts.len() >= HOSTS {
            let idle = self.hosts.iter().filter(|(_, known)| !known.asking);
            if let Some(oldest) = idle.min_by_key(|(_, known)| known.met).map(|(target, _)| *target) {
                self.hosts.remove(&oldest);
            }
        }
        let known = self.hosts.entry(target).or_default();
        known.met = self.clock;
        known
    }
}

impl Known {
    fn profile_for(&self, profile: &Arc<HostProfile>, hello: Option<&ClientHelloFacts>) -> Arc<HostProfile> {
        let same = match (&self.replayed, hello) {
            (Some(replayed), Some(hello)) => *replayed == Hello::of(hello),
            _ => false,
        };
        if same || profile.ladder.is_empty() {
            return Arc::clone(profile);
        }
        Arc::new(HostProfile { ladder: Vec::new(), ..HostProfile::clone(profile) })
    }

    fn view(&self, target: Target) -> HostView {
        let shape = |(ja4, shape): (&String, &Shape)| ShapeView {
            ja4: ja4.clone(),
            first: shape.first,
            last: shape.last,
            outcomes: shape.outcomes.iter().map(|(cause, count)| (*cause, *count)).collect(),
        };
        HostView {
            target,
            upstreams: self.upstreams.clone(),
            profile: self.profile.clone(),
            outdated: self.outdated,
            asking: self.asking,
            changes: self.changes.iter().cloned().collect(),
            shapes: self.shapes.iter().map(shape).collect(),
        }
    }
}

/// The host did what the profile says that it does not: it was changed since.
fn contradicts(timeline: &Timeline, profile: &HostProfile) -> bool {
    let chose = timeline.server_hello.as_ref().filter(|hello| !hello.resumed).is_some_and(|hello| {
        let ability = profile.versions.iter().find(|ability| ability.version == hello.version);
        ability.is_some_and(|ability| {
            (ability.complete || ability.suites.is_empty()) && !ability.suites.contains(&hello.suite)
        })
    });
    // A host may have a certificate of each kind of key.
    let mut known = profile.certificate.iter().chain(&profile.second_certificate);
    let shown = timeline.certificate.as_ref().is_some_and(|seen| {
        known.any(|known| known.key_algorithm == seen.key_algorithm && known.sha256 != seen.sha256)
    });
    chose || shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use parser::profile::{LadderChange, LadderStep, Reaction, VersionAbility};
    use parser::session::{CertificateFacts, ServerHelloFacts};
    use parser::wire::{CipherSuite, TlsVersion};

    const FRESH: Duration = Duration::from_secs(300);

    fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * 1_000_000_000)
    }

    fn target(port: u16) -> Target {
        Target { address: ([192, 0, 2, 7], port).into(), tls_first: false }
    }

    fn profile(ended: u64) -> HostProfile {
        HostProfile {
            begun: at(ended),
            ended: at(ended),
            versions: vec![VersionAbility {
                version: TlsVersion::TLS12,
                reaction: Reaction::Silence,
                suites: vec![CipherSuite(0xc030)],
                host_order: true,
                complete: true,
            }],
            certificate: Some(CertificateFacts {
                sha256: [1; 32],
                key_algorithm: "RSA".to_owned(),
                ..CertificateFacts::default()
            }),
            ladder: vec![LadderStep { change: LadderChange::AsSent, reaction: Reaction::NotTls }],
            ..HostProfile::default()
        }
    }

    fn hello(length: u32) -> ClientHelloFacts {
        ClientHelloFacts { length, ..ClientHelloFacts::default() }
    }

    fn chose(version: TlsVersion, suite: u16) -> Timeline {
        let hello = ServerHelloFacts { version, suite: CipherSuite(suite), ..ServerHelloFacts::default() };
        Timeline { server_hello: Some(hello), ..Timeline::default() }
    }

    #[test]
    fn a_host_is_asked_once_and_then_left_alone_until_its_answers_are_old() {
        let (mut hosts, host) = (Hosts::default(), target(3389));
        assert_eq!(hosts.standing(host, None, at(10), FRESH), Standing::Unknown);
        hosts.begin(host, at(10));
        assert_eq!(hosts.standing(host, None, at(11), FRESH), Standing::Asked);
        let other_form = Target { tls_first: true, ..host };
        assert_eq!(
            hosts.standing(other_form, None, at(11), FRESH),
            Standing::Spared,
            "never two probes at one address"
        );
        hosts.ended(host, profile(12), None);
        assert!(matches!(hosts.standing(host, None, at(13), FRESH), Standing::Fresh(_)));
        assert_eq!(hosts.standing(host, None, at(312), FRESH), Standing::Unknown);
    }

    #[test]
    fn a_host_that_was_away_is_spared_and_its_earlier_answers_are_kept_but_not_used() {
        let (mut hosts, host) = (Hosts::default(), target(3389));
        hosts.ended(host, profile(10), None);
        hosts.begin(host, at(400));
        let away = Completeness::Unreachable("refused".to_owned());
        hosts.ended(host, HostProfile { completeness: away, ..profile(401) }, None);
        assert_eq!(hosts.standing(host, None, at(402), FRESH), Standing::Spared);
        assert_eq!(hosts.profile(host).map(|profile| profile.ended), Some(at(10)), "to be compared when it is back");
        assert_eq!(hosts.profile_for(host, None), None);
    }

    #[test]
    fn the_replay_of_one_client_is_no_evidence_for_another() {
        let (mut hosts, host) = (Hosts::default(), target(3389));
        hosts.ended(host, profile(10), Some(Hello::of(&hello(517))));
        let ladder = |facts: Option<&ClientHelloFacts>| hosts.profile_for(host, facts).map(|p| p.ladder.len());
        assert_eq!(ladder(Some(&hello(517))), Some(1));
        assert_eq!(ladder(Some(&hello(1789))), Some(0));
        assert_eq!(ladder(None), Some(0));
    }

    #[test]
    fn a_session_that_does_what_the_profile_rules_out_ends_its_use() {
        let name: Arc<str> = Arc::from("rds07:3389");
        let renewed =
            CertificateFacts { sha256: [2; 32], key_algorithm: "RSA".to_owned(), ..CertificateFacts::default() };
        let other_key = CertificateFacts { key_algorithm: "ECDSA".to_owned(), ..renewed.clone() };
        let shows = |certificate| Timeline { certificate: Some(certificate), ..Timeline::default() };
        for (timeline, outdated) in [
            (chose(TlsVersion::TLS12, 0xc030), false),
            (chose(TlsVersion::TLS12, 0xc02f), true),
            (chose(TlsVersion::TLS13, 0x1301), false),
            (shows(renewed), true),
            (shows(other_key), false),
        ] {
            let (mut hosts, host) = (Hosts::default(), target(3389));
            hosts.ended(host, profile(10), None);
            hosts.met(host, &name, &timeline);
            assert_eq!(hosts.view()[0].outdated, outdated, "{timeline:?}");
            assert_eq!(hosts.profile_for(host, None).is_none(), outdated);
        }
    }

    #[test]
    fn what_strangers_bring_is_bounded() {
        let mut hosts = Hosts::default();
        hosts.begin(target(1), at(0));
        for port in 2..u16::try_from(2 * HOSTS).unwrap() {
            hosts.met(target(port), &Arc::from("rds07:3389"), &Timeline::default());
        }
        assert_eq!(hosts.view().len(), HOSTS);
        assert!(hosts.knows(target(1)), "one that is being asked is not forgotten");

        for number in 0..4 * SHAPES {
            let mut facts = hello(300);
            facts.fingerprints.ja4 = format!("t13d{number}");
            hosts.came_to(target(1), &facts, Cause::ALL[number % Cause::ALL.len()], at(1));
            hosts.changed(target(1), [Noticed { what: "suite", text: String::new(), after: at(0), before: at(1) }]);
            hosts.met(target(1), &Arc::from(format!("name{number}:3389")), &Timeline::default());
        }
        let view = hosts.view().into_iter().find(|host| host.target == target(1)).unwrap();
        assert_eq!(view.shapes.len(), SHAPES + 1, "and `other`");
        assert!(view.shapes.iter().all(|shape| shape.outcomes.len() <= OUTCOMES + 1));
        assert_eq!((view.changes.len(), view.upstreams.len()), (CHANGES, UPSTREAMS));
        let counted: u64 = view.shapes.iter().flat_map(|shape| &shape.outcomes).map(|(_, count)| count).sum();
        assert_eq!(counted, 4 * SHAPES as u64);
    }
}
