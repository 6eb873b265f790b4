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

use crate::listen::{Plan, Shared};
use crate::relay::{Ending, Relay, Stop, Witness};
use certificate::Pair;
use config::{BridgeMode, BridgeRules, Upstream};
use libraries::{Libraries, Library};
use memory::FailedRescues;
use parser::session::ClientHelloFacts;
use parser::wire::TlsVersion;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    libraries: Libraries,
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
        let name = ServerName::try_from(upstream.host.clone())
            .map_err(|_| format!("`{}` is no name that a certificate can have", upstream.host))?;
        let libraries = Libraries::new(&rules, &trust, chain, key)?;
        warn_of_weakness(&rules, upstream);
        Ok(Some(Arc::new(Bridge {
            rules,
            trust,
            name,
            certificate,
            public_key,
            given,
            libraries,
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

    /// A leg towards the host. `nla`: CredSSP follows.
    fn connect(&self, library: Library, post_quantum: bool, nla: bool) -> Result<Box<dyn Tls>, Failure> {
        self.libraries.connect(library, &self.rules, &self.trust, &self.name, (post_quantum, nla))
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
