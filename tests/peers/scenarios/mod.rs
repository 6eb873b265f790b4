//! What is tried, one file per part of a connection's life.

mod attempts;
mod bridge;
mod campaign;
mod certificate;
mod gateway;
mod healthy;
mod legacy;
mod legacy_matrix;
mod negotiation;
mod network;
mod opening;
mod presence;
mod tls;
mod transport;

use crate::expect::{Expect, failed};
use crate::runner::Case;

/// Every scenario. The long ones come first, so that nothing is left waiting for them.
pub(crate) fn all() -> Vec<Case> {
    let pairs = [
        transport::pairs(),
        healthy::pairs(),
        tls::pairs(),
        certificate::pairs(),
        negotiation::pairs(),
        opening::pairs(),
        gateway::pairs(),
        bridge::pairs(),
        legacy::pairs(),
    ];
    let pairs = pairs.into_iter().flatten().map(crate::pair::Pair::case);
    legacy_matrix::cases()
        .into_iter()
        .chain(pairs)
        .chain(legacy::cases())
        .chain(attempts::cases())
        .chain(network::cases())
        .chain(presence::cases())
        .collect()
}

/// What runs after them, alone.
pub(crate) fn campaigns() -> Vec<Case> {
    vec![campaign::case()]
}

/// The host says a clear MCS disconnect in place of TLS, and closes: no key it can use, or no suite. Without a key it
/// may do so before the hello has come.
fn hello_dropped() -> Expect {
    failed("tls_server_refused_hello_silently|cert_private_key_unusable|host_closed_after_cc", "host", "tls_hello")
        .at_most("possible")
        .close("client/fin|host/fin|host/rst")
        .negotiated(&["ssl"], "ssl")
        .offered(&["1.3", "1.2", "1.1", "1.0"])
        .without("tls.version")
}

/// RC4 between FreeRDP 2.11 and OpenSSL 3 comes out wrong, and xrdp ends the session with "logoff by user".
fn rc4_with_xfreerdp(requested: &'static [&'static str]) -> Expect {
    const CAUSES: &str = "license_failure|server_closed_in_mcs|server_denied_0x7|unknown_close";
    let expect = failed(CAUSES, "host", "client_info|licensing|mcs").at_most("possible").without("tls.version");
    let expect = expect.close("host/fin|host/rst");
    if requested.is_empty() { expect } else { expect.negotiated(requested, "rdp") }
}
