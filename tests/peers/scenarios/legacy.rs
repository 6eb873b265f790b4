//! What only the legacy leg brings together: TLS below 1.2, CBC, RSA key exchange, old keys. And the screens that users
//! then see, pixel by pixel.

use super::bridge::{always, auto};
use crate::client::{Client, Mini, rdesktop, tls};
use crate::expect::{Expect, failed};
use crate::host::{Host, TlsServer, Xrdp};
use crate::lab::{Exit, Lab, Process, STARTUP, wait_until};
use crate::pair::{Bridged, Key, Pair, Trust};
use crate::proxy::{Options, Proxy};
use crate::runner::{Case, Outcome, Row};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// A host entry that allows what the pair needs; on loopback every host has this name.
const OLD_HOST: &str = "match = \"127.0.0.1\"\nhost_versions = [\"1.0\", \"1.1\", \"1.2\", \"1.3\"]\n";
const OLD_CLIENT: &str = "match = \"127.0.0.1\"\nclient_versions = [\"1.0\", \"1.1\", \"1.2\", \"1.3\"]\n";

const RSA_CBC: &str = "TLS_RSA_WITH_AES_128_CBC_SHA";
const GCM_ONLY: &str = "/tls-ciphers:ECDHE-RSA-AES256-GCM-SHA384";

/// xrdp as a host of 2008: TLS 1.0 alone.
fn old(protocols: &'static str) -> Host {
    Host::Xrdp(Xrdp::legacy(protocols))
}

fn v(protocols: &'static str) -> Host {
    Host::Xrdp(Xrdp::tls().protocols(protocols))
}

/// xrdp that has only CBC with RSA key exchange.
fn cbc(protocols: &'static str) -> Host {
    Host::Xrdp(Xrdp::tls().protocols(protocols).ciphers("AES128-SHA"))
}

