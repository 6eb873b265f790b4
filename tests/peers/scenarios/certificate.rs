//! Certificates and keys: what a host cannot use, what a client does not want, and what is a fact but no fault.

use crate::client::{Client, Mini, tls};
use crate::expect::{Expect, failed, ok};
use crate::host::{Host, Layer, Xrdp};
use crate::pair::Pair;
use serde_json::json;

fn xrdp(certificate: &'static str, key: &'static str) -> Xrdp {
    Xrdp::tls().pair(certificate, key)
}

/// TLS stood, then the client left without one RDP byte: it refused the certificate, or somebody closed the prompt.
fn left_at_the_certificate() -> Expect {
    const CAUSES: &str =
        "closed_after_tls_unknown|client_prompt_probe|cert_untrusted_ca|cert_name_mismatch|cert_expired";
    // The host's close is a reaction to the client's close_notify, but may be the first that is seen.
    let expect = failed(CAUSES, "client|both", "tls_finish|mcs|credssp").at_most("possible").established();
    expect.close("client/fin|host/fin")
}

fn no_key() -> Expect {
    failed("neg_ssl_cert_missing", "host", "x224").proven().refused(3).close("client/fin|host/fin|host/rst")
}

/// OpenSSL looks at the certificate and says with this alert what it does not like.
fn objected(cause: &'static str, side: &'static str, alert: u8) -> Expect {
    // The host's close is a reaction to the alert, but may be the first that is seen.
    failed(cause, side, "tls_finish").alert("client", alert).close("client/fin|client/rst|host/fin|host/rst")
}

pub(crate) fn pairs() -> Vec<Pair> {
    [at_hosts(), verified()].concat()
}

/// Clients that say why they refuse a certificate: alerts 42, 43, 45 and 48. RFC 8446 6.2
fn verified() -> Vec<Pair> {
    const NAME: &[&str] = &["-servername", "other.lab.test", "-verify_hostname", "other.lab.test"];
    let mini = || Mini::only("TLSv1.2");
    let pair = |name: &str, host: Xrdp, client: Mini, expect: Expect| {
        Pair::new(name, Host::Xrdp(host.protocols("TLSv1.2")), Client::Mini(client), 20).session(expect)
    };
    vec![
        pair(
            "certa-expired",
            xrdp("expired.crt", "rsa.key"),
            mini().verifying("expired.crt", &[]),
            objected("cert_expired", "host", 45).proven(),
        ),
        // OpenSSL says "bad certificate" of one whose time has not come.
        pair(
            "certa-future",
            xrdp("future.crt", "rsa.key"),
            mini().verifying("future.crt", &[]),
            objected("cert_not_yet_valid", "host|both", 42).at_most("likely"),
        ),
        pair(
            "certa-wrong-use",
            xrdp("clientonly.crt", "clientonly.key"),
            mini().verifying("clientonly.crt", &["-purpose", "sslserver"]),
            objected("cert_wrong_eku", "host", 43).at_most("likely"),
        ),
        pair(
            "certa-other-name",
            xrdp("rsa.crt", "rsa.key"),
            mini().verifying("rsa.crt", NAME),
            objected("cert_name_mismatch", "any", 42).at_most("possible"),
        ),
        pair(
            "certa-weak",
            sec0(xrdp("rsa1024.crt", "rsa1024.key")),
            mini().verifying("rsa1024.crt", &["-cipher", "ALL:@SECLEVEL=2"]),
            objected("cert_weak", "host", 42).at_most("likely"),
        ),
        pair(
            "certa-unknown-ca",
            xrdp("rsa.crt", "rsa.key"),
            mini().verifying("ec.crt", &[]),
            objected("cert_untrusted_ca", "any", 48).at_most("likely"),
        ),
        // Its certificate is sealed, and the alert is not: OpenSSL refuses before it has keys of its own in use.
        Pair::new(
            "certa-unknown-ca-13",
            Host::Xrdp(Xrdp::tls()),
            Client::Mini(Mini::only("TLSv1.3").verifying("ec.crt", &[])),
            20,
        )
        .session(objected("cert_untrusted_ca", "any", 48).at_most("likely").is("tls.version", json!("1.3"))),
    ]
}

