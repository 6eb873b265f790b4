//! Versions, suites and key types that do not meet: who offered what, who refused, and how that looked.

use crate::client::{Client, Mini, rdesktop, tls};
use crate::expect::{Expect, failed};
use crate::host::{Host, TlsServer, Xrdp};
use crate::pair::Pair;
use serde_json::json;

/// What alert 40 behind one hello leaves open without a profile of the host.
const ALERT_40: &str = "tls_no_common_cipher|tls_no_common_version|tls_no_common_group_or_sigalg|\
                        tls_cert_key_type_mismatch|cert_private_key_unusable";
const ANY_OF_THEM: &str = "host|client|both";
/// A suite list without anything that TLS 1.0 or RSA key exchange could use.
const GCM_ONLY: &[&str] = &["/tls-ciphers:ECDHE-RSA-AES256-GCM-SHA384", "+enforce-tlsv1_2"];
const TLS12: &[&str] = &["+enforce-tlsv1_2"];

fn mini(version: &'static str) -> Client {
    Client::Mini(Mini::only(version))
}

fn v(protocols: &'static str) -> Host {
    Host::Xrdp(Xrdp::tls().protocols(protocols))
}

fn legacy(protocols: &'static str) -> Host {
    Host::Xrdp(Xrdp::legacy(protocols))
}

fn cbc() -> Host {
    Host::Xrdp(Xrdp::tls().protocols("TLSv1.2").ciphers("AES128-SHA:@SECLEVEL=0"))
}

/// The host answers the hello with protocol_version.
fn version_refused(offered: &[&str]) -> Expect {
    let expect = failed("tls_no_common_version", ANY_OF_THEM, "tls_hello").at_most("likely").alert("host", 70);
    expect.offered(offered).close("client/fin|client/rst|host/fin|host/rst").without("tls.version")
}

/// The host answers the hello with handshake_failure.
fn handshake_failure() -> Expect {
    failed(ALERT_40, ANY_OF_THEM, "tls_hello").at_most("possible").alert("host", 40).without("tls.version")
}

/// The host chose a version, and the client's policy refused what came with it.
fn client_refuses(causes: &'static str, alert: u8, version: &str) -> Expect {
    let expect = failed(causes, "client|both", "tls_finish").alert("client", alert).is("tls.version", json!(version));
    // The host's close is a reaction to the alert, but may be the first that is seen.
    expect.close("client/fin|client/rst|host/fin").is("tls.established", json!(false))
}

/// rdesktop tries again without TLS after a TLS failure, and the host does not take that.
fn plain_retry() -> Expect {
    failed("neg_ssl_required", ANY_OF_THEM, "x224").proven().refused(1).is("rdp.requested_protocols", json!(["rdp"]))
}

