//! The proxy itself: its listeners and what they share, started, given other settings, drained and stopped.

use super::RunError;
use super::reload::{self, Kept};
use crate::bridge::Bridge;
use crate::cores::Cores;
use crate::limits::OpeningBudget;
use crate::listen::{Bound, Listening, bind};
use crate::observe::{Observer, Readiness};
use crate::plan::{Plan, Shared};
use crate::probe::{self, Asker, Prober};
use crate::relay::Form;
use crate::shutdown::Sessions;
use crate::upstream::Resolver;
use config::{Listener, Settings};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;

/// Sessions that were told to stop close within the time for handing over; after this long the process ends anyway.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// A running proxy.
///
/// Its sessions live on threads of their own, one per core. Dropping it ends those at once; [`Proxy::stop`] ends sessions in
/// order.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    prober: Arc<Prober>,
    admin: Option<SocketAddr>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    listeners: Vec<Listening>,
    settings: Settings,
    kept: Kept,
    draining: bool,
}

impl Proxy {
    /// Binds every listener and the admin endpoint, then accepts. When this returns, connections are served.
    ///
    /// # Errors
    /// The first address that could not be bound; nothing is left listening then.
    pub async fn start(settings: Settings, observer: Arc<Observer>) -> Result<Proxy, RunError> {
        Proxy::begin(settings, observer, probe::over_the_wire(), Form::default()).await
    }

    /// The same, with another way to ask hosts what they accept.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub async fn start_asking(settings: Settings, observer: Arc<Observer>, ask: Asker) -> Result<Proxy, RunError> {
        Proxy::begin(settings, observer, ask, Form::default()).await
    }

    /// The same, with another way to move bytes.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub async fn start_moving(settings: Settings, observer: Arc<Observer>, form: Form) -> Result<Proxy, RunError> {
        Proxy::begin(settings, observer, probe::over_the_wire(), form).await
    }

    async fn begin(settings: Settings, observer: Arc<Observer>, ask: Asker, form: Form) -> Result<Proxy, RunError> {
        observer.readiness(Readiness::Starting);
        observer.configured(&settings);
        let bridges = bridges(&settings)?;
        let cores = Cores::start(settings.limits.threads).map_err(RunError::Threads)?;
        let bound = bind_all(settings.listeners.iter(), &settings, cores.count())?;
        let admin = match &settings.admin {
            Some(admin) => {
                let started = crate::admin::start(admin.listen, Arc::clone(&observer)).await;
                Some(started.map_err(|error| RunError::listen("admin", admin.listen, error))?)
            }
            None => None,
        };
        let shared = Arc::new(Shared {
            observer,
            budget: Arc::new(OpeningBudget::new(settings.limits.opening_memory)),
            sessions: Sessions::new(),
            cores,
            form: Arc::new(form),
        });
        config::warnings(&settings).iter().for_each(|warning| tracing::warn!("{warning}"));
        let prober = Prober::start(ask, &settings, &shared.observer);
        shared.observer.attach(Arc::clone(&prober));
        let mut listeners = Vec::with_capacity(bound.len());
        for ((bound, listener), bridge) in bound.into_iter().zip(&settings.listeners).zip(bridges) {
            listeners.push(start_listener(bound, listener, bridge, &settings, &shared));
        }
        if let Some(address) = admin {
            tracing::info!("admin on http://{address}/");
        }
        shared.observer.readiness(Readiness::Ready);
        let kept = Kept::of(&settings);
        Ok(Proxy { shared, prober, admin, state: Mutex::new(State { listeners, settings, kept, draining: false }) })
    }

    /// Name and real address of each listener, in the order of the configuration.
    pub async fn listeners(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.state.lock().await.listeners.iter().map(|l| (Arc::clone(&l.plan().name), l.address)).collect()
    }

    /// The real address of the listener with this name.
    pub async fn address(&self, name: &str) -> Option<SocketAddr> {
        self.listeners().await.into_iter().find(|(known, _)| &**known == name).map(|(_, address)| address)
    }

    /// The real address of the admin endpoint.
    #[must_use]
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Where sessions are told of.
    #[must_use]
    pub fn observer(&self) -> &Arc<Observer> {
        &self.shared.observer
    }

    /// Sessions now.
    #[must_use]
    pub fn live(&self) -> usize {
        self.shared.sessions.live()
    }

    /// Tasks on the threads that relay: sessions, acceptors, lookups.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.shared.cores.tasks()
    }

    /// Bytes that all openings together hold in memory now.
    #[must_use]
    pub fn opening_memory(&self) -> usize {
        self.shared.budget.used()
    }

    /// Takes over new settings: upstreams, time-outs and limits for sessions accepted from now on, listeners that came
    /// or went. Live sessions keep what they began with. `admin`, `events` and `capture` need a restart, which is said; secrets
    /// in captures end at once, or earlier than they would have, and begin with a restart.
    ///
    /// # Errors
    /// A new address that could not be bound; then nothing has changed.
    pub async fn reload(&self, settings: Settings) -> Result<(), RunError> {
        let mut state = self.state.lock().await;
        if state.draining {
            return Err(RunError::Stopping);
        }
        let bridges = bridges(&settings)?;
        let mut old: Vec<Option<Listening>> = state.listeners.drain(..).map(Some).collect();
        let kept: Vec<Option<usize>> = match_listeners(&old, &settings.listeners);
        let fresh = settings.listeners.iter().zip(&kept).filter(|(_, kept)| kept.is_none()).map(|(l, _)| l);
        let bound = match bind_all(fresh, &settings, self.shared.cores.count()) {
            Ok(bound) => bound,
            Err(error) => {
                state.listeners = old.into_iter().flatten().collect();
                let own = state.listeners.iter().map(|own| (format!("listener {}", own.plan().name), own.address));
                let admin = self.admin.map(|address| ("the admin endpoint".to_owned(), address));
                return Err(reload::by_ourselves(error, own.chain(admin)));
            }
        };
        let mut bound = bound.into_iter();
        for ((listener, kept), bridge) in settings.listeners.iter().zip(kept).zip(bridges) {
            if let Some(listening) = kept.and_then(|index| old[index].take()) {
                listening.replace_plan(Plan::new(listener, &settings, &listening.resolver, bridge));
                state.listeners.push(listening);
            } else if let Some(bound) = bound.next() {
                state.listeners.push(start_listener(bound, listener, bridge, &settings, &self.shared));
            }
        }
        for gone in old.into_iter().flatten() {
            tracing::info!("no longer listening on {} ({})", gone.address, gone.plan().name);
            gone.close().await;
        }
        for listening in &state.listeners {
            let address = listening.configured;
            if listening.only_v6
                && address.is_ipv6()
                && address.ip().is_unspecified()
                && !ipv4_is_apart(address, &settings)
            {
                tracing::warn!(
                    "{address} takes clients over IPv6 alone until a restart: a listener had that port on IPv4"
                );
            }
        }
        let waiting = state.kept.waits_for_restart(&settings);
        if !waiting.is_empty() {
            tracing::warn!("changes of {} take effect after a restart", waiting.join(", "));
        }
        self.shared.observer.lower_secrets(settings.capture.as_ref().and_then(|capture| capture.secrets_until));
        config::warnings(&settings).iter().for_each(|warning| tracing::warn!("{warning}"));
        self.shared.budget.resize(settings.limits.opening_memory);
        self.shared.observer.configured(&settings);
        self.prober.configure(&settings);
        state.settings = settings;
        Ok(())
    }

    /// Stops accepting. Live sessions go on. When this returns the ports are free.
    pub async fn drain(&self) {
        let mut state = self.state.lock().await;
        state.draining = true;
        self.shared.observer.readiness(Readiness::Draining);
        self.prober.rest();
        for listener in state.listeners.drain(..) {
            listener.close().await;
        }
    }

    /// Returns when no session is left.
    pub async fn idle(&self) {
        self.shared.sessions.empty().await;
    }

    /// Ends everything now: no new connections, and live ones are closed with the verdict that we did it.
    pub async fn stop(&self) {
        self.drain().await;
        self.shared.sessions.stop_all();
        if tokio::time::timeout(STOP_PATIENCE, self.idle()).await.is_err() {
            tracing::error!("{} sessions did not end in time", self.live());
        }
    }

    pub(super) async fn drain_timeout(&self) -> Duration {
        self.state.lock().await.settings.limits.drain_timeout
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Sessions hold what is shared, so its own drop would come too late.
        self.shared.cores.stop();
    }
}

