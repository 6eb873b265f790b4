//! Who is asked, by the `Host` header: a web page must not read the endpoint by a name that it has led to this machine
//! (DNS rebinding).
//!
//! The browser thinks that such a page and we are one site, so nothing but the name tells them apart. On a loopback address
//! only programs of this machine ask us, by address or by a name of this machine. On any other one, who scrapes us may use
//! a name that only its own DNS knows, and there others can read without a trick: every name is good.

use super::answer::Fault;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

const HINT: &str = "ask by an address or as localhost; a reverse proxy in front is to send `Host: localhost`";

/// The names that are good.
#[derive(Clone, Debug)]
pub(super) enum Names {
    Any,
    /// Addresses, localhost, and this name of the machine.
    Ours(Arc<str>),
}

impl Names {
    pub(super) fn of(listen: SocketAddr) -> Names {
        match listen.ip().to_canonical().is_loopback() {
            true => Names::Ours(rustix::system::uname().nodename().to_string_lossy().into()),
            false => Names::Any,
        }
    }

    fn hold(&self, host: &str) -> bool {
        let Names::Ours(machine) = self else { return true };
        let name = without_port(host);
        // An address is nobody's name. Names below localhost lead to loopback everywhere: RFC 6761 6.3
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        let local = name.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost"));
        address || local || name.eq_ignore_ascii_case(machine)
    }
}

/// `name:port`, `[address]:port`, or either without a port. RFC 9110 7.2
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// A browser always sends the header; who sends none is no browser.
fn named(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST).map(|host| host.to_str().unwrap_or("?"))
}

/// Refuses a request by a name that is not ours.
pub(super) async fn check(State(names): State<Names>, request: Request, next: Next) -> Result<Response, Fault> {
    match named(request.headers()).filter(|host| !names.hold(host)) {
        Some(host) => {
            let error = format!("nothing here is called {host:?}");
            Err(Fault::new(StatusCode::MISDIRECTED_REQUEST, error, HINT))
        }
        None => Ok(next.run(request).await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_addresses_localhost_and_the_machines_name_are_good_and_no_other() {
        let names = Names::of("127.0.0.1:9389".parse().unwrap());
        let Names::Ours(machine) = &names else { panic!("{names:?}") };
        let ours = [format!("{machine}:9389"), machine.to_uppercase()];
        let good = [
            "127.0.0.1:9389",
            "127.0.0.1",
            "[::1]:9389",
            "[::1]",
            "localhost:9389",
            "LOCALHOST",
            "a.localhost",
            "10.0.0.7",
        ];
        for host in good.into_iter().chain(ours.iter().map(String::as_str)) {
            assert!(names.hold(host), "{host}");
        }
        for host in
            ["evil.example:9389", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "?", ""]
        {
            assert!(!names.hold(host), "{host}");
        }
    }

    #[test]
    fn elsewhere_every_name_is_good() {
        for listen in ["0.0.0.0:9389", "[::]:9389", "10.0.0.7:9389"] {
            assert!(Names::of(listen.parse().unwrap()).hold("rdpscope.monitoring.svc:9389"), "{listen}");
        }
        assert!(!Names::of("[::ffff:127.0.0.1]:9389".parse().unwrap()).hold("rdpscope.monitoring.svc"));
    }
}
