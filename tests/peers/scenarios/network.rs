//! What only a network can do: swallow or refuse a SYN. In namespaces made for it, with real nftables rules.

use crate::captured;
use crate::client::{Client, PATIENCE, tls};
use crate::expect::{Expect, failed};
use crate::lab::{Exit, Lab, Namespaces};
use crate::proxy::{Options, Proxy};
use crate::runner::{Case, Outcome, Row};
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// One way in which a network keeps a connection from being made.
struct Fault {
    name: &'static str,
    /// Rules for the host's side.
    rules: &'static str,
    /// A route on the proxy's side.
    route: &'static [&'static str],
    target: &'static str,
    /// What xfreerdp comes to without us.
    direct: &'static [Exit],
    expect: fn() -> Expect,
}

const SETTINGS: &str = "[timeouts]\nconnect = \"1500ms\"";
/// How long a client that gets no answer is watched.
const WATCH: Duration = Duration::from_secs(3);
const HOST: &str = "10.77.1.2:3389";
const TRANSPORT_FAILED: Exit = Exit::Code(147);
const CONNECT_FAILED: Exit = Exit::Code(141);
const FAILED: [Exit; 2] = [TRANSPORT_FAILED, CONNECT_FAILED];

fn unreachable() -> Expect {
    failed("tcp_unreachable", "network|host", "tcp").proven()
}

fn refused() -> Expect {
    failed("tcp_refused", "host|network", "tcp").proven()
}

fn timed_out() -> Expect {
    failed("tcp_timeout_syn_drop", "network|host", "tcp").at_most("likely").close("proxy/timeout|host/timeout")
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "net-drop",
        rules: "add table ip t; add chain ip t i { type filter hook input priority 0; }; add rule ip t i tcp dport 3389 drop",
        route: &[],
        target: HOST,
        direct: &[Exit::Running, TRANSPORT_FAILED, CONNECT_FAILED],
        expect: timed_out,
    },
    Fault {
        name: "net-reject-rst",
        rules: "add table ip t; add chain ip t i { type filter hook input priority 0; }; \
                add rule ip t i tcp dport 3389 reject with tcp reset",
        route: &[],
        target: HOST,
        direct: &[TRANSPORT_FAILED, CONNECT_FAILED],
        expect: refused,
    },
    Fault {
        name: "net-reject-prohibited",
        rules: "add table ip t; add chain ip t i { type filter hook input priority 0; }; \
                add rule ip t i tcp dport 3389 reject with icmp type admin-prohibited",
        route: &[],
        target: HOST,
        direct: &[TRANSPORT_FAILED, CONNECT_FAILED],
        expect: unreachable,
    },
    Fault {
        name: "net-route-unreachable",
        rules: "",
        route: &["unreachable", "10.78.0.0/24"],
        target: "10.78.0.1:3389",
        direct: &[TRANSPORT_FAILED, CONNECT_FAILED],
        expect: unreachable,
    },
    Fault {
        name: "net-route-prohibited",
        rules: "",
        route: &["prohibit", "10.78.0.0/24"],
        target: "10.78.0.1:3389",
        direct: &[TRANSPORT_FAILED, CONNECT_FAILED],
        expect: unreachable,
    },
];

/// One case per fault.
pub(crate) fn cases() -> Vec<Case> {
    let faults = FAULTS.iter().map(|fault| Case::new(fault.name, |lab, direct_only| run(fault, lab, direct_only)));
    faults.chain([Case::new("net-unknown-name", unknown_name)]).collect()
}

/// A name that no resolver knows: RFC 2606 keeps `.invalid` for that.
fn unknown_name(lab: &Arc<Lab>, direct_only: bool) -> Result<Outcome> {
    const NAME: &str = "net-unknown-name";
    if direct_only {
        return Ok(Outcome::skip("there is no direct half"));
    }
    let room = lab.room(NAME)?;
    let options = Options { settings: Some(SETTINGS), ..Options::default() };
    let proxy = Proxy::start(lab, &room, "no-such-host.invalid:3389", &options)?;
    let ended = tls(&[]).run(lab, &room, proxy.address(), PATIENCE)?;
    let sessions = proxy.sessions(1)?;
    let event = sessions.first().context("no session")?;
    failed("dns_failure", "proxy|network", "resolve").check(event)?;
    ensure!(FAILED.contains(&ended.exit), "through the proxy, the client's exit is {}", ended.exit);
    captured::agree(&proxy)?;
    Ok(Outcome::of(Row::note(NAME, format!("-/{}", ended.exit), "dns_failure")))
}

fn run(fault: &Fault, lab: &Arc<Lab>, direct_only: bool) -> Result<Outcome> {
    let spaces = match Namespaces::new(lab) {
        Ok(spaces) => spaces,
        Err(error) => return Ok(Outcome::skip(format!("network namespaces are not to be had here: {error:#}"))),
    };
    if !fault.rules.is_empty() {
        spaces.far_rules(fault.rules)?;
    }
    if !fault.route.is_empty() {
        spaces.near_route(fault.route)?;
    }
    let wrapper = |program: &str| -> Command { spaces.near(program) };
    let client = |room: &str, to: SocketAddr, limit| -> Result<Exit> {
        let client: Client = tls(&[]);
        let mut process = client.start_as(lab, &lab.room(room)?, to, Some(&wrapper))?;
        let exit = process.wait(limit);
        process.stop();
        Ok(exit)
    };
    let direct = client(&format!("{}-direct", fault.name), fault.target.parse()?, WATCH)?;
    ensure!(fault.direct.contains(&direct), "direct, the client's exit is {direct}");
    if direct_only {
        return Ok(Outcome::of(Row::direct(fault.name, direct)));
    }
    let name = format!("{}-proxied", fault.name);
    let room = lab.room(&name)?;
    let options = Options { settings: Some(SETTINGS), wrapper: Some(&wrapper), ..Options::default() };
    let proxy = Proxy::start(lab, &room, fault.target, &options)?;
    let exit = client(&name, proxy.address(), PATIENCE)?;
    let sessions = proxy.sessions(1)?;
    ensure!(sessions.len() == 1, "{} connections seen, not 1", sessions.len());
    let output = || proxy.output();
    (fault.expect)().check(&sessions[0]).with_context(output)?;
    // We accept before we connect, and reset when that fails: the transport breaks, whatever the network did.
    ensure!(FAILED.contains(&exit), "through the proxy, the client's exit is {exit}");
    captured::agree(&proxy)?;
    Ok(Outcome::of(Row::new(fault.name, &direct, &exit, &sessions[0])))
}
