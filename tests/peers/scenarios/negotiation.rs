//! Protocols that do not meet, by real hosts and, for codes that no real host here sends, by a scripted one. And
//! passwords, which NLA checks before there is a session.

use crate::client::{Client, rdesktop, tls};
use crate::expect::{Expect, failed};
use crate::host::{Front, Host, Xrdp};
use crate::pair::Pair;
use serde_json::json;

const ANY_OF_THEM: &str = "client|host|both";

fn sec(options: &[&'static str]) -> Client {
    Client::Xfreerdp([&["+auth-only"], options].concat())
}

fn refused(cause: &'static str, code: u32) -> Expect {
    failed(cause, ANY_OF_THEM, "x224").proven().refused(code).close("client/fin|host/fin|host/rst")
}

/// The host took less than the client wanted, and the client left.
fn weaker(requested: &[&str]) -> Expect {
    let expect = failed("server_selected_weaker", ANY_OF_THEM, "x224|tls_hello").proven();
    expect.negotiated(requested, "rdp").close("client/fin")
}

/// TLS was in the request, but the client wanted NLA and left without a hello.
fn no_nla() -> Expect {
    failed("client_closed_after_cc|server_selected_weaker", "client|both", "x224|tls_hello")
        .at_most("likely")
        .negotiated(&["ssl", "hybrid"], "ssl")
        .close("client/fin")
        .without("tls.client.supported_versions")
}

/// Password, user and key mismatch are one wire: the host closes behind the third CredSSP record.
fn login_refused() -> Expect {
    failed("nla_auth_refused|nla_pubkey_mismatch", ANY_OF_THEM, "credssp")
        .at_most("likely")
        .negotiated(&["ssl", "hybrid"], "hybrid")
        .close("host/fin|host/rst|client/fin")
        .established()
}

pub(crate) fn pairs() -> Vec<Pair> {
    let mut pairs = real();
    pairs.extend(scripted());
    pairs.extend(passwords());
    pairs
}

fn real() -> Vec<Pair> {
    // The host's disconnect may be seen before the client's first words in the clear.
    const PLAIN_REFUSED: &str =
        "server_closed_in_mcs|neg_ssl_required|mcs_core_mismatch|host_closed_after_cc|unknown_close";
    vec![
        Pair::new("neg-shadow-nla-cli-tls", Host::Shadow("nla"), tls(&[]), 133).session(refused("nla_required", 5)),
        Pair::new("neg-shadow-nla-cli-rdp", Host::Shadow("nla"), sec(&["/sec:rdp"]), 133)
            .session(refused("nla_required", 5)),
        Pair::new("neg-shadow-tls-cli-rdp", Host::Shadow("tls"), sec(&["/sec:rdp"]), 133)
            .session(refused("neg_ssl_required", 1)),
        Pair::new("neg-shadow-rdp-cli-tls", Host::Shadow("rdp"), tls(&[]), 133)
            .session(refused("neg_ssl_not_allowed", 2)),
        Pair::new("neg-shadow-tls-cli-nla", Host::Shadow("tls"), sec(&["/sec:nla"]), 133).session(no_nla()),
        Pair::new("neg-xrdp-tls-cli-nla", Host::Xrdp(Xrdp::tls()), sec(&["/sec:nla"]), 133).session(no_nla()),
        Pair::new("neg-xrdp-rdp-cli-tls", Host::Xrdp(Xrdp::rdp("high")), tls(&[]), 133).session(weaker(&["ssl"])),
        Pair::new("neg-xrdp-tls-cli-rdp", Host::Xrdp(Xrdp::tls()), sec(&["/sec:rdp"]), 147)
            .session(failed(PLAIN_REFUSED, "host|both", "mcs|x224|tls_hello").at_most("likely").without("tls.version")),
        Pair::new("ok-or-rc4-xrdp-rdp-xfreerdp", Host::Xrdp(Xrdp::rdp("high")), sec(&["/sec:rdp"]), 131)
            .session(super::rc4_with_xfreerdp(&[])),
        // rdesktop has no Kerberos ticket, leaves after TLS, and tries again with less than the host takes.
        Pair::new("neg-shadow-nla-rdesktop", Host::Shadow("nla"), rdesktop(&[]), 76)
            .session(
                failed("closed_after_tls_unknown|client_prompt_probe", "client|both", "credssp|tls_finish")
                    .at_most("possible")
                    .negotiated(&["ssl", "hybrid"], "hybrid")
                    .close("client/fin|client/rst|host/fin"),
            )
            .session(refused("nla_required", 5)),
    ]
}

fn scripted() -> Vec<Pair> {
    const CODES: [(u32, &str); 6] = [
        (1, "neg_ssl_required"),
        (2, "neg_ssl_not_allowed"),
        (3, "neg_ssl_cert_missing"),
        (4, "neg_inconsistent"),
        (5, "nla_required"),
        (6, "neg_user_cert_required"),
    ];
    let answer = |code| Host::Front(Front::NegotiationFailure(code));
    let mut pairs: Vec<Pair> = CODES
        .iter()
        .map(|(code, cause)| {
            let side = if *code == 3 { "host" } else { ANY_OF_THEM };
            let expect = failed(cause, side, "x224").proven().refused(*code).close("client/fin");
            Pair::new(format!("neg-front-fail{code}"), answer(*code), tls(&[]), 133).session(expect)
        })
        .collect();
    pairs.push(
        Pair::new("neg-front-fail7", answer(7), tls(&[]), 133)
            .session(failed("neg_failure_other|unknown_close", ANY_OF_THEM, "x224").at_most("possible").refused(7)),
    );
    pairs.push(
        Pair::new("neg-front-select-nla", Host::Front(Front::Select(2)), tls(&[]), 133).session(
            failed(
                "server_selected_weaker|client_closed_after_cc|neg_inconsistent",
                ANY_OF_THEM,
                "x224|tls_hello|credssp",
            )
            .negotiated(&["ssl"], "hybrid")
            .close("client/fin"),
        ),
    );
    pairs
}

fn passwords() -> Vec<Pair> {
    let nla = || Host::Shadow("nla");
    vec![
        Pair::new("nla-wrong-password-once", nla(), sec(&["/sec:nla", "/p:wrong"]), 147).session(login_refused()),
        Pair::new("nla-unknown-user", nla(), sec(&["/sec:nla", "/u:mallory"]), 147).session(login_refused()),
        // Without +auth-only xfreerdp tries a second time: one attempt of two sessions.
        Pair::new("nla-wrong-password", nla(), Client::Xfreerdp(vec!["/sec:nla", "/p:wrong"]), 147)
            .session(login_refused())
            .session(login_refused().is("rdpscope.attempt.number", json!(2))),
    ]
}
