//! TLS terminated on both legs, for a client and a host that cannot meet by themselves.
//!
//! `tls` is one leg as everything here sees it; `modern` does it with rustls, `legacy` with OpenSSL in a build that has
//! it. `trust` says whom the host leg may take for the host.

#[cfg(feature = "legacy-tls")]
#[allow(dead_code, reason = "sessions do not use it yet")]
mod legacy;
#[allow(dead_code, reason = "sessions do not use it yet")]
mod modern;
#[allow(dead_code, reason = "sessions do not use it yet")]
mod pem;
#[cfg(feature = "legacy-tls")]
#[allow(dead_code, reason = "sessions do not use it yet")]
mod pkcs12;
#[allow(dead_code, reason = "sessions do not use it yet")]
mod tls;
#[allow(dead_code, reason = "sessions do not use it yet")]
mod trust;
