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
        if let Some(twin) = earlier.iter().find(|other| is_same(other.listener.listen, address)) {
            problems.push(Problem {
                title: format!("two listeners are to listen on {address}"),
                at: this.listen.clone(),
                label: "again here".to_owned(),
                also: Some((twin.listen.clone(), "first here".to_owned())),
                help: vec!["one address and port leads to one host: take another port or another address".to_owned()],
            });
        } else if let Some(twin) = earlier.iter().find(|other| overlap(other.listener.listen, address)) {
            let (all, one) = match address.ip().is_unspecified() {
                true => (address, twin.listener.listen),
                false => (twin.listener.listen, address),
            };
            problems.push(Problem {
                title: format!("two listeners are to listen on {one}"),
                at: this.listen.clone(),
                label: format!("{} is every address of this machine", all.ip()),
                also: Some((twin.listen.clone(), "the other one".to_owned())),
                help: vec![format!("take another port for one of them, or addresses in place of {}", all.ip())],
            });
        }
        let ipv4_apart = takes_ipv4_apart(listeners, address.port());
        problems.extend(admin_in_the_way(this, admin.as_ref(), ipv4_apart, place));
    }
    problems.extend(loops(listeners));
    problems
}

/// An IPv4 address within IPv6 (`::ffff:127.0.0.1`) as what it is. RFC 4291 2.5.5.2
fn plain(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    plain(one) == plain(other) && one.port() != 0
}

/// Can these two not be listened on at once, one being all addresses of its family? Two that are the same are another mistake.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let meet = |one: SocketAddr, other: SocketAddr| {
        let same_family = one.is_ipv4() == other.is_ipv4();
        same_family && one != other && (one.ip().is_unspecified() || other.ip().is_unspecified())
    };
    let same_port = one.port() == other.port() && one.port() != 0;
    same_port && (meet(one, other) || meet(plain(one), plain(other)))
}

/// `[::]` takes IPv4 too, as everywhere on Linux, unless a listener has that port on IPv4.
fn takes_ipv4_apart(listeners: &[Placed], port: u16) -> bool {
    listeners.iter().any(|other| other.listener.listen.is_ipv4() && other.listener.listen.port() == port)
}

fn admin_in_the_way(
    this: &Placed,
    admin: Option<&(SocketAddr, Option<Range<usize>>)>,
    ipv4_apart: bool,
    place: Place,
) -> Option<Problem> {
    let (address, at) = admin?;
    let listen = this.listener.listen;
    let same_port = listen.port() == address.port() && listen.port() != 0;
    let both_families = |one: SocketAddr| one.is_ipv6() && one.ip().is_unspecified();
    let meet = plain(listen).ip() == plain(*address).ip()
        || (listen.is_ipv4() == address.is_ipv4() && (listen.ip().is_unspecified() || address.ip().is_unspecified()))
        || (both_families(listen) && !ipv4_apart)
        || both_families(*address);
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
        .map(|this| {
            let upstream = &this.listener.upstream;
            let ipv4_apart = takes_ipv4_apart(listeners, upstream.port);
            listeners.iter().position(|other| leads_to(upstream, other.listener.listen, ipv4_apart))
        })
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
fn leads_to(upstream: &Upstream, listen: SocketAddr, ipv4_apart: bool) -> bool {
    let host = upstream.host.parse::<IpAddr>().ok();
    let reaches = match host {
        Some(host) => {
            let both_families = listen.is_ipv6() && !ipv4_apart;
            host == listen.ip()
                || (host.is_loopback()
                    && listen.ip().is_unspecified()
                    && (host.is_ipv4() == listen.is_ipv4() || both_families))
        }
        // `localhost`; what other names lead to is not known here.
        None => is_loopback(&upstream.host) && (listen.ip().is_unspecified() || listen.ip().is_loopback()),
    };
    upstream.port == listen.port() && reaches
}

#[cfg(test)]
mod tests {
    fn shown(listeners: &[(&str, &str)], admin: &str) -> String {
        let mut text = String::new();
        for (listen, upstream) in listeners {
            text += &format!("[[listener]]\nlisten = '{listen}'\nupstream = '{upstream}'\n");
        }
        text += &format!("[admin]\nlisten = '{admin}'\n");
        crate::parse("f", &text).map_or_else(|errors| errors.to_string(), |_| String::new())
    }

    #[test]
    fn the_ipv6_wildcard_takes_ipv4_too() {
        assert!(shown(&[("[::]:3389", "127.0.0.1:3389")], "off").contains("leads to itself"));
        assert!(shown(&[("[::]:9389", "rds07")], "127.0.0.1:9389").contains("admin endpoint"));
        assert!(shown(&[("0.0.0.0:9389", "rds07")], "[::]:9389").contains("admin endpoint"));
    }

    #[test]
    fn the_ipv6_wildcard_leaves_ipv4_to_a_listener_that_has_it() {
        assert_eq!(shown(&[("[::]:3389", "127.0.0.1:3389"), ("127.0.0.1:3389", "rds07")], "off"), "");
    }

    #[test]
    fn all_addresses_and_one_of_them_cannot_both_be_listened_on() {
        for (all, one) in [("0.0.0.0:3389", "10.0.0.5:3389"), ("[::]:3389", "[::1]:3389")] {
            for pair in [[(all, "rds07"), (one, "rds08")], [(one, "rds08"), (all, "rds07")]] {
                let said = shown(&pair, "off");
                assert!(said.contains(&format!("two listeners are to listen on {one}")), "{said}");
            }
        }
        for (one, other) in [("127.0.0.1:3389", "[::ffff:127.0.0.1]:3389"), ("0.0.0.0:3389", "[::ffff:10.0.0.5]:3389")]
        {
            let said = shown(&[(one, "rds07"), (other, "rds08")], "off");
            assert!(said.contains("two listeners are to listen on [::ffff:"), "{said}");
        }
        assert_eq!(shown(&[("0.0.0.0:3389", "rds07"), ("10.0.0.5:3390", "rds08")], "off"), "");
        assert_eq!(shown(&[("0.0.0.0:3389", "rds07"), ("[::1]:3389", "rds08")], "off"), "");
    }

    #[test]
    fn a_chain_that_ends_at_a_host_is_no_loop() {
        assert_eq!(shown(&[("127.0.0.1:4001", "127.0.0.1:4002"), ("127.0.0.1:4002", "rds07:4001")], "off"), "");
        let round = [("127.0.0.1:1", "127.0.0.1:2"), ("127.0.0.1:2", "127.0.0.1:3"), ("127.0.0.1:3", "localhost:1")];
        assert_eq!(shown(&round, "off").matches("leads to itself").count(), 3);
    }

    #[test]
    fn free_ports_meet_nothing() {
        assert_eq!(shown(&[("127.0.0.1:0", "rds07"), ("[::1]:0", "rds08")], "127.0.0.1:0"), "");
    }
}