/// The bridge of each listener, in order: every key and certificate is read before anything changes.
fn bridges(settings: &Settings) -> Result<Vec<Option<Arc<Bridge>>>, RunError> {
    let state = settings.state_directory.as_deref();
    let until = settings.capture.as_ref().and_then(|capture| capture.secrets_until);
    let keys = until.is_some_and(|until| SystemTime::now() < until);
    let one = |listener: &Listener| {
        Bridge::new(&listener.bridge, &listener.upstream, state, keys)
            .map_err(|why| RunError::Bridge { listener: listener.name.clone(), why })
    };
    settings.listeners.iter().map(one).collect()
}

fn start_listener(
    bound: Bound,
    listener: &Listener,
    bridge: Option<Arc<Bridge>>,
    settings: &Settings,
    shared: &Arc<Shared>,
) -> Listening {
    let plan = Plan::new(listener, settings, &Arc::new(Resolver::default()), bridge);
    // The kernel queues connections since the bind, so the line is true before the first accept.
    tracing::info!("listening on {} ({}) -> {}", bound.address, plan.name, plan.label);
    Listening::start(bound, listener.listen, plan, shared)
}

fn bind_all<'a>(
    listeners: impl Iterator<Item = &'a Listener>,
    all: &Settings,
    cores: usize,
) -> Result<Vec<Bound>, RunError> {
    listeners
        .map(|listener| {
            bind(listener.listen, ipv4_is_apart(listener.listen, all), cores)
                .map_err(|error| RunError::listen(&format!("listener {}", listener.name), listener.listen, error))
        })
        .collect()
}

/// `[::]` takes IPv4 too, as everywhere on Linux, unless another listener has that port on IPv4.
fn ipv4_is_apart(address: SocketAddr, all: &Settings) -> bool {
    let port = address.port();
    port != 0 && all.listeners.iter().any(|other| other.listen.is_ipv4() && other.listen.port() == port)
}

/// For each new listener the running one that it continues: the same address, and with port 0 also the same name.
fn match_listeners(old: &[Option<Listening>], new: &[Listener]) -> Vec<Option<usize>> {
    let continues = |old: &Listening, new: &Listener| {
        old.configured == new.listen && (new.listen.port() != 0 || *old.plan().name == *new.name)
    };
    let mut free: Vec<Option<&Listening>> = old.iter().map(Option::as_ref).collect();
    let mut take = |new: &Listener| {
        let index = free.iter().position(|old| old.is_some_and(|old| continues(old, new)))?;
        free[index] = None;
        Some(index)
    };
    new.iter().map(&mut take).collect()
}
