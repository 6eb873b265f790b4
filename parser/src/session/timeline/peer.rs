//! The two ends of a connection.

use core::ops::{Index, IndexMut};

/// Which end of the connection: the RDP client, or the host (an RD Gateway included).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// The end that opened the connection.
    Client,
    /// The end that was connected to.
    Host,
}

impl Peer {
    /// The other end.
    #[must_use]
    pub fn other(self) -> Peer {
        match self {
            Peer::Client => Peer::Host,
            Peer::Host => Peer::Client,
        }
    }

    /// `client` or `host`, as events and labels spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Peer::Client => "client",
            Peer::Host => "host",
        }
    }
}

/// One value per end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerPeer<T> {
    /// What concerns the client, or what the client sent.
    pub client: T,
    /// What concerns the host, or what the host sent.
    pub host: T,
}

impl<T> Index<Peer> for PerPeer<T> {
    type Output = T;
    fn index(&self, peer: Peer) -> &T {
        match peer {
            Peer::Client => &self.client,
            Peer::Host => &self.host,
        }
    }
}

impl<T> IndexMut<Peer> for PerPeer<T> {
    fn index_mut(&mut self, peer: Peer) -> &mut T {
        match peer {
            Peer::Client => &mut self.client,
            Peer::Host => &mut self.host,
        }
    }
}
