//! The smallest change that a verdict prints is made on a real host, or at a real client: the same client then gets in,
//! and once it is undone the failure is back. And `rdpscope diff`, which says the same of two hosts.

mod client;
mod diff;
#[path = "../probe/host.rs"]
#[allow(dead_code)]
mod host;

use client::{Client, Visit};
use host::{Host, peers_wanted};
use parser::diagnosis::{Cause, Confidence, Verdict, diagnose_with};
use parser::profile::HostProfile;
use rdpscope::probe::ask::{self, Ask};
use std::time::Duration;

/// xrdp as it is configured.
#[derive(Clone, Debug)]
struct Xrdp {
    pair: &'static str,
    protocols: String,
    /// `tls_ciphers=`, where it is set.
    ciphers: Option<String>,
}

impl Xrdp {
    fn start(&self) -> Host {
        let ciphers = self.ciphers.as_ref().map_or_else(String::new, |list| format!("tls_ciphers={list}\n"));
        Host::xrdp((self.pair, self.pair), &format!("ssl_protocols={}\n{ciphers}", self.protocols))
    }

    /// With what `change` says of xrdp.ini, and of the certificate.
    fn changed(&self, change: &str) -> Xrdp {
        let mut changed = self.clone();
        if let Some(protocols) = between(change, "`ssl_protocols=", "`") {
            changed.protocols = protocols.to_owned();
        }
        if let (Some(list), Some(ciphers)) =
            (between(change, "`:", "` at the end of `tls_ciphers=`"), &mut changed.ciphers)
        {
            ciphers.push_str(&format!(":{list}"));
        }
        if change.contains("`certificate=` and `key_file=` with the new pair") {
            changed.pair = if change.contains("an RSA certificate") { "rsa" } else { "ec" };
        }
        changed
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

fn probed(host: &Host, visit: &Visit) -> HostProfile {
    let mut ask = Ask::new(host.address);
    ask.options.max_handshakes = 250;
    ask.within = Duration::from_secs(120);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(ask::probe(&ask, visit.hello.as_ref(), |_| ()))
}

fn judged(host: &Host, visit: &Visit) -> Verdict {
    diagnose_with(&visit.timeline, &probed(host, visit))
}

/// The first change that begins like this.
fn change<'a>(verdict: &'a Verdict, side: &str) -> &'a str {
    let found = verdict.smallest_change.iter().find(|change| change.starts_with(side));
    found.unwrap_or_else(|| panic!("no change of {side} in {verdict:#?}"))
}

/// A host, a client that it does not take, and what that is called.
struct Case {
    pair: &'static str,
    protocols: &'static str,
    ciphers: Option<&'static str>,
    client: Client,
    cause: Cause,
}

fn case(
    pair: &'static str,
    protocols: &'static str,
    ciphers: Option<&'static str>,
    client: Client,
    cause: Cause,
) -> Case {
    Case { pair, protocols, ciphers, client, cause }
}

fn cases() -> Vec<Case> {
    const BOTH: &str = "TLSv1.2, TLSv1.3";
    let to_12 = |cipher| Client { max: "TLSv1.2", cipher, ..Client::current() };
    let (version, cipher, key) = (Cause::TlsNoCommonVersion, Cause::TlsNoCommonCipher, Cause::TlsCertKeyTypeMismatch);
    vec![
        case("rsa", "TLSv1.3", None, to_12(None), version),
        case("rsa", "TLSv1.3", Some("AES128-SHA"), to_12(None), version),
        case("ec", "TLSv1.3", None, to_12(None), version),
        case("rsa", "TLSv1.2", None, Client { min: "TLSv1.3", ..Client::current() }, version),
        case("ec", "TLSv1.2", Some("ECDHE-ECDSA-AES128-SHA"), Client { min: "TLSv1.3", ..Client::current() }, version),
        case("rsa", "TLSv1.2", Some("AES128-SHA"), to_12(Some("ECDHE-RSA-AES256-GCM-SHA384")), cipher),
        case("rsa", "TLSv1.2", Some("ECDHE-RSA-AES256-GCM-SHA384"), to_12(Some("AES128-SHA")), cipher),
        case("rsa", "TLSv1.2", Some("AES256-GCM-SHA384"), to_12(Some("ECDHE-RSA-CHACHA20-POLY1305")), cipher),
        case("rsa", BOTH, Some("DHE-RSA-AES256-SHA"), to_12(Some("ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA")), cipher),
        case("ec", "TLSv1.2", Some("ECDHE-ECDSA-AES256-SHA"), to_12(Some("ECDHE-ECDSA-AES256-GCM-SHA384")), cipher),
        case("ec", "TLSv1.2", None, to_12(Some("ECDHE-RSA-AES256-GCM-SHA384:AES128-SHA")), key),
        case("rsa", BOTH, None, to_12(Some("ECDHE-ECDSA-AES256-GCM-SHA384")), key),
    ]
}

