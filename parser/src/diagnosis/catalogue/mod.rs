//! The catalogue: for every cause what it means, who can decide it, what to do, and what else shows it.
//!
//! One file per room. [`Cause::entry`] is exhaustive, so a cause without an entry does not compile. To add a cause: a
//! line in `cause.rs` and in `ids.txt`, an entry in its room, its two arms in `index.rs`; then the rule that decides it.

mod certificate;
mod credssp;
mod gateway;
mod healthy;
mod index;
mod negotiation;
mod network;
mod proxy;
mod session;
mod tls;

use super::{Cause, Side};
use crate::session::Phase;

/// What is known of a cause, apart from any one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// One short sentence in plain words, without a full stop.
    pub title: &'static str,
    /// What a proxy that only passes bytes sees of it.
    pub sees: &'static str,
    /// Who can decide it, cheapest observer first.
    pub decided_by: &'static [Observer],
    /// Whose doing it is, unless the connection says otherwise.
    pub side: Side,
    /// Where a connection may be when it ends this way.
    pub phases: &'static [Phase],
    /// What to do, one action per item, safest first. What weakens security is last and says that it is for a test only.
    pub remedy: &'static [&'static str],
    /// What other programs are expected to show: an output, never an input of the verdict.
    pub predicted: Predicted,
    /// Where the knowledge comes from.
    pub reference: &'static str,
}

/// What other programs are expected to show. Empty where nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Predicted {
    /// mstsc error codes, as in its dialog, for a client behind this proxy. We accept before we connect, so what a
    /// direct client shows as 0x204 is 0x904 here.
    pub mstsc: &'static [&'static str],
    /// mstsc error codes for a client that connects directly.
    pub mstsc_direct: &'static [&'static str],
    /// Event ids of source Schannel in the System log of a Windows host.
    pub schannel: &'static [u16],
}

impl Predicted {
    /// Nothing is shown, or nothing is known.
    pub const NOTHING: Predicted = Predicted { mstsc: &[], mstsc_direct: &[], schannel: &[] };

    /// The same codes behind the proxy and without it.
    pub(crate) const fn same(codes: &'static [&'static str]) -> Predicted {
        Predicted { mstsc: codes, mstsc_direct: codes, schannel: &[] }
    }

    /// The client sees its socket close behind us; `direct` is what it shows without us.
    pub(crate) const fn hidden(direct: &'static [&'static str]) -> Predicted {
        Predicted { mstsc: &["0x904"], mstsc_direct: direct, schannel: &[] }
    }

    /// A failed TLS handshake: the client's socket closes, the host logs `schannel`.
    pub(crate) const fn tls(schannel: &'static [u16]) -> Predicted {
        Predicted { mstsc: &["0x904"], mstsc_direct: &["0x904"], schannel }
    }
}

/// Who can decide a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Observer {
    /// The proxy passing bytes untouched.
    Passthrough,
    /// A probe of the host: what it really accepts.
    Probe,
    /// The bridge, which reads the plaintext.
    Bridge,
    /// A packet capture: fields below TCP, retransmissions, other protocols.
    Capture,
}

impl Observer {
    /// The name used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Observer::Passthrough => "passthrough",
            Observer::Probe => "probe",
            Observer::Bridge => "bridge",
            Observer::Capture => "capture",
        }
    }
}

/// The rooms of the catalogue, for listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Room {
    /// Nothing is wrong.
    Healthy,
    /// Name lookup, TCP, the way between the machines.
    Network,
    /// X.224: what security the two agree on.
    Negotiation,
    /// The TLS handshake.
    Tls,
    /// The host's certificate and its key.
    Certificate,
    /// CredSSP: Network Level Authentication.
    Credssp,
    /// MCS, licensing, activation and the live session.
    Session,
    /// RD Gateway.
    Gateway,
    /// What this proxy did itself.
    Proxy,
}

impl Room {
    /// Every room, in the order of a session's life.
    pub const ALL: [Room; 9] = [
        Room::Healthy,
        Room::Proxy,
        Room::Network,
        Room::Negotiation,
        Room::Tls,
        Room::Certificate,
        Room::Credssp,
        Room::Session,
        Room::Gateway,
    ];

