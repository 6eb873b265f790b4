//! `rdpscope.probe` and `rdpscope.change`: what a host was found to accept, and what changed.

use super::fields::{EventFields, Rdpscope, SessionId};
use super::tls::{LIST, Tls, suite, version};
use super::{Action, Event, SCHEMA, host, nanoseconds};
use crate::probe::{Noticed, Probed};
use crate::record::Stamp;
use parser::Timestamp;
use parser::profile::{Completeness, HostProfile};
use parser::wire::CipherSuite;
use serde::Serialize;
use std::borrow::Cow;
use std::net::SocketAddr;

impl<'a> Event<'a> {
    /// A host was asked what it accepts.
    pub(crate) fn probe(probed: &'a Probed, at: Timestamp) -> Event<'a> {
        let profile = &*probed.profile;
        let outcome = match profile.completeness {
            Completeness::Complete => "success",
            Completeness::Partial(_) | Completeness::Mixed(_) => "unknown",
            Completeness::Unreachable(_) => "failure",
        };
        let mut event = Event::of_host(Action::Probe, &probed.upstream, probed.target.address, at);
        event.event.outcome = Some(outcome);
        event.event.duration = Some(nanoseconds(probed.took));
        event.message = format!("asked {} {}: {}", probed.upstream, probed.reason.words(), words(profile)).into();
        event.session = probed.session.map(|id| SessionId { id });
        event.tls = Tls::of_profile(profile);
        let asked = Asked { reason: probed.reason.name(), tls_first: probed.target.tls_first };
        event.rdpscope.probe = Some(Probe::of(profile, at).asked(asked));
        event
    }

    /// A host accepts something else than when it was asked before.
    pub(crate) fn host_changed(
        upstream: &'a str,
        address: SocketAddr,
        noticed: &'a Noticed,
        at: Timestamp,
    ) -> Event<'a> {
        let mut event = Event::of_host(Action::HostChanged, upstream, address, at);
        let (after, before) = (Stamp(noticed.after), Stamp(noticed.before));
        event.message = format!("host {upstream} {} (between {after} and {before})", noticed.text).into();
        event.rdpscope.change = Some(Change { what: noticed.what, text: &noticed.text, after, before });
        event
    }

    fn of_host(action: Action, upstream: &'a str, address: SocketAddr, at: Timestamp) -> Event<'a> {
        Event {
            timestamp: Stamp(at),
            event: EventFields { action: action.name(), ..EventFields::default() },
            server: Some(host(upstream, Some(address))),
            rdpscope: Rdpscope { schema: SCHEMA, ..Rdpscope::default() },
            ..Event::default()
        }
    }

    /// Adds what the host was found to accept.
    pub(super) fn learn(&mut self, profile: &'a HostProfile, at: Timestamp) {
        self.rdpscope.probe = Some(Probe::of(profile, at));
        if let Some(tls) = &mut self.tls {
            tls.learn(profile);
        }
    }
}

/// What the host accepts, in short.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Probe {
    /// Since the last answer, in seconds with milliseconds.
    age_s: f64,
    versions: Vec<Cow<'static, str>>,
    /// In the order of the versions, each suite once.
    ciphers: Vec<Cow<'static, str>>,
    handshakes: u16,
    complete: bool,
    /// More than one host seems to have answered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    mixed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<String>,
    #[serde(flatten)]
    asked: Option<Asked>,
}

/// Why and how it was asked.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Asked {
    pub(super) reason: &'static str,
    pub(super) tls_first: bool,
}

/// A change of a host, between two probes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Change<'a> {
    pub(super) what: &'static str,
    pub(super) text: &'a str,
    pub(super) after: Stamp,
    pub(super) before: Stamp,
}

impl Probe {
    pub(super) fn of(profile: &HostProfile, at: Timestamp) -> Probe {
        let accepted = || profile.versions.iter().filter(|ability| ability.accepted());
        Probe {
            age_s: at.since(profile.ended).as_millis() as f64 / 1e3,
            versions: accepted().map(|ability| version(ability.version)).collect(),
            ciphers: suites(profile).into_iter().take(LIST).map(suite).collect(),
            handshakes: profile.handshakes,
            complete: profile.completeness == Completeness::Complete,
            mixed: matches!(profile.completeness, Completeness::Mixed(_)),
            incomplete: profile.completeness.lacking().map(str::to_owned),
            asked: None,
        }
    }

    pub(super) fn asked(self, asked: Asked) -> Probe {
        Probe { asked: Some(asked), ..self }
    }
}

/// The profile in one line for a person.
pub(super) fn words(profile: &HostProfile) -> String {
    if let Completeness::Unreachable(why) = &profile.completeness {
        return why.clone();
    }
    let versions: Vec<Cow<'static, str>> =
        profile.versions.iter().filter(|ability| ability.accepted()).map(|ability| version(ability.version)).collect();
    let what = match (versions.is_empty(), profile.versions.is_empty()) {
        (true, true) => "nothing was learned of TLS".to_owned(),
        (true, false) => "it accepts no TLS hello at all".to_owned(),
        _ => format!("TLS {}, {} suites", versions.join(", "), suites(profile).len()),
    };
    let took = profile.ended.since(profile.begun).as_millis();
    let stopped = match &profile.completeness {
        Completeness::Partial(why) => format!("; incomplete: {why}"),
        Completeness::Mixed(why) => format!("; it does not answer alike: {why}"),
        _ => String::new(),
    };
    format!("{what} ({} connections, {took} ms){stopped}", profile.handshakes)
}

/// Every suite that any version accepts, once.
fn suites(profile: &HostProfile) -> Vec<CipherSuite> {
    let mut all = Vec::new();
    for suite in profile.versions.iter().flat_map(|ability| &ability.suites) {
        if !all.contains(suite) {
            all.push(*suite);
        }
    }
    all
}
