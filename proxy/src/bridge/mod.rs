//! TLS terminated on both legs, for a client and a host that cannot meet by themselves.
//!
//! ```text
//! opening ─► does this pair need it? (need) ─► host leg: TLS, verified ─► client leg: TLS ─► carry
//!    │            │ no, or it may not be             │ failed
//!    └────────────┴──► passthrough, untouched ◄──────┘ (a rescue: what the host had said; else an alert)
//! ```
//!
//! `tls` is one leg as everything here sees it; `modern` does it with rustls, `legacy` with OpenSSL in a build that has
//! it. `trust` says whom the host leg may take for the host, `certificate` what the client leg shows, `memory` which
//! rescues have failed lately.

mod carry;
mod certificate;
#[cfg(feature = "legacy-tls")]
#[allow(dead_code, reason = "sessions do not use it yet")]
mod legacy;
mod memory;
mod modern;
mod need;
mod opening;
mod pem;
#[cfg(feature = "legacy-tls")]
#[allow(dead_code, reason = "sessions do not use it yet")]
mod pkcs12;
mod tls;
mod trust;

use crate::listen::{Plan, Shared};
use crate::relay::{Ending, Relay, Stop, Witness};
use certificate::Pair;
use config::{BridgeMode, BridgeRules, Upstream};
use memory::FailedRescues;
use parser::session::ClientHelloFacts;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;
use tls::{Failure, Tls};
use trust::Trust;

/// The bridge of one listener, shared by its sessions: so that TLS sessions can be resumed.
pub(crate) struct Bridge {
    rules: BridgeRules,
    trust: Trust,
    /// What the host is asked for by SNI, and by which its certificate must be valid.
    name: ServerName<'static>,
    /// Of the client leg's certificate: DER.
    certificate: Vec<u8>,
    /// Of the client leg's key: the bits.
    public_key: Vec<u8>,
    /// The operator has given the pair.
    given: bool,
    server: Arc<ServerConfig>,
    /// By whether a post-quantum share is sent, and whether sessions are resumed.
    clients: [[OnceLock<Arc<ClientConfig>>; 2]; 2],
    failed: Mutex<FailedRescues>,
}

impl Bridge {
    /// The bridge to `upstream`, unless it is off there. Reads keys and certificates, or makes them.
    ///
    /// # Errors
    /// Which file is wrong, and why.
    pub(crate) fn new(
        bridge: &config::Bridge,
        upstream: &Upstream,
        state: Option<&Path>,
    ) -> Result<Option<Arc<Bridge>>, String> {
        let rules = bridge.rules(upstream).clone();
        if rules.mode == BridgeMode::Off {
            return Ok(None);
        }
        let trust = Trust::of(&rules)?;
        let pair = match &rules.pair {
            Some(files) => Pair::load(files)?,
            None => Pair::own(upstream, state)?,
        };
        let Pair { chain, key, public_key, given } = pair;
        let certificate = chain.first().map(|leaf| leaf.to_vec()).unwrap_or_default();
        let server = modern::server(&rules, chain, key).map_err(|error| error.to_string())?;
        let name = ServerName::try_from(upstream.host.clone())
            .map_err(|_| format!("`{}` is no name that a certificate can have", upstream.host))?;
        // Built now too: what is wrong with it stops the start, and not the first session.
        let client = modern::client(&rules, &trust, false, true).map_err(|error| error.to_string())?;
        let clients: [[OnceLock<_>; 2]; 2] = Default::default();
        let _ = clients[0][1].set(client);
        Ok(Some(Arc::new(Bridge {
            rules,
            trust,
            name,
            certificate,
            public_key,
            given,
            server,
            clients,
            failed: Mutex::default(),
        })))
    }

    /// Serves a session whose host has just been connected, to its end.
    pub(crate) async fn serve(
        &self,
        relay: &mut Relay,
        witness: &mut Witness,
        plan: &Plan,
        shared: &Shared,
        stop: &mut Stop,
    ) -> Ending {
        let opening = opening::Opening::new(self, relay, witness, plan, shared, stop);
        match opening.run().await {
            Ok(opening::Opened::Passed) => relay.run(witness, stop).await,
            Ok(opening::Opened::Bridged(legs)) => carry::carry(relay, *legs, witness, stop).await,
            Err(ending) => ending,
        }
    }

    fn accept(&self) -> Result<Box<dyn Tls>, Failure> {
        modern::accept(&self.server)
    }

    /// `nla`: what follows TLS binds the key that the host has now, so no older session may be taken up.
    fn connect(&self, post_quantum: bool, nla: bool) -> Result<Box<dyn Tls>, Failure> {
        let kept = &self.clients[usize::from(post_quantum)][usize::from(!nla)];
        let config = match kept.get() {
            Some(config) => Arc::clone(config),
            None => {
                let made = modern::client(&self.rules, &self.trust, post_quantum, !nla)
                    .map_err(|error| Failure::Protocol(error.to_string()))?;
                Arc::clone(kept.get_or_init(|| made))
            }
        };
        modern::connect(&config, self.name.clone())
    }

    fn failed_before(&self, host: SocketAddr, hello: &ClientHelloFacts) -> bool {
        self.failed().remembers(host, hello, Instant::now())
    }

    fn note_failure(&self, host: SocketAddr, hello: &ClientHelloFacts) {
        self.failed().note(host, hello, Instant::now());
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
