//! Addresses to listen on, hosts to lead to, and names: read from text, with a pointed fault.

use crate::problem::{Fault, shown};
use crate::settings::{RDP_PORT, Upstream};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An address of this machine with a port: `0.0.0.0:3389`, `[::]:3389`, `127.0.0.1:0`. `usual` is the port to suggest.
pub(crate) fn listen(text: &str, usual: u16) -> Result<SocketAddr, Fault> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        if let SocketAddr::V6(address) = address
            && address.ip().is_unicast_link_local()
            && address.scope_id() == 0
        {
            // Every interface has such a network; the kernel takes none that is not named.
            let fault = Fault::new("is a link-local address without its interface", "on which interface?");
            return Err(fault
                .instead(format!("[{}%2]:{}", address.ip(), address.port()))
                .note("behind `%` stands the number of the interface, with which `ip address` begins its lines"));
        }
        return Ok(address);
    }
    let wildcard = "`0.0.0.0` is every IPv4 address of this machine, `[::]` every IPv6 address";
    let read = format!("read `{}`", shown(text));
    if let Some(port) = text.strip_prefix(':').or_else(|| text.strip_prefix("*:")).or(Some(text))
        && let Ok(port) = port.parse::<u16>()
    {
        let fault = Fault::new("does not say which address to listen on", "a port alone");
        return Err(fault.instead(format!("0.0.0.0:{port}")).note(wildcard));
    }
    if let Some((address, port)) = unbracketed(text) {
        let fault = Fault::new("is an IPv6 address without brackets", "where does the address end and the port begin?");
        return Err(fault.instead(format!("[{address}]:{port}")));
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        let instead = SocketAddr::new(address, usual).to_string();
        return Err(Fault::new("has no port", "an address alone").instead(instead));
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let bare_host = host.trim_start_matches('[').trim_end_matches(']');
    if bare_host.parse::<IpAddr>().is_ok() {
        let instead = format!("{host}:{usual}");
        return Err(Fault::new("has no usable port", format!("port `{}`", shown(port)))
            .instead(instead)
            .note("a port is a number from 1 to 65535, or 0 for any free one"));
    }
    let port = port.parse::<u16>().unwrap_or(usual);
    if host.eq_ignore_ascii_case("localhost") {
        let fault = Fault::new("is a name; listening takes an address", read);
        return Err(fault.instead(format!("127.0.0.1:{port}")));
    }
    let what = if looks_like_a_name(host) { "is a name; listening takes an address" } else { "is not an address" };
    Err(Fault::new(what, read).instead(format!("0.0.0.0:{port}")).note(wildcard))
}

/// A host by name or address, with or without a port: `rds07.example.net`, `10.0.0.7:3390`, `[2001:db8::7]:3389`.
pub(crate) fn upstream(text: &str) -> Result<Upstream, Fault> {
    let read = || format!("read `{}`", shown(text));
    if text.trim().is_empty() {
        return Err(Fault::new("names no host", "empty").instead("rds07.example.net:3389"));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let rest = rest.split('/').next().unwrap_or(rest);
        let fault =
            Fault::new("is a URL; it takes a host and a port", format!("`{}://` does not belong here", shown(scheme)));
        return Err(fault.instead(rest));
    }
    if text.parse::<Ipv6Addr>().is_ok() || unbracketed(text).is_some() {
        let (address, port) = unbracketed(text).unwrap_or((text, RDP_PORT));
        let fault = Fault::new("is an IPv6 address without brackets", "where does the address end and the port begin?");
        return Err(fault.instead(format!("[{address}]:{port}")));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((host, after)) = rest.split_once(']') else {
                return Err(Fault::new("is not a host", "`[` without `]`").instead("[2001:db8::7]:3389"));
            };
            let address = host.split('%').next().unwrap_or(host);
            if address.parse::<Ipv6Addr>().is_err() {
                return Err(Fault::new("is not a host", format!("`{}` is not an IPv6 address", shown(host)))
                    .note("brackets are for IPv6 addresses only: `[2001:db8::7]:3389`"));
            }
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(Fault::new("is not a host", format!("`{}` after `]`", shown(after)))),
            }
        }
        None => {
            let (host, port) = match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            if let Err(why) = host_name(host) {
                let fault = Fault::new("is not a host", why);
                return Err(fault.note("write a DNS name or an address, and a port if it is not 3389"));
            }
            (host, port)
        }
    };
    let port = match port {
        None => RDP_PORT,
        Some(port) => match port.parse::<u16>() {
            Ok(0) | Err(_) => {
                let display = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
                return Err(Fault::new(
                    "has no usable port",
                    if port.is_empty() { read() } else { format!("port `{}`", shown(port)) },
                )
                .instead(format!("{display}:{RDP_PORT}"))
                .note("a host's port is a number from 1 to 65535"));
            }
            Ok(port) => port,
        },
    };
    if host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified()) {
        let fault = Fault::new("is no host", "this address means \"any of mine\", nothing can be reached there");
        return Err(fault.instead(format!("127.0.0.1:{port}")));
    }
    Ok(Upstream { host: host.to_owned(), port })
}

