//! The cryptography behind rustls, chosen in one place.

use rustls::crypto::CryptoProvider;
use std::sync::{Arc, LazyLock};

/// The provider that every rustls configuration of this program is built with.
///
/// aws-lc-rs: rustls' own default, kept up, with post-quantum groups. Another provider is a change of this line and of
/// the features in the root `Cargo.toml`.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}
