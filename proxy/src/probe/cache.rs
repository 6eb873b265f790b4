//! The hosts that were met: what each accepts as far as it was asked, when it was asked, what changed, who came.
//!
//! Pure: times are arguments. Bounded: at most [`HOSTS`] hosts, the least recently met one is forgotten first.

use super::Target;
use super::store::Kept;
use crate::record::shape_told;
use parser::Timestamp;
use parser::diagnosis::Cause;
use parser::profile::{Ability, Completeness, HostProfile, Offer, meet, smallest_changes};
use parser::session::{BridgeFacts, BridgeReason, ClientHelloFacts, Timeline};
use rapidhash::RapidHashMap;
use std::collections::{BTreeMap, VecDeque};
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
    hosts: RapidHashMap<Target, Known>,
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
    name: Option<Box<str>>,
}

impl Hello {
    pub(super) fn of(facts: &ClientHelloFacts) -> Hello {
        let ja4 = shape_told(&facts.shape).fingerprints.ja4.clone();
        Hello { ja4, length: facts.length, name: facts.server_name.clone() }
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
    /// What it offers, once the bridge was needed for it, or may have been.
    bridged: Option<Bridged>,
}

/// A kind of client that came to the bridge.
#[derive(Clone, Debug)]
struct Bridged {
    offer: Offer,
    /// The host has refused it, or a profile has shown that it would: not only `always`.
    needed: bool,
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
    /// The bridge was needed for it.
    pub(crate) bridged: bool,
    /// What would let it meet the host without one. Empty when the host is not known well enough.
    pub(crate) retires_bridge: Vec<String>,
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
        // Behind a bridge the ServerHello and the certificate that were seen are the bridge's own.
        let own = timeline.bridge.as_ref().is_some_and(|facts| facts.host.is_some());
        if !own && known.profile.as_deref().is_some_and(|profile| contradicts(timeline, profile)) {
            known.outdated = true;
        }
    }

    /// A session with this host came to `cause`, and that is final.
    pub(super) fn came_to(
        &mut self,
        target: Target,
        hello: &ClientHelloFacts,
        (cause, bridge): (Cause, Option<&BridgeFacts>),
        at: Timestamp,
    ) {
        let known = self.meet(target);
        let told = shape_told(&hello.shape);
        let ja4 = match told.fingerprints.ja4.as_str() {
            "" => OTHER,
            ja4 if known.shapes.len() < SHAPES || known.shapes.contains_key(ja4) => ja4,
            _ => OTHER,
        };
        // Not by `entry`: that wants a name of its own for each session.
        if !known.shapes.contains_key(ja4) {
            known.shapes.insert(ja4.to_owned(), Shape { first: at, ..Shape::default() });
        }
        let Some(shape) = known.shapes.get_mut(ja4) else { return };
        shape.last = shape.last.max(at);
        if let Some(facts) = bridge {
            let bridged = shape.bridged.get_or_insert_with(|| Bridged { offer: Offer::from(hello), needed: false });
            bridged.needed |= facts.reason != BridgeReason::Always;
        }
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

    /// The smallest change of the host, or of the client, after which `offer` needs no bridge.
    fn without_bridge(&self, offer: &Offer) -> Vec<String> {
        let Some(host) = self.profile.as_deref().and_then(Ability::of) else { return Vec::new() };
        smallest_changes(offer, &host).iter().map(|change| change.text(&host)).collect()
    }

    fn view(&self, target: Target) -> HostView {
        let host = self.profile.as_deref().and_then(Ability::of);
        let needs = |bridged: &Bridged| match &host {
            Some(host) => meet(&bridged.offer, host).is_err(),
            None => bridged.needed,
        };
        let shape = |(ja4, shape): (&String, &Shape)| ShapeView {
            ja4: ja4.clone(),
            first: shape.first,
            last: shape.last,
            outcomes: shape.outcomes.iter().map(|(cause, count)| (*cause, *count)).collect(),
            bridged: shape.bridged.as_ref().is_some_and(needs),
            retires_bridge: shape.bridged.as_ref().map(|it| self.without_bridge(&it.offer)).unwrap_or_default(),
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
    // A host may have a certificate of each kind of key, and an address more than one host.
    let known = || profile.certificate.iter().chain(&profile.second_certificate);
    let shown = timeline.certificate.as_ref().is_some_and(|seen| {
        known().any(|known| known.key_algorithm == seen.key_algorithm)
            && !known().any(|known| known.sha256 == seen.sha256)
    });
    chose || shown
}

#[cfg(test)]
mod tests;
