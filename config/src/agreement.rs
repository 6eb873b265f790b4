//! What must hold between settings that are each right by themselves.

use crate::address::is_loopback;
use crate::problem::{Place, Problem};
use crate::settings::{Listener, Upstream};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// More would be a mistake: each takes sockets and label values of its own.
const MAX_LISTENERS: usize = 1_000;

/// A listener and where its values are written. What was left out is where the listener is.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) listener: Listener,
    pub(crate) name: Range<usize>,
    pub(crate) listen: Range<usize>,
    pub(crate) upstream: Range<usize>,
}

/// Names and addresses are given once, nothing leads to itself. `admin` has no place when it is the default.
pub(crate) fn disagreements(
    listeners: &[Placed],
    admin: Option<(SocketAddr, Option<Range<usize>>)>,
    place: Place,
) -> Vec<Problem> {
    if let Some(first) = listeners.get(MAX_LISTENERS) {
        return vec![Problem {
            title: format!("there are {} listeners", listeners.len()),
            at: first.listen.clone(),
            label: format!("number {}", MAX_LISTENERS + 1),
            also: None,
            help: vec![format!("at most {MAX_LISTENERS}; run a second rdpscope for the rest")],
        }];
    }
    let mut problems = Vec::new();
    for (index, this) in listeners.iter().enumerate() {
        let earlier = &listeners[..index];
        if let Some(twin) = earlier.iter().find(|other| other.listener.name == this.listener.name) {
            problems.push(Problem {
                title: format!("two listeners have the name `{}`", this.listener.name),
                at: this.name.clone(),
                label: "again here".to_owned(),
                also: Some((twin.name.clone(), "first here".to_owned())),
                help: vec!["names are labels in metrics and events: give each listener its own `name`".to_owned()],
            });
        }
        let address = this.listener.listen;
        if address.port() != 0
            && let Some(twin) = earlier.iter().find(|other| other.listener.listen == address)
        {
            problems.push(Problem {
                title: format!("two listeners are to listen on {address}"),
                at: this.listen.clone(),
                label: "again here".to_owned(),
                also: Some((twin.listen.clone(), "first here".to_owned())),
                help: vec!["one address and port leads to one host: take another port or another address".to_owned()],
            });
        }
        problems.extend(admin_in_the_way(this, admin.as_ref(), place));
    }
    problems.extend(loops(listeners));
    problems
}

fn admin_in_the_way(
    this: &Placed,
    admin: Option<&(SocketAddr, Option<Range<usize>>)>,
    place: Place,
) -> Option<Problem> {
    let (address, at) = admin?;
    let listen = this.listener.listen;
    let same_port = listen.port() == address.port() && listen.port() != 0;
    let meet = listen.ip() == address.ip()
        || (listen.is_ipv4() == address.is_ipv4() && (listen.ip().is_unspecified() || address.ip().is_unspecified()));
    let (key, off) = match place {
        Place::File => ("`listen` in `[admin]`", "`listen = \"off\"` there for none"),
        Place::CommandLine => ("`--admin`", "`--admin off` for none"),
    };
    (same_port && meet).then(|| Problem {
        title: format!("listener and admin endpoint are both to listen on port {}", listen.port()),
        at: this.listen.clone(),
        label: match at {
            Some(_) => "the listener".to_owned(),
            None => format!("the admin endpoint listens on {address} by default"),
        },
        also: at.clone().map(|at| (at, "the admin endpoint".to_owned())),
        help: vec![format!("take another port for one of them: {key}, or {off}")],
    })
}

/// Listeners whose upstream is, directly or over other listeners, themselves.
fn loops(listeners: &[Placed]) -> Vec<Problem> {
    let next: Vec<Option<usize>> = listeners
        .iter()
        .map(|this| listeners.iter().position(|other| leads_to(&this.listener.upstream, other.listener.listen)))
        .collect();
    let mut problems = Vec::new();
    for (start, this) in listeners.iter().enumerate() {
        let mut at = next[start];
        // A path longer than the number of listeners has passed one of them twice.
        for _ in 0..listeners.len() {
            let Some(index) = at.filter(|index| *index != start) else { break };
            at = next[index];
        }
        if at == Some(start) {
            problems.push(Problem {
                title: format!("listener `{}` leads to itself", this.listener.name),
                at: this.upstream.clone(),
                label: format!("{} is this proxy", this.listener.upstream),
                also: Some((this.listen.clone(), "it listens here".to_owned())),
                help: vec!["the upstream is the host behind the proxy, or another port of this machine".to_owned()],
            });
        }
    }
    problems
}

/// Is this host, beyond doubt, the address listened on?
fn leads_to(upstream: &Upstream, listen: SocketAddr) -> bool {
    let host = upstream.host.parse::<IpAddr>().ok();
    let same_family = host.is_none_or(|host| host.is_ipv4() == listen.is_ipv4());
    upstream.port == listen.port()
        && same_family
        && (host == Some(listen.ip())
            || (is_loopback(&upstream.host)
                && (listen.ip().is_unspecified() || (host.is_none() && listen.ip().is_loopback()))))
}
