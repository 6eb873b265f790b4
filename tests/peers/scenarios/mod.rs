//! What is tried, one file per part of a connection's life.

mod certificate;
mod healthy;
mod negotiation;
mod opening;
mod tls;
mod transport;

use crate::expect::{Expect, failed};
use crate::runner::Case;

/// Every scenario.
pub(crate) fn all() -> Vec<Case> {
    [
        healthy::pairs(),
        tls::pairs(),
        certificate::pairs(),
        negotiation::pairs(),
        transport::pairs(),
        opening::pairs(),
    ]
    .into_iter()
    .flatten()
    .map(crate::pair::Pair::case)
    .collect()
}

/// What runs after them, alone.
pub(crate) fn campaigns() -> Vec<Case> {
    vec![]
}

/// The host takes the hello, says a clear MCS disconnect instead of TLS, and closes: no key it can use, or no suite.
fn hello_dropped() -> Expect {
    failed("tls_server_refused_hello_silently|cert_private_key_unusable", "host", "tls_hello")
        .at_most("possible")
        .close("client/fin|host/fin|host/rst")
        .negotiated(&["ssl"], "ssl")
        .offered(&["1.3", "1.2", "1.1", "1.0"])
        .without("tls.version")
}

/// RC4 between FreeRDP 2.11 and OpenSSL 3 comes out wrong, and xrdp ends the session with "logoff by user".
fn rc4_with_xfreerdp(requested: &'static [&'static str]) -> Expect {
    let expect = failed("any", "any", "any").without("tls.version");
    if requested.is_empty() { expect } else { expect.negotiated(requested, "rdp") }
}