fn rdesktop_fails(name: &str, host: Host, options: &[&'static str], first: Expect) -> Pair {
    Pair::new(name, host, rdesktop(options), 76).session(first).session(plain_retry())
}

pub(crate) fn pairs() -> Vec<Pair> {
    [versions(), refused_by_the_client(), suites(), tls_stacks()].concat()
}

fn versions() -> Vec<Pair> {
    vec![
        Pair::new("tls-s13-c12", v("TLSv1.3"), tls(TLS12), 143).session(version_refused(&["1.2"])),
        Pair::new("tls-s13-cgcm", v("TLSv1.3"), tls(GCM_ONLY), 143).session(
            version_refused(&["1.2"])
                .has("tls.client.supported_ciphers", json!("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384")),
        ),
        rdesktop_fails("tls-s13-rdesktop1.0", v("TLSv1.3"), &["-V", "1.0"], version_refused(&["1.0"])),
        rdesktop_fails("tls-s13-rdesktop1.1", v("TLSv1.3"), &["-V", "1.1"], version_refused(&["1.1"])),
        rdesktop_fails("tls-s13-rdesktop1.2", v("TLSv1.3"), &["-V", "1.2"], version_refused(&["1.2"])),
        Pair::new("tls-s13-mini1.0", v("TLSv1.3"), mini("TLSv1"), 20).session(version_refused(&["1.0"])),
        Pair::new("tls-s13-mini1.2", v("TLSv1.3"), mini("TLSv1.2"), 20).session(version_refused(&["1.2"])),
        Pair::new("tls-s12-mini1.0", v("TLSv1.2"), mini("TLSv1"), 20).session(version_refused(&["1.0"])),
        Pair::new("tls-s12-mini1.3", v("TLSv1.2"), mini("TLSv1.3"), 20).session(version_refused(&["1.3"])),
        rdesktop_fails("tls-s12-rdesktop1.0", v("TLSv1.2"), &["-V", "1.0"], version_refused(&["1.0"])),
        rdesktop_fails("tls-s12-rdesktop1.1", v("TLSv1.2"), &["-V", "1.1"], version_refused(&["1.1"])),
        Pair::new("tls-s12cbc-mini1.3", cbc(), mini("TLSv1.3"), 20).session(version_refused(&["1.3"])),
        rdesktop_fails("tls-s12cbc-rdesktop1.1", cbc(), &["-V", "1.1"], version_refused(&["1.1"])),
        Pair::new("tls-s10-mini1.3", legacy("TLSv1"), mini("TLSv1.3"), 20).session(version_refused(&["1.3"])),
    ]
}

fn refused_by_the_client() -> Vec<Pair> {
    const POLICY: &str = "tls_client_refused_choice|tls_no_common_group_or_sigalg|cert_weak|tls_no_common_version";
    const VERSION: &str = "tls_client_refused_choice|tls_no_common_version";
    const SILENT: &str = "tls_client_closed_silently|tls_client_refused_choice|tls_no_common_version";
    let silent = || {
        let expect = failed(SILENT, "client|both", "tls_finish").at_most("possible").is("tls.version", json!("1.0"));
        expect.close("client/rst|client/fin").without("tls.alert.code")
    };
    vec![
        Pair::new("tls-s10-cdef", legacy("TLSv1"), tls(&[]), 143)
            .session(client_refuses(POLICY, 80, "1.0").at_most("likely")),
        Pair::new("tls-s11-cdef", legacy("TLSv1.1"), tls(&[]), 143)
            .session(client_refuses(POLICY, 80, "1.1").at_most("likely")),
        Pair::new("tls-s10-c12", legacy("TLSv1"), tls(TLS12), 143).session(client_refuses(VERSION, 70, "1.0")),
        Pair::new("tls-s11-c12", legacy("TLSv1.1"), tls(TLS12), 143).session(client_refuses(VERSION, 70, "1.1")),
        Pair::new("tls-s10-mini1.2", legacy("TLSv1"), mini("TLSv1.2"), 20).session(client_refuses(VERSION, 70, "1.0")),
        rdesktop_fails("tls-s10-rdesktop1.1", legacy("TLSv1"), &["-V", "1.1"], silent()),
        rdesktop_fails("tls-s10-rdesktop1.2", legacy("TLSv1"), &["-V", "1.2"], silent()),
    ]
}

fn suites() -> Vec<Pair> {
    let ec = || Host::Xrdp(Xrdp::tls().protocols("TLSv1.2").pair("ec.crt", "ec.key"));
    let impossible = || Host::Xrdp(Xrdp::tls().protocols("TLSv1.2").ciphers("DES-CBC3-SHA"));
    vec![
        Pair::new("tls-s12cbc-cgcm", cbc(), tls(GCM_ONLY), 143).session(handshake_failure()),
        Pair::new("tls-s10-cgcm", legacy("TLSv1"), tls(GCM_ONLY), 143).session(handshake_failure()),
        Pair::new("tls-s11-cgcm", legacy("TLSv1.1"), tls(GCM_ONLY), 143).session(handshake_failure()),
        Pair::new("tls-ec-crsa", ec(), tls(GCM_ONLY), 143).session(handshake_failure()),
        Pair::new("tls-s3des-cdef", impossible(), tls(&[]), 143).session(super::hello_dropped()),
    ]
}

fn tls_stacks() -> Vec<Pair> {
    const DES3: &str = "NONE:+VERS-TLS1.2:+3DES-CBC:+SHA1:+RSA:+COMP-NULL:+SIGN-ALL:+GROUP-ALL";
    let gnutls = |priority| Host::Tls(TlsServer::Gnutls(priority));
    let openssl = |options| Host::Tls(TlsServer::OpenSsl(options));
    let retry_request = || openssl(&["-tls1_3", "-groups", "P-521"]);
    let client_certificate = || openssl(&["-tls1_2", "-Verify", "1", "-verify_return_error"]);
    let client_certificate_13 = || openssl(&["-tls1_3", "-Verify", "1", "-verify_return_error"]);
    vec![
        Pair::new("tls-gn13-c12", gnutls("NORMAL:-VERS-ALL:+VERS-TLS1.3"), tls(TLS12), 143)
            .session(handshake_failure().offered(&["1.2"])),
        Pair::new("tls-gn10-cdef", gnutls("NORMAL:-VERS-ALL:+VERS-TLS1.0"), tls(&[]), 143).session(
            client_refuses("tls_client_refused_choice|tls_no_common_group_or_sigalg|cert_weak", 80, "1.0")
                .at_most("likely"),
        ),
        Pair::new("tls-gn3des-cdef", gnutls(DES3), tls(&[]), 143).session(handshake_failure()),
        Pair::new("tls-gn3des-csec0", gnutls(DES3), tls(&["/tls-seclevel:0"]), 143).session(handshake_failure()),
        Pair::new(
            "tls-chacha-caes",
            openssl(&["-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"]),
            tls(&["/tls-ciphers:AES128-SHA", "+enforce-tlsv1_2"]),
            143,
        )
        .session(handshake_failure()),
        Pair::new("tls-hrr-mini1.3", retry_request(), mini("TLSv1.3"), 0).session(
            failed("closed_after_tls_unknown|client_prompt_probe", "any", "tls_finish|mcs|credssp")
                .at_most("possible")
                .tls("1.3", "TLS_AES_256_GCM_SHA384")
                .is("tls.curve", json!("secp521r1")),
        ),
        Pair::new("tls-hrr-cdef", retry_request(), tls(&[]), 147).session(
            failed("server_closed_in_mcs|mcs_core_mismatch|closed_after_tls_unknown", "host", "mcs|tls_finish")
                .at_most("possible")
                .tls("1.3", "TLS_AES_256_GCM_SHA384")
                .close("host/fin|host/rst"),
        ),
        Pair::new("tls-s10-mini1.0", legacy("TLSv1"), mini("TLSv1"), 0).session(after_tls("1.0")),
        Pair::new("tls-s12cbc-mini1.2", cbc(), mini("TLSv1.2"), 0).session(after_tls("1.2")),
        Pair::new("tls-clientcert-required-cdef", client_certificate(), tls(&["+enforce-tlsv1_2"]), 143).session(
            failed("neg_user_cert_required|unknown_close", ANY_OF_THEM, "tls_finish")
                .at_most("likely")
                .alert("host", 40)
                .is("tls.version", json!("1.2")),
        ),
        // The request and the refusal are sealed: sizes and order tell.
        Pair::new("tls-clientcert-required-c13", client_certificate_13(), tls(&[]), 147).session(
            failed("neg_user_cert_required", "both", "tls_finish")
                .at_most("possible")
                .is("tls.version", json!("1.3"))
                .established(),
        ),
    ]
}

/// TLS stood, then the client left in order without a word of RDP.
fn after_tls(version: &str) -> Expect {
    failed("closed_after_tls_unknown|client_prompt_probe", "client|both", "tls_finish|mcs|credssp")
        .at_most("possible")
        .is("tls.version", json!(version))
        .established()
}
