//! TLS terminated on both legs, for a client and a host that cannot meet by themselves.
//!
//! ```text
//! opening ─► does this pair need it? (need) ─► host leg: TLS, verified ─► client leg: TLS ─► carry
//!    │            │ no, or it may not be             │ failed
//!    └────────────┴──► passthrough, untouched ◄──────┘ (a rescue: what the host had said; else an alert)
//! ```
//!
//! `tls` is one leg as everything here sees it; `modern` does it with rustls, `legacy` with OpenSSL in a build that has
//! it, and `libraries` says which. `trust` says whom the host leg may take for the host, `certificate` what the client
//! leg shows, `memory` which rescues have failed lately.

mod carry;
mod certificate;
#[cfg(feature = "legacy-tls")]
mod legacy;
mod libraries;
mod memory;
mod modern;
mod need;
mod opening;
mod pem;
#[cfg(feature = "legacy-tls")]
mod pkcs12;
mod tls;
mod trust;

use crate::relay::{Ending, Relay, Stop, Witness};
use certificate::Pair;
use config::{BridgeMode, BridgeRules, Upstream};
use libraries::Libraries;
use memory::FailedRescues;
use parser::session::{BridgeOutcome, ClientHelloFacts};
use parser::wire::TlsVersion;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;
use time::OffsetDateTime;
use trust::Trust;

/// Whether a start with these rules would find its keys and certificates in order; it makes none.
///
/// # Errors
/// What is wrong, in words.
pub(crate) fn usable(rules: &BridgeRules) -> Result<(), String> {
    let trust = Trust::of(rules)?;
    match &rules.pair {
        Some(files) => Shown::new(Pair::load(files)?, rules, &trust, false).map(drop),
        None => Ok(()),
    }
}

/// The bridge of one listener, shared by its sessions: so that TLS sessions can be resumed.
pub(crate) struct Bridge {
    rules: BridgeRules,
    trust: Trust,
    /// Secrets of its legs may be kept.
    keys: bool,
    upstream: Upstream,
    /// Where a pair of our own is kept.
    state: Option<PathBuf>,
    /// What the host is asked for by SNI, and by which its certificate must be valid.
    name: ServerName<'static>,
    /// Another one when a pair of our own was renewed.
    shown: RwLock<Arc<Shown>>,
    renewing: AtomicBool,
    failed: Mutex<FailedRescues>,
}

/// What clients are shown, and the contexts of both legs that go with it.
struct Shown {
    /// DER.
    certificate: Vec<u8>,
    /// The bits of the key.
    public_key: Vec<u8>,
    /// The operator has given the pair.
    given: bool,
    /// When a pair of our own is to be made anew.
    renewal: Option<OffsetDateTime>,
    libraries: Libraries,
}

impl Shown {
    fn new(pair: Pair, rules: &BridgeRules, trust: &Trust, keys: bool) -> Result<Shown, String> {
        let Pair { chain, key, public_key, given } = pair;
        let certificate = chain.first().map(|leaf| leaf.to_vec()).unwrap_or_default();
        let renewal = if given { None } else { certificate::renewal(&certificate) };
        let libraries = Libraries::new(rules, trust, chain, key, keys)?;
        Ok(Shown { certificate, public_key, given, renewal, libraries })
    }
}

impl Bridge {
    /// The bridge to `upstream`, unless it is off there. Reads keys and certificates, or makes them. `keys`: secrets of its
    /// legs may be kept.
    ///
    /// # Errors
    /// Which file is wrong, and why.
    pub(crate) fn new(
        bridge: &config::Bridge,
        upstream: &Upstream,
        state: Option<&Path>,
        keys: bool,
    ) -> Result<Option<Arc<Bridge>>, String> {
        let rules = bridge.rules(upstream).clone();
        if rules.mode == BridgeMode::Off {
            return Ok(None);
        }
        let trust = Trust::of(&rules)?;
        let pair = match &rules.pair {
            Some(files) => Pair::load(files)?,
            None => Pair::own(upstream, state, OffsetDateTime::now_utc())?,
        };
        let name = ServerName::try_from(upstream.host.clone())
            .map_err(|_| format!("`{}` is no name that a certificate can have", upstream.host))?;
        let shown = RwLock::new(Arc::new(Shown::new(pair, &rules, &trust, keys)?));
        warn_of_weakness(&rules, upstream);
        Ok(Some(Arc::new(Bridge {
            rules,
            trust,
            keys,
            upstream: upstream.clone(),
            state: state.map(Path::to_owned),
            name,
            shown,
            renewing: AtomicBool::new(false),
            failed: Mutex::default(),
        })))
    }

    fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What this session's client is shown. A pair of our own that nears its end is made anew meanwhile, for those who
    /// come after; one that has ended is not shown any more.
    async fn shown_now(self: &Arc<Bridge>) -> Arc<Shown> {
        let (shown, now) = (self.shown(), OffsetDateTime::now_utc());
        let due = shown.renewal.is_some_and(|renewal| renewal <= now);
        if !due || self.renewing.swap(true, Ordering::Relaxed) {
            return shown;
        }
        let bridge = Arc::clone(self);
        // Making a key takes a tenth of a second.
        let renewed = tokio::task::spawn_blocking(move || bridge.renew(now));
        if certificate::has_ended(&shown.certificate, now) {
            _ = renewed.await;
        }
        self.shown()
    }

    fn renew(&self, now: OffsetDateTime) {
        let made = Pair::own(&self.upstream, self.state.as_deref(), now);
        match made.and_then(|pair| Shown::new(pair, &self.rules, &self.trust, self.keys)) {
            Ok(shown) => {
                tracing::info!("the bridge's certificate for {} was about to expire and was made anew", self.upstream);
                *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(shown);
                self.renewing.store(false, Ordering::Relaxed);
            }
            // Not with every session again.
            Err(why) => tracing::error!("the bridge's certificate was not renewed, reload to try again: {why}"),
        }
    }

    /// Serves a session whose host has just been connected, to its end.
    pub(crate) async fn serve(self: &Arc<Bridge>, relay: &mut Relay, witness: &mut Witness, stop: &mut Stop) -> Ending {
        let shown = self.shown_now().await;
        let opening = opening::Opening::new(self, shown, relay, witness, stop);
        match opening.run().await {
            Ok(opening::Opened::Passed) => relay.run(witness, stop).await,
            Ok(opening::Opened::Bridged(legs)) => carry::carry(relay, *legs, witness, stop).await,
            Err(ending) => ending,
        }
    }

    fn failed_before(&self, host: SocketAddr, hello: &ClientHelloFacts) -> Option<BridgeOutcome> {
        self.failed().remembers(host, hello, Instant::now())
    }

    fn note_failure(&self, host: SocketAddr, hello: &ClientHelloFacts, how: BridgeOutcome) {
        self.failed().note(host, hello, how, Instant::now());
    }

    fn failed(&self) -> MutexGuard<'_, FailedRescues> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bridge").field("mode", &self.rules.mode).finish_non_exhaustive()
    }
}

/// What is allowed below today's standard is said at each start.
fn warn_of_weakness(rules: &BridgeRules, upstream: &Upstream) {
    let below = |window: &[TlsVersion]| window.iter().min().copied().filter(|least| *least < TlsVersion::TLS12);
    for (leg, window) in [("its clients", &rules.client_versions), ("the host", &rules.host_versions)] {
        if let Some(least) = below(window) {
            tracing::warn!(
                "the bridge to {upstream} may speak {least} with {leg}: keep that way on a network you trust"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Verify;
    use std::sync::atomic::AtomicU32;

    #[tokio::test]
    async fn a_certificate_of_our_own_is_renewed_while_the_bridge_serves() {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let state = std::env::temp_dir().join(format!("rdpscope-renewal-{}-{number}", std::process::id()));
        let upstream = Upstream { host: "rds07.example.net".to_owned(), port: 3389 };
        let rules = BridgeRules { mode: BridgeMode::Auto, verify: Verify::Insecure, ..BridgeRules::default() };
        let config = config::Bridge { common: rules, hosts: Vec::new() };
        let bridge = Bridge::new(&config, &upstream, Some(&state), false).expect("a bridge").expect("not off");
        let first = bridge.shown_now().await;
        let renewal = first.renewal.expect("it is our own");
        assert!(renewal > OffsetDateTime::now_utc());
        assert!(Arc::ptr_eq(&bridge.shown_now().await, &first), "good for a while yet");
        bridge.renew(renewal);
        let second = bridge.shown_now().await;
        assert!(second.certificate != first.certificate && second.renewal > first.renewal);
        let kept = pem::certificates(&state.join("bridge/rds07.example.net_3389.pem")).expect("kept");
        assert_eq!(kept[0].as_ref(), second.certificate, "across restarts too");
        std::fs::remove_dir_all(state).expect("removed");
    }
}