/// xfreerdp narrowed by OpenSSL's own configuration: TLS 1.0 alone, or nothing below TLS 1.2.
fn only10(options: &[&'static str]) -> Client {
    Client::XfreerdpWith("only10.cnf", [&["+auth-only", "/tls-seclevel:0"], options].concat())
}

fn from12(options: &[&'static str]) -> Client {
    Client::XfreerdpWith("from12.cnf", [&["+auth-only"], options].concat())
}

/// A healthy session; `weak` legs are named as such, and OpenSSL speaks them.
fn carried(mode: &str, client: (&str, &str), host: (&str, &str), weak: &[&str]) -> Expect {
    let expect = failed("ok_bridged", "any", "active")
        .is("event.outcome", json!("success"))
        .is("rdpscope.bridge.mode", json!(mode))
        .is("rdpscope.bridge.rescued", json!(mode == "auto"))
        .is("rdpscope.bridge.client_version", json!(client.0))
        .is("rdpscope.bridge.client_library", json!(client.1))
        .is("rdpscope.bridge.host_version", json!(host.0))
        .is("rdpscope.bridge.host_library", json!(host.1));
    if weak.is_empty() {
        expect.without("rdpscope.bridge.weak")
    } else {
        expect.is("rdpscope.bridge.weak", json!(weak))
    }
}

pub(crate) fn pairs() -> Vec<Pair> {
    if !cfg!(feature = "legacy-tls") {
        return Vec::new();
    }
    [hosts(), clients(), nla(), triple_des()].concat()
}

/// Old hosts in front of modern clients.
fn hosts() -> Vec<Pair> {
    let with = |bridge: Bridged| Bridged { host: OLD_HOST, ..bridge };
    vec![
        // First contact, nothing known: refused, redialled, carried; one client connection, exit 0.
        Pair::new("legacy-rescue-s10-c12up", old("TLSv1"), from12(&["/sec:tls"]), 143)
            .bridge(with(auto()))
            .behind(0)
            .session(carried("auto", ("1.3", "rustls"), ("1.0", "openssl"), &["host"])),
        Pair::new("legacy-rescue-s11-c12up", old("TLSv1.1"), from12(&["/sec:tls"]), 143)
            .bridge(with(auto()))
            .behind(0)
            .session(carried("auto", ("1.3", "rustls"), ("1.1", "openssl"), &["host"])),
        // This client offers TLS 1.0 and will not have it when it comes: nothing to rescue, `always` it is.
        Pair::new("legacy-always-s10-cdef", old("TLSv1"), tls(&[]), 143)
            .bridge(with(always()))
            .behind(0)
            .session(carried("always", ("1.3", "rustls"), ("1.0", "openssl"), &["host"])),
        // By suite, not by version: TLS 1.2 on both sides, and no host entry is needed.
        Pair::new("legacy-rescue-cbc-gcm", cbc("TLSv1.2"), tls(&[GCM_ONLY, "+enforce-tlsv1_2"]), 143)
            .bridge(auto())
            .behind(0)
            .session(
                carried("auto", ("1.2", "rustls"), ("1.2", "openssl"), &["host"])
                    .is("rdpscope.bridge.host_cipher", json!(RSA_CBC)),
            ),
        Pair::new(
            "legacy-always-rsa1024-s10",
            Host::Xrdp(Xrdp::legacy("TLSv1").pair("rsa1024.crt", "rsa1024.key")),
            tls(&[]),
            143,
        )
        .bridge(Bridged { trust: Trust::Insecure, ..with(always()) })
        .behind(0)
        .session(carried("always", ("1.3", "rustls"), ("1.0", "openssl"), &["host"])),
        // A host that can do better is given better, whatever its entry allows.
        Pair::new("legacy-always-s13-cdef", v("TLSv1.2, TLSv1.3"), tls(&[]), 0)
            .bridge(with(always()))
            .session(carried("always", ("1.3", "rustls"), ("1.3", "openssl"), &[])),
    ]
}

/// Old clients in front of modern hosts.
fn clients() -> Vec<Pair> {
    let with = |bridge: Bridged| Bridged { host: OLD_CLIENT, ..bridge };
    vec![
        Pair::new("legacy-rescue-s13-c10", v("TLSv1.3"), only10(&["/sec:tls"]), 143)
            .bridge(with(auto()))
            .behind(0)
            .session(carried("auto", ("1.0", "openssl"), ("1.3", "rustls"), &["client"])),
        Pair::rescued_until_active("legacy-rescue-s13-rdesktop1.0", v("TLSv1.3"), rdesktop(&["-V", "1.0"]), 76)
            .bridge(with(auto()))
            .session(carried("auto", ("1.0", "openssl"), ("1.3", "rustls"), &["client"])),
        Pair::rescued_until_active("legacy-rescue-s12-rdesktop1.1", v("TLSv1.2"), rdesktop(&["-V", "1.1"]), 76)
            .bridge(with(auto()))
            .session(carried("auto", ("1.1", "openssl"), ("1.2", "rustls"), &["client"])),
        Pair::new("legacy-rescue-s13-cbc", v("TLSv1.3"), tls(&["/tls-ciphers:AES128-SHA", "+enforce-tlsv1_2"]), 143)
            .bridge(auto())
            .behind(0)
            .session(
                carried("auto", ("1.2", "openssl"), ("1.3", "rustls"), &["client"])
                    .is("rdpscope.bridge.client_cipher", json!(RSA_CBC)),
            ),
        // A listener that allows TLS 1.0 gives a modern client TLS 1.3.
        Pair::new("legacy-always-modern-client", v("TLSv1.3"), tls(&[]), 0).bridge(with(always())).session(carried(
            "always",
            ("1.3", "rustls"),
            ("1.3", "rustls"),
            &[],
        )),
        // What the configuration does not name is not spoken: passed on, and refused by the host itself.
        Pair::new("legacy-client-outside-of-window", v("TLSv1.3"), Client::Mini(Mini::only("TLSv1")), 20)
            .bridge(auto())
            .session(
                failed("tls_no_common_version", "both|client|host", "tls_hello")
                    .is("rdpscope.bridge.blocked", json!("client_window"))
                    .alert("host", 70),
            ),
    ]
}

/// The host's own key carries NLA over an old leg too.
fn nla() -> Vec<Pair> {
    let key = Bridged { key: Key::Shadow, trust: Trust::Insecure, host: OLD_CLIENT, ..auto() };
    let refused = || failed("nla_auth_refused", "host|both", "credssp").is("rdpscope.bridge.result", json!("carried"));
    const WRONG: [&str; 3] = ["/sec:nla", "/p:wrong", "/cert:ignore"];
    vec![
        // Their captures can be read on both legs, whichever library speaks them.
        Pair::new("legacy-nla-wrong-password-c10", Host::Shadow13("nla"), only10(&WRONG), 143)
            .bridge(key)
            .behind(147)
            .session(refused().is("rdpscope.bridge.client_library", json!("openssl"))),
        Pair::new(
            "legacy-nla-wrong-password-openssl13",
            Host::Shadow("nla"),
            Client::Xfreerdp([&["+auth-only"], &WRONG[..]].concat()),
            147,
        )
        .bridge(Bridged { host: OLD_HOST, mode: "always", ..key })
        .session(refused().is("rdpscope.bridge.host_library", json!("openssl"))),
        Pair::new("legacy-nla-rescue-host-key", Host::Shadow13("nla"), only10(&["/sec:nla"]), 143)
            .bridge(key)
            .behind(0)
            .session(carried("auto", ("1.0", "openssl"), ("1.3", "rustls"), &["client"])),
    ]
}

/// A host that has 3DES alone, in a build whose OpenSSL has it: reached when the configuration writes it out, and not before.
fn triple_des() -> Vec<Pair> {
    if !cfg!(feature = "legacy-tls-vendored") {
        return Vec::new();
    }
    const PRIORITY: &str = "NONE:+VERS-TLS1.2:+3DES-CBC:+SHA1:+RSA:+COMP-NULL:+SIGN-ALL:+GROUP-ALL";
    const NAMED: &str =
        "match = \"127.0.0.1\"\nhost_versions = [\"1.2\"]\nhost_ciphers = [\"TLS_RSA_WITH_3DES_EDE_CBC_SHA\"]\n";
    let host = || Host::Tls(TlsServer::Gnutls(PRIORITY));
    let client = || Client::Mini(Mini::only("TLSv1.3"));
    vec![
        Pair::new("legacy-3des-named", host(), client(), 20)
            .bridge(Bridged { host: NAMED, ..always() })
            .behind(0)
            .session(
                failed("closed_after_tls_unknown|client_prompt_probe", "any", "any")
                    .is("rdpscope.bridge.result", json!("carried"))
                    .is("rdpscope.bridge.client_version", json!("1.3"))
                    .is("rdpscope.bridge.host_version", json!("1.2"))
                    .is("rdpscope.bridge.host_cipher", json!("TLS_RSA_WITH_3DES_EDE_CBC_SHA"))
                    .is("rdpscope.bridge.host_library", json!("openssl"))
                    .is("rdpscope.bridge.weak", json!(["host"])),
            ),
        Pair::new("legacy-3des-not-named", host(), client(), 20).bridge(always()).session(
            failed("bridge_leg_failed", "any", "tls_hello")
                .is("rdpscope.bridge.result", json!("host_leg_failed"))
                .alert("host", 40),
        ),
    ]
}

/// xrdp's login box as it looks without a bridge is what a bridged client sees.
pub(crate) fn cases() -> Vec<Case> {
    if !cfg!(feature = "legacy-tls") {
        return Vec::new();
    }
    vec![
        Case::new("legacy-host-untrusted", untrusted),
        Case::new("legacy-screen-xfreerdp-s10", |lab, direct_only| {
            let client = Client::WithoutPassword(vec!["/sec:tls"]);
            let bridge = Bridged { host: OLD_HOST, ..always() };
            same_screen(
                lab,
                "legacy-screen-xfreerdp-s10",
                &client,
                (v("TLSv1.2, TLSv1.3"), old("TLSv1")),
                bridge,
                direct_only,
            )
        }),
        Case::new("legacy-screen-rdesktop1.0-s13", |lab, direct_only| {
            let client = rdesktop(&["-V", "1.0"]);
            let bridge = Bridged { host: OLD_CLIENT, ..auto() };
            same_screen(
                lab,
                "legacy-screen-rdesktop1.0-s13",
                &client,
                (old("TLSv1"), v("TLSv1.3")),
                bridge,
                direct_only,
            )
        }),
    ]
}

/// A host of TLS 1.0 that is not the one meant: what `openssl s_client` says of the end, in TLS 1.2 and 1.3, is the alert
/// bad_certificate (42), in place of a handshake that seems to succeed.
fn untrusted(lab: &Arc<Lab>, direct_only: bool) -> Result<Outcome> {
    const NAME: &str = "legacy-host-untrusted";
    if direct_only {
        return Ok(Outcome::skip("it has no direct half"));
    }
    let mut outcome = Outcome::default();
    for version in ["TLSv1.2", "TLSv1.3"] {
        let room = lab.room(&format!("{NAME}-{version}"))?;
        let host = old("TLSv1").start(lab, &room)?;
        let client = Mini::only(version);
        for trust in [Trust::Pin, Trust::OtherPin] {
            let room = lab.room(&format!("{NAME}-{version}-{trust:?}"))?;
            let table = Bridged { trust, host: OLD_HOST, ..always() }.table(lab, &room)?;
            let options = Options { bridge: Some(&table), ..Options::default() };
            let proxy = Proxy::start(lab, &room, &format!("127.0.0.1:{}", host.port), &options)?;
            let ended = client.run(lab, &room, proxy.address())?;
            let sessions = proxy.sessions(1)?;
            let event = sessions.first().context("no session")?;
            if matches!(trust, Trust::Pin) {
                // The same pair with the right pin: it is the pin that makes the difference.
                ensure!(ended.exit == Exit::Code(0), "{version}, the right pin: {}", ended.output);
                failed("any", "any", "any").is("rdpscope.bridge.host_library", json!("openssl")).check(event)?;
                continue;
            }
            ensure!(ended.exit == Exit::Code(20), "{version}: {:?}: {}", ended.exit, ended.output);
            ensure!(ended.output.contains("SSL alert number 42"), "{version}: {}", ended.output);
            failed("bridge_host_untrusted", "any", "tls_hello")
                .proven()
                .is("rdpscope.bridge.result", json!("host_untrusted"))
                .alert("host", 42)
                .check(event)?;
            outcome.rows.push(Row::note(NAME, format!("-/{}", ended.exit), "bridge_host_untrusted"));
        }
    }
    Ok(outcome)
}

/// How long a screen may take to be drawn whole. It needs a second; a busy machine more.
const DRAWN: Duration = Duration::from_secs(45);

/// The picture of `client` at a host that it can reach by itself, and at one that it can reach only bridged.
fn same_screen(
    lab: &Arc<Lab>,
    name: &str,
    client: &Client,
    (reachable, out_of_reach): (Host, Host),
    bridge: Bridged,
    direct_only: bool,
) -> Result<Outcome> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let room = lab.room(&format!("{name}-direct"))?;
    let host = reachable.start(lab, &room)?;
    let mut seen = Screen::open(lab, &room, client, loopback(host.port))?;
    let mut before = Vec::new();
    let still = wait_until(DRAWN, || {
        let now = seen.picture().ok()?;
        let same = now == before && colours(&now) > 8;
        before.clone_from(&now);
        // Two looks alike, half a second apart, are a screen that is drawn.
        std::thread::sleep(Duration::from_millis(500));
        same.then_some(now)
    });
    let wanted = still.with_context(|| format!("direct, no picture: {}", seen.client.output()))?;
    seen.close();
    drop(host);
    if direct_only {
        return Ok(Outcome::of(Row::note(name, "drawn/-", "")));
    }
    let room = lab.room(&format!("{name}-proxied"))?;
    let host = out_of_reach.start(lab, &room)?;
    let table = bridge.table(lab, &room)?;
    let options = Options { bridge: Some(&table), ..Options::default() };
    let proxy = Proxy::start(lab, &room, &format!("127.0.0.1:{}", host.port), &options)?;
    let mut seen = Screen::open(lab, &room, client, proxy.address())?;
    let alike = wait_until(DRAWN, || (seen.picture().ok()? == wanted).then_some(()));
    seen.close();
    let sessions = proxy.sessions(1)?;
    let event = sessions.first().context("no session")?;
    ensure!(
        alike.is_some(),
        "the bridged screen is another one: {:?}\n{}\n{}",
        seen.directory,
        seen.client.output(),
        proxy.output()
    );
    failed("ok_bridged", "any", "active").check(event)?;
    ensure!(event.pointer("/rdpscope/bridge/weak").is_some_and(Value::is_array), "no weak leg: {event}");
    Ok(Outcome::of(Row::note(name, "drawn/alike", "ok_bridged")))
}

/// A display of its own with one client on it, whose memory is a file.
struct Screen {
    display: Process,
    client: Process,
    directory: PathBuf,
}

impl Screen {
    fn open(lab: &Arc<Lab>, room: &Path, client: &Client, to: SocketAddr) -> Result<Screen> {
        let directory = room.join("screen");
        std::fs::create_dir_all(&directory)?;
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", "1024x768x24", "-nolisten", "tcp", "-noreset", "-fbdir"]);
        command.arg(&directory);
        let mut display = Process::start(lab, command, &room.join("xvfb.log"))?;
        let number = wait_until(STARTUP, || {
            let text = display.output();
            let number = text.lines().find(|line| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()));
            number.filter(|_| text.ends_with('\n')).map(str::to_owned)
        });
        let Some(number) = number else {
            display.stop();
            bail!("Xvfb does not start: {}", display.output());
        };
        let wrapper = move |program: &str| {
            let mut command = Command::new("env");
            command.arg(format!("DISPLAY=:{number}")).arg(program);
            command
        };
        match client.start_as(lab, room, to, Some(&wrapper)) {
            Ok(client) => Ok(Screen { display, client, directory }),
            Err(error) => {
                display.stop();
                Err(error)
            }
        }
    }

    /// Every pixel: the last of a file that has the form of `xwd`.
    fn picture(&self) -> Result<Vec<u8>> {
        const PIXELS: usize = 1024 * 768 * 4;
        let mut file = std::fs::read(self.directory.join("Xvfb_screen0"))?;
        let before = file.len().checked_sub(PIXELS).context("no pixels")?;
        Ok(file.split_off(before))
    }

    fn close(&mut self) {
        self.client.stop();
        self.display.stop();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close();
    }
}

/// How many different pixels there are, up to a hundred: an empty screen has one or two.
fn colours(picture: &[u8]) -> usize {
    let mut seen: Vec<&[u8]> = Vec::new();
    for pixel in picture.chunks_exact(4) {
        if seen.len() < 100 && !seen.contains(&pixel) {
            seen.push(pixel);
        }
    }
    seen.len()
}
