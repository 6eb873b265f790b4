//! Every client with every host it can talk to: `ok`, with what was negotiated, and nothing else.

use crate::client::{Client, rdesktop, tls};
use crate::expect::{Expect, ok};
use crate::host::{Host, Layer, Xrdp};
use crate::pair::Pair;

/// Suites as OpenSSL and GnuTLS choose them among themselves.
const TLS13: &str = "TLS_AES_256_GCM_SHA384";
const ECDHE_GCM: &str = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";
const ECDHE_CBC: &str = "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA";

/// xfreerdp with its own idea of what to ask for.
fn xfreerdp(options: &[&'static str]) -> Client {
    Client::Xfreerdp([&["+auth-only"], options].concat())
}

/// A session that exchanged what a session exchanges: at least capabilities and a first screen's worth.
fn session(requested: &[&str], selected: &str) -> Expect {
    ok().negotiated(requested, selected).at_least("source.bytes", 1000).at_least("destination.bytes", 1000)
}

fn over_tls(version: &str, cipher: &str) -> Expect {
    session(&["ssl"], "ssl").tls(version, cipher).established()
}

/// rdesktop always asks for TLS and NLA.
fn rdesktop_over_tls(version: &str, cipher: &str) -> Expect {
    session(&["ssl", "hybrid"], "ssl").tls(version, cipher).established()
}

pub(crate) fn pairs() -> Vec<Pair> {
    let xrdp = Host::Xrdp;
    let v = |protocols| xrdp(Xrdp::tls().protocols(protocols));
    let legacy = |protocols| xrdp(Xrdp::legacy(protocols));
    let cbc = || xrdp(Xrdp::tls().protocols("TLSv1.2").ciphers("AES128-SHA:@SECLEVEL=0"));
    const CBC: &str = "TLS_RSA_WITH_AES_128_CBC_SHA";
    vec![
        Pair::new("ok-xrdp-tls", xrdp(Xrdp::tls()), tls(&[]), 0)
            .session(over_tls("1.3", TLS13).offered(&["1.3", "1.2", "1.1", "1.0"])),
        Pair::new("ok-xrdp-negotiate-default-client", xrdp(Xrdp::tls().layer(Layer::Negotiate)), xfreerdp(&[]), 0)
            .session(session(&["ssl", "hybrid"], "ssl").tls("1.3", TLS13)),
        Pair::new("ok-shadow-nla", Host::Shadow("nla"), xfreerdp(&["/sec:nla"]), 0)
            .session(session(&["ssl", "hybrid"], "hybrid").tls("1.3", TLS13)),
        Pair::new("ok-shadow-nla-default-client", Host::Shadow("nla"), xfreerdp(&[]), 0)
            .session(session(&["ssl", "hybrid"], "hybrid").tls("1.3", TLS13)),
        Pair::new("ok-shadow-nla-tls12", Host::Shadow("nla"), xfreerdp(&["/sec:nla", "+enforce-tlsv1_2"]), 0)
            .session(session(&["ssl", "hybrid"], "hybrid").tls("1.2", ECDHE_GCM)),
        Pair::new("ok-shadow-tls", Host::Shadow("tls"), tls(&[]), 0).session(over_tls("1.3", TLS13)),
        Pair::new("ok-shadow-rdp", Host::Shadow("rdp"), xfreerdp(&["/sec:rdp"]), 0)
            .session(ok().without("tls.version")),
        Pair::new("ok-xrdp-rdp-none", xrdp(Xrdp::rdp("none")), xfreerdp(&["/sec:rdp"]), 0)
            .session(ok().without("tls.version").is("tls.established", serde_json::Value::Null)),
        Pair::new("ok-xrdp-rdp-fips", xrdp(Xrdp::rdp("fips")), xfreerdp(&["/sec:rdp"]), 0)
            .session(ok().without("tls.version")),
        Pair::until_active("ok-xrdp-rdp-rc4-rdesktop", xrdp(Xrdp::rdp("high")), rdesktop(&[]))
            .session(session(&["ssl", "hybrid"], "rdp").without("tls.version")),
        Pair::new("tls-s13-cdef", v("TLSv1.3"), tls(&[]), 0).session(over_tls("1.3", TLS13)),
        Pair::new("tls-s12-cdef", v("TLSv1.2"), tls(&[]), 0).session(over_tls("1.2", ECDHE_GCM)),
        Pair::new("tls-s12-c12", v("TLSv1.2"), tls(&["+enforce-tlsv1_2"]), 0)
            .session(over_tls("1.2", ECDHE_GCM).offered(&["1.2"])),
        Pair::new("tls-s12cbc-cdef", cbc(), tls(&[]), 0).session(over_tls("1.2", CBC)),
        Pair::new("tls-s12cbc-c12", cbc(), tls(&["+enforce-tlsv1_2"]), 0).session(over_tls("1.2", CBC)),
        Pair::new("tls-s11-csec0", legacy("TLSv1.1"), tls(&["/tls-seclevel:0"]), 0).session(over_tls("1.1", ECDHE_CBC)),
        Pair::new("tls-s10-csec0", legacy("TLSv1"), tls(&["/tls-seclevel:0"]), 0).session(over_tls("1.0", ECDHE_CBC)),
        Pair::until_active("tls-s10-rdesktop1.0", legacy("TLSv1"), rdesktop(&["-V", "1.0"]))
            .session(rdesktop_over_tls("1.0", ECDHE_CBC)),
        Pair::until_active("tls-s10-rdesktopdef", legacy("TLSv1"), rdesktop(&[]))
            .session(rdesktop_over_tls("1.0", ECDHE_CBC)),
        Pair::until_active("tls-s12-rdesktop1.2", v("TLSv1.2"), rdesktop(&["-V", "1.2"]))
            .session(rdesktop_over_tls("1.2", ECDHE_GCM)),
        Pair::until_active("tls-s12-rdesktopdef", v("TLSv1.2"), rdesktop(&[]))
            .session(rdesktop_over_tls("1.2", ECDHE_GCM)),
        Pair::until_active("tls-s12cbc-rdesktop1.2", cbc(), rdesktop(&["-V", "1.2"]))
            .session(rdesktop_over_tls("1.2", CBC)),
        Pair::until_active("tls-s13-rdesktopdef", v("TLSv1.3"), rdesktop(&[])).session(rdesktop_over_tls("1.3", TLS13)),
        Pair::until_active("ok-xrdp-xfreerdp-login-box", xrdp(Xrdp::tls()), Client::Xfreerdp(vec!["/sec:tls"]))
            .session(over_tls("1.3", TLS13)),
    ]
}
