//! Pairs whose TLS cannot meet, bridged; and pairs that can, untouched.

use crate::client::{Client, Mini, rdesktop, tls};
use crate::expect::{Expect, failed, ok};
use crate::host::{Host, Xrdp};
use crate::pair::{Bridged, Key, Pair, Trust};
use serde_json::json;

const TLS12: &[&str] = &["+enforce-tlsv1_2"];
const GCM_ONLY: &str = "/tls-ciphers:ECDHE-RSA-AES256-GCM-SHA384";
const TLS13: &str = "TLS_AES_256_GCM_SHA384";

fn v(protocols: &'static str) -> Host {
    Host::Xrdp(Xrdp::tls().protocols(protocols))
}

/// FreeRDP's server narrowed to TLS 1.3 by OpenSSL's own configuration.
fn shadow13() -> Host {
    Host::Shadow13("nla")
}

fn xfreerdp(options: &[&'static str]) -> Client {
    Client::Xfreerdp([&["+auth-only"], options].concat())
}

pub(super) fn auto() -> Bridged {
    Bridged { mode: "auto", trust: Trust::Pin, key: Key::None, host: "" }
}

pub(super) fn always() -> Bridged {
    Bridged { mode: "always", ..auto() }
}

/// A healthy session over both legs.
fn carried(mode: &str, client: &str, host: &str) -> Expect {
    let expect = failed("ok_bridged", "any", "active").is("event.outcome", json!("success"));
    expect
        .at_least("source.bytes", 1000)
        .at_least("destination.bytes", 1000)
        .is("rdpscope.bridge.mode", json!(mode))
        .is("rdpscope.bridge.result", json!("carried"))
        .is("rdpscope.bridge.client_version", json!(client))
        .is("rdpscope.bridge.host_version", json!(host))
        .is("tls.version", json!(client))
        .without("rdpscope.bridge.weak")
}

fn rescued(client: &str, host: &str) -> Expect {
    carried("auto", client, host).is("rdpscope.bridge.rescued", json!(true))
}

/// The bridge was needed and was not to be had.
fn refused(cause: &'static str, result: &str) -> Expect {
    failed(cause, "any", "tls_hello").proven().is("rdpscope.bridge.result", json!(result)).without("tls.version")
}

pub(crate) fn pairs() -> Vec<Pair> {
    let needs_legacy = if cfg!(feature = "legacy-tls") { Vec::new() } else { needs_legacy() };
    [meets(), untouched(), nla(), not_possible(), needs_legacy].concat()
}

fn meets() -> Vec<Pair> {
    vec![
        Pair::new("bridge-rescue-s13-c12", v("TLSv1.3"), tls(TLS12), 143)
            .bridge(auto())
            .behind(0)
            .session(rescued("1.2", "1.3").is("rdpscope.bridge.host_cipher", json!(TLS13))),
        Pair::new("bridge-always-s13-c12", v("TLSv1.3"), tls(TLS12), 143)
            .bridge(always())
            .behind(0)
            .session(carried("always", "1.2", "1.3").is("rdpscope.bridge.rescued", json!(false))),
        Pair::new("bridge-always-s12-cdef", v("TLSv1.2"), tls(&[]), 0)
            .bridge(always())
            .session(carried("always", "1.3", "1.2")),
        Pair::new("bridge-always-own-pair", v("TLSv1.2, TLSv1.3"), tls(&[]), 0)
            .bridge(Bridged { key: Key::Lab("rsa"), ..always() })
            .session(carried("always", "1.3", "1.3")),
        Pair::new("bridge-always-ec-pair-insecure", v("TLSv1.3"), tls(TLS12), 143)
            .bridge(Bridged { key: Key::Lab("ec"), trust: Trust::Insecure, ..always() })
            .behind(0)
            .session(carried("always", "1.2", "1.3")),
        Pair::until_active("bridge-always-rdesktop", v("TLSv1.3"), rdesktop(&[]))
            .bridge(always())
            .session(carried("always", "1.3", "1.3")),
        Pair::rescued_until_active("bridge-rescue-rdesktop1.2", v("TLSv1.3"), rdesktop(&["-V", "1.2"]), 76)
            .bridge(auto())
            .session(rescued("1.2", "1.3")),
    ]
}

/// What works by itself goes by as if there were no bridge.
fn untouched() -> Vec<Pair> {
    let same = |expect: Expect| expect.without("rdpscope.bridge");
    vec![
        Pair::new("bridge-auto-untouched-13", v("TLSv1.3"), tls(&[]), 0)
            .bridge(auto())
            .session(same(ok().tls("1.3", TLS13))),
        Pair::new("bridge-auto-untouched-12", v("TLSv1.2"), Client::Mini(Mini::only("TLSv1.2")), 0)
            .bridge(auto())
            .session(same(failed("closed_after_tls_unknown|client_prompt_probe", "any", "any").at_most("possible"))),
        Pair::new("bridge-auto-untouched-nla", Host::Shadow("nla"), xfreerdp(&["/sec:nla"]), 0)
            .bridge(auto())
            .session(same(ok().tls("1.3", TLS13))),
        Pair::new("bridge-always-plain-rdp", Host::Shadow("rdp"), xfreerdp(&["/sec:rdp"]), 0)
            .bridge(always())
            .session(same(ok().without("tls.version"))),
    ]
}

fn nla() -> Vec<Pair> {
    let key = |bridged: Bridged| Bridged { key: Key::Shadow, trust: Trust::Insecure, ..bridged };
    let client = |options: &[&'static str]| xfreerdp(&[&["/sec:nla"], options].concat());
    let wrong = || Client::Xfreerdp(vec!["+auth-only", "/sec:nla", "/p:wrong", "/cert:ignore"]);
    vec![
        Pair::new("bridge-nla-always-host-key", Host::Shadow("nla"), client(&[]), 0)
            .bridge(key(always()))
            .session(carried("always", "1.3", "1.3")),
        Pair::new("bridge-nla-rescue-host-key", shadow13(), client(TLS12), 143)
            .bridge(key(auto()))
            .behind(0)
            .session(rescued("1.2", "1.3")),
        Pair::new("bridge-nla-always-other-key", Host::Shadow("nla"), client(&[]), 0)
            .bridge(Bridged { key: Key::Lab("rsa"), trust: Trust::Insecure, ..always() })
            .session(ok().tls("1.3", TLS13).is("rdpscope.bridge.blocked", json!("nla"))),
        Pair::new("bridge-nla-rescue-other-key", shadow13(), client(TLS12), 143)
            .bridge(Bridged { key: Key::Lab("rsa"), trust: Trust::Insecure, ..auto() })
            .session(refused("bridge_blocked_by_nla", "blocked").alert("host", 70)),
        Pair::new("bridge-nla-rescue-no-key", shadow13(), client(TLS12), 143)
            .bridge(Bridged { trust: Trust::Insecure, ..auto() })
            .session(refused("bridge_blocked_by_nla", "blocked").alert("host", 70)),
        Pair::new("bridge-nla-wrong-password", Host::Shadow("nla"), wrong(), 147)
            .bridge(key(always()))
            .session(failed("nla_auth_refused", "host|both", "credssp").is("rdpscope.bridge.result", json!("carried"))),
    ]
}

fn not_possible() -> Vec<Pair> {
    vec![
        Pair::new("bridge-host-untrusted", v("TLSv1.3"), tls(TLS12), 143)
            .bridge(Bridged { trust: Trust::OtherPin, ..auto() })
            .session(refused("bridge_host_untrusted", "host_untrusted").alert("host", 70)),
        Pair::new("bridge-always-host-untrusted", v("TLSv1.3"), tls(&[]), 0)
            .bridge(Bridged { trust: Trust::OtherPin, ..always() })
            .behind(143)
            .session(refused("bridge_host_untrusted", "host_untrusted").alert("host", 42)),
    ]
}

/// A host of before TLS 1.2.
fn legacy() -> Host {
    Host::Xrdp(Xrdp::legacy("TLSv1"))
}

/// In a build without the legacy leg.
fn needs_legacy() -> Vec<Pair> {
    let from12 = Client::XfreerdpWith("from12.cnf", vec!["+auth-only", "/sec:tls"]);
    let needs = |result| refused("bridge_needs_legacy_build", result);
    vec![
        Pair::new("bridge-client-needs-legacy", v("TLSv1.3"), Client::Mini(Mini::only("TLSv1")), 20)
            .bridge(auto())
            .session(needs("blocked").alert("host", 70)),
        Pair::new("bridge-host-needs-legacy", legacy(), from12, 143)
            .bridge(auto())
            .session(needs("host_leg_failed").alert("host", 70)),
        Pair::new("bridge-always-host-needs-legacy", legacy(), tls(&[]), 143)
            .bridge(always())
            .session(needs("host_leg_failed").alert("host", 70)),
        Pair::new(
            "bridge-host-needs-cbc",
            Host::Xrdp(Xrdp::tls().protocols("TLSv1.2").ciphers("AES128-SHA")),
            tls(&[GCM_ONLY, "+enforce-tlsv1_2"]),
            143,
        )
        .bridge(auto())
        .session(
            failed("bridge_needs_legacy_build", "any", "tls_hello")
                .is("rdpscope.bridge.result", json!("host_leg_failed"))
                .alert("host", 40),
        ),
    ]
}