#[test]
fn what_is_said_of_the_host_is_done_and_the_client_gets_in() {
    if !peers_wanted() {
        return;
    }
    let cases = cases();
    assert!(cases.len() >= 10);
    for Case { pair, protocols, ciphers, client, cause } in cases {
        let xrdp = Xrdp { pair, protocols: protocols.to_owned(), ciphers: ciphers.map(str::to_owned) };
        let host = xrdp.start();
        let visit = client.visit(host.address);
        assert!(!visit.established, "{xrdp:?} takes {client:?}");
        let verdict = judged(&host, &visit);
        let named = (verdict.cause, verdict.confidence);
        assert_eq!(named, (cause, Confidence::Proven), "{xrdp:?} {client:?}: {verdict:#?}");
        assert!(verdict.evidence.iter().any(|e| e.starts_with("The client's own hello again: alert")), "{verdict:#?}");
        drop(host);
        let changed = xrdp.changed(change(&verdict, "Host: "));
        let host = changed.start();
        let visit = client.visit(host.address);
        assert!(visit.established, "{changed:?} does not take {client:?}: {}\n{verdict:#?}", visit.words);
        drop(host);
        assert!(!client.visit(xrdp.start().address).established, "undone, {xrdp:?} takes {client:?}");
    }
}

#[test]
fn what_is_said_of_the_client_is_done_and_it_gets_in() {
    if !peers_wanted() {
        return;
    }
    let mut done = 0;
    for Case { pair, protocols, ciphers, client, .. } in cases() {
        let xrdp = Xrdp { pair, protocols: protocols.to_owned(), ciphers: ciphers.map(str::to_owned) };
        let host = xrdp.start();
        let visit = client.visit(host.address);
        let verdict = judged(&host, &visit);
        let changed = client.changed(change(&verdict, "Client: "));
        let again = changed.visit(host.address);
        assert!(again.established, "{xrdp:?} does not take {changed:?}: {}\n{verdict:#?}", again.words);
        assert!(!client.visit(host.address).established, "undone, {xrdp:?} takes {client:?}");
        done += 1;
    }
    assert!(done >= 10, "{done}");
}

#[test]
fn groups_that_do_not_meet_are_proven_and_the_named_group_helps() {
    if !peers_wanted() {
        return;
    }
    let client = Client { groups: Some("X25519"), ..Client::current() };
    let host = Host::openssl("rsa", &["-groups", "P-521"]);
    let visit = client.visit(host.address);
    assert!(!visit.established);
    let verdict = judged(&host, &visit);
    assert_eq!(
        (verdict.cause, verdict.confidence),
        (Cause::TlsNoCommonGroupOrSigalg, Confidence::Proven),
        "{verdict:#?}"
    );
    assert!(change(&verdict, "Host: ").contains("allow the group x25519"), "{verdict:#?}");
    drop(host);
    let changed = Host::openssl("rsa", &["-groups", "P-521:X25519"]);
    assert!(client.visit(changed.address).established);
}

