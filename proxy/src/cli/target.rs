//! A host to ask, as somebody types it: `HOST`, `HOST:PORT`, `[v6]:PORT`, a bare IPv6 address.

use config::Upstream;
use std::net::Ipv6Addr;

/// The host in `text`, with `usual` where no port is given.
pub(super) fn target(text: &str, usual: u16) -> Result<Upstream, String> {
    let shown: String = text.chars().take(128).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if let Some((_, rest)) = text.split_once("://") {
        let host: String =
            rest.split('/').next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(128).collect();
        return Err(format!("`{shown}` is a URL; it takes a host: `{host}`"));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok(Upstream { host: text.to_owned(), port: usual });
    }
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => {
            (host, port.strip_prefix(':').or(port.is_empty().then_some("")))
        }
        Some(_) => return Err(format!("`{shown}` is no IPv6 address in brackets")),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, Some("")),
        },
    };
    let port = match port {
        Some("") if !text.ends_with(':') => usual,
        Some(port) => match port.parse() {
            Ok(port @ 1..) => port,
            _ => return Err(format!("`{shown}` has no usable port: a port is a number from 1 to 65535")),
        },
        None => return Err(format!("`{shown}`: after the brackets comes `:PORT`")),
    };
    let sound = |c: char| !c.is_control() && !c.is_whitespace() && !"/@?#\"'`<>,;".contains(c);
    match host.is_empty()
        || host.len() > 253
        || !host.chars().all(sound)
        || (host.contains(':') && !text.starts_with('['))
    {
        true => Err(format!("`{shown}` names no host; write `rds07.example.net` or `10.0.0.7:{usual}`")),
        false => Ok(Upstream { host: host.to_owned(), port }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_with_and_without_a_port() {
        let read = |text| target(text, 3389).map(|upstream| (upstream.host, upstream.port));
        for (text, host, port) in [
            ("rds07", "rds07", 3389),
            ("rds07.example.net:3390", "rds07.example.net", 3390),
            ("10.0.0.7", "10.0.0.7", 3389),
            ("[2001:db8::7]:3390", "2001:db8::7", 3390),
            ("[2001:db8::7]", "2001:db8::7", 3389),
            ("2001:db8::7", "2001:db8::7", 3389),
        ] {
            assert_eq!(read(text), Ok((host.to_owned(), port)), "{text}");
        }
        for text in ["", ":3389", "a:0", "a:70000", "a:", "https://gw.example/x", "[a]:1", "[::1]x", "a b", "a:b:c"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(target("https://gw.example/x", 443).is_err_and(|why| why.contains("`gw.example`")));
    }
}
