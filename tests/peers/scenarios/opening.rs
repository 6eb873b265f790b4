//! The first bytes that clients send: every kind of Connection Request of the real ones, and what comes from those
//! that are no RDP clients.

use crate::client::{Client, Mini, Script, Then, rdesktop};
use crate::expect::{Expect, failed};
use crate::host::{Front, Host, Xrdp};
use crate::pair::Pair;
use serde_json::json;

/// The host answers the request and leaves, so that the request is all there is to see.
fn request(name: &str, options: &[&'static str], exit: i32, requested: &[&str]) -> Pair {
    request_with(name, options, exit, requested, Expect::hashed_user)
}

fn request_with(
    name: &str,
    options: &[&'static str],
    exit: i32,
    requested: &[&str],
    more: impl Fn(Expect) -> Expect,
) -> Pair {
    const CAUSES: &str = "host_closed_after_cc|client_closed_after_cc|tls_server_refused_hello_silently|\
                          cert_private_key_unusable|unknown_close|server_selected_weaker|rst_by_middlebox|restricted_admin_denied";
    let expect = failed(CAUSES, "any", "tls_hello|x224").at_most("likely").close("host/fin|host/rst|client/fin");
    let client = Client::Xfreerdp([&["+auth-only"], options].concat());
    Pair::new(name, Host::Front(Front::CloseAfterConfirm), client, exit)
        .session(more(expect.negotiated(requested, "ssl")))
}

fn script(first: &'static [u8], then: Then) -> Client {
    Client::Script(Script { first, then })
}

/// What a front door sees all day: no user, no failure.
fn stranger(causes: &'static str, close: &'static str) -> Expect {
    failed(causes, "any", "any").close(close)
}

pub(crate) fn pairs() -> Vec<Pair> {
    const BOTH: &[&str] = &["ssl", "hybrid"];
    const LONG: &str = "/u:a-user-name-that-is-much-longer-than-nine-characters@corp.example.net";
    let mut pairs = vec![
        request("cr-default", &[], 143, &["ssl", "hybrid"]),
        request("cr-sec-tls", &["/sec:tls"], 143, &["ssl"]),
        request("cr-sec-nla", &["/sec:nla"], 133, &["ssl", "hybrid"]),
        request("cr-sec-ext", &["/sec:ext"], 133, &["ssl", "hybrid", "hybrid_ex"]),
        request("cr-restricted-admin", &["/restricted-admin"], 143, &["ssl", "hybrid"]),
        // The routing token of a load balancer takes the place of the user's name.
        request_with(
            "cr-lbinfo",
            &["/load-balance-info:tsv://MS Terminal Services Plugin.1.Farm"],
            143,
            BOTH,
            |expect| {
                let token = json!("tsv://MS Terminal Services Plugin.1.Farm");
                expect.is("rdp.routing_token", token).without("rdp.cookie")
            },
        ),
        request("cr-longuser", &[LONG], 143, &["ssl", "hybrid"]),
        request("cr-pcb", &["/pcb:11111111-2222-3333-4444-555555555555"], 143, &["ssl", "hybrid"]),
        request("cr-pcid", &["/pcid:7"], 143, &["ssl", "hybrid"]),
    ];
    pairs.push(
        Pair::new("cr-rdesktop", Host::Front(Front::NegotiationFailure(5)), rdesktop(&[]), 76).session(
            failed("nla_required", "any", "x224")
                .proven()
                .refused(5)
                .is("rdp.requested_protocols", json!(["ssl", "hybrid"])),
        ),
    );
    pairs.extend(strangers());
    pairs
}

fn strangers() -> Vec<Pair> {
    const SHORT: &str = "[timeouts]\nnegotiate = \"1s\"\nclient_hello = \"1s\"\nserver_hello = \"1s\"";
    const REQUEST: &[u8] = b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x01\x00\x00\x00";
    // TLS, NLA and Entra ID, as mstsc asks with a web account. [MS-RDPBCGR] 2.2.1.1.1
    const WEB_ACCOUNT: &[u8] = b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x13\x00\x00\x00";
    let xrdp = || Host::Xrdp(Xrdp::tls());
    vec![
        // A check made for web servers, at a real host.
        Pair::new("stranger-tls-first", xrdp(), Client::Mini(Mini::between("TLSv1.2", "TLSv1.3").bare()), 20)
            .session(failed("tls_hello_without_negotiation", "client", "x224").proven().offered(&["1.3", "1.2"])),
        // xrdp 0.9 hangs up on a bit that it does not know.
        Pair::new("cr-web-account", xrdp(), script(WEB_ACCOUNT, Then::Wait), 0).session(
            failed("neg_unknown_protocol_bits", "host", "x224")
                .at_most("likely")
                .is("rdp.requested_protocols", json!(["ssl", "hybrid", "rdsaad"])),
        ),
        Pair::new(
            "stranger-http",
            Host::Front(Front::Hang),
            script(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Then::Close),
            0,
        )
        .session(stranger("not_rdp", "client/fin").is("event.outcome", json!("unknown"))),
        Pair::new("stranger-health-check", Host::Front(Front::Hang), script(b"", Then::Close), 0)
            .session(stranger("client_sent_nothing", "client/fin").is("source.bytes", json!(0))),
        Pair::running("stranger-silent", Host::Front(Front::Hang), script(b"", Then::Wait))
            .behind(1)
            .settings(SHORT)
            .session(stranger("client_sent_nothing", "proxy/timeout").is("source.bytes", json!(0))),
        Pair::new(
            "stranger-leaves-before-answer",
            Host::Front(Front::HangAfterRequest),
            script(REQUEST, Then::Close),
            0,
        )
        .session(stranger("client_closed_before_cc", "client/fin").is("rdp.requested_protocols", json!(["ssl"]))),
        Pair::new("stranger-leaves-after-answer", xrdp(), script(REQUEST, Then::CloseAfterAnswer), 0)
            .session(stranger("client_closed_after_cc", "client/fin").negotiated(&["ssl"], "ssl")),
        Pair::running(
            "stranger-takes-answer-and-waits",
            Host::Front(Front::HangAfterConfirm),
            script(REQUEST, Then::Wait),
        )
        .behind(1)
        .settings(SHORT)
        .session(stranger("client_hello_timeout", "proxy/timeout").negotiated(&["ssl"], "ssl")),
    ]
}