#[test]
fn healthy_pairs_are_cleared_of_every_mismatch() {
    if !peers_wanted() {
        return;
    }
    for (pair, protocols) in [("rsa", "TLSv1.2"), ("ec", "TLSv1.2"), ("rsa", "TLSv1.2, TLSv1.3"), ("ec", "TLSv1.3")] {
        let host = Xrdp { pair, protocols: protocols.to_owned(), ciphers: None }.start();
        let visit = Client::current().visit(host.address);
        assert!(visit.established, "{pair} {protocols}: {}", visit.words);
        // The same connection, had the host's answer been lost to a reset.
        let verdict = judged(&host, &visit.reset_at_hello());
        let mismatches = [
            Cause::TlsNoCommonVersion,
            Cause::TlsNoCommonCipher,
            Cause::TlsNoCommonGroupOrSigalg,
            Cause::TlsCertKeyTypeMismatch,
            Cause::CertPrivateKeyUnusable,
        ];
        assert!(!mismatches.contains(&verdict.cause), "{pair} {protocols}: {verdict:#?}");
        assert!(verdict.alternatives.iter().all(|rival| !mismatches.contains(rival)), "{verdict:#?}");
    }
}

#[test]
fn a_key_that_cannot_be_used_is_no_mismatch() {
    if !peers_wanted() {
        return;
    }
    let host = Host::xrdp(("rsa", "garbage"), "ssl_protocols=TLSv1.2, TLSv1.3");
    let visit = Client::current().visit(host.address);
    assert!(!visit.established);
    let verdict = judged(&host, &visit);
    assert_eq!(
        (verdict.cause, verdict.confidence),
        (Cause::CertPrivateKeyUnusable, Confidence::Likely),
        "{verdict:#?}"
    );
    assert!(verdict.smallest_change.is_empty() && verdict.missing.host.is_empty(), "{verdict:#?}");
}

#[test]
fn a_host_of_tls_10_alone_is_brought_up_to_date_by_what_is_said() {
    if !peers_wanted() {
        return;
    }
    let client = Client::current();
    let host = Host::openssl("rsa", &["-tls1"]);
    let visit = client.visit(host.address);
    assert!(!visit.established);
    let verdict = judged(&host, &visit);
    assert_eq!((verdict.cause, verdict.confidence), (Cause::TlsNoCommonVersion, Confidence::Proven), "{verdict:#?}");
    assert_eq!((&verdict.missing.client, verdict.missing.host.len()), (&vec!["TLS 1.0".to_owned()], 2), "{verdict:#?}");
    let weakening = change(&verdict, "Client: ");
    assert!(weakening.contains("offer TLS 1.0") && weakening.ends_with("for a test only."), "{weakening}");
    drop(host);
    // Two ways: TLS 1.3, and TLS 1.2 for hosts that have no TLS 1.3. Either is enough.
    let changes: Vec<&String> = verdict.smallest_change.iter().filter(|change| change.starts_with("Host: ")).collect();
    assert_eq!(changes.len(), 2, "{verdict:#?}");
    for change in changes {
        let protocols = between(change, "`ssl_protocols=", "`").expect("a line for xrdp.ini");
        let newest = protocols.rsplit(", ").next().expect("a version");
        let changed = Host::openssl("rsa", &["-min_protocol", "TLSv1", "-max_protocol", newest]);
        let again = client.visit(changed.address);
        assert!(again.established, "{protocols}: {}", again.words);
    }
}

#[test]
fn a_host_of_3des_alone_is_proven_and_nobody_is_told_to_offer_3des_but_for_a_test() {
    if !peers_wanted() {
        return;
    }
    let priority = "NONE:+VERS-TLS1.2:+3DES-CBC:+SHA1:+RSA:+COMP-NULL:+SIGN-ALL:+GROUP-ALL";
    let host = Host::gnutls("rsa", priority);
    let visit = Client::current().visit(host.address);
    assert!(!visit.established);
    let verdict = judged(&host, &visit);
    assert_eq!((verdict.cause, verdict.confidence), (Cause::TlsNoCommonCipher, Confidence::Proven), "{verdict:#?}");
    assert_eq!(verdict.missing.client, ["TLS_RSA_WITH_3DES_EDE_CBC_SHA"]);
    assert!(verdict.smallest_change[0].starts_with("Host: allow TLS_ECDHE_RSA_WITH_AES_"), "{verdict:#?}");
    let with_3des = verdict.smallest_change.iter().filter(|change| change.contains("3DES"));
    assert!(
        with_3des.clone().count() == 1 && with_3des.clone().all(|c| c.ends_with("for a test only.")),
        "{verdict:#?}"
    );
}