/// A listener's name, as it may stand in a label and an event.
pub(crate) fn listener_name(text: &str) -> Result<String, Fault> {
    const LONGEST: usize = 64;
    let allowed = "letters, digits and `. _ - : [ ] %`, at most 64 of them: it is a label in metrics and events";
    if text.is_empty() {
        return Err(Fault::new("is empty", "no name").instead("rds-farm").note(allowed));
    }
    if text.chars().count() > LONGEST {
        return Err(Fault::new("is too long", format!("{} characters", text.chars().count())).note(allowed));
    }
    match text.chars().find(|c| !c.is_alphanumeric() && !"._-:[]%".contains(*c)) {
        None => Ok(text.to_owned()),
        Some(c) => {
            let clean: String =
                text.chars().map(|c| if c.is_alphanumeric() || "._-:[]%".contains(c) { c } else { '-' }).collect();
            let fault = Fault::new("cannot be a label", format!("contains `{}`", c.escape_debug()));
            Err(fault.instead(clean).note(allowed))
        }
    }
}

/// Is this host the machine's own loopback?
pub(crate) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `2001:db8::7:3389`, which is an IPv6 address by the rules and an address with a port by intent.
fn unbracketed(text: &str) -> Option<(&str, u16)> {
    text.parse::<Ipv6Addr>().ok()?;
    let (address, port) = text.rsplit_once(':')?;
    // A group of an address has at most four digits; a port worth the doubt has four or five.
    (port.len() >= 4 && address.parse::<Ipv6Addr>().is_ok()).then_some(())?;
    Some((address, port.parse().ok()?))
}

fn looks_like_a_name(host: &str) -> bool {
    !host.is_empty() && host_name(host).is_ok()
}

/// RFC 1123 2.1, with the underscore that Windows names may have.
fn host_name(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("no host before the port".to_owned());
    }
    if let Some(c) = host.chars().find(|c| !c.is_alphanumeric() && !"-._".contains(*c)) {
        return Err(format!("contains `{}`", c.escape_debug()));
    }
    let labels = host.strip_suffix('.').unwrap_or(host);
    if host.len() > 253 || labels.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err("a part of the name is empty or longer than 63".to_owned());
    }
    // RFC 1123 2.1: a name whose last part is digits is meant as an IPv4 address.
    let last = labels.rsplit('.').next().unwrap_or(labels);
    if last.bytes().all(|byte| byte.is_ascii_digit()) && host.parse::<Ipv4Addr>().is_err() {
        return Err(format!("`{}` is not an IPv4 address", shown(host)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_addresses_of_both_families_are_read() {
        for text in ["0.0.0.0:3389", "[::]:3389", "127.0.0.1:0", "[fe80::1%2]:3389"] {
            assert_eq!(listen(text, 3389).unwrap(), text.parse().unwrap());
        }
    }

    #[test]
    fn a_wrong_listening_address_is_answered_with_a_right_one() {
        for (text, right) in [
            (":3389", "0.0.0.0:3389"),
            ("3390", "0.0.0.0:3390"),
            ("*:3389", "0.0.0.0:3389"),
            ("0.0.0.0", "0.0.0.0:3389"),
            ("::", "[::]:3389"),
            ("[::1]", "[::1]:3389"),
            ("2001:db8::7:3389", "[2001:db8::7]:3389"),
            ("localhost:3391", "127.0.0.1:3391"),
            ("rds07.example.net:3389", "0.0.0.0:3389"),
            ("10.0.0.1:99999", "10.0.0.1:3389"),
            ("[fe80::1]:3389", "[fe80::1%2]:3389"),
            ("", "0.0.0.0:3389"),
        ] {
            let fault = listen(text, 3389).unwrap_err();
            assert_eq!(fault.instead.as_deref(), Some(right), "{text}");
            assert!(listen(right, 3389).is_ok());
        }
    }

    #[test]
    fn hosts_by_name_and_address_are_read() {
        for (text, host, port) in [
            ("rds07.example.net:3390", "rds07.example.net", 3390),
            ("rds07", "rds07", 3389),
            ("RDS_07.", "RDS_07.", 3389),
            ("10.0.0.7", "10.0.0.7", 3389),
            ("[2001:db8::7]:3390", "2001:db8::7", 3390),
            ("[2001:db8::7]", "2001:db8::7", 3389),
            ("[fe80::1%eth0]:3389", "fe80::1%eth0", 3389),
        ] {
            assert_eq!(upstream(text).unwrap(), Upstream { host: host.to_owned(), port }, "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            " ",
            ":3389",
            "a b:3389",
            "rdp://rds07/",
            "2001:db8::7",
            "2001:db8::7:3389",
            "[rds07]:3389",
            "[::1",
            "[::1]x",
            "10.0.0.300",
            "rds07:0",
            "rds07:99999",
            "rds07:",
            "0.0.0.0:3389",
            "[::]",
            "a..b",
            "a:b:c",
            "a\u{0}b",
        ] {
            assert!(upstream(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_upstream_is_written_as_it_is_read() {
        for text in ["rds07.example.net:3389", "[2001:db8::7]:3390", "10.0.0.7:3389"] {
            assert_eq!(upstream(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn names_are_safe_as_labels() {
        assert_eq!(listener_name("Köln-2").unwrap(), "Köln-2");
        assert_eq!(listener_name("a b\"c").unwrap_err().instead.as_deref(), Some("a-b-c"));
        assert!(listener_name("").is_err());
        assert!(listener_name(&"a".repeat(65)).is_err());
        assert!(listener_name("a\n").is_err());
    }
}
