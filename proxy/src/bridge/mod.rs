//! TLS terminated on both legs, for a client and a host that cannot meet by themselves.
//!
//! `tls` is one leg as everything here sees it; `modern` does it with rustls. `trust` says whom the host leg may take
//! for the host.

#[allow(dead_code, reason = "sessions do not use it yet")]
mod modern;
#[allow(dead_code, reason = "sessions do not use it yet")]
mod pem;
#[allow(dead_code, reason = "sessions do not use it yet")]
mod tls;
#[allow(dead_code, reason = "sessions do not use it yet")]
mod trust;
