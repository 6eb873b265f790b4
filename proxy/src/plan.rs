//! What a session is served with: what all of them share, and what its listener was told to do when it began.

use crate::bridge::Bridge;
use crate::cores::Cores;
use crate::limits::OpeningBudget;
use crate::observe::Observer;
use crate::relay::Form;
use crate::shutdown::Sessions;
use crate::upstream::{self, Resolver};
use config::{Settings, Timeouts, Upstream};
use std::net::IpAddr;
use std::sync::Arc;

/// What all listeners share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) observer: Arc<Observer>,
    pub(crate) budget: Arc<OpeningBudget>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) cores: Arc<Cores>,
    /// How bytes are moved.
    pub(crate) form: Arc<Form>,
}

/// What to do with connections of one listener. A reload replaces it whole; a session keeps the one it began with.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: Arc<str>,
    pub(crate) upstream: Upstream,
    pub(crate) label: Arc<str>,
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) timeouts: Arc<Timeouts>,
    /// `None`: off.
    pub(crate) bridge: Option<Arc<Bridge>>,
    pub(crate) max_sessions: usize,
    pub(crate) max_sessions_per_client: usize,
}

impl Plan {
    pub(crate) fn new(
        listener: &config::Listener,
        settings: &Settings,
        resolver: &Arc<Resolver>,
        bridge: Option<Arc<Bridge>>,
    ) -> Plan {
        Plan {
            name: Arc::from(listener.name.as_str()),
            upstream: listener.upstream.clone(),
            label: upstream::label(&listener.upstream),
            resolver: Arc::clone(resolver),
            timeouts: Arc::new(settings.timeouts.clone()),
            bridge,
            max_sessions: listener.max_sessions,
            max_sessions_per_client: listener.max_sessions_per_client,
        }
    }

    /// The upstream is a name, not an address.
    pub(crate) fn needs_lookup(&self) -> bool {
        self.upstream.host.parse::<IpAddr>().is_err()
    }
}
