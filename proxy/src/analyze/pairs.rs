//! The two legs of a connection through an RD Gateway, when a capture holds both: from the client to the gateway in TLS,
//! and from the gateway on to the host in clear.

use parser::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use uuid::Uuid;

/// A gateway connects to the host within so long after its client came: a person may have to log on first.
const LOGON: Duration = Duration::from_secs(120);
/// Gateway connections that are remembered at once.
const MOST: usize = 4_096;

/// The other leg of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// Its number in the capture.
    pub stream: u64,
    /// Its session id.
    pub session: Uuid,
    /// True for the leg between client and gateway, false for the one between gateway and host.
    pub of_gateway: bool,
    /// The end that it leads to.
    pub host: SocketAddr,
}

/// Connections that begin with TLS, by where they lead: one of these machines may be a gateway.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    open: HashMap<IpAddr, Vec<Candidate>>,
    order: VecDeque<(IpAddr, u64)>,
    host_legs: HashMap<u64, Leg>,
}

#[derive(Debug)]
struct Candidate {
    client: IpAddr,
    since: Timestamp,
    leg: Leg,
}

impl Pairs {
    /// `client` speaks TLS with the machine of `leg`.
    pub(super) fn tls(&mut self, client: IpAddr, leg: Leg, at: Timestamp) {
        let ip = leg.host.ip();
        self.open.entry(ip).or_default().push(Candidate { client, since: at, leg });
        self.order.push_back((ip, leg.stream));
        if self.order.len() > MOST
            && let Some((ip, stream)) = self.order.pop_front()
        {
            self.forget(ip, stream);
        }
    }

    /// `from` opens an RDP connection, `leg`. The leg of its client, if `from` is a gateway and there is no doubt whose
    /// connection this is: that of one client alone, whose connections have not gone on yet.
    pub(super) fn rdp(&mut self, from: IpAddr, leg: Leg, at: Timestamp) -> Option<Leg> {
        let in_time = |c: &&Candidate| at.since(c.since) <= LOGON && !self.host_legs.contains_key(&c.leg.stream);
        let candidates: Vec<&Candidate> = self.open.get(&from)?.iter().filter(in_time).collect();
        let first = candidates.first()?;
        // The two channels of the older transport are one client's.
        if candidates.iter().any(|other| other.client != first.client) {
            return None;
        }
        let found = first.leg;
        let streams: Vec<u64> = candidates.iter().map(|candidate| candidate.leg.stream).collect();
        self.host_legs.extend(streams.into_iter().map(|stream| (stream, leg)));
        Some(found)
    }

    /// A connection that began with TLS is over. The leg it went on in.
    pub(super) fn ended(&mut self, to: IpAddr, stream: u64) -> Option<Leg> {
        let leg = self.host_legs.get(&stream).copied();
        self.forget(to, stream);
        leg
    }

    fn forget(&mut self, ip: IpAddr, stream: u64) {
        self.host_legs.remove(&stream);
        if let Some(open) = self.open.get_mut(&ip) {
            open.retain(|candidate| candidate.leg.stream != stream);
            if open.is_empty() {
                self.open.remove(&ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(stream: u64, host: u8, of_gateway: bool) -> Leg {
        let host = SocketAddr::from(([10, 0, 0, host], if of_gateway { 443 } else { 3_389 }));
        Leg { stream, session: Uuid::from_u128(u128::from(stream)), of_gateway, host }
    }

    #[test]
    fn the_gateways_own_connection_belongs_to_the_one_client_it_can_belong_to() {
        let (gateway, at) = (IpAddr::from([10, 0, 0, 5]), Timestamp(1_000_000_000));
        let client = |n| IpAddr::from([192, 0, 2, n]);
        let mut pairs = Pairs::default();
        pairs.tls(client(1), leg(0, 5, true), at);
        assert_eq!(pairs.rdp(IpAddr::from([10, 0, 0, 6]), leg(1, 9, false), at), None, "another machine");
        assert_eq!(pairs.rdp(gateway, leg(2, 9, false), at), Some(leg(0, 5, true)));
        pairs.tls(client(2), leg(3, 5, true), at);
        pairs.tls(client(3), leg(4, 5, true), at);
        assert_eq!(pairs.rdp(gateway, leg(5, 9, false), at), None, "one of two");
        assert_eq!(pairs.ended(gateway, 4), None);
        assert_eq!(pairs.rdp(gateway, leg(6, 9, false), at), Some(leg(3, 5, true)));
        assert_eq!(pairs.ended(gateway, 3), Some(leg(6, 9, false)));
        assert_eq!(pairs.ended(gateway, 0), Some(leg(2, 9, false)));
        assert!(pairs.open.is_empty() && pairs.host_legs.is_empty());
    }

    #[test]
    fn a_gateway_that_waits_too_long_is_none() {
        let mut pairs = Pairs::default();
        pairs.tls(IpAddr::from([192, 0, 2, 1]), leg(0, 5, true), Timestamp(0));
        let late = Timestamp(0).plus(LOGON + Duration::from_secs(1));
        assert_eq!(pairs.rdp(IpAddr::from([10, 0, 0, 5]), leg(1, 9, false), late), None);
    }
}
