//! In front of an RD Gateway: TLS from the first byte, HTTP and a tunnel inside it. A proxy that only passes on sees
//! the handshake, record sizes, and who closes when; it must not pretend to know more.

use super::bridge::always;
use crate::client::Client;
use crate::expect::{Expect, failed};
use crate::host::{Gateway, Host, TlsServer};
use crate::pair::{Bridged, Key, Pair};
use serde_json::json;

/// Codes of a real gateway. [MS-TSGU] 2.2.6
const QUARANTINE_UNSUPPORTED: u32 = 0x8007_59E8;
const RAP_DENIED: u32 = 0x8007_59DA;
const NAP_DENIED: u32 = 0x8007_59DB;
const TARGET_UNREACHABLE: u32 = 0x8007_59DD;
/// The same without the failure bit: xfreerdp does not notice.
const TARGET_UNREACHABLE_SOFT: u32 = 0x59DD;

fn via(options: &[&'static str]) -> Client {
    Client::ViaGateway([&["/sec:tls", "+auth-only"], options].concat())
}

/// Which HTTP or tunnel step refused is inside TLS.
fn refused_inside() -> Expect {
    const CAUSES: &str = "rdg_closed_after_tls|rdg_http_401_loop|rdg_http_403_404_503|rdg_websocket_blocked|\
                          rdg_cap_denied|rdg_rap_denied|rdg_target_unreachable|rdg_max_connections|rdg_timeout";
    gateway_leg(failed(CAUSES, "any", "tls_finish|http|tunnel|channel")).at_most("possible").established()
}

fn gateway_leg(expect: Expect) -> Expect {
    expect.is("network.protocol", json!("rdg")).without("rdp.selected_protocol")
}

fn session() -> Expect {
    gateway_leg(failed("ok", "any", "active|tls_finish|tunnel|channel|http"))
        .is("event.outcome", json!("success"))
        .is("tls.version", json!("1.3"))
        .established()
}

fn bridged(what: &str, value: &str) -> Expect {
    let path = if what == "result" { "rdpscope.bridge.result" } else { "rdpscope.bridge.blocked" };
    failed("ok_bridged|ok", "any", "any").is("event.outcome", json!("success")).is(path, json!(value))
}

fn refusal(name: &str, gateway: Gateway, options: &[&'static str], exit: i32) -> Pair {
    Pair::new(name, Host::Gateway(gateway), via(options), exit).session(refused_inside())
}

pub(crate) fn pairs() -> Vec<Pair> {
    const HTTP: &[&str] = &["/gt:http"];
    const TLS12: &[&str] = &["/gt:http", "+enforce-tlsv1_2"];
    vec![
        Pair::new("gws-ws-ok", Host::Gateway(Gateway::Ok), via(HTTP), 0).session(session()),
        // OUT, then IN: both belong to one session.
        Pair::new("gws-legacy-ok", Host::Gateway(Gateway::Ok), via(&["/gt:http,no-websockets"]), 0)
            .session(session())
            .session(session()),
        // Bridged with the gateway's own pair, which NTLM inside binds; with any other it goes by untouched.
        Pair::new("gws-ws-bridged", Host::Gateway(Gateway::Ok), via(HTTP), 0)
            .bridge(Bridged { key: Key::Lab("rsa"), ..always() })
            .session(bridged("result", "carried")),
        Pair::new("gws-ws-bridge-stands-aside", Host::Gateway(Gateway::Ok), via(HTTP), 0)
            .bridge(Bridged { key: Key::Lab("ec"), ..always() })
            .session(bridged("blocked", "gateway")),
        refusal("gws-ws-deny", Gateway::Deny, HTTP, 155),
        refusal("gws-ws-tunnel-cap", Gateway::Tunnel(QUARANTINE_UNSUPPORTED), HTTP, 131),
        refusal("gws-ws-nap", Gateway::Authorisation(NAP_DENIED), HTTP, 131),
        refusal("gws-ws-chan-rap", Gateway::Channel(RAP_DENIED), HTTP, 131),
        refusal("gws-ws-chan-unreachable", Gateway::Channel(TARGET_UNREACHABLE), HTTP, 131),
        refusal("gws-ws-drop-channel", Gateway::DropChannel, HTTP, 133),
        Pair::running("gws-ws-chan-59dd", Host::Gateway(Gateway::Channel(TARGET_UNREACHABLE_SOFT)), via(HTTP))
            .session(refused_inside()),
        refusal("gw-http-403", Gateway::Status(403), HTTP, 133),
        refusal("gw-http-404", Gateway::Status(404), HTTP, 133),
        refusal("gw-http-503", Gateway::Status(503), HTTP, 133),
        refusal("gw-http-close", Gateway::CloseOnRequest, HTTP, 133),
        refusal("gw-http-nows-401ntlm", Gateway::EmptyChallenge, &["/gt:http,no-websockets"], 133),
        refusal("gw-default-nego", Gateway::NegotiateOnly, &[], 133),
        // The HTTP form, then the two connections of the RPC form.
        Pair::new("gw-auto-404", Host::Gateway(Gateway::Status(404)), via(&["/gt:auto"]), 133)
            .session(refused_inside())
            .session(refused_inside())
            .session(refused_inside()),
        Pair::new("gw-refused", Host::Nobody, via(HTTP), 143)
            .or_never_connected()
            .session(failed("tcp_refused", "host|network", "tcp").proven()),
        Pair::new("gw-tls-version", Host::BareTls(TlsServer::OpenSsl(&["-tls1_3"])), via(TLS12), 143).session(
            failed("rdg_tls_failure|tls_no_common_version", "any", "tls_hello").at_most("likely").alert("host", 70),
        ),
    ]
}