    /// A heading.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Room::Healthy => "Healthy",
            Room::Network => "Name lookup, TCP and the network",
            Room::Negotiation => "Negotiation (X.224)",
            Room::Tls => "TLS handshake",
            Room::Certificate => "Host certificate and key",
            Room::Credssp => "Network Level Authentication (CredSSP)",
            Room::Session => "Session",
            Room::Gateway => "RD Gateway",
            Room::Proxy => "This proxy",
        }
    }

    /// The causes of this room, in the order of [`Cause::ALL`].
    pub fn causes(self) -> impl Iterator<Item = Cause> {
        Cause::ALL.iter().copied().filter(move |cause| cause.room() == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_says_what_it_is_and_where_it_happens() {
        for cause in Cause::ALL {
            let entry = cause.entry();
            assert!(!entry.title.is_empty() && !entry.title.ends_with('.'), "{cause}: title");
            assert!(entry.title.len() <= 110, "{cause}: title of {} characters", entry.title.len());
            assert!(!entry.sees.is_empty(), "{cause}: what is seen");
            assert!(!entry.decided_by.is_empty(), "{cause}: who decides");
            assert!(!entry.phases.is_empty() && entry.phases.is_sorted(), "{cause}: phases");
            assert!(!entry.reference.is_empty(), "{cause}: reference");
        }
    }

    #[test]
    fn every_failure_has_a_remedy_that_can_be_acted_on() {
        for cause in Cause::ALL.iter().filter(|c| c.room() != Room::Healthy) {
            let remedy = cause.entry().remedy;
            assert!(!remedy.is_empty(), "{cause}");
            for item in remedy {
                assert!(item.len() > 20 && item.ends_with('.'), "{cause}: {item}");
            }
        }
    }

    #[test]
    fn what_weakens_security_comes_last_and_says_so() {
        let weakening = [
            "UserAuthentication=0",
            "AllowEncryptionOracle=2",
            "EnforceChannelBinding=0",
            "SECLEVEL=0",
            "seclevel:0",
            "security_layer=rdp",
            "SecurityLayer=0",
        ];
        for cause in Cause::ALL {
            let remedy = cause.entry().remedy;
            let weak = |item: &&str| weakening.iter().any(|word| item.contains(word));
            let first_weak = remedy.iter().position(|item| weak(item)).unwrap_or(remedy.len());
            for item in &remedy[first_weak..] {
                assert!(item.starts_with("For a test only"), "{cause}: {item}");
            }
            for item in &remedy[..first_weak] {
                assert!(!item.starts_with("For a test only"), "{cause}: {item}");
            }
        }
    }

    #[test]
    fn dangerous_folk_remedies_are_not_given() {
        for cause in Cause::ALL {
            for item in cause.entry().remedy {
                let lower = item.to_lowercase();
                assert!(!lower.contains("rename the machinekeys"), "{cause}");
                assert!(!lower.contains("disable nla"), "{cause}");
                assert!(!lower.contains("disable the firewall"), "{cause}");
            }
        }
    }

    #[test]
    fn predicted_codes_are_written_as_the_dialog_writes_them() {
        for cause in Cause::ALL {
            let predicted = cause.entry().predicted;
            for code in predicted.mstsc.iter().chain(predicted.mstsc_direct) {
                assert!(code.starts_with("0x") && code[2..].chars().all(|c| c.is_ascii_hexdigit()), "{cause}: {code}");
            }
            assert!(predicted.schannel.iter().all(|id| (36_860..36_900).contains(id)), "{cause}");
        }
    }

    #[test]
    fn a_failed_connect_is_0x904_behind_us_and_0x204_without_us() {
        let predicted = Cause::TcpRefused.entry().predicted;
        assert_eq!((predicted.mstsc, predicted.mstsc_direct), (&["0x904"][..], &["0x204"][..]));
    }

    #[test]
    fn rooms_hold_every_cause_once() {
        let listed: Vec<Cause> = Room::ALL.iter().flat_map(|room| room.causes()).collect();
        assert_eq!(listed.len(), Cause::ALL.len());
    }

    #[test]
    fn ids_are_the_promised_ones() {
        // The stable list: dashboards and scripts know these names. Adding is fine, a missing one is a broken promise.
        const PROMISED: &str = include_str!("ids.txt");
        let ids: Vec<&str> = Cause::ALL.iter().map(|c| c.id()).collect();
        for id in PROMISED.lines().filter(|line| !line.is_empty()) {
            assert!(ids.contains(&id), "{id}");
            assert_eq!(Cause::from_id(id).map(Cause::id), Some(id));
        }
        assert_eq!(PROMISED.lines().count(), ids.len(), "new ids belong in ids.txt");
    }
}
