//! Certificates and keys: what a host cannot use, what a client does not want, and what is a fact but no fault.

use crate::client::{Client, tls};
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

pub(crate) fn pairs() -> Vec<Pair> {
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