fn at_hosts() -> Vec<Pair> {
    let host = Host::Xrdp;
    let missing_both = || xrdp("missing.crt", "missing.key").layer(Layer::Negotiate);
    vec![
        Pair::new("cert-expired-ignore", host(xrdp("expired.crt", "rsa.key")), tls(&[]), 0)
            .session(ok().is("tls.version", json!("1.3"))),
        Pair::new("cert-expired-tls12", host(xrdp("expired.crt", "rsa.key").protocols("TLSv1.2")), tls(&[]), 0)
            .session(ok().is("tls.version", json!("1.2")).is("tls.server.not_after", json!("2020-07-01T00:00:00Z"))),
        Pair::new("certv-expired-deny", host(xrdp("expired.crt", "rsa.key")), tls(&["/cert:deny"]), 143)
            .session(left_at_the_certificate()),
        Pair::new(
            "certv-expired-deny-tls12",
            host(xrdp("expired.crt", "rsa.key").protocols("TLSv1.2")),
            tls(&["/cert:deny"]),
            143,
        )
        .session(
            failed("cert_expired", "client", "tls_finish|mcs|credssp")
                .at_most("possible")
                .established()
                .close("client/fin|host/fin"),
        ),
        Pair::new("certv-selfsigned-deny", host(Xrdp::tls()), tls(&["/cert:deny"]), 143)
            .session(left_at_the_certificate()),
        // `/cert:name` asks about the certificate as xfreerdp does without any option; nobody answers.
        Pair::new("certv-prompt-nostdin", host(Xrdp::tls()), tls(&["/cert:name:rdp-host.lab.test"]), 143)
            .session(left_at_the_certificate()),
        Pair::new("certv-tofu", host(Xrdp::tls()), tls(&["/cert:tofu"]), 0).session(ok()),
        Pair::new("cert-missing-key", host(xrdp("rsa.crt", "missing.key")), tls(&[]), 133).session(no_key()),
        Pair::new("cert-missing-cert", host(xrdp("missing.crt", "missing.key")), tls(&[]), 133).session(no_key()),
        Pair::new("cert-missing-both-negotiate", host(missing_both()), tls(&[]), 133).session(
            failed("server_selected_weaker|neg_ssl_cert_missing", "host|both", "x224|tls_hello")
                .proven()
                .negotiated(&["ssl"], "rdp")
                .close("client/fin"),
        ),
        Pair::new("cert-missing-both-default-client", host(missing_both()), Client::Xfreerdp(vec!["+auth-only"]), 131)
            .session(super::rc4_with_xfreerdp(&["ssl", "hybrid"])),
        Pair::new("cert-corrupt-key", host(xrdp("rsa.crt", "garbage.key")), tls(&[]), 143)
            .session(super::hello_dropped()),
        Pair::new("cert-mismatched-key", host(xrdp("rsa.crt", "other.key")), tls(&[]), 143)
            .session(super::hello_dropped()),
        Pair::new("cert-rsa1024", host(xrdp("rsa1024.crt", "rsa1024.key")), tls(&[]), 143)
            .session(super::hello_dropped()),
        Pair::new("cert-rsa1024-sec0", host(sec0(xrdp("rsa1024.crt", "rsa1024.key"))), tls(&[]), 0).session(ok()),
        Pair::new("cert-rsa1024-clisec2", host(sec0(xrdp("rsa1024.crt", "rsa1024.key"))), tls(&["/tls-seclevel:2"]), 0)
            .session(ok()),
        Pair::new("cert-sha1-sec0", host(sec0(xrdp("sha1.crt", "sha1.key"))), tls(&[]), 0).session(ok()),
        Pair::new("cert-ec", host(xrdp("ec.crt", "ec.key")), tls(&[]), 0).session(ok()),
        Pair::new("cert-ec-tls12", host(xrdp("ec.crt", "ec.key").protocols("TLSv1.2")), tls(&[]), 0).session(
            ok().tls("1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")
                .is("tls.server.x509.public_key_size", json!(256)),
        ),
    ]
}

/// A host that takes short keys and SHA-1.
fn sec0(xrdp: Xrdp) -> Xrdp {
    xrdp.ciphers("ALL:@SECLEVEL=0")
}
